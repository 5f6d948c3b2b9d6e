//! What a source of frames is.

use std::sync::Arc;
use std::time::Duration;

use super::vdo::frame_rate::Workload;
use crate::base::error::Result;
use crate::vision::frame::Frame;

/// What a source gives next.
pub enum Next {
    Frame(Frame),
    /// None came in the time given; one may come later.
    Nothing,
    /// The source has come to its regular end.
    End,
    /// Another picture of the same device is wanted: the source is to be opened anew.
    Other,
}

/// Whether frames come at the source's own rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As the source was recorded or is sent; newest frame wins.
    Real,
    /// As fast as they are taken, none left out.
    Unpaced,
}

/// A source of frames that is open.
pub trait FrameSource: Send {
    /// The next frame, waiting for it up to `time`. `seq` and `arrived` are the caller's to set.
    ///
    /// # Errors
    /// `Kind::Source` where the source is lost or damaged; it is then of no more use.
    fn next(&mut self, time: Duration) -> Result<Next>;

    /// Starts again from the first frame, after its end.
    ///
    /// # Errors
    /// `Kind::Source` where it cannot; it is then of no more use.
    fn rewind(&mut self) -> Result<()>;

    /// Frames a second as the source declares it, where it does.
    fn frame_rate(&self) -> Option<f64>;

    /// What its frames are, where that is the source's choice: "NV12 640×360, the whole picture".
    fn detail(&self) -> Option<String> {
        None
    }

    /// From now on no more frames than detection has time for, where the source can give fewer.
    fn follow(&mut self, _: Arc<Workload>) {}
}

/// Opens a source, again and again where it is lost.
pub trait Opener: Send {
    /// Opens it.
    ///
    /// # Errors
    /// `Kind::Source` where it cannot be opened now.
    fn open(&self) -> Result<Box<dyn FrameSource>>;
}

/// Compressed pictures that the source makes by itself, for the page.
pub trait Pictures: Send {
    /// Somebody watches, or nobody does any more. Returns at once.
    fn watch(&mut self, watched: bool);

    /// The picture of the frame that was captured at this time of the source ([`Frame::pts`]), as JPEG; waits for it
    /// up to `wait` where it may still come.
    fn of(&mut self, time: Duration, wait: Duration) -> Option<Arc<[u8]>>;
}
