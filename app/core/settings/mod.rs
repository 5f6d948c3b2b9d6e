//! What a user can set while Spotter runs. Every setting acts on the next frame.
//!
//! [`Settings`] is the one description: validation, defaults and `schema.json` follow from its fields, their comments
//! and their limits. The first line of a field's comment is what a person calls it.

pub mod file;
pub mod revision;
pub mod shared;
#[cfg(test)]
mod tests;
mod validation;

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value, json};

use crate::vision::geometry::Fit;
use crate::vision::sensor::View;

/// The version of the settings' JSON.
pub const SCHEMA: u32 = 2;
/// Zones at most: a set of them is a `u32`.
pub const MOST_ZONES: usize = 32;
/// Corners of a zone at most.
pub const MOST_POINTS: usize = 32;

/// The settings as the JSON has them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[cfg_attr(test, schemars(title = "Spotter's settings", description = tests::BEYOND_THE_SCHEMA))]
pub struct Settings {
    /// # Version
    /// The version of the document's shape.
    #[cfg_attr(test, schemars(with = "Value", extend("const" = SCHEMA)))]
    pub schema: Number,
    /// # Confidence
    /// Detections with a lower score are dropped.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "score", "x-spotter-step" = 0.01)))]
    pub confidence: f64,
    /// # Overlap for NMS
    /// Of two boxes of one class that overlap more, the weaker is dropped; models that do this themselves ignore it.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "intersection over union", "x-spotter-step" = 0.01)))]
    pub iou: f64,
    /// # Labels
    /// What is special about single labels.
    #[cfg_attr(test, schemars(extend("propertyNames" = { "minLength": 1, "maxLength": 100 })))]
    pub labels: BTreeMap<String, LabelSettings>,
    /// # Size
    /// Detections of another size are dropped. A box's size is the square root of its share of the picture's area: half
    /// as wide and half as high as the picture is 0.5.
    pub size: SizeSettings,
    /// # Zones
    /// Parts of the source picture.
    #[cfg_attr(test, schemars(length(min = 0, max = MOST_ZONES)))]
    pub zones: Vec<ZoneSettings>,
    /// # Fit
    /// How frames are fitted into the model's input; auto: as the model was trained, or as the command line says.
    pub fit: FitChoice,
    /// # Sensor
    /// Which of a camera's sensors is looked at: input=2, or channel=1 for a view of it; as the command line says where
    /// nobody chose. Other sources have none.
    #[cfg_attr(test, schemars(with = "String", length(min = 1, max = 16)))]
    #[cfg_attr(test, serde(serialize_with = "tests::as_text"))]
    #[serde(deserialize_with = "sensor")]
    pub sensor: View,
    /// # Frame-rate limit
    /// At most so many frames a second go through the model and onto the page; null for all.
    #[cfg_attr(test, schemars(range(min = 0.1, max = 240.0), extend("x-spotter-unit" = "frames/s")))]
    pub fps_limit: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schema: SCHEMA.into(),
            confidence: 0.5,
            iou: 0.45,
            labels: BTreeMap::new(),
            size: SizeSettings::default(),
            zones: Vec::new(),
            fit: FitChoice::Auto,
            sensor: View::default(),
            fps_limit: None,
        }
    }
}

/// What is special about a label.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
pub struct LabelSettings {
    /// # Shown
    /// Whether detections with this label are kept.
    #[serde(default = "yes")]
    pub on: bool,
    /// # Confidence of this label
    /// In place of the confidence for all; null for that.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "score", "x-spotter-step" = 0.01)))]
    #[serde(default)]
    pub confidence: Option<f64>,
}

/// Smallest and largest box.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
pub struct SizeSettings {
    /// # Smallest
    /// Smaller boxes are dropped.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "square root of the share of the picture's area")))]
    pub min: f64,
    /// # Largest
    /// Larger boxes are dropped.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "square root of the share of the picture's area")))]
    pub max: f64,
}

impl Default for SizeSettings {
    fn default() -> Self {
        Self { min: 0.0, max: 1.0 }
    }
}

