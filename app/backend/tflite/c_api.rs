//! The border to TensorFlow Lite's C library, which is opened at run time.
//!
//! Crate `tflitec` calls about forty C functions. They are defined here and forwarded to whatever
//! library was found, so the program has no link-time dependency on one: it starts without it and
//! says what is missing. Creating an interpreter passes through here too, which is where a delegate is
//! added (XNNPACK, which the C library does not apply by itself, or that of an accelerator) and where the
//! library's own error text is caught instead of going to stderr.
//!
//! Signatures follow TensorFlow's `tensorflow/lite/core/c/c_api.h` and
//! `tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h`.
#![allow(unsafe_code, reason = "the border to C")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

use super::library;
use crate::base::error::{Error, Kind, Result};

type Pointer = *mut c_void;
type ConstPointer = *const c_void;

/// `kTfLiteOk` is 0; anything else is a failure.
const FAILED: u32 = 1;

/// `TfLiteQuantizationParams`: a scale and a zero point.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizationParams {
    scale: f32,
    zero_point: i32,
}

/// `TfLiteXNNPackDelegateOptions`, padded: the library returns it by value through a hidden pointer
/// and its size grew from 32 bytes (2.17) to 56 (LiteRT 2.1). `num_threads` is first in all of them.
#[repr(C)]
struct XnnpackOptions {
    num_threads: i32,
    flags: u32,
    rest: [usize; 31],
}

type ErrorReporter = unsafe extern "C" fn(Pointer, *const c_char, Pointer);

macro_rules! forward {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $ret:ty, absent $absent:expr;)*) => {
        /// The functions of the opened library that `tflitec` may call.
        #[allow(non_snake_case)]
        struct Functions { $($name: Option<unsafe extern "C" fn($($type),*) -> $ret>,)* }

        impl Functions {
            fn of(library: &Library) -> Self {
                Self {
                    // SAFETY: the type is the one that TensorFlow Lite's header gives this name.
                    $($name: unsafe { library.get(concat!(stringify!($name), "\0")) }.ok().map(|s| *s),)*
                }
            }
        }

        $(
            /// Forwards to the opened library; without one, the answer that means failure.
            ///
            /// # Safety
            /// As TensorFlow Lite's function of this name.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case)]
            pub unsafe extern "C" fn $name($($arg: $type),*) -> $ret {
                match opened().and_then(|api| api.functions.$name) {
                    // SAFETY: the caller keeps the contract of the function of this name.
                    Some(function) => unsafe { function($($arg),*) },
                    None => $absent,
                }
            }
        )*
    };
}

