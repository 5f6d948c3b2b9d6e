//! liblarod's C interface, as far as Spotter uses it, opened at run time.
//!
//! The declarations are our own, after the public interface of liblarod 3; `docs/design/larod.md` lists each with its
//! source, and a test holds this file against that list.
#![allow(unsafe_code, reason = "the border to C")]

use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

use super::symbols::Symbols;
use crate::base::error::{Error, Kind, Result};

/// The library's name in the camera's loader path.
pub const SONAME: &str = "liblarod.so.1";
/// Names the library's file where it is not in the loader path.
pub const VARIABLE: &str = "SPOTTER_LAROD";

/// The most dimensions that a tensor has.
pub const DIMENSIONS: usize = 12;

/// `larodError`: why a call failed.
#[repr(C)]
pub struct LarodError {
    /// A negative error code of larod, or a positive errno.
    pub code: c_int,
    /// What the library says; ends with a zero.
    pub msg: *const c_char,
}

/// `larodTensorDims`, and `larodTensorPitches`, which has the same layout.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Sizes, outermost first: of dims in elements; of pitches the bytes that one step of the dimension
    /// before takes, the first being all bytes.
    pub values: [usize; DIMENSIONS],
    /// How many of them count; 0 where nothing is said.
    pub len: usize,
}

/// `larodConnection`, `larodDevice`, `larodModel`, `larodTensor`, `larodMap` and `larodJobRequest`: only the
/// library looks into them.
pub type Opaque = c_void;

/// Access to a model: `LAROD_ACCESS_PRIVATE`, it dies with its connection.
pub const ACCESS_PRIVATE: c_int = 1;
/// `LAROD_TENSOR_DATA_TYPE_UINT8`.
pub const UINT8: c_int = 3;
/// `LAROD_TENSOR_DATA_TYPE_INT8`.
pub const INT8: c_int = 4;
/// `LAROD_TENSOR_DATA_TYPE_FLOAT32`.
pub const FLOAT32: c_int = 12;
/// `LAROD_TENSOR_LAYOUT_NHWC`.
pub const LAYOUT_NHWC: c_int = 2;
/// `LAROD_TENSOR_LAYOUT_NCHW`.
pub const LAYOUT_NCHW: c_int = 3;
/// `LAROD_TENSOR_LAYOUT_420SP`.
pub const LAYOUT_420SP: c_int = 4;
/// `LAROD_FD_PROP_READWRITE`: can be read and written as a file.
pub const FD_READWRITE: u32 = 1;
/// `LAROD_FD_PROP_MAP`: can be mapped into memory.
pub const FD_MAP: u32 = 2;
/// `LAROD_FD_PROP_DMABUF`: is a dma-buf.
pub const FD_DMABUF: u32 = 4;
/// `LAROD_INVALID_FD`.
pub const INVALID_FD: c_int = c_int::MIN;

/// `LAROD_ERROR_JOB`.
pub const ERROR_JOB: c_int = -1;
/// `LAROD_ERROR_LOAD_MODEL`.
pub const ERROR_LOAD_MODEL: c_int = -2;
/// `LAROD_ERROR_FD`.
pub const ERROR_FD: c_int = -3;
/// `LAROD_ERROR_MODEL_NOT_FOUND`.
pub const ERROR_MODEL_NOT_FOUND: c_int = -4;
/// `LAROD_ERROR_PERMISSION`.
pub const ERROR_PERMISSION: c_int = -5;
/// `LAROD_ERROR_CONNECTION`.
pub const ERROR_CONNECTION: c_int = -6;
/// `LAROD_ERROR_CREATE_SESSION`.
pub const ERROR_CREATE_SESSION: c_int = -7;
/// `LAROD_ERROR_KILL_SESSION`.
pub const ERROR_KILL_SESSION: c_int = -8;
/// `LAROD_ERROR_INVALID_CHIP_ID`.
pub const ERROR_INVALID_CHIP_ID: c_int = -9;
/// `LAROD_ERROR_INVALID_ACCESS`.
pub const ERROR_INVALID_ACCESS: c_int = -10;
/// `LAROD_ERROR_DELETE_MODEL`.
pub const ERROR_DELETE_MODEL: c_int = -11;
/// `LAROD_ERROR_TENSOR_MISMATCH`.
pub const ERROR_TENSOR_MISMATCH: c_int = -12;
/// `LAROD_ERROR_VERSION_MISMATCH`.
pub const ERROR_VERSION_MISMATCH: c_int = -13;
/// `LAROD_ERROR_ALLOC`.
pub const ERROR_ALLOC: c_int = -14;
/// `LAROD_ERROR_POWER_NOT_AVAILABLE`.
pub const ERROR_POWER_NOT_AVAILABLE: c_int = -15;

