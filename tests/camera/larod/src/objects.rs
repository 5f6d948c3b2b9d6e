//! Connections, models, tensors, maps and jobs, with the rules that liblarod has for them.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, SeekFrom};

use crate::device::{self, Device, Role};
use crate::faults::{self, At};
use crate::home::{self, Home};
use crate::model::{Core, NCHW, NHWC, SEMIPLANAR, Spec, UNSPECIFIED};
use crate::pool::{self, Kind, Text};
use crate::{Answer, Extents, Failure, code, failed, settings};

pub const READWRITE: u32 = 1;
pub const MAP: u32 = 2;
pub const DMABUF: u32 = 4;
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
    pub home: Arc<Home>,
    service: u64,
    devices: Vec<Lasting>,
    /// The array of larodListDevices that was given last.
    listed: Mutex<Option<Array>>,
    models: Mutex<Vec<Arc<Core>>>,
    tracked: Arc<AtomicUsize>,
    /// Memory of tensors that were destroyed, where it lasts until the connection ends.
    memory: Mutex<Vec<OwnedFd>>,
}

/// A device, for as long as its connection is open.
struct Lasting(*mut Device);
/// An array of devices.
struct Array(*mut *const Device);

// SAFETY: only the library writes there, under the rules of the caller's turn.
unsafe impl Send for Lasting {}
// SAFETY: as above.
unsafe impl Sync for Lasting {}
// SAFETY: as above.
unsafe impl Send for Array {}

impl Drop for Lasting {
    fn drop(&mut self) {
        drop(pool::end(Kind::Device, self.0, "its connection was closed"));
    }
}

impl Connection {
    pub fn open() -> Answer<Self> {
        faults::meet(At::Connect)?;
        SESSIONS.fetch_add(1, Ordering::SeqCst);
        let chip = settings::get("SPOTTER_SIM_CHIP").unwrap_or_else(|| "artpec8".to_owned());
        let home = Home::new();
        let make = |(name, role): &(&'static str, Role)| {
            let device = Device { home: home.clone(), name, c_name: Text::new(name), role: *role };
            Lasting(pool::make(Kind::Device, device))
        };
        let prepares = settings::get("SPOTTER_SIM_PREPARE").is_none_or(|value| value != "no");
        Ok(Self {
            service: SERVICE.load(Ordering::SeqCst),
            devices: device::of_chip(&chip)
                .iter()
                .filter(|(_, role)| prepares || !role.prepares())
                .map(make)
                .collect(),
            listed: Mutex::default(),
            models: Mutex::default(),
            tracked: Arc::default(),
            memory: Mutex::default(),
            home,
        })
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

    /// The array of devices, which stays the connection's, and how many there are. Nobody says how long the array
    /// itself lasts: until the connection ends, or (`SPOTTER_SIM_ARRAYS=rebuilt`) until the next call.
    pub fn devices(&self) -> (*mut *const Device, usize) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if settings::get("SPOTTER_SIM_ARRAYS").is_some_and(|value| value == "rebuilt")
            && let Some(Array(old)) = listed.take()
        {
            pool::forget(old, "larodListDevices was called again");
        }
        let make = || {
            let all: Vec<*const Device> = self.devices.iter().map(|device| device.0.cast_const()).collect();
            Array(pool::array(Kind::Devices, &all))
        };
        (listed.get_or_insert_with(make).0, self.devices.len())
    }

    pub fn device(&self, name: &str) -> Option<*const Device> {
        // SAFETY: devices live as long as the connection.
        self.devices.iter().map(|device| device.0.cast_const()).find(|d| unsafe { (**d).name } == name)
    }

