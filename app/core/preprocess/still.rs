//! Stills, scaled as detection sets are: to the bit like Pillow's `resize` with its bilinear filter.
//!
//! The filter is that of [`super::Resample::Triangle`]; what differs is the order (columns first) and the
//! rounding to bytes between the two passes. Quantised models turn a last bit here and there into other
//! scores, so a comparison with published results needs it; a live picture does not, and goes faster.

use crate::vision::geometry::Mapping;

/// Pillow's fixed point for 8-bit pictures: `PRECISION_BITS` of its `Resample.c`.
const BITS: u32 = 22;

/// What is shown of one axis.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where it starts, in source samples.
    origin: f64,
    /// How long it is.
    extent: f64,
    /// The first source sample in it.
    first: usize,
    /// The one behind the last.
    end: usize,
}

impl Part {
    /// From `from` to `to`, parts of an axis of `samples`. A crop of whole samples comes through 32 bits a
    /// little off, which must not make it read the sample beside it.
    fn new(from: f32, to: f32, samples: usize) -> Self {
        let place = |share: f32| {
            let place = f64::from(share) * samples as f64;
            if (place - place.round()).abs() < 0.01 { place.round() } else { place }
        };
        let (origin, to) = (place(from), place(to));
        let first = (origin.floor() as usize).min(samples.saturating_sub(1));
        let end = (to.ceil() as usize).clamp(first + 1, samples.max(first + 1));
        Self { origin, extent: to - origin, first, end }
    }

    fn len(&self) -> usize {
        self.end - self.first
    }
}

/// The taps of one axis: for each output sample the first source sample and the weights.
#[derive(Debug)]
struct Axis {
    taps: Vec<(usize, usize, usize)>,
    weights: Vec<i32>,
}

impl Axis {
    /// `outputs` samples over the source samples of `part`; what lies outside of them is not read, as if
    /// they had been cut out before.
    fn new(part: &Part, outputs: usize) -> Self {
        let Part { origin, extent, .. } = *part;
        let scale = extent / outputs as f64;
        let support = scale.max(1.0);
        let (mut taps, mut weights) = (Vec::with_capacity(outputs), Vec::new());
        for index in 0..outputs {
            let centre = origin + (index as f64 + 0.5) * scale;
            // `as` truncates towards zero and stops at zero, as C's cast and the comparison after it do.
            let first = ((centre - support + 0.5) as usize).clamp(part.first, part.end - 1);
            let last = ((centre + support + 0.5) as usize).clamp(first + 1, part.end);
            let raw: Vec<f64> = (first..last)
                .map(|sample| {
                    let distance = (sample as f64 - centre + 0.5) * (1.0 / support);
                    (1.0 - distance.abs()).max(0.0)
                })
                .collect();
            let sum: f64 = raw.iter().sum();
            taps.push((first, weights.len(), raw.len()));
            weights.extend(raw.iter().map(|weight| {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                (0.5 + weight * f64::from(1u32 << BITS)) as i32
            }));
        }
        Self { taps, weights }
    }

    fn of(&self, index: usize) -> (usize, &[i32]) {
        let (first, at, count) = self.taps[index];
        (first, &self.weights[at..at + count])
    }

    /// The source samples that are needed at all.
    fn range(&self) -> std::ops::Range<usize> {
        let start = self.taps.first().map_or(0, |tap| tap.0);
        start..self.taps.iter().map(|tap| tap.0 + tap.2).max().unwrap_or(start)
    }
}

fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Scales RGB pictures of one size into one place.
#[derive(Debug)]
pub(super) struct StillScaler {
    columns: Axis,
    rows: Axis,
    width: usize,
    rows_first: bool,
    /// The picture after the first pass, R G B bytes: the source rows that are needed with their columns
    /// scaled, or the output rows with the source columns that are needed.
    middle: Vec<u8>,
    sums: Vec<i32>,
    row: Vec<u8>,
}

impl StillScaler {
    /// For pictures of `size` (columns, rows) that go where `mapping` says.
    pub(super) fn new(size: (usize, usize), mapping: &Mapping) -> Self {
        let shown = &mapping.source;
        let (across, down) =
            (Part::new(shown.left, shown.right, size.0), Part::new(shown.top, shown.bottom, size.1));
        let (columns, rows) = (Axis::new(&across, mapping.width), Axis::new(&down, mapping.height));
        // As Pillow 13 was seen to choose the order, over some thousand sizes: rows first where they
        // shrink by more than twice as many as the columns do.
        let rows_first =
            down.len().saturating_sub(mapping.height) > 2 * across.len().saturating_sub(mapping.width);
        let pixels = if rows_first {
            mapping.height * columns.range().len()
        } else {
            rows.range().len() * mapping.width
        };
        let sums = vec![0; if rows_first { columns.range().len() * 3 } else { mapping.width * 3 }];
        let row = vec![0; mapping.width * 3];
        Self { columns, rows, width: mapping.width, rows_first, middle: vec![0; pixels * 3], sums, row }
    }

    /// Makes the first pass over a picture. `pixels` has R G B rows `pitch` bytes apart.
    pub(super) fn load(&mut self, pixels: &[u8], pitch: usize) {
        if self.rows_first {
            let needed = self.columns.range();
            let (start, bytes) = (needed.start * 3, needed.len() * 3);
            for (index, out) in self.middle.chunks_exact_mut(bytes).enumerate() {
                let (first, weights) = self.rows.of(index);
                let source = pixels[first * pitch..].chunks(pitch).map(|row| &row[start..start + bytes]);
                sum_rows(source, weights, &mut self.sums, out);
            }
        } else {
            let source = pixels.chunks(pitch.max(1)).skip(self.rows.range().start);
            for (row, out) in source.zip(self.middle.chunks_exact_mut(self.width * 3)) {
                sum_columns(row, &self.columns, 0, out);
            }
        }
    }

