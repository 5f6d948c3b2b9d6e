//! The border to LiteRT's C library, which is opened at run time.
//!
//! The functions, numbers and layouts are those of `litert/c/*.h` as they are in the file that is accepted. They
//! change from version to version (creating a model got one more argument between 2.1.2 and 2.1.6), and nothing
//! in the library tells which ones it has: hence no file is opened but the one whose checksum is known.
#![allow(unsafe_code, reason = "the border to C")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, OnceLock};

use libloading::Library;
use sha2::{Digest, Sha256};

use crate::backend::tflite::library;
use crate::model::catalogue::hex;

/// What its file is called.
const NAME: &str = "libLiteRt.so";
/// The checksum of the file, and its length, which is looked at first. There is none for other processors.
const PINNED: Option<(u64, &str)> = if cfg!(target_arch = "x86_64") {
    Some((8_039_424, "eec47eb35e2924b3166015887e652a58edc9af823ae38e02bf83bef2548300bb"))
} else if cfg!(target_arch = "aarch64") {
    Some((5_991_672, "b57687dc234d2b8b0598aef5a9c961ed24263df8f8b3f56adbee1cff618e544b"))
} else {
    None
};

type Handle = *mut c_void;
type Status = c_int;
/// `LiteRtParamIndex`.
type Index = usize;

/// `LiteRtEnvOption`: a tag and a tagged value, here always a whole number.
#[repr(C)]
struct EnvironmentOption {
    tag: c_int,
    kind: IntegerKind,
    value: i64,
}

/// `kLiteRtAnyTypeInt`, where its union begins at eight bytes.
#[repr(C, align(8))]
struct IntegerKind(c_int);

/// `kLiteRtEnvOptionTagAutoRegisterAccelerators`: which, as a set of [`CPU`].
const TAG_ACCELERATORS: c_int = 24;
/// `kLiteRtEnvOptionTagMinLoggerSeverity`; what fails is said by a status, and in our own words.
const TAG_LOG_SEVERITY: c_int = 25;
const LOG_SILENT: i64 = 4;
const INTEGER: c_int = 2;
/// `kLiteRtHwAcceleratorCpu`.
const CPU: c_int = 1;
/// `kLiteRtTensorBufferTypeHostMemory`.
const HOST_MEMORY: c_int = 1;
/// The signature that every model has, whether it names one or not.
const SIGNATURE: Index = 0;

/// `LiteRtTensorBufferLockMode`.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Lock {
    /// To read what a run has written.
    Read = 0,
    /// To write what a run will read.
    Write = 1,
}

/// `LiteRtLayout`: in its first word seven bits of rank and one that says whether there are strides.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    bits: u32,
    dimensions: [i32; 8],
    strides: [u32; 8],
}

impl Layout {
    /// How many values; none where a dimension is open or the rank is none that fits.
    fn values(&self) -> Option<usize> {
        let rank = (self.bits & 0x7f) as usize;
        let known = self.dimensions.get(..rank)?.iter();
        known.map(|side| usize::try_from(*side).ok()).try_fold(1, |all: usize, side| all.checked_mul(side?))
    }
}

/// `LiteRtRankedTensorType`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct TensorType {
    element: c_int,
    layout: Layout,
}

impl TensorType {
    /// Bytes of one value, by `LiteRtElementType`; none of those that have no size of their own.
    fn value_bytes(&self) -> Option<usize> {
        match self.element {
            // Signed and unsigned bytes, and booleans.
            3 | 6 | 9 => Some(1),
            7 | 10 | 17 => Some(2),
            1 | 2 | 16 => Some(4),
            4 | 11 | 13 => Some(8),
            _ => None,
        }
    }

    fn bytes(&self) -> Option<usize> {
        self.layout.values()?.checked_mul(self.value_bytes()?)
    }
}

macro_rules! functions {
    ($($name:ident = $symbol:ident($($type:ty),*) -> $ret:ty;)*) => {
        struct Functions { $($name: unsafe extern "C" fn($($type),*) -> $ret,)* }

        impl Functions {
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the type is the one that LiteRT's header gives this name.
                    $($name: unsafe { *library.get(concat!(stringify!($symbol), "\0"))? },)*
                })
            }
        }
    };
}

