//! Decoders ask for no memory once they have run.

use spotter_core::model::decode::anchors::Layout;
use spotter_core::model::decode::classification::ClassificationDecoder;
use spotter_core::model::decode::raw_ssd::{Anchors, RawSsd, RawSsdDecoder};
use spotter_core::model::decode::segmentation::SegmentationDecoder;
use spotter_core::model::decode::ssd::SsdDecoder;
use spotter_core::model::decode::yolov5::YoloV5Decoder;
use spotter_core::model::decode::{Decoder, Output, Scores, Thresholds};
use spotter_core::vision::predictions::Predictions;
use spotter_core::vision::tensor::{DataType, Quantisation, TensorInfo};

const DEPLOY: Thresholds =
    Thresholds { confidence: 0.25, iou: 0.45, max_detections: 300, multi_label: false };
const EVALUATE: Thresholds =
    Thresholds { confidence: 0.001, iou: 0.6, max_detections: 300, multi_label: true };

/// Allocations of the second to fourth run.
fn warm_allocations(
    decoder: &mut dyn Decoder,
    outputs: &[Output<'_>],
    thresholds: &Thresholds,
) -> (u64, usize) {
    let mut found = Predictions::default();
    decoder.decode(outputs, thresholds, &mut found).expect("decodes");
    let info = allocation_counter::measure(|| {
        for _ in 0..3 {
            decoder.decode(outputs, thresholds, &mut found).expect("decodes");
        }
    });
    (info.count_total, found.detections.len())
}

#[test]
fn yolov5_allocates_nothing_once_warm() {
    let (rows, columns) = (6300, 85);
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for dtype in [DataType::U8, DataType::I8, DataType::F32] {
        let data: Vec<u8> = match dtype {
            DataType::F32 => {
                (0..rows * columns).flat_map(|_| (f32::from(random()) / 255.0).to_ne_bytes()).collect()
            }
            _ => (0..rows * columns).map(|_| random()).collect(),
        };
        let zero_point = if dtype == DataType::I8 { -128 } else { 0 };
        let quantisation = Some(Quantisation { scale: 1.0 / 255.0, zero_point });
        let info = TensorInfo { name: "o".into(), shape: vec![1, rows, columns], dtype, quantisation };
        for thresholds in [DEPLOY, EVALUATE] {
            let mut decoder = YoloV5Decoder::new(&info).expect("a head");
            let outputs = [Output { info: &info, data: &data }];
            let (allocations, found) = warm_allocations(&mut decoder, &outputs, &thresholds);
            assert_eq!(allocations, 0, "{dtype} {thresholds:?}");
            assert!(found > 10);
        }
    }
}

#[test]
fn ssd_allocates_nothing_once_warm() {
    let info = TensorInfo { name: "o".into(), shape: vec![], dtype: DataType::F32, quantisation: None };
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
    let boxes = bytes(&[0.1, 0.1, 0.9, 0.9].repeat(200));
    // Not in order, so that they are sorted too.
    let scores = bytes(&(0..200).map(|i| 0.3 + (i * 37 % 100) as f32 / 200.0).collect::<Vec<_>>());
    let data = [boxes, bytes(&[3.0; 200]), scores, bytes(&[200.0])];
    let outputs = [0, 1, 2, 3].map(|i: usize| Output { info: &info, data: &data[i] });
    let mut decoder = SsdDecoder::new([0, 1, 2, 3], Some(90));
    assert_eq!(warm_allocations(&mut decoder, &outputs, &DEPLOY), (0, 200));
}

fn info(shape: &[usize], dtype: DataType) -> TensorInfo {
    let quantisation = match dtype {
        DataType::U8 | DataType::I8 => Some(Quantisation { scale: 1.0 / 32.0, zero_point: 7 }),
        _ => None,
    };
    TensorInfo { name: "o".into(), shape: shape.to_vec(), dtype, quantisation }
}

/// Random elements of a type: floats are from -0.2 to 1.
fn random(count: usize, dtype: DataType) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    match dtype {
        DataType::F32 => (0..count).flat_map(|_| (f32::from(next()) / 210.0 - 0.2).to_ne_bytes()).collect(),
        DataType::I64 => (0..count).flat_map(|_| i64::from(next()).to_ne_bytes()).collect(),
        _ => (0..count).map(|_| next()).collect(),
    }
}

#[test]
fn raw_ssd_allocates_nothing_once_warm() {
    for (dtype, with_anchors) in [(DataType::U8, false), (DataType::I8, true), (DataType::F32, true)] {
        let rows = 1917;
        let infos = [info(&[1, rows, 91], dtype), info(&[1, rows, 4], dtype), info(&[rows, 4], dtype)];
        let data = [rows * 91, rows * 4, rows * 4].map(|count| random(count, dtype));
        let anchors = if with_anchors { Anchors::Output(2) } else { Anchors::Made(Layout::Ssd, 300, 300) };
        for kind in [Scores::Probabilities, Scores::Logits] {
            let head = RawSsd { scores: 0, boxes: 1, anchors, kind, background: true };
            for thresholds in [DEPLOY, EVALUATE] {
                let mut decoder = RawSsdDecoder::new(head, &infos).expect("a head");
                let outputs = [0, 1, 2].map(|i: usize| Output { info: &infos[i], data: &data[i] });
                let (allocations, found) = warm_allocations(&mut decoder, &outputs, &thresholds);
                assert_eq!(allocations, 0, "{dtype} {thresholds:?}");
                assert!(found > 10, "{dtype} {kind:?} {found}");
            }
        }
    }
}

#[test]
fn classification_and_segmentation_allocate_nothing_once_warm() {
    for (dtype, kind) in [(DataType::U8, Scores::Probabilities), (DataType::F32, Scores::Logits)] {
        let info = info(&[1, 1001], dtype);
        let mut decoder = ClassificationDecoder::new(&info, kind).expect("a head");
        let data = random(1001, dtype);
        let (allocations, _) =
            warm_allocations(&mut decoder, &[Output { info: &info, data: &data }], &DEPLOY);
        assert_eq!(allocations, 0);
    }
    for (shape, dtype) in [
        (&[1, 65, 65][..], DataType::I64),
        (&[1, 65, 65, 21], DataType::F32),
        (&[1, 65, 65, 21], DataType::I8),
    ] {
        let info = info(shape, dtype);
        let mut decoder = SegmentationDecoder::new(&info).expect("a head");
        let data = random(shape.iter().product(), dtype);
        let (allocations, _) =
            warm_allocations(&mut decoder, &[Output { info: &info, data: &data }], &DEPLOY);
        assert_eq!(allocations, 0);
    }
}
