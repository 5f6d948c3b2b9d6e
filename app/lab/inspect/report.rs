//! All that is known of a model, in one value: what `spotter inspect` prints.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::backbone::Backbone;
use super::cost::{Cost, Layer};
use super::rules::{Level, Rule, Subject, Verdict};
use crate::catalogue::Catalogue;
use spotter_core::base::error::Result;
use spotter_core::base::text::printable;
use spotter_core::model::chip::Chip;
use spotter_core::model::decode::head::Head;
use spotter_core::model::format::file::ModelFile;
use spotter_core::model::format::graph::{self, Graph};
use spotter_core::model::labels::Labels;
use spotter_core::model::task::Task;
use spotter_core::vision::tensor::{DataType, TensorInfo};

/// Names are cut to this.
const NAME: usize = 160;

/// How the weights are quantised.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Weights {
    /// `per-tensor`, `per-channel`, `mixed`, `float` or `unknown` (a compiled file).
    pub kind: &'static str,
    /// Types of the weights.
    pub types: Vec<String>,
    /// Layers whose weights have one scale.
    pub per_tensor: usize,
    /// Layers whose weights have one scale for each channel.
    pub per_channel: usize,
    /// Layers whose weights are not quantised.
    pub float: usize,
    /// Share of the weights that are exactly 0, where it could be counted; ARTPEC-8 skips them.
    pub zeros: Option<f64>,
}

/// All that is known of a model.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file's name.
    pub name: String,
    /// Its title in the catalogue, where it is one of those.
    pub title: Option<String>,
    /// Bytes.
    pub file_size: usize,
    /// `tflite` or `cavalry`.
    pub format: &'static str,
    /// What the converter, or the person who described it, wrote.
    pub description: String,
    /// What it is built on.
    pub backbone: Backbone,
    /// Name of the head, where Spotter knows it.
    pub head: Option<String>,
    /// What it does, where Spotter knows the head: `detection`, `classification`, `segmentation`.
    pub task: Option<Task>,
    /// Why the head is not known.
    pub head_reason: Option<String>,
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<TensorInfo>,
    pub classes: Option<usize>,
    /// Where labels come from, and the first ones.
    pub labels: Option<Labels>,
    /// MACs for one picture; `None` where the file does not show its layers.
    pub macs: Option<u64>,
    /// Weights and biases.
    pub parameters: Option<u64>,
    /// How the weights are quantised.
    pub quantisation: Weights,
    /// Operators and how often they occur, most first.
    pub operators: Vec<(String, usize)>,
    /// Custom operators.
    pub custom_ops: Vec<String>,
    /// The operators one by one.
    pub layers: Vec<Layer>,
    pub signatures: Vec<graph::SignatureDef>,
    /// Metadata entries and their sizes.
    pub metadata: Vec<(String, usize)>,
    /// Why Spotter cannot run it on this machine, where it cannot.
    pub refusal: Option<String>,
    /// Every chip's rules.
    pub chips: Vec<(Chip, Verdict)>,
}

/// The layers of a model and what they cost.
pub(super) struct Look {
    /// None for a file compiled for CV25.
    pub graph: Option<Graph>,
    pub cost: Cost,
}

impl Look {
    pub(super) fn into(file: &ModelFile) -> Result<Self> {
        let graph = match file.cavalry {
            Some(_) => None,
            None => Some(Graph::read(&file.name, &file.bytes)?),
        };
        let cost = graph.as_ref().map_or_else(Cost::default, Cost::of);
        Ok(Self { graph, cost })
    }
}

