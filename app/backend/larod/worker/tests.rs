//! The worker with a service that fails as it is told, in simulated time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::engine::Ports;
use super::super::memory::{Mapped, file_of};
use super::super::sys;
use super::*;
use crate::base::clock::SimulatedClock;

fn fault(code: i32) -> Fault {
    Fault { code, doing: "do it".into(), said: "as told".into() }
}

fn ports() -> Ports {
    use std::os::fd::AsRawFd;
    let memory = file_of("input", &[0; 12]).unwrap();
    let input = Mapped::new(memory.as_raw_fd(), 0, 12, false).unwrap();
    Ports {
        device: "d".into(),
        listed: Vec::new(),
        input,
        input_pitch: 6,
        input_bytes: 12,
        outputs: Vec::new(),
    }
}

/// What the next loads and runs come to: 0 is success. When a list is at its end, all succeed.
#[derive(Clone, Default)]
struct Script {
    loads: Arc<Mutex<VecDeque<i32>>>,
    runs: Arc<Mutex<VecDeque<i32>>>,
    /// Loads so far.
    loaded: Arc<AtomicUsize>,
    /// How long a run takes.
    time: Duration,
}

impl Script {
    fn new(loads: &[i32], runs: &[i32]) -> Self {
        let list = |codes: &[i32]| Arc::new(Mutex::new(codes.iter().copied().collect()));
        Self { loads: list(loads), runs: list(runs), ..Self::default() }
    }
}

fn next(list: &Mutex<VecDeque<i32>>) -> Answer<()> {
    match list.lock().unwrap().pop_front().unwrap_or(0) {
        0 => Ok(()),
        code => Err(fault(code)),
    }
}

impl Service for Script {
    fn load(&mut self, loading: &mut dyn FnMut(&str)) -> Answer<(Box<dyn Engine>, Ports)> {
        loading("d");
        self.loaded.fetch_add(1, Ordering::SeqCst);
        next(&self.loads).map(|()| (Box::new(self.clone()) as Box<dyn Engine>, ports()))
    }
}

impl Engine for Script {
    fn run(&mut self, _task: Task) -> Answer<()> {
        std::thread::sleep(self.time);
        next(&self.runs)
    }
}

fn start(script: &Script) -> (Worker, Arc<SimulatedClock>) {
    let clock = Arc::new(SimulatedClock::new(usize::MAX));
    (Worker::start(Box::new(script.clone()), clock.clone()).unwrap(), clock)
}

/// Waits until the worker is in a phase that is wanted.
fn wait(worker: &Worker, wanted: impl Fn(&Phase) -> bool) -> Phase {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let (phase, _) = worker.look();
        if wanted(&phase) {
            return phase;
        }
        assert!(Instant::now() < end, "it stays {phase:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_ready(phase: &Phase) -> bool {
    matches!(phase, Phase::Ready)
}

#[test]
fn loads_that_fail_are_tried_again_with_growing_waits() {
    // No power, a crash, nobody there, nine times in all.
    let codes = [-15, -6, 111, -15, -6, 111, -15, -6, 111];
    let script = Script::new(&codes, &[]);
    let (worker, clock) = start(&script);
    wait(&worker, is_ready);
    let waits: Vec<u128> = clock.waits().iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]);
    assert_eq!(script.loaded.load(Ordering::SeqCst), 10);
    worker.run(Task::Own).unwrap();
}

#[test]
fn a_refusal_is_the_end_of_it() {
    let script = Script::new(&[sys::ERROR_LOAD_MODEL], &[]);
    let (worker, clock) = start(&script);
    let phase = wait(&worker, |phase| !matches!(phase, Phase::Loading(_)));
    assert!(matches!(&phase, Phase::Refused(fault) if fault.code == sys::ERROR_LOAD_MODEL), "{phase:?}");
    assert!(worker.run(Task::Own).unwrap_err().said.contains("not ready"));
    assert_eq!((clock.waits().len(), script.loaded.load(Ordering::SeqCst)), (0, 1));
}

