//! Log lines: one sentence each, on stderr (with the time where they are not read as they come), and the last of
//! them in memory for the interface.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::{Value, json};

use super::text::{plain, printable};
use crate::base::time::timestamp;

pub const KEPT_LINES: usize = 500;
/// Characters of a kept line.
const LINE_LIMIT: usize = 1000;

/// A line that was said.
#[derive(Clone, Debug)]
struct Line {
    /// When it was said last.
    time: SystemTime,
    level: Level,
    text: String,
    /// How often, one right after the other.
    count: u64,
}

/// The last lines, and how many there were of each level.
#[derive(Debug)]
struct Recent {
    lines: VecDeque<Line>,
    /// By [`Level`], which counts from 1.
    counts: [u64; Level::Trace as usize + 1],
}

/// The log is one for the whole program (`log::set_boxed_logger`), and so is its end.
static RECENT: Mutex<Recent> =
    Mutex::new(Recent { lines: VecDeque::new(), counts: [0; Level::Trace as usize + 1] });

fn recent() -> MutexGuard<'static, Recent> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recent {
    fn add(&mut self, time: SystemTime, level: Level, text: &str) {
        self.counts[level as usize] += 1;
        let text = printable(text, LINE_LIMIT);
        if let Some(last) = self.lines.back_mut()
            && (last.level, &last.text) == (level, &text)
        {
            (last.time, last.count) = (time, last.count + 1);
            return;
        }
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { time, level, text, count: 1 });
    }
}

/// The name of a level, as the interface has it.
fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    }
}

/// The level of that name.
pub fn level(name: &str) -> Option<Level> {
    [Level::Error, Level::Warn, Level::Info, Level::Debug].into_iter().find(|level| word(*level) == name)
}

/// How many lines there were of a level since the start.
pub fn count(level: Level) -> u64 {
    recent().counts[level as usize]
}

/// The last lines that are at least as grave as `level`, oldest first, as JSON.
pub fn to_json(level: Level) -> Value {
    let (lines, counts) = {
        // Whoever logs waits no longer than the copy takes.
        let recent = recent();
        (recent.lines.iter().filter(|line| line.level <= level).cloned().collect::<Vec<_>>(), recent.counts)
    };
    let lines = lines.iter().map(|line| {
        json!({ "time": timestamp(line.time), "level": word(line.level), "text": line.text, "count": line.count })
    });
    json!({
        "lines": lines.collect::<Vec<_>>(),
        "counts": {
            "error": counts[Level::Error as usize],
            "warning": counts[Level::Warn as usize],
            "info": counts[Level::Info as usize],
        },
    })
}

struct SpotterLog {
    with_time: bool,
}

impl Log for SpotterLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries speak at their own levels; only their warnings are for the user.
        metadata.target().starts_with("spotter") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = SystemTime::now();
        let text = record.args().to_string();
        recent().add(now, record.level(), &text);
        let word = match record.level() {
            Level::Info => String::new(),
            level => format!("{}: ", word(level)),
        };
        let time = if self.with_time { format!("{} ", timestamp(now)) } else { String::new() };
        // What a file or a camera calls itself must not act on the terminal; lines stay lines.
        let said = text.split('\n').map(plain).collect::<Vec<_>>().join("\n");
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr().lock(), "{time}spotter: {word}{said}");
    }

    fn flush(&self) {}
}

/// Starts logging. `SPOTTER_LOG` = error, warning (or warn), info (default) or debug says how much.
pub fn start() {
    let text = std::env::var("SPOTTER_LOG").unwrap_or_default();
    let level = level_of(&text);
    let logger = Box::new(SpotterLog { with_time: !std::io::stderr().is_terminal() });
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
    if level.is_none() && !text.is_empty() {
        let text = super::text::printable(&text, 40);
        log::warn!("SPOTTER_LOG=\"{text}\" is no level; use error, warning, info or debug; info is used");
    }
}

/// A level by its name in the interface, or in crate `log`.
fn level_of(text: &str) -> Option<LevelFilter> {
    if text.eq_ignore_ascii_case("warning") { Some(LevelFilter::Warn) } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_the_interfaces_names_and_the_usual_ones() {
        for (text, level) in [
            ("warning", LevelFilter::Warn),
            ("Warn", LevelFilter::Warn),
            ("error", LevelFilter::Error),
            ("debug", LevelFilter::Debug),
        ] {
            assert_eq!(level_of(text), Some(level), "{text}");
        }
        assert_eq!((level_of(""), level_of("loud")), (None, None));
    }

    #[test]
    fn the_last_lines_are_kept_and_repetitions_counted() {
        let mut recent = Recent { lines: VecDeque::new(), counts: [0; 6] };
        let now = SystemTime::now();
        for number in 0..KEPT_LINES + 7 {
            recent.add(now, Level::Info, &format!("line {number}"));
        }
        for _ in 0..3 {
            recent.add(now, Level::Error, "a\nb\u{1b}[2J");
        }
        recent.add(now, Level::Warn, &"x".repeat(5000));
        assert_eq!(recent.lines.len(), KEPT_LINES);
        assert_eq!(recent.lines[0].text, "line 9");
        let last = &recent.lines[KEPT_LINES - 2];
        assert_eq!((last.count, last.level, last.text.contains(['\u{1b}', '\n'])), (3, Level::Error, false));
        assert_eq!(recent.lines[KEPT_LINES - 1].text.chars().count(), LINE_LIMIT);
        assert_eq!(recent.counts[1..4], [3, 1, KEPT_LINES as u64 + 7]);
        // The same sentence at another level is another line.
        recent.add(now, Level::Error, "x");
        recent.add(now, Level::Warn, "x");
        assert_eq!(recent.lines[KEPT_LINES - 1].count, 1);
    }

    #[test]
    fn levels_have_one_name_each() {
        assert_eq!(level("warning"), Some(Level::Warn));
        assert_eq!((level("warn"), level("trace"), level("")), (None, None, None));
        assert!(level("error") < level("debug"));
    }
}
