//! Why a detection was dropped, for programs and for people.

use serde_json::{Value, json};

use crate::model::labels::Labels;
use crate::settings::Settings;
use crate::vision::detection::Detection;

/// Whose confidence a detection did not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdSource {
    All,
    /// Its label's.
    Label,
    /// That of the include zone at this place.
    Zone(u8),
}

/// Why a detection was dropped: the first of these that holds. Zones are places in [`Settings::zones`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// A better one of its class overlaps it.
    Suppressed {
        /// That one's score.
        score: f32,
        /// Intersection over union with that one.
        iou: f32,
    },
    /// Its score is below a confidence.
    BelowConfidence {
        /// That confidence.
        threshold: f32,
        whose: ThresholdSource,
    },
    /// Its label is switched off.
    LabelOff,
    /// It is smaller than is wanted. Sizes are square roots of shares of the picture's area.
    TooSmall {
        size: f32,
        /// The least.
        limit: f32,
    },
    /// It is larger than is wanted.
    TooLarge {
        size: f32,
        /// The most.
        limit: f32,
    },
    /// It is in none of the include zones that are about its label.
    OutsideZones {
        /// The bits of these.
        zones: u32,
    },
    /// It is in an exclude zone.
    InsideZone {
        zone: u8,
        /// What would have been enough there.
        threshold: Option<f32>,
    },
}

/// A detection that is not shown, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropped {
    pub detection: Detection,
    /// Why it is not shown.
    pub reason: Reason,
}

/// Four decimals are enough for scores and shares, and are a tenth of a pixel at 1000 columns; more only cost bandwidth.
pub fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

/// "0.42 < 0.50", with as many decimals as tell them apart.
fn below(value: f32, limit: f32) -> String {
    let with = |decimals: usize| (format!("{value:.decimals$}"), format!("{limit:.decimals$}"));
    let different = (2..6).map(with).find(|(value, limit)| value != limit);
    let (value, limit) = different.unwrap_or_else(|| with(6));
    format!("{value} < {limit}")
}

/// "2 %", "2.5 %".
fn percent(value: f32) -> String {
    let text = format!("{:.1}", f64::from(value) * 100.0);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// Names of the zones whose bits are set.
pub fn names(settings: &Settings, zones: u32) -> Vec<&str> {
    let set = settings.zones.iter().enumerate().filter(|(place, _)| zones >> (*place).min(31) & 1 == 1);
    set.map(|(_, zone)| zone.name.as_str()).collect()
}

fn name(settings: &Settings, zone: u8) -> &str {
    settings.zones.get(usize::from(zone)).map_or("", |zone| &zone.name)
}

impl Dropped {
    /// The reason as JSON, under the settings that it was found with.
    pub fn reason_json(&self, settings: &Settings, labels: &Labels) -> Value {
        let Detection { class, score, .. } = self.detection;
        let label = labels.name(class);
        match self.reason {
            Reason::Suppressed { score, iou } => json!({
                "kind": "suppressed",
                "by": { "type": label, "index": class, "score": rounded(score) },
                "iou": rounded(iou),
                "text": format!("suppressed by NMS: overlaps {label} {score:.2} by {iou:.2}"),
            }),
            Reason::BelowConfidence { threshold, whose } => {
                let below = below(score, threshold);
                let (kind, of) = match whose {
                    ThresholdSource::All => ("below_confidence", String::new()),
                    ThresholdSource::Label => ("below_label_confidence", format!(" of {label}")),
                    ThresholdSource::Zone(zone) => {
                        ("below_zone_confidence", format!(" of zone \"{}\"", name(settings, zone)))
                    }
                };
                let mut value = json!({
                    "kind": kind,
                    "threshold": rounded(threshold),
                    "text": format!("below confidence{of}: {below}"),
                });
                if let ThresholdSource::Zone(zone) = whose {
                    value["zone"] = json!(name(settings, zone));
                }
                value
            }
            Reason::LabelOff => json!({ "kind": "label_off", "text": format!("label off: {label}") }),
            Reason::TooSmall { size, limit } => json!({
                "kind": "too_small",
                "size": rounded(size),
                "limit": rounded(limit),
                "text": format!("smaller than {}", percent(limit)),
            }),
            Reason::TooLarge { size, limit } => json!({
                "kind": "too_large",
                "size": rounded(size),
                "limit": rounded(limit),
                "text": format!("larger than {}", percent(limit)),
            }),
            Reason::OutsideZones { zones } => {
                let names = names(settings, zones);
                let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                let zone = if names.len() == 1 { "zone" } else { "zones" };
                json!({
                    "kind": "outside_zones",
                    "zones": names,
                    "text": format!("outside {zone} {}", quoted.join(", ")),
                })
            }
            Reason::InsideZone { zone, threshold } => {
                let name = name(settings, zone);
                let score =
                    threshold.map_or(String::new(), |threshold| format!(": {}", below(score, threshold)));
                json!({
                    "kind": "inside_zone",
                    "zone": name,
                    "threshold": threshold.map(rounded),
                    "text": format!("inside zone \"{name}\"{score}"),
                })
            }
        }
    }
}
