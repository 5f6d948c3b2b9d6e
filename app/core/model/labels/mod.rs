//! Class names, and whether they fit the model.
//!
//! A wrong label file is worse than none: every object gets a neighbour's name. So the count must be
//! the model's, and a set that was only guessed from the count says so.

use std::path::Path;

use super::format::label_file::{self, MAX_BYTES, parse};
use crate::base::error::{Error, Kind, Result};

mod resolve;

/// Names made for a model that does not say how many classes it has.
const NUMBERED: usize = 1024;

/// What the row before the first class is called.
const BACKGROUND: &str = "background";
/// Classes of ImageNet without background; with it, models have one more.
const IMAGENET: usize = 1000;

/// A built-in set: its name in the catalogue, its rows, and whether background is a class before them.
const BUILT_IN: [(&str, &str, bool); 4] = [
    ("coco-90", include_str!("../../../../models/labels/coco-90.txt"), false),
    ("coco-80", include_str!("../../../../models/labels/coco-80.txt"), false),
    ("voc-20", include_str!("../../../../models/labels/voc-20.txt"), false),
    ("voc-21", include_str!("../../../../models/labels/voc-20.txt"), true),
];

/// The names of a model's classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    named: Vec<bool>,
    /// Where they are from: a file's name, "the model file", a built-in set, or "numbers".
    pub source: String,
    /// True where the set was guessed from the number of classes: the user should be told.
    pub assumed: bool,
}

impl Labels {
    /// Rows as the names of a model's `classes`, where they fit. One leading row "background",
    /// "__background__" or a hole may be too many. ImageNet's 1000 rows fit a model of 1001 classes too:
    /// its first is background. `None` classes: any number fits.
    ///
    /// # Errors
    /// [`Kind::Model`] where the counts differ; the sentence has both and `source`.
    pub fn fit(mut rows: Vec<String>, classes: Option<usize>, source: &str) -> Result<Self> {
        let background = rows.first().is_some_and(|row| is_hole(row) || is_background(row));
        let given = rows.len();
        match classes {
            Some(classes) if background && given == classes + 1 => drop(rows.remove(0)),
            Some(classes) if !background && given == IMAGENET && classes == IMAGENET + 1 => {
                rows.insert(0, BACKGROUND.to_string());
            }
            None if background => drop(rows.remove(0)),
            _ => {}
        }
        let classes = classes.unwrap_or(rows.len());
        if rows.len() != classes {
            let text = format!(
                "{source} has {given} labels, but the model has {classes} classes; give a file with {classes} rows, one per class"
            );
            return Err(Error::new(Kind::Model, text));
        }
        let named: Vec<bool> = rows.iter().map(|row| !is_hole(row)).collect();
        let names =
            rows.into_iter().enumerate().map(|(i, row)| if named[i] { row } else { numbered(i) }).collect();
        Ok(Self { names, named, source: source.to_string(), assumed: false })
    }

    /// Numbers only: "class 0", "class 1", …
    pub fn numbers(classes: Option<usize>) -> Self {
        let classes = classes.unwrap_or(NUMBERED);
        let names = (0..classes).map(numbered).collect();
        Self { names, named: vec![false; classes], source: "numbers".to_string(), assumed: false }
    }

    /// A built-in set: `coco-90`, `coco-80`, `voc-20`, or `voc-21` with background as class 0.
    pub fn built_in(set: &str) -> Option<Self> {
        let (name, text, background) = BUILT_IN.iter().find(|(name, ..)| *name == set)?;
        let mut rows = parse(text.as_bytes(), name).ok()?;
        if *background {
            rows.insert(0, BACKGROUND.to_string());
        }
        let classes = rows.len();
        Self::fit(rows, Some(classes), name).ok()
    }

    /// Reads a label file.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none; [`Kind::Model`] where it cannot be read, is larger
    /// than 1 MiB, is no UTF-8 or does not fit `classes`.
    pub fn read(path: &Path, classes: Option<usize>) -> Result<Self> {
        Self::fit(Self::rows(path)?, classes, &file_name(path))
    }

