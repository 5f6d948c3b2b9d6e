//! Which source samples make an output sample, and with what weight.
//!
//! Tables are computed in 64-bit floats once per layout and then quantised so that the weights of
//! every output sample add up exactly: a picture of one colour keeps that colour.

/// The reduction (source pixels per output pixel, of the axis that is reduced less) from which on
/// [`Resample::Auto`] takes the area average instead of the triangle.
///
/// Published models were evaluated on pictures reduced with Pillow's antialiased bilinear filter,
/// which is the triangle, and find most like there with it: on a 1280×720 clip reduced to 300×300
/// the area average moved twice as many detections. From 1920×1080 to 300×300 on it is half the work
/// and keeps fine texture within a hundredth of a level of its exact mean.
const AREA_FROM: f64 = 3.5;

/// Fraction bits of the weights along rows; 1.0 still fits an `i16`.
pub(super) const COLUMN_BITS: u32 = 14;

/// Fraction bits of the weights along columns. 1.0 does not fit a `u16`, and needs not: an output
/// row that one source row makes alone is copied.
pub(super) const ROW_BITS: u32 = 16;

/// How pictures are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Resample {
    /// [`Resample::Area`] where both axes are reduced 3.5 times or more, else [`Resample::Triangle`].
    #[default]
    Auto,
    /// The average over the exact area, fractions of samples included, that an output pixel covers.
    /// Where nothing is reduced, the same as [`Resample::Triangle`].
    Area,
    /// Linear interpolation whose support widens with the reduction, so that nothing aliases:
    /// `BILINEAR` of Pillow (`Image.resize`), `antialias=True` elsewhere.
    Triangle,
}

impl Resample {
    /// The filter where `reduction` source pixels become one on the axis that is reduced less.
    pub(super) fn filter(self, reduction: f64) -> Filter {
        match self {
            Self::Area => Filter::Area,
            Self::Triangle => Filter::Triangle,
            Self::Auto if reduction >= AREA_FROM => Filter::Area,
            Self::Auto => Filter::Triangle,
        }
    }
}

/// A filter, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// See [`Resample::Area`].
    Area,
    /// See [`Resample::Triangle`].
    Triangle,
}

/// One axis of a scaling: which stretch of the samples of a component becomes which outputs.
///
/// Coordinates are continuous: sample `i` covers `i..i + 1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Where the first output sample begins, in samples.
    pub start: f64,
    /// Samples per output sample.
    pub scale: f64,
    /// Output samples.
    pub outputs: usize,
    pub samples: usize,
    pub filter: Filter,
}

/// The samples that make one output sample.
struct Window {
    first: usize,
    weights: Vec<f64>,
}

impl Axis {
    /// The window of output sample `index`. Never empty; the weights are not normalised.
    fn window(&self, index: usize) -> Window {
        let window = match self.filter {
            Filter::Area if self.scale > 1.0 => self.area(index),
            _ => self.triangle(index),
        };
        if window.weights.iter().sum::<f64>() > 1e-9 {
            return window;
        }
        // The output lies beyond the samples: the nearest one stands for it.
        let nearest = self.start + (index as f64 + 0.5) * self.scale;
        Window { first: (nearest.max(0.0) as usize).min(self.samples.saturating_sub(1)), weights: vec![1.0] }
    }

    fn area(&self, index: usize) -> Window {
        let limit = self.samples as f64;
        let begin = (self.start + index as f64 * self.scale).clamp(0.0, limit);
        let end = (self.start + (index + 1) as f64 * self.scale).clamp(0.0, limit);
        let first = begin as usize;
        let last = (end.ceil() as usize).min(self.samples);
        let covered = |i: usize| (end.min((i + 1) as f64) - begin.max(i as f64)).max(0.0);
        Window { first, weights: (first..last).map(covered).collect() }
    }

