//! How many threads were left behind in jobs that hang: no call of larod can be broken off.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A job that takes longer is given up with its connection; once one took longer and came back, twice its time, and no
/// longer than [`LONGEST_PATIENCE`].
pub(super) const GIVE_UP: Duration = Duration::from_secs(30);
pub(super) const LONGEST_PATIENCE: Duration = Duration::from_secs(300);

/// So many may hang at a time. Each keeps a thread, a connection and the memory of a model.
pub(super) const HUNG_LIMIT: usize = 3;

/// Those of this process.
pub(super) static HUNG: Hung = Hung::new();

/// The threads that were left behind and have not come back.
pub(super) struct Hung {
    count: AtomicUsize,
    /// The longest time after which one came back, in milliseconds.
    longest: AtomicU64,
}

impl Hung {
    /// None so far.
    pub(super) const fn new() -> Self {
        Self { count: AtomicUsize::new(0), longest: AtomicU64::new(0) }
    }

    /// How many hang now.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// One more is left behind.
    pub(super) fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// One has come back after so long. Where it `succeeded` it was only slow, and others may be.
    pub(super) fn came_back(&self, time: Duration, succeeded: bool) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        if succeeded {
            self.longest.fetch_max(time.as_millis().try_into().unwrap_or(u64::MAX), Ordering::AcqRel);
        }
        log::info!(
            "a job of larod that was given up has come back after {} s; its memory is free again",
            time.as_secs()
        );
    }

    /// How long a job may take before it is given up.
    pub(super) fn patience(&self) -> Duration {
        let longest = Duration::from_millis(self.longest.load(Ordering::Acquire));
        GIVE_UP.max(longest.saturating_mul(2)).min(LONGEST_PATIENCE)
    }
}
