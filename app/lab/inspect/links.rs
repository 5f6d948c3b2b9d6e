//! Who writes and who reads each tensor of a graph, and the blocks that published architectures are made of.

use super::cost::kernel;
use spotter_core::model::format::graph::{Graph, Operator};

/// Steps that are followed at most: blocks are short, and a damaged graph may go in circles.
const MAX_STEPS: usize = 16;

/// Writers and readers of a graph's tensors.
pub struct Links<'a> {
    graph: &'a Graph,
    writers: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Window height.
    pub kernel: usize,
    /// Channels it reads.
    pub from: usize,
    /// Channels it writes.
    pub to: usize,
    /// Its place among the operators.
    pub index: usize,
}

/// A depthwise convolution and the 1×1 convolutions before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Window height.
    pub kernel: usize,
    /// Channels of the depthwise convolution.
    pub channels: usize,
    /// Channels before a 1×1 convolution that widens.
    pub expands: Option<usize>,
    /// Channels after the 1×1 convolution behind it.
    pub projects: usize,
}

impl Block {
    /// Wide inside, narrow outside (MobileNet v2), rather than one separable convolution (v1).
    pub fn is_inverted(&self) -> bool {
        self.expands.is_some() && self.projects < self.channels
    }
}

impl<'a> Links<'a> {
    /// Links of a graph.
    pub fn of(graph: &'a Graph) -> Self {
        let mut writers = vec![None; graph.tensors.len()];
        let mut readers = vec![Vec::new(); graph.tensors.len()];
        for (index, operator) in graph.operators.iter().enumerate() {
            operator.outputs.iter().for_each(|output| writers[*output] = Some(index));
            operator.inputs.iter().flatten().for_each(|input| readers[*input].push(index));
        }
        Self { graph, writers, readers }
    }

