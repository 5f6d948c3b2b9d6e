//! larod, the service of Axis cameras that runs models on the chip's accelerator.
//!
//! `sys.rs` declares the library, `symbols.rs` finds its functions, `session.rs` and `map.rs` make it safe,
//! `memory.rs` shares memory with it, `device.rs` knows its devices, `engine.rs` loads a model, `buffers.rs` tells it of
//! the capture's memory, `worker.rs` is the thread that keeps it running, `ledger.rs` how each device stands with the
//! model, `given_up.rs` what of that is kept. `conversion.rs` knows which devices can prepare frames, `stage.rs` lets one
//! do it, `prepare.rs` chooses between it and the processor. This file is what the rest of Spotter sees.

pub mod buffers;
pub mod conversion;
pub mod device;
pub mod engine;
pub mod fault;
pub mod given_up;
pub mod ledger;
pub mod map;
pub mod memory;
pub mod prepare;
pub mod session;
pub mod stage;
mod symbols;
pub mod sys;
pub mod worker;

use std::sync::{Arc, OnceLock};

use super::{Backend, Readiness};
use crate::base::clock::Clock;
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::state_folder;
use crate::base::platform;
use crate::model::chip::Chip;
use crate::model::format::file::ModelFile;
use crate::vision::frame::{Frame, FrameLayout, SharedMemory};
use crate::vision::geometry::{Fit, Mapping, Rect};
use crate::vision::tensor::TensorInfo;

use engine::{LarodService, Ports};
use fault::{Fault, Remedy};
use given_up::Memory;
use ledger::{Call, Ledger};
use memory::Access;
use prepare::{Preference, Preparation, Preparer};
use worker::{Phase, Task, Worker};

/// What larod is to load.
pub struct Wanted {
    /// The model's name, for people.
    pub name: String,
    /// The file.
    pub bytes: Arc<[u8]>,
    /// How the file is made.
    pub form: device::Form,
    /// The device; the best that takes the model where none is named.
    pub device: Option<String>,
    /// The model's input, as the file says it.
    pub input: TensorInfo,
    /// The model's outputs, as the file says them.
    pub outputs: Vec<TensorInfo>,
}

impl Wanted {
    /// A model file that is to run on `device`, or on the best device.
    ///
    /// # Errors
    /// [`Kind::Model`] where it has no input.
    pub fn new(file: &ModelFile, device: Option<&str>) -> Result<Self> {
        let input = file.signature.inputs.first();
        let input = input.ok_or_else(|| Error::new(Kind::Model, format!("{} has no input", file.name)))?;
        Ok(Self {
            name: file.name.clone(),
            bytes: file.bytes.clone(),
            form: device::Form::of(file),
            device: device.map(str::to_owned),
            input: input.clone(),
            outputs: file.signature.outputs.clone(),
        })
    }
}

/// The chip that this camera has, by what larod lists.
static CHIP: OnceLock<Option<Chip>> = OnceLock::new();

/// The chip, where it is known already.
pub fn known_chip() -> Option<Chip> {
    CHIP.get().copied().flatten()
}

/// The chip of this camera, as far as models for it are to be offered ([`device::chip_here`]); `None` on a desktop or
/// where nobody says it. May take two seconds.
pub fn chip() -> Option<Chip> {
    if let Some(chip) = CHIP.get() {
        return *chip;
    }
    let api = sys::load().ok()?;
    match session::Connection::open(api).and_then(|connection| connection.devices()) {
        Ok(listed) => *CHIP.get_or_init(|| device::chip_here(Some(&listed), None)),
        Err(_) => device::chip_here(None, platform::get().soc.as_deref()),
    }
}

/// How many jobs of larod hang now, each with a thread of its own that was left behind.
pub fn hung_jobs() -> usize {
    worker::hung_jobs()
}

/// Whether larod answers and lists no Edge TPU. May take two seconds.
pub fn has_no_edge_tpu() -> bool {
    let Ok(library) = sys::load() else { return false };
    let listed = session::Connection::open(library).and_then(|connection| connection.devices());
    listed.is_ok_and(|listed| device::candidates(&listed, device::Form::EdgeTpu).is_empty())
}

