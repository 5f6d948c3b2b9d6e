//! A TensorFlow Lite model file and what it says of itself.
//!
//! Only what Spotter needs is read; [`super::schema`] says of which format.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::cavalry::Cavalry;
use super::flatbuffer::{Damage, Read, Table, Vector};
use super::flexbuffer::Map;
use super::producer::{Producer, producers};
use super::schema::{self, MAX_OPERATOR_NAME};
use super::{label_file, zip};
use crate::base::error::{Error, Kind, Result};
use crate::vision::tensor::{DataType, Quantisation, Signature, TensorInfo};

/// The custom operator that ends an SSD model: decoding and suppression.
pub const POST_PROCESS: &str = "TFLite_Detection_PostProcess";
/// The custom operator that a model compiled for the Edge TPU consists of.
pub const EDGE_TPU: &str = "edgetpu-custom-op";

/// Larger files are refused: no detection model comes near it.
pub const MAX_BYTES: u64 = 200 << 20;
const MAX_TENSORS: usize = 256;
const MAX_ELEMENTS: usize = 1 << 30;
const MAX_TENSOR_NAME: usize = 64 << 10;

/// Options of the post-process operator, with the operator's own defaults where the file has none.
#[derive(Clone, Debug, PartialEq)]
pub struct PostProcess {
    /// Classes without background.
    pub num_classes: usize,
    /// Boxes at most.
    pub max_detections: usize,
    /// Classes at most for one box (fast suppression).
    pub max_classes_per_detection: usize,
    /// Boxes at most for one class (regular suppression).
    pub detections_per_class: usize,
    /// Suppression class by class instead of over all classes.
    pub use_regular_nms: bool,
    /// Scores below are dropped inside the model.
    pub nms_score_threshold: f32,
    /// Boxes that overlap more are suppressed inside the model.
    pub nms_iou_threshold: f32,
    /// Scales of the box encoding: y, x, height, width.
    pub box_scales: [f32; 4],
    /// Where boxes, classes, scores and count are among the model's outputs; `None` where not all
    /// of them are.
    pub outputs: Option<[usize; 4]>,
}

/// A model file that has been read and checked.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// The file's name, for messages.
    pub name: String,
    /// The file as it is.
    pub bytes: Arc<[u8]>,
    /// Inputs and outputs of the main subgraph.
    pub signature: Signature,
    /// What makes each output, in the order of the outputs.
    pub producers: Vec<Producer>,
    /// Operators and how often they occur in all subgraphs, by name; custom operators by their own.
    pub operators: Vec<(String, usize)>,
    /// Names of the custom operators.
    pub custom_ops: Vec<String>,
    /// Options of the post-process operator, where the model has one.
    pub post_process: Option<PostProcess>,
    /// Rows of the label file inside the model, as they stand there.
    pub embedded_labels: Option<Vec<String>>,
    /// What the converter wrote of itself.
    pub description: String,
    /// The description beside a model compiled for CV25, which says nothing of itself; `None` for
    /// TensorFlow Lite files.
    pub cavalry: Option<Arc<Cavalry>>,
}

