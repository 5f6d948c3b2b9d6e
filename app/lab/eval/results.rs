//! A model's answers to many pictures as a file, so that they can be held against others: those of
//! another model, another runtime, or a camera.
//!
//! Two formats are read: the one that is written here, one JSON object with what made the answers and
//! one line a picture, and the JSON lines of `spotter detect`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::read_file;
use spotter_core::base::error::{Error, Kind, Result};
use spotter_core::model::labels::Labels;
use spotter_core::vision::geometry::Rect;
use spotter_core::vision::predictions::Predictions;

/// The number of the format, which stands first in the file.
const VERSION: u32 = 1;
/// Larger files are refused: 300 detections in each of 10,000 pictures have less.
pub const MAX_BYTES: u64 = 1 << 29;
/// No model gives more a picture; the time of a comparison rises with their square.
const MAX_DETECTIONS: usize = 1000;
/// Sides of boxes may not lie further outside of the picture (1 is its width or height).
const MAX_SIDE: f32 = 10.0;

/// How answers were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Detections with a lower score were left out.
    pub confidence: f32,
    /// Overlap above which the weaker of two boxes of a class was left out.
    pub iou: f32,
    /// How pictures were fitted into the model's input.
    pub fit: String,
    /// What ran the model.
    pub backend: String,
}

/// What made the answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The model's file name.
    pub model: String,
    /// SHA-256 of the model's file in hex.
    pub model_sha256: String,
    /// How it was run.
    pub settings: Settings,
}

/// A box in parts of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sides {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

/// A detected object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The model's own class index.
    pub class: u32,
    pub label: String,
    /// 0..=1.
    pub score: f32,
    #[serde(rename = "box")]
    sides: Sides,
}

impl Object {
    /// Where, in parts of the picture.
    pub fn rect(&self) -> Rect {
        let Sides { left, top, right, bottom } = self.sides;
        Rect::new(left, top, right, bottom)
    }
}

/// A class of the whole picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The model's own class index.
    pub class: u32,
    pub label: String,
    /// 0..=1.
    pub score: f32,
}

/// What a model says of one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The picture's name or path.
    pub file: String,
    /// Which frame of a clip, from 0.
    #[serde(default)]
    pub frame: u64,
    /// Objects, best first.
    pub detections: Vec<Object>,
    /// Classes of the whole picture, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classification: Vec<Ranked>,
}

impl Answer {
    /// The findings of a model in one picture, with names.
    pub fn new(file: &str, findings: &Predictions, labels: &Labels) -> Self {
        let named = |class: u32| labels.name(class).to_owned();
        let objects = findings.detections.iter().map(|d| {
            let Rect { left, top, right, bottom } = d.rect;
            let sides = Sides { left, top, right, bottom };
            Object { class: d.class, label: named(d.class), score: d.score, sides }
        });
        let ranked =
            findings.classes.iter().map(|c| Ranked { class: c.class, label: named(c.class), score: c.score });
        Self {
            file: file.to_owned(),
            frame: 0,
            detections: objects.collect(),
            classification: ranked.collect(),
        }
    }

    /// What is wrong with it, as the end of a sentence.
    fn check(&self) -> std::result::Result<(), String> {
        if self.detections.len() > MAX_DETECTIONS {
            return Err(format!("has {} detections; at most {MAX_DETECTIONS}", self.detections.len()));
        }
        let scores =
            self.detections.iter().map(|d| d.score).chain(self.classification.iter().map(|c| c.score));
        if let Some(score) = scores.into_iter().find(|score| !(0.0..=1.0).contains(score)) {
            return Err(format!("has the score {score}; scores are 0 to 1"));
        }
        let near = -MAX_SIDE..=MAX_SIDE;
        let sound =
            |r: &Rect| r.is_valid() && [r.left, r.top, r.right, r.bottom].iter().all(|s| near.contains(s));
        match self.detections.iter().map(Object::rect).find(|rect| !sound(rect)) {
            Some(Rect { left, top, right, bottom }) => Err(format!(
                "has the box {left} {top} {right} {bottom}; \
                 give left, top, right and bottom in parts of the picture"
            )),
            None => Ok(()),
        }
    }
}

/// A model's answers to many pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// What made them, where that is known.
    pub origin: Option<Origin>,
    /// One for each picture or frame.
    pub answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Saved {
    spotter_results: u32,
    #[serde(flatten)]
    origin: Origin,
    images: Vec<Answer>,
}

