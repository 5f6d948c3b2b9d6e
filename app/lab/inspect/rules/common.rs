//! Rules that several chips share.

use super::rule::{Level, Rule, Subject, layers, tally};
use crate::inspect::links::Links;
use spotter_core::base::text::{count, printable, without_name};
use spotter_core::model::chip::Chip;
use spotter_core::model::decode::head::Head;
use spotter_core::model::format::file::{EDGE_TPU, POST_PROCESS};
use spotter_core::model::format::graph::{Activation, Graph, Operator};
use spotter_core::vision::tensor::DataType;

/// A `.bin` runs on CV25 only.
pub fn tensorflow_lite(subject: &Subject<'_>, chip: Chip) -> Option<Rule> {
    const ID: &str = "tensorflow-lite";
    match subject.file.cavalry {
        None => Rule::pass(ID, "a TensorFlow Lite file"),
        Some(_) => Rule::fail(
            ID,
            format!(
                "compiled for Ambarella CV25; give {} the .tflite file that it was made from",
                chip.title()
            ),
        ),
    }
}

/// A file compiled for the Edge TPU runs on ARTPEC-7 only.
pub fn no_edgetpu(subject: &Subject<'_>, chip: Chip) -> Option<Rule> {
    let message = format!(
        "compiled for the Edge TPU of ARTPEC-7; give {} the file without _edgetpu in its name",
        chip.title()
    );
    subject.file.needs_edge_tpu().then(|| Rule::fail("edgetpu-compiled", message))?
}

/// One picture of three colours.
pub fn input_picture(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "input-picture";
    if subject.file.cavalry.is_some() {
        return None;
    }
    match subject.file.check_input() {
        Ok(()) => {
            let input = subject.file.signature.inputs.first()?;
            let shape: Vec<String> = input.shape.iter().map(usize::to_string).collect();
            Rule::pass(ID, format!("one RGB picture, [{}] of {}", shape.join(","), input.dtype))
        }
        Err(error) => Rule::fail(ID, without_name(error.message(), &subject.file.name)),
    }
}

/// One picture at a time.
pub fn batch_1(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "batch-1";
    let input = subject.file.signature.inputs.first()?;
    match input.shape.first()? {
        1 => Rule::pass(ID, "one picture at a time"),
        other => {
            Rule::fail(ID, format!("the input takes {other} pictures at once; convert it with batch size 1"))
        }
    }
}

/// Spotter must be able to read the outputs.
pub fn known_head(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "known-head";
    match Head::recognise(subject.file) {
        Ok(head) => Rule::pass(ID, format!("its outputs are read as {}", head.name())),
        Err(error) => {
            let why = without_name(error.message(), &subject.file.name);
            Rule::warn(ID, format!("the chip may run it, but Spotter cannot read it: {why}"))
        }
    }
}

/// Weights in 8 bits: accelerators have nothing else, and a processor is several times faster with them.
pub fn integer_weights(subject: &Subject<'_>, chip: Chip) -> Option<Rule> {
    const ID: &str = "integer-weights";
    let (graph, layers) = weighted(subject)?;
    let float: Vec<&(usize, &Operator)> =
        layers.iter().filter(|(_, o)| graph.weights(o).is_some_and(|w| !is_byte(w.dtype))).collect();
    let (some, all) = (float.len(), layers.len());
    if some == 0 {
        return Rule::pass(ID, format!("the weights of all {all} layers are 8-bit integers"));
    }
    let kind = float.first().and_then(|(_, o)| graph.weights(o)).map_or(DataType::F32, |w| w.dtype);
    let text = format!("{some} of {all} layers have weights of {kind}");
    match chip {
        Chip::Cpu => Rule::warn(
            ID,
            format!(
                "{text}, which run several times slower than int8; convert with full integer quantisation"
            ),
        ),
        _ => Rule::fail(
            ID,
            format!(
                "{text}; {} runs 8-bit integers only: convert with full integer quantisation (TFLITE_BUILTINS_INT8, a representative data set of 100 to 200 pictures)",
                chip.title()
            ),
        ),
    }
}

