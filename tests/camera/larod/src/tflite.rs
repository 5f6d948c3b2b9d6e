//! TensorFlow Lite's C library: the functions that are needed, and a safe interpreter over them.
//!
//! Signatures follow TensorFlow's `c_api.h` and `xnnpack_delegate.h`.

use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

use libloading::Library;

use crate::{Answer, code, failed, settings};

type Pointer = *mut c_void;

/// Scale and zero point.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Quantisation {
    pub scale: f32,
    pub zero_point: i32,
}

/// Padded: the library's own is smaller, and grows. The number of threads comes first.
#[repr(C)]
struct XnnpackOptions {
    threads: i32,
    flags: u32,
    rest: [usize; 31],
}

macro_rules! functions {
    ($(fn $name:ident($($type:ty),*) $(-> $ret:ty)?;)*) => {
        #[allow(non_snake_case)]
        struct Api { $($name: unsafe extern "C" fn($($type),*) $(-> $ret)?,)* _library: Library }

        impl Api {
            fn of(library: Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of TensorFlow Lite's headers.
                Ok(Self { $($name: *unsafe { library.get(concat!(stringify!($name), "\0")) }?,)* _library: library })
            }
        }
    };
}

functions! {
    fn TfLiteModelCreate(*const c_void, usize) -> Pointer;
    fn TfLiteModelDelete(Pointer);
    fn TfLiteInterpreterOptionsCreate() -> Pointer;
    fn TfLiteInterpreterOptionsDelete(Pointer);
    fn TfLiteInterpreterOptionsSetNumThreads(Pointer, i32);
    fn TfLiteInterpreterOptionsAddDelegate(Pointer, Pointer);
    fn TfLiteXNNPackDelegateOptionsDefault() -> XnnpackOptions;
    fn TfLiteXNNPackDelegateCreate(*const XnnpackOptions) -> Pointer;
    fn TfLiteXNNPackDelegateDelete(Pointer);
    fn TfLiteInterpreterCreate(Pointer, Pointer) -> Pointer;
    fn TfLiteInterpreterDelete(Pointer);
    fn TfLiteInterpreterAllocateTensors(Pointer) -> u32;
    fn TfLiteInterpreterInvoke(Pointer) -> u32;
    fn TfLiteInterpreterGetInputTensorCount(Pointer) -> i32;
    fn TfLiteInterpreterGetInputTensor(Pointer, i32) -> Pointer;
    fn TfLiteInterpreterGetOutputTensorCount(Pointer) -> i32;
    fn TfLiteInterpreterGetOutputTensor(Pointer, i32) -> Pointer;
    fn TfLiteTensorType(Pointer) -> u32;
    fn TfLiteTensorNumDims(Pointer) -> i32;
    fn TfLiteTensorDim(Pointer, i32) -> i32;
    fn TfLiteTensorByteSize(Pointer) -> usize;
    fn TfLiteTensorData(Pointer) -> Pointer;
    fn TfLiteTensorName(Pointer) -> *const c_char;
    fn TfLiteTensorQuantizationParams(Pointer) -> Quantisation;
}

static API: OnceLock<Result<Api, String>> = OnceLock::new();

fn place() -> PathBuf {
    const NAME: &str = "libtensorflowlite_c.so";
    let named = settings::get("SPOTTER_TFLITE").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share/spotter/lib").join(NAME));
    named.or_else(|| home().filter(|path| path.exists())).unwrap_or_else(|| NAME.into())
}

fn api() -> Answer<&'static Api> {
    let api = API.get_or_init(|| {
        // SAFETY: TensorFlow Lite has only C++ static constructors.
        let library = unsafe { Library::new(place()) }.map_err(|error| error.to_string())?;
        Api::of(library).map_err(|error| error.to_string())
    });
    match api {
        Ok(api) => Ok(api),
        Err(why) => failed(code::LOAD_MODEL, format!("the simulator needs TensorFlow Lite: {why}")),
    }
}

/// What an interpreter says of a tensor.
pub struct About {
    pub name: String,
    pub dims: Vec<usize>,
    /// The type by larod's number.
    pub kind: i32,
    pub quantisation: Quantisation,
}

/// A model in TensorFlow Lite, with XNNPACK as Spotter runs it on a desktop.
pub struct Interpreter {
    api: &'static Api,
    bytes: Vec<u8>,
    model: Pointer,
    delegate: Pointer,
    pointer: Pointer,
}

// SAFETY: TensorFlow Lite has no thread affinity; `&mut self` keeps use exclusive.
unsafe impl Send for Interpreter {}