forward! {
    fn TfLiteVersion() -> *const c_char, absent c"absent".as_ptr();
    fn TfLiteModelCreate(data: ConstPointer, size: usize) -> Pointer, absent ptr::null_mut();
    fn TfLiteModelCreateFromFile(path: *const c_char) -> Pointer, absent ptr::null_mut();
    fn TfLiteModelDelete(model: Pointer) -> (), absent ();
    fn TfLiteInterpreterOptionsCreate() -> Pointer, absent ptr::null_mut();
    fn TfLiteInterpreterOptionsDelete(options: Pointer) -> (), absent ();
    fn TfLiteInterpreterOptionsSetNumThreads(options: Pointer, threads: i32) -> (), absent ();
    fn TfLiteInterpreterGetInputTensorCount(interpreter: ConstPointer) -> i32, absent 0;
    fn TfLiteInterpreterGetInputTensor(interpreter: ConstPointer, index: i32) -> Pointer,
        absent ptr::null_mut();
    fn TfLiteInterpreterResizeInputTensor(
        interpreter: Pointer, index: i32, dims: *const c_int, count: i32) -> u32, absent FAILED;
    fn TfLiteInterpreterAllocateTensors(interpreter: Pointer) -> u32, absent FAILED;
    fn TfLiteInterpreterInvoke(interpreter: Pointer) -> u32, absent FAILED;
    fn TfLiteInterpreterGetOutputTensorCount(interpreter: ConstPointer) -> i32, absent 0;
    fn TfLiteInterpreterGetOutputTensor(interpreter: ConstPointer, index: i32) -> ConstPointer,
        absent ptr::null();
    fn TfLiteTensorType(tensor: ConstPointer) -> u32, absent 0;
    fn TfLiteTensorNumDims(tensor: ConstPointer) -> i32, absent 0;
    fn TfLiteTensorDim(tensor: ConstPointer, index: i32) -> i32, absent 0;
    fn TfLiteTensorByteSize(tensor: ConstPointer) -> usize, absent 0;
    fn TfLiteTensorData(tensor: ConstPointer) -> Pointer, absent ptr::null_mut();
    fn TfLiteTensorName(tensor: ConstPointer) -> *const c_char, absent c"".as_ptr();
    fn TfLiteTensorQuantizationParams(tensor: ConstPointer) -> QuantizationParams,
        absent QuantizationParams { scale: 0.0, zero_point: 0 };
    fn TfLiteTensorCopyFromBuffer(tensor: Pointer, data: ConstPointer, size: usize) -> u32, absent FAILED;
    fn TfLiteInterpreterGetSignatureCount(interpreter: ConstPointer) -> i32, absent 0;
    fn TfLiteInterpreterGetSignatureKey(interpreter: ConstPointer, index: i32) -> *const c_char,
        absent c"".as_ptr();
    fn TfLiteInterpreterGetSignatureRunner(interpreter: ConstPointer, key: *const c_char) -> Pointer,
        absent ptr::null_mut();
    fn TfLiteSignatureRunnerGetInputCount(runner: ConstPointer) -> usize, absent 0;
    fn TfLiteSignatureRunnerGetInputName(runner: ConstPointer, index: i32) -> *const c_char,
        absent c"".as_ptr();
    fn TfLiteSignatureRunnerResizeInputTensor(
        runner: Pointer, name: *const c_char, dims: *const c_int, count: i32) -> u32, absent FAILED;
    fn TfLiteSignatureRunnerAllocateTensors(runner: Pointer) -> u32, absent FAILED;
    fn TfLiteSignatureRunnerGetInputTensor(runner: Pointer, name: *const c_char) -> Pointer,
        absent ptr::null_mut();
    fn TfLiteSignatureRunnerInvoke(runner: Pointer) -> u32, absent FAILED;
    fn TfLiteSignatureRunnerGetOutputCount(runner: ConstPointer) -> usize, absent 0;
    fn TfLiteSignatureRunnerGetOutputName(runner: ConstPointer, index: i32) -> *const c_char,
        absent c"".as_ptr();
    fn TfLiteSignatureRunnerGetOutputTensor(runner: ConstPointer, name: *const c_char) -> ConstPointer,
        absent ptr::null();
    fn TfLiteSignatureRunnerDelete(runner: Pointer) -> (), absent ();
}

/// Functions that only this file calls.
struct Own {
    interpreter_create: unsafe extern "C" fn(ConstPointer, ConstPointer) -> Pointer,
    interpreter_delete: unsafe extern "C" fn(Pointer),
    set_error_reporter: Option<unsafe extern "C" fn(Pointer, ErrorReporter, Pointer)>,
    add_delegate: Option<unsafe extern "C" fn(Pointer, Pointer)>,
    xnnpack: Option<Xnnpack>,
}

#[derive(Clone, Copy)]
struct Xnnpack {
    options_default: unsafe extern "C" fn() -> XnnpackOptions,
    create: unsafe extern "C" fn(*const XnnpackOptions) -> Pointer,
    delete: unsafe extern "C" fn(Pointer),
}

/// The opened library. It is never closed: delegates and interpreters may outlive any scope.
struct Api {
    path: PathBuf,
    functions: Functions,
    own: Own,
    _library: Library,
}

