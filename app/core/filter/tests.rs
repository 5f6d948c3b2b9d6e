use serde_json::{Value, json};

use super::*;
use crate::settings::Overrides;
use crate::settings::shared::SharedSettings;
use crate::vision::geometry::Rect;
use crate::vision::predictions::Suppressed;

/// Labels "0", "1", "2".
fn labels() -> Labels {
    Labels::fit(["0", "1", "2"].map(str::to_owned).to_vec(), Some(3), "test").unwrap()
}

fn filter(patch: Value) -> Filter {
    let settings = SharedSettings::new(Overrides::default());
    let document = settings.patch(&patch, None).unwrap();
    Filter::new(document.settings().clone(), &labels())
}

fn detection(class: u32, score: f32, rect: [f32; 4]) -> Detection {
    Detection { class, score, rect: Rect::new(rect[0], rect[1], rect[2], rect[3]) }
}

/// Names of the zones, or kind and text of the reason.
fn judged(filter: &Filter, detection: Detection) -> Result<Vec<String>, (String, String)> {
    let found = Predictions { detections: vec![detection], ..Predictions::default() };
    let mut sorted = FilterResult::default();
    filter.run(&found, &mut sorted);
    assert_eq!(sorted.kept.len() + sorted.dropped.len(), 1);
    match sorted.dropped.first() {
        None => {
            Ok(reason::names(filter.settings(), sorted.zones[0]).into_iter().map(str::to_owned).collect())
        }
        Some(dropped) => {
            let value = dropped.reason_json(filter.settings(), &labels());
            let text = |name: &str| value[name].as_str().unwrap().to_owned();
            Err((text("kind"), text("text")))
        }
    }
}

fn dropped(filter: &Filter, detection: Detection) -> (String, String) {
    judged(filter, detection).unwrap_err()
}

fn why(kind: &str, text: &str) -> (String, String) {
    (kind.to_owned(), text.to_owned())
}

fn square(name: &str, from: f64, to: f64) -> Value {
    let points = [(from, from), (to, from), (to, to), (from, to)].map(|(x, y)| json!({ "x": x, "y": y }));
    json!({ "name": name, "points": points })
}

fn with(mut zone: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        zone[name] = value.clone();
    }
    zone
}

const BOX: [f32; 4] = [0.1, 0.1, 0.3, 0.3];

#[test]
fn confidence_of_all_of_labels_and_of_zones() {
    let filter = filter(json!({
        "labels": { "1": { "confidence": 0.7 }, "2": { "confidence": 0.02 } },
        "zones": [
            with(square("door", 0.0, 0.5), json!({ "confidence": 0.8 })),
            with(square("yard", 0.2, 0.6), json!({ "confidence": 0.3, "anchor": "centre" })),
            square("plain", 0.9, 1.0),
        ],
    }));
    assert_eq!(filter.floor(), 0.02);
    // In no zone but the door: its confidence holds, for labels with one of their own too.
    assert_eq!(
        dropped(&filter, detection(0, 0.62, [0.0, 0.0, 0.1, 0.1])),
        why("below_zone_confidence", "below confidence of zone \"door\": 0.62 < 0.80")
    );
    assert_eq!(judged(&filter, detection(0, 0.8, [0.0, 0.0, 0.1, 0.1])).unwrap(), ["door"]);
    // In two: the lower is enough, and only that zone is told.
    assert_eq!(judged(&filter, detection(0, 0.42, [0.2, 0.2, 0.4, 0.4])).unwrap(), ["yard"]);
    assert_eq!(judged(&filter, detection(1, 0.9, [0.2, 0.2, 0.4, 0.4])).unwrap(), ["door", "yard"]);
    // In a zone without one: the label's, or that of all.
    let corner = [0.91, 0.0, 0.99, 0.99];
    assert_eq!(
        dropped(&filter, detection(1, 0.699, corner)),
        why("below_label_confidence", "below confidence of 1: 0.699 < 0.700")
    );
    assert_eq!(
        dropped(&filter, detection(0, 0.42, corner)),
        why("below_confidence", "below confidence: 0.42 < 0.50")
    );
    assert_eq!(judged(&filter, detection(2, 0.06, corner)).unwrap(), ["plain"]);
}

