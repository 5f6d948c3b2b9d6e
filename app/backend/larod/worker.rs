//! The thread that talks to larod: loads, runs, and after each kind of failure tries again for ever.
//!
//! Calls of larod wait for a service that may compile for minutes, restart or hang, so no other thread of Spotter
//! makes them.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::conversion::Conversion;
use super::engine::Ports;
use super::fault::{Fault, Remedy};
use super::session::Answer;
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::SharedMemory;

/// The first wait after a failure; it doubles from one to the next.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// So many jobs may fail one after the other before the connection is made anew.
const FAILED_JOBS: u32 = 3;
/// A job that takes longer is said to hang; once one took longer and came back, twice its time.
const JOB_LIMIT: Duration = Duration::from_secs(5);

/// For so long an attempt to load is not told of where the one before failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the thread is asked for.
pub enum Task {
    /// To run the model on its own memory ([`Ports::input`]).
    Own,
    /// To run the model on the memory of a frame; a descriptor of it is for whoever sees it first.
    Frame(SharedMemory, OwnedFd),
    /// To load a preprocessing model on this device, in place of the one before.
    Load(&'static str, Conversion),
    /// To write a frame into the model's own memory by the preprocessing model, as in [`Task::Frame`].
    Prepare(SharedMemory, OwnedFd),
}

impl Task {
    /// The processor can do it as well: where it fails, the model still runs.
    fn is_preparation(&self) -> bool {
        matches!(self, Self::Load(..) | Self::Prepare(..))
    }
}

/// Loads one model.
pub trait Service: Send {
    /// Connects and loads; `loading` is told which device has begun to load.
    ///
    /// # Errors
    /// [`Remedy::Refused`] where no other attempt helps.
    fn load(&mut self, loading: &mut dyn FnMut(&str)) -> Answer<(Box<dyn Engine>, Ports)>;
}

/// A loaded model.
pub trait Engine {
    /// Does this.
    ///
    /// # Errors
    /// Where the service fails.
    fn run(&mut self, task: Task) -> Answer<()>;
}

/// How the thread is doing.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Connecting, or loading on the device that is named.
    Loading(Option<String>),
    /// Waiting for jobs.
    Ready,
    /// Something failed; tried again soon. The sentence says what.
    Failed(String),
    /// No other attempt helps.
    Refused(Fault),
}

struct State {
    phase: Phase,
    since: Instant,
    /// Why the last attempt failed, until one succeeds.
    failed: Option<String>,
    /// Of a model that was just loaded, until they are fetched.
    ports: Option<Ports>,
    job: Option<Task>,
    answer: Option<Answer<()>>,
    /// Since when a job is under way that nobody waits for any more.
    late: Option<Instant>,
    limit: Duration,
}

impl State {
    fn turn(&mut self, phase: Phase) {
        match &phase {
            Phase::Failed(why) => self.failed = Some(why.clone()),
            Phase::Ready | Phase::Refused(_) => self.failed = None,
            Phase::Loading(_) => {}
        }
        (self.phase, self.since) = (phase, Instant::now());
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: Stop,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        self.lock().turn(phase);
        self.changed.notify_all();
    }
}

