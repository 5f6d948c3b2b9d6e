//! What the integration tests share.
#![allow(dead_code)]

pub mod axe;
pub mod browser;
pub mod camera;
pub mod camera_front;
pub mod compiled;
pub mod data;
pub mod docs;
pub mod engines;
pub mod mock;
pub mod once;
pub mod pace;
pub mod page;
pub mod process;
pub mod street;
pub mod tflite_file;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// One at a time, of the tests that need the machine for themselves: a browser, all processors, time. Between
/// processes, the groups of .config/nextest.toml see to it.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