fn preparation() -> Task {
    let conversion = Conversion {
        from: (4, 4),
        from_pitch: 4,
        crop: None,
        to: (2, 2),
        to_pitch: 6,
        planar: false,
        offset: 0,
    };
    Task::Load("p", conversion)
}

#[test]
fn a_preparation_that_fails_leaves_the_model_ready() {
    let script = Script::new(&[], &[-1, -15, -2, -12, -14]);
    let (worker, clock) = start(&script);
    wait(&worker, is_ready);
    for code in [-1, -15, -2, -12, -14] {
        assert_eq!(worker.run(preparation()).unwrap_err().code, code);
        assert!(is_ready(&worker.look().0), "{code}");
    }
    assert_eq!((clock.waits().len(), script.loaded.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn preparations_that_succeed_do_not_hide_jobs_that_fail() {
    let script = Script::new(&[], &[0, -1, 0, -1, 0, -1]);
    let (worker, _clock) = start(&script);
    for _ in 0..3 {
        wait(&worker, is_ready);
        worker.run(preparation()).unwrap();
        worker.run(Task::Own).unwrap_err();
    }
    wait(&worker, is_ready);
    let end = Instant::now() + Duration::from_secs(20);
    while script.loaded.load(Ordering::SeqCst) < 2 {
        assert!(Instant::now() < end, "it is not loaded again");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_run_without_power_is_tried_again_on_the_same_connection() {
    let script = Script::new(&[], &[-15, -15, -15, -15, 0]);
    let (worker, clock) = start(&script);
    for _ in 0..4 {
        wait(&worker, is_ready);
        assert_eq!(worker.run(Task::Own).unwrap_err().code, -15);
    }
    wait(&worker, is_ready);
    worker.run(Task::Own).unwrap();
    assert_eq!(script.loaded.load(Ordering::SeqCst), 1);
    let waits: Vec<u128> = clock.waits().iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [250, 500, 1000, 2000]);
}

#[test]
fn a_lost_connection_and_jobs_that_keep_failing_load_anew() {
    let script = Script::new(&[], &[-6, 0, -1, -1, -1, 0]);
    let (worker, clock) = start(&script);
    wait(&worker, is_ready);
    assert_eq!(worker.run(Task::Own).unwrap_err().code, -6);
    wait(&worker, is_ready);
    assert_eq!(script.loaded.load(Ordering::SeqCst), 2);
    worker.run(Task::Own).unwrap();
    for _ in 0..3 {
        wait(&worker, is_ready);
        assert_eq!(worker.run(Task::Own).unwrap_err().code, -1);
    }
    wait(&worker, is_ready);
    assert_eq!(script.loaded.load(Ordering::SeqCst), 3);
    worker.run(Task::Own).unwrap();
    // After a success the waits begin anew.
    let waits: Vec<u128> = clock.waits().iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [250, 250, 500, 1000]);
}

#[test]
fn memory_that_does_not_fit_is_no_reason_to_wait() {
    let script = Script::new(&[], &[-12, 0]);
    let (worker, clock) = start(&script);
    wait(&worker, is_ready);
    assert_eq!(worker.run(Task::Own).unwrap_err().remedy(), Remedy::OtherInput);
    worker.run(Task::Own).unwrap();
    assert_eq!(clock.waits().len(), 0);
}

#[test]
fn a_job_that_hangs_is_said_and_waited_for() {
    let script = Script { time: Duration::from_millis(600), ..Script::default() };
    let (worker, _) = start(&script);
    wait(&worker, is_ready);
    worker.shared.lock().limit = Duration::from_millis(100);
    let fault = worker.run(Task::Own).unwrap_err();
    assert!(fault.to_string().contains("the larod service has not answered for"), "{fault}");
    assert!(matches!(worker.look().0, Phase::Failed(why) if why.contains("has not answered")));
    // The next one may take longer, because this one did.
    wait(&worker, is_ready);
    worker.run(Task::Own).unwrap();
    drop(worker);
}
