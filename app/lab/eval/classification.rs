//! Classes of whole pictures against what they are: the share of pictures whose class is the model's
//! first answer, or among its first five.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::categories::canonical;
use super::files::read_file;
use spotter_core::base::error::{Error, Kind, Result};
use spotter_core::vision::predictions::ClassScore;

/// Larger files are refused: ImageNet's 50,000 pictures have less.
const MAX_BYTES: u64 = 64 << 20;

/// Pictures and their classes, in the order of the file.
pub type Truths = Vec<(String, u32)>;

/// Reads a file of `{"PICTURE": CLASS, …}`. CLASS is the index of one of the model's classes, a label,
/// or an object with `class_N` for models with N classes, `class`, `label` or `name`, looked for in this
/// order.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such file; [`Kind::Usage`] where it cannot be read, or says of a
/// picture nothing that is a class of the model.
pub fn open(path: &Path, labels: &[String]) -> Result<Truths> {
    let bytes = read_file(path, "truth file", MAX_BYTES)?;
    parse(&bytes, &path.display().to_string(), labels)
}

/// [`open`] from memory; `name` is used in messages.
///
/// # Errors
/// As [`open`].
pub fn parse(bytes: &[u8], name: &str, labels: &[String]) -> Result<Truths> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let pictures: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        let text = format!("{name} is no truth file; give JSON like {{\"picture.jpg\": \"cat\"}}");
        Error::new(Kind::Usage, text).caused_by(error)
    })?;
    if pictures.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            format!("{name} names no picture; there is nothing to evaluate"),
        ));
    }
    let names = Names::new(labels);
    let class = |(picture, value): (String, Value)| match names.class(&value) {
        Ok(class) => Ok((picture, class)),
        Err(what) => Err(Error::new(Kind::Usage, format!("{name}: {picture} {what}"))),
    };
    pictures.into_iter().map(class).collect()
}

/// The model's classes by name.
struct Names {
    classes: usize,
    /// `None` where a name stands for more than one class.
    by_name: BTreeMap<String, Option<u32>>,
}

impl Names {
    /// Whole labels, and each part of labels like "tench, Tinca tinca" that is no other's.
    fn new(labels: &[String]) -> Self {
        let mut by_name = BTreeMap::new();
        let indexed = || (0u32..).zip(labels);
        for (class, label) in indexed().flat_map(|(class, label)| label.split(',').map(move |p| (class, p))) {
            let place = by_name.entry(canonical(label)).or_insert(Some(class));
            if *place != Some(class) {
                *place = None;
            }
        }
        for (class, label) in indexed().filter(|(_, label)| label.contains(',')) {
            by_name.insert(canonical(label), Some(class));
        }
        Self { classes: labels.len(), by_name }
    }

    /// The class that a value means; the error is the end of a sentence.
    fn class(&self, value: &Value) -> std::result::Result<u32, String> {
        match value {
            Value::Number(number) => number
                .as_u64()
                .filter(|class| *class < self.classes as u64)
                .and_then(|class| u32::try_from(class).ok())
                .ok_or_else(|| {
                    format!("is said to be class {number}; the model has {} classes, from 0", self.classes)
                }),
            Value::String(label) => match self.by_name.get(&canonical(label)) {
                Some(Some(class)) => Ok(*class),
                Some(None) => {
                    Err(format!("is said to be \"{label}\", which is more than one class of the model"))
                }
                None => Err(format!("is said to be \"{label}\", which is no class of the model")),
            },
            Value::Object(fields) => {
                let own = format!("class_{}", self.classes);
                let keys = [own.as_str(), "class", "label", "name"];
                match keys.iter().find_map(|key| fields.get(*key)) {
                    Some(value) if !value.is_object() => self.class(value),
                    _ => Err(format!("has neither {own} nor class, label or name; give one of them")),
                }
            }
            _ => Err("has no class; give an index or a label".to_owned()),
        }
    }
}

/// How often the right class is among a model's first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pictures.
    pub images: usize,
    /// Those whose class is the first answer.
    pub top1: usize,
    /// Those whose class is among the first five.
    pub top5: usize,
}

