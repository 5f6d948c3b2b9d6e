//! `spotter compare`: two models' answers, or two files of answers, held against each other.

use std::path::{Path, PathBuf};

use clap::Args;

use super::answers::{self, Answerer, Picture};
use super::args::{ModelArgs, share};
use crate::base::error::{Error, Kind, Result};
use crate::eval::compare::compare;
use crate::eval::compare_report::{CompareReport, Side};
use crate::eval::pairing::Limits;
use crate::eval::results::{Answer, Results, is_results};
use crate::model::catalogue::Catalogue;
use crate::model::task::Task;

/// Models are run with the overlap and, at most, the confidence of `spotter run`.
const IOU: f32 = 0.45;
const CONFIDENCE: f32 = 0.05;
/// Pictures at most that are looked for in a folder.
const MOST_PICTURES: usize = 1_000_000;
const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "bmp", "webp"];

/// Arguments of `spotter compare`.
#[derive(Clone, Debug, Args)]
#[command(mut_arg("model", |model| model.hide(true)))]
pub struct CompareArgs {
    /// A file of results, a .tflite file, or a name from the catalogue
    #[arg(value_name = "A")]
    pub a: String,
    /// What is held against it, of the same kinds
    #[arg(value_name = "B")]
    pub b: String,
    /// The folder of the pictures that models are shown
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Detections below this score are not seen, 0 to 1
    #[arg(long = "conf", value_name = "SCORE", default_value_t = 0.3, value_parser = share)]
    pub confidence: f32,
    /// Boxes that overlap less are not of one object, 0 to 1
    #[arg(long, value_name = "IOU", default_value_t = 0.5, value_parser = share)]
    pub iou: f32,
    /// End with exit code 1 where a smaller share of the objects agrees, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub fail_below: Option<f32>,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What the user named as A or B.
enum Named {
    File(Results),
    Model,
}

/// Gets both answers, holds them against each other and prints what differs.
///
/// # Errors
/// Where files, models or pictures cannot be used, and [`Kind::Differs`] where less than `--fail-below`
/// agrees.
pub fn compare_models(args: &CompareArgs) -> Result<()> {
    if args.model.model.is_some() {
        let text = "spotter compare takes its models as A and B; leave --model out";
        return Err(Error::new(Kind::Usage, text));
    }
    for name in [&args.a, &args.b] {
        check_named(name)?;
    }
    let [a, b] = [named(&args.a)?, named(&args.b)?];
    let (a, b) = match (a, b) {
        (Named::File(a), Named::File(b)) => (a, b),
        (Named::File(a), Named::Model) => {
            let b = answers_like(args, &args.b, &a)?;
            (a, b)
        }
        (Named::Model, Named::File(b)) => (answers_like(args, &args.a, &b)?, b),
        (Named::Model, Named::Model) => {
            let pictures = all_pictures(folder(args)?)?;
            let confidence = CONFIDENCE.min(args.confidence);
            let run = |model: &str| answers_of(args, model, &pictures, confidence, IOU);
            (run(&args.a)?, run(&args.b)?)
        }
    };
    warn_of_settings(&a, &b);
    let limits = Limits { confidence: args.confidence, iou: args.iou };
    let comparison = compare(&a.answers, &b.answers, &limits)?;
    let side = |name: &str, results: &Results| Side { name: name.to_owned(), origin: results.origin.clone() };
    let report =
        CompareReport { sides: [side(&args.a, &a), side(&args.b, &b)], limits, comparison: &comparison };
    answers::print(&report, args.json.then(|| report.json()))?;
    match (comparison.agreement(), args.fail_below) {
        (Some(agreement), Some(least)) if agreement < f64::from(least) => {
            let text = format!("A and B agree by {agreement:.4}, less than the {least} of --fail-below");
            Err(Error::new(Kind::Differs, text))
        }
        _ => Ok(()),
    }
}

/// What is neither a file nor a name of the catalogue is said before pictures are asked for.
fn check_named(name: &str) -> Result<()> {
    let path = Path::new(name);
    match path.is_file() || path.extension().is_some() || name.contains(std::path::is_separator) {
        true => Ok(()),
        false => Catalogue::embedded().get(name).map(|_| ()),
    }
}

fn named(name: &str) -> Result<Named> {
    let path = Path::new(name);
    // By what is in it, and where there is nothing to look at, by its name.
    let called = path.extension().is_some_and(|e| e == "json" || e == "jsonl");
    if called || is_results(path) { Ok(Named::File(Results::open(path)?)) } else { Ok(Named::Model) }
}

fn folder(args: &CompareArgs) -> Result<&Path> {
    let folder = args.images.as_deref().ok_or_else(|| {
        let text = "a model needs pictures to look at; give their folder with --images";
        Error::new(Kind::Usage, text)
    })?;
    answers::check_folder(folder)?;
    Ok(folder)
}

/// The model's answers to the pictures of a file, made as those were.
fn answers_like(args: &CompareArgs, model: &str, file: &Results) -> Result<Results> {
    let folder = folder(args)?;
    if file.answers.iter().any(|answer| answer.frame > 0) {
        let text =
            "the file has answers to frames of a clip; only answers to pictures can be compared with a model";
        return Err(Error::new(Kind::Usage, text));
    }
    let (pictures, missing) = answers::find(folder, file.answers.iter().map(|answer| answer.file.as_str()));
    if !missing.is_empty() {
        return Err(answers::not_there(&missing, folder));
    }
    let (confidence, iou) = match &file.origin {
        Some(origin) => (origin.settings.confidence, origin.settings.iou),
        None => (CONFIDENCE.min(args.confidence), IOU),
    };
    answers_of(args, model, &pictures, confidence, iou)
}

fn answers_of(
    args: &CompareArgs,
    model: &str,
    pictures: &[Picture],
    confidence: f32,
    iou: f32,
) -> Result<Results> {
    let args = ModelArgs { model: Some(model.to_owned()), ..args.model.clone() };
    let mut answerer = Answerer::open(&args, confidence, Some(iou))?;
    if answerer.task() == Task::Segmentation {
        let text = format!("{model} gives a class to each pixel; only boxes and classes can be compared");
        return Err(Error::new(Kind::Usage, text));
    }
    let mut answers = Vec::with_capacity(pictures.len());
    answerer.answer(pictures, |index, _, findings, labels| {
        answers.push(Answer::new(&pictures[index].name, findings, labels));
        Ok(())
    })?;
    Ok(Results { origin: Some(answerer.origin), answers })
}

/// Answers that were made differently differ for that reason too.
fn warn_of_settings(a: &Results, b: &Results) {
    let (Some(a), Some(b)) = (&a.origin, &b.origin) else { return };
    let (a, b) = (&a.settings, &b.settings);
    if (a.confidence, a.iou) != (b.confidence, b.iou) {
        log::warn!(
            "A was made with a confidence of {} and an overlap of {}, B with {} and {}: that alone makes them differ",
            a.confidence,
            a.iou,
            b.confidence,
            b.iou
        );
    }
}

/// All pictures in a folder and the folders in it, by name. Links to folders are not followed.
fn all_pictures(folder: &Path) -> Result<Vec<Picture>> {
    let unreadable = |folder: &Path, error: std::io::Error| {
        let text = format!("cannot read the folder {}", folder.display());
        Error::new(Kind::Source, text).caused_by(error)
    };
    let (mut pictures, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).map_err(|error| unreadable(&next, error))? {
            let entry = entry.map_err(|error| unreadable(&next, error))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| unreadable(&next, error))?;
            let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            if kind.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                pictures.push(Picture { name, path });
            }
        }
        if pictures.len() > MOST_PICTURES {
            let text = format!("{} has more than {MOST_PICTURES} pictures; give fewer", folder.display());
            return Err(Error::new(Kind::Usage, text));
        }
    }
    if pictures.is_empty() {
        let text = format!(
            "there is no picture in {}; give a folder with JPEG, PNG, BMP or WebP files",
            folder.display()
        );
        return Err(Error::new(Kind::NotFound, text));
    }
    pictures.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_all_folders_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let error = all_pictures(folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("there is no picture in "), "{error}");
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for name in ["z.JPG", "b/c/x.png", "b/notes.txt", "a.webp"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("b/loop")).unwrap();
        let pictures = all_pictures(folder.path()).unwrap();
        let names: Vec<&str> = pictures.iter().map(|picture| picture.name.as_str()).collect();
        assert_eq!(names, ["a.webp", "b/c/x.png", "z.JPG"]);
    }
}
