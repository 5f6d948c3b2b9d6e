//! Layers of real files, and of damaged ones.

use std::time::{Duration, Instant};

use crate::catalogue::Catalogue;
use crate::inspect::backbone::Backbone;
use crate::inspect::cost::Cost;
use crate::inspect::report::Report;
use crate::inspect::{html, text};
use crate::testdata::shared;
use spotter_core::model::chip::Chip;
use spotter_core::model::format::file::ModelFile;
use spotter_core::model::format::graph::{Activation, Graph, Padding};
use spotter_core::vision::tensor::DataType;

fn graph(name: &str) -> Option<Graph> {
    let path = shared(&format!("models/{name}"))?;
    Some(Graph::read("m", &std::fs::read(path).unwrap()).unwrap())
}

#[test]
fn tensors_and_operators_are_read() {
    let Some(yolo) = graph("yolov5n_artpec8_coco_640.tflite") else { return };
    assert_eq!((yolo.tensors.len(), yolo.operators.len(), yolo.subgraphs), (293, 146, 1));
    assert_eq!(yolo.signatures.len(), 1);
    assert_eq!(yolo.signatures[0].key, "serving_default");
    assert_eq!((yolo.signatures[0].inputs[0].1, yolo.signatures[0].outputs[0].1), (0, 292));
    let names: Vec<&str> = yolo.metadata.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["min_runtime_version", "CONVERSION_METADATA"]);
    let first = &yolo.operators[2];
    assert_eq!(first.name, "CONV_2D");
    assert_eq!(first.options.padding, Some(Padding::Valid));
    assert_eq!((first.options.stride, first.options.dilation), (Some([2, 2]), Some([1, 1])));
    assert_eq!(first.options.activation, Activation::Relu6);
    let weights = yolo.weights(first).unwrap();
    assert_eq!(
        (weights.shape.as_slice(), weights.dtype, weights.bytes),
        (&[24, 6, 6, 3][..], DataType::I8, 2592)
    );
    assert!(weights.zeros.unwrap() > 0 && !weights.scales.as_ref().unwrap().per_channel());
    assert!(weights.is_constant() && !yolo.output(first).unwrap().is_constant());
    assert_eq!(yolo.operators[49].options.window, Some([5, 5]));
    assert_eq!(yolo.operators[10].options.axis, Some(3));
}

#[test]
fn open_shapes_and_channels_are_read() {
    let Some(fpn) = graph("raw_heads/ssd_mobilenet_v2_fpnlite_coco80_256_int8_raw.tflite") else { return };
    assert_eq!(fpn.tensors[fpn.inputs[0]].signature[0], -1);
    let depthwise = fpn.operators.iter().find(|o| o.name == "DEPTHWISE_CONV_2D").unwrap();
    assert_eq!(depthwise.options.depth_multiplier, Some(1));
    let scales = fpn.weights(depthwise).unwrap().scales.clone().unwrap();
    assert_eq!((scales.axis, scales.scales.len()), (3, fpn.weights(depthwise).unwrap().shape[3]));
    assert!(fpn.tensors.iter().any(|tensor| tensor.shape.len() == 5));
    let Some(deeplab) = graph("segmentation/deeplabv3_mnv2_pascal_quant.tflite") else { return };
    let dilated = deeplab.operators.iter().filter(|o| o.options.dilation == Some([2, 2])).count();
    assert_eq!(dilated, 3);
    assert!(deeplab.operators.iter().any(|o| o.name == "RESIZE_BILINEAR" && o.options.align_corners));
}

/// What takes longer than this has no end.
const END: Duration = Duration::from_secs(60);

/// Reads and judges the bytes as far as they can be read; must end whatever they are.
fn exercise(bytes: Vec<u8>) -> bool {
    let start = Instant::now();
    let graph = Graph::read("m", &bytes);
    if let Ok(graph) = &graph {
        let _ = (Cost::of(graph), Backbone::of(graph));
    }
    if let Ok(file) = ModelFile::from_bytes("m", bytes)
        && let Ok(report) = Report::of(&file, Catalogue::embedded(), || false)
    {
        for chip in [None, Some(Chip::Artpec9)] {
            assert!(!text::render(&report, chip).chars().any(|c| c.is_control() && c != '\n'));
            let _ = (report.to_json(chip), html::render(&report, chip));
        }
    }
    assert!(start.elapsed() < END);
    graph.is_ok()
}

