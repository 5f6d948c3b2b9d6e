//! The tables of a TensorFlow Lite model file.
//!
//! Source of the format: TensorFlow's public schema of `.tflite` files, version 3. Field numbers are the schema's order
//! and stand at each access. [`super::file`] reads of these tables what is needed to run a model, [`super::graph`] what is
//! needed to judge one.

use super::flatbuffer::{Damage, Read, Table, Vector};
use super::operators;
use crate::vision::tensor::DataType;

pub(super) const MAX_DIMENSIONS: usize = 8;
const MAX_OPERATOR_KINDS: usize = 4096;
pub(super) const MAX_OPERATOR_NAME: usize = 1 << 10;

/// A model and its main subgraph.
pub(super) struct Model<'a> {
    pub(super) table: Table<'a>,
    /// Names of the operators that the file uses, and whether each is custom.
    pub(super) codes: Vec<(String, bool)>,
    pub(super) subgraphs: Vector<'a>,
    pub(super) tensors: Vector<'a>,
    pub(super) inputs: Vector<'a>,
    pub(super) outputs: Vector<'a>,
    pub(super) operators: Vector<'a>,
}

impl<'a> Model<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Read<Self> {
        // Model: 0 version, 1 operator codes, 2 subgraphs.
        let table = Table::root(bytes)?;
        if table.u32(0)? != 3 {
            return Err(Damage { what: "the schema version is not 3", at: table.place() });
        }
        let codes = operator_codes(table.vector(1, 4)?)?;
        let subgraphs = table.vector(2, 4)?;
        if subgraphs.is_empty() {
            return Err(Damage { what: "there is no subgraph", at: table.place() });
        }
        // SubGraph: 0 tensors, 1 inputs, 2 outputs, 3 operators.
        let main = subgraphs.table(0)?;
        let list = |field| main.vector(field, 4);
        let (tensors, inputs, outputs, operators) = (list(0)?, list(1)?, list(2)?, list(3)?);
        Ok(Self { table, codes, subgraphs, tensors, inputs, outputs, operators })
    }

    /// What tensors and metadata are made of.
    pub(super) fn buffers(&self) -> Read<Vector<'a>> {
        self.table.vector(4, 4)
    }
}

fn operator_codes(codes: Vector<'_>) -> Read<Vec<(String, bool)>> {
    if codes.len() > MAX_OPERATOR_KINDS {
        return Err(Damage { what: "too many kinds of operators", at: codes.place() });
    }
    let code = |code: Read<Table<'_>>| {
        let code = code?;
        // OperatorCode: 0 the number as one byte, from before there were more than 127, 1 custom name, 3 the full number.
        let number = code.i32(3)?.max(i32::from(code.u8(0)? as i8));
        Ok(match number {
            operators::CUSTOM => (code.string(1, MAX_OPERATOR_NAME)?, true),
            _ => (operators::name(number), false),
        })
    };
    codes.tables().map(code).collect()
}

/// The dimensions of a tensor as they stand in the file.
pub(super) fn dimensions<'a>(tensor: &Table<'a>) -> Read<Vector<'a>> {
    // Tensor: 0 shape.
    let dimensions = tensor.vector(0, 4)?;
    if dimensions.len() > MAX_DIMENSIONS {
        return Err(Damage { what: "a tensor has too many dimensions", at: dimensions.place() });
    }
    Ok(dimensions)
}

/// The dimensions of a tensor.
pub(super) fn shape(tensor: &Table<'_>) -> Read<Vec<usize>> {
    let dimensions = dimensions(tensor)?;
    let damage = Damage { what: "a tensor has a negative dimension", at: dimensions.place() };
    dimensions.i32s().map(|size| usize::try_from(size).map_err(|_| damage)).collect()
}

/// What a tensor's elements are: the schema's `TensorType`.
pub(super) fn data_type(tensor: &Table<'_>) -> Read<DataType> {
    // Tensor: 1 type.
    Ok(match tensor.u8(1)? {
        0 => DataType::F32,
        1 => DataType::F16,
        2 => DataType::I32,
        3 => DataType::U8,
        4 => DataType::I64,
        6 => DataType::Bool,
        7 => DataType::I16,
        9 => DataType::I8,
        other => DataType::Other(other),
    })
}
