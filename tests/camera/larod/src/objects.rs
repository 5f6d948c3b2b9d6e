//! Connections, models, tensors, maps and jobs, with the rules that liblarod has for them.

use std::collections::BTreeMap;
use std::ffi::{CString, c_int};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, SeekFrom};

use crate::device::{self, Device, Role};
use crate::faults::{self, At};
use crate::model::{Core, NCHW, NHWC, SEMIPLANAR, Spec, UNSPECIFIED};
use crate::{Answer, Extents, Failure, code, failed, settings};

const READWRITE: u32 = 1;
const MAP: u32 = 2;
const DMABUF: u32 = 4;
/// Tensors that a connection remembers at most.
const TRACKED: usize = 32;

/// Rises whenever the service breaks down: connections of an older one are dead.
static SERVICE: AtomicU64 = AtomicU64::new(0);
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// The service breaks down.
pub fn kill_all() {
    SERVICE.fetch_add(1, Ordering::SeqCst);
}

/// Connections that are open.
pub fn sessions() -> u64 {
    SESSIONS.load(Ordering::SeqCst)
}

/// `larodConnection`.
pub struct Connection {
    service: u64,
    devices: Vec<&'static Device>,
    /// What larodListDevices gives, which stays the connection's. It begins within its memory, so that a caller who
    /// frees it is ended by the C library.
    listed: Vec<*const Device>,
    models: Mutex<Vec<Arc<Core>>>,
    tracked: Arc<AtomicUsize>,
    busy: AtomicBool,
}

