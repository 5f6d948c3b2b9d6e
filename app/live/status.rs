//! What Spotter is doing now: shared by all threads, read by the page and the interface.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use super::history::History;
use super::model_slot::Exchange;
use super::stats::Stats;
use super::watchdog::Pulses;
use crate::backend::larod;
use crate::backend::larod::ledger::Ledger;
use crate::base::clock::milliseconds;
use crate::base::platform::{self, Platform};
use crate::base::time::unix_milliseconds;
use crate::capture::supervisor::SourceState;
use crate::capture::vdo::sensors::Choice;
use crate::inspect::suitability::Suitability;
use crate::model::catalogue::Scope;
use crate::model::chip::Chip;
use crate::model::format::file::ModelFile;
use crate::model::labels::Labels;
use crate::publish::hub::Hub;
use crate::publish::jsonl::Output;
use crate::settings::Settings;

/// All that [`Status::state`] says.
pub const STATES: [&str; 8] =
    ["connecting", "live", "reconnecting", "ended", "failed", "backend-failed", "compiling", "no-model"];

/// Where frames come from, for a person.
#[derive(Clone, Debug, Default)]
pub struct SourceAbout {
    /// Short name.
    pub name: String,
    /// "file", "network", "device", "test", "demo" or "camera".
    pub kind: &'static str,
}

/// What does not change while a model runs, for a person.
#[derive(Clone, Debug, Default)]
pub struct ModelAbout {
    /// The model's file name.
    pub name: String,
    /// What the model is.
    pub title: String,
    /// Its head.
    pub head: String,
    /// Its input, "300×300 uint8".
    pub input: String,
    /// How many classes it tells apart.
    pub classes: usize,
    /// How frames are fitted into its input.
    pub fit: String,
    /// Where the names of the classes come from.
    pub labels: String,
    /// What it knows, where that is not the world.
    pub scope: Option<Scope>,
    /// Why it runs in place of the one that was asked for, where it does.
    pub warning: Option<String>,
    /// Why there is none, where no model runs.
    pub missing: Option<String>,
    /// The names of its classes.
    pub names: Arc<Labels>,
    /// The model file as it was read.
    pub file: Option<ModelFile>,
    /// Which chips it suits, once somebody has asked.
    pub suitability: Arc<OnceLock<Suitability>>,
    /// What runs it.
    pub backend_name: String,
    /// How it runs it.
    pub backend_detail: String,
    /// The camera's chip, where one is known.
    pub chip: Option<Chip>,
    /// How the camera's devices stand with it, where larod runs it.
    pub devices: Option<Arc<Ledger>>,
}

impl ModelAbout {
    /// No model, and why.
    pub fn none(why: String) -> Self {
        Self { title: "no model".to_owned(), missing: Some(why), ..Self::default() }
    }

    /// What runs the model as JSON.
    pub fn backend_json(&self) -> Value {
        json!({ "name": self.backend_name, "detail": self.backend_detail, "chip": self.chip.map(Chip::name) })
    }

    /// The model as JSON, without its backend.
    pub fn to_json(&self) -> Value {
        if let Some(missing) = &self.missing {
            return json!({ "name": null, "title": self.title, "missing": missing });
        }
        json!({
            "name": self.name,
            "title": self.title,
            "head": self.head,
            "input": self.input,
            "classes": self.classes,
            "fit": self.fit,
            "labels": self.labels,
            "scope": self.scope,
            "warning": self.warning,
        })
    }
}

impl fmt::Display for ModelAbout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = if self.title == self.name { String::new() } else { format!("{}, ", self.name) };
        write!(f, "{} ({named}{}, {}, {} classes)", self.title, self.head, self.input, self.classes)
    }
}

#[derive(Clone, Debug)]
struct SourceNow {
    state: SourceState,
    since: Instant,
    size: Option<(usize, usize)>,
    frame_rate: Option<f64>,
}

