//! Detections and mAP against those of another program: Python's LiteRT on the same models and photos.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{alone, data, process, say, skip};
use serde_json::{Value, json};

/// As in the names of the reference files.
const RUNTIME: &str = "litert-2.3.0-xnnpack";

struct Model {
    name: &'static str,
    /// How the reference fits a photo into the model's input.
    fit: &'static str,
    /// The thresholds that the reference detections were made with.
    thresholds: &'static [&'static str],
}

const SSD: Model =
    Model { name: "ssd_mobilenet_v1_coco_quant_postprocess", fit: "stretch", thresholds: &["--conf", "0.3"] };
const YOLO_8: Model = Model {
    name: "yolov5n_artpec8_coco_640",
    fit: "letterbox",
    thresholds: &["--conf", "0.25", "--iou", "0.45"],
};
const YOLO_9: Model = Model {
    name: "yolov5n_artpec9_coco_640",
    fit: "letterbox",
    thresholds: &["--conf", "0.25", "--iou", "0.45"],
};

#[test]
fn ssd_detections_agree() {
    detections_agree(&SSD);
}

#[test]
fn yolo_artpec8_detections_agree() {
    detections_agree(&YOLO_8);
}

#[test]
fn yolo_artpec9_detections_agree() {
    detections_agree(&YOLO_9);
}

#[test]
fn ssd_map_agrees() {
    map_agrees(&SSD);
}

#[test]
fn yolo_artpec8_map_agrees() {
    map_agrees(&YOLO_8);
}

#[test]
fn yolo_artpec9_map_agrees() {
    map_agrees(&YOLO_9);
}

#[test]
fn mobilenet_v1_classes_agree() {
    classes_agree("mobilenet_v1_0.25_128_quant", "stretch", "stretch");
    classes_agree("mobilenet_v1_0.25_128_quant", "crop-0.875", "center_crop_0.875");
}

#[test]
fn mobilenet_v2_classes_agree() {
    classes_agree("mobilenet_v2_1.0_224_quant", "stretch", "stretch");
    classes_agree("mobilenet_v2_1.0_224_quant", "crop-0.875", "center_crop_0.875");
}

#[test]
fn mobilenet_v2_of_tf2_classes_agree() {
    classes_agree("tf2_mobilenet_v2_1.0_224_ptq", "stretch", "stretch");
    classes_agree("tf2_mobilenet_v2_1.0_224_ptq", "crop-0.875", "center_crop_0.875");
}

/// A box (left, top, right, bottom) in parts of the picture, with what is in it.
#[derive(Clone, Debug)]
struct Detection {
    label: String,
    score: f64,
    rect: [f64; 4],
}

/// The reference's answer for each photo, by `group/name`.
fn reference(shared: &Path, model: &Model) -> BTreeMap<String, Vec<Detection>> {
    let path = shared.join(format!("reference/{RUNTIME}/detections/{}__{}.json", model.name, model.fit));
    let detection = |value: &Value| {
        // Top, left, bottom, right; SSD's may reach out of the picture.
        let side = |i: usize| value["box"][i].as_f64().unwrap().clamp(0.0, 1.0);
        Detection {
            label: value["label"].as_str().unwrap().to_owned(),
            score: value["score"].as_f64().unwrap(),
            rect: [side(1), side(0), side(3), side(2)],
        }
    };
    read_json(&path)["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let detections = result["detections"].as_array().unwrap().iter().map(detection).collect();
            (result["file"].as_str().unwrap().to_owned(), detections)
        })
        .collect()
}

/// Runs `spotter detect` once over all these photos; its standard output.
fn detect(shared: &Path, model: &Model, arguments: &[&str], photos: &[PathBuf]) -> String {
    // One at a time: each uses all processors.
    let _alone = alone();
    let mut command = process::spotter();
    command.arg("detect").arg("--model").arg(shared.join(format!("models/{}.tflite", model.name)));
    command.args(arguments).args(photos);
    let finished = process::run_command(command, Duration::from_secs(600));
    assert_eq!(finished.code, Some(0), "spotter detect failed:\n{}", finished.stderr);
    say(&format!("{}: {} photos in {:.1} s", model.name, photos.len(), finished.took.as_secs_f64()));
    finished.stdout
}

