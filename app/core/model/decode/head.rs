//! Recognises from a model's outputs how they are to be read.

use super::anchors::Layout;
use super::classification::{self, ClassificationDecoder};
use super::raw_ssd::{Anchors, MAX_ROWS, RawSsd, RawSsdDecoder};
use super::segmentation::{self, Content, SegmentationDecoder};
use super::ssd::SsdDecoder;
use super::yolov5::YoloV5Decoder;
use super::{Decoder, Scores};
use crate::base::error::{Error, Kind, Result};
use crate::model::format::file::{ModelFile, POST_PROCESS, PostProcess};
use crate::model::format::producer::Producer;
use crate::model::task::Task;
use crate::vision::geometry::Fit;
use crate::vision::tensor::{DataType, Quantisation, Signature, TensorInfo};

/// Outputs at most that an error lists.
const LISTED: usize = 8;
/// Classes at most; the largest published label set has 21843.
const MAX_CLASSES: usize = 1 << 16;

/// What a model's outputs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// `TFLite_Detection_PostProcess`: boxes `[1,N,4]` as top, left, bottom, right, classes `[1,N]`,
    /// scores `[1,N]`, count `[1]`, all float32. The numbers are places among the outputs.
    SsdPostProcess {
        boxes: usize,
        /// Class indices.
        classes: usize,
        scores: usize,
        /// How many of the slots hold a detection.
        count: usize,
        /// Number of classes, where the file says it.
        num_classes: Option<usize>,
        /// Number of slots, where the file says it.
        slots: Option<usize>,
    },
    /// `[1,N,5+C]`: centre x, centre y, width, height (0..1 of the input or its pixels), objectness, C class
    /// probabilities; three anchors a cell of the grids of stride 8, 16 and 32.
    YoloV5 {
        /// N.
        rows: usize,
        /// C.
        num_classes: usize,
    },
    /// Box encodings `[1,N,4]` and class scores `[1,N,C]`, with or without anchors beside them.
    RawSsd {
        /// Where they are, and what.
        parts: RawSsd,
        /// Classes without background.
        num_classes: usize,
    },
    /// `[1,C]` or `[1,1,1,C]`: a score for each class of the whole picture.
    Classification {
        /// C.
        num_classes: usize,
        /// Probabilities or logits.
        scores: Scores,
    },
    /// `[1,H,W]` or `[1,H,W,1]` class indices, or `[1,H,W,C]` scores: a class for every pixel.
    Segmentation {
        /// C, where the file says it.
        num_classes: Option<usize>,
    },
}

impl Head {
    /// The head of a model file.
    ///
    /// # Errors
    /// [`Kind::Model`] where the outputs are no head that Spotter knows; the sentence lists them.
    pub fn recognise(file: &ModelFile) -> Result<Self> {
        Self::from_signature(&file.signature, &file.producers, file.post_process.as_ref())
            .map_err(|error| error.context(&file.name))
    }

    /// The head from inputs and outputs, what makes each output (may be empty) and the options of the
    /// post-process operator where known.
    ///
    /// # Errors
    /// [`Kind::Model`] as for [`Head::recognise`].
    pub fn from_signature(
        signature: &Signature,
        producers: &[Producer],
        post_process: Option<&PostProcess>,
    ) -> Result<Self> {
        let head = ssd(signature, post_process)
            .or_else(|| yolov5(signature))
            .or_else(|| raw_ssd(signature, producers))
            .or_else(|| classifier(signature, producers))
            .or_else(|| segmenter(signature, producers));
        if let Some(head) = head {
            head.check_quantisation(signature)?;
            head.check_classes()?;
            return Ok(head);
        }
        let outputs = &signature.outputs;
        let mut listed: Vec<String> = outputs.iter().take(LISTED).map(short).collect();
        if outputs.len() > LISTED {
            listed.push(format!("{} more", outputs.len() - LISTED));
        }
        let text = format!(
            "unsupported output format: {}; Spotter reads SSD (with {POST_PROCESS}, or raw with the \
             usual anchors), YOLOv5, classification [1,C] and segmentation [1,H,W]",
            if listed.is_empty() { "none".to_string() } else { listed.join(", ") }
        );
        Err(Error::new(Kind::Model, text))
    }

    /// Bytes that are read as real numbers must have a quantisation.
    fn check_quantisation(&self, signature: &Signature) -> Result<()> {
        let places = match self {
            Self::SsdPostProcess { .. } | Self::Segmentation { .. } => vec![],
            Self::YoloV5 { .. } | Self::Classification { .. } => vec![0],
            Self::RawSsd { parts, .. } => match parts.anchors {
                Anchors::Output(anchors) => vec![parts.scores, parts.boxes, anchors],
                Anchors::Made(..) => vec![parts.scores, parts.boxes],
            },
        };
        let mut outputs = places.into_iter().filter_map(|place| signature.outputs.get(place));
        match outputs.find(|output| output.dtype != DataType::F32 && output.quantisation.is_none()) {
            Some(output) => {
                let text = format!(
                    "its output {} has no quantisation, so its numbers have no meaning; convert the model again",
                    short(output)
                );
                Err(Error::new(Kind::Model, text))
            }
            None => Ok(()),
        }
    }

