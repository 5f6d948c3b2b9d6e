//! Faults that a test injects: lines of the file `faults`, read at each call.

use std::time::Duration;

use crate::{Answer, code, failed, objects, settings};

/// Where a call is when it asks for faults.
#[derive(Clone, Copy, PartialEq)]
pub enum At {
    Connect,
    Load,
    Run,
    Prepare,
}

impl At {
    fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Load => "load",
            Self::Run => "run",
            Self::Prepare => "prepare",
        }
    }
}

fn lines() -> Vec<String> {
    let text = settings::folder().and_then(|folder| std::fs::read_to_string(folder.join("faults")).ok());
    text.unwrap_or_default()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn is(fault: &str, at: At) -> bool {
    let wanted = format!("larod {fault} {}", at.word());
    lines().contains(&wanted)
}

/// The service is away: existing connections are dead, nobody connects.
pub fn is_away() -> bool {
    lines().iter().any(|line| line == "larod restart")
}

/// Does what the faults of this moment say.
pub fn meet(at: At) -> Answer<()> {
    while is("hang", at) {
        std::thread::sleep(Duration::from_millis(20));
    }
    if is_away() {
        objects::kill_all();
        return match at {
            At::Connect => failed(code::ECONNREFUSED, "Connection refused"),
            _ => failed(code::CONNECTION, "Lost connection to the larod service"),
        };
    }
    if is("crash", at) {
        objects::kill_all();
        return failed(code::CONNECTION, "The larod service has ended unexpectedly");
    }
    if is("power", at) {
        return failed(code::POWER_NOT_AVAILABLE, "Power is not available for the device");
    }
    if is("job", at) {
        return failed(code::JOB, "The job could not be run");
    }
    Ok(())
}
