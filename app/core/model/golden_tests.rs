//! What is read of published model files, against what was recorded of them.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::decode::Scores;
use super::decode::anchors::Layout;
use super::decode::head::Head;
use super::decode::raw_ssd::Anchors;
use super::format::file::{ModelFile, POST_PROCESS};
use super::format::flatbuffer::Table;
use crate::base::error::Kind;
use crate::testdata::shared;
use crate::vision::tensor::TensorInfo;

/// Name, shape, type, quantisation.
type Tensor = (String, Vec<u64>, String, Option<(f32, i64)>);

fn tensors(recorded: &Value) -> Vec<Tensor> {
    let list = recorded.as_array().unwrap();
    list.iter()
        .map(|t| {
            let shape = t["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap()).collect();
            let quantisation = t
                .get("quant")
                .map(|q| (q["scale"][0].as_f64().unwrap() as f32, q["zero_point"][0].as_i64().unwrap()));
            let name = t["name"].as_str().unwrap().to_string();
            (name, shape, t["dtype"].as_str().unwrap().to_lowercase(), quantisation)
        })
        .collect()
}

fn read(list: &[TensorInfo]) -> Vec<Tensor> {
    list.iter()
        .map(|t| {
            let shape = t.shape.iter().map(|d| *d as u64).collect();
            let quantisation = t.quantisation.map(|q| (q.scale, i64::from(q.zero_point)));
            (t.name.clone(), shape, t.dtype.to_string(), quantisation)
        })
        .collect()
}

#[test]
fn every_published_model_is_read_as_recorded() {
    let Some(list) = shared("models/MODELS.json") else { return };
    let folder = list.parent().unwrap().parent().unwrap().to_path_buf();
    let recorded: Value = serde_json::from_slice(&std::fs::read(&list).unwrap()).unwrap();
    let mut count = 0;
    for (path, wanted) in recorded.as_object().unwrap() {
        if wanted.get("ident").and_then(Value::as_str) != Some("TFL3") {
            continue;
        }
        let file = ModelFile::open(&folder.join(path)).unwrap();
        assert_eq!(read(&file.signature.inputs), tensors(&wanted["inputs"]), "{path}");
        assert_eq!(read(&file.signature.outputs), tensors(&wanted["outputs"]), "{path}");
        assert_eq!(file.description, wanted["description"].as_str().unwrap(), "{path}");
        let ops: serde_json::Map<String, Value> = file
            .operators
            .iter()
            .map(|(name, count)| {
                let custom = file.custom_ops.contains(name);
                (if custom { format!("CUSTOM:{name}") } else { name.clone() }, (*count).into())
            })
            .collect();
        assert_eq!(&Value::Object(ops), &wanted["ops"], "{path}");
        let options = wanted["postprocess_options"].as_array().unwrap();
        assert_eq!(file.post_process.is_some(), !options.is_empty(), "{path}");
        if let (Some(post), Some(options)) = (&file.post_process, options.first()) {
            let number = |key: &str| options[key].as_f64().unwrap();
            assert_eq!(post.num_classes as f64, number("num_classes"), "{path}");
            assert_eq!(post.max_detections as f64, number("max_detections"), "{path}");
            assert_eq!(post.max_classes_per_detection as f64, number("max_classes_per_detection"), "{path}");
            assert_eq!(f64::from(post.nms_iou_threshold), f64::from(number("nms_iou_threshold") as f32));
            assert_eq!(f64::from(post.nms_score_threshold), f64::from(number("nms_score_threshold") as f32));
            let scales = ["y_scale", "x_scale", "h_scale", "w_scale"].map(|key| number(key) as f32);
            assert_eq!(post.box_scales, scales, "{path}");
            if let Some(regular) = options.get("use_regular_nms") {
                assert_eq!(post.use_regular_nms, regular.as_bool().unwrap(), "{path}");
            }
            assert_eq!(post.outputs, Some([0, 1, 2, 3]), "{path}");
        }
        count += 1;
    }
    assert!(count >= 14, "{count} models");
}

#[test]
fn heads_of_published_models() {
    let Some(folder) = shared("models") else { return };
    let head = |file: &str| Head::recognise(&ModelFile::open(&folder.join(file)).unwrap());
    for (file, classes) in [
        ("ssd_mobilenet_v1_coco_quant_postprocess.tflite", 90),
        ("ssd_spaghettinet_edgetpu_coco_quant_postprocess.tflite", 90),
        ("ssdlite_mobilenet_v2_voc_intquant_postprocess.tflite", 20),
        ("yolov5n_artpec8_coco_640.tflite", 80),
        ("yolov5n_artpec9_coco_640.tflite", 80),
    ] {
        let file = ModelFile::open(&folder.join(file)).unwrap();
        file.check_runnable_on_cpu().unwrap();
        let head = Head::recognise(&file).unwrap();
        assert_eq!(head.classes(), Some(classes));
        assert_eq!(matches!(head, Head::YoloV5 { rows: 25200, .. }), classes == 80);
        head.decoder(&file.signature).unwrap();
    }
    for (file, name, classes) in [
        ("mobilenet_v1_0.25_128_quant.tflite", "classification", 1001),
        ("mobilenet_v2_1.0_224_quant.tflite", "classification", 1001),
        ("tf2_mobilenet_v2_1.0_224_ptq.tflite", "classification", 1001),
        ("segmentation/deeplabv3_mnv2_pascal_quant.tflite", "segmentation", 21),
        ("segmentation/deeplabv3_mnv2_dm05_pascal_quant.tflite", "segmentation", 21),
        ("raw_heads/ssd_mobilenet_v3_small_coco_int8_raw.tflite", "ssd-raw", 90),
        ("raw_heads/ssd_mobilenet_v2_fpnlite_coco80_256_int8_raw.tflite", "ssd-raw", 80),
    ] {
        let file = ModelFile::open(&folder.join(file)).unwrap();
        file.check_runnable_on_cpu().unwrap();
        let head = Head::recognise(&file).unwrap();
        assert_eq!((head.name(), head.classes()), (name, Some(classes)), "{}", file.name);
        head.decoder(&file.signature).unwrap();
        match head {
            Head::RawSsd { parts, .. } => {
                assert_eq!((parts.kind, parts.background), (Scores::Probabilities, true));
                let anchors = match classes {
                    90 => Anchors::Made(Layout::Ssd, 320, 320),
                    _ => Anchors::Output(2),
                };
                assert_eq!((parts.scores, parts.boxes, parts.anchors), (0, 1, anchors));
            }
            Head::Classification { scores, .. } => assert_eq!(scores, Scores::Probabilities),
            _ => {}
        }
    }
    let error =
        head("edgetpu/ssd_mobilenet_v2_coco_quant_postprocess_segment_0_of_2_edgetpu.tflite").unwrap_err();
    assert_eq!(error.kind(), Kind::Model);
    let sentence = error.to_string();
    assert!(sentence.contains("unsupported output format: [1,19,19,576] uint8, "), "{sentence}");
}

#[test]
fn what_makes_the_outputs_of_published_models() {
    let Some(folder) = shared("models") else { return };
    for (file, expected) in [
        ("mobilenet_v2_1.0_224_quant.tflite", &[("SOFTMAX", &[1, 1001][..], true)][..]),
        // Bytes of another sign behind it.
        ("tf2_mobilenet_v2_1.0_224_ptq.tflite", &[("SOFTMAX", &[1, 1001], true)]),
        ("segmentation/deeplabv3_mnv2_pascal_quant.tflite", &[("ARG_MAX", &[1, 513, 513, 21], true)]),
        (
            "raw_heads/ssd_mobilenet_v3_small_coco_int8_raw.tflite",
            &[("LOGISTIC", &[1, 2034, 91], true), ("CONV_2D", &[1, 20, 20, 288], true)],
        ),
        (
            "raw_heads/ssd_mobilenet_v2_fpnlite_coco80_256_int8_raw.tflite",
            // Anchors are repeated as often as the input's shape says: its content has no part in them.
            &[
                ("SOFTMAX", &[1, 6820, 81], true),
                ("CONV_2D", &[1, 32, 32, 128], true),
                ("TILE", &[1, 32, 32, 5, 4], false),
            ],
        ),
    ] {
        let producers = ModelFile::open(&folder.join(file)).unwrap().producers;
        let found: Vec<(&str, &[usize], bool)> = producers
            .iter()
            .map(|p| (p.operator.as_deref().unwrap_or(""), p.input_shape.as_slice(), p.from_input))
            .collect();
        assert_eq!(found, expected, "{file}");
    }
    let file = ModelFile::open(&folder.join("ssd_mobilenet_v1_coco_quant_postprocess.tflite")).unwrap();
    assert_eq!(file.producers.len(), 4);
    assert!(file.producers.iter().all(|p| p.operator.as_deref() == Some(POST_PROCESS) && p.from_input));
}

/// The anchors inside files with the post-process operator are those that are made for files without.
#[test]
fn made_anchors_are_those_of_published_models() {
    let Some(folder) = shared("models") else { return };
    for (file, side) in [
        ("ssd_mobilenet_v1_coco_quant_postprocess.tflite", 300),
        ("ssdlite_mobilenet_v2_voc_intquant_postprocess.tflite", 300),
    ] {
        let (stored, tolerance) = stored_anchors(&std::fs::read(folder.join(file)).unwrap());
        let made = Layout::Ssd.anchors(side, side);
        assert_eq!(stored.len(), made.len(), "{file}");
        for (row, (stored, made)) in stored.iter().zip(&made).enumerate() {
            let near = stored.iter().zip(made).all(|(a, b)| (a - b).abs() <= tolerance);
            assert!(near, "{file}: row {row} is {stored:?}, not {made:?}");
        }
    }
}

/// The third input of the post-process operator, and half a step of its quantisation.
fn stored_anchors(bytes: &[u8]) -> (Vec<[f32; 4]>, f32) {
    let model = Table::root(bytes).unwrap();
    let main = model.vector(2, 4).unwrap().table(0).unwrap();
    let codes = model.vector(1, 4).unwrap();
    let is_post_process = |operator: &Table<'_>| {
        let code = codes.table(operator.u32(0).unwrap() as usize).unwrap();
        code.string(1, 100).unwrap() == POST_PROCESS
    };
    let mut operators = main.vector(3, 4).unwrap().tables().map(Result::unwrap);
    let operator = operators.find(is_post_process).unwrap();
    let index = operator.vector(1, 4).unwrap().i32s().nth(2).unwrap();
    let tensor = main.vector(0, 4).unwrap().table(index as usize).unwrap();
    let buffer = model.vector(4, 4).unwrap().table(tensor.u32(2).unwrap() as usize).unwrap();
    let data = buffer.vector(0, 1).unwrap().bytes().to_vec();
    let (reals, step): (Vec<f32>, f32) = match tensor.u8(1).unwrap() {
        0 => (data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(), 2e-6),
        3 => {
            let quantisation = tensor.table(4).unwrap().unwrap();
            let scale = quantisation.vector(2, 4).unwrap().f32s().next().unwrap();
            let zero = quantisation.vector(3, 8).unwrap().i64s().next().unwrap() as f32;
            (data.iter().map(|byte| (f32::from(*byte) - zero) * scale).collect(), scale)
        }
        other => panic!("anchors of type {other}"),
    };
    (reals.as_chunks::<4>().0.to_vec(), step * 0.51)
}

