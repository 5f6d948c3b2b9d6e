use super::*;
use crate::vision::tensor::{DataType, Quantisation};
use proptest::prelude::*;

/// A candidate of the oracle: score, class, and box as top, left, bottom, right.
type Candidate = (f32, u32, [f32; 4]);

/// The published evaluation, step by step over reals.
fn oracle(rows: &[Vec<f32>], t: &Thresholds) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for row in rows.iter().filter(|row| row[4] > t.confidence) {
        let [x, y, w, h] = [row[0], row[1], row[2], row[3]];
        let edges = [y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0];
        // The one difference: boxes without area are no boxes.
        if edges[2] <= edges[0] || edges[3] <= edges[1] {
            continue;
        }
        let scores: Vec<f32> = row[5..].iter().map(|class| class * row[4]).collect();
        if t.multi_label {
            for (class, score) in scores.iter().enumerate().filter(|(_, score)| **score > t.confidence) {
                found.push((*score, class as u32, edges));
            }
        } else {
            let mut best = 0;
            for class in 1..scores.len() {
                if scores[class] > scores[best] {
                    best = class;
                }
            }
            if scores[best] > t.confidence {
                found.push((scores[best], best as u32, edges));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(3000);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in found {
        let overlaps = |other: &Candidate| other.1 == candidate.1 && iou(&other.2, &candidate.2) > t.iou;
        if !kept.iter().any(overlaps) {
            kept.push(candidate);
        }
    }
    kept.truncate(t.max_detections);
    kept
}

fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let h = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let w = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let i = h * w;
    i / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - i + 1e-9)
}

fn info(dtype: DataType, rows: usize, columns: usize, quantisation: Option<Quantisation>) -> TensorInfo {
    TensorInfo { name: "o".into(), shape: vec![1, rows, columns], dtype, quantisation }
}

fn decode(info: &TensorInfo, data: &[u8], t: &Thresholds) -> Vec<Detection> {
    let mut found = Predictions::default();
    let mut decoder = YoloV5Decoder::new(info).unwrap();
    // Twice: scratch memory must not leak into the next frame.
    for _ in 0..2 {
        decoder.decode(&[Output { info, data }], t, &mut found).unwrap();
    }
    found.detections
}

/// What the bytes of `data` mean, row by row.
fn reals(info: &TensorInfo, data: &[u8]) -> Vec<Vec<f32>> {
    let q = info.quantisation.unwrap_or(Quantisation { scale: 1.0, zero_point: 0 });
    let real = |value: f32| (value - q.zero_point as f32) * q.scale;
    let values: Vec<f32> = match info.dtype {
        DataType::U8 => data.iter().map(|b| real(f32::from(*b))).collect(),
        DataType::I8 => data.iter().map(|b| real(f32::from(*b as i8))).collect(),
        _ => data.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect(),
    };
    values.chunks_exact(info.shape[2]).map(<[f32]>::to_vec).collect()
}

