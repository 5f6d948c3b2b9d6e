//! The settings document: what is in it, what holds beyond shapes, and what detection reads of it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

use super::Values;
use super::shape::{Absent, Effect, Field, Shape};
use crate::base::error::{Error, Kind, Result};
use crate::filter::polygon::Polygon;
use crate::filter::tuning::{LabelRule, MOST_ZONES, Tuning};
use crate::filter::zone::{Anchor, Zone, ZoneKind};
use crate::vision::sensor::View;

/// The version of the document's shape.
pub const SCHEMA: u32 = 2;
/// Corners of a zone at most.
pub const MOST_POINTS: usize = 32;
/// The confidence where nobody says another.
pub const CONFIDENCE: f32 = 0.5;
/// The overlap for NMS where nobody says another.
pub const IOU: f32 = 0.45;

const SHARE: Shape = Shape::Number { least: 0.0, greatest: 1.0, or_null: false, step: None };
const SCORE: Shape = Shape::Number { least: 0.0, greatest: 1.0, or_null: false, step: Some(0.01) };
const SCORE_OR_NULL: Shape = Shape::Number { least: 0.0, greatest: 1.0, or_null: true, step: Some(0.01) };
const LABEL: Shape = Shape::Text(100);
const LIVE: Option<Effect> = Some(Effect::Live);

static RULE: Shape = Shape::Object(&[
    Field {
        name: "on",
        title: "Shown",
        about: "Whether detections with this label are kept.",
        unit: None,
        absent: Absent::True,
        effect: LIVE,
        shape: Shape::Switch,
    },
    Field {
        name: "confidence",
        title: "Confidence of this label",
        about: "In place of the confidence for all; null for that.",
        unit: Some("score"),
        absent: Absent::Null,
        effect: LIVE,
        shape: SCORE_OR_NULL,
    },
]);

static POINT: Shape = Shape::Object(&[
    Field {
        name: "x",
        title: "From the left",
        about: "0 is the picture's left edge, 1 its right edge.",
        unit: Some("share of the picture's width"),
        absent: Absent::Required,
        effect: LIVE,
        shape: SHARE,
    },
    Field {
        name: "y",
        title: "From the top",
        about: "0 is the picture's upper edge, 1 its lower edge.",
        unit: Some("share of the picture's height"),
        absent: Absent::Required,
        effect: LIVE,
        shape: SHARE,
    },
]);

static ZONE: Shape = Shape::Object(&[
    Field {
        name: "name",
        title: "Name",
        about: "Tells the zone from the others.",
        unit: None,
        absent: Absent::Required,
        effect: LIVE,
        shape: Shape::Text(64),
    },
    Field {
        name: "on",
        title: "In use",
        about: "A zone that is off is as if it were not there.",
        unit: None,
        absent: Absent::True,
        effect: LIVE,
        shape: Shape::Switch,
    },
    Field {
        name: "kind",
        title: "Kind",
        about: "include: detections outside of all such zones are dropped; exclude: those inside are.",
        unit: None,
        absent: Absent::Text("include"),
        effect: LIVE,
        shape: Shape::Choice(&["include", "exclude"]),
    },
    Field {
        name: "points",
        title: "Corners",
        about: "Where edges cross, what is enclosed an odd number of times is inside.",
        unit: None,
        absent: Absent::Required,
        effect: LIVE,
        shape: Shape::List { item: &POINT, least: 3, most: MOST_POINTS },
    },
    Field {
        name: "anchor",
        title: "What has to be inside",
        about: "The middle of the box's lower edge, the box's centre, or a share of the box.",
        unit: None,
        absent: Absent::Text("bottom-centre"),
        effect: LIVE,
        shape: Shape::Choice(&["bottom-centre", "centre", "overlap"]),
    },
    Field {
        name: "share",
        title: "Overlap",
        about: "The share of the box that has to be inside, for the anchor overlap.",
        unit: Some("share of the box"),
        absent: Absent::Number(0.5),
        effect: LIVE,
        shape: Shape::Number { least: 0.01, greatest: 1.0, or_null: false, step: Some(0.01) },
    },
    Field {
        name: "labels",
        title: "Labels",
        about: "The labels that the zone is about; none for all.",
        unit: None,
        absent: Absent::Plain,
        effect: LIVE,
        shape: Shape::List { item: &LABEL_ITEM, least: 0, most: 1024 },
    },
    Field {
        name: "confidence",
        title: "Confidence in this zone",
        about: "include: in place of the label's and of that for all; exclude: detections that reach it are kept.",
        unit: Some("score"),
        absent: Absent::Null,
        effect: LIVE,
        shape: SCORE_OR_NULL,
    },
]);