/// Handle of the thread. Dropped, the thread ends by itself after the call it is in.
pub struct Worker {
    shared: Arc<Shared>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.stop.set();
        self.shared.changed.notify_all();
    }
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Kind::Internal` where the system gives no thread.
    pub fn start(service: Box<dyn Service>, clock: Arc<dyn Clock>) -> Result<Self> {
        let state = State {
            phase: Phase::Loading(None),
            since: Instant::now(),
            failed: None,
            ports: None,
            job: None,
            answer: None,
            late: None,
            limit: JOB_LIMIT,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), stop: Stop::new() });
        let own = shared.clone();
        std::thread::Builder::new()
            .name("larod".to_owned())
            .spawn(move || work(service, &own, clock.as_ref()))
            .map_err(|error| Error::new(Kind::Internal, "cannot start the larod thread").caused_by(error))?;
        Ok(Self { shared })
    }

    /// How the thread is doing, and the ports of a model that was loaded since the last call.
    pub fn look(&self) -> (Phase, Option<Ports>) {
        let mut state = self.shared.lock();
        if let (Some(since), Some(_)) = (state.late, &state.answer) {
            // A job that was given up has come to its end.
            state.limit = state.limit.max(since.elapsed() * 2);
            (state.late, state.answer) = (None, None);
        }
        let phase = match (&state.phase, state.late) {
            // Another attempt that may fail at once like the one before.
            (Phase::Loading(_), _) if state.since.elapsed() < PATIENCE && state.failed.is_some() => {
                Phase::Failed(state.failed.clone().unwrap_or_default())
            }
            (Phase::Ready, Some(since)) => Phase::Failed(hangs(since.elapsed())),
            (phase, _) => phase.clone(),
        };
        (phase, state.ports.take())
    }

    /// Runs a job and waits for its end.
    ///
    /// # Errors
    /// What larod failed with; a job that does not end in time.
    pub fn run(&self, job: Task) -> Answer<()> {
        let mut state = self.shared.lock();
        if !matches!(state.phase, Phase::Ready) || state.late.is_some() {
            return Err(Fault::own("run the model", "it is not ready"));
        }
        (state.job, state.answer) = (Some(job), None);
        self.shared.changed.notify_all();
        let (begun, limit) = (Instant::now(), state.limit);
        let (mut state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |state| state.answer.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match state.answer.take() {
            Some(answer) => answer,
            None => {
                state.late = Some(begun);
                Err(Fault::own("run the model", hangs(limit)))
            }
        }
    }
}

fn hangs(time: Duration) -> String {
    format!("the larod service has not answered for {} s", time.as_secs())
}

/// Waits that double.
struct Backoff(Duration);

impl Backoff {
    fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST_WAIT);
        wait
    }
}

fn work(mut service: Box<dyn Service>, shared: &Shared, clock: &dyn Clock) {
    let mut backoff = Backoff(FIRST_WAIT);
    while !shared.stop.is_set() {
        shared.set(Phase::Loading(None));
        let loaded = service.load(&mut |device| shared.set(Phase::Loading(Some(device.to_owned()))));
        let fault = match loaded {
            Ok((mut engine, ports)) => {
                {
                    let mut state = shared.lock();
                    state.ports = Some(ports);
                    state.turn(Phase::Ready);
                }
                shared.changed.notify_all();
                match serve(engine.as_mut(), shared, clock, &mut backoff) {
                    Some(fault) => fault,
                    None => return,
                }
            }
            Err(fault) if fault.remedy() == Remedy::Refused => return shared.set(Phase::Refused(fault)),
            Err(fault) => fault,
        };
        let wait = backoff.next();
        log::debug!("{fault}; trying again in {} ms", wait.as_millis());
        shared.set(Phase::Failed(fault.to_string()));
        if clock.wait(wait, &shared.stop) {
            return;
        }
    }
}

/// Runs jobs until the connection is of no use any more; then why. `None` where it is told to end.
fn serve(
    engine: &mut dyn Engine,
    shared: &Shared,
    clock: &dyn Clock,
    backoff: &mut Backoff,
) -> Option<Fault> {
    let mut failed = 0;
    loop {
        let job = {
            let mut state = shared.lock();
            loop {
                if shared.stop.is_set() {
                    return None;
                }
                if let Some(job) = state.job.take() {
                    break job;
                }
                // The stop flag has a lock of its own, so its change is looked for.
                let poll = Duration::from_millis(200);
                (state, _) = shared.changed.wait_timeout(state, poll).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let preparation = job.is_preparation();
        let answer = engine.run(job);
        let fault = answer.as_ref().err().cloned();
        let mut state = shared.lock();
        state.answer = Some(answer);
        let Some(fault) = fault else {
            if !preparation {
                (failed, backoff.0) = (0, FIRST_WAIT);
            }
            drop(state);
            shared.changed.notify_all();
            continue;
        };
        failed += u32::from(!preparation);
        match fault.remedy() {
            Remedy::OtherInput => {}
            Remedy::Again | Remedy::Refused if preparation => {}
            Remedy::Again if failed < FAILED_JOBS || fault.code == super::sys::ERROR_POWER_NOT_AVAILABLE => {
                state.turn(Phase::Failed(fault.to_string()));
                drop(state);
                shared.changed.notify_all();
                if clock.wait(backoff.next(), &shared.stop) {
                    return None;
                }
                shared.set(Phase::Ready);
                continue;
            }
            _ => {
                state.turn(Phase::Failed(fault.to_string()));
                drop(state);
                shared.changed.notify_all();
                return Some(fault);
            }
        }
        drop(state);
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
