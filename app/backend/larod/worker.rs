//! The thread that talks to larod: loads, runs, and after each kind of failure tries again for ever.
//!
//! A job that hangs keeps its thread, and a new one takes its place (`hung.rs` counts them).
//!
//! Calls of larod wait for a service that may compile for minutes, restart or hang, so no other thread of Spotter
//! makes them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fault::{Fault, LarodResult, Remedy};
use super::ports::Ports;
use super::service::{Engine, Service, WorkerTask};
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use hung::{HUNG, HUNG_LIMIT, Hung};

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

/// How the thread is doing.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Connecting, or loading on the device that is named.
    Loading(Option<String>),
    /// Waiting for jobs.
    Ready,
    /// Something failed; tried again soon. The sentence says what.
    Failed(String),
    /// No device has room for the model; tried again after minutes.
    Resting(Fault),
    /// No other attempt helps.
    Refused(Fault),
    /// Only a new process helps. The sentence says why.
    Broken(String),
}

struct State {
    phase: Phase,
    since: Instant,
    /// Why the last attempt failed, until one succeeds.
    failed: Option<String>,
    /// Of a model that was just loaded, until they are fetched.
    ports: Option<Ports>,
    job: Option<WorkerTask>,
    answer: Option<LarodResult<()>>,
    /// Since when, by the clock, a job is under way that nobody waits for any more.
    late: Option<Instant>,
    limit: Duration,
    /// The thread was left behind in a job that hangs, at this time.
    left: Option<Instant>,
}

