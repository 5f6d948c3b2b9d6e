//! ARTPEC-9: its table of operators reads like that of Arm's Ethos-N, which is what the bounds here are.

use super::common;
use super::rule::{Check, Rule, Subject, layers, misfits, tally};
use crate::inspect::cost::kernel;
use spotter_core::base::text::count;
use spotter_core::model::chip::Chip;
use spotter_core::model::format::graph::{Graph, Operator, Padding, Tensor};

pub(super) const RULES: &[Check] = &[
    common::tensorflow_lite,
    common::no_edgetpu,
    common::custom_ops,
    common::input_picture,
    common::batch_1,
    common::static_shapes,
    common::integer_weights,
    common::integer_tensors,
    supported_operators,
    four_dimensions,
    kernel_sizes,
    strides,
    depth_multiplier,
    channels_multiple_of_16,
    joined_channels_multiple_of_16,
    requantisation,
    no_explicit_padding,
    pooling_sizes,
    resize_factor,
    output_scales,
    leaky_relu_slope,
    common::fused_activations,
    common::no_attention,
    common::known_head,
];

const KERNELS: [usize; 6] = [1, 2, 3, 5, 7, 9];
/// Share of the convolutions that may have another number of channels: heads are as wide as their classes.
const MOSTLY: f64 = 0.9;
/// `input scale × weight scale / output scale` must stay below.
const MAX_RESCALE: f64 = 65_536.0;

/// Operators that the chip's table bounds or that stand in Axis's own models for it.
#[rustfmt::skip]
const SUPPORTED: &[&str] = &[
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LEAKY_RELU",
    "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "QUANTIZE", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "SPLIT", "STRIDED_SLICE", "TANH", "TRANSPOSE_CONV",
];
/// Operators that are switched off.
const OFF: &[&str] = &["TRANSPOSE", "SPACE_TO_DEPTH"];

/// Operators off the table run on the processor.
fn supported_operators(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "supported-operators";
    let (graph, _) = subject.convolved()?;
    let all = || graph.operators.iter().enumerate();
    let off: Vec<(usize, &Operator)> = all().filter(|(_, o)| OFF.contains(&o.name.as_str())).collect();
    let known =
        |o: &Operator| o.custom || SUPPORTED.contains(&o.name.as_str()) || OFF.contains(&o.name.as_str());
    let other: Vec<(usize, &Operator)> = all().filter(|(_, o)| !known(o)).collect();
    if off.is_empty() && other.is_empty() {
        return Rule::pass(
            ID,
            "every operator is in the chip's table, or in Axis's own models for it (inferred)",
        );
    }
    let mut parts = Vec::new();
    if let Some((first, _)) = off.first() {
        parts.push(format!("{} (from layer {first}): switched off", tally(off.iter().map(|(_, o)| *o))));
    }
    if let Some((first, _)) = other.first() {
        let names = tally(other.iter().map(|(_, o)| *o));
        parts.push(format!(
            "{names} (from layer {first}): not in the part of the chip's table that is known (inferred)"
        ));
    }
    let indices: Vec<usize> = off.iter().chain(&other).map(|(index, _)| *index).collect();
    let text = format!(
        "{}, so the processor runs them; replace them or cut the model before them",
        parts.join("; ")
    );
    Rule::new(ID, subject.by_share(&indices), text)
}

/// At most four dimensions.
fn four_dimensions(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "four-dimensions";
    let (graph, _) = subject.convolved()?;
    let deep = |o: &Operator| {
        let tensors = o.inputs.iter().flatten().chain(&o.outputs).filter_map(|t| graph.tensors.get(*t));
        tensors.filter(|t| t.shape.len() > 4).count() > 0
    };
    let found: Vec<usize> = places(graph, deep);
    if found.is_empty() {
        return Rule::pass(ID, "no tensor has more than 4 dimensions");
    }
    let text = format!(
        "tensors of more than 4 dimensions in {}, which the processor runs; reshape to 4 or fewer",
        layers(&found)
    );
    Rule::new(ID, subject.by_share(&found), text)
}

/// Places of the operators that something is true of.
fn places(graph: &Graph, of: impl Fn(&Operator) -> bool) -> Vec<usize> {
    graph.operators.iter().enumerate().filter(|(_, o)| of(o)).map(|(index, _)| index).collect()
}

/// A rule about convolutions: `good` where none is bad, else what is `bad`, where, and how to `mend` it.
fn about(
    subject: &Subject<'_>,
    id: &'static str,
    is_bad: impl Fn(&Graph, &Operator) -> bool,
    good: &str,
    bad: &str,
    mend: &str,
) -> Option<Rule> {
    let (graph, convolutions) = subject.convolved()?;
    let found: Vec<usize> =
        convolutions.iter().filter(|(_, o)| is_bad(graph, o)).map(|(index, _)| *index).collect();
    if found.is_empty() {
        return Rule::pass(id, good);
    }
    let share = subject.percent(found.iter().copied());
    let text = format!("{bad} in {} ({share} of the MACs), which the processor runs; {mend}", layers(&found));
    Rule::new(id, subject.by_share(&found), text)
}