/// Layers with weights.
fn weighted<'a>(subject: &Subject<'a>) -> Option<(&'a Graph, Vec<(usize, &'a Operator)>)> {
    let found = subject.operators(&["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"]);
    if found.is_empty() { None } else { Some((subject.graph?, found)) }
}

fn is_byte(dtype: DataType) -> bool {
    matches!(dtype, DataType::I8 | DataType::U8)
}

/// What flows between the layers in 8 bits too.
pub fn integer_tensors(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "integer-tensors";
    let (graph, weighted) = weighted(subject)?;
    if weighted.iter().any(|(_, o)| graph.weights(o).is_some_and(|w| !is_byte(w.dtype))) {
        return None;
    }
    let outside: Vec<(usize, &Operator)> = graph
        .operators
        .iter()
        .enumerate()
        .filter(|(_, o)| !o.custom && graph.output(o).is_some_and(|output| !is_byte(output.dtype)))
        .collect();
    let input = subject.file.signature.inputs.first();
    let float_input = input.filter(|input| !is_byte(input.dtype));
    if outside.is_empty() && float_input.is_none() {
        return Rule::pass(ID, "8-bit integers from the input to the outputs");
    }
    let mut parts = Vec::new();
    if let Some(input) = float_input {
        parts.push(format!(
            "the input is {}, so that the processor converts every picture; convert with inference_input_type uint8",
            input.dtype
        ));
    }
    if !outside.is_empty() {
        let types: Vec<String> = [DataType::F32, DataType::I64, DataType::I32, DataType::I16, DataType::Bool]
            .into_iter()
            .filter(|dtype| outside.iter().any(|(_, o)| graph.output(o).is_some_and(|t| t.dtype == *dtype)))
            .map(|dtype| dtype.to_string())
            .collect();
        parts.push(format!(
            "{} with an output of {} ({}, from layer {}), which the processor runs (inferred); leave them out of the model where Spotter can do their work",
            count(outside.len(), "layer"),
            types.join(", "),
            tally(outside.iter().map(|(_, o)| *o)),
            outside[0].0
        ));
    }
    Rule::warn(ID, parts.join("; "))
}

/// Sizes that are known before the first picture.
pub fn static_shapes(subject: &Subject<'_>, chip: Chip) -> Option<Rule> {
    const ID: &str = "static-shapes";
    let graph = subject.graph?;
    let open: Vec<&[i32]> = graph
        .tensors
        .iter()
        .filter(|tensor| !tensor.is_constant() && tensor.signature.iter().any(|d| *d < 0))
        .map(|tensor| tensor.signature.as_slice())
        .collect();
    if open.is_empty() {
        return Rule::pass(ID, "all shapes are fixed");
    }
    if open.iter().all(|signature| signature.iter().skip(1).all(|d| *d >= 0)) {
        let text = format!(
            "the batch size of {} is left open and taken as 1; convert with a fixed input shape",
            count(open.len(), "tensor")
        );
        return Rule::warn(ID, text);
    }
    let text = format!(
        "the shapes of {} are left open; convert with a fixed input shape",
        count(open.len(), "tensor")
    );
    Rule::new(ID, if chip == Chip::Cpu { Level::Warn } else { Level::Fail }, text)
}

