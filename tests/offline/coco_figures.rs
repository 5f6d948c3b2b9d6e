//! The evaluator against pycocotools, on random annotations and detections.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{data, say, skip};
use serde_json::{Value, json};
use spotter::eval::annotations::Annotations;
use spotter::eval::coco::{Evaluation, Size, evaluate};
use spotter::eval::matching::Found;

/// The agreement that is asked for. What is left is the order of sums.
const TOLERANCE: f64 = 1e-9;
const CASES: u64 = 300;

/// The Python that `./build.sh test` gives pycocotools.
fn python() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/python");
    if path.is_file() {
        return Some(path);
    }
    skip("the evaluator against pycocotools: no target/test-venv, which ./build.sh test makes");
    None
}

/// SplitMix64: the same cases on every run and every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Left, top, width, height. On a grid, overlaps are often equal to each other and to thresholds.
    fn bbox(&mut self, grid: bool) -> [f64; 4] {
        let scale = [4.0, 10.0, 40.0][self.below(3) as usize];
        if grid {
            let mut side = |limit| self.below(limit) as f64 * scale;
            let (left, top) = (side(6), side(6));
            [left, top, side(5) + scale, side(5) + scale]
        } else {
            let mut side = |limit: f64| self.unit() * limit * scale;
            [side(6.0), side(6.0), side(6.0), side(6.0)]
        }
    }

    /// Near `bbox`, so that it often is a hit.
    fn near(&mut self, bbox: &[f64; 4], grid: bool) -> [f64; 4] {
        let mut near = *bbox;
        for (place, side) in near.iter_mut().enumerate() {
            let step =
                if grid { [-2.0, 0.0, 0.0, 1.0][self.below(4) as usize] } else { self.unit() * 8.0 - 4.0 };
            *side = (*side + step).max(if place < 2 { -50.0 } else { 0.0 });
        }
        near
    }

    fn score(&mut self, ties: bool) -> f64 {
        if ties { self.below(9) as f64 / 8.0 } else { self.unit() }
    }
}

/// A set of pictures, annotations and detections.
fn case(seed: u64) -> Value {
    let random = &mut Random(seed);
    let (grid, ties) = (random.chance(50), random.chance(60));
    let crowded = random.chance(10);
    // Ids that are neither dense nor in order.
    let mut images: Vec<u64> = (0..1 + random.below(6)).map(|i| i * 7 + random.below(7)).collect();
    let mut categories: Vec<u64> = (1..=1 + random.below(4)).map(|i| i * 3).collect();
    if random.chance(50) {
        images.reverse();
        categories.reverse();
    }
    let (mut annotations, mut results, mut id) = (Vec::new(), Vec::new(), 0);
    for image in &images {
        // Some pictures have neither, some only one of them.
        let (mut objects, mut detections) = (random.below(7), random.below(9));
        if random.chance(15) {
            objects = 0;
        }
        if random.chance(15) {
            detections = 0;
        }
        if crowded {
            detections += 250;
        }
        let mut boxes = Vec::new();
        for _ in 0..objects {
            let (bbox, category) =
                (random.bbox(grid), categories[random.below(categories.len() as u64) as usize]);
            let full = bbox[2] * bbox[3];
            let area = if random.chance(30) { full * 0.6 } else { full };
            id += 1;
            annotations.push(json!({"id": id, "image_id": image, "category_id": category, "bbox": bbox,
                                    "area": area, "iscrowd": u8::from(random.chance(15))}));
            boxes.push((bbox, category));
        }
        for _ in 0..detections {
            let (bbox, category) = match random.below(boxes.len().max(1) as u64) as usize {
                place if place < boxes.len() && random.chance(75) => {
                    (random.near(&boxes[place].0, grid), boxes[place].1)
                }
                _ => (random.bbox(grid), categories[random.below(categories.len() as u64) as usize]),
            };
            results.push(json!({"image_id": image, "category_id": category, "bbox": bbox, "score": random.score(ties)}));
        }
    }
    let image = |id: &u64| json!({"id": id, "file_name": format!("{id}.jpg"), "width": 640, "height": 480});
    let mut truth = json!({
        "images": images.iter().map(image).collect::<Vec<_>>(),
        "categories": categories.iter().map(|id| json!({"id": id, "name": format!("c{id}")})).collect::<Vec<_>>(),
        "annotations": annotations,
    });
    if random.chance(30) {
        truth["eval_category_ids"] = json!(categories[..1 + random.below(categories.len() as u64) as usize]);
    }
    json!({"truth": truth, "results": results, "threshold": random.score(ties)})
}

/// What our evaluator says of a case.
fn ours(case: &Value) -> Evaluation {
    let annotations = Annotations::parse(case["truth"].to_string().as_bytes(), "case").unwrap();
    let founds: Vec<Found> = case["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|result| {
            let file = format!("{}.jpg", result["image_id"]);
            let image = annotations.pictures.iter().position(|picture| picture.file == file).unwrap();
            let name = format!("c{}", result["category_id"]);
            let category = annotations.categories.iter().position(|known| *known == name)?;
            let bbox = [0, 1, 2, 3].map(|i| result["bbox"][i].as_f64().unwrap());
            Some(Found { image, category, bbox, score: result["score"].as_f64().unwrap() })
        })
        .collect();
    evaluate(&annotations.truths, &founds, annotations.categories.len())
}