/// A model on one of larod's devices.
pub struct LarodBackend {
    api: &'static sys::Api,
    clock: Arc<dyn Clock>,
    ledger: Arc<Ledger>,
    worker: Worker,
    /// Loads the model on a better device while this one runs it.
    better: Option<Worker>,
    wanted: Arc<Wanted>,
    ports: Option<Ports>,
    /// The memory that the next job reads, where it is a frame's.
    frame: Option<Task>,
    /// Frames of this layout cannot be handed over: the device said so.
    unfit: Option<FrameLayout>,
    /// What has just been handed over.
    offered: Option<FrameLayout>,
    /// Who prepares frames that do not fit.
    preparation: Option<Preparation>,
    preference: Preference,
    /// See [`Backend::changes`].
    changes: u64,
    /// Who prepared frames when they were last counted.
    counted: Option<Preparer>,
    /// Outputs without the gaps that the device leaves; empty where there are none.
    packed: Vec<Vec<u8>>,
}

impl LarodBackend {
    /// Begins to load; [`Backend::readiness`] says how that goes.
    ///
    /// # Errors
    /// `Kind::Backend` where there is no liblarod.
    pub fn new(wanted: Wanted, clock: Arc<dyn Clock>) -> Result<Self> {
        // Without liblarod nobody is asked for anything.
        sys::load()?;
        let memory = state_folder().map(|folder| Memory::new(&folder, platform::get().os.as_deref()));
        let ledger = Ledger::of(&wanted, clock.clone(), memory);
        Self::with(Arc::new(wanted), Arc::new(ledger), clock)
    }

    /// The same, with what is known already of how the devices stand.
    ///
    /// # Errors
    /// As for [`LarodBackend::new`].
    pub fn with(wanted: Arc<Wanted>, ledger: Arc<Ledger>, clock: Arc<dyn Clock>) -> Result<Self> {
        let api = sys::load()?;
        let service = LarodService::new(api, wanted.clone(), ledger.clone(), Vec::new());
        let worker = Worker::start(Arc::new(service), clock.clone())?;
        Ok(Self {
            api,
            clock,
            ledger,
            worker,
            better: None,
            wanted,
            ports: None,
            frame: None,
            unfit: None,
            offered: None,
            preparation: None,
            preference: Preference::default(),
            changes: 0,
            counted: None,
            packed: Vec::new(),
        })
    }

    /// What it is to load.
    pub fn wanted(&self) -> &Arc<Wanted> {
        &self.wanted
    }

