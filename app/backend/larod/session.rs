//! A safe layer over liblarod: values that free what they are, calls that return what went wrong.
//!
//! liblarod is not thread-safe, so each thread opens a connection of its own. A connection and all that came from it
//! are values that cannot be sent to another thread: they are used and freed on the one that connected. Who owns what
//! the library gives, and for how long, is in docs/design/larod.md. `unsafe` here: the calls themselves. Their
//! arguments are pointers that the library gave and that live as long as the value they are in.
#![allow(unsafe_code, reason = "the border to C")]

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::rc::Rc;

use super::call::{c_string, checked, fault, is_false};
use super::fault::{Fault, LarodResult};
use super::map::Map;
use super::memory;
use super::sys::{self, Api, Extents, LarodError, Opaque};

/// A session with the larod service.
pub struct Connection {
    api: &'static Api,
    pointer: *mut Opaque,
    /// Descriptors of memory that the library allocated, each with one of our own for the same memory.
    allocated: RefCell<Vec<(RawFd, OwnedFd)>>,
}

impl Connection {
    /// Connects to the service.
    ///
    /// # Errors
    /// Where there is none, or it refuses.
    pub fn open(api: &'static Api) -> LarodResult<Rc<Self>> {
        let mut pointer = ptr::null_mut();
        // SAFETY: both pointers are valid for writing.
        unsafe {
            checked(api, "connect", is_false, |error| (api.larodConnect)(&mut pointer, error))?;
        }
        Ok(Rc::new(Self { api, pointer, allocated: RefCell::default() }))
    }

    /// The library's own handle, for calls that this layer does not have. It lives as long as this value.
    pub fn pointer(&self) -> *mut Opaque {
        self.pointer
    }

    /// The devices, in the service's order.
    ///
    /// # Errors
    /// Where the service does not answer.
    pub fn devices(&self) -> LarodResult<Vec<String>> {
        Ok(self.device_list()?.into_iter().map(|(name, _)| name).collect())
    }

    /// The devices with their names, in the service's order. The pointers live as long as the connection.
    fn device_list(&self) -> LarodResult<Vec<(String, *const Opaque)>> {
        let (api, mut count) = (self.api, 0);
        // SAFETY: the connection is open. The array has `count` devices; it, they and their names are the
        // connection's, never ours to free, and array and names are copied before anything else is asked of it.
        unsafe {
            let doing = "list its devices";
            let list = checked(
                api,
                doing,
                |list: *mut *const Opaque| list.is_null(),
                |error| (api.larodListDevices)(self.pointer, &mut count, error),
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
        self: &Rc<Self>,
        file: Option<BorrowedFd<'_>>,
        device: &str,
        name: &str,
        params: Option<&Map>,
    ) -> LarodResult<LarodModel> {
        let api = self.api;
        let doing = format!("load the model on {device}");
        let (names, handles): (Vec<String>, Vec<_>) = self.device_list()?.into_iter().unzip();
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
        let params = params.map_or(ptr::null(), |map| map.pointer().cast_const());
        let fd = file.map_or(-1, |file| file.as_raw_fd());
        // SAFETY: connection and device are alive, name and params live through the call.
        let pointer = unsafe {
            checked(
                api,
                &doing,
                |model: *mut Opaque| model.is_null(),
                |error| {
                    let access = sys::ACCESS_PRIVATE;
                    (api.larodLoadModel)(self.pointer, fd, handle, access, name.as_ptr(), params, error)
                },
            )?
        };
        Ok(LarodModel { connection: self.clone(), pointer })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the connection was opened and nobody else has it: all that came from it holds an Rc.
        unsafe { tell(self.api, |error| (self.api.larodDisconnect)(&mut self.pointer, error)) };
        // By now the library has freed what it allocated. It does not say that it closes our descriptors for it.
        for (given, own) in self.allocated.get_mut().drain(..) {
            memory::close_if_same(given, &own);
        }
    }
}

/// Calls a function that frees something; where it fails there is nothing to be done about it.
///
/// # Safety
/// The caller keeps the contract of the function that `call` calls.
unsafe fn tell(api: &Api, call: impl FnOnce(*mut *mut LarodError) -> bool) {
    let mut error = ptr::null_mut();
    let done = call(&mut error);
    if !done || !error.is_null() {
        // SAFETY: the call filled it in, or it is null.
        log::debug!("{}", unsafe { fault(api, error, "free what larod gave") });
    }
}

/// A model on a device; it leaves the device when it is dropped, which freeing its handle alone would not do.
pub struct LarodModel {
    connection: Rc<Connection>,
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

impl LarodModel {
    /// Tensors with memory from larod, already tracked: their memory cannot be exchanged.
    ///
    /// # Errors
    /// Where the device has no memory with these `properties` ([`sys::FD_MAP`] …).
    pub fn allocate(&self, side: Side, properties: u32) -> LarodResult<Tensors> {
        let (api, model, mut count) = (self.connection.api, self.pointer, 0);
        let doing = "give memory for the model";
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
                    allocate(self.connection.pointer, model, properties, &mut count, ptr::null_mut(), error)
                },
            )?
        };
        let tensors = self.tensors(pointer, count);
        for index in 0..count {
            let given = tensors.place(index)?.fd;
            let own = memory::duplicate(given)
                .map_err(|error| Fault::own(doing, format!("its descriptor cannot be used: {error}")))?;
            self.connection.allocated.borrow_mut().push((given, own));
        }
        Ok(tensors)
    }

