//! Every rule on a graph that passes it and on one that does not.

use super::rule::layers;
use super::*;
use crate::inspect::cost::Cost;
use crate::inspect::testgraph::TestGraph;
use spotter_core::model::format::cavalry::Cavalry;
use spotter_core::model::format::file::{EDGE_TPU, ModelFile, POST_PROCESS};
use spotter_core::model::format::graph::{Activation, Graph, Scales};
use spotter_core::vision::tensor::{DataType, Quantisation, Signature, TensorInfo};

/// A file whose signature is that of a graph.
fn file_of(graph: &Graph) -> ModelFile {
    let info = |index: &usize| {
        let tensor = &graph.tensors[*index];
        let byte = matches!(tensor.dtype, DataType::I8 | DataType::U8);
        TensorInfo {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.dtype,
            quantisation: byte.then_some(Quantisation { scale: 0.01, zero_point: 0 }),
        }
    };
    let custom = graph.operators.iter().filter(|operator| operator.custom);
    ModelFile {
        name: "m.tflite".into(),
        bytes: vec![0; 100].into(),
        signature: Signature {
            inputs: graph.inputs.iter().map(info).collect(),
            outputs: graph.outputs.iter().map(info).collect(),
        },
        operators: Vec::new(),
        custom_ops: custom.map(|operator| operator.name.clone()).collect(),
        post_process: None,
        embedded_labels: None,
        description: String::new(),
        cavalry: None,
        producers: Vec::new(),
    }
}

/// How a graph does by a chip's rule; `None` where it does not apply.
fn level_in(graph: TestGraph, chip: Chip, id: &str) -> Option<(Level, String)> {
    let graph = graph.finish();
    let file = file_of(&graph);
    let cost = Cost::of(&graph);
    let verdict = Verdict::of(&Subject { file: &file, graph: Some(&graph), cost: &cost }, chip);
    assert_eq!(verdict.verdict, verdict.rules.iter().map(|rule| rule.level).max().unwrap());
    let mut ids: Vec<&str> = verdict.rules.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    let rule = verdict.rules.into_iter().find(|rule| rule.id == id)?;
    Some((rule.level, rule.message))
}

/// A picture and what a test adds to it.
fn build(make: impl FnOnce(&mut TestGraph)) -> TestGraph {
    let mut graph = TestGraph::picture(64, 64, 3);
    make(&mut graph);
    graph
}

/// A layer that every chip likes.
fn sound(graph: &mut TestGraph) {
    graph.conv(3, 2, 48);
}

#[track_caller]
fn check(chip: Chip, id: &str, level: Level, says: &str, make: impl FnOnce(&mut TestGraph)) {
    let (found, message) = level_in(build(make), chip, id).unwrap_or_else(|| panic!("{id} does not apply"));
    assert_eq!(found, level, "{id}: {message}");
    assert!(message.contains(says), "{id}: {message}");
}

const DLPUS: [Chip; 4] = [Chip::Artpec7, Chip::Artpec8, Chip::Artpec9, Chip::Cv25];

#[test]
fn weights_are_bytes() {
    for chip in Chip::ALL {
        check(chip, "integer-weights", Level::Pass, "all 1 layers are 8-bit", sound);
        let level = if chip == Chip::Cpu { Level::Warn } else { Level::Fail };
        check(chip, "integer-weights", level, "1 of 2 layers have weights of float32", |g| {
            g.conv(3, 2, 48);
            g.conv(1, 1, 48);
            g.graph.tensors[1].dtype = DataType::F32;
        });
    }
}

#[test]
fn what_flows_between_layers_is_bytes() {
    for chip in [Chip::Artpec7, Chip::Artpec8, Chip::Artpec9] {
        check(chip, "integer-tensors", Level::Pass, "from the input to the outputs", sound);
        check(
            chip,
            "integer-tensors",
            Level::Warn,
            "1 layer with an output of int64 (1 ARG_MAX, from layer 1)",
            |g| {
                g.conv(3, 2, 48);
                let (from, to) = (g.last(), g.tensor(&[1, 32, 32], DataType::I64));
                g.operator("ARG_MAX", &[from], &[to]);
            },
        );
        check(chip, "integer-tensors", Level::Warn, "the input is float32", |g| {
            g.graph.tensors[0].dtype = DataType::F32;
            g.conv(3, 2, 48);
        });
    }
}

