//! The threads: capture, inference and publishing overlap, joined by slots that hold the newest item.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::frame_limiter::Limiter;
use super::frame_pacing::Patience;
use super::model_slot::Model;
use super::publisher::{Publisher, Recorder};
use super::stats::Stage;
use super::status::{ModelAbout, Status};
use super::watchdog::Worker;
use crate::backend::{Readiness, larod};
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use crate::base::slot::{Slot, Taken};
use crate::capture::supervisor::{Policy, Supervisor};
use crate::capture::vdo::frame_rate::Workload;
use crate::capture::{Opener, Pictures};
use crate::filter::Filter;
use crate::model::decode::Thresholds;
use crate::publish::jsonl::JsonLines;
use crate::scene::{Scene, Timing};
use crate::settings::Reader;
use crate::vision::frame::Frame;

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
    pub fn start(parts: Parts, status: Arc<Status>, stop: &Stop) -> Result<Self> {
        let Parts { opener, policy, lossless, model, output, record, pictures, workload, clock } = parts;
        let frames: Arc<Slot<Frame>> = Arc::default();
        let scenes: Arc<Slot<(Frame, Arc<Scene>)>> = Arc::default();
        let result = Arc::new(Mutex::new(Ok(())));
        let done = Stop::new();

        let publish = {
            let (scenes, done) = (scenes.clone(), done.clone());
            let publisher = Publisher::new(status.clone(), pictures, record);
            let (result, status) = (result.clone(), status.clone());
            spawn("publish", move || {
                keep(&result, publisher.run(&scenes));
                status.pulses.end(Worker::Publish);
                done.set();
            })?
        };
        let inference = {
            let (frames, status, stop) = (frames.clone(), status.clone(), stop.clone());
            let result = result.clone();
            spawn("inference", move || {
                let (patience, reader) = (Patience::default(), Reader::default());
                let filter = Filter::new(status.settings.document().tuning().clone(), &model.labels);
                let broken = None;
                let mut inference = Inference {
                    model,
                    status,
                    stop,
                    lossless,
                    output,
                    workload,
                    patience,
                    reader,
                    filter,
                    broken,
                };
                keep(&result, inference.run(&frames, &scenes));
                inference.status.exchange.close();
                inference.status.pulses.end(Worker::Inference);
                // The file is whole before the publisher reports the end.
                keep(&result, inference.output.take().map_or(Ok(()), JsonLines::finish));
                scenes.close();
            })?
        };
        let capture = {
            let (result, stop) = (result.clone(), stop.clone());
            spawn("capture", move || {
                let outcome = capture(opener.as_ref(), policy, clock, &stop, lossless, &frames, &status);
                keep(&result, outcome);
                status.pulses.end(Worker::Capture);
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
    status: &Status,
) -> Result<()> {
    let supervisor = Supervisor { opener, policy, clock, stop: stop.clone() };
    let mut picture = None;
    let (mut limiter, mut reader) = (Limiter::default(), Reader::default());
    supervisor.run(
        |frame, frame_rate| {
            let stats = &status.stats;
            stats.captured.fetch_add(1, Ordering::Relaxed);
            stats.capture_rate.add(frame.arrived);
            stats.time(Stage::Capture, frame.capture);
            let size = (frame.layout.width, frame.layout.height);
            if picture != Some((size, frame_rate)) {
                picture = Some((size, frame_rate));
                status.set_picture(size, frame_rate);
            }
            if let Some(tuning) = reader.news(&status.settings) {
                limiter.set(tuning.fps_limit);
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
        |state| status.set_source(state),
        || status.pulses.beat(Worker::Capture),
    )
}

struct Inference {
    model: Model,
    status: Arc<Status>,
    stop: Stop,
    lossless: bool,
    output: Option<JsonLines>,
    workload: Arc<Workload>,
    patience: Patience,
    reader: Reader,
    /// The settings made ready for the model.
    filter: Filter,
    /// Why only a new process helps, where that is so.
    broken: Option<String>,
}

impl Inference {
    fn run(&mut self, frames: &Slot<Frame>, scenes: &Slot<(Frame, Arc<Scene>)>) -> Result<()> {
        loop {
            self.status.pulses.beat(Worker::Inference);
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
                        self.status.stats.dropped.fetch_add(1, Ordering::Relaxed);
                        if self.status.set_backend_error(Some(error.to_string())) {
                            log::error!("{error}; trying again with the next frames");
                        }
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
        if self.lossless || frame.still || self.filter.tuning().fps_limit.is_some() {
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
        self.status.stats.dropped.fetch_add(1, Ordering::Relaxed);
        newer
    }

    fn offered(&self) -> Option<Model> {
        let exchange = &self.status.exchange;
        if exchange.is_waiting() { exchange.take() } else { None }
    }

    /// The model that runs now stays; the one before is given back.
    fn accept(&self, before: Model) {
        log::info!("model    {}", self.model.about);
        self.status.set_model(self.model.about.clone());
        self.status.exchange.answer(Ok(()), before);
    }

    /// Sees the frame with a model that is offered; where that fails, with the one before.
    fn see_with_newest_model(&mut self, frame: &Frame) -> Result<Scene> {
        if self.status.exchange.is_waiting() {
            self.status.exchange.show(frame);
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
                self.status.exchange.answer(Err(error), failed);
                self.see(frame)
            }
        }
    }

    /// Whether the model can see a frame now; if not, that is told, and the picture is shown without it.
    fn is_ready(&mut self) -> bool {
        let readiness = self.model.detector.readiness();
        let (loading, failed) = match readiness {
            Ok(Readiness::Ready) => (None, None),
            Ok(Readiness::Loading(how)) => (Some(how), None),
            Ok(Readiness::Failed(why) | Readiness::Resting(why)) => (None, Some(why)),
            Ok(Readiness::Broken(why)) => {
                self.broken = Some(why.clone());
                (None, Some(why))
            }
            Err(error) => (None, Some(error.to_string())),
        };
        let ready = loading.is_none() && failed.is_none();
        if let Some(why) = failed {
            // While the backend only says that it is ready again, nothing is known to work.
            if self.status.set_backend_error(Some(why.clone())) {
                log::error!("{why}; trying again");
            }
        }
        if ready {
            self.tell_changes();
        }
        if let Some(how) = &loading {
            // What failed before is being mended: one of the two is told.
            self.status.set_backend_error(None);
            if self.status.set_loading(loading.clone()) {
                log::info!("{how}");
            }
        } else {
            self.status.set_loading(None);
        }
        ready
    }

    /// Makes ready what was set since the frame before. Costs one atomic read where that is nothing.
    fn follow_settings(&mut self) {
        if let Some(tuning) = self.reader.news(&self.status.settings) {
            self.filter = Filter::new(tuning, &self.model.labels);
        }
        self.model.detector.set_fit(self.filter.tuning().fit);
    }

    /// Another model runs from now on; gives back the one before.
    fn exchange(&mut self, model: Model) -> Model {
        self.filter = Filter::new(self.filter.tuning().clone(), &model.labels);
        std::mem::replace(&mut self.model, model)
    }

    /// Tells how frames are fitted into the model's input, and what runs it, where that has become known or another.
    fn tell_changes(&mut self) {
        let about = &self.model.about;
        let fit = self.model.detector.input().map_or("", |input| input.fit.word());
        let Some(backend) = self.model.detector.backend() else { return };
        let (name, detail) = (backend.name(), backend.detail());
        let same_backend = (&name, &detail) == (&about.backend_name, &about.backend_detail);
        if same_backend && about.fit == fit {
            return;
        }
        // A model that is only tried is told of when it stays.
        let runs = Arc::ptr_eq(&self.status.model(), about);
        let about = ModelAbout {
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
            self.status.set_model(about.clone());
        }
    }

    fn see(&mut self, frame: &Frame) -> Result<Scene> {
        self.follow_settings();
        let tuning = self.filter.tuning().clone();
        if !self.is_ready() {
            let mut scene = Scene::of(frame, self.model.labels.clone(), tuning);
            scene.timing.queue = frame.arrived.elapsed();
            return Ok(scene);
        }
        let thresholds = Thresholds::live(self.filter.floor(), tuning.iou);
        let queue = frame.arrived.elapsed();
        let (found, times) = self.model.detector.detect(frame, &thresholds)?;
        let time = times.preprocess + times.inference + times.decode;
        self.workload.add(time);
        self.patience.detected(time);
        let mut scene = Scene::of(frame, self.model.labels.clone(), tuning);
        self.filter.run(found, &mut scene.sorted);
        scene.classes.clone_from(&found.classes);
        scene.mask.clone_from(&found.mask);
        scene.timing =
            Timing { queue, preprocess: times.preprocess, inference: times.inference, decode: times.decode };
        if self.model.about.missing.is_some() {
            return Ok(scene);
        }
        let stats = &self.status.stats;
        stats.time(Stage::Preprocess, times.preprocess);
        stats.time(Stage::Inference, times.inference);
        stats.time(Stage::Decode, times.decode);
        stats.inferred.fetch_add(1, Ordering::Relaxed);
        if !times.in_place {
            stats.copied.fetch_add(1, Ordering::Relaxed);
        }
        stats.inference_rate.add(Instant::now());
        if self.status.set_backend_error(None) {
            log::info!("inference works again");
        }
        Ok(scene)
    }
}