#[test]
fn each_is_dropped_for_the_first_reason_in_the_order() {
    let settings = |step: usize| {
        let mut patch = json!({
            "confidence": 0.7,
            "labels": { "0": { "on": false } },
            "size": { "min": 0.5, "max": 0.6 },
            "zones": [square("far", 0.8, 0.9), with(square("near", 0.0, 0.5), json!({ "kind": "exclude" }))],
        });
        let relax = [
            json!({ "confidence": 0.5 }),
            json!({ "labels": null }),
            json!({ "size": { "min": 0.0, "max": 0.1 } }),
        ];
        let more = [
            json!({ "size": null }),
            json!({ "zones": [patch["zones"][1].clone()] }),
            json!({ "zones": null }),
        ];
        for change in relax.iter().chain(&more).take(step) {
            for (name, value) in change.as_object().unwrap() {
                patch[name] = value.clone();
            }
        }
        filter(patch)
    };
    let expected = [
        why("below_confidence", "below confidence: 0.62 < 0.70"),
        why("label_off", "label off: 0"),
        why("too_small", "smaller than 50 %"),
        why("too_large", "larger than 10 %"),
        why("outside_zones", "outside zone \"far\""),
        why("inside_zone", "inside zone \"near\""),
    ];
    for (step, expected) in expected.iter().enumerate() {
        assert_eq!(&dropped(&settings(step), detection(0, 0.62, BOX)), expected);
    }
    assert_eq!(judged(&settings(6), detection(0, 0.62, BOX)), Ok(vec![]));
}

#[test]
fn zones_hold_for_their_labels_and_exclude_all_but_the_sure() {
    let filter = filter(json!({ "zones": [
        with(square("door", 0.0, 0.2), json!({ "labels": ["1"] })),
        with(square("gate", 0.8, 1.0), json!({ "labels": ["1", "2"] })),
        with(square("hedge", 0.0, 1.0), json!({ "kind": "exclude", "labels": ["2"], "confidence": 0.9 })),
        with(square("off", 0.0, 1.0), json!({ "kind": "exclude", "on": false })),
    ] }));
    // No include zone is about label 0.
    assert_eq!(judged(&filter, detection(0, 0.6, BOX)), Ok(vec![]));
    assert_eq!(judged(&filter, detection(7, 0.6, BOX)), Ok(vec![]), "a class without a name");
    assert_eq!(
        dropped(&filter, detection(1, 0.6, [0.4, 0.4, 0.5, 0.5])),
        why("outside_zones", "outside zones \"door\", \"gate\"")
    );
    assert_eq!(judged(&filter, detection(1, 0.6, [0.0, 0.0, 0.1, 0.1])).unwrap(), ["door"]);
    let corner = [0.8, 0.8, 1.0, 1.0];
    assert_eq!(
        judged(&filter, detection(2, 0.95, corner)).unwrap(),
        ["gate"],
        "its lower edge is the picture's"
    );
    assert_eq!(
        dropped(&filter, detection(2, 0.62, corner)),
        why("inside_zone", "inside zone \"hedge\": 0.62 < 0.90")
    );
}

#[test]
fn anchors_decide_what_is_inside() {
    let zone = |more: Value| filter(json!({ "zones": [with(square("z", 0.0, 0.5), more)] }));
    // Lower edge outside, centre inside, 60 % inside.
    let tall = detection(0, 0.9, [0.1, 0.2, 0.2, 0.7]);
    assert!(judged(&zone(json!({})), tall).is_err());
    assert!(judged(&zone(json!({ "anchor": "centre" })), tall).is_ok());
    for (share, inside) in [(0.5, true), (0.6, true), (0.61, false), (1.0, false)] {
        let filter = zone(json!({ "anchor": "overlap", "share": share }));
        assert_eq!(judged(&filter, tall).is_ok(), inside, "{share}");
    }
    let within = detection(0, 0.9, [0.1, 0.1, 0.5, 0.5]);
    assert!(judged(&zone(json!({ "anchor": "overlap", "share": 1 })), within).is_ok());
}

#[test]
fn what_is_told_is_bounded_and_begins_with_what_nms_suppressed() {
    let filter = filter(json!({}));
    let low = |score: f32| detection(0, score, BOX);
    let mut detections = vec![low(0.9)];
    detections.extend((0..80).map(|i| low(0.4 - i as f32 / 1000.0)));
    let suppressed =
        [0.8, 0.3, 0.04].map(|score| Suppressed { detection: low(score), score: 0.9, iou: 0.75 });
    let found = Predictions { detections, suppressed: suppressed.to_vec(), ..Predictions::default() };
    let mut sorted = FilterResult::default();
    filter.run(&found, &mut sorted);
    assert_eq!((sorted.kept.len(), sorted.zones.len()), (1, 1));
    assert_eq!(sorted.dropped.len(), 2 + DROPPED_LIMIT, "what is below the floor is not told");
    let json = sorted.dropped[0].reason_json(filter.settings(), &labels());
    assert_eq!(json["by"], json!({ "type": "0", "index": 0, "score": 0.9 }));
    assert_eq!(json["text"], "suppressed by NMS: overlaps 0 0.90 by 0.75");
    assert_eq!(sorted.dropped[2].detection.score, 0.4);
}
