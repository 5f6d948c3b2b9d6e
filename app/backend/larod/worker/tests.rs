//! The worker with a service that fails as it is told, in simulated time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::conversion::Conversion;
use super::super::fault::LarodResult;
use super::super::memory::{Mapped, file_of};
use super::super::ports::Ports;
use super::super::sys;
use super::hung::GIVE_UP;
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

fn next(list: &Mutex<VecDeque<i32>>) -> LarodResult<()> {
    match list.lock().unwrap().pop_front().unwrap_or(0) {
        0 => Ok(()),
        code => Err(fault(code)),
    }
}

impl Service for Script {
    fn load(&self, loading: &mut dyn FnMut(&str)) -> LarodResult<(Box<dyn Engine>, Ports)> {
        loading("d");
        self.loaded.fetch_add(1, Ordering::SeqCst);
        next(&self.loads).map(|()| (Box::new(self.clone()) as Box<dyn Engine>, ports()))
    }
}

impl Engine for Script {
    fn run(&mut self, _task: WorkerTask) -> LarodResult<()> {
        std::thread::sleep(self.time);
        next(&self.runs)
    }
}

fn start(script: &Script) -> (Worker, Arc<SimulatedClock>) {
    let clock = Arc::new(SimulatedClock::new(usize::MAX));
    (Worker::start(Arc::new(script.clone()), clock.clone()).unwrap(), clock)
}

/// Waits until the worker is in a phase that is wanted.
fn wait(worker: &mut Worker, wanted: impl Fn(&Phase) -> bool) -> Phase {
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
    let (mut worker, clock) = start(&script);
    wait(&mut worker, is_ready);
    let waits: Vec<u128> = clock.waits().iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]);
    assert_eq!(script.loaded.load(Ordering::SeqCst), 10);
    worker.run(WorkerTask::Own).unwrap();
}

#[test]
fn a_refusal_is_the_end_of_it() {
    let script = Script::new(&[sys::ERROR_LOAD_MODEL], &[]);
    let (mut worker, clock) = start(&script);
    let phase = wait(&mut worker, |phase| !matches!(phase, Phase::Loading(_)));
    assert!(matches!(&phase, Phase::Refused(fault) if fault.code == sys::ERROR_LOAD_MODEL), "{phase:?}");
    assert!(worker.run(WorkerTask::Own).unwrap_err().said.contains("not ready"));
    assert_eq!((clock.waits().len(), script.loaded.load(Ordering::SeqCst)), (0, 1));
}

fn preparation() -> WorkerTask {
    let conversion = Conversion {
        from: (4, 4),
        from_pitch: 4,
        crop: None,
        to: (2, 2),
        to_pitch: 6,
        planar: false,
        offset: 0,
    };
    WorkerTask::Load("p", conversion)
}

