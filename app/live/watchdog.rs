//! Signs of life of the threads that detection is made of, so that one that hangs is told of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A thread that gives signs of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchedThread {
    /// Waits for frames.
    Capture,
    /// Runs the model.
    Inference,
    /// Publishes scenes and pictures.
    Publish,
}

/// Their names, in the order of [`WatchedThread`].
pub const WORKERS: [&str; 3] = ["capture", "inference", "publish"];

/// A thread that gave no sign for so long hangs. Each gives several a second as a rule; a source that is being
/// opened, or a frame in a slow model, may take seconds.
pub const STUCK: Duration = Duration::from_secs(60);

/// A thread that has not begun, or has ended as it should.
const AT_REST: u64 = 0;

/// When each thread gave its last sign of life. Giving one is an atomic store.
#[derive(Debug)]
pub struct Heartbeats {
    started: Instant,
    /// Milliseconds since `started` and one; [`AT_REST`].
    last: [AtomicU64; WORKERS.len()],
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { started: Instant::now(), last: [const { AtomicU64::new(AT_REST) }; WORKERS.len()] }
    }
}

impl Heartbeats {
    fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// The thread is alive.
    pub fn beat(&self, worker: WatchedThread) {
        self.last[worker as usize].store(self.milliseconds(Instant::now()), Ordering::Relaxed);
    }

    /// The thread has ended as it should.
    pub fn end(&self, worker: WatchedThread) {
        self.last[worker as usize].store(AT_REST, Ordering::Relaxed);
    }

    /// The thread that has been silent longest, where that is longer than `limit`, and for how long.
    pub fn stuck(&self, now: Instant, limit: Duration) -> Option<(&'static str, Duration)> {
        let now = self.milliseconds(now);
        let silent = WORKERS.iter().zip(&self.last).filter_map(|(name, last)| {
            let last = last.load(Ordering::Relaxed);
            (last != AT_REST).then(|| (*name, Duration::from_millis(now.saturating_sub(last))))
        });
        silent.max_by_key(|(_, silent)| *silent).filter(|(_, silent)| *silent > limit)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One thread that gave a sign so long ago.
    pub(crate) fn silent_for(time: Duration, worker: WatchedThread) -> Heartbeats {
        let mut heartbeats = Heartbeats::default();
        heartbeats.beat(worker);
        heartbeats.started = heartbeats.started.checked_sub(time).expect("the machine has run for a while");
        heartbeats
    }

    #[test]
    fn a_silent_thread_is_told_and_one_that_ended_is_not() {
        let heartbeats = Heartbeats::default();
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(heartbeats.stuck(after(1000), STUCK), None, "none has begun");
        heartbeats.beat(WatchedThread::Publish);
        std::thread::sleep(Duration::from_millis(5));
        heartbeats.beat(WatchedThread::Inference);
        assert_eq!(heartbeats.stuck(after(59), STUCK), None);
        let (name, silent) = heartbeats.stuck(after(61), STUCK).unwrap();
        assert_eq!((name, silent.as_secs()), ("publish", 61));
        heartbeats.end(WatchedThread::Publish);
        assert_eq!(heartbeats.stuck(after(61), STUCK).unwrap().0, "inference");
        heartbeats.beat(WatchedThread::Inference);
        assert_eq!(heartbeats.stuck(after(59), STUCK), None);
    }
}