#[test]
fn cut_and_flipped_files_are_damage_not_death() {
    // The smallest real file: flips in its weights change nothing, so most of them hit what is read.
    let Some(path) = shared("models/mobilenet_v1_0.25_128_quant.tflite") else { return };
    let sound = std::fs::read(path).unwrap();
    assert!(exercise(sound.clone()));
    for length in (0..sound.len()).step_by(4001) {
        exercise(sound[..length].to_vec());
    }
    // Tables are at both ends of a file; where the bytes are mostly small there are offsets and sizes.
    let structure: Vec<usize> = (0..sound.len())
        .filter(|at| {
            let around = &sound[at.saturating_sub(8)..(at + 8).min(sound.len())];
            around.iter().filter(|byte| **byte == 0).count() >= 6
        })
        .collect();
    assert!(structure.len() > 2000, "{}", structure.len());
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below
    };
    let (mut bytes, mut read) = (sound.clone(), 0);
    for round in 0..400 {
        let at: Vec<usize> = (0..1 + round % 3).map(|_| structure[random(structure.len())]).collect();
        at.iter().for_each(|at| {
            bytes[*at] = if round % 2 == 0 { bytes[*at] ^ (1 << random(8)) } else { random(256) as u8 }
        });
        read += usize::from(exercise(bytes.clone()));
        at.iter().for_each(|at| bytes[*at] = sound[*at]);
    }
    assert!((1..400).contains(&read), "{read} of 400 could be read");
}

/// Appends a table of 4-byte fields behind its vtable; returns where it starts.
fn table(out: &mut Vec<u8>, fields: u16) -> usize {
    let vtable_size = 4 + 2 * fields;
    out.extend(vtable_size.to_le_bytes());
    out.extend((4 + 4 * fields).to_le_bytes());
    (0..fields).for_each(|field| out.extend((4 + 4 * field).to_le_bytes()));
    let at = out.len();
    out.extend(i32::from(vtable_size).to_le_bytes());
    out.extend(vec![0; 4 * usize::from(fields)]);
    at
}

/// Lets the offset at `slot` lead to `target`.
fn link(out: &mut [u8], slot: usize, target: usize) {
    out[slot..slot + 4].copy_from_slice(&((target - slot) as u32).to_le_bytes());
}

/// Appends a vector of `count` words for field `field` of a table; returns where its first word is.
fn vector(out: &mut Vec<u8>, table: usize, field: usize, count: usize) -> usize {
    let at = out.len();
    link(out, table + 4 + 4 * field, at);
    out.extend((count as u32).to_le_bytes());
    out.extend(vec![0; 4 * count]);
    at + 4
}

/// A model of many operators that are all the same one, with a long list of inputs.
fn repeated(operators: usize, inputs: usize) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(b"TFL3");
    let model = table(&mut out, 5);
    link(&mut out, 0, model);
    out[model + 4] = 3;
    let codes = vector(&mut out, model, 1, 1);
    let subgraphs = vector(&mut out, model, 2, 1);
    vector(&mut out, model, 3, 0);
    vector(&mut out, model, 4, 0);
    let code = table(&mut out, 1);
    link(&mut out, codes, code);
    let subgraph = table(&mut out, 4);
    link(&mut out, subgraphs, subgraph);
    let tensors = vector(&mut out, subgraph, 0, 1);
    vector(&mut out, subgraph, 1, 0);
    vector(&mut out, subgraph, 2, 0);
    let steps = vector(&mut out, subgraph, 3, operators);
    let tensor = table(&mut out, 0);
    link(&mut out, tensors, tensor);
    let operator = table(&mut out, 3);
    (0..operators).for_each(|step| link(&mut out, steps + 4 * step, operator));
    vector(&mut out, operator, 1, inputs);
    vector(&mut out, operator, 2, 0);
    out
}

#[test]
fn what_is_listed_often_is_not_kept_often() {
    let graph = Graph::read("m", &repeated(3, 2)).unwrap();
    assert_eq!((graph.operators.len(), graph.operators[2].inputs.len()), (3, 2));
    let start = Instant::now();
    for (operators, inputs, says) in [
        (60_000, 1_000_000, "lists and names take too much room"),
        (70_000, 0, "too many tensors or operators"),
    ] {
        let error = Graph::read("m", &repeated(operators, inputs)).unwrap_err();
        assert!(
            error.to_string().starts_with("m is damaged: ") && error.to_string().contains(says),
            "{error}"
        );
    }
    // As much as is kept at most.
    assert!(exercise(repeated(60_000, 60)));
    assert!(start.elapsed() < END, "{:?}", start.elapsed());
}
