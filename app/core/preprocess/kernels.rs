//! The inner loops, compiled for several instruction sets and picked at run time.
//!
//! Scaled samples are `i16` with [`SAMPLE_BITS`] fraction bits: 255 becomes 32640, and nothing is
//! rounded to 8 bits before the last step. Every loop is written so that the compiler turns it into
//! vector instructions: fixed block lengths, no branches, 16-bit multiplications. A slice that is too
//! short ends a loop early; none panics.

use multiversion::multiversion;

use super::resample::{COLUMN_BITS, ColumnTable, ROW_BITS, RowTaps};

/// Fraction bits of a scaled sample.
pub(super) const SAMPLE_BITS: u32 = 7;

/// Samples that must follow the last one of a row that is read in windows or blocks.
pub(super) const PADDING: usize = 64;

/// Columns whose sums are kept in registers.
const BLOCK: usize = 64;

/// From this many rows on, sums are exact 32-bit ones: in 16 bits, each row can be wrong by half a step
/// of 1/256 level.
const LONG: usize = 33;

/// One output row of a plane: the weighted sum of source rows.
///
/// `plane` begins at the first byte needed of the first row, `pitch` bytes before the same byte of the
/// next; the first row of `taps` has been seen to.
#[multiversion(targets = "simd")]
pub(super) fn blend_rows(plane: &[u8], pitch: usize, taps: RowTaps, out: &mut [i16]) {
    let weights = taps.weights;
    match weights.len() {
        0 => {}
        1 => {
            for (to, from) in out.iter_mut().zip(plane) {
                *to = i16::from(*from) << SAMPLE_BITS;
            }
        }
        2..LONG => {
            let mut column = 0;
            while let Some(sums) = out.get_mut(column..).and_then(|rest| rest.first_chunk_mut()) {
                sum_block(plane, pitch, column, taps, sums);
                column += BLOCK;
            }
            if let Some(column) = out.len().checked_sub(BLOCK) {
                // What is left over, and some of the block before once more.
                if let Some(sums) = out.last_chunk_mut() {
                    sum_block(plane, pitch, column, taps, sums);
                }
            } else {
                for (column, to) in out.iter_mut().enumerate() {
                    let mut acc = taps.cut + 1;
                    for (row, weight) in weights.iter().enumerate() {
                        let byte = plane.get(row * pitch + column).copied().unwrap_or(0);
                        acc = acc.wrapping_add(product(byte, *weight));
                    }
                    *to = (acc >> 1) as i16;
                }
            }
        }
        _ => {
            const HALF: u32 = 1 << (ROW_BITS - SAMPLE_BITS - 1);
            for (column, to) in out.iter_mut().enumerate() {
                let mut acc = HALF;
                for (row, weight) in weights.iter().enumerate() {
                    let byte = plane.get(row * pitch + column).copied().unwrap_or(0);
                    acc += u32::from(byte) * u32::from(*weight);
                }
                *to = (acc >> (ROW_BITS - SAMPLE_BITS)) as i16;
            }
        }
    }
}

/// Sums [`BLOCK`] columns from `column` on.
#[inline(always)]
fn sum_block(plane: &[u8], pitch: usize, column: usize, taps: RowTaps, sums: &mut [i16; BLOCK]) {
    // One more, half a step of the result: it is rounded.
    let mut acc = [taps.cut + 1; BLOCK];
    for (row, weight) in taps.weights.iter().enumerate() {
        let bytes: Option<&[u8; BLOCK]> =
            plane.get(row * pitch + column..).and_then(|rest| rest.first_chunk());
        let Some(bytes) = bytes else { return };
        for i in 0..BLOCK {
            acc[i] = acc[i].wrapping_add(product(bytes[i], *weight));
        }
    }
    for i in 0..BLOCK {
        sums[i] = (acc[i] >> 1) as i16;
    }
}

