//! Where a new model is handed to the inference thread, between two frames.
//!
//! Whoever switches models asks for a copy of the newest frame, tries the new model on it, and offers it.
//! The inference thread takes it before its next frame. The model before is kept until the new one has
//! gone through a frame; where it fails, the one before goes on with that very frame.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::error::{Error, Kind, Result};
use crate::detect::detector::Detector;
use crate::detect::loader::LoadedModel;
use crate::detect::model_info::ModelInfo;
use crate::model::labels::Labels;
use crate::vision::frame::Frame;

/// A model that is loaded, with all that is told of it.
pub struct RunningModel {
    /// The model on its backend.
    pub detector: Detector,
    /// Names of its classes.
    pub labels: Arc<Labels>,
    /// What a person is told of it.
    pub about: Arc<ModelInfo>,
}

impl RunningModel {
    /// Loads a model into its backend.
    ///
    /// # Errors
    /// As for [`LoadedModel::detector`].
    pub fn load(loaded: &LoadedModel) -> Result<Self> {
        let mut detector = loaded.detector()?;
        let about = Arc::new(loaded.about(&mut detector));
        Ok(Self { detector, labels: loaded.labels.clone(), about })
    }

    /// No model, and why: the picture is shown, and nothing is found in it.
    pub fn none(why: String) -> Self {
        let about = Arc::new(ModelInfo::none(why));
        Self { detector: Detector::default(), labels: Arc::default(), about }
    }
}

#[derive(Default)]
struct State {
    wanted: bool,
    frame: Option<Frame>,
    offered: Option<RunningModel>,
    /// What became of the offer, with the model that is no longer needed.
    answer: Option<(Result<()>, Box<RunningModel>)>,
    closed: bool,
}

/// Holds the model that is offered; one at a time.
#[derive(Default)]
pub struct ModelSlot {
    state: Mutex<State>,
    changed: Condvar,
    /// True where the inference thread has something to do here: it looks before every frame.
    waiting: AtomicBool,
}

impl ModelSlot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the next frame; none where none comes in time.
    pub fn frame(&self, wait: Duration) -> Option<Frame> {
        let mut state = self.lock();
        state.wanted = true;
        self.waiting.store(true, Ordering::Release);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, wait, |state| state.frame.is_none() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.wanted = false;
        state.frame.take()
    }

    /// Hands over a model, and waits until it has gone through a frame; where no frames come, until the
    /// inference thread has it.
    ///
    /// # Errors
    /// What the model failed with, the one before then runs on; [`Kind::Busy`] where the inference thread
    /// does not take it in time or has ended.
    pub fn offer(&self, model: RunningModel, wait: Duration) -> Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::new(Kind::Busy, "detection has ended, so no other model can run"));
        }
        (state.offered, state.answer) = (Some(model), None);
        self.waiting.store(true, Ordering::Release);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, wait, |state| state.answer.is_none() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        match state.answer.take() {
            Some((outcome, unneeded)) => {
                drop(state);
                // Freeing a model takes a while; here nobody waits for it.
                drop(unneeded);
                outcome
            }
            None => {
                state.offered = None;
                Err(Error::new(Kind::Busy, "detection did not take the model in time; try again"))
            }
        }
    }

    /// True where [`ModelSlot::take`] or [`ModelSlot::show`] have something to do: one atomic read.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// The inference thread's: the model that is offered.
    pub fn take(&self) -> Option<RunningModel> {
        let mut state = self.lock();
        self.waiting.store(state.wanted, Ordering::Release);
        state.offered.take()
    }

    /// The inference thread's: copies the frame where somebody asked for one.
    pub fn show(&self, frame: &Frame) {
        let mut state = self.lock();
        if state.wanted {
            state.frame = Some(frame.copied());
            state.wanted = false;
            self.waiting.store(state.offered.is_some(), Ordering::Release);
            self.changed.notify_all();
        }
    }

    /// The inference thread's: what became of the model that it took, and the one that is not needed any
    /// more.
    pub fn answer(&self, outcome: Result<()>, unneeded: RunningModel) {
        self.lock().answer = Some((outcome, Box::new(unneeded)));
        self.changed.notify_all();
    }

    /// The inference thread has ended.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}
