//! What a person is told of a model that runs.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::backend::larod::ledger::Ledger;
use crate::inspect::suitability::Suitability;
use crate::model::catalogue::Scope;
use crate::model::chip::Chip;
use crate::model::format::file::ModelFile;
use crate::model::labels::Labels;

/// What does not change while a model runs, for a person.
#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    /// The model's file name.
    pub name: String,
    /// What the catalogue calls it; else the file name.
    pub title: String,
    /// [`Head::title`](crate::model::decode::head::Head::title).
    pub head: String,
    /// Its input, "300×300 uint8".
    pub input: String,
    /// How many classes it tells apart.
    pub classes: usize,
    /// How frames are fitted into its input.
    pub fit: String,
    /// Where the names of the classes come from.
    pub labels: String,
    /// What it knows, where that is not the world.
    pub scope: Option<Scope>,
    /// Why it runs in place of the one that was asked for, where it does.
    pub warning: Option<String>,
    /// Why there is none, where no model runs.
    pub missing: Option<String>,
    /// The names of its classes.
    pub names: Arc<Labels>,
    /// The model file as it was read.
    pub file: Option<ModelFile>,
    /// Which chips it suits, once somebody has asked.
    pub suitability: Arc<OnceLock<Suitability>>,
    /// [`Backend::name`](crate::backend::Backend::name).
    pub backend_name: String,
    /// [`Backend::detail`](crate::backend::Backend::detail).
    pub backend_detail: String,
    /// The camera's chip, where one is known.
    pub chip: Option<Chip>,
    /// How the camera's devices stand with it, where larod runs it.
    pub devices: Option<Arc<Ledger>>,
}

impl ModelInfo {
    /// No model, and why.
    pub fn none(why: String) -> Self {
        Self { title: "no model".to_owned(), missing: Some(why), ..Self::default() }
    }

    /// What runs the model as JSON.
    pub fn backend_json(&self) -> Value {
        json!({ "name": self.backend_name, "detail": self.backend_detail, "chip": self.chip.map(Chip::name) })
    }

    /// The model as JSON, without its backend.
    pub fn to_json(&self) -> Value {
        if let Some(missing) = &self.missing {
            return json!({ "name": null, "title": self.title, "missing": missing });
        }
        json!({
            "name": self.name,
            "title": self.title,
            "head": self.head,
            "input": self.input,
            "classes": self.classes,
            "fit": self.fit,
            "labels": self.labels,
            "scope": self.scope,
            "warning": self.warning,
        })
    }
}

impl fmt::Display for ModelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = if self.title == self.name { String::new() } else { format!("{}, ", self.name) };
        write!(f, "{} ({named}{}, {}, {} classes)", self.title, self.head, self.input, self.classes)
    }
}
