//! `spotter eval`: how good a model is on pictures whose content is known.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use super::answers::{self, Answerer, Picture};
use super::{ModelArgs, share};
use crate::error::{Error, Kind, Result};
use crate::eval::annotations::Annotations;
use crate::eval::categories::ClassMap;
use crate::eval::classification::{self, Accuracy};
use crate::eval::coco;
use crate::eval::files::listed;
use crate::eval::matching::Found;
use crate::eval::report::{ClassificationReport, DetectionReport, Run};
use crate::eval::results::{Answer, Writer};
use crate::findings::Findings;
use crate::frame::Frame;
use crate::model::catalogue::Task;

/// The published evaluations take everything above this score.
const CONFIDENCE: f32 = 0.001;

/// Arguments of `spotter eval`.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    /// The folder of the pictures
    #[arg(long, value_name = "DIR")]
    pub images: PathBuf,
    /// What is in the pictures, in COCO's format: boxes
    #[arg(long, value_name = "COCO.json", required_unless_present = "truth", conflicts_with = "truth")]
    pub annotations: Option<PathBuf>,
    /// What the pictures are: {"picture.jpg": class or label, …}
    #[arg(long, value_name = "FILE.json")]
    pub truth: Option<PathBuf>,
    /// Precision and recall are of detections from this score, 0 to 1. The other figures are of all
    /// detections
    #[arg(long = "conf", value_name = "SCORE", default_value_t = 0.5, value_parser = share)]
    pub confidence: f32,
    /// Overlap above which the weaker of two boxes of a class is left out, 0 to 1 [default: 0.6, for raw
    /// SSD 0.55]
    #[arg(long, value_name = "IOU", value_parser = share)]
    pub iou: Option<f32>,
    /// Leave out pictures that are not there, instead of ending with an error
    #[arg(long)]
    pub allow_missing: bool,
    /// Write the answers to each picture into this file, for spotter compare
    #[arg(long, value_name = "FILE.json")]
    pub save: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows the model the pictures and prints how good it is.
///
/// # Errors
/// Where the pictures, what is said of them, or the model cannot be used.
pub fn eval(args: &EvalArgs) -> Result<()> {
    answers::check_folder(&args.images)?;
    match (&args.annotations, &args.truth) {
        (Some(annotations), _) => detection(args, annotations),
        (None, Some(truth)) => whole_pictures(args, truth),
        (None, None) => Err(Error::new(Kind::Usage, "give --annotations for boxes or --truth for classes")),
    }
}

/// Pictures of these names; those that are not there end the evaluation, or are left out where the user
/// said so.
fn pictures<'a>(
    args: &EvalArgs,
    names: impl Iterator<Item = &'a str>,
) -> Result<(Vec<Picture>, Vec<String>)> {
    let (pictures, missing) = answers::find(&args.images, names);
    if pictures.is_empty() || !(missing.is_empty() || args.allow_missing) {
        let more = if pictures.is_empty() { "" } else { ", or leave them out with --allow-missing" };
        let error = answers::not_there(&missing, &args.images);
        return Err(Error::new(error.kind(), format!("{}{more}", error.message())));
    }
    Ok((pictures, missing))
}

/// What was evaluated, for the report.
fn run_of(answerer: &Answerer, truth: &Path, images: usize, missing: Vec<String>, started: Instant) -> Run {
    Run {
        model: answerer.origin.model.clone(),
        backend: answerer.origin.settings.backend.clone(),
        truth: truth.display().to_string(),
        images,
        missing,
        seconds: started.elapsed().as_secs_f64(),
    }
}

