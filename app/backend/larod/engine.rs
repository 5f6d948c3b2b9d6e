//! A model on one of larod's devices: finds the device, loads the model, runs jobs.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::buffers::{Buffers, Ends, misfit};
use super::conversion::Conversion;
use super::fault::Fault;
use super::ledger::{self, Ledger, Next};
use super::memory::{self, Mapped};
use super::session::{About, Answer, Connection, Job, Model, Place, Side, Tensors};
use super::stage::Stage;
use super::sys::{self, Api};
use super::worker::{Engine, Service, Task};
use super::{Wanted, device};
use crate::vision::frame::SharedMemory;
use crate::vision::tensor::{DataType, TensorInfo};

/// What the thread that prepares frames and reads outputs gets of a loaded model.
pub struct Ports {
    /// The device that runs it.
    pub device: String,
    /// All devices of the camera.
    pub listed: Vec<String>,
    /// The input's own memory.
    pub input: Mapped,
    /// Bytes from one row of the input to the next.
    pub input_pitch: usize,
    /// Bytes of the whole input, padding included.
    pub input_bytes: usize,
    /// The outputs, in the model's order.
    pub outputs: Vec<Port>,
}

/// One output.
pub struct Port {
    /// Its memory.
    pub memory: Mapped,
    /// How it lies there.
    pub form: Form,
}

/// How the elements of a tensor lie in its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Elements along each dimension.
    dims: Vec<usize>,
    /// Bytes that one step of the dimension before takes.
    pitches: Vec<usize>,
    /// Bytes of an element.
    element: usize,
}

impl Form {
    /// The form that larod tells, checked to lie within its memory.
    fn of(about: &About, info: &TensorInfo) -> Result<Self, String> {
        let element = match about.data_type {
            sys::UINT8 | sys::INT8 => 1,
            sys::FLOAT32 => 4,
            other => {
                return Err(format!("{info} has the type {other} on the device, which Spotter cannot read"));
            }
        };
        if element != info.dtype.size() {
            return Err(format!("{info} has elements of {element} bytes on the device"));
        }
        let dims = if about.dims.is_empty() { info.shape.clone() } else { about.dims.clone() };
        let count = |dims: &[usize]| dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
        if !info.shape.is_empty() && count(&dims) != count(&info.shape) {
            return Err(format!("{info} is {dims:?} on the device"));
        }
        let packed = packed(&dims, element).ok_or_else(|| format!("{info} is larger than memory"))?;
        let pitches = if about.pitches.is_empty() { packed.clone() } else { about.pitches.clone() };
        let form = Self { dims, pitches, element };
        let fits = form.pitches.len() == form.dims.len()
            && form.pitches.iter().zip(&packed).all(|(pitch, least)| pitch >= least)
            && form.end().is_some_and(|end| end <= about.byte_size);
        if !fits {
            let text = format!(
                "{info} does not fit into its {} bytes with pitches {:?}",
                about.byte_size, form.pitches
            );
            return Err(text);
        }
        Ok(form)
    }

    /// Bytes to the end of the last element; `None` where the numbers are too large.
    fn end(&self) -> Option<usize> {
        let strides = self.pitches.iter().skip(1).copied().chain([self.element]);
        let mut last = 0usize;
        for (size, stride) in self.dims.iter().zip(strides) {
            last = last.checked_add(size.checked_sub(1)?.checked_mul(stride)?)?;
        }
        last.checked_add(self.element)
    }

    /// Bytes of the elements alone.
    pub fn packed_bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * self.element
    }

    /// Whether there is nothing between the elements.
    pub fn is_packed(&self) -> bool {
        packed(&self.dims, self.element)
            .is_some_and(|packed| packed.iter().skip(1).eq(self.pitches.iter().skip(1)))
    }

    /// Copies the elements, without what is between them.
    pub fn pack(&self, from: &[u8], into: &mut Vec<u8>) {
        into.clear();
        let Some((columns, outer)) = self.dims.split_last() else { return };
        let row = columns * self.element;
        let rows: usize = outer.iter().product();
        for index in 0..rows {
            let (mut rest, mut at) = (index, 0);
            for (size, stride) in outer.iter().zip(self.pitches.iter().skip(1)).rev() {
                at += rest % size * stride;
                rest /= size;
            }
            into.extend_from_slice(from.get(at..at + row).unwrap_or_default());
        }
    }
}

/// Pitches without gaps.
fn packed(dims: &[usize], element: usize) -> Option<Vec<usize>> {
    let mut bytes = element;
    let mut pitches = Vec::with_capacity(dims.len());
    for size in dims.iter().rev() {
        bytes = bytes.checked_mul(*size)?;
        pitches.push(bytes);
    }
    pitches.reverse();
    Some(pitches)
}

