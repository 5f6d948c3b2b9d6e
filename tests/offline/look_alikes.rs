//! Models that are too large to be at hand, built here with the names, shapes, anchors and options of the
//! published files and with random numbers in place of weights, and run by the real TensorFlow Lite.
//!
//! The operator at their end and the decoder of models without it must then agree: same box encodings,
//! same scores, same anchors, two implementations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::engines::{Open, engines};
use crate::common::tflite_file::{ADD, DEQUANTIZE, Graph, LOGISTIC, MEAN, QUANTIZE, Type};
use crate::common::{data, process, say};
use serde_json::Value;
use spotter::backend::tflite::threads::Threads;
use spotter::model::decode::anchors::Layout;
use spotter::model::decode::head::Head;
use spotter::model::decode::raw_ssd::Anchors;
use spotter::model::decode::{Output, Thresholds};
use spotter::model::format::file::{ModelFile, POST_PROCESS};
use spotter::model::format::flatbuffer::Table;
use spotter::vision::detection::Detection;
use spotter::vision::geometry::Rect;
use spotter::vision::predictions::Predictions;

const CLASSES: usize = 90;
const COLUMNS: usize = CLASSES + 1;
/// Quantisation of the box encodings and anchors of `ssd_mobilenet_v1_coco_quant_postprocess`, whose sizes
/// those of SSD MobileNet v2 are.
const ENCODINGS: (f32, i64) = (0.079_027_876, 191);
const ANCHORS: (f32, i64) = (0.006_453_060_5, 0);

/// What is built.
#[derive(Clone, Copy, Debug, PartialEq)]
struct LookAlike {
    /// Height and width of the input.
    side: usize,
    rows: usize,
    /// Encodings, scores and anchors as bytes, as models quantised in training have them.
    bytes: bool,
    /// Names of boxes, classes, scores and count.
    names: [&'static str; 4],
    /// Which of these each output is.
    order: [usize; 4],
    slots: usize,
}

const SSD_V2: LookAlike = LookAlike {
    side: 300,
    rows: 1917,
    bytes: true,
    names: [
        "TFLite_Detection_PostProcess",
        "TFLite_Detection_PostProcess:1",
        "TFLite_Detection_PostProcess:2",
        "TFLite_Detection_PostProcess:3",
    ],
    order: [0, 1, 2, 3],
    slots: 20,
};
const MOBILE_DET: LookAlike = LookAlike { side: 320, rows: 2034, bytes: false, slots: 40, ..SSD_V2 };
const TF2: LookAlike = LookAlike {
    bytes: false,
    names: [
        "StatefulPartitionedCall:1",
        "StatefulPartitionedCall:3",
        "StatefulPartitionedCall:0",
        "StatefulPartitionedCall:2",
    ],
    order: [2, 0, 3, 1],
    slots: 10,
    ..SSD_V2
};

/// What the graph ends in.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The operator, suppressing over all classes with the slots of the model.
    Fast,
    /// The operator, suppressing class by class, with many slots.
    Regular,
    /// Scores and box encodings.
    Raw,
    /// Box encodings, anchors `[N,4]` and scores.
    RawWithAnchors,
}

/// The operator's thresholds.
const SCORE: f32 = 0.3;
const IOU: f32 = 0.6;
const KEEP: Thresholds = Thresholds { confidence: SCORE, iou: IOU, max_detections: 1000, multi_label: false };

/// Numbers from -1 to 1 of a fixed sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 40) as f32 / (1 << 23) as f32) - 1.0
    }
}

impl LookAlike {
    /// Logits: background and noise, with 60 objects, each in several rows one after the other (anchors of
    /// a cell and its neighbour), of which most have a second class.
    fn logits(&self) -> Vec<f32> {
        let mut random = Random(0x1234_5678_9abc);
        let mut logits: Vec<f32> = (0..self.rows * COLUMNS).map(|_| -6.0 + random.next()).collect();
        for object in 0..60 {
            let from = (object * (self.rows - 9)) / 60;
            let (class, second) = (1 + (object * 7) % CLASSES, 1 + (object * 11) % CLASSES);
            for row in from..from + 8 {
                logits[row * COLUMNS + class] = 0.6 + 1.9 * random.next();
                logits[row * COLUMNS + second] = -0.8 + 0.9 * random.next();
            }
        }
        // The first column is background and must not matter.
        logits.chunks_exact_mut(COLUMNS).for_each(|row| row[0] = 3.0 * random.next());
        logits
    }