#[test]
fn inputs_are_one_picture() {
    for chip in Chip::ALL {
        check(chip, "input-picture", Level::Pass, "[1,64,64,3] of int8", sound);
        check(chip, "input-picture", Level::Fail, "has 2 inputs", |g| {
            let second = g.tensor(&[1, 8], DataType::I8);
            g.graph.inputs.push(second);
        });
    }
    for chip in DLPUS {
        check(chip, "batch-1", Level::Pass, "one picture", sound);
        check(chip, "batch-1", Level::Fail, "4 pictures at once", |g| g.graph.tensors[0].shape[0] = 4);
    }
}

#[test]
fn shapes_are_fixed() {
    for chip in Chip::ALL {
        check(chip, "static-shapes", Level::Pass, "all shapes are fixed", sound);
        check(chip, "static-shapes", Level::Warn, "batch size of 1 tensor is left open", |g| {
            g.graph.tensors[0].signature = vec![-1, 64, 64, 3];
        });
        let level = if chip == Chip::Cpu { Level::Warn } else { Level::Fail };
        check(chip, "static-shapes", level, "the shapes of 1 tensor are left open", |g| {
            g.graph.tensors[0].signature = vec![1, -1, -1, 3];
        });
    }
}

#[test]
fn custom_operators_are_those_of_the_chip() {
    let custom = |name: &'static str| {
        move |g: &mut TestGraph| {
            let place = g.same(name);
            let last = g.graph.operators.len() - 1;
            g.graph.operators[last].custom = true;
            g.back_to(place);
        }
    };
    for chip in Chip::ALL {
        check(chip, "custom-ops", Level::Pass, "no custom operators", sound);
        check(
            chip,
            "custom-ops",
            Level::Fail,
            "the custom op my-op, which nothing here has",
            custom("my-op"),
        );
        check(chip, "custom-ops", Level::Fail, "without SELECT_TF_OPS", custom("FlexErf"));
        let level = if chip == Chip::Cv25 { Level::Fail } else { Level::Pass };
        check(chip, "custom-ops", level, POST_PROCESS, custom(POST_PROCESS));
    }
    check(Chip::Artpec7, "edgetpu-compiled", Level::Pass, "compiled for", custom(EDGE_TPU));
    check(Chip::Artpec7, "edgetpu-compiled", Level::Fail, "run edgetpu_compiler", sound);
    check(Chip::Artpec7, "edgetpu-mapping", Level::Pass, "every operator", custom(EDGE_TPU));
    check(Chip::Artpec7, "edgetpu-mapping", Level::Warn, "left on the processor: 1 SOFTMAX", |g| {
        custom(EDGE_TPU)(g);
        g.same("SOFTMAX");
    });
    check(Chip::Artpec7, "edgetpu-mapping", Level::Warn, "in 2 pieces", |g| {
        custom(EDGE_TPU)(g);
        custom(EDGE_TPU)(g);
    });
    for chip in [Chip::Artpec8, Chip::Artpec9, Chip::Cv25, Chip::Cpu] {
        check(chip, "edgetpu-compiled", Level::Fail, "give", custom(EDGE_TPU));
        assert!(level_in(build(sound), chip, "edgetpu-compiled").is_none());
    }
}

#[test]
fn transformers_are_not_recommended() {
    for chip in DLPUS {
        assert!(level_in(build(sound), chip, "no-attention").is_none());
        check(chip, "no-attention", Level::Fail, "computed matrices in layer 1", |g| {
            let from = g.conv(1, 1, 8);
            g.join("BATCH_MATMUL", from);
            let last = g.graph.operators.len() - 1;
            g.graph.operators[last].inputs[0] = Some(from);
            g.graph.tensors[from].shape[3] = 64;
        });
    }
}

