//! The inference thread: frame → what the model finds → scene, in turn or with the next frame prepared meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::context::Context;
use super::frame_pacing::FramePacing;
use super::model_slot::RunningModel;
use super::overlap::{Cycle, Overlap};
use super::stats::Stage;
use super::status::BackendState;
use super::watchdog::WatchedThread;
use crate::backend::{Readiness, larod};
use crate::base::clock::Stop;
use crate::base::error::{Error, Kind, Result};
use crate::base::slot::{Slot, Taken};
use crate::capture::vdo::frame_rate::Workload;
use crate::detect::detector::{Prepared, StageTimes};
use crate::detect::model_info::ModelInfo;
use crate::detect::runner::Runner;
use crate::filter::Filter;
use crate::model::decode::Thresholds;
use crate::publish::jsonl::JsonLines;
use crate::scene::{Scene, Timing};
use crate::settings::shared::Reader;
use crate::vision::frame::Frame;
use crate::vision::geometry::Fit;

/// How long the thread waits for a frame before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);
/// A failing backend is tried again with the next frame, but not faster than this.
const BACKEND_WAIT: Duration = Duration::from_millis(500);

/// Frames and their scenes, on their way to whoever shows them.
type Scenes = Slot<(Frame, Arc<Scene>)>;

pub(super) struct Inference {
    model: RunningModel,
    context: Arc<Context>,
    stop: Stop,
    lossless: bool,
    output: Option<JsonLines>,
    workload: Arc<Workload>,
    pacing: FramePacing,
    reader: Reader,
    /// The settings made ready for the model.
    filter: Filter,
    /// Runs the model while the next frame is prepared.
    runner: Runner,
    overlap: Overlap,
    /// The frame that the runner has.
    running: Option<Underway>,
    /// What was told last of how the backend stands.
    backend: BackendState,
    /// Which [`Backend::changes`](crate::backend::Backend::changes) and fit were told last; none of another model.
    described: Option<(u64, Fit)>,
    /// Why only a new process helps, where that is so.
    broken: Option<String>,
}

/// A frame that was prepared.
struct Underway {
    frame: Frame,
    prepared: Prepared,
    /// How long it waited before that.
    queue: Duration,
    /// When its preparation began.
    begun: Instant,
    /// When that ended, or the model's run began.
    since: Instant,
}

impl Inference {
    /// Sees frames with this model, once it runs.
    ///
    /// # Errors
    /// `Kind::Internal` where the system gives no thread.
    pub(super) fn new(
        model: RunningModel,
        context: Arc<Context>,
        stop: Stop,
        lossless: bool,
        workload: Arc<Workload>,
        output: Option<JsonLines>,
        frames: &Arc<Slot<Frame>>,
    ) -> Result<Self> {
        let bell = frames.clone();
        let filter = Filter::new(context.settings.now(), &model.labels);
        Ok(Self {
            model,
            context,
            stop,
            lossless,
            output,
            workload,
            pacing: FramePacing::default(),
            reader: Reader::default(),
            filter,
            runner: Runner::new(move || bell.ring())?,
            overlap: Overlap::default(),
            running: None,
            backend: BackendState::default(),
            described: None,
            broken: None,
        })
    }

    /// The file of scenes is whole.
    ///
    /// # Errors
    /// Where it could not be written.
    pub(super) fn finish_output(&mut self) -> Result<()> {
        self.output.take().map_or(Ok(()), JsonLines::finish)
    }

