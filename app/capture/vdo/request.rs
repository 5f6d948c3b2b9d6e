//! What the camera is asked for.

use super::spec::{Format, View};
use crate::capture::notation::Size;

/// A stream to ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Which picture.
    pub view: View,
    /// How frames lie in memory.
    pub format: Format,
    /// Columns and rows before the picture is turned; the camera's own choice where there are none.
    pub size: Option<Size>,
    /// Frames a second.
    pub rate: f64,
    pub buffers: u32,
    /// How it is turned, where not as the camera is set.
    pub rotation: Option<u32>,
}