#[test]
fn the_edge_tpu_has_little_memory() {
    let size = |bytes: usize, side: usize| {
        let graph = TestGraph::picture(side, side, 3).finish();
        let mut file = file_of(&graph);
        file.bytes = vec![0; bytes].into();
        let cost = Cost::default();
        let subject = Subject { file: &file, graph: Some(&graph), cost: &cost };
        let verdict = Verdict::of(&subject, Chip::Artpec7);
        verdict.rules.into_iter().find(|rule| rule.id == "on-chip-memory").unwrap().level
    };
    assert_eq!(
        [size(4_000_000, 300), size(9_000_000, 300), size(2_000_000, 640)],
        [Level::Pass, Level::Warn, Level::Warn]
    );
}

#[test]
fn artpec8_wants_one_scale_a_layer_and_sixes() {
    let chip = Chip::Artpec8;
    check(chip, "per-tensor-weights", Level::Pass, "all 2 convolutions", |g| {
        g.conv(3, 2, 48);
        g.depthwise(3, 1);
    });
    check(chip, "per-tensor-weights", Level::Warn, "1 of 2 convolutions are per-channel quantised", |g| {
        g.conv(3, 2, 48);
        g.graph.tensors[1].scales = Some(Scales { scales: vec![0.1; 48], zero_points: vec![0; 48], axis: 0 });
        g.depthwise(3, 1);
    });
    check(chip, "filters-multiple-of-6", Level::Pass, "1 of 1", sound);
    check(
        chip,
        "filters-multiple-of-6",
        Level::Warn,
        "1 of 2 convolutions have a filter count that is no multiple of 6",
        |g| {
            g.conv(3, 2, 48);
            g.conv(1, 1, 64);
        },
    );
    check(chip, "regular-convolutions", Level::Pass, "no convolution is depthwise", sound);
    check(chip, "regular-convolutions", Level::Warn, "1 of 2 convolutions are depthwise", |g| {
        g.conv(3, 2, 48);
        g.depthwise(3, 1);
    });
    check(chip, "kernels-3x3", Level::Pass, "every kernel is 3×3", sound);
    check(chip, "kernels-3x3", Level::Warn, "in 1 of 1 convolutions (100.0 % of the MACs: layer 0)", |g| {
        g.conv(6, 2, 48);
    });
    check(chip, "native-strides", Level::Pass, "1 or 2", sound);
    check(chip, "native-strides", Level::Warn, "more than 2 in layer 0", |g| {
        g.conv(4, 4, 48);
    });
    check(chip, "input-size", Level::Pass, "64×64", sound);
    check(chip, "input-size", Level::Warn, "64×12800 is larger", |g| g.graph.tensors[0].shape[1] = 12_800);
}

#[test]
fn activations_are_inside_the_convolution() {
    for chip in [Chip::Artpec8, Chip::Artpec9] {
        check(chip, "fused-activations", Level::Pass, "1 are fused", sound);
        check(chip, "fused-activations", Level::Warn, "of their own: 1 HARD_SWISH", |g| {
            g.conv(3, 2, 48);
            g.same("HARD_SWISH");
        });
        check(chip, "fused-activations", Level::Warn, "of their own: 1 SiLU", |g| {
            let x = g.conv(3, 2, 48);
            g.options().activation = Activation::None;
            g.same("LOGISTIC");
            g.join("MUL", x);
        });
    }
}

#[test]
fn operators_are_on_the_chips_list() {
    for (chip, odd) in
        [(Chip::Artpec8, "LEAKY_RELU"), (Chip::Artpec9, "TRANSPOSE"), (Chip::Artpec9, "SOFTMAX")]
    {
        check(chip, "supported-operators", Level::Pass, "every operator", sound);
        check(chip, "supported-operators", Level::Warn, &format!("1 {odd} (from layer 1)"), |g| {
            g.conv(3, 2, 48);
            g.same(odd);
        });
    }
    check(Chip::Artpec8, "supported-operators", Level::Fail, "1 BATCH_MATMUL", |g| {
        let from = g.conv(1, 1, 48);
        g.join("BATCH_MATMUL", from);
    });
}

