//! Counters and times of the running pipeline, written without waiting and read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::clock::milliseconds;

/// The stages that are timed, in the order of the data.
pub const STAGES: [&str; 5] = ["capture", "preprocess", "inference", "decode", "publish"];

/// One of [`STAGES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// How late a frame was when it arrived (paced source), or how long it was waited for (unpaced).
    Capture,
    /// Frame to input tensor.
    Preprocess,
    /// Input to output tensors.
    Inference,
    /// Output tensors to detections.
    Decode,
    /// Scene and picture to whoever reads them.
    Publish,
}

/// Buckets per doubling of time: a bucket is 9 % wide, so a percentile is within 5 %.
const PER_OCTAVE: usize = 8;
/// From 1 µs (first bucket) to over 2 minutes.
const BUCKETS: usize = 28 * PER_OCTAVE;

/// The buckets that are told of: two a doubling of time, all below 8 µs in the first, all from 8.4 s on in the last.
const TOLD: usize = PER_OCTAVE / 2;
const TOLD_FROM: usize = 3 * PER_OCTAVE;
const TOLD_TO: usize = 23 * PER_OCTAVE;

/// A histogram of durations with logarithmic buckets. Writing it is two atomic additions.
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], nanoseconds: AtomicU64::new(0) }
    }
}

/// What a histogram held at one moment.
#[derive(Clone, Debug)]
pub struct Counts {
    buckets: [u64; BUCKETS],
    /// Of all durations.
    pub sum: Duration,
}

impl Default for Counts {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum: Duration::ZERO }
    }
}

impl Counts {
    /// How many durations.
    pub fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What was counted after `before`, an earlier moment of the same histogram.
    pub fn since(&self, before: &Self) -> Self {
        let mut buckets = self.buckets;
        buckets.iter_mut().zip(&before.buckets).for_each(|(now, then)| *now = now.saturating_sub(*then));
        Self { buckets, sum: self.sum.saturating_sub(before.sum) }
    }

    /// How many durations are shorter than 2^`octave` microseconds: at these limits the buckets count exactly.
    pub fn below(&self, octave: usize) -> u64 {
        self.buckets[..(octave * PER_OCTAVE).min(BUCKETS)].iter().sum()
    }

    /// How many durations are in each bucket that is told of, see `told_limits`.
    pub fn told(&self) -> impl Iterator<Item = u64> {
        let sum = |buckets: &[u64]| buckets.iter().sum();
        let first = std::iter::once(sum(&self.buckets[..TOLD_FROM]));
        let middle = self.buckets[TOLD_FROM..TOLD_TO].chunks(TOLD).map(sum);
        first.chain(middle).chain(std::iter::once(sum(&self.buckets[TOLD_TO..])))
    }

    /// The durations that the shares `q` (0..=1) of all counted ones do not exceed; zero where none were
    /// counted.
    pub fn quantiles<const N: usize>(&self, q: [f64; N]) -> [Duration; N] {
        let total = self.total();
        q.map(|q| {
            let rank = ((total as f64 * q).ceil() as u64).max(1);
            let mut seen = 0;
            for (index, count) in self.buckets.iter().enumerate() {
                seen += count;
                if seen >= rank {
                    // The geometric middle of the bucket.
                    let micros = ((index as f64 + 0.5) / PER_OCTAVE as f64).exp2();
                    return Duration::from_nanos((micros * 1000.0) as u64);
                }
            }
            Duration::ZERO
        })
    }
}

/// Upper limits of the buckets that are told of, but for the last, which has none; to the nanosecond.
fn told_limits() -> impl Iterator<Item = Duration> {
    let nanoseconds = |position: usize| ((position as f64 / PER_OCTAVE as f64).exp2() * 1000.0).round();
    (TOLD_FROM..=TOLD_TO)
        .step_by(TOLD)
        .map(move |position| Duration::from_nanos(nanoseconds(position) as u64))
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&self, time: Duration) {
        let nanoseconds = time.as_nanos().max(1) as f64;
        let position = (nanoseconds / 1000.0).log2() * PER_OCTAVE as f64;
        let index = (position.max(0.0) as usize).min(BUCKETS - 1);
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        // 585 years of durations fit.
        self.nanoseconds.fetch_add(nanoseconds as u64, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn counts(&self) -> Counts {
        Counts {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }

    /// The durations that the shares `q` (0..=1) of all counted ones do not exceed; zero where none were
    /// counted.
    pub fn quantiles<const N: usize>(&self, q: [f64; N]) -> [Duration; N] {
        self.counts().quantiles(q)
    }
}

/// Counts events and gives their rate over the last seconds; 0 as soon as they stop coming.
pub struct Rate {
    recent: Mutex<Vec<Instant>>,
}

/// Over how long a rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(2);

impl Default for Rate {
    fn default() -> Self {
        Self { recent: Mutex::new(Vec::with_capacity(256)) }
    }
}

impl Rate {
    /// Counts one event.
    pub fn add(&self, now: Instant) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|time| now.saturating_duration_since(*time) < RATE_WINDOW);
        recent.push(now);
    }

    /// Events a second.
    pub fn per_second(&self, now: Instant) -> f64 {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|time| now.saturating_duration_since(*time) < RATE_WINDOW);
        match (recent.first(), recent.last()) {
            (Some(first), Some(last)) if recent.len() > 1 => {
                let mean = last.duration_since(*first).as_secs_f64() / (recent.len() - 1) as f64;
                // Where nothing came for much longer than usual, that gap counts instead: a rate that keeps
                // its last value while the picture stands would be a lie.
                let gap = now.saturating_duration_since(*last).as_secs_f64();
                1.0 / if gap > 3.0 * mean { gap } else { mean.max(1e-6) }
            }
            _ => 0.0,
        }
    }
}

