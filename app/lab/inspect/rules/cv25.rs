//! CV25: runs what Ambarella's CNNGen compiles; pictures come in planes, outputs are float32.

use super::common;
use super::rule::{Check, Rule, Subject};
use spotter_core::model::chip::Chip;
use spotter_core::vision::tensor::{DataType, TensorInfo};

pub(super) const RULES: &[Check] = &[
    cavalry_binary,
    common::no_edgetpu,
    common::custom_ops,
    common::input_picture,
    planar_input,
    width_multiple_of_32,
    float_output,
    common::batch_1,
    common::static_shapes,
    common::integer_weights,
    common::no_attention,
    common::known_head,
];

/// Rows of outputs start at multiples of so many bytes.
const ROW: usize = 32;

/// The chip runs nothing but what `cavalry_gen` wrote.
fn cavalry_binary(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "cavalry-binary";
    match subject.file.cavalry {
        Some(_) => Rule::pass(ID, "compiled for CV25"),
        None => Rule::fail(
            ID,
            "not compiled for CV25; compile it with Ambarella's CNNGen (tfparser.py for a .tflite, at most version 2.7, or onnxparser.py; then vas and cavalry_gen) and describe the .bin in a JSON file beside it",
        ),
    }
}

/// Colours in planes, one after another.
fn planar_input(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "planar-input";
    match &subject.file.cavalry {
        None => Rule::pass(ID, "the compiler turns the input into planes of red, green and blue"),
        Some(cavalry) => match cavalry.check_input() {
            Ok(()) => Rule::pass(ID, "one picture in planes of red, green and blue"),
            Err(why) => Rule::fail(ID, why),
        },
    }
}

/// The engine reads rows in steps of 32 bytes.
fn width_multiple_of_32(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "width-multiple-of-32";
    let input = subject.file.signature.inputs.first()?;
    let width = match (input.shape.as_slice(), &subject.file.cavalry) {
        ([_, _, _, width], Some(_)) | ([_, _, width, _], None) => *width,
        _ => return None,
    };
    if width > 0 && width % ROW == 0 {
        return Rule::pass(ID, format!("width {width} is a multiple of 32"));
    }
    let padded = width.div_ceil(ROW).max(1).saturating_mul(ROW);
    Rule::warn(
        ID,
        format!(
            "width {width} is no multiple of 32; every row is padded to {padded}, which costs a copy of each picture (inferred): choose an input width that is a multiple of 32"
        ),
    )
}

/// Outputs as the engine gives them.
fn float_output(subject: &Subject<'_>, _: Chip) -> Option<Rule> {
    const ID: &str = "float-output";
    subject.file.cavalry.as_ref()?;
    let other = |output: &&TensorInfo| output.dtype != DataType::F32;
    match subject.file.signature.outputs.iter().find(other) {
        None => Rule::pass(ID, "outputs are float32, each row padded to 32 bytes"),
        Some(output) => Rule::fail(
            ID,
            format!(
                "the description has an output of {}; compile with float32 outputs (odf fp32) and correct the description",
                output.dtype
            ),
        ),
    }
}
