//! How many frames a second the camera is asked for.
//!
//! Frames that nobody has time for cost the camera's memory bandwidth and power. The rate goes down a ladder where
//! detection is slower, and up again where it is faster. The rungs are those of Axis's examples. A rung is taken
//! that keeps detection busy (their own rule takes the next below, which leaves a model of 60 ms idle for a tenth
//! of its time, and knows no rate for exactly 201 ms).

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Frames a second.
const RUNGS: [f64; 7] = [30.0, 25.0, 20.0, 15.0, 10.0, 5.0, 1.0];
/// Frames over which times are averaged, as in Axis's examples.
const FRAMES: u32 = 10;
/// A rate that is this share of what detection could do is as good as that.
const ENOUGH: f64 = 0.95;
/// A change to more frames must be worth this much...
const CLEARLY: f64 = 1.1;
/// ...for this long.
const STEADY: Duration = Duration::from_secs(5);

/// How long detection takes for a frame: told by the inference thread, read by the capture thread.
#[derive(Debug, Default)]
pub struct Workload {
    state: Mutex<Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    frames: u32,
    sum: Duration,
    /// The mean of the last [`FRAMES`] frames that nobody has read yet.
    mean: Option<Duration>,
}

impl Workload {
    /// One frame took so long.
    pub fn add(&self, time: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.frames += 1;
        state.sum += time;
        if state.frames == FRAMES {
            *state = Sums { mean: Some(state.sum / FRAMES), ..Sums::default() };
        }
    }

    /// The mean of ten frames, once.
    pub fn take(&self) -> Option<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).mean.take()
    }
}

/// The rate now, and whether it should be another.
#[derive(Debug)]
pub struct Ladder {
    most: f64,
    rate: f64,
    /// Since when more would do.
    fast_since: Option<Instant>,
}

impl Ladder {
    /// Begins at the rate that the user wants at most.
    pub fn new(most: f64) -> Self {
        Self { most, rate: most, fast_since: None }
    }

    /// The rate now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The lowest rate that keeps detection busy.
    fn wanted(&self, mean: Duration) -> f64 {
        let possible = ENOUGH / mean.as_secs_f64().max(1e-6);
        let rungs = RUNGS.into_iter().filter(|rung| *rung < self.most);
        rungs.filter(|rung| *rung >= possible).fold(self.most, f64::min)
    }

    /// Takes in the mean time of some frames; the new rate, where it changes.
    pub fn update(&mut self, mean: Duration, now: Instant) -> Option<f64> {
        let wanted = self.wanted(mean);
        // More frames only where they would be of use even if detection were a little slower.
        let sure = self.wanted(mean.mul_f64(CLEARLY));
        if wanted < self.rate {
            self.fast_since = None;
            self.rate = wanted;
            return Some(wanted);
        }
        if sure <= self.rate {
            self.fast_since = None;
            return None;
        }
        let since = *self.fast_since.get_or_insert(now);
        if now.saturating_duration_since(since) < STEADY {
            return None;
        }
        self.fast_since = None;
        self.rate = sure;
        Some(sure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn every_time_has_a_rate_that_keeps_detection_busy() {
        for time in 1..3000 {
            let rate = Ladder::new(30.0).wanted(ms(time));
            let possible = 1000.0 / time as f64;
            assert!(rate >= (0.95 * possible).min(30.0), "{time} ms: {rate}");
            assert!(RUNGS.contains(&rate), "{time} ms: {rate}");
        }
        for (time, rate) in
            [(20, 30.0), (38, 25.0), (60, 20.0), (100, 10.0), (200, 5.0), (201, 5.0), (2000, 1.0)]
        {
            assert_eq!(Ladder::new(30.0).wanted(ms(time)), rate, "{time} ms");
        }
        assert_eq!(Ladder::new(12.0).wanted(ms(60)), 12.0);
        assert_eq!(Ladder::new(12.0).wanted(ms(100)), 10.0);
    }

    #[test]
    fn it_goes_down_at_once_and_up_after_a_while() {
        let (mut ladder, start) = (Ladder::new(30.0), Instant::now());
        assert_eq!(ladder.update(ms(20), start), None);
        assert_eq!(ladder.update(ms(100), start), Some(10.0));
        assert_eq!(ladder.update(ms(100), start), None);
        for second in 1..6 {
            assert_eq!(ladder.update(ms(20), start + ms(1000 * second)), None);
        }
        assert_eq!(ladder.update(ms(20), start + ms(6000)), Some(30.0));
        assert_eq!(ladder.rate(), 30.0);
    }

    #[test]
    fn times_about_a_threshold_do_not_make_it_swing() {
        let (mut ladder, start) = (Ladder::new(30.0), Instant::now());
        let mut changes = 0;
        for index in 0..1000u64 {
            // 47.5 ms is the border between 20 and 25 frames a second, 63 ms that between 15 and 20.
            let time = if index % 2 == 0 { 46 } else { 49 };
            changes += u32::from(ladder.update(ms(time), start + ms(500 * index)).is_some());
        }
        assert!(changes <= 2, "{changes} changes");
        // One slow spell interrupts the wait for more.
        let mut ladder = Ladder::new(30.0);
        ladder.update(ms(200), start);
        assert_eq!(ladder.update(ms(20), start + ms(1000)), None);
        assert_eq!(ladder.update(ms(200), start + ms(4000)), None);
        assert_eq!(ladder.update(ms(20), start + ms(6500)), None);
    }

    #[test]
    fn a_workload_is_the_mean_of_ten_frames() {
        let workload = Workload::default();
        for time in 1..=9 {
            workload.add(ms(time));
        }
        assert_eq!(workload.take(), None);
        workload.add(ms(10));
        assert_eq!(workload.take(), Some(Duration::from_micros(5500)));
        assert_eq!(workload.take(), None);
    }
}
