//! SSD models without the post-process operator: box encodings `[1,N,4]` and class scores `[1,N,C]`, as
//! uint8, int8 or float32, decoded and suppressed here as `TFLite_Detection_PostProcess` does.
//!
//! A box is coded against its anchor in one of two ways:
//!
//! - ty, tx, th, tw with the scale factors 10, 10, 5, 5 against a centre, a height and a width, which is
//!   the coding of TensorFlow's Object Detection API (Faster R-CNN's). Anchors that the file does not
//!   have are of this kind, see [`super::anchors`].
//! - left, top, right, bottom as distances from the anchor's own edges in widths and heights of the
//!   anchor. Models that give their anchors as an output of left, top, right, bottom use it: that
//!   coding needs edges, the other one centres. So anchors that are an output say which one it is: the
//!   second is theirs where in every row the last two numbers exceed the first two, as edges do and
//!   centres with sizes near the lower right do not.
//!
//! Almost every row is background, so of each row only the best score is looked for, as an integer where
//! the scores are bytes and before the sigmoid where they are logits. Only rows that pass are turned into
//! probabilities and boxes.

use multiversion::multiversion;

use super::anchors::{Anchor, Layout};
use super::candidates::{Candidates, MAX_CANDIDATES, place, score};
use super::codes::{Codes, Elements};
use super::nms::Nms;
use super::{Decoder, Output, Scores, Thresholds, output_at, tell_suppressed};
use crate::base::error::{Error, Kind, Result};
use crate::vision::detection::Detection;
use crate::vision::geometry::Rect;
use crate::vision::predictions::Predictions;
use crate::vision::tensor::TensorInfo;

/// More rows are refused: FPN-Lite at 2560×2560, and far more than a camera can run.
pub const MAX_ROWS: usize = 1 << 20;
/// Divisors of ty, tx, th and tw: the scale factors of every published configuration.
const BOX_SCALES: [f32; 4] = [10.0, 10.0, 5.0, 5.0];
/// Blocks of so many scores are searched at once by vector instructions.
const LANES: usize = 16;
/// The sigmoid of larger logits is 1 in 32 bits or close to it: no use to compare further out.
const CERTAIN: f32 = 15.0;

/// Where the parts of a raw SSD head are among the outputs, and what the scores are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSsd {
    /// Place of the class scores `[1,N,C]`.
    pub scores: usize,
    /// Place of the box encodings `[1,N,4]`.
    pub boxes: usize,
    /// From where the anchors are.
    pub anchors: Anchors,
    /// Probabilities or logits.
    pub kind: Scores,
    /// True where the first of the C columns is the background, which is no class.
    pub background: bool,
}

/// Where anchors come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchors {
    /// Output `[1,N,4]` or `[N,4]` at this place.
    Output(usize),
    /// Made for an input of this height and width.
    Made(Layout, usize, usize),
}

/// Reads the rows of the outputs.
pub struct RawSsdDecoder {
    head: RawSsd,
    rows: Rows,
    scores: Elements,
    boxes: Elements,
    anchors: Source,
    candidates: Candidates,
    rects: Vec<(Rect, u32)>,
    nms: Nms,
}

/// The shape of a score row.
#[derive(Clone, Copy)]
struct Rows {
    columns: usize,
    /// First column that is a class.
    first: usize,
}

enum Source {
    Made(Vec<Anchor>),
    Output(usize, Elements),
}

