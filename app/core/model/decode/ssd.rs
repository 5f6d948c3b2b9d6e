//! SSD models that end in `TFLite_Detection_PostProcess`: decoded and suppressed inside the model.
//!
//! Four float32 outputs: boxes `[1,N,4]` as top, left, bottom, right (0..1 of the input), classes
//! `[1,N]`, scores `[1,N]`, best first, count `[1]`. What lies behind the count is whatever was in
//! that memory before.

use super::{Decoder, Output, Thresholds, output_at};
use crate::base::error::Result;
use crate::vision::detection::Detection;
use crate::vision::geometry::Rect;
use crate::vision::predictions::Predictions;

/// Larger class indices are taken for damage where the file does not say how many there are.
const MAX_CLASSES: usize = 1024;

/// Reads the four outputs.
pub struct SsdDecoder {
    places: [usize; 4],
    classes: usize,
}

impl SsdDecoder {
    /// A decoder for boxes, classes, scores and count at these places among the outputs, of a model
    /// with that many classes.
    pub fn new(places: [usize; 4], classes: Option<usize>) -> Self {
        Self { places, classes: classes.unwrap_or(MAX_CLASSES) }
    }
}

fn f32s(data: &[u8]) -> &[[u8; 4]] {
    data.as_chunks::<4>().0
}

