//! Two models' answers to the same pictures, held against each other.

use std::collections::{BTreeMap, HashMap};

use super::categories::canonical;
use super::pairing::{Limits, Sides};
use super::results::{Answer, Ranked};
use spotter_core::base::error::{Error, Kind, Result};

/// A pair that overlaps less has moved.
pub const MOVED_BELOW: f32 = 0.9;

/// How many objects are what, in one picture, of one label, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects in A.
    pub in_a: usize,
    /// Objects in B.
    pub in_b: usize,
    /// Pairs of one label in nearly one place.
    pub matched: usize,
    /// Pairs of one label whose boxes overlap less than [`MOVED_BELOW`].
    pub moved: usize,
    /// Pairs of two labels; counted where A's label is.
    pub relabelled: usize,
    /// Objects in A alone.
    pub lost: usize,
    /// Those of them that B has below the confidence.
    pub lost_faded: usize,
    /// Objects in B alone.
    pub new: usize,
    /// Those of them that A has below the confidence.
    pub new_faded: usize,
}

impl Tally {
    /// The share of objects that both have with one label; `None` where neither has any.
    pub fn agreement(&self) -> Option<f64> {
        let same = self.matched + self.moved;
        let all = same + self.differing();
        (all > 0).then(|| same as f64 / all as f64)
    }

    /// Objects that only one has, or with another label.
    pub fn differing(&self) -> usize {
        self.relabelled + self.lost + self.new
    }

    fn add(&mut self, other: &Self) {
        self.in_a += other.in_a;
        self.in_b += other.in_b;
        self.matched += other.matched;
        self.moved += other.moved;
        self.relabelled += other.relabelled;
        self.lost += other.lost;
        self.lost_faded += other.lost_faded;
        self.new += other.new;
        self.new_faded += other.new_faded;
    }
}

/// Where many values lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// The mean of their absolute values.
    pub mean_absolute: f64,
    /// 95 of 100 absolute values are not larger.
    pub p95_absolute: f64,
    /// The largest absolute value.
    pub max_absolute: f64,
    /// 5 of 100 values are not larger.
    pub p05: f64,
    /// The smallest value.
    pub min: f64,
}

impl Spread {
    /// Of these values; `None` where there is none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values
        };
        // The nearest rank.
        let at = |sorted: &[f64], part: f64| {
            let rank = (part * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).or(sorted.last()).copied().unwrap_or_default()
        };
        let absolute = sorted(values.iter().map(|value| value.abs()).collect());
        let signed = sorted(values.to_vec());
        Some(Self {
            mean: mean(values),
            mean_absolute: mean(&absolute),
            p95_absolute: at(&absolute, 0.95),
            max_absolute: at(&absolute, 1.0),
            p05: at(&signed, 0.05),
            min: at(&signed, 0.0),
        })
    }
}

/// How the classes of whole pictures agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassTally {
    /// Pictures for which both have classes.
    pub images: usize,
    /// Those with the same first class.
    pub top1_equal: usize,
    /// Those with the same first five, in any order.
    pub top5_equal: usize,
}

/// Two models' answers held against each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Pictures that both have answers to.
    pub images: usize,
    /// Pictures that only A has answers to.
    pub only_a: Vec<String>,
    /// Pictures that only B has answers to.
    pub only_b: Vec<String>,
    /// All objects.
    pub all: Tally,
    pub labels: BTreeMap<String, Tally>,
    /// By picture, in A's order.
    pub pictures: Vec<(String, Tally)>,
    /// How often A's label became B's.
    pub relabelled: BTreeMap<(String, String), usize>,
    /// Score in B minus score in A, of each pair of one label.
    pub score_differences: Vec<f64>,
    /// Intersection over union, of each pair of one label.
    pub overlaps: Vec<f64>,
    /// Classes of whole pictures.
    pub classes: ClassTally,
    /// Pictures whose first class is not the same: the picture, A's class and B's.
    pub class_changes: Vec<(String, String, String)>,
    /// Score in B minus score in A of the first class, where it is the same.
    pub class_differences: Vec<f64>,
}

/// Holds B's answers against A's.
///
/// # Errors
/// [`Kind::Usage`] where they have no picture in common.
pub fn compare(a: &[Answer], b: &[Answer], limits: &Limits) -> Result<Comparison> {
    let pairs = Pairs::of(a, b)?;
    let mut comparison = Comparison {
        images: pairs.common.len(),
        only_a: pairs.only_a,
        only_b: pairs.only_b,
        ..Comparison::default()
    };
    for (a, b) in pairs.common {
        comparison.add(a, b, limits);
    }
    Ok(comparison)
}

