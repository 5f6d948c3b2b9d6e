//! `spotter eval`: how good a model is on pictures whose content is known.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::answers::{self, Answerer, Picture};
use super::args::{ModelArgs, share};
use super::demo::picture_name;
use crate::base::error::{Error, Kind, Result};
use crate::capture::demo::bbox;
use crate::capture::demo::spec::{self, DemoSpec, Size};
use crate::capture::{self, SourceSpec};
use crate::demo::{CLASSES, Demo};
use crate::detect::loader::LoadSpec;
use crate::eval::annotations::Annotations;
use crate::eval::categories::ClassMap;
use crate::eval::classification::{self, Accuracy};
use crate::eval::coco;
use crate::eval::files::listed;
use crate::eval::matching::{Found, Truth};
use crate::eval::report::{ClassificationReport, DetectionReport, Run};
use crate::eval::results::{Answer, Writer};
use crate::model::task::Task;
use crate::vision::frame::Frame;
use crate::vision::predictions::Predictions;

/// The published evaluations take everything above this score.
const CONFIDENCE: f32 = 0.001;
/// Pictures of the demo scene where nobody says how many.
const DRAWN_FRAMES: u32 = 500;
/// From one of them to the next: nothing is where it was, and each scene is looked at several times.
const STEP: Duration = Duration::from_secs(3);

/// Arguments of `spotter eval`.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The folder of the pictures
    #[arg(long, value_name = "DIR", required_unless_present = "source", conflicts_with = "source")]
    pub images: Option<PathBuf>,
    /// What is in the pictures, in COCO's format: boxes
    #[arg(
        long,
        value_name = "COCO.json",
        required_unless_present_any = ["truth", "source"],
        conflicts_with_all = ["truth", "source"]
    )]
    pub annotations: Option<PathBuf>,
    /// What the pictures are: {"picture.jpg": class or label, …}
    #[arg(long, value_name = "FILE.json", conflicts_with = "source")]
    pub truth: Option<PathBuf>,
    /// demo: pictures of the scene that Spotter draws, whose true boxes are known
    #[arg(long, value_name = "demo", value_parser = demo_source)]
    pub source: Option<DemoSpec>,
    /// How many pictures of the demo scene, 3 seconds of it from one to the next [default: 500]
    #[arg(long, value_name = "N", requires = "source", conflicts_with = "images", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub frames: Option<u32>,
    /// What the demo scene follows from [default: 15]
    #[arg(long, value_name = "SEED", requires = "source", conflicts_with = "images")]
    pub seed: Option<u64>,
    /// Width and height of its pictures [default: 1280x720]
    #[arg(long, value_name = "WIDTHxHEIGHT", requires = "source", conflicts_with = "images", value_parser = spec::size)]
    pub size: Option<Size>,
    /// Precision and recall are of detections from this score, 0 to 1. The other figures are of all
    /// detections
    #[arg(long = "conf", value_name = "SCORE", default_value_t = 0.5, value_parser = share)]
    pub confidence: f32,
    /// Overlap above which the weaker of two boxes of a class is left out, 0 to 1 [default: 0.6, for raw
    /// SSD 0.55]
    #[arg(long, value_name = "IOU", value_parser = share)]
    pub iou: Option<f32>,
    /// Leave out pictures that are not there, instead of ending with an error
    #[arg(long, conflicts_with = "source")]
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
    if let Some(source) = args.source {
        return drawn(args, source);
    }
    let Some(images) = &args.images else {
        return Err(Error::new(Kind::Usage, "give the folder of the pictures with --images"));
    };
    answers::check_folder(images)?;
    match (&args.annotations, &args.truth) {
        (Some(annotations), _) => detection(args, images, annotations),
        (None, Some(truth)) => whole_pictures(args, images, truth),
        (None, None) => Err(Error::new(Kind::Usage, "give --annotations for boxes or --truth for classes")),
    }
}

/// The demo scene; what else can be a source has no truth.
fn demo_source(text: &str) -> std::result::Result<DemoSpec, String> {
    match text.parse()? {
        SourceSpec::Demo(spec) => Ok(spec),
        _ => {
            Err("of this source nobody knows what is in it; give demo, or --images with --annotations".into())
        }
    }
}

/// Pictures of these names; those that are not there end the evaluation, or are left out where the user
/// said so.
fn pictures<'a>(
    args: &EvalArgs,
    images: &Path,
    names: impl Iterator<Item = &'a str>,
) -> Result<(Vec<Picture>, Vec<String>)> {
    let (pictures, missing) = answers::find(images, names);
    if pictures.is_empty() || !(missing.is_empty() || args.allow_missing) {
        let more = if pictures.is_empty() { "" } else { ", or leave them out with --allow-missing" };
        let error = answers::not_there(&missing, images);
        return Err(Error::new(error.kind(), format!("{}{more}", error.message())));
    }
    Ok((pictures, missing))
}

