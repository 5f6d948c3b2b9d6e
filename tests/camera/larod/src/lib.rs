//! A stand-in for a camera's `liblarod.so.1`: the C interface of liblarod 3 over TensorFlow Lite on the processor.
//!
//! It is for tests. It follows the documentation of `larod.h` sentence by sentence (docs/design/larod.md has them with
//! their sources) and aborts, with a sentence on stderr, where a caller breaks one of them: a pointer that is not this
//! library's or whose life has ended, a second destroy, a wrong count, an error that was not cleared, a call from
//! another thread or from a callback. Where the documentation is open it has both behaviours, by variables.
//!
//! Environment (or `spotterSimSet` for a test in the same process):
//!
//! | variable | |
//! |---|---|
//! | `SPOTTER_SIM_CHIP` | `artpec7`, `artpec8` (default), `artpec9`, `cv25`, `cv75`: devices, and what they take; `artpec7-without-tpu`; `artpec10`, which nobody knows |
//! | `SPOTTER_SIM_LOAD_MS` | how long a model compiles on an accelerator when it is first loaded |
//! | `SPOTTER_SIM_INFERENCE_MS` | how long a job of a model takes at least |
//! | `SPOTTER_SIM_PREPARE_MS` | how long a job that prepares a picture takes at least |
//! | `SPOTTER_SIM_CV25_ROWS` | `packed`: outputs of CV25 have no gaps between their rows; else these begin at 32 bytes |
//! | `SPOTTER_SIM_PREPARE` | `no`: there is no device that prepares pictures |
//! | `SPOTTER_SIM_DIR` | a folder: `faults` is read at each call, `larod-cache/` remembers compiled models |
//! | `SPOTTER_SIM_TWIN` | the model that runs in place of one compiled for the Edge TPU |
//! | `SPOTTER_SIM_ARRAYS` | `kept` (default): larodListDevices gives one array until the connection ends; `rebuilt`: another at each call, and the one before is gone |
//! | `SPOTTER_SIM_BUFFERS` | who ends allocated memory: `destroy` (default) larodDestroyTensors, `connection` its end, `caller` nobody but the caller |
//! | `SPOTTER_SIM_FILES` | where outputs are written as files: `position` (default) where they stand, `offset` at their tensor's offset |
//! | `SPOTTER_SIM_THREADS` | `own` (default): all calls on a connection come from the thread that made it; `turns`: from any thread, one at a time |
//! | `SPOTTER_TFLITE` | TensorFlow Lite's C library |
//!
//! `faults` has one fault a line; lines of other words are for others. A fault lasts as long as its line is there.
//!
//! | line | what happens |
//! |---|---|
//! | `larod power load`, `larod power run` | `LAROD_ERROR_POWER_NOT_AVAILABLE` |
//! | `larod crash load`, `larod crash run` | the service breaks down: `LAROD_ERROR_CONNECTION`, and every connection is dead |
//! | `larod restart` | the service is away: nobody can connect, and every connection is dead |
//! | `larod job run` | `LAROD_ERROR_JOB` |
//! | `larod job prepare`, `larod crash prepare` | the same, of loads and jobs of preprocessing models alone |
//! | `larod alloc load`, `larod memory load`, `larod tensors load` | no memory: `LAROD_ERROR_ALLOC`, or `LAROD_ERROR_LOAD_MODEL` in plain words, or in words that may mean something else |
//! | `larod wedge run` | a call that meets it does not return until there is a line `larod unwedge`; later calls do |
//! | `larod hang connect`, `larod hang load`, `larod hang run` | the call does not return |
//!
//! A fault at `load` may end with the name of a device, and is met there alone. How often the service
//! has fallen over (`crash`) is the number of lines in the file `larod-falls`.
//!
//! A model for CV25 is a file of `model::CV25_MARK` and a TensorFlow Lite model behind it.

mod device;
mod faults;
mod home;
mod model;
mod objects;
mod pool;
mod preprocess;
mod settings;
mod tflite;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use home::outside_callbacks;
use objects::{Connection, Job, Map, Model, Params, Tensor, Value};
use pool::{Kind, Text, misuse};

/// An error: a code of larod's, and what happened.
pub struct Failure(pub c_int, pub String);

type Answer<T> = Result<T, Failure>;

fn failed<T>(code: c_int, text: impl Into<String>) -> Answer<T> {
    Err(Failure(code, text.into()))
}

/// `larodError`.
#[repr(C)]
pub struct LarodError {
    code: c_int,
    msg: *const c_char,
}

