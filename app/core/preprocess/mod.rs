//! Frame → input tensor, and frame → picture for the page.
//!
//! Both go row by row: the source rows of one output row are summed, the columns of that row are
//! summed, the colours are converted, and the row is written where it belongs. What is between stays
//! in the processor's first-level cache. Tables and rows are made when a layout is first seen; from
//! then on nothing is allocated.

mod colour;
mod kernels;
mod resample;
mod scale;
mod still;
mod view;

use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::{Frame, FrameLayout, PixelFormat};
use crate::vision::geometry::{Fit, Mapping};
use crate::vision::tensor::{DataType, TensorInfo};

use scale::{Grid, Planes, Scaler};
use still::StillScaler;

pub use resample::Resample;
pub use view::{I420Buffer, ViewScaler};

/// Red, green and blue of the bars beside a letterboxed picture: the convention of YOLOv5.
pub const BAR: u8 = 114;

/// The picture that a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPicture {
    /// Columns and rows.
    pub size: (usize, usize),
    /// How frames are fitted into it.
    pub fit: Fit,
    /// Whether red, green and blue are planes.
    pub planar: bool,
}

/// Turns frames of any size and format into the input of one model.
///
/// A tensor of unsigned bytes gets red, green and blue as 0..=255 and one of signed bytes the same
/// less 128, whatever the quantisation: models quantised as 1/255 and as (1/128, 128) both stand for
/// plain bytes. A tensor of floats gets `(value - 127.5) / 127.5`, not rounded to bytes before.
#[derive(Debug)]
pub struct Preprocessor {
    name: String,
    width: usize,
    height: usize,
    element: Element,
    /// One row of pixels, where the tensor has planes; else empty.
    row: Vec<u8>,
    fit: Fit,
    resample: Resample,
    plan: Option<Plan>,
}

/// What is written per value.
#[derive(Clone, Copy, Debug)]
enum Element {
    /// A byte, combined with this one by exclusive or.
    Byte(u8),
    /// A 32-bit float in native byte order.
    Float,
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Float => 4,
        }
    }
}

/// How the rows of one layout are made.
#[derive(Debug)]
enum Scaling {
    /// Fast, with more precision than bytes.
    Live(Scaler),
    /// To the bit as detection sets are.
    Still(StillScaler),
}

/// All that depends on the layout of the frames.
#[derive(Debug)]
struct Plan {
    layout: FrameLayout,
    mapping: Mapping,
    scaler: Scaling,
    /// Factors and biases of R, G and B; none where the samples are these.
    matrix: Option<([[i16; 3]; 3], [i32; 3])>,
    /// One row of R, G and B each; unused without a matrix.
    rgb: [Vec<i16>; 3],
    /// One row of no colour, in place of U and V where a frame has none; else empty.
    neutral: Vec<i16>,
}

