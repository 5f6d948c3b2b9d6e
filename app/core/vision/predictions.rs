//! What a model found in one frame: objects, classes of the whole picture, or a class for each pixel.

use super::detection::Detection;
use super::geometry::Rect;

/// A class of the whole picture and how sure the model is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScore {
    /// The model's own class index, from 0.
    pub class: u32,
    /// 0..=1.
    pub score: f32,
}

/// How much of the picture a class covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassShare {
    /// The model's own class index, from 0.
    pub class: u32,
    /// 0..=1.
    pub share: f32,
}

/// A class for every pixel of the model's output, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mask {
    /// Columns; 0 where the model gives no mask.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width` × `height` class indices.
    pub classes: Vec<u8>,
    /// The part of the picture that the mask covers: a decoder gives it relative to the model's input
    /// (all of it), everyone after it relative to the source frame.
    pub region: Rect,
}

impl Mask {
    /// True where the model gave no mask.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The class of the mask's cell under a place of the picture (0..1 both ways); `None` outside of
    /// [`Mask::region`].
    pub fn class_at(&self, x: f32, y: f32) -> Option<u8> {
        let cell = |at: f32, from: f32, size: f32, cells: usize| {
            let place = (at - from) / size;
            // NaN, where there is no region, is in no range.
            (0.0..1.0)
                .contains(&place)
                .then(|| ((place * cells as f32) as usize).min(cells.saturating_sub(1)))
        };
        let column = cell(x, self.region.left, self.region.width(), self.width)?;
        let row = cell(y, self.region.top, self.region.height(), self.height)?;
        self.classes.get(row * self.width + column).copied()
    }

    /// The mask at the size of a picture of `width` × `height` pixels, as class and length in turns, row
    /// by row from the top left. Outside of the region the class is 0.
    pub fn runs_at(&self, width: usize, height: usize) -> Vec<usize> {
        let mut runs = Vec::new();
        let mut current: Option<(u8, usize)> = None;
        for y in 0..height {
            for x in 0..width {
                let [x, y] = [(x, width), (y, height)].map(|(at, of)| (at as f32 + 0.5) / of as f32);
                let class = self.class_at(x, y).unwrap_or(0);
                match &mut current {
                    Some((same, length)) if *same == class => *length += 1,
                    _ => {
                        runs.extend(
                            current.iter().flat_map(|(class, length)| [usize::from(*class), *length]),
                        );
                        current = Some((class, 1));
                    }
                }
            }
        }
        runs.extend(current.iter().flat_map(|(class, length)| [usize::from(*class), *length]));
        runs
    }

    /// The mask in its own size, as class and length in turns.
    pub fn runs(&self) -> Vec<usize> {
        let same = self.classes.chunk_by(|a, b| a == b);
        same.flat_map(|run| [usize::from(run[0]), run.len()]).collect()
    }

    /// The share of the picture that each class covers, largest first; classes that do not occur are
    /// left out.
    pub fn shares(&self) -> Vec<ClassShare> {
        let mut counts = [0usize; 256];
        self.classes.iter().for_each(|class| counts[usize::from(*class)] += 1);
        let covered = self.region.area() / self.classes.len().max(1) as f32;
        let mut shares: Vec<ClassShare> = (0u32..)
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| ClassShare { class, share: count as f32 * covered })
            .collect();
        shares.sort_by(|a, b| b.share.total_cmp(&a.share));
        shares
    }

    /// Empties the mask and keeps its memory.
    pub fn clear(&mut self) {
        (self.width, self.height) = (0, 0);
        self.classes.clear();
    }
}

/// At most so many suppressed detections are told of in a frame, best first: each object has dozens.
pub const SUPPRESSED_LIMIT: usize = 20;

/// An object that NMS took for a worse view of another one of its class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suppressed {
    pub detection: Detection,
    /// The other one's score.
    pub score: f32,
    /// Intersection over union with the other one.
    pub iou: f32,
}

/// All that a model found in one frame. Which of the three (objects, classes, mask) is filled depends on the model's
/// head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Objects, best first.
    pub detections: Vec<Detection>,
    /// Objects that were suppressed, best first, at most [`SUPPRESSED_LIMIT`]; none where NMS is inside the model.
    pub suppressed: Vec<Suppressed>,
    /// Classes of the whole picture, best first.
    pub classes: Vec<ClassScore>,
    /// Class of every pixel.
    pub mask: Mask,
}

impl Predictions {
    /// Empties everything and keeps the memory.
    pub fn clear(&mut self) {
        self.detections.clear();
        self.suppressed.clear();
        self.classes.clear();
        self.mask.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask() -> Mask {
        let region = Rect::new(0.0, 0.0, 1.0, 1.0);
        Mask { width: 3, height: 2, classes: vec![0, 0, 1, 1, 1, 2], region }
    }

    #[test]
    fn runs_cover_the_mask() {
        assert_eq!(mask().runs(), [0, 2, 1, 3, 2, 1]);
        assert_eq!(mask().runs_at(3, 2), mask().runs());
        assert_eq!(mask().runs_at(6, 2), [0, 4, 1, 6, 2, 2]);
        assert!(Mask::default().runs().is_empty());
        let half = Mask { region: Rect::new(0.0, 0.5, 1.0, 1.0), ..mask() };
        assert_eq!(half.runs_at(3, 4), [0, 8, 1, 3, 2, 1], "nothing is known of the upper half");
        assert_eq!(half.class_at(0.9, 0.6), Some(1));
        assert_eq!(half.class_at(0.9, 0.4), None);
        assert_eq!(Mask::default().runs_at(2, 2), [0, 4]);
    }

    #[test]
    fn shares_are_of_the_whole_picture() {
        let shares: Vec<(u32, f32)> = mask().shares().iter().map(|s| (s.class, s.share)).collect();
        assert_eq!(shares, [(1, 0.5), (0, 2.0 / 6.0), (2, 1.0 / 6.0)]);
        let half = Mask { region: Rect::new(0.0, 0.0, 0.5, 1.0), ..mask() };
        assert_eq!(half.shares()[0].share, 0.25);
        assert!(Mask::default().shares().is_empty());
    }
}
