//! What the thread that talks to larod asks for: to load a model, and jobs of it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::conversion::Conversion;
use super::fault::LarodResult;
use super::ports::Ports;
use crate::vision::frame::SharedMemory;

/// What the thread is asked for.
pub enum WorkerTask {
    /// To run the model on its own memory ([`Ports::input`]).
    Own,
    /// To run the model on the memory of a frame; a descriptor of it is for whoever sees it first.
    Frame(SharedMemory, OwnedFd),
    /// To load a preprocessing model on this device, in place of the one before.
    Load(&'static str, Conversion),
    /// To write a frame into the model's own memory by the preprocessing model, as in [`WorkerTask::Frame`].
    Prepare(SharedMemory, OwnedFd),
}

impl WorkerTask {
    /// The processor can do it as well: where it fails, the model still runs.
    pub(super) fn is_preparation(&self) -> bool {
        matches!(self, Self::Load(..) | Self::Prepare(..))
    }
}

/// Loads one model. A thread whose job hangs keeps it, and the next thread asks it too.
pub trait Service: Send + Sync {
    /// Connects and loads; `loading` is told which device has begun to load.
    ///
    /// # Errors
    /// [`Remedy::Refused`](super::fault::Remedy::Refused) where no other attempt helps.
    fn load(&self, loading: &mut dyn FnMut(&str)) -> LarodResult<(Box<dyn Engine>, Ports)>;

    /// Asked after a load that failed: how long to wait, where that is not the usual time. Then a refusal is not the
    /// last word either.
    fn rest(&self) -> Option<Duration> {
        None
    }
}

/// A loaded model.
pub trait Engine {
    /// Does this.
    ///
    /// # Errors
    /// Where the service fails.
    fn run(&mut self, task: WorkerTask) -> LarodResult<()>;
}
