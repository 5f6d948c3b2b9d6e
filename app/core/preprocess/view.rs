//! Frame → picture for the page: planes as a JPEG holds them.

use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::{Component, Frame, FrameLayout, Matrix, PixelFormat, Range};

use super::Resample;
use super::colour::{self, Form, NEUTRAL};
use super::kernels;
use super::scale::{self, Grid, Scaler};

/// The longest side of a JPEG.
const MAX_SIDE: usize = 65_500;

/// A picture as JFIF has it: planes Y, U and V, full range, BT.601, chroma halved both ways and
/// between the pixels. Rows follow each other without gaps. Reused from frame to frame.
#[derive(Clone, Debug, Default)]
pub struct I420Buffer {
    width: usize,
    height: usize,
    planes: [Vec<u8>; 3],
}

impl I420Buffer {
    /// A picture without pixels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Columns and rows of the two chroma planes: half the picture's, rounded up.
    pub fn chroma_size(&self) -> (usize, usize) {
        (self.width.div_ceil(2), self.height.div_ceil(2))
    }

    /// Luma, `width * height` bytes.
    pub fn y(&self) -> &[u8] {
        &self.planes[0]
    }

    /// Blue-difference chroma, as many bytes as [`Self::chroma_size`] says.
    pub fn u(&self) -> &[u8] {
        &self.planes[1]
    }

    /// Red-difference chroma, as many bytes as [`Self::chroma_size`] says.
    pub fn v(&self) -> &[u8] {
        &self.planes[2]
    }

    /// Y, U and V for drawing into the picture; rows follow each other without gaps.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let [y, u, v] = &mut self.planes;
        [y, u, v]
    }

    /// What a [`Frame`] of these planes has as its layout.
    pub fn layout(&self) -> FrameLayout {
        FrameLayout {
            matrix: Matrix::Bt601,
            range: Range::Full,
            ..FrameLayout::new(PixelFormat::I420, self.width, self.height)
        }
    }

    fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        for (plane, bytes) in self.planes.iter_mut().zip([width * height, chroma, chroma]) {
            plane.resize(bytes, 0);
        }
    }
}

/// Scales frames of any size and format for the page.
///
/// The brightness that depends on chroma where the frame's matrix is not BT.601 is computed once per
/// chroma sample of the result, which is the resolution that a JPEG's colours have.
#[derive(Debug, Default)]
pub struct ViewScaler {
    plan: Option<Plan>,
}

/// All that depends on the layout of the frames and the size of the picture.
#[derive(Debug)]
struct Plan {
    layout: FrameLayout,
    size: (usize, usize),
    luma: Scaler,
    /// None for pictures without colour.
    chroma: Option<Scaler>,
    /// Y, U and V of what the scalers give.
    forms: [Form; 3],
    /// What luma gets from chroma, per chroma sample and per pixel; empty where that is nothing.
    offsets: [Vec<i16>; 2],
    neutral: Vec<i16>,
}

impl ViewScaler {
    /// A scaler for any frames.
    pub fn new() -> Self {
        Self::default()
    }

    /// Scales the whole frame to `width` × `height` pixels.
    ///
    /// Allocates only where the frame's layout or the size differs from the call before, or where
    /// `into` has not been that large yet.
    ///
    /// # Errors
    /// [`Kind::Source`] as [`super::Preprocessor::run`]; [`Kind::Usage`] where a side of the result is
    /// 0 or longer than a JPEG allows.
    pub fn run(&mut self, frame: &Frame, width: usize, height: usize, into: &mut I420Buffer) -> Result<()> {
        let planes = scale::planes(frame)?;
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(Error::new(
                Kind::Usage,
                format!("a picture of {width}x{height} pixels cannot be made; sides may be 1 to {MAX_SIDE}"),
            ));
        }
        let size = (width, height);
        if self.plan.as_ref().is_none_or(|plan| plan.layout != frame.layout || plan.size != size) {
            self.plan = None;
        }
        let plan = self.plan.get_or_insert_with(|| Plan::new(frame.layout, size));
        into.resize(width, height);
        let [y, u, v] = &mut into.planes;
        let chroma_width = width.div_ceil(2);
        let lumas = y.chunks_mut(2 * width);
        let chromas = u.chunks_exact_mut(chroma_width).zip(v.chunks_exact_mut(chroma_width));
        for (index, (lumas, (u, v))) in lumas.zip(chromas).enumerate() {
            plan.chroma_row(&planes, index, u, v);
            for (row, out) in lumas.chunks_exact_mut(width).enumerate() {
                plan.luma_row(&planes, 2 * index + row, out);
            }
        }
        Ok(())
    }
}