fn detection(args: &EvalArgs, path: &Path) -> Result<()> {
    let mut annotations = Annotations::open(path)?;
    if annotations.strays > 0 {
        let (name, strays) = (path.display(), annotations.strays);
        log::warn!("{strays} annotations in {name} are of pictures that it does not list; they are left out");
    }
    let (pictures, missing) =
        pictures(args, annotations.pictures.iter().map(|picture| picture.file.as_str()))?;
    let gone: std::collections::HashSet<String> = missing.iter().cloned().collect();
    let there: Vec<bool> = annotations.pictures.iter().map(|picture| !gone.contains(&picture.file)).collect();
    annotations.retain(|image| there[image]);

    let mut answerer = Answerer::open(&args.model, CONFIDENCE, args.iou)?;
    check_task(&answerer, Task::Detection)?;
    let classes = ClassMap::new(answerer.labels().names(), annotations.categories.iter().map(String::as_str));
    if classes.known() == 0 {
        let text = format!(
            "no class of {} is among the categories of {} ({}); give the names of its classes with --labels",
            answerer.origin.model,
            path.display(),
            listed(&annotations.categories)
        );
        return Err(Error::new(Kind::Usage, text));
    }
    let mut writer = args.save.as_deref().map(|path| Writer::create(path, &answerer.origin)).transpose()?;
    let started = Instant::now();
    let (mut founds, mut odd) = (Vec::new(), Vec::new());
    answerer.answer(&pictures, |image, frame, findings, labels| {
        let picture = &annotations.pictures[image];
        let size = (frame.layout.width as u64, frame.layout.height as u64);
        if picture.size.is_some_and(|annotated| annotated != size) {
            odd.push(picture.file.clone());
        }
        founds.extend(found(image, frame, findings, &classes));
        match &mut writer {
            Some(writer) => writer.write(&Answer::new(&picture.file, findings, labels)),
            None => Ok(()),
        }
    })?;
    if !odd.is_empty() {
        let (names, name) = (listed(&odd), path.display());
        log::warn!("{names}: another size than {name} says; if they were scaled, their boxes do not fit");
    }
    let evaluation = coco::evaluate(&annotations.truths, &founds, annotations.categories.len());
    let report = DetectionReport {
        run: run_of(&answerer, path, pictures.len(), missing, started),
        evaluation: &evaluation,
        categories: &annotations.categories,
        threshold: args.confidence,
        unmatched: &classes.unknown_to_model,
    };
    answers::print(&report, args.json.then(|| report.json()))?;
    writer.map_or(Ok(()), Writer::finish)
}

/// Checks that the model does what its pictures are described for.
fn check_task(answerer: &Answerer, wanted: Task) -> Result<()> {
    let model = &answerer.origin.model;
    let text = match answerer.task() {
        task if task == wanted => return Ok(()),
        Task::Detection => format!("{model} finds objects; give their boxes with --annotations, not --truth"),
        Task::Classification => {
            format!("{model} classifies whole pictures; give their classes with --truth, not --annotations")
        }
        Task::Segmentation => {
            format!(
                "{model} gives a class to each pixel, which is not evaluated; give a model of another kind"
            )
        }
    };
    Err(Error::new(Kind::Usage, text))
}

/// Detections of annotated categories, with boxes in pixels of the frame.
fn found<'a>(
    image: usize,
    frame: &Frame,
    findings: &'a Findings,
    classes: &'a ClassMap,
) -> impl Iterator<Item = Found> + 'a {
    let (width, height) = (frame.layout.width as f64, frame.layout.height as f64);
    findings.detections.iter().filter_map(move |detection| {
        let category = classes.category(detection.class)?;
        let [left, top, right, bottom] = [
            f64::from(detection.rect.left) * width,
            f64::from(detection.rect.top) * height,
            f64::from(detection.rect.right) * width,
            f64::from(detection.rect.bottom) * height,
        ];
        let bbox = [left, top, right - left, bottom - top];
        Some(Found { image, category, bbox, score: f64::from(detection.score) })
    })
}

fn whole_pictures(args: &EvalArgs, path: &Path) -> Result<()> {
    let mut answerer = Answerer::open(&args.model, CONFIDENCE, args.iou)?;
    check_task(&answerer, Task::Classification)?;
    let truths = classification::open(path, answerer.labels().names())?;
    let (pictures, missing) = pictures(args, truths.iter().map(|(name, _)| name.as_str()))?;
    let classes: std::collections::HashMap<&str, u32> =
        truths.iter().map(|(name, class)| (name.as_str(), *class)).collect();
    let mut writer = args.save.as_deref().map(|path| Writer::create(path, &answerer.origin)).transpose()?;
    let started = Instant::now();
    let mut accuracy = Accuracy::default();
    answerer.answer(&pictures, |image, _, findings, labels| {
        let name = pictures[image].name.as_str();
        if let Some(class) = classes.get(name) {
            accuracy.add(*class, &findings.classes);
        }
        match &mut writer {
            Some(writer) => writer.write(&Answer::new(name, findings, labels)),
            None => Ok(()),
        }
    })?;
    let report = ClassificationReport {
        run: run_of(&answerer, path, pictures.len(), missing, started),
        accuracy: &accuracy,
        labels: answerer.labels(),
    };
    answers::print(&report, args.json.then(|| report.json()))?;
    writer.map_or(Ok(()), Writer::finish)
}
