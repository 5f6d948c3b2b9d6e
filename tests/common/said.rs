//! Words of a test that must be seen though it passes. The unit tests of all crates include this file.
#![allow(unreachable_pub)]

use std::io::Write;

/// Names the file to which the lines that must be seen are added as well.
const SAID: &str = "SPOTTER_TESTS_SAID";

/// Says a line to whoever runs the tests. What a passing test prints is hidden; a skipped test and a measured
/// percentage must be seen, so `./build.sh test` prints the file that `SPOTTER_TESTS_SAID` names at the end.
pub fn say(line: &str) {
    // In one write, so that lines of tests that run side by side do not mix.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    if let Some(path) = std::env::var_os(SAID) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    }
}

/// Says that a test, or a part of it, was left out, and why.
pub fn skip(why: &str) {
    say(&format!("skipped: {why}"));
}
