//! Boxes, and how a source frame is fitted into a model's input.

use std::fmt;
use std::str::FromStr;

/// A box in normalised coordinates: 0..1 of a picture, origin top left.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Bottom edge.
    pub bottom: f32,
}

impl Rect {
    /// A box from its edges.
    pub fn new(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self { left, top, right, bottom }
    }

    /// Right minus left.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// Bottom minus top.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Width times height, never negative.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The part inside 0..1.
    pub fn clamped(&self) -> Self {
        Self {
            left: self.left.clamp(0.0, 1.0),
            top: self.top.clamp(0.0, 1.0),
            right: self.right.clamp(0.0, 1.0),
            bottom: self.bottom.clamp(0.0, 1.0),
        }
    }

    /// True where all edges are finite and the box has an area.
    pub fn is_valid(&self) -> bool {
        self.left.is_finite()
            && self.top.is_finite()
            && self.right.is_finite()
            && self.bottom.is_finite()
            && self.right > self.left
            && self.bottom > self.top
    }

    /// Intersection over union, 0..=1.
    pub fn iou(&self, other: &Self) -> f32 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let intersection = width * height;
        let union = self.area() + other.area() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }
}

/// How a frame is fitted into the model's input where their shapes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Whole frame, shape kept, grey bars around it.
    Letterbox,
    /// Whole frame, shape not kept.
    Stretch,
    /// Middle of the frame, shape kept, nothing added.
    Crop,
    /// Seven eighths of that middle, as classifiers are evaluated on ImageNet.
    CropInner,
}

/// The part of the middle that [`Fit::CropInner`] shows.
const INNER: f64 = 0.875;

impl FromStr for Fit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "letterbox" => Ok(Self::Letterbox),
            "stretch" => Ok(Self::Stretch),
            "crop" => Ok(Self::Crop),
            "crop-0.875" => Ok(Self::CropInner),
            other => Err(format!("\"{other}\" is no fit; use letterbox, stretch, crop or crop-0.875")),
        }
    }
}

impl Fit {
    /// What a user calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Letterbox => "letterbox",
            Self::Stretch => "stretch",
            Self::Crop => "crop",
            Self::CropInner => "crop-0.875",
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where in the model's input the frame lies, and which part of the frame that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mapping {
    /// Size of the model's input in pixels.
    pub input: (usize, usize),
    /// First column of the input that shows the frame.
    pub x: usize,
    /// First row of the input that shows the frame.
    pub y: usize,
    /// Columns of the input that show the frame, at least 1.
    pub width: usize,
    /// Rows of the input that show the frame, at least 1.
    pub height: usize,
    /// The part of the frame that is shown, normalised to the frame.
    pub source: Rect,
}

impl Mapping {
    /// Fits a frame of display size `frame` (square pixels) into `input` (columns, rows).
    ///
    /// Letterbox: scale by `min(W/w, H/h)`, sizes rounded half to even, offsets rounded down, as
    /// the published evaluations of YOLOv5 do.
    pub fn new(fit: Fit, frame: (f64, f64), input: (usize, usize)) -> Self {
        let (width, height) = (frame.0.max(1.0), frame.1.max(1.0));
        let (in_width, in_height) = (input.0.max(1) as f64, input.1.max(1) as f64);
        let full = Rect::new(0.0, 0.0, 1.0, 1.0);
        match fit {
            Fit::Stretch => {
                Self { input, x: 0, y: 0, width: input.0.max(1), height: input.1.max(1), source: full }
            }
            Fit::Letterbox => {
                let scale = (in_width / width).min(in_height / height);
                let inner = |size: f64, limit: usize| {
                    ((size * scale).round_ties_even() as usize).clamp(1, limit.max(1))
                };
                let (w, h) = (inner(width, input.0), inner(height, input.1));
                let (x, y) = (input.0.saturating_sub(w) / 2, input.1.saturating_sub(h) / 2);
                Self { input, x, y, width: w, height: h, source: full }
            }
            Fit::Crop => {
                let scale = (in_width / width).max(in_height / height);
                let (w, h) = (in_width / scale / width, in_height / scale / height);
                let source = Rect::new(
                    ((1.0 - w) / 2.0) as f32,
                    ((1.0 - h) / 2.0) as f32,
                    ((1.0 + w) / 2.0) as f32,
                    ((1.0 + h) / 2.0) as f32,
                );
                Self { input, x: 0, y: 0, width: input.0.max(1), height: input.1.max(1), source }
            }
            Fit::CropInner => {
                let scale = (in_width / width).max(in_height / height);
                // Whole pixels, rounded half to even, offsets rounded down: the very crop that published
                // accuracies are measured on.
                let inner = |input: f64, size: f64| {
                    let part = (INNER * input / scale).round_ties_even().clamp(1.0, size);
                    let from = ((size - part) / 2.0).floor();
                    ((from / size) as f32, ((from + part) / size) as f32)
                };
                let ((left, right), (top, bottom)) = (inner(in_width, width), inner(in_height, height));
                let source = Rect::new(left, top, right, bottom);
                Self { input, x: 0, y: 0, width: input.0.max(1), height: input.1.max(1), source }
            }
        }
    }

