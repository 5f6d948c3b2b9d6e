//! YOLOv5 rows: `[1,N,5+C]` of centre x, centre y, width, height (0..1 of the input), objectness and
//! C class probabilities, all already through the sigmoid.
//!
//! Exports of other converters have the boxes in pixels. The numbers say so, whatever the picture: the last
//! row belongs to the lower right cell of the grid of stride 32, so its centre x is within 48 pixels of the
//! input's right edge, or not above 2 where it is a part of the input.
//!
//! Almost every row is background, so what is done for each of them is one comparison of bytes: the
//! objectness that passes is found once, as an integer. Only rows that pass are turned into reals.
//! The results are those of the published evaluation: strict thresholds, score = objectness × class,
//! the 3000 best go into suppression, and ties keep the order of the rows.

use multiversion::multiversion;

use super::candidates::{Candidates, MAX_CANDIDATES, place, score};
use super::codes::Codes;
use super::nms::Nms;
use super::{Decoder, Output, Thresholds, output_at, tell_suppressed};
use crate::base::error::{Error, Kind, Result};
use crate::vision::detection::Detection;
use crate::vision::geometry::Rect;
use crate::vision::predictions::Predictions;
use crate::vision::tensor::TensorInfo;

/// Columns before the classes.
const BOX: usize = 5;
/// A centre of the last row beyond this is in pixels.
const PARTS: f32 = 2.0;

/// Reads the rows of one output.
pub struct YoloV5Decoder {
    columns: usize,
    classes: usize,
    /// Width and height of the input in pixels, where known.
    input: Option<[f32; 2]>,
    codes: Option<Codes>,
    keys: Candidates,
    boxes: Vec<(Rect, u32)>,
    nms: Nms,
}

impl YoloV5Decoder {
    /// A decoder for the output `info` of shape `[1,N,5+C]`, uint8 or int8 with quantisation, or
    /// float32.
    ///
    /// # Errors
    /// [`Kind::Model`] where it is none of these.
    pub fn new(info: &TensorInfo) -> Result<Self> {
        let wrong = || Error::new(Kind::Model, format!("the output {info} is no YOLOv5 head"));
        let [1, rows, columns] = *info.shape.as_slice() else { return Err(wrong()) };
        let classes = columns.checked_sub(BOX).filter(|classes| *classes > 0).ok_or_else(wrong)?;
        if rows.checked_mul(classes).is_none_or(|n| u32::try_from(n).is_err()) {
            return Err(wrong());
        }
        let codes = Codes::of(info)?;
        Ok(Self {
            columns,
            classes,
            input: None,
            codes,
            keys: Candidates::new(),
            boxes: Vec::with_capacity(MAX_CANDIDATES),
            nms: Nms::with_capacity(MAX_CANDIDATES, classes),
        })
    }

    /// The same decoder for a model whose input has this size in pixels: boxes in pixels become parts of it.
    pub fn for_input(mut self, height: usize, width: usize) -> Self {
        self.input = Some([width as f32, height as f32]);
        self
    }

    /// What boxes are multiplied by, across and down: 1 where they are parts of the input.
    fn scale(&self, data: &[u8]) -> [f32; 2] {
        let last = match &self.codes {
            Some(codes) => data.rchunks_exact(self.columns).next().map(|row| codes.value(row[0])),
            None => {
                let row = data.as_chunks::<4>().0.rchunks_exact(self.columns).next();
                row.map(|row| f32::from_ne_bytes(row[0]))
            }
        };
        match self.input {
            Some(size) if last.is_some_and(|centre| centre > PARTS) => size.map(f32::recip),
            _ => [1.0; 2],
        }
    }
}

