//! Faults that a test injects: lines of the file `faults`, read at each call.
//!
//! What a service that fails answers is taken from reports of real cameras: acap-native-sdk-examples #70 and
//! acap-computer-vision-sdk-examples #140, #160 (the service ends while it loads a model, "Asynchronous connection has
//! been closed", -6), acap-native-sdk-examples #71 ("Could not allocate tensors"). By which code and words want of memory
//! is told is not documented, so there are both.

use std::io::Write;
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

/// Whether there is such a fault: anywhere, or on this device alone.
fn is(fault: &str, at: At, device: Option<&str>) -> bool {
    let wanted = format!("larod {fault} {}", at.word());
    let here = device.map(|device| format!("{wanted} {device}"));
    lines().iter().any(|line| *line == wanted || Some(line) == here.as_ref())
}

/// The service falls over, which is counted: a line more in `larod-falls`.
fn fall_over() {
    objects::kill_all();
    let Some(folder) = settings::folder() else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("larod-falls"));
    if let Ok(mut file) = file {
        // One write of one line: nobody else's comes between.
        let _ = file.write_all(b"fell\n");
    }
}

/// The service is away: existing connections are dead, nobody connects.
pub fn is_away() -> bool {
    lines().iter().any(|line| line == "larod restart")
}

/// Does what the faults of this moment say.
pub fn meet(at: At) -> Answer<()> {
    meet_on(at, None)
}

/// The same, of a call that is for this device.
pub fn meet_on(at: At, device: Option<&str>) -> Answer<()> {
    let is = |fault| is(fault, at, device);
    while is("hang") {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Calls that meet this one hang on when it is gone, and those that come later do not.
    if is("wedge") {
        while !lines().iter().any(|line| line == "larod unwedge") {
            std::thread::sleep(Duration::from_millis(20));
        }
        return failed(code::CONNECTION, "Lost connection to the larod service");
    }
    if is_away() {
        objects::kill_all();
        return match at {
            At::Connect => failed(code::ECONNREFUSED, "Connection refused"),
            _ => failed(code::CONNECTION, "Lost connection to the larod service"),
        };
    }
    if is("crash") {
        fall_over();
        return failed(code::CONNECTION, "The larod service has ended unexpectedly");
    }
    if is("power") {
        return failed(code::POWER_NOT_AVAILABLE, "Power is not available for the device");
    }
    if is("alloc") {
        return failed(code::ALLOC, "Could not allocate memory for the model");
    }
    if is("memory") {
        return failed(code::LOAD_MODEL, "Could not load model: Out of memory");
    }
    if is("tensors") {
        return failed(code::LOAD_MODEL, "Could not load model: Could not allocate tensors");
    }
    if is("job") {
        return failed(code::JOB, "The job could not be run");
    }
    Ok(())
}
