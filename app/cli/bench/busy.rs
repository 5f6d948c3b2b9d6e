//! Processes that do nothing but take processor time, so that a measurement on a busy machine can be repeated anywhere.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::error::{Error, Kind, Result};

/// The name of the hidden command.
pub(super) const COMMAND: &str = "keep-busy";

/// Busy processes, each with one thread; they end with this value, or with the process that has it.
pub(super) struct Busy(Vec<Child>);

impl Busy {
    /// Starts `count` of them.
    ///
    /// # Errors
    /// [`Kind::Internal`] where the system gives no process.
    pub(super) fn start(count: u16) -> Result<Self> {
        let failed = |error| {
            Error::new(Kind::Internal, "cannot start a process that keeps the machine busy").caused_by(error)
        };
        let program = std::env::current_exe().map_err(failed)?;
        let mut busy = Self(Vec::new());
        for _ in 0..count {
            // The pipe's other end is this process's alone: however it ends, the pipe is closed.
            let mut command = Command::new(&program);
            command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            busy.0.push(command.spawn().map_err(failed)?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended already needs neither.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The hidden command: takes one processor until standard input is at its end.
///
/// # Errors
/// [`Kind::Internal`] where the system gives no thread.
pub fn keep_busy() -> Result<()> {
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let wait = move || {
        // What comes does not matter, and a failure is an end too.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(wait)
        .map_err(|error| Error::new(Kind::Internal, "cannot start the input thread").caused_by(error))?;
    while !done.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    Ok(())
}