/// `larodTensorDims` and `larodTensorPitches`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq)]
pub struct Extents {
    values: [usize; 12],
    len: usize,
}

impl Extents {
    fn of(values: &[usize]) -> Self {
        let mut all = [0; 12];
        all[..values.len()].copy_from_slice(values);
        Self { values: all, len: values.len() }
    }

    fn values(&self) -> &[usize] {
        &self.values[..self.len.min(12)]
    }
}

/// The codes, by their names in the interface.
mod code {
    use std::ffi::c_int;
    pub const JOB: c_int = -1;
    pub const LOAD_MODEL: c_int = -2;
    pub const FD: c_int = -3;
    pub const MODEL_NOT_FOUND: c_int = -4;
    pub const CONNECTION: c_int = -6;
    pub const INVALID_CHIP_ID: c_int = -9;
    pub const INVALID_ACCESS: c_int = -10;
    pub const TENSOR_MISMATCH: c_int = -12;
    pub const ALLOC: c_int = -14;
    pub const POWER_NOT_AVAILABLE: c_int = -15;
    pub const EINVAL: c_int = 22;
    pub const ECONNREFUSED: c_int = 111;
}

type Fault = *mut *mut LarodError;

/// Gives the answer, or fills in the error and gives `absent`.
unsafe fn give<T>(error: Fault, absent: T, answer: Answer<T>) -> T {
    match answer {
        Ok(value) => value,
        Err(Failure(code, text)) => {
            if !error.is_null() {
                let text = Text::new(&text);
                let made = LarodError { code, msg: text.as_ptr() };
                // larodClearError ends it.
                std::mem::forget(text);
                // SAFETY: the caller gives a place for the error or null.
                unsafe { *error = pool::make(Kind::Error, made) };
            }
            absent
        }
    }
}

/// A place that the caller gives to be filled in.
macro_rules! place {
    ($pointer:expr) => {
        // SAFETY: the caller's place: the interface's contract.
        unsafe { $pointer.as_mut() }.ok_or(Failure(code::EINVAL, "a null pointer was given".into()))?
    };
}

/// A handle of this library's that is alive.
fn handle<'a, T>(kind: Kind, pointer: *const T) -> Answer<&'a T> {
    if pointer.is_null() {
        return failed(code::EINVAL, "a null pointer was given");
    }
    pool::check(kind, pointer);
    // SAFETY: it is alive, and its owner's turn keeps it so.
    Ok(unsafe { &*pointer })
}

/// The same, to be changed.
fn handle_mut<'a, T>(kind: Kind, pointer: *mut T) -> Answer<&'a mut T> {
    handle(kind, pointer)?;
    // SAFETY: as above, and nobody else uses it meanwhile.
    Ok(unsafe { &mut *pointer })
}

/// A handle, and its owner's turn for as long as `$turn` is there.
macro_rules! enter {
    ($turn:ident, Connection, $pointer:expr) => {{
        let found = handle(Kind::Connection, $pointer)?;
        $turn = found.home.enter();
        found
    }};
    ($turn:ident, Model, $pointer:expr) => {{
        let found = handle(Kind::Model, $pointer)?;
        $turn = found.core.home.enter();
        found
    }};
    ($turn:ident, Tensor, $pointer:expr) => {{
        let pointer = $pointer as *mut Tensor;
        let found = handle_mut(Kind::Tensor, pointer)?;
        outside_callbacks();
        $turn = found.home.as_ref().map(|home| home.enter());
        // SAFETY: as in handle_mut; the turn borrows what lives as long as the tensor.
        unsafe { &mut *pointer }
    }};
}

/// A C function whose last argument is the error: its body answers, a failure gives `absent`.
macro_rules! export {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $ret:ty, else $absent:expr; $body:block)*) => {$(
        /// As liblarod's function of this name.
        ///
        /// # Safety
        /// As liblarod's function of this name.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($arg: $type,)* error: Fault) -> $ret {
            pool::call(stringify!($name));
            // SAFETY: null or the caller's place for the error.
            if unsafe { error.as_ref() }.is_some_and(|error| !error.is_null()) {
                misuse("the error that was given is not NULL; larodClearError clears it");
            }
            let body = || -> Answer<$ret> { $body };
            // SAFETY: the caller's place for the error.
            unsafe { give(error, $absent, body()) }
        }
    )*};
}