type Out<T> = *mut *mut T;
type Fault = *mut *mut LarodError;

macro_rules! functions {
    (
        required { $(fn $name:ident($($type:ty),*) $(-> $ret:ty)?;)* }
        optional { $(fn $optional:ident($($optional_type:ty),*) $(-> $optional_ret:ty)?;)* }
    ) => {
        /// The functions of the opened library. Those that older AXIS OS lacks are optional.
        #[allow(non_snake_case)]
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($type),*) $(-> $ret)?,)*
            $(pub $optional: Option<unsafe extern "C" fn($($optional_type),*) $(-> $optional_ret)?>,)*
        }

        /// The name of every function that is declared, and whether it must be there.
        pub const DECLARED: &[(&str, bool)] =
            &[$((stringify!($name), true),)* $((stringify!($optional), false),)*];

        impl Api {
            /// The functions of an opened library.
            ///
            /// # Errors
            /// Which one is not there.
            pub fn of(symbols: &mut Symbols) -> std::result::Result<Self, String> {
                Ok(Self {
                    // SAFETY: the types are those that liblarod's public interface gives these names.
                    $($name: unsafe { symbols.find(stringify!($name)) }?,)*
                    // SAFETY: as above.
                    $($optional: unsafe { symbols.find(stringify!($optional)) }.ok(),)*
                })
            }
        }
    };
}

functions! {
    required {
        fn larodClearError(Fault);
        fn larodConnect(Out<Opaque>, Fault) -> bool;
        fn larodDisconnect(Out<Opaque>, Fault) -> bool;
        fn larodListDevices(*mut Opaque, *mut usize, Fault) -> *mut *const Opaque;
        fn larodGetDeviceName(*const Opaque, Fault) -> *const c_char;
        fn larodLoadModel(*mut Opaque, c_int, *const Opaque, c_int, *const c_char, *const Opaque, Fault) -> *mut Opaque;
        fn larodDeleteModel(*mut Opaque, *mut Opaque, Fault) -> bool;
        fn larodDestroyModel(Out<Opaque>);
        fn larodAllocModelInputs(*mut Opaque, *const Opaque, u32, *mut usize, *mut Opaque, Fault) -> *mut *mut Opaque;
        fn larodAllocModelOutputs(*mut Opaque, *const Opaque, u32, *mut usize, *mut Opaque, Fault) -> *mut *mut Opaque;
        fn larodCreateModelInputs(*const Opaque, *mut usize, Fault) -> *mut *mut Opaque;
        fn larodCreateModelOutputs(*const Opaque, *mut usize, Fault) -> *mut *mut Opaque;
        fn larodDestroyTensors(*mut Opaque, *mut *mut *mut Opaque, usize, Fault) -> bool;
        fn larodGetTensorDims(*const Opaque, Fault) -> *const Extents;
        fn larodGetTensorPitches(*const Opaque, Fault) -> *const Extents;
        fn larodGetTensorDataType(*const Opaque, Fault) -> c_int;
        fn larodGetTensorLayout(*const Opaque, Fault) -> c_int;
        fn larodGetTensorByteSize(*const Opaque, *mut usize, Fault) -> bool;
        fn larodGetTensorFd(*const Opaque, Fault) -> c_int;
        fn larodGetTensorFdSize(*const Opaque, *mut usize, Fault) -> bool;
        fn larodGetTensorFdOffset(*const Opaque, Fault) -> i64;
        fn larodGetTensorFdProps(*const Opaque, *mut u32, Fault) -> bool;
        fn larodSetTensorFd(*mut Opaque, c_int, Fault) -> bool;
        fn larodSetTensorFdSize(*mut Opaque, usize, Fault) -> bool;
        fn larodSetTensorFdOffset(*mut Opaque, i64, Fault) -> bool;
        fn larodSetTensorFdProps(*mut Opaque, u32, Fault) -> bool;
        fn larodTrackTensor(*mut Opaque, *mut Opaque, Fault) -> bool;
        fn larodCreateMap(Fault) -> *mut Opaque;
        fn larodDestroyMap(Out<Opaque>);
        fn larodMapSetStr(*mut Opaque, *const c_char, *const c_char, Fault) -> bool;
        fn larodMapSetInt(*mut Opaque, *const c_char, i64, Fault) -> bool;
        fn larodMapSetIntArr2(*mut Opaque, *const c_char, i64, i64, Fault) -> bool;
        fn larodMapSetIntArr4(*mut Opaque, *const c_char, i64, i64, i64, i64, Fault) -> bool;
        fn larodCreateJobRequest(*const Opaque, *mut *mut Opaque, usize, *mut *mut Opaque, usize, *mut Opaque, Fault) -> *mut Opaque;
        fn larodDestroyJobRequest(Out<Opaque>);
        fn larodRunJob(*mut Opaque, *const Opaque, Fault) -> bool;
    }
    optional {
        fn larodConvertVmemFdToDmabuf(c_int, i64, Fault) -> c_int;
    }
}

