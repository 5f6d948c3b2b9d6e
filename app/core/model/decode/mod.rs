//! Output tensors → findings, one file a head.
pub mod anchors;
mod candidates;
pub mod classification;
mod codes;
pub mod head;
pub mod nms;
pub mod raw_ssd;
pub mod segmentation;
pub mod ssd;
pub mod yolov5;

use crate::base::error::{Error, Kind, Result};
use crate::vision::detection::Detection;
use crate::vision::geometry::Rect;
use crate::vision::predictions::{Predictions, SUPPRESSED_LIMIT, Suppressed};
use crate::vision::tensor::TensorInfo;
use nms::Nms;

/// What the numbers of a score output are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Already 0..=1: a sigmoid or softmax is the last operator inside the model.
    Probabilities,
    /// Any real number.
    Logits,
}

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

/// At most so many detections a frame, as the published evaluations of YOLOv5 have it.
const MAX_DETECTIONS: usize = 300;
/// Below this confidence the run is an evaluation, where every class of a box counts.
const EVALUATION: f32 = 0.01;

impl Thresholds {
    /// For live video: the best class of each box.
    pub fn live(confidence: f32, iou: f32) -> Self {
        Self { confidence, iou, max_detections: MAX_DETECTIONS, multi_label: false }
    }

    /// For offline work: as live, but every class of a box where the confidence is that of an evaluation.
    pub fn offline(confidence: f32, iou: f32) -> Self {
        Self { multi_label: confidence < EVALUATION, ..Self::live(confidence, iou) }
    }
}

/// One output tensor after a run.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    /// What the model file says of it.
    pub info: &'a TensorInfo,
    /// Its bytes, native endian.
    pub data: &'a [u8],
}

/// Reads findings out of a model's outputs: a pure function that keeps its scratch memory.
pub trait Decoder: Send {
    /// Clears `into` and fills what the head has of it: detections best first with boxes normalised to
    /// the model's input, classes best first, or a mask of the whole input. Allocates nothing once its
    /// buffers have grown.
    ///
    /// # Errors
    /// Where an output is shorter than its shape says.
    fn decode(
        &mut self,
        outputs: &[Output<'_>],
        thresholds: &Thresholds,
        into: &mut Predictions,
    ) -> Result<()>;
}

/// Tells of the best of the boxes that NMS suppressed just now; `boxes` and their `keys` are best first.
fn tell_suppressed(nms: &Nms, boxes: &[(Rect, u32)], keys: &[u64], into: &mut Vec<Suppressed>) {
    let score = |rank: usize| candidates::score(keys[rank]).min(1.0);
    into.extend(nms.suppressed().take(SUPPRESSED_LIMIT).map(|(rank, by)| {
        let ((rect, class), (other, _)) = (boxes[rank], boxes[by]);
        let detection = Detection { class, score: score(rank), rect };
        Suppressed { detection, score: score(by), iou: rect.iou(&other) }
    }));
}

/// The output at `place`, exactly as long as its shape says.
pub(crate) fn output_at<'a>(outputs: &[Output<'a>], place: usize) -> Result<Output<'a>> {
    let mut output = *outputs.get(place).ok_or_else(|| {
        let text = format!("the model gave {} outputs, number {} is missing", outputs.len(), place + 1);
        Error::new(Kind::Backend, text)
    })?;
    let info = output.info;
    // An empty shape is set when the model runs: nothing can be said of it.
    let needed = if info.shape.is_empty() { 0 } else { info.shape.iter().product::<usize>() };
    let needed = needed.saturating_mul(info.dtype.size());
    if output.data.len() < needed {
        let text = format!("the output {info} has {} bytes, its shape needs {needed}", output.data.len());
        return Err(Error::new(Kind::Backend, text));
    }
    if needed > 0 {
        output.data = &output.data[..needed];
    }
    Ok(output)
}
