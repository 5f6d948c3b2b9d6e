//! A model's name made into a detector: what all commands and the web server share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::backend_choice::BackendChoice;
use super::cpu_variant;
use super::detector::Detector;
use super::sandbox;
use crate::backend::Backend;
use crate::backend::edgetpu::{self, EdgeTpuBackend};
use crate::backend::larod;
use crate::backend::tflite::processor;
use crate::backend::tflite::threads::Threads;
use crate::base::error::{Error, Kind, Result};
use crate::detect::model_info::ModelInfo;
use crate::model::catalogue::demo;
use crate::model::catalogue::store::{Places, Store};
use crate::model::catalogue::{Catalogue, Entry, Scope};
use crate::model::decode::head::Head;
use crate::model::format::file::ModelFile;
use crate::model::labels::Labels;
use crate::preprocess::Preprocessor;
use crate::vision::geometry::Fit;

/// A camera that compiles a model needs up to five minutes.
pub const LOADING_LIMIT: Duration = Duration::from_secs(600);

/// Which model to load, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadSpec {
    /// A path or a catalogue name; a default where there is none.
    pub model: Option<String>,
    /// It looks at the demo scene: then the default is the model that knows it, else the catalogue's.
    pub drawn: bool,
    /// A label file.
    pub labels: Option<PathBuf>,
    /// What runs it.
    pub backend: BackendChoice,
    /// Threads that run the model on the processor.
    pub threads: Threads,
    /// How frames are fitted into its input; else as models with its head were trained.
    pub fit: Option<Fit>,
    /// Licences that the user has accepted by name, and [`UNVERIFIED`](crate::model::catalogue::store::UNVERIFIED).
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
    backend: BackendChoice,
    threads: Threads,
    title: Option<String>,
    scope: Option<Scope>,
    /// Why it is not the model that was asked for.
    warning: Option<String>,
    /// An Edge TPU that has taken the model already.
    on_edge_tpu: Mutex<Option<EdgeTpuBackend>>,
    /// Names of its classes.
    pub labels: Arc<Labels>,
}

impl LoadedModel {
    /// Finds the model, downloads it where it must, reads it and its labels. A file that the catalogue
    /// does not know is run once in a process of its own before ([`sandbox::check`]). Where it is compiled for
    /// an Edge TPU that is not there, its twin for the processor is taken unless the backend was named.
    ///
    /// # Errors
    /// `Kind::Model`, `Kind::Download` or `Kind::NotFound` with what is wrong with it; `Kind::Backend` or
    /// `Kind::Busy` where there is nothing to run it on.
    pub fn open(spec: impl Into<LoadSpec>) -> Result<Self> {
        let spec = spec.into();
        let catalogue = Catalogue::embedded();
        let named = match spec.backend.is_larod() {
            // What its devices take is known when they are asked.
            true => cpu_variant::Named { name: spec.name().to_owned(), refused: None },
            false => cpu_variant::of_name(catalogue, spec.name(), &spec.backend)?,
        };
        let name = &named.name;
        let mut loaded = match demo::bytes(name) {
            Some(bytes) => {
                let file = ModelFile::from_bytes(demo::FILE, bytes.to_vec())?;
                Self::of(file, catalogue.get(name).ok(), &spec)?
            }
            None => {
                let store = Store::new(catalogue, Places::from_env());
                let path =
                    store.resolve(name, &spec.accepted_licences).map_err(|error| named.fails(error))?;
                Self::read(&path, &spec)?
            }
        };
        if let Some(warning) = named.warning() {
            loaded.warn(warning);
        }
        Ok(loaded)
    }

    /// Reads the model at `path` as `spec` says, whatever the model that it names.
    ///
    /// # Errors
    /// As for [`LoadedModel::open`].
    pub fn read(path: &Path, spec: &LoadSpec) -> Result<Self> {
        let file = ModelFile::open(path)?;
        if spec.backend.is_larod() {
            let no_device = || file.needs_edge_tpu() && spec.backend == BackendChoice::Auto;
            if no_device() && larod::has_no_edge_tpu() {
                let why = Error::new(Kind::Backend, "this camera has none");
                let store = Store::new(Catalogue::embedded(), Places::from_env());
                match cpu_variant::of_file(&store, &file, path, &spec.accepted_licences, &why) {
                    Ok((path, warning)) => {
                        let mut loaded = Self::read_for_larod(ModelFile::open(&path)?, &path, spec)?;
                        loaded.warn(warning);
                        return Ok(loaded);
                    }
                    Err(error) => log::warn!("{error}"),
                }
            }
            return Self::read_for_larod(file, path, spec);
        }
        match (file.needs_edge_tpu(), &spec.backend) {
            (_, BackendChoice::EdgeTpu) => Self::read_for_edge_tpu(file, path, spec),
            (true, BackendChoice::Auto) => {
                let why = match Self::read_for_edge_tpu(file.clone(), path, spec) {
                    Err(why) if matches!(why.kind(), Kind::Backend | Kind::Busy) => why,
                    other => return other,
                };
                let store = Store::new(Catalogue::embedded(), Places::from_env());
                let (path, warning) =
                    cpu_variant::of_file(&store, &file, path, &spec.accepted_licences, &why)?;
                let mut loaded =
                    Self::read(&path, &LoadSpec { backend: BackendChoice::Tflite, ..spec.clone() })?;
                loaded.warn(warning);
                Ok(loaded)
            }
            (true, BackendChoice::Tflite) => {
                Err(cpu_variant::on_the_processor(Catalogue::embedded(), &file, path))
            }
            (_, BackendChoice::Larod(_)) => Self::read_for_larod(file, path, spec),
            (false, BackendChoice::Tflite | BackendChoice::Auto) => Self::read_for_cpu(file, path, spec),
        }
    }