impl ModelFile {
    /// Reads a model file: TensorFlow Lite, or a `.bin` compiled for CV25 with its description beside it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is no such file; [`Kind::Model`] where it cannot be read, is
    /// no sound TensorFlow Lite model, or is a `.bin` without a sound description.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(Kind::NotFound, format!("there is no model file {shown}"))
            }
            _ => Error::new(Kind::Model, format!("cannot read the model file {shown}")).caused_by(error),
        };
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if about.is_dir() {
            return Err(Error::new(Kind::Model, format!("{shown} is a folder; give a .tflite file")));
        }
        if !about.is_file() {
            return Err(Error::new(Kind::Model, format!("{shown} is no regular file; give a .tflite file")));
        }
        if about.len() > MAX_BYTES {
            let (size, limit) = (about.len() >> 20, MAX_BYTES >> 20);
            let text = format!("{shown} is too large for a model: {size} MiB, at most {limit} MiB are read");
            return Err(Error::new(Kind::Model, text));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let name = path.file_name().map_or_else(|| shown.to_string(), |n| n.to_string_lossy().into_owned());
        let compiled = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("bin"));
        if compiled && !bytes.is_empty() && bytes.get(4..8) != Some(b"TFL3") {
            return Ok(Self::described(name, bytes, Cavalry::beside(path)?));
        }
        Self::from_bytes(&name, bytes)
    }

    /// A model that only its description speaks for.
    fn described(name: String, bytes: Vec<u8>, cavalry: Cavalry) -> Self {
        Self {
            name,
            bytes: bytes.into(),
            signature: cavalry.signature(),
            operators: cavalry.operators.iter().map(|(name, count)| (name.clone(), *count)).collect(),
            custom_ops: Vec::new(),
            post_process: None,
            embedded_labels: (!cavalry.labels.is_empty()).then(|| cavalry.labels.clone()),
            description: cavalry.description.clone(),
            producers: cavalry.producers(),
            cavalry: Some(Arc::new(cavalry)),
        }
    }

    /// Reads a model from memory; `name` is used in messages.
    ///
    /// # Errors
    /// [`Kind::Model`] where the bytes are no sound TensorFlow Lite model.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        if bytes.is_empty() {
            return Err(Error::new(Kind::Model, format!("{name} is empty; give a .tflite file")));
        }
        if bytes.get(4..8) != Some(b"TFL3") {
            let text = format!(
                "{name} is not a TensorFlow Lite model (no \"TFL3\" mark at byte 4); give a .tflite file"
            );
            return Err(Error::new(Kind::Model, text));
        }
        let contents = Contents::read(&bytes)
            .map_err(|damage| Error::new(Kind::Model, format!("{name} is damaged: {damage}")))?;
        let Contents { signature, producers, operators, custom_ops, post_process, label_file, description } =
            contents;
        let embedded_labels = embedded_labels(&bytes, label_file.as_deref());
        Ok(Self {
            name: name.to_string(),
            bytes: bytes.into(),
            signature,
            producers,
            operators,
            custom_ops,
            post_process,
            embedded_labels,
            description,
            cavalry: None,
        })
    }

    /// True where the model is compiled for the Edge TPU.
    pub fn needs_edge_tpu(&self) -> bool {
        self.custom_ops.iter().any(|op| op == EDGE_TPU)
    }

    /// Whether TensorFlow Lite can run the model on a processor, with one picture as its input.
    ///
    /// # Errors
    /// [`Kind::Model`]: compiled for the Edge TPU, a custom operator that is not known, more than one
    /// input, or an input that is no RGB picture.
    pub fn check_runnable_on_cpu(&self) -> Result<()> {
        let name = &self.name;
        if self.cavalry.is_some() {
            let text = format!(
                "{name} is compiled for Ambarella CV25 and runs on such a camera only; give the .tflite file that it was made from"
            );
            return Err(Error::new(Kind::Model, text));
        }
        if self.needs_edge_tpu() {
            let text = format!(
                "{name} needs an Edge TPU: custom op {EDGE_TPU}; give the model's CPU version (the file without _edgetpu)"
            );
            return Err(Error::new(Kind::Model, text));
        }
        self.check_custom_ops(&[POST_PROCESS])?;
        self.check_input()
    }

    /// Whether TensorFlow Lite can run the model with an Edge TPU, with one picture as its input.
    ///
    /// # Errors
    /// [`Kind::Model`]: not compiled for it, and as for [`ModelFile::check_runnable_on_cpu`].
    pub fn check_runnable_on_edge_tpu(&self) -> Result<()> {
        if !self.needs_edge_tpu() {
            let text = format!(
                "{} is not compiled for the Edge TPU; give the file that edgetpu_compiler writes of it, or leave out --backend edgetpu",
                self.name
            );
            return Err(Error::new(Kind::Model, text));
        }
        self.check_custom_ops(&[EDGE_TPU, POST_PROCESS])?;
        self.check_input()
    }

    fn check_custom_ops(&self, known: &[&str]) -> Result<()> {
        let name = &self.name;
        let unknown: Vec<&str> =
            self.custom_ops.iter().map(String::as_str).filter(|op| !known.contains(op)).collect();
        if !unknown.is_empty() {
            let text = format!(
                "{name} needs the custom op {}, which TensorFlow Lite does not have; of custom ops only {POST_PROCESS} is known",
                unknown.join(", ")
            );
            return Err(Error::new(Kind::Model, text));
        }
        Ok(())
    }

    /// Whether the model takes one RGB picture.
    ///
    /// # Errors
    /// [`Kind::Model`] where it does not; the sentence says what it takes.
    pub fn check_input(&self) -> Result<()> {
        let name = &self.name;
        let inputs = &self.signature.inputs;
        let [input] = inputs.as_slice() else {
            let listed: Vec<String> = inputs.iter().take(8).map(TensorInfo::to_string).collect();
            let text = format!(
                "{name} has {} inputs: {}; Spotter runs models with one input, a picture",
                inputs.len(),
                if listed.is_empty() { "none".to_string() } else { listed.join("; ") }
            );
            return Err(Error::new(Kind::Model, text));
        };
        let picture = matches!(input.shape.as_slice(), [1, h, w, 3] if *h > 0 && *w > 0);
        if !picture || !matches!(input.dtype, DataType::U8 | DataType::I8 | DataType::F32) {
            let text = format!(
                "{name} has the input {input}; Spotter needs [1,height,width,3] of uint8, int8 or float32"
            );
            return Err(Error::new(Kind::Model, text));
        }
        Ok(())
    }
}

