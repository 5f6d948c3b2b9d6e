//! A safe layer over liblarod: values that free what they are, calls that return what went wrong.
//!
//! A connection of liblarod is for one thread at a time, so each owner opens one of its own, and calls on it go
//! through a lock. `unsafe` here: the calls themselves. Their arguments are pointers that the library gave and that
//! live as long as the value they are in.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fault::Fault;
use super::sys::{self, Api, Extents, LarodError, Opaque};

/// The longest string that a map of larod takes, in bytes.
const MAP_STRING: usize = 128;

/// What this layer's functions return.
pub type Answer<T> = Result<T, Fault>;

/// A pointer of the library's, passed on only under the connection's lock.
struct Pointer(*mut Opaque);

// SAFETY: the library has no thread affinity, it only wants one thread at a time: the lock sees to that.
unsafe impl Send for Pointer {}

/// A session with the larod service.
pub struct Connection {
    api: &'static Api,
    pointer: Mutex<Pointer>,
}

/// Takes what an error says and frees it.
///
/// # Safety
/// `error` is null or was filled in by a call of `api`.
unsafe fn fault(api: &Api, mut error: *mut LarodError, doing: &str) -> Fault {
    if error.is_null() {
        return Fault::own(doing, "the library does not say why");
    }
    // SAFETY: not null, so it points to an error with a text or null, until it is cleared.
    let (code, said) = unsafe {
        let LarodError { code, msg } = *error;
        let said =
            if msg.is_null() { String::new() } else { CStr::from_ptr(msg).to_string_lossy().into_owned() };
        (api.larodClearError)(&mut error);
        (code, said)
    };
    Fault { code, doing: doing.to_owned(), said: said.trim().to_owned() }
}

/// Calls a function whose last argument is an error; gives what it returns where that is no failure.
///
/// # Safety
/// The caller keeps the contract of the function that `call` calls.
unsafe fn checked<T: Copy>(
    api: &Api,
    doing: &str,
    failed: impl FnOnce(T) -> bool,
    call: impl FnOnce(*mut *mut LarodError) -> T,
) -> Answer<T> {
    let mut error = ptr::null_mut();
    let value = call(&mut error);
    if failed(value) || !error.is_null() {
        // SAFETY: the call filled it in, or it is null.
        return Err(unsafe { fault(api, error, doing) });
    }
    Ok(value)
}

fn is_false(value: bool) -> bool {
    !value
}

impl Connection {
    /// Connects to the service.
    ///
    /// # Errors
    /// Where there is none, or it refuses.
    pub fn open(api: &'static Api) -> Answer<Arc<Self>> {
        let mut pointer = ptr::null_mut();
        // SAFETY: both pointers are valid for writing.
        unsafe {
            checked(api, "connect", is_false, |error| (api.larodConnect)(&mut pointer, error))?;
        }
        Ok(Arc::new(Self { api, pointer: Mutex::new(Pointer(pointer)) }))
    }

