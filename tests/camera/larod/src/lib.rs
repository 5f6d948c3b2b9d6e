//! A stand-in for a camera's `liblarod.so.1`: the C interface of liblarod 3 over TensorFlow Lite on the processor.
//!
//! It is for tests. What real cameras do was taken from public descriptions of the interface; what those leave open
//! is an assumption here and no evidence of anything.
//!
//! Environment (or `spotterSimSet` for a test in the same process):
//!
//! | variable | |
//! |---|---|
//! | `SPOTTER_SIM_CHIP` | `artpec7`, `artpec8` (default), `artpec9`, `cv25`: devices, and what they take |
//! | `SPOTTER_SIM_LOAD_MS` | how long a model compiles on an accelerator when it is first loaded |
//! | `SPOTTER_SIM_INFERENCE_MS` | how long a job of a model takes at least |
//! | `SPOTTER_SIM_PREPARE_MS` | how long a job that prepares a picture takes at least |
//! | `SPOTTER_SIM_PREPARE` | `no`: there is no device that prepares pictures |
//! | `SPOTTER_SIM_DIR` | a folder: `faults` is read at each call, `larod-cache/` remembers compiled models |
//! | `SPOTTER_SIM_TWIN` | the model that runs in place of one compiled for the Edge TPU |
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
//! | `larod hang connect`, `larod hang load`, `larod hang run` | the call does not return |
//!
//! A model for CV25 is a file of [`model::CV25_MARK`] and a TensorFlow Lite model behind it.

mod device;
mod faults;
mod model;
mod objects;
mod preprocess;
mod settings;
mod tflite;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use objects::{Connection, Job, Map, Model, Tensor, Value};

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
                let msg = CString::new(text.replace('\0', " ")).unwrap_or_default().into_raw();
                // SAFETY: the caller gives a place for the error or null.
                unsafe { *error = Box::into_raw(Box::new(LarodError { code, msg })) };
            }
            absent
        }
    }
}

/// A reference to what a caller's pointer points to.
macro_rules! look {
    ($pointer:expr) => {
        // SAFETY: null, or a pointer that this library gave and that was not destroyed: the interface's contract.
        unsafe { $pointer.as_ref() }.ok_or(Failure(code::EINVAL, "a null pointer was given".into()))?
    };
}

macro_rules! look_mut {
    ($pointer:expr) => {
        // SAFETY: as above, and nobody else uses it meanwhile: the interface's contract.
        unsafe { $pointer.as_mut() }.ok_or(Failure(code::EINVAL, "a null pointer was given".into()))?
    };
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
            let body = || -> Answer<$ret> { $body };
            // SAFETY: the caller's place for the error.
            unsafe { give(error, $absent, body()) }
        }
    )*};
}

/// A value that is destroyed: its pointer becomes null.
macro_rules! destroy {
    ($(fn $name:ident($type:ty);)*) => {$(
        /// As liblarod's function of this name.
        ///
        /// # Safety
        /// As liblarod's function of this name.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name(pointer: *mut *mut $type) {
            // SAFETY: the caller gives a pointer that this library made, or null.
            unsafe {
                if !pointer.is_null() && !(*pointer).is_null() {
                    drop(Box::from_raw(*pointer));
                    *pointer = ptr::null_mut();
                }
            }
        }
    )*};
}

destroy! {
    fn larodDestroyModel(Model);
    fn larodDestroyMap(Map);
    fn larodDestroyJobRequest(Job);
}

/// As liblarod's function of this name.
///
/// # Safety
/// As liblarod's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn larodClearError(error: Fault) {
    // SAFETY: the caller's error came from `give`.
    unsafe {
        if !error.is_null() && !(*error).is_null() {
            let taken = Box::from_raw(*error);
            drop(CString::from_raw(taken.msg.cast_mut()));
            *error = ptr::null_mut();
        }
    }
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
    fn free(pointer: *mut c_void);
}

/// An array of malloc's that the caller frees.
fn array<T: Copy>(values: &[T]) -> *mut T {
    // SAFETY: the memory has room for the values and is fresh; one byte at least, so that it is not null.
    unsafe {
        let array: *mut T = malloc(size_of_val(values).max(1)).cast();
        if !array.is_null() {
            ptr::copy_nonoverlapping(values.as_ptr(), array, values.len());
        }
        array
    }
}

/// Hands over an array of boxed values, and how many there are.
fn boxed<T>(values: Vec<T>, count: *mut usize) -> Answer<*mut *mut T> {
    *look_mut!(count) = values.len();
    let pointers: Vec<*mut T> = values.into_iter().map(|value| Box::into_raw(Box::new(value))).collect();
    Ok(array(&pointers))
}

