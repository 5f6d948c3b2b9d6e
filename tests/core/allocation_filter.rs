//! Settings that do not change and a filter that has run ask for no memory.

use allocation_counter::measure;
use serde_json::{Value, json};
use spotter_core::filter::{Filter, FilterResult};
use spotter_core::model::labels::Labels;
use spotter_core::settings::Overrides;
use spotter_core::settings::shared::{Reader, SharedSettings};
use spotter_core::vision::detection::Detection;
use spotter_core::vision::geometry::Rect;
use spotter_core::vision::predictions::{Predictions, Suppressed};

#[test]
fn a_warm_filter_allocates_nothing() {
    let zones: Vec<Value> = (0..16)
        .map(|zone| {
            let points: Vec<Value> = (0..16)
                .map(|corner| {
                    let turn = f64::from(corner) / 16.0 * std::f64::consts::TAU;
                    let (x, y) = (0.3 * turn.cos(), 0.3 * turn.sin());
                    json!({ "x": 0.3 + 0.4 * f64::from(zone) / 16.0 + x, "y": 0.5 + y })
                })
                .collect();
            let kind = if zone == 8 { "exclude" } else { "include" };
            let anchor = ["bottom-centre", "centre", "overlap"][zone as usize % 3];
            json!({ "name": format!("zone {zone}"), "kind": kind, "anchor": anchor, "points": points,
                    "labels": if zone % 2 == 0 { json!([]) } else { json!(["class 0"]) },
                    "confidence": if zone % 5 == 0 { json!(0.6) } else { json!(null) } })
        })
        .collect();
    let settings = SharedSettings::new(Overrides::default());
    let labels = json!({ "class 2": { "on": false }, "class 3": { "confidence": 0.9 } });
    settings.patch(&json!({ "zones": zones, "labels": labels, "size": { "min": 0.05 } }), None).unwrap();
    let mut reader = Reader::default();
    let filter = Filter::new(reader.news(&settings).unwrap(), &Labels::numbers(Some(5)));
    let detections: Vec<Detection> = (0..100u32)
        .map(|i| {
            let (x, y) = ((i * 37 % 90) as f32 / 100.0, (i * 53 % 90) as f32 / 100.0);
            let rect = Rect::new(x, y, x + 0.02 + (i % 7) as f32 / 90.0, y + 0.08);
            Detection { class: i % 6, score: 1.0 - i as f32 / 100.0, rect }
        })
        .collect();
    let suppressed = detections[..20].iter().map(|d| Suppressed { detection: *d, score: 1.0, iou: 0.5 });
    let found = Predictions { suppressed: suppressed.collect(), detections, ..Predictions::default() };
    let mut sorted = FilterResult::default();
    filter.run(&found, &mut sorted);
    let kinds: std::collections::HashSet<_> =
        sorted.dropped.iter().map(|dropped| std::mem::discriminant(&dropped.reason)).collect();
    assert!(sorted.kept.len() > 2 && kinds.len() >= 5, "{} {}", sorted.kept.len(), kinds.len());
    let info = measure(|| {
        assert!(reader.news(&settings).is_none());
        filter.run(&found, &mut sorted);
    });
    assert_eq!(info.count_total, 0);
}
