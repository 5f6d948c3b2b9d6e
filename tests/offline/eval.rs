//! `spotter eval` and `spotter compare` end to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::process::{self, Finished};
use crate::common::{alone, data, say};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(600);
/// As in the names of the reference files.
const RUNTIME: &str = "litert-2.3.0-xnnpack";
const SSD: &str = "ssd_mobilenet_v1_coco_quant_postprocess";
const VOC: &str = "ssdlite_mobilenet_v2_voc_intquant_postprocess";
const YOLO: &str = "yolov5n_artpec9_coco_640";

/// Runs the program; one at a time, since each uses all processors.
fn spotter(arguments: &[&str]) -> Finished {
    let _alone = alone();
    process::run(arguments, LIMIT)
}

/// The JSON that the program prints; panics with what it said where it fails.
fn report(arguments: &[&str]) -> Value {
    let finished = spotter(arguments);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// The one error line of a failed run, which must have this exit code.
fn error_line(finished: &Finished, code: i32) -> String {
    assert_eq!(finished.code, Some(code), "{finished:#?}");
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("error: ")).collect();
    assert_eq!(lines.len(), 1, "{finished:#?}");
    lines[0].split_once("error: ").unwrap().1.to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Shared(PathBuf);

impl Shared {
    fn new() -> Option<Self> {
        data::shared_data().map(Self)
    }

    fn path(&self, name: &str) -> String {
        text(&self.0.join(name)).to_owned()
    }

    fn model(&self, name: &str) -> String {
        self.path(&format!("models/{name}.tflite"))
    }

    /// `spotter eval --json` of a model on one of the labelled sets.
    fn eval(&self, model: &str, set: &str, more: &[&str]) -> Value {
        let (model, images) = (self.model(model), self.path("images"));
        let annotations = self.path(&format!("labels/gt_{set}.json"));
        let arguments =
            ["eval", "--json", "--model", &model, "--images", &images, "--annotations", &annotations];
        report(&[&arguments, more].concat())
    }

    /// mAP 50-95, mAP 50 and AR 100 of the reference.
    fn baseline(&self, model: &str, set: &str) -> [f64; 3] {
        let all = std::fs::read(self.0.join("reference/map_baseline.json")).unwrap();
        let all: Vec<Value> = serde_json::from_slice(&all).unwrap();
        let preprocess = if model.starts_with("yolo") { "letterbox" } else { "stretch" };
        let wanted = [("runtime", RUNTIME), ("model", model), ("preprocess", preprocess), ("set", set)];
        let row = all.iter().find(|row| wanted.iter().all(|(key, value)| row[key] == *value)).unwrap();
        ["mAP_50_95", "mAP_50", "AR_100"].map(|key| row["eval"][key].as_f64().unwrap())
    }
}

/// The published figures have four digits. Another version of TensorFlow Lite may move a score by its last
/// step, so a few thousandths are allowed, and what was measured is said.
fn has_the_figures_of_the_reference(model: &str, set: &str, images: u64) {
    let Some(shared) = Shared::new() else { return };
    let report = shared.eval(model, set, &[]);
    let ours = ["map", "map50", "ar100"].map(|key| report[key].as_f64().unwrap());
    let theirs = shared.baseline(model, set);
    say(&format!("{model}, {set}: mAP, mAP 50, AR 100 are {ours:.4?}, the reference's {theirs:.4?}"));
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= 0.005, "{model} {set}: {ours} is not {theirs}");
    }
    assert_eq!(report["images"], images);
    for class in report["per_class"].as_array().unwrap() {
        assert!(class["category"].is_string() && class.get("ap").is_some() && class.get("ap50").is_some());
    }
}

#[test]
fn ssd_has_the_figures_of_the_reference() {
    has_the_figures_of_the_reference(SSD, "voc2012", 71);
}

#[test]
fn ssd_of_voc_has_the_figures_of_the_reference() {
    has_the_figures_of_the_reference(VOC, "coco_full", 26);
}

#[test]
fn yolo_has_the_figures_of_the_reference() {
    has_the_figures_of_the_reference(YOLO, "coco_person", 18);
}

#[test]
fn categories_that_the_model_lacks_are_said() {
    let Some(shared) = Shared::new() else { return };
    let unmatched = |report: &Value| report["unmatched"].as_array().unwrap().len();
    let coco = shared.eval(VOC, "coco_full", &[]);
    assert_eq!(unmatched(&coco), 60, "20 of 80 are known, whatever their names");
    assert!(coco["map_matched"].as_f64().unwrap() > coco["map"].as_f64().unwrap());
    let voc = shared.eval(VOC, "voc2012", &[]);
    assert_eq!((unmatched(&voc), &voc["map_matched"]), (0, &voc["map"]));
}

