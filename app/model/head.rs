//! Recognises from a model's outputs how they are to be read.

use super::decode::Decoder;
use super::decode::ssd::SsdDecoder;
use super::decode::yolov5::YoloV5Decoder;
use super::file::{ModelFile, POST_PROCESS, PostProcess};
use crate::error::{Error, Kind, Result};
use crate::geometry::Fit;
use crate::tensor::{DataType, Signature, TensorInfo};

/// Outputs at most that an error lists.
const LISTED: usize = 8;

/// What a model's outputs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// `TFLite_Detection_PostProcess`: boxes `[1,N,4]` as top, left, bottom, right, classes `[1,N]`,
    /// scores `[1,N]`, count `[1]`, all float32. The numbers are places among the outputs.
    SsdPostProcess {
        /// Boxes.
        boxes: usize,
        /// Class indices.
        classes: usize,
        /// Scores.
        scores: usize,
        /// How many of the slots hold a detection.
        count: usize,
        /// Number of classes, where the file says it.
        num_classes: Option<usize>,
        /// Number of slots, where the file says it.
        slots: Option<usize>,
    },
    /// `[1,N,5+C]`: centre x, centre y, width, height (0..1 of the input), objectness, C class
    /// probabilities; three anchors a cell of the grids of stride 8, 16 and 32.
    YoloV5 {
        /// N.
        rows: usize,
        /// C.
        num_classes: usize,
    },
}

impl Head {
    /// The head of a model file.
    ///
    /// # Errors
    /// [`Kind::Model`] where the outputs are no head that Spotter knows; the sentence lists them.
    pub fn recognise(file: &ModelFile) -> Result<Self> {
        Self::from_signature(&file.signature, file.post_process.as_ref())
            .map_err(|error| error.context(&file.name))
    }

    /// The head from inputs and outputs, and the options of the post-process operator where known.
    ///
    /// # Errors
    /// [`Kind::Model`] as for [`Head::recognise`].
    pub fn from_signature(signature: &Signature, post_process: Option<&PostProcess>) -> Result<Self> {
        if let Some(head) = ssd(signature, post_process).or_else(|| yolov5(signature)) {
            head.check_quantisation(signature)?;
            return Ok(head);
        }
        let outputs = &signature.outputs;
        let mut listed: Vec<String> = outputs.iter().take(LISTED).map(short).collect();
        if outputs.len() > LISTED {
            listed.push(format!("{} more", outputs.len() - LISTED));
        }
        let text = format!(
            "its outputs are no detection head Spotter knows: {}; SSD with {POST_PROCESS} and YOLOv5 are read",
            if listed.is_empty() { "none".to_string() } else { listed.join(", ") }
        );
        Err(Error::new(Kind::Model, text))
    }

    fn check_quantisation(&self, signature: &Signature) -> Result<()> {
        let (Self::YoloV5 { .. }, Some(output)) = (self, signature.outputs.first()) else { return Ok(()) };
        if output.dtype != DataType::F32 && output.quantisation.is_none() {
            let text = format!(
                "its output {} has no quantisation, so its numbers have no meaning; convert the model again",
                short(output)
            );
            return Err(Error::new(Kind::Model, text));
        }
        Ok(())
    }

    /// Number of classes, where the file says it.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::SsdPostProcess { num_classes, .. } => *num_classes,
            Self::YoloV5 { num_classes, .. } => Some(*num_classes),
        }
    }

    /// How models with this head were trained to see a picture.
    pub fn default_fit(&self) -> Fit {
        match self {
            Self::SsdPostProcess { .. } => Fit::Stretch,
            Self::YoloV5 { .. } => Fit::Letterbox,
        }
    }

    /// The head's name in the catalogue: `ssd-postprocess` or `yolov5`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SsdPostProcess { .. } => "ssd-postprocess",
            Self::YoloV5 { .. } => "yolov5",
        }
    }

    /// What reads the outputs of a model with this head.
    ///
    /// # Errors
    /// [`Kind::Model`] where the head is not that of `signature`.
    pub fn decoder(&self, signature: &Signature) -> Result<Box<dyn Decoder>> {
        match self {
            Self::SsdPostProcess { boxes, classes, scores, count, num_classes, .. } => {
                Ok(Box::new(SsdDecoder::new([*boxes, *classes, *scores, *count], *num_classes)))
            }
            Self::YoloV5 { .. } => {
                let output = signature
                    .outputs
                    .first()
                    .ok_or_else(|| Error::new(Kind::Model, "the model has no outputs"))?;
                Ok(Box::new(YoloV5Decoder::new(output)?))
            }
        }
    }
}

fn short(output: &TensorInfo) -> String {
    let shape: Vec<String> = output.shape.iter().map(usize::to_string).collect();
    format!("[{}] {}", shape.join(","), output.dtype)
}

/// The four outputs by the operator's own order where the file has the operator, else by shape and
/// name. Shapes may be empty: the operator sets them when it runs.
fn ssd(signature: &Signature, post_process: Option<&PostProcess>) -> Option<Head> {
    let outputs = &signature.outputs;
    let places = match post_process {
        Some(options) => options.outputs?,
        None => ssd_places(outputs)?,
    };
    let sound = |place: &usize| outputs.get(*place).is_some_and(|o| o.dtype == DataType::F32);
    if !places.iter().all(sound) {
        return None;
    }
    let [boxes, classes, scores, count] = places;
    let slots = match post_process {
        Some(options) if options.use_regular_nms => Some(options.max_detections),
        Some(options) => options.max_detections.checked_mul(options.max_classes_per_detection),
        None => outputs[scores].shape.get(1).copied(),
    };
    let num_classes = post_process.map(|options| options.num_classes);
    Some(Head::SsdPostProcess { boxes, classes, scores, count, num_classes, slots })
}

