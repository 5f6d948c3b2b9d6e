//! The layers of a TensorFlow Lite model: its tensors and operators, one by one.
//!
//! [`super::schema`] says of which format.

use std::collections::HashMap;

use super::flatbuffer::{Damage, Read, Table, Vector};
use super::schema::{self, MAX_DIMENSIONS, Model};
use crate::base::error::{Error, Kind, Result};
use crate::vision::tensor::DataType;

/// Models have hundreds of these, some thousands; more are no model that a camera could run.
const MAX_TENSORS: usize = 1 << 16;
const MAX_OPERATORS: usize = 1 << 16;
const MAX_NAMES: usize = 256;
const MAX_NAME: usize = 64 << 10;
/// What is kept of lists and names, all in all; a file may share one list between many tensors.
const MAX_KEPT: usize = 64 << 20;

/// How a tensor's integers stand for real numbers: `real = (q - zero_point) * scale`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scales {
    /// One for the whole tensor, or one per channel.
    pub scales: Vec<f32>,
    /// As many as scales, or fewer where they are all the same.
    pub zero_points: Vec<i64>,
    /// The dimension whose elements are the channels.
    pub axis: usize,
}

impl Scales {
    /// True where every channel has a scale of its own.
    pub fn per_channel(&self) -> bool {
        self.scales.len() > 1
    }
}

/// A tensor of the main subgraph.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name in the file.
    pub name: String,
    /// Dimensions as the file was converted for.
    pub shape: Vec<usize>,
    /// Dimensions with -1 where they are left to run time; empty where all are fixed.
    pub signature: Vec<i32>,
    /// Element type.
    pub dtype: DataType,
    /// Quantisation, where there is one.
    pub scales: Option<Scales>,
    /// Bytes of data that the file holds for it; 0 for what is computed.
    pub bytes: usize,
    /// Weights that stand for exactly 0; counted for the weights of layers only.
    pub zeros: Option<usize>,
}

impl Tensor {
    /// Product of the dimensions; a scalar has one element.
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1, |product, d| product.saturating_mul(*d))
    }

    /// True where the file holds its data: weights, biases, shapes.
    pub fn is_constant(&self) -> bool {
        self.bytes > 0
    }
}

/// What an operator does with its sum before it passes it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// max(0, x).
    Relu,
    /// x cut to 0..6.
    Relu6,
    /// Something else, by its number in the schema.
    Other(u8),
}

/// What a window does at the border of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros around, so that stride 1 keeps the size.
    Same,
    /// The window stays inside.
    Valid,
}

/// Options of an operator, those that it has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Border of convolutions and pools.
    pub padding: Option<Padding>,
    /// Step of convolutions and pools: width, height.
    pub stride: Option<[usize; 2]>,
    /// Window of a pool: width, height.
    pub window: Option<[usize; 2]>,
    /// Distance between the weights of a window: width, height.
    pub dilation: Option<[usize; 2]>,
    /// Output channels for each input channel of a depthwise convolution.
    pub depth_multiplier: Option<usize>,
    /// The activation inside the operator.
    pub activation: Activation,
    /// The dimension that is joined.
    pub axis: Option<i32>,
    /// Slope of a leaky ReLU below 0.
    pub alpha: Option<f32>,
    /// Corners of a resize are the centres of the corner pixels.
    pub align_corners: bool,
    /// Pixels of a resize are areas, not points.
    pub half_pixel_centers: bool,
}

/// An operator of the main subgraph.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// The schema's name, or a custom operator's own.
    pub name: String,
    /// True for a custom operator.
    pub custom: bool,
    /// Tensors it reads; `None` for an optional one that is left out.
    pub inputs: Vec<Option<usize>>,
    /// Tensors it writes.
    pub outputs: Vec<usize>,
    pub options: Options,
}

/// Inputs and outputs under the names they have in the program that the model was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureDef {
    /// Usually `serving_default`.
    pub key: String,
    /// Name and tensor.
    pub inputs: Vec<(String, usize)>,
    /// Name and tensor.
    pub outputs: Vec<(String, usize)>,
}

/// The layers of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Tensors of the main subgraph.
    pub tensors: Vec<Tensor>,
    /// Operators of the main subgraph, in the order they run.
    pub operators: Vec<Operator>,
    /// Inputs of the main subgraph.
    pub inputs: Vec<usize>,
    /// Outputs of the main subgraph.
    pub outputs: Vec<usize>,
    pub subgraphs: usize,
    /// The model's signatures.
    pub signatures: Vec<SignatureDef>,
    /// Metadata entries and their size in bytes.
    pub metadata: Vec<(String, usize)>,
}