#[test]
fn artpec9_bounds_convolutions() {
    let chip = Chip::Artpec9;
    for (id, good) in [
        ("kernel-sizes", "1, 2, 3, 5, 7 or 9"),
        ("strides", "1 or 2"),
        ("depth-multiplier", "multiplier 1"),
        ("channels-multiple-of-16", "2 of 2"),
        ("rescale-range", "below 65536"),
        ("four-dimensions", "no tensor"),
        ("no-explicit-padding", "no padding"),
    ] {
        check(chip, id, Level::Pass, good, |g| {
            g.conv(3, 2, 48);
            g.depthwise(5, 1);
        });
    }
    check(
        chip,
        "kernel-sizes",
        Level::Fail,
        "in layer 0 (100.0 % of the MACs), which the processor runs",
        |g| {
            g.conv(6, 2, 48);
        },
    );
    check(chip, "kernel-sizes", Level::Warn, "in layer 0", |g| {
        g.conv(4, 2, 16);
        g.conv(3, 1, 256);
    });
    check(chip, "strides", Level::Fail, "in layer 0", |g| {
        g.conv(3, 2, 48);
        g.options().stride = Some([1, 2]);
    });
    check(chip, "depth-multiplier", Level::Warn, "in layer 1", |g| {
        g.conv(3, 2, 48);
        g.depthwise(3, 1);
        g.options().depth_multiplier = Some(2);
    });
    check(chip, "channels-multiple-of-16", Level::Warn, "1 of 1 convolutions", |g| {
        g.conv(3, 2, 24);
    });
    check(chip, "rescale-range", Level::Fail, "in layer 0", |g| {
        g.conv(3, 2, 48);
        g.graph.tensors[0].scales.as_mut().unwrap().scales[0] = 1e9;
    });
    check(chip, "four-dimensions", Level::Warn, "in layer 1", |g| {
        let from = g.conv(3, 2, 48);
        let to = g.tensor(&[1, 32, 32, 6, 8], DataType::I8);
        g.operator("RESHAPE", &[from], &[to]);
    });
    check(chip, "no-explicit-padding", Level::Warn, "in layer 0, which costs time", |g| {
        g.same("PAD");
        g.conv(3, 2, 48);
    });
    check(chip, "no-explicit-padding", Level::Warn, "more than 7 pixels a side are added in layer 0", |g| {
        let padded = g.same("PAD");
        g.graph.tensors[padded].shape[1] += 20;
        g.conv(3, 2, 48);
    });
}

#[test]
fn artpec9_bounds_the_other_operators() {
    let chip = Chip::Artpec9;
    let id = "joined-channels-multiple-of-16";
    for (width, level, says) in [(16, Level::Pass, "multiple of 16"), (24, Level::Warn, "in layer 2")] {
        check(chip, id, level, says, |g| {
            let picture = g.last();
            let a = g.conv(3, 2, width);
            g.back_to(picture);
            let b = g.conv(3, 2, 16);
            g.concatenation(&[a, b]);
        });
    }
    for (name, window, stride, level) in [
        ("MAX_POOL_2D", 2, 2, Level::Pass),
        ("MAX_POOL_2D", 3, 2, Level::Pass),
        ("MAX_POOL_2D", 5, 1, Level::Warn),
        ("AVERAGE_POOL_2D", 3, 1, Level::Pass),
        ("AVERAGE_POOL_2D", 2, 2, Level::Warn),
    ] {
        check(chip, "pooling-sizes", level, "", |g| {
            g.conv(3, 2, 48);
            g.pool(name, window, stride);
        });
    }
    assert!(level_in(build(sound), chip, "pooling-sizes").is_none());
    for (side, level) in [(64, Level::Pass), (63, Level::Pass), (128, Level::Warn)] {
        check(chip, "resize-factor", level, "", |g| {
            let from = g.conv(3, 2, 48);
            let to = g.tensor(&[1, side, side, 48], DataType::I8);
            g.operator("RESIZE_BILINEAR", &[from], &[to]);
        });
    }
    for (name, scale, level) in [
        ("LOGISTIC", 1.0 / 256.0, Level::Pass),
        ("LOGISTIC", 0.01, Level::Warn),
        ("TANH", 1.0 / 128.0, Level::Pass),
        ("TANH", 1.0 / 256.0, Level::Warn),
    ] {
        check(chip, "output-scales", level, "", |g| {
            let out = g.same(name);
            g.graph.tensors[out].scales.as_mut().unwrap().scales[0] = scale;
        });
    }
    for (alpha, level) in [(0.1, Level::Pass), (1.5, Level::Warn), (f32::NAN, Level::Warn)] {
        check(chip, "leaky-relu-slope", level, "", |g| {
            g.same("LEAKY_RELU");
            g.options().alpha = Some(alpha);
        });
    }
}