/// A byte times a weight, cut to 8 fraction bits.
///
/// Two 16-bit multiplications: with a single 32-bit one the compiler widens every sample, which takes
/// three times as long.
#[inline(always)]
fn product(byte: u8, weight: u16) -> u16 {
    let byte = u16::from(byte);
    byte.wrapping_mul(weight >> 8).wrapping_add(byte.wrapping_mul(weight & 0xFF) >> 8)
}

/// Takes every `step`th sample (1 to 4) of a row, from its first on.
#[multiversion(targets = "simd")]
pub(super) fn gather(row: &[i16], step: usize, out: &mut [i16]) {
    match step {
        2 => gather_step::<2>(row, out),
        3 => gather_step::<3>(row, out),
        4 => gather_step::<4>(row, out),
        _ => {
            for (to, from) in out.iter_mut().zip(row) {
                *to = *from;
            }
        }
    }
}

#[inline(always)]
fn gather_step<const STEP: usize>(row: &[i16], out: &mut [i16]) {
    for (to, from) in out.iter_mut().zip(row.as_chunks::<STEP>().0) {
        *to = from[0];
    }
}

/// One output row of a component: weighted sums along `row`, which begins with the table's first
/// sample and has [`PADDING`] samples more than are needed.
#[multiversion(targets = "simd")]
pub(super) fn blend_columns(row: &[i16], table: &ColumnTable, out: &mut [i16]) {
    match table.window {
        4 => dot_products::<4>(row, table, out),
        8 => dot_products::<8>(row, table, out),
        16 => dot_products::<16>(row, table, out),
        window => {
            let taps = table.starts.iter().zip(table.weights.chunks_exact(window.max(1)));
            for (to, (start, weights)) in out.iter_mut().zip(taps) {
                let Some(samples) = row.get(*start as usize..) else { return };
                let mut sum = 1 << (COLUMN_BITS - 1);
                for (sample, weight) in samples.as_chunks::<8>().0.iter().zip(weights.as_chunks::<8>().0) {
                    sum += dot(sample, weight);
                }
                *to = (sum >> COLUMN_BITS) as i16;
            }
        }
    }
}

#[inline(always)]
fn dot_products<const N: usize>(row: &[i16], table: &ColumnTable, out: &mut [i16]) {
    let taps = table.starts.iter().zip(table.weights.as_chunks::<N>().0);
    for (to, (start, weights)) in out.iter_mut().zip(taps) {
        let start = *start as usize;
        let Some(samples) = row.get(start..start + N).and_then(|window| window.first_chunk::<N>()) else {
            return;
        };
        *to = ((dot(samples, weights) + (1 << (COLUMN_BITS - 1))) >> COLUMN_BITS) as i16;
    }
}

#[inline(always)]
fn dot<const N: usize>(a: &[i16; N], b: &[i16; N]) -> i32 {
    let mut sum = 0;
    for i in 0..N {
        sum += i32::from(a[i]) * i32::from(b[i]);
    }
    sum
}

