//! A model's name made into a detector: what all commands and the web server share.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backend::Backend;
use crate::backend::tflite::TfliteBackend;
use crate::detector::Detector;
use crate::error::{Error, Kind, Result};
use crate::geometry::Fit;
use crate::model::catalogue::{Catalogue, Entry, Scope};
use crate::model::demo;
use crate::model::file::ModelFile;
use crate::model::head::Head;
use crate::model::labels::Labels;
use crate::model::store::{Places, Store};
use crate::preprocess::Preprocessor;
use crate::probe;
use crate::status::ModelAbout;

/// More threads than this help no model that a camera could run.
const MOST_THREADS: usize = 4;

/// Which model to load, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadSpec {
    /// A path or a catalogue name; a default where there is none.
    pub model: Option<String>,
    /// It looks at the demo scene: then the default is the model that knows it, else the catalogue's.
    pub drawn: bool,
    /// A label file.
    pub labels: Option<PathBuf>,
    /// Threads that run the model; else [`default_threads`].
    pub threads: Option<usize>,
    /// How frames are fitted into its input; else as models with its head were trained.
    pub fit: Option<Fit>,
    /// Licences that the user has accepted by name.
    pub accepted_licences: Vec<String>,
}

impl LoadSpec {
    /// The path or the catalogue name of the model.
    pub fn name(&self) -> &str {
        let default = if self.drawn { demo::NAME } else { &Catalogue::embedded().default };
        self.model.as_deref().unwrap_or(default)
    }
}

/// A model file that was found, read and understood.
pub struct LoadedModel {
    file: ModelFile,
    head: Head,
    fit: Fit,
    threads: usize,
    title: Option<String>,
    scope: Option<Scope>,
    /// Names of its classes.
    pub labels: Arc<Labels>,
}

/// One core is left to decoding, the page and whoever looks at it. XNNPACK's threads wait for each other
/// at every layer: where one of them has to share its core, all are as slow as it is.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).clamp(1, MOST_THREADS)
}

impl LoadedModel {
    /// Finds the model, downloads it where it must, reads it and its labels. A file that the catalogue
    /// does not know is run once in a process of its own before ([`probe::check`]).
    ///
    /// # Errors
    /// `Kind::Model`, `Kind::Download` or `Kind::NotFound` with what is wrong with it.
    pub fn open(spec: impl Into<LoadSpec>) -> Result<Self> {
        let spec = spec.into();
        let catalogue = Catalogue::embedded();
        let name = spec.name();
        catalogue.check_runs_on_cpu(name)?;
        if let Some(bytes) = demo::bytes(name) {
            let file = ModelFile::from_bytes(demo::FILE, bytes.to_vec())?;
            return Self::of(file, catalogue.get(name).ok(), &spec);
        }
        let store = Store::new(catalogue, Places::from_env());
        let path = store.resolve(name, &spec.accepted_licences)?;
        Self::read(&path, &spec)
    }

    /// Reads the model at `path` as `spec` says, whatever the model that it names.
    ///
    /// # Errors
    /// As for [`LoadedModel::open`].
    pub fn read(path: &Path, spec: &LoadSpec) -> Result<Self> {
        let catalogue = Catalogue::embedded();
        let file = ModelFile::open(path)?;
        file.check_runnable_on_cpu()?;
        // What cannot be used is said before it is tried.
        Head::recognise(&file)?;
        let known = catalogue.entry_of(&file.bytes);
        if known.is_none() {
            probe::check(path)?;
        }
        Self::of(file, known, spec)
    }

    /// A file that can be trusted, and what the catalogue knows of it.
    fn of(file: ModelFile, known: Option<&Entry>, spec: &LoadSpec) -> Result<Self> {
        let head = Head::recognise(&file)?;
        let labels = Labels::resolve(spec.labels.as_deref(), &file, head.classes(), known)?;
        if labels.assumed {
            log::warn!(
                "{} brings no labels; with {} classes they are taken to be those of {}; --labels FILE names others",
                file.name,
                labels.len(),
                labels.source
            );
        }
        let title = known.map(|entry| entry.title.clone());
        let fit = spec.fit.unwrap_or_else(|| head.default_fit());
        let threads = spec.threads.unwrap_or_else(default_threads);
        let scope = known.and_then(|entry| entry.scope);
        Ok(Self { file, head, fit, threads, title, scope, labels: Arc::new(labels) })
    }

    /// The file and what it says of itself.
    pub fn file(&self) -> &ModelFile {
        &self.file
    }

    /// How its outputs are read.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Loads the model into its backend.
    ///
    /// # Errors
    /// `Kind::Backend` where there is none, `Kind::Model` where it refuses the model.
    pub fn detector(&self) -> Result<Detector> {
        let signature = &self.file.signature;
        let input = signature
            .inputs
            .first()
            .ok_or_else(|| Error::new(Kind::Model, format!("{} has no input", self.file.name)))?;
        let preprocessor = Preprocessor::new(input, self.fit)?;
        let decoder = self.head.decoder(signature)?;
        let backend: Box<dyn Backend> = Box::new(
            TfliteBackend::new(self.file.bytes.clone(), self.threads)
                .map_err(|error| error.context(&self.file.name))?,
        );
        Detector::new(backend, preprocessor, decoder, signature.outputs.clone())
    }

    /// What a person is told of the model and what runs it.
    pub fn about(&self, detector: &mut Detector) -> ModelAbout {
        let input = self.file.signature.inputs.first();
        let backend = detector.backend().map(|backend| (backend.name(), backend.detail()));
        let (backend_name, backend_detail) = backend.unwrap_or_default();
        ModelAbout {
            name: self.file.name.clone(),
            title: self.title.clone().unwrap_or_else(|| self.file.name.clone()),
            head: self.head.title().to_owned(),
            input: input.map_or_else(String::new, |input| match input.shape[..] {
                [_, height, width, _] => format!("{width}×{height} {}", input.dtype),
                _ => input.to_string(),
            }),
            classes: self.labels.len(),
            fit: self.fit.to_string(),
            labels: self.labels.source.clone(),
            scope: self.scope,
            missing: None,
            backend_name,
            backend_detail,
        }
    }
}
