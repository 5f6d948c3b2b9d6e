//! A model on one of larod's devices, as a [`Backend`].

use std::sync::Arc;

use super::engine::LarodService;
use super::fault::{Fault, Remedy};
use super::given_up::GivenUpFile;
use super::ledger::{Call, Ledger};
use super::load_request::LoadRequest;
use super::memory::{self, Access};
use super::ports::{self, Ports};
use super::prepare::{Preference, Preparation, Preparer};
use super::service::WorkerTask;
use super::worker::{Phase, Worker};
use super::{chip, device, sys};
use crate::backend::{Backend, Readiness};
use crate::base::clock::Clock;
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::state_folder;
use crate::base::platform;
use crate::vision::frame::{Frame, FrameLayout, SharedMemory};
use crate::vision::geometry::{Fit, Mapping, Rect};

/// A model on one of larod's devices.
pub struct LarodBackend {
    api: &'static sys::Api,
    clock: Arc<dyn Clock>,
    ledger: Arc<Ledger>,
    worker: Worker,
    /// Loads the model on a better device while this one runs it.
    better: Option<Worker>,
    wanted: Arc<LoadRequest>,
    ports: Option<Ports>,
    /// The memory that the next job reads, where it is a frame's.
    frame: Option<WorkerTask>,
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
    pub fn new(wanted: LoadRequest, clock: Arc<dyn Clock>) -> Result<Self> {
        // Without liblarod nobody is asked for anything.
        sys::load()?;
        let memory = state_folder().map(|folder| GivenUpFile::new(&folder, platform::get().os.as_deref()));
        let ledger = Ledger::of(&wanted, clock.clone(), memory);
        Self::with(Arc::new(wanted), Arc::new(ledger), clock)
    }

    /// The same, with what is known already of how the devices stand.
    ///
    /// # Errors
    /// As for [`LarodBackend::new`].
    pub fn with(wanted: Arc<LoadRequest>, ledger: Arc<Ledger>, clock: Arc<dyn Clock>) -> Result<Self> {
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
    pub fn wanted(&self) -> &Arc<LoadRequest> {
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
        let gaps = |port: &ports::Port| !port.form.is_packed();
        self.packed = match ports.outputs.iter().any(gaps) {
            true => ports.outputs.iter().map(|port| Vec::with_capacity(port.form.packed_bytes())).collect(),
            false => Vec::new(),
        };
        chip::learn_chip(&ports.listed);
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
            && ports::takes_bytes(input);
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
        self.frame = Some(WorkerTask::Frame(memory, fd));
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
        let job = self.frame.take().unwrap_or(WorkerTask::Own);
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