fn detections_agree(model: &Model) {
    let Some(shared) = data::shared_data() else { return };
    let theirs = reference(&shared, model);
    let images = shared.join("images");
    let photos: Vec<PathBuf> =
        theirs.keys().map(|name| images.join(name)).filter(|path| path.is_file()).collect();
    assert!(photos.len() > 100, "{} photos of the reference are there", photos.len());

    let stdout = detect(&shared, model, &[&["--format", "jsonl"], model.thresholds].concat(), &photos);
    let mut ours: BTreeMap<String, Vec<Detection>> = BTreeMap::new();
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        let name = Path::new(line["file"].as_str().unwrap()).strip_prefix(&images).unwrap();
        let detections = line["detections"].as_array().unwrap().iter().map(|value| {
            let side = |name| value["box"][name].as_f64().unwrap();
            Detection {
                label: value["label"].as_str().unwrap().to_owned(),
                score: value["score"].as_f64().unwrap(),
                rect: [side("left"), side("top"), side("right"), side("bottom")],
            }
        });
        let before = ours.insert(name.to_str().unwrap().to_owned(), detections.collect());
        assert!(before.is_none(), "two lines for {}", name.display());
    }
    let missing: Vec<&PathBuf> =
        photos.iter().filter(|path| !ours.contains_key(path_name(path, &images))).collect();
    assert!(missing.is_empty(), "no line for {missing:?}");

    let (mut recall, mut precision) = (Share::default(), Share::default());
    for (name, ours) in &ours {
        let theirs = &theirs[name];
        let sure = |all: &[Detection]| all.iter().filter(|d| d.score >= 0.5).cloned().collect::<Vec<_>>();
        recall.add(name, "misses", &sure(theirs), ours);
        precision.add(name, "adds", &sure(ours), theirs);
    }
    say(&format!(
        "{}: {recall} of the reference's detections found, {precision} of ours are the reference's",
        model.name
    ));
    for (share, what) in
        [(&recall, "of the reference's are found"), (&precision, "of ours are the reference's")]
    {
        let examples: Vec<&String> = share.unmatched.iter().take(20).collect();
        assert!(share.all > 0 && share.part() >= 0.95, "only {share} {what}: {examples:#?}");
    }
}

fn path_name<'a>(path: &'a Path, images: &Path) -> &'a str {
    path.strip_prefix(images).unwrap().to_str().unwrap()
}

#[derive(Default)]
struct Share {
    matched: usize,
    all: usize,
    unmatched: Vec<String>,
}

impl Share {
    /// Counts those of `some` that are also in `others`.
    fn add(&mut self, photo: &str, verb: &str, some: &[Detection], others: &[Detection]) {
        let found = matches(some, others);
        self.all += some.len();
        self.matched += found.iter().filter(|found| **found).count();
        let unmatched = some.iter().zip(found).filter(|(_, found)| !found);
        self.unmatched.extend(
            unmatched.map(|(d, _)| format!("{photo} {verb} {} {:.2} {:.3?}", d.label, d.score, d.rect)),
        );
    }

    fn part(&self) -> f64 {
        self.matched as f64 / self.all.max(1) as f64
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} % ({}/{})", 100.0 * self.part(), self.matched, self.all)
    }
}