impl Interpreter {
    /// Loads a .tflite file.
    pub fn new(bytes: Vec<u8>) -> Answer<Self> {
        let api = api()?;
        let null = std::ptr::null_mut();
        let mut made = Self { api, bytes, model: null, delegate: null, pointer: null };
        // SAFETY: the bytes live as long as the model; what is null is never used.
        unsafe {
            made.model = (api.TfLiteModelCreate)(made.bytes.as_ptr().cast(), made.bytes.len());
            if made.model.is_null() {
                return failed(code::LOAD_MODEL, "it is no TensorFlow Lite model");
            }
            let mut options = (api.TfLiteXNNPackDelegateOptionsDefault)();
            options.threads = 1;
            made.delegate = (api.TfLiteXNNPackDelegateCreate)(&options);
            let options = (api.TfLiteInterpreterOptionsCreate)();
            (api.TfLiteInterpreterOptionsSetNumThreads)(options, 1);
            (api.TfLiteInterpreterOptionsAddDelegate)(options, made.delegate);
            made.pointer = (api.TfLiteInterpreterCreate)(made.model, options);
            (api.TfLiteInterpreterOptionsDelete)(options);
            if made.pointer.is_null() || (api.TfLiteInterpreterAllocateTensors)(made.pointer) != 0 {
                return failed(code::LOAD_MODEL, "TensorFlow Lite cannot run it");
            }
        }
        Ok(made)
    }

    fn tensors(&self, inputs: bool) -> Vec<Pointer> {
        let api = self.api;
        // SAFETY: the interpreter is alive and the indices are below the count.
        unsafe {
            if inputs {
                let count = (api.TfLiteInterpreterGetInputTensorCount)(self.pointer);
                (0..count).map(|index| (api.TfLiteInterpreterGetInputTensor)(self.pointer, index)).collect()
            } else {
                let count = (api.TfLiteInterpreterGetOutputTensorCount)(self.pointer);
                (0..count).map(|index| (api.TfLiteInterpreterGetOutputTensor)(self.pointer, index)).collect()
            }
        }
    }

    /// Its inputs or outputs.
    pub fn about(&self, inputs: bool) -> Answer<Vec<About>> {
        let api = self.api;
        let about = |tensor: Pointer| {
            // SAFETY: the tensor belongs to the living interpreter; its name ends with a zero.
            unsafe {
                let rank = (api.TfLiteTensorNumDims)(tensor);
                let kind = match (api.TfLiteTensorType)(tensor) {
                    1 => 12,
                    2 => 8,
                    3 => 3,
                    4 => 10,
                    6 => 2,
                    7 => 6,
                    9 => 4,
                    10 => 11,
                    other => {
                        return failed(code::LOAD_MODEL, format!("larod has no tensors of type {other}"));
                    }
                };
                let name = (api.TfLiteTensorName)(tensor);
                let name = if name.is_null() { "".into() } else { CStr::from_ptr(name).to_string_lossy() };
                Ok(About {
                    name: name.into_owned(),
                    dims: (0..rank).map(|at| (api.TfLiteTensorDim)(tensor, at).max(0) as usize).collect(),
                    kind,
                    quantisation: (api.TfLiteTensorQuantizationParams)(tensor),
                })
            }
        };
        self.tensors(inputs).into_iter().map(about).collect()
    }

    /// The bytes of an input.
    pub fn input(&mut self, index: usize) -> &mut [u8] {
        let tensor = self.tensors(true)[index];
        // SAFETY: allocated when it was loaded; `&mut self` keeps others away.
        unsafe {
            let data = (self.api.TfLiteTensorData)(tensor).cast();
            std::slice::from_raw_parts_mut(data, (self.api.TfLiteTensorByteSize)(tensor))
        }
    }

    /// The bytes of an output.
    pub fn output(&self, index: usize) -> &[u8] {
        let tensor = self.tensors(false)[index];
        // SAFETY: it has run, and does not while the bytes are used.
        unsafe {
            let data: *mut u8 = (self.api.TfLiteTensorData)(tensor).cast();
            std::slice::from_raw_parts(data, (self.api.TfLiteTensorByteSize)(tensor))
        }
    }

    /// Runs it.
    pub fn run(&mut self) -> Answer<()> {
        // SAFETY: the interpreter is alive.
        match unsafe { (self.api.TfLiteInterpreterInvoke)(self.pointer) } {
            0 => Ok(()),
            status => failed(code::JOB, format!("TensorFlow Lite fails with {status}")),
        }
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        // SAFETY: made by these functions; the interpreter first, then what it used.
        unsafe {
            if !self.pointer.is_null() {
                (self.api.TfLiteInterpreterDelete)(self.pointer);
            }
            if !self.delegate.is_null() {
                (self.api.TfLiteXNNPackDelegateDelete)(self.delegate);
            }
            if !self.model.is_null() {
                (self.api.TfLiteModelDelete)(self.model);
            }
        }
    }
}
