//! Switches to another model while Spotter runs: checked, tried, handed over between two frames, kept
//! over a restart.

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use serde_json::{Value, json};

use super::context::Context;
use super::model_choice::{Keeper, ModelChoice, ModelUpload, Upload};
use super::model_slot::RunningModel;
use crate::backend::edgetpu;
use crate::base::error::{Error, Kind, Result};
use crate::detect::backend_choice::BackendChoice;
use crate::detect::cpu_variant;
use crate::detect::loader::{LOADING_LIMIT, LoadSpec, LoadedModel};
use crate::detect::model_info::ModelInfo;
use crate::inspect::suitability::Suitability;
use crate::model::catalogue::Catalogue;
use crate::model::catalogue::demo;
use crate::model::catalogue::store::{Places, Store};
use crate::model::chip::Chip;
use crate::model::decode::Thresholds;
use crate::vision::geometry::Fit;

/// How long a frame is waited for to try the new model on. Without one it was still tried on a made-up
/// picture.
const FRAME_WAIT: Duration = Duration::from_secs(1);
/// How long the inference thread may take: a slow model needs seconds for a frame on a small camera.
const HANDOVER: Duration = Duration::from_secs(60);

/// Uploads that are received at once; each may have a hundred megabytes.
const RECEIVING_LIMIT: usize = 2;

/// Leave to receive an upload.
pub struct Receiving<'a>(&'a Switch);

