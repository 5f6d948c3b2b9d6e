//! The last ten minutes, a sample a second: what a chart of the page shows. A thread of its own takes them;
//! detection only counts, as ever.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::stats::{Counts, STAGES, Stage, Stats};
use crate::base::clock::{Stop, milliseconds};
use crate::base::error::{Error, Kind, Result};
use crate::base::machine;
use crate::base::time::unix_milliseconds;

/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(1);
pub const KEPT_SAMPLES: usize = 600;

/// One second.
#[derive(Clone, Debug)]
struct Sample {
    /// Its end, in milliseconds since 1970.
    time: u64,
    /// Frames a second that came, and that went through the model.
    rates: [f64; 2],
    /// Frames that were dropped in it.
    dropped: u64,
    /// Median and 95th percentile of each stage in it, where it ran at all.
    stages: [Option<[Duration; 2]>; STAGES.len()],
    /// Of the time that frames spent between capture and scene, the share of the model itself, 0..=1.
    inference_share: Option<f64>,
    resident_bytes: Option<u64>,
    /// Processor time by the clock: 1 is one core.
    cpu: f64,
    temperature: Option<f64>,
}

/// The counters at the end of the sample before.
struct Before {
    at: Instant,
    cpu: Duration,
    dropped: u64,
    stages: Vec<Counts>,
}

impl Before {
    fn of(stats: &Stats, at: Instant) -> Self {
        Self {
            at,
            cpu: machine::cpu_time(),
            dropped: stats.dropped.load(Ordering::Relaxed),
            stages: (0..STAGES.len()).map(|stage| stats.stage(stage).counts()).collect(),
        }
    }

    /// What happened from then to `now`, and where the next sample begins.
    fn sample(self, stats: &Stats, now: Instant) -> (Sample, Self) {
        let after = Self::of(stats, now);
        let stages: Vec<Counts> =
            after.stages.iter().zip(&self.stages).map(|(after, before)| after.since(before)).collect();
        let sum = |stage: Stage| stages[stage as usize].sum.as_secs_f64();
        let inference = sum(Stage::Inference);
        let all = inference + sum(Stage::Preprocess) + sum(Stage::Decode);
        let seconds = now.saturating_duration_since(self.at).as_secs_f64().max(1e-3);
        let sample = Sample {
            time: unix_milliseconds(SystemTime::now()) as u64,
            rates: [&stats.capture_rate, &stats.inference_rate].map(|rate| rate.per_second(now)),
            dropped: after.dropped.saturating_sub(self.dropped),
            stages: std::array::from_fn(|stage| {
                let counts = &stages[stage];
                (counts.total() > 0).then(|| counts.quantiles([0.5, 0.95]))
            }),
            inference_share: (all > 0.0).then(|| inference / all),
            resident_bytes: machine::resident_bytes(),
            cpu: after.cpu.saturating_sub(self.cpu).as_secs_f64() / seconds,
            temperature: machine::temperature(),
        };
        (sample, after)
    }
}

