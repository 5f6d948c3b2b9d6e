//! ARTPEC-7: a Coral Edge TPU behind TensorFlow Lite.

use super::common;
use super::rule::{Check, Rule, Subject, tally};
use spotter_core::model::chip::Chip;
use spotter_core::model::format::file::{EDGE_TPU, POST_PROCESS};

pub(super) const RULES: &[Check] = &[
    common::tensorflow_lite,
    edgetpu_compiled,
    edgetpu_mapping,
    on_chip_memory,
    common::custom_ops,
    common::input_picture,
    common::batch_1,
    common::static_shapes,
    common::integer_weights,
    common::integer_tensors,
    common::no_attention,
    common::known_head,
];

/// Weights up to this size stay in the Edge TPU's memory of 8 MB (Coral's description of the compiler).
const ON_CHIP: usize = 8_000_000;
/// Inputs of the models that Axis offers for the chip.
const USUAL_SIDE: usize = 320;

/// The chip runs nothing but what `edgetpu_compiler` wrote.
fn edgetpu_compiled(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "edgetpu-compiled";
    if subject.file.cavalry.is_some() {
        return None;
    }
    if subject.file.needs_edge_tpu() {
        return Rule::pass(ID, "compiled for the Edge TPU");
    }
    Rule::fail(
        ID,
        "not compiled for the Edge TPU, so all of it would run on the processor; run edgetpu_compiler on the fully quantised file and use the _edgetpu.tflite that it writes",
    )
}

/// What the compiler could not map stays outside of its operator.
fn edgetpu_mapping(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "edgetpu-mapping";
    if !subject.file.needs_edge_tpu() {
        return None;
    }
    let graph = subject.graph?;
    let parts = graph.operators.iter().filter(|o| o.name == EDGE_TPU).count();
    // Boxes are made on the processor in any case, from real numbers.
    let outside = |name: &str| !matches!(name, EDGE_TPU | POST_PROCESS | "DEQUANTIZE" | "QUANTIZE");
    let left: Vec<_> = graph.operators.iter().filter(|o| outside(&o.name)).collect();
    match (left.is_empty(), parts) {
        (true, 1) => Rule::pass(ID, "every operator that the Edge TPU can run is mapped to it"),
        (true, _) => Rule::warn(
            ID,
            format!(
                "compiled in {parts} pieces, between which data goes back to the processor (inferred); replace the operators that edgetpu_compiler -s lists as not mapped"
            ),
        ),
        (false, _) => Rule::warn(
            ID,
            format!(
                "left on the processor: {}; replace the operators that edgetpu_compiler -s lists as not mapped",
                tally(left)
            ),
        ),
    }
}

/// A model that does not fit is loaded piece by piece for every picture.
fn on_chip_memory(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "on-chip-memory";
    if subject.file.cavalry.is_some() {
        return None;
    }
    let size = subject.file.bytes.len();
    let megabytes = size as f64 / 1e6;
    if size > ON_CHIP {
        let text = format!(
            "{megabytes:.1} MB do not fit into the Edge TPU's memory of 8 MB, so weights are loaded for every picture; take a smaller model"
        );
        return Rule::warn(ID, text);
    }
    let input = subject.file.signature.inputs.first()?;
    match input.shape[..] {
        [_, height, width, _] if height.saturating_mul(width) > USUAL_SIDE * USUAL_SIDE => Rule::warn(
            ID,
            format!(
                "the input of {width}×{height} is larger than the 300×300 class that the chip is meant for (inferred: activations leave the chip's memory); take a smaller input"
            ),
        ),
        _ => Rule::pass(ID, format!("{megabytes:.1} MB, which fit into the Edge TPU's memory of 8 MB")),
    }
}