    /// The operator that writes a tensor.
    pub fn writer(&self, tensor: usize) -> Option<&'a Operator> {
        self.graph.operators.get(self.writers[tensor]?)
    }

    /// The operators that read a tensor.
    pub fn readers(&self, tensor: usize) -> impl Iterator<Item = &'a Operator> {
        self.readers[tensor].iter().filter_map(|index| self.graph.operators.get(*index))
    }

    /// The operator that a tensor is from, activations and changes of scale left aside.
    pub fn origin(&self, tensor: usize) -> Option<&'a Operator> {
        let mut tensor = tensor;
        for _ in 0..MAX_STEPS {
            let writer = self.writer(tensor)?;
            match self.passed(writer) {
                Some(before) => tensor = before,
                None => return Some(writer),
            }
        }
        None
    }

    /// The tensor that an operator only activates, scales or pads; `None` for all others.
    fn passed(&self, operator: &Operator) -> Option<usize> {
        match operator.name.as_str() {
            "RELU" | "RELU6" | "RELU_N1_TO_1" | "HARD_SWISH" | "LOGISTIC" | "LEAKY_RELU" | "PRELU"
            | "QUANTIZE" | "DEQUANTIZE" | "PAD" | "PADV2" | "ELU" | "GELU" => *operator.inputs.first()?,
            // x times its own sigmoid, or times the weights of a squeeze-and-excite.
            "MUL" => {
                let shape = &self.graph.output(operator)?.shape;
                operator.inputs.iter().flatten().copied().find(|input| {
                    let input = &self.graph.tensors[*input];
                    !input.is_constant() && &input.shape == shape
                })
            }
            _ => None,
        }
    }

    /// An operator as a convolution.
    pub fn convolution(&self, operator: &Operator) -> Option<Convolution> {
        if operator.name != "CONV_2D" {
            return None;
        }
        let weights = self.graph.weights(operator)?;
        let [to, kernel, _, from] = weights.shape[..] else { return None };
        let index = self.writers.get(*operator.outputs.first()?).copied().flatten()?;
        Some(Convolution { kernel, from, to, index })
    }

    /// All convolutions, in the order they run.
    pub fn convolutions(&self) -> impl Iterator<Item = Convolution> {
        self.graph.operators.iter().filter_map(|operator| self.convolution(operator))
    }

    /// The convolution that a tensor is from.
    pub fn convolution_before(&self, tensor: usize) -> Option<Convolution> {
        self.convolution(self.origin(tensor)?)
    }

    /// The convolution that reads a tensor, or what became of it by activations and the like, and its
    /// output.
    pub fn convolution_after(&self, tensor: usize) -> Option<(Convolution, usize)> {
        let mut wave = vec![tensor];
        for _ in 0..6 {
            let mut next = Vec::new();
            for tensor in wave {
                for reader in self.readers(tensor).take(MAX_STEPS) {
                    if let Some(found) = self.convolution(reader) {
                        return Some((found, *reader.outputs.first()?));
                    }
                    if self.passed(reader).is_some() {
                        next.extend(reader.outputs.first());
                    }
                }
            }
            next.truncate(MAX_STEPS);
            wave = next;
        }
        None
    }

    /// True where a tensor goes into boxes and scores instead of further layers.
    fn is_prediction(&self, tensor: usize) -> bool {
        self.graph.outputs.contains(&tensor)
            || self.readers(tensor).take(MAX_STEPS).any(|reader| {
                reader.name == "RESHAPE"
                    && self.graph.output(reader).is_some_and(|o| o.shape.len() != 4 || o.shape[2] == 1)
            })
    }

    /// Blocks around the depthwise convolutions, in the order they run, without those that predict.
    pub fn blocks(&self) -> Vec<Block> {
        let depthwise = self.graph.operators.iter().filter(|o| o.name == "DEPTHWISE_CONV_2D");
        depthwise
            .filter_map(|operator| {
                let [kernel, _] = kernel(self.graph, operator)?;
                let channels = *self.graph.output(operator)?.shape.get(3)?;
                let (project, end) = self.convolution_after(*operator.outputs.first()?)?;
                if project.kernel != 1 || self.is_prediction(end) {
                    return None;
                }
                let before = self.convolution_before(operator.inputs.first().copied().flatten()?);
                let expands =
                    before.filter(|c| c.kernel == 1 && c.to == channels && c.from < channels).map(|c| c.from);
                Some(Block { kernel, channels, expands, projects: project.to })
            })
            .collect()
    }

    /// Full convolutions that widen and a 1×1 convolution behind each that narrows again.
    pub fn fused_blocks(&self) -> usize {
        let wide = self.convolutions().filter(|c| c.kernel >= 3 && c.from > 4 && c.to > c.from);
        wide.filter(|c| {
            let output = self.graph.operators[c.index].outputs.first();
            let after = output.and_then(|output| self.convolution_after(*output));
            after.is_some_and(|(after, _)| after.kernel == 1 && after.to < c.to)
        })
        .count()
    }

    /// A 1×1 convolution that narrows, a full one, a 1×1 that widens: MobileDet's Tucker convolution.
    pub fn tucker_blocks(&self) -> usize {
        let full = self.convolutions().filter(|c| c.kernel >= 3);
        full.filter(|c| {
            let operator = &self.graph.operators[c.index];
            let before = operator.inputs.first().copied().flatten().and_then(|t| self.convolution_before(t));
            let after = operator.outputs.first().and_then(|t| self.convolution_after(*t));
            before.is_some_and(|b| b.kernel == 1 && b.to < b.from)
                && after.is_some_and(|(a, _)| a.kernel == 1 && a.to > c.to)
        })
        .count()
    }

    /// Concatenations of at least three full convolutions of parts of a picture's channels.
    pub fn grouped_convolutions(&self) -> usize {
        let part = |tensor: usize| -> bool {
            self.convolution_before(tensor).is_some_and(|c| {
                let input = self.graph.operators[c.index].inputs.first().copied().flatten();
                let from = input.and_then(|input| self.origin(input));
                from.is_some_and(|o| matches!(o.name.as_str(), "SLICE" | "SPLIT" | "STRIDED_SLICE"))
            })
        };
        let joined = self.graph.operators.iter().filter(|o| o.name == "CONCATENATION");
        joined.filter(|o| o.inputs.len() >= 3 && o.inputs.iter().flatten().all(|t| part(*t))).count()
    }

    /// Products of a picture with one number for each channel.
    pub fn squeeze_excites(&self) -> usize {
        let products = self.graph.operators.iter().filter(|o| o.name == "MUL");
        products
            .filter(|operator| {
                let shapes: Vec<&[usize]> = operator
                    .inputs
                    .iter()
                    .flatten()
                    .map(|input| &self.graph.tensors[*input])
                    .filter(|input| !input.is_constant())
                    .map(|input| input.shape.as_slice())
                    .collect();
                let [a, b] = shapes[..] else { return false };
                let small = |shape: &[usize]| matches!(shape, [_, 1, 1, _]);
                small(a) != small(b) && a.last() == b.last()
            })
            .count()
    }

    /// Sums of two computed pictures.
    pub fn sums(&self) -> impl Iterator<Item = (usize, &'a Operator)> {
        let graph = self.graph;
        graph.operators.iter().enumerate().filter(move |(_, operator)| {
            let computed = |input: &Option<usize>| {
                input.is_some_and(|input| {
                    let tensor = &graph.tensors[input];
                    !tensor.is_constant() && tensor.shape.len() == 4
                })
            };
            operator.name == "ADD" && operator.inputs.len() == 2 && operator.inputs.iter().all(computed)
        })
    }

    /// Sums of a picture and one that was enlarged to its size: the way down of a feature pyramid.
    pub fn merged_levels(&self) -> usize {
        self.sums()
            .filter(|(_, sum)| {
                let size = self.graph.output(sum).and_then(|output| output.shape.get(1).copied());
                let size = size.unwrap_or(0);
                sum.inputs.iter().flatten().any(|input| self.enlarged(*input, size))
            })
            .count()
    }

    /// True where a tensor of this height is from a smaller picture without a convolution between.
    fn enlarged(&self, tensor: usize, height: usize) -> bool {
        let mut tensor = tensor;
        for _ in 0..MAX_STEPS {
            let Some(writer) = self.writer(tensor) else { return false };
            if matches!(writer.name.as_str(), "CONV_2D" | "DEPTHWISE_CONV_2D" | "ADD" | "TRANSPOSE_CONV") {
                return false;
            }
            let Some(before) = writer.inputs.first().copied().flatten() else { return false };
            let shape = &self.graph.tensors[before].shape;
            if matches!(shape[..], [_, h, _, _] if h > 1 && h < height) {
                return true;
            }
            tensor = before;
        }
        false
    }
}
