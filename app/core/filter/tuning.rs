//! The settings as detection reads them.

use super::zone::Zone;
use crate::vision::geometry::Fit;
use crate::vision::sensor::View;

/// The most zones that there can be: a set of them is a `u32`.
pub const MOST_ZONES: usize = 32;

/// What is special about a label.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRule {
    /// The label.
    pub name: String,
    /// Whether its detections are kept.
    pub on: bool,
    /// Its own confidence.
    pub confidence: Option<f32>,
}

/// The settings as detection reads them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuning {
    /// Detections below this score are dropped. 0..=1.
    pub confidence: f32,
    /// Of two boxes of one class that overlap more than this, the weaker is dropped. 0..=1.
    pub iou: f32,
    /// What is special about single labels.
    pub labels: Vec<LabelRule>,
    /// Smallest and largest box: square root of its share of the picture's area.
    pub size: (f32, f32),
    /// The zones that are on, at most [`MOST_ZONES`].
    pub zones: Vec<Zone>,
    /// How frames are fitted into the model's input, where not as the model says.
    pub fit: Option<Fit>,
    /// Frames a second at most.
    pub fps_limit: Option<f64>,
    /// Which of a camera's sensors is looked at.
    pub sensor: View,
}
