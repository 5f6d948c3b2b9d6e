//! What a model costs: multiplications and parameters, layer by layer.
//!
//! One MAC is a multiplication with its addition (2 FLOPs). For an output of `H`×`W`×`Co`, a window of
//! `Kh`×`Kw` and `Ci` channels that each output looks at:
//!
//! | operator | MACs | weights |
//! |---|---|---|
//! | convolution | `H·W·Co·Kh·Kw·Ci` | `Co·Kh·Kw·Ci` |
//! | depthwise convolution | `H·W·Co·Kh·Kw` | `Co·Kh·Kw` |
//! | transposed convolution, input `Hi`×`Wi` | `Hi·Wi·Ci·Kh·Kw·Co` | `Co·Kh·Kw·Ci` |
//! | fully connected | outputs × inputs of one | `Co·Ci` |
//! | batched product of matrices | outputs × length of a row | none |
//!
//! All are times the batch. Additions of activations, pools and resizes are not counted, as published
//! figures do not count them.

use serde::Serialize;

use spotter_core::model::format::graph::{Graph, Operator, Tensor};

/// One operator and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its place among the operators.
    pub index: usize,
    /// The operator's name.
    pub operator: String,
    /// The name of its output in the file.
    pub name: String,
    /// Window: height, width; `None` where it has none.
    pub kernel: Option<[usize; 2]>,
    /// Step: height, width; `None` where it has none.
    pub stride: Option<[usize; 2]>,
    /// Shape of its output.
    pub output: Vec<usize>,
    /// Multiplications with addition.
    pub macs: u64,
    /// Weights and biases that the file holds for it; 0 where an earlier layer uses the same.
    pub parameters: u64,
}

/// The cost of a whole model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Every operator, in the order they run.
    pub layers: Vec<Layer>,
    /// Sum of all.
    pub macs: u64,
    /// Sum of all.
    pub parameters: u64,
}

impl Cost {
    /// The cost of a graph.
    pub fn of(graph: &Graph) -> Self {
        let mut counted = vec![false; graph.tensors.len()];
        let layers: Vec<Layer> = graph
            .operators
            .iter()
            .enumerate()
            .map(|(index, operator)| Layer {
                index,
                operator: operator.name.clone(),
                name: graph.output(operator).map_or_else(String::new, |output| output.name.clone()),
                kernel: kernel(graph, operator),
                stride: operator.options.stride.map(|[width, height]| [height, width]),
                output: graph.output(operator).map_or_else(Vec::new, |output| output.shape.clone()),
                macs: macs(graph, operator).unwrap_or(0),
                parameters: parameters(graph, operator, &mut counted),
            })
            .collect();
        let sum = |of: fn(&Layer) -> u64| layers.iter().map(of).fold(0u64, u64::saturating_add);
        Self { macs: sum(|layer| layer.macs), parameters: sum(|layer| layer.parameters), layers }
    }

    /// The share of all MACs that these layers have, 0 to 1.
    pub fn share(&self, layers: impl IntoIterator<Item = usize>) -> f64 {
        let macs = |index: usize| self.layers.get(index).map_or(0, |layer| layer.macs);
        let part = layers.into_iter().map(macs).fold(0u64, u64::saturating_add);
        part as f64 / self.macs.max(1) as f64
    }
}

/// Window of an operator: height, width.
pub fn kernel(graph: &Graph, operator: &Operator) -> Option<[usize; 2]> {
    if let Some([width, height]) = operator.options.window {
        return Some([height, width]);
    }
    // Filters are [out,height,width,in], those of depthwise convolutions [1,height,width,out].
    match graph.weights(operator)?.shape[..] {
        [_, height, width, _] => Some([height, width]),
        _ => None,
    }
}

/// MACs of one operator; `None` where it multiplies nothing or its shapes do not fit together.
pub fn macs(graph: &Graph, operator: &Operator) -> Option<u64> {
    let outputs = size(graph.output(operator)?);
    match operator.name.as_str() {
        "CONV_2D" => {
            let [_, height, width, channels] = graph.weights(operator)?.shape[..] else { return None };
            Some(product(&[height, width, channels]).saturating_mul(outputs))
        }
        "DEPTHWISE_CONV_2D" => {
            let [_, height, width, _] = graph.weights(operator)?.shape[..] else { return None };
            Some(product(&[height, width]).saturating_mul(outputs))
        }
        "TRANSPOSE_CONV" => {
            // Inputs: 0 shape of the output, 1 weights, 2 the picture.
            let [out, height, width, _] = graph.weights(operator)?.shape[..] else { return None };
            Some(product(&[out, height, width]).saturating_mul(size(graph.input(operator, 2)?)))
        }
        "FULLY_CONNECTED" => {
            let row = *graph.weights(operator)?.shape.last()?;
            Some(product(&[row]).saturating_mul(outputs))
        }
        "BATCH_MATMUL" => {
            let row = *graph.input(operator, 0)?.shape.last()?;
            Some(product(&[row]).saturating_mul(outputs))
        }
        _ => None,
    }
}

