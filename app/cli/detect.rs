//! `spotter detect`: images and clips offline, nothing left out, results to standard output.

use std::io::{BufWriter, ErrorKind, Stdout, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::{DetectArgs, Format};
use crate::base::error::{Error, Kind, Result};
use crate::capture::{self, Next, Pace, SourceSpec, gst_source};
use crate::detect::detector::Detector;
use crate::detect::loader::LoadedModel;
use crate::model::decode::Thresholds;
use crate::model::labels::Labels;
use crate::model::task::Task;
use crate::vision::detection::Detection;
use crate::vision::frame::Frame;
use crate::vision::predictions::{ClassScore, ClassShare, Mask};

/// Where results go: lines as they come, or one list.
struct Results {
    out: BufWriter<Stdout>,
    format: Format,
    count: usize,
}

impl Results {
    /// Writes one line, or one element of the list.
    fn write(&mut self, value: &Value) -> std::io::Result<()> {
        if self.format == Format::Coco {
            self.out.write_all(if self.count == 0 { b"[\n" } else { b",\n" })?;
        }
        self.count += 1;
        serde_json::to_writer(&mut self.out, value)?;
        if self.format == Format::Jsonl { self.out.write_all(b"\n") } else { Ok(()) }
    }

    fn finish(&mut self) -> std::io::Result<()> {
        if self.format == Format::Coco {
            self.out.write_all(if self.count == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()
    }
}

/// Writing to standard output failed.
fn unwritten(error: std::io::Error) -> Error {
    Error::new(Kind::Output, "cannot write the results to standard output").caused_by(error)
}

/// Goes through all files; one that cannot be read is reported and the others still are.
///
/// # Errors
/// The first error, after all files.
pub fn detect(args: &DetectArgs) -> Result<()> {
    gst_source::init()?;
    let model = LoadedModel::open(&args.model)?;
    let task = model.head().task();
    if args.format == Format::Coco && task != Task::Detection {
        let text = format!(
            "{} gives no boxes but a {task}, which COCO results have no place for; leave out --format coco",
            model.file().name
        );
        return Err(Error::new(Kind::Usage, text));
    }
    let mut detector = model.ready_detector()?;
    let thresholds = Thresholds::offline(args.confidence, args.iou);
    let mut results = Results { out: BufWriter::new(std::io::stdout()), format: args.format, count: 0 };
    let mut first_error: Option<Error> = None;
    for path in &args.files {
        let mut file = File { path, detector: &mut detector, labels: &model.labels, thresholds: &thresholds };
        match file.detect(&mut results) {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::Output => return quietly_when_closed(error),
            Err(error) => match &first_error {
                // The last line of the run reports the first error.
                None => first_error = Some(error),
                Some(_) => log::error!("{error}"),
            },
        }
    }
    if let Err(error) = results.finish() {
        return quietly_when_closed(unwritten(error));
    }
    first_error.map_or(Ok(()), Err)
}

/// Whoever reads the results has closed the pipe (`| head`): that is no error.
fn quietly_when_closed(error: Error) -> Result<()> {
    let closed = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|source| source.kind() == ErrorKind::BrokenPipe);
    if closed { Ok(()) } else { Err(error) }
}

struct File<'a> {
    path: &'a Path,
    detector: &'a mut Detector,
    labels: &'a Labels,
    thresholds: &'a Thresholds,
}

impl File<'_> {
    fn detect(&mut self, results: &mut Results) -> Result<()> {
        let mut source = capture::open(&SourceSpec::File(self.path.to_owned()), Pace::Unpaced)?;
        let mut index = 0u64;
        loop {
            match source.next(Duration::from_millis(100))? {
                Next::Frame(frame) => {
                    self.frame(&frame, index, results)?;
                    index += 1;
                }
                Next::Nothing | Next::Other => {}
                Next::End if index == 0 => {
                    let message = format!("{} has no video frame in it", self.path.display());
                    return Err(Error::new(Kind::Source, message));
                }
                Next::End => return Ok(()),
            }
        }
    }

    fn frame(&mut self, frame: &Frame, index: u64, results: &mut Results) -> Result<()> {
        let (found, _) = self.detector.detect(frame, self.thresholds)?;
        match results.format {
            Format::Jsonl => {
                let detections: Vec<Value> =
                    found.detections.iter().map(|d| line_entry(d, self.labels)).collect();
                let mut line = json!({
                    "file": self.path.to_string_lossy(),
                    "frame": index,
                    "pts_ms": frame.pts.map(|pts| rounded(pts.as_secs_f64() * 1e3)),
                    "width": frame.layout.width,
                    "height": frame.layout.height,
                    "detections": detections,
                });
                if !found.classes.is_empty() {
                    line["classification"] = found.classes.iter().map(|c| ranked(c, self.labels)).collect();
                }
                if !found.mask.is_empty() {
                    line["segmentation"] = segmentation(&found.mask, frame, self.labels);
                }
                results.write(&line).map_err(unwritten)
            }
            Format::Coco => {
                let id = image_id(self.path);
                for detection in &found.detections {
                    let mut entry = coco_entry(detection, frame, &id, self.labels);
                    if index > 0 {
                        entry["frame"] = json!(index);
                    }
                    results.write(&entry).map_err(unwritten)?;
                }
                Ok(())
            }
        }
    }
}