impl Decoder for YoloV5Decoder {
    fn decode(
        &mut self,
        outputs: &[Output<'_>],
        thresholds: &Thresholds,
        into: &mut Predictions,
    ) -> Result<()> {
        into.clear();
        let data = output_at(outputs, 0)?.data;
        let scale = self.scale(data);
        let Self { columns, classes, codes, keys, boxes, nms, .. } = self;
        // A negative or NaN threshold keeps all that has a score at all.
        let confidence = thresholds.confidence.max(0.0);
        let multi = thresholds.multi_label;
        keys.list.clear();
        boxes.clear();
        match codes {
            Some(codes) => {
                gather_bytes(data, *columns, codes.flip, &codes.real, confidence, multi, keys);
                keys.rank();
                boxes.extend(keys.list.iter().map(|key| {
                    let (row, class) = place(*key, *classes);
                    let at = row * *columns;
                    let value = |i: usize| codes.value(data[at + i]);
                    (scaled(rect([value(0), value(1), value(2), value(3)]), scale), class)
                }));
            }
            None => {
                let data = data.as_chunks::<4>().0;
                gather_floats(data, *columns, confidence, multi, keys);
                keys.rank();
                boxes.extend(keys.list.iter().map(|key| {
                    let (row, class) = place(*key, *classes);
                    let at = row * *columns;
                    let row = [at, at + 1, at + 2, at + 3].map(|i| f32::from_ne_bytes(data[i]));
                    (scaled(rect(row), scale), class)
                }));
            }
        }
        for kept in nms.keep(boxes, *classes, thresholds.iou, thresholds.max_detections) {
            let (rect, class) = boxes[kept];
            let score = score(keys.list[kept]).min(1.0);
            into.detections.push(Detection { class, score, rect });
        }
        tell_suppressed(nms, boxes, &keys.list, &mut into.suppressed);
        Ok(())
    }
}

fn rect([x, y, width, height]: [f32; 4]) -> Rect {
    Rect::new(x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0)
}

fn scaled(rect: Rect, [x, y]: [f32; 2]) -> Rect {
    Rect::new(rect.left * x, rect.top * y, rect.right * x, rect.bottom * y)
}

/// The lowest ordered byte whose real value is over `limit`; 256 where none is.
fn lowest_over(real: &[f32; 256], limit: f32) -> usize {
    real.partition_point(|value| *value <= limit)
}

#[multiversion(targets = "simd")]
fn gather_bytes(
    data: &[u8],
    columns: usize,
    flip: u8,
    real: &[f32; 256],
    confidence: f32,
    multi: bool,
    keys: &mut Candidates,
) {
    let classes = columns - BOX;
    let Ok(lowest) = u8::try_from(lowest_over(real, confidence)) else { return };
    for (row, values) in data.chunks_exact(columns).enumerate() {
        if values[4] ^ flip < lowest {
            continue;
        }
        let value = |i: usize| real[usize::from(values[i] ^ flip)];
        if !rect([value(0), value(1), value(2), value(3)]).is_valid() {
            continue;
        }
        let objectness = value(4);
        let base = (row * classes) as u32;
        let values = &values[BOX..];
        if multi {
            // Products rise with the class value, so this too is one comparison of bytes.
            let lowest = real.partition_point(|value| *value * objectness <= confidence);
            let Ok(lowest) = u8::try_from(lowest) else { continue };
            for (class, byte) in values.iter().enumerate() {
                if byte ^ flip >= lowest {
                    let score = real[usize::from(byte ^ flip)] * objectness;
                    keys.push(score, base + class as u32);
                }
            }
        } else {
            let best = values.iter().fold(0u8, |best, byte| best.max(byte ^ flip));
            let score = real[usize::from(best)] * objectness;
            if score > confidence {
                keys.push(score, base + first_of(values, best ^ flip));
            }
        }
    }
}

/// Where `wanted` is first; blocks are searched at once by vector instructions.
#[inline(always)]
fn first_of(values: &[u8], wanted: u8) -> u32 {
    let mut from = 0;
    for block in values.chunks(16) {
        if block.iter().fold(false, |any, byte| any | (*byte == wanted)) {
            return (from + block.iter().position(|byte| *byte == wanted).unwrap_or(0)) as u32;
        }
        from += block.len();
    }
    0
}

fn gather_floats(data: &[[u8; 4]], columns: usize, confidence: f32, multi: bool, keys: &mut Candidates) {
    let classes = columns - BOX;
    for (row, values) in data.chunks_exact(columns).enumerate() {
        let value = |i: usize| f32::from_ne_bytes(values[i]);
        let objectness = value(4);
        // NaN is over nothing.
        let over = objectness > confidence;
        if !over || !rect([value(0), value(1), value(2), value(3)]).is_valid() {
            continue;
        }
        let base = (row * classes) as u32;
        let mut best = (confidence, 0);
        for (class, bytes) in values[BOX..].iter().enumerate() {
            let score = f32::from_ne_bytes(*bytes) * objectness;
            if multi && score > confidence && score.is_finite() {
                keys.push(score, base + class as u32);
            } else if !multi && score > best.0 && score.is_finite() {
                best = (score, class as u32);
            }
        }
        if !multi && best.0 > confidence {
            keys.push(best.0, base + best.1);
        }
    }
}

#[cfg(test)]
mod tests;
