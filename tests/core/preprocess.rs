//! Preprocessing against a slow and obvious model of it in 64-bit floats, and its properties for any
//! frame.

use proptest::prelude::*;
use spotter_core::base::error::Kind;
use spotter_core::preprocess::{I420Buffer, Preprocessor, Resample, ViewScaler};
use spotter_core::vision::frame::{Frame, FrameLayout, Matrix, OwnedPixels, PixelFormat, Range};
use spotter_core::vision::geometry::{Fit, Mapping, Rect};
use spotter_core::vision::tensor::{DataType, Quantisation, TensorInfo};

const FITS: [Fit; 4] = [Fit::Letterbox, Fit::Stretch, Fit::Crop, Fit::CropInner];
const MATRICES: [Matrix; 3] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];
const BAR: u8 = 114;

/// A frame whose component `c` at sample column `x`, row `y` is `sample(c, x, y)`. Bytes that are no
/// samples are 0xA5, so that whoever reads them is found out.
fn frame(layout: FrameLayout, gap: usize, sample: impl Fn(usize, usize, usize) -> u8) -> Frame {
    let format = layout.format;
    let mut planes: Vec<(Vec<u8>, usize)> = (0..format.plane_count())
        .map(|plane| {
            let pitch = format.plane_row_bytes(plane, layout.width) + gap;
            (vec![0xA5; pitch * format.plane_rows(plane, layout.height)], pitch)
        })
        .collect();
    for (index, c) in format.components().iter().enumerate() {
        let (bytes, pitch) = &mut planes[c.plane];
        for y in 0..layout.height.div_ceil(c.sub_y) {
            for x in 0..layout.width.div_ceil(c.sub_x) {
                bytes[y * *pitch + c.offset + x * c.step] = sample(index, x, y);
            }
        }
    }
    Frame::now(0, layout, Box::new(OwnedPixels { planes }))
}

fn layout(format: PixelFormat, width: usize, height: usize, matrix: Matrix, range: Range) -> FrameLayout {
    FrameLayout { matrix, range, ..FrameLayout::new(format, width, height) }
}

fn tensor_info(width: usize, height: usize, dtype: DataType) -> TensorInfo {
    TensorInfo { name: "input".into(), shape: vec![1, height, width, 3], dtype, quantisation: None }
}

/// The tensor of a frame, and where the frame is in it.
fn run(
    frame: &Frame,
    size: (usize, usize),
    dtype: DataType,
    fit: Fit,
    resample: Resample,
) -> (Vec<u8>, Mapping) {
    let info = tensor_info(size.0, size.1, dtype);
    let mut preprocessor = Preprocessor::new(&info, fit).unwrap().with_resample(resample);
    let mut tensor = vec![0x5A; preprocessor.tensor_bytes()];
    let mapping = preprocessor.run(frame, &mut tensor).unwrap();
    (tensor, mapping)
}

fn floats(tensor: &[u8]) -> Vec<f32> {
    tensor.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect()
}

