//! Tells a person how far a download is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is drawn anew.
const EVERY: Duration = Duration::from_millis(100);
/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;
/// Longest and shortest bar; where less is free there is none.
const BAR: std::ops::RangeInclusive<usize> = 8..=30;

/// A line on stderr that is drawn anew as a download goes on; one line in all where stderr is no
/// terminal.
pub struct Progress {
    name: String,
    terminal: bool,
    silent: bool,
    /// When the download began, and with how many bytes of an earlier one.
    started: Option<(Instant, u64)>,
    drawn: Option<Instant>,
    done: u64,
}

impl Progress {
    /// A line that is drawn anew where stderr is a terminal, else one line at the start.
    pub fn on_stderr(name: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { name: name.to_string(), terminal, silent: false, started: None, drawn: None, done: 0 }
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self { silent: true, terminal: false, ..Self::on_stderr("") }
    }

    /// `done` bytes of `total` are here.
    pub(super) fn show(&mut self, done: u64, total: Option<u64>) {
        self.done = done;
        if self.silent {
            return;
        }
        if self.started.is_none() {
            self.started = Some((Instant::now(), done));
            if !self.terminal {
                let size = total.map_or(String::new(), |total| format!(" ({})", megabytes(total)));
                let on =
                    if done > 0 { format!(", going on after {}", megabytes(done)) } else { String::new() };
                log::info!("downloading {}{size}{on}", self.name);
            }
        }
        let due = total == Some(done) || self.drawn.is_none_or(|at| at.elapsed() >= EVERY);
        if self.terminal && due {
            self.drawn = Some(Instant::now());
            self.draw(&bar(&self.name, done, total, self.rate(), columns()));
        }
    }

    /// The download has ended; a bar that ended well becomes a line about it.
    pub(super) fn end(&self, well: bool) {
        let Some((started, from)) = self.started else { return };
        if !self.terminal || self.silent {
            return;
        }
        if well {
            let (size, time) = (megabytes(self.done - from.min(self.done)), started.elapsed().as_secs_f64());
            self.draw(&format!("{}  {size} in {time:.1} s", self.name));
        }
        let _ = writeln!(std::io::stderr());
    }

    /// Bytes a second.
    fn rate(&self) -> Option<f64> {
        let (started, from) = self.started?;
        let seconds = started.elapsed().as_secs_f64();
        // The first moments say nothing.
        (seconds > 0.3).then(|| self.done.saturating_sub(from) as f64 / seconds)
    }

    fn draw(&self, line: &str) {
        // To the first column, the line, and nothing of the old one behind it. Where stderr is closed
        // there is nobody to tell.
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\r{line}\x1b[K").and_then(|()| stderr.flush());
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Columns of the terminal that stderr is.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.map(|size| usize::from(size.ws_col)).ok().filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// The line for `done` bytes of `total` at `rate` bytes a second; shorter than `columns`, because a
/// terminal that wraps it cannot take it back.
fn bar(name: &str, done: u64, total: Option<u64>, rate: Option<f64>, columns: usize) -> String {
    let mut figures = match total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = (done.min(total) as f64 / total as f64 * 100.0).floor();
            format!("{percent:>3} %  {:.1} of {}", done as f64 / 1e6, megabytes(total))
        }
        None => megabytes(done),
    };
    if let Some(rate) = rate {
        figures.push_str(&format!("  {:.1} MB/s", rate / 1e6));
    }
    let free = columns.saturating_sub(1 + name.chars().count() + figures.chars().count() + 6);
    let line = match total {
        Some(total) if total > 0 && free >= *BAR.start() => {
            let width = free.min(*BAR.end());
            let full = (done.min(total) as f64 / total as f64 * width as f64) as usize;
            format!("{name}  [{}{}]  {figures}", "#".repeat(full), "-".repeat(width - full))
        }
        _ => format!("{name}  {figures}"),
    };
    line.chars().take(columns.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_how_far_and_how_fast() {
        assert_eq!(
            bar("yolov5n", 1_050_000, Some(4_200_000), Some(2.1e6), 80),
            "yolov5n  [#######-----------------------]   25 %  1.1 of 4.2 MB  2.1 MB/s"
        );
        assert_eq!(bar("m", 0, Some(4_200_000), None, 40), "m  [------------]    0 %  0.0 of 4.2 MB");
        assert!(bar("m", 4, Some(4), None, 80).contains(&format!("[{}]  100 %", "#".repeat(30))));
        assert_eq!(bar("m", 1_500_000, None, Some(1e6), 80), "m  1.5 MB  1.0 MB/s");
        assert_eq!(bar("m", 5, Some(0), None, 80), "m  0.0 MB");
    }

    #[test]
    fn the_bar_never_reaches_the_last_column() {
        for columns in 0..200 {
            for total in [None, Some(0), Some(1), Some(u64::MAX)] {
                let line =
                    bar("tf2-ssd-mobilenet-v2-coco17-edgetpu", u64::MAX / 3, total, Some(1e6), columns);
                assert!(line.chars().count() <= columns.saturating_sub(1), "{columns}: {line}");
            }
        }
    }
}