    /// One output row, R G B bytes.
    pub(super) fn row(&mut self, index: usize) -> &[u8] {
        if self.rows_first {
            let needed = self.columns.range();
            let bytes = needed.len() * 3;
            let row = &self.middle[index * bytes..][..bytes];
            sum_columns(row, &self.columns, needed.start, &mut self.row);
        } else {
            let (first, weights) = self.rows.of(index);
            let pitch = self.width * 3;
            let source = self.middle[(first - self.rows.range().start) * pitch..].chunks(pitch);
            sum_rows(source, weights, &mut self.sums, &mut self.row);
        }
        &self.row
    }
}

/// Weighs rows and adds them up. `sums` is scratch memory of a row's length.
fn sum_rows<'a>(rows: impl Iterator<Item = &'a [u8]>, weights: &[i32], sums: &mut [i32], out: &mut [u8]) {
    sums.fill(1 << (BITS - 1));
    for (row, weight) in rows.zip(weights) {
        for (sum, sample) in sums.iter_mut().zip(row) {
            *sum += i32::from(*sample) * weight;
        }
    }
    for (to, sum) in out.iter_mut().zip(sums) {
        *to = rounded(*sum);
    }
}

/// Scales the columns of one row, whose first pixel is source column `start`.
fn sum_columns(row: &[u8], columns: &Axis, start: usize, out: &mut [u8]) {
    let (pixels, _) = row.as_chunks::<3>();
    for (index, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (first, weights) = columns.of(index);
        let mut sums = [1i32 << (BITS - 1); 3];
        for (pixel, weight) in pixels[first - start..].iter().zip(weights) {
            for (sum, sample) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*sample) * weight;
            }
        }
        *out = sums.map(rounded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::geometry::Fit;

    /// FNV-1a, 64 bits.
    fn hash(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// A picture whose rows are further apart than they are long: the pitch is not the width.
    fn picture(width: usize, height: usize) -> (Vec<u8>, usize) {
        let pitch = width * 3 + 5;
        let mut pixels = vec![0; height * pitch];
        for (y, row) in pixels.chunks_mut(pitch).enumerate() {
            for (at, byte) in row[..width * 3].iter_mut().enumerate() {
                let (x, c) = (at / 3, at % 3);
                *byte = ((x * 37 + y * 61 + c * 101 + x * y * 7) % 256) as u8;
            }
        }
        (pixels, pitch)
    }

    fn scaled(pixels: &[u8], pitch: usize, size: (usize, usize), mapping: &Mapping) -> Vec<u8> {
        let mut scaler = StillScaler::new(size, mapping);
        scaler.load(pixels, pitch);
        (0..mapping.height).flat_map(|row| scaler.row(row).to_vec()).collect()
    }

    /// As below, of the inner crop: `Image.fromarray(a).crop(…).resize((n, n), Image.BILINEAR)`. The pixels
    /// beside the crop must not be read.
    #[test]
    fn crops_are_pillows_to_the_bit() {
        for (from, to, first, all) in [
            ((17, 11), 5, [147, 138, 124, 129, 115, 129], 0xa2b3_23e8_5cbf_fada),
            ((17, 11), 14, [111, 212, 57, 132, 233, 78], 0x5590_794c_d5d8_f58a),
            ((40, 61), 5, [126, 140, 133, 122, 132, 135], 0xa5d0_a6de_d71b_46f2_u64),
            ((40, 61), 14, [131, 148, 124, 135, 160, 135], 0x9ab5_774e_b485_b99b),
        ] {
            let (pixels, pitch) = picture(from.0, from.1);
            let mapping = Mapping::new(Fit::CropInner, (from.0 as f64, from.1 as f64), (to, to));
            let scaled = scaled(&pixels, pitch, from, &mapping);
            assert_eq!(scaled[..6], first, "{from:?} {to}");
            assert_eq!(hash(&scaled), all, "{from:?} {to}");
        }
    }

    /// Sizes, the first bytes and the hash of what Pillow 13.0.0 makes of the picture below:
    /// `Image.fromarray(a).resize((w, h), Image.BILINEAR)`.
    #[test]
    fn pictures_are_pillows_to_the_bit() {
        for (from, to, first, all) in [
            ((17, 11), (5, 4), [114, 145, 114, 130, 127, 124], 0x4d73_ac20_28f2_bf0f),
            ((11, 37), (5, 6), [125, 127, 138, 122, 125, 127], 0xd12c_a2c4_1f5f_c390),
            ((7, 5), (12, 9), [0, 101, 202, 14, 115, 216], 0x3f6f_7ea0_a3aa_096e),
            ((9, 40), (14, 7), [120, 129, 124, 125, 124, 137], 0xf46c_ef2f_6d57_65f2),
            ((40, 9), (7, 14), [97, 152, 122, 109, 141, 136], 0x4470_5d5e_e78e_0d1f_u64),
        ] {
            let (width, height) = from;
            let (pixels, pitch) = picture(width, height);
            let mapping = Mapping::new(Fit::Stretch, (width as f64, height as f64), to);
            let scaled = scaled(&pixels, pitch, from, &mapping);
            assert_eq!(scaled[..6], first, "{from:?} {to:?}");
            assert_eq!(hash(&scaled), all, "{from:?} {to:?}");
        }
    }
}
