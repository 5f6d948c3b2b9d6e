//! What a delegate sees of TensorFlow Lite, and the library's interpreter for the stand-in's own use.
//!
//! Layouts follow `tensorflow/lite/core/c/common.h` of 2.14 to 2.17, signatures `tensorflow/lite/c/c_api.h`
//! and `tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h`.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use libloading::Library;

pub(crate) type Status = c_int;
/// `kTfLiteOk`.
pub(crate) const OK: Status = 0;
/// `kTfLiteError`.
pub(crate) const ERROR: Status = 1;

/// `TfLiteIntArray`: a length, then so many numbers.
#[repr(C)]
pub struct IntArray {
    size: c_int,
    data: [c_int; 0],
}

impl IntArray {
    /// The numbers.
    ///
    /// # Safety
    /// `array` is null or TensorFlow Lite's.
    pub unsafe fn to_vec(array: *const Self) -> Vec<c_int> {
        if array.is_null() {
            return Vec::new();
        }
        // SAFETY: the numbers follow the length, which is not negative.
        unsafe {
            let size = usize::try_from((*array).size).unwrap_or(0);
            std::slice::from_raw_parts(ptr::addr_of!((*array).data).cast(), size).to_vec()
        }
    }
}

/// `TfLiteTensor`.
#[repr(C)]
pub struct Tensor {
    kind: c_int,
    pub data: *mut c_void,
    dims: *mut IntArray,
    scale: f32,
    zero_point: i32,
    allocation_type: c_int,
    pub bytes: usize,
    allocation: *const c_void,
    name: *const c_char,
    delegate: *mut Delegate,
    buffer_handle: c_int,
    data_is_stale: bool,
    is_variable: bool,
    quantization_type: c_int,
    quantization_params: *mut c_void,
    sparsity: *mut c_void,
    dims_signature: *const IntArray,
}

/// `TfLiteNode`.
#[repr(C)]
pub struct Node {
    pub inputs: *mut IntArray,
    pub outputs: *mut IntArray,
    intermediates: *mut IntArray,
    temporaries: *mut IntArray,
    pub user_data: *mut c_void,
    builtin_data: *mut c_void,
    pub custom_initial_data: *const c_void,
    pub custom_initial_data_size: c_int,
    delegate: *mut Delegate,
    might_have_side_effect: bool,
}

/// `TfLiteRegistration` since 2.14 (8 fields before).
#[repr(C)]
pub struct Registration {
    pub init: Option<unsafe extern "C" fn(*mut Context, *const c_char, usize) -> *mut c_void>,
    pub free: Option<unsafe extern "C" fn(*mut Context, *mut c_void)>,
    pub prepare: Option<unsafe extern "C" fn(*mut Context, *mut Node) -> Status>,
    pub invoke: Option<unsafe extern "C" fn(*mut Context, *mut Node) -> Status>,
    pub profiling_string: *const c_void,
    pub builtin_code: i32,
    pub custom_name: *const c_char,
    pub version: c_int,
    pub registration_external: *mut c_void,
    pub async_kernel: *const c_void,
    pub inplace_operator: u64,
}

/// The beginning of `TfLiteContext`.
#[repr(C)]
pub struct Context {
    tensors_size: usize,
    pub get_execution_plan: unsafe extern "C" fn(*mut Context, *mut *mut IntArray) -> Status,
    pub tensors: *mut Tensor,
    hidden: *mut c_void,
    resize_tensor: *const c_void,
    report_error: *const c_void,
    add_tensors: *const c_void,
    pub get_node_and_registration:
        unsafe extern "C" fn(*mut Context, c_int, *mut *mut Node, *mut *mut Registration) -> Status,
    pub replace_node_subsets:
        unsafe extern "C" fn(*mut Context, Registration, *const IntArray, *mut Delegate) -> Status,
}

/// `TfLiteDelegateParams`, which a delegate's kernel gets as its initial data.
#[repr(C)]
pub(crate) struct DelegateParams {
    delegate: *mut Delegate,
    pub nodes_to_replace: *mut IntArray,
    input_tensors: *mut IntArray,
    output_tensors: *mut IntArray,
}

/// `TfLiteDelegate`.
#[repr(C)]
pub struct Delegate {
    pub data: *mut c_void,
    pub prepare: Option<unsafe extern "C" fn(*mut Context, *mut Delegate) -> Status>,
    pub copy_from_buffer_handle: *const c_void,
    pub copy_to_buffer_handle: *const c_void,
    pub free_buffer_handle: *const c_void,
    pub flags: i64,
    pub opaque_delegate_builder: *mut c_void,
}

