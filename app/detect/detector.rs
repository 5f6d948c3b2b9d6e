//! One model on one backend: frame in, detections out.

use std::time::{Duration, Instant};

use crate::backend::{Backend, Readiness};
use crate::base::error::{Error, Kind, Result};
use crate::model::decode::{Decoder, Output, Thresholds};
use crate::preprocess::{InputPicture, Preprocessor};
use crate::vision::frame::Frame;
use crate::vision::geometry::{Fit, Mapping};
use crate::vision::predictions::{Findings, Mask};
use crate::vision::tensor::TensorInfo;

/// More outputs than any head has; a fixed array of them costs no allocation per frame.
const OUTPUT_LIMIT: usize = 8;

/// How often a backend that is not ready is looked at.
const READY_POLL: Duration = Duration::from_millis(10);

/// How long the stages took.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// Frame to input tensor.
    pub preprocess: Duration,
    /// Input to output tensors.
    pub inference: Duration,
    /// Output tensors to findings in the source frame.
    pub decode: Duration,
    /// The device read the frame where it lay; else the processor wrote the input tensor.
    pub in_place: bool,
}

/// A model that is loaded and ready, with all memory it needs; or nothing, which finds nothing.
#[derive(Default)]
pub struct Detector {
    loaded: Option<Loaded>,
    findings: Findings,
}

struct Loaded {
    backend: Box<dyn Backend>,
    preprocessor: Preprocessor,
    /// How frames are fitted where nobody wants otherwise.
    fit: Fit,
    decoder: Box<dyn Decoder>,
    outputs: Vec<TensorInfo>,
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
        let fit = preprocessor.fit();
        let loaded = Loaded { backend, preprocessor, fit, decoder, outputs };
        Ok(Self { loaded: Some(loaded), findings: Findings::default() })
    }

    /// What runs the model, where there is one.
    pub fn backend(&mut self) -> Option<&mut dyn Backend> {
        // A closure would have to name the lifetime of the box.
        match &mut self.loaded {
            Some(loaded) => Some(loaded.backend.as_mut()),
            None => None,
        }
    }

    /// The picture that the model takes, where there is a model.
    pub fn input(&self) -> Option<InputPicture> {
        self.loaded.as_ref().map(|loaded| loaded.preprocessor.input())
    }

    /// How frames are fitted into the model's input from now on; without a wish as the model was loaded. Where that
    /// is another way than before, the next frame's preparation allocates.
    pub fn set_fit(&mut self, wanted: Option<Fit>) {
        if let Some(loaded) = &mut self.loaded {
            loaded.preprocessor.set_fit(wanted.unwrap_or(loaded.fit));
        }
    }

    /// Whether it can take a frame now.
    ///
    /// # Errors
    /// Where it never will.
    pub fn readiness(&mut self) -> Result<Readiness> {
        self.loaded.as_mut().map_or(Ok(Readiness::Ready), |loaded| loaded.backend.readiness())
    }

    /// Waits until it can take a frame.
    ///
    /// # Errors
    /// Where it never will, or not within `limit`: why.
    pub fn wait_until_ready(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        let mut told: Option<String> = None;
        loop {
            let why = match self.readiness()? {
                Readiness::Ready => {
                    if let (Some(_), Some(backend)) = (told, self.backend()) {
                        log::info!("backend  {} ({})", backend.name(), backend.detail());
                    }
                    return Ok(());
                }
                Readiness::Loading(why) | Readiness::Failed(why) => why,
                // Nobody waits for minutes.
                Readiness::Resting(why) => return Err(Error::new(Kind::Busy, why)),
                Readiness::Broken(why) => return Err(Error::new(Kind::Backend, why)),
            };
            if Instant::now() > end {
                return Err(Error::new(Kind::Backend, why));
            }
            if told.as_ref() != Some(&why) {
                log::info!("{why}");
                told = Some(why);
            }
            std::thread::sleep(READY_POLL);
        }
    }

    /// Finds what is in one frame; boxes and masks are relative to the frame. Without a model there is
    /// nothing.
    ///
    /// # Errors
    /// Where the frame cannot be read or the backend fails; the next frame may succeed.
    pub fn detect(&mut self, frame: &Frame, thresholds: &Thresholds) -> Result<(&Findings, StageTimes)> {
        let Some(Loaded { backend, preprocessor, decoder, outputs: infos, .. }) = &mut self.loaded else {
            return Ok((&self.findings, StageTimes::default()));
        };
        let start = Instant::now();
        let taken = backend.take_frame(frame, preprocessor.fit())?;
        let mapping = match (taken, backend.input_pitch()) {
            (Some(mapping), _) => mapping,
            (None, Some(pitch)) => preprocessor.run_pitched(frame, backend.input_mut()?, pitch)?,
            (None, None) => preprocessor.run(frame, backend.input_mut()?)?,
        };
        let prepared = Instant::now();
        backend.run()?;
        let inferred = Instant::now();
        let Some(first) = infos.first() else {
            return Err(Error::new(Kind::Model, "the model has no outputs"));
        };
        let mut outputs = [Output { info: first, data: &[] }; OUTPUT_LIMIT];
        for (index, (output, info)) in outputs.iter_mut().zip(&*infos).enumerate() {
            *output = Output { info, data: backend.output(index)? };
        }
        decoder.decode(&outputs[..infos.len()], thresholds, &mut self.findings)?;
        let Findings { detections, suppressed, mask, .. } = &mut self.findings;
        for detection in detections.iter_mut().chain(suppressed.iter_mut().map(|other| &mut other.detection))
        {
            detection.rect = mapping.to_source(&detection.rect);
        }
        // What lay in the letterbox bars alone has no area in the frame.
        detections.retain(|detection| detection.rect.is_valid());
        suppressed.retain(|suppressed| suppressed.detection.rect.is_valid());
        cut_to_frame(mask, &mapping);
        let times = StageTimes {
            preprocess: prepared - start,
            inference: inferred - prepared,
            decode: inferred.elapsed(),
            in_place: taken.is_some(),
        };
        Ok((&self.findings, times))
    }
}

