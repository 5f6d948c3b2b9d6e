//! A model argument made into a detector: what run, detect and bench share.

use std::num::NonZero;
use std::sync::Arc;

use super::{BackendChoice, ModelArgs};
use crate::backend::Backend;
use crate::backend::tflite::TfliteBackend;
use crate::detector::Detector;
use crate::error::Result;
use crate::geometry::Fit;
use crate::model::catalogue::Catalogue;
use crate::model::file::ModelFile;
use crate::model::head::Head;
use crate::model::labels::Labels;
use crate::model::store::{Places, Store};
use crate::preprocess::Preprocessor;
use crate::status::About;

/// More threads than this help no model that a camera could run.
const MOST_THREADS: usize = 4;

/// A model file that was found, read and understood.
pub struct LoadedModel {
    file: ModelFile,
    head: Head,
    fit: Fit,
    threads: usize,
    title: Option<String>,
    /// Names of its classes.
    pub labels: Arc<Labels>,
}

/// One core is left to decoding, the page and whoever looks at it. XNNPACK's threads wait for each other
/// at every layer: where one of them has to share its core, all are as slow as it is.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).clamp(1, MOST_THREADS)
}

impl LoadedModel {
    /// Finds the model, downloads it where it must, reads it and its labels.
    ///
    /// # Errors
    /// `Kind::Model`, `Kind::Download` or `Kind::NotFound` with what is wrong with it.
    pub fn open(args: &ModelArgs) -> Result<Self> {
        let catalogue = Catalogue::embedded();
        let store = Store::new(catalogue, Places::from_env());
        let name = args.model.as_deref().unwrap_or(&catalogue.default);
        let path = store.resolve(name, &args.accept_license)?;
        let file = ModelFile::open(&path)?;
        match args.backend {
            // On a desktop the processor is the only backend.
            BackendChoice::Auto | BackendChoice::Cpu => file.check_runnable_on_cpu()?,
        }
        let head = Head::recognise(&file)?;
        let labels = Labels::resolve(args.labels.as_deref(), &file, head.classes(), catalogue)?;
        if labels.assumed {
            log::warn!(
                "{} brings no labels; with {} classes they are taken to be those of {}; --labels FILE names others",
                file.name,
                labels.len(),
                labels.source
            );
        }
        let title = catalogue.entry_of(&file.bytes).map(|entry| entry.title.clone());
        let fit = args.fit.unwrap_or_else(|| head.default_fit());
        let threads = args.threads.map_or_else(default_threads, usize::from);
        Ok(Self { file, head, fit, threads, title, labels: Arc::new(labels) })
    }

    /// Loads the model into its backend.
    ///
    /// # Errors
    /// `Kind::Backend` where there is none, `Kind::Model` where it refuses the model.
    pub fn detector(&self) -> Result<Detector> {
        let signature = &self.file.signature;
        let input = signature.inputs.first().ok_or_else(|| {
            crate::error::Error::new(crate::error::Kind::Model, format!("{} has no input", self.file.name))
        })?;
        let preprocessor = Preprocessor::new(input, self.fit)?;
        let decoder = self.head.decoder(signature)?;
        let backend: Box<dyn Backend> = Box::new(
            TfliteBackend::new(self.file.bytes.clone(), self.threads)
                .map_err(|error| error.context(&self.file.name))?,
        );
        Detector::new(backend, preprocessor, decoder, signature.outputs.clone())
    }

    /// What a person is told of the model and what runs it.
    pub fn about(&self, detector: &mut Detector) -> About {
        let input = self.file.signature.inputs.first();
        let head = match self.head.name() {
            "ssd-postprocess" => "SSD with post-process",
            "yolov5" => "YOLOv5",
            other => other,
        };
        About {
            model_name: self.file.name.clone(),
            model_title: self.title.clone().unwrap_or_else(|| self.file.name.clone()),
            head: head.to_owned(),
            input: input.map_or_else(String::new, |input| match input.shape[..] {
                [_, height, width, _] => format!("{width}×{height} {}", input.dtype),
                _ => input.to_string(),
            }),
            classes: self.labels.len(),
            fit: self.fit.to_string(),
            labels: self.labels.source.clone(),
            backend_name: detector.backend().name(),
            backend_detail: detector.backend().detail(),
            ..About::default()
        }
    }
}
