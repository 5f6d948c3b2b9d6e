//! `spotter inspect` as a user runs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::data;
use crate::common::process::{self, Finished};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const YOLO: &str = "yolov5n_artpec8_coco_640.tflite";

fn model(name: &str) -> Option<PathBuf> {
    Some(data::shared_data()?.join("models").join(name))
}

fn inspect(model: &Path, more: &[&str]) -> Finished {
    let arguments = [Path::new("inspect"), model].into_iter().chain(more.iter().map(Path::new));
    process::run(arguments, LIMIT)
}

fn error_line(finished: &Finished, code: i32) -> String {
    assert_eq!(finished.code, Some(code), "{finished:#?}");
    assert_eq!(finished.stdout, "", "{finished:#?}");
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("error: ")).collect();
    assert_eq!(lines.len(), 1, "{finished:#?}");
    lines[0].split_once("error: ").unwrap().1.to_owned()
}

#[test]
fn people_get_a_page_of_text() {
    let Some(path) = model(YOLO) else { return };
    let finished = inspect(&path, &["--chip", "artpec8"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:#?}");
    for says in [
        "yolov5n_artpec8_coco_640.tflite\n",
        "YOLOv5n, PANet neck",
        "2.67 GMACs, 2.02 M parameters, 2.0 MiB",
        "per-tensor in 60 of 60 layers",
        "Most costly layers",
        "ARTPEC-8: runs, with ",
        "✓ filters-multiple-of-6  57 of 60 convolutions",
    ] {
        assert!(finished.stdout.contains(says), "{says}: {}", finished.stdout);
    }
    let all = inspect(&path, &[]);
    for chip in ["ARTPEC-7", "ARTPEC-8", "ARTPEC-9", "CV25", "CPU"] {
        assert!(all.stdout.contains(chip), "{}", all.stdout);
    }
}

#[test]
fn programs_get_json() {
    let Some(path) = model(YOLO) else { return };
    let json: Value = serde_json::from_str(&inspect(&path, &["--chip", "artpec8", "--json"]).stdout).unwrap();
    for key in
        ["backbone", "head", "input", "outputs", "classes", "macs", "parameters", "quantisation", "rules"]
    {
        assert!(!json[key].is_null(), "{key}");
    }
    assert_eq!((json["head"].as_str(), json["classes"].as_u64()), (Some("yolov5"), Some(80)));
    assert_eq!(json["input"]["shape"], serde_json::json!([1, 640, 640, 3]));
    assert_eq!((json["chip"].as_str(), json["verdict"].as_str()), (Some("artpec8"), Some("warn")));
    for rule in json["rules"].as_array().unwrap() {
        assert!(["pass", "warn", "fail"].contains(&rule["level"].as_str().unwrap()));
        assert!(rule["id"].is_string() && rule["message"].is_string());
    }
    assert_eq!(json["layers"].as_array().unwrap().len(), 146);
    assert!(json.get("chips").is_none());
    let json: Value = serde_json::from_str(&inspect(&path, &["--json"]).stdout).unwrap();
    assert_eq!((json["chip"].as_str(), json["chips"].as_object().unwrap().len()), (Some("cpu"), 5));
    assert_eq!(json["chips"]["cpu"]["rules"], json["rules"]);
}

#[test]
fn every_model_is_described_also_those_that_cannot_run() {
    let Some(folder) = data::shared_data() else { return };
    for (name, says) in [
        ("edgetpu/mobilenet_v1_0.25_128_quant_edgetpu.tflite", "runs here   no: it needs an Edge TPU"),
        ("negative/automl_video_traffic_lstm_postprocess.tflite", "runs here   no: it has 3 inputs"),
        ("negative/model_invoking_error.tflite", "runs here   no: it needs the custom op fake-op-double"),
        ("segmentation/deeplabv3_mnv2_dm05_pascal_quant.tflite", "MobileNet v2 0.5, ASPP neck"),
    ] {
        let finished = inspect(&folder.join("models").join(name), &[]);
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        assert!(finished.stdout.contains(says), "{says}: {}", finished.stdout);
    }
}

#[test]
fn a_model_for_cv25_is_what_its_description_says() {
    let Some(bin) = model("cv25/cv25_mobilenetv2_cavalry.bin") else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("m.bin");
    std::fs::copy(bin, &copy).unwrap();
    let line = error_line(&inspect(&copy, &[]), 4);
    assert!(line.contains("m.bin is compiled for Ambarella CV25") && line.contains("m.json"), "{line}");
    let description = r#"{"inputs":[{"name":"input","shape":[1,3,224,224],"type":"uint8"}],
        "outputs":[{"shape":[1,1001],"type":"float32"}],"head":"classification","classes":1001,
        "backbone":"MobileNet v2 1.0","macs":300775552,"parameters":3489097}"#;
    std::fs::write(folder.path().join("m.json"), description).unwrap();
    let json: Value = serde_json::from_str(&inspect(&copy, &["--chip", "cv25", "--json"]).stdout).unwrap();
    assert_eq!(
        (json["backbone"].as_str(), json["head"].as_str()),
        (Some("MobileNet v2 1.0"), Some("classification"))
    );
    assert_eq!((json["classes"].as_u64(), json["macs"].as_u64()), (Some(1001), Some(300_775_552)));
    let rules = json["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["level"] != "fail"), "{rules:#?}");
    std::fs::write(folder.path().join("m.json"), "{").unwrap();
    let line = error_line(&inspect(&copy, &[]), 4);
    assert!(line.contains("m.json does not describe a model"), "{line}");
}

#[test]
fn the_page_is_whole_or_not_there() {
    let Some(path) = model(YOLO) else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let finished = inspect(&path, &["--html", page.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let html = std::fs::read_to_string(&page).unwrap();
    for says in
        ["<!doctype html>", "<title>yolov5n_artpec8_coco_640.tflite", "<svg", "per-tensor-weights", "</html>"]
    {
        assert!(html.contains(says), "{says}");
    }
    assert!(!html.contains("<script") && !html.contains("http"), "the page needs nothing else");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
    let inside = page.join("page.html");
    let line = error_line(&inspect(&path, &["--html", inside.to_str().unwrap()]), 8);
    assert!(line.starts_with(&format!("cannot write {}; check the folder", inside.display())), "{line}");
    let line = error_line(&inspect(&path, &["--html", folder.path().to_str().unwrap()]), 8);
    assert!(line.starts_with("cannot write "), "{line}");
}

#[test]
fn names_that_are_no_names_harm_nobody() {
    let Some(path) = model("negative/model_invoking_error.tflite") else { return };
    let mut bytes = std::fs::read(path).unwrap();
    let (name, evil) = (b"fake-op-double", b"a\x1b[2J<script>\n");
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at..at + name.len()].copy_from_slice(evil);
    let folder = tempfile::tempdir().unwrap();
    let (file, page) = (folder.path().join("m.tflite"), folder.path().join("m.html"));
    std::fs::write(&file, bytes).unwrap();
    let finished = inspect(&file, &["--html", page.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(finished.stdout.contains("a\u{fffd}[2J<script>\u{fffd}"), "{}", finished.stdout);
    assert!(!finished.stdout.contains('\x1b'), "{}", finished.stdout);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("a\u{fffd}[2J&lt;script&gt;") && !html.contains("<script>"), "{html}");
    let json = inspect(&file, &["--json"]).stdout;
    assert!(!json.contains('\x1b') && !json.contains("\\u001b"), "{json}");
}

#[test]
fn what_cannot_be_inspected_is_told() {
    let line = error_line(&inspect(Path::new("/nonexistent/m.tflite"), &[]), 2);
    assert_eq!(line, "there is no model file /nonexistent/m.tflite");
    let line = error_line(&inspect(Path::new("no-such-model"), &["--json"]), 2);
    assert!(line.contains("no-such-model"), "{line}");
    let unknown = inspect(Path::new("m.tflite"), &["--chip", "artpec6"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("artpec8") && unknown.stderr.contains("artpec6"), "{unknown:#?}");
    let Some(path) = model(YOLO) else { return };
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("half.tflite");
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let line = error_line(&inspect(&damaged, &["--json"]), 4);
    assert!(line.starts_with("half.tflite is damaged: "), "{line}");
}