impl Plan {
    fn new(layout: FrameLayout, size: (usize, usize)) -> Self {
        let (width, height) = size;
        let step = (layout.width as f64 / width as f64, layout.height as f64 / height as f64);
        let fine = Grid { origin: (0.0, 0.0), step, size };
        let halves = (width.div_ceil(2), height.div_ceil(2));
        let coarse = Grid { step: (2.0 * step.0, 2.0 * step.1), size: halves, ..fine };
        let all = layout.format.components();
        let (lumas, chromas): (&[Component], &[Component]) = match all {
            [y, chromas @ ..] if !layout.format.is_rgb() => (std::slice::from_ref(y), chromas),
            all => (all, all),
        };
        let forms = if layout.format.is_rgb() { colour::rgb_to_jpeg() } else { colour::yuv_to_jpeg(&layout) };
        let scaler = |components, grid| Scaler::new(&layout, components, grid, Resample::Auto);
        let mixed = !layout.format.is_rgb() && !chromas.is_empty() && forms[0].factors[1..] != [0, 0];
        let offsets = |count: usize| vec![0; if mixed { count } else { 0 }];
        Self {
            layout,
            size,
            luma: scaler(lumas, &fine),
            chroma: (!chromas.is_empty()).then(|| scaler(chromas, &coarse)),
            forms,
            offsets: [offsets(halves.0), offsets(width)],
            neutral: vec![NEUTRAL; width],
        }
    }

    /// Row `index` of U and V.
    fn chroma_row(&mut self, planes: &scale::Planes, index: usize, u: &mut [u8], v: &mut [u8]) {
        let Some(chroma) = &mut self.chroma else {
            u.fill(128);
            v.fill(128);
            return;
        };
        chroma.run(planes, index);
        let rows = if self.layout.format.is_rgb() {
            [chroma.row(0), chroma.row(1), chroma.row(2)]
        } else {
            [self.neutral.as_slice(), chroma.row(0), chroma.row(1)]
        };
        for (form, out) in self.forms[1..].iter().zip([u, v]) {
            kernels::convert_to_bytes(rows, &form.factors, form.bias, out);
        }
        let [coarse, fine] = &mut self.offsets;
        if !coarse.is_empty() {
            kernels::mix(rows[1], rows[2], &self.forms[0].factors, coarse);
            kernels::double(coarse, fine);
        }
    }

    /// Row `index` of Y, after the row of U and V that it shares.
    fn luma_row(&mut self, planes: &scale::Planes, index: usize, out: &mut [u8]) {
        self.luma.run(planes, index);
        let Form { factors, bias } = self.forms[0];
        if self.layout.format.is_rgb() {
            let rows = [self.luma.row(0), self.luma.row(1), self.luma.row(2)];
            kernels::convert_to_bytes(rows, &factors, bias, out);
            return;
        }
        // What chroma adds is in the row of offsets, or would be nothing; its zero then stays here.
        let zero = (i32::from(factors[1]) + i32::from(factors[2])) * i32::from(NEUTRAL);
        let row = self.luma.row(0);
        if self.offsets[1].is_empty() {
            kernels::scale_to_bytes(row, factors[0], bias + zero, out);
        } else {
            kernels::scale_and_add_to_bytes(row, factors[0], bias + zero, &self.offsets[1], out);
        }
    }
}