    /// larod runs models in a process of its own; the file is tried where this one may come to run it.
    fn read_for_larod(file: ModelFile, path: &Path, spec: &LoadSpec) -> Result<Self> {
        spec.backend.check_larod(&file)?;
        if spec.backend.falls_back_to_tflite() && file.check_runnable_on_cpu().is_ok() {
            return Self::read_for_cpu(file, path, spec);
        }
        Head::recognise(&file)?;
        let known = Catalogue::embedded().entry_of(&file.bytes);
        Self::of(file, known, spec)
    }

    fn read_for_cpu(file: ModelFile, path: &Path, spec: &LoadSpec) -> Result<Self> {
        file.check_runnable_on_cpu()?;
        // What cannot be used is said before it is tried.
        Head::recognise(&file)?;
        let known = Catalogue::embedded().entry_of(&file.bytes);
        if known.is_none() {
            sandbox::check(path, sandbox::On::Cpu)?;
        }
        Self::of(file, known, spec)
    }

    /// Also a file that is known is tried: a libedgetpu that was built for another TensorFlow Lite ends the
    /// process that uses it.
    fn read_for_edge_tpu(file: ModelFile, path: &Path, spec: &LoadSpec) -> Result<Self> {
        file.check_runnable_on_edge_tpu()?;
        Head::recognise(&file)?;
        edgetpu::devices()?;
        sandbox::check(path, sandbox::On::EdgeTpu)?;
        let known = Catalogue::embedded().entry_of(&file.bytes);
        let mut loaded = Self::of(file, known, spec)?;
        let backend = EdgeTpuBackend::new(loaded.file.bytes.clone(), loaded.threads)?;
        loaded.on_edge_tpu = Mutex::new(Some(backend));
        Ok(loaded)
    }

    /// Remembers, and says, why it is not the model that was asked for.
    fn warn(&mut self, warning: String) {
        log::warn!("{warning}");
        self.warning = Some(warning);
    }

    /// A file that can be trusted, and what the catalogue knows of it.
    fn of(file: ModelFile, known: Option<&Entry>, spec: &LoadSpec) -> Result<Self> {
        let head = Head::recognise(&file)?;
        let labels = Labels::resolve(
            spec.labels.as_deref(),
            &file,
            head.classes(),
            known.map(|entry| entry.labels.as_str()),
        )?;
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
        let scope = known.and_then(|entry| entry.scope);
        let labels = Arc::new(labels);
        Ok(Self {
            file,
            head,
            fit,
            backend: spec.backend.clone(),
            threads: spec.threads,
            title,
            scope,
            warning: None,
            on_edge_tpu: Mutex::default(),
            labels,
        })
    }

    /// The file and what it says of itself.
    pub fn file(&self) -> &ModelFile {
        &self.file
    }

    /// How its outputs are read.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Loads the model into its backend, which may go on when this returns ([`Detector::readiness`]).
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
        let backend = self.backend().map_err(|error| error.context(&self.file.name))?;
        Detector::new(backend, preprocessor, decoder, signature.outputs.clone())
    }

    fn backend(&self) -> Result<Box<dyn Backend>> {
        if self.backend.is_larod() {
            return self.backend.open_larod(&self.file, self.threads);
        }
        let bytes = || self.file.bytes.clone();
        if !self.file.needs_edge_tpu() {
            return processor::open(bytes(), self.threads);
        }
        let ready = self.on_edge_tpu.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::new(match ready {
            Some(backend) => backend,
            None => EdgeTpuBackend::new(bytes(), self.threads)?,
        }))
    }

    /// Loads the model into its backend and waits until it can run.
    ///
    /// # Errors
    /// As for [`LoadedModel::detector`]; why it cannot run where that lasts for minutes.
    pub fn ready_detector(&self) -> Result<Detector> {
        let mut detector = self.detector()?;
        detector.wait_until_ready(LOADING_LIMIT)?;
        Ok(detector)
    }

    /// What a person is told of the model and what runs it.
    pub fn about(&self, detector: &mut Detector) -> ModelInfo {
        let input = self.file.signature.inputs.first();
        let backend = detector.backend();
        let devices = backend.as_ref().and_then(|backend| backend.devices());
        let backend = backend.map(|backend| (backend.name(), backend.detail()));
        let (backend_name, backend_detail) = backend.unwrap_or_default();
        ModelInfo {
            name: self.file.name.clone(),
            title: self.title.clone().unwrap_or_else(|| self.file.name.clone()),
            head: self.head.title().to_owned(),
            input: input.map_or_else(String::new, |input| match input.picture_size() {
                Some((width, height)) => format!("{width}×{height} {}", input.dtype),
                None => input.to_string(),
            }),
            classes: self.labels.len(),
            fit: self.fit.to_string(),
            labels: self.labels.source.clone(),
            scope: self.scope,
            warning: self.warning.clone(),
            missing: None,
            names: self.labels.clone(),
            file: Some(self.file.clone()),
            suitability: Arc::default(),
            backend_name,
            backend_detail,
            chip: if self.backend.is_larod() { larod::known_chip() } else { None },
            devices,
        }
    }
}
