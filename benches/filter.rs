//! How long sorting detections takes: 100 of them, 16 zones of 16 corners each.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use spotter::filter::{Filter, FilterResult};
use spotter::model::labels::Labels;
use spotter::settings::Overrides;
use spotter::settings::shared::SharedSettings;
use spotter::vision::detection::Detection;
use spotter::vision::geometry::Rect;
use spotter::vision::predictions::Predictions;

/// Sixteen corners around a centre, at uneven distances.
fn zone(index: u32, anchor: &str) -> Value {
    let centre = [index % 4, index / 4].map(|place| 0.2 + 0.2 * f64::from(place));
    let points: Vec<Value> = (0..16)
        .map(|corner| {
            let turn = f64::from(corner) / 16.0 * std::f64::consts::TAU;
            let distance = 0.1 + 0.08 * f64::from(corner * 7 % 5) / 4.0;
            json!({ "x": centre[0] + distance * turn.cos(), "y": centre[1] + distance * turn.sin() })
        })
        .collect();
    json!({ "name": index.to_string(), "anchor": anchor, "points": points })
}

fn filter(criterion: &mut Criterion) {
    let detections = (0..100u32).map(|i| {
        let (x, y) = ((i * 37 % 85) as f32 / 100.0, (i * 53 % 85) as f32 / 100.0);
        let rect = Rect::new(x, y, x + 0.03 + (i % 7) as f32 / 60.0, y + 0.03 + (i % 5) as f32 / 40.0);
        Detection { class: i % 80, score: 0.9, rect }
    });
    let found = Predictions { detections: detections.collect(), ..Predictions::default() };
    for anchor in ["bottom-centre", "overlap"] {
        let settings = SharedSettings::new(Overrides::default());
        let zones: Vec<Value> = (0..16).map(|index| zone(index, anchor)).collect();
        let document = settings.patch(&json!({ "zones": zones }), None).unwrap();
        let filter = Filter::new(document.settings().clone(), &Labels::numbers(Some(80)));
        let mut sorted = FilterResult::default();
        criterion.bench_function(&format!("100 detections, 16 zones of 16 corners, {anchor}"), |b| {
            b.iter(|| {
                filter.run(black_box(&found), &mut sorted);
                black_box(sorted.kept.len())
            });
        });
    }
}

criterion_group!(benches, filter);
criterion_main!(benches);