impl State {
    fn turn(&mut self, phase: Phase) {
        match &phase {
            Phase::Failed(why) => self.failed = Some(why.clone()),
            Phase::Ready | Phase::Resting(_) | Phase::Refused(_) => self.failed = None,
            Phase::Loading(_) | Phase::Broken(_) => {}
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
    fn new(phase: Phase, limit: Duration) -> Self {
        let state = State {
            phase,
            since: Instant::now(),
            failed: None,
            ports: None,
            job: None,
            answer: None,
            late: None,
            limit,
            left: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), stop: Stop::new() }
    }

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
    service: Arc<dyn Service>,
    clock: Arc<dyn Clock>,
    hung: &'static Hung,
    shared: Arc<Shared>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Kind::Internal` where the system gives no thread.
    pub fn start(service: Arc<dyn Service>, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::among(service, clock, &HUNG)
    }

    fn among(service: Arc<dyn Service>, clock: Arc<dyn Clock>, hung: &'static Hung) -> Result<Self> {
        let shared = Arc::new(Shared::new(Phase::Loading(None), JOB_LIMIT));
        let worker = Self { service, clock, hung, shared };
        worker.spawn()?;
        Ok(worker)
    }

    fn spawn(&self) -> Result<()> {
        let (service, clock) = (self.service.clone(), self.clock.clone());
        let (shared, hung) = (self.shared.clone(), self.hung);
        let run = move || {
            work(service.as_ref(), &shared, clock.as_ref());
            let state = shared.lock();
            if let Some(left) = state.left {
                hung.came_back(clock.now() - left, matches!(state.answer, Some(Ok(()))));
            }
        };
        let thread = std::thread::Builder::new().name("larod".to_owned()).spawn(run);
        thread
            .map(drop)
            .map_err(|error| Error::new(Kind::Internal, "cannot start the larod thread").caused_by(error))
    }

    /// Lets go of the thread, which ends by itself after the call it is in. One that is in a job that hangs is counted
    /// until then.
    fn leave(&self) {
        let mut state = self.shared.lock();
        if state.late.is_some() && state.answer.is_none() && state.left.is_none() {
            state.left = state.late;
            self.hung.add();
        }
        drop(state);
        self.shared.stop.set();
        self.shared.changed.notify_all();
    }

    /// Gives the job that hangs up, and goes on with a new thread and a new connection beside it.
    fn replace(&mut self, time: Duration) {
        let limit = self.shared.lock().limit;
        if self.hung.count() >= HUNG_LIMIT {
            let text = format!(
                "the larod service has not answered for {} s, and {HUNG_LIMIT} jobs before hang still; Spotter ends, so \
                 that the camera starts it anew; restart the camera where this comes again",
                time.as_secs()
            );
            return self.shared.set(Phase::Broken(text));
        }
        self.leave();
        let said = format!("the larod service has not answered for {} s; connecting anew", time.as_secs());
        log::error!("{said}; the job that hangs is left behind ({} in all)", self.hung.count());
        let shared = Shared::new(Phase::Loading(None), limit);
        shared.lock().failed = Some(said);
        self.shared = Arc::new(shared);
        if let Err(error) = self.spawn() {
            self.shared.set(Phase::Broken(error.to_string()));
        }
    }

    /// How the thread is doing, and the ports of a model that was loaded since the last call.
    pub fn look(&mut self) -> (Phase, Option<Ports>) {
        if let Some(time) = self.hangs_for_good() {
            self.replace(time);
        }
        let now = self.clock.now();
        let mut state = self.shared.lock();
        if let (Some(since), Some(_)) = (state.late, &state.answer) {
            // A job that nobody waited for any more has come to its end.
            state.limit = state.limit.max((now - since) * 2);
            (state.late, state.answer) = (None, None);
        }
        let phase = match (&state.phase, state.late) {
            // Another attempt that may fail at once like the one before.
            (Phase::Loading(_), _) if state.since.elapsed() < PATIENCE && state.failed.is_some() => {
                Phase::Failed(state.failed.clone().unwrap_or_default())
            }
            (Phase::Ready, Some(since)) => Phase::Failed(hangs(now - since)),
            (phase, _) => phase.clone(),
        };
        (phase, state.ports.take())
    }

    /// For how long a job hangs already, where that is for too long.
    fn hangs_for_good(&self) -> Option<Duration> {
        let state = self.shared.lock();
        let since = state.late.filter(|_| state.answer.is_none() && matches!(state.phase, Phase::Ready))?;
        let time = self.clock.now().saturating_duration_since(since);
        (time >= self.hung.patience()).then_some(time)
    }

    /// Runs a job and waits for its end.
    ///
    /// # Errors
    /// What larod failed with; a job that does not end in time.
    pub fn run(&self, job: WorkerTask) -> LarodResult<()> {
        let mut state = self.shared.lock();
        if !matches!(state.phase, Phase::Ready) || state.late.is_some() {
            return Err(Fault::own("run the model", "it is not ready"));
        }
        (state.job, state.answer) = (Some(job), None);
        self.shared.changed.notify_all();
        let (begun, limit) = (self.clock.now(), state.limit.min(self.hung.patience()));
        while state.answer.is_none() {
            let passed = self.clock.now().saturating_duration_since(begun);
            let Some(left) = limit.checked_sub(passed).filter(|left| !left.is_zero()) else { break };
            let sleep = self.clock.sleep_for(left);
            (state, _) =
                self.shared.changed.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner);
        }
        match state.answer.take() {
            Some(answer) => answer,
            None => {
                state.late = Some(begun);
                Err(Fault::own("run the model", hangs(limit)))
            }
        }
    }
}

/// How many jobs hang in this process.
pub fn hung_jobs() -> usize {
    HUNG.count()
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

fn work(service: &dyn Service, shared: &Shared, clock: &dyn Clock) {
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
            Err(fault) => match service.rest() {
                Some(rest) if fault.remedy() == Remedy::Refused || rest > LONGEST_WAIT => {
                    log::warn!("{fault}");
                    shared.set(Phase::Resting(fault));
                    if clock.wait(rest, &shared.stop) {
                        return;
                    }
                    continue;
                }
                None if fault.remedy() == Remedy::Refused => return shared.set(Phase::Refused(fault)),
                rest => {
                    if failed(&fault, rest.unwrap_or_else(|| backoff.next()), shared, clock) {
                        return;
                    }
                    continue;
                }
            },
        };
        if failed(&fault, backoff.next(), shared, clock) {
            return;
        }
    }
}

/// Tells of a failure and waits; true where it is told to end.
fn failed(fault: &Fault, wait: Duration, shared: &Shared, clock: &dyn Clock) -> bool {
    log::debug!("{fault}; trying again in {} ms", wait.as_millis());
    shared.set(Phase::Failed(fault.to_string()));
    clock.wait(wait, &shared.stop)
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

mod hung;
#[cfg(test)]
mod tests;