/// The samples of the last minutes.
#[derive(Debug, Default)]
pub struct History {
    samples: Mutex<VecDeque<Sample>>,
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

impl History {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, sample: Sample) {
        let mut samples = self.lock();
        if samples.len() == KEPT_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// The newest `count` samples of those taken after `after` (milliseconds since 1970), oldest first, as JSON: a
    /// list for each quantity, all of the same length.
    pub fn to_json(&self, count: usize, after: u64) -> Value {
        let samples: Vec<Sample> = {
            let samples = self.lock();
            let skipped = samples.len().saturating_sub(count);
            samples.iter().skip(skipped).filter(|s| s.time > after).cloned().collect()
        };
        let list = |value: &dyn Fn(&Sample) -> Value| samples.iter().map(value).collect::<Value>();
        let stages = STAGES.iter().enumerate().map(|(stage, name)| {
            let quantile = |which: usize| {
                list(&|s| json!(s.stages[stage].map(|quantiles| milliseconds(quantiles[which]))))
            };
            ((*name).to_owned(), json!({ "p50_ms": quantile(0), "p95_ms": quantile(1) }))
        });
        json!({
            "interval_ms": milliseconds(INTERVAL),
            "time_ms": list(&|s| json!(s.time)),
            "fps": {
                "capture": list(&|s| json!(rounded(s.rates[0], 100.0))),
                "inference": list(&|s| json!(rounded(s.rates[1], 100.0))),
            },
            "dropped": list(&|s| json!(s.dropped)),
            "stages": stages.collect::<serde_json::Map<_, _>>(),
            "inference_share": list(&|s| json!(s.inference_share.map(|share| rounded(share, 1000.0)))),
            "resident_bytes": list(&|s| json!(s.resident_bytes)),
            "cpu": list(&|s| json!(rounded(s.cpu, 1000.0))),
            "temperature_c": list(&|s| json!(s.temperature)),
        })
    }
}

/// Starts the thread that takes the samples until `stop` is set.
///
/// # Errors
/// `Kind::Internal` where the system gives no thread.
pub fn start(stats: Arc<Stats>, history: Arc<History>, stop: Stop) -> Result<()> {
    let work = move || {
        let mut before = Before::of(&stats, Instant::now());
        while !stop.wait(INTERVAL) {
            let (sample, after) = before.sample(&stats, Instant::now());
            history.add(sample);
            before = after;
        }
    };
    let thread = std::thread::Builder::new().name("history".to_owned()).spawn(work);
    // Nobody waits for its end: it holds nothing that has to be put away.
    thread
        .map(drop)
        .map_err(|error| Error::new(Kind::Internal, "cannot start the history thread").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_tells_its_own_second_alone() {
        let stats = Stats::default();
        let begun = Instant::now();
        stats.time(Stage::Inference, Duration::from_secs(5));
        stats.dropped.fetch_add(7, Ordering::Relaxed);
        let before = Before::of(&stats, begun);
        for _ in 0..10 {
            stats.time(Stage::Inference, Duration::from_millis(30));
            stats.time(Stage::Preprocess, Duration::from_millis(9));
            stats.time(Stage::Decode, Duration::from_millis(1));
        }
        stats.dropped.fetch_add(2, Ordering::Relaxed);
        let (sample, after) = before.sample(&stats, begun + INTERVAL);
        assert_eq!(sample.dropped, 2);
        let [p50, p95] = sample.stages[Stage::Inference as usize].unwrap();
        assert!((p50.as_secs_f64() / 0.03 - 1.0).abs() < 0.05 && p50 == p95, "{p50:?}");
        assert!((sample.inference_share.unwrap() - 0.75).abs() < 1e-6, "{:?}", sample.inference_share);
        assert_eq!(sample.stages[Stage::Publish as usize], None);
        let (quiet, _) = after.sample(&stats, begun + 2 * INTERVAL);
        assert_eq!((quiet.dropped, quiet.inference_share, quiet.stages), (0, None, [None; STAGES.len()]));
    }

    #[test]
    fn ten_minutes_are_kept_and_all_lists_are_as_long() {
        let (history, stats) = (History::default(), Stats::default());
        let sample = Before::of(&stats, Instant::now()).sample(&stats, Instant::now()).0;
        let begun = sample.time;
        for second in 0..KEPT_SAMPLES as u64 + 50 {
            history.add(Sample { time: begun + 1000 * second, dropped: second, ..sample.clone() });
        }
        let lengths = |value: &Value| {
            let lists = ["time_ms", "dropped", "inference_share", "resident_bytes", "cpu", "temperature_c"]
                .map(|name| value[name].as_array().unwrap().len());
            let more = [&value["fps"]["capture"], &value["stages"]["publish"]["p95_ms"]];
            assert!(more.iter().all(|list| list.as_array().unwrap().len() == lists[0]), "{value}");
            assert_eq!(lists, [lists[0]; 6]);
            lists[0]
        };
        let all = history.to_json(usize::MAX, 0);
        assert_eq!((lengths(&all), &all["dropped"][0]), (KEPT_SAMPLES, &json!(50)));
        let minute = history.to_json(60, 0);
        assert_eq!((lengths(&minute), &minute["dropped"][59]), (60, &json!(649)));
        let newer = history.to_json(60, minute["time_ms"][56].as_u64().unwrap());
        assert_eq!((lengths(&newer), &newer["dropped"][0]), (3, &json!(647)));
        assert_eq!(lengths(&history.to_json(0, 0)), 0);
    }
}