/// What was evaluated, for the report.
fn run_of(
    answerer: &Answerer,
    truth: impl Display,
    images: usize,
    missing: Vec<String>,
    started: Instant,
) -> Run {
    Run {
        model: answerer.origin.model.clone(),
        backend: answerer.origin.settings.backend.clone(),
        truth: truth.to_string(),
        images,
        missing,
        seconds: started.elapsed().as_secs_f64(),
    }
}

fn detection(args: &EvalArgs, images: &Path, path: &Path) -> Result<()> {
    let mut annotations = Annotations::open(path)?;
    if annotations.strays > 0 {
        let (name, strays) = (path.display(), annotations.strays);
        log::warn!("{strays} annotations in {name} are of pictures that it does not list; they are left out");
    }
    let (pictures, missing) =
        pictures(args, images, annotations.pictures.iter().map(|picture| picture.file.as_str()))?;
    let gone: std::collections::HashSet<String> = missing.iter().cloned().collect();
    let there: Vec<bool> = annotations.pictures.iter().map(|picture| !gone.contains(&picture.file)).collect();
    annotations.retain(|image| there[image]);

    let mut answerer = Answerer::open(&args.model, CONFIDENCE, args.iou)?;
    check_task(&answerer, Task::Detection)?;
    let classes = class_map(&answerer, &annotations.categories, path.display())?;
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
        run: run_of(&answerer, path.display(), pictures.len(), missing, started),
        evaluation: &evaluation,
        categories: &annotations.categories,
        threshold: args.confidence,
        unmatched: &classes.unknown_to_model,
    };
    answers::print(&report, args.json.then(|| report.json()))?;
    writer.map_or(Ok(()), Writer::finish)
}

/// Which class of the model is which category.
fn class_map(answerer: &Answerer, categories: &[String], of: impl Display) -> Result<ClassMap> {
    let classes = ClassMap::new(answerer.labels().names(), categories.iter().map(String::as_str));
    if classes.known() > 0 {
        return Ok(classes);
    }
    let text = format!(
        "no class of {} is among the categories of {of} ({}); give the names of its classes with --labels",
        answerer.origin.model,
        listed(categories)
    );
    Err(Error::new(Kind::Usage, text))
}

/// Pictures of the demo scene, drawn here, with exact truth.
fn drawn(args: &EvalArgs, source: DemoSpec) -> Result<()> {
    let seed = args.seed.unwrap_or(source.seed);
    let (width, height) = args.size.unwrap_or(source.size);
    let frames = args.frames.unwrap_or(DRAWN_FRAMES) as usize;
    let name = format!("the demo scene, seed {seed}, {width}×{height}");
    let categories = CLASSES.map(str::to_owned);

    let spec = LoadSpec { drawn: true, ..LoadSpec::from(&args.model) };
    let mut answerer = Answerer::open(spec, CONFIDENCE, args.iou)?;
    check_task(&answerer, Task::Detection)?;
    let classes = class_map(&answerer, &categories, &name)?;
    let mut writer = args.save.as_deref().map(|path| Writer::create(path, &answerer.origin)).transpose()?;
    let started = Instant::now();
    let mut demo = Demo::new(seed, width, height);
    let (mut truths, mut founds) = (Vec::new(), Vec::new());
    let draw = |image: usize| {
        let frame = capture::demo::frame(&mut demo, STEP * image as u32);
        truths.extend(demo.truths().iter().map(|object| {
            let bbox = bbox(object, (width, height));
            let (category, area) = (object.class as usize, bbox[2] * bbox[3]);
            Truth { image, category, bbox, area, crowd: object.ignored }
        }));
        Ok(frame)
    };
    answerer.answer_frames(frames, draw, |image, frame, findings, labels| {
        founds.extend(found(image, frame, findings, &classes));
        match &mut writer {
            Some(writer) => writer.write(&Answer::new(&picture_name(image), findings, labels)),
            None => Ok(()),
        }
    })?;
    let evaluation = coco::evaluate(&truths, &founds, categories.len());
    let report = DetectionReport {
        run: run_of(&answerer, name, frames, Vec::new(), started),
        evaluation: &evaluation,
        categories: &categories,
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
    findings: &'a Predictions,
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

fn whole_pictures(args: &EvalArgs, images: &Path, path: &Path) -> Result<()> {
    let mut answerer = Answerer::open(&args.model, CONFIDENCE, args.iou)?;
    check_task(&answerer, Task::Classification)?;
    let truths = classification::open(path, answerer.labels().names())?;
    let (pictures, missing) = pictures(args, images, truths.iter().map(|(name, _)| name.as_str()))?;
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
        run: run_of(&answerer, path.display(), pictures.len(), missing, started),
        accuracy: &accuracy,
        labels: answerer.labels(),
    };
    answers::print(&report, args.json.then(|| report.json()))?;
    writer.map_or(Ok(()), Writer::finish)
}
