//! Writes small .tflite files: the graph of a test, in the format that real models have.
//!
//! Source of the format: TensorFlow's public schema, version 3; the numbers are the schema's.

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, VOffsetT, WIPOffset};

/// Type of a tensor, as the schema numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    F32 = 0,
    I32 = 2,
    U8 = 3,
    /// Two floats.
    Complex = 8,
}

/// Numbers of the built-in operators that are used here.
pub const ADD: i32 = 0;
pub const DEQUANTIZE: i32 = 6;
pub const LOGISTIC: i32 = 14;
const CUSTOM: i32 = 32;
pub const DIV: i32 = 42;
pub const CAST: i32 = 53;
pub const MEAN: i32 = 40;
pub const QUANTIZE: i32 = 114;

struct Tensor {
    name: String,
    shape: Vec<i32>,
    dtype: Type,
    quantisation: Option<(f32, i64)>,
    data: Vec<u8>,
}

struct Operator {
    code: i32,
    custom: Option<(String, Vec<u8>)>,
    inputs: Vec<i32>,
    outputs: Vec<i32>,
}

/// One subgraph.
#[derive(Default)]
pub struct Graph {
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
}

type Table = WIPOffset<TableFinishedWIPOffset>;

/// The place of a field in a vtable.
fn field(number: VOffsetT) -> VOffsetT {
    4 + 2 * number
}

impl Graph {
    /// Adds a tensor; with `data` it is a constant.
    pub fn tensor(
        &mut self,
        name: &str,
        shape: &[i32],
        dtype: Type,
        quantisation: Option<(f32, i64)>,
        data: Vec<u8>,
    ) -> i32 {
        self.tensors.push(Tensor { name: name.into(), shape: shape.to_vec(), dtype, quantisation, data });
        self.tensors.len() as i32 - 1
    }

    /// Adds a built-in operator with the options that are the default.
    pub fn operator(&mut self, code: i32, inputs: &[i32], outputs: &[i32]) {
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        self.operators.push(Operator { code, custom: None, inputs, outputs });
    }

    /// Adds a custom operator.
    pub fn custom(&mut self, name: &str, options: Vec<u8>, inputs: &[i32], outputs: &[i32]) {
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        self.operators.push(Operator { code: CUSTOM, custom: Some((name.into(), options)), inputs, outputs });
    }

    /// The file.
    pub fn finish(&self, inputs: &[i32], outputs: &[i32]) -> Vec<u8> {
        let mut fbb = FlatBufferBuilder::new();
        // Buffer 0 is the empty one, of all tensors that are no constants.
        let mut buffers = vec![buffer(&mut fbb, &[])];
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            let index = if tensor.data.is_empty() { 0 } else { buffers.len() as u32 };
            if index > 0 {
                buffers.push(buffer(&mut fbb, &tensor.data));
            }
            tensors.push(tensor_table(&mut fbb, tensor, index));
        }
        // One code for each operator: a file may have as many as it likes.
        let (mut codes, mut operators) = (Vec::new(), Vec::new());
        for operator in &self.operators {
            operators.push(operator_table(&mut fbb, operator, codes.len() as u32));
            codes.push(code_table(&mut fbb, operator));
        }
        let (tensors, operators) = (fbb.create_vector(&tensors), fbb.create_vector(&operators));
        let (inputs, outputs) = (fbb.create_vector(inputs), fbb.create_vector(outputs));
        let start = fbb.start_table();
        fbb.push_slot_always(field(0), tensors);
        fbb.push_slot_always(field(1), inputs);
        fbb.push_slot_always(field(2), outputs);
        fbb.push_slot_always(field(3), operators);
        let main = fbb.end_table(start);
        let (codes, subgraphs) = (fbb.create_vector(&codes), fbb.create_vector(&[main]));
        let buffers = fbb.create_vector(&buffers);
        let description = fbb.create_string("look-alike");
        let start = fbb.start_table();
        fbb.push_slot_always(field(0), 3u32);
        fbb.push_slot_always(field(1), codes);
        fbb.push_slot_always(field(2), subgraphs);
        fbb.push_slot_always(field(3), description);
        fbb.push_slot_always(field(4), buffers);
        let model = fbb.end_table(start);
        fbb.finish(model, Some("TFL3"));
        fbb.finished_data().to_vec()
    }
}

fn buffer(fbb: &mut FlatBufferBuilder<'_>, data: &[u8]) -> Table {
    let data = (!data.is_empty()).then(|| fbb.create_vector(data));
    let start = fbb.start_table();
    if let Some(data) = data {
        fbb.push_slot_always(field(0), data);
    }
    fbb.end_table(start)
}

fn tensor_table(fbb: &mut FlatBufferBuilder<'_>, tensor: &Tensor, buffer: u32) -> Table {
    let quantisation = tensor.quantisation.map(|(scale, zero_point)| {
        let (scales, zero_points) = (fbb.create_vector(&[scale]), fbb.create_vector(&[zero_point]));
        let start = fbb.start_table();
        fbb.push_slot_always(field(2), scales);
        fbb.push_slot_always(field(3), zero_points);
        fbb.end_table(start)
    });
    let (shape, name) = (fbb.create_vector(&tensor.shape), fbb.create_string(&tensor.name));
    let start = fbb.start_table();
    fbb.push_slot_always(field(0), shape);
    fbb.push_slot_always(field(1), tensor.dtype as u8);
    fbb.push_slot_always(field(2), buffer);
    fbb.push_slot_always(field(3), name);
    if let Some(quantisation) = quantisation {
        fbb.push_slot_always(field(4), quantisation);
    }
    fbb.end_table(start)
}

fn code_table(fbb: &mut FlatBufferBuilder<'_>, operator: &Operator) -> Table {
    let name = operator.custom.as_ref().map(|(name, _)| fbb.create_string(name));
    let start = fbb.start_table();
    fbb.push_slot_always(field(0), operator.code as i8);
    if let Some(name) = name {
        fbb.push_slot_always(field(1), name);
    }
    fbb.push_slot_always(field(2), 1i32);
    fbb.push_slot_always(field(3), operator.code);
    fbb.end_table(start)
}

fn operator_table(fbb: &mut FlatBufferBuilder<'_>, operator: &Operator, code: u32) -> Table {
    let (inputs, outputs) = (fbb.create_vector(&operator.inputs), fbb.create_vector(&operator.outputs));
    let options = operator.custom.as_ref().map(|(_, options)| fbb.create_vector(options));
    let start = fbb.start_table();
    fbb.push_slot_always(field(0), code);
    fbb.push_slot_always(field(1), inputs);
    fbb.push_slot_always(field(2), outputs);
    if let Some(options) = options {
        fbb.push_slot_always(field(5), options);
    }
    fbb.end_table(start)
}
