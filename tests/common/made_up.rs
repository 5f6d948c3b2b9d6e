//! Made-up frames that take time to prepare, and a device that takes time to run and says which frame it was given.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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
use spotter::model::decode::{Decoder, Output, Thresholds};
use spotter::model::labels::Labels;
use spotter::preprocess::Preprocessor;
use spotter::publish::jsonl::JsonLines;
use spotter::settings::Overrides;
use spotter::settings::shared::SharedSettings;
use spotter::vision::detection::Detection;
use spotter::vision::frame::{Frame, FrameLayout, PixelFormat, Pixels};
use spotter::vision::geometry::{Fit, Mapping, Rect};
use spotter::vision::predictions::Predictions;
use spotter::vision::tensor::{DataType, TensorInfo};

/// Frames tell their numbers by their colour, which comes around after so many.
pub const COLOURS: u64 = 250;

/// What takes how long.
#[derive(Clone, Copy)]
pub struct Times {
    /// From one frame of a live source to the next; a clip's come as fast as they are taken.
    pub interval: Option<Duration>,
    /// To read a frame's pixels, which the processor does.
    pub preparing: Duration,
    /// To run the device, while the processor rests.
    pub running: Duration,
}

/// What happens at the same time.
#[derive(Default)]
pub struct Seen {
    pub runs: AtomicUsize,
    running: AtomicBool,
    /// Frames that were read while the model ran.
    pub overlapped: AtomicUsize,
}

/// One colour, which takes time to read.
struct SlowPixels {
    bytes: Vec<u8>,
    preparing: Duration,
    seen: Arc<Seen>,
}

impl Pixels for SlowPixels {
    fn plane(&self, _: usize) -> (&[u8], usize) {
        if self.seen.running.load(Ordering::SeqCst) {
            self.seen.overlapped.fetch_add(1, Ordering::SeqCst);
        }
        let begun = Instant::now();
        while begun.elapsed() < self.preparing {
            std::hint::spin_loop();
        }
        (&self.bytes, 24)
    }
}

/// Frames up to number `last`.
struct Source {
    next: u64,
    last: u64,
    times: Times,
    /// When the first came.
    begun: Instant,
    seen: Arc<Seen>,
}

impl FrameSource for Source {
    fn next(&mut self, _: Duration) -> Result<Next> {
        if self.next > self.last {
            return Ok(Next::End);
        }
        if let Some(interval) = self.times.interval {
            let due = self.begun + interval.mul_f64(self.next as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let colour = (self.next % COLOURS) as u8;
        let pixels = SlowPixels {
            bytes: vec![colour; 24 * 8],
            preparing: self.times.preparing,
            seen: self.seen.clone(),
        };
        self.next += 1;
        Ok(Next::Frame(Frame::now(0, FrameLayout::new(PixelFormat::Rgb, 8, 8), Box::new(pixels))))
    }

    fn rewind(&mut self) -> Result<()> {
        self.next = 0;
        Ok(())
    }

    fn frame_rate(&self) -> Option<f64> {
        None
    }
}

struct Open {
    last: u64,
    times: Times,
    seen: Arc<Seen>,
}

impl Opener for Open {
    fn open(&self) -> Result<Box<dyn FrameSource>> {
        let (last, times, seen, begun) = (self.last, self.times, self.seen.clone(), Instant::now());
        Ok(Box::new(Source { next: 0, last, times, begun, seen }))
    }
}

#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Each tenth run fails.
    pub fails: bool,
    /// A run in another thread than that of the frames breaks down.
    pub breaks_down: bool,
    /// It reads frames where they lie.
    pub in_place: bool,
}

/// Gives back the colour of its input.
struct Device {
    input: [u8; 48],
    output: [u8; 1],
    running: Duration,
    faults: Faults,
    seen: Arc<Seen>,
}

impl Backend for Device {
    fn name(&self) -> String {
        "device".into()
    }

    fn detail(&self) -> String {
        String::new()
    }

    fn take_frame(&mut self, frame: &Frame, fit: Fit) -> Result<Option<Mapping>> {
        if !self.faults.in_place {
            return Ok(None);
        }
        self.input.fill(frame.pixels.plane(0).0[0]);
        Ok(Some(Mapping::new(fit, (8.0, 8.0), (4, 4))))
    }

    fn input_mut(&mut self) -> Result<&mut [u8]> {
        Ok(&mut self.input)
    }

    fn run(&mut self) -> Result<()> {
        let run = self.seen.runs.fetch_add(1, Ordering::SeqCst);
        let elsewhere = std::thread::current().name() == Some("model");
        assert!(!(self.faults.breaks_down && elsewhere), "the device breaks down");
        self.seen.running.store(true, Ordering::SeqCst);
        std::thread::sleep(self.running);
        self.seen.running.store(false, Ordering::SeqCst);
        if self.faults.fails && run % 10 == 9 {
            return Err(Error::new(Kind::Backend, "each tenth run fails"));
        }
        self.output = [self.input[0]];
        // Whoever reads it later reads something else.
        self.input.fill(255);
        Ok(())
    }

    fn output(&self, _: usize) -> Result<&[u8]> {
        Ok(&self.output)
    }
}

/// One detection whose class is the output's byte.
pub struct Reader;

impl Decoder for Reader {
    fn decode(&mut self, outputs: &[Output<'_>], _: &Thresholds, into: &mut Predictions) -> Result<()> {
        into.clear();
        let class = u32::from(outputs[0].data[0]);
        into.detections.push(Detection { class, score: 0.9, rect: Rect::new(0.0, 0.0, 1.0, 1.0) });
        Ok(())
    }
}

/// A tensor of bytes of this shape.
pub fn bytes(shape: &[usize]) -> TensorInfo {
    TensorInfo { name: "t".into(), shape: shape.to_vec(), dtype: DataType::U8, quantisation: None }
}

/// A run on such frames.
pub struct Live {
    pub pipeline: Pipeline,
    pub context: Arc<Context>,
    pub stop: Stop,
    pub seen: Arc<Seen>,
}

/// Starts a run on frames up to number `last`; its scenes are kept in `output`.
pub fn start(last: u64, times: Times, faults: Faults, output: Option<&Path>) -> Live {
    let seen = Arc::<Seen>::default();
    let device = Device { input: [0; 48], output: [0], running: times.running, faults, seen: seen.clone() };
    let preprocessor = Preprocessor::new(&bytes(&[1, 4, 4, 3]), Fit::Stretch).unwrap();
    let detector =
        Detector::new(Box::new(device), preprocessor, Box::new(Reader), vec![bytes(&[1])]).unwrap();
    let about = Arc::new(ModelInfo::default());
    let settings = SharedSettings::new(Overrides { confidence: 0.5, iou: 0.5, ..Overrides::default() });
    let context = Arc::new(Context::new(SourceInfo::default(), about.clone(), settings));
    let stop = Stop::new();
    let parts = Parts {
        opener: Box::new(Open { last, times, seen: seen.clone() }),
        policy: Policy { once: times.interval.is_none(), live: false, longest_wait: LONGEST_WAIT },
        lossless: times.interval.is_none(),
        model: RunningModel { detector, labels: Arc::new(Labels::numbers(Some(256))), about },
        output: output.map(|path| JsonLines::create(path, 100 << 20).unwrap()),
        record: None,
        pictures: None,
        workload: Arc::default(),
        clock: Arc::new(SystemClock),
    };
    let pipeline = Pipeline::start(parts, context.clone(), &stop).unwrap();
    Live { pipeline, context, stop, seen }
}