static LABEL_ITEM: Shape = LABEL;

/// The whole document.
pub static DOCUMENT: Shape = Shape::Object(&[
    Field {
        name: "schema",
        title: "Version",
        about: "The version of the document's shape.",
        unit: None,
        absent: Absent::Plain,
        effect: None,
        shape: Shape::Only(SCHEMA),
    },
    Field {
        name: "confidence",
        title: "Confidence",
        about: "Detections with a lower score are dropped.",
        unit: Some("score"),
        absent: Absent::Number(0.5),
        effect: LIVE,
        shape: SCORE,
    },
    Field {
        name: "iou",
        title: "Overlap for NMS",
        about: "Of two boxes of one class that overlap more, the weaker is dropped; models that do this themselves \
                ignore it.",
        unit: Some("intersection over union"),
        absent: Absent::Number(0.45),
        effect: LIVE,
        shape: SCORE,
    },
    Field {
        name: "labels",
        title: "Labels",
        about: "What is special about single labels.",
        unit: None,
        absent: Absent::Plain,
        effect: LIVE,
        shape: Shape::Map(&RULE, 100),
    },
    Field {
        name: "size",
        title: "Size",
        about: "Detections of another size are dropped. A box's size is the square root of its share of the \
                picture's area: half as wide and half as high as the picture is 0.5.",
        unit: None,
        absent: Absent::Plain,
        effect: LIVE,
        shape: Shape::Object(&[
            Field {
                name: "min",
                title: "Smallest",
                about: "Smaller boxes are dropped.",
                unit: Some("square root of the share of the picture's area"),
                absent: Absent::Number(0.0),
                effect: LIVE,
                shape: SHARE,
            },
            Field {
                name: "max",
                title: "Largest",
                about: "Larger boxes are dropped.",
                unit: Some("square root of the share of the picture's area"),
                absent: Absent::Number(1.0),
                effect: LIVE,
                shape: SHARE,
            },
        ]),
    },
    Field {
        name: "zones",
        title: "Zones",
        about: "Parts of the source picture.",
        unit: None,
        absent: Absent::Plain,
        effect: LIVE,
        shape: Shape::List { item: &ZONE, least: 0, most: MOST_ZONES },
    },
    Field {
        name: "fit",
        title: "Fit",
        about: "How frames are fitted into the model's input; auto: as the model was trained, or as the command \
                line says.",
        unit: None,
        absent: Absent::Text("auto"),
        effect: LIVE,
        shape: Shape::Choice(&["auto", "letterbox", "stretch", "crop"]),
    },
    Field {
        name: "sensor",
        title: "Sensor",
        about: "Which of a camera's sensors is looked at: input=2, or channel=1 for a view of it; as the command line \
                says where nobody chose. Other sources have none.",
        unit: None,
        absent: Absent::Text("input=1"),
        effect: LIVE,
        shape: Shape::Text(16),
    },
    Field {
        name: "fps_limit",
        title: "Frame-rate limit",
        about: "At most so many frames a second go through the model and onto the page; null for all.",
        unit: Some("frames/s"),
        absent: Absent::Null,
        effect: LIVE,
        shape: Shape::Number { least: 0.1, greatest: 240.0, or_null: true, step: None },
    },
]);

/// A document that holds: checked, complete, with what is made of it.
#[derive(Debug)]
pub struct Document {
    value: Value,
    etag: String,
    unknown: Vec<String>,
    tuning: Arc<Tuning>,
}

/// As the user wrote it: 0.45, not the 0.449999988 that 32 bits make of it.
fn rounded(value: f32) -> f64 {
    (f64::from(value.clamp(0.0, 1.0)) * 1e6).round() / 1e6
}

/// The document without any change: what the command line says, and the defaults.
pub fn defaults(given: Values) -> Value {
    DOCUMENT.complete(json!({
        "confidence": rounded(given.confidence),
        "iou": rounded(given.iou),
        "sensor": given.sensor.to_string(),
    }))
}

/// An older document as one of today. Without a version it is of today.
///
/// # Errors
/// `Kind::Usage` where the version is a newer one.
pub fn migrated(value: Value) -> Result<Value> {
    let schema = value.get("schema").and_then(Value::as_f64).unwrap_or(f64::from(SCHEMA));
    if schema > f64::from(SCHEMA) {
        let text = format!(
            "schema {schema} is of a newer Spotter; this one reads documents of schema 1 to {SCHEMA}"
        );
        return Err(Error::new(Kind::Usage, text));
    }
    if schema != 1.0 {
        return Ok(value);
    }
    // Version 1 was the file alone: the two settings there were, in an object of their own.
    let mut value = value;
    let mut settings = value.get_mut("settings").map(Value::take).unwrap_or(json!({}));
    if let Value::Object(members) = &mut settings {
        members.insert("schema".to_owned(), json!(SCHEMA));
        if let Some(instead_of) = value.get("instead_of") {
            members.insert("instead_of".to_owned(), instead_of.clone());
        }
    }
    Ok(settings)
}