impl Report {
    /// Looks at a model from all sides. `has_edge_tpu` is asked, for a model that is compiled for one, whether
    /// this machine has an Edge TPU.
    ///
    /// # Errors
    /// [`spotter_core::base::error::Kind::Model`] where its layers are damaged.
    pub fn of(file: &ModelFile, catalogue: &Catalogue, has_edge_tpu: impl Fn() -> bool) -> Result<Self> {
        let Look { graph, cost } = Look::into(file)?;
        let subject = Subject { file, graph: graph.as_ref(), cost: &cost };
        let chips = Chip::ALL.into_iter().map(|chip| (chip, Verdict::of(&subject, chip))).collect();
        let head = Head::recognise(file);
        let hinted = file.cavalry.as_ref().and_then(|cavalry| cavalry.head.clone());
        // A model that runs here: on the processor, or on an Edge TPU where there is one.
        let runnable = if file.needs_edge_tpu() && has_edge_tpu() {
            file.check_runnable_on_edge_tpu()
        } else {
            file.check_runnable_on_cpu()
        };
        let refusal = runnable.and(head.as_ref().map(|_| ()).map_err(again)).err();
        let classes = head.as_ref().ok().and_then(Head::classes);
        let classes = classes.or_else(|| file.cavalry.as_ref().and_then(|cavalry| cavalry.classes));
        let known = catalogue.entry_of(&file.bytes);
        let labels = classes.and_then(|classes| {
            Labels::resolve(None, file, Some(classes), known.map(|entry| entry.labels.as_str())).ok()
        });
        let (macs, parameters) = match (&file.cavalry, graph.as_ref().is_some_and(hides_layers)) {
            (Some(cavalry), _) => (cavalry.macs, cavalry.parameters),
            (None, true) => (None, None),
            (None, false) => (Some(cost.macs), Some(cost.parameters)),
        };
        Ok(Self {
            name: file.name.clone(),
            title: known.map(|entry| entry.title.clone()),
            file_size: file.bytes.len(),
            format: if file.cavalry.is_some() { "cavalry" } else { "tflite" },
            description: file.description.clone(),
            backbone: backbone(file, graph.as_ref()),
            task: head.as_ref().ok().map(Head::task),
            head_reason: head.as_ref().err().filter(|_| hinted.is_none()).map(ToString::to_string),
            head: hinted.or_else(|| head.as_ref().ok().map(|head| head.name().to_string())),
            inputs: file.signature.inputs.clone(),
            outputs: file.signature.outputs.clone(),
            classes,
            labels,
            macs,
            parameters,
            quantisation: graph.as_ref().map_or_else(unknown_weights, weights),
            operators: graph.as_ref().map_or_else(|| file.operators.clone(), graph::operator_counts),
            custom_ops: file.custom_ops.clone(),
            layers: cost.layers,
            signatures: graph.as_ref().map_or_else(Vec::new, |graph| graph.signatures.clone()),
            metadata: graph.map_or_else(Vec::new, |graph| graph.metadata),
            refusal: refusal.map(|error| error.to_string()),
            chips,
        })
    }

    /// A chip's rules.
    pub fn verdict(&self, chip: Chip) -> Option<&Verdict> {
        self.chips.iter().find(|(known, _)| *known == chip).map(|(_, verdict)| verdict)
    }

    /// The layers with the most MACs, most first.
    pub fn costliest(&self, count: usize) -> Vec<&Layer> {
        let mut layers: Vec<&Layer> = self.layers.iter().filter(|layer| layer.macs > 0).collect();
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.macs));
        layers.truncate(count);
        layers
    }

    /// The report as JSON; `docs/models.md` lists the keys. `rules` are those of `chip`, of the processor
    /// where there is none.
    pub fn to_json(&self, chip: Option<Chip>) -> Value {
        let shown = chip.unwrap_or(Chip::Cpu);
        let verdict = self.verdict(shown);
        let counts: Map<String, Value> =
            self.operators.iter().map(|(name, count)| (printable(name, NAME), json!(count))).collect();
        let layers: Vec<Value> = self.layers.iter().map(layer_json).collect();
        let named = |list: &[(String, usize)]| -> Vec<Value> {
            list.iter()
                .map(|(name, tensor)| json!({"name": printable(name, NAME), "tensor": tensor}))
                .collect()
        };
        let mut json = json!({
            "name": self.name,
            "title": self.title,
            "file_size": self.file_size,
            "format": self.format,
            "description": printable(&self.description, NAME),
            "task": self.task.map(|task| task.to_string()),
            "backbone": self.backbone.name,
            "backbone_evidence": self.backbone.evidence,
            "neck": self.backbone.neck,
            "head": self.head,
            "head_reason": self.head_reason.as_deref().map(|why| printable(why, 1000)),
            "input": self.inputs.first().map(tensor_json),
            "inputs": self.inputs.iter().map(tensor_json).collect::<Vec<_>>(),
            "outputs": self.outputs.iter().map(tensor_json).collect::<Vec<_>>(),
            "classes": self.classes,
            "labels": self.labels.as_ref().map(|labels| {
                json!({"source": labels.source, "assumed": labels.assumed, "names": labels.names()})
            }),
            "macs": self.macs,
            "parameters": self.parameters,
            "quantisation": self.quantisation,
            "operators": counts,
            "custom_ops": self.custom_ops.iter().map(|op| printable(op, NAME)).collect::<Vec<_>>(),
            "signatures": self.signatures.iter().map(|signature| json!({
                "key": printable(&signature.key, NAME),
                "inputs": named(&signature.inputs),
                "outputs": named(&signature.outputs),
            })).collect::<Vec<_>>(),
            "metadata": self.metadata.iter().map(|(name, size)| {
                json!({"name": printable(name, NAME), "bytes": size})
            }).collect::<Vec<_>>(),
            "runs_here": self.refusal.is_none(),
            "refusal": self.refusal.as_deref().map(|why| printable(why, 1000)),
            "chip": shown.name(),
            "verdict": verdict.map(|verdict| verdict.verdict),
            "rules": verdict.map(|verdict| &verdict.rules),
            "layers": layers,
        });
        if chip.is_none() {
            let chips: Map<String, Value> =
                self.chips.iter().map(|(chip, verdict)| (chip.name().to_string(), json!(verdict))).collect();
            json["chips"] = Value::Object(chips);
        }
        json
    }

    /// How many rules of a chip went so.
    pub fn count(&self, chip: Chip, level: Level) -> usize {
        self.verdict(chip).map_or(0, |verdict| verdict.count(level))
    }

    /// The rules that a chip's verdict is from: those of its level.
    pub fn reasons(&self, chip: Chip) -> Vec<&Rule> {
        let Some(verdict) = self.verdict(chip) else { return Vec::new() };
        verdict.rules.iter().filter(|rule| rule.level == verdict.verdict).collect()
    }
}