impl Graph {
    /// Reads the layers of a model; `name` is used in messages.
    ///
    /// # Errors
    /// [`Kind::Model`] where the bytes are no sound TensorFlow Lite model.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, kept: MAX_KEPT, scanned: bytes.len().saturating_mul(2) };
        reader.graph().map_err(|damage| Error::new(Kind::Model, format!("{name} is damaged: {damage}")))
    }

    /// The tensor of an operator's input `place`.
    pub fn input<'a>(&'a self, operator: &Operator, place: usize) -> Option<&'a Tensor> {
        self.tensors.get((*operator.inputs.get(place)?)?)
    }

    /// The tensor of an operator's first output.
    pub fn output<'a>(&'a self, operator: &Operator) -> Option<&'a Tensor> {
        self.tensors.get(*operator.outputs.first()?)
    }

    /// Where an operator of this name has its weights among its inputs; `None` for one without.
    pub fn weights_place(name: &str) -> Option<usize> {
        matches!(name, "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" | "TRANSPOSE_CONV").then_some(1)
    }

    /// The weights of a convolution or fully connected layer.
    pub fn weights<'a>(&'a self, operator: &Operator) -> Option<&'a Tensor> {
        self.input(operator, Self::weights_place(&operator.name)?)
    }
}

/// Reads within limits.
struct Reader<'a> {
    bytes: &'a [u8],
    /// Bytes that may still be kept.
    kept: usize,
    /// Bytes of weights that may still be looked at.
    scanned: usize,
}

impl<'a> Reader<'a> {
    fn graph(&mut self) -> Read<Graph> {
        let model = Model::read(self.bytes)?;
        let (codes, buffers) = (&model.codes, model.buffers()?);
        let (tables, steps, inputs, outputs) = (model.tensors, model.operators, model.inputs, model.outputs);
        if tables.len() > MAX_TENSORS || steps.len() > MAX_OPERATORS {
            return Err(Damage { what: "too many tensors or operators", at: tables.place() });
        }
        let count = tables.len();
        if inputs.len() > MAX_NAMES || outputs.len() > MAX_NAMES {
            return Err(Damage { what: "too many inputs or outputs", at: inputs.place() });
        }
        let mut tensors =
            tables.tables().map(|tensor| self.tensor(&tensor?, buffers)).collect::<Read<Vec<_>>>()?;
        let operators =
            steps.tables().map(|step| self.operator(&step?, codes, count)).collect::<Read<Vec<_>>>()?;
        self.count_zeros(&mut tensors, &operators, tables, buffers)?;
        Ok(Graph {
            inputs: self.indices(inputs, count)?,
            outputs: self.indices(outputs, count)?,
            tensors,
            operators,
            subgraphs: model.subgraphs.len(),
            // What says how the model was made must not keep it from being described.
            signatures: self.signatures(&model.table, count).unwrap_or_default(),
            metadata: self.metadata(&model.table, buffers).unwrap_or_default(),
        })
    }

    /// Takes from what may be kept.
    fn keep(&mut self, bytes: usize, at: usize) -> Read<()> {
        let damage = Damage { what: "lists and names take too much room", at };
        self.kept = self.kept.checked_sub(bytes).ok_or(damage)?;
        Ok(())
    }

    fn name(&mut self, table: &Table<'a>, field: usize) -> Read<String> {
        let name = table.string(field, MAX_NAME)?;
        self.keep(name.len(), table.place())?;
        Ok(name)
    }

    fn indices(&mut self, list: Vector<'a>, count: usize) -> Read<Vec<usize>> {
        self.keep(list.len() * 8, list.place())?;
        let damage = Damage { what: "a tensor is not in the file", at: list.place() };
        list.i32s()
            .map(|index| usize::try_from(index).ok().filter(|index| *index < count).ok_or(damage))
            .collect()
    }

    fn tensor(&mut self, table: &Table<'a>, buffers: Vector<'a>) -> Read<Tensor> {
        // Tensor: 2 buffer, 3 name, 4 quantisation, 7 shape signature.
        let (shape, signature) = (schema::shape(table)?, table.vector(7, 4)?);
        if signature.len() > MAX_DIMENSIONS {
            return Err(Damage { what: "a tensor has too many dimensions", at: signature.place() });
        }
        Ok(Tensor {
            name: self.name(table, 3)?,
            shape,
            signature: signature.i32s().collect(),
            dtype: schema::data_type(table)?,
            scales: match table.table(4)? {
                Some(table) => self.scales(&table)?,
                None => None,
            },
            bytes: self.buffer(table, buffers)?.len(),
            zeros: None,
        })
    }