#[test]
fn models_that_cannot_run_say_why() {
    let Some(folder) = shared("models") else { return };
    let sentence =
        |path: &Path| ModelFile::open(path).unwrap().check_runnable_on_cpu().unwrap_err().to_string();
    for entry in std::fs::read_dir(folder.join("edgetpu")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = format!(
            "{name} needs an Edge TPU: custom op edgetpu-custom-op; give the model's CPU version (the file without _edgetpu)"
        );
        assert_eq!(sentence(&path), expected);
    }
    assert_eq!(
        sentence(&folder.join("negative/model_invoking_error.tflite")),
        "model_invoking_error.tflite needs the custom op fake-op-double, which TensorFlow Lite does not have; \
         of custom ops only TFLite_Detection_PostProcess is known"
    );
    assert_eq!(
        sentence(&folder.join("negative/automl_video_traffic_lstm_postprocess.tflite")),
        "automl_video_traffic_lstm_postprocess.tflite has 3 inputs: normalized_input_image_tensor [1,256,256,3] uint8; \
         raw_inputs/init_lstm_c [1,8,8,320] uint8; raw_inputs/init_lstm_h [1,8,8,320] uint8; \
         Spotter runs models with one input, a picture"
    );
    let mut file = ModelFile::open(&folder.join("negative/model_invoking_error.tflite")).unwrap();
    file.custom_ops.clear();
    assert_eq!(
        file.check_runnable_on_cpu().unwrap_err().to_string(),
        "model_invoking_error.tflite has the input  [1,3] uint8; Spotter needs [1,height,width,3] of uint8, int8 or float32"
    );
    let cavalry = ModelFile::open(&folder.join("cv25/cv25_mobilenetv2_cavalry.bin")).unwrap_err();
    assert!(cavalry.to_string().contains("is compiled for Ambarella CV25"), "{cavalry}");
}