/// An error to be told twice.
fn again(error: &spotter_core::base::error::Error) -> spotter_core::base::error::Error {
    spotter_core::base::error::Error::new(error.kind(), error.message())
}

/// True where the layers are inside a custom operator.
pub(super) fn hides_layers(graph: &Graph) -> bool {
    graph.operators.iter().any(|operator| operator.custom) && !graph.operators.iter().any(is_weighted)
}

fn is_weighted(operator: &graph::Operator) -> bool {
    Graph::weights_place(&operator.name).is_some()
}

fn backbone(file: &ModelFile, graph: Option<&Graph>) -> Backbone {
    match (&file.cavalry, graph) {
        (_, Some(graph)) => Backbone::of(graph),
        (Some(cavalry), None) => Backbone {
            name: cavalry.backbone.clone().unwrap_or_else(|| "unknown".to_string()),
            neck: None,
            evidence: match cavalry.backbone {
                Some(_) => "named by the description beside the file".to_string(),
                None => "the description beside the file does not name it".to_string(),
            },
        },
        (None, None) => Backbone { name: "unknown".to_string(), neck: None, evidence: String::new() },
    }
}

fn unknown_weights() -> Weights {
    Weights { kind: "unknown", ..Weights::default() }
}

fn weights(graph: &Graph) -> Weights {
    let mut found = unknown_weights();
    let (mut zeros, mut counted) = (0usize, 0usize);
    for operator in graph.operators.iter().filter(|operator| is_weighted(operator)) {
        let Some(weights) = graph.weights(operator) else { continue };
        let dtype = weights.dtype.to_string();
        if !found.types.contains(&dtype) {
            found.types.push(dtype);
        }
        let integer = matches!(weights.dtype, DataType::I8 | DataType::U8 | DataType::I16);
        match weights.scales.as_ref().filter(|_| integer) {
            None => found.float += 1,
            Some(scales) if scales.per_channel() => found.per_channel += 1,
            Some(_) => found.per_tensor += 1,
        }
        if let Some(exact) = weights.zeros {
            zeros += exact;
            counted = counted.saturating_add(weights.elements());
        }
    }
    found.zeros = (counted > 0).then(|| (zeros as f64 / counted as f64 * 1e4).round() / 1e4);
    found.kind = match (found.per_tensor > 0, found.per_channel > 0, found.float > 0) {
        (true, false, false) => "per-tensor",
        (false, true, false) => "per-channel",
        (false, false, true) => "float",
        (false, false, false) => "unknown",
        _ => "mixed",
    };
    found
}

fn tensor_json(tensor: &TensorInfo) -> Value {
    let mut json = json!({
        "name": printable(&tensor.name, NAME),
        "shape": tensor.shape,
        "type": tensor.dtype.to_string(),
    });
    if let Some(quantisation) = tensor.quantisation {
        json["scale"] = json!(quantisation.scale);
        json["zero_point"] = json!(quantisation.zero_point);
    }
    json
}

fn layer_json(layer: &Layer) -> Value {
    let mut json = json!(layer);
    for key in ["operator", "name"] {
        if let Some(text) = json[key].as_str().map(|text| printable(text, NAME)) {
            json[key] = json!(text);
        }
    }
    json
}
