//! Figures of speed, which depend on the machine and on who else uses it: `./build.sh bench` runs this with the release
//! program. It writes a record and compares with the one before; nothing fails because a machine is slow.
//!
//! `cargo bench --bench measure -- viewers` measures one part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod chips;
mod engine;
mod overlap;
mod record;
mod recovery;
mod viewers;

use record::Record;

type Part = (&'static str, fn(&mut Record));

const PARTS: [Part; 5] = [
    ("viewers", viewers::measure),
    ("overlap", overlap::measure),
    ("chips", chips::measure),
    ("recovery", recovery::measure),
    ("engine", engine::measure),
];

fn main() {
    // Cargo adds --bench.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    // The simulated capture library is told by its environment, so that part is a process of its own.
    if wanted == [overlap::INSIDE] {
        return overlap::inside();
    }
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            let mut record = Record::new(name);
            measure(&mut record);
            record.end();
        }
    }
}