/// Weights of all samples for output `index`: written from the definitions, not from the code.
fn weights(area: bool, start: f64, scale: f64, index: usize, samples: usize) -> Vec<f64> {
    let (begin, end) = (start + index as f64 * scale, start + (index as f64 + 1.0) * scale);
    let mut weights: Vec<f64> = (0..samples)
        .map(|i| {
            if area && scale > 1.0 {
                return (end.min(i as f64 + 1.0) - begin.max(i as f64)).max(0.0);
            }
            let distance = (i as f64 + 0.5 - (begin + end) / 2.0).abs() / scale.max(1.0);
            (1.0 - distance).max(0.0)
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
}

/// The picture part of the tensor as R, G, B in 0..=255, unrounded.
fn oracle(frame: &Frame, mapping: &Mapping, resample: Resample) -> Vec<[f64; 3]> {
    let layout = &frame.layout;
    let axis = |origin: f32, length: f32, pixels: usize, outputs: usize| {
        (f64::from(origin) * pixels as f64, f64::from(length) * pixels as f64 / outputs as f64)
    };
    let (left, dx) = axis(mapping.source.left, mapping.source.width(), layout.width, mapping.width);
    let (top, dy) = axis(mapping.source.top, mapping.source.height(), layout.height, mapping.height);
    let area = match resample {
        Resample::Area => true,
        Resample::Triangle => false,
        Resample::Auto => dx.min(dy) >= 3.5,
    };
    let mut scaled: Vec<Vec<f64>> = Vec::new();
    for c in layout.format.components() {
        let (bytes, pitch) = frame.pixels.plane(c.plane);
        let (columns, rows) = (layout.width.div_ceil(c.sub_x), layout.height.div_ceil(c.sub_y));
        let shift = |sited: bool, sub: usize| if sited && sub == 2 { 0.25 } else { 0.0 };
        let (x0, xs) = (left / c.sub_x as f64 + shift(layout.chroma_left, c.sub_x), dx / c.sub_x as f64);
        let (y0, ys) = (top / c.sub_y as f64 + shift(layout.chroma_top, c.sub_y), dy / c.sub_y as f64);
        let mut out = Vec::new();
        for y in 0..mapping.height {
            let wy = weights(area, y0, ys, y, rows);
            for x in 0..mapping.width {
                let wx = weights(area, x0, xs, x, columns);
                let row = |r: usize| -> f64 {
                    let sample = |i: usize| f64::from(bytes[r * pitch + c.offset + i * c.step]);
                    (0..columns).filter(|i| wx[*i] > 0.0).map(|i| wx[i] * sample(i)).sum()
                };
                out.push((0..rows).filter(|r| wy[*r] > 0.0).map(|r| wy[r] * row(r)).sum());
            }
        }
        scaled.push(out);
    }
    let rgb = layout.format.is_rgb();
    (0..mapping.width * mapping.height)
        .map(|i| {
            let grey = [scaled[0][i], 128.0, 128.0];
            let sample = |c: usize| scaled.get(c).map_or(grey[c], |values| values[i]);
            let samples = [sample(0), sample(1), sample(2)];
            if rgb { samples } else { to_rgb(samples, layout.matrix, layout.range) }
        })
        .collect()
}

/// R, G, B of Y, U, V by the equations of the recommendations.
fn to_rgb([y, u, v]: [f64; 3], matrix: Matrix, range: Range) -> [f64; 3] {
    let (kr, kb) = match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let (y, pb, pr) = match range {
        Range::Limited => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
        Range::Full => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
    };
    let (r, b) = (y + 2.0 * (1.0 - kr) * pr, y + 2.0 * (1.0 - kb) * pb);
    let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
    [r, g, b].map(|value| (255.0 * value).clamp(0.0, 255.0))
}

/// The nearest 8-bit samples of a colour.
fn from_rgb([r, g, b]: [f64; 3], matrix: Matrix, range: Range) -> [u8; 3] {
    let (kr, kb) = matrix.luma_weights();
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (pb, pr) = ((b - y) / (1.0 - kb) / 2.0, (r - y) / (1.0 - kr) / 2.0);
    let samples = match range {
        Range::Limited => [16.0 + y * 219.0 / 255.0, 128.0 + pb * 224.0 / 255.0, 128.0 + pr * 224.0 / 255.0],
        Range::Full => [y, 128.0 + pb, 128.0 + pr],
    };
    samples.map(|sample| sample.round().clamp(0.0, 255.0) as u8)
}

/// A picture with detail of its own in every component.
fn texture(component: usize, x: usize, y: usize) -> u8 {
    let mut v = (x * 0x9E37 + y * 0x85EB + component * 0xC2B2) as u32;
    v = (v ^ (v >> 7)).wrapping_mul(0x2C1B_3C6D);
    let noise = f64::from((v >> 16) & 63);
    let wave = ((x * x + y * y) as f64 / 90.0 + component as f64).cos();
    (100.0 + 70.0 * wave + noise) as u8
}

fn picture_pixels<'a>(
    tensor: &'a [u8],
    mapping: &'a Mapping,
) -> impl Iterator<Item = (usize, usize, &'a [u8])> {
    let (width, inside) = (mapping.input.0, *mapping);
    tensor
        .chunks_exact(3)
        .enumerate()
        .filter(move |(i, _)| {
            let (x, y) = (i % width, i / width);
            (inside.x..inside.x + inside.width).contains(&x)
                && (inside.y..inside.y + inside.height).contains(&y)
        })
        .map(move |(i, rgb)| (i % width, i / width, rgb))
}

#[test]
fn every_format_filter_and_fit_is_as_the_float_model_says() {
    let sizes = [((53, 37), (16, 16)), ((20, 14), (31, 40)), ((16, 16), (16, 16)), ((301, 97), (24, 32))];
    for format in PixelFormat::ALL {
        for (case, ((width, height), size)) in sizes.into_iter().enumerate() {
            for (resample, fit) in [
                (Resample::Auto, Fit::Letterbox),
                (Resample::Area, Fit::Stretch),
                (Resample::Triangle, Fit::Crop),
                (Resample::Triangle, Fit::Letterbox),
            ] {
                let range = if case % 2 == 0 { Range::Limited } else { Range::Full };
                let mut layout = layout(format, width, height, MATRICES[case % 3], range);
                (layout.chroma_left, layout.chroma_top) = (case & 1 != 0, case & 2 != 0);
                let frame = frame(layout, case * 3, texture);
                let (tensor, mapping) = run(&frame, size, DataType::U8, fit, resample);
                let expected = oracle(&frame, &mapping, resample);
                let (mut worst, mut sum) = (0.0f64, 0.0);
                for ((_, _, rgb), expected) in picture_pixels(&tensor, &mapping).zip(&expected) {
                    for (value, expected) in rgb.iter().zip(expected) {
                        let error = (f64::from(*value) - expected).abs();
                        worst = worst.max(error);
                        sum += error;
                    }
                }
                let mean = sum / (3 * expected.len()) as f64;
                // Rounding alone is up to 0.5, and 0.25 on average.
                let what = format!("{layout:?} {fit} {resample:?} {mapping:?}");
                assert!(worst < 0.56, "{what}: worst {worst}");
                assert!(mean < 0.28, "{what}: mean {mean}");
            }
        }
    }
}

#[test]
fn triangle_gives_what_pillow_gives() {
    // Image.frombytes("RGB", (97, 61), …).resize(size, BILINEAR, box) of Pillow 13.0.0, four pixels from
    // a byte on. Pillow rounds between its two passes, we do not.
    let layout = FrameLayout::new(PixelFormat::Rgb, 97, 61);
    let frame = frame(layout, 0, |c, x, y| ((x * 37 + y * 91 + c * 50 + x * y % 61) % 256) as u8);
    for (size, fit, at, expected) in [
        ((40, 30), Fit::Stretch, 0, [93, 126, 136, 138, 157, 132, 125, 122, 116, 108, 128, 141]),
        ((40, 30), Fit::Stretch, 2100, [124, 110, 157, 130, 91, 137, 143, 103, 152, 148, 103, 153]),
        ((150, 70), Fit::Stretch, 1200, [156, 117, 85, 92, 130, 109, 117, 103, 135, 107, 110, 160]),
        // box = (18, 0, 79, 61)
        ((24, 24), Fit::Crop, 822, [137, 109, 104, 129, 127, 131, 130, 142, 126, 130, 137, 103]),
    ] {
        let (tensor, _) = run(&frame, size, DataType::U8, fit, Resample::Triangle);
        for (value, expected) in tensor[at..at + 12].iter().zip(expected) {
            assert!(value.abs_diff(expected) <= 1, "{size:?} {fit} {:?}", &tensor[at..at + 12]);
        }
    }
}

#[test]
fn chroma_siting_moves_colour() {
    let mut layout = FrameLayout::new(PixelFormat::I420, 64, 64);
    let at_half = |c: usize, x: usize, _: usize| if c == 2 && x >= 16 { 200 } else { 128 };
    let red = |layout| {
        run(&frame(layout, 0, at_half), (64, 64), DataType::U8, Fit::Stretch, Resample::Auto).0[31 * 3]
    };
    let between = red(layout);
    layout.chroma_left = true;
    assert!(red(layout) > between + 10, "{} {between}", red(layout));
}

#[test]
fn formats_with_the_same_samples_give_the_same_tensor() {
    use PixelFormat::*;
    for family in [&[I420, Yv12, Nv12, Nv21][..], &[Y42b, Yuy2, Uyvy], &[Rgb, Bgr, Rgbx, Bgrx, PlanarRgb]] {
        for (width, height) in [(97, 55), (64, 48), (1, 1)] {
            let tensor = |format: PixelFormat, gap| {
                let frame = frame(FrameLayout::new(format, width, height), gap, texture);
                run(&frame, (40, 40), DataType::U8, Fit::Letterbox, Resample::Auto).0
            };
            let first = tensor(family[0], 0);
            for (gap, format) in family.iter().enumerate() {
                assert_eq!(tensor(*format, 17 * gap), first, "{format:?} {width}x{height}");
            }
        }
    }
}

#[test]
fn formats_of_different_families_agree_on_a_smooth_picture() {
    // A ramp of colour; each format holds it at the centres of its samples.
    let colour = |x: f64, y: f64| [60.0 + x, 200.0 - x / 2.0 - y / 2.0, 40.0 + 1.5 * y];
    let mut tensors = Vec::new();
    for format in PixelFormat::ALL {
        if format == PixelFormat::Gray8 {
            continue;
        }
        let layout = layout(format, 96, 96, Matrix::Bt709, Range::Limited);
        let frame = frame(layout, 0, |c, x, y| {
            let at = format.components()[c];
            let centre = |i: usize, sub: usize| (i as f64 + 0.5) * sub as f64;
            let rgb = colour(centre(x, at.sub_x), centre(y, at.sub_y));
            if format.is_rgb() { rgb[c].round() as u8 } else { from_rgb(rgb, layout.matrix, layout.range)[c] }
        });
        tensors.push((format, run(&frame, (32, 32), DataType::U8, Fit::Stretch, Resample::Auto).0));
    }
    for (format, tensor) in &tensors {
        for (value, expected) in tensor.iter().zip(&tensors[0].1) {
            assert!(value.abs_diff(*expected) <= 3, "{format:?}");
        }
    }
}

#[test]
fn known_colours_come_out_right() {
    // 75 % and 100 % bars as ITU-R BT.801 and BT.1729 tabulate them: Y, U, V of limited range.
    let known = [
        (Matrix::Bt601, [235, 128, 128], [255, 255, 255]),
        (Matrix::Bt601, [16, 128, 128], [0, 0, 0]),
        (Matrix::Bt601, [81, 90, 240], [255, 0, 0]),
        (Matrix::Bt601, [145, 54, 34], [0, 255, 0]),
        (Matrix::Bt601, [41, 240, 110], [0, 0, 255]),
        (Matrix::Bt709, [235, 128, 128], [255, 255, 255]),
        (Matrix::Bt709, [16, 128, 128], [0, 0, 0]),
        (Matrix::Bt709, [63, 102, 240], [255, 0, 0]),
        (Matrix::Bt709, [173, 42, 26], [0, 255, 0]),
        (Matrix::Bt709, [32, 240, 118], [0, 0, 255]),
    ];
    for (matrix, yuv, rgb) in known {
        for format in [PixelFormat::I420, PixelFormat::Nv21, PixelFormat::Uyvy, PixelFormat::Y444] {
            let frame = frame(layout(format, 32, 18, matrix, Range::Limited), 0, |c, _, _| yuv[c]);
            let (tensor, _) = run(&frame, (9, 7), DataType::U8, Fit::Stretch, Resample::Auto);
            for pixel in tensor.chunks_exact(3) {
                for (value, expected) in pixel.iter().zip(rgb) {
                    assert!(value.abs_diff(expected) <= 1, "{matrix:?} {format:?} {yuv:?}: {pixel:?}");
                }
            }
        }
    }
}

#[test]
fn red_is_not_blue() {
    for format in
        [PixelFormat::Rgb, PixelFormat::Bgr, PixelFormat::Rgbx, PixelFormat::Bgrx, PixelFormat::PlanarRgb]
    {
        let frame = frame(FrameLayout::new(format, 9, 9), 1, |c, _, _| [10, 20, 30][c]);
        let (tensor, _) = run(&frame, (4, 4), DataType::U8, Fit::Stretch, Resample::Auto);
        assert!(tensor.chunks_exact(3).all(|rgb| rgb == [10, 20, 30]), "{format:?}");
    }
}

#[test]
fn a_quantised_tensor_gets_plain_bytes() {
    let frame = frame(FrameLayout::new(PixelFormat::Rgb, 8, 8), 0, texture);
    let (plain, _) = run(&frame, (8, 8), DataType::U8, Fit::Stretch, Resample::Auto);
    for quantisation in [(1.0 / 255.0, 0), (1.0 / 128.0, 128)] {
        let quantisation = Some(Quantisation { scale: quantisation.0, zero_point: quantisation.1 });
        let info = TensorInfo { quantisation, ..tensor_info(8, 8, DataType::U8) };
        let mut tensor = vec![0; 192];
        Preprocessor::new(&info, Fit::Stretch).unwrap().run(&frame, &mut tensor).unwrap();
        assert_eq!(tensor, plain);
    }
    // And bytes of the same size are the frame's own.
    let (own, _) = frame.pixels.plane(0);
    assert_eq!(plain, own);
}

#[test]
fn bars_are_written_every_time() {
    let frame = frame(FrameLayout::new(PixelFormat::Nv12, 64, 20), 0, texture);
    let mut preprocessor = Preprocessor::new(&tensor_info(32, 32, DataType::U8), Fit::Letterbox).unwrap();
    let mut first = vec![1; preprocessor.tensor_bytes()];
    preprocessor.run(&frame, &mut first).unwrap();
    let mut again = vec![2; preprocessor.tensor_bytes()];
    preprocessor.run(&frame, &mut again).unwrap();
    assert_eq!(first, again);
}

#[test]
fn a_change_of_layout_is_noticed() {
    let mut preprocessor = Preprocessor::new(&tensor_info(24, 24, DataType::U8), Fit::Letterbox).unwrap();
    for (width, height) in [(50, 20), (20, 50), (50, 20)] {
        for format in [PixelFormat::Nv12, PixelFormat::Rgb] {
            let frame = frame(FrameLayout::new(format, width, height), 0, texture);
            let mut tensor = vec![0; preprocessor.tensor_bytes()];
            preprocessor.run(&frame, &mut tensor).unwrap();
            let (fresh, _) = run(&frame, (24, 24), DataType::U8, Fit::Letterbox, Resample::Auto);
            assert_eq!(tensor, fresh);
        }
    }
}

#[test]
fn unusable_tensors_are_model_errors_that_name_them() {
    let shape = |shape: &[usize]| TensorInfo { shape: shape.to_vec(), ..tensor_info(1, 1, DataType::U8) };
    for info in [
        shape(&[]),
        shape(&[1, 8, 8, 1]),
        shape(&[1, 3, 8, 0]),
        shape(&[1, 4, 8, 8]),
        TensorInfo { shape: vec![1, 3, 8, 8], ..tensor_info(8, 8, DataType::F32) },
        shape(&[2, 8, 8, 3]),
        shape(&[1, 0, 8, 3]),
        shape(&[1, usize::MAX, 8, 3]),
        tensor_info(8, 8, DataType::F16),
        tensor_info(8, 8, DataType::I32),
    ] {
        let error = Preprocessor::new(&info, Fit::Stretch).unwrap_err();
        assert_eq!(error.kind(), Kind::Model);
        assert!(error.message().contains("input ["), "{error}");
    }
}

#[test]
fn unusable_frames_are_source_errors() {
    let mut preprocessor = Preprocessor::new(&tensor_info(8, 8, DataType::U8), Fit::Stretch).unwrap();
    let mut tensor = vec![7; preprocessor.tensor_bytes()];
    for (width, height) in [(0, 4), (4, 0), (usize::MAX, 2), (2, usize::MAX), (1 << 17, 1)] {
        let pixels = OwnedPixels { planes: vec![(vec![0; 64], 8)] };
        let frame = Frame::now(0, FrameLayout::new(PixelFormat::Gray8, width, height), Box::new(pixels));
        assert_eq!(preprocessor.run(&frame, &mut tensor).unwrap_err().kind(), Kind::Source);
    }
    assert!(tensor.iter().all(|byte| *byte == 7));
    let good = frame(FrameLayout::new(PixelFormat::Gray8, 4, 4), 0, texture);
    assert_eq!(preprocessor.run(&good, &mut tensor[1..]).unwrap_err().kind(), Kind::Internal);
}

/// The page's picture back as R, G, B, by the JFIF equations.
fn view_colour(planes: &I420Buffer, x: usize, y: usize) -> [f64; 3] {
    let (width, _) = planes.size();
    let chroma = (y / 2) * planes.chroma_size().0 + x / 2;
    let samples = [planes.y()[y * width + x], planes.u()[chroma], planes.v()[chroma]];
    to_rgb(samples.map(f64::from), Matrix::Bt601, Range::Full)
}

#[test]
fn the_view_has_the_colours_of_the_tensor() {
    for format in PixelFormat::ALL {
        for (case, (width, height)) in [(48, 32), (31, 17), (96, 64), (97, 65)].into_iter().enumerate() {
            let range = if case % 2 == 0 { Range::Limited } else { Range::Full };
            let layout = layout(format, 97 - case % 2, 65 - case % 2, MATRICES[case % 3], range);
            let frame = frame(layout, 3, |c, x, y| {
                let at = layout.format.components()[c];
                let (x, y) = ((x * at.sub_x) as f64, (y * at.sub_y) as f64);
                (118.0 + 30.0 * (x / 19.0 + c as f64).sin() * (y / 13.0).cos()) as u8
            });
            let (mut view, mut planes) = (ViewScaler::new(), I420Buffer::new());
            view.run(&frame, width, height, &mut planes).unwrap();
            let (tensor, _) = run(&frame, (width, height), DataType::U8, Fit::Stretch, Resample::Auto);
            let mut sum = 0.0;
            for (i, rgb) in tensor.chunks_exact(3).enumerate() {
                let colour = view_colour(&planes, i % width, i / width);
                for (value, expected) in colour.iter().zip(rgb) {
                    sum += (value - f64::from(*expected)).abs();
                }
            }
            let mean = sum / tensor.len() as f64;
            assert!(mean < 4.0, "{layout:?} {width}x{height}: mean {mean}");
        }
    }
}

#[test]
fn a_jpegs_own_planes_pass_through_the_view() {
    let layout = layout(PixelFormat::I420, 61, 43, Matrix::Bt601, Range::Full);
    let frame = frame(layout, 0, texture);
    let (mut view, mut planes) = (ViewScaler::new(), I420Buffer::new());
    view.run(&frame, 61, 43, &mut planes).unwrap();
    assert_eq!(planes.layout(), layout);
    for (index, plane) in [planes.y(), planes.u(), planes.v()].into_iter().enumerate() {
        assert_eq!(plane, frame.pixels.plane(index).0, "plane {index}");
    }
    assert_eq!(view.run(&frame, 0, 4, &mut planes).unwrap_err().kind(), Kind::Usage);
}

fn any_layout() -> impl Strategy<Value = FrameLayout> {
    (0usize..13, 1usize..=70, 1usize..=70, 0usize..3, any::<[bool; 3]>(), 1u32..4, 1u32..4).prop_map(
        |(format, width, height, matrix, [full, chroma_left, chroma_top], n, d)| FrameLayout {
            width,
            height,
            format: PixelFormat::ALL[format],
            pixel_aspect: (n, d),
            matrix: MATRICES[matrix],
            range: if full { Range::Full } else { Range::Limited },
            chroma_left,
            chroma_top,
        },
    )
}

fn any_resample() -> impl Strategy<Value = Resample> {
    prop_oneof![Just(Resample::Auto), Just(Resample::Area), Just(Resample::Triangle)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_colour_stays_one_colour(
        layout in any_layout(), gap in 0usize..9, samples: [u8; 3], size in (1usize..=70, 1usize..=70),
        fit in 0usize..3, resample in any_resample(),
    ) {
        let frame = frame(layout, gap, |c, _, _| samples[c]);
        let (tensor, mapping) = run(&frame, size, DataType::U8, FITS[fit], resample);
        let neutral = [samples[0], 128, 128];
        let yuv = if layout.format == PixelFormat::Gray8 { neutral } else { samples }.map(f64::from);
        let expected = if layout.format.is_rgb() { yuv } else { to_rgb(yuv, layout.matrix, layout.range) };
        for (_, _, rgb) in picture_pixels(&tensor, &mapping) {
            for (value, expected) in rgb.iter().zip(expected) {
                prop_assert!((f64::from(*value) - expected).abs() <= 1.0, "{rgb:?} {expected:?}");
            }
        }
        // Bars have their own colour exactly, and nothing else is beside the picture.
        let picture = picture_pixels(&tensor, &mapping).count();
        let bars = tensor.chunks_exact(3).enumerate().filter(|(i, _)| {
            let (x, y) = (i % size.0, i / size.0);
            !(mapping.x..mapping.x + mapping.width).contains(&x)
                || !(mapping.y..mapping.y + mapping.height).contains(&y)
        });
        let mut count = 0;
        for (_, rgb) in bars {
            prop_assert_eq!(rgb, [BAR; 3]);
            count += 1;
        }
        prop_assert_eq!(picture + count, size.0 * size.1);
    }

    #[test]
    fn types_hold_the_same_values(
        layout in any_layout(), size in (1usize..=40, 1usize..=40), fit in 0usize..3,
        resample in any_resample(),
    ) {
        let frame = frame(layout, 0, texture);
        let (unsigned, mapping) = run(&frame, size, DataType::U8, FITS[fit], resample);
        let (signed, signed_mapping) = run(&frame, size, DataType::I8, FITS[fit], resample);
        let (float, float_mapping) = run(&frame, size, DataType::F32, FITS[fit], resample);
        prop_assert_eq!((mapping, mapping), (signed_mapping, float_mapping));
        let float = floats(&float);
        prop_assert_eq!(float.len(), unsigned.len());
        for ((u, i), f) in unsigned.iter().zip(&signed).zip(&float) {
            prop_assert_eq!(i32::from(*i as i8), i32::from(*u) - 128);
            prop_assert!((f - (f32::from(*u) - 127.5) / 127.5).abs() < 0.01);
            prop_assert!((-1.0..=1.0).contains(f));
        }
    }

    #[test]
    fn random_pictures_are_as_the_float_model_says(
        layout in any_layout(), gap in 0usize..9, size in (1usize..=24, 1usize..=24), fit in 0usize..3,
        resample in any_resample(),
    ) {
        let frame = frame(layout, gap, texture);
        let (tensor, mapping) = run(&frame, size, DataType::U8, FITS[fit], resample);
        let expected = oracle(&frame, &mapping, resample);
        for ((x, y, rgb), expected) in picture_pixels(&tensor, &mapping).zip(&expected) {
            for (value, expected) in rgb.iter().zip(expected) {
                let error = (f64::from(*value) - expected).abs();
                // 0.5 is rounding; colour matrices more than double what fixed point adds to a sample.
                prop_assert!(error < 0.62, "{x},{y}: {rgb:?}, not {expected:?}; {mapping:?}");
            }
        }
    }

    #[test]
    fn short_planes_are_refused(
        layout in any_layout(), size in (1usize..=70, 1usize..=70), fit in 0usize..3,
        cut in 1usize..400, plane in 0usize..3, narrow: bool,
    ) {
        let format = layout.format;
        let mut planes: Vec<(Vec<u8>, usize)> = (0..format.plane_count())
            .map(|index| {
                let pitch = format.plane_row_bytes(index, layout.width);
                (vec![1; pitch * format.plane_rows(index, layout.height)], pitch)
            })
            .collect();
        let plane = plane % planes.len();
        if narrow && format.plane_rows(plane, layout.height) > 1 {
            planes[plane].1 -= 1;
        } else {
            let left = planes[plane].0.len().saturating_sub(cut);
            planes[plane].0.truncate(left);
        }
        let frame = Frame::now(0, layout, Box::new(OwnedPixels { planes }));
        let info = tensor_info(size.0, size.1, DataType::U8);
        let mut tensor = vec![0; size.0 * size.1 * 3];
        let error = Preprocessor::new(&info, FITS[fit]).unwrap().run(&frame, &mut tensor).unwrap_err();
        prop_assert_eq!(error.kind(), Kind::Source);
        let error = ViewScaler::new().run(&frame, size.0, size.1, &mut I420Buffer::new()).unwrap_err();
        prop_assert_eq!(error.kind(), Kind::Source);
    }

    #[test]
    fn stills_of_any_size_keep_one_colour_and_stay_near_the_filter(
        from in (1usize..=70, 1usize..=70), size in (1usize..=70, 1usize..=70), fit in 0usize..4, rgb: [u8; 3],
    ) {
        let layout = FrameLayout::new(PixelFormat::Rgb, from.0, from.1);
        let mut still = frame(layout, 3, |channel, _, _| rgb[channel]);
        still.still = true;
        let (tensor, mapping) = run(&still, size, DataType::U8, FITS[fit], Resample::Auto);
        for (index, pixel) in tensor.chunks_exact(3).enumerate() {
            let (x, y) = (index % size.0, index / size.0);
            let inside = (mapping.x..mapping.x + mapping.width).contains(&x)
                && (mapping.y..mapping.y + mapping.height).contains(&y);
            prop_assert_eq!(pixel, if inside { rgb } else { [114; 3] });
        }
        // Rounding between the passes moves a sample by less than one and a half levels.
        let mut still = frame(layout, 0, |c, x, y| ((x * 37 + y * 61 + c * 101 + x * y * 7) % 256) as u8);
        still.still = true;
        // A still's crop is cut out before it is scaled; the filter of live frames sees what lies beside it.
        if mapping.source != Rect::new(0.0, 0.0, 1.0, 1.0) {
            return Ok(());
        }
        let (tensor, _) = run(&still, size, DataType::U8, FITS[fit], Resample::Auto);
        let (exact, _) = run(&still, size, DataType::U8, FITS[fit], Resample::Triangle);
        for (a, b) in tensor.iter().zip(&exact) {
            prop_assert!(a.abs_diff(*b) <= 2, "{a} {b}");
        }
    }

    #[test]
    fn the_view_keeps_one_colour(
        layout in any_layout(), rgb: [u8; 3], size in (1usize..=70, 1usize..=70),
    ) {
        let rgb = rgb.map(f64::from);
        let samples = if layout.format.is_rgb() {
            rgb.map(|value| value as u8)
        } else {
            from_rgb(rgb, layout.matrix, layout.range)
        };
        let frame = frame(layout, 2, |c, _, _| samples[c]);
        let (mut view, mut planes) = (ViewScaler::new(), I420Buffer::new());
        view.run(&frame, size.0, size.1, &mut planes).unwrap();
        prop_assert_eq!(planes.y().len(), size.0 * size.1);
        prop_assert_eq!(planes.u().len(), size.0.div_ceil(2) * size.1.div_ceil(2));
        let colour = match layout.format {
            PixelFormat::Gray8 => to_rgb([f64::from(samples[0]), 128.0, 128.0], layout.matrix, layout.range),
            _ => rgb,
        };
        let expected = from_rgb(colour, Matrix::Bt601, Range::Full);
        let chroma = planes.chroma_size().0;
        for y in 0..size.1 {
            for x in 0..size.0 {
                let at = (y / 2) * chroma + x / 2;
                let found = [planes.y()[y * size.0 + x], planes.u()[at], planes.v()[at]];
                for (value, expected) in found.iter().zip(expected) {
                    // The samples of the frame are rounded already.
                    prop_assert!(value.abs_diff(expected) <= 2, "{found:?} {expected:?}");
                }
            }
        }
    }
}

#[test]
fn huge_reductions_keep_their_colour() {
    for resample in [Resample::Area, Resample::Triangle] {
        for format in [PixelFormat::Nv12, PixelFormat::Rgb, PixelFormat::Gray8] {
            let layout = layout(format, 4096, 2160, Matrix::Bt601, Range::Full);
            for value in [0, 1, 200, 255] {
                let frame = frame(layout, 0, |c, _, _| if c == 0 || format.is_rgb() { value } else { 128 });
                let (tensor, _) = run(&frame, (3, 2), DataType::U8, Fit::Stretch, resample);
                assert!(tensor.iter().all(|byte| byte.abs_diff(value) <= 1), "{format:?} {tensor:?}");
            }
        }
    }
}

#[test]
fn planes_and_wide_rows_hold_the_pixels_of_packed_rows() {
    let layout = layout(PixelFormat::Nv12, 64, 36, Matrix::Bt601, Range::Limited);
    let frame = frame(layout, 3, |c, x, y| (40 * c + 3 * x + 2 * y) as u8);
    let input =
        |shape: Vec<usize>| TensorInfo { name: "i".into(), shape, dtype: DataType::U8, quantisation: None };
    let (width, height) = (30, 20);
    for fit in [Fit::Letterbox, Fit::Stretch, Fit::Crop] {
        let mut packed = vec![0; 3 * width * height];
        let mapping =
            Preprocessor::new(&input(vec![1, height, width, 3]), fit).unwrap().run(&frame, &mut packed);
        let mapping = mapping.unwrap();
        let (pitch, wide_pitch) = (32, 100);
        let mut planes = vec![7; 3 * height * pitch];
        let mut planar = Preprocessor::new(&input(vec![1, 3, height, width]), fit).unwrap();
        assert_eq!(planar.run_pitched(&frame, &mut planes, pitch).unwrap(), mapping);
        let mut wide = vec![7; height * wide_pitch];
        let mut interleaved = Preprocessor::new(&input(vec![1, height, width, 3]), fit).unwrap();
        assert_eq!(interleaved.run_pitched(&frame, &mut wide, wide_pitch).unwrap(), mapping);
        for (index, byte) in packed.iter().enumerate() {
            let (y, x, c) = (index / (3 * width), index / 3 % width, index % 3);
            assert_eq!(planes[(c * height + y) * pitch + x], *byte, "{fit} plane {c}, {x} {y}");
            assert_eq!(wide[y * wide_pitch + 3 * x + c], *byte, "{fit} {x} {y}");
        }
        // What is between rows is left alone.
        assert!(planes.chunks_exact(pitch).all(|row| row[width..] == [7, 7]));
        assert!(wide.chunks_exact(wide_pitch).all(|row| row[3 * width..].iter().all(|byte| *byte == 7)));
        assert!(planar.run_pitched(&frame, &mut planes, width - 1).is_err());
        assert!(planar.run_pitched(&frame, &mut planes[1..], pitch + 1).is_err());
        assert!(planar.run(&frame, &mut vec![0; 3 * width * height]).is_ok());
    }
}