/// Leave of a connection's only caller.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Connection {
    pub fn open() -> Answer<Self> {
        faults::meet(At::Connect)?;
        SESSIONS.fetch_add(1, Ordering::SeqCst);
        let chip = settings::get("SPOTTER_SIM_CHIP").unwrap_or_else(|| "artpec8".to_owned());
        let make = |(name, role): &(&'static str, Role)| {
            let c_name = CString::new(*name).unwrap_or_default();
            // Models point to their device for ever.
            &*Box::leak(Box::new(Device { name, c_name, role: *role }))
        };
        let prepares = settings::get("SPOTTER_SIM_PREPARE").is_none_or(|value| value != "no");
        let devices: Vec<&Device> = device::of_chip(&chip)
            .iter()
            .filter(|(_, role)| prepares || !role.prepares())
            .map(make)
            .collect();
        let known = devices.iter().map(|device| std::ptr::from_ref(*device));
        Ok(Self {
            service: SERVICE.load(Ordering::SeqCst),
            listed: std::iter::once(std::ptr::null()).chain(known).collect(),
            devices,
            models: Mutex::default(),
            tracked: Arc::default(),
            busy: AtomicBool::new(false),
        })
    }

    /// A call that two threads make at once is a mistake of the caller's: larod is not thread-safe.
    fn turn(&self) -> Answer<Turn<'_>> {
        match self.busy.swap(true, Ordering::SeqCst) {
            true => failed(code::CONNECTION, "two threads use one connection"),
            false => Ok(Turn(&self.busy)),
        }
    }

    pub fn alive(&self) -> Answer<()> {
        if faults::is_away() {
            kill_all();
        }
        match self.service == SERVICE.load(Ordering::SeqCst) {
            true => Ok(()),
            false => failed(code::CONNECTION, "Lost connection to the larod service"),
        }
    }

    pub fn devices(&self) -> &[*const Device] {
        &self.listed[1..]
    }

    pub fn device(&self, name: &str) -> Option<*const Device> {
        self.devices.iter().find(|device| device.name == name).map(|device| std::ptr::from_ref(*device))
    }

    pub fn models(&self) -> Vec<Arc<Core>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn load(&self, fd: c_int, device: &Device, name: &str, params: Option<&Map>) -> Answer<Arc<Core>> {
        let _turn = self.turn()?;
        self.alive()?;
        faults::meet(At::Load)?;
        let core = match (fd, params) {
            (-1, Some(params)) => {
                faults::meet(At::Prepare)?;
                Core::of_params(device, name, params)?
            }
            (..0, _) => return failed(code::FD, format!("{fd} is no model file")),
            _ => {
                let bytes = read_file(fd)?;
                Core::of_file(bytes, device, name)?
            }
        };
        // It may have broken down meanwhile.
        faults::meet(At::Load)?;
        self.alive()?;
        let core = Arc::new(core);
        self.models.lock().unwrap_or_else(PoisonError::into_inner).push(core.clone());
        Ok(core)
    }

    pub fn delete(&self, id: u64) -> Answer<()> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        match models.iter().position(|core| core.id == id) {
            Some(place) => {
                models.remove(place).alive.store(false, Ordering::SeqCst);
                Ok(())
            }
            None => failed(code::MODEL_NOT_FOUND, format!("there is no model {id}")),
        }
    }

    pub fn allocate(&self, core: &Core, specs: &[Spec], props: u32) -> Answer<Vec<Tensor>> {
        let _turn = self.turn()?;
        self.alive()?;
        if core.role == Role::EdgeTpu && props & DMABUF != 0 && std::ptr::eq(specs, core.outputs.as_slice()) {
            return failed(code::ALLOC, "the Edge TPU's outputs are no dma-bufs");
        }
        let allocate = |spec: &Spec| {
            let bytes = spec.bytes();
            let fd = rustix::fs::memfd_create("larod", MemfdFlags::CLOEXEC).map_err(system)?;
            rustix::fs::ftruncate(&fd, bytes as u64).map_err(system)?;
            let mut tensor = Tensor::of(spec);
            (tensor.fd, tensor.fd_size) = (fd.as_raw_fd(), bytes);
            tensor.props = if props == 0 { READWRITE | MAP } else { props };
            tensor.own = Some(fd);
            self.track(&mut tensor)?;
            Ok(tensor)
        };
        specs.iter().map(allocate).collect()
    }

    pub fn track(&self, tensor: &mut Tensor) -> Answer<()> {
        self.alive()?;
        if tensor.tracked.is_some() {
            return Ok(());
        }
        if tensor.fd < 0 {
            return failed(code::FD, "a tensor without an fd cannot be tracked");
        }
        if self.tracked.fetch_add(1, Ordering::SeqCst) >= TRACKED {
            self.tracked.fetch_sub(1, Ordering::SeqCst);
            return failed(code::ALLOC, format!("at most {TRACKED} tensors are tracked"));
        }
        let count = Counted(self.tracked.clone());
        let fd = duplicate(tensor.fd)?;
        tensor.tracked = Some(Arc::new(Tracked { fd, _count: count }));
        Ok(())
    }

    pub fn run(&self, job: &Job) -> Answer<()> {
        let _turn = self.turn()?;
        self.alive()?;
        let begun = std::time::Instant::now();
        faults::meet(At::Run)?;
        let core = &job.core;
        if core.prepares() {
            faults::meet(At::Prepare)?;
        }
        if !core.alive.load(Ordering::SeqCst) || !self.models().iter().any(|known| known.id == core.id) {
            return failed(code::MODEL_NOT_FOUND, "the model is not loaded on this connection");
        }
        check(&job.inputs, &core.inputs, core.role)?;
        check(&job.outputs, &core.outputs, core.role)?;
        let inputs: Vec<Vec<u8>> = job
            .inputs
            .iter()
            .zip(&core.inputs)
            .map(|(at, spec)| at.read(spec.bytes()))
            .collect::<Answer<_>>()?;
        let outputs = core.run(&inputs, &job.params)?;
        let least = settings::milliseconds(match core.role.prepares() {
            true => "SPOTTER_SIM_PREPARE_MS",
            false => "SPOTTER_SIM_INFERENCE_MS",
        });
        std::thread::sleep(least.saturating_sub(begun.elapsed()));
        faults::meet(At::Run)?;
        self.alive()?;
        job.outputs.iter().zip(&outputs).try_for_each(|(at, bytes)| at.write(bytes))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for core in self.models() {
            core.alive.store(false, Ordering::SeqCst);
        }
        SESSIONS.fetch_sub(1, Ordering::SeqCst);
    }
}

fn system(error: rustix::io::Errno) -> Failure {
    Failure(error.raw_os_error(), error.to_string())
}

fn duplicate(fd: c_int) -> Answer<OwnedFd> {
    if fd < 0 {
        return failed(code::FD, format!("{fd} is no fd"));
    }
    // SAFETY: borrowed for this call; a number that is not open makes it fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_dupfd_cloexec(borrowed, 3).map_err(|error| Failure(code::FD, error.to_string()))
}

fn read_file(fd: c_int) -> Answer<Vec<u8>> {
    let fd = duplicate(fd)?;
    let size = rustix::fs::fstat(&fd).map_err(system)?.st_size as usize;
    let mut bytes = vec![0; size];
    fill(&fd, &mut bytes, 0)?;
    Ok(bytes)
}