    fn lock(&self) -> MutexGuard<'_, Pointer> {
        self.pointer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The devices, in the service's order.
    ///
    /// # Errors
    /// Where the service does not answer.
    pub fn devices(&self) -> Answer<Vec<String>> {
        let connection = self.lock();
        let names = self.device_list(&connection)?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    fn device_list(&self, connection: &Pointer) -> Answer<Vec<(String, *const Opaque)>> {
        let (api, mut count) = (self.api, 0);
        // SAFETY: the connection is open and its lock is held. The array has `count` devices; it, they and their names
        // are the connection's, and are copied here before anything else is asked of it.
        unsafe {
            let doing = "list its devices";
            let list = checked(
                api,
                doing,
                |list: *mut *const Opaque| list.is_null(),
                |error| (api.larodListDevices)(connection.0, &mut count, error),
            )?;
            let devices: Vec<*const Opaque> = std::slice::from_raw_parts(list, count).to_vec();
            let name = |device| {
                let name = checked(
                    api,
                    doing,
                    |name: *const c_char| name.is_null(),
                    |error| (api.larodGetDeviceName)(device, error),
                )?;
                Ok((CStr::from_ptr(name).to_string_lossy().into_owned(), device))
            };
            devices.into_iter().map(name).collect()
        }
    }

    /// Loads a model onto a device: the file's descriptor, or none for a preprocessing model that `params`
    /// describe. It may take minutes.
    ///
    /// # Errors
    /// Where there is no such device, or it does not take the model.
    pub fn load(
        self: &Arc<Self>,
        file: Option<BorrowedFd<'_>>,
        device: &str,
        name: &str,
        params: Option<&Map>,
    ) -> Answer<Model> {
        let api = self.api;
        let doing = format!("load the model on {device}");
        let connection = self.lock();
        let (names, handles): (Vec<String>, Vec<_>) = self.device_list(&connection)?.into_iter().unzip();
        let found =
            names.iter().position(|known| known == device).and_then(|place| handles.get(place).copied());
        let Some(handle) = found else {
            return Err(Fault {
                code: sys::ERROR_INVALID_CHIP_ID,
                doing,
                said: format!("this camera has {}", names.join(", ")),
            });
        };
        let name = c_string(name, &doing)?;
        let params = params.map_or(ptr::null(), |map| map.pointer.cast_const());
        let fd = file.map_or(-1, |file| file.as_raw_fd());
        // SAFETY: connection and device are alive, name and params live through the call.
        let pointer = unsafe {
            checked(
                api,
                &doing,
                |model: *mut Opaque| model.is_null(),
                |error| {
                    let access = sys::ACCESS_PRIVATE;
                    (api.larodLoadModel)(connection.0, fd, handle, access, name.as_ptr(), params, error)
                },
            )?
        };
        drop(connection);
        Ok(Model { connection: self.clone(), pointer })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let api = self.api;
        let mut connection = self.lock().0;
        let mut error = ptr::null_mut();
        // SAFETY: the connection was opened and nobody else has it: all that came from it holds an Arc.
        unsafe {
            (api.larodDisconnect)(&mut connection, &mut error);
            if !error.is_null() {
                (api.larodClearError)(&mut error);
            }
        }
    }
}

fn c_string(text: &str, doing: &str) -> Answer<CString> {
    CString::new(text).map_err(|_| Fault::own(doing, format!("\"{text}\" has a zero byte in it")))
}

/// Parameters of a model or a job.
pub struct Map {
    api: &'static Api,
    pointer: *mut Opaque,
}

impl Map {
    /// A map without entries.
    ///
    /// # Errors
    /// Where there is no memory.
    pub fn new(api: &'static Api) -> Answer<Self> {
        // SAFETY: the error is valid for writing.
        let pointer = unsafe {
            let doing = "make a list of parameters";
            checked(api, doing, |map: *mut Opaque| map.is_null(), |error| (api.larodCreateMap)(error))?
        };
        Ok(Self { api, pointer })
    }

    fn set(
        &mut self,
        key: &str,
        call: impl FnOnce(*const c_char, *mut *mut LarodError) -> bool,
    ) -> Answer<()> {
        let doing = format!("set the parameter {key}");
        let name = c_string(key, &doing)?;
        // SAFETY: map and key are alive; the callers below pass the map and values of the right type.
        unsafe { checked(self.api, &doing, is_false, |error| call(name.as_ptr(), error)) }.map(|_| ())
    }

    /// Sets a text, at most 128 bytes.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn text(&mut self, key: &str, value: &str) -> Answer<()> {
        let (api, map) = (self.api, self.pointer);
        let doing = format!("set the parameter {key}");
        if value.len() >= MAP_STRING {
            return Err(Fault::own(&doing, format!("\"{value}\" is longer than {MAP_STRING} bytes")));
        }
        let value = c_string(value, &doing)?;
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetStr)(map, key, value.as_ptr(), error) })
    }

    /// Sets a whole number.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn number(&mut self, key: &str, value: usize) -> Answer<()> {
        let (api, map) = (self.api, self.pointer);
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetInt)(map, key, value as i64, error) })
    }

    /// Sets a pair of numbers.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn pair(&mut self, key: &str, (a, b): (usize, usize)) -> Answer<()> {
        let (api, map) = (self.api, self.pointer);
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetIntArr2)(map, key, a as i64, b as i64, error) })
    }

    /// Sets four numbers.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn four(&mut self, key: &str, values: [usize; 4]) -> Answer<()> {
        let (api, map) = (self.api, self.pointer);
        let [a, b, c, d] = values.map(|value| value as i64);
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetIntArr4)(map, key, a, b, c, d, error) })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: made by larodCreateMap and owned here alone.
        unsafe { (self.api.larodDestroyMap)(&mut self.pointer) };
    }
}

/// A model on a device; it leaves the device when it is dropped.
pub struct Model {
    connection: Arc<Connection>,
    pointer: *mut Opaque,
}

/// Which of a model's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What goes in.
    Inputs,
    /// What comes out.
    Outputs,
}

