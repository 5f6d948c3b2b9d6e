//! Classifiers: one output `[1,C]` (or `[1,1,1,C]`) of probabilities or logits over the classes of the
//! whole picture, as uint8, int8 or float32. The five best are found before any number is turned into a
//! real, because a larger byte is a larger probability.

use super::codes::Codes;
use super::{Decoder, Output, Scores, Thresholds, output_at};
use crate::base::error::{Error, Kind, Result};
use crate::vision::predictions::{ClassScore, Predictions};
use crate::vision::tensor::TensorInfo;

/// So many classes are told of.
const TOP: usize = 5;

/// Reads one output.
pub struct ClassificationDecoder {
    kind: Scores,
    codes: Option<Codes>,
}

impl ClassificationDecoder {
    /// A decoder for the output `info` of C ≥ 2 numbers.
    ///
    /// # Errors
    /// [`Kind::Model`] where the shape or the type is another, or bytes have no quantisation.
    pub fn new(info: &TensorInfo, kind: Scores) -> Result<Self> {
        match classes(info) {
            Some(_) => Ok(Self { kind, codes: Codes::of(info)? }),
            None => Err(Error::new(Kind::Model, format!("the output {info} is no classification"))),
        }
    }
}

/// C, where the output is `[1,C]` or `[1,1,1,C]` with C ≥ 2.
pub fn classes(info: &TensorInfo) -> Option<usize> {
    match *info.shape.as_slice() {
        [1, classes] | [1, 1, 1, classes] if classes >= 2 => Some(classes),
        _ => None,
    }
}

impl Decoder for ClassificationDecoder {
    fn decode(&mut self, outputs: &[Output<'_>], _: &Thresholds, into: &mut Predictions) -> Result<()> {
        into.clear();
        let data = output_at(outputs, 0)?.data;
        match &self.codes {
            Some(codes) => {
                let mut best = Best::new();
                data.iter().enumerate().for_each(|(class, byte)| best.add(byte ^ codes.flip, class));
                let real = |code: u8| codes.real[usize::from(code)];
                let all = data.iter().map(|byte| codes.value(*byte));
                best.write(self.kind, real, all, &mut into.classes);
            }
            None => {
                let mut best = Best::new();
                let all = data.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes));
                // NaN is no score; 0 and -0 are the same.
                for (class, value) in all.clone().enumerate().filter(|(_, value)| !value.is_nan()) {
                    best.add(value, class);
                }
                best.write(self.kind, |value| value, all, &mut into.classes);
            }
        }
        Ok(())
    }
}

/// The best so far, best first; of equal ones the class with the lower index is first.
struct Best<T> {
    list: [Option<(T, usize)>; TOP],
}

impl<T: PartialOrd + Copy> Best<T> {
    fn new() -> Self {
        Self { list: [None; TOP] }
    }

    fn add(&mut self, value: T, class: usize) {
        let worse = |entry: &Option<(T, usize)>| entry.is_none_or(|(other, _)| other < value);
        // Classes come in order, so an equal one that is there has the lower index. Most are worse than
        // the last.
        if worse(&self.list[TOP - 1])
            && let Some(place) = self.list.iter().position(worse)
        {
            self.list[place..].rotate_right(1);
            self.list[place] = Some((value, class));
        }
    }

    /// The list as probabilities; `all` are the reals of all classes, which logits are divided by.
    fn write(
        &self,
        kind: Scores,
        real: impl Fn(T) -> f32,
        all: impl Iterator<Item = f32>,
        into: &mut Vec<ClassScore>,
    ) {
        let found = self.list.iter().flatten().map(|(value, class)| (real(*value), *class as u32));
        let Some((highest, _)) = found.clone().next() else { return };
        // Softmax; with the highest taken off, no power is too large. An infinite logit is all there is.
        let power = |logit: f32| if logit == highest { 1.0 } else { (logit - highest).exp() };
        let sum: f32 = match kind {
            Scores::Probabilities => 1.0,
            Scores::Logits => all.filter(|logit| !logit.is_nan()).map(power).sum(),
        };
        into.extend(found.map(|(value, class)| {
            let score = match kind {
                Scores::Probabilities => value,
                Scores::Logits => power(value) / sum,
            };
            ClassScore { class, score: score.clamp(0.0, 1.0) }
        }));
    }
}

#[cfg(test)]
mod tests;