/// Three linear forms of three components, for every column: `(form · sample + bias) >> 13`, limited
/// to 0..=255 with [`SAMPLE_BITS`] fraction bits. Forms have 13 fraction bits, biases
/// 13 + [`SAMPLE_BITS`].
#[multiversion(targets = "simd")]
pub(super) fn convert(rows: [&[i16]; 3], forms: &[[i16; 3]; 3], biases: &[i32; 3], out: [&mut [i16]; 3]) {
    let [a, b, c] = rows;
    for ((form, bias), out) in forms.iter().zip(biases).zip(out) {
        let [fa, fb, fc] = form.map(i32::from);
        for (((to, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
            let sum = fa * i32::from(*a) + fb * i32::from(*b) + fc * i32::from(*c) + bias;
            *to = (sum >> FORM_BITS).clamp(0, 255 << SAMPLE_BITS) as i16;
        }
    }
}

/// Fraction bits of a linear form's factors; factors below 4 in size fit.
pub(super) const FORM_BITS: u32 = 13;

/// One linear form of three components, rounded to bytes: see [`convert`].
#[multiversion(targets = "simd")]
pub(super) fn convert_to_bytes(rows: [&[i16]; 3], form: &[i16; 3], bias: i32, out: &mut [u8]) {
    let [a, b, c] = rows;
    let [fa, fb, fc] = form.map(i32::from);
    for (((to, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        let sum = fa * i32::from(*a) + fb * i32::from(*b) + fc * i32::from(*c) + bias;
        *to = round(sum);
    }
}

/// Red, green and blue rows as bytes R G B R G B…, each combined with `flip` by exclusive or
/// (128 makes signed bytes of unsigned ones).
#[multiversion(targets = "simd")]
pub(super) fn pack_bytes(rgb: [&[i16]; 3], flip: u8, out: &mut [u8]) {
    let [r, g, b] = rgb;
    let byte = |sample: i16| ((sample + (1 << (SAMPLE_BITS - 1))) >> SAMPLE_BITS) as u8 ^ flip;
    for (((to, r), g), b) in out.as_chunks_mut::<3>().0.iter_mut().zip(r).zip(g).zip(b) {
        *to = [byte(*r), byte(*g), byte(*b)];
    }
}

/// Red, green and blue rows as 32-bit floats R G B R G B… in native byte order, -1..=1.
#[multiversion(targets = "simd")]
pub(super) fn pack_floats(rgb: [&[i16]; 3], out: &mut [u8]) {
    let [r, g, b] = rgb;
    let float = |sample: i16| (f32::from(sample) * STEP - 1.0).to_ne_bytes();
    const STEP: f32 = 1.0 / 127.5 / (1 << SAMPLE_BITS) as f32;
    for (((to, r), g), b) in out.as_chunks_mut::<12>().0.iter_mut().zip(r).zip(g).zip(b) {
        for (to, sample) in to.as_chunks_mut::<4>().0.iter_mut().zip([*r, *g, *b]) {
            *to = float(sample);
        }
    }
}

/// What U and V add to Y where the matrices differ: `factors[1] · (u - 128) + factors[2] · (v - 128)`
/// with [`SAMPLE_BITS`] fraction bits.
#[multiversion(targets = "simd")]
pub(super) fn mix(u: &[i16], v: &[i16], factors: &[i16; 3], out: &mut [i16]) {
    const ZERO: i32 = 128 << SAMPLE_BITS;
    let [_, fu, fv] = factors.map(i32::from);
    for ((to, u), v) in out.iter_mut().zip(u).zip(v) {
        let sum = fu * (i32::from(*u) - ZERO) + fv * (i32::from(*v) - ZERO);
        *to = ((sum + (1 << (FORM_BITS - 1))) >> FORM_BITS) as i16;
    }
}

/// Every sample twice; the last one once where `out` is of odd length.
#[multiversion(targets = "simd")]
pub(super) fn double(row: &[i16], out: &mut [i16]) {
    let (pairs, odd) = out.as_chunks_mut::<2>();
    if let ([last], Some(from)) = (odd, row.get(pairs.len())) {
        *last = *from;
    }
    for (to, from) in pairs.iter_mut().zip(row) {
        *to = [*from; 2];
    }
}

/// `factor · sample + bias`, rounded to bytes; fraction bits as in [`convert`].
#[multiversion(targets = "simd")]
pub(super) fn scale_to_bytes(row: &[i16], factor: i16, bias: i32, out: &mut [u8]) {
    for (to, sample) in out.iter_mut().zip(row) {
        *to = round(i32::from(factor) * i32::from(*sample) + bias);
    }
}

/// The same with `offset`, which has [`SAMPLE_BITS`] fraction bits, added before rounding.
#[multiversion(targets = "simd")]
pub(super) fn scale_and_add_to_bytes(row: &[i16], factor: i16, bias: i32, offset: &[i16], out: &mut [u8]) {
    for ((to, sample), offset) in out.iter_mut().zip(row).zip(offset) {
        *to = round(i32::from(factor) * i32::from(*sample) + (i32::from(*offset) << FORM_BITS) + bias);
    }
}

/// A linear form's value as a byte.
#[inline(always)]
fn round(sum: i32) -> u8 {
    const BITS: u32 = FORM_BITS + SAMPLE_BITS;
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}