    /// Names are made for all classes: more than any label set has are damage.
    fn check_classes(&self) -> Result<()> {
        match self.classes() {
            Some(classes) if classes > MAX_CLASSES => {
                let text =
                    format!("its outputs stand for {classes} classes; Spotter reads at most {MAX_CLASSES}");
                Err(Error::new(Kind::Model, text))
            }
            _ => Ok(()),
        }
    }

    /// Number of classes, where the file says it.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::SsdPostProcess { num_classes, .. } | Self::Segmentation { num_classes } => *num_classes,
            Self::YoloV5 { num_classes, .. }
            | Self::RawSsd { num_classes, .. }
            | Self::Classification { num_classes, .. } => Some(*num_classes),
        }
    }

    /// How models with this head were trained to see a picture.
    pub fn default_fit(&self) -> Fit {
        match self {
            Self::SsdPostProcess { .. } | Self::RawSsd { .. } | Self::Segmentation { .. } => Fit::Stretch,
            Self::YoloV5 { .. } => Fit::Letterbox,
            Self::Classification { .. } => Fit::CropInner,
        }
    }

    /// The head's name in the catalogue: `ssd-postprocess`, `ssd-raw`, `yolov5`, `classification` or
    /// `segmentation`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SsdPostProcess { .. } => "ssd-postprocess",
            Self::RawSsd { .. } => "ssd-raw",
            Self::YoloV5 { .. } => "yolov5",
            Self::Classification { .. } => "classification",
            Self::Segmentation { .. } => "segmentation",
        }
    }

    /// What a person calls it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::SsdPostProcess { .. } => "SSD with post-process",
            Self::RawSsd { .. } => "SSD, decoded here",
            Self::YoloV5 { .. } => "YOLOv5",
            Self::Classification { .. } => "Classification",
            Self::Segmentation { .. } => "Segmentation",
        }
    }

    /// What a model with this head does.
    pub fn task(&self) -> Task {
        match self {
            Self::SsdPostProcess { .. } | Self::RawSsd { .. } | Self::YoloV5 { .. } => Task::Detection,
            Self::Classification { .. } => Task::Classification,
            Self::Segmentation { .. } => Task::Segmentation,
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
            Self::RawSsd { parts, .. } => Ok(Box::new(RawSsdDecoder::new(*parts, &signature.outputs)?)),
            Self::YoloV5 { .. } => {
                let decoder = YoloV5Decoder::new(only(signature)?)?;
                Ok(match signature.inputs.first().and_then(TensorInfo::picture_size) {
                    Some((width, height)) => Box::new(decoder.for_input(height, width)),
                    _ => Box::new(decoder),
                })
            }
            Self::Classification { scores, .. } => {
                Ok(Box::new(ClassificationDecoder::new(only(signature)?, *scores)?))
            }
            Self::Segmentation { .. } => Ok(Box::new(SegmentationDecoder::new(only(signature)?)?)),
        }
    }
}

fn only(signature: &Signature) -> Result<&TensorInfo> {
    signature.outputs.first().ok_or_else(|| Error::new(Kind::Model, "the model has no outputs"))
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
    let (width, height) = input.picture_size()?;
    let [1, rows, columns] = *output.shape.as_slice() else { return None };
    let cells = |stride: usize| (height / stride).checked_mul(width / stride);
    let anchors = cells(8)?.checked_add(cells(16)?)?.checked_add(cells(32)?)?.checked_mul(3)?;
    let typed = matches!(output.dtype, DataType::U8 | DataType::I8 | DataType::F32);
    (rows > 0 && rows == anchors && columns > 5 && typed)
        .then(|| Head::YoloV5 { rows, num_classes: columns - 5 })
}

/// Two or three outputs: scores `[1,N,C]`, box encodings `[1,N,4]`, and anchors `[1,N,4]` or `[N,4]`, where
/// without anchors N is that of one of the usual layouts for the input's size.
fn raw_ssd(signature: &Signature, producers: &[Producer]) -> Option<Head> {
    let outputs = &signature.outputs;
    if !(2..=3).contains(&outputs.len()) || !outputs.iter().all(|output| is_real(output.dtype)) {
        return None;
    }
    let scores = score_place(outputs, producers)?;
    let [1, rows @ ..=MAX_ROWS, columns] = *outputs[scores].shape.as_slice() else { return None };
    let fits = |place: &usize| matches!(*outputs[*place].shape.as_slice(), [1, n, 4] | [n, 4] if n == rows);
    let rest: Vec<usize> = (0..outputs.len()).filter(|place| *place != scores).collect();
    if !rest.iter().all(fits) {
        return None;
    }
    let (boxes, anchors) = match *rest.as_slice() {
        [boxes] => {
            let (width, height) = signature.inputs.first()?.picture_size()?;
            (boxes, Anchors::Made(Layout::of(height, width, rows)?, height, width))
        }
        [a, b] if is_anchors(outputs, producers, a, b) => (b, Anchors::Output(a)),
        [a, b] if is_anchors(outputs, producers, b, a) => (a, Anchors::Output(b)),
        _ => return None,
    };
    let operator = producers.get(scores).and_then(|producer| producer.operator.as_deref());
    let background = operator == Some("SOFTMAX") || !WITHOUT_BACKGROUND.contains(&columns);
    let num_classes = columns.checked_sub(usize::from(background)).filter(|classes| *classes > 0)?;
    let kind = score_kind(&outputs[scores], operator);
    Some(Head::RawSsd { parts: RawSsd { scores, boxes, anchors, kind, background }, num_classes })
}