/// `TfLiteXNNPackDelegateOptions`, padded: it comes through a hidden pointer and grew over the versions.
#[repr(C)]
struct XnnpackOptions {
    num_threads: i32,
    rest: [u32; 63],
}

/// What of the library the stand-in calls.
struct Functions {
    options_delete: unsafe extern "C" fn(*mut c_void),
    interpreter_delete: unsafe extern "C" fn(*mut c_void),
    invoke: unsafe extern "C" fn(*mut c_void) -> Status,
    input_count: unsafe extern "C" fn(*const c_void) -> i32,
    input: unsafe extern "C" fn(*const c_void, i32) -> *mut c_void,
    output_count: unsafe extern "C" fn(*const c_void) -> i32,
    output: unsafe extern "C" fn(*const c_void, i32) -> *const c_void,
    bytes: unsafe extern "C" fn(*const c_void) -> usize,
    copy_in: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> Status,
    copy_out: unsafe extern "C" fn(*const c_void, *mut c_void, usize) -> Status,
    model_delete: unsafe extern "C" fn(*mut c_void),
    xnnpack_delete: unsafe extern "C" fn(*mut c_void),
}

/// A model in an interpreter of its own.
pub(crate) struct Twin {
    functions: Functions,
    model: *mut c_void,
    options: *mut c_void,
    xnnpack: *mut c_void,
    interpreter: *mut c_void,
    /// The model's bytes, aligned; the model points into them.
    _bytes: Vec<u64>,
    _library: Library,
}

/// The TensorFlow Lite library that this process has opened.
fn opened_library() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    let found = paths.find(|path| {
        path.rsplit('/').next().is_some_and(|name| {
            name.starts_with("libtensorflowlite_c") || name.starts_with("libtensorflow-lite")
        })
    });
    found.map(str::to_owned)
}

impl Twin {
    /// Loads the .tflite file; the reason where that does not work.
    pub(crate) fn load(file: &[u8]) -> Result<Self, String> {
        let path = opened_library().ok_or("the program has opened no TensorFlow Lite library")?;
        let mut bytes = vec![0u64; file.len().div_ceil(8)];
        // SAFETY: the copy is as long as the file and fits; a library that is open is opened once more; the
        // types are those that the headers give these names; what is made is used as c_api.h says, and
        // deleted in `drop` in the opposite order.
        unsafe {
            ptr::copy_nonoverlapping(file.as_ptr(), bytes.as_mut_ptr().cast(), file.len());
            let library = Library::new(&path).map_err(|error| error.to_string())?;
            macro_rules! get {
                ($name:literal as $type:ty) => {{
                    let symbol = library.get::<$type>(concat!($name, "\0"));
                    *symbol.map_err(|_| concat!($name, " is missing"))?
                }};
                ($name:literal) => {{
                    let symbol = library.get(concat!($name, "\0"));
                    *symbol.map_err(|_| concat!($name, " is missing"))?
                }};
            }
            let functions = Functions {
                options_delete: get!("TfLiteInterpreterOptionsDelete"),
                interpreter_delete: get!("TfLiteInterpreterDelete"),
                invoke: get!("TfLiteInterpreterInvoke"),
                input_count: get!("TfLiteInterpreterGetInputTensorCount"),
                input: get!("TfLiteInterpreterGetInputTensor"),
                output_count: get!("TfLiteInterpreterGetOutputTensorCount"),
                output: get!("TfLiteInterpreterGetOutputTensor"),
                bytes: get!("TfLiteTensorByteSize"),
                copy_in: get!("TfLiteTensorCopyFromBuffer"),
                copy_out: get!("TfLiteTensorCopyToBuffer"),
                model_delete: get!("TfLiteModelDelete"),
                xnnpack_delete: get!("TfLiteXNNPackDelegateDelete"),
            };
            type Make = unsafe extern "C" fn() -> *mut c_void;
            type Read = unsafe extern "C" fn(*const c_void, usize) -> *mut c_void;
            type Join = unsafe extern "C" fn(*const c_void, *const c_void) -> *mut c_void;
            type Add = unsafe extern "C" fn(*mut c_void, *mut c_void);
            let model = get!("TfLiteModelCreate" as Read);
            let options = get!("TfLiteInterpreterOptionsCreate" as Make);
            let add = get!("TfLiteInterpreterOptionsAddDelegate" as Add);
            let interpreter = get!("TfLiteInterpreterCreate" as Join);
            let allocate =
                get!("TfLiteInterpreterAllocateTensors" as unsafe extern "C" fn(*mut c_void) -> Status);
            let settings =
                get!("TfLiteXNNPackDelegateOptionsDefault" as unsafe extern "C" fn() -> XnnpackOptions);
            let xnnpack = get!(
                "TfLiteXNNPackDelegateCreate" as unsafe extern "C" fn(*const XnnpackOptions) -> *mut c_void
            );

            let model = model(bytes.as_ptr().cast(), file.len());
            if model.is_null() {
                return Err("TensorFlow Lite cannot read the model".into());
            }
            let (options, mut settings) = (options(), settings());
            settings.num_threads = 1;
            let xnnpack = xnnpack(&settings);
            add(options, xnnpack);
            let interpreter = interpreter(model, options);
            let twin =
                Self { functions, model, options, xnnpack, interpreter, _bytes: bytes, _library: library };
            if interpreter.is_null() || allocate(interpreter) != OK {
                return Err("TensorFlow Lite cannot prepare the model".into());
            }
            Ok(twin)
        }
    }

