//! The camera's video capture library, `libvdostream.so.1`, as C declares it.
//!
//! It is on cameras alone and is opened at run time. Every function and number here is in the table of
//! `docs/design/vdo.md` with its owner and source; a test holds the two against each other. Objects that the library gives out
//! are GObjects, released with GLib's own `g_object_unref`; the GLib is the one that GStreamer uses too.
#![allow(unsafe_code, reason = "the border to C")]

use std::ffi::{c_char, c_double, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gstreamer::glib::ffi::{GError, GList, GQuark, gboolean};
use libloading::Library;

use crate::base::error::{Error, Kind, Result};

/// The library's soname.
pub const SONAME: &str = "libvdostream.so.1";
/// Names another file to open in its place.
pub const VARIABLE: &str = "SPOTTER_VDO";

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $($(#[$doc])* #[repr(C)] pub struct $name { _opaque: [u8; 0] })*
    };
}

opaque! {
    /// Settings or facts by name. A GObject.
    VdoMap,
    /// A stream of frames. A GObject.
    VdoStream,
    /// One of the frames' buffers; given back with `vdo_stream_buffer_unref`.
    VdoBuffer,
    /// What a buffer holds; belongs to the buffer.
    VdoFrame,
    /// A sensor or a view of it. A GObject.
    VdoChannel,
}

/// Two numbers, as width and height.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VdoPair32u {
    /// Width, or numerator.
    pub w: u32,
    /// Height, or denominator.
    pub h: u32,
}

/// Columns and rows of a picture.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VdoResolution {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// The head of an array of resolutions, which follow it. Freed with `g_free`.
#[repr(C)]
pub struct VdoResolutionSet {
    /// How many follow.
    pub count: usize,
    /// The first of them.
    pub resolutions: [VdoResolution; 0],
}

/// `VdoFormat`: JPEG.
pub const VDO_FORMAT_JPEG: u32 = 2;
/// `VdoFormat`: YUV, NV12 where no other is asked for.
pub const VDO_FORMAT_YUV: u32 = 3;
/// `VdoFormat`: RGB interleaved.
pub const VDO_FORMAT_RGB: u32 = 8;
/// `VdoFormat`: RGB in three planes.
pub const VDO_FORMAT_PLANAR_RGB: u32 = 9;

/// `VdoBufferStrategy`: the library keeps buffers and fills them in turn.
pub const VDO_BUFFER_STRATEGY_INFINITE: u32 = 4;

/// `VdoError`: there is no such channel.
pub const VDO_ERROR_NOT_FOUND: c_int = 1;
/// `VdoError`: a setting is none that it takes.
pub const VDO_ERROR_INVALID_ARGUMENT: c_int = 3;
/// `VdoError`: not in group `video`.
pub const VDO_ERROR_PERMISSION_DENIED: c_int = 4;
/// `VdoError`: this camera cannot.
pub const VDO_ERROR_NOT_SUPPORTED: c_int = 5;
/// `VdoError`: too many streams.
pub const VDO_ERROR_BUSY: c_int = 7;
/// `VdoError`: out of memory.
pub const VDO_ERROR_OOM: c_int = 11;
/// `VdoError`: no frame yet, or none for now.
pub const VDO_ERROR_NO_DATA: c_int = 13;
/// `VdoError`: no room for the stream's buffers.
pub const VDO_ERROR_NO_BUFFER_SPACE: c_int = 14;
/// `VdoError`: closed for maintenance, as at a change of the rotation.
pub const VDO_ERROR_INTERFACE_DOWN: c_int = 16;

/// `VdoBufferFinalizer`; never given.
pub type VdoBufferFinalizer = Option<unsafe extern "C" fn(*mut c_void)>;

macro_rules! functions {
    (
        required { $($name:ident: fn($($arg:ty),*) -> $ret:ty;)* }
        optional { $($later:ident: fn($($later_arg:ty),*) -> $later_ret:ty;)* }
    ) => {
        /// The functions of the opened library.
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($arg),*) -> $ret,)*
            $(pub $later: Option<unsafe extern "C" fn($($later_arg),*) -> $later_ret>,)*
            _library: Library,
        }

        /// Their names; the second says whether a library may lack it.
        pub const NAMES: &[(&str, bool)] = &[$((stringify!($name), false),)* $((stringify!($later), true),)*];

        impl Functions {
            /// The library's functions, or the name of one that it lacks.
            fn of(library: Library) -> std::result::Result<Self, &'static str> {
                Ok(Self {
                    $(
                        // SAFETY: the type is the one that VDO's headers give this name.
                        $name: *unsafe { library.get(concat!(stringify!($name), "\0")) }
                            .map_err(|_| stringify!($name))?,
                    )*
                    $(
                        // SAFETY: as above.
                        $later: unsafe { library.get(concat!(stringify!($later), "\0")) }.ok().map(|s| *s),
                    )*
                    _library: library,
                })
            }
        }
    };
}

