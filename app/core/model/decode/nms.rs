//! Suppression: of boxes of one class that overlap, only the best stays.
//!
//! Boxes come best first. They are laid out by class, still best first within each, one array an
//! edge, so that a box is compared with all later ones of its class by vector instructions. The
//! result is that of the obvious way, box by box over all classes.

use multiversion::multiversion;

use crate::vision::geometry::Rect;

/// Added to every union so that two boxes without area do not divide 0 by 0.
const EPSILON: f32 = 1e-9;
/// In place of what suppressed a box: it was left out because there are enough, or its class does not exist.
const LEFT_OUT: u32 = u32::MAX;

/// Suppression with its memory.
#[derive(Default)]
pub struct Nms {
    /// First place of each class in the arrays below, and the end.
    starts: Vec<u32>,
    /// Rank of the box at each place.
    ranks: Vec<u32>,
    lanes: Lanes,
    /// By rank: 0 where the box stays, else 1 + the rank of the one that suppressed it, or [`LEFT_OUT`].
    dropped: Vec<u32>,
}

/// Boxes by edge; `dropped` is as in [`Nms`], with places instead of ranks.
#[derive(Default)]
struct Lanes {
    left: Vec<f32>,
    top: Vec<f32>,
    right: Vec<f32>,
    bottom: Vec<f32>,
    area: Vec<f32>,
    dropped: Vec<u32>,
}

impl Nms {
    /// With memory for `boxes` boxes of `classes` classes.
    pub fn with_capacity(boxes: usize, classes: usize) -> Self {
        let mut nms = Self::default();
        nms.starts.reserve(classes + 2);
        nms.ranks.reserve(boxes);
        nms.dropped.reserve(boxes);
        let Lanes { left, top, right, bottom, area, dropped } = &mut nms.lanes;
        for lane in [left, top, right, bottom, area] {
            lane.reserve(boxes);
        }
        dropped.reserve(boxes);
        nms
    }

    /// The ranks of the boxes that stay, best first, at most `max`.
    ///
    /// `boxes` are best first, each with its class (lower than `classes`; others are suppressed). A
    /// box is suppressed where one that stays, of the same class and better, overlaps it with an
    /// intersection over union of more than `threshold`. Allocates nothing once its memory has grown.
    pub fn keep<'a>(
        &'a mut self,
        boxes: &[(Rect, u32)],
        classes: usize,
        threshold: f32,
        max: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        let Self { starts, ranks, lanes, dropped } = self;
        // Where each class starts, by counting.
        starts.clear();
        starts.resize(classes + 2, 0);
        for (_, class) in boxes {
            starts[(*class as usize).min(classes) + 1] += 1;
        }
        for class in 1..starts.len() {
            starts[class] += starts[class - 1];
        }
        lanes.resize(boxes.len());
        ranks.clear();
        ranks.resize(boxes.len(), 0);
        for (rank, (rect, class)) in boxes.iter().enumerate() {
            let place = &mut starts[(*class as usize).min(classes)];
            lanes.set(*place as usize, rect);
            ranks[*place as usize] = rank as u32;
            *place += 1;
        }
        // Filling moved each start to its class's end, which is the next one's start.
        let mut from = 0;
        for end in &starts[..classes] {
            let end = *end as usize;
            if end - from > 1 {
                suppress(
                    &lanes.left[from..end],
                    &lanes.top[from..end],
                    &lanes.right[from..end],
                    &lanes.bottom[from..end],
                    &lanes.area[from..end],
                    &mut lanes.dropped[from..end],
                    from as u32,
                    threshold,
                    max,
                );
            }
            from = end;
        }
        lanes.dropped[from..].fill(LEFT_OUT);
        dropped.clear();
        dropped.resize(boxes.len(), 0);
        for (rank, by) in ranks.iter().zip(&lanes.dropped) {
            dropped[*rank as usize] = match *by {
                0 | LEFT_OUT => *by,
                place => ranks[place as usize - 1] + 1,
            };
        }
        dropped.iter().enumerate().filter(|(_, by)| **by == 0).map(|(rank, _)| rank).take(max)
    }

    /// Of the boxes of the last [`Nms::keep`], the ranks of those that were suppressed, best first, each with the
    /// rank of the best one that did so.
    pub fn suppressed(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let by = |(rank, by): (usize, &u32)| match *by {
            0 | LEFT_OUT => None,
            by => Some((rank, by as usize - 1)),
        };
        self.dropped.iter().enumerate().filter_map(by)
    }
}

impl Lanes {
    fn resize(&mut self, len: usize) {
        for lane in [&mut self.left, &mut self.top, &mut self.right, &mut self.bottom, &mut self.area] {
            lane.resize(len, 0.0);
        }
        self.dropped.clear();
        self.dropped.resize(len, 0);
    }

    fn set(&mut self, place: usize, rect: &Rect) {
        self.left[place] = rect.left;
        self.top[place] = rect.top;
        self.right[place] = rect.right;
        self.bottom[place] = rect.bottom;
        self.area[place] = rect.width() * rect.height();
    }
}

