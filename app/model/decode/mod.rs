//! Output tensors → detections, one file a head.
use crate::detection::Detection;
use crate::error::Result;
use crate::tensor::TensorInfo;

/// What a decoder keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Detections with a lower score are left out.
    pub confidence: f32,
    /// Of two boxes of one class that overlap more than this, the weaker one is suppressed.
    pub iou: f32,
    /// At most so many detections a frame.
    pub max_detections: usize,
    /// Every class of a box above the confidence is a detection, not only the best (evaluation).
    pub multi_label: bool,
}

/// One output tensor after a run.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    /// What the model file says of it.
    pub info: &'a TensorInfo,
    /// Its bytes, native endian.
    pub data: &'a [u8],
}

/// Reads detections out of a model's outputs: a pure function that keeps its scratch memory.
pub trait Decoder: Send {
    /// Clears `into` and fills it, best first, with boxes normalised to the model's input.
    /// Allocates nothing once its buffers have grown.
    ///
    /// # Errors
    /// Where an output is shorter than its shape says.
    fn decode(
        &mut self,
        outputs: &[Output<'_>],
        thresholds: &Thresholds,
        into: &mut Vec<Detection>,
    ) -> Result<()>;
}
