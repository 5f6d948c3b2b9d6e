//! ARTPEC-8: fastest with regular 3×3 convolutions, weights quantised per tensor, filters in sixes.

use super::common;
use super::rule::{Check, Rule, Subject, layers, misfits, tally};
use crate::inspect::cost::kernel;
use spotter_core::base::text::count;
use spotter_core::model::chip::Chip;
use spotter_core::model::format::graph::{Operator, Tensor};
use spotter_core::vision::tensor::DataType;

pub(super) const RULES: &[Check] = &[
    common::tensorflow_lite,
    common::no_edgetpu,
    common::custom_ops,
    common::input_picture,
    common::batch_1,
    common::static_shapes,
    common::integer_weights,
    common::integer_tensors,
    per_tensor_weights,
    filters_multiple_of_6,
    regular_convolutions,
    kernels_3x3,
    native_strides,
    common::fused_activations,
    supported_operators,
    common::no_attention,
    input_size,
    common::known_head,
];

/// Share of the convolutions that may have another number of filters: heads are as wide as their classes.
const MOSTLY: f64 = 0.95;
/// The largest input of the models that Axis offers for the chip.
const LARGEST_SIDE: usize = 640;

/// Axis's list of supported operators, as far as it is known; `LOGISTIC`, `PAD` and `QUANTIZE` stand in
/// Axis's own models for the chip.
#[rustfmt::skip]
const SUPPORTED: &[&str] = &[
    "ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "AVERAGE_POOL_2D", "CAST", "CONCATENATION", "CONV_2D",
    "DEPTHWISE_CONV_2D", "DIV", "ELU", "EQUAL", "EXPAND_DIMS", "FLOOR", "FLOOR_DIV", "FULLY_CONNECTED", "GATHER",
    "GATHER_ND", "GELU", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "LESS", "LESS_EQUAL", "LOGICAL_AND",
    "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "NEG",
    "NOT_EQUAL", "ONE_HOT", "PAD", "POW", "QUANTIZE", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN",
    "REDUCE_PROD", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SIN", "SLICE",
    "SOFTMAX", "SPLIT", "SQRT", "SQUARE", "SQUEEZE", "STRIDED_SLICE", "SUM", "TANH", "TRANSPOSE",
    "TRANSPOSE_CONV",
];

/// One scale for all filters of a layer.
fn per_tensor_weights(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "per-tensor-weights";
    let (graph, convolutions) = subject.convolved()?;
    let quantised = |t: &&Tensor| matches!(t.dtype, DataType::I8 | DataType::U8);
    let weights: Vec<&Tensor> =
        convolutions.iter().filter_map(|(_, o)| graph.weights(o)).filter(quantised).collect();
    if weights.is_empty() {
        return None;
    }
    let (all, per_channel) = (
        weights.len(),
        weights.iter().filter(|w| w.scales.as_ref().is_some_and(|s| s.per_channel())).count(),
    );
    if per_channel == 0 {
        return Rule::pass(ID, format!("all {} are per-tensor quantised", count(all, "convolution")));
    }
    Rule::warn(
        ID,
        format!(
            "{per_channel} of {all} convolutions are per-channel quantised, which runs much slower and less accurately; convert with TensorFlow 1.15 or converter._experimental_disable_per_channel = True"
        ),
    )
}

/// The engine works on six filters at a time.
fn filters_multiple_of_6(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "filters-multiple-of-6";
    let (all, other) = subject.uneven_channels(6)?;
    let good = all - other.len();
    if good as f64 >= MOSTLY * all as f64 {
        return Rule::pass(
            ID,
            format!("{good} of {all} convolutions have a filter count that is a multiple of 6"),
        );
    }
    Rule::warn(
        ID,
        format!(
            "{} of {all} convolutions have a filter count that is no multiple of 6 ({} of the MACs: {}), so part of the engine idles; choose widths that are multiples of 6",
            other.len(),
            subject.percent(other.iter().copied()),
            layers(&other)
        ),
    )
}

/// A depthwise convolution uses little of the engine.
fn regular_convolutions(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "regular-convolutions";
    let (_, convolutions) = subject.convolved()?;
    let depthwise = misfits(&convolutions, |o| o.name != "DEPTHWISE_CONV_2D");
    if depthwise.is_empty() {
        return Rule::pass(ID, "no convolution is depthwise");
    }
    Rule::warn(
        ID,
        format!(
            "{} of {} convolutions are depthwise ({} of the MACs), a kind that is slow for its MACs; prefer an architecture with regular convolutions",
            depthwise.len(),
            convolutions.len(),
            subject.percent(depthwise.iter().copied())
        ),
    )
}

/// Windows of 3×3; 1×1 is taken to be as good.
fn kernels_3x3(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "kernels-3x3";
    let (graph, convolutions) = subject.convolved()?;
    let fits = |o: &Operator| matches!(kernel(graph, o), Some([1, 1] | [3, 3]) | None);
    let other = misfits(&convolutions, fits);
    if other.is_empty() {
        return Rule::pass(ID, "every kernel is 3×3, or 1×1 (inferred to be as good)");
    }
    Rule::warn(
        ID,
        format!(
            "kernels other than 3×3 and 1×1 in {} of {} convolutions ({} of the MACs: {}); prefer 3×3",
            other.len(),
            convolutions.len(),
            subject.percent(other.iter().copied()),
            layers(&other)
        ),
    )
}

/// Steps of 1 and 2.
fn native_strides(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "native-strides";
    let (_, convolutions) = subject.convolved()?;
    let fits = |o: &Operator| matches!(o.options.stride, Some([1 | 2, 1 | 2]) | None);
    let other = misfits(&convolutions, fits);
    if other.is_empty() {
        return Rule::pass(ID, "every stride is 1 or 2");
    }
    Rule::warn(
        ID,
        format!("steps of more than 2 in {} (inferred to be slow); use strides of 2", layers(&other)),
    )
}

/// What the list lacks runs on the processor.
fn supported_operators(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "supported-operators";
    let (graph, _) = subject.convolved()?;
    let other: Vec<(usize, &Operator)> = graph
        .operators
        .iter()
        .enumerate()
        .filter(|(_, o)| !o.custom && !SUPPORTED.contains(&o.name.as_str()))
        .collect();
    let Some((first, _)) = other.first() else {
        return Rule::pass(
            ID,
            "every operator is on the chip's list, or in Axis's own models for it (inferred)",
        );
    };
    let indices: Vec<usize> = other.iter().map(|(index, _)| *index).collect();
    let text = format!(
        "{} (from layer {first}): not on the part of the chip's list that is known, so taken to run on the processor (inferred; the camera's log then says \"Fallback unsupported op\"); replace them or cut the model before them",
        tally(other.iter().map(|(_, o)| *o))
    );
    Rule::new(ID, subject.by_share(&indices), text)
}

/// Axis's own models for the chip go up to 640×640, at 56 to 100 ms for the smallest YOLOv5.
fn input_size(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "input-size";
    let input = subject.file.signature.inputs.first()?;
    let [_, height, width, _] = input.shape[..] else { return None };
    if height.saturating_mul(width) <= LARGEST_SIDE * LARGEST_SIDE {
        return Rule::pass(ID, format!("{width}×{height} is not more than Axis's own models take"));
    }
    Rule::warn(
        ID,
        format!(
            "{width}×{height} is larger than any of Axis's own models for the chip (640×640), where YOLOv5n takes 56 to 100 ms already (inferred); take a smaller input"
        ),
    )
}
