//! The settings between two changes: checked, complete, as JSON and as detection reads them.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Overrides, SCHEMA, Settings, validation};
use crate::base::error::{Error, Kind, Result};

/// In the file, beside the settings: what the command line said when they were changed. With another one the
/// command line is the newer decision.
pub(super) const INSTEAD_OF: &str = "instead_of";

/// The JSON Schema (2020-12) of [`Settings`]; a test keeps the file as they are.
pub static JSON_SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("schema.json")).unwrap_or_default());

/// The settings as they were left by a change.
#[derive(Debug)]
pub struct Revision {
    value: Value,
    etag: String,
    unknown: Vec<String>,
    settings: Arc<Settings>,
}

/// Older JSON as that of today. Without a version it is of today.
///
/// # Errors
/// `Kind::Usage` where the version is a newer one.
pub fn migrated(value: Value) -> Result<Value> {
    let schema = value.get("schema").and_then(Value::as_f64).unwrap_or(f64::from(SCHEMA));
    if schema > f64::from(SCHEMA) {
        let text = format!(
            "schema {schema} is of a newer Spotter; this one reads documents of schema 1 to {SCHEMA}"
        );
        return Err(Error::new(Kind::Usage, text));
    }
    if schema != 1.0 {
        return Ok(value);
    }
    // Version 1 was the file alone: the two settings there were, in an object of their own.
    let mut value = value;
    let mut settings = value.get_mut("settings").map(Value::take).unwrap_or(json!({}));
    if let Value::Object(members) = &mut settings {
        members.insert("schema".to_owned(), json!(SCHEMA));
        if let Some(instead_of) = value.get("instead_of") {
            members.insert("instead_of".to_owned(), instead_of.clone());
        }
    }
    Ok(settings)
}

impl Revision {
    /// Checks JSON of today and completes it with `defaults`.
    ///
    /// # Errors
    /// `Kind::Usage` with the path and the value of what is wrong.
    pub fn new(mut value: Value, defaults: &Value) -> Result<Self> {
        if let (Value::Object(members), Value::Object(defaults)) = (&mut value, defaults) {
            for (name, default) in defaults {
                members.entry(name).or_insert_with(|| default.clone());
            }
        }
        validation::check(&JSON_SCHEMA, &value, &mut String::new())?;
        let value = validation::complete(&JSON_SCHEMA, value);
        // What the schema cannot say: which sensors there are.
        let settings =
            Settings::deserialize(&value).map_err(|why| Error::new(Kind::Usage, why.to_string()))?;
        check_rules(&settings)?;
        Ok(Self::of(value, settings))
    }

    /// The settings without any change: the defaults, with what the command line says in their place.
    pub fn first(overrides: Overrides) -> Self {
        let value = validation::complete(&JSON_SCHEMA, overrides.to_json());
        Self::of(value, overrides.settings())
    }

    fn of(value: Value, settings: Settings) -> Self {
        let mut unknown = Vec::new();
        validation::unknown(&JSON_SCHEMA, &value, &mut String::new(), &mut unknown);
        let digest = Sha256::digest(value.to_string().as_bytes());
        let etag = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { value, etag, unknown, settings: Arc::new(settings) }
    }

    /// The settings as JSON, complete.
    pub fn to_json(&self) -> &Value {
        &self.value
    }

    /// A word that is another for every other content.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The paths of what this version does not understand, and keeps.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What detection reads.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }
}

/// What a JSON Schema cannot say.
fn check_rules(Settings { size, zones, .. }: &Settings) -> Result<()> {
    let wrong = |text: String| Err(Error::new(Kind::Usage, text));
    if size.min > size.max {
        return wrong(format!("size.min must not be above size.max: {} > {}", size.min, size.max));
    }
    for (index, zone) in zones.iter().enumerate() {
        if let Some(other) = zones[..index].iter().position(|other| other.name == zone.name) {
            let name = json!(zone.name);
            return wrong(format!(
                "zones[{index}].name must differ from the others, and {name} is that of zones[{other}]"
            ));
        }
    }
    Ok(())
}