/// True where the file begins as a file of results does rather than a model.
pub fn is_results(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    read.is_ok() && head.trim_ascii_start().starts_with(b"{")
}

impl Results {
    /// Reads a file of results.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none; [`Kind::Usage`] where it cannot be read, is larger than
    /// [`MAX_BYTES`] or is not sound.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read_file(path, "file of results", MAX_BYTES)?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads results from memory; `name` is used in messages.
    ///
    /// # Errors
    /// [`Kind::Usage`] with what is wrong and where.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        let wrong = |what: String| Error::new(Kind::Usage, format!("{name}: {what}"));
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let lines = || bytes.split(|byte| *byte == b'\n').enumerate();
        let blank = |line: &[u8]| line.trim_ascii().is_empty();
        let first = lines().find(|(_, line)| !blank(line)).map_or(&b""[..], |(_, line)| line);
        let results = if serde_json::from_slice::<Answer>(first).is_ok() {
            let mut answers = Vec::new();
            for (index, line) in lines().filter(|(_, line)| !blank(line)) {
                answers.push(serde_json::from_slice(line).map_err(|error| {
                    wrong(format!("line {} is no line of spotter detect", index + 1)).caused_by(error)
                })?);
            }
            Self { origin: None, answers }
        } else {
            let saved: Saved = serde_json::from_slice(bytes).map_err(|error| {
                let text = format!(
                    "{name} has no results; give a file of spotter eval --save or spotter detect --format jsonl"
                );
                Error::new(Kind::Usage, text).caused_by(error)
            })?;
            if saved.spotter_results != VERSION {
                let version = saved.spotter_results;
                return Err(wrong(format!(
                    "its format has the number {version}, this Spotter reads {VERSION}; make it again"
                )));
            }
            Self { origin: Some(saved.origin), answers: saved.images }
        };
        let mut seen = HashSet::with_capacity(results.answers.len());
        for answer in &results.answers {
            answer.check().map_err(|what| wrong(format!("{} {what}", answer.file)))?;
            if !seen.insert((&answer.file, answer.frame)) {
                return Err(wrong(format!("there are two answers to {}; one is too many", answer.file)));
            }
        }
        Ok(results)
    }
}

/// Writes a file of results. It gets its name when it is whole.
pub struct Writer {
    path: PathBuf,
    part: PathBuf,
    out: BufWriter<File>,
    count: usize,
    done: bool,
}

