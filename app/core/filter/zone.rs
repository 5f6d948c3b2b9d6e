//! A part of the source picture, and which boxes are in it.

use super::polygon::Polygon;
use crate::vision::geometry::Rect;

/// What a zone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneKind {
    /// Keeps what is inside.
    Include,
    /// Drops what is inside.
    Exclude,
}

/// What of a box has to be inside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Anchor {
    /// The middle of its lower edge: where a thing stands.
    BottomCentre,
    /// Its centre.
    Centre,
    /// This share of its area.
    Overlap(f64),
}

/// A zone that is on.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: ZoneKind,
    /// Its place.
    pub polygon: Polygon,
    /// What has to be inside.
    pub anchor: Anchor,
    /// The labels that it is about; none for all.
    pub labels: Vec<String>,
    /// Include: the confidence inside of it. Exclude: detections that reach this are kept.
    pub confidence: Option<f32>,
}

impl Zone {
    /// Whether a box, normalised to the source picture, is in the zone.
    pub fn contains(&self, rect: &Rect) -> bool {
        let middle = (rect.left + rect.right) / 2.0;
        match self.anchor {
            Anchor::BottomCentre => self.polygon.contains(middle, rect.bottom),
            Anchor::Centre => self.polygon.contains(middle, (rect.top + rect.bottom) / 2.0),
            Anchor::Overlap(share) => {
                // Edges have 32 bits: a box that is just inside is inside.
                self.polygon.overlap(rect) >= (share - 1e-6) * f64::from(rect.area())
            }
        }
    }

    /// Whether the zone is about a label.
    pub fn is_about(&self, label: &str) -> bool {
        self.labels.is_empty() || self.labels.iter().any(|name| name == label)
    }
}