/// The values behind an array of pointers.
fn all<'a, T>(pointers: *const *mut T, count: usize) -> Answer<Vec<&'a T>> {
    if pointers.is_null() && count > 0 {
        return failed(code::EINVAL, "a null array was given");
    }
    // SAFETY: the caller's array of `count` pointers that this library gave.
    (0..count).map(|index| Ok(look!(*pointers.add(index)))).collect()
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

type LoadCallback = unsafe extern "C" fn(*mut c_void, *mut Model, *mut LarodError);
type JobCallback = unsafe extern "C" fn(*mut c_void, *mut LarodError);

export! {
    fn larodConnect(connection: *mut *mut Connection) -> bool, else false; {
        let place = look_mut!(connection);
        *place = Box::into_raw(Box::new(Connection::open()?));
        Ok(true)
    }
    fn larodDisconnect(connection: *mut *mut Connection) -> bool, else false; {
        let place = look_mut!(connection);
        if place.is_null() {
            return failed(code::EINVAL, "there is no connection");
        }
        // SAFETY: it came from larodConnect and is not used any more.
        drop(unsafe { Box::from_raw(*place) });
        *place = ptr::null_mut();
        Ok(true)
    }
    fn larodGetNumSessions(connection: *mut Connection, count: *mut u64) -> bool, else false; {
        look!(connection).alive()?;
        *look_mut!(count) = objects::sessions();
        Ok(true)
    }
    fn larodListDevices(connection: *mut Connection, count: *mut usize) -> *mut *const device::Device, else ptr::null_mut(); {
        let connection = look!(connection);
        connection.alive()?;
        let devices = connection.devices();
        *look_mut!(count) = devices.len();
        Ok(devices.as_ptr().cast_mut())
    }
    fn larodGetDevice(connection: *const Connection, name: *const c_char, instance: u32) -> *const device::Device, else ptr::null(); {
        let name = text(name)?;
        match look!(connection).device(&name) {
            Some(device) if instance == 0 => Ok(device),
            _ => failed(code::INVALID_CHIP_ID, format!("there is no device {name} {instance}")),
        }
    }
    fn larodGetDeviceName(device: *const device::Device) -> *const c_char, else ptr::null(); {
        Ok(look!(device).c_name.as_ptr())
    }
    fn larodGetDeviceInstance(device: *const device::Device, instance: *mut u32) -> bool, else false; {
        look!(device);
        *look_mut!(instance) = 0;
        Ok(true)
    }
    fn larodLoadModel(connection: *mut Connection, fd: c_int, device: *const device::Device, access: c_int, name: *const c_char, params: *const Map) -> *mut Model, else ptr::null_mut(); {
        load(connection, fd, device, access, name, params)
    }
    fn larodLoadModelAsync(connection: *mut Connection, fd: c_int, device: *const device::Device, access: c_int, name: *const c_char, params: *const Map, callback: LoadCallback, user: *mut c_void) -> bool, else false; {
        let name = CString::new(text(name)?).unwrap_or_default();
        let all = Sendable((connection, fd, device, access, name, params, callback, user));
        std::thread::spawn(move || {
            let Sendable((connection, fd, device, access, name, params, callback, user)) = { all };
            let mut error = ptr::null_mut();
            // SAFETY: the caller keeps the arguments alive until it is called back.
            unsafe {
                let answer = load(connection, fd, device, access, name.as_ptr(), params);
                let model = give(&mut error, ptr::null_mut(), answer);
                callback(user, model, error);
                larodClearError(&mut error);
            }
        });
        Ok(true)
    }
    fn larodGetModel(connection: *mut Connection, id: u64) -> *mut Model, else ptr::null_mut(); {
        match look!(connection).models().into_iter().find(|core| core.id == id) {
            Some(core) => Ok(Box::into_raw(Box::new(Model { core }))),
            None => failed(code::MODEL_NOT_FOUND, format!("there is no model {id}")),
        }
    }
    fn larodGetModels(connection: *mut Connection, count: *mut usize) -> *mut *mut Model, else ptr::null_mut(); {
        boxed(look!(connection).models().into_iter().map(|core| Model { core }).collect(), count)
    }
    fn larodDeleteModel(connection: *mut Connection, model: *mut Model) -> bool, else false; {
        look!(connection).delete(look!(model).core.id)?;
        Ok(true)
    }
    fn larodGetModelId(model: *const Model) -> u64, else u64::MAX; { Ok(look!(model).core.id) }
    fn larodGetModelDevice(model: *const Model) -> *const device::Device, else ptr::null(); { Ok(look!(model).core.device) }
    fn larodGetModelSize(model: *const Model) -> usize, else 0; { Ok(look!(model).core.size) }
    fn larodGetModelName(model: *const Model) -> *const c_char, else ptr::null(); { Ok(look!(model).core.name.as_ptr()) }
    fn larodGetModelAccess(model: *const Model) -> c_int, else 0; { look!(model); Ok(1) }
    fn larodGetModelNumInputs(model: *const Model) -> usize, else 0; { Ok(look!(model).core.inputs.len()) }
    fn larodGetModelNumOutputs(model: *const Model) -> usize, else 0; { Ok(look!(model).core.outputs.len()) }
    fn larodGetModelInputByteSizes(model: *const Model, count: *mut usize) -> *mut usize, else ptr::null_mut(); {
        let sizes: Vec<usize> = look!(model).core.inputs.iter().map(|spec| spec.bytes()).collect();
        *look_mut!(count) = sizes.len();
        Ok(array(&sizes))
    }
    fn larodGetModelOutputByteSizes(model: *const Model, count: *mut usize) -> *mut usize, else ptr::null_mut(); {
        let sizes: Vec<usize> = look!(model).core.outputs.iter().map(|spec| spec.bytes()).collect();
        *look_mut!(count) = sizes.len();
        Ok(array(&sizes))
    }
    fn larodCreateModelInputs(model: *const Model, count: *mut usize) -> *mut *mut Tensor, else ptr::null_mut(); {
        boxed(look!(model).core.inputs.iter().map(Tensor::of).collect(), count)
    }
    fn larodCreateModelOutputs(model: *const Model, count: *mut usize) -> *mut *mut Tensor, else ptr::null_mut(); {
        boxed(look!(model).core.outputs.iter().map(Tensor::of).collect(), count)
    }
    fn larodAllocModelInputs(connection: *mut Connection, model: *const Model, props: u32, count: *mut usize, _params: *mut Map) -> *mut *mut Tensor, else ptr::null_mut(); {
        let model = look!(model);
        boxed(look!(connection).allocate(&model.core, &model.core.inputs, props)?, count)
    }
    fn larodAllocModelOutputs(connection: *mut Connection, model: *const Model, props: u32, count: *mut usize, _params: *mut Map) -> *mut *mut Tensor, else ptr::null_mut(); {
        let model = look!(model);
        boxed(look!(connection).allocate(&model.core, &model.core.outputs, props)?, count)
    }
    fn larodCreateTensors(count: usize) -> *mut *mut Tensor, else ptr::null_mut(); {
        let mut made = 0;
        boxed((0..count).map(|_| Tensor::blank()).collect(), &mut made)
    }
    fn larodDestroyTensors(_connection: *mut Connection, tensors: *mut *mut *mut Tensor, count: usize) -> bool, else false; {
        let place = look_mut!(tensors);
        if place.is_null() {
            return failed(code::EINVAL, "there are no tensors");
        }
        for index in 0..count {
            // SAFETY: the caller's array of `count` tensors, used by nobody any more.
            drop(unsafe { Box::from_raw(*place.add(index)) });
        }
        // SAFETY: the array is malloc's.
        unsafe { free(place.cast()) };
        *place = ptr::null_mut();
        Ok(true)
    }
    fn larodSetTensorDims(tensor: *mut Tensor, dims: *const Extents) -> bool, else false; { look_mut!(tensor).dims = *look!(dims); Ok(true) }
    fn larodGetTensorDims(tensor: *const Tensor) -> *const Extents, else ptr::null(); { Ok(&raw const look!(tensor).dims) }
    fn larodSetTensorPitches(tensor: *mut Tensor, pitches: *const Extents) -> bool, else false; { look_mut!(tensor).pitches = *look!(pitches); Ok(true) }
    fn larodGetTensorPitches(tensor: *const Tensor) -> *const Extents, else ptr::null(); { Ok(&raw const look!(tensor).pitches) }
    fn larodSetTensorDataType(tensor: *mut Tensor, kind: c_int) -> bool, else false; { look_mut!(tensor).kind = kind; Ok(true) }
    fn larodGetTensorDataType(tensor: *const Tensor) -> c_int, else 0; { Ok(look!(tensor).kind) }
    fn larodSetTensorLayout(tensor: *mut Tensor, layout: c_int) -> bool, else false; { look_mut!(tensor).layout = layout; Ok(true) }
    fn larodGetTensorLayout(tensor: *const Tensor) -> c_int, else 0; { Ok(look!(tensor).layout) }
    fn larodSetTensorFd(tensor: *mut Tensor, fd: c_int) -> bool, else false; { look_mut!(tensor).untracked()?.fd = fd; Ok(true) }
    fn larodGetTensorFd(tensor: *const Tensor) -> c_int, else c_int::MIN; {
        match look!(tensor).fd {
            c_int::MIN => failed(code::FD, "the tensor has no fd"),
            fd => Ok(fd),
        }
    }
    fn larodSetTensorFdSize(tensor: *mut Tensor, size: usize) -> bool, else false; { look_mut!(tensor).untracked()?.fd_size = size; Ok(true) }
    fn larodGetTensorFdSize(tensor: *const Tensor, size: *mut usize) -> bool, else false; { *look_mut!(size) = look!(tensor).fd_size; Ok(true) }
    fn larodSetTensorFdOffset(tensor: *mut Tensor, offset: i64) -> bool, else false; { look_mut!(tensor).untracked()?.fd_offset = offset; Ok(true) }
    fn larodGetTensorFdOffset(tensor: *const Tensor) -> i64, else -1; { Ok(look!(tensor).fd_offset) }
    fn larodSetTensorFdProps(tensor: *mut Tensor, props: u32) -> bool, else false; { look_mut!(tensor).untracked()?.props = props; Ok(true) }
    fn larodGetTensorFdProps(tensor: *const Tensor, props: *mut u32) -> bool, else false; { *look_mut!(props) = look!(tensor).props; Ok(true) }
    fn larodBuildTensorDims(tensor: *mut Tensor, layout: c_int, width: usize, height: usize, channels: usize) -> bool, else false; {
        let dims = objects::picture_dims(layout, width, height, channels)?;
        let tensor = look_mut!(tensor);
        (tensor.dims, tensor.layout) = (Extents::of(&dims), layout);
        Ok(true)
    }
    fn larodBuildTensorPitches(tensor: *mut Tensor, layout: c_int, pitch: usize, height: usize, channels: usize) -> bool, else false; {
        look_mut!(tensor).pitches = Extents::of(&objects::picture_pitches(layout, pitch, height, channels)?);
        Ok(true)
    }
    fn larodGetTensorName(tensor: *const Tensor) -> *const c_char, else ptr::null(); { Ok(look!(tensor).name.as_ptr()) }
    fn larodGetTensorByteSize(tensor: *const Tensor, size: *mut usize) -> bool, else false; { *look_mut!(size) = look!(tensor).bytes(); Ok(true) }
    fn larodTrackTensor(connection: *mut Connection, tensor: *mut Tensor) -> bool, else false; {
        look!(connection).track(look_mut!(tensor))?;
        Ok(true)
    }
    fn larodConvertVmemFdToDmabuf(_fd: c_int, _offset: i64) -> c_int, else c_int::MIN; {
        failed(code::EINVAL, "the simulator has no vmem")
    }
    fn larodCreateMap() -> *mut Map, else ptr::null_mut(); { Ok(Box::into_raw(Box::default())) }
    fn larodMapSetStr(map: *mut Map, key: *const c_char, value: *const c_char) -> bool, else false; {
        let value = text(value)?;
        if value.len() >= 128 {
            return failed(code::EINVAL, "the text is longer than 128 bytes");
        }
        look_mut!(map).set(text(key)?, Value::Text(CString::new(value).unwrap_or_default()))
    }
    fn larodMapSetInt(map: *mut Map, key: *const c_char, value: i64) -> bool, else false; { look_mut!(map).set(text(key)?, Value::Int(value)) }
    fn larodMapSetIntArr2(map: *mut Map, key: *const c_char, a: i64, b: i64) -> bool, else false; { look_mut!(map).set(text(key)?, Value::Two([a, b])) }
    fn larodMapSetIntArr4(map: *mut Map, key: *const c_char, a: i64, b: i64, c: i64, d: i64) -> bool, else false; {
        look_mut!(map).set(text(key)?, Value::Four([a, b, c, d]))
    }
    fn larodMapGetStr(map: *mut Map, key: *const c_char) -> *const c_char, else ptr::null(); {
        match look!(map).get(&text(key)?)? { Value::Text(text) => Ok(text.as_ptr()), _ => failed(code::EINVAL, "it is no text") }
    }
    fn larodMapGetInt(map: *mut Map, key: *const c_char, value: *mut i64) -> bool, else false; {
        match look!(map).get(&text(key)?)? { Value::Int(int) => { *look_mut!(value) = *int; Ok(true) } _ => failed(code::EINVAL, "it is no number") }
    }
    fn larodMapGetIntArr2(map: *mut Map, key: *const c_char) -> *const i64, else ptr::null(); {
        match look!(map).get(&text(key)?)? { Value::Two(two) => Ok(two.as_ptr()), _ => failed(code::EINVAL, "it is no pair") }
    }
    fn larodMapGetIntArr4(map: *mut Map, key: *const c_char) -> *const i64, else ptr::null(); {
        match look!(map).get(&text(key)?)? { Value::Four(four) => Ok(four.as_ptr()), _ => failed(code::EINVAL, "it is no four") }
    }
    fn larodCreateJobRequest(model: *const Model, inputs: *mut *mut Tensor, in_count: usize, outputs: *mut *mut Tensor, out_count: usize, params: *mut Map) -> *mut Job, else ptr::null_mut(); {
        let core = look!(model).core.clone();
        let (inputs, outputs) = (all(inputs, in_count)?, all(outputs, out_count)?);
        // SAFETY: null or a map of this library.
        let params = unsafe { params.as_ref() }.cloned().unwrap_or_default();
        let mut job = Job { core, inputs: Vec::new(), outputs: Vec::new(), params, _priority: 50 };
        job.set_inputs(&inputs)?;
        job.set_outputs(&outputs)?;
        Ok(Box::into_raw(Box::new(job)))
    }
    fn larodSetJobRequestModel(job: *mut Job, model: *const Model) -> bool, else false; { look_mut!(job).core = look!(model).core.clone(); Ok(true) }
    fn larodSetJobRequestInputs(job: *mut Job, tensors: *mut *mut Tensor, count: usize) -> bool, else false; { look_mut!(job).set_inputs(&all(tensors, count)?)?; Ok(true) }
    fn larodSetJobRequestOutputs(job: *mut Job, tensors: *mut *mut Tensor, count: usize) -> bool, else false; { look_mut!(job).set_outputs(&all(tensors, count)?)?; Ok(true) }
    fn larodSetJobRequestPriority(job: *mut Job, priority: u8) -> bool, else false; {
        if priority > 100 {
            return failed(code::EINVAL, "a priority is 0 to 100");
        }
        look_mut!(job)._priority = priority;
        Ok(true)
    }
    fn larodSetJobRequestParams(job: *mut Job, params: *const Map) -> bool, else false; { look_mut!(job).params = look!(params).clone(); Ok(true) }
    fn larodRunJob(connection: *mut Connection, job: *const Job) -> bool, else false; {
        look!(connection).run(look!(job))?;
        Ok(true)
    }
    fn larodRunJobAsync(connection: *mut Connection, job: *const Job, callback: JobCallback, user: *mut c_void) -> bool, else false; {
        // The job is copied: the caller may change or destroy it at once.
        let all = Sendable((connection, look!(job).copied(), callback, user));
        std::thread::spawn(move || {
            let Sendable((connection, job, callback, user)) = { all };
            let mut error = ptr::null_mut();
            // SAFETY: the caller keeps the connection until it is called back.
            unsafe {
                let answer = connection.as_ref().map_or_else(|| failed(code::EINVAL, "no connection"), |c| c.run(&job));
                give(&mut error, (), answer);
                callback(user, error);
                larodClearError(&mut error);
            }
        });
        Ok(true)
    }
    fn larodExportModel(connection: *mut Connection, _fd: c_int, _out: c_int, _device: *const device::Device, _params: *const Map) -> bool, else false; {
        look!(connection).alive()?;
        failed(code::LOAD_MODEL, "the simulator has no compiler to export from")
    }
}

fn load(
    connection: *mut Connection,
    fd: c_int,
    device: *const device::Device,
    access: c_int,
    name: *const c_char,
    params: *const Map,
) -> Answer<*mut Model> {
    if !(1..=2).contains(&access) {
        return failed(code::INVALID_ACCESS, format!("there is no access {access}"));
    }
    // SAFETY: null or a map of this library.
    let params = unsafe { params.as_ref() };
    let core = look!(connection).load(fd, look!(device), &text(name)?, params)?;
    Ok(Box::into_raw(Box::new(Model { core })))
}

/// As liblarod's function of this name.
///
/// # Safety
/// As liblarod's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn larodDestroyModels(models: *mut *mut *mut Model, count: usize) {
    // SAFETY: the caller's array of `count` models from larodGetModels.
    unsafe {
        if models.is_null() || (*models).is_null() {
            return;
        }
        for index in 0..count {
            drop(Box::from_raw(*(*models).add(index)));
        }
        free((*models).cast());
        *models = ptr::null_mut();
    }
}