/// What the flatbuffer holds.
struct Contents {
    signature: Signature,
    producers: Vec<Producer>,
    operators: Vec<(String, usize)>,
    custom_ops: Vec<String>,
    post_process: Option<PostProcess>,
    label_file: Option<String>,
    description: String,
}

impl Contents {
    fn read(bytes: &[u8]) -> Read<Self> {
        let model = schema::Model::read(bytes)?;
        let (codes, subgraphs, outputs) = (&model.codes, model.subgraphs, model.outputs);
        let signature = Signature {
            inputs: tensor_infos(model.tensors, model.inputs)?,
            outputs: tensor_infos(model.tensors, outputs)?,
        };
        let producers = producers(&model, bytes.len())?;
        let mut counts = vec![0usize; codes.len()];
        let mut post_process = None;
        // A file cannot hold more operators than it has room for their offsets, unless it shares
        // them between subgraphs to keep a reader busy.
        let mut budget = bytes.len() / 4;
        for (number, subgraph) in subgraphs.tables().enumerate() {
            for operator in subgraph?.vector(3, 4)?.tables() {
                let operator = operator?;
                budget = budget
                    .checked_sub(1)
                    .ok_or(Damage { what: "operators are listed twice", at: operator.place() })?;
                let code = operator.u32(0)? as usize;
                let damage = Damage { what: "an operator's code is not in the file", at: operator.place() };
                *counts.get_mut(code).ok_or(damage)? += 1;
                let (name, custom) = &codes[code];
                if number == 0 && post_process.is_none() && *custom && name == POST_PROCESS {
                    post_process = Some(read_post_process(&operator, outputs)?);
                }
            }
            budget =
                budget.checked_sub(1).ok_or(Damage { what: "too many subgraphs", at: subgraphs.place() })?;
        }
        let mut operators: Vec<(String, usize)> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut custom_ops = Vec::new();
        for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let (name, custom) = (codes[index].0.as_str(), codes[index].1);
            let place = *places.entry(name).or_insert_with(|| {
                operators.push((name.to_string(), 0));
                operators.len() - 1
            });
            operators[place].1 += count;
            if custom && !custom_ops.iter().any(|known| known == name) {
                custom_ops.push(name.to_string());
            }
        }
        let label_file = label_file(&model).unwrap_or_default();
        let description = model.table.string(3, MAX_TENSOR_NAME)?;
        Ok(Self { signature, producers, operators, custom_ops, post_process, label_file, description })
    }
}

fn tensor_infos(tensors: Vector<'_>, indices: Vector<'_>) -> Read<Vec<TensorInfo>> {
    if indices.len() > MAX_TENSORS {
        return Err(Damage { what: "too many inputs or outputs", at: indices.place() });
    }
    let place = indices.place();
    indices
        .i32s()
        .map(|index| {
            let index = usize::try_from(index)
                .map_err(|_| Damage { what: "an input or output is not in the file", at: place })?;
            tensor_info(tensors.table(index)?)
        })
        .collect()
}

fn tensor_info(tensor: Table<'_>) -> Read<TensorInfo> {
    let shape = schema::shape(&tensor)?;
    let elements = shape.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
    if elements.is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(Damage { what: "a tensor is too large", at: tensor.place() });
    }
    let dtype = schema::data_type(&tensor)?;
    let quantisation = match tensor.table(4)? {
        Some(table) => quantisation(table)?,
        None => None,
    };
    Ok(TensorInfo { name: tensor.string(3, MAX_TENSOR_NAME)?, shape, dtype, quantisation })
}