/// Bytes from row to row of an input, which is NHWC or NCHW.
fn row_pitch(about: &About, form: &Form, input: &TensorInfo) -> Result<usize, Fault> {
    let place = if input.is_planar() { 3 } else { 2 };
    let layout = if input.is_planar() { sys::LAYOUT_NCHW } else { sys::LAYOUT_NHWC };
    let misfit = |said| misfit("load the model", said);
    if about.layout > 1 && about.layout != layout {
        return Err(misfit(format!("{input} has the layout {} on the device", about.layout)));
    }
    if !about.dims.is_empty() && about.dims != input.shape {
        return Err(misfit(format!("{input} is {:?} on the device", about.dims)));
    }
    let rows = form.dims.get(place - 1).copied().unwrap_or(0);
    let pitch = form.pitches.get(place).copied().unwrap_or(0);
    // Only rows are padded: what is above them follows without gaps.
    let above = form.pitches.get(place - 1).copied().unwrap_or(0);
    if rows.checked_mul(pitch) != Some(above) {
        return Err(misfit(format!("{input} has gaps between its planes on the device")));
    }
    Ok(pitch)
}

/// Kinds of memory that are asked for, in this order: what the device reads and writes itself, what it maps, and last
/// what it copies at each job ("will introduce a memory copy", nn-inference.html).
const MEMORY: [u32; 3] = [sys::FD_DMABUF | sys::FD_MAP, sys::FD_MAP, sys::FD_READWRITE | sys::FD_MAP];

/// Memory of the best kind that the device has for this side of the model. By which code a device refuses a kind is not
/// documented, so only a dead connection ends the search.
fn allocate(model: &Model, side: Side) -> Answer<Tensors> {
    let [best, others @ ..] = MEMORY;
    others.into_iter().fold(model.allocate(side, best), |answer, properties| match answer {
        Err(fault) if fault.code != sys::ERROR_CONNECTION => model.allocate(side, properties),
        answer => answer,
    })
}

/// Loads one model on the best device that takes it.
pub struct LarodService {
    api: &'static Api,
    wanted: Arc<Wanted>,
    ledger: Arc<Ledger>,
    /// The devices that are tried beside another that runs the model; all in the ledger where there are none.
    better: Vec<String>,
    /// How long to wait before the next attempt, where that is not the usual time.
    rest: Mutex<Option<Duration>>,
}