functions! {
    create_environment = LiteRtCreateEnvironment(c_int, *const EnvironmentOption, *mut Handle) -> Status;
    destroy_environment = LiteRtDestroyEnvironment(Handle) -> ();
    create_model = LiteRtCreateModelFromBuffer(Handle, *const u8, usize, *mut Handle) -> Status;
    destroy_model = LiteRtDestroyModel(Handle) -> ();
    create_options = LiteRtCreateOptions(*mut Handle) -> Status;
    destroy_options = LiteRtDestroyOptions(Handle) -> ();
    set_accelerators = LiteRtSetOptionsHardwareAccelerators(Handle, c_int) -> Status;
    create_opaque = LiteRtCreateOpaqueOptions(
        *const c_char, *mut c_void, unsafe extern "C" fn(*mut c_void), *mut Handle) -> Status;
    destroy_opaque = LiteRtDestroyOpaqueOptions(Handle) -> ();
    add_opaque = LiteRtAddOpaqueOptions(Handle, Handle) -> Status;
    compile = LiteRtCreateCompiledModel(Handle, Handle, Handle, *mut Handle) -> Status;
    destroy_compiled = LiteRtDestroyCompiledModel(Handle) -> ();
    subgraph = LiteRtGetModelSubgraph(Handle, Index, *mut Handle) -> Status;
    input_count = LiteRtGetNumSubgraphInputs(Handle, *mut usize) -> Status;
    output_count = LiteRtGetNumSubgraphOutputs(Handle, *mut usize) -> Status;
    input = LiteRtGetSubgraphInput(Handle, Index, *mut Handle) -> Status;
    output = LiteRtGetSubgraphOutput(Handle, Index, *mut Handle) -> Status;
    tensor_type = LiteRtGetRankedTensorType(Handle, *mut TensorType) -> Status;
    output_layouts = LiteRtGetCompiledModelOutputTensorLayouts(Handle, Index, usize, *mut Layout, bool) -> Status;
    input_requirements = LiteRtGetCompiledModelInputBufferRequirements(Handle, Index, Index, *mut Handle) -> Status;
    create_required_buffer = LiteRtCreateManagedTensorBufferFromRequirements(
        Handle, *const TensorType, Handle, *mut Handle) -> Status;
    create_buffer = LiteRtCreateManagedTensorBuffer(Handle, c_int, *const TensorType, usize, *mut Handle) -> Status;
    destroy_buffer = LiteRtDestroyTensorBuffer(Handle) -> ();
    buffer_size = LiteRtGetTensorBufferSize(Handle, *mut usize) -> Status;
    lock = LiteRtLockTensorBuffer(Handle, *mut *mut c_void, c_int) -> Status;
    unlock = LiteRtUnlockTensorBuffer(Handle) -> Status;
    run = LiteRtRunCompiledModel(Handle, Index, usize, *mut Handle, usize, *mut Handle) -> Status;
    errors = LiteRtCompiledModelGetErrorMessages(Handle, *mut *mut c_char) -> Status;
    clear_errors = LiteRtCompiledModelClearErrors(Handle) -> Status;
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

/// The opened library. It is never closed: what it made may outlive any scope.
pub struct LiteRt {
    /// The file.
    pub path: PathBuf,
    functions: Functions,
    _library: Library,
}

/// Whether the file is the one that is known; why not, where it can be read.
fn is_pinned(path: &Path) -> Result<bool, String> {
    let Some((length, checksum)) = PINNED else { return Ok(false) };
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    if std::fs::metadata(path).map_err(unreadable)?.len() != length {
        return Ok(false);
    }
    Ok(hex(&Sha256::digest(std::fs::read(path).map_err(unreadable)?)) == checksum)
}

impl LiteRt {
    /// The library, opened once for the process; none where another was named in `$SPOTTER_TFLITE`, or where there
    /// is none for this processor. Else why it cannot be used.
    pub fn get() -> Result<Option<&'static Self>, &'static str> {
        static OPENED: OnceLock<Result<Option<LiteRt>, String>> = OnceLock::new();
        OPENED.get_or_init(Self::find).as_ref().map(Option::as_ref).map_err(String::as_str)
    }

    fn find() -> Result<Option<Self>, String> {
        if PINNED.is_none() {
            return Ok(None);
        }
        if let Some(path) = library::named() {
            // What else is wrong with the file the other library's loader says.
            return match is_pinned(&path) {
                Ok(true) => Self::open(&path).map(Some),
                _ => Ok(None),
            };
        }
        let mut why = format!("there is no {NAME}");
        for path in library::installed(NAME) {
            match is_pinned(&path) {
                Ok(true) => return Self::open(&path).map(Some),
                Ok(false) => why = library::not_the_litert(&path),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn open(path: &Path) -> Result<Self, String> {
        let unusable = |error: libloading::Error| format!("{} cannot be opened: {error}", path.display());
        // SAFETY: the file is the known one, which has only C++ static constructors; they may run here.
        let library = unsafe { Library::new(path) }.map_err(unusable)?;
        let functions = Functions::of(&library).map_err(unusable)?;
        Ok(Self { path: path.to_owned(), functions, _library: library })
    }
}

/// A call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(Status);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `LiteRtStatus`; the library does not export its names.
        let words = match self.0 {
            1 => "an argument is not valid",
            2 => "there is not enough memory",
            3 => "it failed while it ran",
            5 => "it is not supported",
            6 => "something is missing",
            501 => "it is no valid model file",
            504 => "it cannot be compiled",
            _ => "it failed",
        };
        write!(f, "{words} (status {})", self.0)
    }
}

type Outcome<T> = Result<T, Failed>;

fn checked(status: Status) -> Outcome<()> {
    if status == 0 { Ok(()) } else { Err(Failed(status)) }
}

/// What `create` puts into the place that it is given.
fn made(create: impl FnOnce(*mut Handle) -> Status) -> Outcome<Handle> {
    let mut handle = ptr::null_mut();
    checked(create(&mut handle))?;
    // No function that returns 0 leaves the place empty.
    if handle.is_null() { Err(Failed(0)) } else { Ok(handle) }
}

/// An object of the library, destroyed when it is dropped.
struct Owned {
    handle: Handle,
    destroy: unsafe extern "C" fn(Handle),
}

impl Owned {
    fn made(
        destroy: unsafe extern "C" fn(Handle),
        create: impl FnOnce(*mut Handle) -> Status,
    ) -> Outcome<Self> {
        Ok(Self { handle: made(create)?, destroy })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the library made it for us alone, and the function is the one that belongs to it.
        unsafe { (self.destroy)(self.handle) };
    }
}

// SAFETY: objects of the library have no thread affinity; those here are only used through `&mut`, or read.
unsafe impl Send for Owned {}

/// A model as the library reads it: it points into the bytes, which go after it.
pub struct Model {
    library: &'static LiteRt,
    model: Owned,
    environment: Owned,
    _bytes: Arc<[u8]>,
}

impl Model {
    /// Reads the bytes of a .tflite file.
    pub fn read(library: &'static LiteRt, bytes: Arc<[u8]>) -> Outcome<Self> {
        let functions = &library.functions;
        let option = |tag, value| EnvironmentOption { tag, kind: IntegerKind(INTEGER), value };
        let options = [option(TAG_ACCELERATORS, i64::from(CPU)), option(TAG_LOG_SEVERITY, LOG_SILENT)];
        let environment = Owned::made(functions.destroy_environment, |place| {
            // SAFETY: so many options, which are copied.
            unsafe { (functions.create_environment)(options.len() as c_int, options.as_ptr(), place) }
        })?;
        let model = Owned::made(functions.destroy_model, |place| {
            // SAFETY: the environment is alive; the bytes are kept in one value with the model.
            unsafe { (functions.create_model)(environment.handle, bytes.as_ptr(), bytes.len(), place) }
        })?;
        Ok(Self { library, model, environment, _bytes: bytes })
    }

    /// Compiles the model for so many threads of the processor.
    pub fn compile(self, threads: usize) -> Outcome<Compiled> {
        let functions = &self.library.functions;
        let options = Owned::made(functions.destroy_options, |place| {
            // SAFETY: the place is a handle's.
            unsafe { (functions.create_options)(place) }
        })?;
        // SAFETY: the options are alive.
        checked(unsafe { (functions.set_accelerators)(options.handle, CPU) })?;
        add_options(functions, &options, c"xnnpack", &format!("num_threads = {threads}\n"))?;
        // 2: what fails at run time is kept, for `CompiledModel::errors`.
        add_options(functions, &options, c"runtime_options_string", "error_reporter_mode = 2\n")?;
        let compiled = Owned::made(functions.destroy_compiled, |place| {
            // SAFETY: all three are alive; environment and model are kept in one value with what is made.
            unsafe { (functions.compile)(self.environment.handle, self.model.handle, options.handle, place) }
        })?;
        Ok(Compiled { compiled, model: self })
    }
}

/// Options that the C interface has no functions for are handed over as text, in TOML.
fn add_options(functions: &Functions, to: &Owned, name: &std::ffi::CStr, text: &str) -> Outcome<()> {
    unsafe extern "C" fn drop_text(text: *mut c_void) {
        // SAFETY: `into_raw` made it, and the library calls this once.
        drop(unsafe { CString::from_raw(text.cast()) });
    }
    let text = CString::new(text).map_err(|_| Failed(1))?.into_raw();
    // SAFETY: the library keeps the text and drops it with the function beside it.
    let opaque =
        made(|place| unsafe { (functions.create_opaque)(name.as_ptr(), text.cast(), drop_text, place) });
    let opaque = opaque.inspect_err(|_| {
        // SAFETY: nobody else has taken it.
        unsafe { drop_text(text.cast()) };
    })?;
    // SAFETY: both are alive; the options own what is added to them.
    let added = checked(unsafe { (functions.add_opaque)(to.handle, opaque) });
    added.inspect_err(|_| {
        // SAFETY: it was not taken.
        unsafe { (functions.destroy_opaque)(opaque) };
    })
}

/// A model that can run. It goes before the model that it was made from.
pub struct Compiled {
    compiled: Owned,
    model: Model,
}

impl Compiled {
    /// Memory for the inputs and for the outputs, in the model's order.
    pub fn buffers(&mut self) -> Outcome<(Vec<Buffer>, Vec<Buffer>)> {
        let functions = &self.model.library.functions;
        // SAFETY: the model is alive, and so is what belongs to it; places are of the types that are written.
        let subgraph = made(|place| unsafe { (functions.subgraph)(self.model.model.handle, 0, place) })?;
        let count = |function: unsafe extern "C" fn(Handle, *mut usize) -> Status| {
            let mut count = 0;
            // SAFETY: as before.
            checked(unsafe { function(subgraph, &mut count) }).map(|()| count)
        };
        let tensor_type = |function: unsafe extern "C" fn(Handle, Index, *mut Handle) -> Status, index| {
            let mut kind = TensorType::default();
            // SAFETY: as before.
            let tensor = made(|place| unsafe { function(subgraph, index, place) })?;
            // SAFETY: as before.
            checked(unsafe { (functions.tensor_type)(tensor, &mut kind) }).map(|()| kind)
        };
        let inputs = (0..count(functions.input_count)?)
            .map(|index| self.input_buffer(index, &tensor_type(functions.input, index)?))
            .collect::<Outcome<Vec<_>>>()?;
        let mut layouts = vec![Layout::default(); count(functions.output_count)?];
        // SAFETY: so many layouts. Post-processing's outputs have no shape in the file: they are asked for here.
        checked(unsafe {
            let places = layouts.as_mut_ptr();
            (functions.output_layouts)(self.compiled.handle, SIGNATURE, layouts.len(), places, true)
        })?;
        let output = |(index, layout): (usize, &Layout)| {
            let kind = TensorType { layout: *layout, ..tensor_type(functions.output, index)? };
            self.output_buffer(&kind)
        };
        let outputs = layouts.iter().enumerate().map(output).collect::<Outcome<Vec<_>>>()?;
        Ok((inputs, outputs))
    }

    fn input_buffer(&self, index: usize, kind: &TensorType) -> Outcome<Buffer> {
        let functions = &self.model.library.functions;
        let environment = self.model.environment.handle;
        // SAFETY: the compiled model is alive, and owns what is returned.
        let requirements = made(|place| unsafe {
            (functions.input_requirements)(self.compiled.handle, SIGNATURE, index, place)
        })?;
        let buffer = Owned::made(functions.destroy_buffer, |place| {
            // SAFETY: the environment outlives the buffer (see `Session`), the type is read.
            unsafe { (functions.create_required_buffer)(environment, kind, requirements, place) }
        })?;
        Buffer::new(self.model.library, buffer, kind, Lock::Write)
    }

    fn output_buffer(&self, kind: &TensorType) -> Outcome<Buffer> {
        let functions = &self.model.library.functions;
        let environment = self.model.environment.handle;
        let bytes = kind.bytes().ok_or(Failed(5))?;
        let buffer = Owned::made(functions.destroy_buffer, |place| {
            // SAFETY: the environment outlives the buffer (see `Session`), the type is read.
            unsafe { (functions.create_buffer)(environment, HOST_MEMORY, kind, bytes, place) }
        })?;
        Buffer::new(self.model.library, buffer, kind, Lock::Read)
    }

    /// Runs the model; none of the buffers may be locked.
    fn run(&mut self, inputs: &mut [Handle], outputs: &mut [Handle]) -> Outcome<()> {
        let run = self.model.library.functions.run;
        // SAFETY: so many living buffers of this model's, which `Session` keeps as long as it keeps their handles.
        checked(unsafe {
            let (into, out) = (inputs.as_mut_ptr(), outputs.as_mut_ptr());
            run(self.compiled.handle, SIGNATURE, inputs.len(), into, outputs.len(), out)
        })
    }

    /// What the library said since it was asked last.
    fn errors(&mut self) -> Option<String> {
        let functions = &self.model.library.functions;
        let mut text = ptr::null_mut();
        // SAFETY: the compiled model is alive; a text ends with a zero and is ours to free.
        unsafe {
            checked((functions.errors)(self.compiled.handle, &mut text)).ok()?;
            let said =
                (!text.is_null()).then(|| std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned());
            free(text.cast());
            checked((functions.clear_errors)(self.compiled.handle)).ok()?;
            said
        }
    }
}

/// The memory of one tensor. It is locked, and may be used, at all times but during a run.
pub struct Buffer {
    library: &'static LiteRt,
    buffer: Owned,
    bytes: usize,
    lock: Lock,
    /// Where it is while it is locked.
    memory: Option<ptr::NonNull<u8>>,
}

// SAFETY: as for `Owned`; the memory is that buffer's.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new(library: &'static LiteRt, buffer: Owned, kind: &TensorType, lock: Lock) -> Outcome<Self> {
        let bytes = kind.bytes().ok_or(Failed(5))?;
        let mut size = 0;
        // SAFETY: the buffer is alive.
        checked(unsafe { (library.functions.buffer_size)(buffer.handle, &mut size) })?;
        if size < bytes {
            return Err(Failed(2));
        }
        let mut buffer = Self { library, buffer, bytes, lock: Lock::Write, memory: None };
        buffer.lock()?;
        if let Some(memory) = buffer.memory {
            // SAFETY: locked for writing, and large enough. What no run writes (rows behind a count) is zero.
            unsafe { memory.as_ptr().write_bytes(0, bytes) };
        }
        buffer.unlock()?;
        buffer.lock = lock;
        buffer.lock()?;
        Ok(buffer)
    }

    fn lock(&mut self) -> Outcome<()> {
        if self.memory.is_none() {
            let mut memory = ptr::null_mut();
            // SAFETY: the buffer is alive and not locked.
            checked(unsafe {
                (self.library.functions.lock)(self.buffer.handle, &mut memory, self.lock as c_int)
            })?;
            self.memory = Some(ptr::NonNull::new(memory.cast()).ok_or(Failed(2))?);
        }
        Ok(())
    }

    fn unlock(&mut self) -> Outcome<()> {
        if self.memory.take().is_some() {
            // SAFETY: the buffer is alive and locked; nobody has a slice of it, since this is `&mut`.
            checked(unsafe { (self.library.functions.unlock)(self.buffer.handle) })?;
        }
        Ok(())
    }

    fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: locked memory of so many bytes, all written once at least; it is unlocked by `&mut` only.
        Some(unsafe { std::slice::from_raw_parts(self.memory?.as_ptr(), self.bytes) })
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: as for `bytes`, and locked for writing.
        Some(unsafe { std::slice::from_raw_parts_mut(self.memory?.as_ptr(), self.bytes) })
    }
}

