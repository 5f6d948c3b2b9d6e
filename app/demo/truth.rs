//! What is in a picture of the demo scene, exactly.

use crate::geometry::Rect;

/// Names of the classes, by class index.
pub const CLASSES: [&str; 5] = ["person", "bicycle", "car", "bus", "dog"];

/// A figure in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrueBox {
    /// The same for the same figure in all pictures of a seed.
    pub figure: u64,
    /// Index into [`CLASSES`].
    pub class: u32,
    /// The figure's extent, as if nothing stood before it, cut off at the picture's edges.
    pub rect: Rect,
    /// Share of the figure's area that is in the picture and not hidden, 0..=1.
    pub visible: f32,
    /// True where hardly anything of it is to be seen: finding it counts neither for nor against a model.
    pub ignored: bool,
}