/// Six decimals: more than a model's output has, fewer than make lines unreadable.
fn rounded(value: impl Into<f64>) -> f64 {
    (value.into() * 1e6).round() / 1e6
}

fn line_entry(detection: &Detection, labels: &Labels) -> Value {
    let rect = &detection.rect;
    json!({
        "class": detection.class,
        "label": labels.name(detection.class),
        "score": rounded(detection.score),
        "box": {
            "left": rounded(rect.left),
            "top": rounded(rect.top),
            "right": rounded(rect.right),
            "bottom": rounded(rect.bottom),
        },
    })
}

fn ranked(class: &ClassScore, labels: &Labels) -> Value {
    json!({ "class": class.class, "label": labels.name(class.class), "score": rounded(class.score) })
}

/// The mask at the frame's size: class and length in turns, row by row.
fn segmentation(mask: &Mask, frame: &Frame, labels: &Labels) -> Value {
    let (width, height) = (frame.layout.width, frame.layout.height);
    let share = |s: &ClassShare| json!({ "class": s.class, "label": labels.name(s.class), "share": rounded(s.share) });
    json!({
        "classes": mask.shares().iter().map(share).collect::<Vec<_>>(),
        "width": width,
        "height": height,
        "runs": mask.runs_at(width, height),
    })
}

/// The file's stem, as a number where it is one.
fn image_id(path: &Path) -> Value {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    match stem.parse::<u64>() {
        Ok(number) if stem.bytes().all(|byte| byte.is_ascii_digit()) => json!(number),
        _ => json!(stem),
    }
}

/// An entry of the COCO results list; the box is x, y, width, height in pixels of the frame.
fn coco_entry(detection: &Detection, frame: &Frame, id: &Value, labels: &Labels) -> Value {
    let rect = &detection.rect;
    let (width, height) = (frame.layout.width as f64, frame.layout.height as f64);
    let (left, top) = (f64::from(rect.left) * width, f64::from(rect.top) * height);
    json!({
        "image_id": id,
        "category_id": detection.class,
        "category": labels.name(detection.class),
        "bbox": [
            rounded(left),
            rounded(top),
            rounded(f64::from(rect.right) * width - left),
            rounded(f64::from(rect.bottom) * height - top),
        ],
        "score": rounded(detection.score),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_ids_are_numbers_where_the_stem_is_one() {
        assert_eq!(image_id(Path::new("a/000000000139.jpg")), json!(139));
        assert_eq!(image_id(Path::new("2007_000027.jpg")), json!("2007_000027"));
        assert_eq!(image_id(Path::new("+5.jpg")), json!("+5"));
    }
}