    fn encodings(&self) -> Vec<f32> {
        let mut random = Random(0xfeed_beef);
        (0..self.rows * 4).map(|_| 1.5 * random.next()).collect()
    }

    fn model(&self, end: End) -> Vec<u8> {
        let mut graph = Graph::default();
        let (side, rows, columns) = (self.side as i32, self.rows as i32, COLUMNS as i32);
        let input = graph.tensor(
            "normalized_input_image_tensor",
            &[1, side, side, 3],
            Type::U8,
            Some((1.0 / 128.0, 128)),
            vec![],
        );
        // A brighter picture is surer of everything.
        let picture = graph.tensor("picture", &[1, side, side, 3], Type::F32, None, vec![]);
        graph.operator(DEQUANTIZE, &[input], &[picture]);
        let axes = graph.tensor("axes", &[3], Type::I32, None, [1i32, 2, 3].map(i32::to_le_bytes).concat());
        let brightness = graph.tensor("brightness", &[1], Type::F32, None, vec![]);
        graph.operator(MEAN, &[picture, axes], &[brightness]);
        let shape = [1, rows, columns];
        let logits = graph.tensor("logits", &shape, Type::F32, None, floats(&self.logits()));
        let lit = graph.tensor("lit", &shape, Type::F32, None, vec![]);
        graph.operator(ADD, &[logits, brightness], &[lit]);
        let sure = graph.tensor("convert_scores_float", &shape, Type::F32, None, vec![]);
        graph.operator(LOGISTIC, &[lit], &[sure]);
        let made: Vec<f32> = Layout::Ssd.anchors(self.side, self.side).into_iter().flatten().collect();
        let (scores, boxes, anchors) = if self.bytes {
            let scores = graph.tensor("convert_scores", &shape, Type::U8, Some((1.0 / 256.0, 0)), vec![]);
            graph.operator(QUANTIZE, &[sure], &[scores]);
            let boxes = (quantised(&self.encodings(), ENCODINGS), Type::U8, Some(ENCODINGS));
            (scores, boxes, (quantised(&made, ANCHORS), Type::U8, Some(ANCHORS)))
        } else {
            (sure, (floats(&self.encodings()), Type::F32, None), (floats(&made), Type::F32, None))
        };
        let boxes = graph.tensor("Squeeze", &[1, rows, 4], boxes.1, boxes.2, boxes.0);
        let anchors = graph.tensor("anchors", &[rows, 4], anchors.1, anchors.2, anchors.0);
        match end {
            End::Raw => graph.finish(&[input], &[scores, boxes]),
            End::RawWithAnchors => graph.finish(&[input], &[boxes, anchors, scores]),
            End::Fast | End::Regular => {
                let own = self.names.map(|name| graph.tensor(name, &[], Type::F32, None, vec![]));
                let options = self.options(end == End::Regular);
                graph.custom(POST_PROCESS, options, &[boxes, scores, anchors], &own);
                graph.finish(&[input], &self.order.map(|which| own[which]))
            }
        }
    }

    fn options(&self, regular: bool) -> Vec<u8> {
        let mut builder = flexbuffers::Builder::default();
        let mut map = builder.start_map();
        map.push("max_detections", if regular { 1000 } else { self.slots as i32 });
        map.push("max_classes_per_detection", 1i32);
        map.push("detections_per_class", 1000i32);
        map.push("use_regular_nms", regular);
        map.push("nms_score_threshold", SCORE);
        map.push("nms_iou_threshold", IOU);
        map.push("num_classes", CLASSES as i32);
        for (key, scale) in [("y_scale", 10.0f32), ("x_scale", 10.0), ("h_scale", 5.0), ("w_scale", 5.0)] {
            map.push(key, scale);
        }
        map.push("_output_quantized", true);
        map.push("_support_output_type_float_in_quantized_op", true);
        map.end_map();
        builder.view().to_vec()
    }