fn assert_same(info: &TensorInfo, data: &[u8], t: &Thresholds) -> Vec<Detection> {
    let found = decode(info, data, t);
    let expected = oracle(&reals(info, data), t);
    let expected: Vec<Detection> = expected
        .iter()
        .map(|(score, class, [top, left, bottom, right])| Detection {
            class: *class,
            score: score.min(1.0),
            rect: Rect::new(*left, *top, *right, *bottom),
        })
        .collect();
    assert_eq!(found, expected, "{info} {t:?}");
    found
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let confidence = prop_oneof![0.0f32..0.9, Just(0.25), Just(0.001)];
    (confidence, 0.0f32..1.0, 0usize..60, any::<bool>()).prop_map(
        |(confidence, iou, max_detections, multi_label)| Thresholds {
            confidence,
            iou,
            max_detections,
            multi_label,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn bytes_are_read_as_the_oracle_does(
        data in proptest::collection::vec(any::<u8>(), 0..1500), classes in 1usize..30,
        zero_point in -300i32..300, step in 0.001f32..0.02, signed: bool, t in thresholds(),
    ) {
        let columns = classes + 5;
        let rows = data.len() / columns;
        let dtype = if signed { DataType::I8 } else { DataType::U8 };
        let info = info(dtype, rows, columns, Some(Quantisation { scale: step, zero_point }));
        assert_same(&info, &data[..rows * columns], &t);
    }

    #[test]
    fn floats_are_read_as_the_oracle_does(
        data in proptest::collection::vec(-0.1f32..1.1, 0..1500), classes in 1usize..30, t in thresholds(),
    ) {
        let columns = classes + 5;
        let rows = data.len() / columns;
        let bytes: Vec<u8> = data[..rows * columns].iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_same(&info(DataType::F32, rows, columns, None), &bytes, &t);
    }

    #[test]
    fn any_floats_give_sound_detections(
        data in proptest::collection::vec(any::<u32>(), 0..700), t in thresholds(),
    ) {
        let rows = data.len() / 7;
        let bytes: Vec<u8> = data[..rows * 7].iter().flat_map(|v| v.to_ne_bytes()).collect();
        for d in decode(&info(DataType::F32, rows, 7, None), &bytes, &t) {
            prop_assert!(d.rect.is_valid() && d.class < 2 && d.score > t.confidence && d.score <= 1.0);
        }
    }
}

const DEPLOY: Thresholds =
    Thresholds { confidence: 0.25, iou: 0.45, max_detections: 300, multi_label: false };

/// Bytes of `[1,rows,columns]` from a fixed sequence.
fn noise(rows: usize, columns: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..rows * columns).map(|_| next()).collect()
}

#[test]
fn more_than_3000_candidates_are_cut_like_the_oracle() {
    let quantisation = Some(Quantisation { scale: 1.0 / 255.0, zero_point: 0 });
    for (rows, columns, multi_label) in [(5000, 8, false), (3000, 45, true), (6000, 45, true)] {
        let data = noise(rows, columns);
        let t = Thresholds { confidence: 0.001, iou: 0.6, max_detections: 300, multi_label };
        let found = assert_same(&info(DataType::U8, rows, columns, quantisation), &data, &t);
        assert!(found.len() > 10);
    }
}

#[test]
fn one_object_by_hand() {
    let quantisation = Some(Quantisation { scale: 0.01, zero_point: 10 });
    let info = info(DataType::U8, 2, 8, quantisation);
    // Centre 0.5 0.4, size 0.2 0.4, objectness 0.9, class 2 of 3 at 0.8; and a background row.
    let data = [60, 50, 30, 50, 100, 10, 10, 90, 60, 50, 30, 50, 30, 10, 10, 90];
    let found = decode(&info, &data, &DEPLOY);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].class, 2);
    assert!((found[0].score - 0.72).abs() < 1e-6);
    let r = found[0].rect;
    for (edge, value) in [(r.left, 0.4), (r.top, 0.2), (r.right, 0.6), (r.bottom, 0.6)] {
        assert!((edge - value).abs() < 1e-6, "{r:?}");
    }
}

#[test]
fn the_zero_point_matters() {
    let data = [60, 50, 30, 50, 100, 10, 10, 90];
    let with = |zero_point| {
        let quantisation = Some(Quantisation { scale: 0.01, zero_point });
        decode(&info(DataType::U8, 1, 8, quantisation), &data, &DEPLOY)
    };
    let (right, ignored) = (with(10), with(0));
    assert!((right[0].score - ignored[0].score).abs() > 0.1);
    assert!((right[0].rect.left - ignored[0].rect.left).abs() > 0.01);
    // The same values written as signed bytes are the same detections.
    let signed: Vec<u8> = data.iter().map(|b| b ^ 0x80).collect();
    let quantisation = Some(Quantisation { scale: 0.01, zero_point: 10 - 128 });
    assert_eq!(decode(&info(DataType::I8, 1, 8, quantisation), &signed, &DEPLOY), right);
}

