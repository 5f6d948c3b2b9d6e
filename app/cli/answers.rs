//! A model's findings in many pictures, one after the other: what `eval` and `compare` share.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::output;
use crate::base::error::{Error, Kind, Result};
use crate::capture::still::is_still;
use crate::capture::{self, Next, Pace, SourceSpec};
use crate::detect::detector::Detector;
use crate::detect::loader::{LoadSpec, LoadedModel};
use crate::eval::files::{listed, locate};
use crate::eval::results::{Origin, Settings};
use crate::model::catalogue::hex;
use crate::model::decode::Thresholds;
use crate::model::decode::head::Head;
use crate::model::labels::Labels;
use crate::model::task::Task;
use crate::vision::frame::Frame;
use crate::vision::predictions::Predictions;

/// Pictures that are decoded ahead.
const AHEAD: usize = 2;
/// How often the progress is written.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// A picture that a model is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What it is called in results.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Pictures of these names in a folder, and the names of those that are not there.
pub fn find<'a>(folder: &Path, names: impl Iterator<Item = &'a str>) -> (Vec<Picture>, Vec<String>) {
    let (mut pictures, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match locate(folder, name) {
            Some(path) => pictures.push(Picture { name: name.to_owned(), path }),
            None => missing.push(name.to_owned()),
        }
    }
    (pictures, missing)
}

/// Checks that a folder is one.
///
/// # Errors
/// [`Kind::NotFound`] where it is none.
pub fn check_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let text = format!("there is no folder {}; give the folder of the pictures", folder.display());
    Err(Error::new(Kind::NotFound, text))
}

/// The error of pictures that are not in the folder.
pub fn not_there(missing: &[String], folder: &Path) -> Error {
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let text = format!(
        "{} {verb} not in {}; give the folder of the pictures with --images",
        listed(missing),
        folder.display()
    );
    Error::new(Kind::NotFound, text)
}

/// The overlap of suppression in an evaluation. YOLOv5's own is 0.6. Publishers of raw SSD models use 0.5
/// or 0.6; the middle gives what was recorded of the one that is at hand.
fn evaluation_iou(head: &Head) -> f32 {
    if matches!(head, Head::RawSsd { .. }) { 0.55 } else { 0.6 }
}

/// A model that answers to pictures.
pub struct Answerer {
    model: LoadedModel,
    detector: Detector,
    thresholds: Thresholds,
    /// What makes the answers.
    pub origin: Origin,
}

impl Answerer {
    /// Loads a model; `confidence` and `iou` are those of its detections. Without an `iou` it is the one
    /// that models with its head are evaluated at.
    ///
    /// # Errors
    /// Where the model cannot be found, read or run.
    pub fn open(spec: impl Into<LoadSpec>, confidence: f32, iou: Option<f32>) -> Result<Self> {
        let model = LoadedModel::open(spec)?;
        let iou = iou.unwrap_or_else(|| evaluation_iou(model.head()));
        let mut detector = model.ready_detector()?;
        let about = model.about(&mut detector);
        let settings = Settings {
            confidence,
            iou,
            fit: about.fit,
            backend: format!("{} {}", about.backend_name, about.backend_detail).trim().to_owned(),
        };
        let model_sha256 = hex(&Sha256::digest(&model.file().bytes));
        let origin = Origin { model: about.name, model_sha256, settings };
        let thresholds = Thresholds::offline(confidence, iou);
        Ok(Self { model, detector, thresholds, origin })
    }

    /// Names of the model's classes.
    pub fn labels(&self) -> &Labels {
        &self.model.labels
    }

    /// What the model is for.
    pub fn task(&self) -> Task {
        self.model.head().task()
    }

    /// Shows the model every picture, in their order, and `each` what it found in it. The next
    /// pictures are decoded meanwhile.
    ///
    /// # Errors
    /// The first error: of a picture that cannot be read, of the backend, or of `each`.
    pub fn answer(
        &mut self,
        pictures: &[Picture],
        each: impl FnMut(usize, &Frame, &Predictions, &Labels) -> Result<()>,
    ) -> Result<()> {
        self.answer_frames(pictures.len(), |index| decoded(&pictures[index].path), each)
    }

