//! Everything that was seen in one frame: what every output reads. Its JSON is the interface.
//!
//! The shape follows Axis' analytics frames (`frame.observations[].bounding_box`, `.class.type`,
//! `.class.score`), with Spotter's own fields beside them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::base::clock::milliseconds;
use crate::base::time::{timestamp, unix_milliseconds};
use crate::filter::FilterResult;
use crate::filter::reason::{names, rounded};
use crate::model::labels::Labels;
use crate::settings::Settings;
use crate::vision::detection::Detection;
use crate::vision::frame::Frame;
use crate::vision::geometry::Rect;
use crate::vision::predictions::{ClassScore, Mask};

/// How long the stages took for this frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// From the arrival of the frame to the start of preprocessing.
    pub queue: Duration,
    /// Frame to input tensor.
    pub preprocess: Duration,
    /// Input tensor to output tensors.
    pub inference: Duration,
    /// Output tensors to detections.
    pub decode: Duration,
}

/// All that was seen in one frame.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The frame's number.
    pub seq: u64,
    /// When the frame was captured.
    pub captured: SystemTime,
    /// The frame's place in the source's own time.
    pub pts: Option<Duration>,
    /// Columns and rows of the frame.
    pub size: (usize, usize),
    /// Columns and rows on a screen with square pixels.
    pub display: (usize, usize),
    /// Detections kept and dropped, normalised to the frame.
    pub sorted: FilterResult,
    /// The settings that they were sorted with.
    pub settings: Arc<Settings>,
    /// Classes of the whole picture, best first, where the model is a classifier.
    pub classes: Vec<ClassScore>,
    /// Class of every pixel; empty where the model gives none.
    pub mask: Mask,
    /// Stage times.
    pub timing: Timing,
    /// Names of the classes.
    pub labels: Arc<Labels>,
}

fn bounding_box(rect: &Rect) -> Value {
    json!({
        "left": rounded(rect.left),
        "top": rounded(rect.top),
        "right": rounded(rect.right),
        "bottom": rounded(rect.bottom),
    })
}

impl Scene {
    /// An empty scene of a frame.
    pub fn of(frame: &Frame, labels: Arc<Labels>, settings: Arc<Settings>) -> Self {
        let (width, height) = frame.layout.display_size();
        Self {
            seq: frame.seq,
            captured: frame.captured,
            pts: frame.pts,
            size: (frame.layout.width, frame.layout.height),
            display: (width.round() as usize, height.round() as usize),
            sorted: FilterResult::default(),
            settings,
            classes: Vec::new(),
            mask: Mask::default(),
            timing: Timing::default(),
            labels,
        }
    }

    fn observation(&self, detection: &Detection) -> Value {
        json!({
            "bounding_box": bounding_box(&detection.rect),
            "class": self.class(detection.class, "score", detection.score),
        })
    }

    fn class(&self, class: u32, what: &str, value: f32) -> Value {
        json!({ "type": self.labels.name(class), "index": class, what: rounded(value) })
    }

    /// The mask as JSON: runs of class and length in the mask's own size, and where it lies.
    fn segmentation(&self) -> Value {
        let Mask { width, height, region, .. } = &self.mask;
        let classes: Vec<Value> =
            self.mask.shares().iter().map(|s| self.class(s.class, "share", s.share)).collect();
        json!({
            "width": width,
            "height": height,
            "region": bounding_box(region),
            "classes": classes,
            "runs": self.mask.runs(),
        })
    }

    /// The scene as JSON.
    pub fn to_json(&self) -> Value {
        let FilterResult { kept, zones, dropped } = &self.sorted;
        let observations = kept.iter().zip(zones).map(|(detection, zones)| {
            let mut value = self.observation(detection);
            value["zones"] = json!(names(&self.settings, *zones));
            value
        });
        let dropped = dropped.iter().map(|dropped| {
            let mut value = self.observation(&dropped.detection);
            value["reason"] = dropped.reason_json(&self.settings, &self.labels);
            value
        });
        let mut value = json!({
            "frame": {
                "seq": self.seq,
                "timestamp": timestamp(self.captured),
                "captured_ms": unix_milliseconds(self.captured),
                "pts_ms": self.pts.map(milliseconds),
                "width": self.size.0,
                "height": self.size.1,
                "display_width": self.display.0,
                "display_height": self.display.1,
                "observations": observations.collect::<Vec<_>>(),
                "operations": [],
            },
            "dropped": dropped.collect::<Vec<_>>(),
            "timing": {
                "queue_ms": milliseconds(self.timing.queue),
                "preprocess_ms": milliseconds(self.timing.preprocess),
                "inference_ms": milliseconds(self.timing.inference),
                "decode_ms": milliseconds(self.timing.decode),
            },
        });
        // Only where the model is of that task: most are detectors.
        if !self.classes.is_empty() {
            let classes = self.classes.iter().map(|c| self.class(c.class, "score", c.score));
            value["classification"] = classes.collect();
        }
        if !self.mask.is_empty() {
            value["segmentation"] = self.segmentation();
        }
        value
    }
}
