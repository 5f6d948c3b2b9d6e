//! What is in a picture of the demo scene, exactly.

use tiny_skia::{Mask, Path, Transform};

use super::sketch::Sketch;
use spotter_core::vision::geometry::Rect;

/// Names of the classes, by class index.
pub const CLASSES: [&str; 5] = ["person", "bicycle", "car", "bus", "dog"];

/// Rows of the masks that tell how much of a figure is hidden.
const MASK_ROWS: u32 = 144;
/// A figure of which less is to be seen, being hidden or out of the picture, is ignored.
const LEAST_VISIBLE: f32 = 0.4;
/// A figure that is lower than this share of the picture's height is ignored.
const LEAST_HEIGHT: f32 = 0.045;

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
    /// True where most of it is not to be seen, or it is tiny: finding it counts neither for nor against a model.
    pub ignored: bool,
}

/// The extent of a figure's body in pixels: left, top, right, bottom. `None` where it has none.
pub fn extent(sketch: &Sketch, transform: Transform) -> Option<[f32; 4]> {
    let bounds = |path: &Path| path.clone().transform(transform).and_then(|path| path.compute_tight_bounds());
    sketch
        .shapes
        .iter()
        .filter(|shape| shape.body)
        .filter_map(|shape| bounds(&shape.path))
        .map(|rect| [rect.left(), rect.top(), rect.right(), rect.bottom()])
        .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
}

/// Tells how much of each figure is hidden by those before it.
pub struct Occlusion {
    /// What the figures seen so far cover.
    covered: Vec<bool>,
    mask: Mask,
    scale: f32,
}

impl Occlusion {
    /// For pictures of this size. `None` for a picture without extent.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let scale = MASK_ROWS as f32 / height as f32;
        let columns = ((width as f32 * scale).round() as u32).max(1);
        let mask = Mask::new(columns, MASK_ROWS)?;
        Some(Self { covered: vec![false; mask.data().len()], mask, scale })
    }

    /// Begins a picture.
    pub fn clear(&mut self) {
        self.covered.fill(false);
    }

    /// Lays the next figure behind all those before. Gives the share of its body inside of the picture
    /// that is not hidden; 0 where nothing of it is inside.
    pub fn lay(&mut self, sketch: &Sketch, transform: Transform) -> f32 {
        let transform = transform.post_scale(self.scale, self.scale);
        let (mut own, mut free) = (0u32, 0u32);
        self.fill(sketch, transform, true);
        for (covered, mask) in self.covered.iter_mut().zip(self.mask.data()) {
            if *mask > 0 {
                own += 1;
                free += u32::from(!*covered);
                *covered = true;
            }
        }
        self.fill(sketch, transform, false);
        for (covered, mask) in self.covered.iter_mut().zip(self.mask.data()) {
            *covered |= *mask > 0;
        }
        if own == 0 { 0.0 } else { free as f32 / own as f32 }
    }

    fn fill(&mut self, sketch: &Sketch, transform: Transform, body: bool) {
        self.mask.clear();
        // What one sees through hides nothing.
        for shape in sketch.shapes.iter().filter(|shape| shape.body == body && shape.alpha > 127) {
            self.mask.fill_path(&shape.path, shape.rule, false, transform);
        }
    }
}

/// The true box of a figure whose extent is in pixels; `None` where nothing of it is in the picture.
pub fn true_box(
    figure: u64,
    class: u32,
    extent: [f32; 4],
    free: f32,
    (width, height): (f32, f32),
) -> Option<TrueBox> {
    let whole = Rect::new(extent[0] / width, extent[1] / height, extent[2] / width, extent[3] / height);
    let rect = whole.clamped();
    if !rect.is_valid() {
        return None;
    }
    let visible = free * rect.area() / whole.area();
    let ignored = visible < LEAST_VISIBLE || rect.height() < LEAST_HEIGHT;
    Some(TrueBox { figure, class, rect, visible, ignored })
}
