//! One model on one backend: frame in, detections out.

use std::time::{Duration, Instant};

use super::runner::Runner;
use crate::backend::{Backend, Readiness};
use crate::base::error::{Error, Kind, Result};
use crate::model::decode::{Decoder, Output, Thresholds};
use crate::preprocess::{InputPicture, Preprocessor};
use crate::vision::frame::Frame;
use crate::vision::geometry::{Fit, Mapping};
use crate::vision::predictions::{Mask, Predictions};
use crate::vision::tensor::TensorInfo;

/// More outputs than any head has; a fixed array of them costs no allocation per frame.
const OUTPUT_LIMIT: usize = 8;

/// How often a backend that is not ready is looked at.
const READY_POLL: Duration = Duration::from_millis(10);

/// A backend that broke down in another thread is gone.
const LOST: &str = "the thread that runs the model broke down; Spotter ends, to be started anew";

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

/// A frame that has become input.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// Where the frame lies in the input.
    mapping: Mapping,
    /// How long that took.
    pub time: Duration,
    /// A device reads or wrote the frame by itself.
    pub in_place: bool,
    /// It lies in the second input.
    ahead: bool,
}

/// A model that is loaded and ready, with all memory it needs; or nothing, which finds nothing.
#[derive(Default)]
pub struct Detector {
    loaded: Option<Loaded>,
    findings: Predictions,
}

