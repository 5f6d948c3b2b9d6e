//! The threads: capture, inference and publishing overlap, joined by slots that hold the newest item.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::context::Context;
use super::frame_limiter::Limiter;
use super::frame_pacing::Patience;
use super::model_slot::Model;
use super::publisher::Publisher;
use super::stats::Stage;
use super::status::BackendState;
use super::watchdog::Worker;
use crate::backend::{Readiness, larod};
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use crate::base::slot::{Slot, Taken};
use crate::capture::supervisor::{Policy, Supervisor};
use crate::capture::vdo::frame_rate::Workload;
use crate::capture::{Opener, Pictures};
use crate::detect::model_info::ModelInfo;
use crate::filter::Filter;
use crate::model::decode::Thresholds;
use crate::publish::jsonl::JsonLines;
use crate::publish::recorder::Recorder;
use crate::scene::{Scene, Timing};
use crate::settings::shared::Reader;
use crate::vision::frame::Frame;
use crate::vision::geometry::Fit;

/// How long the inference thread waits for a frame before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);
/// A failing backend is tried again with the next frame, but not faster than this.
const BACKEND_WAIT: Duration = Duration::from_millis(500);

/// What a pipeline is made of.
pub struct Parts {
    /// Opens the source.
    pub opener: Box<dyn Opener>,
    /// What to do at its end.
    pub policy: Policy,
    /// Every frame goes through the model: capture waits for it. Else the newest wins.
    pub lossless: bool,
    /// The model, loaded.
    pub model: Model,
    /// A file for the scenes.
    pub output: Option<JsonLines>,
    /// Keeps the pictures with what was found drawn in.
    pub record: Option<Box<dyn Recorder>>,
    /// Pictures that the source makes by itself.
    pub pictures: Option<Box<dyn Pictures>>,
    /// Where it is told how long detection takes.
    pub workload: Arc<Workload>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A running pipeline.
pub struct Pipeline {
    threads: Vec<JoinHandle<()>>,
    result: Arc<Mutex<Result<()>>>,
    /// Set when all threads have ended.
    pub done: Stop,
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        Error::new(Kind::Internal, format!("cannot start the {name} thread")).caused_by(error)
    })
}

/// Keeps the first error.
fn keep(result: &Mutex<Result<()>>, outcome: Result<()>) {
    let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
    if result.is_ok() {
        *result = outcome;
    }
}

impl Pipeline {
    /// Starts the threads. They end by themselves when the source has ended for good, or when `stop` is
    /// set.
    ///
    /// # Errors
    /// `Kind::Internal` where the system gives no thread.
    pub fn start(parts: Parts, context: Arc<Context>, stop: &Stop) -> Result<Self> {
        let Parts { opener, policy, lossless, model, output, record, pictures, workload, clock } = parts;
        let frames: Arc<Slot<Frame>> = Arc::default();
        let scenes: Arc<Slot<(Frame, Arc<Scene>)>> = Arc::default();
        let result = Arc::new(Mutex::new(Ok(())));
        let done = Stop::new();

        let publish = {
            let (scenes, done) = (scenes.clone(), done.clone());
            let publisher = Publisher::new(context.clone(), pictures, record);
            let (result, context) = (result.clone(), context.clone());
            spawn("publish", move || {
                keep(&result, publisher.run(&scenes));
                context.heartbeats.end(Worker::Publish);
                done.set();
            })?
        };
        let inference = {
            let (frames, context, stop) = (frames.clone(), context.clone(), stop.clone());
            let result = result.clone();
            spawn("inference", move || {
                let (patience, reader) = (Patience::default(), Reader::default());
                let filter = Filter::new(context.settings.now(), &model.labels);
                let mut inference = Inference {
                    model,
                    context,
                    stop,
                    lossless,
                    output,
                    workload,
                    patience,
                    reader,
                    filter,
                    backend: BackendState::default(),
                    described: None,
                    broken: None,
                };
                keep(&result, inference.run(&frames, &scenes));
                inference.context.model_slot.close();
                inference.context.heartbeats.end(Worker::Inference);
                // The file is whole before the publisher reports the end.
                keep(&result, inference.output.take().map_or(Ok(()), JsonLines::finish));
                scenes.close();
            })?
        };
        let capture = {
            let (result, stop) = (result.clone(), stop.clone());
            spawn("capture", move || {
                let outcome = capture(opener.as_ref(), policy, clock, &stop, lossless, &frames, &context);
                keep(&result, outcome);
                context.heartbeats.end(Worker::Capture);
                frames.close();
            })?
        };
        Ok(Self { threads: vec![capture, inference, publish], result, done })
    }