impl RawSsdDecoder {
    /// A decoder for the head `head` of a model with these outputs.
    ///
    /// # Errors
    /// [`Kind::Model`] where the outputs are not those of the head, or have numbers without a meaning.
    pub fn new(head: RawSsd, outputs: &[TensorInfo]) -> Result<Self> {
        let wrong = || Error::new(Kind::Model, "the model's outputs are no SSD head");
        let info = |place: usize| outputs.get(place).ok_or_else(wrong);
        let (scores, boxes) = (info(head.scores)?, info(head.boxes)?);
        let [1, count, columns] = *scores.shape.as_slice() else { return Err(wrong()) };
        let first = usize::from(head.background);
        if count > MAX_ROWS
            || columns <= first
            || count.checked_mul(columns).is_none_or(|n| u32::try_from(n).is_err())
        {
            return Err(wrong());
        }
        let fits = |info: &TensorInfo| matches!(*info.shape.as_slice(), [1, n, 4] | [n, 4] if n == count);
        let anchors = match head.anchors {
            Anchors::Made(layout, height, width) => {
                if layout.count(height, width) != Some(count) {
                    return Err(wrong());
                }
                Source::Made(layout.anchors(height, width))
            }
            Anchors::Output(place) if fits(info(place)?) => {
                Source::Output(place, Elements::of(info(place)?)?)
            }
            Anchors::Output(_) => return Err(wrong()),
        };
        if !fits(boxes) {
            return Err(wrong());
        }
        Ok(Self {
            head,
            rows: Rows { columns, first },
            scores: Elements::of(scores)?,
            boxes: Elements::of(boxes)?,
            anchors,
            candidates: Candidates::new(),
            rects: Vec::with_capacity(MAX_CANDIDATES),
            nms: Nms::with_capacity(MAX_CANDIDATES, columns - first),
        })
    }
}

impl Decoder for RawSsdDecoder {
    fn decode(
        &mut self,
        outputs: &[Output<'_>],
        thresholds: &Thresholds,
        into: &mut Predictions,
    ) -> Result<()> {
        into.clear();
        let Self { head, rows, scores, boxes, anchors, candidates, rects, nms } = self;
        let score_data = output_at(outputs, head.scores)?.data;
        let box_data = output_at(outputs, head.boxes)?.data;
        let anchor_data = match anchors {
            Source::Output(place, _) => output_at(outputs, *place)?.data,
            Source::Made(_) => &[],
        };
        candidates.list.clear();
        rects.clear();
        let gather = Gather {
            // A negative or NaN threshold keeps all that has a score at all.
            confidence: thresholds.confidence.max(f32::MIN_POSITIVE),
            kind: head.kind,
            multi: thresholds.multi_label,
            rows: *rows,
        };
        match scores {
            Elements::Bytes(codes) => gather_bytes(score_data, codes, gather, candidates),
            Elements::Floats => gather_floats(score_data.as_chunks().0, gather, candidates),
        }
        candidates.rank();
        let classes = rows.columns - rows.first;
        let corners = match anchors {
            Source::Output(_, elements) => are_corners(elements, anchor_data),
            Source::Made(_) => false,
        };
        candidates.list.retain(|key| {
            let (row, class) = place(*key, classes);
            let anchor = match anchors {
                Source::Made(made) => made.get(row).copied(),
                Source::Output(_, elements) => elements.four(anchor_data, row),
            };
            let rect = boxes.four(box_data, row).zip(anchor).map(|(code, anchor)| match corners {
                true => of_corners(code, anchor),
                false => of_centre(code, anchor),
            });
            // Finite first: clamping would make a box of an infinite one.
            let sound = rect.filter(Rect::is_valid);
            rects.extend(sound.map(|rect| (rect, class)));
            sound.is_some()
        });
        for kept in nms.keep(rects, classes, thresholds.iou, thresholds.max_detections) {
            let (rect, class) = (rects[kept].0.clamped(), rects[kept].1);
            if rect.is_valid() {
                into.detections.push(Detection { class, score: score(candidates.list[kept]), rect });
            }
        }
        tell_suppressed(nms, rects, &candidates.list, &mut into.suppressed);
        Ok(())
    }
}

/// True where the anchors are edges: left, top, right, bottom.
fn are_corners(elements: &Elements, data: &[u8]) -> bool {
    (0..).map_while(|row| elements.four(data, row)).all(|[a, b, c, d]| c > a && d > b)
}

/// The box of ty, tx, th, tw and an anchor of centre y, centre x, height, width.
fn of_centre(code: [f32; 4], [y, x, height, width]: Anchor) -> Rect {
    let [ty, tx, th, tw] = [0, 1, 2, 3].map(|i| code[i] / BOX_SCALES[i]);
    let (y, x) = (ty * height + y, tx * width + x);
    let (half_height, half_width) = (0.5 * th.exp() * height, 0.5 * tw.exp() * width);
    Rect::new(x - half_width, y - half_height, x + half_width, y + half_height)
}

/// The box of distances from the edges left, top, right, bottom of an anchor.
fn of_corners([l, t, r, b]: [f32; 4], [left, top, right, bottom]: [f32; 4]) -> Rect {
    let (width, height) = (right - left, bottom - top);
    Rect::new(left + l * width, top + t * height, right + r * width, bottom + b * height)
}

/// What to keep of the rows.
#[derive(Clone, Copy)]
struct Gather {
    confidence: f32,
    kind: Scores,
    multi: bool,
    rows: Rows,
}

impl Gather {
    /// The probability of a score; garbage above 1 is 1.
    #[inline(always)]
    fn probability(&self, value: f32) -> f32 {
        match self.kind {
            Scores::Probabilities => value.min(1.0),
            Scores::Logits => sigmoid(value),
        }
    }

