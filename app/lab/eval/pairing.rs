//! Which object of one answer is which of another, in one picture.
//!
//! Objects are made pairs one to one: pairs of one label that overlap enough, the best score first. What
//! is left over on both sides and overlaps is relabelled; then lost and new remain.

use super::categories::canonical;
use super::results::{Answer, Object};

/// What makes a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Objects with a lower score are not seen.
    pub confidence: f32,
    /// Boxes that overlap less are not of one object.
    pub iou: f32,
}

/// The objects of one picture, made pairs.
pub struct Sides<'a> {
    a: &'a [Object],
    b: &'a [Object],
    confidence: f32,
    names_a: Vec<String>,
    names_b: Vec<String>,
    /// Pairs of one label: places in A and B, and the overlap.
    pub same: Vec<(usize, usize, f32)>,
    /// Pairs of two labels: places in A and B.
    pub relabelled: Vec<(usize, usize)>,
    /// Places in A, and whether B has it below the confidence.
    pub lost: Vec<(usize, bool)>,
    /// Places in B, and whether A has it below the confidence.
    pub new: Vec<(usize, bool)>,
}

impl<'a> Sides<'a> {
    /// Makes pairs of the objects of two answers to one picture.
    pub fn new(a: &'a Answer, b: &'a Answer, limits: &Limits) -> Self {
        let names = |objects: &[Object]| objects.iter().map(|o| canonical(&o.label)).collect::<Vec<_>>();
        let (a, b) = (a.detections.as_slice(), b.detections.as_slice());
        let mut sides = Self {
            a,
            b,
            confidence: limits.confidence,
            names_a: names(a),
            names_b: names(b),
            same: Vec::new(),
            relabelled: Vec::new(),
            lost: Vec::new(),
            new: Vec::new(),
        };
        let (mut taken_a, mut taken_b) = (vec![false; a.len()], vec![false; b.len()]);
        let same = |sides: &Self, i: usize, j: usize| sides.names_a[i] == sides.names_b[j];
        let seen = |object: &Object| object.score >= limits.confidence;
        // Both are seen, with one label; then with two; then only one of them is seen.
        sides.same = sides.pairs(limits.iou, &mut taken_a, &mut taken_b, |sides, i, j| {
            seen(&a[i]) && seen(&b[j]) && same(sides, i, j)
        });
        let relabelled =
            sides.pairs(limits.iou, &mut taken_a, &mut taken_b, |_, i, j| seen(&a[i]) && seen(&b[j]));
        sides.relabelled = relabelled.into_iter().map(|(one, other, _)| (one, other)).collect();
        let faded = sides.pairs(limits.iou, &mut taken_a, &mut taken_b, |sides, i, j| {
            seen(&a[i]) != seen(&b[j]) && same(sides, i, j)
        });
        for (one, other, _) in faded {
            if seen(&a[one]) { sides.lost.push((one, true)) } else { sides.new.push((other, true)) }
        }
        let left = |objects: &[Object], taken: &[bool]| -> Vec<(usize, bool)> {
            (0..objects.len()).filter(|i| !taken[*i] && seen(&objects[*i])).map(|i| (i, false)).collect()
        };
        sides.lost.extend(left(a, &taken_a));
        sides.new.extend(left(b, &taken_b));
        sides
    }

    /// Pairs one to one of what is not taken and `fits`: the best score of the two first, then the
    /// largest overlap.
    fn pairs(
        &self,
        iou: f32,
        taken_a: &mut [bool],
        taken_b: &mut [bool],
        fits: impl Fn(&Self, usize, usize) -> bool,
    ) -> Vec<(usize, usize, f32)> {
        let mut candidates = Vec::new();
        for (i, one) in self.a.iter().enumerate().filter(|(i, _)| !taken_a[*i]) {
            for (j, other) in self.b.iter().enumerate().filter(|(j, _)| !taken_b[*j]) {
                if fits(self, i, j) {
                    let overlap = one.rect().iou(&other.rect());
                    if overlap >= iou && overlap > 0.0 {
                        candidates.push((i, j, overlap, one.score.max(other.score)));
                    }
                }
            }
        }
        candidates.sort_by(|x, y| y.3.total_cmp(&x.3).then(y.2.total_cmp(&x.2)));
        let mut pairs = Vec::new();
        for (i, j, overlap, _) in candidates {
            if !taken_a[i] && !taken_b[j] {
                (taken_a[i], taken_b[j]) = (true, true);
                pairs.push((i, j, overlap));
            }
        }
        pairs
    }

    /// The label of an object in A, in the form that equal things share.
    pub fn label_a(&self, place: usize) -> &str {
        &self.names_a[place]
    }

    /// The label of an object in B, in the form that equal things share.
    pub fn label_b(&self, place: usize) -> &str {
        &self.names_b[place]
    }

    /// Places of the objects in A that reach the confidence.
    pub fn seen_a(&self) -> impl Iterator<Item = usize> {
        (0..self.a.len()).filter(|i| self.a[*i].score >= self.confidence)
    }

    /// Places of the objects in B that reach the confidence.
    pub fn seen_b(&self) -> impl Iterator<Item = usize> {
        (0..self.b.len()).filter(|i| self.b[*i].score >= self.confidence)
    }
}