    /// How the camera's devices stand with the model.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The same, with frames prepared by whom one prefers.
    pub fn preferring(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    fn start(&self, devices: Vec<String>) -> Result<Worker> {
        let service = LarodService::new(self.api, self.wanted.clone(), self.ledger.clone(), devices);
        Worker::start(Arc::new(service), self.clock.clone())
    }

    /// Lets a better device take over that has the model now, and one try to load it where it is time.
    fn look_for_better(&mut self) {
        if let Some(better) = &mut self.better {
            match better.look() {
                (Phase::Ready, Some(ports)) => {
                    log::info!("{}: {} takes over", self.wanted.name, ports.device);
                    if let Some(better) = self.better.take() {
                        self.worker = better;
                    }
                    self.take_ports(ports);
                }
                (Phase::Refused(_) | Phase::Resting(_) | Phase::Broken(_), _) => self.better = None,
                _ => {}
            }
            return;
        }
        let started = match self.ledger.call() {
            None => return,
            Some(Call::Better(devices)) => {
                log::info!("{}: trying {} beside what runs", self.wanted.name, devices.join(", "));
                self.start(devices).map(|worker| self.better = Some(worker))
            }
            Some(Call::All) => {
                log::info!("{}: trying all devices again", self.wanted.name);
                self.start(Vec::new()).map(|worker| self.worker = worker)
            }
        };
        if let Err(error) = started {
            log::error!("{error}");
        }
    }

    /// A model was loaded, and these are its ends.
    fn take_ports(&mut self, ports: Ports) {
        let gaps = |port: &engine::Port| !port.form.is_packed();
        self.packed = match ports.outputs.iter().any(gaps) {
            true => ports.outputs.iter().map(|port| Vec::with_capacity(port.form.packed_bytes())).collect(),
            false => Vec::new(),
        };
        CHIP.get_or_init(|| device::chip_here(Some(&ports.listed), None));
        (self.ports, self.frame, self.unfit) = (Some(ports), None, None);
        self.changes += 1;
        if let Some(preparation) = &mut self.preparation {
            preparation.forget_device();
        }
    }

    fn prepares(&self) -> Option<Preparer> {
        self.preparation.as_ref().and_then(Preparation::settled)
    }

    fn ports(&mut self) -> Result<&mut Ports> {
        self.ports.as_mut().ok_or_else(|| Error::new(Kind::Backend, "larod has not loaded the model yet"))
    }

    /// The memory of a frame that is the model's input as it stands, and where it lies in it.
    fn fitting(&self, frame: &Frame, fit: Fit) -> Option<(SharedMemory, Mapping)> {
        let ports = self.ports.as_ref()?;
        let layout = &frame.layout;
        let input = &self.wanted.input;
        let (width, height) = input.picture_size()?;
        let planar = input.is_planar();
        let same = (layout.width, layout.height) == (width, height)
            && layout.format.is_rgb_bytes(planar)
            && engine::takes_bytes(input);
        if !same || self.unfit == Some(*layout) {
            return None;
        }
        let mapping = Mapping::new(fit, layout.display_size(), (width, height));
        let whole = mapping.source == Rect::new(0.0, 0.0, 1.0, 1.0)
            && (mapping.x, mapping.y, mapping.width, mapping.height) == (0, 0, width, height);
        let memory = frame.pixels.shared()?;
        let (first, pitch) = frame.pixels.plane(0);
        // Planes follow each other without gaps.
        let together = !planar
            || (1..3).all(|plane| {
                let (bytes, own) = frame.pixels.plane(plane);
                own == pitch && bytes.as_ptr() as usize == first.as_ptr() as usize + plane * height * pitch
            });
        let enough = memory.size >= ports.input_bytes;
        (whole && pitch == ports.input_pitch && together && enough).then_some((memory, mapping))
    }

    /// Lets a device write the frame into the input, where one can and is faster.
    fn prepare(&mut self, frame: &Frame, fit: Fit) -> Result<Option<Mapping>> {
        let Some(ports) = &mut self.ports else { return Ok(None) };
        let (wanted, old) = (&*self.wanted, self.preparation.take());
        let Some(preparation) = Preparation::of(frame, fit, (wanted, ports), self.preference, old) else {
            return Ok(None);
        };
        let taken = self.preparation.insert(preparation).take(frame, &self.worker, ports);
        taken.map_err(|fault| Error::from(fault).context(&self.wanted.name))
    }
}

/// What a person is told while a model is loaded.
fn loading(device: Option<&str>) -> String {
    match device {
        Some(device::PROCESSOR) => format!("loading the model on {}", device::PROCESSOR),
        Some(device) => format!("compiling the model for {device}; the first time this may take 5 minutes"),
        None => "connecting to the larod service".to_owned(),
    }
}

fn memory_failed(error: std::io::Error) -> Error {
    Error::new(Kind::Backend, "the memory that is shared with larod cannot be used").caused_by(error)
}

impl Backend for LarodBackend {
    fn name(&self) -> String {
        match &self.ports {
            Some(ports) => format!("larod {}", ports.device),
            None => "larod".to_owned(),
        }
    }

