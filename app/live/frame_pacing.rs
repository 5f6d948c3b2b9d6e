//! Whether detection takes the frame that waits, or waits itself for the next one, which is nearly there.
//!
//! The newest frame may be as old as one frame of the camera when detection gets to it, and so is the result. Waiting
//! for the next makes results fresher and detection idle: each detection earns a small share of its time, and what is
//! earned may be waited.

use std::time::{Duration, Instant};

/// The share of its time that a detection earns to be waited.
const EARNED_SHARE: f64 = 0.025;
/// The longest wait as a share of a detection's time.
const LONGEST_WAIT_SHARE: f64 = 1.0 / 6.0;
/// And no wait is longer, so that a stop need not wait either.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// So much later than expected a frame may come.
const ARRIVAL_JITTER: Duration = Duration::from_millis(1);

/// The times of a stream of frames and of their detection.
#[derive(Debug, Default)]
pub struct FramePacing {
    last: Option<(u64, Instant)>,
    /// From one frame of the source to the next.
    interval: Duration,
    /// What a detection took last.
    detection: Duration,
    earned: Duration,
}

impl FramePacing {
    /// How long to wait for a newer frame than this one, number `seq`, which arrived then. No time where it is fresh,
    /// where the next one is far, or where enough was waited lately.
    pub fn with(&mut self, seq: u64, arrived: Instant, now: Instant) -> Duration {
        if let Some((before, at)) = self.last.replace((seq, arrived))
            && let Some(frames) = seq.checked_sub(before).filter(|frames| (1..1000).contains(frames))
        {
            self.interval = arrived.saturating_duration_since(at) / frames as u32;
        }
        let Some(left) = (arrived + self.interval).checked_duration_since(now) else { return Duration::ZERO };
        let age = now.saturating_duration_since(arrived);
        let may = self.earned.min(self.detection.mul_f64(LONGEST_WAIT_SHARE)).min(LONGEST_WAIT);
        // At least as much freshness is gained as is waited.
        if left > age || left > may { Duration::ZERO } else { left + ARRIVAL_JITTER }
    }

    /// So long was waited, because of [`Self::with`].
    pub fn waited(&mut self, time: Duration) {
        self.earned = self.earned.saturating_sub(time);
    }

    /// A detection took so long.
    pub fn detected(&mut self, time: Duration) {
        self.detection = time;
        self.earned = (self.earned + time.mul_f64(EARNED_SHARE)).min(time.mul_f64(LONGEST_WAIT_SHARE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A camera of `interval` and a detection of `detection` ms, frame by frame: the share of the time that detection
    /// works, and the age of results at 95 of 100, in detections.
    fn play(interval: f64, detection: f64, patient: bool) -> (f64, f64) {
        let begun = Instant::now();
        let at = |ms: f64| begun + Duration::from_secs_f64(ms / 1e3);
        let (mut pacing, mut now, mut ages, mut last) = (FramePacing::default(), 0.0f64, Vec::new(), None);
        for _ in 0..2000 {
            let mut newest = (now / interval).floor();
            if last == Some(newest) {
                newest += 1.0;
                now = newest * interval;
            }
            let wait = pacing.with(newest as u64, at(newest * interval), at(now));
            if patient && wait > Duration::ZERO {
                newest += 1.0;
                pacing.waited(Duration::from_secs_f64((newest * interval - now).max(0.0) / 1e3));
                now = now.max(newest * interval);
                pacing.with(newest as u64, at(newest * interval), at(now));
            }
            last = Some(newest);
            now += detection;
            pacing.detected(Duration::from_secs_f64(detection / 1e3));
            ages.push((now - newest * interval) / detection);
        }
        ages.sort_by(f64::total_cmp);
        (ages.len() as f64 * detection / now, ages[ages.len() * 95 / 100])
    }

    #[test]
    fn results_are_fresher_and_detection_is_hardly_idle() {
        let (mut fresher, mut count) = (0.0, 0.0);
        for detection in (36..300).step_by(4) {
            let detection = f64::from(detection) + 0.4;
            let ((busy, age), (before, stale)) =
                (play(1000.0 / 30.0, detection, true), play(1000.0 / 30.0, detection, false));
            assert!(busy >= 0.97 && before > 0.999, "{detection} ms: {busy} {before}");
            assert!(age <= stale + 0.02, "{detection} ms: {age} {stale}");
            (fresher, count) = (fresher + stale - age, count + 1.0);
        }
        assert!(fresher / count > 0.04, "{}", fresher / count);
    }

    #[test]
    fn nobody_waits_for_frames_that_do_not_come() {
        let (begun, mut pacing) = (Instant::now(), FramePacing::default());
        let at = |ms: u64| begun + Duration::from_millis(ms);
        assert_eq!(pacing.with(0, at(0), at(20)), Duration::ZERO);
        pacing.detected(Duration::from_secs(60));
        pacing.with(3, at(90), at(90));
        // The next is due in 5 ms...
        assert_eq!(pacing.with(4, at(120), at(145)), Duration::from_millis(5) + ARRIVAL_JITTER);
        pacing.waited(Duration::from_secs(60));
        assert_eq!(pacing.with(5, at(150), at(175)), Duration::ZERO, "nothing is earned");
        // ...and overdue; a source that begins again counts from 0.
        pacing.detected(Duration::from_secs(60));
        assert_eq!(pacing.with(6, at(180), at(220)), Duration::ZERO);
        assert_eq!(pacing.with(0, at(400), at(401)), Duration::ZERO);
    }
}