#[test]
fn a_preparation_that_fails_leaves_the_model_ready() {
    let script = Script::new(&[], &[-1, -15, -2, -12, -14]);
    let (mut worker, clock) = start(&script);
    wait(&mut worker, is_ready);
    for code in [-1, -15, -2, -12, -14] {
        assert_eq!(worker.run(preparation()).unwrap_err().code, code);
        assert!(is_ready(&worker.look().0), "{code}");
    }
    assert_eq!((clock.waits().len(), script.loaded.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn preparations_that_succeed_do_not_hide_jobs_that_fail() {
    let script = Script::new(&[], &[0, -1, 0, -1, 0, -1]);
    let (mut worker, _clock) = start(&script);
    for _ in 0..3 {
        wait(&mut worker, is_ready);
        worker.run(preparation()).unwrap();
        worker.run(WorkerTask::Own).unwrap_err();
    }
    wait(&mut worker, is_ready);
    let end = Instant::now() + Duration::from_secs(20);
    while script.loaded.load(Ordering::SeqCst) < 2 {
        assert!(Instant::now() < end, "it is not loaded again");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_run_without_power_is_tried_again_on_the_same_connection() {
    let script = Script::new(&[], &[-15, -15, -15, -15, 0]);
    let (mut worker, clock) = start(&script);
    for _ in 0..4 {
        wait(&mut worker, is_ready);
        assert_eq!(worker.run(WorkerTask::Own).unwrap_err().code, -15);
    }
    wait(&mut worker, is_ready);
    worker.run(WorkerTask::Own).unwrap();
    assert_eq!(script.loaded.load(Ordering::SeqCst), 1);
    let waits: Vec<u128> = clock.waits().iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [250, 500, 1000, 2000]);
}

#[test]
fn a_lost_connection_and_jobs_that_keep_failing_load_anew() {
    let script = Script::new(&[], &[-6, 0, -1, -1, -1, 0]);
    let (mut worker, clock) = start(&script);
    wait(&mut worker, is_ready);
    assert_eq!(worker.run(WorkerTask::Own).unwrap_err().code, -6);
    wait(&mut worker, is_ready);
    assert_eq!(script.loaded.load(Ordering::SeqCst), 2);
    worker.run(WorkerTask::Own).unwrap();
    for _ in 0..3 {
        wait(&mut worker, is_ready);
        assert_eq!(worker.run(WorkerTask::Own).unwrap_err().code, -1);
    }
    wait(&mut worker, is_ready);
    assert_eq!(script.loaded.load(Ordering::SeqCst), 3);
    worker.run(WorkerTask::Own).unwrap();
    // After a success the waits begin anew.
    let waits: Vec<u128> = clock.waits().iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [250, 250, 500, 1000]);
}

#[test]
fn memory_that_does_not_fit_is_no_reason_to_wait() {
    let script = Script::new(&[], &[-12, 0]);
    let (mut worker, clock) = start(&script);
    wait(&mut worker, is_ready);
    assert_eq!(worker.run(WorkerTask::Own).unwrap_err().remedy(), Remedy::OtherInput);
    worker.run(WorkerTask::Own).unwrap();
    assert_eq!(clock.waits().len(), 0);
}

/// A service whose jobs hang for as long as one wishes.
#[derive(Clone, Default)]
struct Gate {
    /// So many of the next jobs hang.
    hangs: Arc<AtomicUsize>,
    /// Ends all hangs.
    open: Stop,
    loaded: Arc<AtomicUsize>,
    /// Engines that are alive.
    engines: Arc<()>,
    /// What a job that hung comes to.
    code: i32,
}

impl Service for Gate {
    fn load(&self, _loading: &mut dyn FnMut(&str)) -> LarodResult<(Box<dyn Engine>, Ports)> {
        self.loaded.fetch_add(1, Ordering::SeqCst);
        Ok((Box::new(GateEngine(self.clone())), ports()))
    }
}

struct GateEngine(Gate);

impl Engine for GateEngine {
    fn run(&mut self, _task: WorkerTask) -> LarodResult<()> {
        let gate = &self.0;
        let taken = gate.hangs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if taken.is_err() {
            return Ok(());
        }
        assert!(gate.open.wait(Duration::from_secs(60)), "nobody ended the hang");
        if gate.code == 0 { Ok(()) } else { Err(fault(gate.code)) }
    }
}

fn hanging(gate: &Gate) -> (Worker, Arc<SimulatedClock>, &'static Hung) {
    let (clock, hung) = (Arc::new(SimulatedClock::new(usize::MAX)), Box::leak(Box::new(Hung::new())));
    (Worker::among(Arc::new(gate.clone()), clock.clone(), hung).unwrap(), clock, hung)
}

/// Runs a job that hangs, up to where that is said.
fn hang(worker: &mut Worker, clock: &Arc<SimulatedClock>, gate: &Gate) -> Fault {
    gate.hangs.store(1, Ordering::SeqCst);
    let passing = clock.clone();
    let gone = gate.hangs.clone();
    let time = std::thread::spawn(move || {
        while gone.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        passing.pass(JOB_LIMIT);
    });
    let fault = worker.run(WorkerTask::Own).unwrap_err();
    time.join().unwrap();
    fault
}

#[test]
fn a_job_that_hangs_is_said_and_waited_for() {
    let gate = Gate::default();
    let (mut worker, clock, hung) = hanging(&gate);
    wait(&mut worker, is_ready);
    let fault = hang(&mut worker, &clock, &gate);
    assert!(fault.to_string().contains("the larod service has not answered for 5 s"), "{fault}");
    clock.pass(Duration::from_secs(20));
    assert!(matches!(worker.look().0, Phase::Failed(why) if why.contains("has not answered for 25 s")));
    gate.open.set();
    wait(&mut worker, is_ready);
    worker.run(WorkerTask::Own).unwrap();
    // The same connection, and the next one may take longer, because this one did.
    assert_eq!((gate.loaded.load(Ordering::SeqCst), hung.count()), (1, 0));
    assert_eq!(worker.shared.lock().limit, Duration::from_secs(50));
}

#[test]
fn a_job_that_hangs_for_30_s_is_left_behind_and_cleans_up_when_it_comes_back() {
    let gate = Gate { code: -6, ..Gate::default() };
    let (mut worker, clock, hung) = hanging(&gate);
    wait(&mut worker, is_ready);
    hang(&mut worker, &clock, &gate);
    clock.pass(GIVE_UP - JOB_LIMIT - Duration::from_millis(1));
    assert!(matches!(worker.look().0, Phase::Failed(_)));
    assert_eq!((gate.loaded.load(Ordering::SeqCst), hung.count()), (1, 0));
    clock.pass(Duration::from_millis(1));
    // A new thread with a connection of its own, while the first one hangs.
    wait(&mut worker, is_ready);
    assert_eq!((gate.loaded.load(Ordering::SeqCst), hung.count()), (2, 1));
    worker.run(WorkerTask::Own).unwrap();
    // The gate here, and in the worker's service; each engine holds another.
    assert_eq!(Arc::strong_count(&gate.engines), 4);
    gate.open.set();
    let end = Instant::now() + Duration::from_secs(20);
    while hung.count() > 0 || Arc::strong_count(&gate.engines) > 3 {
        assert!(Instant::now() < end, "the thread that hung does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
    worker.run(WorkerTask::Own).unwrap();
    // It failed in the end, so it was not slow: the next one that hangs is given up as soon.
    assert_eq!(hung.patience(), GIVE_UP);
}

#[test]
fn a_fourth_job_that_hangs_beside_three_others_needs_a_new_process() {
    let gate = Gate::default();
    let (mut worker, clock, hung) = hanging(&gate);
    for left in 1..=HUNG_LIMIT {
        wait(&mut worker, is_ready);
        hang(&mut worker, &clock, &gate);
        clock.pass(GIVE_UP);
        worker.look();
        assert_eq!(hung.count(), left);
    }
    wait(&mut worker, is_ready);
    hang(&mut worker, &clock, &gate);
    clock.pass(GIVE_UP);
    let phase = worker.look().0;
    assert!(
        matches!(&phase, Phase::Broken(why) if why.contains("3 jobs before hang still; Spotter ends")),
        "{phase:?}"
    );
    assert_eq!(gate.loaded.load(Ordering::SeqCst), 1 + HUNG_LIMIT);
    // Also one that is let go of while it hangs is counted, until it ends.
    drop(worker);
    assert_eq!(hung.count(), 1 + HUNG_LIMIT);
    gate.open.set();
    let end = Instant::now() + Duration::from_secs(20);
    while hung.count() > 0 {
        assert!(Instant::now() < end, "{} threads do not end", hung.count());
        std::thread::sleep(Duration::from_millis(1));
    }
    // They succeeded: they were only slow, and others may be.
    assert!(hung.patience() > GIVE_UP);
}

/// A service that rests after refusals as it is told.
struct Resting(Script, Mutex<VecDeque<Duration>>);

impl Service for Resting {
    fn load(&self, loading: &mut dyn FnMut(&str)) -> LarodResult<(Box<dyn Engine>, Ports)> {
        self.0.load(loading)
    }

    fn rest(&self) -> Option<Duration> {
        self.1.lock().unwrap().pop_front()
    }
}

#[test]
fn a_refusal_after_which_the_service_rests_is_not_the_end_of_it() {
    let seconds = [1, 5, 60, 120].map(Duration::from_secs);
    let script = Script::new(&[-6, -6, -14, -2], &[]);
    let clock = Arc::new(SimulatedClock::new(usize::MAX));
    let service = Resting(script.clone(), Mutex::new(seconds.into_iter().collect()));
    let mut worker = Worker::start(Arc::new(service), clock.clone()).unwrap();
    wait(&mut worker, is_ready);
    assert_eq!(clock.waits(), seconds);
    assert_eq!(script.loaded.load(Ordering::SeqCst), 5);
}