/// The same objects in parts of an input of 640x320 and in pixels of it.
#[test]
fn boxes_in_pixels_are_told_by_the_last_row() {
    let parts = [
        [0.5f32, 0.4, 0.2, 0.5, 0.9, 0.8],
        [0.2, 0.6, 0.1, 0.3, 0.7, 0.9],
        // Background in the lower right corner.
        [0.99, 0.98, 0.1, 0.1, 0.0, 0.0],
    ];
    let pixels = parts.map(|[x, y, w, h, o, c]| [x * 640.0, y * 320.0, w * 640.0, h * 320.0, o, c]);
    let run = |rows: [[f32; 6]; 3], size: Option<(usize, usize)>| {
        let info = info(DataType::F32, 3, 6, None);
        let data: Vec<u8> = rows.as_flattened().iter().flat_map(|v| v.to_ne_bytes()).collect();
        let mut decoder = YoloV5Decoder::new(&info).unwrap();
        if let Some((height, width)) = size {
            decoder = decoder.for_input(height, width);
        }
        let mut found = Predictions::default();
        decoder.decode(&[Output { info: &info, data: &data }], &DEPLOY, &mut found).unwrap();
        found.detections
    };
    let expected = run(parts, None);
    assert_eq!(expected.len(), 2);
    assert_eq!(run(parts, Some((320, 640))), expected);
    let found = run(pixels, Some((320, 640)));
    assert_eq!(found.len(), 2);
    for (found, expected) in found.iter().zip(&expected) {
        let (a, b) = (found.rect, expected.rect);
        let edges = [(a.left, b.left), (a.top, b.top), (a.right, b.right), (a.bottom, b.bottom)];
        assert!(edges.iter().all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
        assert_eq!((found.score, found.class), (expected.score, expected.class));
    }
    // Bytes: a step of 3 pixels.
    let info = info(DataType::U8, 2, 6, Some(Quantisation { scale: 3.0, zero_point: 5 }));
    let mut decoder = YoloV5Decoder::new(&info).unwrap().for_input(640, 640);
    let mut found = Predictions::default();
    // Sure of everything: a step is more than one.
    let data = [105, 105, 25, 45, 6, 6, 210, 210, 6, 6, 5, 5];
    decoder.decode(&[Output { info: &info, data: &data }], &DEPLOY, &mut found).unwrap();
    assert_eq!(
        found.detections[0].rect,
        Rect::new(270.0 / 640.0, 240.0 / 640.0, 330.0 / 640.0, 360.0 / 640.0)
    );
}

#[test]
fn thresholds_are_strict() {
    let quantisation = Some(Quantisation { scale: 0.25, zero_point: 0 });
    let info = info(DataType::U8, 1, 6, quantisation);
    let at = |t: Thresholds| decode(&info, &[2, 2, 1, 1, 2, 2], &t).len();
    assert_eq!(at(Thresholds { confidence: 0.25, ..DEPLOY }), 0, "score is exactly 0.25");
    assert_eq!(at(Thresholds { confidence: 0.2499, ..DEPLOY }), 1);
    assert_eq!(at(Thresholds { confidence: f32::NAN, ..DEPLOY }), 1);
    assert_eq!(at(Thresholds { confidence: -1.0, ..DEPLOY }), 1);
}

#[test]
fn outputs_that_are_no_head_are_refused() {
    let q = Some(Quantisation { scale: 0.1, zero_point: 0 });
    for bad in [
        info(DataType::U8, 10, 5, q),
        info(DataType::U8, 10, 85, None),
        info(DataType::I16, 10, 85, q),
        info(DataType::U8, usize::MAX / 80, 85, q),
        TensorInfo { shape: vec![10, 85], ..info(DataType::U8, 1, 1, q) },
    ] {
        assert!(YoloV5Decoder::new(&bad).is_err(), "{bad}");
    }
    let info = info(DataType::U8, 10, 85, q);
    let short = Output { info: &info, data: &[0; 849] };
    let mut decoder = YoloV5Decoder::new(&info).unwrap();
    let error = decoder.decode(&[short], &DEPLOY, &mut Predictions::default()).unwrap_err();
    assert_eq!(error.to_string(), "the output o [1,10,85] uint8 has 849 bytes, its shape needs 850");
}
