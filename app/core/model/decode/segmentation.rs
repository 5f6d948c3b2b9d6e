//! Segmentation: a class for every pixel, as an output `[1,H,W]` or `[1,H,W,1]` of class indices (int64,
//! int32 or uint8), or as `[1,H,W,C]` scores of 2 to 256 classes (uint8, int8 or float32), of which the
//! highest is taken, the first of equal ones.

use multiversion::multiversion;

use super::{Decoder, Output, Thresholds, output_at};
use crate::base::error::{Error, Kind, Result};
use crate::vision::geometry::Rect;
use crate::vision::predictions::Predictions;
use crate::vision::tensor::{DataType, TensorInfo};

/// A mask is bytes.
const MAX_CLASSES: usize = 256;

/// Reads one output.
pub struct SegmentationDecoder {
    width: usize,
    height: usize,
    content: Content,
}

/// What stands for each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The index of its class.
    Indices(DataType),
    Scores(DataType, usize),
}

impl SegmentationDecoder {
    /// A decoder for the output `info`.
    ///
    /// # Errors
    /// [`Kind::Model`] where the shape or type is none of a segmentation.
    pub fn new(info: &TensorInfo) -> Result<Self> {
        let wrong = || Error::new(Kind::Model, format!("the output {info} is no segmentation"));
        let (height, width, content) = layout(info).ok_or_else(wrong)?;
        Ok(Self { width, height, content })
    }
}

/// Height, width and what there is for each pixel, where the output is one of a segmentation.
pub fn layout(info: &TensorInfo) -> Option<(usize, usize, Content)> {
    let dtype = info.dtype;
    let is_index = matches!(dtype, DataType::I64 | DataType::I32 | DataType::U8);
    let is_score = matches!(dtype, DataType::U8 | DataType::I8 | DataType::F32);
    match *info.shape.as_slice() {
        [1, height, width] | [1, height, width, 1] if is_index && height > 1 && width > 1 => {
            Some((height, width, Content::Indices(dtype)))
        }
        [1, height, width, classes @ 2..=MAX_CLASSES] if is_score && height > 1 && width > 1 => {
            Some((height, width, Content::Scores(dtype, classes)))
        }
        _ => None,
    }
}

impl Decoder for SegmentationDecoder {
    fn decode(&mut self, outputs: &[Output<'_>], _: &Thresholds, into: &mut Predictions) -> Result<()> {
        into.clear();
        let data = output_at(outputs, 0)?.data;
        let mask = &mut into.mask;
        (mask.width, mask.height) = (self.width, self.height);
        mask.region = Rect::new(0.0, 0.0, 1.0, 1.0);
        mask.classes.resize(self.width * self.height, 0);
        let into = mask.classes.as_mut_slice();
        match self.content {
            Content::Indices(DataType::I64) => {
                convert(data.as_chunks().0, into, |bytes| i64::from_ne_bytes(bytes).clamp(0, 255) as u8);
            }
            Content::Indices(DataType::I32) => {
                convert(data.as_chunks().0, into, |bytes| i32::from_ne_bytes(bytes).clamp(0, 255) as u8);
            }
            Content::Indices(_) => convert(data.as_chunks().0, into, |[byte]: [u8; 1]| byte),
            Content::Scores(DataType::F32, classes) => {
                best_floats(data.as_chunks().0, classes, into);
            }
            Content::Scores(DataType::I8, classes) => best_bytes(data, classes, 0x80, into),
            Content::Scores(_, classes) => best_bytes(data, classes, 0, into),
        }
        Ok(())
    }
}

/// An index outside of a byte becomes the nearest one.
fn convert<const N: usize>(data: &[[u8; N]], into: &mut [u8], class: impl Fn([u8; N]) -> u8) {
    into.iter_mut().zip(data).for_each(|(to, bytes)| *to = class(*bytes));
}

#[multiversion(targets = "simd")]
fn best_bytes(data: &[u8], classes: usize, flip: u8, into: &mut [u8]) {
    for (to, scores) in into.iter_mut().zip(data.chunks_exact(classes)) {
        // The ordered byte above the inverted index: the largest is the highest score, and of equal ones the
        // first. No branch depends on the picture.
        let key = |(byte, class): (&u8, u16)| u16::from(byte ^ flip) << 8 | (255 - class);
        let best = scores.iter().zip(0..).map(key).fold(0, u16::max);
        *to = 255 - best as u8;
    }
}

#[multiversion(targets = "simd")]
fn best_floats(data: &[[u8; 4]], classes: usize, into: &mut [u8]) {
    for (to, scores) in into.iter_mut().zip(data.chunks_exact(classes)) {
        let (mut best, mut highest) = (0, f32::NEG_INFINITY);
        for (class, bytes) in scores.iter().enumerate() {
            let value = f32::from_ne_bytes(*bytes);
            // NaN is higher than nothing.
            if value > highest {
                (best, highest) = (class, value);
            }
        }
        *to = best as u8;
    }
}

#[cfg(test)]
mod tests;
