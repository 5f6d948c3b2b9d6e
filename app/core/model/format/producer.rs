//! Which operator makes each output of a model, and whether the picture has a part in it.

use super::flatbuffer::{Damage, Read, Vector};
use super::schema::{self, Model};

/// Operators that give the same numbers in another form: what makes an output stands before them. Of parts
/// that are joined the first stands for all.
const SAME_NUMBERS: [&str; 7] =
    ["CAST", "CONCATENATION", "DEQUANTIZE", "EXPAND_DIMS", "QUANTIZE", "RESHAPE", "SQUEEZE"];
/// So many of them are looked through; no converter writes longer chains.
const LOOKED_THROUGH: usize = 8;

/// What makes one output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    /// The operator's name; `None` where the output is a constant of the file or an input.
    pub operator: Option<String>,
    /// The shape of the operator's first input; empty where the file does not say.
    pub input_shape: Vec<usize>,
    /// Whether the numbers depend on what is in the input. Its size alone is no dependence.
    pub from_input: bool,
}

/// An operator as far as it matters here.
struct Step {
    code: usize,
    first_input: Option<usize>,
}

/// The producers of the outputs of the main subgraph. At most `budget` mentions of tensors are read, because a damaged
/// file can mention one list many times.
pub(super) fn producers(model: &Model<'_>, mut budget: usize) -> Read<Vec<Producer>> {
    let (tensors, codes) = (model.tensors, &model.codes);
    let mut from_input = vec![false; tensors.len()];
    let mut made_by: Vec<Option<u32>> = vec![None; tensors.len()];
    let mut steps: Vec<Step> = Vec::new();
    indices(model.inputs).for_each(|input| mark(&mut from_input, input));
    // Operators stand in the order in which they run.
    for operator in model.operators.tables() {
        let operator = operator?;
        // Operator: 0 code, 1 inputs, 2 outputs.
        let (inputs, outputs) = (operator.vector(1, 4)?, operator.vector(2, 4)?);
        let damage = Damage { what: "operators are listed twice", at: operator.place() };
        budget = budget.checked_sub(1 + inputs.len() + outputs.len()).ok_or(damage)?;
        let code = operator.u32(0)? as usize;
        let of_size_alone = codes.get(code).is_some_and(|(name, _)| name == "SHAPE");
        let depends = !of_size_alone && indices(inputs).any(|input| from_input.get(input) == Some(&true));
        for output in indices(outputs) {
            if depends {
                mark(&mut from_input, output);
            }
            if let Some(place) = made_by.get_mut(output) {
                *place = u32::try_from(steps.len()).ok();
            }
        }
        steps.push(Step { code, first_input: indices(inputs).next() });
    }
    let of_output = |output: usize| {
        let mut producer =
            Producer { from_input: from_input.get(output) == Some(&true), ..Producer::default() };
        let mut tensor = output;
        for _ in 0..=LOOKED_THROUGH {
            let made = made_by.get(tensor).copied().flatten();
            let Some(step) = made.and_then(|step| steps.get(step as usize)) else { break };
            let name = codes.get(step.code).map_or("", |(name, _)| name.as_str());
            producer.operator = Some(name.to_string());
            producer.input_shape = step.first_input.map_or_else(Vec::new, |input| shape(tensors, input));
            match step.first_input {
                Some(input) if SAME_NUMBERS.contains(&name) => tensor = input,
                _ => break,
            }
        }
        producer
    };
    Ok(indices(model.outputs).map(of_output).collect())
}

/// Places of tensors; an input that was left out (-1) is none.
fn indices(list: Vector<'_>) -> impl Iterator<Item = usize> {
    let numbers = list.bytes().as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
    numbers.filter_map(|index| usize::try_from(index).ok())
}

fn mark(flags: &mut [bool], index: usize) {
    if let Some(flag) = flags.get_mut(index) {
        *flag = true;
    }
}

/// Empty where it cannot be read: only what needs it asks.
fn shape(tensors: Vector<'_>, index: usize) -> Vec<usize> {
    let dimensions = tensors.table(index).and_then(|tensor| schema::dimensions(&tensor));
    let sizes =
        |dimensions: Vector<'_>| dimensions.i32s().map(|size| usize::try_from(size).unwrap_or(0)).collect();
    dimensions.map(sizes).unwrap_or_default()
}