#[test]
fn the_page_has_the_figures() {
    let Some(shared) = Shared::new() else { return };
    let (model, images, annotations) =
        (shared.model(SSD), shared.path("images"), shared.path("labels/gt_coco_person.json"));
    let finished = spotter(&[
        "eval",
        "--model",
        &model,
        "--images",
        &images,
        "--annotations",
        &annotations,
        "--conf",
        "0.4",
    ]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    for part in
        ["18 pictures, 44 objects of 1 category", "overlap 0.50 to 0.95", "from a score of 0.4", "person"]
    {
        assert!(finished.stdout.contains(part), "{part} is not in\n{}", finished.stdout);
    }
    assert!(!finished.stderr.contains("picture 1 of"), "progress is for terminals: {}", finished.stderr);
}

#[test]
fn classifiers_are_evaluated() {
    let Some(shared) = Shared::new() else { return };
    let (images, truth) = (shared.path("images"), shared.path("labels/gt_imagenet_val.json"));
    for model in ["mobilenet_v2_1.0_224_quant", "tf2_mobilenet_v2_1.0_224_ptq"] {
        let arguments = |more: &[&'static str]| {
            let (model, labels) = (shared.model(model), shared.path("models/labels/imagenet_labels.txt"));
            let common =
                ["eval", "--model", &model, "--labels", &labels, "--images", &images, "--truth", &truth];
            common.iter().chain(more).map(|argument| (*argument).to_owned()).collect::<Vec<_>>()
        };
        let json = arguments(&["--json"]);
        let report = report(&json.iter().map(String::as_str).collect::<Vec<_>>());
        let expected = reference_accuracy(&shared, model);
        let ours = ["top1", "top5"].map(|key| report[key].as_f64().unwrap());
        let images = report["images"].as_f64().unwrap();
        say(&format!("{model}: top-1 and top-5 are {ours:.3?} of {images}, the reference's {expected:.3?}"));
        for (ours, expected) in ours.iter().zip(expected) {
            assert!((ours - expected).abs() <= 1.01 / images, "{model}: {ours} is not {expected}");
        }
        assert!(report["per_class"].as_array().unwrap().len() > 10);
        let page = spotter(&arguments(&[]).iter().map(String::as_str).collect::<Vec<_>>());
        assert!(page.stdout.contains("  the first answer "), "{page:#?}");
    }
}

/// Top-1 and top-5 of the reference's answers.
fn reference_accuracy(shared: &Shared, model: &str) -> [f64; 2] {
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(shared.0.join(name)).unwrap()).unwrap()
    };
    let truth = read("labels/gt_imagenet_val.json");
    let answers = read(&format!("reference/{RUNTIME}/classification/{model}__center_crop_0.875.json"));
    let (mut images, mut hits) = (0.0, [0.0, 0.0]);
    for answer in answers["results"].as_array().unwrap() {
        let class = &truth[answer["file"].as_str().unwrap()]["class_1001"];
        if class.is_null() {
            continue;
        }
        images += 1.0;
        let five: Vec<&Value> =
            answer["top5"].as_array().unwrap().iter().map(|one| &one["class_id"]).collect();
        hits[0] += f64::from(u8::from(five[0] == class));
        hits[1] += f64::from(u8::from(five.contains(&class)));
    }
    hits.map(|hits| hits / images)
}

#[test]
fn a_classifier_is_compared_with_another() {
    let Some(shared) = Shared::new() else { return };
    let (a, b) = (shared.model("mobilenet_v2_1.0_224_quant"), shared.model("tf2_mobilenet_v2_1.0_224_ptq"));
    let images = shared.path("images/imagenet_val");
    let same = report(&["compare", "--json", &a, &a, "--images", &images]);
    assert_eq!(
        (&same["classification"]["top1_equal"], &same["classification"]["top5_equal"]),
        (&json!(1.0), &json!(1.0))
    );
    let other = report(&["compare", "--json", &a, &b, "--images", &images]);
    let [top1, top5] = ["top1_equal", "top5_equal"].map(|key| other["classification"][key].as_f64().unwrap());
    assert!(top1 >= 0.8 && top5 > 0.0 && top5 < 0.9, "{other}");
    assert_eq!(other["agreement"], other["classification"]["top1_equal"]);
    let page = spotter(&["compare", &a, &b, "--images", &images]);
    assert!(page.stdout.contains("same first class"), "{page:#?}");
}

