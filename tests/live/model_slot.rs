//! Handing a model to the inference thread: made-up sources and backends, faults at chosen moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spotter::backend::Backend;
use spotter::base::clock::{Stop, SystemClock};
use spotter::base::error::{Error, Kind, Result};
use spotter::capture::supervisor::{LONGEST_WAIT, Policy};
use spotter::capture::{FrameSource, Next, Opener};
use spotter::detect::detector::Detector;
use spotter::detect::model_info::ModelInfo;
use spotter::live::context::Context;
use spotter::live::model_slot::RunningModel;
use spotter::live::pipeline::{Parts, Pipeline};
use spotter::live::status::SourceInfo;
use spotter::model::labels::Labels;
use spotter::preprocess::Preprocessor;
use spotter::settings::Overrides;
use spotter::settings::shared::SharedSettings;
use spotter::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};
use spotter::vision::geometry::Fit;

use crate::common::made_up::{Reader, bytes};

const WAIT: Duration = Duration::from_secs(10);
/// From so many runs on a [`Device`] says something else of itself.
const WARM_FROM: usize = 5;

/// Frames every few milliseconds, or none at all.
struct Source {
    silent: bool,
}

impl FrameSource for Source {
    fn next(&mut self, time: Duration) -> Result<Next> {
        if self.silent {
            std::thread::sleep(time);
            return Ok(Next::Nothing);
        }
        std::thread::sleep(Duration::from_millis(3));
        let pixels = OwnedPixels { planes: vec![(vec![90; 64], 8)] };
        Ok(Next::Frame(Frame::now(0, FrameLayout::new(PixelFormat::Gray8, 8, 8), Box::new(pixels))))
    }

    fn rewind(&mut self) -> Result<()> {
        Ok(())
    }

    fn frame_rate(&self) -> Option<f64> {
        None
    }
}

struct Open {
    silent: bool,
}

impl Opener for Open {
    fn open(&self) -> Result<Box<dyn FrameSource>> {
        Ok(Box::new(Source { silent: self.silent }))
    }
}