/// A compiled model with its buffers, which go before it.
pub struct Session {
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    handles: (Vec<Handle>, Vec<Handle>),
    compiled: Compiled,
}

// SAFETY: the handles are those of the buffers beside them, see `Owned`.
unsafe impl Send for Session {}

impl Session {
    /// Makes buffers for the model.
    pub fn new(mut compiled: Compiled) -> Outcome<Self> {
        let (inputs, outputs) = compiled.buffers()?;
        let of = |buffers: &[Buffer]| buffers.iter().map(|buffer| buffer.buffer.handle).collect();
        let handles = (of(&inputs), of(&outputs));
        Ok(Self { inputs, outputs, handles, compiled })
    }

    /// The memory of an input.
    pub fn input_mut(&mut self, index: usize) -> Option<&mut [u8]> {
        self.inputs.get_mut(index)?.bytes_mut()
    }

    /// The memory of an output.
    pub fn output(&self, index: usize) -> Option<&[u8]> {
        self.outputs.get(index)?.bytes()
    }

    /// Runs the model: the library refuses to while a buffer is locked.
    pub fn run(&mut self) -> Outcome<()> {
        let outcome = self
            .all(Buffer::unlock)
            .and_then(|()| self.compiled.run(&mut self.handles.0, &mut self.handles.1));
        // Also after a failure, so that the next run finds its input.
        self.all(Buffer::lock)?;
        outcome
    }

