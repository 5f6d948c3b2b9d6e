//! Detections → kept and dropped, each dropped one with its reason.

use crate::detection::Detection;
use crate::scene::{Dropped, Reason};

/// Detections below this score are not worth telling of, even as dropped ones; the lowest confidence the
/// page offers.
pub const FLOOR: f32 = 0.05;

/// At most so many dropped detections are told of in a frame, best first.
pub const DROPPED_LIMIT: usize = 50;

/// Splits `found` (best first) by confidence.
pub fn by_confidence(
    found: &[Detection],
    confidence: f32,
    kept: &mut Vec<Detection>,
    dropped: &mut Vec<Dropped>,
) {
    kept.clear();
    dropped.clear();
    for detection in found {
        if detection.score >= confidence {
            kept.push(*detection);
        } else if dropped.len() < DROPPED_LIMIT {
            let reason = Reason::BelowConfidence { threshold: confidence };
            dropped.push(Dropped { detection: *detection, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    #[test]
    fn each_detection_is_kept_or_dropped_with_its_reason() {
        let found: Vec<Detection> = [0.9, 0.5, 0.49]
            .map(|score| Detection { class: 0, score, rect: Rect::new(0.0, 0.0, 1.0, 1.0) })
            .to_vec();
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        by_confidence(&found, 0.5, &mut kept, &mut dropped);
        assert_eq!(kept, found[..2]);
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0].reason, Reason::BelowConfidence { threshold: 0.5 });
    }
}