#[test]
fn cv25_takes_planes_and_widths_in_32s() {
    let chip = Chip::Cv25;
    check(chip, "cavalry-binary", Level::Fail, "not compiled for CV25", sound);
    check(chip, "planar-input", Level::Pass, "the compiler turns", sound);
    check(chip, "width-multiple-of-32", Level::Pass, "width 64", sound);
    check(
        chip,
        "width-multiple-of-32",
        Level::Warn,
        "width 300 is no multiple of 32; every row is padded to 320",
        |g| {
            g.graph.tensors[0].shape[2] = 300;
        },
    );
    let described = |json: &str| {
        let cavalry = Cavalry::parse(json.as_bytes(), "x.json").unwrap();
        let mut file = file_of(&Graph::default());
        (file.signature, file.cavalry) = (cavalry.signature(), Some(cavalry.into()));
        let cost = Cost::default();
        let subject = Subject { file: &file, graph: None, cost: &cost };
        let level = |chip: Chip, id: &str| {
            Verdict::of(&subject, chip).rules.into_iter().find(|rule| rule.id == id).map(|rule| rule.level)
        };
        let ids = ["cavalry-binary", "planar-input", "width-multiple-of-32", "float-output", "batch-1"];
        let other = [Chip::Artpec7, Chip::Artpec8, Chip::Artpec9, Chip::Cpu];
        assert!(other.iter().all(|chip| level(*chip, "tensorflow-lite") == Some(Level::Fail)));
        ids.map(|id| level(chip, id).unwrap())
    };
    let good =
        r#"{"inputs":[{"shape":[1,3,224,224],"type":"uint8"}],"outputs":[{"shape":[1,9],"type":"float32"}]}"#;
    assert_eq!(described(good), [Level::Pass; 5]);
    let bad = good.replace("[1,3,224,224]", "[2,224,300,3]").replace("float32", "uint8");
    assert_eq!(described(&bad), [Level::Pass, Level::Fail, Level::Warn, Level::Fail, Level::Fail]);
}

#[test]
fn outputs_must_be_readable() {
    for chip in Chip::ALL {
        check(chip, "known-head", Level::Warn, "Spotter cannot read it", |g| {
            let odd = g.tensor(&[1, 3, 5, 7, 11], DataType::I8);
            g.operator("RESHAPE", &[0], &[odd]);
        });
        let rows = 3 * (64 + 16 + 4);
        check(chip, "known-head", Level::Pass, "yolov5", |g| {
            let out = g.tensor(&[1, rows, 85], DataType::I8);
            g.operator("RESHAPE", &[0], &[out]);
        });
    }
}

#[test]
fn lists_of_layers_are_short() {
    assert_eq!(layers(&[3]), "layer 3");
    assert_eq!(layers(&[3, 4]), "layers 3 and 4");
    assert_eq!(layers(&[3, 4, 9]), "layers 3, 4 and 9");
    assert_eq!(layers(&(0..20).collect::<Vec<_>>()), "layers 0, 1, 2, 3 and 16 more");
}

#[test]
fn every_rule_is_in_the_docs() {
    let docs = include_str!("../../../../docs/models.md");
    let mut file = file_of(&Graph::default());
    let sources = [
        include_str!("common.rs"),
        include_str!("artpec7.rs"),
        include_str!("artpec8.rs"),
        include_str!("artpec9.rs"),
        include_str!("cv25.rs"),
    ];
    file.name.clear();
    let is_id = |text: &&str| {
        text.contains('-') && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let mut count = 0;
    for source in sources {
        for id in source.split('"').skip(1).step_by(2).filter(is_id).filter(|id| *id != "my-op") {
            assert!(docs.contains(&format!("`{id}`")), "docs/models.md does not name the rule {id}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}
