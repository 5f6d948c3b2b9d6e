//! Builds small graphs for tests.

use spotter_core::model::format::graph::{Activation, Graph, Operator, Options, Padding, Scales, Tensor};
use spotter_core::vision::tensor::DataType;

/// A graph that grows at its end.
pub(crate) struct TestGraph {
    /// What was built so far.
    pub graph: Graph,
    last: usize,
}

impl TestGraph {
    /// An int8 picture as the input.
    pub(crate) fn picture(height: usize, width: usize, channels: usize) -> Self {
        let mut new = Self { graph: Graph { subgraphs: 1, ..Graph::default() }, last: 0 };
        let input = new.tensor(&[1, height, width, channels], DataType::I8);
        new.graph.inputs.push(input);
        new
    }

    /// The graph, its last tensor the output.
    pub(crate) fn finish(mut self) -> Graph {
        self.graph.outputs.push(self.last);
        self.graph
    }

    /// The tensor that the next layer reads.
    pub(crate) fn last(&self) -> usize {
        self.last
    }

    /// Goes on from an earlier tensor.
    pub(crate) fn back_to(&mut self, tensor: usize) {
        self.last = tensor;
    }

    /// A tensor that is computed.
    pub(crate) fn tensor(&mut self, shape: &[usize], dtype: DataType) -> usize {
        let scales = match dtype {
            DataType::U8 | DataType::I8 => {
                Some(Scales { scales: vec![1.0 / 256.0], zero_points: vec![-128], axis: 0 })
            }
            _ => None,
        };
        self.graph.tensors.push(Tensor {
            name: format!("t{}", self.graph.tensors.len()),
            shape: shape.to_vec(),
            signature: Vec::new(),
            dtype,
            scales,
            bytes: 0,
            zeros: None,
        });
        self.graph.tensors.len() - 1
    }

    /// A tensor that the file holds.
    pub(crate) fn constant(&mut self, shape: &[usize], dtype: DataType) -> usize {
        let index = self.tensor(shape, dtype);
        let tensor = &mut self.graph.tensors[index];
        tensor.bytes = tensor.elements().saturating_mul(dtype.size()).max(1);
        tensor.zeros = Some(0);
        index
    }

    /// An operator on given tensors.
    pub(crate) fn operator(&mut self, name: &str, inputs: &[usize], outputs: &[usize]) -> usize {
        self.graph.operators.push(Operator {
            name: name.to_string(),
            custom: false,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: outputs.to_vec(),
            options: Options::default(),
        });
        self.last = outputs.last().copied().unwrap_or(self.last);
        self.graph.operators.len() - 1
    }

    /// The options of the operator added last.
    pub(crate) fn options(&mut self) -> &mut Options {
        &mut self.graph.operators.last_mut().unwrap().options
    }

    fn shape(&self) -> [usize; 4] {
        self.graph.tensors[self.last].shape[..].try_into().unwrap()
    }

    fn windowed(&mut self, name: &str, weights: [usize; 4], stride: usize, out: usize) -> usize {
        let [batch, height, width, _] = self.shape();
        let (input, weights) = (self.last, self.constant(&weights, DataType::I8));
        let bias = self.constant(&[out], DataType::I32);
        let output =
            self.tensor(&[batch, height.div_ceil(stride), width.div_ceil(stride), out], DataType::I8);
        self.operator(name, &[input, weights, bias], &[output]);
        let options = self.options();
        options.padding = Some(Padding::Same);
        options.stride = Some([stride, stride]);
        options.dilation = Some([1, 1]);
        options.activation = Activation::Relu6;
        options.depth_multiplier = (name == "DEPTHWISE_CONV_2D").then_some(1);
        output
    }

    /// A convolution; returns its output.
    pub(crate) fn conv(&mut self, kernel: usize, stride: usize, out: usize) -> usize {
        let channels = self.shape()[3];
        self.windowed("CONV_2D", [out, kernel, kernel, channels], stride, out)
    }

    /// A depthwise convolution; returns its output.
    pub(crate) fn depthwise(&mut self, kernel: usize, stride: usize) -> usize {
        let channels = self.shape()[3];
        self.windowed("DEPTHWISE_CONV_2D", [1, kernel, kernel, channels], stride, channels)
    }

    /// An operator with one input that keeps the shape; returns its output.
    pub(crate) fn same(&mut self, name: &str) -> usize {
        let (input, shape) = (self.last, self.shape());
        let output = self.tensor(&shape, DataType::I8);
        self.operator(name, &[input], &[output]);
        output
    }

    /// The sum, product or so of the last tensor and another one; returns its output.
    pub(crate) fn join(&mut self, name: &str, other: usize) -> usize {
        let (input, shape) = (self.last, self.shape());
        let output = self.tensor(&shape, DataType::I8);
        self.operator(name, &[input, other], &[output]);
        output
    }

    /// Joins along the channels; returns its output.
    pub(crate) fn concatenation(&mut self, tensors: &[usize]) -> usize {
        let [batch, height, width, _] = self.shape();
        let channels = tensors.iter().map(|t| self.graph.tensors[*t].shape[3]).sum();
        let output = self.tensor(&[batch, height, width, channels], DataType::I8);
        self.operator("CONCATENATION", tensors, &[output]);
        self.options().axis = Some(3);
        output
    }

    /// A pool; returns its output.
    pub(crate) fn pool(&mut self, name: &str, window: usize, stride: usize) -> usize {
        let [batch, height, width, channels] = self.shape();
        let input = self.last;
        let shape = [batch, height.div_ceil(stride), width.div_ceil(stride), channels];
        let output = self.tensor(&shape, DataType::I8);
        self.operator(name, &[input], &[output]);
        let options = self.options();
        (options.window, options.stride) = (Some([window, window]), Some([stride, stride]));
        options.padding = Some(Padding::Same);
        output
    }

    /// Expand, depthwise, project, and the sum where shapes allow it; returns its output.
    pub(crate) fn inverted_residual(
        &mut self,
        ratio: usize,
        kernel: usize,
        stride: usize,
        out: usize,
    ) -> usize {
        let (input, channels) = (self.last, self.shape()[3]);
        if ratio > 1 {
            self.conv(1, 1, channels * ratio);
        }
        self.depthwise(kernel, stride);
        let projected = self.conv(1, 1, out);
        self.options().activation = Activation::None;
        if stride == 1 && channels == out { self.join("ADD", input) } else { projected }
    }
}
