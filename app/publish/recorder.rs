//! What keeps the pictures of a run.

use std::time::SystemTime;

use crate::base::error::Result;
use crate::preprocess::I420Buffer;

/// Keeps the pictures with what was found drawn into them.
pub trait Recorder: Send {
    /// The size in which it takes a picture of this size.
    fn size(&self, picture: (usize, usize)) -> (usize, usize);

    /// Adds a picture that was captured then. Does not wait; what fails is told by the recorder, once.
    fn add(&mut self, picture: &I420Buffer, captured: SystemTime);

    /// Ends the recording.
    ///
    /// # Errors
    /// Where it was not kept to its end.
    fn finish(self: Box<Self>) -> Result<()>;
}