/// A part of the source picture in which other rules hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
pub struct ZoneSettings {
    /// # Name
    /// Tells the zone from the others.
    #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
    pub name: String,
    /// # In use
    /// A zone that is off is as if it were not there.
    #[serde(default = "yes")]
    pub on: bool,
    /// # Kind
    /// include: detections outside of all such zones are dropped; exclude: those inside are.
    #[serde(default)]
    pub kind: ZoneKind,
    /// # Corners
    /// Where edges cross, what is enclosed an odd number of times is inside.
    #[cfg_attr(test, schemars(length(min = 3, max = MOST_POINTS)))]
    pub points: Vec<Point>,
    /// # What has to be inside
    /// The middle of the box's lower edge, the box's centre, or a share of the box.
    #[serde(default)]
    pub anchor: Anchor,
    /// # Overlap
    /// The share of the box that has to be inside, for the anchor overlap.
    #[cfg_attr(test, schemars(range(min = 0.01, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "share of the box", "x-spotter-step" = 0.01)))]
    #[serde(default = "half")]
    pub share: f64,
    /// # Labels
    /// The labels that the zone is about; none for all.
    #[cfg_attr(test, schemars(length(min = 0, max = 1024), inner(length(min = 1, max = 100))))]
    #[serde(default)]
    pub labels: Vec<String>,
    /// # Confidence in this zone
    /// include: in place of the label's and of that for all; exclude: detections that reach it are kept.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "score", "x-spotter-step" = 0.01)))]
    #[serde(default)]
    pub confidence: Option<f64>,
}

/// A corner of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
pub struct Point {
    /// # From the left
    /// 0 is the picture's left edge, 1 its right edge.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "share of the picture's width")))]
    pub x: f64,
    /// # From the top
    /// 0 is the picture's upper edge, 1 its lower edge.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    #[cfg_attr(test, schemars(extend("x-spotter-unit" = "share of the picture's height")))]
    pub y: f64,
}

/// What a zone does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
pub enum ZoneKind {
    /// Keeps what is inside.
    #[default]
    Include,
    /// Drops what is inside.
    Exclude,
}

/// What of a box has to be inside of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
pub enum Anchor {
    /// The middle of its lower edge: where a thing stands.
    #[default]
    BottomCentre,
    /// Its centre.
    Centre,
    /// A share of its area.
    Overlap,
}

/// How frames are fitted into the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
pub enum FitChoice {
    /// As the model was trained, or as the command line says.
    #[default]
    Auto,
    /// Whole frame with bars.
    Letterbox,
    /// Whole frame, shape not kept.
    Stretch,
    /// The middle of the frame.
    Crop,
}

impl FitChoice {
    /// The fit that was chosen; `None` for [`FitChoice::Auto`].
    pub fn fit(self) -> Option<Fit> {
        match self {
            Self::Auto => None,
            Self::Letterbox => Some(Fit::Letterbox),
            Self::Stretch => Some(Fit::Stretch),
            Self::Crop => Some(Fit::Crop),
        }
    }
}

/// What the command line says in place of the defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overrides {
    /// [`Settings::confidence`]
    pub confidence: f32,
    /// [`Settings::iou`]
    pub iou: f32,
    /// [`Settings::sensor`]
    pub sensor: View,
}

impl Default for Overrides {
    fn default() -> Self {
        let Settings { confidence, iou, sensor, .. } = Settings::default();
        Self { confidence: confidence as f32, iou: iou as f32, sensor }
    }
}

impl Overrides {
    /// The defaults with these in their place.
    pub fn settings(self) -> Settings {
        // As the user wrote it: 0.45, not the 0.449999988 that 32 bits make of it.
        let rounded = |value: f32| (f64::from(value.clamp(0.0, 1.0)) * 1e6).round() / 1e6;
        let Self { confidence, iou, sensor } = self;
        Settings { confidence: rounded(confidence), iou: rounded(iou), sensor, ..Settings::default() }
    }

    fn to_json(self) -> Value {
        let Settings { confidence, iou, sensor, .. } = self.settings();
        json!({ "confidence": confidence, "iou": iou, "sensor": sensor.to_string() })
    }
}

fn yes() -> bool {
    true
}

fn half() -> f64 {
    0.5
}

fn sensor<'de, D: Deserializer<'de>>(from: D) -> Result<View, D::Error> {
    String::deserialize(from)?.parse().map_err(|why| D::Error::custom(format!("sensor: {why}")))
}
