//! Which detections of one category in one picture are which annotated objects, as COCO matches them.
//!
//! Source: `COCOeval.evaluateImg` of `pycocotools` 2.0 and `bbIou` of its C part. Every comparison and
//! every order is theirs, since scores of quantised models are often equal and then the order decides.
//! One thing is not: an annotation with the id 0 is never found there, because 0 also means "none".

use std::cmp::Ordering;

/// Thresholds of the overlap: 0.50, 0.55 … 0.95.
pub const OVERLAPS: usize = 10;
/// Detections of one category in one picture that count; the others are left out.
pub const MOST_DETECTIONS: usize = 100;

/// Left, top, width and height in pixels.
pub type Bbox = [f64; 4];

/// An object that is annotated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// Place of the picture in the order of the pictures' ids.
    pub image: usize,
    /// Place of the category in the order of the categories' ids.
    pub category: usize,
    pub bbox: Bbox,
    /// Square pixels: of its outline where the annotation has one, so it may be less than the box's.
    pub area: f64,
    /// A group of objects, or one that need not be found: detections on it count neither way.
    pub crowd: bool,
}

/// An object that was detected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Place of the picture in the order of the pictures' ids.
    pub image: usize,
    /// Place of the category in the order of the categories' ids.
    pub category: usize,
    pub bbox: Bbox,
    /// How sure the model is.
    pub score: f64,
}

/// What a detection is at one threshold of the overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is an annotated object.
    Hit,
    /// It is none.
    Miss,
    /// It counts neither way: on a crowd, or of a size that is not looked at.
    Ignored,
}

/// The thresholds as `numpy.linspace(.5, .95, 10)` computes them, to the last bit.
pub fn overlaps() -> [f64; OVERLAPS] {
    let step = (0.95 - 0.5) / (OVERLAPS - 1) as f64;
    std::array::from_fn(|i| if i == OVERLAPS - 1 { 0.95 } else { i as f64 * step + 0.5 })
}

/// Intersection over union; over the detection's own area where the object is a crowd. 0 where one of
/// them has no area.
pub fn overlap(found: &Bbox, truth: &Bbox, crowd: bool) -> f64 {
    let along = |axis: usize| {
        let end = (found[axis] + found[axis + 2]).min(truth[axis] + truth[axis + 2]);
        end - found[axis].max(truth[axis])
    };
    let (width, height) = (along(0), along(1));
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let shared = width * height;
    let own = found[2] * found[3];
    shared / if crowd { own } else { own + truth[2] * truth[3] - shared }
}

/// Best first; equal scores keep their order.
pub fn by_score(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

/// The annotated and the detected objects of one category in one picture.
pub struct Cell<'a> {
    truths: Vec<&'a Truth>,
    founds: Vec<&'a Found>,
    /// By detection, then by object.
    overlaps: Vec<f64>,
}

/// What became of a cell's detections where only objects of some size count.
pub struct Matched {
    /// Annotated objects that count.
    pub objects: usize,
    /// By detection, best first: its score and its outcome at each of [`overlaps`].
    pub outcomes: Vec<(f64, [Outcome; OVERLAPS])>,
}

impl<'a> Cell<'a> {
    /// A cell of these objects and the best [`MOST_DETECTIONS`] of these detections.
    pub fn new(truths: Vec<&'a Truth>, mut founds: Vec<&'a Found>) -> Self {
        founds.sort_by(|a, b| by_score(a.score, b.score));
        founds.truncate(MOST_DETECTIONS);
        let overlaps = founds
            .iter()
            .flat_map(|found| truths.iter().map(|truth| overlap(&found.bbox, &truth.bbox, truth.crowd)))
            .collect();
        Self { truths, founds, overlaps }
    }

    /// Matches detections with objects, the best detection first, each with the object that it overlaps
    /// most. Only objects whose area in square pixels is in `area` (both ends included) count.
    pub fn matched(&self, area: (f64, f64)) -> Matched {
        let outside = |size: f64| size < area.0 || size > area.1;
        // Objects that count come first.
        let mut order: Vec<(usize, bool)> = (0..self.truths.len())
            .map(|i| (i, self.truths[i].crowd || outside(self.truths[i].area)))
            .collect();
        order.sort_by_key(|(_, ignored)| *ignored);
        let objects = order.iter().filter(|(_, ignored)| !ignored).count();
        let mut outcomes: Vec<(f64, [Outcome; OVERLAPS])> = self
            .founds
            .iter()
            .map(|found| {
                let unmatched =
                    if outside(found.bbox[2] * found.bbox[3]) { Outcome::Ignored } else { Outcome::Miss };
                (found.score, [unmatched; OVERLAPS])
            })
            .collect();
        for (place, threshold) in overlaps().into_iter().enumerate() {
            let mut taken = vec![false; order.len()];
            for (found, (_, outcomes)) in outcomes.iter_mut().enumerate() {
                if let Some(best) = self.best(found, threshold, &order, &taken) {
                    taken[best] = true;
                    outcomes[place] = if order[best].1 { Outcome::Ignored } else { Outcome::Hit };
                }
            }
        }
        Matched { objects, outcomes }
    }