/// Windows of 1, 2, 3, 5, 7 or 9.
fn kernel_sizes(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    let bad = |graph: &Graph, o: &Operator| {
        kernel(graph, o).is_some_and(|sides| sides.iter().any(|side| !KERNELS.contains(side)))
    };
    about(
        subject,
        "kernel-sizes",
        bad,
        "every kernel is 1, 2, 3, 5, 7 or 9 wide",
        "kernels other than 1, 2, 3, 5, 7 and 9",
        "choose one of these",
    )
}

/// Steps of 1 or 2, the same both ways.
fn strides(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    let bad = |_: &Graph, o: &Operator| {
        o.name != "TRANSPOSE_CONV" && !matches!(o.options.stride, Some([1, 1] | [2, 2]) | None)
    };
    about(
        subject,
        "strides",
        bad,
        "every stride is 1 or 2, the same both ways",
        "strides other than 1 and 2, or different ones in width and height,",
        "use 1 or 2",
    )
}

/// One output channel for each input channel.
fn depth_multiplier(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    subject.operators(&["DEPTHWISE_CONV_2D"]).first()?;
    let bad = |_: &Graph, o: &Operator| !matches!(o.options.depth_multiplier, Some(0 | 1) | None);
    about(
        subject,
        "depth-multiplier",
        bad,
        "every depthwise convolution has depth multiplier 1",
        "a depth multiplier other than 1",
        "use 1",
    )
}

/// The engine works on 16 channels at a time.
fn channels_multiple_of_16(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "channels-multiple-of-16";
    let (all, other) = subject.uneven_channels(16)?;
    let good = all - other.len();
    if good as f64 >= MOSTLY * all as f64 {
        return Rule::pass(ID, format!("{good} of {all} convolutions have a multiple of 16 channels"));
    }
    Rule::warn(
        ID,
        format!(
            "{} of {all} convolutions have a number of channels that is no multiple of 16 ({} of the MACs: {}), so part of the engine idles; choose widths that are multiples of 16",
            other.len(),
            subject.percent(other.iter().copied()),
            layers(&other)
        ),
    )
}

/// What is joined or split along the channels.
fn joined_channels_multiple_of_16(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "joined-channels-multiple-of-16";
    let (graph, _) = subject.convolved()?;
    let odd = |tensor: &usize| {
        let shape = &graph.tensors[*tensor].shape;
        shape.len() == 4 && shape[3] % 16 != 0
    };
    let along_channels = |o: &Operator| matches!(o.options.axis, Some(3 | -1) | None);
    let bad = |o: &Operator| match o.name.as_str() {
        "CONCATENATION" => along_channels(o) && o.inputs.iter().flatten().any(odd),
        "SPLIT" => o.outputs.iter().any(odd),
        _ => false,
    };
    let found = places(graph, bad);
    if found.is_empty() {
        return Rule::pass(ID, "what is joined or split has a multiple of 16 channels");
    }
    Rule::warn(
        ID,
        format!(
            "parts whose channels are no multiple of 16 are joined or split in {}, which the processor runs; choose multiples of 16",
            layers(&found)
        ),
    )
}

/// The scale from a sum of products to the output.
fn requantisation(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    let scale = |tensor: Option<&Tensor>| -> Option<f64> {
        tensor?.scales.as_ref()?.scales.iter().map(|s| f64::from(*s)).reduce(f64::max)
    };
    let bad = |graph: &Graph, o: &Operator| {
        let input = if o.name == "TRANSPOSE_CONV" { 2 } else { 0 };
        let (from, weights, to) =
            (scale(graph.input(o, input)), scale(graph.weights(o)), scale(graph.output(o)));
        match (from, weights, to) {
            (Some(from), Some(weights), Some(to)) => !(0.0..MAX_RESCALE).contains(&(from * weights / to)),
            _ => false,
        }
    };
    about(
        subject,
        "rescale-range",
        bad,
        "input scale × weight scale / output scale is below 65536 everywhere",
        "an input scale × weight scale / output scale of 65536 or more",
        "calibrate with pictures like those of the camera",
    )
}

/// Zeros around a picture belong into the convolution.
fn no_explicit_padding(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "no-explicit-padding";
    let (graph, _) = subject.convolved()?;
    let pads = subject.operators(&["PAD", "PADV2", "MIRROR_PAD"]);
    if pads.is_empty() {
        return Rule::pass(ID, "no padding is an operator of its own");
    }
    // Both sides together; 7 is allowed on each.
    let wide = |o: &Operator| match (graph.input(o, 0), graph.output(o)) {
        (Some(from), Some(to)) => {
            from.shape.iter().zip(&to.shape).any(|(from, to)| to.saturating_sub(*from) > 14)
        }
        _ => false,
    };
    let too_wide: Vec<usize> = pads.iter().filter(|(_, o)| wide(o)).map(|(index, _)| *index).collect();
    let indices: Vec<usize> = pads.iter().map(|(index, _)| *index).collect();
    let text = format!(
        "padding is an operator of its own in {}, which costs time; use padding=\"same\" in the convolution",
        layers(&indices)
    );
    if too_wide.is_empty() {
        return Rule::warn(ID, text);
    }
    Rule::warn(
        ID,
        format!(
            "{text}; more than 7 pixels a side are added in {}, which the processor runs",
            layers(&too_wide)
        ),
    )
}