impl Api {
    fn open(path: &Path) -> std::result::Result<Self, String> {
        if library::named().is_some_and(|named| named == path) && library::is_litert(path) {
            return Err(library::not_the_litert(path));
        }
        // SAFETY: a TensorFlow Lite library has only C++ static constructors, which may run here; what
        // the user names in $SPOTTER_TFLITE is as trusted as the program itself.
        let library = unsafe { Library::new(path) }
            .map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))?;
        let not_tflite = |_| format!("{} is no TensorFlow Lite C library", path.display());
        // SAFETY: the types are those that TensorFlow Lite's headers give these names.
        let own = unsafe {
            let xnnpack = match (
                library.get(b"TfLiteXNNPackDelegateOptionsDefault\0"),
                library.get(b"TfLiteXNNPackDelegateCreate\0"),
                library.get(b"TfLiteXNNPackDelegateDelete\0"),
            ) {
                (Ok(options_default), Ok(create), Ok(delete)) => {
                    Some(Xnnpack { options_default: *options_default, create: *create, delete: *delete })
                }
                _ => None,
            };
            Own {
                interpreter_create: *library.get(b"TfLiteInterpreterCreate\0").map_err(not_tflite)?,
                interpreter_delete: *library.get(b"TfLiteInterpreterDelete\0").map_err(not_tflite)?,
                set_error_reporter: library
                    .get(b"TfLiteInterpreterOptionsSetErrorReporter\0")
                    .ok()
                    .map(|symbol| *symbol),
                add_delegate: library
                    .get(b"TfLiteInterpreterOptionsAddDelegate\0")
                    .ok()
                    .map(|symbol| *symbol),
                xnnpack,
            }
        };
        Ok(Self { path: path.to_owned(), functions: Functions::of(&library), own, _library: library })
    }

    /// Major and minor version.
    fn version(&self) -> (u32, u32) {
        let mut parts =
            version_text().split(['.', '-']).map(|part| part.parse().unwrap_or(0)).collect::<Vec<_>>();
        parts.resize(2, 0);
        (parts[0], parts[1])
    }
}

static API: OnceLock<std::result::Result<Api, String>> = OnceLock::new();

fn opened() -> Option<&'static Api> {
    API.get().and_then(|api| api.as_ref().ok())
}

/// Where a library is looked for, in order: `$SPOTTER_TFLITE` alone if set, where one is installed, the system's
/// loader path.
fn candidates() -> Vec<PathBuf> {
    const NAME: &str = "libtensorflowlite_c.so";
    if let Some(path) = library::named() {
        return vec![path];
    }
    let mut paths = library::installed(NAME);
    paths.push(NAME.into());
    // Debian's name for it.
    paths.push("libtensorflow-lite.so.2.14.1".into());
    paths
}

/// Opens TensorFlow Lite, once for the process; returns its path.
///
/// # Errors
/// `Kind::Backend` where no library is found: the sentence says how to get one.
pub fn load() -> Result<&'static Path> {
    let api = API.get_or_init(|| {
        let mut why = String::new();
        for path in candidates() {
            match Api::open(&path) {
                Ok(api) => return Ok(api),
                Err(error) if why.is_empty() => why = error,
                Err(_) => {}
            }
        }
        Err(why)
    });
    match api {
        Ok(api) => Ok(&api.path),
        Err(why) => Err(Error::new(
            Kind::Backend,
            "TensorFlow Lite was not found; run ./build.sh setup to install it, or set SPOTTER_TFLITE to the path \
             of libtensorflowlite_c.so",
        )
        .caused_by(why.clone())),
    }
}

/// The version text of the opened library ("2.17.1"), "absent" without one.
pub fn version_text() -> &'static str {
    // SAFETY: the function returns a string constant of the library (never closed) or of this file.
    unsafe { CStr::from_ptr(TfLiteVersion()) }.to_str().unwrap_or("unknown")
}

