//! Preprocessing against GStreamer's `videoconvertscale`, in the same run on one thread, with the error
//! of both against an exact fractional-area average in 64-bit floats.

#![allow(clippy::expect_used)] // A benchmark that cannot run should stop.

use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;
use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use spotter::preprocess::{I420Buffer, Preprocessor, ViewScaler};
use spotter::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};
use spotter::vision::geometry::Fit;
use spotter::vision::tensor::{DataType, TensorInfo};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
const SIDE: usize = 300;

/// A 1080p picture in NV12, BT.709 limited: one block of Y rows and UV rows.
fn picture(sample: impl Fn(usize, usize, usize) -> f64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(WIDTH * HEIGHT * 3 / 2);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            bytes.push(sample(0, x, y).round().clamp(16.0, 235.0) as u8);
        }
    }
    for y in 0..HEIGHT / 2 {
        for x in 0..WIDTH {
            bytes.push(sample(1 + x % 2, x / 2, y).round().clamp(16.0, 240.0) as u8);
        }
    }
    bytes
}

/// Slow waves: what most of a camera's picture is.
fn smooth() -> Vec<u8> {
    picture(|component, x, y| {
        let (x, y) = if component == 0 { (x as f64, y as f64) } else { (2.0 * x as f64, 2.0 * y as f64) };
        let wave = (x / 173.0 + component as f64).sin() * (y / 131.0 - component as f64).cos();
        if component == 0 { 126.0 + 95.0 * wave } else { 128.0 + 40.0 * wave }
    })
}

/// A zone plate with noise: all frequencies, so that whatever can alias does.
fn zone_plate() -> Vec<u8> {
    let noise = |x: usize, y: usize, c: usize| {
        let mut v = (x * 0x9E37_79B1 + y * 0x85EB_CA6B + c * 0xC2B2_AE35) as u32;
        v = (v ^ (v >> 15)).wrapping_mul(0x2C1B_3C6D);
        v = (v ^ (v >> 12)).wrapping_mul(0x297A_2D39);
        f64::from((v ^ (v >> 15)) & 0xFFFF) / 65535.0 - 0.5
    };
    picture(|component, x, y| {
        let (x1, y1) = (x as f64 - 300.0, y as f64 - 200.0);
        let ring = ((x1 * x1 + y1 * y1) / 1400.0).cos();
        if component == 0 {
            126.0 + 70.0 * ring + 78.0 * noise(x, y, 0)
        } else {
            128.0 + 30.0 * ring + 60.0 * noise(x, y, component)
        }
    })
}

/// Exact fractional-area average of one component.
fn area(width: usize, height: usize, sample: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let axis = |n: usize| -> Vec<Vec<(usize, f64)>> {
        let edge = |i: usize| i as f64 * n as f64 / SIDE as f64;
        let overlap = |i: usize, k: usize| edge(i + 1).min((k + 1) as f64) - edge(i).max(k as f64);
        let window = |i: usize| (edge(i) as usize..n).map(move |k| (k, overlap(i, k)));
        (0..SIDE).map(|i| window(i).take_while(|(_, w)| *w > 0.0).collect()).collect()
    };
    let (columns, rows) = (axis(width), axis(height));
    let mut out = Vec::with_capacity(SIDE * SIDE);
    for row in &rows {
        for column in &columns {
            let (mut sum, mut total) = (0.0, 0.0);
            for (y, wy) in row {
                for (x, wx) in column {
                    sum += wx * wy * sample(*x, *y);
                    total += wx * wy;
                }
            }
            out.push(sum / total);
        }
    }
    out
}

/// The picture as it should be: exact areas, then BT.709, then rounded.
fn reference(nv12: &[u8]) -> Vec<u8> {
    let chroma = &nv12[WIDTH * HEIGHT..];
    let luma = area(WIDTH, HEIGHT, |x, y| f64::from(nv12[y * WIDTH + x]));
    let u = area(WIDTH / 2, HEIGHT / 2, |x, y| f64::from(chroma[y * WIDTH + 2 * x]));
    let v = area(WIDTH / 2, HEIGHT / 2, |x, y| f64::from(chroma[y * WIDTH + 2 * x + 1]));
    let mut out = Vec::with_capacity(luma.len() * 3);
    for ((y, u), v) in luma.iter().zip(&u).zip(&v) {
        let y = (y - 16.0) * 255.0 / 219.0;
        let (u, v) = ((u - 128.0) * 255.0 / 224.0, (v - 128.0) * 255.0 / 224.0);
        for value in [y + 1.5748 * v, y - 0.187_324 * u - 0.468_124 * v, y + 1.8556 * u] {
            out.push(value.round().clamp(0.0, 255.0) as u8);
        }
    }
    out
}