functions! {
    required {
        vdo_map_new: fn() -> *mut VdoMap;
        vdo_map_set_uint32: fn(*mut VdoMap, *const c_char, u32) -> ();
        vdo_map_set_boolean: fn(*mut VdoMap, *const c_char, gboolean) -> ();
        vdo_map_set_double: fn(*mut VdoMap, *const c_char, c_double) -> ();
        vdo_map_set_string: fn(*mut VdoMap, *const c_char, *const c_char) -> ();
        vdo_map_set_pair32u: fn(*mut VdoMap, *const c_char, VdoPair32u) -> ();
        vdo_map_get_uint32: fn(*const VdoMap, *const c_char, u32) -> u32;
        vdo_map_get_double: fn(*const VdoMap, *const c_char, c_double) -> c_double;
        vdo_map_get_pair32u: fn(*const VdoMap, *const c_char, VdoPair32u) -> VdoPair32u;
        vdo_map_get_string: fn(*const VdoMap, *const c_char, *mut usize, *const c_char) -> *const c_char;
        vdo_error_quark: fn() -> GQuark;
        vdo_stream_new: fn(*mut VdoMap, VdoBufferFinalizer, *mut *mut GError) -> *mut VdoStream;
        vdo_stream_start: fn(*mut VdoStream, *mut *mut GError) -> gboolean;
        vdo_stream_stop: fn(*mut VdoStream) -> ();
        vdo_stream_get_fd: fn(*mut VdoStream, *mut *mut GError) -> c_int;
        vdo_stream_get_info: fn(*mut VdoStream, *mut *mut GError) -> *mut VdoMap;
        vdo_stream_get_buffer: fn(*mut VdoStream, *mut *mut GError) -> *mut VdoBuffer;
        vdo_stream_buffer_unref: fn(*mut VdoStream, *mut *mut VdoBuffer, *mut *mut GError) -> gboolean;
        vdo_stream_set_framerate: fn(*mut VdoStream, c_double, *mut *mut GError) -> gboolean;
        vdo_buffer_get_data: fn(*mut VdoBuffer) -> *mut c_void;
        vdo_buffer_get_fd: fn(*mut VdoBuffer) -> c_int;
        vdo_buffer_get_offset: fn(*mut VdoBuffer) -> i64;
        vdo_buffer_get_capacity: fn(*mut VdoBuffer) -> usize;
        vdo_buffer_get_frame: fn(*mut VdoBuffer) -> *mut VdoFrame;
        vdo_frame_get_timestamp: fn(*mut VdoFrame) -> u64;
        vdo_frame_get_size: fn(*mut VdoFrame) -> usize;
        vdo_channel_get: fn(c_uint, *mut *mut GError) -> *mut VdoChannel;
        vdo_channel_get_info: fn(*mut VdoChannel, *mut *mut GError) -> *mut VdoMap;
        vdo_channel_get_resolutions: fn(*mut VdoChannel, *mut VdoMap, *mut *mut GError) -> *mut VdoResolutionSet;
    }
    optional {
        vdo_channel_get_ex: fn(*mut VdoMap, *mut *mut GError) -> *mut VdoChannel;
        vdo_channel_get_all: fn(*mut *mut GError) -> *mut GList;
        vdo_channel_get_filtered: fn(*mut VdoMap, *mut *mut GError) -> *mut GList;
        vdo_channel_get_id: fn(*mut VdoChannel) -> c_uint;
    }
}

static OPENED: OnceLock<std::result::Result<Functions, String>> = OnceLock::new();

fn open(path: &Path) -> std::result::Result<Functions, String> {
    // SAFETY: the camera's own library, or the one that the user names in $SPOTTER_VDO, which is trusted as the
    // program itself is.
    let library = unsafe { Library::new(path) }.map_err(|error| {
        // What the loader says is behind what was tried.
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    })?;
    Functions::of(library).map_err(|missing| {
        format!("{} has no function {missing}, so it is no video capture library of a camera", path.display())
    })
}

