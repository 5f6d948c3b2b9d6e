//! The threads: capture, inference and publishing overlap, joined by slots that hold the newest item.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::context::Context;
use super::frame_limiter::Limiter;
use super::inference::Inference;
use super::model_slot::RunningModel;
use super::publisher::Publisher;
use super::stats::Stage;
use super::watchdog::WatchedThread;
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use crate::base::slot::Slot;
use crate::capture::supervisor::{Policy, Supervisor};
use crate::capture::vdo::frame_rate::Workload;
use crate::capture::{Opener, Pictures};
use crate::publish::jsonl::JsonLines;
use crate::publish::recorder::Recorder;
use crate::scene::Scene;
use crate::settings::shared::Reader;
use crate::vision::frame::Frame;

/// What a pipeline is made of.
pub struct Parts {
    /// Opens the source.
    pub opener: Box<dyn Opener>,
    /// What to do at its end.
    pub policy: Policy,
    /// Every frame goes through the model: capture waits for it. Else the newest wins.
    pub lossless: bool,
    /// The model, loaded.
    pub model: RunningModel,
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
                context.heartbeats.end(WatchedThread::Publish);
                done.set();
            })?
        };
        let inference = {
            let (frames, context, result) = (frames.clone(), context.clone(), result.clone());
            let mut inference =
                Inference::new(model, context.clone(), stop.clone(), lossless, workload, output, &frames)?;
            spawn("inference", move || {
                keep(&result, inference.run(&frames, &scenes));
                context.model_slot.close();
                context.heartbeats.end(WatchedThread::Inference);
                // The file is whole before the publisher reports the end.
                keep(&result, inference.finish_output());
                scenes.close();
            })?
        };
        let capture = {
            let (result, stop) = (result.clone(), stop.clone());
            spawn("capture", move || {
                let outcome = capture(opener.as_ref(), policy, clock, &stop, lossless, &frames, &context);
                keep(&result, outcome);
                context.heartbeats.end(WatchedThread::Capture);
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
        || context.heartbeats.beat(WatchedThread::Capture),
    )
}