/// Leaves of a mask of the model's input what lies on the frame, in place.
fn cut_to_frame(mask: &mut Mask, mapping: &Mapping) {
    mask.region = mapping.source;
    let (width, height) = (mask.width, mask.height);
    let range = |from: usize, size: usize, of: usize, cells: usize| {
        let cell = |at: usize| (at * cells + of / 2) / of.max(1);
        let end = cell(from + size).min(cells);
        cell(from).min(end)..end
    };
    let columns = range(mapping.x, mapping.width, mapping.input.0, width);
    let rows = range(mapping.y, mapping.height, mapping.input.1, height);
    if columns.len() == width && rows.len() == height {
        return;
    }
    for (to, row) in rows.clone().enumerate() {
        let from = row * width + columns.start;
        mask.classes.copy_within(from..from + columns.len(), to * columns.len());
    }
    (mask.width, mask.height) = (columns.len(), rows.len());
    mask.classes.truncate(columns.len() * rows.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(width: usize, height: usize) -> Mask {
        let classes = (0..width * height).map(|i| (i / width * 10 + i % width) as u8).collect();
        Mask { width, height, classes, ..Mask::default() }
    }

    #[test]
    fn a_mask_loses_the_bars_of_the_letterbox() {
        // A frame twice as wide as high in an input of 8x8: rows 2 to 6.
        let mapping = Mapping::new(Fit::Letterbox, (80.0, 40.0), (8, 8));
        let mut mask = numbered(8, 8);
        cut_to_frame(&mut mask, &mapping);
        assert_eq!((mask.width, mask.height), (8, 4));
        assert_eq!((mask.classes[0], mask.classes[31], mask.classes.len()), (20, 57, 32));
        let mapping = Mapping::new(Fit::Letterbox, (40.0, 80.0), (16, 16));
        let mut mask = numbered(8, 8);
        cut_to_frame(&mut mask, &mapping);
        assert_eq!((mask.width, mask.height, mask.classes[0], mask.classes[4]), (4, 8, 2, 12));
    }

    #[test]
    fn a_mask_of_the_whole_input_stays() {
        for fit in [Fit::Stretch, Fit::Crop] {
            let mapping = Mapping::new(fit, (80.0, 40.0), (8, 8));
            let mut mask = numbered(5, 3);
            cut_to_frame(&mut mask, &mapping);
            let whole = Mask { region: mapping.source, ..numbered(5, 3) };
            assert_eq!(mask, whole);
        }
        let mut none = Mask::default();
        cut_to_frame(&mut none, &Mapping::new(Fit::Letterbox, (80.0, 40.0), (8, 8)));
        assert!(none.is_empty());
    }
}
