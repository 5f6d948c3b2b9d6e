use super::*;

fn tensor(name: &str, shape: &[usize], dtype: DataType) -> TensorInfo {
    let quantisation = (dtype != DataType::F32).then_some(Quantisation { scale: 0.1, zero_point: 3 });
    TensorInfo { name: name.into(), shape: shape.to_vec(), dtype, quantisation }
}

fn signature(input: &[usize], outputs: &[(&str, &[usize], DataType)]) -> Signature {
    let outputs = outputs.iter().map(|(n, s, d)| tensor(n, s, *d)).collect();
    Signature { inputs: vec![tensor("in", input, DataType::U8)], outputs }
}

fn places(signature: &Signature, post: Option<&PostProcess>) -> [usize; 4] {
    match Head::from_signature(signature, &[], post).unwrap() {
        Head::SsdPostProcess { boxes, classes, scores, count, .. } => [boxes, classes, scores, count],
        other => panic!("{other:?}"),
    }
}

fn options(outputs: Option<[usize; 4]>) -> PostProcess {
    PostProcess {
        num_classes: 90,
        max_detections: 10,
        max_classes_per_detection: 1,
        detections_per_class: 100,
        use_regular_nms: false,
        nms_score_threshold: 0.0,
        nms_iou_threshold: 0.6,
        box_scales: [10.0, 10.0, 5.0, 5.0],
        outputs,
    }
}

#[test]
fn ssd_outputs_are_found_in_any_order() {
    use DataType::F32;
    let input = [1, 300, 300, 3];
    let tf2 = [("S:0", &[][..], F32), ("S:1", &[], F32), ("S:2", &[], F32), ("S:3", &[], F32)];
    let tf2 = signature(&input, &tf2);
    assert_eq!(places(&tf2, Some(&options(Some([1, 3, 0, 2])))), [1, 3, 0, 2]);
    assert!(Head::from_signature(&tf2, &[], None).is_err(), "no shapes, no names, no operator");
    assert!(Head::from_signature(&tf2, &[], Some(&options(None))).is_err());
    assert!(Head::from_signature(&tf2, &[], Some(&options(Some([1, 3, 0, 4])))).is_err());

    let name = |n: usize| if n == 0 { POST_PROCESS.to_string() } else { format!("{POST_PROCESS}:{n}") };
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let names: Vec<String> = order.iter().map(|n| name(*n)).collect();
        let outputs: Vec<_> = names.iter().map(|n| (n.as_str(), &[][..], F32)).collect();
        let found = places(&signature(&input, &outputs), None);
        for (wanted, place) in found.iter().enumerate() {
            assert_eq!(order[*place], wanted);
        }
    }

    let s = "StatefulPartitionedCall";
    let named = |n: usize| format!("{s}:{n}");
    let (a, b, c, d) = (named(0), named(1), named(2), named(3));
    let (flat, boxes, one) = (&[1, 20][..], &[1, 20, 4][..], &[1][..]);
    let older = [(a.as_str(), flat, F32), (&b, boxes, F32), (&c, one, F32), (&d, flat, F32)];
    assert_eq!(places(&signature(&input, &older), None), [1, 3, 0, 2]);
    let newer = [(d.as_str(), boxes, F32), (&c, flat, F32), (&b, flat, F32), (&a, one, F32)];
    assert_eq!(places(&signature(&input, &newer), None), [0, 1, 2, 3]);
    let words = [("box", boxes, F32), ("the_scores", flat, F32), ("cat", flat, F32), ("n", one, F32)];
    assert_eq!(places(&signature(&input, &words), None), [0, 2, 1, 3]);
    let silent = [("w", boxes, F32), ("x", flat, F32), ("y", flat, F32), ("z", one, F32)];
    assert!(Head::from_signature(&signature(&input, &silent), &[], None).is_err());
}