/// Score columns of the data sets that models are published for (COCO 90 and 80, Pascal VOC), where no
/// background is among them. With any other number the first is the background, which the training
/// always has.
const WITHOUT_BACKGROUND: [usize; 3] = [90, 80, 20];

fn is_real(dtype: DataType) -> bool {
    matches!(dtype, DataType::U8 | DataType::I8 | DataType::F32)
}

/// Where the scores are among the outputs of a raw SSD head: by shape, and where they have four columns as
/// the boxes have, by what makes them or by name.
fn score_place(outputs: &[TensorInfo], producers: &[Producer]) -> Option<usize> {
    let all = || (0..outputs.len()).filter(|place| matches!(*outputs[*place].shape.as_slice(), [1, _, _]));
    let only_one = |mut found: Box<dyn Iterator<Item = usize> + '_>| match (found.next(), found.next()) {
        (Some(place), None) => Some(place),
        _ => None,
    };
    let wide = || all().filter(|place| outputs[*place].shape[2] != 4);
    let operator = |place: &usize| producers.get(*place).and_then(|p| p.operator.as_deref());
    let made = || all().filter(|place| matches!(operator(place), Some("LOGISTIC" | "SOFTMAX")));
    let named = || all().filter(|place| says(&outputs[*place], "class") || says(&outputs[*place], "score"));
    match wide().next() {
        Some(_) => only_one(Box::new(wide())),
        None => only_one(Box::new(made())).or_else(|| only_one(Box::new(named()))),
    }
}

/// Whether output `anchors` has anchors and `boxes` box encodings: by name, by a shape without a batch, or
/// because the picture has no part in them.
fn is_anchors(outputs: &[TensorInfo], producers: &[Producer], anchors: usize, boxes: usize) -> bool {
    let batched = |place: usize| outputs[place].shape.len() == 3;
    let constant = |place: usize| producers.get(place).is_some_and(|producer| !producer.from_input);
    batched(boxes)
        && (says(&outputs[anchors], "anchor") && !says(&outputs[boxes], "anchor")
            || !batched(anchors)
            || constant(anchors) && !constant(boxes))
}

fn says(output: &TensorInfo, word: &str) -> bool {
    output.name.to_ascii_lowercase().contains(word)
}

/// What scores are: probabilities where a sigmoid or softmax makes them, or where bytes cover 0 to 1 as
/// those of these operators always do; else logits.
fn score_kind(output: &TensorInfo, operator: Option<&str>) -> Scores {
    let unit = |q: Quantisation| (q.scale - 1.0 / 256.0).abs() < 1e-6;
    let from_zero = |q: Quantisation| match output.dtype {
        DataType::U8 => q.zero_point == 0,
        DataType::I8 => q.zero_point == -128,
        _ => false,
    };
    let covers = output.quantisation.is_some_and(|q| unit(q) && from_zero(q));
    if covers || matches!(operator, Some("LOGISTIC" | "SOFTMAX")) {
        Scores::Probabilities
    } else {
        Scores::Logits
    }
}

/// One output `[1,C]`.
fn classifier(signature: &Signature, producers: &[Producer]) -> Option<Head> {
    let [output] = signature.outputs.as_slice() else { return None };
    let num_classes = classification::classes(output).filter(|_| is_real(output.dtype))?;
    let operator = producers.first().and_then(|producer| producer.operator.as_deref());
    Some(Head::Classification { num_classes, scores: score_kind(output, operator) })
}

/// One output of a class or of scores for each pixel. Bytes are class indices where `ARG_MAX` makes them or
/// where they have no quantisation.
fn segmenter(signature: &Signature, producers: &[Producer]) -> Option<Head> {
    let [output] = signature.outputs.as_slice() else { return None };
    let (height, width, content) = segmentation::layout(output)?;
    let producer = producers.first().filter(|producer| producer.operator.as_deref() == Some("ARG_MAX"));
    let num_classes = match content {
        Content::Scores(_, classes) => Some(classes),
        Content::Indices(DataType::U8) if producer.is_none() && output.quantisation.is_some() => return None,
        // The channels that the highest was looked for in.
        Content::Indices(_) => producer.and_then(|producer| match *producer.input_shape.as_slice() {
            [1, h, w, classes] if (h, w) == (height, width) && classes > 0 => Some(classes),
            _ => None,
        }),
    };
    Some(Head::Segmentation { num_classes })
}

#[cfg(test)]
mod tests;