/// The twelve figures in the order of `COCOeval.summarize`.
fn stats(evaluation: &Evaluation) -> Vec<Option<f64>> {
    let [ar1, ar10, ar100] = evaluation.average_recalls();
    let sizes = [Size::Small, Size::Medium, Size::Large];
    [evaluation.map(Size::All), evaluation.map50(), evaluation.map75()]
        .into_iter()
        .chain(sizes.map(|size| evaluation.map(size)))
        .chain([ar1, ar10, ar100])
        .chain(sizes.map(|size| evaluation.average_recall(size)))
        .collect()
}

/// Runs tests/tools/coco_stats.py once for all cases.
fn theirs(python: &Path, cases: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.json");
    std::fs::write(&path, json!(cases).to_string()).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/coco_stats.py"))
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
}

/// The largest difference of the figures of one case; where one side has none, so must the other.
fn difference(name: &str, ours: &[Option<f64>], theirs: &Value) -> f64 {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let differences = ours.iter().zip(theirs).map(|(ours, theirs)| {
        let theirs = theirs.as_f64().unwrap();
        let difference = (ours.unwrap_or(-1.0) - theirs).abs();
        assert!(difference <= TOLERANCE, "{name}: {ours:?}, pycocotools {theirs}");
        difference
    });
    differences.fold(0.0, f64::max)
}

/// Holds our figures of all cases against theirs; the largest difference.
fn agree(python: &Path, cases: &[Value]) -> f64 {
    let mut largest = 0.0f64;
    let answers = theirs(python, cases);
    assert_eq!(answers.len(), cases.len());
    for (number, (case, theirs)) in cases.iter().zip(answers).enumerate() {
        let evaluation = ours(case);
        largest = largest.max(difference(&format!("case {number}"), &stats(&evaluation), &theirs["stats"]));
        for (place, category) in evaluation.categories.iter().enumerate() {
            let figures = [category.ap(), category.ap50(), category.ap75(), category.ar100()];
            let name = format!("case {number}, category {place}");
            largest = largest.max(difference(&name, &figures, &theirs["categories"][place]));
        }
        let counts = evaluation.at_score(case["threshold"].as_f64().unwrap());
        let counts = json!([counts.objects, counts.hits, counts.wrong]);
        assert_eq!(counts, theirs["counts"], "case {number} from a score of {}", case["threshold"]);
    }
    largest
}

#[test]
fn random_cases_have_the_figures_of_pycocotools() {
    let Some(python) = python() else { return };
    let cases: Vec<Value> = (0..CASES).map(case).collect();
    let has = |what: &dyn Fn(&Value) -> bool| cases.iter().filter(|case| what(case)).count();
    let results = |case: &Value| case["results"].as_array().unwrap().len();
    assert!(has(&|case| results(case) == 0) > 0, "a case without any detection");
    assert!(has(&|case| results(case) > 250) > 10, "cases with more detections than count");
    assert!(has(&|case| case["truth"].to_string().contains("\"iscrowd\":1")) > 100, "cases with crowds");
    let largest = agree(&python, &cases);
    say(&format!("{CASES} random cases: figures differ from those of pycocotools by {largest:.1e} at most"));
}

/// Real photos and the reference detections of a real model.
#[test]
fn real_detections_have_the_figures_of_pycocotools() {
    let Some(python) = python() else { return };
    let Some(shared) = data::shared_data() else { return };
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let model = "ssd_mobilenet_v1_coco_quant_postprocess__stretch";
    let path = shared.join(format!("reference/litert-2.3.0-xnnpack/detections/{model}.json"));
    let reference = read(&path);
    let mut cases = Vec::new();
    for set in ["voc2012", "coco_full", "coco_person"] {
        let mut truth = read(&shared.join(format!("labels/gt_{set}.json")));
        let mut results = Vec::new();
        // Named as the random cases are.
        let mut ids = std::collections::HashMap::new();
        for image in truth["images"].as_array_mut().unwrap() {
            ids.insert(image["file_name"].as_str().unwrap().to_owned(), image["id"].clone());
            image["file_name"] = json!(format!("{}.jpg", image["id"]));
        }
        let mut categories = std::collections::HashMap::new();
        for category in truth["categories"].as_array_mut().unwrap() {
            categories.insert(category["name"].as_str().unwrap().to_owned(), category["id"].clone());
            category["name"] = json!(format!("c{}", category["id"]));
        }
        for photo in reference["results"].as_array().unwrap() {
            let Some(id) = ids.get(photo["file"].as_str().unwrap()) else { continue };
            let size = |name| photo[name].as_f64().unwrap();
            for detection in photo["detections"].as_array().unwrap() {
                let side = |i: usize| detection["box"][i].as_f64().unwrap().clamp(0.0, 1.0);
                let (left, top) = (side(1) * size("width"), side(0) * size("height"));
                results.push(json!({
                    "image_id": id,
                    "category_id": categories[detection["label"].as_str().unwrap()],
                    "bbox": [left, top, side(3) * size("width") - left, side(2) * size("height") - top],
                    "score": detection["score"],
                }));
            }
        }
        cases.push(json!({"truth": truth, "results": results, "threshold": 0.5}));
    }
    let largest = agree(&python, &cases);
    say(&format!("three real sets: figures differ from those of pycocotools by {largest:.1e} at most"));
}