/// What a pointer to a handle points to, where it is not null; the handle becomes null.
fn taken<T>(pointer: *mut *mut T) -> Option<*mut T> {
    // SAFETY: null or the caller's place for a handle.
    let place = unsafe { pointer.as_mut() }?;
    let handle = std::mem::replace(place, ptr::null_mut());
    (!handle.is_null()).then_some(handle)
}

/// As liblarod's function of this name.
///
/// # Safety
/// As liblarod's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn larodDestroyModel(model: *mut *mut Model) {
    pool::call("larodDestroyModel");
    if let Some(model) = taken(model) {
        let Ok(found) = handle(Kind::Model, model) else { return };
        let home = found.core.home.clone();
        let _turn = home.enter_to_destroy();
        // Only the handle: the service keeps the model until larodDeleteModel or the connection's end.
        drop(pool::end(Kind::Model, model, "larodDestroyModel freed it"));
    }
}

/// As liblarod's function of this name.
///
/// # Safety
/// As liblarod's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn larodDestroyJobRequest(job: *mut *mut Job) {
    pool::call("larodDestroyJobRequest");
    if let Some(job) = taken(job) {
        let Ok(found) = handle(Kind::Job, job) else { return };
        let home = found.core.home.clone();
        let _turn = home.enter_to_destroy();
        drop(pool::end(Kind::Job, job, "larodDestroyJobRequest freed it"));
    }
}

/// As liblarod's function of this name. Nothing says that the pointer becomes null, so it stays.
///
/// # Safety
/// As liblarod's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn larodDestroyMap(map: *mut *mut Map) {
    pool::call("larodDestroyMap");
    // SAFETY: null or the caller's place for a handle.
    if let Some(map) = unsafe { map.as_ref() }.copied().filter(|map| !map.is_null()) {
        drop(pool::end(Kind::Map, map, "larodDestroyMap freed it"));
    }
}

/// As liblarod's function of this name.
///
/// # Safety
/// As liblarod's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn larodClearError(error: Fault) {
    pool::call("larodClearError");
    if let Some(error) = taken(error) {
        outside_callbacks();
        clear(error);
    }
}

fn clear(error: *mut LarodError) {
    let LarodError { msg, .. } = pool::end(Kind::Error, error, "larodClearError freed it");
    pool::forget(msg.cast_mut(), "larodClearError freed its error");
}

/// Sets one of the variables of this library for this process; not part of liblarod.
///
/// # Safety
/// Both are texts that end with a zero.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn spotterSimSet(key: *const c_char, value: *const c_char) {
    // SAFETY: the caller's texts.
    let (key, value) = unsafe { (CStr::from_ptr(key), CStr::from_ptr(value)) };
    settings::set(&key.to_string_lossy(), &value.to_string_lossy());
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
}

/// Sizes in an array of malloc's: the one kind of which the documentation says that the caller calls `free()`.
fn sizes(values: &[usize], count: *mut usize) -> Answer<*mut usize> {
    // SAFETY: null or the caller's place.
    if let Some(count) = unsafe { count.as_mut() } {
        *count = values.len();
    }
    // SAFETY: the memory has room for the values and is fresh; one byte at least, so that it is not null.
    unsafe {
        let array: *mut usize = malloc(size_of_val(values).max(1)).cast();
        if !array.is_null() {
            ptr::copy_nonoverlapping(values.as_ptr(), array, values.len());
        }
        Ok(array)
    }
}

/// Hands over tensors, and how many there are where the caller wants to know.
fn tensors(values: Vec<Tensor>, count: *mut usize) -> Answer<*mut *mut Tensor> {
    // SAFETY: null or the caller's place.
    if let Some(count) = unsafe { count.as_mut() } {
        *count = values.len();
    }
    let pointers: Vec<*mut Tensor> =
        values.into_iter().map(|value| pool::make(Kind::Tensor, value)).collect();
    Ok(pool::array(Kind::Tensors, &pointers))
}

/// The tensors of a caller's array.
fn all<'a>(pointers: *const *mut Tensor, count: usize) -> Answer<Vec<&'a Tensor>> {
    if pointers.is_null() && count > 0 {
        return failed(code::EINVAL, "a null array was given");
    }
    // SAFETY: the caller's array of `count` pointers.
    (0..count).map(|index| handle(Kind::Tensor, unsafe { *pointers.add(index) }.cast_const())).collect()
}

