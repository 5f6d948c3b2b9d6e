//! The border to libedgetpu, Coral's runtime for the Edge TPU, which is opened at run time.
//!
//! Declarations follow `tflite/public/edgetpu_c.h` of google-coral/libedgetpu.
#![allow(unsafe_code, reason = "the border to C")]

use std::error::Error as _;
use std::ffi::{CStr, OsString, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

use crate::backend::tflite::c_api::Delegate;

/// The name that the library has on every Linux.
const SONAME: &str = "libedgetpu.so.1";
/// Names another library.
const VARIABLE: &str = "SPOTTER_EDGETPU";

/// `EDGETPU_APEX_PCI` of `enum edgetpu_device_type`.
pub(super) const PCI: c_int = 0;
/// `EDGETPU_APEX_USB` of `enum edgetpu_device_type`.
pub(super) const USB: c_int = 1;

/// `struct edgetpu_device`.
#[repr(C)]
struct RawDevice {
    kind: c_int,
    path: *const c_char,
}

/// `struct edgetpu_option`: none is ever given.
#[repr(C)]
struct RawOption {
    name: *const c_char,
    value: *const c_char,
}

/// A device as the library lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// [`PCI`] or [`USB`].
    pub kind: c_int,
    /// Where it is in the system, as the library wants it back.
    pub path: std::ffi::CString,
}

/// The opened library. It is never closed: delegates may outlive any scope.
pub(super) struct Runtime {
    list_devices: unsafe extern "C" fn(*mut usize) -> *mut RawDevice,
    free_devices: unsafe extern "C" fn(*mut RawDevice),
    create_delegate: unsafe extern "C" fn(c_int, *const c_char, *const RawOption, usize) -> *mut c_void,
    free_delegate: unsafe extern "C" fn(*mut c_void),
    version: Option<unsafe extern "C" fn() -> *const c_char>,
    _library: Library,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// What is opened: `$SPOTTER_EDGETPU` where set, else [`SONAME`] on the system's library path.
pub(super) fn library_name() -> OsString {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).unwrap_or_else(|| SONAME.into())
}

impl Runtime {
    /// The library, opened once for the process. One that is not there is looked for again next time:
    /// it may be installed while Spotter runs.
    ///
    /// # Errors
    /// What the loader says.
    pub(super) fn get() -> Result<&'static Self, String> {
        match RUNTIME.get() {
            Some(runtime) => Ok(runtime),
            None => {
                let runtime = Self::open()?;
                Ok(RUNTIME.get_or_init(|| runtime))
            }
        }
    }

    fn open() -> Result<Self, String> {
        let name = library_name();
        // SAFETY: libedgetpu has only C++ static constructors, which may run here; what the user names in
        // $SPOTTER_EDGETPU is as trusted as the program itself.
        let library = unsafe { Library::new(&name) }.map_err(|error| match error.source() {
            Some(why) => why.to_string(),
            None => error.to_string(),
        })?;
        let wrong = |_| format!("{} is no libedgetpu", name.display());
        // SAFETY: the types are those that edgetpu_c.h gives these names.
        unsafe {
            Ok(Self {
                list_devices: *library.get(b"edgetpu_list_devices\0").map_err(wrong)?,
                free_devices: *library.get(b"edgetpu_free_devices\0").map_err(wrong)?,
                create_delegate: *library.get(b"edgetpu_create_delegate\0").map_err(wrong)?,
                free_delegate: *library.get(b"edgetpu_free_delegate\0").map_err(wrong)?,
                version: library.get(b"edgetpu_version\0").ok().map(|symbol| *symbol),
                _library: library,
            })
        }
    }

    /// What the library calls its own version.
    pub(super) fn version(&self) -> Option<String> {
        let version = self.version?;
        // SAFETY: the function takes nothing and returns a string constant of the library (never closed).
        let text = unsafe {
            let text = version();
            if text.is_null() {
                return None;
            }
            CStr::from_ptr(text)
        };
        Some(text.to_string_lossy().into_owned())
    }

    /// The Edge TPUs that are attached, whether or not they are in use.
    pub(super) fn devices(&self) -> Vec<Listed> {
        let mut count = 0;
        // SAFETY: `count` outlives the call.
        let list = unsafe { (self.list_devices)(&mut count) };
        if list.is_null() {
            return Vec::new();
        }
        // SAFETY: the library says how many devices are in its list, whose paths end with a zero and
        // live as long as the list; all is copied before the list is given back, once.
        unsafe {
            let devices = std::slice::from_raw_parts(list, count)
                .iter()
                .filter(|device| !device.path.is_null())
                .map(|device| Listed { kind: device.kind, path: CStr::from_ptr(device.path).to_owned() })
                .collect();
            (self.free_devices)(list);
            devices
        }
    }

    /// A delegate that runs on this device; none where it cannot be opened.
    pub(super) fn delegate(&self, device: &Listed) -> Option<Delegate> {
        // SAFETY: the path ends with a zero and outlives the call; no options are given.
        let pointer = unsafe { (self.create_delegate)(device.kind, device.path.as_ptr(), ptr::null(), 0) };
        // SAFETY: the library made this delegate, this function deletes it, and the library is never closed.
        (!pointer.is_null()).then(|| unsafe { Delegate::new(pointer, self.free_delegate) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn layouts_are_those_of_edgetpu_c_h() {
        let pointer = size_of::<*const c_char>();
        assert_eq!((PCI, USB, size_of::<c_int>()), (0, 1, 4));
        assert_eq!((offset_of!(RawDevice, kind), offset_of!(RawDevice, path)), (0, pointer));
        assert_eq!((offset_of!(RawOption, name), offset_of!(RawOption, value)), (0, pointer));
        assert_eq!((size_of::<RawDevice>(), size_of::<RawOption>()), (2 * pointer, 2 * pointer));
    }
}