    pub fn models(&self) -> Vec<Arc<Core>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn load(&self, fd: c_int, device: &Device, name: &str, params: Option<&Map>) -> Answer<Arc<Core>> {
        self.alive()?;
        faults::meet_on(At::Load, Some(device.name))?;
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
        faults::meet_on(At::Load, Some(device.name))?;
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

    pub fn allocate(&self, core: &Core, input: bool, wanted: u32) -> Answer<Vec<Tensor>> {
        self.alive()?;
        let props = core.role.memory(input, wanted)?;
        let allocate = |spec: &Spec| {
            let bytes = spec.bytes();
            let fd = rustix::fs::memfd_create("larod", MemfdFlags::CLOEXEC).map_err(system)?;
            rustix::fs::ftruncate(&fd, bytes as u64).map_err(system)?;
            let mut tensor = Tensor::of(spec, &core.home);
            (tensor.fd, tensor.fd_size, tensor.props) = (fd.as_raw_fd(), bytes, props);
            tensor.own = Some(fd);
            self.track(&mut tensor)?;
            Ok(tensor)
        };
        let specs = if input { &core.inputs } else { &core.outputs };
        specs.iter().map(allocate).collect()
    }

    /// What becomes of the memory of a tensor that is destroyed. larodAllocModelInputs says that it lasts until the
    /// connection ends, larodDestroyTensors that it ends now; Axis' example closes the descriptor itself.
    pub fn destroy(&self, tensor: Tensor) {
        let Some(own) = tensor.own else { return };
        match settings::get("SPOTTER_SIM_BUFFERS").as_deref() {
            Some("connection") => self.memory.lock().unwrap_or_else(PoisonError::into_inner).push(own),
            Some("caller") => drop(own.into_raw_fd()),
            _ => drop(own),
        }
    }

    pub fn track(&self, tensor: &mut Tensor) -> Answer<()> {
        self.alive()?;
        if tensor.tracked.is_some() {
            pool::misuse("the tensor is tracked already");
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
        let params = job.params()?;
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
        check(&job.inputs, &core.inputs, core.role, true)?;
        check(&job.outputs, &core.outputs, core.role, false)?;
        let inputs: Vec<Vec<u8>> = job
            .inputs
            .iter()
            .zip(&core.inputs)
            .map(|(at, spec)| at.read(spec.bytes(), core.role.access(true)))
            .collect::<Answer<_>>()?;
        let outputs = core.run(&inputs, &params)?;
        let least = settings::milliseconds(match core.role.prepares() {
            true => "SPOTTER_SIM_PREPARE_MS",
            false => "SPOTTER_SIM_INFERENCE_MS",
        });
        std::thread::sleep(least.saturating_sub(begun.elapsed()));
        faults::meet(At::Run)?;
        self.alive()?;
        let access = core.role.access(false);
        job.outputs.iter().zip(&outputs).try_for_each(|(at, bytes)| at.write(bytes, access))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for core in self.models() {
            core.alive.store(false, Ordering::SeqCst);
        }
        if let Some(Array(listed)) = self.listed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            pool::forget(listed, "its connection was closed");
        }
        self.home.close();
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
    /// Of the connection that it came from; `None` where it came from none.
    pub home: Option<Arc<Home>>,
    pub dims: Extents,
    pub pitches: Extents,
    pub kind: c_int,
    pub layout: c_int,
    pub name: Text,
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
            home: None,
            name: Text::new(""),
            fd: -1,
            fd_size: 0,
            fd_offset: 0,
            props: READWRITE,
            tracked: None,
            own: None,
        }
    }