/// Everything that is counted.
#[derive(Default)]
pub struct Stats {
    /// Frames that reached Spotter.
    pub captured: AtomicU64,
    /// Frames that went through the model.
    pub inferred: AtomicU64,
    /// Frames that were replaced by a newer one before the model had time for them.
    pub dropped: AtomicU64,
    /// Frames that the frame-rate limit left out.
    pub skipped: AtomicU64,
    /// Pictures for the page that the source made by itself.
    pub pictures_given: AtomicU64,
    /// Pictures for the page that were encoded here.
    pub pictures_made: AtomicU64,
    /// Of those that went through the model, frames that the processor scaled or copied into its input; the
    /// others the accelerator read where they lay, or another device prepared.
    pub copied: AtomicU64,
    /// Rate of captured frames.
    pub capture_rate: Rate,
    /// Rate of inferred frames.
    pub inference_rate: Rate,
    stages: [Histogram; STAGES.len()],
}

impl Stats {
    /// Counts a stage's time.
    pub fn time(&self, stage: Stage, time: Duration) {
        self.stages[stage as usize].add(time);
    }

    /// The histogram of a stage.
    pub fn stage(&self, stage: usize) -> &Histogram {
        &self.stages[stage.min(STAGES.len() - 1)]
    }

    /// Median, 95th and 99th percentile in milliseconds of each stage as JSON.
    pub fn stages_json(&self) -> serde_json::Value {
        let stages = STAGES.iter().zip(&self.stages).map(|(name, histogram)| {
            let [p50, p95, p99] = histogram.quantiles([0.50, 0.95, 0.99]).map(milliseconds);
            let value = serde_json::json!({ "p50_ms": p50, "p95_ms": p95, "p99_ms": p99 });
            ((*name).to_owned(), value)
        });
        serde_json::Value::Object(stages.collect())
    }

    /// The histogram of each stage since the start as JSON: upper limits of the buckets in milliseconds (`null` for
    /// the last), and how many frames are in each.
    pub fn histograms_json(&self) -> serde_json::Value {
        let limits = told_limits().map(|limit| Some(limit.as_nanos() as f64 / 1e6)).chain([None]);
        let counts = STAGES.iter().zip(&self.stages).map(|(name, histogram)| {
            ((*name).to_owned(), histogram.counts().told().collect::<serde_json::Value>())
        });
        serde_json::json!({
            "upper_ms": limits.collect::<Vec<_>>(),
            "counts": counts.collect::<serde_json::Map<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_five_percent() {
        let histogram = Histogram::default();
        for ms in 1..=1000 {
            histogram.add(Duration::from_millis(ms));
        }
        for (q, expected) in histogram.quantiles([0.5, 0.95, 0.99]).into_iter().zip([0.5, 0.95, 0.99]) {
            assert!((q.as_secs_f64() / expected - 1.0).abs() < 0.05, "{q:?} {expected}");
        }
        assert_eq!(Histogram::default().quantiles([0.5]), [Duration::ZERO]);
        histogram.add(Duration::ZERO);
        histogram.add(Duration::MAX);
    }

    #[test]
    fn what_was_counted_between_two_moments_is_their_difference() {
        let histogram = Histogram::default();
        histogram.add(Duration::from_millis(1000));
        let before = histogram.counts();
        for micros in [1, 3, 100, 127, 129, 5000] {
            histogram.add(Duration::from_micros(micros));
        }
        let counts = histogram.counts().since(&before);
        assert_eq!((counts.total(), counts.sum), (6, Duration::from_micros(5360)));
        // 1, 2, 4, 64, 128, 256 and 8192 µs.
        let below = [0, 1, 2, 6, 7, 8, 13].map(|octave| counts.below(octave));
        assert_eq!(below, [0, 1, 2, 2, 4, 5, 6]);
        assert_eq!(histogram.counts().below(usize::MAX / PER_OCTAVE), 7);
        let [p50, p95] = counts.quantiles([0.5, 0.95]);
        assert!(p50 < Duration::from_micros(110) && p95 > Duration::from_micros(4700), "{p50:?} {p95:?}");
    }

    #[test]
    fn every_duration_is_in_the_bucket_below_its_limit() {
        let limits: Vec<Duration> = told_limits().collect();
        assert_eq!((limits[0], limits[2]), (Duration::from_micros(8), Duration::from_micros(16)));
        assert_eq!((limits.len(), limits[40]), (41, Duration::from_nanos(8_388_608_000)));
        for micros in [0, 1, 7, 9, 11, 12, 900, 1100, 40_000, 8_000_000, 8_400_000, 900_000_000] {
            let histogram = Histogram::default();
            let time = Duration::from_micros(micros);
            histogram.add(time);
            let told: Vec<u64> = histogram.counts().told().collect();
            assert_eq!((told.len(), told.iter().sum::<u64>()), (42, 1));
            let expected = limits.iter().position(|limit| time < *limit).unwrap_or(limits.len());
            assert_eq!(told.iter().position(|count| *count == 1), Some(expected), "{micros}");
        }
    }

    #[test]
    fn a_rate_falls_to_zero_when_events_stop() {
        let rate = Rate::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for i in 0..50 {
            rate.add(at(i * 40));
        }
        for ms in [1961, 1990, 2030] {
            assert!((rate.per_second(at(ms)) - 25.0).abs() < 1.0, "{ms}");
        }
        assert!(rate.per_second(at(2960)) < 1.1);
        assert_eq!(rate.per_second(at(5000)), 0.0);
    }
}
