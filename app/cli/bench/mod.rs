//! `spotter bench`: how fast a clip goes through a model on this machine.
//!
//! Decoding alone, inference alone and the whole pipeline are measured in one run, in turns, so that
//! their ratios hold on a machine whose speed drifts. `limit.rs` says what the machine could do at best, `busy.rs` loads
//! it, `record.rs` keeps the figures.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod busy;
mod limit;
mod record;

use super::args::BenchArgs;
use crate::base::clock::{Stop, SystemClock, milliseconds};
use crate::base::error::{Error, Kind, Result};
use crate::base::machine;
use crate::capture::supervisor::{LONGEST_WAIT, Policy};
use crate::capture::vdo::spec::View;
use crate::capture::{self, Next, Pace, SourceKind, SourceSpec, SpecOpener, gst_source};
use crate::detect::detector::Detector;
use crate::detect::loader::{LoadSpec, LoadedModel};
use crate::live::context::Context;
use crate::live::model_slot::RunningModel;
use crate::live::overlap::SETTLED_AFTER;
use crate::live::pipeline::{Parts, Pipeline};
use crate::live::stats::{STAGES, Stats};
use crate::live::status::SourceInfo;
use crate::model::decode::Thresholds;
use crate::settings::Overrides;
use crate::settings::shared::SharedSettings;
use crate::vision::frame::Frame;
use busy::Busy;
pub use busy::keep_busy;
use limit::{Measured, limit};

/// How often inference alone and the whole pipeline take turns.
const ROUNDS: u32 = 4;
/// What runs before the clock does: caches, thread pools, decoder start.
const WARM_UP: Duration = Duration::from_millis(300);
/// Running values of `spotter run`.
const OVERRIDES: Overrides = Overrides { confidence: 0.5, iou: 0.45, sensor: View::Input(1) };

