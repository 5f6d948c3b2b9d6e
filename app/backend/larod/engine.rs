//! A model on one of larod's devices: finds the device, loads the model, runs jobs.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::buffers::{Buffers, Ends};
use super::conversion::Conversion;
use super::device;
use super::fault::{Fault, LarodResult};
use super::ledger::{self, Ledger, Next};
use super::load_request::LoadRequest;
use super::memory::{self, Mapped};
use super::ports::{Port, Ports, TensorLayout, row_pitch};
use super::service::{Engine, Service, WorkerTask};
use super::session::{Connection, Job, LarodModel, Side, TensorMemory, Tensors};
use super::stage::Stage;
use super::sys::{self, Api};
use crate::vision::frame::SharedMemory;

/// Kinds of memory that are asked for, in this order: what the device reads and writes itself, what it maps, and last
/// what it copies at each job ("will introduce a memory copy", nn-inference.html).
const MEMORY: [u32; 3] = [sys::FD_DMABUF | sys::FD_MAP, sys::FD_MAP, sys::FD_READWRITE | sys::FD_MAP];

/// Memory of the best kind that the device has for this side of the model. By which code a device refuses a kind is not
/// documented, so only a dead connection ends the search.
fn allocate(model: &LarodModel, side: Side) -> LarodResult<Tensors> {
    let [best, others @ ..] = MEMORY;
    others.into_iter().fold(model.allocate(side, best), |answer, properties| match answer {
        Err(fault) if fault.code != sys::ERROR_CONNECTION => model.allocate(side, properties),
        answer => answer,
    })
}

/// Loads one model on the best device that takes it.
pub struct LarodService {
    api: &'static Api,
    wanted: Arc<LoadRequest>,
    ledger: Arc<Ledger>,
    /// The devices that are tried beside another that runs the model; all in the ledger where there are none.
    better: Vec<String>,
    /// How long to wait before the next attempt, where that is not the usual time.
    rest: Mutex<Option<Duration>>,
}

impl LarodService {
    /// A service that loads `wanted`; of the devices in `better` alone, where there are any.
    pub fn new(
        api: &'static Api,
        wanted: Arc<LoadRequest>,
        ledger: Arc<Ledger>,
        better: Vec<String>,
    ) -> Self {
        Self { api, wanted, ledger, better, rest: Mutex::default() }
    }

    /// Why none of the devices took the model; and how long to wait, where one of them may take it later.
    fn exhausted(&self, listed: &[String], last: Option<Fault>) -> (Fault, Option<Duration>) {
        let run = |said| Fault {
            code: sys::ERROR_INVALID_CHIP_ID,
            doing: format!("run {}", self.wanted.name),
            said,
        };
        // Beside another that runs it nobody waits.
        let resting = if self.better.is_empty() { self.ledger.resting() } else { None };
        match (resting, last) {
            (Some((_, wait)), Some(last)) => {
                let said = format!("{}; tried again {}", last.said, ledger::words(wait));
                (Fault { said, ..last }, Some(wait))
            }
            (Some((why, wait)), None) => (
                Fault::own("run the model", format!("{why}; tried again {}", ledger::words(wait))),
                Some(wait),
            ),
            (None, Some(last)) if last.code == sys::ERROR_INVALID_CHIP_ID => (last, None),
            (None, Some(last)) => (Fault { code: sys::ERROR_LOAD_MODEL, ..last }, None),
            (None, None) => {
                let said = match self.ledger.given_up() {
                    Some(why) => format!("{why}; \"Try again\" on the page tries it again"),
                    None => format!("none of the devices is for such a model: {}", listed.join(", ")),
                };
                (run(said), None)
            }
        }
    }

    fn rests(&self, time: Option<Duration>) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }
}

impl Service for LarodService {
    fn load(&self, loading: &mut dyn FnMut(&str)) -> LarodResult<(Box<dyn Engine>, Ports)> {
        let LoadRequest { name, bytes, .. } = &*self.wanted;
        let connection = Connection::open(self.api)?;
        let listed = connection.devices()?;
        let candidates =
            if self.better.is_empty() { self.ledger.begin(&listed) } else { self.ledger.among(&self.better) };
        let mut last = None;
        for device in &candidates {
            loading(device);
            self.ledger.loads(device);
            if device::is_new_accelerator(device) {
                log::warn!(
                    "{device} is an accelerator that this Spotter does not know; it is tried by its name"
                );
            }
            let doing = format!("load the model on {device}");
            let file = memory::file_of("model", bytes)
                .map_err(|error| Fault::own(&doing, format!("there is no memory for the file: {error}")))?;
            let loaded = connection.load(Some(file.as_fd()), device, short(name), None).and_then(|model| {
                LarodEngine::new(self.api, &connection, model, &self.wanted, device, &listed)
            });
            match loaded {
                Ok((engine, ports)) => {
                    self.ledger.runs(device);
                    return Ok((Box::new(engine), ports));
                }
                Err(fault) => {
                    if let Next::List(rest) = self.ledger.failed(device, &fault) {
                        self.rests(rest);
                        return Err(fault);
                    }
                    if self.wanted.device.is_none() {
                        log::warn!("{name}: {fault}; trying the next device");
                    }
                    last = Some(fault);
                }
            }
        }
        let (fault, rest) = self.exhausted(&listed, last);
        self.rests(rest);
        Err(fault)
    }

