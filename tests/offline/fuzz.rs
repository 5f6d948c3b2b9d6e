//! A bounded run of what is fuzzed: the committed corpus, and changes of it from a fixed seed.
//!
//! `cargo fuzz run NAME` (in `fuzz/`) searches without end; what it finds belongs into `fuzz/corpus`.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Changed copies of the files of a corpus, all in all.
const CHANGES: usize = 30_000;
/// What takes longer than this has no end.
const TIME: Duration = Duration::from_secs(60);
/// Bytes that may be held at once: a fixed part, and some for each byte of the input.
const MEMORY: (u64, u64) = (16 << 20, 64);

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit.max(1)
    }
}

/// One to eight changes such as files suffer or enemies make: bytes, words, cuts, repeats, swaps.
fn changed(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = input.to_vec();
    for _ in 0..1 + random.below(8) {
        if data.is_empty() {
            return other.to_vec();
        }
        let at = random.below(data.len());
        match random.below(7) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.below(256) as u8,
            2 => {
                let words = [0u32, 1, 4, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x0001_0000];
                let word = words[random.below(words.len())].to_le_bytes();
                let at = at & !3;
                let end = data.len().min(at + 4);
                data[at..end].copy_from_slice(&word[..end - at]);
            }
            3 => data.truncate(at),
            4 => {
                let end = data.len().min(at + 1 + random.below(64));
                let part = data[at..end].to_vec();
                data.splice(at..at, part);
            }
            5 => drop(data.drain(at..data.len().min(at + 1 + random.below(16)))),
            _ => {
                let from = random.below(other.len());
                let part = &other[from..other.len().min(from + 1 + random.below(64))];
                let end = data.len().min(at + part.len());
                data[at..end].copy_from_slice(&part[..end - at]);
            }
        }
    }
    data
}

fn check(name: &str, target: fn(&[u8]), input: &[u8]) {
    let begun = Instant::now();
    let mut outcome = Ok(());
    let used = allocation_counter::measure(|| {
        outcome = std::panic::catch_unwind(|| target(input));
    });
    let limit = MEMORY.0 + MEMORY.1 * input.len() as u64;
    let fault = if outcome.is_err() {
        Some("panicked".to_owned())
    } else if begun.elapsed() > TIME {
        Some(format!("took {:?}", begun.elapsed()))
    } else if used.bytes_max > limit {
        Some(format!("held {} bytes for {}", used.bytes_max, input.len()))
    } else {
        None
    };
    if let Some(fault) = fault {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.found"));
        std::fs::write(&kept, input).unwrap();
        panic!("{name} {fault}; the input is in {}", kept.display());
    }
}

/// Runs a target over its corpus.
fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(inputs.len() >= 3, "{} has no corpus", folder.display());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    check(name, target, b"");
    for (index, input) in inputs.iter().enumerate() {
        check(name, target, input);
        for length in 0..input.len().min(200) {
            check(name, target, &input[..length]);
        }
        for _ in 0..CHANGES / inputs.len() {
            let other = &inputs[(index + 1 + random.below(inputs.len())) % inputs.len()];
            check(name, target, &changed(input, other, &mut random));
        }
    }
}

#[test]
fn label_files() {
    run("labels", targets::labels);
}

#[test]
fn uploads() {
    run("upload", targets::upload);
}
/// The seeds of the corpus are what is made here; where the writer of the format has changed, run this with
/// `SPOTTER_WRITE_CORPUS=1` and commit them.
#[test]
fn the_seeds_are_what_is_made_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let models = small_models().into_iter().map(|(name, bytes)| (format!("model_file/{name}"), bytes));
    let maps = [1, 10, 300].map(|slots| (format!("flexbuffer/options-{slots}"), options(slots)));
    for (name, bytes) in models.chain(maps) {
        if std::env::var_os("SPOTTER_WRITE_CORPUS").is_some() {
            std::fs::write(folder.join(&name), &bytes).unwrap();
        }
        assert!(std::fs::read(folder.join(&name)).unwrap() == bytes, "{name} is another");
    }
}