    /// Sees frames until there are no more, or until it is told to stop.
    ///
    /// # Errors
    /// Where only a new process helps.
    pub(super) fn run(&mut self, frames: &Slot<Frame>, scenes: &Scenes) -> Result<()> {
        loop {
            self.context.heartbeats.beat(WatchedThread::Inference);
            if let Some(underway) = self.running.take() {
                self.go_on(underway, frames, scenes);
                continue;
            }
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
                Taken::Item(frame) if self.may_overlap(&frame) => {
                    let started = self.prepare(frame, false).and_then(|next| self.start(next));
                    started.unwrap_or_else(|error| self.lose_frame(&error));
                }
                Taken::Item(frame) => match self.see_with_newest_model(&frame) {
                    Ok(scene) => self.hand_on(frame, scene, scenes),
                    Err(error) => self.lose_frame(&error),
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

    fn hand_on(&mut self, frame: Frame, scene: Scene, scenes: &Scenes) {
        let scene = Arc::new(scene);
        if let Some(output) = &mut self.output {
            output.write(scene.clone(), self.lossless);
        }
        let pair = (frame, scene);
        // A scene that the publisher had no time for is not lost to the counters: it was inferred. Its viewers see the
        // newer one.
        let _ = if self.lossless { scenes.put(pair) } else { scenes.replace(pair) };
    }

    /// A frame has no result.
    fn lose_frame(&mut self, error: &Error) {
        self.context.stats.dropped.fetch_add(1, Ordering::Relaxed);
        self.tell_backend(BackendState::Failed(error.to_string()));
        self.stop.wait(BACKEND_WAIT);
    }

    /// Whether the model may run on this frame while the next is prepared.
    fn may_overlap(&mut self, frame: &Frame) -> bool {
        self.overlap.is_wanted()
            && !frame.still
            && !self.context.model_slot.is_waiting()
            && self.model.about.missing.is_none()
            && self.is_ready()
    }

    /// Makes a frame the input of the model, or of the run after this one.
    fn prepare(&mut self, frame: Frame, ahead: bool) -> Result<Underway> {
        self.follow_settings();
        let (begun, queue) = (Instant::now(), frame.arrived.elapsed());
        let detector = &mut self.model.detector;
        let prepared = if ahead { detector.prepare_ahead(&frame) } else { detector.prepare(&frame) }?;
        Ok(Underway { frame, prepared, queue, begun, since: Instant::now() })
    }

    fn start(&mut self, mut next: Underway) -> Result<()> {
        let now = Instant::now();
        // What is ready and waits for the model waits as it did before.
        next.queue += now.saturating_duration_since(next.since);
        next.since = now;
        self.model.detector.start(next.prepared, &self.runner)?;
        self.running = Some(next);
        Ok(())
    }

    /// Prepares the next frame while the model runs on this one, then lets it run on that.
    fn go_on(&mut self, underway: Underway, frames: &Slot<Frame>, scenes: &Scenes) {
        let alone = underway.prepared.in_place
            || !self.overlap.is_wanted()
            || self.stop.is_set()
            || self.context.model_slot.is_waiting();
        let next = if alone { None } else { self.prepare_next(underway.since, frames) };
        let thresholds = self.thresholds();
        let finished = self.model.detector.finish(&self.runner, &thresholds);
        // The model first: what is left to do with this frame need not keep it waiting.
        let started = match (&finished, next) {
            (Ok(_), Some(Ok(next))) if self.is_ready() => self.start(next),
            (_, Some(Ok(_))) => {
                self.context.stats.dropped.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            (_, Some(Err(error))) => Err(error),
            (_, None) => Ok(()),
        };
        let Underway { frame, queue, begun, .. } = underway;
        match finished {
            Ok(times) => {
                let scene = self.scene(&frame, queue, begun, &times);
                self.hand_on(frame, scene, scenes);
            }
            Err(error) => self.lose_frame(&error),
        }
        started.unwrap_or_else(|error| self.lose_frame(&error));
    }

    /// The newest frame that can be prepared before the run ends that began at `started`; `None` where none comes.
    fn prepare_next(&mut self, started: Instant, frames: &Slot<Frame>) -> Option<Result<Underway>> {
        if !self.lossless {
            let wait = self.overlap.latest(started).saturating_duration_since(Instant::now());
            frames.wait_for(wait, || self.runner.has_ended());
        }
        let mut next: Option<Result<Underway>> = None;
        while !self.runner.has_ended() && !self.stop.is_set() {
            let time = match &next {
                Some(_) => self.overlap.time_left(started, Instant::now()),
                None => Some(POLL),
            };
            let Some(time) = time else { break };
            frames.wait(time, || self.runner.has_ended());
            match self.take_newest(frames, Duration::ZERO, true) {
                Taken::Item(frame) => {
                    let newer = self.prepare(frame, true);
                    if let Some(Ok(_)) = next.replace(newer) {
                        self.context.stats.dropped.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Taken::Nothing if next.is_none() => {}
                Taken::Nothing | Taken::Closed => break,
            }
            if self.lossless {
                break;
            }
        }
        next
    }

    /// The frame to see now.
    fn take(&mut self, frames: &Slot<Frame>) -> Taken<Frame> {
        self.take_newest(frames, POLL, false)
    }

    /// The newest frame, for which is waited so long; and a little longer where the one after it is nearly there, though
    /// not beyond the end of a run that is under way.
    fn take_newest(&mut self, frames: &Slot<Frame>, time: Duration, runs: bool) -> Taken<Frame> {
        let taken = frames.take(time);
        let Taken::Item(frame) = &taken else { return taken };
        // Where no frame may be lost, and none grows old, there is nothing to wait for; nor where the next frame is one
        // that a limit leaves out.
        if self.lossless || frame.still || self.filter.settings().fps_limit.is_some() {
            return taken;
        }
        let begun = Instant::now();
        let wait = self.pacing.with(frame.seq, frame.arrived, begun);
        if wait.is_zero() {
            return taken;
        }
        frames.wait(wait, || runs && self.runner.has_ended());
        let newer = frames.take(Duration::ZERO);
        self.pacing.waited(begun.elapsed());
        let Taken::Item(frame) = &newer else { return taken };
        self.pacing.with(frame.seq, frame.arrived, Instant::now());
        self.context.stats.dropped.fetch_add(1, Ordering::Relaxed);
        newer
    }

    fn offered(&self) -> Option<RunningModel> {
        let exchange = &self.context.model_slot;
        if exchange.is_waiting() { exchange.take() } else { None }
    }

    /// The model that runs now stays; the one before is given back.
    fn accept(&self, before: RunningModel) {
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
    fn exchange(&mut self, model: RunningModel) -> RunningModel {
        self.filter = Filter::new(self.filter.settings().clone(), &model.labels);
        self.described = None;
        self.overlap.forget();
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
        self.overlap.forget();
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

    fn thresholds(&self) -> Thresholds {
        Thresholds::live(self.filter.floor(), self.filter.settings().iou as f32)
    }

    fn see(&mut self, frame: &Frame) -> Result<Scene> {
        self.follow_settings();
        let (begun, queue) = (Instant::now(), frame.arrived.elapsed());
        if !self.is_ready() {
            let mut scene = Scene::of(frame, self.model.labels.clone(), self.filter.settings().clone());
            scene.timing.queue = queue;
            return Ok(scene);
        }
        let thresholds = self.thresholds();
        let (_, times) = self.model.detector.detect(frame, &thresholds)?;
        Ok(self.scene(frame, queue, begun, &times))
    }

    /// What the model has found in a frame whose preparation began then.
    fn scene(&mut self, frame: &Frame, queue: Duration, begun: Instant, times: &StageTimes) -> Scene {
        let cycle =
            Cycle { preparing: times.preprocess, running: times.inference, begun, done: Instant::now() };
        let (time, settled) = self.overlap.add(cycle);
        if settled {
            let how =
                if self.overlap.is_wanted() { "while the model runs" } else { "in turn with the model" };
            log::debug!("frames are prepared {how}");
        }
        self.workload.add(time);
        self.pacing.detected(time);
        let found = self.model.detector.findings();
        let mut scene = Scene::of(frame, self.model.labels.clone(), self.filter.settings().clone());
        self.filter.run(found, &mut scene.sorted);
        scene.classes.clone_from(&found.classes);
        scene.mask.clone_from(&found.mask);
        scene.timing =
            Timing { queue, preprocess: times.preprocess, inference: times.inference, decode: times.decode };
        if self.model.about.missing.is_some() {
            return scene;
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
        scene
    }
}
