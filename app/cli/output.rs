//! Standard output.

use std::io::{ErrorKind, IsTerminal, Write};

use crate::base::error::{Error, Kind, Result};

/// True where standard output takes colours: a terminal, unless `NO_COLOR` is set (no-color.org).
pub fn styled() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes lines to standard output. That whoever reads them has closed the pipe (`| head`) is no error.
///
/// # Errors
/// [`Kind::Output`] where they cannot be written.
pub fn print(lines: &[String]) -> Result<()> {
    let mut text = lines.join("\n");
    text.push('\n');
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Output, "cannot write to standard output").caused_by(error))
        }
        _ => Ok(()),
    }
}
