//! A stand-in for `libedgetpu.so.1`: its eight functions, with an imagined USB device that computes on the
//! processor.
//!
//! What a compiled model has inside its `edgetpu-custom-op` is, for this device, [`MAGIC`] and the .tflite
//! file that the operator stands for: same inputs, same outputs, same order. It is run by the TensorFlow Lite
//! library that the program has opened, with XNNPACK.
//!
//! `$SPOTTER_SIM_DIR` names a folder. Its file `faults`, read at every call, has one fault a line; lines of
//! other simulators are passed over:
//!
//! | line | what happens |
//! |---|---|
//! | `edgetpu no-device` | no device is listed or opened |
//! | `edgetpu busy` | a device is listed, but cannot be opened |
//! | `edgetpu lost` | as `no-device`, and every run fails; a delegate that met it fails for ever |
//! | `edgetpu crash` | opening a device ends the process, as a libedgetpu built for another TensorFlow Lite does |
//!
//! Into its file `edgetpu.log` goes a line for each event: `open PATH`, `load` (a model), `unload`, `close`.
#![allow(unsafe_code, reason = "its functions are called from C")]

mod delegate;
mod faults;
mod tflite;

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use faults::{has, note};
use tflite::Delegate;

/// What the contents of a compiled operator begin with.
pub const MAGIC: &[u8] = b"SPOTTER-SIM-EDGETPU-1\n";

/// `EDGETPU_APEX_USB`.
const USB: c_int = 1;
const PATH: &std::ffi::CStr = c"/sys/bus/usb/devices/9-9";

/// `struct edgetpu_device`.
#[repr(C)]
pub struct Device {
    kind: c_int,
    path: *const c_char,
}

fn is_attached() -> bool {
    !has("no-device") && !has("lost")
}

fn open() -> *mut Delegate {
    if has("crash") {
        std::process::abort();
    }
    if !is_attached() || has("busy") {
        return ptr::null_mut();
    }
    note(&format!("open {}", PATH.to_string_lossy()));
    delegate::create()
}

fn close(delegate: *mut Delegate) {
    if !delegate.is_null() {
        note("close");
        // SAFETY: it was made by `delegate::create`, and the caller deletes it once.
        unsafe { delegate::delete(delegate) };
    }
}

/// The devices; null where there is none.
///
/// # Safety
/// `count` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgetpu_list_devices(count: *mut usize) -> *mut Device {
    let attached = is_attached();
    // SAFETY: the caller's contract.
    unsafe { *count = usize::from(attached) };
    if attached {
        Box::into_raw(Box::new(Device { kind: USB, path: PATH.as_ptr() }))
    } else {
        ptr::null_mut()
    }
}

/// Frees what [`edgetpu_list_devices`] gave.
///
/// # Safety
/// It came from there and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgetpu_free_devices(devices: *mut Device) {
    if !devices.is_null() {
        // SAFETY: the caller's contract.
        drop(unsafe { Box::from_raw(devices) });
    }
}

/// A delegate for the device; null where it cannot be opened or is another.
///
/// # Safety
/// `name` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgetpu_create_delegate(
    kind: c_int,
    name: *const c_char,
    _options: *const c_void,
    _count: usize,
) -> *mut Delegate {
    // SAFETY: the caller's contract.
    let known = name.is_null() || unsafe { std::ffi::CStr::from_ptr(name) } == PATH;
    if kind == USB && known { open() } else { ptr::null_mut() }
}

/// Closes the device.
#[unsafe(no_mangle)]
pub extern "C" fn edgetpu_free_delegate(delegate: *mut Delegate) {
    close(delegate);
}

/// Takes any verbosity.
#[unsafe(no_mangle)]
pub extern "C" fn edgetpu_verbosity(_verbosity: c_int) {}

/// Says that it is a stand-in.
#[unsafe(no_mangle)]
pub extern "C" fn edgetpu_version() -> *const c_char {
    c"BuildLabel(stand-in), RuntimeVersion(14)".as_ptr()
}

/// The same delegate by TensorFlow Lite's interface for external delegates; options are not looked at, and
/// as with the real library a failure is not reported.
#[unsafe(no_mangle)]
pub extern "C" fn tflite_plugin_create_delegate(
    _keys: *const *const c_char,
    _values: *const *const c_char,
    _count: usize,
    _report: Option<unsafe extern "C" fn(*const c_char)>,
) -> *mut Delegate {
    open()
}

/// Closes the device.
#[unsafe(no_mangle)]
pub extern "C" fn tflite_plugin_destroy_delegate(delegate: *mut Delegate) {
    close(delegate);
}