#[test]
fn saved_answers_agree_with_themselves_and_with_detect_and_tell_what_was_changed() {
    let Some(shared) = Shared::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.json");
    shared.eval(SSD, "coco_person", &["--save", text(&saved)]);
    let read = || -> Value { serde_json::from_slice(&std::fs::read(&saved).unwrap()).unwrap() };
    assert_eq!(read()["images"].as_array().unwrap().len(), 18);

    let itself = report(&["compare", "--json", text(&saved), text(&saved)]);
    let objects = itself["in_a"].as_u64().unwrap();
    assert!(objects > 30, "{itself}");
    assert_eq!((&itself["matched"], &itself["agreement"]), (&json!(objects), &json!(1.0)));
    assert_eq!((&itself["score_difference"]["max"], &itself["overlap"]["min"]), (&json!(0.0), &json!(1.0)));

    // The model itself, run again on the same pictures as the file was made.
    let (model, images) = (shared.model(SSD), shared.path("images"));
    let again = report(&["compare", "--json", text(&saved), &model, "--images", &images]);
    assert_eq!((&again["matched"], &again["images"]), (&json!(objects), &json!(18)));

    // The lines of detect have six decimals.
    let photos: Vec<String> = read()["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| shared.path(&format!("images/{}", answer["file"].as_str().unwrap())))
        .collect();
    let arguments: Vec<&str> =
        ["detect", "--model", &model].into_iter().chain(photos.iter().map(String::as_str)).collect();
    let lines = folder.path().join("lines.jsonl");
    std::fs::write(&lines, spotter(&arguments).stdout).unwrap();
    let detected = report(&["compare", "--json", text(&saved), text(&lines)]);
    assert_eq!(
        (&detected["matched"], &detected["lost"], &detected["new"]),
        (&json!(objects), &json!(0), &json!(0))
    );

    // One object gone, one renamed, one moved by a fifth of its width, and one picture less.
    let mut doctored = read();
    let answers = doctored["images"].as_array_mut().unwrap();
    let sure = |answer: &Value, least: usize| {
        answer["detections"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["score"].as_f64().unwrap() >= 0.5)
            .count()
            >= least
    };
    let place = answers.iter().position(|answer| sure(answer, 3)).unwrap();
    let detections = answers[place]["detections"].as_array_mut().unwrap();
    let width =
        detections[2]["box"]["right"].as_f64().unwrap() - detections[2]["box"]["left"].as_f64().unwrap();
    for side in ["left", "right"] {
        detections[2]["box"][side] = json!(detections[2]["box"][side].as_f64().unwrap() + 0.2 * width);
    }
    detections[1]["label"] = json!("unicorn");
    detections.remove(0);
    let (changed, last) = (answers[place]["file"].clone(), answers.len() - 1);
    assert_ne!(place, last);
    let missing = answers.remove(last);
    let path = folder.path().join("doctored.json");
    std::fs::write(&path, doctored.to_string()).unwrap();
    let found = report(&["compare", "--json", text(&saved), text(&path)]);
    let counts = ["lost", "relabelled", "moved", "new"].map(|key| found[key].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 0], "{found}");
    assert_eq!((&found["only_a"], &found["worst"][0]["file"]), (&json!([missing["file"]]), &changed));
    assert_eq!(found["relabelled_as"][0]["to"], "unicorn");

    let strict = spotter(&["compare", text(&saved), text(&path), "--fail-below", "0.999"]);
    assert!(error_line(&strict, 1).contains("less than the 0.999 of --fail-below"));
    assert!(strict.stdout.contains("agreement 0.9"), "the report is printed all the same: {}", strict.stdout);
    assert_eq!(spotter(&["compare", text(&saved), text(&path), "--fail-below", "0.5"]).code, Some(0));
}

#[test]
fn two_models_are_compared_on_the_same_pictures() {
    let Some(shared) = Shared::new() else { return };
    let (a, b, images) =
        (shared.model("yolov5n_artpec8_coco_640"), shared.model(YOLO), shared.path("images/coco_person"));
    let compared = report(&["compare", "--json", &a, &b, "--images", &images]);
    assert_eq!(compared["images"], 18);
    let number = |key: &str| compared[key].as_u64().unwrap();
    assert_eq!(number("in_a"), ["matched", "moved", "relabelled", "lost"].map(number).iter().sum::<u64>());
    assert_eq!(number("in_b"), ["matched", "moved", "relabelled", "new"].map(number).iter().sum::<u64>());
    assert!(number("matched") + number("moved") > 40 && number("lost") > 0, "{compared}");
}