    fn rest(&self) -> Option<Duration> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Model names that larod takes; they are for its log only.
fn short(name: &str) -> &str {
    name.char_indices().nth(60).map_or(name, |(end, _)| name.get(..end).unwrap_or(name))
}

/// A loaded model. Dropped in this order: jobs, tensors, the model, then the connection that they share.
struct LarodEngine {
    api: &'static Api,
    stage: Option<Stage>,
    buffers: Buffers,
    job: Job,
    input: Tensors,
    outputs: Tensors,
    model: LarodModel,
    connection: Rc<Connection>,
}

impl LarodEngine {
    fn new(
        api: &'static Api,
        connection: &Rc<Connection>,
        model: LarodModel,
        wanted: &LoadRequest,
        device: &str,
        listed: &[String],
    ) -> LarodResult<(Self, Ports)> {
        let doing = "load the model";
        let (input, outputs) = (allocate(&model, Side::Inputs)?, allocate(&model, Side::Outputs)?);
        if input.count() != 1 || outputs.count() != wanted.outputs.len() {
            let said = format!(
                "it has {} inputs and {} outputs on the device, 1 and {} in the file",
                input.count(),
                outputs.count(),
                wanted.outputs.len()
            );
            return Err(Fault::misfit(doing, said));
        }
        let map = |place: TensorMemory, size: usize| {
            if place.size < size {
                return Err(Fault::misfit(
                    doing,
                    format!("the device gives {} bytes for {size}", place.size),
                ));
            }
            Mapped::new(place.fd, place.offset, size, place.properties & sys::FD_DMABUF != 0)
                .map_err(|error| Fault::own("map the model's memory", error.to_string()))
        };
        let about = input.about(0)?;
        let form = TensorLayout::of(&about, &wanted.input).map_err(|said| Fault::misfit(doing, said))?;
        let input_pitch = row_pitch(&about, &form, &wanted.input)?;
        let mut ports = Vec::with_capacity(outputs.count());
        for (index, info) in wanted.outputs.iter().enumerate() {
            let about = outputs.about(index)?;
            let form = TensorLayout::of(&about, info).map_err(|said| Fault::misfit(doing, said))?;
            ports.push(Port { memory: map(outputs.place(index)?, about.byte_size)?, form });
        }
        let ports = Ports {
            device: device.to_owned(),
            listed: listed.to_vec(),
            input: map(input.place(0)?, about.byte_size)?,
            input_pitch,
            input_bytes: about.byte_size,
            outputs: ports,
        };
        let job = model.job(&input, &outputs, None)?;
        let (stage, buffers, connection) = (None, Buffers::default(), connection.clone());
        Ok((Self { api, stage, buffers, job, input, outputs, model, connection }, ports))
    }

    /// Loads a preprocessing model that writes into the own input.
    fn load_stage(&mut self, device: &'static str, conversion: &Conversion) -> LarodResult<()> {
        // One or the other is in use, and no more than 32 tensors are remembered.
        self.buffers.clear();
        self.stage = None;
        let input = self.input.place(0)?;
        self.stage = Some(Stage::load(self.api, &self.connection, device, conversion, input)?);
        Ok(())
    }

    fn run_on(&mut self, memory: SharedMemory, fd: OwnedFd) -> LarodResult<()> {
        self.stage = None;
        let ends = Ends { model: &self.model, outputs: &self.outputs, params: None };
        self.buffers.job(self.api, &ends, memory, fd)?.run()
    }
}

impl Engine for LarodEngine {
    fn run(&mut self, task: WorkerTask) -> LarodResult<()> {
        match task {
            WorkerTask::Own => self.job.run(),
            WorkerTask::Frame(memory, fd) => self.run_on(memory, fd),
            WorkerTask::Load(device, conversion) => self.load_stage(device, &conversion),
            WorkerTask::Prepare(memory, fd) => match &mut self.stage {
                Some(stage) => stage.run(memory, fd),
                None => Err(Fault::misfit("prepare frames", "no device is loaded for it".to_owned())),
            },
        }
    }
}
