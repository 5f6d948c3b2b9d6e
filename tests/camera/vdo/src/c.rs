//! The functions as C calls them. Each takes what Axis's headers say it takes: pointers that this library gave out and
//! that were not released, C strings, and null or a place for an error. That is the contract of every `unsafe` here.
#![allow(clippy::missing_safety_doc, missing_docs)]

use std::ffi::{CStr, CString, c_char, c_double, c_int, c_uint, c_void};
use std::ptr;
use std::sync::Arc;

use glib_sys::{GError, GQuark, gboolean};

use crate::camera::camera;
use crate::lent::{self, Lent};
use crate::map::{Value, Values};
use crate::object::Class;
use crate::os;
use crate::stream::{Stream, VdoFrame, supported};
use crate::{Failure, error, misuse};

static MAP: Class<Values> = Class::new(c"VdoMap");
static STREAM: Class<Arc<Stream>> = Class::new(c"VdoStream");
static CHANNEL: Class<Channel> = Class::new(c"VdoChannel");

pub struct Channel(u32);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pair {
    w: u32,
    h: u32,
}

type Errors = *mut *mut GError;

/// Gives the value, or its failure to the caller.
unsafe fn given<T>(outcome: Result<T, Failure>, errors: Errors, other: T) -> T {
    outcome.unwrap_or_else(|(code, text)| {
        if !errors.is_null() {
            // GLib: a place for an error holds null when it is handed in.
            // SAFETY: the caller gave a place for an error.
            if !unsafe { *errors }.is_null() {
                misuse("an error is put over one that nobody has freed");
            }
            let text = CString::new(text).unwrap_or_default();
            // SAFETY: the caller gave a place for an error; the text is copied.
            unsafe { *errors = glib_sys::g_error_new_literal(vdo_error_quark(), code, text.as_ptr()) }
        }
        other
    })
}

unsafe fn text<'a>(text: *const c_char) -> std::borrow::Cow<'a, str> {
    if text.is_null() { "".into() } else { unsafe { CStr::from_ptr(text) }.to_string_lossy() }
}

unsafe fn values<'a>(map: *const c_void) -> &'a Values {
    static NONE: std::sync::LazyLock<Values> = std::sync::LazyLock::new(Values::default);
    unsafe { MAP.value(map) }.unwrap_or(&NONE)
}

unsafe fn stream<'a>(stream: *const c_void) -> Result<&'a Arc<Stream>, Failure> {
    unsafe { STREAM.value(stream) }.ok_or_else(|| (error::INVALID_ARGUMENT, "no stream".to_owned()))
}