impl Tally {
    /// Adds a picture of this class with the model's answers, best first.
    pub fn add(&mut self, class: u32, answers: &[ClassScore]) {
        self.images += 1;
        self.top1 += usize::from(answers.first().is_some_and(|answer| answer.class == class));
        self.top5 += usize::from(answers.iter().take(5).any(|answer| answer.class == class));
    }

    /// The share of pictures whose class is the first answer; `None` without pictures.
    pub fn top1_share(&self) -> Option<f64> {
        (self.images > 0).then(|| self.top1 as f64 / self.images as f64)
    }

    /// The share of pictures whose class is among the first five.
    pub fn top5_share(&self) -> Option<f64> {
        (self.images > 0).then(|| self.top5 as f64 / self.images as f64)
    }
}

/// How well a model classifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// All pictures.
    pub all: Tally,
    /// By class.
    pub classes: BTreeMap<u32, Tally>,
}

impl Accuracy {
    /// Adds a picture of this class with the model's answers, best first.
    pub fn add(&mut self, class: u32, answers: &[ClassScore]) {
        self.all.add(class, answers);
        self.classes.entry(class).or_default().add(class, answers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    fn labels() -> Vec<String> {
        ["tench, Tinca tinca", "crane", "goldfish", "crane, machine"].map(str::to_owned).into()
    }

    fn classes(text: &str) -> Result<Vec<u32>> {
        Ok(parse(text.as_bytes(), "t", &labels())?.into_iter().map(|(_, class)| class).collect())
    }

    #[test]
    fn classes_are_indices_names_or_objects() {
        let text = r#"{"a": 3, "b": "Goldfish", "c": "Tinca tinca", "d": "tench, tinca tinca",
            "e": {"class_4": 1, "class_5": 2, "name": "tench"}, "f": {"label": "machine"}, "g": {"class": 0}}"#;
        assert_eq!(classes(text).unwrap(), [3, 2, 0, 0, 1, 3, 0]);
    }

    #[test]
    fn what_is_no_class_is_said() {
        for (value, sentence) in [
            ("4", "is said to be class 4; the model has 4 classes, from 0"),
            ("-1", "is said to be class -1; the model"),
            ("0.5", "is said to be class 0.5; the model"),
            ("\"cat\"", "is said to be \"cat\", which is no class"),
            ("\"crane\"", "is said to be \"crane\", which is more than one"),
            ("{}", "has neither class_4 nor class, label or name; give"),
            ("{\"class\": {\"class\": 1}}", "has neither class_4 nor"),
            ("null", "has no class; give"),
            ("[1]", "has no class; give"),
        ] {
            let error = classes(&format!("{{\"p.jpg\": {value}}}")).unwrap_err();
            assert!(error.to_string().starts_with(&format!("t: p.jpg {sentence}")), "{error}");
        }
        assert!(classes("{}").unwrap_err().to_string().starts_with("t names no picture"));
        for bad in ["", "[]", "{\"a\"", "5"] {
            assert!(classes(bad).unwrap_err().to_string().starts_with("t is no truth file; give"), "{bad}");
        }
    }

    #[test]
    fn the_first_and_the_first_five_are_counted() {
        let answers: Vec<ClassScore> =
            [4, 2, 9, 7, 1, 3].map(|class| ClassScore { class, score: 0.1 }).into();
        let mut accuracy = Accuracy::default();
        for class in [4, 1, 3, 4] {
            accuracy.add(class, &answers);
        }
        accuracy.add(4, &[]);
        assert_eq!(accuracy.all, Tally { images: 5, top1: 2, top5: 3 });
        assert_eq!(accuracy.classes[&4], Tally { images: 3, top1: 2, top5: 2 });
        assert_eq!(accuracy.all.top1_share(), Some(0.4));
        assert_eq!(Tally::default().top5_share(), None);
    }

    #[test]
    fn the_class_space_is_the_models() {
        let Some(path) = testdata::shared("labels/gt_imagenet_val.json") else { return };
        for (classes, first) in [(1000, 109), (1001, 110)] {
            let labels: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
            let truths = open(&path, &labels).unwrap();
            assert_eq!(truths[0].1, first);
        }
        let error = open(&path, &labels()).unwrap_err();
        assert!(error.to_string().contains("is said to be \"brain coral\", which is no class"), "{error}");
    }
}
