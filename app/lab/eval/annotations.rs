//! Annotations of pictures in COCO's format, which are somebody else's file: everything is checked.
//!
//! Source of the format: the COCO data format for object detection (`images`, `annotations`,
//! `categories`). Outlines are not read. `eval_category_ids`, where it is there, lists the categories
//! that are annotated; the others are left out.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::files::read_file;
use super::matching::{Bbox, Truth};
use spotter_core::base::error::{Error, Kind, Result};

/// Larger files are refused. COCO's largest, of 118,000 pictures, has 450 MB.
pub const MAX_BYTES: u64 = 1 << 29;
/// No picture has more objects; the time of an evaluation rises with their square.
const MAX_OBJECTS: usize = 10_000;
/// No picture has a longer side or a box beyond it, in pixels.
const MAX_PIXELS: f64 = 1e7;

/// A picture that is annotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The file's name, or its path inside the folder of the pictures.
    pub file: String,
    /// Width and height in pixels, where the file has them.
    pub size: Option<(u64, u64)>,
}

/// Pictures, what is in them, and the categories to look for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// In the order of their ids.
    pub pictures: Vec<Picture>,
    /// Names of the categories that are evaluated, in the order of their ids.
    pub categories: Vec<String>,
    /// The objects of these categories, each with the places of its picture and its category.
    pub truths: Vec<Truth>,
    /// Annotations of pictures that the file does not list.
    pub strays: usize,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    images: Option<Vec<Image>>,
    #[serde(default)]
    annotations: Option<Vec<Object>>,
    #[serde(default)]
    categories: Value,
    #[serde(default)]
    eval_category_ids: Value,
}

/// Any value for each: what is wrong with it is said in our words.
#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    file_name: Value,
    #[serde(default)]
    width: Value,
    #[serde(default)]
    height: Value,
}

/// As [`Image`].
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    image_id: Value,
    #[serde(default)]
    category_id: Value,
    #[serde(default)]
    bbox: Value,
    #[serde(default)]
    area: Value,
    #[serde(default)]
    iscrowd: Value,
}

/// A whole number, also where it is written as 3.0.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
    })
}

/// A value as a sentence can show it.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Annotations {
    /// Reads an annotation file.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none; [`Kind::Usage`] where it cannot be read, is larger than
    /// [`MAX_BYTES`] or is not sound.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read_file(path, "annotation file", MAX_BYTES)?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads annotations from memory; `name` is used in messages.
    ///
    /// # Errors
    /// [`Kind::Usage`] with what is wrong and where.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let file: File = serde_json::from_slice(bytes).map_err(|error| {
            let text = format!("{name} is no COCO annotation file; give the JSON of a detection set");
            Error::new(Kind::Usage, text).caused_by(error)
        })?;
        Reader { name }.annotations(file)
    }

    /// Leaves out the pictures for which `keep` is false, with all that is in them.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let kept: Vec<usize> = (0..self.pictures.len()).filter(|image| keep(*image)).collect();
        let places: HashMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        self.pictures = kept.iter().map(|old| self.pictures[*old].clone()).collect();
        self.truths.retain_mut(|truth| match places.get(&truth.image) {
            Some(place) => {
                truth.image = *place;
                true
            }
            None => false,
        });
    }
}