/// Reads exactly that many bytes from `offset` on.
fn fill(fd: &OwnedFd, bytes: &mut [u8], offset: u64) -> Answer<()> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pread(fd, &mut bytes[done..], offset + done as u64).map_err(system)? {
            0 => return failed(code::FD, format!("the memory has only {} bytes", offset as usize + done)),
            read => done += read,
        }
    }
    Ok(())
}

/// `larodModel`.
pub struct Model {
    pub core: Arc<Core>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The service's own hold of a tensor's memory.
struct Tracked {
    fd: OwnedFd,
    _count: Counted,
}

/// `larodTensor`.
pub struct Tensor {
    pub dims: Extents,
    pub pitches: Extents,
    pub kind: c_int,
    pub layout: c_int,
    pub name: CString,
    pub fd: c_int,
    pub fd_size: usize,
    pub fd_offset: i64,
    pub props: u32,
    tracked: Option<Arc<Tracked>>,
    own: Option<OwnedFd>,
}

impl Tensor {
    /// A tensor that says nothing.
    pub fn blank() -> Self {
        let nothing = Extents::of(&[]);
        Self {
            dims: nothing,
            pitches: nothing,
            kind: UNSPECIFIED,
            layout: UNSPECIFIED,
            name: CString::default(),
            fd: c_int::MIN,
            fd_size: 0,
            fd_offset: 0,
            props: 0,
            tracked: None,
            own: None,
        }
    }

    pub fn of(spec: &Spec) -> Self {
        Self {
            dims: Extents::of(&spec.dims),
            pitches: Extents::of(&spec.pitches),
            kind: spec.kind,
            layout: spec.layout,
            name: CString::new(spec.name.as_str()).unwrap_or_default(),
            ..Self::blank()
        }
    }

    pub fn bytes(&self) -> usize {
        self.pitches.values().first().copied().unwrap_or(0)
    }

    /// Its memory can only be changed while it is not tracked.
    pub fn untracked(&mut self) -> Answer<&mut Self> {
        match self.tracked {
            Some(_) => failed(code::EINVAL, "the tensor is tracked, so its memory cannot be changed"),
            None => Ok(self),
        }
    }
}

/// What a job has copied of a tensor.
#[derive(Clone)]
pub struct Copied {
    dims: Extents,
    pitches: Extents,
    kind: c_int,
    layout: c_int,
    fd: c_int,
    size: usize,
    offset: i64,
    props: u32,
    tracked: Option<Arc<Tracked>>,
}

impl Copied {
    fn of(tensor: &Tensor) -> Answer<Self> {
        if tensor.fd < 0 {
            return failed(code::FD, "a tensor of the job has no fd");
        }
        if tensor.props & (READWRITE | MAP | DMABUF) == 0 {
            return failed(code::FD, "a tensor of the job has no fd properties");
        }
        Ok(Self {
            dims: tensor.dims,
            pitches: tensor.pitches,
            kind: tensor.kind,
            layout: tensor.layout,
            fd: tensor.fd,
            size: tensor.fd_size,
            offset: tensor.fd_offset,
            props: tensor.props,
            tracked: tensor.tracked.clone(),
        })
    }

    /// The service's descriptor, else the caller's of this moment.
    fn open(&self) -> Answer<OwnedFd> {
        match &self.tracked {
            Some(tracked) => tracked.fd.try_clone().map_err(|error| Failure(code::FD, error.to_string())),
            None => duplicate(self.fd),
        }
    }

    fn read(&self, bytes: usize) -> Answer<Vec<u8>> {
        let fd = self.open()?;
        let mut read = vec![0; bytes];
        if self.props & (MAP | DMABUF) != 0 {
            fill(&fd, &mut read, self.offset as u64)?;
        } else {
            // As a file it is read from its beginning on, wherever it stood.
            rustix::fs::seek(&fd, SeekFrom::Start(0)).map_err(system)?;
            fill(&fd, &mut read, 0)?;
            rustix::fs::seek(&fd, SeekFrom::Start(bytes as u64)).map_err(system)?;
        }
        Ok(read)
    }