/// Marks what is suppressed among the boxes of one class, best first, with 1 + the place of what suppresses it; the
/// first is at place `first`. Stops after `max` that stay, because no more are wanted.
#[allow(clippy::too_many_arguments)]
#[multiversion(targets = "simd")]
fn suppress(
    left: &[f32],
    top: &[f32],
    right: &[f32],
    bottom: &[f32],
    area: &[f32],
    dropped: &mut [u32],
    first: u32,
    threshold: f32,
    max: usize,
) {
    let len = dropped.len();
    let (left, top, right, bottom, area) =
        (&left[..len], &top[..len], &right[..len], &bottom[..len], &area[..len]);
    let mut kept = 0;
    for i in 0..len {
        if dropped[i] != 0 {
            continue;
        }
        kept += 1;
        if kept >= max {
            dropped[i + 1..].fill(LEFT_OUT);
            return;
        }
        let by = first + i as u32 + 1;
        let (l, t, r, b, a) = (left[i], top[i], right[i], bottom[i], area[i]);
        let rest = i + 1..len;
        let lanes = left[rest.clone()]
            .iter()
            .zip(&top[rest.clone()])
            .zip(&right[rest.clone()])
            .zip(&bottom[rest.clone()])
            .zip(&area[rest.clone()])
            .zip(&mut dropped[rest]);
        for (((((left, top), right), bottom), area), dropped) in lanes {
            let width = (if r < *right { r } else { *right }) - (if l > *left { l } else { *left });
            let height = (if b < *bottom { b } else { *bottom }) - (if t > *top { t } else { *top });
            let width = if width > 0.0 { width } else { 0.0 };
            let height = if height > 0.0 { height } else { 0.0 };
            let shared = width * height;
            let iou = shared / (a + area - shared + EPSILON);
            *dropped = if (*dropped == 0) & (iou > threshold) { by } else { *dropped };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The obvious way.
    fn oracle(boxes: &[(Rect, u32)], threshold: f32, max: usize) -> Vec<usize> {
        let mut kept: Vec<usize> = Vec::new();
        for (rank, (rect, class)) in boxes.iter().enumerate() {
            let overlaps = |k: &usize| {
                let other = &boxes[*k].0;
                let w = (rect.right.min(other.right) - rect.left.max(other.left)).max(0.0);
                let h = (rect.bottom.min(other.bottom) - rect.top.max(other.top)).max(0.0);
                let union = other.width() * other.height() + rect.width() * rect.height() - w * h + 1e-9;
                boxes[*k].1 == *class && w * h / union > threshold
            };
            if !kept.iter().any(overlaps) {
                kept.push(rank);
            }
        }
        kept.truncate(max);
        kept
    }

    proptest! {
        #[test]
        fn same_as_box_by_box(
            raw in proptest::collection::vec((0u8..16, 0u8..16, 1u8..8, 1u8..8, 0u32..4), 0..120),
            threshold in 0.0f32..1.0, max in 0usize..40,
        ) {
            // Whole numbers of sixteenths make exact ties.
            let boxes: Vec<(Rect, u32)> = raw.iter().map(|&(x, y, w, h, class)| {
                let [x, y, w, h] = [x, y, w, h].map(|v| f32::from(v) / 16.0);
                (Rect::new(x, y, x + w, y + h), class)
            }).collect();
            let mut nms = Nms::default();
            for _ in 0..2 {
                let kept: Vec<usize> = nms.keep(&boxes, 4, threshold, max).collect();
                prop_assert_eq!(&kept, &oracle(&boxes, threshold, max));
            }
            for threshold in [0.5, 1.0 / 3.0, 0.0, 1.0] {
                let kept: Vec<usize> = nms.keep(&boxes, 4, threshold, max).collect();
                prop_assert_eq!(&kept, &oracle(&boxes, threshold, max));
                // Without a limit each box stays, or the best that stays and overlaps it is named.
                let kept: Vec<usize> = nms.keep(&boxes, 4, threshold, usize::MAX).collect();
                let suppressed: Vec<(usize, usize)> = nms.suppressed().collect();
                prop_assert_eq!(kept.len() + suppressed.len(), boxes.len());
                for (rank, by) in suppressed {
                    let pair = |k: usize| [boxes[k], boxes[rank]];
                    let first = kept.iter().find(|k| oracle(&pair(**k), threshold, 2).len() == 1);
                    prop_assert_eq!(Some(&by), first);
                }
            }
        }
    }

    #[test]
    fn classes_that_do_not_exist_are_dropped() {
        let rect = Rect::new(0.0, 0.0, 1.0, 1.0);
        let kept: Vec<usize> = Nms::default().keep(&[(rect, 7), (rect, 1), (rect, 0)], 2, 0.5, 9).collect();
        assert_eq!(kept, [1, 2]);
        assert_eq!(Nms::default().keep(&[], 2, 0.5, 9).count(), 0);
    }
}
