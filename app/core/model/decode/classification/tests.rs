use super::*;
use crate::vision::tensor::{DataType, Quantisation};
use proptest::prelude::*;

const ANY: Thresholds = Thresholds { confidence: 0.9, iou: 0.5, max_detections: 1, multi_label: false };

fn info(dtype: DataType, shape: &[usize], quantisation: Option<(f32, i32)>) -> TensorInfo {
    let quantisation = quantisation.map(|(scale, zero_point)| Quantisation { scale, zero_point });
    TensorInfo { name: "p".into(), shape: shape.to_vec(), dtype, quantisation }
}

fn decode(info: &TensorInfo, kind: Scores, data: &[u8]) -> Vec<ClassScore> {
    let mut found =
        Predictions { classes: vec![ClassScore { class: 9, score: 9.0 }], ..Predictions::default() };
    ClassificationDecoder::new(info, kind)
        .unwrap()
        .decode(&[Output { info, data }], &ANY, &mut found)
        .unwrap();
    assert!(found.detections.is_empty() && found.mask.is_empty());
    found.classes
}

/// As `numpy.argsort(-p, kind="stable")[:5]`, over reals, with a softmax before for logits.
fn oracle(values: &[f64], kind: Scores) -> Vec<(u32, f64)> {
    let mut all: Vec<(u32, f64)> = (0..).zip(values.iter().copied()).collect();
    if kind == Scores::Logits {
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = values.iter().map(|value| (value - highest).exp()).sum();
        all.iter_mut().for_each(|(_, value)| *value = (*value - highest).exp() / sum);
    }
    // Sorted by what was given: a softmax of very unlike numbers makes zeros of many of them.
    all.sort_by(|a, b| values[b.0 as usize].total_cmp(&values[a.0 as usize]));
    all.truncate(5);
    all
}

fn assert_same(found: &[ClassScore], expected: &[(u32, f64)]) {
    let classes = |list: &[ClassScore]| list.iter().map(|c| c.class).collect::<Vec<_>>();
    assert_eq!(classes(found), expected.iter().map(|(class, _)| *class).collect::<Vec<_>>());
    for (found, (class, score)) in found.iter().zip(expected) {
        assert!((f64::from(found.score) - score.clamp(0.0, 1.0)).abs() < 1e-4, "{class} {score} {found:?}");
    }
}

proptest! {
    #[test]
    fn bytes_are_ranked_as_the_oracle_does(
        data in proptest::collection::vec(any::<u8>(), 2..300), signed: bool, logits: bool,
        scale in 0.001f32..0.3, zero_point in -130i32..260,
    ) {
        let dtype = if signed { DataType::I8 } else { DataType::U8 };
        let kind = if logits { Scores::Logits } else { Scores::Probabilities };
        let number = |byte: u8| if signed { f64::from(byte as i8) } else { f64::from(byte) };
        let real = |byte: &u8| (number(*byte) - f64::from(zero_point)) * f64::from(scale);
        let reals: Vec<f64> = data.iter().map(real).collect();
        let info = info(dtype, &[1, 1, 1, data.len()], Some((scale, zero_point)));
        assert_same(&decode(&info, kind, &data), &oracle(&reals, kind));
    }

    #[test]
    fn floats_are_ranked_as_the_oracle_does(
        values in proptest::collection::vec(prop_oneof![-20.0f32..20.0, Just(1.0)], 2..300), logits: bool,
    ) {
        let kind = if logits { Scores::Logits } else { Scores::Probabilities };
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let reals: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        let info = info(DataType::F32, &[1, values.len()], None);
        assert_same(&decode(&info, kind, &data), &oracle(&reals, kind));
    }

    #[test]
    fn any_floats_give_sound_scores(values in proptest::collection::vec(any::<u32>(), 2..40), logits: bool) {
        let kind = if logits { Scores::Logits } else { Scores::Probabilities };
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        for found in decode(&info(DataType::F32, &[1, values.len()], None), kind, &data) {
            prop_assert!((0.0..=1.0).contains(&found.score) && (found.class as usize) < values.len());
        }
    }
}

#[test]
fn ties_go_to_the_lower_index_and_there_are_five_at_most() {
    let info = info(DataType::U8, &[1, 8], Some((1.0 / 256.0, 0)));
    let found = decode(&info, Scores::Probabilities, &[3, 9, 9, 1, 3, 200, 3, 3]);
    let listed: Vec<(u32, f32)> = found.iter().map(|c| (c.class, c.score * 256.0)).collect();
    assert_eq!(listed, [(5, 200.0), (1, 9.0), (2, 9.0), (0, 3.0), (4, 3.0)]);
    let two = TensorInfo { shape: vec![1, 2], ..info };
    assert_eq!(decode(&two, Scores::Probabilities, &[1, 2]).len(), 2);
}

#[test]
fn the_zero_point_matters() {
    let score = |dtype, zero_point, data: &[u8]| {
        decode(&info(dtype, &[1, 2], Some((1.0 / 256.0, zero_point))), Scores::Probabilities, data)[0]
    };
    assert_eq!(score(DataType::U8, 0, &[64, 192]), ClassScore { class: 1, score: 0.75 });
    assert_eq!(score(DataType::U8, 64, &[64, 192]), ClassScore { class: 1, score: 0.5 });
    // 192 less 128 as signed bytes; as unsigned ones the first would be the larger.
    assert_eq!(score(DataType::I8, -128, &[192, 64]), ClassScore { class: 1, score: 0.75 });
    // Logits of 0 and ln 3.
    let logits = info(DataType::I8, &[1, 2], Some((3f32.ln() / 10.0, 5)));
    let found = decode(&logits, Scores::Logits, &[5, 15]);
    assert!((found[0].score - 0.75).abs() < 1e-6 && (found[1].score - 0.25).abs() < 1e-6, "{found:?}");
}

#[test]
fn numbers_that_are_none_are_passed_over() {
    let info = info(DataType::F32, &[1, 4], None);
    let data = |values: [f32; 4]| values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
    let found = decode(&info, Scores::Logits, &data([f32::NAN, 0.0, f32::INFINITY, f32::NEG_INFINITY]));
    let listed: Vec<(u32, f32)> = found.iter().map(|c| (c.class, c.score)).collect();
    assert_eq!(listed, [(2, 1.0), (1, 0.0), (3, 0.0)]);
    assert!(decode(&info, Scores::Logits, &data([f32::NAN; 4])).is_empty());
}

#[test]
fn outputs_that_are_no_head_are_refused() {
    let refused = |info: TensorInfo| ClassificationDecoder::new(&info, Scores::Logits).is_err();
    assert!(refused(info(DataType::F32, &[1, 1], None)));
    assert!(refused(info(DataType::F32, &[1, 7, 7, 10], None)));
    assert!(refused(info(DataType::F32, &[2, 10], None)));
    assert!(refused(info(DataType::I64, &[1, 10], None)));
    assert!(refused(info(DataType::U8, &[1, 10], None)), "bytes without a meaning");
    let info = info(DataType::F32, &[1, 10], None);
    let mut decoder = ClassificationDecoder::new(&info, Scores::Logits).unwrap();
    let error = decoder.decode(&[Output { info: &info, data: &[0; 39] }], &ANY, &mut Predictions::default());
    assert_eq!(
        error.unwrap_err().to_string(),
        "the output p [1,10] float32 has 39 bytes, its shape needs 40"
    );
}