impl Preprocessor {
    /// A preprocessor for the input `input` of shape [1, height, width, 3], or of bytes [1, 3, height, width].
    ///
    /// # Errors
    /// [`Kind::Model`] where the shape is another or the elements are not uint8, int8 or float32.
    pub fn new(input: &TensorInfo, fit: Fit) -> Result<Self> {
        let unusable = |wanted: &str| Error::new(Kind::Model, format!("input tensor {input} {wanted}"));
        let (width, height) = match input.picture_size() {
            Some((width, height)) if height > 0 && width > 0 => (width, height),
            _ => return Err(unusable("is no picture; its shape must be [1,height,width,3]")),
        };
        let element = match input.dtype {
            DataType::U8 => Element::Byte(0),
            DataType::I8 => Element::Byte(128),
            DataType::F32 if !input.is_planar() => Element::Float,
            _ => return Err(unusable("has an unusable type; it must be uint8, int8 or float32")),
        };
        let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3 * element.size()));
        if bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(unusable("is larger than memory"));
        }
        let name = input.name.clone();
        let row = vec![0; if input.is_planar() { 3 * width } else { 0 }];
        Ok(Self { name, width, height, element, row, fit, resample: Resample::Auto, plan: None })
    }

    /// The same preprocessor with another way of scaling. [`Resample::Auto`] is the default.
    pub fn with_resample(mut self, resample: Resample) -> Self {
        self.resample = resample;
        self.plan = None;
        self
    }

    /// What it makes of frames.
    pub fn input(&self) -> InputPicture {
        InputPicture { size: (self.width, self.height), fit: self.fit, planar: !self.row.is_empty() }
    }

    /// Fits frames from now on in this way.
    pub fn set_fit(&mut self, fit: Fit) {
        if self.fit != fit {
            self.fit = fit;
            self.plan = None;
        }
    }

    /// How frames are fitted into the tensor.
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// Bytes that the tensor takes.
    pub fn tensor_bytes(&self) -> usize {
        self.width * self.height * 3 * self.element.size()
    }

    /// Fills the tensor's bytes with the frame, bars included, and says where the frame lies in it.
    ///
    /// Allocates only where the layout differs from the frame's before.
    ///
    /// # Errors
    /// [`Kind::Source`] where the frame is empty, has a side above 65536 or planes that hold less than
    /// its layout says; [`Kind::Internal`] where `into` is not exactly [`Self::tensor_bytes`] long.
    /// The tensor is then as it was.
    pub fn run(&mut self, frame: &Frame, into: &mut [u8]) -> Result<Mapping> {
        if into.len() != self.tensor_bytes() {
            return Err(self.wrong_size(self.tensor_bytes(), into.len()));
        }
        let pitch = if self.row.is_empty() { 3 * self.width * self.element.size() } else { self.width };
        self.run_pitched(frame, into, pitch)
    }

    fn wrong_size(&self, takes: usize, bytes: usize) -> Error {
        let text = format!("tensor {} takes {takes} bytes, not {bytes}", self.name);
        Error::new(Kind::Internal, text)
    }

    /// As [`Self::run`], for a tensor with `pitch` bytes from one row to the next; what is between rows stays
    /// as it is.
    ///
    /// # Errors
    /// As for [`Self::run`]; `into` may be longer than is needed.
    pub fn run_pitched(&mut self, frame: &Frame, into: &mut [u8], pitch: usize) -> Result<Mapping> {
        let planes = scale::planes(frame)?;
        let planar = !self.row.is_empty();
        let (bytes, rows) = match planar {
            true => (self.width, 3 * self.height),
            false => (3 * self.width * self.element.size(), self.height),
        };
        let needed = pitch.saturating_mul(rows - 1).saturating_add(bytes);
        if pitch < bytes || into.len() < needed {
            return Err(self.wrong_size(needed, into.len()));
        }
        let still = frame.still && frame.layout.format == PixelFormat::Rgb && self.resample == Resample::Auto;
        if self.plan.as_ref().is_none_or(|plan| plan.layout != frame.layout || plan.is_still() != still) {
            self.plan = None;
        }
        let (fit, resample, size, element) =
            (self.fit, self.resample, (self.width, self.height), self.element);
        let plan = self.plan.get_or_insert_with(|| Plan::new(frame.layout, fit, size, resample, still));
        let mapping = plan.mapping;
        if let Scaling::Still(still) = &mut plan.scaler {
            let (pixels, pitch) = frame.pixels.plane(0);
            still.load(pixels, pitch);
        }
        let pixel = 3 * element.size();
        for y in 0..self.height {
            let row = match planar {
                true => self.row.as_mut_slice(),
                // There is that much: checked above.
                false => into.get_mut(y * pitch..y * pitch + bytes).unwrap_or_default(),
            };
            let Some(inner) = y.checked_sub(mapping.y).filter(|inner| *inner < mapping.height) else {
                bar(row, element);
                if planar {
                    scatter(&self.row, into, y, (pitch, self.height));
                }
                continue;
            };
            let (left, row) = row.split_at_mut(mapping.x.min(self.width) * pixel);
            let (picture, right) = row.split_at_mut((mapping.width * pixel).min(row.len()));
            bar(left, element);
            plan.write(&planes, inner, picture, element);
            bar(right, element);
            if planar {
                scatter(&self.row, into, y, (pitch, self.height));
            }
        }
        Ok(mapping)
    }
}