    /// The rows of a label file.
    fn rows(path: &Path) -> Result<Vec<String>> {
        let shown = path.display().to_string();
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(Kind::NotFound, format!("there is no label file {shown}"))
            }
            _ => Error::new(Kind::Model, format!("cannot read the label file {shown}")).caused_by(error),
        };
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() {
            return Err(Error::new(Kind::Model, format!("{shown} is no label file; give a text file")));
        }
        if about.len() > MAX_BYTES as u64 {
            return Err(label_file::too_large(&file_name(path)));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        parse(&bytes, &file_name(path))
    }

    /// The name of a class; "class 17" where it has none.
    pub fn name(&self, class: u32) -> &str {
        self.names.get(class as usize).map_or("unknown class", String::as_str)
    }

    /// True where the class is called background: what is in the picture, but nothing in particular.
    pub fn is_background(&self, class: u32) -> bool {
        self.names.get(class as usize).is_some_and(|name| is_background(name))
    }

    /// True where the class has a name rather than a number.
    pub fn is_named(&self, class: u32) -> bool {
        self.named.get(class as usize).copied().unwrap_or(false)
    }

    /// The class with this name.
    pub fn class(&self, name: &str) -> Option<u32> {
        self.names.iter().position(|known| known == name).and_then(|index| u32::try_from(index).ok())
    }

    /// All names in the order of the classes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True where there are no classes.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// How a label file is called to those who look at Spotter: not where it lies.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn numbered(class: usize) -> String {
    format!("class {class}")
}

/// Rows that keep a number free: COCO's 90 classes have ten of them.
fn is_hole(row: &str) -> bool {
    matches!(row, "" | "-" | "???") || row.eq_ignore_ascii_case("n/a")
}