impl Model {
    /// Tensors with memory from larod, already tracked: their memory cannot be exchanged.
    ///
    /// # Errors
    /// Where the device has no memory with these `properties` ([`sys::FD_MAP`] …).
    pub fn allocate(&self, side: Side, properties: u32) -> Answer<Tensors> {
        let (api, model, mut count) = (self.connection.api, self.pointer, 0);
        let doing = "give memory for the model";
        let connection = self.connection.lock();
        // SAFETY: connection and model are alive.
        let pointer = unsafe {
            checked(
                api,
                doing,
                |tensors: *mut *mut Opaque| tensors.is_null(),
                |error| {
                    let allocate = match side {
                        Side::Inputs => api.larodAllocModelInputs,
                        Side::Outputs => api.larodAllocModelOutputs,
                    };
                    allocate(connection.0, model, properties, &mut count, ptr::null_mut(), error)
                },
            )?
        };
        drop(connection);
        Ok(Tensors { connection: self.connection.clone(), pointer, count })
    }

    /// Tensors without memory.
    ///
    /// # Errors
    /// Where the library gives none.
    pub fn describe(&self, side: Side) -> Answer<Tensors> {
        let (api, model, mut count) = (self.connection.api, self.pointer, 0);
        // SAFETY: the model is alive.
        let pointer = unsafe {
            checked(
                api,
                "describe the model",
                |tensors: *mut *mut Opaque| tensors.is_null(),
                |error| match side {
                    Side::Inputs => (api.larodCreateModelInputs)(model, &mut count, error),
                    Side::Outputs => (api.larodCreateModelOutputs)(model, &mut count, error),
                },
            )?
        };
        Ok(Tensors { connection: self.connection.clone(), pointer, count })
    }

    /// A job from these inputs to these outputs. It copies what the tensors say now.
    ///
    /// # Errors
    /// Where they do not fit the model.
    pub fn job(&self, inputs: &Tensors, outputs: &Tensors, params: Option<&Map>) -> Answer<Job> {
        let api = self.connection.api;
        let params = params.map_or(ptr::null_mut(), |map| map.pointer);
        // SAFETY: all are alive and the counts are those of the arrays.
        let pointer = unsafe {
            checked(
                api,
                "prepare a job",
                |job: *mut Opaque| job.is_null(),
                |error| {
                    (api.larodCreateJobRequest)(
                        self.pointer,
                        inputs.pointer,
                        inputs.count,
                        outputs.pointer,
                        outputs.count,
                        params,
                        error,
                    )
                },
            )?
        };
        Ok(Job { connection: self.connection.clone(), pointer })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _one_at_a_time = self.connection.lock();
        // SAFETY: made by larodLoadModel and owned here alone.
        unsafe { (self.connection.api.larodDestroyModel)(&mut self.pointer) };
    }
}

/// Inputs or outputs of a model, in its order.
pub struct Tensors {
    connection: Arc<Connection>,
    pointer: *mut *mut Opaque,
    count: usize,
}

/// What larod says of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// Elements along each dimension; empty where it does not say.
    pub dims: Vec<usize>,
    /// Bytes that one step of the dimension before takes, the first being all bytes; empty where it does not say.
    pub pitches: Vec<usize>,
    /// [`sys::UINT8`] …
    pub data_type: i32,
    /// [`sys::LAYOUT_NHWC`] …
    pub layout: i32,
    /// Bytes that it takes, padding included.
    pub byte_size: usize,
}

/// Where a tensor's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The descriptor.
    pub fd: i32,
    /// Bytes from its beginning on.
    pub offset: u64,
    /// Bytes there.
    pub size: usize,
    /// [`sys::FD_MAP`] …
    pub properties: u32,
}

fn extents(found: &Extents) -> Vec<usize> {
    found.values.iter().take(found.len).copied().collect()
}

impl Tensors {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> Answer<*mut Opaque> {
        if index >= self.count {
            let text = format!("there is no tensor {index}, only {}", self.count);
            return Err(Fault::own("read a tensor", text));
        }
        // SAFETY: the array has `count` pointers.
        Ok(unsafe { *self.pointer.add(index) })
    }

    /// What larod says of tensor `index`.
    ///
    /// # Errors
    /// Where there is no such tensor.
    pub fn about(&self, index: usize) -> Answer<About> {
        let (api, tensor, doing) = (self.connection.api, self.get(index)?, "read a tensor");
        let mut byte_size = 0;
        let null = |extents: *const Extents| extents.is_null();
        // SAFETY: the tensor is alive, and what it points to is copied at once.
        unsafe {
            let dims = *checked(api, doing, null, |error| (api.larodGetTensorDims)(tensor, error))?;
            let pitches = *checked(api, doing, null, |error| (api.larodGetTensorPitches)(tensor, error))?;
            let data_type =
                checked(api, doing, |t| t == 0, |error| (api.larodGetTensorDataType)(tensor, error))?;
            let layout = checked(api, doing, |l| l == 0, |error| (api.larodGetTensorLayout)(tensor, error))?;
            checked(api, doing, is_false, |error| {
                (api.larodGetTensorByteSize)(tensor, &mut byte_size, error)
            })?;
            Ok(About { dims: extents(&dims), pitches: extents(&pitches), data_type, layout, byte_size })
        }
    }