/// Which of `some` have a partner among `others`: the same class, nearly the same place and score. Each
/// is the partner of one at most; the best pairs are made first.
fn matches(some: &[Detection], others: &[Detection]) -> Vec<bool> {
    let mut pairs = Vec::new();
    for (i, one) in some.iter().enumerate() {
        for (j, other) in others.iter().enumerate() {
            let overlap = iou(&one.rect, &other.rect);
            if one.label == other.label && overlap >= 0.85 && (one.score - other.score).abs() <= 0.1 {
                pairs.push((overlap, i, j));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut found, mut taken) = (vec![false; some.len()], vec![false; others.len()]);
    for (_, i, j) in pairs {
        if !found[i] && !taken[j] {
            (found[i], taken[j]) = (true, true);
        }
    }
    found
}

/// Intersection over union.
fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let area = |r: &[f64; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let both = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
    let shared = if both[2] > both[0] && both[3] > both[1] { area(&both) } else { 0.0 };
    shared / (area(a) + area(b) - shared).max(f64::MIN_POSITIVE)
}

#[test]
fn detections_are_matched_one_to_one_and_best_first() {
    let detection =
        |score, left| Detection { label: "cat".into(), score, rect: [left, 0.0, left + 0.5, 0.5] };
    let one = [detection(0.8, 0.1)];
    assert_eq!(matches(&one, &[detection(0.75, 0.11)]), [true]);
    assert_eq!(matches(&one, &[detection(0.65, 0.1)]), [false], "the score is another");
    assert_eq!(matches(&one, &[detection(0.8, 0.3)]), [false], "the place is another");
    assert_eq!(matches(&[detection(0.8, 0.12), detection(0.8, 0.1)], &one), [false, true], "one partner");
    assert_eq!(iou(&[0.0, 0.0, 0.5, 1.0], &[0.25, 0.0, 0.75, 1.0]), 1.0 / 3.0);
    assert_eq!(iou(&[0.0, 0.0, 0.1, 0.1], &[0.5, 0.5, 0.6, 0.6]), 0.0);
}

/// The five best classes of each photo, as numbers, best first.
type Ranked = BTreeMap<String, Vec<u64>>;

/// With the photo fitted as the reference was, the first class is nearly always the reference's, and the
/// five are the same ones.
fn classes_agree(name: &'static str, fit: &'static str, recorded: &str) {
    let Some(shared) = data::shared_data() else { return };
    let images = shared.join("images");
    let path = shared.join(format!("reference/{RUNTIME}/classification/{name}__{recorded}.json"));
    let numbers = |list: &Value| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|entry| entry["class"].as_u64().unwrap()).collect()
    };
    let theirs: Ranked = read_json(&path)["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let top = result["top5"].as_array().unwrap();
            let classes = top.iter().map(|entry| entry["class_id"].as_u64().unwrap()).collect();
            (result["file"].as_str().unwrap().to_owned(), classes)
        })
        // Bare pixels, which are no picture file.
        .filter(|(file, _): &(String, _)| !file.ends_with(".bin"))
        .collect();
    let photos: Vec<PathBuf> = theirs.keys().map(|file| images.join(file)).collect();
    let model = Model { name, fit, thresholds: &[] };
    let stdout = detect(&shared, &model, &["--fit", fit], &photos);
    let ours: Ranked = stdout
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let file = path_name(Path::new(line["file"].as_str().unwrap()), &images).to_owned();
            (file, numbers(&line["classification"]))
        })
        .collect();
    assert!(theirs.len() > 150 && ours.keys().eq(theirs.keys()), "{} photos", ours.len());
    let sorted = |list: &[u64]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let share = |same: &dyn Fn(&[u64], &[u64]) -> bool| {
        let count = ours.iter().filter(|(file, list)| same(list, &theirs[*file])).count();
        count as f64 / ours.len() as f64
    };
    let first = share(&|a, b| a[0] == b[0]);
    let five = share(&|a, b| sorted(a) == sorted(b));
    let (first_percent, five_percent) = (100.0 * first, 100.0 * five);
    say(&format!("{name}, {fit}: first equal {first_percent:.1} %, five equal {five_percent:.1} %"));
    assert!(first >= 0.95 && five >= 0.90, "{name} {fit}: {first} {five}");
}