impl LarodService {
    /// A service that loads `wanted`; of the devices in `better` alone, where there are any.
    pub fn new(api: &'static Api, wanted: Arc<Wanted>, ledger: Arc<Ledger>, better: Vec<String>) -> Self {
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
    fn load(&self, loading: &mut dyn FnMut(&str)) -> Answer<(Box<dyn Engine>, Ports)> {
        let Wanted { name, bytes, .. } = &*self.wanted;
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
    model: Model,
    connection: Rc<Connection>,
}

impl LarodEngine {
    fn new(
        api: &'static Api,
        connection: &Rc<Connection>,
        model: Model,
        wanted: &Wanted,
        device: &str,
        listed: &[String],
    ) -> Answer<(Self, Ports)> {
        let doing = "load the model";
        let (input, outputs) = (allocate(&model, Side::Inputs)?, allocate(&model, Side::Outputs)?);
        if input.count() != 1 || outputs.count() != wanted.outputs.len() {
            let said = format!(
                "it has {} inputs and {} outputs on the device, 1 and {} in the file",
                input.count(),
                outputs.count(),
                wanted.outputs.len()
            );
            return Err(misfit(doing, said));
        }
        let map = |place: Place, size: usize| {
            if place.size < size {
                return Err(misfit(doing, format!("the device gives {} bytes for {size}", place.size)));
            }
            Mapped::new(place.fd, place.offset, size, place.properties & sys::FD_DMABUF != 0)
                .map_err(|error| Fault::own("map the model's memory", error.to_string()))
        };
        let about = input.about(0)?;
        let form = Form::of(&about, &wanted.input).map_err(|said| misfit(doing, said))?;
        let input_pitch = row_pitch(&about, &form, &wanted.input)?;
        let mut ports = Vec::with_capacity(outputs.count());
        for (index, info) in wanted.outputs.iter().enumerate() {
            let about = outputs.about(index)?;
            let form = Form::of(&about, info).map_err(|said| misfit(doing, said))?;
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
    fn load_stage(&mut self, device: &'static str, conversion: &Conversion) -> Answer<()> {
        // One or the other is in use, and no more than 32 tensors are remembered.
        self.buffers.clear();
        self.stage = None;
        let input = self.input.place(0)?;
        self.stage = Some(Stage::load(self.api, &self.connection, device, conversion, input)?);
        Ok(())
    }

    fn run_on(&mut self, memory: SharedMemory, fd: OwnedFd) -> Answer<()> {
        self.stage = None;
        let ends = Ends { model: &self.model, outputs: &self.outputs, params: None };
        self.buffers.job(self.api, &ends, memory, fd)?.run()
    }
}

impl Engine for LarodEngine {
    fn run(&mut self, task: Task) -> Answer<()> {
        match task {
            Task::Own => self.job.run(),
            Task::Frame(memory, fd) => self.run_on(memory, fd),
            Task::Load(device, conversion) => self.load_stage(device, &conversion),
            Task::Prepare(memory, fd) => match &mut self.stage {
                Some(stage) => stage.run(memory, fd),
                None => Err(misfit("prepare frames", "no device is loaded for it".to_owned())),
            },
        }
    }
}

/// Whether a frame's planes can be this input at all: bytes, not shifted.
pub fn takes_bytes(input: &TensorInfo) -> bool {
    input.dtype == DataType::U8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(shape: &[usize], dtype: DataType) -> TensorInfo {
        TensorInfo { name: "t".into(), shape: shape.to_vec(), dtype, quantisation: None }
    }

    fn about(dims: &[usize], pitches: &[usize], data_type: i32) -> About {
        let byte_size = pitches.first().copied().unwrap_or(0);
        About {
            dims: dims.to_vec(),
            pitches: pitches.to_vec(),
            data_type,
            layout: sys::LAYOUT_NCHW,
            byte_size,
        }
    }

    #[test]
    fn rows_padded_to_32_bytes_are_packed() {
        // 3 classes, one to a row of 32 bytes, as CV25 gives scores.
        let form =
            Form::of(&about(&[1, 3, 1, 1], &[96, 96, 32, 32], sys::FLOAT32), &info(&[1, 3], DataType::F32));
        let form = form.unwrap();
        assert!(!form.is_packed());
        let memory: Vec<u8> = (0..96).collect();
        let mut packed = Vec::new();
        form.pack(&memory, &mut packed);
        assert_eq!(packed, [0, 1, 2, 3, 32, 33, 34, 35, 64, 65, 66, 67]);
        assert_eq!(form.packed_bytes(), 12);
    }

    #[test]
    fn what_is_packed_already_needs_no_copy() {
        let form =
            Form::of(&about(&[1, 2, 5], &[10, 10, 5], sys::UINT8), &info(&[1, 2, 5], DataType::U8)).unwrap();
        assert!(form.is_packed());
        // Only the total is larger.
        let form =
            Form::of(&about(&[1, 2, 5], &[64, 10, 5], sys::UINT8), &info(&[1, 2, 5], DataType::U8)).unwrap();
        assert!(form.is_packed());
        let mut packed = Vec::new();
        form.pack(&(0..10).collect::<Vec<u8>>(), &mut packed);
        assert_eq!(packed, (0..10).collect::<Vec<u8>>());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let wanted = info(&[1, 2, 5], DataType::U8);
        for (wrong, says) in [
            (about(&[1, 2, 6], &[12, 12, 6], sys::UINT8), "is [1, 2, 6] on the device"),
            (about(&[1, 2, 5], &[10, 10, 4], sys::UINT8), "does not fit"),
            (about(&[1, 2, 5], &[9, 10, 5], sys::UINT8), "does not fit"),
            (about(&[1, 2, 5], &[10, 10], sys::UINT8), "does not fit"),
            (about(&[1, 2, 5], &[40, 40, 20], sys::FLOAT32), "has elements of 4 bytes"),
            (about(&[1, 2, 5], &[10, 10, 5], 9), "has the type 9"),
        ] {
            let error = Form::of(&wrong, &wanted).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn an_input_of_planes_has_the_pitch_of_its_rows() {
        let input = info(&[1, 3, 224, 300], DataType::U8);
        let row = 320;
        let told = about(&[1, 3, 224, 300], &[3 * 224 * row, 3 * 224 * row, 224 * row, row], sys::UINT8);
        let form = Form::of(&told, &input).unwrap();
        assert_eq!(row_pitch(&told, &form, &input).unwrap(), 320);
        let wrong = About { layout: sys::LAYOUT_NHWC, ..told.clone() };
        assert!(row_pitch(&wrong, &form, &input).unwrap_err().said.contains("layout 2"));
    }
}