fn text(pointer: *const c_char) -> Answer<String> {
    if pointer.is_null() {
        return failed(code::EINVAL, "a null text was given");
    }
    // SAFETY: the caller's text ends with a zero.
    Ok(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// Calls back on a thread of its own when `work` is done.
struct Sendable<T>(T);
// SAFETY: liblarod's asynchronous calls hand these pointers to a thread of the library; the caller keeps them alive.
unsafe impl<T> Send for Sendable<T> {}

type LoadCallback = unsafe extern "C" fn(*mut Model, *mut c_void, *mut LarodError);
type JobCallback = unsafe extern "C" fn(*mut c_void, *mut LarodError);

export! {
    fn larodConnect(connection: *mut *mut Connection) -> bool, else false; {
        outside_callbacks();
        let place = place!(connection);
        *place = pool::make(Kind::Connection, Connection::open()?);
        Ok(true)
    }
    fn larodDisconnect(connection: *mut *mut Connection) -> bool, else false; {
        if let Some(connection) = taken(connection) {
            let home = handle(Kind::Connection, connection)?.home.clone();
            let _turn = home.enter();
            drop(pool::end(Kind::Connection, connection, "larodDisconnect freed it"));
        }
        Ok(true)
    }
    fn larodGetNumSessions(connection: *mut Connection, count: *mut u64) -> bool, else false; {
        let _turn;
        enter!(_turn, Connection, connection).alive()?;
        *place!(count) = objects::sessions();
        Ok(true)
    }
    fn larodListDevices(connection: *mut Connection, count: *mut usize) -> *mut *const device::Device, else ptr::null_mut(); {
        let _turn;
        let connection = enter!(_turn, Connection, connection);
        connection.alive()?;
        let (array, number) = connection.devices();
        *place!(count) = number;
        Ok(array)
    }
    fn larodGetDevice(connection: *const Connection, name: *const c_char, instance: u32) -> *const device::Device, else ptr::null(); {
        let _turn;
        let connection = enter!(_turn, Connection, connection);
        let name = text(name)?;
        match connection.device(&name) {
            Some(device) if instance == 0 => Ok(device),
            _ => failed(code::INVALID_CHIP_ID, format!("there is no device {name} {instance}")),
        }
    }
    fn larodGetDeviceName(device: *const device::Device) -> *const c_char, else ptr::null(); {
        let device = handle(Kind::Device, device)?;
        let _turn = device.home.enter();
        Ok(device.c_name.as_ptr())
    }
    fn larodGetDeviceInstance(device: *const device::Device, instance: *mut u32) -> bool, else false; {
        let device = handle(Kind::Device, device)?;
        let _turn = device.home.enter();
        *place!(instance) = 0;
        Ok(true)
    }
    fn larodLoadModel(connection: *mut Connection, fd: c_int, device: *const device::Device, access: c_int, name: *const c_char, params: *const Map) -> *mut Model, else ptr::null_mut(); {
        let _turn;
        let connection = enter!(_turn, Connection, connection);
        load(connection, fd, device, access, &text(name)?, params)
    }
    fn larodLoadModelAsync(connection: *mut Connection, fd: c_int, device: *const device::Device, access: c_int, name: *const c_char, params: *const Map, callback: LoadCallback, user: *mut c_void) -> bool, else false; {
        let _turn;
        enter!(_turn, Connection, connection);
        let name = text(name)?;
        let all = Sendable((connection, fd, device, access, name, params, callback, user));
        std::thread::spawn(move || {
            let Sendable((connection, fd, device, access, name, params, callback, user)) = { all };
            pool::call("larodLoadModelAsync");
            let mut error = ptr::null_mut();
            let answer = handle(Kind::Connection, connection.cast_const())
                .and_then(|connection| load(connection, fd, device, access, &name, params));
            // SAFETY: the caller keeps the arguments alive until it is called back.
            let model = unsafe { give(&mut error, ptr::null_mut(), answer) };
            // SAFETY: the caller's function.
            home::call_back(|| unsafe { callback(model, user, error) });
            if !error.is_null() {
                clear(error);
            }
        });
        Ok(true)
    }
    fn larodGetModel(connection: *mut Connection, id: u64) -> *mut Model, else ptr::null_mut(); {
        let _turn;
        match enter!(_turn, Connection, connection).models().into_iter().find(|core| core.id == id) {
            Some(core) => Ok(pool::make(Kind::Model, Model { core })),
            None => failed(code::MODEL_NOT_FOUND, format!("there is no model {id}")),
        }
    }
    fn larodGetModels(connection: *mut Connection, count: *mut usize) -> *mut *mut Model, else ptr::null_mut(); {
        let _turn;
        let models = enter!(_turn, Connection, connection).models();
        *place!(count) = models.len();
        let pointers: Vec<*mut Model> =
            models.into_iter().map(|core| pool::make(Kind::Model, Model { core })).collect();
        // Where there are none, the array still has one element, NULL.
        Ok(pool::array(Kind::Models, &pointers))
    }
    fn larodDeleteModel(connection: *mut Connection, model: *mut Model) -> bool, else false; {
        let (_turn, _model_turn);
        let connection = enter!(_turn, Connection, connection);
        connection.alive()?;
        connection.delete(enter!(_model_turn, Model, model).core.id)?;
        Ok(true)
    }
    fn larodGetModelId(model: *const Model) -> u64, else u64::MAX; { let _turn; Ok(enter!(_turn, Model, model).core.id) }
    fn larodGetModelDevice(model: *const Model) -> *const device::Device, else ptr::null(); { let _turn; Ok(enter!(_turn, Model, model).core.device) }
    fn larodGetModelSize(model: *const Model) -> usize, else 0; { let _turn; Ok(enter!(_turn, Model, model).core.size) }
    fn larodGetModelName(model: *const Model) -> *const c_char, else ptr::null(); { let _turn; Ok(enter!(_turn, Model, model).core.name.as_ptr()) }
    fn larodGetModelAccess(model: *const Model) -> c_int, else 0; { let _turn; enter!(_turn, Model, model); Ok(1) }
    fn larodGetModelNumInputs(model: *const Model) -> usize, else 0; { let _turn; Ok(enter!(_turn, Model, model).core.inputs.len()) }
    fn larodGetModelNumOutputs(model: *const Model) -> usize, else 0; { let _turn; Ok(enter!(_turn, Model, model).core.outputs.len()) }
    fn larodGetModelInputByteSizes(model: *const Model, count: *mut usize) -> *mut usize, else ptr::null_mut(); {
        let _turn;
        let all: Vec<usize> = enter!(_turn, Model, model).core.inputs.iter().map(|spec| spec.bytes()).collect();
        sizes(&all, count)
    }
    fn larodGetModelOutputByteSizes(model: *const Model, count: *mut usize) -> *mut usize, else ptr::null_mut(); {
        let _turn;
        let all: Vec<usize> = enter!(_turn, Model, model).core.outputs.iter().map(|spec| spec.bytes()).collect();
        sizes(&all, count)
    }
    fn larodCreateModelInputs(model: *const Model, count: *mut usize) -> *mut *mut Tensor, else ptr::null_mut(); {
        let _turn;
        let core = &enter!(_turn, Model, model).core;
        tensors(core.inputs.iter().map(|spec| Tensor::of(spec, &core.home)).collect(), count)
    }
    fn larodCreateModelOutputs(model: *const Model, count: *mut usize) -> *mut *mut Tensor, else ptr::null_mut(); {
        let _turn;
        let core = &enter!(_turn, Model, model).core;
        tensors(core.outputs.iter().map(|spec| Tensor::of(spec, &core.home)).collect(), count)
    }
    fn larodAllocModelInputs(connection: *mut Connection, model: *const Model, props: u32, count: *mut usize, _params: *mut Map) -> *mut *mut Tensor, else ptr::null_mut(); {
        let (_turn, _model_turn);
        let connection = enter!(_turn, Connection, connection);
        tensors(connection.allocate(&enter!(_model_turn, Model, model).core, true, props)?, count)
    }
    fn larodAllocModelOutputs(connection: *mut Connection, model: *const Model, props: u32, count: *mut usize, _params: *mut Map) -> *mut *mut Tensor, else ptr::null_mut(); {
        let (_turn, _model_turn);
        let connection = enter!(_turn, Connection, connection);
        tensors(connection.allocate(&enter!(_model_turn, Model, model).core, false, props)?, count)
    }
    fn larodCreateTensors(count: usize) -> *mut *mut Tensor, else ptr::null_mut(); {
        outside_callbacks();
        tensors((0..count).map(|_| Tensor::blank()).collect(), ptr::null_mut())
    }
    fn larodDestroyTensors(connection: *mut Connection, array: *mut *mut *mut Tensor, count: usize) -> bool, else false; {
        let _turn;
        let connection = enter!(_turn, Connection, connection);
        let Some(array) = taken(array) else { return Ok(true) };
        let known = pool::check(Kind::Tensors, array.cast_const());
        if count != known {
            misuse(format_args!("{count} tensors are said to be in an array of {known}"));
        }
        for index in 0..count {
            // SAFETY: the array is alive and has `count` elements.
            let tensor = unsafe { *array.add(index) };
            pool::check(Kind::Tensor, tensor.cast_const());
            home::not_running(tensor as usize);
            connection.destroy(pool::end(Kind::Tensor, tensor, "larodDestroyTensors freed it"));
        }
        pool::forget(array, "larodDestroyTensors freed it");
        Ok(true)
    }
    fn larodSetTensorDims(tensor: *mut Tensor, dims: *const Extents) -> bool, else false; { let _turn; enter!(_turn, Tensor, tensor).dims = *place!(dims.cast_mut()); Ok(true) }
    fn larodGetTensorDims(tensor: *const Tensor) -> *const Extents, else ptr::null(); { let _turn; Ok(&raw const enter!(_turn, Tensor, tensor).dims) }
    fn larodSetTensorPitches(tensor: *mut Tensor, pitches: *const Extents) -> bool, else false; { let _turn; enter!(_turn, Tensor, tensor).pitches = *place!(pitches.cast_mut()); Ok(true) }
    fn larodGetTensorPitches(tensor: *const Tensor) -> *const Extents, else ptr::null(); { let _turn; Ok(&raw const enter!(_turn, Tensor, tensor).pitches) }
    fn larodSetTensorDataType(tensor: *mut Tensor, kind: c_int) -> bool, else false; { let _turn; enter!(_turn, Tensor, tensor).kind = kind; Ok(true) }
    fn larodGetTensorDataType(tensor: *const Tensor) -> c_int, else 0; { let _turn; Ok(enter!(_turn, Tensor, tensor).kind) }
    fn larodSetTensorLayout(tensor: *mut Tensor, layout: c_int) -> bool, else false; { let _turn; enter!(_turn, Tensor, tensor).layout = layout; Ok(true) }
    fn larodGetTensorLayout(tensor: *const Tensor) -> c_int, else 0; { let _turn; Ok(enter!(_turn, Tensor, tensor).layout) }
    fn larodSetTensorFd(tensor: *mut Tensor, fd: c_int) -> bool, else false; { let _turn; enter!(_turn, Tensor, tensor).untracked()?.fd = fd; Ok(true) }
    fn larodGetTensorFd(tensor: *const Tensor) -> c_int, else c_int::MIN; { let _turn; Ok(enter!(_turn, Tensor, tensor).fd) }
    fn larodSetTensorFdSize(tensor: *mut Tensor, size: usize) -> bool, else false; { let _turn; enter!(_turn, Tensor, tensor).untracked()?.fd_size = size; Ok(true) }
    fn larodGetTensorFdSize(tensor: *const Tensor, size: *mut usize) -> bool, else false; { let _turn; *place!(size) = enter!(_turn, Tensor, tensor).fd_size; Ok(true) }
    fn larodSetTensorFdOffset(tensor: *mut Tensor, offset: i64) -> bool, else false; {
        let _turn;
        let tensor = enter!(_turn, Tensor, tensor).untracked()?;
        if offset < 0 {
            return failed(code::EINVAL, "negative offsets are not allowed");
        }
        tensor.fd_offset = offset;
        Ok(true)
    }
    fn larodGetTensorFdOffset(tensor: *const Tensor) -> i64, else -1; { let _turn; Ok(enter!(_turn, Tensor, tensor).fd_offset) }
    fn larodSetTensorFdProps(tensor: *mut Tensor, props: u32) -> bool, else false; {
        let _turn;
        let tensor = enter!(_turn, Tensor, tensor).untracked()?;
        if props == 0 {
            return failed(code::EINVAL, "0 is not valid as fd properties");
        }
        tensor.props = props;
        Ok(true)
    }
    fn larodGetTensorFdProps(tensor: *const Tensor, props: *mut u32) -> bool, else false; { let _turn; *place!(props) = enter!(_turn, Tensor, tensor).props; Ok(true) }
    fn larodBuildTensorDims(tensor: *mut Tensor, layout: c_int, width: usize, height: usize, channels: usize) -> bool, else false; {
        let dims = objects::picture_dims(layout, width, height, channels)?;
        let _turn;
        let tensor = enter!(_turn, Tensor, tensor);
        (tensor.dims, tensor.layout) = (Extents::of(&dims), layout);
        Ok(true)
    }
    fn larodBuildTensorPitches(tensor: *mut Tensor, layout: c_int, pitch: usize, height: usize, channels: usize) -> bool, else false; {
        let _turn;
        enter!(_turn, Tensor, tensor).pitches = Extents::of(&objects::picture_pitches(layout, pitch, height, channels)?);
        Ok(true)
    }
    fn larodGetTensorName(tensor: *const Tensor) -> *const c_char, else ptr::null(); { let _turn; Ok(enter!(_turn, Tensor, tensor).name.as_ptr()) }
    fn larodGetTensorByteSize(tensor: *const Tensor, size: *mut usize) -> bool, else false; { let _turn; *place!(size) = enter!(_turn, Tensor, tensor).bytes(); Ok(true) }
    fn larodTrackTensor(connection: *mut Connection, tensor: *mut Tensor) -> bool, else false; {
        let (_turn, _tensor_turn);
        let connection = enter!(_turn, Connection, connection);
        connection.track(enter!(_tensor_turn, Tensor, tensor))?;
        Ok(true)
    }
    fn larodConvertVmemFdToDmabuf(_fd: c_int, _offset: i64) -> c_int, else c_int::MIN; {
        failed(code::EINVAL, "the simulator has no vmem")
    }
    fn larodCreateMap() -> *mut Map, else ptr::null_mut(); { outside_callbacks(); Ok(pool::make(Kind::Map, Map::default())) }
    fn larodMapSetStr(map: *mut Map, key: *const c_char, value: *const c_char) -> bool, else false; {
        let value = text(value)?;
        if value.len() >= 128 {
            return failed(code::EINVAL, "the text is longer than 128 bytes");
        }
        handle_mut(Kind::Map, map)?.set(text(key)?, Value::Text(Text::new(&value)))
    }
    fn larodMapSetInt(map: *mut Map, key: *const c_char, value: i64) -> bool, else false; { handle_mut(Kind::Map, map)?.set(text(key)?, Value::Int(value)) }
    fn larodMapSetIntArr2(map: *mut Map, key: *const c_char, a: i64, b: i64) -> bool, else false; { handle_mut(Kind::Map, map)?.set(text(key)?, Value::Two([a, b])) }
    fn larodMapSetIntArr4(map: *mut Map, key: *const c_char, a: i64, b: i64, c: i64, d: i64) -> bool, else false; {
        handle_mut(Kind::Map, map)?.set(text(key)?, Value::Four([a, b, c, d]))
    }
    fn larodMapGetStr(map: *mut Map, key: *const c_char) -> *const c_char, else ptr::null(); {
        match handle(Kind::Map, map.cast_const())?.get(&text(key)?)? { Value::Text(text) => Ok(text.as_ptr()), _ => failed(code::EINVAL, "it is no text") }
    }
    fn larodMapGetInt(map: *mut Map, key: *const c_char, value: *mut i64) -> bool, else false; {
        match handle(Kind::Map, map.cast_const())?.get(&text(key)?)? { Value::Int(int) => { *place!(value) = *int; Ok(true) } _ => failed(code::EINVAL, "it is no number") }
    }
    fn larodMapGetIntArr2(map: *mut Map, key: *const c_char) -> *const i64, else ptr::null(); {
        match handle(Kind::Map, map.cast_const())?.get(&text(key)?)? { Value::Two(two) => Ok(two.as_ptr()), _ => failed(code::EINVAL, "it is no pair") }
    }
    fn larodMapGetIntArr4(map: *mut Map, key: *const c_char) -> *const i64, else ptr::null(); {
        match handle(Kind::Map, map.cast_const())?.get(&text(key)?)? { Value::Four(four) => Ok(four.as_ptr()), _ => failed(code::EINVAL, "it is no four") }
    }
    fn larodCreateJobRequest(model: *const Model, inputs: *mut *mut Tensor, in_count: usize, outputs: *mut *mut Tensor, out_count: usize, params: *mut Map) -> *mut Job, else ptr::null_mut(); {
        let _turn;
        let core = enter!(_turn, Model, model).core.clone();
        let (inputs, outputs) = (all(inputs, in_count)?, all(outputs, out_count)?);
        let params = match params.is_null() {
            true => Params::None,
            false => {
                pool::check(Kind::Map, params.cast_const());
                Params::Referred(params)
            }
        };
        let mut job = Job { core: core.clone(), inputs: Vec::new(), outputs: Vec::new(), params, _priority: 50 };
        job.set_inputs(&inputs)?;
        job.set_outputs(&outputs)?;
        Ok(pool::make(Kind::Job, job))
    }
    fn larodSetJobRequestModel(job: *mut Job, model: *const Model) -> bool, else false; {
        let core = handle(Kind::Model, model)?.core.clone();
        let _turn = core.home.enter();
        handle_mut(Kind::Job, job)?.core = core.clone();
        Ok(true)
    }
    fn larodSetJobRequestInputs(job: *mut Job, tensors: *mut *mut Tensor, count: usize) -> bool, else false; {
        let home = handle(Kind::Job, job.cast_const())?.core.home.clone();
        let _turn = home.enter();
        handle_mut(Kind::Job, job)?.set_inputs(&all(tensors, count)?)?;
        Ok(true)
    }
    fn larodSetJobRequestOutputs(job: *mut Job, tensors: *mut *mut Tensor, count: usize) -> bool, else false; {
        let home = handle(Kind::Job, job.cast_const())?.core.home.clone();
        let _turn = home.enter();
        handle_mut(Kind::Job, job)?.set_outputs(&all(tensors, count)?)?;
        Ok(true)
    }
    fn larodSetJobRequestPriority(job: *mut Job, priority: u8) -> bool, else false; {
        if priority > 100 {
            return failed(code::EINVAL, "a priority is 0 to 100");
        }
        let home = handle(Kind::Job, job.cast_const())?.core.home.clone();
        let _turn = home.enter();
        handle_mut(Kind::Job, job)?._priority = priority;
        Ok(true)
    }
    fn larodSetJobRequestParams(job: *mut Job, params: *const Map) -> bool, else false; {
        let home = handle(Kind::Job, job.cast_const())?.core.home.clone();
        let _turn = home.enter();
        handle_mut(Kind::Job, job)?.params = Params::Copied(handle(Kind::Map, params)?.clone());
        Ok(true)
    }
    fn larodRunJob(connection: *mut Connection, job: *const Job) -> bool, else false; {
        let _turn;
        let connection = enter!(_turn, Connection, connection);
        connection.run(handle(Kind::Job, job)?)?;
        Ok(true)
    }
    fn larodRunJobAsync(connection: *mut Connection, job: *const Job, callback: JobCallback, user: *mut c_void) -> bool, else false; {
        let _turn;
        enter!(_turn, Connection, connection);
        let job = handle(Kind::Job, job)?.copied()?;
        let running = job.running();
        let all = Sendable((connection, job, running, callback, user));
        std::thread::spawn(move || {
            let Sendable((connection, job, running, callback, user)) = { all };
            pool::call("larodRunJobAsync");
            let mut error = ptr::null_mut();
            let answer = handle(Kind::Connection, connection.cast_const()).and_then(|c| c.run(&job));
            // SAFETY: the place is there.
            unsafe { give(&mut error, (), answer) };
            drop(running);
            // SAFETY: the caller's function.
            home::call_back(|| unsafe { callback(user, error) });
            if !error.is_null() {
                clear(error);
            }
        });
        Ok(true)
    }
    fn larodExportModel(connection: *mut Connection, _fd: c_int, _out: c_int, _device: *const device::Device, _params: *const Map) -> bool, else false; {
        let _turn;
        enter!(_turn, Connection, connection).alive()?;
        failed(code::LOAD_MODEL, "the simulator has no compiler to export from")
    }
}

fn load(
    connection: &Connection,
    fd: c_int,
    device: *const device::Device,
    access: c_int,
    name: &str,
    params: *const Map,
) -> Answer<*mut Model> {
    if !(1..=2).contains(&access) {
        return failed(code::INVALID_ACCESS, format!("there is no access {access}"));
    }
    let params = if params.is_null() { None } else { Some(handle(Kind::Map, params)?) };
    let device = handle(Kind::Device, device)?;
    if !std::sync::Arc::ptr_eq(&device.home, &connection.home) {
        misuse("the device that was given is of another connection");
    }
    let core = connection.load(fd, device, name, params)?;
    Ok(pool::make(Kind::Model, Model { core }))
}

/// As liblarod's function of this name.
///
/// # Safety
/// As liblarod's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn larodDestroyModels(models: *mut *mut *mut Model, count: usize) {
    pool::call("larodDestroyModels");
    let Some(array) = taken(models) else { return };
    let known = pool::check(Kind::Models, array.cast_const());
    if count != known {
        misuse(format_args!("{count} models are said to be in an array of {known}"));
    }
    for index in 0..count {
        // SAFETY: the array is alive and has `count` elements.
        let model = unsafe { *array.add(index) };
        drop(pool::end(Kind::Model, model, "larodDestroyModels freed it"));
    }
    pool::forget(array, "larodDestroyModels freed it");
}