/// A raw SSD head against figures that were measured without Spotter: LiteRT's raw outputs, decoded and
/// suppressed by a few lines of NumPy.
#[test]
fn raw_ssd_map_agrees() {
    const FPN_LITE: Model = Model {
        name: "raw_heads/ssd_mobilenet_v2_fpnlite_coco80_256_int8_raw",
        fit: "stretch",
        thresholds: &[],
    };
    const V3_SMALL: Model = Model { name: "raw_heads/ssd_mobilenet_v3_small_coco_int8_raw", ..FPN_LITE };
    let Some(shared) = data::shared_data() else { return };
    let Some(python) = python() else { return };
    let photos = files_in(&shared.join("images/voc2012"));
    // 0.585 is on record beside the model file without its overlap; 0.55 was picked because it comes near: with
    // 0.5 and 0.6 NumPy has 0.603 and 0.572, so that row proves less than the others. The small model's last
    // layers are quantised so that hardly a score is above 0.5, hence its low figure.
    for (model, iou, expected) in
        [(&FPN_LITE, "0.55", 0.585), (&FPN_LITE, "0.6", 0.5717), (&V3_SMALL, "0.6", 0.1506)]
    {
        let arguments = ["--format", "coco", "--conf", "0.001", "--iou", iou];
        let results: Value = serde_json::from_str(&detect(&shared, model, &arguments, &photos)).unwrap();
        let summary = coco_map(&python, &truth(&shared, "voc2012"), &results);
        let measured = summary["mAP_50"].as_f64().unwrap();
        say(&format!("{}, overlap {iou}: mAP50 is {measured:.4}, the reference's {expected:.4}", model.name));
        assert!((measured - expected).abs() <= 0.01, "{}: {summary}", model.name);
    }
}

/// VOC's classes by COCO's names, in VOC's order; 0 is the background.
const VOC: [&str; 20] = [
    "airplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorcycle",
    "person",
    "potted plant",
    "sheep",
    "couch",
    "train",
    "tv",
];

