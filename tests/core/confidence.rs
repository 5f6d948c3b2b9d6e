//! The page sorts what it shows by the filter's rule too (`html/scene.js`), so that its slider acts at once. One file of
//! examples holds both to it; the page's side is `tests/page/confidence.test.mjs`.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use spotter_core::filter::{Filter, FilterResult};
use spotter_core::model::labels::Labels;
use spotter_core::scene::{Scene, Timing};
use spotter_core::settings::Overrides;
use spotter_core::settings::shared::SharedSettings;
use spotter_core::vision::detection::Detection;
use spotter_core::vision::geometry::Rect;
use spotter_core::vision::predictions::{Mask, Predictions, Suppressed};

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn detection(value: &Value) -> Detection {
    let edges: Vec<f32> = array(&value["box"]).iter().map(number).collect();
    Detection {
        class: value["class"].as_u64().unwrap() as u32,
        score: number(&value["score"]),
        rect: Rect::new(edges[0], edges[1], edges[2], edges[3]),
    }
}

fn found(case: &Value) -> Predictions {
    let suppressed = array(&case["suppressed"]).iter().map(|value| Suppressed {
        detection: detection(value),
        score: number(&value["by"]),
        iou: number(&value["iou"]),
    });
    Predictions {
        detections: array(&case["detections"]).iter().map(detection).collect(),
        suppressed: suppressed.collect(),
        ..Predictions::default()
    }
}

/// What the filter makes of it, as the scene tells it.
fn scene(found: &Predictions, settings: &Value, labels: &Arc<Labels>) -> Value {
    let document = SharedSettings::new(Overrides::default()).patch(settings, None).unwrap();
    let now = document.settings().clone();
    let mut sorted = FilterResult::default();
    Filter::new(now.clone(), labels).run(found, &mut sorted);
    let scene = Scene {
        seq: 1,
        captured: SystemTime::UNIX_EPOCH,
        pts: None,
        size: (640, 360),
        display: (640, 360),
        sorted,
        settings: now,
        classes: Vec::new(),
        mask: Mask::default(),
        timing: Timing::default(),
        labels: labels.clone(),
    };
    scene.to_json()
}

#[test]
fn the_filter_keeps_what_the_shared_examples_say_at_each_confidence() {
    let file: Value = serde_json::from_str(include_str!("../vectors/confidence.json")).unwrap();
    let names: Vec<String> =
        array(&file["labels"]).iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let labels = Arc::new(Labels::fit(names, Some(3), "test").unwrap());
    for case in array(&file["cases"]) {
        let name = &case["name"];
        let found = found(case);
        let told = scene(&found, &case["settings"], &labels);
        assert_eq!(told["frame"]["observations"], case["observations"], "{name}");
        assert_eq!(told["dropped"], case["dropped"], "{name}");
        for at in array(&case["slider"]) {
            let mut settings = case["settings"].clone();
            settings["confidence"] = at["confidence"].clone();
            let now = scene(&found, &settings, &labels);
            let score = |item: &Value| item["class"]["score"].clone();
            let kept: Value = array(&now["frame"]["observations"]).iter().map(score).collect();
            let dropped: Value = array(&now["dropped"])
                .iter()
                .map(|item| json!([score(item), item["reason"]["kind"].as_str().unwrap().replace('_', " ")]))
                .collect();
            assert_eq!(
                json!([kept, dropped]),
                json!([at["kept"], at["dropped"]]),
                "{name}: {}",
                at["confidence"]
            );
        }
    }
}
