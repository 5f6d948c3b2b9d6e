//! larod, the service of Axis cameras that runs models on the chip's accelerator.
//!
//! `sys.rs` declares the library, `session.rs` makes it safe, `memory.rs` shares memory with it, `device.rs` knows
//! its devices, `engine.rs` loads a model, `buffers.rs` tells it of the capture's memory, `worker.rs` is the thread that
//! keeps it running. `conversion.rs` knows which devices can prepare frames, `stage.rs` lets one do it, `prepare.rs`
//! chooses between it and the processor. This file is what the rest of Spotter sees.

pub mod buffers;
pub mod conversion;
pub mod device;
pub mod engine;
pub mod fault;
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
use crate::base::platform;
use crate::model::chip::Chip;
use crate::model::format::file::ModelFile;
use crate::vision::frame::{Frame, FrameLayout, SharedMemory};
use crate::vision::geometry::{Fit, Mapping, Rect};
use crate::vision::tensor::TensorInfo;

use engine::{LarodService, Ports};
use fault::{Fault, Remedy};
use memory::Access;
use prepare::{Preference, Preparation};
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

/// The chip that this camera has, asked for once: by what larod lists, else by the camera's own name for it.
static CHIP: OnceLock<Option<Chip>> = OnceLock::new();

/// The chip, where it is known already.
pub fn known_chip() -> Option<Chip> {
    CHIP.get().copied().flatten()
}

/// The chip of this camera; `None` on a desktop or where nobody says it. May take two seconds.
pub fn chip() -> Option<Chip> {
    *CHIP.get_or_init(|| {
        let listed = session::Connection::open(sys::load().ok()?).and_then(|connection| connection.devices());
        listed
            .ok()
            .as_deref()
            .and_then(device::chip)
            .or_else(|| device::chip_named(platform::get().soc.as_deref()?))
    })
}

/// A model on one of larod's devices.
pub struct LarodBackend {
    worker: Worker,
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
    /// Outputs without the gaps that the device leaves; empty where there are none.
    packed: Vec<Vec<u8>>,
}

impl LarodBackend {
    /// Begins to load; [`Backend::readiness`] says how that goes.
    ///
    /// # Errors
    /// `Kind::Backend` where there is no liblarod.
    pub fn new(wanted: Wanted, clock: Arc<dyn Clock>) -> Result<Self> {
        let wanted = Arc::new(wanted);
        let service = LarodService::new(sys::load()?, wanted.clone());
        Self::over(Box::new(service), wanted, clock)
    }

    fn over(service: Box<dyn worker::Service>, wanted: Arc<Wanted>, clock: Arc<dyn Clock>) -> Result<Self> {
        let worker = Worker::start(service, clock)?;
        Ok(Self {
            worker,
            wanted,
            ports: None,
            frame: None,
            unfit: None,
            offered: None,
            preparation: None,
            preference: Preference::default(),
            packed: Vec::new(),
        })
    }

    /// The same, with frames prepared by whom one prefers.
    pub fn preferring(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
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
            Some(ports) => match device::chip(&ports.listed) {
                Some(chip) => format!("accelerator of {}", chip.title()),
                None => "a device of the camera".to_owned(),
            },
            None => "loading".to_owned(),
        };
        match self.preparation.as_ref().and_then(Preparation::detail) {
            Some(prepares) => format!("{runs}, {prepares}"),
            None => runs,
        }
    }

    fn readiness(&mut self) -> Result<Readiness> {
        let (phase, ports) = self.worker.look();
        if let Some(ports) = ports {
            let gaps = |port: &engine::Port| !port.form.is_packed();
            self.packed = match ports.outputs.iter().any(gaps) {
                true => {
                    ports.outputs.iter().map(|port| Vec::with_capacity(port.form.packed_bytes())).collect()
                }
                false => Vec::new(),
            };
            CHIP.get_or_init(|| {
                device::chip(&ports.listed).or_else(|| device::chip_named(platform::get().soc.as_deref()?))
            });
            (self.ports, self.frame, self.unfit) = (Some(ports), None, None);
            if let Some(preparation) = &mut self.preparation {
                preparation.forget_device();
            }
        }
        Ok(match phase {
            Phase::Ready => Readiness::Ready,
            Phase::Loading(device) => Readiness::Loading(loading(device.as_deref())),
            Phase::Failed(why) => Readiness::Failed(why),
            Phase::Refused(fault) => return Err(Error::from(fault).context(&self.wanted.name)),
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