fn mean_absolute_error(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

fn frame(nv12: &[u8]) -> Frame {
    let (luma, chroma) = nv12.split_at(WIDTH * HEIGHT);
    let pixels = OwnedPixels { planes: vec![(luma.to_vec(), WIDTH), (chroma.to_vec(), WIDTH)] };
    Frame::now(0, FrameLayout::new(PixelFormat::Nv12, WIDTH, HEIGHT), Box::new(pixels))
}

fn preprocessor(side: usize, dtype: DataType, fit: Fit) -> Preprocessor {
    let shape = vec![1, side, side, 3];
    let input = TensorInfo { name: "input".into(), shape, dtype, quantisation: None };
    Preprocessor::new(&input, fit).expect("a usable tensor")
}

/// What `videoconvertscale` does per frame: its converter, linear, one thread, no dither.
struct Converter {
    converter: gst_video::VideoConverter,
    from: gst_video::VideoInfo,
    to: gst_video::VideoInfo,
    out: gst::Buffer,
}

impl Converter {
    fn new() -> Self {
        let bt709: gst_video::VideoColorimetry = "bt709".parse().expect("a known name");
        let fps = gst::Fraction::new(30, 1);
        let from = gst_video::VideoInfo::builder(gst_video::VideoFormat::Nv12, WIDTH as u32, HEIGHT as u32)
            .colorimetry(&bt709)
            .fps(fps)
            .build()
            .expect("a layout");
        let to = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, SIDE as u32, SIDE as u32)
            .fps(fps)
            .build()
            .expect("a layout");
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
        config.set_threads(1);
        config.set_dither_method(gst_video::VideoDitherMethod::None);
        let converter = gst_video::VideoConverter::new(&from, &to, Some(config)).expect("a converter");
        let out = gst::Buffer::with_size(to.size()).expect("memory");
        Self { converter, from, to, out }
    }

    fn run(&mut self, buffer: &gst::Buffer) {
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &self.from).expect("pixels");
        let out = self.out.get_mut().expect("sole owner");
        let mut to = gst_video::VideoFrameRef::from_buffer_ref_writable(out, &self.to).expect("pixels");
        self.converter.frame_ref(&from, &mut to);
    }

    fn rgb(&self) -> Vec<u8> {
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(&self.out, &self.to).expect("pixels");
        let stride = from.plane_stride()[0] as usize;
        let rows = from.plane_data(0).expect("a plane").chunks(stride);
        rows.take(SIDE).flat_map(|row| &row[..SIDE * 3]).copied().collect()
    }
}

/// Milliseconds per call: the median of rounds.
fn milliseconds(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 20;
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().as_secs_f64() * 1e3 / f64::from(CALLS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    gst::init().expect("GStreamer");
    let mut criterion = Criterion::default().configure_from_args();
    let texture = zone_plate();
    let source = frame(&texture);
    let buffer = gst::Buffer::from_slice(texture.clone());
    let mut theirs = Converter::new();
    let mut ours = preprocessor(SIDE, DataType::U8, Fit::Stretch);
    let mut tensor = vec![0; ours.tensor_bytes()];

    let mut group = criterion.benchmark_group("1080p NV12");
    group.sample_size(20);
    group.bench_function("300x300 RGB, videoconvertscale", |b| b.iter(|| theirs.run(&buffer)));
    group.bench_function("300x300 RGB, ours", |b| {
        b.iter(|| ours.run(&source, black_box(&mut tensor)).expect("a frame"));
    });
    for (name, side, dtype, fit) in [
        ("640x640 letterbox u8, ours", 640, DataType::U8, Fit::Letterbox),
        ("640x640 letterbox f32, ours", 640, DataType::F32, Fit::Letterbox),
        ("300x300 crop u8, ours", 300, DataType::U8, Fit::Crop),
    ] {
        let mut ours = preprocessor(side, dtype, fit);
        let mut tensor = vec![0; ours.tensor_bytes()];
        group.bench_function(name, |b| {
            b.iter(|| ours.run(&source, black_box(&mut tensor)).expect("a frame"));
        });
    }
    let mut view = ViewScaler::new();
    let mut planes = I420Buffer::new();
    for (width, height) in [(1280, 720), (1920, 1080)] {
        group.bench_function(format!("{width}x{height} I420 for the page, ours"), |b| {
            b.iter(|| view.run(&source, width, height, black_box(&mut planes)).expect("a frame"));
        });
    }
    group.finish();

    // Interleaved rounds, so that both see the same machine.
    let (mut ours_ms, mut theirs_ms) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        theirs_ms.push(milliseconds(|| theirs.run(&buffer)));
        ours_ms.push(milliseconds(|| {
            ours.run(&source, black_box(&mut tensor)).expect("a frame");
        }));
    }
    let (ours_ms, theirs_ms) = (median(ours_ms), median(theirs_ms));
    let mut errors = Vec::new();
    for nv12 in [smooth(), texture] {
        let expected = reference(&nv12);
        ours.run(&frame(&nv12), &mut tensor).expect("a frame");
        theirs.run(&gst::Buffer::from_slice(nv12));
        errors.push((mean_absolute_error(&tensor, &expected), mean_absolute_error(&theirs.rgb(), &expected)));
    }
    println!("ratio: {:.3} (ours {ours_ms:.3} ms, videoconvertscale {theirs_ms:.3} ms)", ours_ms / theirs_ms);
    println!(
        "mean absolute error in levels: smooth {:.3} (videoconvertscale {:.3}), zone plate and noise {:.3} \
         (videoconvertscale {:.3})",
        errors[0].0, errors[0].1, errors[1].0, errors[1].1
    );
}
