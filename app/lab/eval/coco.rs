//! The bounding-box measures of the COCO detection challenge: average precision and average recall.
//!
//! Source: `COCOeval.accumulate` and `summarize` of `pycocotools` 2.0. The figures are theirs to the
//! rounding of sums; where they say -1 (nothing to find), this says `None`.

use super::matching::{Cell, Found, Matched, OVERLAPS, Outcome, Truth, by_score};

/// Recalls at which the precision is read: 0.00, 0.01 … 1.00.
const RECALLS: usize = 101;
/// Detections of a category in a picture that count for the three average recalls.
const MOST: [usize; 3] = [1, 10, 100];
const SMALL: f64 = 32.0 * 32.0;
const MEDIUM: f64 = 96.0 * 96.0;
const HUGE: f64 = 1e5 * 1e5;
/// Ranges of an object's area in square pixels: all, small, medium, large.
const AREAS: [(f64, f64); 4] = [(0.0, HUGE), (0.0, SMALL), (SMALL, MEDIUM), (MEDIUM, HUGE)];
/// Place of the overlap 0.50 among the thresholds.
const AT_50: usize = 0;
/// Place of the overlap 0.75 among the thresholds.
const AT_75: usize = 5;

/// The sizes of objects that are measured apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    All,
    /// Less than 32×32 pixels.
    Small,
    /// Up to 96×96 pixels.
    Medium,
    Large,
}

/// How well objects of one range of sizes are found, by threshold of the overlap.
#[derive(Clone, Debug, PartialEq)]
struct Measure {
    /// Mean precision over the recalls.
    precision: [f64; OVERLAPS],
    /// Recall with at most 1, 10 and 100 detections of the category in a picture.
    recall: [[f64; OVERLAPS]; MOST.len()],
}

/// How well one category is found.
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    /// Annotated objects that count (no crowds).
    pub objects: usize,
    /// By [`Size`]; `None` where there is no object.
    measures: [Option<Measure>; AREAS.len()],
    /// Detections that count at an overlap of 0.50, best first: score, and whether it is an object.
    ranked: Vec<(f64, bool)>,
}

/// Detections above a score against annotated objects, at an overlap of 0.50.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Annotated objects.
    pub objects: usize,
    /// Those that were found.
    pub hits: usize,
    /// Detections that are no annotated object.
    pub wrong: usize,
}

impl Counts {
    /// The share of the detections that are objects; `None` without detections.
    pub fn precision(&self) -> Option<f64> {
        share(self.hits, self.hits + self.wrong)
    }

    /// The share of the objects that are found; `None` without objects.
    pub fn recall(&self) -> Option<f64> {
        share(self.hits, self.objects)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            hits: self.hits + other.hits,
            wrong: self.wrong + other.wrong,
        }
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

impl Category {
    /// Average precision over the overlaps 0.50 to 0.95; `None` where there is nothing to find.
    pub fn ap(&self) -> Option<f64> {
        self.average_precision(Size::All)
    }

    /// Average precision at an overlap of 0.50.
    pub fn ap50(&self) -> Option<f64> {
        Some(self.measures[0].as_ref()?.precision[AT_50])
    }

    /// Average precision at an overlap of 0.75.
    pub fn ap75(&self) -> Option<f64> {
        Some(self.measures[0].as_ref()?.precision[AT_75])
    }

    /// Average recall over the overlaps with at most 100 detections a picture.
    pub fn ar100(&self) -> Option<f64> {
        self.average_recall(Size::All, 2)
    }

    /// Precision and recall of the detections with at least this score.
    pub fn at_score(&self, least: f64) -> Counts {
        let kept = &self.ranked[..self.ranked.partition_point(|(score, _)| *score >= least)];
        let hits = kept.iter().filter(|(_, hit)| *hit).count();
        Counts { objects: self.objects, hits, wrong: kept.len() - hits }
    }

    fn average_precision(&self, size: Size) -> Option<f64> {
        mean(self.measures[size as usize].as_ref()?.precision.into_iter())
    }

    fn average_recall(&self, size: Size, most: usize) -> Option<f64> {
        mean(self.measures[size as usize].as_ref()?.recall[most].into_iter())
    }
}

/// How well a model finds what is annotated.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// By category, in the order of their ids.
    pub categories: Vec<Category>,
}

impl Evaluation {
    /// Mean over the categories of what is measured of each; those without objects are left out.
    fn mean_of(&self, measure: impl Fn(&Category) -> Option<f64>) -> Option<f64> {
        mean(self.categories.iter().filter_map(measure))
    }

    /// COCO's "mAP": mean average precision over the overlaps 0.50 to 0.95.
    pub fn map(&self, size: Size) -> Option<f64> {
        self.mean_of(|category| category.average_precision(size))
    }

    /// [`Evaluation::map`] over these categories alone.
    pub fn map_over(&self, places: impl Iterator<Item = usize>) -> Option<f64> {
        mean(places.filter_map(|place| self.categories.get(place)?.ap()))
    }

    /// Mean average precision at an overlap of 0.50, as Pascal VOC has it.
    pub fn map50(&self) -> Option<f64> {
        self.mean_of(Category::ap50)
    }