impl Decoder for SsdDecoder {
    fn decode(
        &mut self,
        outputs: &[Output<'_>],
        thresholds: &Thresholds,
        into: &mut Predictions,
    ) -> Result<()> {
        into.clear();
        let into = &mut into.detections;
        let [boxes, classes, scores, count] = self.places;
        let boxes = output_at(outputs, boxes)?.data.as_chunks::<16>().0;
        let classes = f32s(output_at(outputs, classes)?.data);
        let scores = f32s(output_at(outputs, scores)?.data);
        let count = f32s(output_at(outputs, count)?.data).first().map_or(0.0, |b| f32::from_ne_bytes(*b));
        // `as` takes NaN and negative counts for 0 and huge ones for the largest number.
        let count = count.round() as usize;
        for ((rect, class), score) in boxes.iter().zip(classes).zip(scores).take(count) {
            let score = f32::from_ne_bytes(*score);
            let class = f32::from_ne_bytes(*class).round();
            let edge = |i: usize| f32::from_ne_bytes([rect[i], rect[i + 1], rect[i + 2], rect[i + 3]]);
            let rect = Rect::new(edge(4), edge(0), edge(12), edge(8));
            // Finite first: clamping would make a box of an infinite one.
            let kept = score.is_finite() && score >= thresholds.confidence;
            let known = (0.0..self.classes as f32).contains(&class);
            if !kept || !known || !rect.is_valid() {
                continue;
            }
            let rect = rect.clamped();
            if rect.is_valid() {
                into.push(Detection { class: class as u32, score: score.clamp(0.0, 1.0), rect });
            }
        }
        // The model gives them in order; after regular suppression not always. An unstable sort asks
        // for no memory, so ties are settled by class and place.
        if !into.is_sorted_by(|a, b| a.score >= b.score) {
            into.sort_unstable_by(|a, b| {
                let place = a.rect.left.total_cmp(&b.rect.left).then(a.rect.top.total_cmp(&b.rect.top));
                b.score.total_cmp(&a.score).then(a.class.cmp(&b.class)).then(place)
            });
        }
        into.truncate(thresholds.max_detections);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;
    use crate::vision::tensor::{DataType, TensorInfo};
    use proptest::prelude::*;

    const KEEP: Thresholds =
        Thresholds { confidence: 0.5, iou: 0.5, max_detections: 100, multi_label: false };

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    fn decode(tensors: [&[f32]; 4], places: [usize; 4], thresholds: &Thresholds) -> Result<Vec<Detection>> {
        let info = TensorInfo { name: "t".into(), shape: vec![], dtype: DataType::F32, quantisation: None };
        let data = tensors.map(bytes);
        let mut outputs = [Output { info: &info, data: &[] }; 4];
        for (tensor, place) in data.iter().zip(places) {
            outputs[place].data = tensor;
        }
        let stale = Detection { class: 9, score: 9.0, rect: Rect::default() };
        let mut found = Predictions { detections: vec![stale], ..Predictions::default() };
        SsdDecoder::new(places, Some(90)).decode(&outputs, thresholds, &mut found)?;
        Ok(found.detections)
    }

    #[test]
    fn tf1_and_tf2_order_give_the_same() {
        let boxes = [0.1, 0.2, 0.5, 0.6, -0.1, 0.0, 1.2, 1.0];
        let tensors = [&boxes[..], &[16.0, 0.0], &[0.9, 0.8], &[2.0]];
        let found = decode(tensors, [0, 1, 2, 3], &KEEP).unwrap();
        assert_eq!(found, decode(tensors, [1, 3, 0, 2], &KEEP).unwrap());
        assert_eq!(found[0], Detection { class: 16, score: 0.9, rect: Rect::new(0.2, 0.1, 0.6, 0.5) });
        assert_eq!(found[1].rect, Rect::new(0.0, 0.0, 1.0, 1.0));
    }

    #[test]
    fn what_is_behind_the_count_is_not_read() {
        let boxes = [0.0, 0.0, 1.0, 1.0].repeat(3);
        for (count, expected) in
            [(1.0, 1), (0.0, 0), (-3.0, 0), (f32::NAN, 0), (1e9, 3), (f32::INFINITY, 3), (1.9999, 2)]
        {
            let found = decode([&boxes, &[0.0; 3], &[0.9; 3], &[count]], [0, 1, 2, 3], &KEEP).unwrap();
            assert_eq!(found.len(), expected, "count {count}");
        }
        let none = decode([&boxes, &[0.0; 3], &[0.9; 3], &[]], [0, 1, 2, 3], &KEEP).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn senseless_rows_are_dropped() {
        let ok = [0.1, 0.1, 0.2, 0.2];
        for (rect, class, score) in [
            ([0.5, 0.1, 0.2, 0.2], 0.0, 0.9),
            ([0.1, f32::NAN, 0.2, 0.2], 0.0, 0.9),
            ([0.1, 0.1, f32::INFINITY, 0.2], 0.0, 0.9),
            ([1.1, 0.1, 1.2, 0.2], 0.0, 0.9),
            (ok, -1.0, 0.9),
            (ok, 90.0, 0.9),
            (ok, f32::NAN, 0.9),
            (ok, 0.0, f32::NAN),
            (ok, 0.0, 0.49),
        ] {
            let found = decode([&rect, &[class], &[score], &[1.0]], [0, 1, 2, 3], &KEEP).unwrap();
            assert!(found.is_empty(), "{rect:?} {class} {score}");
        }
        let found = decode([&ok, &[16.99], &[0.5], &[1.0]], [0, 1, 2, 3], &KEEP).unwrap();
        assert_eq!(found[0].class, 17);
    }

    #[test]
    fn a_short_output_is_an_error() {
        let info =
            TensorInfo { name: "b".into(), shape: vec![1, 3, 4], dtype: DataType::F32, quantisation: None };
        let data = [0; 44];
        let outputs = [Output { info: &info, data: &data }; 4];
        let error = SsdDecoder::new([0, 1, 2, 3], None)
            .decode(&outputs, &KEEP, &mut Predictions::default())
            .unwrap_err();
        assert_eq!(error.to_string(), "the output b [1,3,4] float32 has 44 bytes, its shape needs 48");
        assert_eq!(error.kind(), Kind::Backend);
        let error =
            SsdDecoder::new([0, 1, 2, 3], None).decode(&[], &KEEP, &mut Predictions::default()).unwrap_err();
        assert_eq!(error.to_string(), "the model gave 0 outputs, number 1 is missing");
    }

    fn any_float() -> impl Strategy<Value = f32> {
        prop_oneof![4 => -0.5f32..1.5, 1 => any::<u32>().prop_map(f32::from_bits), 1 => 0.0f32..100.0]
    }

    proptest! {
        #[test]
        fn whatever_comes_out_is_sound(
            boxes in proptest::collection::vec(any_float(), 0..80),
            classes in proptest::collection::vec(any_float(), 0..20),
            scores in proptest::collection::vec(any_float(), 0..20),
            count in any_float(), confidence in 0.0f32..1.0, max in 0usize..12,
        ) {
            let thresholds = Thresholds { confidence, max_detections: max, ..KEEP };
            let found = decode([&boxes, &classes, &scores, &[count]], [0, 1, 2, 3], &thresholds).unwrap();
            let slots = (boxes.len() / 4).min(classes.len()).min(scores.len());
            prop_assert!(found.len() <= slots.min(max));
            prop_assert!(found.len() as f32 <= count.round().max(0.0) || count.is_infinite());
            prop_assert!(found.is_sorted_by(|a, b| a.score >= b.score));
            for d in &found {
                prop_assert!(d.score >= confidence && d.score <= 1.0 && d.class < 90);
                prop_assert!(d.rect.is_valid() && d.rect == d.rect.clamped());
            }
        }
    }
}