struct Loaded {
    /// None while a [`Runner`] has it.
    backend: Option<Box<dyn Backend>>,
    /// Of the frame that the runner runs.
    running: Option<Prepared>,
    /// A second input, for the frame after the one that runs; empty until one is prepared ahead.
    ahead: Vec<u8>,
    /// Bytes of the backend's input and of its rows, as they were when a frame was last written there.
    room: Option<(usize, Option<usize>)>,
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
        let (backend, running, ahead, room) = (Some(backend), None, Vec::new(), None);
        let loaded = Loaded { backend, running, ahead, room, preprocessor, fit, decoder, outputs };
        Ok(Self { loaded: Some(loaded), findings: Predictions::default() })
    }

    /// What runs the model, where there is one and no [`Runner`] has it.
    pub fn backend(&mut self) -> Option<&mut dyn Backend> {
        // A closure would have to name the lifetime of the box.
        match self.loaded.as_mut().and_then(|loaded| loaded.backend.as_mut()) {
            Some(backend) => Some(backend.as_mut()),
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
        match &mut self.loaded {
            None => Ok(Readiness::Ready),
            Some(Loaded { backend: Some(backend), .. }) => backend.readiness(),
            Some(Loaded { running: Some(_), .. }) => Ok(Readiness::Ready),
            Some(_) => Ok(Readiness::Broken(LOST.to_owned())),
        }
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
    pub fn detect(&mut self, frame: &Frame, thresholds: &Thresholds) -> Result<(&Predictions, StageTimes)> {
        let Some(loaded) = &mut self.loaded else { return Ok((&self.findings, StageTimes::default())) };
        let prepared = loaded.prepare(frame)?;
        let start = Instant::now();
        loaded.home()?.run()?;
        let inference = start.elapsed();
        let decode = loaded.decode(&prepared.mapping, thresholds, &mut self.findings)?;
        let Prepared { time: preprocess, in_place, .. } = prepared;
        Ok((&self.findings, StageTimes { preprocess, inference, decode, in_place }))
    }

    /// Writes a frame into the model's input; [`Detector::start`] runs it.
    ///
    /// # Errors
    /// Where there is no model, or the frame cannot be read, or the backend fails; the next frame may succeed.
    pub fn prepare(&mut self, frame: &Frame) -> Result<Prepared> {
        self.loaded()?.prepare(frame)
    }

    /// Writes a frame into the second input, while another one runs. Only where frames are written by the processor
    /// ([`Prepared::in_place`] of the one before).
    ///
    /// # Errors
    /// As for [`Detector::prepare`].
    pub fn prepare_ahead(&mut self, frame: &Frame) -> Result<Prepared> {
        self.loaded()?.prepare_ahead(frame)
    }

    /// Lets the runner run the model on a frame that was prepared.
    ///
    /// # Errors
    /// Where the backend has another input than when the frame was prepared, or fails.
    pub fn start(&mut self, prepared: Prepared, runner: &Runner) -> Result<()> {
        let loaded = self.loaded()?;
        if prepared.ahead {
            loaded.bring_home()?;
        }
        if let Some(backend) = loaded.backend.take() {
            loaded.running = Some(prepared);
            runner.start(backend);
        }
        Ok(())
    }

    /// Waits for the runner, and finds what is in the frame that it ran ([`Detector::findings`]), as
    /// [`Detector::detect`] does.
    ///
    /// # Errors
    /// Where the backend fails; the next frame may succeed.
    pub fn finish(&mut self, runner: &Runner, thresholds: &Thresholds) -> Result<StageTimes> {
        let Some(loaded) = &mut self.loaded else { return Err(nothing_loaded()) };
        let Some(prepared) = loaded.running.take() else { return Err(nothing_loaded()) };
        let run = runner.finish()?;
        loaded.backend = Some(run.backend);
        run.outcome?;
        let decode = loaded.decode(&prepared.mapping, thresholds, &mut self.findings)?;
        let Prepared { time: preprocess, in_place, .. } = prepared;
        Ok(StageTimes { preprocess, inference: run.ended - run.begun, decode, in_place })
    }

    /// What was found last.
    pub fn findings(&self) -> &Predictions {
        &self.findings
    }

    fn loaded(&mut self) -> Result<&mut Loaded> {
        self.loaded.as_mut().ok_or_else(nothing_loaded)
    }
}

fn nothing_loaded() -> Error {
    Error::new(Kind::Internal, "there is no model that could run")
}

/// Frame to input, whose rows lie `pitch` bytes apart where they have gaps.
fn write(
    preprocessor: &mut Preprocessor,
    frame: &Frame,
    into: &mut [u8],
    pitch: Option<usize>,
) -> Result<Mapping> {
    match pitch {
        Some(pitch) => preprocessor.run_pitched(frame, into, pitch),
        None => preprocessor.run(frame, into),
    }
}

impl Loaded {
    /// The backend, which is here while nothing runs.
    fn home(&mut self) -> Result<&mut dyn Backend> {
        match &mut self.backend {
            Some(backend) => Ok(backend.as_mut()),
            None => Err(Error::new(Kind::Backend, LOST)),
        }
    }

    fn prepare(&mut self, frame: &Frame) -> Result<Prepared> {
        let start = Instant::now();
        let Self { backend: Some(backend), preprocessor, .. } = self else {
            return Err(Error::new(Kind::Backend, LOST));
        };
        let taken = backend.take_frame(frame, preprocessor.fit())?;
        let mapping = match taken {
            Some(mapping) => mapping,
            None => {
                let pitch = backend.input_pitch();
                let input = backend.input_mut()?;
                self.room = Some((input.len(), pitch));
                write(preprocessor, frame, input, pitch)?
            }
        };
        Ok(Prepared { mapping, time: start.elapsed(), in_place: taken.is_some(), ahead: false })
    }

    fn prepare_ahead(&mut self, frame: &Frame) -> Result<Prepared> {
        let start = Instant::now();
        let Some((bytes, pitch)) = self.room else { return Err(nothing_loaded()) };
        self.ahead.resize(bytes, 0);
        let mapping = write(&mut self.preprocessor, frame, &mut self.ahead, pitch)?;
        Ok(Prepared { mapping, time: start.elapsed(), in_place: false, ahead: true })
    }

    /// Copies the second input to where the backend reads it. That costs some microseconds, and no backend needs to know
    /// of two inputs.
    fn bring_home(&mut self) -> Result<()> {
        let Self { backend: Some(backend), ahead, room, .. } = self else {
            return Err(Error::new(Kind::Backend, LOST));
        };
        let pitch = backend.input_pitch();
        let input = backend.input_mut()?;
        if *room != Some((input.len(), pitch)) || ahead.len() != input.len() {
            return Err(Error::new(
                Kind::Backend,
                "the model was loaded anew while a frame was prepared for it",
            ));
        }
        input.copy_from_slice(ahead);
        Ok(())
    }

    /// Reads the outputs into findings of the source frame; says how long that took.
    fn decode(
        &mut self,
        mapping: &Mapping,
        thresholds: &Thresholds,
        findings: &mut Predictions,
    ) -> Result<Duration> {
        let start = Instant::now();
        let Self { backend: Some(backend), decoder, outputs: infos, .. } = self else {
            return Err(Error::new(Kind::Backend, LOST));
        };
        let Some(first) = infos.first() else {
            return Err(Error::new(Kind::Model, "the model has no outputs"));
        };
        let mut outputs = [Output { info: first, data: &[] }; OUTPUT_LIMIT];
        for (index, (output, info)) in outputs.iter_mut().zip(&*infos).enumerate() {
            *output = Output { info, data: backend.output(index)? };
        }
        decoder.decode(&outputs[..infos.len()], thresholds, findings)?;
        let Predictions { detections, suppressed, mask, .. } = findings;
        for detection in detections.iter_mut().chain(suppressed.iter_mut().map(|other| &mut other.detection))
        {
            detection.rect = mapping.to_source(&detection.rect);
        }
        // What lay in the letterbox bars alone has no area in the frame.
        detections.retain(|detection| detection.rect.is_valid());
        suppressed.retain(|suppressed| suppressed.detection.rect.is_valid());
        cut_to_frame(mask, mapping);
        Ok(start.elapsed())
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
