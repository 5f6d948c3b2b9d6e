//! Demo models as a compiler for the Edge TPU would write them, for the stand-ins of `tests/camera`.

use std::path::Path;

use spotter::model::format::file::{EDGE_TPU, ModelFile, POST_PROCESS};
use spotter::model::format::flatbuffer::Table;
use spotter::vision::tensor::{DataType, TensorInfo};

use crate::common::tflite_file::{Graph, Type};

/// What the stand-in looks for, see its documentation.
pub const MAGIC: &[u8] = b"SPOTTER-SIM-EDGETPU-1\n";
/// The detector, without its ending.
pub const SSD: &str = "demo_ssd_mobilenet_v2";

/// A demo model's file.
pub fn model(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    std::fs::read(folder.join(format!("{name}.tflite"))).unwrap()
}

fn tensor(graph: &mut Graph, info: &TensorInfo, data: Vec<u8>) -> i32 {
    let dtype = if info.dtype == DataType::U8 { Type::U8 } else { Type::F32 };
    let shape: Vec<i32> = info.shape.iter().map(|side| *side as i32).collect();
    let quantisation = info.quantisation.as_ref().map(|q| (q.scale, i64::from(q.zero_point)));
    graph.tensor(&info.name, &shape, dtype, quantisation, data)
}

/// What the stand-in's compiler would write: the whole file as one operator.
pub fn compiled(file: &[u8]) -> Vec<u8> {
    let signature = ModelFile::from_bytes("m", file.to_vec()).unwrap().signature;
    let mut graph = Graph::default();
    let input = tensor(&mut graph, &signature.inputs[0], vec![]);
    let outputs: Vec<i32> =
        signature.outputs.iter().map(|output| tensor(&mut graph, output, vec![])).collect();
    graph.custom(EDGE_TPU, [MAGIC, file].concat(), &[input], &outputs);
    graph.finish(&[input], &outputs)
}

/// Options and anchors of the post-process operator that ends a file.
fn post_process(file: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let root = Table::root(file).unwrap();
    let main = root.vector(2, 4).unwrap().table(0).unwrap();
    let operators = main.vector(3, 4).unwrap();
    let last = operators.table(operators.len() - 1).unwrap();
    let anchors = last.vector(1, 4).unwrap().i32s().nth(2).unwrap();
    let buffer = main.vector(0, 4).unwrap().table(anchors as usize).unwrap().u32(2).unwrap();
    let data = root.vector(4, 4).unwrap().table(buffer as usize).unwrap().vector(0, 1).unwrap();
    (last.vector(5, 1).unwrap().bytes().to_vec(), data.bytes().to_vec())
}

/// As [`compiled`], for the SSD: the post-process operator stays on the processor, as Coral's compiler has it.
pub fn compiled_ssd() -> Vec<u8> {
    let (whole, raw) = (model(SSD), model("demo_ssd_mobilenet_v2_raw"));
    let inside = ModelFile::from_bytes("raw", raw.clone()).unwrap().signature;
    let outside = ModelFile::from_bytes("whole", whole.clone()).unwrap().signature;
    let (options, anchors) = post_process(&whole);
    let mut graph = Graph::default();
    let input = tensor(&mut graph, &inside.inputs[0], vec![]);
    // The operator's outputs are not in the order of their tensors: a delegate must not mix them up.
    let constant = tensor(&mut graph, &inside.outputs[2], anchors);
    let mut unused = inside.outputs[2].clone();
    unused.name = "unused".into();
    let rest: Vec<i32> = [&unused, &inside.outputs[1], &inside.outputs[0]]
        .map(|output| tensor(&mut graph, output, vec![]))
        .to_vec();
    let between = [rest[2], rest[1], rest[0]];
    let outputs: Vec<i32> = outside.outputs.iter().map(|output| tensor(&mut graph, output, vec![])).collect();
    graph.custom(EDGE_TPU, [MAGIC, &raw].concat(), &[input], &between);
    graph.custom(POST_PROCESS, options, &[between[0], between[1], constant], &outputs);
    graph.finish(&[input], &outputs)
}