impl Writer {
    /// Starts the file beside its later place.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub fn create(path: &Path, origin: &Origin) -> Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|error| unwritten(path, error))?;
        let mut writer =
            Self { path: path.to_owned(), part, out: BufWriter::new(file), count: 0, done: false };
        writer.head(origin).map_err(|error| unwritten(path, error))?;
        Ok(writer)
    }

    fn head(&mut self, origin: &Origin) -> std::io::Result<()> {
        let Origin { model, model_sha256, settings } = origin;
        let text = |value: &str| serde_json::to_string(value);
        writeln!(self.out, "{{\n\"spotter_results\": {VERSION},")?;
        writeln!(self.out, "\"model\": {},\n\"model_sha256\": {},", text(model)?, text(model_sha256)?)?;
        write!(self.out, "\"settings\": {},\n\"images\": [", serde_json::to_string(settings)?)
    }

    /// Adds the answer to one picture.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub fn write(&mut self, answer: &Answer) -> Result<()> {
        let between: &[u8] = if self.count == 0 { b"\n" } else { b",\n" };
        self.count += 1;
        self.out
            .write_all(between)
            .and_then(|()| serde_json::to_writer(&mut self.out, answer).map_err(Into::into))
            .map_err(|error| unwritten(&self.path, error))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        let written = self
            .out
            .write_all(b"\n]\n}\n")
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.part, &self.path));
        self.done = written.is_ok();
        written.map_err(|error| unwritten(&self.path, error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    let text = format!("cannot write {}; check the folder and its permissions", path.display());
    Error::new(Kind::Output, text).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spotter_core::vision::detection::Detection;
    use spotter_core::vision::predictions::ClassScore;

    fn origin() -> Origin {
        let settings =
            Settings { confidence: 0.001, iou: 0.6, fit: "stretch".into(), backend: "a \"b\"".into() };
        Origin { model: "m.tflite".into(), model_sha256: "00ff".into(), settings }
    }

    fn answer(file: &str) -> Answer {
        let detections = vec![Detection { class: 1, score: 0.3, rect: Rect::new(0.1, 0.2, 0.7, 1.0) }; 2];
        let classes = vec![ClassScore { class: 0, score: 1.0 / 3.0 }];
        let findings = Predictions { detections, classes, ..Predictions::default() };
        Answer::new(file, &findings, &Labels::numbers(Some(3)))
    }

    #[test]
    fn what_is_written_is_read_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        let mut writer = Writer::create(&path, &origin()).unwrap();
        let answers = ["a/b.jpg", "c \"d\".jpg"].map(answer);
        answers.iter().for_each(|answer| writer.write(answer).unwrap());
        assert!(!path.exists(), "not before it is whole");
        writer.finish().unwrap();
        assert!(is_results(&path));
        let results = Results::open(&path).unwrap();
        assert_eq!(results, Results { origin: Some(origin()), answers: answers.into() });
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        drop(Writer::create(&folder.path().join("other.json"), &origin()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of half a file");
        let none = Writer::create(&path, &origin()).unwrap();
        none.finish().unwrap();
        assert_eq!(Results::open(&path).unwrap().answers, []);
    }

    #[test]
    fn lines_of_detect_are_results() {
        let line = |file: &str, frame: u64| {
            format!(
                "{{\"file\":\"{file}\",\"frame\":{frame},\"pts_ms\":null,\"width\":4,\"height\":3,\"detections\":[]}}\n"
            )
        };
        let text = format!("\u{feff}{}\n{}{}", line("a.mp4", 0), line("a.mp4", 1), line("b.jpg", 0));
        let results = Results::parse(text.as_bytes(), "r").unwrap();
        assert_eq!((results.origin, results.answers.len(), results.answers[1].frame), (None, 3, 1));
        let twice = format!("{0}{0}", line("a.jpg", 0));
        let error = Results::parse(twice.as_bytes(), "r").unwrap_err();
        assert_eq!(error.to_string(), "r: there are two answers to a.jpg; one is too many");
        let broken = format!("{}{{\"file\": 5}}", line("a.jpg", 0));
        let error = Results::parse(broken.as_bytes(), "r").unwrap_err();
        assert!(error.to_string().starts_with("r: line 2 is no line of spotter detect ("), "{error}");
    }

    #[test]
    fn senseless_answers_are_said() {
        let line = |score: &str, left: &str| {
            format!(
                "{{\"file\":\"a\",\"detections\":[{{\"class\":0,\"label\":\"x\",\"score\":{score},\
                 \"box\":{{\"left\":{left},\"top\":0,\"right\":1,\"bottom\":1}}}}]}}"
            )
        };
        assert!(Results::parse(line("0.5", "0").as_bytes(), "r").is_ok());
        for (score, left, sentence) in [
            ("1.5", "0", "r: a has the score 1.5; scores are 0 to 1"),
            ("-2e9", "0", "r: a has the score -2000000000; scores are 0 to 1"),
            ("0.5", "2", "r: a has the box 2 0 1 1; give left"),
            ("0.5", "-1e9", "r: a has the box -1000000000 0 1 1; give left"),
        ] {
            let error = Results::parse(line(score, left).as_bytes(), "r").unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().starts_with(sentence), "{error}");
        }
        let many = Answer { detections: vec![answer("a").detections[0].clone(); 1001], ..answer("a") };
        let text = serde_json::to_string(&many).unwrap();
        let error = Results::parse(text.as_bytes(), "r").unwrap_err();
        assert_eq!(error.to_string(), "r: a has 1001 detections; at most 1000");
    }

    #[test]
    fn what_has_no_results_is_said_so() {
        for bad in ["", "[]", "{}", "TFL3", "{\"images\": []}", "\u{0}", &"[".repeat(100_000)] {
            let error = Results::parse(bad.as_bytes(), "r").unwrap_err();
            assert!(error.to_string().starts_with("r has no results; give a file of"), "{error}");
        }
        let origin = serde_json::to_value(origin()).unwrap();
        let mut later = serde_json::json!({"spotter_results": 2, "images": []});
        later.as_object_mut().unwrap().extend(origin.as_object().unwrap().clone());
        let error = Results::parse(later.to_string().as_bytes(), "r").unwrap_err();
        assert!(error.to_string().contains("the number 2, this Spotter reads 1; make"), "{error}");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let error = Writer::create(Path::new("/nonexistent/r.json"), &origin()).err().unwrap();
        assert_eq!(error.kind(), Kind::Output);
        assert!(error.to_string().starts_with("cannot write /nonexistent/r.json; check"), "{error}");
    }
}