/// The state of everything.
pub struct Status {
    /// When Spotter started.
    pub started: Instant,
    /// Where frames come from.
    pub origin: SourceAbout,
    /// What the user can turn.
    pub settings: Settings,
    /// Counters and times.
    pub stats: Stats,
    /// What the viewers get.
    pub hub: Hub,
    /// Where another model is handed to the inference thread.
    pub exchange: Exchange,
    /// The last minutes.
    pub history: History,
    /// Signs of life of the threads.
    pub pulses: Pulses,
    /// The file for the scenes, where there is one.
    pub output: OnceLock<Arc<Output>>,
    source: Mutex<SourceNow>,
    model: Mutex<Arc<ModelAbout>>,
    backend_error: Mutex<Option<String>>,
    loading: Mutex<Option<String>>,
    unsaved: Mutex<Option<String>>,
    /// The file that keeps the settings; none where nothing does.
    pub settings_file: Option<PathBuf>,
    /// Which of a camera's sensors is looked at; none of other sources.
    pub sensor: Option<Arc<Choice>>,
}

impl Status {
    /// The state before the first frame.
    pub fn new(origin: SourceAbout, model: Arc<ModelAbout>, settings: Settings) -> Self {
        let source =
            SourceNow { state: SourceState::Connecting, since: Instant::now(), size: None, frame_rate: None };
        Self {
            started: Instant::now(),
            origin,
            settings,
            stats: Stats::default(),
            hub: Hub::default(),
            exchange: Exchange::default(),
            history: History::default(),
            pulses: Pulses::default(),
            output: OnceLock::new(),
            source: Mutex::new(source),
            model: Mutex::new(model),
            backend_error: Mutex::new(None),
            loading: Mutex::new(None),
            unsaved: Mutex::new(None),
            settings_file: None,
            sensor: None,
        }
    }

    /// The model that runs.
    pub fn model(&self) -> Arc<ModelAbout> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another model runs.
    pub fn set_model(&self, model: Arc<ModelAbout>) {
        *self.model.lock().unwrap_or_else(PoisonError::into_inner) = model;
    }