    /// The lowest score that may reach the confidence. Logits near it are looked at again as
    /// probabilities, so a little below it is right.
    fn limit(&self) -> f32 {
        match self.kind {
            Scores::Probabilities => self.confidence,
            Scores::Logits => {
                let logit = (self.confidence / (1.0 - self.confidence)).ln();
                if logit < CERTAIN { logit - 1e-3 } else { CERTAIN }
            }
        }
    }

    /// Adds what is to be kept of a row that has passed; `value` gives the score in a class.
    #[inline(always)]
    fn add(&self, row: usize, classes: usize, value: impl Fn(usize) -> f32, candidates: &mut Candidates) {
        let base = (row * classes) as u32;
        if self.multi {
            for class in 0..classes {
                let probability = self.probability(value(class));
                if probability >= self.confidence {
                    candidates.push(probability, base + class as u32);
                }
            }
            return;
        }
        let (mut best, mut highest) = (0, f32::NEG_INFINITY);
        for class in 0..classes {
            if value(class) > highest {
                (best, highest) = (class, value(class));
            }
        }
        let probability = self.probability(highest);
        if probability >= self.confidence {
            candidates.push(probability, base + best as u32);
        }
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[multiversion(targets = "simd")]
fn gather_floats(data: &[[u8; 4]], gather: Gather, candidates: &mut Candidates) {
    let Rows { columns, first } = gather.rows;
    let limit = gather.limit();
    for (row, values) in data.chunks_exact(columns).enumerate() {
        let values = &values[first..];
        if reaches(values, limit) {
            gather.add(row, values.len(), |class| f32::from_ne_bytes(values[class]), candidates);
        }
    }
}

/// Whether any value is `limit` or more; NaN is nothing.
#[inline(always)]
fn reaches(values: &[[u8; 4]], limit: f32) -> bool {
    let any = |block: &[[u8; 4]]| {
        block.iter().fold(0, |any, value| any | u32::from(f32::from_ne_bytes(*value) >= limit))
    };
    match values.last_chunk::<LANES>() {
        // The last block overlaps the one before it: what is seen twice changes nothing.
        Some(last) => {
            let blocks = values.as_chunks::<LANES>().0;
            blocks.iter().fold(any(last), |found, block| found | any(block)) != 0
        }
        None => any(values) != 0,
    }
}

#[multiversion(targets = "simd")]
fn gather_bytes(data: &[u8], codes: &Codes, gather: Gather, candidates: &mut Candidates) {
    let Rows { columns, first } = gather.rows;
    let limit = gather.limit();
    // The lowest ordered byte that may pass; where there is none, nothing does.
    let Ok(lowest) = u8::try_from(codes.real.partition_point(|value| *value < limit)) else { return };
    let flip = codes.flip;
    for (row, values) in data.chunks_exact(columns).enumerate() {
        let values = &values[first..];
        if highest(values, flip) >= lowest {
            gather.add(row, values.len(), |class| codes.value(values[class]), candidates);
        }
    }
}

/// The highest ordered byte.
#[inline(always)]
fn highest(values: &[u8], flip: u8) -> u8 {
    let most = |block: &[u8]| block.iter().fold(0u8, |most, byte| most.max(byte ^ flip));
    match values.last_chunk::<LANES>() {
        Some(last) => {
            let blocks = values.as_chunks::<LANES>().0;
            blocks.iter().fold(most(last), |found, block| found.max(most(block)))
        }
        None => most(values),
    }
}

#[cfg(test)]
mod tests;