#[unsafe(no_mangle)]
pub extern "C" fn vdo_error_quark() -> GQuark {
    // SAFETY: a C string that lives for ever.
    unsafe { glib_sys::g_quark_from_static_string(c"vdo-error-quark".as_ptr()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_error_is_expected(errors: Errors) -> gboolean {
    unsafe {
        let error = errors.as_ref().and_then(|error| error.as_ref());
        error.is_some_and(|error| matches!(error.code, error::NO_DATA | error::INTERFACE_DOWN)).into()
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn vdo_map_new() -> *mut c_void {
    MAP.object(Values::default())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_set_uint32(map: *mut c_void, key: *const c_char, value: u32) {
    unsafe { values(map).set(&text(key), Value::Number(value)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_set_boolean(map: *mut c_void, key: *const c_char, value: gboolean) {
    unsafe { values(map).set(&text(key), Value::Boolean(value != 0)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_set_double(map: *mut c_void, key: *const c_char, value: c_double) {
    unsafe { values(map).set(&text(key), Value::Double(value)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_set_string(map: *mut c_void, key: *const c_char, value: *const c_char) {
    unsafe {
        let value = CString::new(text(value).as_bytes()).unwrap_or_default();
        values(map).set(&text(key), Value::Text(value));
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_set_pair32u(map: *mut c_void, key: *const c_char, value: Pair) {
    unsafe { values(map).set(&text(key), Value::Pair(value.w, value.h)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_get_uint32(map: *const c_void, key: *const c_char, other: u32) -> u32 {
    unsafe { values(map).number(&text(key)).unwrap_or(other) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_get_boolean(
    map: *const c_void,
    key: *const c_char,
    other: gboolean,
) -> gboolean {
    unsafe { values(map).boolean(&text(key)).map_or(other, gboolean::from) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_get_double(
    map: *const c_void,
    key: *const c_char,
    other: c_double,
) -> c_double {
    unsafe { values(map).double(&text(key)).unwrap_or(other) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_get_pair32u(map: *const c_void, key: *const c_char, other: Pair) -> Pair {
    unsafe { values(map).pair(&text(key)).map_or(other, |(w, h)| Pair { w, h }) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_get_string(
    map: *const c_void,
    key: *const c_char,
    size: *mut usize,
    other: *const c_char,
) -> *const c_char {
    unsafe {
        let found = values(map).with(&text(key), |value| match value {
            // Lives as long as the map does not change, as on a camera.
            Value::Text(text) => Some((text.as_ptr(), text.as_bytes().len())),
            _ => None,
        });
        let (found, length) = found.unwrap_or((other, 0));
        if let Some(size) = size.as_mut() {
            *size = length;
        }
        found
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_map_dump(map: *const c_void) {
    eprintln!("{:?}", unsafe { values(map) }.keys());
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_new(
    settings: *mut c_void,
    _: *const c_void,
    errors: Errors,
) -> *mut c_void {
    unsafe {
        let made = Stream::new(values(settings)).map(|stream| STREAM.object(stream));
        given(made, errors, ptr::null_mut())
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_start(this: *mut c_void, errors: Errors) -> gboolean {
    unsafe { given(stream(this).and_then(Stream::start).map(|()| 1), errors, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_stop(this: *mut c_void) {
    if let Ok(stream) = unsafe { stream(this) } {
        stream.stop();
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_get_fd(this: *mut c_void, errors: Errors) -> c_int {
    unsafe { given(stream(this).map(|stream| stream.fd()), errors, -1) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_get_info(this: *mut c_void, errors: Errors) -> *mut c_void {
    unsafe { given(stream(this).map(|stream| MAP.object(stream.info())), errors, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_get_settings(this: *mut c_void, errors: Errors) -> *mut c_void {
    unsafe { given(stream(this).map(|stream| MAP.object(stream.settings.clone())), errors, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_get_event(_: *mut c_void, errors: Errors) -> *mut c_void {
    unsafe { given(Err((error::NO_EVENT, "no event".to_owned())), errors, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_get_buffer(this: *mut c_void, errors: Errors) -> *mut Lent {
    unsafe { given(stream(this).and_then(|stream| stream.take()), errors, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_buffer_unref(
    this: *mut c_void,
    buffer: *mut *mut Lent,
    errors: Errors,
) -> gboolean {
    unsafe {
        let taken = stream(this).and_then(|stream| match buffer.as_mut() {
            Some(buffer) if !buffer.is_null() => {
                let taken = stream.give_back(*buffer);
                *buffer = ptr::null_mut();
                taken
            }
            _ => Err((error::INVALID_ARGUMENT, "no buffer".to_owned())),
        });
        given(taken.map(|()| 1), errors, 0)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_stream_set_framerate(
    this: *mut c_void,
    rate: c_double,
    errors: Errors,
) -> gboolean {
    unsafe { given(stream(this).and_then(|stream| stream.set_rate(rate)).map(|()| 1), errors, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_buffer_get_data(buffer: *mut Lent) -> *mut c_void {
    unsafe { lent::buffer(buffer) }.map_or(ptr::null_mut(), |buffer| buffer.data)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_buffer_get_fd(buffer: *mut Lent) -> c_int {
    unsafe { lent::buffer(buffer) }.map_or(-1, |buffer| buffer.fd)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_buffer_get_offset(buffer: *mut Lent) -> i64 {
    unsafe { lent::buffer(buffer) }.map_or(0, |buffer| buffer.offset)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_buffer_get_capacity(buffer: *mut Lent) -> usize {
    unsafe { lent::buffer(buffer) }.map_or(0, |buffer| buffer.capacity)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_buffer_get_id(buffer: *mut Lent) -> u32 {
    unsafe { lent::buffer(buffer) }.map_or(0, |buffer| buffer.id)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_buffer_get_frame(buffer: *mut Lent) -> *mut VdoFrame {
    lent::frame(buffer)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_frame_get_timestamp(frame: *mut VdoFrame) -> u64 {
    unsafe { frame.as_ref() }.map_or(0, |frame| frame.timestamp)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_frame_get_size(frame: *mut VdoFrame) -> usize {
    unsafe { frame.as_ref() }.map_or(0, |frame| frame.size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_frame_get_sequence_nbr(frame: *mut VdoFrame) -> c_uint {
    unsafe { frame.as_ref() }.map_or(0, |frame| frame.sequence)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_frame_get_frame_type(frame: *mut VdoFrame) -> c_int {
    unsafe { frame.as_ref() }.map_or(0, |frame| frame.kind)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_channel_get(number: c_uint, errors: Errors) -> *mut c_void {
    let found = match camera().input(None, Some(number)) {
        Some(_) => Ok(CHANNEL.object(Channel(number))),
        None => Err((error::NOT_FOUND, format!("no channel {number}"))),
    };
    unsafe { given(found, errors, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_channel_get_ex(wanted: *mut c_void, errors: Errors) -> *mut c_void {
    let wanted = unsafe { values(wanted) };
    let (input, channel) = (wanted.number("input"), wanted.number("channel"));
    let found = match camera().input(input, channel) {
        Some(number) => Ok(CHANNEL.object(Channel(channel.unwrap_or(number)))),
        None => Err((error::NOT_FOUND, format!("no view of input {input:?}, channel {channel:?}"))),
    };
    unsafe { given(found, errors, ptr::null_mut()) }
}

/// "Create new VdoChannel objects representing each existing channel and return those in a GList. […] Free with
/// g_list_free_full(list, g_object_unref)."
fn channels(numbers: &[u32]) -> *mut glib_sys::GList {
    numbers.iter().rev().fold(ptr::null_mut(), |list, number| {
        // SAFETY: a list of our own; the new objects' references go to whoever gets the list.
        unsafe { glib_sys::g_list_prepend(list, CHANNEL.object::<c_void>(Channel(*number))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_channel_get_all(errors: Errors) -> *mut glib_sys::GList {
    unsafe { vdo_channel_get_filtered(ptr::null_mut(), errors) }
}

/// "A VdoMap specifying filter or NULL for all channels." A filter {"key": "input"} is for all input channels
/// (vdo-example-channel-filter.cc).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_channel_get_filtered(
    filter: *mut c_void,
    errors: Errors,
) -> *mut glib_sys::GList {
    let camera = camera();
    let found = match camera.faults() {
        faults if faults.interface_down => {
            Err((error::INTERFACE_DOWN, "video is down for maintenance".to_owned()))
        }
        _ if filter.is_null() => Ok(channels(&[vec![0], camera.inputs()].concat())),
        _ => match unsafe { values(filter) }.text("key").as_deref() {
            Some("input") => Ok(channels(&camera.inputs())),
            key => Err((error::INVALID_ARGUMENT, format!("no filter {key:?} is simulated"))),
        },
    };
    unsafe { given(found, errors, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_channel_get_id(channel: *mut c_void) -> c_uint {
    unsafe { CHANNEL.value(channel) }.map_or(0, |Channel(id)| *id)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_channel_get_info(channel: *mut c_void, errors: Errors) -> *mut c_void {
    let made = unsafe { CHANNEL.value(channel) }
        .ok_or_else(|| (error::INVALID_ARGUMENT, "no channel".to_owned()))
        .map(|Channel(id)| {
            let (camera, info) = (camera(), Values::default());
            info.set("id", Value::Number(*id));
            // vdo-example-channel-filter.cc: `vdo_map_get_uint32(info, "type.id", 0)` is an input's number.
            if *id > 0 {
                info.set("type.id", Value::Number(*id));
            }
            info.set("rotation", Value::Number(camera.faults().rotation));
            // Since when is not said anywhere.
            if camera.os >= os::FRACTIONS {
                info.set("aspect_ratio", Value::Pair(camera.size.0, camera.size.1));
            }
            MAP.object(info)
        });
    unsafe { given(made, errors, ptr::null_mut()) }
}

/// `{count, resolutions[]}`, for `g_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vdo_channel_get_resolutions(
    channel: *mut c_void,
    filter: *mut c_void,
    errors: Errors,
) -> *mut c_void {
    if unsafe { CHANNEL.value(channel) }.is_none() {
        return unsafe {
            given(Err((error::INVALID_ARGUMENT, "no channel".to_owned())), errors, ptr::null_mut())
        };
    }
    let filter = unsafe { values(filter) };
    let (width, height) = camera().size;
    // Since when is not said anywhere.
    let asked = filter.text("aspect_ratio").is_some();
    if asked && camera().os < os::FRACTIONS && camera().refuses {
        let failure = (error::INVALID_ARGUMENT, "aspect_ratio is no filter here".to_owned());
        return unsafe { given(Err(failure), errors, ptr::null_mut()) };
    }
    let native =
        camera().os >= os::FRACTIONS && filter.text("aspect_ratio").is_some_and(|aspect| aspect == "native");
    // No sizes are those of a format that the chip does not have.
    let has = filter.number("format").is_none_or(|format| supported(camera().chip, format));
    let mut sizes: Vec<(u32, u32)> = [(1, 1), (2, 3), (1, 2), (3, 8), (1, 4)]
        .map(|(n, d)| ((width * n / d) & !1, (height * n / d) & !1))
        .into_iter()
        .chain((!native).then_some([(640, 480), (320, 240)]).into_iter().flatten())
        .filter(|size| has && size.0 <= width && size.1 <= height)
        .collect();
    sizes.sort_by_key(|(width, height)| width * height);
    match filter.text("select").as_deref() {
        Some("min") => sizes.truncate(1),
        Some("max") => sizes = sizes.split_off(sizes.len().saturating_sub(1)),
        Some("minmax") => sizes = sizes.first().into_iter().chain(sizes.last()).copied().collect(),
        _ => {}
    }
    // SAFETY: as many bytes as are written: the count, and two numbers each.
    unsafe {
        let set = glib_sys::g_malloc(size_of::<usize>() + sizes.len() * 8).cast::<usize>();
        *set = sizes.len();
        let mut place = set.add(1).cast::<u32>();
        for (width, height) in sizes {
            *place = width;
            *place.add(1) = height;
            place = place.add(2);
        }
        set.cast()
    }
}

/// How many buffers are with the program, over all streams. Of this library alone, for its tests.
pub fn out() -> u64 {
    let mut out = 0;
    camera().count(|counts| out = counts.given - counts.returned);
    out
}