    fn scales(&mut self, table: &Table<'a>) -> Read<Option<Scales>> {
        // QuantizationParameters: 2 scales, 3 zero points, 4 and 5 a union of details, 6 dimension.
        let (scales, zero_points) = (table.vector(2, 4)?, table.vector(3, 8)?);
        self.keep(scales.bytes().len() + zero_points.bytes().len(), table.place())?;
        if scales.is_empty() {
            return Ok(None);
        }
        Ok(Some(Scales {
            scales: scales.f32s().collect(),
            zero_points: zero_points.i64s().collect(),
            axis: usize::try_from(table.i32(6)?).unwrap_or(0),
        }))
    }

    /// The data that the file holds for a tensor; buffer 0 is the empty one.
    fn buffer(&self, tensor: &Table<'a>, buffers: Vector<'a>) -> Read<&'a [u8]> {
        let index = tensor.u32(2)? as usize;
        if index == 0 || buffers.is_empty() {
            return Ok(&[]);
        }
        // Buffer: 0 data, or 1 place and 2 size in the file where that is too large for a vector.
        let buffer = buffers.table(index)?;
        let data = buffer.vector(0, 1)?.bytes();
        let (from, size) = (buffer.u64(1)?, buffer.u64(2)?);
        if !data.is_empty() || from <= 1 {
            return Ok(data);
        }
        let damage = Damage { what: "a buffer leaves the file", at: buffer.place() };
        let from = usize::try_from(from).map_err(|_| damage)?;
        let end = usize::try_from(size).ok().and_then(|size| from.checked_add(size)).ok_or(damage)?;
        self.bytes.get(from..end).ok_or(damage)
    }

    fn operator(&mut self, table: &Table<'a>, codes: &[(String, bool)], count: usize) -> Read<Operator> {
        // Operator: 0 code, 1 inputs, 2 outputs, 4 options.
        let damage = |what| Damage { what, at: table.place() };
        let (name, custom) =
            codes.get(table.u32(0)? as usize).ok_or(damage("an operator's code is not in the file"))?;
        let inputs = table.vector(1, 4)?;
        self.keep(inputs.len() * 16 + name.len(), inputs.place())?;
        let inputs = inputs
            .i32s()
            .map(|index| match usize::try_from(index) {
                Ok(index) if index < count => Ok(Some(index)),
                Ok(_) => Err(damage("a tensor is not in the file")),
                Err(_) => Ok(None),
            })
            .collect::<Read<Vec<_>>>()?;
        let outputs = self.indices(table.vector(2, 4)?, count)?;
        let options = match table.table(4)? {
            Some(options) => options_of(name, &options)?,
            None => Options::default(),
        };
        Ok(Operator { name: name.clone(), custom: *custom, inputs, outputs, options })
    }

    /// Counts the exact zeros in the weights of all layers, each tensor once.
    fn count_zeros(
        &mut self,
        tensors: &mut [Tensor],
        operators: &[Operator],
        tables: Vector<'a>,
        buffers: Vector<'a>,
    ) -> Read<()> {
        for operator in operators {
            let place = Graph::weights_place(&operator.name);
            let Some(index) = place.and_then(|place| operator.inputs.get(place).copied().flatten()) else {
                continue;
            };
            if tensors[index].zeros.is_some() || !tensors[index].is_constant() {
                continue;
            }
            let table = tables.table(index)?;
            let data = self.buffer(&table, buffers)?;
            let damage = Damage { what: "weights are listed twice", at: table.place() };
            self.scanned = self.scanned.checked_sub(data.len()).ok_or(damage)?;
            tensors[index].zeros = zeros(&tensors[index], data);
        }
        Ok(())
    }

    fn signatures(&mut self, model: &Table<'a>, count: usize) -> Read<Vec<SignatureDef>> {
        let mut found = Vec::new();
        for table in model.vector(7, 4)?.tables().take(MAX_NAMES) {
            let table = table?;
            // SignatureDef: 0 inputs, 1 outputs, 2 key; TensorMap: 0 name, 1 tensor.
            let mut maps = |field: usize| -> Read<Vec<(String, usize)>> {
                let maps = table.vector(field, 4)?.tables().take(MAX_NAMES);
                maps.map(|map| {
                    let map = map?;
                    let damage = Damage { what: "a tensor is not in the file", at: map.place() };
                    let index = Some(map.u32(1)? as usize).filter(|index| *index < count).ok_or(damage)?;
                    Ok((self.name(&map, 0)?, index))
                })
                .collect()
            };
            let (inputs, outputs) = (maps(0)?, maps(1)?);
            found.push(SignatureDef { key: self.name(&table, 2)?, inputs, outputs });
        }
        Ok(found)
    }

    fn metadata(&mut self, model: &Table<'a>, buffers: Vector<'a>) -> Read<Vec<(String, usize)>> {
        let entries = model.vector(6, 4)?.tables().take(MAX_NAMES);
        entries
            .map(|entry| {
                let entry = entry?;
                // Metadata: 0 name, 1 buffer.
                let size = buffers.table(entry.u32(1)? as usize)?.vector(0, 1)?.len();
                Ok((self.name(&entry, 0)?, size))
            })
            .collect()
    }
}