    /// What the operator is documented to do where it suppresses over all classes, step by step.
    fn expected(&self, brightness: f32) -> Vec<Detection> {
        assert!(!self.bytes, "the reference is over reals");
        let (logits, encodings) = (self.logits(), self.encodings());
        let anchors = Layout::Ssd.anchors(self.side, self.side);
        let mut found: Vec<Detection> = Vec::new();
        for (row, [y, x, h, w]) in anchors.into_iter().enumerate() {
            let classes = &logits[row * COLUMNS + 1..(row + 1) * COLUMNS];
            let best = (0..CLASSES).fold(0, |best, c| if classes[c] > classes[best] { c } else { best });
            let score = 1.0 / (1.0 + (-classes[best] - brightness).exp());
            let code = &encodings[row * 4..][..4];
            let (y, x) = (code[0] / 10.0 * h + y, code[1] / 10.0 * w + x);
            let (h, w) = ((code[2] / 5.0).exp() * h / 2.0, (code[3] / 5.0).exp() * w / 2.0);
            if score >= SCORE {
                found.push(Detection {
                    class: best as u32,
                    score,
                    rect: Rect::new(x - w, y - h, x + w, y + h),
                });
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut kept: Vec<Detection> = Vec::new();
        for detection in found {
            if kept.len() < self.slots && !kept.iter().any(|other| other.rect.iou(&detection.rect) > IOU) {
                kept.push(detection);
            }
        }
        kept.iter_mut().for_each(|detection| detection.rect = detection.rect.clamped());
        kept
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn quantised(values: &[f32], (scale, zero_point): (f32, i64)) -> Vec<u8> {
    values.iter().map(|value| ((value / scale).round() + zero_point as f32).clamp(0.0, 255.0) as u8).collect()
}

/// Runs a model on a picture of one grey and reads what it found.
fn run(open: Open, model: &ModelFile, grey: u8, thresholds: &Thresholds) -> Vec<Detection> {
    let mut backend = open(model.bytes.clone(), Threads::fixed(1)).unwrap();
    backend.input_mut().unwrap().fill(grey);
    backend.run().unwrap();
    let signature = &model.signature;
    let outputs: Vec<Output<'_>> = (0..)
        .zip(&signature.outputs)
        .map(|(place, info)| Output { info, data: backend.output(place).unwrap() })
        .collect();
    let mut found = Predictions::default();
    let mut decoder = Head::recognise(model).unwrap().decoder(signature).unwrap();
    decoder.decode(&outputs, thresholds, &mut found).unwrap();
    found.detections
}

fn in_each_library(look_alikes: &[LookAlike]) -> Vec<(Open, LookAlike)> {
    let of = |open| look_alikes.iter().map(move |one| (open, *one));
    engines().into_iter().flat_map(of).collect()
}

fn file(look_alike: LookAlike, end: End) -> ModelFile {
    let file = ModelFile::from_bytes("look-alike.tflite", look_alike.model(end)).unwrap();
    file.check_runnable_on_cpu().unwrap();
    file
}

/// How many of `some` have a partner among `others`.
fn partners(some: &[Detection], others: &[Detection], tolerance: f32) -> usize {
    let mut taken = vec![false; others.len()];
    let near = |a: f32, b: f32| (a - b).abs() <= tolerance;
    some.iter()
        .filter(|one| {
            let place = others.iter().enumerate().position(|(i, other)| {
                let (a, b) = (&one.rect, &other.rect);
                !taken[i]
                    && one.class == other.class
                    && (one.score - other.score).abs() < 1e-5
                    && near(a.left, b.left)
                    && near(a.top, b.top)
                    && near(a.right, b.right)
                    && near(a.bottom, b.bottom)
            });
            place.is_some_and(|place| !std::mem::replace(&mut taken[place], true))
        })
        .count()
}

#[test]
fn look_alikes_are_recognised() {
    for (look_alike, places) in [(SSD_V2, [0, 1, 2, 3]), (MOBILE_DET, [0, 1, 2, 3]), (TF2, [1, 3, 0, 2])] {
        let [boxes, classes, scores, count] = places;
        let slots = Some(look_alike.slots);
        let expected =
            Head::SsdPostProcess { boxes, classes, scores, count, num_classes: Some(CLASSES), slots };
        let model = file(look_alike, End::Fast);
        assert_eq!(Head::recognise(&model).unwrap(), expected);
        let options = model.post_process.unwrap();
        assert_eq!((options.nms_score_threshold, options.nms_iou_threshold), (SCORE, IOU));
        assert_eq!(options.box_scales, [10.0, 10.0, 5.0, 5.0]);
        let names: Vec<&str> = model.signature.outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, look_alike.order.map(|which| look_alike.names[which]));
        for (end, from) in [
            (End::Raw, Anchors::Made(Layout::Ssd, look_alike.side, look_alike.side)),
            (End::RawWithAnchors, Anchors::Output(1)),
        ] {
            match Head::recognise(&file(look_alike, end)).unwrap() {
                Head::RawSsd { parts, num_classes } => {
                    assert_eq!((parts.anchors, parts.background, num_classes), (from, true, CLASSES));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The operator and our decoder, on the same numbers.
#[test]
fn raw_heads_are_decoded_as_the_operator_does() {
    let evaluate = Thresholds { multi_label: true, ..KEEP };
    for (open, look_alike) in in_each_library(&[SSD_V2, MOBILE_DET, TF2]) {
        for grey in [128, 160] {
            let theirs = run(open, &file(look_alike, End::Regular), grey, &KEEP);
            assert!(theirs.len() > 150, "{}", theirs.len());
            for end in [End::Raw, End::RawWithAnchors] {
                let ours = run(open, &file(look_alike, end), grey, &evaluate);
                // Anchors as bytes are half a step off those that are made.
                let rounded = look_alike.bytes && end == End::Raw;
                let tolerance = if rounded { 0.02 } else { 2e-6 };
                let (missed, added) = (
                    theirs.len() - partners(&theirs, &ours, tolerance),
                    ours.len() - partners(&ours, &theirs, tolerance),
                );
                // Such a step may take an overlap over the threshold.
                let allowed = if rounded { theirs.len() / 20 } else { 0 };
                assert!(
                    missed <= allowed && added <= allowed,
                    "{look_alike:?}: {missed} missed and {added} added of {}",
                    theirs.len()
                );
            }
        }
    }
}

#[test]
fn the_best_class_of_each_box_is_found_live() {
    for (open, look_alike) in in_each_library(&[MOBILE_DET, TF2]) {
        for (grey, brightness) in [(128, 0.0), (160, 0.25)] {
            let theirs = run(open, &file(look_alike, End::Fast), grey, &KEEP);
            let expected = look_alike.expected(brightness);
            assert_eq!(theirs.len(), look_alike.slots);
            assert_eq!(partners(&theirs, &expected, 1e-5), expected.len());
            // Class by class suppresses less: all that is left over all classes is there too.
            let ours = run(open, &file(look_alike, End::Raw), grey, &KEEP);
            assert_eq!(partners(&theirs, &ours, 1e-5), theirs.len());
        }
    }
}

/// The whole program, from a picture file to lines.
#[test]
fn the_program_finds_what_the_graph_says() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("grey.png");
    image::RgbImage::from_pixel(50, 40, image::Rgb([160; 3])).save(&picture).unwrap();
    for (open, look_alike) in in_each_library(&[SSD_V2, MOBILE_DET, TF2]) {
        let expected = run(open, &file(look_alike, End::Fast), 160, &KEEP);
        if !look_alike.bytes {
            assert_eq!(partners(&expected, &look_alike.expected(0.25), 1e-5), expected.len());
        }
        let model = folder.path().join("look-alike.tflite");
        std::fs::write(&model, look_alike.model(End::Fast)).unwrap();
        let arguments = [Path::new("detect"), Path::new("--model"), &model, &picture];
        let finished = process::run(arguments, Duration::from_secs(60));
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let line: Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
        let found: Vec<Detection> = line["detections"].as_array().unwrap().iter().map(detection).collect();
        assert_eq!(found.len(), look_alike.slots, "{look_alike:?}");
        assert_eq!(partners(&found, &expected, 1e-5), found.len());
    }
}

/// The published SSD MobileNet v1 with its operator, and the same file whose outputs are the operator's
/// inputs: real weights and photos, our anchors, boxes and suppression.
#[test]
fn a_published_model_without_its_operator_finds_what_it_found() {
    let Some(shared) = data::shared_data() else { return };
    let whole = std::fs::read(shared.join("models/ssd_mobilenet_v1_coco_quant_postprocess.tflite")).unwrap();
    let raw = outputs_before_the_operator(&whole);
    let head = Head::recognise(&ModelFile::from_bytes("raw.tflite", raw.clone()).unwrap()).unwrap();
    assert_eq!((head.name(), head.classes()), ("ssd-raw", Some(CLASSES)));
    let folder = tempfile::tempdir().unwrap();
    let images = shared.join("images/voc2012");
    let mut photos: Vec<PathBuf> =
        std::fs::read_dir(images).unwrap().map(|entry| entry.unwrap().path()).collect();
    photos.sort();
    photos.truncate(30);
    // Without suppression: that of the operator is over all classes, so it is done below.
    let [theirs, mut ours] = [whole, raw].map(|bytes| {
        let model = folder.path().join("model.tflite");
        std::fs::write(&model, bytes).unwrap();
        let mut command = process::spotter();
        command.arg("detect").arg("--model").arg(&model).args(["--conf", "0.3", "--iou", "1"]).args(&photos);
        let finished = process::run_command(command, Duration::from_secs(300));
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let lines = finished.stdout.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["detections"].as_array().unwrap().iter().map(detection).collect::<Vec<_>>()
        });
        lines.collect::<Vec<_>>()
    });
    assert_eq!((theirs.len(), ours.len()), (photos.len(), photos.len()));
    for photo in &mut ours {
        let mut kept: Vec<Detection> = Vec::new();
        for detection in photo.drain(..) {
            if kept.len() < 10 && !kept.iter().any(|other| other.rect.iou(&detection.rect) > 0.6) {
                kept.push(detection);
            }
        }
        *photo = kept;
    }
    let count = |all: &[Vec<Detection>]| all.iter().map(Vec::len).sum::<usize>();
    let same: usize = theirs.iter().zip(&ours).map(|(theirs, ours)| partners(theirs, ours, 0.02)).sum();
    let (theirs, ours) = (count(&theirs), count(&ours));
    say(&format!(
        "SSD MobileNet v1: {theirs} detections of its operator, {ours} decoded here, {same} the same"
    ));
    // The operator's anchors are rounded to bytes, ours are not.
    assert!(theirs > 100 && same * 20 >= theirs * 19 && same * 20 >= ours * 19);
}

/// The file with the first two inputs of the post-process operator as its only outputs.
fn outputs_before_the_operator(file: &[u8]) -> Vec<u8> {
    let model = Table::root(file).unwrap();
    let main = model.vector(2, 4).unwrap().table(0).unwrap();
    let outputs = main.vector(2, 4).unwrap();
    let ends_here = |operator: &Table<'_>| operator.vector(2, 4).unwrap().bytes() == outputs.bytes();
    let mut operators = main.vector(3, 4).unwrap().tables().map(Result::unwrap);
    let inputs = operators.find(ends_here).unwrap().vector(1, 4).unwrap();
    let mut file = file.to_vec();
    // A vector is its length and then its elements.
    file[outputs.place() - 4..outputs.place()].copy_from_slice(&2u32.to_le_bytes());
    file[outputs.place()..outputs.place() + 8].copy_from_slice(&inputs.bytes()[..8]);
    file
}

fn detection(value: &Value) -> Detection {
    let side = |name| value["box"][name].as_f64().unwrap() as f32;
    Detection {
        class: value["class"].as_u64().unwrap() as u32,
        score: value["score"].as_f64().unwrap() as f32,
        rect: Rect::new(side("left"), side("top"), side("right"), side("bottom")),
    }
}