#[test]
fn what_cannot_be_evaluated_is_said() {
    let Some(shared) = Shared::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (model, images) = (shared.model(SSD), shared.path("images"));
    let file = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        text(&path).to_owned()
    };
    let set = |files: &[&str], category: &str| {
        json!({
            "images": files.iter().enumerate().map(|(id, file)| json!({"id": id, "file_name": file})).collect::<Vec<_>>(),
            "categories": [{"id": 1, "name": category}],
            "annotations": [],
        })
    };
    let eval = |annotations: &str, more: &[&str]| {
        spotter(
            &[&["eval", "--model", &model, "--images", &images, "--annotations", annotations], more].concat(),
        )
    };
    let missing = file("missing.json", &set(&["coco_person/000000009483.jpg", "x.jpg", "y.jpg"], "person"));
    let line = error_line(&eval(&missing, &[]), 2);
    assert!(line.starts_with("x.jpg, y.jpg are not in ") && line.ends_with("with --allow-missing"), "{line}");
    let allowed = eval(&missing, &["--allow-missing", "--json"]);
    let allowed: Value = serde_json::from_str(&allowed.stdout).unwrap();
    assert_eq!((&allowed["images"], &allowed["missing"]), (&json!(1), &json!(["x.jpg", "y.jpg"])));
    assert_eq!(allowed["map"], Value::Null, "there is nothing to find");

    let none = file("none.json", &set(&["x.jpg"], "person"));
    assert!(error_line(&eval(&none, &["--allow-missing"]), 2).starts_with("x.jpg is not in "));
    let unicorns = file("unicorns.json", &set(&["coco_person/000000009483.jpg"], "unicorn"));
    assert!(error_line(&eval(&unicorns, &[]), 2).contains("is among the categories of "));
    let line = error_line(&eval(&shared.path("labels/gt_imagenet_val.json"), &[]), 2);
    assert!(line.contains("there is no list \"images\"; give"), "{line}");
    let line = error_line(&eval("/nonexistent.json", &[]), 2);
    assert_eq!(line, "there is no annotation file /nonexistent.json");
    let line = error_line(&eval(&missing, &["--allow-missing", "--save", "/nonexistent/r.json"]), 8);
    assert!(line.starts_with("cannot write /nonexistent/r.json"), "{line}");

    let truth = file("truth.json", &json!({"x.jpg": 0}));
    let line = error_line(&spotter(&["eval", "--model", &model, "--images", &images, "--truth", &truth]), 2);
    assert!(line.contains("finds objects; give their boxes with --annotations"), "{line}");
    let line =
        error_line(&spotter(&["eval", "--model", &model, "--images", "/nonexistent", "--truth", &truth]), 2);
    assert!(line.starts_with("there is no folder /nonexistent"), "{line}");
    assert_eq!(spotter(&["eval", "--model", &model, "--images", &images]).code, Some(2));

    std::fs::create_dir(folder.path().join("set")).unwrap();
    std::fs::write(folder.path().join("set/x.jpg"), "no picture").unwrap();
    let bad = folder.path().join("set");
    let line =
        error_line(&spotter(&["eval", "--model", &model, "--images", text(&bad), "--annotations", &none]), 3);
    assert!(line.ends_with("x.jpg is no picture; give JPEG, PNG, BMP or WebP files"), "{line}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let Some(shared) = Shared::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let line = |file: &str| json!({"file": file, "detections": []}).to_string();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (a, b) = (file("a.jsonl", &line("a.jpg")), file("b.jsonl", &line("b.jpg")));
    let error = error_line(&spotter(&["compare", &a, &b]), 2);
    assert!(error.starts_with("A and B have no picture in common"), "{error}");
    let error = error_line(&spotter(&["compare", &a, &shared.path("labels/gt_coco_person.json")]), 2);
    assert!(error.contains("has no results; give a file of spotter eval --save or"), "{error}");
    let error = error_line(&spotter(&["compare", &a, "/nonexistent.jsonl"]), 2);
    assert_eq!(error, "there is no file of results /nonexistent.jsonl");
    let model = shared.model(SSD);
    let error = error_line(&spotter(&["compare", &a, &model]), 2);
    assert_eq!(error, "a model needs pictures to look at; give their folder with --images");
    let error = error_line(&spotter(&["compare", &a, &model, "--images", &shared.path("images")]), 2);
    assert!(error.starts_with("a.jpg is not in "), "{error}");
    let error = error_line(&spotter(&["compare", &a, &b, "--model", &model]), 2);
    assert!(error.ends_with("takes its models as A and B; leave --model out"), "{error}");
    let empty = spotter(&["compare", &a, &a]);
    assert!(empty.stdout.contains("neither found anything"), "{empty:#?}");
}
