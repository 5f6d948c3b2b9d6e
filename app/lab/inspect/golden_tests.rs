//! What is found in published models.

use serde_json::Value;

use super::report::Report;
use super::rules::Level;
use super::testgraph::TestGraph;
use super::text;
use crate::catalogue::Catalogue;
use crate::inspect::backbone::Backbone;
use crate::inspect::cost::Cost;
use crate::inspect::html;
use crate::testdata::shared;
use spotter_core::model::chip::Chip;
use spotter_core::model::format::file::ModelFile;
use spotter_core::model::format::graph::{Activation, Graph};

fn report(name: &str) -> Option<Report> {
    let path = shared(&format!("models/{name}"))?;
    Some(Report::of(&ModelFile::open(&path).unwrap(), Catalogue::embedded(), || false).unwrap())
}

#[test]
fn backbones_and_costs_of_published_models() {
    // The figures are sums of this module's formulas; those of MobileNet are also what its papers give
    // (300 M and 3.47 M; 14 M and 0.47 M), those of YOLOv5n what its authors give (4.5 GFLOPs, 1.87 M).
    for (file, backbone, neck, macs, parameters) in [
        ("mobilenet_v1_0.25_128_quant.tflite", "MobileNet v1 0.25", None, 13_570_304, 467_593),
        ("mobilenet_v2_1.0_224_quant.tflite", "MobileNet v2 1.0", None, 300_775_552, 3_489_097),
        ("tf2_mobilenet_v2_1.0_224_ptq.tflite", "MobileNet v2 1.0", None, 300_775_552, 3_489_097),
        ("ssd_mobilenet_v1_coco_quant_postprocess.tflite", "MobileNet v1 0.75", None, 728_036_496, 4_101_231),
        (
            "ssdlite_mobilenet_v2_voc_intquant_postprocess.tflite",
            "MobileNet v2 1.0",
            None,
            645_249_776,
            3_330_457,
        ),
        ("yolov5n_artpec8_coco_640.tflite", "YOLOv5n", Some("PANet"), 2_671_689_600, 2_019_261),
        ("yolov5n_artpec9_coco_640.tflite", "YOLOv5n", Some("PANet"), 2_179_226_800, 1_866_877),
        (
            "ssd_spaghettinet_edgetpu_coco_quant_postprocess.tflite",
            "SpaghettiNet",
            Some("FPN-Lite"),
            1_039_208_776,
            3_450_173,
        ),
        (
            "raw_heads/ssd_mobilenet_v2_fpnlite_coco80_256_int8_raw.tflite",
            "MobileNet v2 1.0",
            Some("FPN-Lite"),
            604_819_456,
            3_101_357,
        ),
        (
            "raw_heads/ssd_mobilenet_v3_small_coco_int8_raw.tflite",
            "MobileNet v3 small",
            None,
            162_303_424,
            1_775_511,
        ),
        (
            "segmentation/deeplabv3_mnv2_pascal_quant.tflite",
            "MobileNet v2 1.0",
            Some("ASPP"),
            2_740_709_056,
            2_097_013,
        ),
        (
            "segmentation/deeplabv3_mnv2_dm05_pascal_quant.tflite",
            "MobileNet v2 0.5",
            Some("ASPP"),
            867_496_704,
            688_357,
        ),
    ] {
        let Some(report) = report(file) else { return };
        assert_eq!(report.backbone.name, backbone, "{file}");
        assert_eq!(report.backbone.neck.as_deref(), neck, "{file}");
        assert_eq!((report.macs, report.parameters), (Some(macs), Some(parameters)), "{file}");
    }
    let Some(report) = report("edgetpu/mobilenet_v1_0.25_128_quant_edgetpu.tflite") else { return };
    assert_eq!((report.backbone.name.as_str(), report.macs), ("unknown", None));
}

