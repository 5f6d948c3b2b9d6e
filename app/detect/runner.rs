//! Runs a model in a thread of its own, so that the thread that gave it can prepare the next frame meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::base::error::{Error, Kind, Result};
use crate::base::slot::{Slot, Taken};

/// Longer than any backend takes before it fails by itself; what has not come by then is waited for again.
const LOOK: Duration = Duration::from_secs(5);

/// A run that has ended.
pub struct Run {
    /// What ran it, given back.
    pub backend: Box<dyn Backend>,
    /// How it went.
    pub outcome: Result<()>,
    /// When it began.
    pub begun: Instant,
    /// When it ended.
    pub ended: Instant,
}

struct Shared {
    given: Slot<Box<dyn Backend>>,
    done: Slot<Run>,
    /// A run has ended and was not fetched yet.
    ended: AtomicBool,
    /// Called when one has ended.
    tell: Box<dyn Fn() + Send + Sync>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        // The thread ends after the run it is in.
        self.shared.given.close();
    }
}

/// Handle of the thread; it has one backend at a time, from [`Runner::start`] to [`Runner::finish`].
pub struct Runner {
    shared: Arc<Shared>,
}

/// Ends the wait for a thread that has ended, also where it broke down.
struct Closed<'a>(&'a Shared);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.done.close();
        (self.0.tell)();
    }
}

impl Runner {
    /// Starts the thread, which calls `tell` at the end of each run.
    ///
    /// # Errors
    /// [`Kind::Internal`] where the system gives no thread.
    pub fn new(tell: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let (given, done, ended) = (Slot::default(), Slot::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { given, done, ended, tell: Box::new(tell) });
        let worker = shared.clone();
        std::thread::Builder::new()
            .name("model".to_owned())
            .spawn(move || {
                let closed = Closed(&worker);
                loop {
                    match closed.0.given.take(LOOK) {
                        Taken::Item(backend) => closed.0.run(backend),
                        Taken::Nothing => {}
                        Taken::Closed => return,
                    }
                }
            })
            .map_err(|error| Error::new(Kind::Internal, "cannot start the model thread").caused_by(error))?;
        Ok(Self { shared })
    }

    /// Begins a run on what is in the backend's input.
    pub fn start(&self, backend: Box<dyn Backend>) {
        self.shared.ended.store(false, Ordering::Release);
        // There is one backend, and the thread has it or this one: nothing waits there.
        let _ = self.shared.given.put(backend);
    }

    /// Whether the run has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// [`Kind::Backend`] where the thread broke down, and the backend with it.
    pub fn finish(&self) -> Result<Run> {
        loop {
            match self.shared.done.take(LOOK) {
                Taken::Item(run) => return Ok(run),
                Taken::Nothing => {}
                Taken::Closed => {
                    return Err(Error::new(Kind::Backend, "the thread that runs the model broke down"));
                }
            }
        }
    }
}

impl Shared {
    fn run(&self, mut backend: Box<dyn Backend>) {
        let begun = Instant::now();
        let outcome = backend.run();
        // First, so that it cannot be taken for the end of the next run.
        self.ended.store(true, Ordering::Release);
        let _ = self.done.put(Run { backend, outcome, begun, ended: Instant::now() });
        (self.tell)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts its runs in its input; the third fails, the fourth breaks down.
    struct Counting([u8; 1]);

    impl Backend for Counting {
        fn name(&self) -> String {
            "counting".to_owned()
        }
        fn detail(&self) -> String {
            String::new()
        }
        fn input_mut(&mut self) -> Result<&mut [u8]> {
            Ok(&mut self.0)
        }
        fn run(&mut self) -> Result<()> {
            self.0[0] += 1;
            match self.0[0] {
                3 => Err(Error::new(Kind::Backend, "the third fails")),
                4 => panic!("the fourth breaks down"),
                _ => Ok(()),
            }
        }
        fn output(&self, _: usize) -> Result<&[u8]> {
            Ok(&self.0)
        }
    }

    #[test]
    fn a_backend_comes_back_after_each_run_and_a_breakdown_is_told() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let runner = Runner::new(move || _ = count.fetch_add(1, Ordering::SeqCst)).unwrap();
        let mut backend: Box<dyn Backend> = Box::new(Counting([0]));
        for run in 1..=3u8 {
            runner.start(backend);
            let done = runner.finish().unwrap();
            assert_eq!(done.outcome.is_ok(), run < 3);
            assert!(done.ended >= done.begun);
            assert_eq!(done.backend.output(0).unwrap(), [run]);
            backend = done.backend;
        }
        runner.start(backend);
        let broken = runner.finish().err().unwrap();
        assert_eq!(broken.to_string(), "the thread that runs the model broke down");
        assert!(runner.has_ended());
        // The last call comes after what it tells of.
        while told.load(Ordering::SeqCst) < 4 {
            std::thread::yield_now();
        }
        assert_eq!(told.load(Ordering::SeqCst), 4);
    }
}