/// Operators that TensorFlow Lite does not have.
pub fn custom_ops(subject: &Subject<'_>, chip: Chip) -> Option<Rule> {
    const ID: &str = "custom-ops";
    if subject.file.cavalry.is_some() {
        return None;
    }
    let custom = &subject.file.custom_ops;
    let unknown: Vec<String> = custom
        .iter()
        .filter(|op| !matches!(op.as_str(), POST_PROCESS | EDGE_TPU))
        .map(|op| printable(op, 48))
        .collect();
    if !unknown.is_empty() {
        let flex = unknown.iter().any(|op| op.starts_with("Flex"));
        let mend = if flex {
            "convert with TFLITE_BUILTINS_INT8 only, without SELECT_TF_OPS"
        } else {
            "build the model without it"
        };
        let listed: Vec<String> = unknown.iter().take(4).cloned().collect();
        return Rule::fail(
            ID,
            format!("it needs the custom op {}, which nothing here has; {mend}", listed.join(", ")),
        );
    }
    let post_process = custom.iter().any(|op| op == POST_PROCESS);
    match (post_process, chip) {
        (false, Chip::Artpec7) if subject.file.needs_edge_tpu() => {
            Rule::pass(ID, "no custom operator but the Edge TPU's own")
        }
        (false, _) => Rule::pass(ID, "no custom operators"),
        (true, Chip::Cv25) => Rule::fail(
            ID,
            format!(
                "CV25 has no {POST_PROCESS}; cut the model before it and convert its raw outputs, boxes and scores are then made on the processor"
            ),
        ),
        (true, Chip::Cpu) => Rule::pass(ID, format!("{POST_PROCESS} is part of TensorFlow Lite")),
        (true, _) => {
            Rule::pass(ID, format!("{POST_PROCESS} runs on the processor, the rest on {}", chip.title()))
        }
    }
}

/// Transformers.
pub fn no_attention(subject: &Subject<'_>, chip: Chip) -> Option<Rule> {
    const ID: &str = "no-attention";
    subject.graph?;
    let products: Vec<usize> = subject.operators(&["BATCH_MATMUL"]).iter().map(|(index, _)| *index).collect();
    if products.is_empty() {
        return None;
    }
    let text = format!(
        "products of computed matrices in {} ({} of the MACs), as in transformers, which are not recommended on {}; use a convolutional model",
        layers(&products),
        subject.percent(products.iter().copied()),
        chip.title()
    );
    Rule::new(ID, subject.by_share(&products), text)
}

/// Activations inside the convolution instead of operators of their own.
pub fn fused_activations(subject: &Subject<'_>, chip: Chip) -> Option<Rule> {
    const ID: &str = "fused-activations";
    let (graph, convolutions) = subject.convolved()?;
    let own = subject.operators(&["LEAKY_RELU", "PRELU", "HARD_SWISH", "ELU", "GELU", "RELU", "RELU6"]);
    let links = Links::of(graph);
    let silu = subject.operators(&["MUL"]).iter().filter(|(_, o)| is_silu(&links, o)).count();
    if own.is_empty() && silu == 0 {
        let relu = convolutions
            .iter()
            .filter(|(_, o)| matches!(o.options.activation, Activation::Relu | Activation::Relu6))
            .count();
        return Rule::pass(
            ID,
            format!("no activation is an operator of its own; {relu} are fused ReLU or ReLU6"),
        );
    }
    let mut found = Vec::new();
    if !own.is_empty() {
        found.push(tally(own.iter().map(|(_, o)| *o)));
    }
    if silu > 0 {
        found.push(format!("{silu} SiLU"));
    }
    let text = format!(
        "activations as operators of their own: {}; {} fuses ReLU and ReLU6 into the convolution: train with ReLU6",
        found.join(", "),
        chip.title()
    );
    Rule::warn(ID, text)
}

/// x times its own sigmoid.
fn is_silu(links: &Links<'_>, product: &Operator) -> bool {
    let [Some(a), Some(b)] = product.inputs[..] else { return false };
    let sigmoid_of = |tensor: usize, of: usize| {
        let writer = links.writer(tensor);
        writer.is_some_and(|o| o.name == "LOGISTIC" && o.inputs.first() == Some(&Some(of)))
    };
    a != b && (sigmoid_of(a, b) || sigmoid_of(b, a))
}