    /// Bytes of each input and of each output.
    pub(crate) fn sizes(&self) -> (Vec<usize>, Vec<usize>) {
        let f = &self.functions;
        // SAFETY: the interpreter lives; indices are below the counts.
        unsafe {
            let inputs =
                (0..(f.input_count)(self.interpreter)).map(|i| (f.bytes)((f.input)(self.interpreter, i)));
            let outputs =
                (0..(f.output_count)(self.interpreter)).map(|i| (f.bytes)((f.output)(self.interpreter, i)));
            (inputs.collect(), outputs.collect())
        }
    }

    /// Runs the model from tensors into tensors.
    ///
    /// # Safety
    /// The tensors are alive, inputs have memory, and all are as large as [`Twin::sizes`] says.
    pub(crate) unsafe fn run(&mut self, inputs: &[*mut Tensor], outputs: &[*mut Tensor]) -> Status {
        let f = &self.functions;
        // SAFETY: the interpreter lives and is used by this thread alone; the tensors by this function's contract.
        unsafe {
            for (index, tensor) in (0..).zip(inputs) {
                if (f.copy_in)((f.input)(self.interpreter, index), (**tensor).data, (**tensor).bytes) != OK {
                    return ERROR;
                }
            }
            if (f.invoke)(self.interpreter) != OK {
                return ERROR;
            }
            for (index, tensor) in (0..).zip(outputs) {
                // An output that nobody reads has no memory.
                if (**tensor).data.is_null() {
                    continue;
                }
                if (f.copy_out)((f.output)(self.interpreter, index), (**tensor).data, (**tensor).bytes) != OK
                {
                    return ERROR;
                }
            }
        }
        OK
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let f = &self.functions;
        // SAFETY: made by `load`, deleted once, users before what they use; null is taken by all of them but
        // the first, which is asked for.
        unsafe {
            if !self.interpreter.is_null() {
                (f.interpreter_delete)(self.interpreter);
            }
            (f.xnnpack_delete)(self.xnnpack);
            (f.options_delete)(self.options);
            (f.model_delete)(self.model);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn layouts_are_those_of_common_h_on_64_bits() {
        assert_eq!((size_of::<IntArray>(), offset_of!(IntArray, data)), (4, 4));
        assert_eq!((offset_of!(Tensor, data), offset_of!(Tensor, bytes)), (8, 40));
        assert_eq!((offset_of!(Tensor, buffer_handle), offset_of!(Tensor, quantization_type)), (72, 80));
        assert_eq!((offset_of!(Tensor, dims_signature), size_of::<Tensor>()), (104, 112));
        assert_eq!((offset_of!(Node, user_data), offset_of!(Node, custom_initial_data)), (32, 48));
        assert_eq!((offset_of!(Node, delegate), size_of::<Node>()), (64, 80));
        assert_eq!((offset_of!(Registration, custom_name), size_of::<Registration>()), (48, 88));
        assert_eq!((offset_of!(Context, tensors), offset_of!(Context, replace_node_subsets)), (16, 64));
        assert_eq!((offset_of!(Delegate, flags), size_of::<Delegate>()), (40, 56));
        assert_eq!((offset_of!(DelegateParams, nodes_to_replace), size_of::<XnnpackOptions>()), (8, 256));
    }
}