/// Answers to the same pictures.
struct Pairs<'a> {
    common: Vec<(&'a Answer, &'a Answer)>,
    only_a: Vec<String>,
    only_b: Vec<String>,
}

impl<'a> Pairs<'a> {
    /// By full names where any are the same, else by the names of the files alone: the folders of a
    /// camera are not those of a desktop.
    fn of(a: &'a [Answer], b: &'a [Answer]) -> Result<Self> {
        let full = Self::by(a, b, |answer| &answer.file);
        let pairs =
            if full.common.is_empty() { Self::by(a, b, |answer| base_name(&answer.file)) } else { full };
        if pairs.common.is_empty() {
            let text = "A and B have no picture in common; give answers to the same pictures";
            return Err(Error::new(Kind::Usage, text));
        }
        Ok(pairs)
    }

    fn by(a: &'a [Answer], b: &'a [Answer], name: impl Fn(&'a Answer) -> &'a str) -> Self {
        let mut theirs: HashMap<(&str, u64), &Answer> =
            b.iter().map(|answer| ((name(answer), answer.frame), answer)).collect();
        let (mut common, mut only_a, mut only_b) = (Vec::new(), Vec::new(), Vec::new());
        for one in a {
            match theirs.remove(&(name(one), one.frame)) {
                Some(other) => common.push((one, other)),
                None => only_a.push(title(one)),
            }
        }
        for other in b {
            if theirs.get(&(name(other), other.frame)).is_some_and(|left| std::ptr::eq(*left, other)) {
                only_b.push(title(other));
            }
        }
        Self { common, only_a, only_b }
    }
}

/// The part of a path after its last separator, of either kind.
fn base_name(file: &str) -> &str {
    file.rsplit(['/', '\\']).next().unwrap_or(file)
}

/// What a picture is called in the report.
fn title(answer: &Answer) -> String {
    match answer.frame {
        0 => answer.file.clone(),
        frame => format!("{} frame {frame}", answer.file),
    }
}

impl Comparison {
    fn add(&mut self, a: &Answer, b: &Answer, limits: &Limits) {
        let sides = Sides::new(a, b, limits);
        let mut here: BTreeMap<&str, Tally> = BTreeMap::new();
        for (one, other, overlap) in &sides.same {
            let tally = here.entry(sides.label_a(*one)).or_default();
            if *overlap < MOVED_BELOW {
                tally.moved += 1
            } else {
                tally.matched += 1
            }
            self.score_differences
                .push(f64::from(b.detections[*other].score) - f64::from(a.detections[*one].score));
            self.overlaps.push(f64::from(*overlap));
        }
        for (one, other) in &sides.relabelled {
            let (from, to) = (sides.label_a(*one), sides.label_b(*other));
            here.entry(from).or_default().relabelled += 1;
            *self.relabelled.entry((from.to_owned(), to.to_owned())).or_default() += 1;
        }
        for (one, faded) in &sides.lost {
            let tally = here.entry(sides.label_a(*one)).or_default();
            tally.lost += 1;
            tally.lost_faded += usize::from(*faded);
        }
        for (other, faded) in &sides.new {
            let tally = here.entry(sides.label_b(*other)).or_default();
            tally.new += 1;
            tally.new_faded += usize::from(*faded);
        }
        for object in sides.seen_a() {
            here.entry(sides.label_a(object)).or_default().in_a += 1;
        }
        for object in sides.seen_b() {
            here.entry(sides.label_b(object)).or_default().in_b += 1;
        }
        let mut picture = Tally::default();
        for (label, tally) in here {
            picture.add(tally_of(&mut self.labels, label, &tally));
        }
        self.all.add(&picture);
        self.pictures.push((title(a), picture));
        self.add_classes(&title(a), &a.classification, &b.classification);
    }

    fn add_classes(&mut self, picture: &str, a: &[Ranked], b: &[Ranked]) {
        let (Some(first), Some(other)) = (a.first(), b.first()) else { return };
        let five = |classes: &[Ranked]| {
            let mut names: Vec<String> = classes.iter().take(5).map(|c| canonical(&c.label)).collect();
            names.sort_unstable();
            names
        };
        self.classes.images += 1;
        self.classes.top5_equal += usize::from(five(a) == five(b));
        if canonical(&first.label) == canonical(&other.label) {
            self.classes.top1_equal += 1;
            self.class_differences.push(f64::from(other.score) - f64::from(first.score));
        } else {
            self.class_changes.push((picture.to_owned(), first.label.clone(), other.label.clone()));
        }
    }

