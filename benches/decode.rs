//! How long reading detections out of a model's outputs takes.
//!
//! YOLOv5 at 640×640: 25200 rows of 85 bytes with so many candidates that pass the threshold, as
//! objects with twelve overlapping boxes each, over random classes. SSD: ten slots; without post-process
//! 1917 rows of 91 scores, twelve rows an object too. Classification: 1001 classes. Segmentation: 513×513.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use spotter::model::decode::anchors::Layout;
use spotter::model::decode::classification::ClassificationDecoder;
use spotter::model::decode::raw_ssd::{Anchors, RawSsd, RawSsdDecoder};
use spotter::model::decode::segmentation::SegmentationDecoder;
use spotter::model::decode::ssd::SsdDecoder;
use spotter::model::decode::yolov5::YoloV5Decoder;
use spotter::model::decode::{Decoder, Output, Scores, Thresholds};
use spotter::vision::predictions::Predictions;
use spotter::vision::tensor::{DataType, Quantisation, TensorInfo};

const ROWS: usize = 25_200;
const COLUMNS: usize = 85;
const THRESHOLDS: Thresholds =
    Thresholds { confidence: 0.25, iou: 0.45, max_detections: 300, multi_label: false };

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }
}

/// Rows of background, `candidates` of them made objects, spread over the tensor.
fn rows(candidates: usize) -> Vec<u8> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut data: Vec<u8> = (0..ROWS * COLUMNS).map(|_| random.below(25) as u8).collect();
    let (mut x, mut y, mut w, mut h, mut class) = (0, 0, 0, 0, 0);
    for candidate in 0..candidates {
        if candidate % 12 == 0 {
            (x, y, w, h) = (random.below(220), random.below(220), 8 + random.below(60), 8 + random.below(60));
            class = random.below(80) as usize;
        }
        let row = &mut data[candidate * (ROWS / candidates) * COLUMNS..][..COLUMNS];
        let jitter = [x, y, w, h].map(|v| (v + random.below(5)) as u8);
        row[..4].copy_from_slice(&jitter);
        row[4] = 160 + random.below(90) as u8;
        row[5 + class] = 160 + random.below(90) as u8;
    }
    data
}

fn decode(criterion: &mut Criterion) {
    let info = TensorInfo {
        name: "rows".into(),
        shape: vec![1, ROWS, COLUMNS],
        dtype: DataType::U8,
        quantisation: Some(Quantisation { scale: 0.004_246_385, zero_point: 1 }),
    };
    for candidates in [0, 120, 720, 3000] {
        let data = rows(candidates);
        let mut decoder = YoloV5Decoder::new(&info).unwrap();
        let mut found = Predictions::default();
        criterion.bench_function(&format!("yolov5 25200x85 u8, {candidates} candidates"), |b| {
            b.iter(|| {
                let outputs = [Output { info: &info, data: black_box(&data) }];
                decoder.decode(&outputs, &THRESHOLDS, &mut found).unwrap();
                black_box(found.detections.len())
            });
        });
    }

    let float = TensorInfo { name: "ssd".into(), shape: vec![], dtype: DataType::F32, quantisation: None };
    let bytes = |values: Vec<f32>| values.into_iter().flat_map(f32::to_ne_bytes).collect::<Vec<u8>>();
    let boxes = bytes((0..40).map(|i| [0.1, 0.2, 0.5, 0.6][i % 4] + i as f32 * 1e-3).collect());
    let classes = bytes((0..10).map(|i| i as f32).collect());
    let scores = bytes((0..10).map(|i| 0.9 - i as f32 * 0.02).collect());
    let count = bytes(vec![10.0]);
    let mut decoder = SsdDecoder::new([0, 1, 2, 3], Some(90));
    let mut found = Predictions::default();
    criterion.bench_function("ssd, 10 slots", |b| {
        b.iter(|| {
            let outputs = [&boxes, &classes, &scores, &count].map(|data| Output { info: &float, data });
            decoder.decode(black_box(&outputs), &THRESHOLDS, &mut found).unwrap();
            black_box(found.detections.len())
        });
    });
}

