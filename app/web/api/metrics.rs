//! `/metrics`: counters, gauges and histograms in Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use log::Level;

use crate::base::error::Result;
use crate::base::time::unix_milliseconds;
use crate::base::{logging, machine};
use crate::live::context::Context;
use crate::live::stats::STAGES;
use crate::live::status::STATES;
use crate::publish::hub::Watch;
use crate::web::handler::RequestContext;
use crate::web::http::response::{self, Response};

/// Upper limits of a stage's buckets as powers of two of a microsecond: 64 µs to 8.4 s. There the histograms of
/// Spotter have limits as well, so that every bucket is exact.
const OCTAVES: std::ops::RangeInclusive<usize> = 6..=23;

/// Metrics as text.
#[derive(Default)]
struct Exposition {
    text: String,
}

/// A family of metrics that is being written.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // Writing into a String cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.text, name }
    }

    fn one(&mut self, name: &'static str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help).sample("", &[], value);
    }

    /// Nothing at all where the machine does not tell.
    fn known(&mut self, name: &'static str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(name, "gauge", help, value);
        }
    }
}

impl Family<'_> {
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (number, (name, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"{}\"", if number == 0 { '{' } else { ',' }, escaped(value));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The metrics of this moment.
pub fn get(request: &RequestContext<'_>) -> Result<Response> {
    let text = text(request.context);
    Ok(response::bytes(200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()))
}

/// The same as text.
pub fn text(context: &Context) -> String {
    let mut to = Exposition::default();
    about(context, &mut to);
    frames(context, &mut to);
    stages(context, &mut to);
    surroundings(context, &mut to);
    to.text
}

fn about(context: &Context, to: &mut Exposition) {
    let model = context.status.model();
    let chip = model.chip.map_or("", crate::model::chip::Chip::name);
    to.family("spotter_build_info", "gauge", "The program; always 1.").sample(
        "",
        &[("version", env!("CARGO_PKG_VERSION")), ("architecture", std::env::consts::ARCH), ("chip", chip)],
        1,
    );
    to.family("spotter_model_info", "gauge", "The model that runs and what runs it; 0 where there is none.")
        .sample(
            "",
            &[("name", &model.name), ("head", &model.head), ("backend", &model.backend_name)],
            u8::from(model.missing.is_none()),
        );
    let state = context.status.now().state();
    let mut states =
        to.family("spotter_state", "gauge", "1 for the state that Spotter is in, 0 for the others.");
    for known in STATES {
        states.sample("", &[("state", known)], u8::from(known == state));
    }
    to.one(
        "spotter_detecting",
        "gauge",
        "1 while frames go through the model.",
        u8::from(context.is_detecting()),
    );
}

fn frames(context: &Context, to: &mut Exposition) {
    let stats = &context.stats;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    for (name, help, counter) in [
        ("spotter_frames_captured_total", "Frames that reached Spotter.", &stats.captured),
        ("spotter_frames_inferred_total", "Frames that went through the model.", &stats.inferred),
        (
            "spotter_frames_dropped_total",
            "Frames that were replaced by a newer one before the model had time for them.",
            &stats.dropped,
        ),
        (
            "spotter_frames_skipped_total",
            "Frames that the frame-rate limit left out before the model.",
            &stats.skipped,
        ),
        (
            "spotter_frames_copied_total",
            "Inferred frames that the processor scaled or copied into the model's input.",
            &stats.copied,
        ),
    ] {
        to.one(name, "counter", help, count(counter));
    }
    let mut pictures =
        to.family("spotter_pictures_total", "counter", "Pictures for the page, by who made them.");
    pictures.sample("", &[("made_by", "source")], count(&stats.pictures_given));
    pictures.sample("", &[("made_by", "spotter")], count(&stats.pictures_made));
    let now = Instant::now();
    let mut rates = to.family("spotter_frames_per_second", "gauge", "Rates over the last two seconds.");
    rates.sample("", &[("stage", "capture")], stats.capture_rate.per_second(now));
    rates.sample("", &[("stage", "inference")], stats.inference_rate.per_second(now));
    let mut viewers = to.family("spotter_viewers", "gauge", "Streams that are being watched.");
    for (name, watch) in [("live", Watch::Live), ("mjpeg", Watch::Mjpeg), ("events", Watch::Events)] {
        viewers.sample("", &[("stream", name)], context.hub.viewers(watch));
    }
    if let Some(output) = &context.output {
        let mut lines = to.family("spotter_output_lines_total", "counter", "Scenes for the --output file.");
        lines.sample("", &[("result", "written")], count(&output.written));
        lines.sample("", &[("result", "lost")], count(&output.lost));
    }
}

fn stages(context: &Context, to: &mut Exposition) {
    let mut stages = to.family("spotter_stage_seconds", "histogram", "Time of a frame in each stage.");
    for (index, stage) in STAGES.iter().enumerate() {
        let counts = context.stats.stage(index).counts();
        for octave in OCTAVES {
            let limit = ((1u64 << octave) as f64 / 1e6).to_string();
            stages.sample("_bucket", &[("stage", stage), ("le", &limit)], counts.below(octave));
        }
        stages.sample("_bucket", &[("stage", stage), ("le", "+Inf")], counts.total());
        stages.sample("_sum", &[("stage", stage)], counts.sum.as_secs_f64());
        stages.sample("_count", &[("stage", stage)], counts.total());
    }
}

fn surroundings(context: &Context, to: &mut Exposition) {
    let mut lines = to.family("spotter_log_lines_total", "counter", "Lines of the log, by level.");
    for (name, level) in [("error", Level::Error), ("warning", Level::Warn)] {
        lines.sample("", &[("level", name)], logging::count(level));
    }
    let started = unix_milliseconds(SystemTime::now()) / 1e3 - context.started.elapsed().as_secs_f64();
    to.one(
        "process_start_time_seconds",
        "gauge",
        "When Spotter started, in seconds since 1970.",
        started.round(),
    );
    let cpu = machine::cpu_time().as_secs_f64();
    to.one("process_cpu_seconds_total", "counter", "Processor time of all threads.", cpu);
    to.known("process_resident_memory_bytes", "Memory that the process holds.", machine::resident_bytes());
    to.known("process_threads", "Threads of the process.", machine::threads());
    to.known("process_open_fds", "Files and connections that are open.", machine::open_files());
    let help = "The hottest sensor of the machine.";
    to.known("spotter_temperature_celsius", help, machine::temperature());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        let mut to = Exposition::default();
        to.family("a", "gauge", "An a.").sample("_b", &[("c", "\"d\\\n"), ("e", "")], 1.5);
        assert_eq!(to.text, "# HELP a An a.\n# TYPE a gauge\na_b{c=\"\\\"d\\\\\\n\",e=\"\"} 1.5\n");
    }
}
