//! Ctrl-C.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::clock::Stop;
use crate::base::error::{Error, Kind, Result};

/// Sets `stop` at SIGINT or SIGTERM; a second signal ends the process at once.
///
/// # Errors
/// Where the process cannot be told of signals.
pub fn stop_on_signals(stop: &Stop) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Internal, "cannot listen for SIGINT and SIGTERM").caused_by(error)
    };
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if stop.is_set() {
                    // The default action of the signal: the process ends as if it had no handler.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
                stop.set();
            }
        })
        .map_err(failed)?;
    Ok(())
}