/// The library; it is never closed, because what it gave may outlive any scope.
static API: OnceLock<std::result::Result<Api, String>> = OnceLock::new();

/// Where the library is: `$SPOTTER_LAROD` alone if set, else the loader's path.
fn place() -> PathBuf {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map_or_else(|| SONAME.into(), PathBuf::from)
}

/// Opens liblarod, once for the process.
///
/// # Errors
/// `Kind::Backend` where there is none, or it lacks a function.
pub fn load() -> Result<&'static Api> {
    load_from(place())
}

/// As [`load`], from this file; whichever was first in the process counts.
///
/// # Errors
/// As [`load`].
pub fn load_from(path: PathBuf) -> Result<&'static Api> {
    let api = API.get_or_init(|| {
        // SAFETY: liblarod has no constructors that need anything; what the user names in $SPOTTER_LAROD is as
        // trusted as the program itself.
        let mut symbols = unsafe { Symbols::open(&path) }.map_err(|error| error.to_string())?;
        let api = Api::of(&mut symbols)?;
        log::debug!("{SONAME} is open; {}", symbols.taken());
        Ok(api)
    });
    api.as_ref().map_err(|why| {
        let text = format!(
            "there is no {SONAME} here, so larod cannot run the model; it is part of AXIS OS 11.11 and later"
        );
        Error::new(Kind::Backend, text).caused_by(why.clone())
    })
}