    /// `precompute_coeffs` of Pillow's `Resample.c` with its bilinear filter.
    fn triangle(&self, index: usize) -> Window {
        let support = self.scale.max(1.0);
        let centre = self.start + (index as f64 + 0.5) * self.scale;
        let first = ((centre - support + 0.5).max(0.0) as usize).min(self.samples.saturating_sub(1));
        let last = ((centre + support + 0.5).max(0.0) as usize).min(self.samples);
        let weight = |i: usize| (1.0 - ((i as f64 - centre + 0.5) / support).abs()).max(0.0);
        Window { first, weights: (first..last).map(weight).collect() }
    }
}

/// The first sample and the integer weights, which sum to exactly `1 << bits`.
///
/// The running sum is rounded rather than each weight: the errors do not add up, and the centre of
/// gravity stays.
fn quantised(window: &Window, bits: u32) -> (usize, Vec<u32>) {
    let one = f64::from(1u32 << bits) / window.weights.iter().sum::<f64>();
    let (mut sum, mut before) = (0.0, 0);
    let mut weights = Vec::with_capacity(window.weights.len());
    for weight in &window.weights {
        sum += weight;
        let after = (sum * one).round() as u32;
        weights.push(after - before);
        before = after;
    }
    let leading = weights.iter().take_while(|w| **w == 0).count();
    let trailing = weights.iter().rev().take_while(|w| **w == 0).count();
    let used = leading..weights.len().saturating_sub(trailing).max(leading);
    (window.first + leading, weights.get(used).map(<[u32]>::to_vec).unwrap_or_default())
}

/// The source rows that make an output row.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowTaps<'a> {
    /// The first of the rows.
    pub first: usize,
    /// The weight of it and those below, with [`ROW_BITS`] fraction bits. Of no meaning where there
    /// is only one.
    pub weights: &'a [u16],
    /// What the sum loses on average where every product is cut to 8 fraction bits, in those.
    pub cut: u16,
}

/// Weights along columns, for all output rows.
#[derive(Debug)]
pub(super) struct RowTable {
    spans: Vec<RowSpan>,
    weights: Vec<u16>,
}

/// The source rows and the part of the weights of one output row.
#[derive(Clone, Debug, Default)]
struct RowSpan {
    first: usize,
    weights: std::ops::Range<usize>,
    cut: u16,
}

/// What a byte times `weight` loses on average when cut to 8 fraction bits, in 512ths of the last one:
/// products are multiples of the weight's largest power of two, and what is below them is evenly spread.
fn average_cut(weight: u16) -> u32 {
    256 - (1 << weight.trailing_zeros().min(8))
}

impl RowTable {
    /// The table of an axis.
    pub(super) fn new(axis: &Axis) -> Self {
        let mut table = Self { spans: Vec::with_capacity(axis.outputs), weights: Vec::new() };
        for index in 0..axis.outputs {
            let (first, weights) = quantised(&axis.window(index), ROW_BITS);
            let begin = table.weights.len();
            table.weights.extend(weights.iter().map(|w| u16::try_from(*w).unwrap_or(u16::MAX)));
            let weights = begin..table.weights.len();
            let cut: u32 = table.weights.iter().skip(begin).map(|w| average_cut(*w)).sum();
            let cut = u16::try_from((cut + 256) / 512).unwrap_or(u16::MAX);
            table.spans.push(RowSpan { first, weights, cut });
        }
        table
    }

    /// The source rows of output row `index`; no rows beyond the last.
    pub(super) fn row(&self, index: usize) -> RowTaps<'_> {
        let RowSpan { first, weights, cut } = self.spans.get(index).cloned().unwrap_or_default();
        RowTaps { first, weights: self.weights.get(weights).unwrap_or_default(), cut }
    }
}

/// Weights along rows, for all output columns.
#[derive(Debug)]
pub(super) struct ColumnTable {
    /// The first sample that any output needs.
    pub first: usize,
    /// How many samples from there on are needed.
    pub count: usize,
    /// Samples per output, a multiple of 4 with zeros at the end: windows of one length run fastest.
    pub window: usize,
    /// The first sample of each output, counted from `first`.
    pub starts: Vec<u32>,
    /// `window` weights per output with [`COLUMN_BITS`] fraction bits.
    pub weights: Vec<i16>,
    /// Every output is one sample, and the next is the next: there is nothing to compute.
    pub identity: bool,
}

