//! Memory that this library hands out, and who may still use it.
//!
//! Whatever a caller gets a pointer to lies in pages of its own, never in memory of malloc's: a caller who frees it is
//! ended by the C library. When its life ends the pages are taken away and never given out again: whoever still
//! touches them is ended by the kernel, and a call that gets the pointer says so and aborts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::fmt::Display;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{MapFlags, ProtFlags};

/// What a pointer points to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Connection,
    Device,
    Devices,
    Model,
    Models,
    Tensor,
    Tensors,
    Map,
    Job,
    Error,
    Text,
}

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Device => "device",
            Self::Devices => "array of devices",
            Self::Model => "model",
            Self::Models => "array of models",
            Self::Tensor => "tensor",
            Self::Tensors => "array of tensors",
            Self::Map => "map",
            Self::Job => "job request",
            Self::Error => "error",
            Self::Text => "text",
        }
    }
}

/// What was handed out.
struct Lent {
    kind: Kind,
    /// Elements, of arrays.
    count: usize,
    bytes: usize,
    /// What ended its life.
    ended: Option<&'static str>,
}

static LENT: Mutex<BTreeMap<usize, Lent>> = Mutex::new(BTreeMap::new());
/// Objects begin here in their page: no address that malloc gives.
const BEGIN: usize = 8;

thread_local! {
    static CALL: Cell<&'static str> = const { Cell::new("liblarod") };
}

/// This thread is in this function of the library now.
pub fn call(name: &'static str) {
    CALL.set(name);
}

/// Ends the process: the caller broke a rule of the library's documentation.
pub fn misuse(what: impl Display) -> ! {
    eprintln!("liblarod (simulated): {}: {what}", CALL.get());
    std::process::abort();
}

fn lent() -> MutexGuard<'static, BTreeMap<usize, Lent>> {
    LENT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pages(bytes: usize) -> usize {
    (bytes + BEGIN).next_multiple_of(4096)
}

/// Fresh memory for this.
fn room(kind: Kind, count: usize, bytes: usize) -> *mut u8 {
    // SAFETY: a new mapping where the system chooses touches no other memory.
    let base = unsafe {
        rustix::mm::mmap_anonymous(
            ptr::null_mut(),
            pages(bytes),
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    let Ok(base) = base else { misuse("there is no memory left") };
    let place: *mut u8 = base.cast::<u8>().wrapping_add(BEGIN);
    lent().insert(place as usize, Lent { kind, count, bytes, ended: None });
    place
}

/// Hands out a value.
pub fn make<T>(kind: Kind, value: T) -> *mut T {
    const { assert!(align_of::<T>() <= BEGIN) };
    let place: *mut T = room(kind, 1, size_of::<T>()).cast();
    // SAFETY: fresh memory that is large enough and aligned.
    unsafe { place.write(value) };
    place
}

/// Hands out an array. It has room for one element at least.
pub fn array<T: Copy>(kind: Kind, values: &[T]) -> *mut T {
    const { assert!(align_of::<T>() <= BEGIN) };
    let place: *mut T = room(kind, values.len(), size_of_val(values).max(size_of::<T>())).cast();
    // SAFETY: fresh memory that is large enough and aligned.
    unsafe { ptr::copy_nonoverlapping(values.as_ptr(), place, values.len()) };
    place
}

/// Aborts unless this is alive and of this kind; gives the number of elements.
pub fn check<T>(kind: Kind, pointer: *const T) -> usize {
    let all = lent();
    let Some(found) = all.get(&(pointer as usize)) else {
        misuse(format_args!("the {} that was given is not from this library", kind.title()));
    };
    if found.kind != kind {
        misuse(format_args!("a {} was given where a {} is wanted", found.kind.title(), kind.title()));
    }
    if let Some(ended) = found.ended {
        misuse(format_args!("the {} that was given does not exist any more: {ended}", kind.title()));
    }
    found.count
}

/// Ends the life of a value and gives it back.
pub fn end<T>(kind: Kind, pointer: *mut T, why: &'static str) -> T {
    check(kind, pointer);
    // SAFETY: it is alive, so it is a value that `make` wrote; nobody gets it again.
    let value = unsafe { pointer.read() };
    forget(pointer, why);
    value
}

/// Ends the life of an array or of what needs no drop.
pub fn forget<T>(pointer: *mut T, why: &'static str) {
    let mut all = lent();
    if let Some(found) = all.get_mut(&(pointer as usize)) {
        found.ended = Some(why);
        let base = pointer.cast::<u8>().wrapping_sub(BEGIN);
        // SAFETY: the whole of what `room` mapped; its address stays taken, so nobody else gets it.
        let gone = unsafe {
            rustix::mm::mmap_anonymous(
                base.cast(),
                pages(found.bytes),
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE,
            )
        };
        if gone.is_err() {
            misuse("memory cannot be taken away");
        }
    }
}

/// A text for C.
pub struct Text(*const c_char);

// SAFETY: it is never written to.
unsafe impl Send for Text {}
// SAFETY: as above.
unsafe impl Sync for Text {}

impl Text {
    pub fn new(text: &str) -> Self {
        let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != 0).chain([0]).collect();
        Self(array(Kind::Text, &bytes).cast())
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.0
    }

    pub fn as_str(&self) -> &str {
        // SAFETY: `new` wrote a text that ends with a zero.
        unsafe { CStr::from_ptr(self.0) }.to_str().unwrap_or_default()
    }
}

impl Clone for Text {
    fn clone(&self) -> Self {
        Self::new(self.as_str())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        forget(self.0.cast_mut(), "what it belonged to was destroyed");
    }
}
