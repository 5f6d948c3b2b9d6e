//! How many frames a second the camera is asked for.
//!
//! Frames that nobody has time for cost the camera's memory bandwidth and power. So the rate goes down in steps where
//! detection is slower, and up again where it is faster. Axis's examples go to just below what detection can do, with
//! seven rates (30, 25, 20, 15, 10, 5 and 1), which leave a model of 60 ms idle for a tenth of its time, one of 300 ms
//! for two thirds, and have none for exactly 201 ms. Here the camera is asked for some frames for each result: one is
//! nearly always there when detection is free, and it is young. The steps are small; the camera takes any rate.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// From one rate to the next lower one.
const RATE_STEP: f64 = 0.985;
/// Frames a second at least.
const LOWEST_RATE: f64 = 1.0;
/// Frames over which times are averaged, as in Axis's examples.
const AVERAGED_FRAMES: u32 = 10;
/// Frames of the camera for each result: with fewer, frames are older when detection gets to them.
const FRAMES_PER_RESULT: f64 = 4.0;
/// A rate that is below this share of the one now is taken at once: frames wait.
const AT_ONCE_BELOW: f64 = 0.9;
/// A rate that differs by less is as good as the one now...
const TOLERANCE: f64 = 0.03;
/// ...and by more, where it does so for this long.
const HOLD_TIME: Duration = Duration::from_secs(5);

/// How long detection takes for a frame: told by the inference thread, read by the capture thread.
#[derive(Debug, Default)]
pub struct Workload {
    state: Mutex<Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    frames: u32,
    sum: Duration,
    /// The mean of the last [`AVERAGED_FRAMES`] frames that nobody has read yet.
    mean: Option<Duration>,
}

impl Workload {
    /// One frame took so long.
    pub fn add(&self, time: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.frames += 1;
        state.sum += time;
        if state.frames == AVERAGED_FRAMES {
            *state = Sums { mean: Some(state.sum / AVERAGED_FRAMES), ..Sums::default() };
        }
    }

    /// The mean of ten frames, once.
    pub fn take(&self) -> Option<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).mean.take()
    }
}

/// The rate now, and whether it should be another.
#[derive(Debug)]
pub struct RateController {
    most: f64,
    rate: f64,
    /// Whether more (true) or fewer frames would do, and since when.
    drift: Option<(bool, Instant)>,
}

impl RateController {
    /// Begins at the rate that the user wants at most.
    pub fn new(most: f64) -> Self {
        Self { most, rate: most, drift: None }
    }

    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The highest rate that gives no more than [`FRAMES_PER_RESULT`] frames a detection.
    fn wanted(&self, mean: Duration) -> f64 {
        let possible = FRAMES_PER_RESULT / mean.as_secs_f64().max(1e-6);
        if possible >= self.most {
            return self.most;
        }
        let steps = ((possible / self.most).ln() / RATE_STEP.ln()).ceil();
        (self.most * RATE_STEP.powf(steps)).max(LOWEST_RATE.min(self.most))
    }

    /// Takes in the mean time of some frames; the new rate, where it changes.
    pub fn update(&mut self, mean: Duration, now: Instant) -> Option<f64> {
        let wanted = self.wanted(mean);
        let ratio = wanted / self.rate;
        if ratio >= AT_ONCE_BELOW {
            if (ratio - 1.0).abs() < TOLERANCE {
                self.drift = None;
                return None;
            }
            let more = ratio > 1.0;
            let since = match self.drift {
                Some((same, since)) if same == more => since,
                _ => now,
            };
            self.drift = Some((more, since));
            if now.saturating_duration_since(since) < HOLD_TIME {
                return None;
            }
        }
        self.drift = None;
        self.rate = wanted;
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn every_time_has_a_rate_that_keeps_detection_busy_and_up_to_date() {
        for most in [30.0, 25.0, 12.5] {
            for time in 1..900 {
                let rate = RateController::new(most).wanted(ms(time));
                let choice = 4000.0 / time as f64;
                assert!(rate >= (0.98 * choice).min(most), "{time} ms: {rate}");
                assert!(rate <= choice && rate <= most, "{time} ms: {rate}");
            }
        }
        assert_eq!(
            (RateController::new(30.0).wanted(ms(20)), RateController::new(30.0).wanted(ms(5000))),
            (30.0, 1.0)
        );
        assert_eq!(RateController::new(0.5).wanted(ms(5000)), 0.5);
    }

    #[test]
    fn it_goes_down_at_once_and_up_after_a_while() {
        let (mut controller, start) = (RateController::new(30.0), Instant::now());
        assert_eq!(controller.update(ms(20), start), None);
        let slow = controller.update(ms(400), start).unwrap();
        assert!((9.8..10.0).contains(&slow), "{slow}");
        assert_eq!(controller.update(ms(400), start), None);
        for second in 1..6 {
            assert_eq!(controller.update(ms(20), start + ms(1000 * second)), None);
        }
        assert_eq!(controller.update(ms(20), start + ms(6000)), Some(30.0));
        assert_eq!(controller.rate(), 30.0);
    }

    #[test]
    fn times_that_vary_do_not_make_it_swing() {
        let (mut controller, start) = (RateController::new(30.0), Instant::now());
        let mut changes = 0;
        for index in 0..1000u64 {
            let time = if index % 2 == 0 { 174 } else { 186 };
            changes += u32::from(controller.update(ms(time), start + ms(600 * index)).is_some());
        }
        assert!(changes <= 2, "{changes} changes");
        // One slow spell interrupts the wait for more.
        let mut controller = RateController::new(30.0);
        controller.update(ms(600), start);
        assert_eq!(controller.update(ms(20), start + ms(1000)), None);
        assert_eq!(controller.update(ms(600), start + ms(4000)), None);
        assert_eq!(controller.update(ms(20), start + ms(6500)), None);
        // A little slower for good is taken too.
        let mut controller = RateController::new(30.0);
        let first = controller.update(ms(180), start).unwrap();
        assert_eq!(controller.update(ms(192), start + ms(1000)), None);
        let then = controller.update(ms(192), start + ms(7000)).unwrap();
        assert!(then < first && then > 0.9 * first, "{first} {then}");
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