fn options(slots: u32) -> Vec<u8> {
    let mut builder = flexbuffers::Builder::default();
    let mut map = builder.start_map();
    map.push("num_classes", 2);
    map.push("max_detections", slots);
    map.push("use_regular_nms", slots > 10);
    for scale in ["y_scale", "x_scale"] {
        map.push(scale, 10.0f32);
    }
    map.push("nms_iou_threshold", 0.6f64);
    map.end_map();
    builder.view().to_vec()
}

/// A model of each head with the smallest shapes that it can have.
fn small_models() -> Vec<(&'static str, Vec<u8>)> {
    use crate::common::tflite_file::{Graph, LOGISTIC, QUANTIZE, Type};
    let input = |graph: &mut Graph, side: i32| {
        graph.tensor("picture", &[1, side, side, 3], Type::U8, Some((1.0 / 128.0, 128)), Vec::new())
    };
    let floats = |count: usize| (0..count).flat_map(|i| (i as f32 * 0.01).to_le_bytes()).collect::<Vec<u8>>();
    let mut models = Vec::new();

    let mut graph = Graph::default();
    let picture = input(&mut graph, 4);
    let boxes = graph.tensor("boxes", &[1, 2, 4], Type::F32, None, floats(8));
    let scores = graph.tensor("scores", &[1, 2, 3], Type::F32, None, floats(6));
    let anchors = graph.tensor("anchors", &[2, 4], Type::F32, None, floats(8));
    let names = [
        "TFLite_Detection_PostProcess",
        "TFLite_Detection_PostProcess:1",
        "TFLite_Detection_PostProcess:2",
        "TFLite_Detection_PostProcess:3",
    ];
    let outputs = names.map(|name| graph.tensor(name, &[], Type::F32, None, Vec::new()));
    graph.custom("TFLite_Detection_PostProcess", options(10), &[boxes, scores, anchors], &outputs);
    models.push(("ssd-postprocess", graph.finish(&[picture], &outputs)));

    for (name, shape, side) in
        [("yolov5", &[1, 63, 7][..], 32), ("classification", &[1, 5], 4), ("segmentation", &[1, 4, 4, 3], 4)]
    {
        let mut graph = Graph::default();
        let picture = input(&mut graph, side);
        let count = shape.iter().product::<i32>() as usize;
        let values = graph.tensor("values", shape, Type::F32, None, floats(count));
        let sure = graph.tensor("sure", shape, Type::F32, None, Vec::new());
        let output = graph.tensor("output", shape, Type::U8, Some((1.0 / 256.0, 0)), Vec::new());
        graph.operator(LOGISTIC, &[values], &[sure]);
        graph.operator(QUANTIZE, &[sure], &[output]);
        models.push((name, graph.finish(&[picture], &[output])));
    }

    let mut graph = Graph::default();
    let picture = input(&mut graph, 300);
    let boxes = graph.tensor("raw_outputs/box_encodings", &[1, 1917, 4], Type::F32, None, Vec::new());
    let logits = graph.tensor("logits", &[1, 1917, 3], Type::F32, None, Vec::new());
    let scores = graph.tensor("raw_outputs/class_predictions", &[1, 1917, 3], Type::F32, None, Vec::new());
    graph.operator(LOGISTIC, &[logits], &[scores]);
    models.push(("ssd-raw", graph.finish(&[picture], &[scores, boxes])));
    models
}

#[test]
fn the_corpus_has_a_model_of_each_head() {
    use spotter::model::decode::head::Head;
    use spotter::model::format::file::ModelFile;
    for (name, bytes) in small_models() {
        let file = ModelFile::from_bytes(name, bytes).unwrap();
        assert_eq!(Head::recognise(&file).unwrap().name(), name);
    }
}

#[test]
fn model_files() {
    run("model_file", targets::model_file);
}

#[test]
fn tables() {
    run("tables", targets::tables);
}

#[test]
fn options_of_operators() {
    run("flexbuffer", targets::flexbuffer);
}