/// Background below 0.1, and `candidates` rows of 91 scores with one class above 0.6.
fn scores(candidates: usize) -> Vec<f32> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut scores: Vec<f32> = (0..1917 * 91).map(|_| random.below(100) as f32 * 1e-3).collect();
    for candidate in 0..candidates {
        let row = candidate * (1917 / candidates);
        scores[row * 91 + 1 + candidate / 12 % 90] = 0.6 + random.below(400) as f32 * 1e-3;
    }
    scores
}

fn raw_ssd(criterion: &mut Criterion) {
    let mut random = Random(0x1234_5678_9abc_def1);
    let boxes: Vec<f32> = (0..1917 * 4).map(|_| random.below(2000) as f32 * 1e-3 - 1.0).collect();
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
    let bytes = |values: &[f32]| values.iter().map(|v| (v * 128.0 + 128.0) as u8).collect::<Vec<u8>>();
    let head = RawSsd {
        scores: 0,
        boxes: 1,
        anchors: Anchors::Made(Layout::Ssd, 300, 300),
        kind: Scores::Probabilities,
        background: true,
    };
    for dtype in [DataType::F32, DataType::U8] {
        let quantised = dtype == DataType::U8;
        let quantisation = quantised.then_some(Quantisation { scale: 1.0 / 128.0, zero_point: 128 });
        let info =
            |columns| TensorInfo { name: "raw".into(), shape: vec![1, 1917, columns], dtype, quantisation };
        let infos = [info(91), info(4)];
        for candidates in [1, 120] {
            let scores = scores(candidates);
            let data =
                if quantised { [bytes(&scores), bytes(&boxes)] } else { [floats(&scores), floats(&boxes)] };
            let mut decoder = RawSsdDecoder::new(head, &infos).unwrap();
            let mut found = Predictions::default();
            criterion.bench_function(&format!("raw ssd 1917x91 {dtype}, {candidates} candidates"), |b| {
                b.iter(|| {
                    let outputs =
                        [0, 1].map(|i: usize| Output { info: &infos[i], data: black_box(&data[i]) });
                    decoder.decode(&outputs, &THRESHOLDS, &mut found).unwrap();
                    black_box(found.detections.len())
                });
            });
        }
    }
}

fn whole_picture(criterion: &mut Criterion) {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut bench = |name: &str, info: &TensorInfo, decoder: &mut dyn Decoder, limit: u64| {
        let count: usize = info.shape.iter().product();
        let data: Vec<u8> = match info.dtype {
            DataType::I64 => (0..count).flat_map(|_| random.below(limit).to_ne_bytes()).collect(),
            _ => (0..count).map(|_| random.below(limit) as u8).collect(),
        };
        let mut found = Predictions::default();
        criterion.bench_function(name, |b| {
            b.iter(|| {
                let outputs = [Output { info, data: black_box(&data) }];
                decoder.decode(&outputs, &THRESHOLDS, &mut found).unwrap();
                black_box(found.classes.len() + found.mask.classes.len())
            });
        });
    };
    let info = |shape: &[usize], dtype| TensorInfo {
        name: "o".into(),
        shape: shape.to_vec(),
        dtype,
        quantisation: Some(Quantisation { scale: 1.0 / 256.0, zero_point: 0 }),
    };
    let classes = info(&[1, 1001], DataType::U8);
    let mut decoder = ClassificationDecoder::new(&classes, Scores::Probabilities).unwrap();
    bench("classification 1001 u8", &classes, &mut decoder, 256);
    let mask = info(&[1, 513, 513], DataType::I64);
    bench("segmentation 513x513 i64", &mask, &mut SegmentationDecoder::new(&mask).unwrap(), 21);
    let scores = info(&[1, 513, 513, 21], DataType::U8);
    bench("segmentation 513x513x21 u8", &scores, &mut SegmentationDecoder::new(&scores).unwrap(), 256);
}

criterion_group!(benches, decode, raw_ssd, whole_picture);
criterion_main!(benches);
