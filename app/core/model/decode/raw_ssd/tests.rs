use super::*;
use crate::vision::tensor::{DataType, Quantisation};
use proptest::prelude::*;

/// A candidate of the oracle: score, row, class, and box as left, top, right, bottom.
type Candidate = (f64, usize, usize, [f64; 4]);

/// One output: what is said of it, its bytes, and what they mean.
#[derive(Clone, Debug)]
struct Tensor {
    info: TensorInfo,
    data: Vec<u8>,
    reals: Vec<f64>,
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    let info =
        TensorInfo { name: "f".into(), shape: shape.to_vec(), dtype: DataType::F32, quantisation: None };
    let data = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    Tensor { info, data, reals: values.iter().map(|value| f64::from(*value)).collect() }
}

fn bytes(shape: &[usize], values: &[u8], signed: bool, scale: f32, zero_point: i32) -> Tensor {
    let dtype = if signed { DataType::I8 } else { DataType::U8 };
    let quantisation = Some(Quantisation { scale, zero_point });
    let info = TensorInfo { name: "b".into(), shape: shape.to_vec(), dtype, quantisation };
    let number = |byte: u8| if signed { f32::from(byte as i8) } else { f32::from(byte) };
    let real = |byte: &u8| f64::from((number(*byte) - zero_point as f32) * scale);
    Tensor { info, data: values.to_vec(), reals: values.iter().map(real).collect() }
}