impl Plan {
    fn new(layout: FrameLayout, fit: Fit, size: (usize, usize), resample: Resample, still: bool) -> Self {
        let mapping = Mapping::new(fit, layout.display_size(), size);
        let (width, height) = (layout.width as f64, layout.height as f64);
        let source = mapping.source;
        let grid = Grid {
            origin: (f64::from(source.left) * width, f64::from(source.top) * height),
            step: (
                f64::from(source.width()) * width / mapping.width as f64,
                f64::from(source.height()) * height / mapping.height as f64,
            ),
            size: (mapping.width, mapping.height),
        };
        let components = layout.format.components();
        let scaler = if still {
            Scaling::Still(StillScaler::new((layout.width, layout.height), &mapping))
        } else {
            Scaling::Live(Scaler::new(&layout, components, &grid, resample))
        };
        let matrix = (!layout.format.is_rgb()).then(|| {
            let forms = colour::yuv_to_rgb(&layout);
            (forms.map(|form| form.factors), forms.map(|form| form.bias))
        });
        let row = vec![0; if matrix.is_some() { mapping.width } else { 0 }];
        let neutral = vec![colour::NEUTRAL; if components.len() == 1 { mapping.width } else { 0 }];
        Self { layout, mapping, scaler, matrix, rgb: [row.clone(), row.clone(), row], neutral }
    }

    fn is_still(&self) -> bool {
        matches!(self.scaler, Scaling::Still(_))
    }

    /// Scales and writes row `index` of the picture.
    fn write(&mut self, planes: &Planes<'_>, index: usize, out: &mut [u8], element: Element) {
        let scaler = match &mut self.scaler {
            Scaling::Still(still) => return write_bytes(still.row(index), out, element),
            Scaling::Live(scaler) => scaler,
        };
        scaler.run(planes, index);
        let component = |index| match scaler.row(index) {
            [] => self.neutral.as_slice(),
            row => row,
        };
        let mut rows = [component(0), component(1), component(2)];
        if let Some((forms, biases)) = &self.matrix {
            let [r, g, b] = &mut self.rgb;
            kernels::convert(rows, forms, biases, [r, g, b]);
            rows = [r, g, b];
        }
        match element {
            Element::Byte(flip) => kernels::pack_bytes(rows, flip, out),
            Element::Float => kernels::pack_floats(rows, out),
        }
    }
}

/// Writes a row of pixels as row `y` of three planes of `height` rows.
fn scatter(pixels: &[u8], into: &mut [u8], y: usize, (pitch, height): (usize, usize)) {
    for plane in 0..3 {
        let row = into.get_mut((plane * height + y) * pitch..).unwrap_or_default();
        for (to, pixel) in row.iter_mut().zip(pixels.as_chunks::<3>().0) {
            *to = pixel[plane];
        }
    }
}

/// What a tensor of floats holds for a byte.
fn normalised(byte: u8) -> [u8; 4] {
    ((f32::from(byte) - 127.5) / 127.5).to_ne_bytes()
}

/// Writes a row that is R, G and B bytes already.
fn write_bytes(row: &[u8], out: &mut [u8], element: Element) {
    match element {
        Element::Byte(flip) => {
            for (to, byte) in out.iter_mut().zip(row) {
                *to = byte ^ flip;
            }
        }
        Element::Float => {
            for (to, byte) in out.as_chunks_mut().0.iter_mut().zip(row) {
                *to = normalised(*byte);
            }
        }
    }
}

/// Fills part of a row with the colour of bars.
fn bar(out: &mut [u8], element: Element) {
    match element {
        Element::Byte(flip) => out.fill(BAR ^ flip),
        Element::Float => {
            let value = normalised(BAR);
            for to in out.as_chunks_mut().0 {
                *to = value;
            }
        }
    }
}