#[test]
fn weights_are_as_recorded() {
    let Some(list) = shared("models/MODELS.json") else { return };
    let folder = list.parent().unwrap().parent().unwrap().to_path_buf();
    let recorded: Value = serde_json::from_slice(&std::fs::read(&list).unwrap()).unwrap();
    let mut count = 0;
    for (path, wanted) in recorded.as_object().unwrap() {
        if wanted["ident"] != "TFL3" {
            continue;
        }
        let report =
            Report::of(&ModelFile::open(&folder.join(path)).unwrap(), Catalogue::embedded(), || false)
                .unwrap();
        let found = &report.quantisation;
        assert_eq!(
            found.per_channel as u64,
            wanted["weights"]["per_channel_ops"].as_u64().unwrap(),
            "{path}"
        );
        assert_eq!(found.per_tensor as u64, wanted["weights"]["per_tensor_ops"].as_u64().unwrap(), "{path}");
        let types: Vec<String> =
            wanted["weights"]["types"].as_object().unwrap().keys().map(|key| key.to_lowercase()).collect();
        assert_eq!(found.types, types, "{path}");
        for (name, number) in wanted["ops"].as_object().unwrap() {
            let name = name.strip_prefix("CUSTOM:").unwrap_or(name);
            let counted =
                report.operators.iter().find(|(known, _)| known == name).map(|(_, count)| *count as u64);
            assert_eq!(counted, number.as_u64(), "{path}: {name}");
        }
        for chip in Chip::ALL.into_iter().map(Some).chain([None]) {
            let lines = text::render(&report, chip);
            let wide = lines.lines().find(|line| line.chars().count() > 100);
            assert!(wide.is_none(), "{path}: {wide:?}");
            let page = html::render(&report, chip);
            assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{path}");
        }
        count += 1;
    }
    assert!(count >= 14, "{count} models");
}

#[test]
fn verdicts_on_published_models() {
    let level = |file: &str, chip: Chip, id: &str| -> Option<(Level, String)> {
        let report = report(file)?;
        let rule = report.verdict(chip)?.rules.iter().find(|rule| rule.id == id)?;
        Some((rule.level, rule.message.clone()))
    };
    let yolo = "yolov5n_artpec8_coco_640.tflite";
    let Some(found) = report(yolo) else { return };
    assert_eq!(found.count(Chip::Artpec8, Level::Fail), 0);
    let (six, message) = level(yolo, Chip::Artpec8, "filters-multiple-of-6").unwrap();
    assert_eq!((six, message.starts_with("57 of 60 convolutions")), (Level::Pass, true), "{message}");
    assert_eq!(level(yolo, Chip::Artpec9, "kernel-sizes").unwrap().0, Level::Warn);
    let own = "yolov5n_artpec9_coco_640.tflite";
    assert_eq!(level(own, Chip::Artpec9, "kernel-sizes").unwrap().0, Level::Pass);
    assert_eq!(level(own, Chip::Artpec9, "channels-multiple-of-16").unwrap().0, Level::Pass);
    assert_eq!(level(own, Chip::Artpec9, "supported-operators").unwrap().0, Level::Pass);

    let (warned, message) =
        level("tf2_mobilenet_v2_1.0_224_ptq.tflite", Chip::Artpec8, "per-tensor-weights").unwrap();
    assert_eq!(warned, Level::Warn);
    assert!(message.starts_with("53 of 53 convolutions are per-channel quantised"), "{message}");
    assert!(message.contains("_experimental_disable_per_channel"), "{message}");

    for file in
        ["mobilenet_v1_0.25_128_quant_edgetpu.tflite", "mobilenet_v2_1.0_224_quant_edgetpu_2019.tflite"]
    {
        let file = format!("edgetpu/{file}");
        assert_eq!(level(&file, Chip::Artpec7, "edgetpu-compiled").unwrap().0, Level::Pass);
        assert_eq!(level(&file, Chip::Artpec8, "edgetpu-compiled").unwrap().0, Level::Fail);
        assert_eq!(report(&file).unwrap().count(Chip::Artpec7, Level::Fail), 0);
    }
    let (width, message) =
        level("ssd_mobilenet_v1_coco_quant_postprocess.tflite", Chip::Cv25, "width-multiple-of-32").unwrap();
    assert_eq!((width, message.starts_with("width 300 is no multiple of 32")), (Level::Warn, true));
    let (argmax, message) =
        level("segmentation/deeplabv3_mnv2_pascal_quant.tflite", Chip::Artpec8, "integer-tensors").unwrap();
    assert_eq!(argmax, Level::Warn);
    assert!(message.contains("int64 (1 ARG_MAX"), "{message}");
    let (input, message) =
        level("ssdlite_mobilenet_v2_voc_intquant_postprocess.tflite", Chip::Artpec8, "integer-tensors")
            .unwrap();
    assert!(input == Level::Warn && message.starts_with("the input is float32"), "{message}");
    let refused = report("negative/automl_video_traffic_lstm_postprocess.tflite").unwrap();
    assert!(refused.refusal.as_deref().unwrap().contains("has 3 inputs"));
}