    /// As [`Answerer::answer`], with `count` frames from `frame`, which is asked for each by its number in
    /// a thread of its own.
    ///
    /// # Errors
    /// The first error: of `frame`, of the backend, or of `each`.
    pub fn answer_frames(
        &mut self,
        count: usize,
        mut frame: impl FnMut(usize) -> Result<Frame> + Send,
        mut each: impl FnMut(usize, &Frame, &Predictions, &Labels) -> Result<()>,
    ) -> Result<()> {
        let Self { model, detector, thresholds, .. } = self;
        let mut progress = Progress::new(count);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            std::thread::Builder::new()
                .name("pictures".to_owned())
                .spawn_scoped(scope, move || {
                    for index in 0..count {
                        // Whoever takes the frames has stopped at an error.
                        if sender.send(frame(index)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|error| {
                    Error::new(Kind::Internal, "cannot start a thread that reads pictures").caused_by(error)
                })?;
            for (index, frame) in receiver.into_iter().enumerate() {
                progress.at(index);
                let frame = frame?;
                let (found, _) = detector.detect(&frame, thresholds)?;
                each(index, &frame, found, &model.labels)?;
            }
            Ok(())
        })
    }
}

/// The one frame of a picture.
fn decoded(path: &Path) -> Result<Frame> {
    if !is_still(path) {
        let text = format!("{} is no picture; give JPEG, PNG, BMP or WebP files", path.display());
        return Err(Error::new(Kind::Source, text));
    }
    let mut source = capture::open(&SourceSpec::File(path.to_owned()), Pace::Unpaced)?;
    loop {
        match source.next(Duration::from_millis(100))? {
            Next::Frame(frame) => return Ok(frame),
            Next::Nothing | Next::Other => {}
            Next::End => {
                let text = format!("{} has no picture in it", path.display());
                return Err(Error::new(Kind::Source, text));
            }
        }
    }
}

/// A line on a terminal that says how far it is; nothing where standard error is no terminal.
pub(super) struct Progress {
    all: usize,
    written: Option<Instant>,
    terminal: bool,
}

impl Progress {
    /// Before the first of `all` pictures.
    pub(super) fn new(all: usize) -> Self {
        Self { all, written: None, terminal: std::io::stderr().is_terminal() }
    }

    /// At picture `index`, from 0.
    pub(super) fn at(&mut self, index: usize) {
        if self.terminal && self.written.is_none_or(|written| written.elapsed() > PROGRESS_INTERVAL) {
            self.written = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r\x1b[K  picture {} of {}", index + 1, self.all);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.written.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Prints a report: the page, or indented JSON.
///
/// # Errors
/// [`Kind::Output`] where it cannot be written.
pub fn print(page: &dyn Display, json: Option<Value>) -> Result<()> {
    let text = json.map_or_else(|| page.to_string(), |json| format!("{json:#}"));
    output::print(&[text.trim_end().to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, "text").unwrap();
        let error = decoded(&path).err().unwrap();
        assert_eq!(error.kind(), Kind::Source);
        assert!(error.to_string().ends_with("a.jpg is no picture; give JPEG, PNG, BMP or WebP files"));
    }

    #[test]
    fn missing_pictures_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), "").unwrap();
        let (pictures, missing) = find(folder.path(), ["set/a.jpg", "b.jpg"].into_iter());
        let path = folder.path().join("a.jpg");
        assert_eq!(pictures, [Picture { name: "set/a.jpg".into(), path: path.clone() }]);
        assert_eq!(
            not_there(&missing, Path::new("dir")).to_string(),
            "b.jpg is not in dir; give the folder of the pictures with --images"
        );
        let many: Vec<String> = (0..9).map(|i| format!("{i}.jpg")).collect();
        let text = not_there(&many, Path::new("dir")).to_string();
        assert!(text.starts_with("0.jpg, 1.jpg, 2.jpg and 6 more are not in dir; give"), "{text}");
        assert!(check_folder(&path).is_err() && check_folder(folder.path()).is_ok());
    }
}