impl ColumnTable {
    /// The table of an axis.
    pub(super) fn new(axis: &Axis) -> Self {
        let windows: Vec<_> = (0..axis.outputs).map(|i| quantised(&axis.window(i), COLUMN_BITS)).collect();
        let first = windows.iter().map(|(first, _)| *first).min().unwrap_or(0);
        let end = windows.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(0);
        let longest = windows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let window = if longest <= 4 { 4 } else { longest.next_multiple_of(8) };
        let mut padded = vec![0; window * windows.len()];
        for (into, (_, weights)) in padded.chunks_exact_mut(window).zip(&windows) {
            for (to, weight) in into.iter_mut().zip(weights) {
                *to = i16::try_from(*weight).unwrap_or(i16::MAX);
            }
        }
        Self {
            first,
            count: end.saturating_sub(first),
            window,
            starts: windows.iter().map(|(start, _)| u32::try_from(start - first).unwrap_or(0)).collect(),
            weights: padded,
            identity: windows.iter().enumerate().all(|(i, (start, w))| w.len() == 1 && *start == first + i),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn axis(samples: usize, outputs: usize, filter: Filter) -> Axis {
        Axis { start: 0.0, scale: samples as f64 / outputs as f64, outputs, samples, filter }
    }

    #[test]
    fn area_weighs_fractions_of_samples() {
        let window = axis(5, 2, Filter::Area).window(1);
        assert_eq!((window.first, window.weights), (2, vec![0.5, 1.0, 1.0]));
    }

    #[test]
    fn triangle_is_pillows_bilinear() {
        // Pillow 13.0.0 resizes 0, 0, 255, 0 with BILINEAR to 36, 109:
        // weights of output 0 over its three samples are 3/7, 3/7, 1/7.
        let window = axis(4, 2, Filter::Triangle).window(0);
        let sum: f64 = window.weights.iter().sum();
        let weights: Vec<f64> = window.weights.iter().map(|w| w / sum * 7.0).collect();
        assert_eq!(window.first, 0);
        for (weight, expected) in weights.iter().zip([3.0, 3.0, 1.0]) {
            assert!((weight - expected).abs() < 1e-12, "{weights:?}");
        }
    }

    #[test]
    fn same_size_is_the_identity() {
        for filter in [Filter::Area, Filter::Triangle] {
            assert!(ColumnTable::new(&axis(37, 37, filter)).identity);
            assert_eq!(RowTable::new(&axis(37, 37, filter)).row(5).weights.len(), 1);
        }
        assert!(!ColumnTable::new(&axis(37, 36, Filter::Area)).identity);
    }

    #[test]
    fn auto_changes_at_the_documented_reduction() {
        assert_eq!(Resample::Auto.filter(720.0 / 300.0), Filter::Triangle);
        assert_eq!(Resample::Auto.filter(3.49), Filter::Triangle);
        assert_eq!(Resample::Auto.filter(1080.0 / 300.0), Filter::Area);
    }

    proptest! {
        #[test]
        fn weights_sum_exactly_and_stay_inside(
            samples in 1usize..5000, outputs in 1usize..400, area: bool, shift in 0.0f64..0.5,
        ) {
            let filter = if area { Filter::Area } else { Filter::Triangle };
            let axis = Axis { start: shift, ..axis(samples, outputs, filter) };
            for index in 0..outputs {
                let (first, weights) = quantised(&axis.window(index), COLUMN_BITS);
                prop_assert_eq!(weights.iter().sum::<u32>(), 1 << COLUMN_BITS);
                prop_assert!(first + weights.len() <= samples);
            }
            let columns = ColumnTable::new(&axis);
            prop_assert!(columns.first + columns.count <= samples);
            let rows = RowTable::new(&axis);
            for index in 0..outputs {
                let taps = rows.row(index);
                let sum: u32 = taps.weights.iter().map(|w| u32::from(*w)).sum();
                prop_assert!(sum == 1 << ROW_BITS || taps.weights.len() == 1);
            }
        }
    }
}
