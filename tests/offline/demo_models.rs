//! The trained models in `models/` are what their cards say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::process;
use serde_json::Value;
use sha2::{Digest, Sha256};
use spotter::model::decode::head::Head;
use spotter::model::format::file::ModelFile;
use spotter::model::labels::Labels;

const LIMIT: Duration = Duration::from_secs(60);
/// All of them together.
const MOST_BYTES: usize = 8_000_000;
/// The model that Spotter starts with.
const MOST_BYTES_OF_DEFAULT: usize = 2_000_000;
const DEFAULT: &str = "demo_ssd_mobilenet_v2";
const NAMES: [&str; 6] = [
    DEFAULT,
    "demo_ssd_mobilenet_v2_per_channel",
    "demo_ssd_mobilenet_v2_float32",
    "demo_ssd_mobilenet_v2_raw",
    "demo_yolov5",
    "demo_resnet18",
];

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

fn file(name: &str) -> PathBuf {
    models().join(format!("{name}.tflite"))
}

/// The rows `| key | value |` of a card's first table.
fn card(name: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(models().join("cards").join(format!("{name}.md"))).unwrap();
    let table = text.split("\n\n").find(|part| part.starts_with("| | |")).unwrap();
    let rows = table.lines().skip(2).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [key, value] = cells[..] else { panic!("{line}") };
        (key.to_owned(), value.trim_matches('`').to_owned())
    });
    rows.collect()
}

/// The figure between asterisks that follows `words` in a card.
fn figure(name: &str, words: &str) -> f64 {
    let text = std::fs::read_to_string(models().join("cards").join(format!("{name}.md"))).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, after) = text.split_once(&format!("{words} **")).unwrap_or_else(|| panic!("{name}: {words}"));
    after.split("**").next().unwrap().parse().unwrap()
}

#[test]
fn every_file_has_a_card_and_every_card_a_file() {
    let names = |folder: &Path, kind: &str| {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| Some(name.strip_suffix(kind)?.to_owned()))
            .filter(|name| name.starts_with("demo_"))
            .collect();
        names.sort();
        names
    };
    let mut expected = NAMES.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(names(&models(), ".tflite"), expected);
    assert_eq!(names(&models().join("cards"), ".md"), expected);
}

#[test]
fn bytes_and_checksums_are_those_of_the_cards() {
    let mut all = 0;
    for name in NAMES {
        let (bytes, card) = (std::fs::read(file(name)).unwrap(), card(name));
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, card["sha256"], "{name}");
        assert_eq!(bytes.len().to_string(), card["bytes"], "{name}");
        assert_eq!(card["licence"], "Apache-2.0", "{name}");
        all += bytes.len();
    }
    assert!(all <= MOST_BYTES, "{all} bytes in all");
    assert!(std::fs::metadata(file(DEFAULT)).unwrap().len() <= MOST_BYTES_OF_DEFAULT as u64);
}

#[test]
fn heads_inputs_and_labels_are_those_of_the_cards() {
    for name in NAMES {
        let card = card(name);
        let model = ModelFile::open(&file(name)).unwrap();
        model.check_runnable_on_cpu().unwrap();
        let head = Head::recognise(&model).unwrap();
        assert_eq!(head.name(), card["head"], "{name}");
        let input = &model.signature.inputs[0];
        let [1, height, width, 3] = input.shape[..] else { panic!("{name}: {input}") };
        assert_eq!(format!("{width}x{height} {}", input.dtype), card["input"], "{name}");
        let labels = Labels::resolve(None, &model, head.classes(), None).unwrap();
        assert_eq!(labels.names().join(", "), card["labels"], "{name}");
        assert!(labels.source.contains("inside"), "{name}: {}", labels.source);
        assert!(card["labels"].ends_with("person, bicycle, car, bus, dog"), "{name}");
    }
}

#[test]
fn quantisation_is_that_of_the_cards() {
    for name in NAMES {
        let finished = process::run([Path::new("inspect"), &file(name), Path::new("--json")], LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        let report: Value = serde_json::from_str(&finished.stdout).unwrap();
        let quantisation = &report["quantisation"];
        // A classifier's last layer, and any other, counts: all or none.
        assert_eq!(quantisation["kind"], card(name)["quantisation"].as_str(), "{name}: {quantisation}");
        assert_eq!(report["runs_here"], true, "{name}");
        let backbone = report["backbone"].as_str().unwrap();
        let expected = if name.contains("resnet") { "ResNet-18" } else { "MobileNet v2 0.5" };
        assert!(backbone.starts_with(expected), "{name}: {backbone}");
    }
}

#[test]
fn the_default_keeps_what_the_chips_ask_for() {
    let rules = |chip: &str| -> BTreeMap<String, String> {
        let arguments =
            [Path::new("inspect"), &file(DEFAULT), Path::new("--json"), Path::new("--chip"), Path::new(chip)];
        let report: Value = serde_json::from_str(&process::run(arguments, LIMIT).stdout).unwrap();
        let rules = report["rules"].as_array().unwrap().iter();
        rules
            .map(|rule| (rule["id"].as_str().unwrap().into(), rule["level"].as_str().unwrap().into()))
            .collect()
    };
    let others = |chip: &str| -> Vec<String> {
        rules(chip).into_iter().filter(|(_, level)| level != "pass").map(|(id, _)| id).collect()
    };
    assert_eq!(others("cpu"), Vec::<String>::new());
    // MobileNet v2 is made of depthwise convolutions.
    assert_eq!(others("artpec8"), ["regular-convolutions"]);
    // Sixes are no sixteens.
    assert_eq!(others("artpec9"), ["channels-multiple-of-16"]);
}

#[test]
fn the_figures_of_the_cards_hold_together() {
    let map = |name: &str| figure(name, "mAP 50-95");
    assert!(figure(DEFAULT, "mAP 50") >= map(DEFAULT));
    assert!((map(DEFAULT) - map("demo_ssd_mobilenet_v2_float32")).abs() <= 0.02);
}