fn is_background(row: &str) -> bool {
    row.eq_ignore_ascii_case(BACKGROUND) || row.eq_ignore_ascii_case("__background__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    fn rows(text: &str) -> Vec<String> {
        parse(text.as_bytes(), "labels.txt").unwrap()
    }

    #[test]
    fn numbered_rows_leave_holes() {
        assert_eq!(rows("0 person\n2: car\n3:  cat\n"), ["person", "", "car", "cat"]);
        assert_eq!(rows("0  person\n1  bicycle"), ["person", "bicycle"]);
        let error = parse(b"4000000000 person", "l.txt").unwrap_err();
        assert_eq!(error.to_string(), "l.txt numbers a class beyond 65536; give one name a line");
        // Numbered from 1: row 0 is a hole, and a leading hole may be dropped.
        let labels = Labels::fit(rows("1 person\n2 car"), Some(2), "l.txt").unwrap();
        assert_eq!((labels.name(0), labels.name(1)), ("person", "car"));
    }

    #[test]
    fn imagenet_fits_with_and_without_background() {
        let list: Vec<String> = (0..1000).map(|i| format!("n{i}")).collect();
        let more = Labels::fit(list.clone(), Some(1001), "l").unwrap();
        assert_eq!((more.name(0), more.name(1), more.name(1000)), ("background", "n0", "n999"));
        let with = [vec!["background".to_string()], list.clone()].concat();
        let less = Labels::fit(with.clone(), Some(1000), "l").unwrap();
        assert_eq!((less.len(), less.name(0), less.name(999)), (1000, "n0", "n999"));
        assert_eq!(Labels::fit(with.clone(), Some(1001), "l").unwrap().name(1), "n0");
        assert!(Labels::fit(with, Some(1002), "l").is_err());
        // Elsewhere a row too few is a row forgotten.
        assert!(Labels::fit(list[..20].to_vec(), Some(21), "l").is_err());
    }

    #[test]
    fn counts_must_be_the_models() {
        let list = |n: usize| (0..n).map(|i| format!("n{i}")).collect::<Vec<_>>();
        let error = Labels::fit(list(80), Some(90), "labels.txt").unwrap_err();
        assert_eq!(error.kind(), Kind::Model);
        assert_eq!(
            error.to_string(),
            "labels.txt has 80 labels, but the model has 90 classes; give a file with 90 rows, one per class"
        );
        assert!(Labels::fit(list(91), Some(90), "labels.txt").is_err(), "the first row is no background");
        for first in ["background", "???", "__background__", "Background", "n/a"] {
            let mut with = list(90);
            with.insert(0, first.to_string());
            assert_eq!(Labels::fit(with, Some(90), "l").unwrap().name(0), "n0");
        }
        let exact = Labels::fit(vec!["background".into(), "cat".into()], Some(2), "l").unwrap();
        assert_eq!(exact.name(0), "background", "nothing is dropped where the counts agree");
    }

    #[test]
    fn classes_without_a_name_have_a_number() {
        let labels = Labels::built_in("coco-90").unwrap();
        assert_eq!((labels.name(0), labels.name(11), labels.name(12)), ("person", "class 11", "stop sign"));
        assert!(!labels.is_named(11) && labels.is_named(12) && !labels.is_named(90));
        assert_eq!(labels.name(90), "unknown class");
        assert_eq!(labels.class("toothbrush"), Some(89));
        assert_eq!(Labels::numbers(Some(3)).names(), ["class 0", "class 1", "class 2"]);
    }

    #[test]
    fn built_in_sets_have_their_size_and_order() {
        let [coco90, coco80, voc] = ["coco-90", "coco-80", "voc-20"].map(|s| Labels::built_in(s).unwrap());
        assert_eq!((coco90.len(), coco80.len(), voc.len()), (90, 80, 20));
        let pixels = Labels::built_in("voc-21").unwrap();
        assert_eq!((pixels.len(), pixels.name(0), pixels.is_named(0)), (21, "background", true));
        assert_eq!(pixels.names()[1..], *voc.names());
        assert_eq!(Labels::built_in("imagenet-1001"), None);
        assert!(voc.names().is_sorted());
        let named: Vec<&String> = coco90.names().iter().filter(|name| !name.starts_with("class ")).collect();
        assert_eq!(named, coco80.names().iter().collect::<Vec<_>>());
    }

    #[test]
    fn coco_names_are_the_data_sets() {
        let Some(path) = testdata::shared("labels/gt_coco_full.json") else { return };
        let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let labels = Labels::built_in("coco-90").unwrap();
        let categories = truth["categories"].as_array().unwrap();
        assert_eq!(categories.len(), 80);
        for category in categories {
            let id = category["id"].as_u64().unwrap() as u32;
            assert_eq!(labels.name(id - 1), category["name"].as_str().unwrap());
        }
    }

    #[test]
    fn published_label_files_fit_their_models_only() {
        let Some(folder) = testdata::shared("models/labels") else { return };
        let read = |file: &str, classes| Labels::read(&folder.join(file), Some(classes));
        assert_eq!(read("coco_labels.txt", 90).unwrap().name(89), "toothbrush");
        assert_eq!(read("coco_labels_80.txt", 80).unwrap().name(79), "toothbrush");
        let st = read("labels_coco_dataset_80.txt", 80).unwrap();
        assert_eq!((st.name(0), st.name(79)), ("person", "toothbrush"));
        assert_eq!(read("imagenet_labels.txt", 1000).unwrap().name(0), "tench, Tinca tinca");
        assert_eq!(read("imagenet_labels.txt", 1001).unwrap().name(0), "background");
        // Both lists are ImageNet's, one with WordNet ids and one with background.
        let with_ids = read("LOC_synset_mapping.txt", 1001).unwrap();
        assert_eq!((with_ids.len(), with_ids.name(0)), (1001, "background"));
        assert_eq!(
            (with_ids.name(1), with_ids.name(1000)),
            ("tench, Tinca tinca", "toilet tissue, toilet paper, bathroom tissue")
        );
        assert_eq!(read("LOC_synset_mapping.txt", 1000).unwrap().names(), &with_ids.names()[1..]);
        assert!(read("LOC_synset_mapping.txt", 999).is_err());
        for (file, rows, classes) in [("coco_labels.txt", 90, 80), ("coco_labels_80.txt", 80, 90)] {
            let sentence = read(file, classes).unwrap_err().to_string();
            assert!(
                sentence.contains(&format!("has {rows} labels, but the model has {classes}")),
                "{sentence}"
            );
        }
    }
}