struct Reader<'a> {
    name: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::new(Kind::Usage, format!("{}: {what}", self.name))
    }

    fn annotations(&self, file: File) -> Result<Annotations> {
        let (pictures, images) = self.pictures(file.images.as_deref())?;
        let named = self.categories(&file.categories)?;
        let wanted = self.wanted(&file.eval_category_ids, &named)?;
        let places: HashMap<i64, usize> = wanted.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let Some(objects) = file.annotations else {
            return Err(self.wrong("there is no list \"annotations\"; give the JSON of a detection set"));
        };
        let mut all = Annotations {
            pictures,
            categories: wanted.iter().filter_map(|id| named.get(id).cloned()).collect(),
            ..Annotations::default()
        };
        let mut seen = HashSet::with_capacity(objects.len());
        let mut counts = vec![0usize; all.pictures.len()];
        for (index, object) in objects.into_iter().enumerate() {
            let wrong = |what: String| self.wrong(format!("annotation {} {what}", index + 1));
            // Ids are of no use here, but twice the same means that two files were glued together.
            if let Some(id) = whole(&object.id)
                && !seen.insert(id)
            {
                return Err(wrong(format!("has the id {id}, as an earlier one has; ids must differ")));
            }
            let Some(image) = whole(&object.image_id) else {
                return Err(wrong(format!(
                    "has the image_id {}; give the id of a picture",
                    shown(&object.image_id)
                )));
            };
            let Some(category) = whole(&object.category_id).filter(|id| named.contains_key(id)) else {
                let id = shown(&object.category_id);
                return Err(wrong(format!("has the category_id {id}, which is not among \"categories\"")));
            };
            let (bbox, area, crowd) = self.object(&object).map_err(wrong)?;
            let Some(image) = images.get(&image).copied() else {
                all.strays += 1;
                continue;
            };
            counts[image] += 1;
            if counts[image] > MAX_OBJECTS {
                let file = &all.pictures[image].file;
                return Err(self.wrong(format!("{file} has more than {MAX_OBJECTS} objects")));
            }
            if let Some(category) = places.get(&category) {
                all.truths.push(Truth { image, category: *category, bbox, area, crowd });
            }
        }
        Ok(all)
    }

    /// Pictures in the order of their ids, and the place of each id.
    fn pictures(&self, images: Option<&[Image]>) -> Result<(Vec<Picture>, HashMap<i64, usize>)> {
        let Some(images) = images else {
            return Err(self.wrong("there is no list \"images\"; give the JSON of a detection set"));
        };
        let mut pictures = Vec::with_capacity(images.len());
        for (index, image) in images.iter().enumerate() {
            let wrong = |what: String| self.wrong(format!("image {} {what}", index + 1));
            let Some(id) = whole(&image.id) else {
                return Err(wrong(format!("has the id {}; give a whole number", shown(&image.id))));
            };
            let Some(file) = image.file_name.as_str().filter(|name| !name.is_empty()) else {
                return Err(wrong(format!(
                    "has the file_name {}; give the name of a file",
                    shown(&image.file_name)
                )));
            };
            let size = image.width.as_u64().zip(image.height.as_u64());
            pictures.push((id, Picture { file: file.to_owned(), size }));
        }
        pictures.sort_by_key(|(id, _)| *id);
        if let Some([(id, one), (_, other)]) =
            pictures.array_windows::<2>().find(|[one, other]| one.0 == other.0)
        {
            let text = format!("{} and {} have the same id {id}; ids must differ", one.file, other.file);
            return Err(self.wrong(text));
        }
        if pictures.is_empty() {
            return Err(self.wrong("the list \"images\" is empty; there is nothing to evaluate"));
        }
        let places = pictures.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
        Ok((pictures.into_iter().map(|(_, picture)| picture).collect(), places))
    }

    /// Names by id.
    fn categories(&self, categories: &Value) -> Result<HashMap<i64, String>> {
        let Some(categories) = categories.as_array() else {
            return Err(self.wrong("there is no list \"categories\"; give the JSON of a detection set"));
        };
        let mut named = HashMap::with_capacity(categories.len());
        let mut names = HashSet::with_capacity(categories.len());
        for (index, category) in categories.iter().enumerate() {
            let wrong = |what: String| self.wrong(format!("category {} {what}", index + 1));
            let Some(id) = whole(&category["id"]) else {
                return Err(wrong(format!("has the id {}; give a whole number", shown(&category["id"]))));
            };
            let Some(name) = category["name"].as_str() else {
                return Err(wrong(format!("has the name {}; give a text", shown(&category["name"]))));
            };
            if named.insert(id, name.to_owned()).is_some() {
                return Err(wrong(format!("has the id {id}, as an earlier one has; ids must differ")));
            }
            if !names.insert(super::categories::canonical(name)) {
                return Err(wrong(format!(
                    "has the name \"{name}\", as an earlier one has; names must differ"
                )));
            }
        }
        Ok(named)
    }

    /// The ids of the categories that are evaluated, rising.
    fn wanted(&self, ids: &Value, named: &HashMap<i64, String>) -> Result<Vec<i64>> {
        let mut wanted: Vec<i64> = match ids {
            Value::Null => named.keys().copied().collect(),
            Value::Array(ids) => {
                let known = |id: &Value| whole(id).filter(|id| named.contains_key(id));
                let known = |id: &Value| {
                    known(id).ok_or_else(|| {
                        let id = shown(id);
                        self.wrong(format!("eval_category_ids has {id}, which is not among \"categories\""))
                    })
                };
                ids.iter().map(known).collect::<Result<_>>()?
            }
            other => {
                let text = format!("eval_category_ids is {}; give a list of category ids", shown(other));
                return Err(self.wrong(text));
            }
        };
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Err(self.wrong("there are no categories; there is nothing to evaluate"));
        }
        Ok(wanted)
    }

    /// Box, area and crowd of an annotation; the error is the end of a sentence.
    fn object(&self, object: &Object) -> std::result::Result<(Bbox, f64, bool), String> {
        let numbers: Option<Vec<f64>> =
            object.bbox.as_array().and_then(|values| values.iter().map(Value::as_f64).collect());
        let bbox = numbers.and_then(|numbers| Bbox::try_from(numbers).ok()).ok_or_else(|| {
            let bbox = shown(&object.bbox);
            format!("has the bbox {bbox}; give [left, top, width, height] in pixels")
        })?;
        if bbox.iter().any(|value| value.abs() > MAX_PIXELS) || bbox[2] < 0.0 || bbox[3] < 0.0 {
            let bbox = shown(&object.bbox);
            return Err(format!(
                "has the bbox {bbox}; width and height must be 0 or more, and nothing beyond {MAX_PIXELS} pixels"
            ));
        }
        let area = match &object.area {
            Value::Null => bbox[2] * bbox[3],
            value => value
                .as_f64()
                .filter(|area| (0.0..=MAX_PIXELS * MAX_PIXELS).contains(area))
                .ok_or_else(|| format!("has the area {}; give square pixels, or none", shown(value)))?,
        };
        let crowd = match &object.iscrowd {
            Value::Null => false,
            Value::Bool(crowd) => *crowd,
            value => match whole(value) {
                Some(0) => false,
                Some(1) => true,
                _ => return Err(format!("has the iscrowd {}; give 0 or 1", shown(value))),
            },
        };
        Ok((bbox, area, crowd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;
    use serde_json::json;

    fn sound() -> Value {
        json!({
            "images": [{"id": 9, "file_name": "b.jpg"},
                       {"id": 7, "file_name": "a/a.jpg", "width": 640, "height": 480}],
            "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 44, "name": "cup"}],
            "annotations": [
                {"id": 1, "image_id": 9, "category_id": 18, "bbox": [1, 2.5, 3, 4], "area": 10.5, "iscrowd": 1},
                {"id": 2, "image_id": 7.0, "category_id": 17, "bbox": [0, 0, 5, 6], "segmentation": [[0, 1]]},
                {"id": 3, "image_id": 8, "category_id": 17, "bbox": [0, 0, 5, 6]},
            ],
        })
    }

    fn parse(value: &Value) -> Result<Annotations> {
        Annotations::parse(value.to_string().as_bytes(), "a.json")
    }

    #[test]
    fn places_are_in_the_order_of_ids() {
        let all = parse(&sound()).unwrap();
        assert_eq!(all.pictures[0], Picture { file: "a/a.jpg".into(), size: Some((640, 480)) });
        assert_eq!((all.pictures[1].file.as_str(), all.pictures[1].size), ("b.jpg", None));
        assert_eq!(all.categories, ["cat", "dog", "cup"]);
        let bbox = [1.0, 2.5, 3.0, 4.0];
        assert_eq!(all.truths[0], Truth { image: 1, category: 1, bbox, area: 10.5, crowd: true });
        assert_eq!((all.truths[1].image, all.truths[1].area, all.truths[1].crowd), (0, 30.0, false));
        assert_eq!((all.truths.len(), all.strays), (2, 1));
    }

    #[test]
    fn only_the_categories_that_are_annotated_count() {
        let mut file = sound();
        file["eval_category_ids"] = json!([44, 18, 18]);
        let all = parse(&file).unwrap();
        assert_eq!((all.categories.join(" "), all.truths.len()), ("dog cup".to_owned(), 1));
    }

    #[test]
    fn pictures_can_be_left_out() {
        let mut all = parse(&sound()).unwrap();
        all.retain(|image| image == 1);
        assert_eq!((all.pictures.len(), all.truths.len(), all.truths[0].image), (1, 1, 0));
        assert_eq!(all.pictures[0].file, "b.jpg");
    }

    #[test]
    fn damage_is_said_with_its_place() {
        let cases: [(&str, Value, &str); 22] = [
            ("/images", json!(null), "there is no list \"images\"; give"),
            ("/images", json!([]), "the list \"images\" is empty; there is"),
            ("/images/0/id", json!("9"), "image 1 has the id \"9\"; give a whole"),
            ("/images/0/id", json!(7), "b.jpg and a/a.jpg have the same id 7; ids"),
            ("/images/1/file_name", json!(5), "image 2 has the file_name 5; give"),
            ("/images/1", json!({"file_name": "a.jpg"}), "image 2 has the id null; give"),
            ("/categories", json!({}), "there is no list \"categories\"; give"),
            ("/categories", json!([]), "there are no categories; there is"),
            ("/categories/1/id", json!(18), "category 2 has the id 18, as"),
            ("/categories/1/id", json!(0.5), "category 2 has the id 0.5; give"),
            ("/categories/1/name", json!(["cat"]), "category 2 has the name [\"cat\"]; give"),
            ("/categories/1/name", json!("Dog"), "category 2 has the name \"Dog\", as"),
            ("/annotations", json!(null), "there is no list \"annotations\"; give"),
            ("/annotations/1/id", json!(1), "annotation 2 has the id 1, as an earlier one has; ids"),
            ("/annotations/1/image_id", json!(1e300), "annotation 2 has the image_id 1e+300; give"),
            ("/annotations/1/category_id", json!(3), "annotation 2 has the category_id 3, which is not"),
            ("/annotations/1/bbox", json!([1, 2, 3]), "annotation 2 has the bbox [1,2,3]; give [left"),
            ("/annotations/1/bbox", json!([1, 2, -3, 4]), "annotation 2 has the bbox [1,2,-3,4]; width"),
            ("/annotations/1/bbox", json!([1e300, 2, 3, 4]), "annotation 2 has the bbox [1e+300,2,3,4]; wi"),
            ("/annotations/0/area", json!(-1), "annotation 1 has the area -1; give"),
            ("/annotations/0/iscrowd", json!("yes"), "annotation 1 has the iscrowd \"yes\"; give 0 or 1"),
            ("/eval_category_ids", json!([17, 5]), "eval_category_ids has 5, which is not"),
        ];
        for (place, value, sentence) in cases {
            let mut file = sound();
            file["eval_category_ids"] = Value::Null;
            *file.pointer_mut(place).unwrap() = value;
            let error = parse(&file).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            let wanted = format!("a.json: {sentence}");
            assert!(error.to_string().starts_with(&wanted), "{error}\nnot {wanted}");
        }
        let mut file = sound();
        file["annotations"][0].as_object_mut().unwrap().remove("bbox");
        assert!(parse(&file).unwrap_err().to_string().contains("annotation 1 has the bbox null; give"));
    }

    #[test]
    fn what_is_no_json_is_said_so() {
        let text = sound().to_string();
        for end in (0..text.len()).step_by(7) {
            assert!(Annotations::parse(&text.as_bytes()[..end], "a.json").is_err());
        }
        let deep = "[".repeat(100_000);
        for bad in ["", "3", "{\"annotations\": 5}", "{\"annotations\": [5]}", "\u{0}", &deep] {
            let error = Annotations::parse(bad.as_bytes(), "a.json").unwrap_err();
            assert!(
                error.to_string().starts_with("a.json is no COCO annotation file; give"),
                "{bad} {error}"
            );
        }
        assert!(Annotations::parse(b"{\"images\": [{\"id\": 1e999}]}", "a.json").is_err());
        assert!(Annotations::parse(b"\xff\xfe{", "a.json").is_err());
    }

    #[test]
    fn a_crowded_picture_has_a_limit() {
        let mut file = sound();
        let one = json!({"image_id": 9, "category_id": 17, "bbox": [0, 0, 1, 1]});
        file["annotations"] = json!(vec![one.clone(); MAX_OBJECTS]);
        assert_eq!(parse(&file).unwrap().truths.len(), MAX_OBJECTS);
        file["annotations"] = json!(vec![one; MAX_OBJECTS + 1]);
        assert_eq!(parse(&file).unwrap_err().to_string(), "a.json: b.jpg has more than 10000 objects");
    }

    #[test]
    fn files_are_checked_before_they_are_read() {
        let error = Annotations::open(Path::new("/nonexistent/a.json")).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::NotFound, "there is no annotation file /nonexistent/a.json")
        );
        let folder = tempfile::tempdir().unwrap();
        assert!(Annotations::open(folder.path()).unwrap_err().to_string().contains("is no regular file"));
        let path = folder.path().join("large.json");
        std::fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(Annotations::open(&path).unwrap_err().to_string().contains("it has 512 MiB, of"));
    }

    #[test]
    fn published_sets_are_read() {
        for (set, pictures, categories, truths) in
            [("voc2012", 71, 20, 205), ("coco_full", 26, 80, 253), ("coco_person", 18, 1, 44)]
        {
            let Some(path) = testdata::shared(&format!("labels/gt_{set}.json")) else { return };
            let all = Annotations::open(&path).unwrap();
            let found = (all.pictures.len(), all.categories.len(), all.truths.len(), all.strays);
            assert_eq!(found, (pictures, categories, truths, 0), "{set}");
        }
    }
}