    /// The pictures that differ most, worst first.
    pub fn worst(&self, most: usize) -> Vec<&(String, Tally)> {
        let mut worst: Vec<_> =
            self.pictures.iter().filter(|(_, tally)| tally.differing() + tally.moved > 0).collect();
        worst.sort_by_key(|(_, tally)| std::cmp::Reverse((tally.differing(), tally.moved)));
        worst.truncate(most);
        worst
    }

    /// The share that agrees: of objects, or of first classes where no model finds objects; `None` where
    /// there is neither.
    pub fn agreement(&self) -> Option<f64> {
        let ClassTally { images, top1_equal, .. } = self.classes;
        self.all.agreement().or_else(|| (images > 0).then(|| top1_equal as f64 / images as f64))
    }
}

/// Adds to the tally of a label; gives back what was added.
fn tally_of<'t>(labels: &mut BTreeMap<String, Tally>, label: &str, tally: &'t Tally) -> &'t Tally {
    match labels.get_mut(label) {
        Some(all) => all.add(tally),
        None => drop(labels.insert(label.to_owned(), *tally)),
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use spotter_core::model::labels::Labels;
    use spotter_core::vision::detection::Detection;
    use spotter_core::vision::geometry::Rect;
    use spotter_core::vision::predictions::{ClassScore, Predictions};

    const LIMITS: Limits = Limits { confidence: 0.3, iou: 0.5 };

    /// Boxes half as wide as the picture: class of VOC, score, left edge.
    fn answer(file: &str, objects: &[(u32, f32, f32)]) -> Answer {
        let detections = objects
            .iter()
            .map(|(class, score, left)| Detection {
                class: *class,
                score: *score,
                rect: Rect::new(*left, 0.0, left + 0.5, 1.0),
            })
            .collect();
        let findings = Predictions { detections, ..Predictions::default() };
        Answer::new(file, &findings, &Labels::built_in("voc-20").unwrap())
    }

    fn one(a: &[(u32, f32, f32)], b: &[(u32, f32, f32)]) -> Comparison {
        compare(&[answer("a.jpg", a)], &[answer("a.jpg", b)], &LIMITS).unwrap()
    }

    #[test]
    fn each_object_is_one_thing() {
        let a = [(0, 0.9, 0.0), (1, 0.8, 0.5), (2, 0.7, 0.2), (3, 0.6, 0.0), (4, 0.5, 0.3), (7, 0.2, 0.0)];
        let b = [(0, 0.7, 0.0), (1, 0.8, 0.4), (9, 0.7, 0.2), (4, 0.2, 0.3), (5, 0.9, 0.0), (7, 0.4, 0.0)];
        let all = one(&a, &b).all;
        assert_eq!((all.in_a, all.in_b), (5, 5));
        assert_eq!((all.matched, all.moved), (1, 1));
        // Class 2 became 9 and class 3 became 5, in their places.
        assert_eq!(all.relabelled, 2);
        assert_eq!((all.lost, all.lost_faded), (1, 1), "class 4 fell below the confidence");
        assert_eq!((all.new, all.new_faded), (1, 1), "class 7 rose over it");
        assert_eq!(all.agreement(), Some(2.0 / 6.0));
    }

    #[test]
    fn differences_are_b_minus_a() {
        let comparison = one(&[(0, 0.9, 0.0), (1, 0.8, 0.5)], &[(0, 0.7, 0.0), (1, 0.85, 0.4)]);
        let spread = Spread::of(&comparison.score_differences).unwrap();
        assert!((spread.mean + 0.075).abs() < 1e-6 && (spread.max_absolute - 0.2).abs() < 1e-6, "{spread:?}");
        let overlaps = Spread::of(&comparison.overlaps).unwrap();
        assert!((overlaps.min - 0.4 / 0.6).abs() < 1e-6, "{overlaps:?}");
        assert_eq!((comparison.labels["airplane"].matched, comparison.labels["bicycle"].moved), (1, 1));
    }

    #[test]
    fn pairs_are_one_to_one_and_the_best_score_first() {
        let all = one(&[(0, 0.9, 0.1), (0, 0.6, 0.0)], &[(0, 0.8, 0.0)]).all;
        assert_eq!((all.matched, all.moved, all.lost), (0, 1, 1), "the better one has it, though it is off");
        let [there, back] = [(&[(0, 0.9, 0.1), (0, 0.6, 0.0)][..], &[(0, 0.8, 0.0)][..])]
            .map(|(a, b)| [one(a, b).all, one(b, a).all])
            .concat()
            .try_into()
            .unwrap();
        assert_eq!((there.moved, there.lost), (back.moved, back.new), "it is the same from both sides");
    }

    #[test]
    fn names_of_voc_and_coco_are_one() {
        let coco = Labels::built_in("coco-80").unwrap();
        let tv = |labels: &Labels, name: &str| {
            let rect = Rect::new(0.0, 0.0, 0.5, 0.5);
            let detections = vec![Detection { class: labels.class(name).unwrap(), score: 0.9, rect }];
            Answer::new("x.jpg", &Predictions { detections, ..Predictions::default() }, labels)
        };
        let voc = Labels::built_in("voc-20").unwrap();
        let comparison = compare(&[tv(&voc, "tvmonitor")], &[tv(&coco, "tv")], &LIMITS).unwrap();
        assert_eq!((comparison.all.matched, comparison.labels["tv"].matched), (1, 1));
    }

    #[test]
    fn pictures_are_paired_by_path_else_by_name() {
        let names = |files: &[&str]| files.iter().map(|file| answer(file, &[])).collect::<Vec<_>>();
        let by_path =
            compare(&names(&["a/x.jpg", "b/x.jpg"]), &names(&["b/x.jpg", "c.jpg"]), &LIMITS).unwrap();
        assert_eq!(
            (by_path.images, by_path.only_a, by_path.only_b),
            (1, vec!["a/x.jpg".into()], vec!["c.jpg".into()])
        );
        let by_name = compare(&names(&["a/x.jpg", "y.jpg"]), &names(&["/camera/x.jpg"]), &LIMITS).unwrap();
        assert_eq!((by_name.images, by_name.only_a.len(), by_name.only_b.len()), (1, 1, 0));
        assert_eq!(by_name.agreement(), None, "neither has an object");
        let error = compare(&names(&["x.jpg"]), &names(&["y.jpg"]), &LIMITS).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let frames = [Answer { frame: 1, ..answer("a.mp4", &[]) }, answer("a.mp4", &[])];
        let clip = compare(&frames, &frames[..1], &LIMITS).unwrap();
        assert_eq!((clip.images, clip.only_a), (1, vec!["a.mp4".to_owned()]));
    }

    #[test]
    fn the_worst_picture_is_first() {
        let a =
            [answer("a", &[(0, 0.9, 0.0)]), answer("b", &[(0, 0.9, 0.0), (1, 0.9, 0.5)]), answer("c", &[])];
        let b = [answer("a", &[]), answer("b", &[]), answer("c", &[])];
        let comparison = compare(&a, &b, &LIMITS).unwrap();
        let worst: Vec<&str> = comparison.worst(5).iter().map(|(file, _)| file.as_str()).collect();
        assert_eq!(worst, ["b", "a"]);
    }

    #[test]
    fn classes_of_pictures_are_compared_by_name() {
        let labels = Labels::built_in("coco-80").unwrap();
        let answer = |classes: [u32; 5]| {
            let classes = classes.iter().map(|class| ClassScore { class: *class, score: 0.5 }).collect();
            Answer::new("a", &Predictions { classes, ..Predictions::default() }, &labels)
        };
        let compared = |a, b| compare(&[answer(a)], &[answer(b)], &LIMITS).unwrap();
        let same = compared([1, 2, 3, 4, 5], [1, 5, 4, 3, 2]);
        assert_eq!(same.classes, ClassTally { images: 1, top1_equal: 1, top5_equal: 1 });
        assert_eq!((same.agreement(), same.class_differences.as_slice()), (Some(1.0), &[0.0][..]));
        let other = compared([1, 2, 3, 4, 5], [2, 1, 3, 4, 6]);
        assert_eq!(other.classes, ClassTally { images: 1, top1_equal: 0, top5_equal: 0 });
        assert_eq!(other.class_changes, [("a".into(), "bicycle".into(), "car".into())]);
    }

    #[test]
    fn ranks_are_the_nearest() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let spread = Spread::of(&values).unwrap();
        assert_eq!(
            (spread.mean, spread.p95_absolute, spread.max_absolute, spread.p05),
            (50.5, 95.0, 100.0, 5.0)
        );
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[-2.0]).map(|s| (s.mean, s.max_absolute, s.min)), Some((-2.0, 2.0, -2.0)));
    }
}