    /// The place in `order` of the object that a detection overlaps most; an object that counts before
    /// one that does not, and of equal ones the last. A crowd can be taken more than once.
    fn best(&self, found: usize, threshold: f64, order: &[(usize, bool)], taken: &[bool]) -> Option<usize> {
        let mut least = threshold.min(1.0 - 1e-10);
        let mut best: Option<usize> = None;
        for (place, (truth, ignored)) in order.iter().enumerate() {
            if taken[place] && !self.truths[*truth].crowd {
                continue;
            }
            if *ignored && best.is_some_and(|best| !order[best].1) {
                break;
            }
            let overlap = self.overlaps[found * self.truths.len() + truth];
            if overlap >= least {
                least = overlap;
                best = Some(place);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(bbox: Bbox, crowd: bool) -> Truth {
        Truth { image: 0, category: 0, bbox, area: bbox[2] * bbox[3], crowd }
    }

    fn found(bbox: Bbox, score: f64) -> Found {
        Found { image: 0, category: 0, bbox, score }
    }

    const ALL: (f64, f64) = (0.0, 1e10);

    #[test]
    fn thresholds_are_those_of_numpy() {
        let overlaps = overlaps();
        // As numpy 2.3 prints them.
        assert_eq!(overlaps[..4], [0.5, 0.55, 0.6, 0.65]);
        assert_eq!((overlaps[5], overlaps[9]), (0.75, 0.95));
    }

    #[test]
    fn a_crowd_is_measured_by_the_detection() {
        let (a, b) = ([0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 10.0, 10.0]);
        assert_eq!(overlap(&a, &b, false), 50.0 / 150.0);
        assert_eq!(overlap(&a, &b, true), 0.5);
        assert_eq!(overlap(&a, &[10.0, 0.0, 10.0, 10.0], false), 0.0, "they only touch");
        assert_eq!(overlap(&a, &[2.0, 2.0, 0.0, 0.0], true), 0.0);
        assert_eq!(overlap(&[2.0, 2.0, 0.0, 5.0], &a, true), 0.0, "nothing is divided by 0");
    }

    #[test]
    fn the_second_box_on_one_object_is_a_miss() {
        let truths = [truth([0.0, 0.0, 10.0, 10.0], false)];
        let founds = [found([0.0, 0.0, 10.0, 9.0], 0.6), found([0.0, 0.0, 10.0, 6.0], 0.9)];
        let matched = Cell::new(truths.iter().collect(), founds.iter().collect()).matched(ALL);
        assert_eq!(matched.objects, 1);
        let [(best, first), (_, second)] = matched.outcomes[..] else { panic!("two detections") };
        assert_eq!((best, first[2], first[3]), (0.9, Outcome::Hit, Outcome::Miss), "an overlap of 0.6");
        assert_eq!((second[0], second[3], second[9]), (Outcome::Miss, Outcome::Hit, Outcome::Miss));
    }

    #[test]
    fn crowds_take_any_number_of_boxes() {
        let truths = [truth([0.0, 0.0, 100.0, 100.0], true), truth([0.0, 0.0, 10.0, 10.0], false)];
        let boxes = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 10.0, 10.0], [40.0, 0.0, 10.0, 10.0]];
        let founds: Vec<Found> = boxes.iter().map(|bbox| found(*bbox, 0.5)).collect();
        let matched = Cell::new(truths.iter().collect(), founds.iter().collect()).matched(ALL);
        assert_eq!(matched.objects, 1);
        let outcomes: Vec<Outcome> = matched.outcomes.iter().map(|(_, outcomes)| outcomes[0]).collect();
        assert_eq!(outcomes, [Outcome::Hit, Outcome::Ignored, Outcome::Ignored]);
    }

    #[test]
    fn sizes_that_are_not_looked_at_count_neither_way() {
        let truths = [truth([0.0, 0.0, 50.0, 50.0], false)];
        let founds = [found([0.0, 0.0, 50.0, 50.0], 0.9), found([60.0, 0.0, 10.0, 10.0], 0.8)];
        let cell = Cell::new(truths.iter().collect(), founds.iter().collect());
        let small = cell.matched((0.0, 1024.0));
        assert_eq!((small.objects, small.outcomes[0].1[0]), (0, Outcome::Ignored));
        assert_eq!(small.outcomes[1].1[0], Outcome::Miss);
        let medium = cell.matched((1024.0, 9216.0));
        assert_eq!((medium.objects, medium.outcomes[0].1[0]), (1, Outcome::Hit));
        assert_eq!(medium.outcomes[1].1[0], Outcome::Ignored);
    }

    #[test]
    fn a_hundred_of_a_category_count() {
        let founds: Vec<Found> =
            (0..150).map(|i| found([0.0, 0.0, 1.0, 1.0], f64::from(i) / 150.0)).collect();
        let matched = Cell::new(Vec::new(), founds.iter().collect()).matched(ALL);
        assert_eq!(matched.outcomes.len(), 100);
        assert_eq!(matched.outcomes[0].0, 149.0 / 150.0);
    }
}