impl Document {
    /// Checks a document of today and completes it with `defaults`.
    ///
    /// # Errors
    /// `Kind::Usage` with the path and the value of what is wrong.
    pub fn new(mut value: Value, defaults: &Value) -> Result<Self> {
        if let (Value::Object(members), Value::Object(defaults)) = (&mut value, defaults) {
            for (name, default) in defaults {
                members.entry(name).or_insert_with(|| default.clone());
            }
        }
        DOCUMENT.check(&value, &mut String::new())?;
        let value = DOCUMENT.complete(value);
        check_rules(&value)?;
        Ok(Self::of(value))
    }

    /// A document that is known to hold and to be complete.
    pub(super) fn of(value: Value) -> Self {
        let mut unknown = Vec::new();
        DOCUMENT.unknown(&value, &mut String::new(), &mut unknown);
        let digest = Sha256::digest(value.to_string().as_bytes());
        let etag = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tuning = Arc::new(tuning(&value));
        Self { value, etag, unknown, tuning }
    }

    /// The document as JSON, complete.
    pub fn to_json(&self) -> &Value {
        &self.value
    }

    /// A word that is another for every other content.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The paths of what this version does not understand, and keeps.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What detection reads.
    pub fn tuning(&self) -> &Arc<Tuning> {
        &self.tuning
    }
}

/// What a JSON Schema cannot say.
fn check_rules(value: &Value) -> Result<()> {
    let wrong = |text: String| Err(Error::new(Kind::Usage, text));
    let (min, max) = (&value["size"]["min"], &value["size"]["max"]);
    if min.as_f64() > max.as_f64() {
        return wrong(format!("size.min must not be above size.max: {min} > {max}"));
    }
    let sensor = value["sensor"].as_str().unwrap_or_default();
    if let Err(why) = sensor.parse::<View>() {
        return wrong(format!("sensor: {why}"));
    }
    let zones = value["zones"].as_array().map_or(&[][..], Vec::as_slice);
    for (index, zone) in zones.iter().enumerate() {
        if let Some(other) = zones[..index].iter().position(|other| other["name"] == zone["name"]) {
            let name = &zone["name"];
            return wrong(format!(
                "zones[{index}].name must differ from the others, and {name} is that of zones[{other}]"
            ));
        }
    }
    Ok(())
}

/// What detection reads of a complete document.
fn tuning(value: &Value) -> Tuning {
    let share = |value: &Value| value.as_f64().map(|number| number as f32);
    let labels = value["labels"].as_object().into_iter().flatten().map(|(name, rule)| LabelRule {
        name: name.clone(),
        on: rule["on"] != false,
        confidence: share(&rule["confidence"]),
    });
    let zones = value["zones"].as_array().into_iter().flatten().filter(|zone| zone["on"] != false);
    Tuning {
        confidence: share(&value["confidence"]).unwrap_or(CONFIDENCE),
        iou: share(&value["iou"]).unwrap_or(IOU),
        labels: labels.collect(),
        size: (share(&value["size"]["min"]).unwrap_or(0.0), share(&value["size"]["max"]).unwrap_or(1.0)),
        zones: zones.take(MOST_ZONES).map(zone).collect(),
        // "auto" is none of them.
        fit: value["fit"].as_str().and_then(|fit| fit.parse().ok()),
        fps_limit: value["fps_limit"].as_f64(),
        sensor: value["sensor"].as_str().and_then(|sensor| sensor.parse().ok()).unwrap_or_default(),
    }
}

fn zone(value: &Value) -> Zone {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let points = value["points"].as_array().into_iter().flatten();
    let points: Vec<[f64; 2]> =
        points.map(|point| ["x", "y"].map(|axis| point[axis].as_f64().unwrap_or_default())).collect();
    let labels = value["labels"].as_array().into_iter().flatten();
    Zone {
        name: text("name").to_owned(),
        kind: if text("kind") == "exclude" { ZoneKind::Exclude } else { ZoneKind::Include },
        polygon: Polygon::new(&points),
        anchor: match text("anchor") {
            "centre" => Anchor::Centre,
            "overlap" => Anchor::Overlap(value["share"].as_f64().unwrap_or(0.5)),
            _ => Anchor::BottomCentre,
        },
        labels: labels.filter_map(Value::as_str).map(str::to_owned).collect(),
        confidence: value["confidence"].as_f64().map(|number| number as f32),
    }
}