    fn detail(&self) -> String {
        let runs = match &self.ports {
            Some(ports) if ports.device == device::PROCESSOR => "the camera's processor".to_owned(),
            Some(ports) => match device::maker(&ports.device) {
                Some(title) => format!("accelerator of {title}"),
                None if device::is_new_accelerator(&ports.device) => {
                    "an accelerator that this Spotter does not know".to_owned()
                }
                None => "a device of the camera".to_owned(),
            },
            None => "loading".to_owned(),
        };
        match self.prepares() {
            Some(by) => format!("{runs}, frames prepared {by}"),
            None => runs,
        }
    }

    fn changes(&self) -> u64 {
        self.changes
    }

    fn devices(&self) -> Option<Arc<Ledger>> {
        Some(self.ledger.clone())
    }

    fn readiness(&mut self) -> Result<Readiness> {
        self.look_for_better();
        let (phase, ports) = self.worker.look();
        if let Some(ports) = ports {
            self.take_ports(ports);
        }
        if self.counted != self.prepares() {
            self.counted = self.prepares();
            self.changes += 1;
        }
        let named = |fault| Error::from(fault).context(&self.wanted.name);
        Ok(match phase {
            Phase::Ready => Readiness::Ready,
            Phase::Loading(device) => Readiness::Loading(loading(device.as_deref())),
            Phase::Failed(why) => Readiness::Failed(why),
            Phase::Resting(fault) => Readiness::Resting(named(fault).to_string()),
            Phase::Broken(why) => Readiness::Broken(why),
            Phase::Refused(fault) => return Err(named(fault)),
        })
    }

    fn take_frame(&mut self, frame: &Frame, fit: Fit) -> Result<Option<Mapping>> {
        self.frame = None;
        let Some((memory, mapping)) = self.fitting(frame, fit) else { return self.prepare(frame, fit) };
        self.preparation = None;
        let Ok(fd) = memory::duplicate(memory.fd) else { return Ok(None) };
        self.frame = Some(Task::Frame(memory, fd));
        self.offered = Some(frame.layout);
        Ok(Some(mapping))
    }

    fn input_pitch(&self) -> Option<usize> {
        self.ports.as_ref().map(|ports| ports.input_pitch)
    }

    fn input_mut(&mut self) -> Result<&mut [u8]> {
        self.frame = None;
        let ports = self.ports()?;
        ports.input.begin(Access::Write).map_err(memory_failed)?;
        let bytes = ports.input_bytes;
        ports
            .input
            .bytes_mut()
            .get_mut(..bytes)
            .ok_or_else(|| Error::new(Kind::Backend, "the input is too small"))
    }

    fn run(&mut self) -> Result<()> {
        let job = self.frame.take().unwrap_or(Task::Own);
        let ports = self.ports()?;
        ports.input.end().map_err(memory_failed)?;
        for port in &mut ports.outputs {
            port.memory.end().map_err(memory_failed)?;
        }
        let answer = self.worker.run(job);
        if let (Err(fault), Some(layout)) = (&answer, self.offered.take())
            && fault.remedy() == Remedy::OtherInput
        {
            log::info!("the device does not read frames itself ({fault}); the processor copies them");
            self.unfit = Some(layout);
        }
        answer.map_err(|fault: Fault| Error::from(fault).context(&self.wanted.name))?;
        if let Some(preparation) = &mut self.preparation {
            preparation.ran();
        }
        let packed = &mut self.packed;
        let ports =
            self.ports.as_mut().ok_or_else(|| Error::new(Kind::Internal, "the model's ports are gone"))?;
        for (index, port) in ports.outputs.iter_mut().enumerate() {
            port.memory.begin(Access::Read).map_err(memory_failed)?;
            if let Some(packed) = packed.get_mut(index) {
                port.form.pack(port.memory.bytes(), packed);
            }
        }
        Ok(())
    }

    fn output(&self, index: usize) -> Result<&[u8]> {
        if let Some(packed) = self.packed.get(index) {
            return Ok(packed);
        }
        let port = self.ports.as_ref().and_then(|ports| ports.outputs.get(index));
        port.and_then(|port| port.memory.bytes().get(..port.form.packed_bytes()))
            .ok_or_else(|| Error::new(Kind::Backend, format!("the model gave no output {index}")))
    }
}