    /// The source has a new state.
    pub fn set_source(&self, state: SourceState) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.state = state;
        source.since = Instant::now();
    }

    /// A frame of this size and rate came.
    pub fn set_picture(&self, size: (usize, usize), frame_rate: Option<f64>) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.size = Some(size);
        source.frame_rate = frame_rate;
    }

    /// The backend failed, or (`None`) works again. True where that is news.
    pub fn set_backend_error(&self, error: Option<String>) -> bool {
        let mut current = self.backend_error.lock().unwrap_or_else(PoisonError::into_inner);
        let news = current.is_some() != error.is_some();
        *current = error;
        news
    }

    /// The model is being loaded, and how far that is; or (`None`) it no longer is. True where that is news.
    pub fn set_loading(&self, loading: Option<String>) -> bool {
        let mut current = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *current != loading;
        *current = loading;
        news
    }

    /// What is wrong with the file that keeps the settings; or (`None`) nothing is.
    pub fn set_unsaved(&self, why: Option<&str>) {
        let mut current = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() != why {
            *current = why.map(str::to_owned);
        }
    }

    fn unsaved(&self) -> Option<String> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is told of the settings: some of them, the ETag of all, which file keeps them, and why it does not.
    fn settings_json(&self) -> Value {
        let mut summary = self.settings.summary();
        summary["file"] = json!(self.settings_file.as_ref().map(|path| path.display().to_string()));
        summary["unsaved"] = json!(self.unsaved());
        summary
    }

    /// What a person should know although detection goes on.
    fn notices(&self, model: &ModelAbout) -> Vec<String> {
        let unwritten = self.output.get().and_then(|output| output.trouble());
        let settings = self.settings.notices();
        let device = model.devices.as_ref().and_then(|devices| devices.notice());
        let hung = match larod::hung_jobs() {
            0 => None,
            1 => Some("one job of the larod service hangs; another connection took its place".to_owned()),
            more => Some(format!("{more} jobs of the larod service hang; others took their place")),
        };
        let device = device.into_iter().chain(hung);
        let sensor = self.sensor.as_ref().and_then(|sensor| sensor.notice());
        model
            .warning
            .clone()
            .into_iter()
            .chain(device)
            .chain(sensor)
            .chain(self.unsaved())
            .chain(unwritten)
            .chain(settings)
            .collect()
    }

    /// What is known of the camera, and how its devices stand with the model; null where this is none.
    fn camera_json(&self, model: &ModelAbout) -> Value {
        let platform = platform::known().filter(|platform| **platform != Platform::default());
        if model.devices.is_none() && platform.is_none() {
            return Value::Null;
        }
        let devices = model.devices.as_ref();
        json!({
            "axis_os": platform.and_then(|platform| platform.os.as_deref()),
            "soc": platform.and_then(|platform| platform.soc.as_deref()),
            "devices": devices.map_or_else(|| json!([]), |devices| devices.to_json()),
            "can_try_again": devices.is_some_and(|devices| devices.has_second_thoughts()),
            "hung_jobs": larod::hung_jobs(),
        })
    }

    /// What is said while the model is loaded.
    fn loading(&self) -> Option<String> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True where frames are coming and being inferred.
    pub fn is_detecting(&self) -> bool {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(source.state, SourceState::Live { .. })
            && self.backend_error.lock().unwrap_or_else(PoisonError::into_inner).is_none()
            && self.loading().is_none()
            && self.stats.inferred.load(Ordering::Relaxed) > 0
    }

    /// One of [`STATES`].
    pub fn state(&self) -> &'static str {
        let source = word(&self.source.lock().unwrap_or_else(PoisonError::into_inner).state);
        let failed = self.backend_error.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        match (failed, self.loading().is_some(), self.model().missing.is_some()) {
            (true, ..) => "backend-failed",
            (false, true, _) => "compiling",
            (false, false, true) if source == "live" => "no-model",
            _ => source,
        }
    }

    /// The status as JSON.
    pub fn to_json(&self) -> Value {
        let now = Instant::now();
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let backend_error = self.backend_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = word(&source.state);
        let (message, retry) = match &source.state {
            SourceState::Reconnecting { message, wait } => {
                let left = wait.saturating_sub(now.saturating_duration_since(source.since));
                (Some(message.clone()), Some(milliseconds(left).round()))
            }
            SourceState::Failed { message } => (Some(message.clone()), None),
            SourceState::Connecting | SourceState::Live { .. } | SourceState::Ended => (None, None),
        };
        let detail = match &source.state {
            SourceState::Live { detail } => detail.clone(),
            _ => None,
        };
        let (origin, model, stats) = (&self.origin, self.model(), &self.stats);
        let loading = self.loading();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now_ms": unix_milliseconds(SystemTime::now()),
            "uptime_s": (milliseconds(now - self.started) / 100.0).round() / 10.0,
            "state": self.state(),
            "message": backend_error.or(loading).or_else(|| message.clone()).or_else(|| model.missing.clone()),
            "notices": self.notices(&model),
            "source": {
                "name": origin.name,
                "kind": origin.kind,
                "detail": detail,
                "state": state,
                "message": message,
                "retry_in_ms": retry,
                "width": source.size.map(|size| size.0),
                "height": source.size.map(|size| size.1),
                "fps": source.frame_rate.map(hundredths),
                "sensor": self.sensor.as_ref().map(|sensor| sensor.shown().to_string()),
            },
            "model": model.to_json(),
            "backend": model.backend_json(),
            "camera": self.camera_json(&model),
            "settings": self.settings_json(),
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
            "fps": {
                "capture": hundredths(stats.capture_rate.per_second(now)),
                "inference": hundredths(stats.inference_rate.per_second(now)),
            },
            "stages": stats.stages_json(),
            "viewers": self.hub.viewers_json(),
        })
    }
}

fn word(state: &SourceState) -> &'static str {
    match state {
        SourceState::Connecting => "connecting",
        SourceState::Live { .. } => "live",
        SourceState::Reconnecting { .. } => "reconnecting",
        SourceState::Ended => "ended",
        SourceState::Failed { .. } => "failed",
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
