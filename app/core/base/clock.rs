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
    fn now(&self) -> Instant;

    /// Waits, or ends early where `stop` is set; true where it is.
    fn wait(&self, time: Duration, stop: &Stop) -> bool;

    /// For how long whoever waits for something else may sleep before so much of this clock's time may be over.
    fn sleep_for(&self, time: Duration) -> Duration {
        time
    }
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

/// A clock on which time passes faster, so that a test of the whole program need not wait for minutes, or slower, for a
/// program that runs under a tool.
#[derive(Clone, Copy, Debug)]
pub struct ScaledClock {
    start: Instant,
    rate: f64,
}

impl ScaledClock {
    /// Seconds of this clock in a second, from a hundredth to a thousand.
    const RATES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

    /// None where it would be slower or faster than it can be.
    pub fn new(rate: f64) -> Option<Self> {
        Self::RATES.contains(&rate).then(|| Self { start: Instant::now(), rate })
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Instant {
        self.start + self.start.elapsed().mul_f64(self.rate)
    }

    fn wait(&self, time: Duration, stop: &Stop) -> bool {
        stop.wait(self.sleep_for(time))
    }

    fn sleep_for(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.rate).unwrap_or(Duration::MAX)
    }
}

/// The machine's clock, or one that is so many times faster as the environment variable `SPOTTER_SIM_CLOCK` says.
pub fn of_environment() -> Arc<dyn Clock> {
    let rate = std::env::var("SPOTTER_SIM_CLOCK").ok().and_then(|rate| rate.parse().ok());
    match rate.and_then(ScaledClock::new) {
        Some(clock) => Arc::new(clock),
        None => Arc::new(SystemClock),
    }
}

/// A clock that jumps ahead whenever somebody waits, and remembers each wait.
pub struct SimulatedClock {
    start: Instant,
    waits: Mutex<Vec<Duration>>,
    /// What has passed beside the waits.
    passed: Mutex<Duration>,
    stop_after: usize,
}

impl SimulatedClock {
    /// A clock that sets the stop flag at wait number `stop_after`.
    pub fn new(stop_after: usize) -> Self {
        Self { start: Instant::now(), waits: Mutex::default(), passed: Mutex::default(), stop_after }
    }

    /// All waits so far.
    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time passes for all who look at the clock while they wait for something else.
    pub fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Instant {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner).iter().sum::<Duration>();
        self.start + waits + *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep_for(&self, _time: Duration) -> Duration {
        Duration::from_millis(1)
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

    #[test]
    fn a_scaled_clock_is_as_fast_as_it_says() {
        for rate in [0.0, -1.0, 0.009, 1001.0, f64::NAN, f64::INFINITY] {
            assert!(ScaledClock::new(rate).is_none(), "{rate}");
        }
        for (rate, sleep) in [(0.2, 5000), (1.0, 1000), (8.0, 125)] {
            let clock = ScaledClock::new(rate).unwrap();
            assert_eq!(clock.sleep_for(Duration::from_secs(1)), Duration::from_millis(sleep));
            let (before, now, after) = (clock.start.elapsed(), clock.now(), clock.start.elapsed());
            let passed = now - clock.start;
            assert!(before.mul_f64(rate) <= passed && passed <= after.mul_f64(rate), "{rate}: {passed:?}");
        }
        assert_eq!(ScaledClock::new(0.01).unwrap().sleep_for(Duration::MAX), Duration::MAX);
    }
}
