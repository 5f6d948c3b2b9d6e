//! The folder by which tests talk to the stand-in.

use std::io::Write;
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    std::env::var_os("SPOTTER_SIM_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Whether this fault is on now.
pub(crate) fn has(fault: &str) -> bool {
    let faults = folder().and_then(|folder| std::fs::read_to_string(folder.join("faults")).ok());
    faults.is_some_and(|text| {
        text.lines().any(|line| line.split_whitespace().eq(["edgetpu", fault].iter().copied()))
    })
}

/// Writes an event into the log.
pub(crate) fn note(event: &str) {
    let Some(folder) = folder() else { return };
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("edgetpu.log"));
    // A test that reads the log notices that a line is missing.
    let _ = log.and_then(|mut log| log.write_all(format!("{event}\n").as_bytes()));
}