/// Pools of the sizes in the table.
fn pooling_sizes(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "pooling-sizes";
    let (graph, _) = subject.convolved()?;
    let pools = subject.operators(&["AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN"]);
    if pools.is_empty() {
        return None;
    }
    let fits = |o: &Operator| {
        let Some(input) = graph.input(o, 0) else { return false };
        let size = match input.shape[..] {
            [_, height, width, _] => [height, width],
            _ => return false,
        };
        let (window, stride) = (o.options.window, o.options.stride);
        match o.name.as_str() {
            "MEAN" => matches!(size, [7, 7] | [8, 8]),
            "AVERAGE_POOL_2D" => {
                let whole = window == Some([size[1], size[0]]) && matches!(size, [7, 7] | [8, 8]);
                let small = window == Some([3, 3]) && stride == Some([1, 1]);
                whole || (small && o.options.padding == Some(Padding::Same))
            }
            _ => match (window, stride) {
                (Some([1, 1] | [2, 2]), Some([2, 2])) => true,
                (Some([3, 3]), Some([2, 2])) => size[1] <= 417,
                _ => false,
            },
        }
    };
    let other = misfits(&pools, fits);
    if other.is_empty() {
        return Rule::pass(ID, "every pool has a size of the chip's table");
    }
    Rule::warn(
        ID,
        format!(
            "pools of sizes that are not in the chip's table in {}, which the processor runs; use a maximum of 1×1, 2×2 or 3×3 with stride 2, an average of 3×3 with stride 1 or a mean of 7×7 or 8×8",
            layers(&other)
        ),
    )
}

/// Twice the size, or one less.
fn resize_factor(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "resize-factor";
    let (graph, _) = subject.convolved()?;
    let resizes = subject.operators(&["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"]);
    if resizes.is_empty() {
        return None;
    }
    let fits = |o: &Operator| match (graph.input(o, 0), graph.output(o)) {
        (Some(from), Some(to)) => {
            let sides =
                |t: &Tensor| (t.shape.get(1).copied().unwrap_or(0), t.shape.get(2).copied().unwrap_or(0));
            let ((h, w), (height, width)) = (sides(from), sides(to));
            let doubled =
                |from: usize, to: usize| to == from.saturating_mul(2) || to + 1 == from.saturating_mul(2);
            doubled(h, height) && doubled(w, width)
        }
        _ => false,
    };
    let other = misfits(&resizes, fits);
    if other.is_empty() {
        return Rule::pass(ID, format!("{} to twice the size", count(resizes.len(), "resize")));
    }
    Rule::warn(
        ID,
        format!(
            "resizes by another factor than 2 in {}, which the processor runs; resize in steps of 2",
            layers(&other)
        ),
    )
}

/// Sigmoid in steps of 1/256, tanh in steps of 1/128.
fn output_scales(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "output-scales";
    let graph = subject.graph?;
    let found = subject.operators(&["LOGISTIC", "TANH"]);
    if found.is_empty() {
        return None;
    }
    let fits = |o: &Operator| {
        let wanted = if o.name == "TANH" { 1.0 / 128.0 } else { 1.0 / 256.0 };
        let scales = graph.output(o).and_then(|t| t.scales.as_ref());
        scales.and_then(|s| s.scales.first()).is_some_and(|s| (s / wanted - 1.0).abs() < 1e-3)
    };
    let other = misfits(&found, fits);
    if other.is_empty() {
        return Rule::pass(ID, "sigmoid gives steps of 1/256, tanh of 1/128");
    }
    Rule::warn(
        ID,
        format!(
            "other steps than 1/256 (sigmoid) or 1/128 (tanh) in {}, which the processor runs; convert with TensorFlow's own scales for them",
            layers(&other)
        ),
    )
}

/// Between 0 and 1.
fn leaky_relu_slope(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "leaky-relu-slope";
    let leaky = subject.operators(&["LEAKY_RELU"]);
    if leaky.is_empty() {
        return None;
    }
    let fits = |o: &Operator| o.options.alpha.is_some_and(|alpha| alpha > 0.0 && alpha < 1.0);
    let other = misfits(&leaky, fits);
    if other.is_empty() {
        return Rule::pass(ID, "every leaky ReLU has a slope between 0 and 1");
    }
    Rule::warn(
        ID,
        format!(
            "leaky ReLUs whose slope is not between 0 and 1 in {}, which the processor runs; use one that is",
            layers(&other)
        ),
    )
}
