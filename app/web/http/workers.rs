//! The threads that serve requests: as many as are needed at once, some of which are always there. Where the system
//! gives no more threads, long requests are refused, and short ones are served by those that are there.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Threads that are always there, and never serve long requests alone.
pub const RESERVED: usize = 2;
/// Others end when they have had nothing to do for so long.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// Where the system gives no thread, another is asked for after so long.
const RETRY: Duration = Duration::from_millis(100);
/// The log hears of that once in so long.
const WARN_EVERY: Duration = Duration::from_secs(60);

type Job = Box<dyn FnOnce() + Send>;
/// Starts a thread that does this.
type Spawn = fn(Job) -> io::Result<()>;

#[derive(Default)]
struct State {
    jobs: VecDeque<(Job, bool)>,
    threads: usize,
    /// Those that wait, less those for which a job is on its way.
    idle: usize,
    /// Long jobs that are being done or on their way.
    long: usize,
    retry_at: Option<Instant>,
    warned: Option<Instant>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    spawn: Spawn,
}

/// The threads.
pub struct Workers(Arc<Shared>);

fn spawn(work: Job) -> io::Result<()> {
    std::thread::Builder::new().name("web-request".to_owned()).spawn(work).map(drop)
}

impl Workers {
    /// Starts those that are always there.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn start() -> io::Result<Self> {
        Self::with(spawn)
    }

    fn with(spawn: Spawn) -> io::Result<Self> {
        let workers = Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), spawn }));
        for _ in 0..RESERVED {
            let mut state = workers.0.lock();
            workers.0.start_thread(&mut state)?;
            state.idle += 1;
        }
        Ok(workers)
    }

    /// A thread for a job that comes next; none where there is none to be had.
    pub fn reserve(&self, long: bool) -> Option<Worker<'_>> {
        let mut state = self.0.lock();
        let spared = long && state.threads - state.long <= RESERVED;
        if state.idle > 0 && !spared {
            state.idle -= 1;
        } else if let Err(error) = self.0.start_thread(&mut state) {
            if state.warned.is_none_or(|warned| warned.elapsed() > WARN_EVERY) {
                state.warned = Some(Instant::now());
                log::warn!(
                    "the system gives the web server no more threads, so requests have to wait: {error}"
                );
            }
            return None;
        }
        state.long += usize::from(long);
        Some(Worker { shared: &self.0, long })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread that is counted, but not as idle.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let now = Instant::now();
        if state.retry_at.is_some_and(|at| now < at) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let shared = self.clone();
        let started = (self.spawn)(Box::new(move || shared.work()));
        state.retry_at = started.is_err().then(|| now + RETRY);
        state.threads += usize::from(started.is_ok());
        started
    }

    fn work(&self) {
        while let Some((job, long)) = self.next_job() {
            // Nothing is half done but the request, whose connection is closed.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                log::error!("a request failed; this is a defect of Spotter, please report it");
            }
            let mut state = self.lock();
            state.long -= usize::from(long);
            state.idle += 1;
        }
    }

    /// What to do next; none where this thread is to end.
    fn next_job(&self) -> Option<(Job, bool)> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            let result = self.changed.wait_timeout(state, IDLE_TIME);
            let (waited, timeout) = result.unwrap_or_else(PoisonError::into_inner);
            state = waited;
            let superfluous = timeout.timed_out() && state.threads > RESERVED;
            if state.jobs.is_empty() && state.idle > 0 && (superfluous || state.closed) {
                state.idle -= 1;
                state.threads -= 1;
                return None;
            }
        }
    }
}

/// A thread that waits for its job.
pub struct Worker<'a> {
    shared: &'a Shared,
    long: bool,
}

impl Worker<'_> {
    /// Gives it the job.
    pub fn run(self, job: impl FnOnce() + Send + 'static) {
        self.shared.lock().jobs.push_back((Box::new(job), self.long));
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Does a job that ends when what is returned is dropped, once it has begun.
    fn occupy(worker: Worker<'_>) -> mpsc::Sender<()> {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        worker.run(move || {
            begin.send(()).unwrap();
            let _ = ended.recv();
        });
        begun.recv().unwrap();
        end
    }

    fn reserve_soon(workers: &Workers) -> Worker<'_> {
        loop {
            match workers.reserve(false) {
                Some(worker) => return worker,
                None => std::thread::yield_now(),
            }
        }
    }

    /// The system gives as many as there always are, and no more.
    fn two_threads(work: Job) -> io::Result<()> {
        static LEFT: AtomicUsize = AtomicUsize::new(RESERVED);
        let left = LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        spawn(work)
    }

    #[test]
    fn where_there_are_no_threads_short_requests_are_served_all_the_same() {
        let workers = Workers::with(two_threads).unwrap();
        assert!(workers.reserve(true).is_none(), "a stream would keep it");
        let ends: Vec<_> = (0..RESERVED).map(|_| occupy(workers.reserve(false).unwrap())).collect();
        assert!(workers.reserve(false).is_none());
        drop(ends);
        drop(occupy(reserve_soon(&workers)));
        drop(occupy(reserve_soon(&workers)));
    }

    #[test]
    fn there_is_no_start_without_threads() {
        assert!(Workers::with(|_| Err(io::ErrorKind::WouldBlock.into())).is_err());
    }

    #[test]
    fn a_thread_outlives_a_job_that_panics() {
        let workers = Workers::with(spawn).unwrap();
        for _ in 0..2 * RESERVED {
            workers.reserve(false).unwrap().run(|| panic!("on purpose"));
        }
        let ends: Vec<_> = (0..20).map(|n| occupy(workers.reserve(n % 2 == 0).unwrap())).collect();
        let state = workers.0.lock();
        assert!((20..=20 + 2 * RESERVED).contains(&state.threads), "{}", state.threads);
        assert_eq!(state.long, 10);
        drop((state, ends));
    }
}
