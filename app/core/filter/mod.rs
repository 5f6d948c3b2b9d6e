//! Detections → kept and dropped, each dropped one with its reason: the first that holds in the order of
//! [`Reason`].

pub mod polygon;
pub mod reason;
#[cfg(test)]
mod tests;
pub mod zone;

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::model::labels::Labels;
use crate::settings::{Settings, ZoneKind};
use crate::vision::detection::Detection;
use crate::vision::predictions::Predictions;
use reason::{Dropped, Reason, ThresholdSource};
use zone::Zone;

/// Detections below this score are not worth telling of, even as dropped ones; the lowest confidence the
/// page offers.
pub const FLOOR: f32 = 0.05;

/// At most so many dropped detections are told of in a frame, best first; beside them those that NMS suppressed
/// ([`crate::vision::predictions::SUPPRESSED_LIMIT`]).
pub const DROPPED_LIMIT: usize = 50;

/// What holds for a class. Zones are bits.
#[derive(Clone, Copy, Debug)]
struct Rule {
    on: bool,
    confidence: f32,
    whose: ThresholdSource,
    include: u32,
    exclude: u32,
}

/// What was found in a frame, sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterResult {
    /// What is shown, best first.
    pub kept: Vec<Detection>,
    /// For each of these, the include zones that it is in and whose confidence it reaches, as bits.
    pub zones: Vec<u32>,
    /// What is not shown, and why; what NMS suppressed first, then best first.
    pub dropped: Vec<Dropped>,
}

/// The settings made ready for the classes of one model.
#[derive(Debug)]
pub struct Filter {
    settings: Arc<Settings>,
    zones: Vec<Zone>,
    size: RangeInclusive<f32>,
    /// By class.
    rules: Vec<Rule>,
    /// For classes without a name.
    other: Rule,
    /// Include zones with a confidence of their own.
    own: u32,
    floor: f32,
}

/// Places of the bits that are set.
fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = set.trailing_zeros();
        // Takes the lowest bit away.
        set &= set.checked_sub(1)?;
        Some(place as usize)
    })
}

impl Filter {
    /// The filter for a model with these labels.
    pub fn new(settings: Arc<Settings>, labels: &Labels) -> Self {
        let zones: Vec<Zone> = settings.zones.iter().map(Zone::new).collect();
        // The zones, as bits, of which something holds.
        let bits_of = |holds: &dyn Fn(&Zone) -> bool| {
            let those = zones.iter().enumerate().filter(|(_, zone)| zone.on && holds(zone));
            those.fold(0, |set, (place, _)| set | 1u32.checked_shl(place as u32).unwrap_or(0))
        };
        let confidence = settings.confidence as f32;
        let rule = |label: Option<&str>| {
            let special = label.and_then(|label| settings.labels.get(label));
            let own = special.and_then(|special| special.confidence);
            let of_kind = |kind: ZoneKind| bits_of(&|zone| zone.kind == kind && zone.is_about(label));
            Rule {
                on: special.is_none_or(|special| special.on),
                confidence: own.map_or(confidence, |own| own as f32),
                whose: if own.is_some() { ThresholdSource::Label } else { ThresholdSource::All },
                include: of_kind(ZoneKind::Include),
                exclude: of_kind(ZoneKind::Exclude),
            }
        };
        let rules: Vec<Rule> = labels.names().iter().map(|label| rule(Some(label))).collect();
        let other = rule(None);
        let own = bits_of(&|zone| zone.confidence.is_some());
        let of_zones = zones.iter().filter(|zone| zone.on).filter_map(|zone| zone.confidence);
        let all = rules.iter().map(|rule| rule.confidence).chain(of_zones);
        let floor = all.fold(FLOOR.min(other.confidence), f32::min);
        let size = settings.size.min as f32..=settings.size.max as f32;
        Self { settings, zones, size, rules, other, own, floor }
    }

    /// The settings that it was made of.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The lowest score that it wants to know of.
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Sorts what was found, best first. Allocates nothing once the memory of `into` has grown.
    pub fn run(&self, found: &Predictions, into: &mut FilterResult) {
        let FilterResult { kept, zones, dropped } = into;
        kept.clear();
        zones.clear();
        dropped.clear();
        let told = |suppressed: &&crate::vision::predictions::Suppressed| suppressed.detection.score >= FLOOR;
        dropped.extend(found.suppressed.iter().filter(told).map(|suppressed| Dropped {
            detection: suppressed.detection,
            reason: Reason::Suppressed { score: suppressed.score, iou: suppressed.iou },
        }));
        let most = dropped.len() + DROPPED_LIMIT;
        for detection in &found.detections {
            match self.judge(detection) {
                Ok(inside) => {
                    kept.push(*detection);
                    zones.push(inside);
                }
                Err(reason) if detection.score >= FLOOR && dropped.len() < most => {
                    dropped.push(Dropped { detection: *detection, reason });
                }
                Err(_) => {}
            }
        }
    }

    /// The include zones of a detection that is kept, or why it is dropped.
    fn judge(&self, detection: &Detection) -> Result<u32, Reason> {
        let rule = self.rules.get(detection.class as usize).unwrap_or(&self.other);
        let Detection { score, rect, .. } = detection;
        // Where no zone has a confidence of its own, most are dropped without a look at zones.
        if *score < rule.confidence && rule.include & self.own == 0 {
            return Err(Reason::BelowConfidence { threshold: rule.confidence, whose: rule.whose });
        }
        let zones = &self.zones;
        let inside = bits(rule.include)
            .filter(|place| zones[*place].contains(rect))
            .fold(0, |set, place| set | 1 << place);
        // In several zones the lowest confidence is enough.
        let (mut threshold, mut whose) = (rule.confidence, rule.whose);
        let mut reached = 0;
        for (index, place) in bits(inside).enumerate() {
            let own = zones[place].confidence;
            let of_zone = own.unwrap_or(rule.confidence);
            if *score >= of_zone {
                reached |= 1 << place;
            }
            if index == 0 || of_zone < threshold {
                threshold = of_zone;
                whose = if own.is_some() { ThresholdSource::Zone(place as u8) } else { rule.whose };
            }
        }
        if *score < threshold {
            return Err(Reason::BelowConfidence { threshold, whose });
        }
        if !rule.on {
            return Err(Reason::LabelOff);
        }
        let (least, most) = (*self.size.start(), *self.size.end());
        let size = rect.area().sqrt();
        if size < least {
            return Err(Reason::TooSmall { size, limit: least });
        }
        if size > most {
            return Err(Reason::TooLarge { size, limit: most });
        }
        if rule.include != 0 && inside == 0 {
            return Err(Reason::OutsideZones { zones: rule.include });
        }
        for place in bits(rule.exclude) {
            let threshold = zones[place].confidence;
            if threshold.is_none_or(|threshold| *score < threshold) && zones[place].contains(rect) {
                return Err(Reason::InsideZone { zone: place as u8, threshold });
            }
        }
        Ok(reached)
    }
}
