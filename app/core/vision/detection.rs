//! One object found in one frame.

use super::geometry::Rect;

/// An object: its class, how sure the model is, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// The model's own class index, from 0.
    pub class: u32,
    /// 0..=1.
    pub score: f32,
    /// Where; a decoder gives it relative to the model's input, everyone after it relative to the
    /// source frame.
    pub rect: Rect,
}