thread_local! {
    static PLAN: RefCell<Option<Accelerator>> = const { RefCell::new(None) };
    static CREATED: Cell<Pointer> = const { Cell::new(ptr::null_mut()) };
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A delegate, deleted when it is dropped. One that an interpreter uses is kept here until that is gone.
pub struct Delegate {
    pointer: Pointer,
    delete: unsafe extern "C" fn(Pointer),
}

impl Delegate {
    /// A delegate and the function that deletes it.
    ///
    /// # Safety
    /// `pointer` is a `TfLiteDelegate` that nobody else deletes; `delete` may be called with it once, on any
    /// thread, as long as the process lives.
    pub unsafe fn new(pointer: Pointer, delete: unsafe extern "C" fn(Pointer)) -> Self {
        Self { pointer, delete }
    }
}

impl Drop for Delegate {
    fn drop(&mut self) {
        // SAFETY: the contract of `new`; what uses it is gone, since it is kept longer than its interpreter.
        unsafe { (self.delete)(self.pointer) };
    }
}

/// What makes an interpreter fast.
pub enum Accelerator {
    /// XNNPACK on so many threads, where the library has it.
    Xnnpack(i32),
    /// Another delegate.
    Delegate(Delegate),
}

// SAFETY: a delegate has no thread affinity; it is only deleted, by whichever thread drops the interpreter.
unsafe impl Send for Delegate {}

/// The delegate of each living interpreter, by the interpreter's address.
static DELEGATES: Mutex<Option<HashMap<usize, Delegate>>> = Mutex::new(None);

/// What the library said last on this thread; empties it.
pub fn take_last_error() -> Option<String> {
    let text = LAST_ERROR.take();
    (!text.is_empty()).then_some(text)
}

unsafe extern "C" {
    fn vsnprintf(buffer: *mut c_char, size: usize, format: *const c_char, arguments: Pointer) -> c_int;
}

/// Receives the library's error messages. `arguments` is a C `va_list`; on all targets (x86-64, AArch64,
/// 32-bit ARM) it is handed over as one pointer-sized value, so it can be passed on unopened.
unsafe extern "C" fn report_error(_user: Pointer, format: *const c_char, arguments: Pointer) {
    let mut buffer = [0u8; 512];
    // SAFETY: format and arguments belong together (the library made them), the size is the buffer's, and
    // vsnprintf ends what it writes with a zero.
    let written = unsafe { vsnprintf(buffer.as_mut_ptr().cast(), buffer.len(), format, arguments) };
    if written <= 0 {
        return;
    }
    let Ok(text) = CStr::from_bytes_until_nul(&buffer) else { return };
    let text = text.to_string_lossy();
    // A thread that is ending has no last error any more; nothing reads it then.
    let _ = LAST_ERROR.try_with(|last| {
        let mut last = last.borrow_mut();
        // The first message names the cause; those after it say that the callers failed too.
        if last.is_empty() {
            // After the first line comes advice to programmers.
            last.push_str(text.trim().lines().next().unwrap_or_default().trim_end_matches('.'));
        }
    });
}

/// An XNNPACK delegate on so many threads; none where the library has no XNNPACK.
fn xnnpack(api: &Api, threads: i32) -> Option<Delegate> {
    let xnnpack = api.own.xnnpack?;
    // Before 2.10 the options were 8 bytes, returned in a register, with no quantised kernels on.
    let mut settings = if api.version() < (2, 10) {
        XnnpackOptions { num_threads: threads, flags: 3, rest: [0; 31] }
    } else {
        // SAFETY: the struct is at least as large as the library's, see its comment.
        unsafe { (xnnpack.options_default)() }
    };
    settings.num_threads = threads;
    // SAFETY: the settings outlive the call; what is made is deleted by the function that belongs to it.
    unsafe {
        let pointer = (xnnpack.create)(&settings);
        (!pointer.is_null()).then(|| Delegate::new(pointer, xnnpack.delete))
    }
}

/// Creates an interpreter with the delegate that the thread asked for.
///
/// # Safety
/// As TensorFlow Lite's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn TfLiteInterpreterCreate(model: ConstPointer, options: ConstPointer) -> Pointer {
    let Some(api) = opened() else { return ptr::null_mut() };
    let options_mut = options.cast_mut();
    if let (Some(set), false) = (api.own.set_error_reporter, options.is_null()) {
        // SAFETY: the options are alive (the caller's contract) and the reporter is a static function.
        unsafe { set(options_mut, report_error, ptr::null_mut()) };
    }
    let delegate = match PLAN.take() {
        Some(Accelerator::Xnnpack(threads)) => xnnpack(api, threads),
        Some(Accelerator::Delegate(delegate)) => Some(delegate),
        None => None,
    };
    if let (Some(delegate), Some(add), false) = (&delegate, api.own.add_delegate, options.is_null()) {
        // SAFETY: both are alive; the delegate is kept until the interpreter is gone, or dropped below where
        // there is none.
        unsafe { add(options_mut, delegate.pointer) };
    }
    // SAFETY: the caller's pointers, unchanged.
    let interpreter = unsafe { (api.own.interpreter_create)(model, options) };
    CREATED.set(interpreter);
    if let (Some(delegate), false) = (delegate, interpreter.is_null()) {
        let mut delegates = DELEGATES.lock().unwrap_or_else(PoisonError::into_inner);
        delegates.get_or_insert_default().insert(interpreter as usize, delegate);
    }
    interpreter
}