/// Measures and prints.
///
/// # Errors
/// Whatever keeps the clip or the model from being used.
pub fn bench(args: &BenchArgs) -> Result<()> {
    gst_source::init()?;
    let drawn = args.source.kind() == SourceKind::Demo;
    let model = LoadedModel::open(LoadSpec { drawn, ..LoadSpec::from(&args.model) })?;
    let total = Duration::from_secs(u64::from(args.seconds));
    let first = first_frame(&args.source)?;
    let turn = total / (3 * ROUNDS);
    let (mut decoding, mut inference, mut whole) =
        (Measured::default(), Measured::default(), Measured::default());
    let mut dropped = 0;
    let mut stages = Vec::new();
    let mut about = None;
    let _busy = Busy::start(args.busy)?;
    for _ in 0..ROUNDS {
        decoding.add(decoding_alone(&args.source, turn)?);
        let mut detector = model.ready_detector()?;
        about.get_or_insert_with(|| model.about(&mut detector));
        inference.add(inference_alone(&mut detector, &first, turn)?);
        let round = whole_pipeline(&args.source, detector, &model, turn)?;
        whole.add(round.measured);
        dropped += round.dropped;
        stages.push(round.stats);
    }
    let about = about.unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let limit = limit(&decoding, &inference, processors);
    let ratio = whole.per_second() / inference.per_second().max(1e-9);
    let report = json!({
        "source": args.source.to_string(),
        "model": about.name,
        "backend": format!("{} ({})", about.backend_name, about.backend_detail),
        "seconds": args.seconds,
        "frames": whole.count,
        "end_to_end_fps": rounded(whole.per_second()),
        "inference_only_fps": rounded(inference.per_second()),
        "capture_only_fps": rounded(decoding.per_second()),
        "end_to_end_ratio": rounded(ratio),
        "limit_fps": rounded(limit),
        "share_of_limit": rounded(whole.per_second() / limit.max(1e-9)),
        "busy": args.busy,
        "dropped": dropped,
        "cpu_ms_per_frame": rounded(whole.cpu_each() * 1e3),
        "peak_rss_mb": machine::peak_resident_bytes().map(|bytes| bytes as f64 / f64::from(1 << 20)).map(rounded),
        "stages": stages_json(&stages),
    });
    if let Some(file) = &args.record_to {
        record::append(file, &report)?;
    }
    if args.json {
        println!("{report:#}");
    } else {
        print_report(&report);
    }
    Ok(())
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn first_frame(spec: &SourceSpec) -> Result<Frame> {
    let mut source = capture::open(spec, Pace::Unpaced)?;
    loop {
        match source.next(Duration::from_millis(100))? {
            Next::Frame(frame) => return Ok(frame),
            Next::Nothing | Next::Other => {}
            Next::End => return Err(Error::new(Kind::Source, format!("{spec} has no video frame in it"))),
        }
    }
}

/// Decoding alone: frames are mapped and dropped.
fn decoding_alone(spec: &SourceSpec, time: Duration) -> Result<Measured> {
    let mut source = capture::open(spec, Pace::Unpaced)?;
    let mut count = 0;
    let (mut start, mut cpu) = (Instant::now(), machine::cpu_time());
    let mut warm = false;
    while !warm || start.elapsed() < time {
        match source.next(Duration::from_millis(100))? {
            Next::Frame(_) => count += 1,
            Next::Nothing | Next::Other => {}
            Next::End => source.rewind()?,
        }
        if !warm && start.elapsed() >= WARM_UP.min(time / 2) {
            (warm, count, start, cpu) = (true, 0, Instant::now(), machine::cpu_time());
        }
    }
    Ok(Measured { count, time: start.elapsed(), cpu: machine::cpu_time().saturating_sub(cpu) })
}

/// The model alone, again and again on the first frame.
fn inference_alone(detector: &mut Detector, frame: &Frame, time: Duration) -> Result<Measured> {
    let thresholds = Thresholds::live(OVERRIDES.confidence, OVERRIDES.iou);
    let start = Instant::now();
    while start.elapsed() < WARM_UP.min(time / 2) {
        detector.detect(frame, &thresholds)?;
    }
    let backend =
        detector.backend().ok_or_else(|| Error::new(Kind::Internal, "there is no model to measure"))?;
    let (start, cpu, mut count) = (Instant::now(), machine::cpu_time(), 0);
    while start.elapsed() < time {
        backend.run()?;
        count += 1;
    }
    Ok(Measured { count, time: start.elapsed(), cpu: machine::cpu_time().saturating_sub(cpu) })
}

struct Round {
    measured: Measured,
    dropped: u64,
    stats: Arc<Stats>,
}

/// Everything as `spotter run` does it, but no frame left out and none waited for.
fn whole_pipeline(
    spec: &SourceSpec,
    mut detector: Detector,
    model: &LoadedModel,
    time: Duration,
) -> Result<Round> {
    let about = Arc::new(model.about(&mut detector));
    let running = RunningModel { about: about.clone(), detector, labels: model.labels.clone() };
    let context = Arc::new(Context::new(SourceInfo::default(), about, SharedSettings::new(OVERRIDES)));
    let stop = Stop::new();
    let parts = Parts {
        opener: Box::new(SpecOpener {
            spec: spec.clone(),
            pace: Pace::Unpaced,
            workload: None,
            sensor: None,
        }),
        policy: Policy { once: false, live: false, longest_wait: LONGEST_WAIT },
        lossless: true,
        model: running,
        output: None,
        record: None,
        pictures: None,
        workload: Arc::default(),
        clock: Arc::new(SystemClock),
    };
    let pipeline = Pipeline::start(parts, context.clone(), &stop)?;
    let inferred = || context.stats.inferred.load(Ordering::Relaxed);
    let launched = Instant::now();
    // Until it is settled whether frames are prepared while the model runs, but no longer than is measured then.
    let is_warm = || match launched.elapsed() {
        passed if passed < WARM_UP.min(time / 2) => false,
        passed => inferred() > 0 && (inferred() > SETTLED_AFTER || passed > time),
    };
    while !is_warm() && !pipeline.done.is_set() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (start, first, cpu) = (Instant::now(), inferred(), machine::cpu_time());
    pipeline.done.wait(time);
    let measured = Measured {
        count: inferred() - first,
        time: start.elapsed(),
        cpu: machine::cpu_time().saturating_sub(cpu),
    };
    stop.set();
    pipeline.join()?;
    let dropped = context.stats.dropped.load(Ordering::Relaxed);
    Ok(Round { measured, dropped, stats: context.stats.clone() })
}

/// The median over the rounds of each stage's percentiles.
fn stages_json(rounds: &[Arc<Stats>]) -> Value {
    let stages = STAGES.iter().enumerate().map(|(index, name)| {
        let all: Vec<[f64; 3]> = rounds
            .iter()
            .map(|stats| stats.stage(index).quantiles([0.5, 0.95, 0.99]).map(milliseconds))
            .collect();
        let middle = |which: usize| {
            let mut values: Vec<f64> = all.iter().map(|percentiles| percentiles[which]).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        ((*name).to_owned(), json!({ "p50_ms": middle(0), "p95_ms": middle(1), "p99_ms": middle(2) }))
    });
    Value::Object(stages.collect())
}

fn print_report(report: &Value) {
    let number = |key: &str| report[key].as_f64().unwrap_or(0.0);
    println!("source          {}", report["source"].as_str().unwrap_or(""));
    println!("model           {}", report["model"].as_str().unwrap_or(""));
    println!("backend         {}", report["backend"].as_str().unwrap_or(""));
    println!(
        "end to end      {:.1} fps ({:.0} % of inference alone), {} frames dropped",
        number("end_to_end_fps"),
        number("end_to_end_ratio") * 100.0,
        report["dropped"]
    );
    println!("inference alone {:.1} fps", number("inference_only_fps"));
    println!("decoding alone  {:.1} fps", number("capture_only_fps"));
    println!(
        "the machine     {:.1} fps at best; {:.0} % of it reached",
        number("limit_fps"),
        number("share_of_limit") * 100.0
    );
    println!(
        "CPU             {:.1} ms a frame; memory at most {:.0} MB",
        number("cpu_ms_per_frame"),
        number("peak_rss_mb")
    );
    println!("stage            p50 ms   p95 ms   p99 ms");
    for name in STAGES {
        let stage = &report["stages"][name];
        let ms = |key: &str| stage[key].as_f64().unwrap_or(0.0);
        println!("{name:<14} {:>8.3} {:>8.3} {:>8.3}", ms("p50_ms"), ms("p95_ms"), ms("p99_ms"));
    }
}
