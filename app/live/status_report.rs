//! The status as JSON: the state with the counters, the viewers and the settings beside it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use super::context::Context;
use super::stats::Stats;
use super::status::{BackendState, Now};
use crate::backend::larod;
use crate::base::clock::milliseconds;
use crate::base::platform::{self, Platform};
use crate::base::time::unix_milliseconds;
use crate::capture::supervisor::SourceState;
use crate::detect::model_info::ModelInfo;

pub fn status_json(context: &Context) -> Value {
    let at = Instant::now();
    let now = context.status.now();
    let (model, stats) = (&now.model, &context.stats);
    let message = match &now.backend {
        BackendState::Failed(why) | BackendState::Loading(why) => Some(why),
        BackendState::Works => source_message(&now).or(model.missing.as_ref()),
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": unix_milliseconds(SystemTime::now()),
        "uptime_s": (milliseconds(at - context.started) / 100.0).round() / 10.0,
        "state": now.state(),
        "message": message,
        "notices": notices(context, &now),
        "source": source_json(context, &now, at),
        "model": model.to_json(),
        "backend": model.backend_json(),
        "camera": camera_json(model),
        "settings": settings_json(context, &now),
        "frames": {
            "captured": count(&stats.captured),
            "inferred": count(&stats.inferred),
            "dropped": count(&stats.dropped),
            "skipped": count(&stats.skipped),
            "copied": count(&stats.copied),
        },
        "pictures": {
            "from_source": count(&stats.pictures_given),
            "encoded": count(&stats.pictures_made),
        },
        "fps": rates_json(stats, at),
        "stages": stats.stages_json(),
        "viewers": context.hub.viewers_json(),
    })
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn rates_json(stats: &Stats, at: Instant) -> Value {
    json!({
        "capture": hundredths(stats.capture_rate.per_second(at)),
        "inference": hundredths(stats.inference_rate.per_second(at)),
    })
}

/// Why no frames come.
fn source_message(now: &Now) -> Option<&String> {
    match &now.source.state {
        SourceState::Reconnecting { message, .. } | SourceState::Failed { message } => Some(message),
        SourceState::Connecting | SourceState::Live { .. } | SourceState::Ended => None,
    }
}

fn source_json(context: &Context, now: &Now, at: Instant) -> Value {
    let (origin, source) = (&context.origin, &now.source);
    let retry = match &source.state {
        SourceState::Reconnecting { wait, .. } => {
            let left = wait.saturating_sub(at.saturating_duration_since(source.since));
            Some(milliseconds(left).round())
        }
        _ => None,
    };
    let detail = match &source.state {
        SourceState::Live { detail } => detail.as_ref(),
        _ => None,
    };
    json!({
        "name": origin.name,
        "kind": origin.kind,
        "detail": detail,
        "state": now.source_state(),
        "message": source_message(now),
        "retry_in_ms": retry,
        "width": source.size.map(|size| size.0),
        "height": source.size.map(|size| size.1),
        "fps": source.frame_rate.map(hundredths),
        "sensor": context.sensor.as_ref().map(|sensor| sensor.shown().to_string()),
    })
}

/// What is told of the settings: some of them, the ETag of all, which file keeps them, and why it does not.
fn settings_json(context: &Context, now: &Now) -> Value {
    let mut summary = context.settings.summary();
    summary["file"] = json!(context.settings_file.as_ref().map(|path| path.display().to_string()));
    summary["unsaved"] = json!(now.unsaved);
    summary
}

/// What a person should know although detection goes on.
fn notices(context: &Context, now: &Now) -> Vec<String> {
    let device = now.model.devices.as_ref().and_then(|devices| devices.notice());
    let hung = match larod::hung_jobs() {
        0 => None,
        1 => Some("one job of the larod service hangs; another connection took its place".to_owned()),
        more => Some(format!("{more} jobs of the larod service hang; others took their place")),
    };
    let sensor = context.sensor.as_ref().and_then(|sensor| sensor.notice());
    let unwritten = context.output.as_ref().and_then(|output| output.trouble());
    let known = [now.model.warning.clone(), device, hung, sensor, now.unsaved.clone(), unwritten];
    known.into_iter().flatten().chain(context.settings.notices()).collect()
}

/// What is known of the camera, and how its devices stand with the model; null where this is none.
fn camera_json(model: &ModelInfo) -> Value {
    let platform = platform::known().filter(|platform| **platform != Platform::default());
    let devices = model.devices.as_ref();
    if devices.is_none() && platform.is_none() {
        return Value::Null;
    }
    json!({
        "axis_os": platform.and_then(|platform| platform.os.as_deref()),
        "soc": platform.and_then(|platform| platform.soc.as_deref()),
        "devices": devices.map_or_else(|| json!([]), |devices| devices.to_json()),
        "can_try_again": devices.is_some_and(|devices| devices.has_second_thoughts()),
        "hung_jobs": larod::hung_jobs(),
    })
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
