//! The demo scene's truth, and what was found against it.

use std::time::Duration;

use serde_json::Value;
use spotter::capture::demo::bbox;
use spotter::demo::{CLASSES, Demo, PIXEL_BYTES, TrueBox};
use spotter::eval::coco;
use spotter::eval::matching::{Found, Truth};

/// What is in the picture of a moment, as picture number `image`.
pub fn truths(demo: &mut Demo, time: Duration, image: usize) -> Vec<Truth> {
    let (width, height) = demo.size();
    let mut pixels = vec![0; width as usize * height as usize * PIXEL_BYTES];
    assert!(demo.draw(time, &mut pixels));
    let truth = |object: &TrueBox| {
        let bbox = bbox(object, (width, height));
        let area = bbox[2] * bbox[3];
        Truth { image, category: object.class as usize, bbox, area, crowd: object.ignored }
    };
    demo.truths().iter().map(truth).collect()
}

/// A detection as the interface and the page give it: its label, score and normalised box.
pub fn found(image: usize, size: (u32, u32), label: &Value, score: &Value, rect: &Value) -> Found {
    let (width, height) = (f64::from(size.0), f64::from(size.1));
    let side = |name: &str| rect[name].as_f64().unwrap();
    let (left, top) = (side("left") * width, side("top") * height);
    let bbox = [left, top, side("right") * width - left, side("bottom") * height - top];
    let category = CLASSES.iter().position(|class| label == class).unwrap();
    Found { image, category, bbox, score: score.as_f64().unwrap() }
}

/// The time of a frame in the source, as the interface gives it.
pub fn time(frame: &Value) -> Duration {
    Duration::from_nanos((frame["pts_ms"].as_f64().unwrap() * 1e6).round() as u64)
}

/// Precision and recall of detections from score 0.5, and the number of objects.
pub fn at_half(truths: &[Truth], founds: &[Found]) -> (f64, f64, u64) {
    let counts = coco::evaluate(truths, founds, CLASSES.len()).at_score(0.5);
    (counts.precision().unwrap(), counts.recall().unwrap(), counts.objects as u64)
}
