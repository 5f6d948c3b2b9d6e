//! `--record-to`: a line of JSON for each measurement, so that speed has a history.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::base::error::{Error, Kind, Result};
use crate::base::machine;
use crate::base::time::timestamp;

/// Appends the report, with the machine, the time and the program that measured.
///
/// # Errors
/// [`Kind::Output`] where the file cannot be written.
pub(super) fn append(path: &Path, report: &Value) -> Result<()> {
    let line = json!({
        "time": timestamp(SystemTime::now()),
        "machine": machine::processors(),
        "spotter": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("SPOTTER_COMMIT"),
        "report": report,
    });
    let failed = |error| {
        let text = format!("cannot add the record to {}; give a file that can be written", path.display());
        Error::new(Kind::Output, text).caused_by(error)
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    // In one call, so that two measurements at once do not mix their lines.
    file.write_all(format!("{line}\n").as_bytes()).map_err(failed)
}