impl Receiving<'_> {
    /// Takes a model file that is being sent onto the disk.
    ///
    /// # Errors
    /// As for [`Keeper::receive`].
    pub fn store(&self, file: &mut dyn Read, unreadable: impl Fn(io::Error) -> Error) -> Result<ModelUpload> {
        self.0.keeper()?.receive(file, unreadable)
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.receiving.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What somebody wants to run.
#[derive(Clone, Debug, PartialEq)]
pub enum SwitchRequest<F = ModelUpload> {
    /// A model of the catalogue.
    Catalogue {
        name: String,
        /// Licences accepted by name, and [`UNVERIFIED`](crate::model::catalogue::store::UNVERIFIED).
        accepted: Vec<String>,
    },
    /// A model file that was sent.
    Upload(Upload<F>),
}

/// Switches models; one at a time.
pub struct Switch {
    context: Arc<Context>,
    /// What the command line asked for.
    base: LoadSpec,
    keeper: Option<Keeper>,
    chosen: Mutex<Option<ModelChoice>>,
    busy: Mutex<()>,
    receiving: AtomicUsize,
}

/// Loads a model that is kept in `keeper`.
fn load(base: &LoadSpec, keeper: &Keeper, choice: &ModelChoice) -> Result<LoadedModel> {
    let fit = choice.fit.as_deref().map(str::parse::<Fit>).transpose();
    let fit = fit.map_err(|text| Error::new(Kind::Usage, text))?;
    let backend = base.backend.clone();
    let mut spec = LoadSpec { threads: base.threads, backend, fit, ..LoadSpec::default() };
    match &choice.upload {
        Some(upload) => {
            spec.labels = choice.labels.as_deref().map(|labels| keeper.path(upload, labels));
            LoadedModel::read(&keeper.path(upload, &choice.model), &spec)
        }
        None => {
            spec.model = Some(choice.model.clone());
            spec.accepted_licences.clone_from(&base.accepted_licences);
            LoadedModel::open(spec)
        }
    }
}

/// The model to start with: the one chosen in an earlier run where that choice still holds, else the one
/// that the command line names. A chosen one that cannot be loaded any more is told of and passed over.
///
/// # Errors
/// What is wrong with the model of the command line.
pub fn start(base: &LoadSpec, keeper: Option<&Keeper>) -> Result<(LoadedModel, Option<ModelChoice>)> {
    if let Some(keeper) = keeper
        && let Some(choice) = keeper.load(base.model.as_deref())
    {
        match load(base, keeper, &choice) {
            Ok(model) => {
                log::info!(
                    "{} was chosen {} and runs instead of {}",
                    choice.model,
                    choice.chosen_at,
                    base.name()
                );
                return Ok((model, Some(choice)));
            }
            Err(error) => log::warn!("{error}; the model chosen {} is not used", choice.chosen_at),
        }
    }
    LoadedModel::open(base.clone()).map(|model| (model, None))
}

impl Switch {
    /// A switch for what runs in `context`, started as `base` says, with `chosen` where [`start`] found
    /// one.
    pub fn new(
        context: Arc<Context>,
        base: LoadSpec,
        keeper: Option<Keeper>,
        chosen: Option<ModelChoice>,
    ) -> Self {
        Self {
            context,
            base,
            keeper,
            chosen: Mutex::new(chosen),
            busy: Mutex::new(()),
            receiving: AtomicUsize::new(0),
        }
    }

    /// Leave to receive an upload, given back when it is dropped.
    ///
    /// # Errors
    /// [`Kind::Busy`] where others have all of it.
    pub fn receive(&self) -> Result<Receiving<'_>> {
        // Made first: where there are too many, dropping it takes the count back.
        let receiving = Receiving(self);
        if self.receiving.fetch_add(1, Ordering::AcqRel) >= RECEIVING_LIMIT {
            return Err(Error::new(Kind::Busy, "other models are being sent; try again when they are done"));
        }
        Ok(receiving)
    }

    /// Changes to another model and keeps the choice.
    ///
    /// # Errors
    /// What is wrong with the model; the one that ran runs on. [`Kind::Busy`] where another switch is
    /// under way.
    pub fn switch(&self, wanted: SwitchRequest, fit: Option<Fit>) -> Result<Arc<ModelInfo>> {
        let _busy = self.lock()?;
        let keeper = self.keeper()?;
        let outcome = self.change(keeper, wanted, fit);
        if outcome.is_err() {
            // What was stored for this attempt alone.
            keeper.tidy(self.chosen().as_ref());
        }
        outcome
    }

    fn keeper(&self) -> Result<&Keeper> {
        self.keeper.as_ref().ok_or_else(|| {
            let text = "there is no folder to keep a model in (HOME is not set); start Spotter with SPOTTER_STATE=FOLDER";
            Error::new(Kind::Output, text)
        })
    }

    fn change(&self, keeper: &Keeper, wanted: SwitchRequest, fit: Option<Fit>) -> Result<Arc<ModelInfo>> {
        let mut base = self.base.clone();
        let mut choice = match wanted {
            SwitchRequest::Catalogue { name, accepted } => {
                // Not a path: what is on the disk is nobody's business on the network.
                Catalogue::embedded().get(&name)?;
                base.accepted_licences.extend(accepted);
                ModelChoice::now(name, None)
            }
            SwitchRequest::Upload(sent) => keeper.store(sent)?,
        };
        choice.fit = fit.map(|fit| fit.to_string());
        choice.instead_of.clone_from(&self.base.model);
        let about = self.hand_over(&load(&base, keeper, &choice)?)?;
        // From here on it runs; where the choice cannot be kept, it does so until the next start.
        match keeper.save(&choice) {
            Ok(()) => *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(choice),
            Err(error) => log::error!("{error}; {} runs, but not after a restart", about.name),
        }
        Ok(about)
    }

    /// Goes back to the model of the command line and forgets the choice.
    ///
    /// # Errors
    /// As for [`Switch::switch`].
    pub fn back(&self) -> Result<Arc<ModelInfo>> {
        let _busy = self.lock()?;
        let about = self.hand_over(&LoadedModel::open(self.base.clone())?)?;
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(keeper) = &self.keeper {
            keeper.forget()?;
        }
        Ok(about)
    }

    fn lock(&self) -> Result<std::sync::MutexGuard<'_, ()>> {
        match self.busy.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(Kind::Busy, "another model is being loaded; try again when it is done"))
            }
        }
    }

    /// Loads the model, tries it on the picture that is there, and gives it to the inference thread.
    fn hand_over(&self, loaded: &LoadedModel) -> Result<Arc<ModelInfo>> {
        let mut model = RunningModel::load(loaded)?;
        model.detector.wait_until_ready(LOADING_LIMIT).map_err(|error| error.context(&model.about.name))?;
        model.about = Arc::new(loaded.about(&mut model.detector));
        let about = model.about.clone();
        if let Some(frame) = self.context.model_slot.frame(FRAME_WAIT) {
            let settings = self.context.settings.now();
            let thresholds = Thresholds::live(settings.confidence as f32, settings.iou as f32);
            model.detector.detect(&frame, &thresholds).map_err(|error| error.context(&about.name))?;
        }
        self.context.model_slot.offer(model, HANDOVER)?;
        Ok(about)
    }

    /// The models of the catalogue that can run here, so that one can be chosen.
    pub fn models_json(&self) -> Value {
        let store = Store::new(Catalogue::embedded(), Places::from_env());
        let backend = &self.base.backend;
        let chip = backend.chip();
        let with_tpu = !backend.is_larod() && *backend != BackendChoice::Tflite;
        let edge_tpu = with_tpu && edgetpu::devices().is_ok();
        let usable =
            store.catalogue.models.iter().filter(|entry| {
                entry.chips.contains(&chip) || (edge_tpu && cpu_variant::is_for_edge_tpu(entry))
            });
        let models = usable.map(|entry| {
            // A copy is looked for, not summed: that is done when it is chosen.
            let copy = store.copies(entry).next();
            let size = entry.size.or_else(|| Some(std::fs::metadata(copy.as_ref()?).ok()?.len()));
            let here = copy.is_some() || demo::bytes(&entry.name).is_some();
            json!({
                "name": entry.name,
                "title": entry.title,
                "task": entry.task,
                "scope": entry.scope,
                "licence": entry.licence,
                "accept_unverified": store.needs_word(entry),
                "accept_license": (entry.needs_consent() && !here).then_some(&entry.licence),
                "size": size,
                "here": here,
            })
        });
        // What is neither here nor to be had is no choice.
        let to_be_had = |model: &Value| model["here"] == true || model["scope"].is_null();
        json!({ "default": store.catalogue.default, "models": models.filter(to_be_had).collect::<Vec<_>>() })
    }

    fn chosen(&self) -> Option<ModelChoice> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which chips the model suits: the camera's own, elsewhere all. It is judged when that is first asked.
    fn suitability_json(&self, model: &ModelInfo) -> Value {
        let Some(file) = &model.file else { return Value::Null };
        let backend = &self.base.backend;
        let here = match file.needs_edge_tpu() && !backend.is_larod() {
            // Only what ARTPEC-7 has can run it.
            true => Chip::Artpec7,
            false => model.chip.unwrap_or_else(|| backend.chip()),
        };
        model.suitability.get_or_init(|| Suitability::of(file)).to_json(here, !backend.is_larod())
    }

    /// What runs and why.
    pub fn to_json(&self) -> Value {
        let model = self.context.status.model();
        let chosen = self.chosen();
        let mut value = model.to_json();
        value["backend"] = model.backend_json();
        value["suitability"] = self.suitability_json(&model);
        value["chosen_at"] = json!(chosen.as_ref().map(|choice| &choice.chosen_at));
        value["started_with"] = json!(self.base.model.as_deref().map(shown));
        value
    }
}

/// A model's name without the folders before it.
fn shown(model: &str) -> &str {
    Path::new(model).file_name().and_then(|name| name.to_str()).unwrap_or(model)
}
