//! Boxes that passed the threshold, ranked before suppression.

/// Boxes at most that go into suppression.
pub(super) const MAX_CANDIDATES: usize = 3000;
/// Candidates that are gathered before the best [`MAX_CANDIDATES`] of them are picked out.
const GATHERED: usize = 1 << 16;

/// Candidates as numbers that sort best first: the inverted bits of the score (positive floats sort
/// like integers), then row × classes + class.
pub(super) struct Candidates {
    /// Best first after [`Candidates::rank`].
    pub list: Vec<u64>,
}

impl Candidates {
    /// None, with memory for as many as there will ever be.
    pub(super) fn new() -> Self {
        Self { list: Vec::with_capacity(GATHERED) }
    }

    /// Adds one; `score` is not negative, `index` is row × classes + class.
    #[inline]
    pub(super) fn push(&mut self, score: f32, index: u32) {
        if self.list.len() >= GATHERED {
            self.prune();
        }
        self.list.push(u64::from(!score.to_bits()) << 32 | u64::from(index));
    }

    /// Leaves the best [`MAX_CANDIDATES`], best first, ties in the order of the rows.
    pub(super) fn rank(&mut self) {
        self.prune();
        self.list.sort_unstable();
    }

    fn prune(&mut self) {
        if self.list.len() > MAX_CANDIDATES {
            self.list.select_nth_unstable(MAX_CANDIDATES);
            self.list.truncate(MAX_CANDIDATES);
        }
    }
}

/// Row and class of a candidate.
pub(super) fn place(key: u64, classes: usize) -> (usize, u32) {
    let index = key as u32 as usize;
    (index / classes, (index % classes) as u32)
}

/// The score of a candidate.
pub(super) fn score(key: u64) -> f32 {
    f32::from_bits(!((key >> 32) as u32))
}