/// Where a photo has things of one class only, and large ones, a mask of that class is found, and it lies in
/// their boxes.
#[test]
fn masks_lie_in_the_boxes_of_the_truth() {
    const DEEP_LAB: Model =
        Model { name: "segmentation/deeplabv3_mnv2_pascal_quant", fit: "stretch", thresholds: &[] };
    let Some(shared) = data::shared_data() else { return };
    let truth = read_json(&truth(&shared, "voc2012"));
    let names: BTreeMap<u64, &str> = truth["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|category| (category["id"].as_u64().unwrap(), category["name"].as_str().unwrap()))
        .collect();
    let (mut photos, mut wanted) = (Vec::new(), Vec::new());
    for image in truth["images"].as_array().unwrap() {
        let all = truth["annotations"].as_array().unwrap().iter();
        let annotations: Vec<&Value> = all.filter(|a| a["image_id"] == image["id"]).collect();
        let side = |annotation: &Value, i: usize| annotation["bbox"][i].as_f64().unwrap();
        let boxes: Vec<[f64; 4]> = annotations.iter().map(|a| [0, 1, 2, 3].map(|i| side(a, i))).collect();
        let area = image["width"].as_f64().unwrap() * image["height"].as_f64().unwrap();
        let large = boxes.iter().any(|[_, _, w, h]| w * h > 0.15 * area);
        let Some(first) = annotations.first() else { continue };
        if large && annotations.iter().all(|a| a["category_id"] == first["category_id"]) {
            let name = names[&first["category_id"].as_u64().unwrap()];
            photos.push(shared.join("images").join(image["file_name"].as_str().unwrap()));
            wanted.push((1 + VOC.iter().position(|voc| *voc == name).unwrap(), boxes));
        }
    }
    assert!(photos.len() >= 20, "{} photos", photos.len());
    let stdout = detect(&shared, &DEEP_LAB, &[], &photos);
    let (mut found, mut inside, mut pixels) = (0, 0usize, 0usize);
    for (line, (class, boxes)) in stdout.lines().zip(&wanted) {
        let line: Value = serde_json::from_str(line).unwrap();
        let width = line["width"].as_u64().unwrap() as usize;
        let (mut here, mut covered) = (0usize, 0usize);
        let mut at = 0;
        let runs: Vec<usize> = serde_json::from_value(line["segmentation"]["runs"].clone()).unwrap();
        for run in runs.as_chunks::<2>().0 {
            if run[0] == *class {
                here += run[1];
                let in_box = |pixel: usize| {
                    let (x, y) = ((pixel % width) as f64 + 0.5, (pixel / width) as f64 + 0.5);
                    boxes.iter().any(|[l, t, w, h]| x >= *l && y >= *t && x <= l + w && y <= t + h)
                };
                covered += (at..at + run[1]).filter(|pixel| in_box(*pixel)).count();
            }
            at += run[1];
        }
        assert_eq!(at as u64, line["width"].as_u64().unwrap() * line["height"].as_u64().unwrap());
        let of_boxes: f64 = boxes.iter().map(|[_, _, w, h]| w * h).sum();
        found += usize::from(covered as f64 >= 0.3 * of_boxes);
        inside += covered;
        pixels += here;
    }
    let share = inside as f64 / pixels.max(1) as f64;
    say(&format!(
        "{}: masks of {found} of {} photos fill their boxes, {:.1} % of them lies inside",
        DEEP_LAB.name,
        photos.len(),
        100.0 * share
    ));
    assert!(found * 10 >= photos.len() * 8 && share >= 0.95, "{found} of {}, {share}", photos.len());
}

/// The reference counts a YOLO box once for each of its classes above the threshold, up to 300 a photo.
/// With only the best class of each box, everything else being equal, LiteRT gives 0.462 and 0.275
/// (voc2012 and coco_full) for artpec8, 0.452 and 0.226 for artpec9: the last is out of this tolerance.
fn map_agrees(model: &Model) {
    let Some(shared) = data::shared_data() else { return };
    let Some(python) = python() else { return };
    let sets = ["voc2012", "coco_full"];
    let photos: Vec<PathBuf> =
        sets.iter().flat_map(|set| files_in(&shared.join("images").join(set))).collect();
    let arguments = ["--format", "coco", "--conf", "0.001", "--iou", "0.6"];
    let results: Value = serde_json::from_str(&detect(&shared, model, &arguments, &photos)).unwrap();
    for set in sets {
        let summary = coco_map(&python, &truth(&shared, set), &results);
        let measured = summary["mAP_50_95"].as_f64().unwrap();
        let expected = baseline(&shared, model, set, "eval");
        say(&format!("{}, {set}: mAP 50-95 is {measured:.4}, the reference's {expected:.4}", model.name));
        assert!((measured - expected).abs() <= 0.015, "{} {set}: {summary}", model.name);
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn truth(shared: &Path, set: &str) -> PathBuf {
    shared.join(format!("labels/gt_{set}.json"))
}

/// mAP 50-95 of the reference. `eval` is with all thresholds low, `deploy` with those of the detections.
fn baseline(shared: &Path, model: &Model, set: &str, kind: &str) -> f64 {
    let all = read_json(&shared.join("reference/map_baseline.json"));
    let wanted = [("runtime", RUNTIME), ("model", model.name), ("preprocess", model.fit), ("set", set)];
    let row = all.as_array().unwrap().iter().find(|row| wanted.iter().all(|(key, value)| row[key] == *value));
    row.unwrap_or_else(|| panic!("no baseline for {wanted:?}"))[kind]["mAP_50_95"].as_f64().unwrap()
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Python that `./build.sh test` gives pycocotools.
fn python() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/python");
    if path.is_file() {
        return Some(path);
    }
    skip("mAP: no target/test-venv, which ./build.sh test makes");
    None
}

/// Runs tests/tools/coco_map.py.
fn coco_map(python: &Path, truth: &Path, results: &Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    std::fs::write(&path, results.to_string()).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/coco_map.py"))
        .args([truth, &path])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_map_script_gives_full_marks_for_the_truth_and_fewer_for_less() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.json");
    let annotation = |id: u32, image: u32, category: u32, left: f64| {
        json!({"id": id, "image_id": image, "category_id": category, "bbox": [left, 10.0, 40.0, 50.0],
               "area": 2000.0, "iscrowd": 0})
    };
    let truth = json!({
        "images": [{"id": 7, "file_name": "a/000000000042.jpg", "width": 100, "height": 100},
                   {"id": 9, "file_name": "a/2007_000027.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}, {"id": 44, "name": "bottle"}],
        "annotations": [annotation(1, 7, 17, 0.0), annotation(2, 7, 18, 50.0), annotation(3, 9, 17, 0.0)],
        // Bottles are not labelled in these pictures.
        "eval_category_ids": [17, 18],
    });
    std::fs::write(&path, truth.to_string()).unwrap();
    let result = |image: Value, category: &str, left: f64| {
        json!({"image_id": image, "category_id": 0, "category": category, "bbox": [left, 10.0, 40.0, 50.0],
               "score": 0.9})
    };
    let all = [
        result(json!(42), "cat", 0.0),
        result(json!(42), "dog", 50.0),
        result(json!("2007_000027"), "cat", 0.0),
        result(json!(42), "bottle", 0.0),
        result(json!("2007_000027"), "unicorn", 0.0),
        result(json!(43), "cat", 0.0),
    ];
    let map = |results: &[Value]| coco_map(&python, &path, &json!(results));
    let summary = map(&all);
    assert_eq!(summary["mAP_50_95"], 1.0, "{summary}");
    assert_eq!(summary["results_for_other_images"], 1);
    assert_eq!(summary["results_for_other_categories"]["unicorn"], 1);
    // Half of the cats: recall up to 0.5 of 101 steps.
    let half = map(&all[..2])["mAP_50_95"].as_f64().unwrap();
    assert!((half - (1.0 + 51.0 / 101.0) / 2.0).abs() < 1e-3, "{half}");
    assert_eq!(map(&[])["mAP_50_95"], 0.0);
}

/// Shows that the script, the reference detections and the baselines belong together, without Spotter.
#[test]
fn the_map_of_the_reference_detections_is_the_one_on_record() {
    let Some(shared) = data::shared_data() else { return };
    let Some(python) = python() else { return };
    for (model, kind) in [(&SSD, "eval"), (&YOLO_8, "deploy"), (&YOLO_9, "deploy")] {
        let path = shared.join(format!("reference/{RUNTIME}/detections/{}__{}.json", model.name, model.fit));
        let mut results = Vec::new();
        for result in read_json(&path)["results"].as_array().unwrap() {
            let size = |name| result[name].as_f64().unwrap();
            let (width, height) = (size("width"), size("height"));
            let stem = Path::new(result["file"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap();
            for detection in result["detections"].as_array().unwrap() {
                let side = |i: usize| detection["box"][i].as_f64().unwrap().clamp(0.0, 1.0);
                results.push(json!({
                    "image_id": stem, "category": detection["label"], "score": detection["score"],
                    "bbox": [side(1) * width, side(0) * height,
                             (side(3) - side(1)) * width, (side(2) - side(0)) * height],
                }));
            }
        }
        for set in ["voc2012", "coco_full"] {
            let summary = coco_map(&python, &truth(&shared, set), &json!(results));
            let (measured, expected) =
                (summary["mAP_50_95"].as_f64().unwrap(), baseline(&shared, model, set, kind));
            assert!((measured - expected).abs() < 0.0005, "{} {set}: {summary}, not {expected}", model.name);
        }
    }
}
