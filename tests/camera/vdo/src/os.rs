//! What differs between the versions of AXIS OS: which keys a stream's settings have, and of which type.
//!
//! Sources, named in `docs/design/vdo.md`: the tables of vdo-stream.h of AXIS OS 12.2 and 12.11, and the comment of
//! `using-opencv/app/example.cpp`. What a camera does with a key that it does not know is in none of them, so both is
//! here: it ignores the key or refuses the stream.

use std::cmp::Ordering;

use crate::map::{Value, Values};
use crate::{Failure, error};

/// A version, as 12.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Os(pub u32, pub u32);

/// The newest that needs nothing of its user.
pub const DEFAULT: Os = Os(12, 11);
/// The key `resolution`.
const RESOLUTION: Os = Os(12, 4);
/// Frame rates with fractions.
pub const FRACTIONS: Os = Os(12, 6);
/// The key `image.fit`.
const IMAGE_FIT: Os = Os(12, 7);

impl Os {
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// Whether a version has a key with a value of this type.
fn knows(os: Os, key: &str, value: &Value) -> bool {
    let since = match (key, value) {
        ("resolution", Value::Pair(..)) => RESOLUTION,
        ("framerate", Value::Double(_)) => FRACTIONS,
        ("image.fit", Value::Text(_)) => IMAGE_FIT,
        (
            "format" | "channel" | "input" | "width" | "height" | "framerate" | "compression" | "rotation"
            | "buffer.count" | "buffer.strategy" | "buffer.access" | "socket.timeout_ms" | "intent",
            Value::Number(_),
        )
        | ("socket.blocking" | "dynamic.framerate" | "horizontal_flip", Value::Boolean(_))
        | ("subformat" | "overlays", Value::Text(_)) => return true,
        _ => return false,
    };
    os.cmp(&since) != Ordering::Less
}

/// The settings that this version knows; a failure where one is not known and cameras are to refuse those.
pub fn known(os: Os, refuse: bool, settings: &Values) -> Result<Values, Failure> {
    let known = Values::default();
    for (key, value) in settings.all() {
        if knows(os, &key, &value) {
            known.set(&key, value);
        } else if refuse {
            let text = format!("{key}={value:?} is no setting of AXIS OS {}.{}", os.0, os.1);
            return Err((error::INVALID_ARGUMENT, text));
        }
    }
    Ok(known)
}
