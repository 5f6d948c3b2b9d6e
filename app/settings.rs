//! What a user can turn while Spotter runs. Every setting here is live: it acts on the next frame.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// The values at one moment.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Values {
    /// Detections below this score are dropped. 0..=1, live.
    #[serde(serialize_with = "rounded")]
    pub confidence: f32,
    /// Of two boxes of one class that overlap more than this, the weaker is dropped; heads whose NMS is
    /// in the model file ignore it. 0..=1, live.
    #[serde(serialize_with = "rounded")]
    pub iou: f32,
}

/// As the user wrote it: 0.45, not the 0.449999988 that 32 bits make of it.
fn rounded<S: Serializer>(value: &f32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64((f64::from(*value) * 1e6).round() / 1e6)
}

impl Values {
    /// True where every value is in its range.
    pub fn are_valid(&self) -> bool {
        [self.confidence, self.iou].iter().all(|value| (0.0..=1.0).contains(value))
    }
}

/// Settings shared by all threads, read without locking.
#[derive(Debug)]
pub struct Settings {
    confidence: AtomicU32,
    iou: AtomicU32,
}

impl Settings {
    /// Settings that start with `values`.
    pub fn new(values: Values) -> Self {
        Self {
            confidence: AtomicU32::new(values.confidence.to_bits()),
            iou: AtomicU32::new(values.iou.to_bits()),
        }
    }

    /// The values now.
    pub fn values(&self) -> Values {
        Values {
            confidence: f32::from_bits(self.confidence.load(Ordering::Relaxed)),
            iou: f32::from_bits(self.iou.load(Ordering::Relaxed)),
        }
    }

    /// Applies a JSON merge patch (RFC 7396): all of it or nothing. Returns the new values.
    ///
    /// # Errors
    /// `Kind::Usage` for an unknown name or a value out of range.
    pub fn patch(&self, patch: &Value) -> Result<Values> {
        let Value::Object(fields) = patch else {
            return Err(Error::new(
                Kind::Usage,
                "settings must be a JSON object, for example {\"confidence\": 0.5}",
            ));
        };
        let mut values = self.values();
        for (name, value) in fields {
            let target = match name.as_str() {
                "confidence" => &mut values.confidence,
                "iou" => &mut values.iou,
                other => {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("there is no setting \"{other}\"; there are confidence and iou"),
                    ));
                }
            };
            *target = match value.as_f64() {
                Some(number) if (0.0..=1.0).contains(&number) => number as f32,
                _ => {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("{name} must be a number from 0 to 1, not {value}"),
                    ));
                }
            };
        }
        self.confidence.store(values.confidence.to_bits(), Ordering::Relaxed);
        self.iou.store(values.iou.to_bits(), Ordering::Relaxed);
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_is_applied_whole_or_not_at_all() {
        let settings = Settings::new(Values { confidence: 0.5, iou: 0.45 });
        assert_eq!(json!(settings.values()).to_string(), r#"{"confidence":0.5,"iou":0.45}"#);
        assert_eq!(settings.patch(&json!({"confidence": 0.25})).unwrap().confidence, 0.25);
        let error = settings.patch(&json!({"confidence": 0.9, "iou": 7})).unwrap_err();
        assert_eq!(error.to_string(), "iou must be a number from 0 to 1, not 7");
        assert_eq!(settings.values().confidence, 0.25);
        for bad in [json!({"confidence": "x"}), json!([1]), json!({"colour": 1}), json!({"iou": null})] {
            assert_eq!(settings.patch(&bad).unwrap_err().kind(), Kind::Usage, "{bad}");
        }
    }
}