    /// Mean average precision at an overlap of 0.75.
    pub fn map75(&self) -> Option<f64> {
        self.mean_of(Category::ap75)
    }

    /// Average recall with at most 1, 10 and 100 detections of a category in a picture.
    pub fn average_recalls(&self) -> [Option<f64>; 3] {
        std::array::from_fn(|most| self.mean_of(|category| category.average_recall(Size::All, most)))
    }

    /// Average recall of one size with at most 100 detections of a category in a picture.
    pub fn average_recall(&self, size: Size) -> Option<f64> {
        self.mean_of(|category| category.average_recall(size, 2))
    }

    /// All detections with at least this score.
    pub fn at_score(&self, least: f64) -> Counts {
        self.categories.iter().map(|c| c.at_score(least)).fold(Counts::default(), Counts::plus)
    }
}

/// Measures detections against annotations. `categories` is how many there are; truths and founds of
/// others are left out. Where scores are equal, the order of the pictures and that of the detections
/// decides.
pub fn evaluate(truths: &[Truth], founds: &[Found], categories: usize) -> Evaluation {
    let truths = grouped(truths, categories, |truth| (truth.category, truth.image));
    let founds = grouped(founds, categories, |found| (found.category, found.image));
    let categories = truths.iter().zip(&founds).map(|(truths, founds)| category(truths, founds)).collect();
    Evaluation { categories }
}

/// By category, in the order of the pictures and else as they were.
fn grouped<T>(all: &[T], categories: usize, key: impl Fn(&T) -> (usize, usize)) -> Vec<Vec<&T>> {
    let mut groups: Vec<Vec<&T>> = (0..categories).map(|_| Vec::new()).collect();
    for one in all {
        if let Some(group) = groups.get_mut(key(one).0) {
            group.push(one);
        }
    }
    groups.iter_mut().for_each(|group| group.sort_by_key(|one| key(one).1));
    groups
}

/// One category in all pictures; both lists are in the order of the pictures.
fn category(mut truths: &[&Truth], mut founds: &[&Found]) -> Category {
    // By size, then by picture. A picture's overlaps are let go before the next one's are made.
    let mut matched: [Vec<Matched>; AREAS.len()] = [const { Vec::new() }; AREAS.len()];
    while let Some(image) =
        [truths.first().map(|t| t.image), founds.first().map(|f| f.image)].into_iter().flatten().min()
    {
        let (here, later) = truths.split_at(truths.partition_point(|truth| truth.image == image));
        let (found, others) = founds.split_at(founds.partition_point(|found| found.image == image));
        (truths, founds) = (later, others);
        let cell = Cell::new(here.to_vec(), found.to_vec());
        matched.iter_mut().zip(AREAS).for_each(|(matched, area)| matched.push(cell.matched(area)));
    }
    let mut of_all = Category { objects: 0, measures: [const { None }; AREAS.len()], ranked: Vec::new() };
    for (size, matched) in matched.iter().enumerate() {
        let objects = matched.iter().map(|matched| matched.objects).sum();
        if size == Size::All as usize {
            of_all.objects = objects;
            let ranked = ranked(matched, MOST[2]);
            of_all.ranked = ranked
                .iter()
                .filter(|(_, outcomes)| outcomes[AT_50] != Outcome::Ignored)
                .map(|(score, outcomes)| (*score, outcomes[AT_50] == Outcome::Hit))
                .collect();
        }
        if objects > 0 {
            of_all.measures[size] = Some(measure(matched, objects));
        }
    }
    of_all
}

/// The detections of all pictures, best first; of each picture the best `most`.
fn ranked(matched: &[Matched], most: usize) -> Vec<&(f64, [Outcome; OVERLAPS])> {
    let mut all: Vec<_> = matched.iter().flat_map(|matched| matched.outcomes.iter().take(most)).collect();
    all.sort_by(|a, b| by_score(a.0, b.0));
    all
}

fn measure(matched: &[Matched], objects: usize) -> Measure {
    let lists = MOST.map(|most| ranked(matched, most));
    let curve = |list: usize, overlap: usize| {
        curve(lists[list].iter().map(|(_, outcomes)| outcomes[overlap]), objects)
    };
    Measure {
        precision: std::array::from_fn(|overlap| mean_precision(curve(2, overlap))),
        recall: std::array::from_fn(|list| {
            std::array::from_fn(|overlap| curve(list, overlap).last().map_or(0.0, |(recall, _)| *recall))
        }),
    }
}

/// Recall and precision after each detection; those that are ignored leave both as they are.
fn curve(outcomes: impl Iterator<Item = Outcome>, objects: usize) -> Vec<(f64, f64)> {
    let (mut hits, mut misses) = (0.0, 0.0);
    outcomes
        .map(|outcome| {
            match outcome {
                Outcome::Hit => hits += 1.0,
                Outcome::Miss => misses += 1.0,
                Outcome::Ignored => {}
            }
            // Before the first that counts, 0 / 0 is to be 0.
            (hits / objects as f64, hits / (misses + hits + f64::EPSILON))
        })
        .collect()
}