#[test]
fn what_is_no_model_is_said_so() {
    let sentence = |bytes: &[u8]| ModelFile::from_bytes("clip.mp4", bytes.to_vec()).unwrap_err().to_string();
    assert_eq!(
        sentence(b"\0\0\0\x20ftypisom"),
        "clip.mp4 is not a TensorFlow Lite model (no \"TFL3\" mark at byte 4); give a .tflite file"
    );
    assert_eq!(sentence(b""), "clip.mp4 is empty; give a .tflite file");
    assert_eq!(sentence(b"\x1c\0\0\0TFL3"), "clip.mp4 is damaged: the root table is missing at byte 0");
    let folder = tempfile::tempdir().unwrap();
    let error = ModelFile::open(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is a folder; give a .tflite file", folder.path().display()));
    let absent = folder.path().join("m.tflite");
    let error = ModelFile::open(&absent).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no model file {}", absent.display()));
    assert_eq!(error.kind(), Kind::NotFound);
}

/// What takes longer than this has no end.
const END: Duration = Duration::from_secs(60);

/// Reads the bytes as far as they can be read; must end whatever they are.
fn exercise(bytes: Vec<u8>) {
    let start = Instant::now();
    if let Ok(file) = ModelFile::from_bytes("m", bytes) {
        let _ = file.check_runnable_on_cpu();
        if let Ok(head) = Head::recognise(&file) {
            let _ = head.decoder(&file.signature);
        }
    }
    assert!(start.elapsed() < END);
}

#[test]
fn cut_models_are_damaged_not_deadly() {
    let Some(path) = shared("models/ssd_mobilenet_v1_coco_quant_postprocess_metadata.tflite") else { return };
    let bytes = std::fs::read(path).unwrap();
    for length in (0..bytes.len()).step_by(997) {
        exercise(bytes[..length].to_vec());
    }
    let half = ModelFile::from_bytes("m.tflite", bytes[..bytes.len() / 2].to_vec()).unwrap_err();
    assert!(half.to_string().starts_with("m.tflite is damaged: "), "{half}");
}

#[test]
fn flipped_bytes_are_damage_not_death() {
    let Some(path) = shared("models/ssd_mobilenet_v1_coco_quant_postprocess_metadata.tflite") else { return };
    let sound = std::fs::read(path).unwrap();
    // Most of a model is weights, which nobody reads here: leave out what does not matter, so that
    // the flips hit tables, names, options and the archive.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below
    };
    let mut bytes = sound.clone();
    for round in 0..2000 {
        let at: Vec<usize> = (0..1 + round % 4)
            .map(|_| match random(4) {
                0 => random(sound.len()),
                1 => random(4096),
                2 => sound.len() - 1 - random(1024),
                _ => sound.len() - 1 - random(60_000),
            })
            .collect();
        at.iter().for_each(|at| bytes[*at] ^= 1 << random(8));
        exercise(bytes.clone());
        at.iter().for_each(|at| bytes[*at] = sound[*at]);
    }
}

#[test]
fn labels_inside_a_model_are_found() {
    let Some(folder) = shared("models") else { return };
    let open = |file: &str| ModelFile::open(&folder.join(file)).unwrap();
    let rows = open("ssd_mobilenet_v1_coco_quant_postprocess_metadata.tflite").embedded_labels.unwrap();
    assert_eq!((rows.len(), rows[0].as_str(), rows[89].as_str()), (90, "person", "toothbrush"));
    assert_eq!(open("mobilenet_v2_1.0_224_quant.tflite").embedded_labels.unwrap().len(), 1001);
    let bare = open("ssd_mobilenet_v1_coco_quant_postprocess.tflite");
    assert_eq!(bare.embedded_labels, None);
    assert_eq!(bare.custom_ops, [POST_PROCESS]);
    // The same file with a packed archive behind it.
    let mut bytes = bare.bytes.to_vec();
    bytes.extend(crate::model::format::zip::tests::archive(
        "labels.txt",
        "thing\n".repeat(90).as_bytes(),
        true,
    ));
    let rows = ModelFile::from_bytes("m", bytes).unwrap().embedded_labels.unwrap();
    assert_eq!((rows.len(), rows[89].as_str()), (90, "thing"));
}
