//! Log lines on stderr: one sentence each, with the time where they are not read as they come.

use std::io::{IsTerminal, Write};
use std::time::SystemTime;

use crate::words::plain;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct StderrLog {
    with_time: bool,
}

impl Log for StderrLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries speak at their own levels; only their warnings are for the user.
        metadata.target().starts_with("spotter") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let word = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug | Level::Trace => "debug: ",
        };
        let time = if self.with_time {
            format!("{} ", crate::scene::timestamp(SystemTime::now()))
        } else {
            String::new()
        };
        // What a file or a camera calls itself must not act on the terminal; lines stay lines.
        let said = record.args().to_string().split('\n').map(plain).collect::<Vec<_>>().join("\n");
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr().lock(), "{time}spotter: {word}{said}");
    }

    fn flush(&self) {}
}

/// Starts logging. `SPOTTER_LOG` = error, warn, info (default) or debug says how much.
pub fn start() {
    let level = std::env::var("SPOTTER_LOG").ok().and_then(|text| text.parse().ok());
    let logger = Box::new(StderrLog { with_time: !std::io::stderr().is_terminal() });
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
}