    /// The error that one of the threads ended with so far; without waiting for the others.
    ///
    /// # Errors
    /// That one.
    pub fn outcome(&self) -> Result<()> {
        std::mem::replace(&mut *self.result.lock().unwrap_or_else(PoisonError::into_inner), Ok(()))
    }

    /// Waits for the threads to end.
    ///
    /// # Errors
    /// The first error that ended one of them.
    pub fn join(mut self) -> Result<()> {
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or("a").to_owned();
            if thread.join().is_err() {
                keep(&self.result, Err(Error::new(Kind::Internal, format!("the {name} thread broke down"))));
            }
        }
        self.outcome()
    }
}

fn capture(
    opener: &dyn Opener,
    policy: Policy,
    clock: Arc<dyn Clock>,
    stop: &Stop,
    lossless: bool,
    frames: &Slot<Frame>,
    context: &Context,
) -> Result<()> {
    let supervisor = Supervisor { opener, policy, clock, stop: stop.clone() };
    let mut picture = None;
    let (mut limiter, mut reader) = (Limiter::default(), Reader::default());
    supervisor.run(
        |frame, frame_rate| {
            let stats = &context.stats;
            stats.captured.fetch_add(1, Ordering::Relaxed);
            stats.capture_rate.add(frame.arrived);
            stats.time(Stage::Capture, frame.capture);
            let size = (frame.layout.width, frame.layout.height);
            if picture != Some((size, frame_rate)) {
                picture = Some((size, frame_rate));
                context.status.set_picture(size, frame_rate);
            }
            if let Some(settings) = reader.news(&context.settings) {
                limiter.set(settings.fps_limit);
            }
            if !limiter.takes(frame.arrived) {
                stats.skipped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let left_over = if lossless { frames.put(frame) } else { frames.replace(frame) };
            // What a stop leaves in a slot was not dropped for want of time.
            if left_over.is_some() && !stop.is_set() {
                stats.dropped.fetch_add(1, Ordering::Relaxed);
            }
        },
        |state| context.status.set_source(state),
        || context.heartbeats.beat(Worker::Capture),
    )
}

struct Inference {
    model: Model,
    context: Arc<Context>,
    stop: Stop,
    lossless: bool,
    output: Option<JsonLines>,
    workload: Arc<Workload>,
    patience: Patience,
    reader: Reader,
    /// The settings made ready for the model.
    filter: Filter,
    /// What was told last of how the backend stands.
    backend: BackendState,
    /// Which [`Backend::changes`](crate::backend::Backend::changes) and fit were told last; none of another model.
    described: Option<(u64, Fit)>,
    /// Why only a new process helps, where that is so.
    broken: Option<String>,
}

impl Inference {
    fn run(&mut self, frames: &Slot<Frame>, scenes: &Slot<(Frame, Arc<Scene>)>) -> Result<()> {
        loop {
            self.context.heartbeats.beat(Worker::Inference);
            // On a stop, frames that wait are left; capture may be blocked on handing one over.
            if self.stop.is_set() {
                frames.close();
                return Ok(());
            }
            if let Some(why) = self.broken.take() {
                self.stop.set();
                frames.close();
                return Err(Error::new(Kind::Backend, why));
            }
            match self.take(frames) {
                Taken::Item(frame) => match self.see_with_newest_model(&frame) {
                    Ok(scene) => {
                        let scene = Arc::new(scene);
                        if let Some(output) = &mut self.output {
                            output.write(scene.clone(), self.lossless);
                        }
                        let pair = (frame, scene);
                        // A scene that the publisher had no time for is not lost to the counters: it was
                        // inferred. Its viewers see the newer one.
                        let _ = if self.lossless { scenes.put(pair) } else { scenes.replace(pair) };
                    }
                    Err(error) => {
                        self.context.stats.dropped.fetch_add(1, Ordering::Relaxed);
                        self.tell_backend(BackendState::Failed(error.to_string()));
                        self.stop.wait(BACKEND_WAIT);
                    }
                },
                // Without frames there is nothing to try a new model on.
                Taken::Nothing => {
                    if let Some(offered) = self.offered() {
                        let before = self.exchange(offered);
                        self.accept(before);
                    }
                }
                Taken::Closed => return Ok(()),
            }
        }
    }

    /// The frame to see now.
    fn take(&mut self, frames: &Slot<Frame>) -> Taken<Frame> {
        let taken = frames.take(POLL);
        let Taken::Item(frame) = &taken else { return taken };
        // Where no frame may be lost, and none grows old, there is nothing to wait for; nor where the next frame is one
        // that a limit leaves out.
        if self.lossless || frame.still || self.filter.settings().fps_limit.is_some() {
            return taken;
        }
        let begun = Instant::now();
        let wait = self.patience.with(frame.seq, frame.arrived, begun);
        if wait.is_zero() {
            return taken;
        }
        let newer = frames.take(wait);
        self.patience.waited(begun.elapsed());
        let Taken::Item(frame) = &newer else { return taken };
        self.patience.with(frame.seq, frame.arrived, Instant::now());
        self.context.stats.dropped.fetch_add(1, Ordering::Relaxed);
        newer
    }

    fn offered(&self) -> Option<Model> {
        let exchange = &self.context.model_slot;
        if exchange.is_waiting() { exchange.take() } else { None }
    }

    /// The model that runs now stays; the one before is given back.
    fn accept(&self, before: Model) {
        log::info!("model    {}", self.model.about);
        self.context.status.set_model(self.model.about.clone());
        self.context.model_slot.answer(Ok(()), before);
    }

    /// Sees the frame with a model that is offered; where that fails, with the one before.
    fn see_with_newest_model(&mut self, frame: &Frame) -> Result<Scene> {
        if self.context.model_slot.is_waiting() {
            self.context.model_slot.show(frame);
        }
        let Some(offered) = self.offered() else { return self.see(frame) };
        let before = self.exchange(offered);
        match self.see(frame) {
            Ok(scene) => {
                self.accept(before);
                Ok(scene)
            }
            Err(error) => {
                let failed = self.exchange(before);
                log::warn!("{} failed ({error}); {} runs on", failed.about.title, self.model.about.title);
                self.context.model_slot.answer(Err(error), failed);
                self.see(frame)
            }
        }
    }

    /// Whether the model can see a frame now; if not, that is told, and the picture is shown without it.
    fn is_ready(&mut self) -> bool {
        let state = match self.model.detector.readiness() {
            Ok(Readiness::Ready) => {
                // While a backend that failed only says that it is ready again, nothing is known to work.
                if let BackendState::Loading(_) = self.backend {
                    self.tell_backend(BackendState::Works);
                }
                self.tell_changes();
                return true;
            }
            Ok(Readiness::Loading(how)) => BackendState::Loading(how),
            Ok(Readiness::Failed(why) | Readiness::Resting(why)) => BackendState::Failed(why),
            Ok(Readiness::Broken(why)) => {
                self.broken = Some(why.clone());
                BackendState::Failed(why)
            }
            Err(error) => BackendState::Failed(error.to_string()),
        };
        self.tell_backend(state);
        false
    }

    /// Tells how the backend stands, where that is not as it was told last.
    fn tell_backend(&mut self, state: BackendState) {
        use BackendState::{Failed, Loading, Works};
        if state == self.backend {
            return;
        }
        match (&self.backend, &state) {
            // Once, whatever else it says meanwhile.
            (Failed(_), Failed(_)) => {}
            (_, Failed(why)) => log::error!("{why}; trying again"),
            (_, Loading(how)) => log::info!("{how}"),
            (Failed(_), Works) => log::info!("inference works again"),
            (_, Works) => {}
        }
        self.context.status.set_backend(state.clone());
        self.backend = state;
    }

    /// Makes ready what was set since the frame before. Costs one atomic read where that is nothing.
    fn follow_settings(&mut self) {
        if let Some(settings) = self.reader.news(&self.context.settings) {
            self.filter = Filter::new(settings, &self.model.labels);
        }
        self.model.detector.set_fit(self.filter.settings().fit.fit());
    }

    /// Another model runs from now on; gives back the one before.
    fn exchange(&mut self, model: Model) -> Model {
        self.filter = Filter::new(self.filter.settings().clone(), &model.labels);
        self.described = None;
        std::mem::replace(&mut self.model, model)
    }

    /// Tells how frames are fitted into the model's input, and what runs it, where that has become known or another.
    fn tell_changes(&mut self) {
        let Some(fit) = self.model.detector.input().map(|input| input.fit) else { return };
        let Some(backend) = self.model.detector.backend() else { return };
        let described = Some((backend.changes(), fit));
        if self.described == described {
            return;
        }
        self.described = described;
        let (about, fit) = (&self.model.about, fit.word());
        let (name, detail) = (backend.name(), backend.detail());
        let same_backend = (&name, &detail) == (&about.backend_name, &about.backend_detail);
        if same_backend && about.fit == fit {
            return;
        }
        // A model that is only tried is told of when it stays.
        let runs = Arc::ptr_eq(&self.context.status.model(), about);
        let about = ModelInfo {
            fit: fit.to_owned(),
            backend_name: name,
            backend_detail: detail,
            chip: larod::known_chip(),
            ..(**about).clone()
        };
        self.model.about = Arc::new(about);
        if runs {
            let about = &self.model.about;
            if !same_backend {
                log::info!("backend  {} ({})", about.backend_name, about.backend_detail);
            }
            self.context.status.set_model(about.clone());
        }
    }

    fn see(&mut self, frame: &Frame) -> Result<Scene> {
        self.follow_settings();
        let settings = self.filter.settings().clone();
        if !self.is_ready() {
            let mut scene = Scene::of(frame, self.model.labels.clone(), settings);
            scene.timing.queue = frame.arrived.elapsed();
            return Ok(scene);
        }
        let thresholds = Thresholds::live(self.filter.floor(), settings.iou as f32);
        let queue = frame.arrived.elapsed();
        let (found, times) = self.model.detector.detect(frame, &thresholds)?;
        let time = times.preprocess + times.inference + times.decode;
        self.workload.add(time);
        self.patience.detected(time);
        let mut scene = Scene::of(frame, self.model.labels.clone(), settings);
        self.filter.run(found, &mut scene.sorted);
        scene.classes.clone_from(&found.classes);
        scene.mask.clone_from(&found.mask);
        scene.timing =
            Timing { queue, preprocess: times.preprocess, inference: times.inference, decode: times.decode };
        if self.model.about.missing.is_some() {
            return Ok(scene);
        }
        let stats = &self.context.stats;
        stats.time(Stage::Preprocess, times.preprocess);
        stats.time(Stage::Inference, times.inference);
        stats.time(Stage::Decode, times.decode);
        stats.inferred.fetch_add(1, Ordering::Relaxed);
        if !times.in_place {
            stats.copied.fetch_add(1, Ordering::Relaxed);
        }
        stats.inference_rate.add(Instant::now());
        self.tell_backend(BackendState::Works);
        Ok(scene)
    }
}
