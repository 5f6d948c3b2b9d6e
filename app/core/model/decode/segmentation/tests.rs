use super::*;
use crate::vision::predictions::Mask;
use proptest::prelude::*;

const ANY: Thresholds = Thresholds { confidence: 0.9, iou: 0.5, max_detections: 1, multi_label: false };

fn info(dtype: DataType, shape: &[usize]) -> TensorInfo {
    TensorInfo { name: "m".into(), shape: shape.to_vec(), dtype, quantisation: None }
}

fn decode(info: &TensorInfo, data: &[u8]) -> Mask {
    let stale = Mask { width: 9, height: 9, classes: vec![7; 5000], region: Rect::default() };
    let mut found = Predictions { mask: stale, ..Predictions::default() };
    let mut decoder = SegmentationDecoder::new(info).unwrap();
    decoder.decode(&[Output { info, data }], &ANY, &mut found).unwrap();
    assert!(found.detections.is_empty() && found.classes.is_empty());
    assert_eq!(found.mask.region, Rect::new(0.0, 0.0, 1.0, 1.0));
    found.mask
}

#[test]
fn indices_of_every_type_are_the_same_mask() {
    let classes = [0u8, 1, 2, 20, 255, 3];
    let wide: Vec<u8> = classes.iter().flat_map(|c| i64::from(*c).to_ne_bytes()).collect();
    let middle: Vec<u8> = classes.iter().flat_map(|c| i32::from(*c).to_ne_bytes()).collect();
    for (dtype, data) in [(DataType::I64, &wide), (DataType::I32, &middle), (DataType::U8, &classes.to_vec())]
    {
        for shape in [&[1, 2, 3][..], &[1, 2, 3, 1]] {
            let mask = decode(&info(dtype, shape), data);
            assert_eq!((mask.width, mask.height, mask.classes.as_slice()), (3, 2, &classes[..]), "{dtype}");
        }
    }
    let strange = [-1i64, i64::MIN, 256, i64::MAX].map(i64::to_ne_bytes).concat();
    assert_eq!(decode(&info(DataType::I64, &[1, 2, 2]), &strange).classes, [0, 0, 255, 255]);
}

proptest! {
    #[test]
    fn the_best_score_wins_as_in_the_oracle(
        data in proptest::collection::vec(any::<u8>(), 4 * 256), classes in 2usize..=256, signed: bool,
    ) {
        let data = &data[..4 * classes];
        let dtype = if signed { DataType::I8 } else { DataType::U8 };
        let number = |byte: u8| if signed { i32::from(byte as i8) } else { i32::from(byte) };
        let expected: Vec<u8> = data
            .chunks_exact(classes)
            .map(|row| {
                (0..classes).fold(0, |best, c| if number(row[c]) > number(row[best]) { c } else { best }) as u8
            })
            .collect();
        prop_assert_eq!(&decode(&info(dtype, &[1, 2, 2, classes]), data).classes, &expected);
        let floats: Vec<u8> = data.iter().flat_map(|b| (number(*b) as f32 / 7.0).to_ne_bytes()).collect();
        prop_assert_eq!(&decode(&info(DataType::F32, &[1, 2, 2, classes]), &floats).classes, &expected);
    }

    #[test]
    fn any_floats_give_a_class(bits in proptest::collection::vec(any::<u32>(), 4 * 3)) {
        let data: Vec<u8> = bits.iter().flat_map(|v| v.to_ne_bytes()).collect();
        prop_assert!(decode(&info(DataType::F32, &[1, 2, 2, 3]), &data).classes.iter().all(|c| *c < 3));
    }
}

#[test]
fn outputs_that_are_no_mask_are_refused() {
    for (dtype, shape) in [
        (DataType::F32, &[1, 4, 4][..]),
        (DataType::F32, &[1, 4, 4, 1]),
        (DataType::F32, &[1, 4, 4, 257]),
        (DataType::I64, &[1, 4, 4, 2]),
        (DataType::I64, &[2, 4, 4]),
        (DataType::I64, &[1, 1, 4]),
        (DataType::F32, &[1, 1, 1, 10]),
        (DataType::I64, &[]),
    ] {
        assert!(SegmentationDecoder::new(&info(dtype, shape)).is_err(), "{dtype} {shape:?}");
    }
    let info = info(DataType::I64, &[1, 2, 2]);
    let mut decoder = SegmentationDecoder::new(&info).unwrap();
    let error = decoder.decode(&[Output { info: &info, data: &[0; 31] }], &ANY, &mut Predictions::default());
    assert_eq!(error.unwrap_err().to_string(), "the output m [1,2,2] int64 has 31 bytes, its shape needs 32");
}