/// The quantisation of a whole tensor; `None` for none and for one per channel.
fn quantisation(table: Table<'_>) -> Read<Option<Quantisation>> {
    let (scales, zero_points) = (table.vector(2, 4)?, table.vector(3, 8)?);
    if scales.len() != 1 || zero_points.len() > 1 {
        return Ok(None);
    }
    let damage = Damage { what: "a quantisation is no sound number", at: scales.place() };
    let scale = scales.f32s().next().unwrap_or(0.0);
    let zero_point = i32::try_from(zero_points.i64s().next().unwrap_or(0)).map_err(|_| damage)?;
    if !scale.is_finite() || scale < 0.0 {
        return Err(damage);
    }
    // The interpreter takes scale 0 for "not quantised".
    Ok((scale > 0.0).then_some(Quantisation { scale, zero_point }))
}

fn read_post_process(operator: &Table<'_>, graph_outputs: Vector<'_>) -> Read<PostProcess> {
    let options = operator.vector(5, 1)?;
    let damage = |what| Damage { what, at: options.place() };
    let map = Map::root(options.bytes()).ok_or(damage("the post-process options are no map"))?;
    let count = |key: &str, default: Option<usize>| match map.number(key) {
        Some(value) if (1.0..=100_000.0).contains(&value) => Ok(value as usize),
        Some(_) => Err(damage("a post-process option is out of range")),
        None => default.ok_or(damage("a post-process option is missing")),
    };
    let real = |key: &str, default: f32| map.number(key).map_or(default, |value| value as f32);
    let own = operator.vector(2, 4)?;
    let outputs = (own.len() == 4)
        .then(|| {
            let mut places = [0; 4];
            for (place, tensor) in places.iter_mut().zip(own.i32s()) {
                *place = graph_outputs.i32s().position(|output| output == tensor)?;
            }
            Some(places)
        })
        .flatten();
    Ok(PostProcess {
        num_classes: count("num_classes", None)?,
        max_detections: count("max_detections", None)?,
        max_classes_per_detection: count("max_classes_per_detection", Some(1))?,
        detections_per_class: count("detections_per_class", Some(100))?,
        use_regular_nms: real("use_regular_nms", 0.0) != 0.0,
        nms_score_threshold: real("nms_score_threshold", 0.0),
        nms_iou_threshold: real("nms_iou_threshold", 0.0),
        box_scales: ["y_scale", "x_scale", "h_scale", "w_scale"].map(|key| real(key, 1.0)),
        outputs,
    })
}

/// The name of the label file that the metadata names for an output.
///
/// Metadata is a FlatBuffer of its own ("M001"), in the buffer of the entry `TFLITE_METADATA`.
fn label_file(model: &schema::Model<'_>) -> Read<Option<String>> {
    for entry in model.table.vector(6, 4)?.tables().take(MAX_TENSORS) {
        let entry = entry?;
        if entry.string(0, MAX_OPERATOR_NAME).ok().as_deref() != Some("TFLITE_METADATA") {
            continue;
        }
        let data = model.buffers()?.table(entry.u32(1)? as usize)?.vector(0, 1)?;
        let subgraphs = Table::root(data.bytes())?.vector(2, 4)?;
        // SubGraphMetadata: 3 output tensors; TensorMetadata: 6 associated files; AssociatedFile:
        // 0 name, 2 type, where 2 is labels of an axis and 3 labels of values.
        for tensor in subgraphs.table(0)?.vector(3, 4)?.tables().take(MAX_TENSORS) {
            for file in tensor?.vector(6, 4)?.tables().take(MAX_TENSORS) {
                let file = file?;
                if matches!(file.u8(2)?, 2 | 3) {
                    return file.string(0, MAX_OPERATOR_NAME).map(Some);
                }
            }
        }
    }
    Ok(None)
}

/// The rows of the label file in the archive behind the model: the one that the metadata names, else
/// the only text file, else one with "label" in its name.
fn embedded_labels(bytes: &[u8], named: Option<&str>) -> Option<Vec<String>> {
    let texts: Vec<zip::Entry> =
        zip::entries(bytes).into_iter().filter(|entry| entry.name.ends_with(".txt")).collect();
    let entry = texts
        .iter()
        .find(|entry| Some(entry.name.as_str()) == named)
        .or_else(|| texts.iter().find(|entry| texts.len() == 1 || entry.name.contains("label")))?;
    let text = zip::unpack(bytes, entry, label_file::MAX_BYTES)?;
    label_file::parse(&text, &entry.name).ok()
}
