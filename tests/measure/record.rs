//! What was measured: a line of JSON for each part and run, and its ratio to the line before.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use spotter::base::machine::processors;
use spotter::base::time::timestamp;

/// The figures of one part of a run.
pub struct Record {
    part: &'static str,
    /// Name, value, and whether more is better.
    figures: Vec<(String, f64, bool)>,
}

impl Record {
    pub fn new(part: &'static str) -> Self {
        println!("{part}:");
        Self { part, figures: Vec::new() }
    }

    /// A figure of which more is better.
    pub fn more(&mut self, name: &str, value: f64) {
        self.figures.push((name.to_owned(), value, true));
    }

    /// A figure of which less is better.
    pub fn less(&mut self, name: &str, value: f64) {
        self.figures.push((name.to_owned(), value, false));
    }

    /// Prints the figures beside those of the run before on this machine, and adds them to the file.
    pub fn end(self) {
        let (path, machine) = (file(), processors());
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let before = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .rfind(|line| line["part"] == self.part && line["machine"] == json!(machine));
        for (name, value, more) in &self.figures {
            let old = before.as_ref().and_then(|line| line["figures"][name.as_str()].as_f64());
            let beside = old.filter(|old| *old != 0.0).map_or(String::new(), |old| {
                let better = if *more == (*value >= old) { "better" } else { "worse" };
                format!("   {:.2} of the run before, {better}", value / old)
            });
            println!("  {name}: {value:.3}{beside}");
        }
        let figures: Map<String, Value> =
            self.figures.into_iter().map(|(name, value, _)| (name, json!(value))).collect();
        let line = json!({
            "time": timestamp(std::time::SystemTime::now()),
            "commit": commit(),
            "machine": machine,
            "part": self.part,
            "figures": figures,
        });
        let mut file =
            OpenOptions::new().create(true).append(true).open(&path).expect("target can be written");
        writeln!(file, "{line}").expect("target can be written");
        println!("  kept in {}", path.display());
    }
}

fn file() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target").join("measure");
    std::fs::create_dir_all(&folder).expect("target can be written");
    folder.join("record.jsonl")
}

fn commit() -> String {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