#[test]
fn yolov5_rows_belong_to_the_input() {
    use DataType::{F32, I8, U8};
    let of = |h: usize, w: usize, rows: usize, columns: usize, dtype| {
        Head::from_signature(&signature(&[1, h, w, 3], &[("o", &[1, rows, columns], dtype)]), &[], None)
    };
    let head = of(640, 640, 25200, 85, U8).unwrap();
    assert_eq!((head.classes(), head.default_fit()), (Some(80), Fit::Letterbox));
    assert!(of(384, 640, 15120, 6, F32).is_ok() && of(320, 320, 6300, 25, I8).is_ok());
    assert!(of(640, 640, 25200, 5, U8).is_err(), "no classes");
    assert!(of(320, 320, 25200, 85, U8).is_err(), "rows of another input size");
    assert!(of(640, 640, 25200, 85, DataType::I16).is_err());
    assert!(of(0, 0, 0, 85, U8).is_err());
    let mut bare = signature(&[1, 640, 640, 3], &[("o", &[1, 25200, 85], U8)]);
    bare.outputs[0].quantisation = None;
    let sentence = Head::from_signature(&bare, &[], None).unwrap_err().to_string();
    assert!(sentence.contains("has no quantisation"), "{sentence}");
}

fn producer(operator: &str, input_shape: &[usize], from_input: bool) -> Producer {
    Producer { operator: Some(operator.into()), input_shape: input_shape.to_vec(), from_input }
}

