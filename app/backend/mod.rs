//! Runs one loaded model on one device.

use std::sync::Arc;

use larod::ledger::Ledger;

use crate::base::error::Result;
use crate::vision::frame::Frame;
use crate::vision::geometry::{Fit, Mapping};

pub mod edgetpu;
pub mod larod;
pub mod tflite;

/// Whether a backend can run a frame now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// The model is being loaded; the sentence says where that stands.
    Loading(String),
    /// Something failed that is being tried again; the sentence says what.
    Failed(String),
    /// It has no room for the model; tried again after minutes. The sentence says why.
    Resting(String),
    /// Only a new process helps; the sentence says why.
    Broken(String),
}

/// A model loaded on a device: bytes in, run, bytes out.
pub trait Backend: Send {
    /// What runs the model, as a person calls it ("LiteRT 2.3.0").
    fn name(&self) -> String;

    /// How it runs it ("XNNPACK, 2 threads").
    fn detail(&self) -> String;

    /// Another number whenever [`Backend::name`] or [`Backend::detail`] would say something else.
    fn changes(&self) -> u64 {
        0
    }

    /// How the devices of a camera stand with the model, where they are asked.
    fn devices(&self) -> Option<Arc<Ledger>> {
        None
    }

    /// Whether it can run a frame now. Only where it can may the other functions be called.
    ///
    /// # Errors
    /// Where it never will: the device refuses the model.
    fn readiness(&mut self) -> Result<Readiness> {
        Ok(Readiness::Ready)
    }

    /// Lets a device read the frame where it lies, or write it into the model's input, in place of
    /// [`Backend::input_mut`]; the frame must live until [`Backend::run`] returns. Says where the frame lies in the model's input, or `None` where the device
    /// cannot read this frame.
    ///
    /// # Errors
    /// Where the device fails at it; the next frame may succeed.
    fn take_frame(&mut self, _frame: &Frame, _fit: Fit) -> Result<Option<Mapping>> {
        Ok(None)
    }

    /// Bytes from one row of the input to the next, where the device leaves gaps between rows.
    fn input_pitch(&self) -> Option<usize> {
        None
    }

    /// The memory of the input tensor, to be filled before [`Backend::run`]. Its content is undefined
    /// after a run.
    ///
    /// # Errors
    /// Where the device cannot give its memory.
    fn input_mut(&mut self) -> Result<&mut [u8]>;

    /// Runs the model on what is in the input.
    ///
    /// # Errors
    /// Where the device or the runtime refuses; the next run may succeed.
    fn run(&mut self) -> Result<()>;

    /// The bytes of output `index`, in the model's order, until the next run.
    ///
    /// # Errors
    /// Where there is no such output or nothing was run.
    fn output(&self, index: usize) -> Result<&[u8]>;
}
