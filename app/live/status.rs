//! In which state source, model and backend are: written by the threads where it changes, read by the page and the
//! interface.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::capture::SourceSpec;
use crate::capture::supervisor::SourceState;
use crate::detect::model_info::ModelInfo;

/// All that [`Now::state`] says.
pub const STATES: [&str; 8] =
    ["connecting", "live", "reconnecting", "ended", "failed", "backend-failed", "compiling", "no-model"];

/// Where frames come from, for a person.
#[derive(Clone, Debug, Default)]
pub struct SourceInfo {
    /// As [`SourceSpec::name`](crate::capture::SourceSpec::name) shortens it.
    pub name: String,
    /// "file", "network", "device", "test", "demo" or "camera".
    pub kind: &'static str,
}

impl SourceInfo {
    /// What is told of this source.
    pub fn of(source: &SourceSpec) -> Self {
        Self { name: source.name(), kind: source.kind().word() }
    }
}

/// How the source stands.
#[derive(Clone, Debug)]
pub struct SourceNow {
    pub state: SourceState,
    pub since: Instant,
    /// Columns and rows of its frames, once one has come.
    pub size: Option<(usize, usize)>,
    /// Frames a second as the source declares it.
    pub frame_rate: Option<f64>,
}

/// How the backend stands with the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BackendState {
    /// Nothing is known against it.
    #[default]
    Works,
    /// It loads the model; the sentence says how far that is.
    Loading(String),
    /// It failed and is tried again; the sentence says why.
    Failed(String),
}

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct Now {
    /// How the source stands.
    pub source: SourceNow,
    /// The model that runs.
    pub model: Arc<ModelInfo>,
    /// How the backend stands with it.
    pub backend: BackendState,
    /// What is wrong with the file that keeps the settings.
    pub unsaved: Option<String>,
}

impl Now {
    /// One of [`STATES`].
    pub fn state(&self) -> &'static str {
        let source = self.source_state();
        match self.backend {
            BackendState::Failed(_) => "backend-failed",
            BackendState::Loading(_) => "compiling",
            BackendState::Works if source == "live" && self.model.missing.is_some() => "no-model",
            BackendState::Works => source,
        }
    }

    /// That of the source alone, one of [`STATES`].
    pub fn source_state(&self) -> &'static str {
        match self.source.state {
            SourceState::Connecting => "connecting",
            SourceState::Live { .. } => "live",
            SourceState::Reconnecting { .. } => "reconnecting",
            SourceState::Ended => "ended",
            SourceState::Failed { .. } => "failed",
        }
    }
}

/// [`Now`], shared by all threads.
pub struct Status {
    now: Mutex<Now>,
}

impl Status {
    /// The state before the first frame.
    pub fn new(model: Arc<ModelInfo>) -> Self {
        let state = SourceState::Connecting;
        let source = SourceNow { state, since: Instant::now(), size: None, frame_rate: None };
        let now = Now { source, model, backend: BackendState::default(), unsaved: None };
        Self { now: Mutex::new(now) }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything at this moment.
    pub fn now(&self) -> Now {
        self.lock().clone()
    }

    /// The model that runs.
    pub fn model(&self) -> Arc<ModelInfo> {
        self.lock().model.clone()
    }

    /// Another model runs.
    pub fn set_model(&self, model: Arc<ModelInfo>) {
        self.lock().model = model;
    }

    /// The source has a new state.
    pub fn set_source(&self, state: SourceState) {
        let mut now = self.lock();
        (now.source.state, now.source.since) = (state, Instant::now());
    }

    /// Frames of this size and rate come.
    pub fn set_picture(&self, size: (usize, usize), frame_rate: Option<f64>) {
        let mut now = self.lock();
        (now.source.size, now.source.frame_rate) = (Some(size), frame_rate);
    }

    /// The backend has a new state.
    pub fn set_backend(&self, backend: BackendState) {
        self.lock().backend = backend;
    }

    /// What is wrong with the file that keeps the settings; or (`None`) nothing is.
    pub fn set_unsaved(&self, why: Option<&str>) {
        let mut now = self.lock();
        if now.unsaved.as_deref() != why {
            now.unsaved = why.map(str::to_owned);
        }
    }
}