/// How many elements stand for exactly 0; `None` for types that no weights have here.
fn zeros(tensor: &Tensor, data: &[u8]) -> Option<usize> {
    let zero_points = tensor.scales.as_ref().map_or(&[][..], |scales| scales.zero_points.as_slice());
    Some(match tensor.dtype {
        DataType::U8 | DataType::I8 => {
            // One byte for the whole tensor: int8 weights, and all that have one zero point.
            let first = zero_points.first().copied().unwrap_or(0);
            if zero_points.iter().any(|zero_point| *zero_point != first) {
                return None;
            }
            let zero = first.to_le_bytes()[0];
            data.iter().filter(|byte| **byte == zero).count()
        }
        DataType::F32 => data.as_chunks::<4>().0.iter().filter(|b| f32::from_le_bytes(**b) == 0.0).count(),
        DataType::F16 => {
            data.as_chunks::<2>().0.iter().filter(|[low, high]| *low == 0 && high & 0x7f == 0).count()
        }
        _ => return None,
    })
}

/// The options of the operators that a chip's rules ask about. Field numbers are those of the schema's
/// options tables, for example `Conv2DOptions`.
fn options_of(name: &str, table: &Table<'_>) -> Read<Options> {
    let mut options = Options::default();
    let number = |field: usize| Ok(usize::try_from(table.i32(field)?).unwrap_or(0));
    let pair = |fields: [usize; 2]| -> Read<Option<[usize; 2]>> {
        Ok(Some([number(fields[0])?, number(fields[1])?]))
    };
    let padding = || Ok(Some(if table.u8(0)? == 0 { Padding::Same } else { Padding::Valid }));
    match name {
        "CONV_2D" => {
            (options.padding, options.stride) = (padding()?, pair([1, 2])?);
            options.activation = activation(table.u8(3)?);
            options.dilation = pair([4, 5])?;
        }
        "DEPTHWISE_CONV_2D" => {
            (options.padding, options.stride) = (padding()?, pair([1, 2])?);
            options.depth_multiplier = Some(number(3)?);
            options.activation = activation(table.u8(4)?);
            options.dilation = pair([5, 6])?;
        }
        "TRANSPOSE_CONV" => {
            (options.padding, options.stride) = (padding()?, pair([1, 2])?);
            options.activation = activation(table.u8(3)?);
        }
        "AVERAGE_POOL_2D" | "MAX_POOL_2D" | "L2_POOL_2D" => {
            (options.padding, options.stride) = (padding()?, pair([1, 2])?);
            options.window = pair([3, 4])?;
            options.activation = activation(table.u8(5)?);
        }
        "FULLY_CONNECTED" | "ADD" | "SUB" | "MUL" | "DIV" => options.activation = activation(table.u8(0)?),
        "CONCATENATION" => {
            options.axis = Some(table.i32(0)?);
            options.activation = activation(table.u8(1)?);
        }
        "LEAKY_RELU" => options.alpha = Some(f32::from_bits(table.u32(0)?)),
        "RESIZE_BILINEAR" => {
            (options.align_corners, options.half_pixel_centers) = (table.u8(2)? != 0, table.u8(3)? != 0);
        }
        "RESIZE_NEAREST_NEIGHBOR" => {
            (options.align_corners, options.half_pixel_centers) = (table.u8(0)? != 0, table.u8(1)? != 0);
        }
        _ => {}
    }
    // The schema's default is 1, and a default is left out.
    if let Some(dilation) = &mut options.dilation {
        dilation.iter_mut().for_each(|d| *d = (*d).max(1));
    }
    Ok(options)
}

/// `ActivationFunctionType` of the schema.
fn activation(number: u8) -> Activation {
    match number {
        0 => Activation::None,
        1 => Activation::Relu,
        3 => Activation::Relu6,
        other => Activation::Other(other),
    }
}

/// How often each operator occurs, most first.
pub fn operator_counts(graph: &Graph) -> Vec<(String, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    graph.operators.iter().for_each(|operator| *counts.entry(&operator.name).or_default() += 1);
    let mut counts: Vec<(String, usize)> =
        counts.into_iter().map(|(name, count)| (name.to_string(), count)).collect();
    counts.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    counts
}
