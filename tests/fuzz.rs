//! A bounded run of what is fuzzed: the committed corpus, and changes of it from a fixed seed.
//!
//! `cargo fuzz run NAME` (in `fuzz/`) searches without end; what it finds belongs into `fuzz/corpus`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Changed copies of each file of the corpus.
const CHANGES: usize = 400;
/// No input of the corpus' size may take longer, on a machine that does other things too.
const TIME: Duration = Duration::from_secs(2);
/// Bytes that may be held at once: a fixed part, and some for each byte of the input.
const MEMORY: (u64, u64) = (16 << 20, 64);

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit.max(1)
    }
}

/// One to eight changes such as files suffer or enemies make: bytes, words, cuts, repeats, swaps.
fn changed(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = input.to_vec();
    for _ in 0..1 + random.below(8) {
        if data.is_empty() {
            return other.to_vec();
        }
        let at = random.below(data.len());
        match random.below(7) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.below(256) as u8,
            2 => {
                let words = [0u32, 1, 4, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x0001_0000];
                let word = words[random.below(words.len())].to_le_bytes();
                let at = at & !3;
                let end = data.len().min(at + 4);
                data[at..end].copy_from_slice(&word[..end - at]);
            }
            3 => data.truncate(at),
            4 => {
                let end = data.len().min(at + 1 + random.below(64));
                let part = data[at..end].to_vec();
                data.splice(at..at, part);
            }
            5 => drop(data.drain(at..data.len().min(at + 1 + random.below(16)))),
            _ => {
                let from = random.below(other.len());
                let part = &other[from..other.len().min(from + 1 + random.below(64))];
                let end = data.len().min(at + part.len());
                data[at..end].copy_from_slice(&part[..end - at]);
            }
        }
    }
    data
}

fn check(name: &str, target: fn(&[u8]), input: &[u8]) {
    let begun = Instant::now();
    let mut outcome = Ok(());
    let used = allocation_counter::measure(|| {
        outcome = std::panic::catch_unwind(|| target(input));
    });
    let limit = MEMORY.0 + MEMORY.1 * input.len() as u64;
    let fault = if outcome.is_err() {
        Some("panicked".to_owned())
    } else if begun.elapsed() > TIME {
        Some(format!("took {:?}", begun.elapsed()))
    } else if used.bytes_max > limit {
        Some(format!("held {} bytes for {}", used.bytes_max, input.len()))
    } else {
        None
    };
    if let Some(fault) = fault {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.found"));
        std::fs::write(&kept, input).unwrap();
        panic!("{name} {fault}; the input is in {}", kept.display());
    }
}

/// Runs a target over its corpus.
fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(inputs.len() >= 3, "{} has no corpus", folder.display());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    check(name, target, b"");
    for (index, input) in inputs.iter().enumerate() {
        check(name, target, input);
        for length in 0..input.len().min(200) {
            check(name, target, &input[..length]);
        }
        for _ in 0..CHANGES {
            let other = &inputs[(index + 1 + random.below(inputs.len())) % inputs.len()];
            check(name, target, &changed(input, other, &mut random));
        }
    }
}

#[test]
fn label_files() {
    run("labels", targets::labels);
}

#[test]
fn uploads() {
    run("upload", targets::upload);
}