    /// Where the bytes of tensor `index` are.
    ///
    /// # Errors
    /// Where it has none.
    pub fn place(&self, index: usize) -> Answer<Place> {
        let (api, tensor, doing) = (self.connection.api, self.get(index)?, "find a tensor's memory");
        let (mut size, mut properties) = (0, 0);
        // SAFETY: the tensor is alive.
        unsafe {
            let fd = checked(api, doing, |fd| fd < 0, |error| (api.larodGetTensorFd)(tensor, error))?;
            let offset =
                checked(api, doing, |at| at < 0, |error| (api.larodGetTensorFdOffset)(tensor, error))?;
            checked(api, doing, is_false, |error| (api.larodGetTensorFdSize)(tensor, &mut size, error))?;
            checked(api, doing, is_false, |error| {
                (api.larodGetTensorFdProps)(tensor, &mut properties, error)
            })?;
            // Not negative: checked above.
            Ok(Place { fd, offset: offset as u64, size, properties })
        }
    }

    /// Gives tensor `index` its memory. The descriptor must stay open until the tensor is dropped.
    ///
    /// # Errors
    /// Where the tensor is tracked already.
    pub fn put(&mut self, index: usize, place: Place) -> Answer<()> {
        let (api, tensor, doing) = (self.connection.api, self.get(index)?, "set a tensor's memory");
        let offset = i64::try_from(place.offset).map_err(|_| Fault::own(doing, "the offset is too large"))?;
        // SAFETY: the tensor is alive.
        unsafe {
            checked(api, doing, is_false, |error| (api.larodSetTensorFd)(tensor, place.fd, error))?;
            checked(api, doing, is_false, |error| (api.larodSetTensorFdOffset)(tensor, offset, error))?;
            checked(api, doing, is_false, |error| (api.larodSetTensorFdSize)(tensor, place.size, error))?;
            checked(api, doing, is_false, |error| {
                (api.larodSetTensorFdProps)(tensor, place.properties, error)
            })?;
        }
        Ok(())
    }

    /// Makes the service remember the memory of all of them, so that it need not be handed over with each job.
    ///
    /// # Errors
    /// Where too many are tracked (32 a connection).
    pub fn track(&mut self) -> Answer<()> {
        let api = self.connection.api;
        for index in 0..self.count {
            let tensor = self.get(index)?;
            let connection = self.connection.lock();
            // SAFETY: connection and tensor are alive.
            unsafe {
                checked(api, "remember a tensor's memory", is_false, |error| {
                    (api.larodTrackTensor)(connection.0, tensor, error)
                })?;
            }
        }
        Ok(())
    }
}

impl Drop for Tensors {
    fn drop(&mut self) {
        let api = self.connection.api;
        let mut error = ptr::null_mut();
        let connection = self.connection.lock();
        // SAFETY: the array came from this connection's library and is owned here alone.
        unsafe {
            (api.larodDestroyTensors)(connection.0, &mut self.pointer, self.count, &mut error);
            if !error.is_null() {
                (api.larodClearError)(&mut error);
            }
        }
    }
}

/// A job that can be run again and again.
pub struct Job {
    connection: Arc<Connection>,
    pointer: *mut Opaque,
}

impl Job {
    /// Runs it and waits until it is done.
    ///
    /// # Errors
    /// Where the service or the device fails.
    pub fn run(&mut self) -> Answer<()> {
        let api = self.connection.api;
        let connection = self.connection.lock();
        // SAFETY: connection and job are alive.
        unsafe {
            checked(api, "run the model", is_false, |error| {
                (api.larodRunJob)(connection.0, self.pointer, error)
            })
        }
        .map(|_| ())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: made by larodCreateJobRequest and owned here alone.
        unsafe { (self.connection.api.larodDestroyJobRequest)(&mut self.pointer) };
    }
}

/// Memory of a vmem buffer as a dma-buf of its own, where the library can do that (AXIS OS 12.7 and later).
///
/// # Errors
/// Where it cannot.
pub fn dma_buf_of(api: &'static Api, fd: i32, offset: i64) -> Answer<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    let doing = "make a dma-buf of the frame's memory";
    let convert =
        api.larodConvertVmemFdToDmabuf.ok_or_else(|| Fault::own(doing, "this AXIS OS is too old"))?;
    // SAFETY: the descriptor is only looked at; the one that is returned is new and nobody else's.
    unsafe {
        let new = checked(api, doing, |fd| fd < 0, |error| convert(fd, offset, error))?;
        Ok(std::os::fd::OwnedFd::from_raw_fd(new))
    }
}