    fn all(&mut self, each: impl Fn(&mut Buffer) -> Outcome<()>) -> Outcome<()> {
        self.inputs.iter_mut().chain(&mut self.outputs).try_for_each(each)
    }

    /// Why a run failed, as the library said it.
    pub fn errors(&mut self) -> Option<String> {
        self.compiled.errors()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn layouts_are_those_of_the_headers() {
        assert_eq!(size_of::<EnvironmentOption>(), 24);
        assert_eq!((offset_of!(EnvironmentOption, kind), offset_of!(EnvironmentOption, value)), (8, 16));
        assert_eq!(size_of::<Layout>(), 68);
        assert_eq!((offset_of!(Layout, dimensions), offset_of!(Layout, strides)), (4, 36));
        assert_eq!((size_of::<TensorType>(), offset_of!(TensorType, layout)), (72, 4));
    }

    #[test]
    fn sizes_are_counted_and_open_ones_refused() {
        let of = |element, dimensions: &[i32]| {
            let mut layout = Layout { bits: 0x80 | dimensions.len() as u32, ..Layout::default() };
            layout.dimensions[..dimensions.len()].copy_from_slice(dimensions);
            TensorType { element, layout }.bytes()
        };
        assert_eq!(of(1, &[1, 10, 4]), Some(160));
        assert_eq!(of(9, &[1, 320, 320, 3]), Some(307_200));
        assert_eq!(of(3, &[]), Some(1), "a single value");
        assert_eq!(of(3, &[1, -1]), None, "open");
        assert_eq!(of(5, &[1]), None, "text");
        assert_eq!(of(4, &[i32::MAX; 8]), None, "more than there can be");
        assert_eq!(Layout { bits: 9, ..Layout::default() }.values(), None);
    }

    #[test]
    fn another_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert!(is_pinned(&path).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, "no library").unwrap();
        assert_eq!(is_pinned(&path), Ok(false));
        if let Some((length, _)) = PINNED {
            std::fs::File::create(&path).unwrap().set_len(length).unwrap();
            assert_eq!(is_pinned(&path), Ok(false), "the length alone is not enough");
        }
    }
}