    /// Tensors without memory.
    ///
    /// # Errors
    /// Where the library gives none.
    pub fn describe(&self, side: Side) -> LarodResult<Tensors> {
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
        Ok(self.tensors(pointer, count))
    }

    fn tensors(&self, pointer: *mut *mut Opaque, count: usize) -> Tensors {
        Tensors { connection: self.connection.clone(), pointer, count, files: RefCell::default() }
    }

    /// A job from these inputs to these outputs. It copies what the tensors say now; that it copies the parameters
    /// nobody says, so they must outlive it.
    ///
    /// # Errors
    /// Where they do not fit the model.
    pub fn job(&self, inputs: &Tensors, outputs: &Tensors, params: Option<&Map>) -> LarodResult<Job> {
        let api = self.connection.api;
        let params = params.map_or(ptr::null_mut(), Map::pointer);
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
        let mut job = Job { connection: self.connection.clone(), pointer, files: Rc::default() };
        job.files = outputs.files()?;
        Ok(job)
    }
}

impl Drop for LarodModel {
    fn drop(&mut self) {
        let Connection { api, pointer: connection, .. } = *self.connection;
        // SAFETY: made by larodLoadModel and owned here alone; the connection is open.
        unsafe {
            tell(api, |error| (api.larodDeleteModel)(connection, self.pointer, error));
            (api.larodDestroyModel)(&mut self.pointer);
        }
    }
}

/// Inputs or outputs of a model, in its order.
pub struct Tensors {
    connection: Rc<Connection>,
    pointer: *mut *mut Opaque,
    count: usize,
    /// See [`Tensors::files`]; empty until the first job.
    files: RefCell<Option<Rc<Files>>>,
}

/// Descriptors of outputs that are written as files, each with where its bytes begin.
type Files = Vec<(OwnedFd, u64)>;

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
pub struct TensorMemory {
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
    pub fn count(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> LarodResult<*mut Opaque> {
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
    pub fn about(&self, index: usize) -> LarodResult<About> {
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
    pub fn place(&self, index: usize) -> LarodResult<TensorMemory> {
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
            Ok(TensorMemory { fd, offset: offset as u64, size, properties })
        }
    }

    /// The outputs that a device may write as files.
    fn files(&self) -> LarodResult<Rc<Files>> {
        if let Some(files) = &*self.files.borrow() {
            return Ok(files.clone());
        }
        let mut files = Files::new();
        for index in 0..self.count {
            let place = self.place(index)?;
            if place.properties & sys::FD_READWRITE != 0 {
                let doing = "prepare a job";
                let fd = memory::duplicate(place.fd).map_err(|error| Fault::own(doing, error.to_string()))?;
                files.push((fd, place.offset));
            }
        }
        Ok(self.files.borrow_mut().insert(Rc::new(files)).clone())
    }

    /// Gives tensor `index` its memory. The descriptor must stay open until the tensor is dropped.
    ///
    /// # Errors
    /// Where the tensor is tracked already.
    pub fn put(&mut self, index: usize, place: TensorMemory) -> LarodResult<()> {
        let (api, tensor, doing) = (self.connection.api, self.get(index)?, "set a tensor's memory");
        let offset = i64::try_from(place.offset).map_err(|_| Fault::own(doing, "the offset is too large"))?;
        *self.files.get_mut() = None;
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
    pub fn track(&mut self) -> LarodResult<()> {
        let api = self.connection.api;
        for index in 0..self.count {
            let tensor = self.get(index)?;
            // SAFETY: connection and tensor are alive.
            unsafe {
                checked(api, "remember a tensor's memory", is_false, |error| {
                    (api.larodTrackTensor)(self.connection.pointer, tensor, error)
                })?;
            }
        }
        Ok(())
    }
}

impl Drop for Tensors {
    fn drop(&mut self) {
        let Connection { api, pointer: connection, .. } = *self.connection;
        // SAFETY: the array came from this connection's library and is owned here alone; the connection is open.
        unsafe {
            tell(api, |error| (api.larodDestroyTensors)(connection, &mut self.pointer, self.count, error));
        }
    }
}

/// A job that can be run again and again.
pub struct Job {
    connection: Rc<Connection>,
    pointer: *mut Opaque,
    files: Rc<Files>,
}

impl Job {
    /// Runs it and waits until it is done.
    ///
    /// # Errors
    /// Where the service or the device fails.
    pub fn run(&mut self) -> LarodResult<()> {
        let api = self.connection.api;
        for (file, offset) in self.files.iter() {
            // A device that writes files writes them where they stand, which is behind the last job's bytes.
            memory::stand_at(file, *offset)
                .map_err(|error| Fault::own("run the model", format!("its output cannot be set: {error}")))?;
        }
        // SAFETY: connection and job are alive.
        unsafe {
            checked(api, "run the model", is_false, |error| {
                (api.larodRunJob)(self.connection.pointer, self.pointer, error)
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
pub fn dma_buf_of(api: &'static Api, fd: i32, offset: i64) -> LarodResult<std::os::fd::OwnedFd> {
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