/// The precision, made to fall only, read where each recall is first reached; 0 where it never is.
fn mean_precision(mut curve: Vec<(f64, f64)>) -> f64 {
    for i in (1..curve.len()).rev() {
        curve[i - 1].1 = curve[i - 1].1.max(curve[i].1);
    }
    let read = |step: usize| {
        // As `numpy.linspace(0, 1, 101)` computes them, to the last bit.
        let recall = if step == RECALLS - 1 { 1.0 } else { step as f64 * (1.0 / (RECALLS - 1) as f64) };
        curve.get(curve.partition_point(|(reached, _)| *reached < recall)).map_or(0.0, |(_, p)| *p)
    };
    (0..RECALLS).map(read).sum::<f64>() / RECALLS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(image: usize, category: usize, left: f64) -> Truth {
        Truth { image, category, bbox: [left, 0.0, 40.0, 50.0], area: 2000.0, crowd: false }
    }

    fn found(image: usize, category: usize, left: f64, score: f64) -> Found {
        Found { image, category, bbox: [left, 0.0, 40.0, 50.0], score }
    }

    fn close(a: Option<f64>, b: f64) {
        assert!(a.is_some_and(|a| (a - b).abs() < 1e-12), "{a:?}, not {b}");
    }

    #[test]
    fn the_truth_itself_has_full_marks() {
        let truths = [truth(0, 0, 0.0), truth(0, 1, 60.0), truth(3, 0, 5.0)];
        let founds = [found(0, 0, 0.0, 0.5), found(0, 1, 60.0, 0.1), found(3, 0, 5.0, 1.0)];
        let evaluation = evaluate(&truths, &founds, 3);
        let [ar1, ar10, ar100] = evaluation.average_recalls();
        let maps = [evaluation.map(Size::All), evaluation.map50(), evaluation.map75()];
        for figure in maps.into_iter().chain([ar1, ar10, ar100, evaluation.map(Size::Medium)]) {
            close(figure, 1.0);
        }
        assert_eq!([evaluation.map(Size::Small), evaluation.average_recall(Size::Large)], [None; 2]);
        assert_eq!(evaluation.categories[2].ap(), None, "no object of it, and it is left out of the mean");
        let counts = evaluation.at_score(0.5);
        assert_eq!(counts, Counts { objects: 3, hits: 2, wrong: 0 });
    }

    #[test]
    fn half_of_the_objects_give_half_of_the_recalls() {
        let truths = [truth(0, 0, 0.0), truth(1, 0, 0.0)];
        let evaluation = evaluate(&truths, &[found(0, 0, 0.0, 0.9)], 1);
        // Recalls 0.00 to 0.50 are reached: 51 of 101.
        close(evaluation.map(Size::All), 51.0 / 101.0);
        close(evaluation.average_recalls()[2], 0.5);
    }

    #[test]
    fn precision_never_rises_with_recall() {
        // Wrong, right, right: 0, 1/2, 2/3 become 2/3 everywhere.
        let truths = [truth(0, 0, 0.0), truth(1, 0, 0.0)];
        let founds = [found(0, 0, 300.0, 0.9), found(0, 0, 0.0, 0.8), found(1, 0, 0.0, 0.7)];
        let evaluation = evaluate(&truths, &founds, 1);
        close(evaluation.map50(), 2.0 / 3.0);
        close(evaluation.at_score(0.75).precision(), 0.5);
        close(evaluation.at_score(0.75).recall(), 0.5);
        assert_eq!(evaluation.at_score(0.95).precision(), None);
        close(evaluation.average_recalls()[0], 0.5);
    }

    #[test]
    fn equal_scores_keep_the_order_of_pictures() {
        let truths = [truth(1, 0, 0.0)];
        let wrong_first = [found(1, 0, 0.0, 0.5), found(0, 0, 0.0, 0.5)];
        close(evaluate(&truths, &wrong_first, 1).map50(), 0.5);
        let right_first = [found(2, 0, 0.0, 0.5), found(1, 0, 0.0, 0.5)];
        close(evaluate(&truths, &right_first, 1).map50(), 1.0);
    }

    #[test]
    fn crowds_are_no_objects() {
        let crowd = Truth { crowd: true, ..truth(0, 0, 0.0) };
        let evaluation = evaluate(&[crowd], &[found(0, 0, 0.0, 0.9)], 1);
        assert_eq!(evaluation.map(Size::All), None);
        assert_eq!(evaluation.at_score(0.5), Counts::default());
    }

    #[test]
    fn nothing_found_is_0_and_nothing_at_all_is_none() {
        assert_eq!(evaluate(&[truth(0, 0, 0.0)], &[], 1).map(Size::All), Some(0.0));
        let none = evaluate(&[], &[found(0, 0, 0.0, 0.9), found(0, 7, 0.0, 0.9)], 2);
        assert_eq!((none.map(Size::All), none.average_recalls()), (None, [None; 3]));
        assert_eq!(none.at_score(0.5), Counts { objects: 0, hits: 0, wrong: 1 });
    }
}