    fn write(&self, bytes: &[u8]) -> Answer<()> {
        let fd = self.open()?;
        // As a file it is written where it stands.
        let place = match self.props & (MAP | DMABUF) != 0 {
            true => self.offset as u64,
            false => rustix::fs::tell(&fd).map_err(system)?,
        };
        let mut done = 0;
        while done < bytes.len() {
            done += rustix::io::pwrite(&fd, &bytes[done..], place + done as u64).map_err(system)?;
        }
        if self.props & (MAP | DMABUF) == 0 {
            rustix::fs::seek(&fd, SeekFrom::Start(place + bytes.len() as u64)).map_err(system)?;
        }
        Ok(())
    }
}

/// Whether what a job has fits the model; what is not said is not checked.
fn check(given: &[Copied], wanted: &[Spec], role: Role) -> Answer<()> {
    let mismatch = |text: String| failed(code::TENSOR_MISMATCH, text);
    if given.len() != wanted.len() {
        return mismatch(format!("{} tensors for {}", given.len(), wanted.len()));
    }
    for (tensor, spec) in given.iter().zip(wanted) {
        if tensor.dims.len != 0 && tensor.dims.values() != spec.dims {
            return mismatch(format!("dims {:?}, the model has {:?}", tensor.dims.values(), spec.dims));
        }
        if tensor.pitches.len != 0 && tensor.pitches.values() != spec.pitches {
            return mismatch(format!(
                "pitches {:?}, the model has {:?}",
                tensor.pitches.values(),
                spec.pitches
            ));
        }
        if tensor.kind != UNSPECIFIED && tensor.kind != spec.kind {
            return mismatch(format!("data type {}, the model has {}", tensor.kind, spec.kind));
        }
        if ![UNSPECIFIED, spec.layout].contains(&tensor.layout) && spec.layout != UNSPECIFIED {
            return mismatch(format!("layout {}, the model has {}", tensor.layout, spec.layout));
        }
        if tensor.size < spec.bytes() {
            return mismatch(format!("{} bytes, the model takes {}", tensor.size, spec.bytes()));
        }
        if tensor.offset != 0 && role == Role::EdgeTpu {
            return mismatch(format!("the offset {}, the Edge TPU takes 0", tensor.offset));
        }
    }
    Ok(())
}

/// `larodJobRequest`.
pub struct Job {
    pub core: Arc<Core>,
    pub inputs: Vec<Copied>,
    pub outputs: Vec<Copied>,
    pub params: Map,
    pub _priority: u8,
}

impl Job {
    pub fn set_inputs(&mut self, tensors: &[&Tensor]) -> Answer<()> {
        self.inputs = tensors.iter().map(|tensor| Copied::of(tensor)).collect::<Answer<_>>()?;
        Ok(())
    }

    pub fn set_outputs(&mut self, tensors: &[&Tensor]) -> Answer<()> {
        self.outputs = tensors.iter().map(|tensor| Copied::of(tensor)).collect::<Answer<_>>()?;
        Ok(())
    }

    pub fn copied(&self) -> Self {
        Self {
            core: self.core.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            params: self.params.clone(),
            _priority: self._priority,
        }
    }
}

/// A value of a map.
#[derive(Clone)]
pub enum Value {
    Text(CString),
    Int(i64),
    Two([i64; 2]),
    Four([i64; 4]),
}

/// `larodMap`.
#[derive(Clone, Default)]
pub struct Map(BTreeMap<String, Value>);

impl Map {
    pub fn set(&mut self, key: String, value: Value) -> Answer<bool> {
        if key.len() >= 128 {
            return failed(code::EINVAL, "the key is longer than 128 bytes");
        }
        self.0.insert(key, value);
        Ok(true)
    }

    pub fn get(&self, key: &str) -> Answer<&Value> {
        self.0.get(key).ok_or_else(|| Failure(code::EINVAL, format!("there is no {key}")))
    }
}

/// Dims of a picture in a layout.
pub fn picture_dims(layout: c_int, width: usize, height: usize, channels: usize) -> Answer<Vec<usize>> {
    match layout {
        NHWC => Ok(vec![1, height, width, channels]),
        NCHW => Ok(vec![1, channels, height, width]),
        SEMIPLANAR => Ok(vec![3, height, width]),
        _ => failed(code::EINVAL, format!("layout {layout} is of no picture")),
    }
}

/// Pitches of a picture whose rows are `pitch` bytes apart.
pub fn picture_pitches(layout: c_int, pitch: usize, height: usize, channels: usize) -> Answer<Vec<usize>> {
    match layout {
        NHWC => Ok(vec![pitch * height, pitch * height, pitch, channels]),
        NCHW => Ok(vec![pitch * height * channels, pitch * height * channels, pitch * height, pitch]),
        SEMIPLANAR => Ok(vec![pitch * height * 3 / 2, pitch * height, pitch]),
        _ => failed(code::EINVAL, format!("layout {layout} is of no picture")),
    }
}
