//! The settings of a stream, in the words that the camera's AXIS OS knows.
//!
//! Keys came with versions of AXIS OS. Which version it is the camera may say, and may not; what it does with a key that
//! it does not know is said nowhere. So the form of its version is tried first (the newest, where that is not known) and
//! then the others, where the camera refuses it or its stream has another frame rate than was asked for. What the stream's
//! info says is the truth. `docs/design/vdo.md` has the versions and their sources.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::request::Request;
use super::shim::{Map, Outcome};
use super::spec::{Format, View};

use super::sys::{self, Functions};
use crate::base::platform;

/// How settings are written, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// AXIS OS 12.7 and later: `image.fit` says that what does not fit is cut off.
    Fitted,
    /// 12.6 and later: frame rates may have fractions.
    Fractions,
    /// Before: whole frame rates, no `resolution`.
    Whole,
}

impl Form {
    const ALL: [Self; 3] = [Self::Fitted, Self::Fractions, Self::Whole];

    /// The forms to try in turn: those from the one that this camera took the last time on, which are older; at first
    /// that of its version, and then all others, newest first.
    pub fn to_try() -> impl Iterator<Item = Self> {
        let known = Self::known();
        let first = known.or_else(|| platform::get().os_version().map(Self::of)).unwrap_or(Self::Fitted);
        let others = Self::ALL.into_iter().filter(move |form| *form != first);
        std::iter::once(first)
            .chain(others.filter(move |form| known.is_none() || form.place() > first.place()))
    }

    /// The form of a version.
    fn of(os: (u32, u32)) -> Self {
        match os {
            os if os >= (12, 7) => Self::Fitted,
            os if os >= (12, 6) => Self::Fractions,
            _ => Self::Whole,
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|form| *form == self).unwrap_or(UNKNOWN)
    }

    /// The form that this camera took the last time.
    pub fn known() -> Option<Self> {
        Self::ALL.get(KNOWN.load(Ordering::Relaxed)).copied()
    }

    /// This camera takes this form.
    pub fn keep(self) {
        KNOWN.store(self.place(), Ordering::Relaxed);
    }

    /// The frame rate that comes of asking for this one.
    pub fn rate(self, rate: f64) -> f64 {
        if self == Self::Whole { rate.round().max(1.0) } else { rate }
    }
}

const UNKNOWN: usize = usize::MAX;
/// Place of the form that the camera took; a process has one camera.
static KNOWN: AtomicUsize = AtomicUsize::new(UNKNOWN);

/// The library's number for a format.
pub fn vdo_format(format: Format) -> u32 {
    match format {
        Format::Nv12 => sys::VDO_FORMAT_YUV,
        Format::Rgb => sys::VDO_FORMAT_RGB,
        Format::PlanarRgb => sys::VDO_FORMAT_PLANAR_RGB,
        Format::Jpeg => sys::VDO_FORMAT_JPEG,
    }
}

/// The settings of a request. `whole`: its size has the shape of the camera's own picture.
///
/// # Errors
/// A failure where the library has no memory.
pub fn settings(functions: &'static Functions, request: &Request, form: Form, whole: bool) -> Outcome<Map> {
    let mut map = Map::new(functions)?;
    match request.view {
        View::Input(number) => map.set_u32(c"input", number),
        View::Channel(number) => map.set_u32(c"channel", number),
    }
    map.set_u32(c"format", vdo_format(request.format));
    if request.format == Format::Nv12 {
        map.set_text(c"subformat", c"NV12");
    }
    if let Some((width, height)) = request.size {
        // All versions know these two.
        map.set_u32(c"width", width);
        map.set_u32(c"height", height);
        if form != Form::Whole {
            map.set_pair(c"resolution", (width, height));
        }
    }
    let rate = form.rate(request.rate);
    match form {
        Form::Whole => map.set_u32(c"framerate", rate as u32),
        _ => map.set_f64(c"framerate", rate),
    }
    map.set_bool(c"dynamic.framerate", true);
    map.set_u32(c"buffer.count", request.buffers);
    map.set_u32(c"buffer.strategy", sys::VDO_BUFFER_STRATEGY_INFINITE);
    map.set_bool(c"socket.blocking", false);
    // Of a size of the camera's own shape nothing is cut off and there are no bars. Of another one the middle is taken,
    // which is the default; "scale" would put bars somewhere, and not on every chip.
    if form == Form::Fitted && !whole {
        map.set_text(c"image.fit", c"crop");
    }
    if let Some(rotation) = request.rotation {
        map.set_u32(c"rotation", rotation);
    }
    Ok(map)
}
