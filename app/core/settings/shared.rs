//! The settings as all threads share them: changes, ETags, merge patches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::revision::{INSTEAD_OF, JSON_SCHEMA, Revision, migrated};
use super::{Overrides, Settings, validation};
use crate::base::error::{Error, Kind, Result};

/// Settings shared by all threads. Who reads them for every frame does so through a [`Reader`].
#[derive(Debug)]
pub struct SharedSettings {
    /// Counts the changes.
    version: AtomicU64,
    defaults: Value,
    revision: Mutex<Arc<Revision>>,
}

/// Tells when settings have changed: one atomic read as long as they have not.
#[derive(Debug, Default)]
pub struct Reader {
    seen: Option<u64>,
}

impl Reader {
    /// The settings where they are not those of the call before; so always the first time.
    pub fn news(&mut self, settings: &SharedSettings) -> Option<Arc<Settings>> {
        let version = settings.version.load(Ordering::Acquire);
        if self.seen == Some(version) {
            return None;
        }
        // Read before the settings: what changes in between is news the next time.
        self.seen = Some(version);
        Some(settings.now())
    }
}

impl SharedSettings {
    /// Settings that start as the command line says.
    pub fn new(overrides: Overrides) -> Self {
        Self::holding(Revision::first(overrides), overrides)
    }

    pub(super) fn holding(revision: Revision, overrides: Overrides) -> Self {
        let defaults = Revision::first(overrides).to_json().clone();
        Self { version: AtomicU64::new(0), defaults, revision: Mutex::new(Arc::new(revision)) }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Revision>> {
        self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings now, with their JSON, their ETag and what is not understood in them.
    pub fn revision(&self) -> Arc<Revision> {
        self.lock().clone()
    }

    /// The settings now.
    pub fn now(&self) -> Arc<Settings> {
        self.lock().settings().clone()
    }

    /// What the status says of them: the two that there have always been, and the ETag of all.
    pub fn summary(&self) -> Value {
        let revision = self.revision();
        let value = revision.to_json();
        json!({ "confidence": value["confidence"], "iou": value["iou"], "etag": revision.etag() })
    }

    /// Changes the document where it still is the one `expected` (an ETag), or where none is expected.
    fn change(
        &self,
        expected: Option<&str>,
        make: impl FnOnce(&Revision) -> Result<Revision>,
    ) -> Result<Arc<Revision>> {
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
    pub fn patch(&self, patch: &Value, expected: Option<&str>) -> Result<Arc<Revision>> {
        if !patch.is_object() {
            let text = "settings must be a JSON object, for example {\"confidence\": 0.5}";
            return Err(Error::new(Kind::Usage, text));
        }
        self.change(expected, |current| {
            let mut strange = Vec::new();
            validation::unknown(&JSON_SCHEMA, patch, &mut String::new(), &mut strange);
            // What a newer version left in zones comes back with them.
            let is_new = |path: &&String| !path.starts_with("zones[") && !current.unknown().contains(path);
            if let Some(path) = strange.iter().find(is_new) {
                let text =
                    format!("there is no setting \"{path}\"; /api/settings/schema lists those there are");
                return Err(Error::new(Kind::Usage, text));
            }
            let mut value = current.to_json().clone();
            merge(&mut value, patch);
            Revision::new(value, &self.defaults)
        })
    }

    /// Takes another document in place of this one, of this or an older schema. What is not understood in it is
    /// kept.
    ///
    /// # Errors
    /// As for [`SharedSettings::patch`].
    pub fn replace(&self, value: &Value, expected: Option<&str>) -> Result<Arc<Revision>> {
        self.change(expected, |_| {
            let mut value = migrated(value.clone())?;
            // The file's own.
            value.as_object_mut().and_then(|members| members.shift_remove(INSTEAD_OF));
            Revision::new(value, &self.defaults)
        })
    }

    /// Back to the defaults, and to what the command line says.
    ///
    /// # Errors
    /// `Kind::Outdated` where the document is not the one `expected`.
    pub fn reset(&self, expected: Option<&str>) -> Result<Arc<Revision>> {
        self.change(expected, |_| Revision::new(self.defaults.clone(), &self.defaults))
    }

    /// The JSON Schema (2020-12) of the settings. `default` is what [`SharedSettings::reset`] goes back to.
    pub fn schema(&self) -> Value {
        let mut schema = JSON_SCHEMA.clone();
        for (name, default) in self.defaults.as_object().into_iter().flatten() {
            schema["properties"][name]["default"] = default.clone();
        }
        schema
    }

    /// What a person should know of the settings.
    pub fn notices(&self) -> Vec<String> {
        let revision = self.revision();
        let unknown = revision.unknown();
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
pub(super) fn merge(target: &mut Value, patch: &Value) {
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