/// The operator's documented steps, one after the other over 64-bit reals. `anchors` are centre y, centre
/// x, height, width, or with `corners` left, top, right, bottom.
fn oracle(
    head: &RawSsd,
    scores: &Tensor,
    boxes: &Tensor,
    anchors: &[[f64; 4]],
    corners: bool,
    t: &Thresholds,
) -> Vec<Candidate> {
    let columns = scores.info.shape[2];
    let first = usize::from(head.background);
    let mut found: Vec<Candidate> = Vec::new();
    for (row, anchor) in anchors.iter().enumerate() {
        let raw = &scores.reals[row * columns + first..(row + 1) * columns];
        let code = &boxes.reals[row * 4..][..4];
        let rect = if corners {
            let size = [anchor[2] - anchor[0], anchor[3] - anchor[1]];
            [0, 1, 2, 3].map(|i| anchor[i] + code[i] * size[i % 2])
        } else {
            let (y, x) = (code[0] / 10.0 * anchor[2] + anchor[0], code[1] / 10.0 * anchor[3] + anchor[1]);
            let (h, w) = ((code[2] / 5.0).exp() * anchor[2], (code[3] / 5.0).exp() * anchor[3]);
            [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
        };
        if rect[2] <= rect[0] || rect[3] <= rect[1] {
            continue;
        }
        let best = (0..raw.len()).fold(0, |best, class| if raw[class] > raw[best] { class } else { best });
        for (class, value) in raw.iter().enumerate().filter(|(class, _)| t.multi_label || *class == best) {
            let score = match head.kind {
                Scores::Probabilities => value.min(1.0),
                // In 32 bits, so that large logits are equally sure in both and keep their order.
                Scores::Logits => f64::from(1.0 / (1.0 + (-*value as f32).exp())),
            };
            if score >= f64::from(t.confidence) && score > 0.0 {
                found.push((score, row, class, rect));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(3000);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in found {
        let overlaps =
            |other: &Candidate| other.2 == candidate.2 && iou(&other.3, &candidate.3) > f64::from(t.iou);
        if !kept.iter().any(overlaps) {
            kept.push(candidate);
        }
    }
    kept.truncate(t.max_detections);
    kept
}

fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let w = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let h = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let area = |r: &[f64; 4]| (r[2] - r[0]) * (r[3] - r[1]);
    w * h / (area(a) + area(b) - w * h + 1e-9)
}

fn decode(head: RawSsd, tensors: &[&Tensor], t: &Thresholds) -> Vec<Detection> {
    let infos: Vec<TensorInfo> = tensors.iter().map(|tensor| tensor.info.clone()).collect();
    let outputs: Vec<Output<'_>> =
        tensors.iter().map(|tensor| Output { info: &tensor.info, data: &tensor.data }).collect();
    let mut decoder = RawSsdDecoder::new(head, &infos).unwrap();
    let mut found = Predictions::default();
    // Twice: scratch memory must not leak into the next frame.
    for _ in 0..2 {
        decoder.decode(&outputs, t, &mut found).unwrap();
    }
    found.detections
}

/// The same detections, up to rounding: scores that differ in the last bits may change places, and a box
/// whose overlap is the threshold may go either way, so those cases are left out by the callers.
fn assert_same(found: &[Detection], expected: &[Candidate]) {
    let expected: Vec<(f64, usize, Rect)> = expected
        .iter()
        .map(|(score, _, class, [l, t, r, b])| {
            (*score, *class, Rect::new(*l as f32, *t as f32, *r as f32, *b as f32).clamped())
        })
        .filter(|(_, _, rect)| rect.is_valid())
        .collect();
    assert_eq!(found.len(), expected.len());
    let mut taken = vec![false; expected.len()];
    for detection in found {
        let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
        let partner = expected.iter().enumerate().position(|(i, (score, class, rect))| {
            !taken[i]
                && *class == detection.class as usize
                && (score - f64::from(detection.score)).abs() < 1e-5
                && near(rect.left, detection.rect.left)
                && near(rect.top, detection.rect.top)
                && near(rect.right, detection.rect.right)
                && near(rect.bottom, detection.rect.bottom)
        });
        taken[partner.unwrap_or_else(|| panic!("{detection:?} is not expected"))] = true;
    }
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
}

const SMALL: (Layout, usize, usize) = (Layout::Ssd, 32, 32);

fn made() -> Anchors {
    Anchors::Made(SMALL.0, SMALL.1, SMALL.2)
}

fn small_anchors() -> Vec<[f64; 4]> {
    SMALL.0.anchors(SMALL.1, SMALL.2).into_iter().map(|anchor| anchor.map(f64::from)).collect()
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let confidence = prop_oneof![0.05f32..0.9, Just(0.25)];
    (confidence, 0usize..300, any::<bool>()).prop_map(|(confidence, max_detections, multi_label)| {
        // No two sixteenths-free boxes overlap by exactly this.
        Thresholds { confidence, iou: 0.437_219, max_detections, multi_label }
    })
}

/// Values of a fixed sequence, so that the cases of a property need not carry thousands of numbers.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// Distinct, so that no ties depend on rounding: noise with its place in the last digits.
fn distinct(seed: u64, count: usize, low: f32, high: f32) -> Vec<f32> {
    let range = (high - low) / 256.0;
    noise(seed, count)
        .iter()
        .enumerate()
        .map(|(i, byte)| low + range * (f32::from(*byte) + i as f32 / count.max(1) as f32 * 0.9))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn floats_are_read_as_the_oracle_does(
        seed: u64, classes in 1usize..40, background: bool, logits: bool, t in thresholds(),
    ) {
        let anchors = small_anchors();
        let (rows, columns) = (anchors.len(), classes + usize::from(background));
        let kind = if logits { Scores::Logits } else { Scores::Probabilities };
        let (low, high) = if logits { (-9.0, 3.0) } else { (-0.3, 1.0) };
        let scores = floats(&[1, rows, columns], &distinct(seed, rows * columns, low, high));
        let boxes = floats(&[1, rows, 4], &distinct(seed ^ 77, rows * 4, -6.0, 6.0));
        let head = RawSsd { scores: 1, boxes: 0, anchors: made(), kind, background };
        // A score that is the threshold but for rounding could go either way.
        let probability = |v: &f64| if logits { 1.0 / (1.0 + (-v).exp()) } else { *v };
        prop_assume!(scores.reals.iter().all(|v| (probability(v) - f64::from(t.confidence)).abs() > 1e-6));
        // The cut at the number of detections could fall between two that rounding exchanges.
        let t = Thresholds { max_detections: t.max_detections.max(rows * classes), ..t };
        assert_same(&decode(head, &[&boxes, &scores], &t), &oracle(&head, &scores, &boxes, &anchors, false, &t));
    }

    #[test]
    fn bytes_are_read_as_the_oracle_does(
        seed: u64, classes in 1usize..40, background: bool, logits: bool, signed: bool, t in thresholds(),
        zero_point in -140i32..270, box_zero_point in 0i32..256,
    ) {
        let anchors = small_anchors();
        let (rows, columns) = (anchors.len(), classes + usize::from(background));
        let kind = if logits { Scores::Logits } else { Scores::Probabilities };
        let scale = if logits { 0.043 } else { 1.0 / 256.0 };
        let scores = bytes(&[1, rows, columns], &noise(seed, rows * columns), signed, scale, zero_point);
        let lowest = if signed { -128 } else { 0 };
        let codes = noise(seed ^ 77, rows * 4);
        let boxes = bytes(&[1, rows, 4], &codes, signed, 0.047, box_zero_point + lowest);
        let head = RawSsd { scores: 0, boxes: 1, anchors: made(), kind, background };
        let probability = |v: &f64| if logits { 1.0 / (1.0 + (-v).exp()) } else { *v };
        prop_assume!(scores.reals.iter().all(|v| (probability(v) - f64::from(t.confidence)).abs() > 1e-6));
        let t = Thresholds { max_detections: t.max_detections.max(rows * classes), ..t };
        let expected = oracle(&head, &scores, &boxes, &anchors, false, &t);
        assert_same(&decode(head, &[&scores, &boxes], &t), &expected);
    }

    #[test]
    fn anchors_of_corners_are_told_from_centres(seed: u64, corners: bool, batched: bool, signed: bool) {
        let made = small_anchors();
        let rows = made.len();
        let given: Vec<f32> = made
            .iter()
            .flat_map(|[y, x, h, w]| match corners {
                true => [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0],
                false => [*y, *x, *h, *w],
            })
            .map(|value| value as f32)
            .collect();
        let shape = [1, rows, 4];
        let shape = &shape[usize::from(!batched)..];
        // Bytes as quantised models have them: a step is a hundredth of the input.
        let quantised: Vec<u8> = given.iter().map(|v| ((v / 0.01).round() as i32 + 64).clamp(0, 255) as u8).collect();
        let anchors = match signed {
            true => bytes(shape, &quantised, false, 0.01, 64),
            false => floats(shape, &given),
        };
        let scores = floats(&[1, rows, 6], &distinct(seed, rows * 6, 0.0, 1.0));
        let boxes = floats(&[1, rows, 4], &distinct(seed ^ 5, rows * 4, -0.3, 0.3));
        let head = RawSsd {
            scores: 2,
            boxes: 1,
            anchors: Anchors::Output(0),
            kind: Scores::Probabilities,
            background: true,
        };
        let t = Thresholds { confidence: 0.7331, iou: 0.437_219, max_detections: 9999, multi_label: false };
        let reals: Vec<[f64; 4]> =
            anchors.reals.chunks_exact(4).map(|row| [row[0], row[1], row[2], row[3]]).collect();
        let found = decode(head, &[&anchors, &boxes, &scores], &t);
        prop_assert!(found.len() > 3);
        assert_same(&found, &oracle(&head, &scores, &boxes, &reals, corners, &t));
    }

    #[test]
    fn any_floats_give_sound_detections(
        bits in proptest::collection::vec(any::<u32>(), 64), logits: bool, confidence in -1.0f32..1.1,
        multi_label: bool, from_output: bool,
    ) {
        let rows = small_anchors().len();
        let any = |count: usize, from: usize| -> Vec<f32> {
            (0..count).map(|i| f32::from_bits(bits[(i * 7 + from) % 64].rotate_left(i as u32 % 31))).collect()
        };
        let scores = floats(&[1, rows, 4], &any(rows * 4, 1));
        let boxes = floats(&[1, rows, 4], &any(rows * 4, 2));
        let anchors = floats(&[rows, 4], &any(rows * 4, 3));
        let kind = if logits { Scores::Logits } else { Scores::Probabilities };
        let source = if from_output { Anchors::Output(2) } else { made() };
        let head = RawSsd { scores: 0, boxes: 1, anchors: source, kind, background: false };
        let t = Thresholds { confidence, iou: 0.5, max_detections: 50, multi_label };
        let found = decode(head, &[&scores, &boxes, &anchors], &t);
        prop_assert!(found.len() <= 50 && found.is_sorted_by(|a, b| a.score >= b.score));
        for d in found {
            prop_assert!(d.rect.is_valid() && d.rect == d.rect.clamped() && d.class < 4);
            prop_assert!(d.score >= confidence && d.score > 0.0 && d.score <= 1.0);
        }
    }
}

const KEEP: Thresholds = Thresholds { confidence: 0.5, iou: 0.5, max_detections: 100, multi_label: false };

/// All rows background but one, as bytes: row 4 of 2 classes and a background.
fn one_object(score_zero_point: i32, box_zero_point: i32) -> (Vec<Tensor>, RawSsd) {
    let rows = small_anchors().len();
    let (mut scores, mut codes) = (vec![20u8; rows * 3], vec![100u8; rows * 4]);
    scores[4 * 3..][..3].copy_from_slice(&[250, 30, 220]);
    codes[4 * 4..][..4].copy_from_slice(&[110, 90, 100, 120]);
    let scores = bytes(&[1, rows, 3], &scores, false, 0.004, score_zero_point);
    let boxes = bytes(&[1, rows, 4], &codes, false, 0.1, box_zero_point);
    let head = RawSsd { scores: 0, boxes: 1, anchors: made(), kind: Scores::Probabilities, background: true };
    (vec![scores, boxes], head)
}

#[test]
fn one_object_by_hand() {
    let (tensors, head) = one_object(20, 100);
    let found = decode(head, &[&tensors[0], &tensors[1]], &KEEP);
    assert_eq!(found.len(), 1, "{found:?}");
    // The second class without background; (220 - 20) * 0.004.
    assert_eq!(found[0].class, 1);
    assert!((found[0].score - 0.8).abs() < 1e-6);
    // Row 4 is the second anchor of the second cell of the first grid (2x2 cells of 32x32 pixels): centre
    // 0.25 0.75, scale 0.2 and ratio 2. ty is 1, tx -1, th 0, tw 2.
    let (h, w) = (0.2 / 2f32.sqrt(), 0.2 * 2f32.sqrt());
    let (y, x) = (0.25 + 0.1 * h, 0.75 - 0.1 * w);
    let w = w * 0.4f32.exp();
    let r = found[0].rect;
    for (edge, value) in
        [(r.left, x - w / 2.0), (r.top, y - h / 2.0), (r.right, x + w / 2.0), (r.bottom, y + h / 2.0)]
    {
        assert!((edge - value).abs() < 1e-6, "{r:?}");
    }
}

#[test]
fn zero_points_matter() {
    let run = |score_zero_point, box_zero_point| {
        let (tensors, head) = one_object(score_zero_point, box_zero_point);
        decode(head, &[&tensors[0], &tensors[1]], &KEEP)
    };
    let right = run(20, 100);
    assert!((run(0, 100)[0].score - right[0].score).abs() > 0.05);
    let moved = run(20, 90)[0].rect;
    assert!((moved.left - right[0].rect.left).abs() > 0.01 && moved.height() > right[0].rect.height());
    // The same values written as signed bytes are the same detections.
    let (mut tensors, head) = one_object(20 - 128, 100 - 128);
    for tensor in &mut tensors {
        tensor.info.dtype = DataType::I8;
        tensor.data.iter_mut().for_each(|byte| *byte ^= 0x80);
    }
    assert_eq!(decode(head, &[&tensors[0], &tensors[1]], &KEEP), right);
}

#[test]
fn a_score_at_the_threshold_is_kept() {
    let rows = small_anchors().len();
    let boxes = floats(&[1, rows, 4], &vec![0.0; rows * 4]);
    let at = |kind, low: f32, value: f32, confidence| {
        let mut scores = vec![low; rows];
        scores[0] = value;
        let head = RawSsd { scores: 0, boxes: 1, anchors: made(), kind, background: false };
        let scores = floats(&[1, rows, 1], &scores);
        decode(head, &[&scores, &boxes], &Thresholds { confidence, ..KEEP }).len()
    };
    assert_eq!(at(Scores::Probabilities, 0.0, 0.5, 0.5), 1);
    assert_eq!(at(Scores::Probabilities, 0.0, 0.499_99, 0.5), 0);
    assert_eq!(at(Scores::Logits, -20.0, 0.0, 0.5), 1);
    assert_eq!(at(Scores::Logits, -20.0, -1e-5, 0.5), 0);
    assert_eq!(at(Scores::Logits, -20.0, 30.0, 1.0), 1, "a sigmoid that is 1 reaches 1");
    assert_eq!(at(Scores::Probabilities, 0.0, 0.01, f32::NAN), 1);
    assert_eq!(at(Scores::Probabilities, 0.0, 0.01, -1.0), 1, "no score is no detection");
    assert_eq!(at(Scores::Probabilities, 0.0, f32::NAN, 0.0), 0);
}

#[test]
fn outputs_that_are_no_head_are_refused() {
    let rows = small_anchors().len();
    let head = RawSsd { scores: 0, boxes: 1, anchors: made(), kind: Scores::Probabilities, background: true };
    let scores = floats(&[1, rows, 3], &[]).info;
    let boxes = floats(&[1, rows, 4], &[]).info;
    assert!(RawSsdDecoder::new(head, &[scores.clone(), boxes.clone()]).is_ok());
    let shaped = |info: &TensorInfo, shape: &[usize]| TensorInfo { shape: shape.to_vec(), ..info.clone() };
    let typed = |info: &TensorInfo, dtype| TensorInfo { dtype, ..info.clone() };
    for bad in [
        vec![],
        vec![scores.clone()],
        vec![shaped(&scores, &[1, rows, 1]), boxes.clone()],
        vec![shaped(&scores, &[1, rows + 1, 3]), boxes.clone()],
        vec![shaped(&scores, &[1, usize::MAX / 2, 3]), boxes.clone()],
        vec![shaped(&scores, &[1, MAX_ROWS + 1, 3]), shaped(&boxes, &[1, MAX_ROWS + 1, 4])],
        vec![scores.clone(), shaped(&boxes, &[1, rows, 5])],
        vec![scores.clone(), shaped(&boxes, &[1, rows - 1, 4])],
        vec![typed(&scores, DataType::U8), boxes.clone()],
        vec![scores.clone(), typed(&boxes, DataType::I16)],
    ] {
        assert!(RawSsdDecoder::new(head, &bad).is_err(), "{bad:?}");
    }
    let with_anchors = RawSsd { anchors: Anchors::Output(2), ..head };
    assert!(RawSsdDecoder::new(with_anchors, &[scores.clone(), boxes.clone()]).is_err());
    let other = shaped(&boxes, &[rows, 3]);
    assert!(RawSsdDecoder::new(with_anchors, &[scores.clone(), boxes.clone(), other]).is_err());

    let mut decoder = RawSsdDecoder::new(head, &[scores.clone(), boxes.clone()]).unwrap();
    let short = [Output { info: &scores, data: &[0; 8] }, Output { info: &boxes, data: &[] }];
    let error = decoder.decode(&short, &KEEP, &mut Predictions::default()).unwrap_err();
    let expected = format!("the output {scores} has 8 bytes, its shape needs {}", rows * 12);
    assert_eq!(error.to_string(), expected);
}
