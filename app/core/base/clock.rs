//! Time, so that waiting can be tested without waiting.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Milliseconds with microseconds behind the point, as all reports have them.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Asks every thread to end. Cloned handles share one flag.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes whoever waits on it.
    pub fn set(&self) {
        let (flag, changed) = &*self.shared;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// True once set.
    pub fn is_set(&self) -> bool {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the flag is set or the time is over; true where it is set.
    pub fn wait(&self, time: Duration) -> bool {
        let (flag, changed) = &*self.shared;
        let guard = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, time, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Instant;

    /// Waits, or ends early where `stop` is set; true where it is.
    fn wait(&self, time: Duration, stop: &Stop) -> bool;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wait(&self, time: Duration, stop: &Stop) -> bool {
        stop.wait(time)
    }
}

/// A clock that jumps ahead whenever somebody waits, and remembers each wait.
pub struct SimulatedClock {
    start: Instant,
    waits: Mutex<Vec<Duration>>,
    stop_after: usize,
}

impl SimulatedClock {
    /// A clock that sets the stop flag at wait number `stop_after`.
    pub fn new(stop_after: usize) -> Self {
        Self { start: Instant::now(), waits: Mutex::default(), stop_after }
    }

    /// All waits so far.
    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Instant {
        self.start + self.waits.lock().unwrap_or_else(PoisonError::into_inner).iter().sum::<Duration>()
    }

    fn wait(&self, time: Duration, stop: &Stop) -> bool {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.push(time);
        if waits.len() >= self.stop_after {
            stop.set();
        }
        stop.is_set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_flag_ends_a_wait_at_once() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)));
        let other = stop.clone();
        let thread = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        stop.set();
        assert!(thread.join().unwrap());
    }
}