/// The library, opened once for the process and never closed: buffers may outlive any scope.
///
/// # Errors
/// [`Kind::Source`] where it is not there, as on a desktop.
pub fn library() -> Result<&'static Functions> {
    let opened = OPENED.get_or_init(|| {
        let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        open(&named.map_or_else(|| PathBuf::from(SONAME), PathBuf::from))
    });
    opened.as_ref().map_err(|why| {
        let text = format!("there is no camera here to take pictures from: {why}; give another --source");
        Error::new(Kind::Source, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::mem::{offset_of, size_of};

    /// The rows `| \`name\` | what | owner | source |` of the section on the library in docs/design/vdo.md.
    fn documented() -> BTreeMap<String, (String, String, String)> {
        let text = include_str!("../../../docs/design/vdo.md");
        let section = text.split_once("\n## The library\n").expect("docs/design/vdo.md has the section").1;
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
            let cell = |index: usize| cells.get(index).map(|cell| (*cell).to_owned());
            Some((name.to_owned(), (cell(2)?, cell(3)?, cell(4)?)))
        });
        rows.collect()
    }

    #[test]
    fn what_is_declared_is_what_the_table_says() {
        let mut documented = documented();
        for (name, optional) in NAMES {
            let (what, owner, source) =
                documented.remove(*name).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert!(what.contains(&format!("{name}(")), "{name}: {what}");
            assert_eq!(what.ends_with("may be absent"), *optional, "{name}: {what}");
            assert!(!source.is_empty(), "{name} has no source");
            // Whatever is handed out by address or as a descriptor has an owner.
            let gives = what.split('(').next().unwrap_or_default();
            let handed_out = gives.contains('*') || gives.contains("gpointer") || gives.ends_with("_fd");
            assert!(!handed_out || owner != "–", "{name}: who owns what it gives?");
        }
        let values = [
            ("VDO_FORMAT_JPEG", i64::from(VDO_FORMAT_JPEG)),
            ("VDO_FORMAT_YUV", i64::from(VDO_FORMAT_YUV)),
            ("VDO_FORMAT_RGB", i64::from(VDO_FORMAT_RGB)),
            ("VDO_FORMAT_PLANAR_RGB", i64::from(VDO_FORMAT_PLANAR_RGB)),
            ("VDO_BUFFER_STRATEGY_INFINITE", i64::from(VDO_BUFFER_STRATEGY_INFINITE)),
            ("VDO_ERROR_OOM", i64::from(VDO_ERROR_OOM)),
            ("VDO_ERROR_NO_BUFFER_SPACE", i64::from(VDO_ERROR_NO_BUFFER_SPACE)),
            ("VDO_ERROR_NOT_FOUND", i64::from(VDO_ERROR_NOT_FOUND)),
            ("VDO_ERROR_INVALID_ARGUMENT", i64::from(VDO_ERROR_INVALID_ARGUMENT)),
            ("VDO_ERROR_PERMISSION_DENIED", i64::from(VDO_ERROR_PERMISSION_DENIED)),
            ("VDO_ERROR_NOT_SUPPORTED", i64::from(VDO_ERROR_NOT_SUPPORTED)),
            ("VDO_ERROR_BUSY", i64::from(VDO_ERROR_BUSY)),
            ("VDO_ERROR_NO_DATA", i64::from(VDO_ERROR_NO_DATA)),
            ("VDO_ERROR_INTERFACE_DOWN", i64::from(VDO_ERROR_INTERFACE_DOWN)),
        ];
        for (name, value) in values {
            assert_eq!(documented.remove(name).map(|(what, ..)| what), Some(value.to_string()), "{name}");
        }
        let word = size_of::<usize>();
        let layouts = [
            ("VdoPair32u", size_of::<VdoPair32u>(), offset_of!(VdoPair32u, h)),
            ("VdoResolution", size_of::<VdoResolution>(), offset_of!(VdoResolution, height)),
        ];
        for (name, size, second) in layouts {
            let wanted = format!("{size} bytes, second field at {second}");
            assert_eq!(documented.remove(name).map(|(what, ..)| what), Some(wanted), "{name}");
        }
        assert_eq!(offset_of!(VdoResolutionSet, resolutions), word);
        let set = documented.remove("VdoResolutionSet").map(|(what, ..)| what);
        assert_eq!(set.as_deref(), Some("a size_t, then the resolutions"));
        assert!(documented.is_empty(), "the table has more than is declared: {:?}", documented.keys());
    }
}
