//! A part of the source picture, and which boxes are in it.

use super::polygon::Polygon;
use crate::settings::{Anchor, ZoneKind, ZoneSettings};
use crate::vision::geometry::Rect;

/// A zone made ready for boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Whether it is in use.
    pub on: bool,
    pub kind: ZoneKind,
    polygon: Polygon,
    anchor: Anchor,
    share: f64,
    labels: Vec<String>,
    /// Include: the confidence inside of it. Exclude: detections that reach this are kept.
    pub confidence: Option<f32>,
}

impl Zone {
    /// The zone of these settings.
    pub fn new(settings: &ZoneSettings) -> Self {
        let points: Vec<[f64; 2]> = settings.points.iter().map(|point| [point.x, point.y]).collect();
        Self {
            on: settings.on,
            kind: settings.kind,
            polygon: Polygon::new(&points),
            anchor: settings.anchor,
            share: settings.share,
            labels: settings.labels.clone(),
            confidence: settings.confidence.map(|confidence| confidence as f32),
        }
    }

    /// Whether a box, normalised to the source picture, is in the zone.
    pub fn contains(&self, rect: &Rect) -> bool {
        let middle = (rect.left + rect.right) / 2.0;
        match self.anchor {
            Anchor::BottomCentre => self.polygon.contains(middle, rect.bottom),
            Anchor::Centre => self.polygon.contains(middle, (rect.top + rect.bottom) / 2.0),
            Anchor::Overlap => {
                // Edges have 32 bits: a box that is just inside is inside.
                self.polygon.overlap(rect) >= (self.share - 1e-6) * f64::from(rect.area())
            }
        }
    }

    /// Whether the zone is about a label; `None` is a class without one.
    pub fn is_about(&self, label: Option<&str>) -> bool {
        self.labels.is_empty() || self.labels.iter().any(|name| Some(name.as_str()) == label)
    }
}
