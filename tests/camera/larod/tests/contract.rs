//! The simulated library through its C interface, opened as a program on a camera opens it. What its functions do,
//! `tests/on_camera` tests through Spotter.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use libloading::Library;

macro_rules! call {
    ($library:expr, $name:ident($($arg:expr => $type:ty),*) -> $ret:ty) => {{
        // SAFETY: the types are those of larod.h.
        unsafe {
            let function: libloading::Symbol<'_, unsafe extern "C" fn($($type),*) -> $ret> =
                $library.get(stringify!($name)).expect(stringify!($name));
            function($($arg),*)
        }
    }};
}

type Handle = *mut c_void;

/// A connection knows the devices of its camera, and is gone when it has ended.
#[test]
fn a_connection_knows_the_devices_of_its_camera() {
    let program = std::env::current_exe().expect("a test has a file");
    // Cargo puts the library beside the tests of its crate.
    let file = program.parent().expect("a file is in a folder").join("liblarod.so");
    // SAFETY: a library without constructors.
    let library = unsafe { Library::new(file).expect("the library was built") };
    let (mut connection, mut error): (Handle, Handle) = (ptr::null_mut(), ptr::null_mut());
    assert!(call!(library, larodConnect(&mut connection => *mut Handle, &mut error => *mut Handle) -> bool));
    assert!(error.is_null() && !connection.is_null());
    let mut count = 0usize;
    let devices = call!(library, larodListDevices(connection => Handle, &mut count => *mut usize,
        &mut error => *mut Handle) -> *mut Handle);
    let names: BTreeSet<String> = (0..count)
        .map(|index| {
            // SAFETY: the array has that many devices.
            let device = unsafe { *devices.add(index) };
            let name = call!(library, larodGetDeviceName(device => Handle, &mut error => *mut Handle) -> *const c_char);
            // SAFETY: a name that lives as long as the device.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        })
        .collect();
    assert_eq!(names.len(), count);
    // Without a word of the environment it is an ARTPEC-8.
    assert!(names.contains("axis-a8-dlpu-tflite") && names.contains("cpu-tflite"), "{names:?}");
    assert!(
        call!(library, larodDisconnect(&mut connection => *mut Handle, &mut error => *mut Handle) -> bool)
    );
    assert!(connection.is_null() && error.is_null());
}