/// Deletes an interpreter, then its delegate.
///
/// # Safety
/// As TensorFlow Lite's function of this name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn TfLiteInterpreterDelete(interpreter: Pointer) {
    let Some(api) = opened() else { return };
    // SAFETY: the caller's pointer, unchanged.
    unsafe { (api.own.interpreter_delete)(interpreter) };
    let delegate = DELEGATES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_mut()
        .and_then(|delegates| delegates.remove(&(interpreter as usize)));
    // Its only user is gone, and so is the lock: closing a device may take a while.
    drop(delegate);
}

/// Runs `create`, which makes one interpreter through `tflitec`, with what accelerates it, and gives access
/// to that interpreter's tensors.
pub fn accelerated<T>(by: Accelerator, create: impl FnOnce() -> T) -> (T, Tensors) {
    PLAN.set(Some(by));
    CREATED.set(ptr::null_mut());
    let created = create();
    // What no interpreter took is dropped here.
    drop(PLAN.take());
    (created, Tensors { interpreter: CREATED.replace(ptr::null_mut()) })
}

/// True where the opened library has XNNPACK.
pub fn has_xnnpack() -> bool {
    opened().is_some_and(|api| api.own.xnnpack.is_some() && api.own.add_delegate.is_some())
}

/// The tensors of one interpreter. Only to be used while that interpreter lives: whoever owns both
/// (`tflite.rs`) sees to it.
pub struct Tensors {
    interpreter: Pointer,
}

// SAFETY: TensorFlow Lite's interpreter has no thread affinity; `&mut self` keeps use exclusive.
unsafe impl Send for Tensors {}

impl Tensors {
    /// The memory of input `index`; `None` before tensors are allocated or where there is none.
    ///
    /// # Safety
    /// The interpreter must be alive, and no other access to its inputs may go on.
    pub unsafe fn input(&mut self, index: usize) -> Option<&mut [u8]> {
        let index = i32::try_from(index).ok()?;
        // SAFETY: the interpreter is alive (this function's contract); the index is checked by count.
        unsafe {
            if self.interpreter.is_null() || index >= TfLiteInterpreterGetInputTensorCount(self.interpreter) {
                return None;
            }
            let tensor = TfLiteInterpreterGetInputTensor(self.interpreter, index);
            let data = TfLiteTensorData(tensor).cast::<u8>();
            (!data.is_null()).then(|| std::slice::from_raw_parts_mut(data, TfLiteTensorByteSize(tensor)))
        }
    }

    /// The memory of output `index`. Dynamic outputs move between runs, so the pointer is asked for anew.
    ///
    /// # Safety
    /// The interpreter must be alive and must not run while the slice is used.
    pub unsafe fn output(&self, index: usize) -> Option<&[u8]> {
        let index = i32::try_from(index).ok()?;
        // SAFETY: the interpreter is alive (this function's contract); the index is checked by count.
        unsafe {
            if self.interpreter.is_null() || index >= TfLiteInterpreterGetOutputTensorCount(self.interpreter)
            {
                return None;
            }
            let tensor = TfLiteInterpreterGetOutputTensor(self.interpreter, index);
            let data = TfLiteTensorData(tensor).cast::<u8>();
            (!data.is_null())
                .then(|| std::slice::from_raw_parts(data.cast_const(), TfLiteTensorByteSize(tensor)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn layouts_are_those_of_the_headers() {
        assert_eq!(size_of::<QuantizationParams>(), 8);
        assert_eq!(offset_of!(QuantizationParams, zero_point), 4);
        assert_eq!(offset_of!(XnnpackOptions, num_threads), 0);
        assert_eq!(offset_of!(XnnpackOptions, flags), 4);
        assert!(size_of::<XnnpackOptions>() >= 56);
    }
}