/// A detector's stages of inverted residuals: ratio, kernel, stride, width, repeats.
fn stages(graph: &mut TestGraph, stages: &[(usize, usize, usize, usize, usize)]) {
    for (ratio, kernel, stride, width, repeats) in stages {
        for repeat in 0..*repeats {
            graph.inverted_residual(*ratio, *kernel, if repeat == 0 { *stride } else { 1 }, *width);
        }
    }
}

fn name_of(graph: TestGraph) -> String {
    Backbone::of(&graph.finish()).name
}

#[test]
fn efficientnet_lite_is_told_by_its_blocks() {
    let lite = |repeats: [usize; 7], widths: [usize; 7]| {
        let mut graph = TestGraph::picture(224, 224, 3);
        graph.conv(3, 2, 32);
        let shape = [(1, 3, 1), (6, 3, 2), (6, 5, 2), (6, 3, 2), (6, 5, 1), (6, 5, 2), (6, 3, 1)];
        let all: Vec<_> =
            (0..7).map(|i| (shape[i].0, shape[i].1, shape[i].2, widths[i], repeats[i])).collect();
        stages(&mut graph, &all);
        graph.conv(1, 1, 1280);
        name_of(graph)
    };
    let widths = [16, 24, 40, 80, 112, 192, 320];
    assert_eq!(lite([1, 2, 2, 3, 3, 4, 1], widths), "EfficientNet-Lite0");
    assert_eq!(lite([1, 3, 3, 4, 4, 5, 1], widths), "EfficientNet-Lite1");
    assert_eq!(lite([1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352]), "EfficientNet-Lite2");
}

#[test]
fn mobilenet_v2_is_told_at_every_width() {
    for (multiplier, widths) in [
        ("1.0", [16, 24, 32, 64, 96, 160, 320]),
        ("0.5", [8, 16, 16, 32, 48, 80, 160]),
        ("1.4", [24, 32, 48, 88, 136, 224, 448]),
        // All in sixes.
        ("0.5", [12, 12, 18, 30, 48, 78, 162]),
    ] {
        let mut graph = TestGraph::picture(224, 224, 3);
        graph.conv(3, 2, 32);
        let repeats = [1, 2, 3, 4, 3, 3, 1];
        let all: Vec<_> = (0..7).map(|i| (if i == 0 { 1 } else { 6 }, 3, 1, widths[i], repeats[i])).collect();
        stages(&mut graph, &all);
        graph.conv(1, 1, 1280);
        assert_eq!(name_of(graph), format!("MobileNet v2 {multiplier}"));
    }
}

#[test]
fn mobilenet_v1_of_an_ssd_costs_what_is_published() {
    let mut graph = TestGraph::picture(224, 224, 3);
    graph.conv(3, 2, 32);
    let widths = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024];
    let strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1];
    for (width, stride) in widths.into_iter().zip(strides) {
        graph.depthwise(3, stride);
        graph.conv(1, 1, width);
    }
    graph.pool("AVERAGE_POOL_2D", 7, 7);
    graph.conv(1, 1, 1001);
    let graph = graph.finish();
    assert_eq!(Backbone::of(&graph).name, "MobileNet v1 1.0");
    let cost = Cost::of(&graph);
    // The paper: 569 M, 4.2 M.
    assert_eq!((cost.macs / 1_000_000, cost.parameters / 100_000), (568, 42));
}

#[test]
fn mobiledet_has_fused_blocks_and_tucker_convolutions() {
    let mobile = |tucker: bool| {
        let mut graph = TestGraph::picture(320, 320, 3);
        graph.conv(3, 2, 32);
        if tucker {
            graph.conv(1, 1, 8);
            graph.conv(3, 1, 12);
            graph.conv(1, 1, 16);
        }
        for (ratio, stride, width) in [(8, 2, 16), (4, 1, 16), (8, 2, 40), (4, 1, 40)] {
            let input = graph.last();
            let channels = graph.graph.tensors[input].shape[3];
            graph.conv(3, stride, channels * ratio);
            graph.conv(1, 1, width);
            if stride == 1 {
                graph.join("ADD", input);
            }
        }
        stages(&mut graph, &[(8, 3, 2, 72, 4), (8, 5, 1, 96, 4), (8, 5, 2, 120, 4)]);
        graph.conv(1, 1, 384);
        name_of(graph)
    };
    assert_eq!(mobile(true), "MobileDet");
    assert_eq!(mobile(false), "MobileNet EdgeTPU");
}