    /// A box normalised to the model's input, as a box normalised to the source frame, clamped to it.
    pub fn to_source(&self, rect: &Rect) -> Rect {
        let x = |v: f32| {
            let inside = (v * self.input.0 as f32 - self.x as f32) / self.width as f32;
            self.source.left + inside * self.source.width()
        };
        let y = |v: f32| {
            let inside = (v * self.input.1 as f32 - self.y as f32) / self.height as f32;
            self.source.top + inside * self.source.height()
        };
        Rect::new(x(rect.left), y(rect.top), x(rect.right), y(rect.bottom)).clamped()
    }

    /// A box normalised to the source frame, as a box normalised to the model's input.
    pub fn to_input(&self, rect: &Rect) -> Rect {
        let x = |v: f32| {
            let inside = (v - self.source.left) / self.source.width();
            (inside * self.width as f32 + self.x as f32) / self.input.0 as f32
        };
        let y = |v: f32| {
            let inside = (v - self.source.top) / self.source.height();
            (inside * self.height as f32 + self.y as f32) / self.input.1 as f32
        };
        Rect::new(x(rect.left), y(rect.top), x(rect.right), y(rect.bottom))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_inner_crop_is_whole_pixels_of_the_middle() {
        // round(0.875 * 333) = 291 of 500 x 333: columns 104..395, rows 21..312.
        let m = Mapping::new(Fit::CropInner, (500.0, 333.0), (224, 224));
        let pixels =
            [m.source.left * 500.0, m.source.top * 333.0, m.source.right * 500.0, m.source.bottom * 333.0];
        for (found, wanted) in pixels.iter().zip([104.0, 21.0, 395.0, 312.0]) {
            assert!((found - wanted).abs() < 1e-3, "{pixels:?}");
        }
        assert_eq!((m.x, m.y, m.width, m.height), (0, 0, 224, 224));
        // An input of another shape crops in its own shape; a frame of one pixel has one.
        let m = Mapping::new(Fit::CropInner, (800.0, 800.0), (200, 100));
        assert!((m.source.width() - 0.875).abs() < 1e-6 && (m.source.height() - 0.4375).abs() < 2e-3);
        let m = Mapping::new(Fit::CropInner, (1.0, 1.0), (10, 10));
        assert_eq!(m.source, Rect::new(0.0, 0.0, 1.0, 1.0));
        for fit in [Fit::Letterbox, Fit::Stretch, Fit::Crop, Fit::CropInner] {
            assert_eq!(fit.to_string().parse(), Ok(fit));
        }
    }

    #[test]
    fn letterbox_centres_a_wide_frame() {
        let m = Mapping::new(Fit::Letterbox, (1920.0, 1080.0), (640, 640));
        assert_eq!((m.x, m.y, m.width, m.height), (0, 140, 640, 360));
        let whole = m.to_source(&Rect::new(0.0, 140.0 / 640.0, 1.0, 500.0 / 640.0));
        assert!((whole.top).abs() < 1e-6 && (whole.bottom - 1.0).abs() < 1e-6);
    }

    #[test]
    fn letterbox_rounds_half_to_even() {
        // 5x2 into 5x5 at scale 1; 10x5 into 5x5: 2.5 rows become 2.
        let m = Mapping::new(Fit::Letterbox, (10.0, 5.0), (5, 5));
        assert_eq!((m.height, m.y), (2, 1));
    }

    #[test]
    fn crop_takes_the_middle() {
        let m = Mapping::new(Fit::Crop, (200.0, 100.0), (50, 50));
        assert_eq!(m.source, Rect::new(0.25, 0.0, 0.75, 1.0));
        assert_eq!(m.to_source(&Rect::new(0.0, 0.0, 1.0, 1.0)), Rect::new(0.25, 0.0, 0.75, 1.0));
    }

    #[test]
    fn a_sliver_still_gets_a_pixel() {
        let m = Mapping::new(Fit::Letterbox, (10_000.0, 1.0), (300, 300));
        assert_eq!(m.height, 1);
    }

    proptest! {
        #[test]
        fn to_source_undoes_to_input(
            w in 1.0f64..5000.0, h in 1.0f64..5000.0, iw in 8usize..700, ih in 8usize..700,
            l in 0.3f32..0.5, t in 0.3f32..0.5, r in 0.5f32..0.7, b in 0.5f32..0.7, kind in 0..3,
        ) {
            let fit = [Fit::Letterbox, Fit::Stretch, Fit::Crop][kind as usize];
            let m = Mapping::new(fit, (w, h), (iw, ih));
            let rect = Rect::new(l, t, r, b);
            let back = m.to_source(&m.to_input(&rect));
            for (a, b) in [(back.left, l), (back.top, t), (back.right, r), (back.bottom, b)] {
                prop_assert!((a - b).abs() < 2e-3, "{m:?} {back:?}");
            }
        }

        #[test]
        fn iou_is_symmetric_and_bounded(v in proptest::array::uniform8(-0.5f32..1.5)) {
            let a = Rect::new(v[0], v[1], v[2], v[3]);
            let b = Rect::new(v[4], v[5], v[6], v[7]);
            let iou = a.iou(&b);
            prop_assert!((0.0..=1.0).contains(&iou));
            prop_assert_eq!(iou, b.iou(&a));
        }
    }
}
