//! What a user can turn while Spotter runs: one JSON document. Every setting is live: it acts on the next frame.

pub mod document;
pub mod file;
pub mod shape;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use crate::base::error::{Error, Kind, Result};
use crate::filter::tuning::Tuning;
use crate::vision::sensor::View;
use document::{CONFIDENCE, DOCUMENT, Document, IOU, defaults, migrated};

/// What the command line says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values {
    /// Detections below this score are dropped. 0..=1.
    pub confidence: f32,
    /// Of two boxes of one class that overlap more than this, the weaker is dropped; heads whose NMS is
    /// in the model file ignore it. 0..=1.
    pub iou: f32,
    /// Which of a camera's sensors is looked at.
    pub sensor: View,
}

impl Default for Values {
    fn default() -> Self {
        Self { confidence: CONFIDENCE, iou: IOU, sensor: View::default() }
    }
}

/// Settings shared by all threads. Who reads them for every frame does so through a [`Reader`].
#[derive(Debug)]
pub struct Settings {
    /// Counts the changes.
    version: AtomicU64,
    defaults: Value,
    document: Mutex<Arc<Document>>,
}

/// Tells when settings have changed: one atomic read as long as they have not.
#[derive(Debug, Default)]
pub struct Reader {
    seen: Option<u64>,
}

impl Reader {
    /// The settings where they are not those of the call before; so always the first time.
    pub fn news(&mut self, settings: &Settings) -> Option<Arc<Tuning>> {
        let version = settings.version.load(Ordering::Acquire);
        if self.seen == Some(version) {
            return None;
        }
        // Read before the document: what changes in between is news the next time.
        self.seen = Some(version);
        Some(settings.document().tuning().clone())
    }
}

impl Settings {
    /// Settings that start with `values`, all others as they are by default.
    pub fn new(values: Values) -> Self {
        let defaults = defaults(values);
        Self::holding(Document::of(defaults.clone()), defaults)
    }

    fn holding(document: Document, defaults: Value) -> Self {
        Self { version: AtomicU64::new(0), defaults, document: Mutex::new(Arc::new(document)) }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Document>> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The document now: as JSON, its ETag, what is not understood in it.
    pub fn document(&self) -> Arc<Document> {
        self.lock().clone()
    }

    /// Confidence and overlap now.
    pub fn values(&self) -> Values {
        let document = self.document();
        let Tuning { confidence, iou, sensor, .. } = **document.tuning();
        Values { confidence, iou, sensor }
    }

    /// What the status says of them: the two that there have always been, and the ETag of all.
    pub fn summary(&self) -> Value {
        let document = self.document();
        let value = document.to_json();
        json!({ "confidence": value["confidence"], "iou": value["iou"], "etag": document.etag() })
    }

    /// Changes the document where it still is the one `expected` (an ETag), or where none is expected.
    fn change(
        &self,
        expected: Option<&str>,
        make: impl FnOnce(&Document) -> Result<Document>,
    ) -> Result<Arc<Document>> {
        let mut current = self.lock();
        if let Some(expected) = expected
            && expected != current.etag()
        {
            let text = format!(
                "the settings have changed meanwhile (their ETag is \"{}\", not \"{expected}\"); read them again and \
                 repeat the change",
                current.etag()
            );
            return Err(Error::new(Kind::Outdated, text));
        }
        *current = Arc::new(make(&current)?);
        self.version.fetch_add(1, Ordering::Release);
        Ok(current.clone())
    }

    /// Applies a JSON merge patch (RFC 7396): all of it or nothing. `null` brings a setting back to its default.
    ///
    /// # Errors
    /// `Kind::Usage` for a name that is not known or a value that is not taken, `Kind::Outdated` where the
    /// document is not the one `expected`.
    pub fn patch(&self, patch: &Value, expected: Option<&str>) -> Result<Arc<Document>> {
        if !patch.is_object() {
            let text = "settings must be a JSON object, for example {\"confidence\": 0.5}";
            return Err(Error::new(Kind::Usage, text));
        }
        self.change(expected, |current| {
            let mut strange = Vec::new();
            DOCUMENT.unknown(patch, &mut String::new(), &mut strange);
            // What a newer version left in zones comes back with them.
            let is_new = |path: &&String| !path.starts_with("zones[") && !current.unknown().contains(path);
            if let Some(path) = strange.iter().find(is_new) {
                let text =
                    format!("there is no setting \"{path}\"; /api/settings/schema lists those there are");
                return Err(Error::new(Kind::Usage, text));
            }
            let mut value = current.to_json().clone();
            merge(&mut value, patch);
            Document::new(value, &self.defaults)
        })
    }

    /// Takes another document in place of this one, of this or an older schema. What is not understood in it is
    /// kept.
    ///
    /// # Errors
    /// As for [`Settings::patch`].
    pub fn replace(&self, value: &Value, expected: Option<&str>) -> Result<Arc<Document>> {
        self.change(expected, |_| {
            let mut value = migrated(value.clone())?;
            // The file's own.
            value.as_object_mut().and_then(|members| members.shift_remove(file::INSTEAD_OF));
            Document::new(value, &self.defaults)
        })
    }

    /// Back to the defaults, and to what the command line says.
    ///
    /// # Errors
    /// `Kind::Outdated` where the document is not the one `expected`.
    pub fn reset(&self, expected: Option<&str>) -> Result<Arc<Document>> {
        self.change(expected, |_| Document::new(self.defaults.clone(), &self.defaults))
    }

    /// The JSON Schema (2020-12) of the document. `default` is what [`Settings::reset`] goes back to.
    pub fn schema(&self) -> Value {
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Spotter's settings",
            "description": "Beyond this schema: size.min is not above size.max, sensor names one, and no two zones have one name.",
        });
        let mut shape = DOCUMENT.schema();
        for name in ["confidence", "iou", "sensor"] {
            shape["properties"][name]["default"] = self.defaults[name].clone();
        }
        if let (Value::Object(schema), Value::Object(shape)) = (&mut schema, shape) {
            schema.extend(shape);
        }
        schema
    }

    /// What a person should know of the settings.
    pub fn notices(&self) -> Vec<String> {
        let document = self.document();
        let unknown = document.unknown();
        if unknown.is_empty() {
            return Vec::new();
        }
        let text = format!(
            "this version does not know the settings {}; they are kept, and change nothing",
            unknown.join(", ")
        );
        vec![text]
    }
}

/// RFC 7396: objects are merged, `null` takes a member away, anything else takes the place of what was.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.shift_remove(name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}
