//! What the integration tests share.
#![allow(dead_code)]

pub mod axe;
pub mod browser;
pub mod camera;
pub mod camera_front;
pub mod data;
pub mod mock;
pub mod page;
pub mod process;
pub mod street;

use std::io::Write;

/// Says a line to whoever runs the tests. `cargo test` hides what a passing test prints; a skipped test
/// and a measured percentage must be seen.
pub fn say(line: &str) {
    // In one write, so that lines of tests that run side by side do not mix.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Says that a test, or a part of it, was left out, and why.
pub fn skip(why: &str) {
    say(&format!("skipped: {why}"));
}