/// Gives its number as the only output; fails from its `fails_from`th run on.
struct Device {
    input: Vec<u8>,
    output: [u8; 1],
    runs: Arc<AtomicUsize>,
    described: Arc<AtomicUsize>,
    fails_from: usize,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Backend for Device {
    fn name(&self) -> String {
        "device".into()
    }

    fn detail(&self) -> String {
        self.described.fetch_add(1, Ordering::SeqCst);
        if self.changes() == 0 { "cold".into() } else { "warm".into() }
    }

    fn changes(&self) -> u64 {
        u64::from(self.runs.load(Ordering::SeqCst) >= WARM_FROM)
    }

    fn input_mut(&mut self) -> Result<&mut [u8]> {
        Ok(&mut self.input)
    }

    fn run(&mut self) -> Result<()> {
        if self.runs.fetch_add(1, Ordering::SeqCst) >= self.fails_from {
            return Err(Error::new(Kind::Backend, "the device is gone"));
        }
        Ok(())
    }

    fn output(&self, _: usize) -> Result<&[u8]> {
        Ok(&self.output)
    }
}

struct Made {
    model: RunningModel,
    runs: Arc<AtomicUsize>,
    described: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

fn model(number: u8, fails_from: usize) -> Made {
    let input = bytes(&[1, 4, 4, 3]);
    let [runs, described, dropped] = std::array::from_fn(|_| Arc::<AtomicUsize>::default());
    let device = Device {
        input: vec![0; 48],
        output: [number],
        runs: runs.clone(),
        described: described.clone(),
        fails_from,
        dropped: dropped.clone(),
    };
    let preprocessor = Preprocessor::new(&input, Fit::Stretch).unwrap();
    let detector =
        Detector::new(Box::new(device), preprocessor, Box::new(Reader), vec![bytes(&[1])]).unwrap();
    let about = Arc::new(ModelInfo { name: format!("model {number}"), ..ModelInfo::default() });
    Made {
        model: RunningModel { detector, labels: Arc::new(Labels::numbers(Some(9))), about },
        runs,
        described,
        dropped,
    }
}

fn start(model: RunningModel, silent: bool) -> (Pipeline, Arc<Context>, Stop) {
    let settings = SharedSettings::new(Overrides { confidence: 0.5, iou: 0.5, ..Overrides::default() });
    let context = Arc::new(Context::new(SourceInfo::default(), model.about.clone(), settings));
    let stop = Stop::new();
    let parts = Parts {
        opener: Box::new(Open { silent }),
        policy: Policy { once: false, live: false, longest_wait: LONGEST_WAIT },
        lossless: false,
        model,
        output: None,
        record: None,
        pictures: None,
        workload: Arc::default(),
        clock: Arc::new(SystemClock),
    };
    (Pipeline::start(parts, context.clone(), &stop).unwrap(), context, stop)
}

/// The class that the newest scene shows.
fn shown(context: &Context) -> u64 {
    let seen =
        context.hub.scene().map(|scene| serde_json::from_str::<serde_json::Value>(scene.json()).unwrap());
    let after = seen.map(|scene| scene["frame"]["seq"].as_u64().unwrap() + 1);
    let scene = context.hub.wait_scene(after, WAIT).expect("scenes go on");
    let scene: serde_json::Value = serde_json::from_str(scene.json()).unwrap();
    scene["frame"]["observations"][0]["class"]["index"].as_u64().unwrap()
}

#[test]
fn a_model_that_works_takes_over_and_the_one_before_is_freed() {
    let (first, second) = (model(1, usize::MAX), model(2, usize::MAX));
    let (pipeline, context, stop) = start(first.model, false);
    assert_eq!(shown(&context), 1);
    let frame = context.model_slot.frame(WAIT).expect("a copy of a frame");
    assert_eq!((frame.layout.width, frame.pixels.plane(0)), (8, (&[90u8; 64][..], 8)));
    context.model_slot.offer(second.model, WAIT).unwrap();
    assert_eq!(first.dropped.load(Ordering::SeqCst), 1);
    assert_eq!((context.status.model().name.as_str(), shown(&context)), ("model 2", 2));
    stop.set();
    pipeline.join().unwrap();
    // Nobody is left to take one.
    let error = context.model_slot.offer(model(3, usize::MAX).model, WAIT).unwrap_err();
    assert_eq!(error.to_string(), "detection has ended, so no other model can run");
    assert!(context.model_slot.frame(WAIT).is_none());
}

#[test]
fn what_runs_the_model_is_described_anew_only_where_it_says_so() {
    let made = model(1, usize::MAX);
    let (pipeline, context, stop) = start(made.model, false);
    while made.runs.load(Ordering::SeqCst) < WARM_FROM + 3 {
        shown(&context);
    }
    assert_eq!(context.status.model().backend_detail, "warm");
    assert_eq!(made.described.load(Ordering::SeqCst), 2, "once at the start, once when it changed");
    stop.set();
    pipeline.join().unwrap();
}

#[test]
fn where_the_new_model_fails_the_one_before_sees_the_same_frame() {
    let (first, second) = (model(1, usize::MAX), model(2, 0));
    let (pipeline, context, stop) = start(first.model, false);
    assert_eq!(shown(&context), 1);
    let (runs, inferred) = (first.runs.clone(), || context.stats.inferred.load(Ordering::SeqCst) as usize);
    let error = context.model_slot.offer(second.model, WAIT).unwrap_err();
    assert_eq!(error.to_string(), "the device is gone");
    assert_eq!((second.runs.load(Ordering::SeqCst), second.dropped.load(Ordering::SeqCst)), (1, 1));
    assert_eq!((context.status.model().name.as_str(), shown(&context)), ("model 1", 1));
    stop.set();
    pipeline.join().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), inferred(), "no frame was lost to the model that failed");
}

#[test]
fn without_frames_the_model_is_taken_as_it_is() {
    let (first, second) = (model(1, usize::MAX), model(2, usize::MAX));
    let (pipeline, context, stop) = start(first.model, true);
    assert!(context.model_slot.frame(Duration::from_millis(300)).is_none());
    // It does not wait for a frame: that would be an hour.
    let (told, taken) = std::sync::mpsc::channel();
    let (offered, to) = (second.model, context.clone());
    std::thread::spawn(move || told.send(to.model_slot.offer(offered, Duration::from_secs(3600))));
    taken.recv_timeout(Duration::from_secs(60)).expect("it is taken").unwrap();
    assert_eq!((context.status.model().name.as_str(), second.runs.load(Ordering::SeqCst)), ("model 2", 0));
    assert_eq!(first.dropped.load(Ordering::SeqCst), 1);
    stop.set();
    pipeline.join().unwrap();
}