#[test]
fn resnets_are_told_by_their_sums() {
    let basic = |repeats: [usize; 4]| {
        let mut graph = TestGraph::picture(256, 256, 3);
        graph.conv(7, 2, 64);
        graph.pool("MAX_POOL_2D", 3, 2);
        for (stage, repeats) in repeats.into_iter().enumerate() {
            for repeat in 0..repeats {
                let stride = if stage > 0 && repeat == 0 { 2 } else { 1 };
                let input = graph.last();
                let short = if stride == 2 { graph.conv(1, 2, 64 << stage) } else { input };
                graph.back_to(input);
                graph.conv(3, stride, 64 << stage);
                graph.conv(3, 1, 64 << stage);
                graph.options().activation = Activation::None;
                graph.join("ADD", short);
            }
        }
        name_of(graph)
    };
    assert_eq!(basic([2, 2, 2, 2]), "ResNet-18");
    assert_eq!(basic([3, 4, 6, 3]), "ResNet-34");
    assert_eq!(basic([2, 2, 2, 1]), "ResNet-like");
    let mut graph = TestGraph::picture(64, 64, 3);
    graph.conv(7, 2, 64);
    for _ in 0..16 {
        let input = graph.last();
        graph.conv(1, 1, 32);
        graph.conv(3, 1, 32);
        graph.conv(1, 1, 64);
        graph.join("ADD", input);
    }
    assert_eq!(name_of(graph), "ResNet-50");
}

#[test]
fn mobilenet_v3_large_is_told_from_small() {
    let of = |blocks: usize| {
        let mut graph = TestGraph::picture(224, 224, 3);
        graph.conv(3, 2, 16);
        graph.inverted_residual(1, 3, 1, 16);
        for _ in 0..blocks {
            graph.conv(1, 1, 96);
            graph.same("HARD_SWISH");
            let wide = graph.depthwise(5, 1);
            graph.pool("AVERAGE_POOL_2D", 112, 112);
            graph.conv(1, 1, 24);
            let weights = graph.conv(1, 1, 96);
            graph.back_to(wide);
            graph.join("MUL", weights);
            graph.conv(1, 1, 16);
        }
        graph.conv(1, 1, 576);
        name_of(graph)
    };
    assert_eq!([of(10), of(14)], ["MobileNet v3 small", "MobileNet v3 large"]);
}

#[test]
fn yolov5_is_told_at_every_size() {
    let of = |width: usize, sums: usize| {
        let mut graph = TestGraph::picture(640, 640, 3);
        graph.conv(6, 2, width / 16);
        for _ in 0..sums {
            let input = graph.last();
            graph.conv(1, 1, width / 16);
            graph.conv(3, 1, width / 16);
            graph.join("ADD", input);
        }
        let first = graph.conv(1, 2, width / 2);
        let pools: Vec<usize> = (0..3).map(|_| graph.pool("MAX_POOL_2D", 5, 1)).collect();
        graph.concatenation(&[&[first][..], &pools].concat());
        graph.conv(1, 1, width);
        name_of(graph)
    };
    for (width, sums, name) in
        [(256, 7, "YOLOv5n"), (264, 7, "YOLOv5n"), (512, 7, "YOLOv5s"), (768, 14, "YOLOv5m")]
    {
        assert_eq!(of(width, sums), name);
    }
}

#[test]
fn nothing_is_not_taken_for_something() {
    assert_eq!(name_of(TestGraph::picture(8, 8, 3)), "unknown");
    let mut graph = TestGraph::picture(64, 64, 3);
    for _ in 0..9 {
        graph.conv(3, 1, 32);
    }
    assert_eq!(name_of(graph), "unknown");
    // In a circle.
    let mut graph = TestGraph::picture(64, 64, 3);
    let out = graph.depthwise(3, 1);
    graph.operator("RELU", &[out], &[out]);
    graph.operator("RESIZE_BILINEAR", &[out], &[out]);
    graph.operator("ADD", &[out, out], &[out]);
    graph.operator("MUL", &[out, out], &[out]);
    assert_eq!(name_of(graph), "unknown");
    assert_eq!(Backbone::of(&Graph::default()).name, "unknown");
}
