//! One model on one backend: frame in, detections out.

use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::detection::Detection;
use crate::error::{Error, Kind, Result};
use crate::frame::Frame;
use crate::model::decode::{Decoder, Output, Thresholds};
use crate::preprocess::Preprocessor;
use crate::tensor::TensorInfo;

/// More outputs than any head has; a fixed array of them costs no allocation per frame.
const OUTPUT_LIMIT: usize = 8;

/// How long the stages took.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// Frame to input tensor.
    pub preprocess: Duration,
    /// Input to output tensors.
    pub inference: Duration,
    /// Output tensors to detections in the source frame.
    pub decode: Duration,
}

/// A model that is loaded and ready, with all memory it needs.
pub struct Detector {
    backend: Box<dyn Backend>,
    preprocessor: Preprocessor,
    decoder: Box<dyn Decoder>,
    outputs: Vec<TensorInfo>,
    detections: Vec<Detection>,
}

impl Detector {
    /// Joins a loaded model with the way into it and out of it. `outputs` are those of the model file.
    ///
    /// # Errors
    /// `Kind::Model` where the model has more outputs than any head that is known.
    pub fn new(
        backend: Box<dyn Backend>,
        preprocessor: Preprocessor,
        decoder: Box<dyn Decoder>,
        outputs: Vec<TensorInfo>,
    ) -> Result<Self> {
        if outputs.is_empty() || outputs.len() > OUTPUT_LIMIT {
            let message =
                format!("the model has {} outputs; Spotter reads 1 to {OUTPUT_LIMIT}", outputs.len());
            return Err(Error::new(Kind::Model, message));
        }
        Ok(Self { backend, preprocessor, decoder, outputs, detections: Vec::new() })
    }

    /// What runs the model.
    pub fn backend(&mut self) -> &mut dyn Backend {
        self.backend.as_mut()
    }

    /// Finds the objects of one frame: best first, normalised to the frame.
    ///
    /// # Errors
    /// Where the frame cannot be read or the backend fails; the next frame may succeed.
    pub fn detect(&mut self, frame: &Frame, thresholds: &Thresholds) -> Result<(&[Detection], StageTimes)> {
        let start = Instant::now();
        let mapping = self.preprocessor.run(frame, self.backend.input_mut()?)?;
        let prepared = Instant::now();
        self.backend.run()?;
        let inferred = Instant::now();
        let Some(first) = self.outputs.first() else {
            return Err(Error::new(Kind::Model, "the model has no outputs"));
        };
        let mut outputs = [Output { info: first, data: &[] }; OUTPUT_LIMIT];
        for (index, (output, info)) in outputs.iter_mut().zip(&self.outputs).enumerate() {
            *output = Output { info, data: self.backend.output(index)? };
        }
        self.decoder.decode(&outputs[..self.outputs.len()], thresholds, &mut self.detections)?;
        for detection in &mut self.detections {
            detection.rect = mapping.to_source(&detection.rect);
        }
        // What lay in the letterbox bars alone has no area in the frame.
        self.detections.retain(|detection| detection.rect.is_valid());
        let times = StageTimes {
            preprocess: prepared - start,
            inference: inferred - prepared,
            decode: inferred.elapsed(),
        };
        Ok((&self.detections, times))
    }
}
