//! Runs one loaded model on one device.

use crate::error::Result;

pub mod choice;
pub mod edgetpu;
pub mod tflite;
pub mod tflite_shim;

/// A model loaded on a device: bytes in, run, bytes out.
pub trait Backend: Send {
    /// What runs the model, as a person calls it ("TensorFlow Lite 2.17.1").
    fn name(&self) -> String;

    /// How it runs it ("XNNPACK, 2 threads").
    fn detail(&self) -> String;

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
