//! Linear relations between Y, U, V and R, G, B, in the fixed point of the inner loops.

use crate::vision::frame::{FrameLayout, Matrix, Range};

use super::kernels::{FORM_BITS, SAMPLE_BITS};

/// The sample value of no colour.
pub(super) const NEUTRAL: i16 = 128 << SAMPLE_BITS;

/// Full-range Y, U or V or R, G or B as `form · samples + bias` of three samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Form {
    /// Factors of the three components, with [`FORM_BITS`] fraction bits.
    pub factors: [i16; 3],
    /// What is added, with [`FORM_BITS`] + [`SAMPLE_BITS`] fraction bits.
    pub bias: i32,
}

impl Form {
    /// The form `sum(factors * (samples - zeros)) + to`. The bias follows from the rounded factors, so
    /// that `zeros` becomes exactly `to`.
    fn new(factors: [f64; 3], zeros: [i32; 3], to: i32) -> Self {
        let factors = factors.map(|f| (f * f64::from(1 << FORM_BITS)).round() as i16);
        let shift: i32 = factors.iter().zip(zeros).map(|(f, zero)| i32::from(*f) * zero).sum();
        Self { factors, bias: ((to << FORM_BITS) - shift) << SAMPLE_BITS }
    }
}

/// Black level and the sizes of the luma and the chroma range.
fn levels(range: Range) -> (i32, f64, f64) {
    match range {
        Range::Limited => (16, 219.0, 224.0),
        Range::Full => (0, 255.0, 255.0),
    }
}

/// R, G and B of Y, U and V. Formulas: ITU-R BT.601, BT.709 and BT.2020 with 8-bit quantisation.
pub(super) fn yuv_to_rgb(layout: &FrameLayout) -> [Form; 3] {
    let (kr, kb) = layout.matrix.luma_weights();
    let kg = 1.0 - kr - kb;
    let (black, luma, chroma) = levels(layout.range);
    let (y, c) = (255.0 / luma, 255.0 / chroma);
    let red = 2.0 * (1.0 - kr) * c;
    let blue = 2.0 * (1.0 - kb) * c;
    let zeros = [black, 128, 128];
    [
        Form::new([y, 0.0, red], zeros, 0),
        Form::new([y, -blue * kb / kg, -red * kr / kg], zeros, 0),
        Form::new([y, blue, 0.0], zeros, 0),
    ]
}

/// Full-range BT.601 Y, U and V of R, G and B: the JFIF specification.
pub(super) fn rgb_to_jpeg() -> [Form; 3] {
    let (kr, kb) = Matrix::Bt601.luma_weights();
    let kg = 1.0 - kr - kb;
    let (u, v) = (0.5 / (1.0 - kb), 0.5 / (1.0 - kr));
    [
        Form::new([kr, kg, kb], [0; 3], 0),
        Form::new([-kr * u, -kg * u, (1.0 - kb) * u], [0; 3], 128),
        Form::new([(1.0 - kr) * v, -kg * v, -kb * v], [0; 3], 128),
    ]
}

/// Full-range BT.601 Y, U and V of the layout's Y, U and V.
pub(super) fn yuv_to_jpeg(layout: &FrameLayout) -> [Form; 3] {
    let (kr, kb) = layout.matrix.luma_weights();
    let kg = 1.0 - kr - kb;
    let (jr, jb) = Matrix::Bt601.luma_weights();
    let jg = 1.0 - jr - jb;
    let (black, luma, chroma) = levels(layout.range);
    let (y, c) = (255.0 / luma, 255.0 / chroma);
    // R', G' and B' less Y' for one step of U and of V, as in `yuv_to_rgb`; then Y', U', V' of them.
    let u = [0.0, -2.0 * (1.0 - kb) * kb / kg, 2.0 * (1.0 - kb)].map(|f| f * c);
    let v = [2.0 * (1.0 - kr), -2.0 * (1.0 - kr) * kr / kg, 0.0].map(|f| f * c);
    let to_y = |rgb: [f64; 3]| jr * rgb[0] + jg * rgb[1] + jb * rgb[2];
    let to_u = |rgb: [f64; 3]| 0.5 * (rgb[2] - to_y(rgb)) / (1.0 - jb);
    let to_v = |rgb: [f64; 3]| 0.5 * (rgb[0] - to_y(rgb)) / (1.0 - jr);
    let zeros = [black, 128, 128];
    [
        Form::new([y, to_y(u), to_y(v)], zeros, 0),
        Form::new([0.0, to_u(u), to_u(v)], zeros, 128),
        Form::new([0.0, to_v(u), to_v(v)], zeros, 128),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::frame::PixelFormat;

    fn apply(forms: &[Form; 3], samples: [i32; 3]) -> [i32; 3] {
        forms.map(|form| {
            let sum: i32 = form.factors.iter().zip(samples).map(|(f, s)| i32::from(*f) * s).sum();
            let bits = FORM_BITS;
            (sum + (form.bias >> SAMPLE_BITS) + (1 << (bits - 1))) >> bits
        })
    }

    fn layout(matrix: Matrix, range: Range) -> FrameLayout {
        FrameLayout { matrix, range, ..FrameLayout::new(PixelFormat::I420, 2, 2) }
    }

    #[test]
    fn black_and_white_are_exact() {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            let limited = layout(matrix, Range::Limited);
            assert_eq!(apply(&yuv_to_rgb(&limited), [16, 128, 128]), [0; 3]);
            assert_eq!(apply(&yuv_to_rgb(&limited), [235, 128, 128]), [255; 3]);
            assert_eq!(apply(&yuv_to_jpeg(&limited), [235, 128, 128]), [255, 128, 128]);
            let full = layout(matrix, Range::Full);
            assert_eq!(apply(&yuv_to_rgb(&full), [0, 128, 128]), [0; 3]);
            assert_eq!(apply(&yuv_to_rgb(&full), [255, 128, 128]), [255; 3]);
        }
    }

    #[test]
    fn jpeg_stays_jpeg() {
        let forms = yuv_to_jpeg(&layout(Matrix::Bt601, Range::Full));
        for sample in [[0, 128, 128], [77, 1, 254], [200, 90, 140]] {
            assert_eq!(apply(&forms, sample), sample);
        }
    }

    #[test]
    fn jpeg_of_yuv_is_jpeg_of_its_rgb() {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for range in [Range::Limited, Range::Full] {
                let layout = layout(matrix, range);
                for yuv in [[120, 128, 128], [120, 110, 150], [90, 140, 120], [150, 120, 100]] {
                    let direct = apply(&yuv_to_jpeg(&layout), yuv);
                    let by_rgb = apply(&rgb_to_jpeg(), apply(&yuv_to_rgb(&layout), yuv));
                    for (a, b) in direct.iter().zip(by_rgb) {
                        assert!((a - b).abs() <= 1, "{matrix:?} {range:?} {yuv:?}: {direct:?} {by_rgb:?}");
                    }
                }
            }
        }
    }
}
