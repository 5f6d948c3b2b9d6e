//! What the threads of a run and the web server share, side by side. It is built once and handed down; whoever needs
//! one thing of it is given that.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::history::History;
use super::model_slot::ModelSlot;
use super::stats::Stats;
use super::status::{BackendState, SourceInfo, Status};
use super::watchdog::Heartbeats;
use crate::capture::supervisor::SourceState;
use crate::capture::vdo::sensors::SensorChoice;
use crate::detect::model_info::ModelInfo;
use crate::publish::hub::Hub;
use crate::publish::jsonl::Output;
use crate::settings::shared::SharedSettings;

/// All that is shared.
pub struct Context {
    /// When Spotter started.
    pub started: Instant,
    /// Where frames come from.
    pub origin: SourceInfo,
    /// What the user can turn.
    pub settings: SharedSettings,
    /// The file that keeps the settings; none where nothing does.
    pub settings_file: Option<PathBuf>,
    /// State of source, model and backend.
    pub status: Status,
    /// Counters and times.
    pub stats: Arc<Stats>,
    /// The last minutes of the counters.
    pub history: Arc<History>,
    /// What the viewers get.
    pub hub: Hub,
    /// Where another model is handed to the inference thread.
    pub model_slot: ModelSlot,
    /// Signs of life of the threads.
    pub heartbeats: Heartbeats,
    /// The file for the scenes, where there is one.
    pub output: Option<Arc<Output>>,
    /// Which of a camera's sensors is looked at; none of other sources.
    pub sensor: Option<Arc<SensorChoice>>,
}

impl Context {
    /// All before the first frame, without files and sensors.
    pub fn new(origin: SourceInfo, model: Arc<ModelInfo>, settings: SharedSettings) -> Self {
        Self {
            started: Instant::now(),
            origin,
            settings,
            settings_file: None,
            status: Status::new(model),
            stats: Arc::default(),
            history: Arc::default(),
            hub: Hub::default(),
            model_slot: ModelSlot::default(),
            heartbeats: Heartbeats::default(),
            output: None,
            sensor: None,
        }
    }

    /// True where frames are coming and being inferred.
    pub fn is_detecting(&self) -> bool {
        let now = self.status.now();
        matches!(now.source.state, SourceState::Live { .. })
            && now.backend == BackendState::Works
            && self.stats.inferred.load(Ordering::Relaxed) > 0
    }
}
