//! The camera's capture and a model that takes a known time and finds nothing, in this process. Its environment must name
//! the simulated capture library.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use spotter::backend::Backend;
use spotter::base::clock::{Stop, SystemClock};
use spotter::base::error::Result;
use spotter::capture::supervisor::{LONGEST_WAIT_HERE, Policy};
use spotter::capture::vdo::frame_rate::Workload;
use spotter::capture::{Pace, SourceSpec, SpecOpener};
use spotter::detect::detector::Detector;
use spotter::detect::model_info::ModelInfo;
use spotter::live::context::Context;
use spotter::live::model_slot::RunningModel;
use spotter::live::pipeline::{Parts, Pipeline};
use spotter::live::status::SourceInfo;
use spotter::model::decode::{Decoder, Output, Thresholds};
use spotter::model::labels::Labels;
use spotter::preprocess::Preprocessor;
use spotter::settings::Overrides;
use spotter::settings::shared::SharedSettings;
use spotter::vision::geometry::Fit;
use spotter::vision::predictions::Predictions;

use super::made_up::bytes;

/// What the simulated capture library has counted; null before the first time.
pub fn report() -> Value {
    let folder = std::env::var("SPOTTER_SIM_DIR").unwrap();
    let text = std::fs::read_to_string(folder + "/vdo.json").unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Takes its time, as an accelerator does.
pub struct Device {
    time: Duration,
    input: Vec<u8>,
    counts: Arc<Counts>,
}

/// Runs of a [`Device`].
#[derive(Default)]
pub struct Counts {
    pub all: AtomicUsize,
    /// Those while which the camera gave a frame.
    pub overlapped: AtomicUsize,
}

impl Device {
    pub fn new(time: Duration) -> Self {
        Self { time, input: vec![0; 96 * 96 * 3], counts: Arc::default() }
    }
}

impl Backend for Device {
    fn name(&self) -> String {
        "device".into()
    }

    fn detail(&self) -> String {
        String::new()
    }

    fn input_mut(&mut self) -> Result<&mut [u8]> {
        Ok(&mut self.input)
    }

    fn run(&mut self) -> Result<()> {
        let given = || report()["given"].as_u64().unwrap_or_default();
        let before = given();
        std::thread::sleep(self.time);
        if given() > before {
            self.counts.overlapped.fetch_add(1, Ordering::SeqCst);
        }
        self.counts.all.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn output(&self, _: usize) -> Result<&[u8]> {
        Ok(&[0])
    }
}

/// Finds nothing.
struct Blind;

impl Decoder for Blind {
    fn decode(&mut self, _: &[Output<'_>], _: &Thresholds, into: &mut Predictions) -> Result<()> {
        into.clear();
        Ok(())
    }
}

/// Detection on the camera's frames, which goes on until its end.
pub struct Live {
    pub context: Arc<Context>,
    pub counts: Arc<Counts>,
    pipeline: Pipeline,
    stop: Stop,
}

impl Live {
    pub fn start(device: Device) -> Self {
        let counts = device.counts.clone();
        let preprocessor = Preprocessor::new(&bytes(&[1, 96, 96, 3]), Fit::Stretch).unwrap();
        let detector =
            Detector::new(Box::new(device), preprocessor, Box::new(Blind), vec![bytes(&[1])]).unwrap();
        let about = Arc::new(ModelInfo::default());
        let model =
            RunningModel { detector, labels: Arc::new(Labels::numbers(Some(9))), about: about.clone() };
        let settings = SharedSettings::new(Overrides { confidence: 0.5, iou: 0.5, ..Overrides::default() });
        let context = Arc::new(Context::new(SourceInfo::default(), about, settings));
        let stop = Stop::new();
        let spec = "vdo:format=nv12".parse::<SourceSpec>().unwrap().suited_to(model.detector.input());
        let workload = Arc::new(Workload::default());
        let parts = Parts {
            opener: Box::new(SpecOpener {
                spec,
                pace: Pace::Real,
                workload: Some(workload.clone()),
                sensor: None,
            }),
            policy: Policy { once: false, live: true, longest_wait: LONGEST_WAIT_HERE },
            lossless: false,
            model,
            output: None,
            record: None,
            pictures: None,
            workload,
            clock: Arc::new(SystemClock),
        };
        let pipeline = Pipeline::start(parts, context.clone(), &stop).unwrap();
        Self { context, counts, pipeline, stop }
    }

    pub fn end(self) {
        self.stop.set();
        self.pipeline.join().unwrap();
    }
}