/// Whether this is a device with liblarod.
pub fn is_here() -> bool {
    load().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::mem::{align_of, offset_of, size_of};

    /// The rows of the tables below a heading of docs/design/larod.md, cells trimmed.
    fn rows(heading: &str) -> Vec<Vec<String>> {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/design/larod.md")).unwrap();
        let section = text.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("{heading}"));
        let section = section.split("\n#").next().unwrap();
        let lines = section.lines().filter(|line| line.starts_with("| `"));
        lines
            .map(|line| {
                line.trim_matches('|')
                    .split(" | ")
                    .map(|cell| cell.replace('`', "").trim().to_owned())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn the_functions_are_those_of_the_table() {
        let listed: BTreeMap<String, bool> = rows("## Functions of liblarod")
            .into_iter()
            .map(|row| {
                assert_eq!(row.len(), 5, "{row:?}");
                assert!(!row[3].is_empty(), "{row:?} does not say who owns what it gives");
                assert!(!row[4].is_empty(), "{row:?} has no source");
                (row[0].clone(), row[2] == "yes")
            })
            .collect();
        let declared: BTreeMap<String, bool> =
            DECLARED.iter().map(|(name, needed)| ((*name).to_owned(), *needed)).collect();
        assert_eq!(listed, declared);
    }

    #[test]
    fn layouts_are_those_of_the_table() {
        let word = size_of::<usize>();
        let found = [
            ("larodError", size_of::<LarodError>(), align_of::<LarodError>()),
            ("larodTensorDims", size_of::<Extents>(), align_of::<Extents>()),
            ("larodTensorPitches", size_of::<Extents>(), align_of::<Extents>()),
        ];
        assert_eq!((offset_of!(LarodError, code), offset_of!(LarodError, msg)), (0, word));
        assert_eq!((offset_of!(Extents, values), offset_of!(Extents, len)), (0, 12 * word));
        let listed = rows("## Structures of liblarod");
        assert_eq!(listed.len(), found.len());
        for (row, (name, size, align)) in listed.iter().zip(found) {
            let column = if word == 8 { 2 } else { 3 };
            assert_eq!((row[0].as_str(), row[column].parse::<usize>().unwrap()), (name, size));
            assert_eq!(align, word);
        }
    }

    #[test]
    fn numbers_are_those_of_the_table() {
        let found: BTreeMap<&str, i64> = [
            ("LAROD_ACCESS_PRIVATE", ACCESS_PRIVATE.into()),
            ("LAROD_TENSOR_DATA_TYPE_UINT8", UINT8.into()),
            ("LAROD_TENSOR_DATA_TYPE_INT8", INT8.into()),
            ("LAROD_TENSOR_DATA_TYPE_FLOAT32", FLOAT32.into()),
            ("LAROD_TENSOR_LAYOUT_NHWC", LAYOUT_NHWC.into()),
            ("LAROD_TENSOR_LAYOUT_NCHW", LAYOUT_NCHW.into()),
            ("LAROD_TENSOR_LAYOUT_420SP", LAYOUT_420SP.into()),
            ("LAROD_FD_PROP_READWRITE", FD_READWRITE.into()),
            ("LAROD_FD_PROP_MAP", FD_MAP.into()),
            ("LAROD_FD_PROP_DMABUF", FD_DMABUF.into()),
            ("LAROD_INVALID_FD", INVALID_FD.into()),
            ("LAROD_ERROR_JOB", ERROR_JOB.into()),
            ("LAROD_ERROR_LOAD_MODEL", ERROR_LOAD_MODEL.into()),
            ("LAROD_ERROR_FD", ERROR_FD.into()),
            ("LAROD_ERROR_MODEL_NOT_FOUND", ERROR_MODEL_NOT_FOUND.into()),
            ("LAROD_ERROR_PERMISSION", ERROR_PERMISSION.into()),
            ("LAROD_ERROR_CONNECTION", ERROR_CONNECTION.into()),
            ("LAROD_ERROR_CREATE_SESSION", ERROR_CREATE_SESSION.into()),
            ("LAROD_ERROR_KILL_SESSION", ERROR_KILL_SESSION.into()),
            ("LAROD_ERROR_INVALID_CHIP_ID", ERROR_INVALID_CHIP_ID.into()),
            ("LAROD_ERROR_INVALID_ACCESS", ERROR_INVALID_ACCESS.into()),
            ("LAROD_ERROR_DELETE_MODEL", ERROR_DELETE_MODEL.into()),
            ("LAROD_ERROR_TENSOR_MISMATCH", ERROR_TENSOR_MISMATCH.into()),
            ("LAROD_ERROR_VERSION_MISMATCH", ERROR_VERSION_MISMATCH.into()),
            ("LAROD_ERROR_ALLOC", ERROR_ALLOC.into()),
            ("LAROD_ERROR_POWER_NOT_AVAILABLE", ERROR_POWER_NOT_AVAILABLE.into()),
        ]
        .into();
        let rows = rows("## Numbers of liblarod");
        let listed: BTreeMap<&str, i64> =
            rows.iter().map(|row| (row[0].as_str(), row[1].parse().unwrap())).collect();
        assert_eq!(listed, found);
    }
}