    pub fn of(spec: &Spec, home: &Arc<Home>) -> Self {
        Self {
            home: Some(home.clone()),
            dims: Extents::of(&spec.dims),
            pitches: Extents::of(&spec.pitches),
            kind: spec.kind,
            layout: spec.layout,
            name: Text::new(&spec.name),
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
    /// Where the tensor was.
    pub address: usize,
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
            address: std::ptr::from_ref(tensor) as usize,
        })
    }

    /// The service's descriptor, else the caller's of this moment.
    fn open(&self) -> Answer<OwnedFd> {
        match &self.tracked {
            Some(tracked) => tracked.fd.try_clone().map_err(|error| Failure(code::FD, error.to_string())),
            None => duplicate(self.fd),
        }
    }

    fn read(&self, bytes: usize, access: u32) -> Answer<Vec<u8>> {
        let fd = self.open()?;
        let mut read = vec![0; bytes];
        if self.props & access & (MAP | DMABUF) != 0 {
            fill(&fd, &mut read, self.offset as u64)?;
        } else {
            // As a file it is read from its offset on, wherever it stood.
            let begin = self.offset as u64;
            fill(&fd, &mut read, begin)?;
            rustix::fs::seek(&fd, SeekFrom::Start(begin + bytes as u64)).map_err(system)?;
        }
        Ok(read)
    }

    fn write(&self, bytes: &[u8], access: u32) -> Answer<()> {
        let fd = self.open()?;
        // As a file it is written where it stands, says larodRunJob; larodSetTensorFdOffset says at its offset.
        let stands = settings::get("SPOTTER_SIM_FILES").is_none_or(|value| value != "offset");
        let place = match self.props & access & (MAP | DMABUF) == 0 && stands {
            true => rustix::fs::tell(&fd).map_err(system)?,
            false => self.offset as u64,
        };
        let mut done = 0;
        while done < bytes.len() {
            done += rustix::io::pwrite(&fd, &bytes[done..], place + done as u64).map_err(system)?;
        }
        if self.props & access & (MAP | DMABUF) == 0 {
            rustix::fs::seek(&fd, SeekFrom::Start(place + bytes.len() as u64)).map_err(system)?;
        }
        Ok(())
    }
}

/// Whether what a job has fits the model; what is not said is not checked.
fn check(given: &[Copied], wanted: &[Spec], role: Role, input: bool) -> Answer<()> {
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
        if tensor.props & role.access(input) == 0 {
            return failed(
                code::FD,
                format!("the device has no way to access memory of the kind {}", tensor.props),
            );
        }
        if tensor.size != 0 && tensor.size < spec.bytes() {
            return mismatch(format!("{} bytes, the model takes {}", tensor.size, spec.bytes()));
        }
        if tensor.offset != 0 && role == Role::EdgeTpu {
            return mismatch(format!("the offset {}, the Edge TPU takes 0", tensor.offset));
        }
    }
    Ok(())
}

/// Parameters of a job.
pub enum Params {
    /// larodSetJobRequestParams copies them.
    Copied(Map),
    /// larodCreateJobRequest is not said to: what it was given must be there when the job runs.
    Referred(*const Map),
    None,
}

/// `larodJobRequest`.
pub struct Job {
    pub core: Arc<Core>,
    pub inputs: Vec<Copied>,
    pub outputs: Vec<Copied>,
    pub params: Params,
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

    /// The parameters as they are now.
    fn params(&self) -> Answer<Map> {
        match &self.params {
            Params::Copied(map) => Ok(map.clone()),
            Params::Referred(map) => {
                pool::check(Kind::Map, *map);
                // SAFETY: it is alive.
                Ok(unsafe { &**map }.clone())
            }
            Params::None => Ok(Map::default()),
        }
    }

    /// For an asynchronous run.
    pub fn copied(&self) -> Answer<Self> {
        Ok(Self {
            core: self.core.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            params: Params::Copied(self.params()?),
            _priority: self._priority,
        })
    }

    /// Notes that it runs.
    pub fn running(&self) -> home::Running {
        home::Running::new(self.inputs.iter().chain(&self.outputs).map(|tensor| tensor.address).collect())
    }
}

/// A value of a map.
#[derive(Clone)]
pub enum Value {
    Text(Text),
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
        if let Some(old) = self.0.get(&key)
            && std::mem::discriminant(old) != std::mem::discriminant(&value)
        {
            return failed(code::EINVAL, format!("{key} has a value of another type"));
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