/// Boxes, classes, scores and count among four outputs of a model that hides its operators, as one
/// compiled for an accelerator may.
fn ssd_places(outputs: &[TensorInfo]) -> Option<[usize; 4]> {
    if outputs.len() != 4 {
        return None;
    }
    let number = |output: &TensorInfo, base: &str| -> Option<usize> {
        match output.name.strip_prefix(base)?.strip_prefix(':') {
            Some(digits) => digits.parse().ok(),
            None => (output.name == base).then_some(0),
        }
    };
    // The operator's own names say it all.
    let own: Option<Vec<usize>> = outputs.iter().map(|o| number(o, POST_PROCESS)).collect();
    if let Some(own) = own {
        let place = |wanted: usize| own.iter().position(|n| *n == wanted);
        return Some([place(0)?, place(1)?, place(2)?, place(3)?]);
    }
    let find = |fits: &dyn Fn(&[usize]) -> bool| outputs.iter().position(|o| fits(&o.shape));
    let boxes = find(&|shape| matches!(shape, [1, _, 4]))?;
    let slots = *outputs[boxes].shape.get(1)?;
    let count = find(&|shape| matches!(shape, [1]))?;
    let flat: Vec<usize> = (0..4).filter(|i| outputs[*i].shape == [1, slots]).collect();
    let [a, b] = *flat.as_slice() else { return None };
    let says = |place: usize, word: &str| outputs[place].name.to_ascii_lowercase().contains(word);
    let a_is_scores = if says(a, "score") || says(b, "class") {
        true
    } else if says(b, "score") || says(a, "class") {
        false
    } else {
        // TensorFlow 2 numbers the scores before the classes.
        let base = "StatefulPartitionedCall";
        number(&outputs[a], base)? < number(&outputs[b], base)?
    };
    let (scores, classes) = if a_is_scores { (a, b) } else { (b, a) };
    Some([boxes, classes, scores, count])
}

/// One output whose rows are the anchors that belong to the input's size.
fn yolov5(signature: &Signature) -> Option<Head> {
    let ([input], [output]) = (signature.inputs.as_slice(), signature.outputs.as_slice()) else {
        return None;
    };
    let [1, height, width, _] = *input.shape.as_slice() else { return None };
    let [1, rows, columns] = *output.shape.as_slice() else { return None };
    let cells = |stride: usize| (height / stride).checked_mul(width / stride);
    let anchors = cells(8)?.checked_add(cells(16)?)?.checked_add(cells(32)?)?.checked_mul(3)?;
    let typed = matches!(output.dtype, DataType::U8 | DataType::I8 | DataType::F32);
    (rows > 0 && rows == anchors && columns > 5 && typed)
        .then_some(Head::YoloV5 { rows, num_classes: columns - 5 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Quantisation;

    fn tensor(name: &str, shape: &[usize], dtype: DataType) -> TensorInfo {
        let quantisation = (dtype != DataType::F32).then_some(Quantisation { scale: 0.1, zero_point: 3 });
        TensorInfo { name: name.into(), shape: shape.to_vec(), dtype, quantisation }
    }

    fn signature(input: &[usize], outputs: &[(&str, &[usize], DataType)]) -> Signature {
        let outputs = outputs.iter().map(|(n, s, d)| tensor(n, s, *d)).collect();
        Signature { inputs: vec![tensor("in", input, DataType::U8)], outputs }
    }

    fn places(signature: &Signature, post: Option<&PostProcess>) -> [usize; 4] {
        match Head::from_signature(signature, post).unwrap() {
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
        assert!(Head::from_signature(&tf2, None).is_err(), "no shapes, no names, no operator");
        assert!(Head::from_signature(&tf2, Some(&options(None))).is_err());
        assert!(Head::from_signature(&tf2, Some(&options(Some([1, 3, 0, 4])))).is_err());

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
        assert!(Head::from_signature(&signature(&input, &silent), None).is_err());
    }

    #[test]
    fn yolov5_rows_belong_to_the_input() {
        use DataType::{F32, I8, U8};
        let of = |h: usize, w: usize, rows: usize, columns: usize, dtype| {
            Head::from_signature(&signature(&[1, h, w, 3], &[("o", &[1, rows, columns], dtype)]), None)
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
        let sentence = Head::from_signature(&bare, None).unwrap_err().to_string();
        assert!(sentence.contains("has no quantisation"), "{sentence}");
    }

    #[test]
    fn other_outputs_are_named() {
        let classes = signature(&[1, 224, 224, 3], &[("p", &[1, 1001], DataType::U8)]);
        assert_eq!(
            Head::from_signature(&classes, None).unwrap_err().to_string(),
            "its outputs are no detection head Spotter knows: [1,1001] uint8; SSD with \
             TFLite_Detection_PostProcess and YOLOv5 are read"
        );
        assert!(
            Head::from_signature(&Signature::default(), None).unwrap_err().to_string().contains(": none;")
        );
    }
}