fn raw(signature: &Signature, producers: &[Producer]) -> RawSsd {
    match Head::from_signature(signature, producers, None) {
        Ok(Head::RawSsd { parts, .. }) => parts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn raw_ssd_outputs_are_found_in_any_order() {
    use DataType::{F32, I8, U8};
    let input = [1, 300, 300, 3];
    let (scores, boxes) = (("s", &[1, 1917, 91][..], U8), ("b", &[1, 1917, 4][..], U8));
    let parts = raw(&signature(&input, &[scores, boxes]), &[]);
    let made = Anchors::Made(Layout::Ssd, 300, 300);
    let expected = RawSsd { scores: 0, boxes: 1, anchors: made, kind: Scores::Logits, background: true };
    assert_eq!(parts, expected);
    let logistic = [producer("CONCATENATION", &[], true), producer("LOGISTIC", &[], true)];
    let parts = raw(&signature(&input, &[boxes, scores]), &logistic);
    assert_eq!(parts, RawSsd { scores: 1, boxes: 0, kind: Scores::Probabilities, ..expected });
    // Bytes that cover 0 to 1 are probabilities too.
    let mut covered = signature(&input, &[scores, ("b", &[1, 1917, 4], I8)]);
    covered.outputs[0].quantisation = Some(Quantisation { scale: 1.0 / 256.0, zero_point: 0 });
    assert_eq!(raw(&covered, &[]).kind, Scores::Probabilities);
    covered.outputs[0].quantisation = Some(Quantisation { scale: 1.0 / 256.0, zero_point: 1 });
    assert_eq!(raw(&covered, &[]).kind, Scores::Logits);
    let named = |name| (name, &[1, 1917, 4][..], F32);
    let four = signature(&input, &[named("raw/box"), named("raw/class")]);
    assert_eq!((raw(&four, &[]).scores, raw(&four, &[]).boxes), (1, 0));
    let silent = signature(&input, &[named("x"), named("y")]);
    assert!(Head::from_signature(&silent, &[], None).is_err());
    let [a, b] = logistic;
    assert_eq!(raw(&silent, &[b, a]).scores, 0);
    let other = signature(&input, &[("s", &[1, 1900, 91], U8), ("b", &[1, 1900, 4], U8)]);
    assert!(Head::from_signature(&other, &[], None).is_err(), "anchors of no layout");
    let mut bare = signature(&input, &[scores, boxes]);
    bare.outputs[1].quantisation = None;
    let sentence = Head::from_signature(&bare, &[], None).unwrap_err().to_string();
    assert!(sentence.contains("[1,1917,4] uint8 has no quantisation"), "{sentence}");
}

#[test]
fn classes_without_background_are_told_by_their_number() {
    let classes = |columns: usize, operator: &str| {
        let outputs = [("s", &[1, 2034, columns][..], DataType::F32), ("b", &[1, 2034, 4], DataType::F32)];
        let producers = [producer(operator, &[], true)];
        let head = Head::from_signature(&signature(&[1, 320, 320, 3], &outputs), &producers, None);
        head.ok().and_then(|head| head.classes())
    };
    for (columns, wanted) in [(91, 90), (81, 80), (21, 20), (90, 90), (80, 80), (20, 20), (3, 2)] {
        assert_eq!(classes(columns, "LOGISTIC"), Some(wanted));
    }
    assert_eq!(classes(20, "SOFTMAX"), Some(19), "a softmax needs somewhere to put background");
    assert_eq!(classes(1, "LOGISTIC"), None);
}

#[test]
fn anchors_among_the_outputs_are_told_from_boxes() {
    use DataType::F32;
    let of = |names: [&str; 2], first: &[usize], constant: Option<usize>| {
        let outputs = [(names[0], first, F32), ("s", &[1, 50, 21], F32), (names[1], &[1, 50, 4], F32)];
        let made = |place| producer("ADD", &[], constant != Some(place));
        let signature = signature(&[1, 64, 64, 3], &outputs);
        match Head::from_signature(&signature, &[0, 1, 2].map(made), None) {
            Ok(Head::RawSsd { parts, .. }) => Some((parts.boxes, parts.anchors)),
            _ => None,
        }
    };
    let batched = &[1, 50, 4];
    assert_eq!(of(["x", "y"], batched, Some(2)), Some((0, Anchors::Output(2))));
    assert_eq!(of(["x", "y"], batched, Some(0)), Some((2, Anchors::Output(0))));
    assert_eq!(of(["x", "Anchors"], batched, None), Some((0, Anchors::Output(2))));
    assert_eq!(of(["x", "y"], &[50, 4], None), Some((2, Anchors::Output(0))));
    assert_eq!(of(["x", "y"], batched, None), None);
    assert_eq!(of(["x", "y"], &[1, 49, 4], Some(0)), None);
}

#[test]
fn classifiers_and_masks_are_recognised() {
    use DataType::{F32, I8, I32, I64, U8};
    let of = |shape: &[usize], dtype, producers: &[Producer]| {
        Head::from_signature(&signature(&[1, 33, 33, 3], &[("o", shape, dtype)]), producers, None).ok()
    };
    let kind =
        |shape: &[usize], dtype, operator: &str| match of(shape, dtype, &[producer(operator, &[], true)]) {
            Some(Head::Classification { num_classes: 7, scores }) => Some(scores),
            other => panic!("{other:?}"),
        };
    assert_eq!(kind(&[1, 7], F32, "SOFTMAX"), Some(Scores::Probabilities));
    assert_eq!(kind(&[1, 1, 1, 7], I8, "LOGISTIC"), Some(Scores::Probabilities));
    assert_eq!(kind(&[1, 7], U8, "FULLY_CONNECTED"), Some(Scores::Logits));
    let head = of(&[1, 7], U8, &[]).unwrap();
    assert_eq!(
        (head.name(), head.task(), head.default_fit()),
        ("classification", Task::Classification, Fit::CropInner)
    );
    assert!(of(&[1, 1], F32, &[]).is_none() && of(&[2, 7], F32, &[]).is_none());

    let arg_max = [producer("ARG_MAX", &[1, 33, 33, 21], true)];
    let mask = |classes| Some(Head::Segmentation { num_classes: classes });
    assert_eq!(of(&[1, 33, 33], I64, &arg_max), mask(Some(21)));
    assert_eq!(of(&[1, 33, 33, 1], I32, &arg_max), mask(Some(21)));
    assert_eq!(of(&[1, 33, 33], U8, &arg_max), mask(Some(21)));
    assert_eq!(of(&[1, 33, 33], U8, &[]), None, "bytes with a scale are no indices");
    let elsewhere = [producer("ARG_MAX", &[1, 21, 33, 33], true)];
    assert_eq!(of(&[1, 33, 33], I64, &elsewhere), mask(None), "another axis");
    assert_eq!(of(&[1, 33, 33, 5], F32, &[]), mask(Some(5)));
    let head = of(&[1, 33, 33], I64, &[]).unwrap();
    assert_eq!((head.name(), head.task(), head.classes()), ("segmentation", Task::Segmentation, None));
}

#[test]
fn other_outputs_are_named() {
    let pose = signature(&[1, 224, 224, 3], &[("p", &[1, 1, 17, 3], DataType::F32)]);
    assert_eq!(
        Head::from_signature(&pose, &[], None).unwrap_err().to_string(),
        "unsupported output format: [1,1,17,3] float32; Spotter reads SSD (with \
         TFLite_Detection_PostProcess, or raw with the usual anchors), YOLOv5, classification [1,C] and \
         segmentation [1,H,W]"
    );
    let none = Head::from_signature(&Signature::default(), &[], None).unwrap_err();
    assert!(none.to_string().contains(": none;"));
}