/// Weights and biases of a layer; tensors that were counted before are not counted again.
fn parameters(graph: &Graph, operator: &Operator, counted: &mut [bool]) -> u64 {
    // A transposed convolution has its bias behind the picture.
    let places: &[usize] = match operator.name.as_str() {
        "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" => &[1, 2],
        "TRANSPOSE_CONV" => &[1, 3],
        _ => return 0,
    };
    let mut sum = 0u64;
    for index in places.iter().filter_map(|place| operator.inputs.get(*place).copied().flatten()) {
        let Some(tensor) = graph.tensors.get(index).filter(|tensor| tensor.is_constant()) else { continue };
        if !std::mem::replace(&mut counted[index], true) {
            sum = sum.saturating_add(size(tensor));
        }
    }
    sum
}

fn size(tensor: &Tensor) -> u64 {
    tensor.elements() as u64
}

fn product(dimensions: &[usize]) -> u64 {
    dimensions.iter().fold(1, |product, d| product.saturating_mul(*d as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::testgraph::TestGraph;
    use spotter_core::vision::tensor::DataType;

    #[test]
    fn a_convolution_costs_its_window_at_every_output() {
        let mut graph = TestGraph::picture(224, 224, 3);
        graph.conv(3, 2, 32);
        let cost = Cost::of(&graph.finish());
        assert_eq!(cost.macs, 112 * 112 * 32 * 27);
        assert_eq!(cost.parameters, 32 * 27 + 32);
        assert_eq!((cost.layers[0].kernel, cost.layers[0].stride), (Some([3, 3]), Some([2, 2])));
        assert_eq!(cost.share([0]), 1.0);
    }

    #[test]
    fn a_depthwise_convolution_looks_at_one_channel() {
        let mut graph = TestGraph::picture(10, 12, 16);
        graph.depthwise(5, 1);
        let cost = Cost::of(&graph.finish());
        assert_eq!((cost.macs, cost.parameters), (10 * 12 * 16 * 25, 16 * 25 + 16));
    }

    #[test]
    fn transposed_and_connected_layers() {
        let mut graph = TestGraph::picture(8, 8, 4);
        let picture = graph.last();
        let shape = graph.constant(&[4], DataType::I32);
        let weights = graph.constant(&[6, 3, 3, 4], DataType::I8);
        let output = graph.tensor(&[1, 16, 16, 6], DataType::I8);
        graph.operator("TRANSPOSE_CONV", &[shape, weights, picture], &[output]);
        let weights = graph.constant(&[10, 1536], DataType::I8);
        let bias = graph.constant(&[10], DataType::I32);
        let output = graph.tensor(&[1, 10], DataType::I8);
        graph.operator("FULLY_CONNECTED", &[output - 3, weights, bias], &[output]);
        let cost = Cost::of(&graph.finish());
        assert_eq!((cost.layers[0].macs, cost.layers[0].parameters), (8 * 8 * 4 * 9 * 6, 6 * 9 * 4));
        assert_eq!((cost.layers[1].macs, cost.layers[1].parameters), (15_360, 15_370));
    }

    #[test]
    fn shared_weights_are_counted_once_and_their_work_twice() {
        let mut graph = TestGraph::picture(4, 4, 8);
        let picture = graph.last();
        let weights = graph.constant(&[8, 1, 1, 8], DataType::I8);
        for _ in 0..2 {
            let output = graph.tensor(&[1, 4, 4, 8], DataType::I8);
            graph.operator("CONV_2D", &[picture, weights], &[output]);
        }
        let cost = Cost::of(&graph.finish());
        assert_eq!((cost.macs, cost.parameters), (2 * 16 * 64, 64));
    }

    #[test]
    fn absurd_shapes_saturate() {
        let mut graph = TestGraph::picture(usize::MAX, usize::MAX, usize::MAX);
        let picture = graph.last();
        let weights = graph.constant(&[usize::MAX, usize::MAX, 7, usize::MAX], DataType::I8);
        let short = graph.constant(&[1], DataType::I8);
        graph.operator("CONV_2D", &[picture, weights], &[picture]);
        graph.operator("CONV_2D", &[picture, short], &[picture]);
        graph.operator("FULLY_CONNECTED", &[picture], &[]);
        let cost = Cost::of(&graph.finish());
        assert_eq!((cost.macs, cost.layers[1].macs, cost.layers[2].macs), (u64::MAX, 0, 0));
    }
}
