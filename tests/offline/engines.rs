//! The two libraries that run models on the processor: they give the same, bit by bit, and it is said which one runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::common::engines::engines;
use crate::common::tflite_file::{CAST, DIV, Graph, Type};
use crate::common::{camera_front, data, process, say, skip};
use spotter::backend::Backend;
use spotter::backend::tflite::litert::sys::LiteRt;
use spotter::backend::tflite::processor;
use spotter::backend::tflite::threads::Threads;
use spotter::model::decode::head::Head;
use spotter::model::format::file::ModelFile;

const LIMIT: Duration = Duration::from_secs(60);

/// All that run on a processor: Spotter's own, and the published ones where they are.
fn models() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("models")];
    if let Some(shared) = data::shared_data() {
        folders.extend(["", "raw_heads", "segmentation"].map(|name| shared.join("models").join(name)));
    }
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "tflite"));
    files.sort();
    files
}

/// What the model gives for a picture: noise, a ramp, black.
fn outputs(file: &ModelFile, backend: &mut dyn Backend, picture: usize) -> Vec<Vec<u8>> {
    let float = file.signature.inputs[0].dtype.size() == 4;
    let pixel = |index: usize| match picture {
        0 => ((index as u32).wrapping_mul(2_654_435_761) >> 24) as u8,
        1 => (index >> 6) as u8,
        _ => 0,
    };
    let input = backend.input_mut().unwrap();
    if float {
        for (index, value) in input.chunks_exact_mut(4).enumerate() {
            value.copy_from_slice(&(f32::from(pixel(index)) / 127.5 - 1.0).to_le_bytes());
        }
    } else {
        input.iter_mut().enumerate().for_each(|(index, byte)| *byte = pixel(index));
    }
    backend.run().unwrap();
    let count = file.signature.outputs.len();
    assert!(backend.output(count).is_err());
    (0..count).map(|index| backend.output(index).unwrap().to_vec()).collect()
}

/// As [`outputs`]; boxes that the model has sorted are a list of rows: score, class, box. Those with equal scores come in
/// no certain order, of the last score there may be more than fit, and behind the count lies whatever was there.
fn comparable(file: &ModelFile, outputs: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let Ok(Head::SsdPostProcess { boxes, classes, scores, count, slots, .. }) = Head::recognise(file) else {
        return outputs;
    };
    let found = f32::from_le_bytes(outputs[count][..].try_into().unwrap()) as usize;
    let mut rows: Vec<Vec<u8>> = (0..found)
        .map(|row| {
            // Of scores above zero the larger one is also the larger number.
            let score = outputs[scores][4 * row..][..4].iter().rev();
            let (class, place) = (&outputs[classes][4 * row..][..4], &outputs[boxes][16 * row..][..16]);
            score.chain(class).chain(place).copied().collect()
        })
        .collect();
    rows.sort();
    if Some(found) == slots {
        let last = rows[0][..4].to_vec();
        rows.retain(|row| row[..4] != last);
    }
    rows
}

#[test]
fn both_libraries_give_the_same_outputs_to_the_bit() {
    let engines = engines();
    let [litert, c_library] = &engines[..] else { return };
    let mut compared = 0;
    for path in models() {
        let file = ModelFile::open(&path).unwrap();
        if file.check_runnable_on_cpu().is_err() {
            continue;
        }
        // The C library's post-processing gives other boxes on two threads.
        let [mut one, mut two, mut other] = [(litert, 1), (litert, 2), (c_library, 1)]
            .map(|(open, threads)| open(file.bytes.clone(), Threads::fixed(threads)).unwrap());
        for picture in 0..3 {
            let ours = outputs(&file, one.as_mut(), picture);
            assert!(ours.iter().any(|output| !output.is_empty()), "{}: nothing", file.name);
            let on_two = outputs(&file, two.as_mut(), picture);
            assert!(on_two == ours, "{}: picture {picture} on two threads", file.name);
            let theirs = comparable(&file, outputs(&file, other.as_mut(), picture));
            assert!(comparable(&file, ours) == theirs, "{}: picture {picture}", file.name);
        }
        compared += 1;
    }
    say(&format!("outputs of LiteRT and TensorFlow Lite: the same bits for {compared} models"));
}

/// A run leaves its outputs readable and its input writable, again and again.
#[test]
fn one_model_runs_again_and_again_beside_others() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo_ssd_mobilenet_v2.tflite");
    let file = ModelFile::open(&path).unwrap();
    for open in engines() {
        let new = || open(file.bytes.clone(), Threads::fixed(1)).unwrap();
        let (mut one, mut other) = (new(), new());
        let wanted = [0, 1, 2].map(|picture| outputs(&file, one.as_mut(), picture));
        assert!(wanted[0] != wanted[1]);
        std::thread::scope(|scope| {
            // As a model that is loaded while another one runs.
            scope.spawn(|| (0..3).for_each(|_| drop(new())));
            for picture in [1, 2, 0, 0, 1] {
                assert_eq!(outputs(&file, one.as_mut(), picture), wanted[picture]);
                assert_eq!(outputs(&file, other.as_mut(), picture), wanted[picture]);
            }
        });
        drop(one);
        assert_eq!(outputs(&file, other.as_mut(), 1), wanted[1]);
    }
}

/// One value made a complex number, for which a decoder has no use.
fn complex_output() -> Arc<[u8]> {
    let mut graph = Graph::default();
    let input = graph.tensor("in", &[1, 4], Type::F32, None, Vec::new());
    let output = graph.tensor("out", &[1, 4], Type::Complex, None, Vec::new());
    graph.operator(CAST, &[input], &[output]);
    graph.finish(&[input], &[output]).into()
}

#[test]
fn what_litert_refuses_the_c_library_runs_and_says_so() {
    let engines = engines();
    let [litert, _] = &engines[..] else { return };
    let refused = litert(complex_output(), Threads::Auto).err().unwrap().to_string();
    assert_eq!(refused, "LiteRT cannot prepare the model: it is not supported (status 5)");
    let mut backend = processor::open(complex_output(), Threads::fixed(1)).unwrap();
    assert!(backend.name().starts_with("TensorFlow Lite "), "{}", backend.name());
    assert_eq!(backend.detail(), format!("CPU, XNNPACK, 1 thread; not LiteRT: {refused}"));
    backend.input_mut().unwrap().copy_from_slice(&[1.5f32.to_le_bytes(); 4].concat());
    backend.run().unwrap();
    assert_eq!(backend.output(0).unwrap(), [1.5f32.to_le_bytes(), [0; 4]].concat().repeat(4));
}

/// Who refuses last knows why.
#[test]
fn what_both_refuse_is_refused_with_the_reason() {
    let engines = engines();
    let [litert, c_library] = &engines[..] else { return };
    let damaged: Arc<[u8]> = Arc::from(&b"\x1c\0\0\0TFL3, and then something else altogether"[..]);
    let said = litert(damaged.clone(), Threads::Auto).err().unwrap().to_string();
    assert_eq!(said, "LiteRT cannot read the model: it is no valid model file (status 501)");
    let reason = c_library(damaged.clone(), Threads::Auto).err().unwrap().to_string();
    assert!(reason.starts_with("TensorFlow Lite cannot read the model: "), "{reason}");
    assert_eq!(processor::open(damaged, Threads::Auto).err().unwrap().to_string(), reason);
}

/// What fails for one picture is told with the reason, and the next picture runs.
#[test]
fn a_run_that_fails_says_why_and_the_next_one_runs() {
    let mut graph = Graph::default();
    let input = graph.tensor("in", &[1, 1], Type::F32, None, Vec::new());
    let whole = graph.tensor("whole", &[1, 1], Type::I32, None, Vec::new());
    let twelve = graph.tensor("twelve", &[1, 1], Type::I32, None, 12i32.to_le_bytes().into());
    let output = graph.tensor("out", &[1, 1], Type::I32, None, Vec::new());
    graph.operator(CAST, &[input], &[whole]);
    graph.operator(DIV, &[twelve, whole], &[output]);
    let model: Arc<[u8]> = graph.finish(&[input], &[output]).into();
    // The C library divides, which ends the process.
    let engines = engines();
    let [litert, _] = &engines[..] else { return };
    let mut backend = litert(model, Threads::fixed(1)).unwrap();
    for _ in 0..2 {
        backend.input_mut().unwrap().copy_from_slice(&0f32.to_le_bytes());
        let error = backend.run().unwrap_err().to_string();
        assert!(error.starts_with("LiteRT cannot run the model: ") && error.contains("div.cc"), "{error}");
        backend.input_mut().unwrap().copy_from_slice(&4f32.to_le_bytes());
        backend.run().unwrap();
        assert_eq!(backend.output(0).unwrap(), 3i32.to_le_bytes());
    }
}

/// A home with these libraries where `./build.sh setup` puts them.
struct Home(tempfile::TempDir);

impl Home {
    fn with(libraries: &[&Path]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("spotter/lib");
        std::fs::create_dir_all(&folder).unwrap();
        for library in libraries {
            std::fs::copy(library, folder.join(library.file_name().unwrap())).unwrap();
        }
        Self(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("spotter/lib").join(name)
    }

    /// What a short run says.
    fn run(&self, named: Option<&Path>, more: &[&str]) -> process::Finished {
        let mut command = process::spotter();
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo_ssd_mobilenet_v2.tflite");
        command.args(["run", "--once", "--listen", "127.0.0.1:0", "--model", model]).args(more);
        command.arg("--source").arg(data::jpeg().unwrap());
        command.env("XDG_DATA_HOME", self.0.path()).env("SPOTTER_LOG", "debug").env_remove("SPOTTER_TFLITE");
        command.envs(named.map(|path| ("SPOTTER_TFLITE", path)));
        process::run_command(command, LIMIT)
    }

    /// What runs the model, and what the log warns of.
    fn runs(&self, named: Option<&Path>, more: &[&str]) -> (String, Vec<String>) {
        let finished = self.run(named, more);
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        let lines: Vec<&str> = finished.stderr.lines().collect();
        let after = |line: &&str, mark: &str| Some(line.split_once(mark)?.1.trim().to_owned());
        let runs = lines.iter().find_map(|line| after(line, "backend  ")).expect(&finished.stderr);
        let warnings = lines.iter().filter_map(|line| after(line, "warning: "));
        // That the model is for the demo scene is another matter.
        (runs, warnings.filter(|line| !line.contains("demo scene only")).collect())
    }
}

#[test]
fn the_library_that_runs_is_named_and_a_missing_one_told() {
    let (Some(_), Some(c_library), Ok(Some(litert))) = (data::jpeg(), camera_front::tflite(), LiteRt::get())
    else {
        return skip("which library runs: not both are here");
    };
    let (c_library, litert) = (c_library.as_path(), litert.path.as_path());
    let one = &["--threads", "1"][..];
    let both = Home::with(&[c_library, litert]);
    assert_eq!(both.runs(None, one), ("LiteRT 2.3.0 (CPU, XNNPACK, 1 thread)".to_owned(), vec![]));
    // Named, and so no word of the other one.
    let named = "TensorFlow Lite 2.17.1 (CPU, XNNPACK, 1 thread)".to_owned();
    assert_eq!(both.runs(Some(c_library), one), (named, vec![]));
    assert_eq!(both.runs(Some(litert), one).0, "LiteRT 2.3.0 (CPU, XNNPACK, 1 thread)");

    let old = Home::with(&[c_library]);
    let (runs, warnings) = old.runs(None, one);
    assert_eq!(runs, "TensorFlow Lite 2.17.1 (CPU, XNNPACK, 1 thread; not LiteRT: there is no libLiteRt.so)");
    let wanted = "there is no libLiteRt.so, so TensorFlow Lite 2.17.1 runs models, which is slower; run ./build.sh \
                  setup to install LiteRT";
    assert_eq!(warnings, [wanted]);

    // One bit is enough.
    let changed = both.path("libLiteRt.so");
    let mut bytes = std::fs::read(&changed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&changed, bytes).unwrap();
    let why = format!(
        "{} is not the libLiteRt.so of ai-edge-litert 2.3.0, and others have other functions",
        changed.display()
    );
    let (runs, warnings) = both.runs(None, one);
    assert_eq!(runs, format!("TensorFlow Lite 2.17.1 (CPU, XNNPACK, 1 thread; not LiteRT: {why})"));
    assert!(warnings.len() == 1 && warnings[0].starts_with(&why), "{warnings:?}");
    // Nobody asked for the other one.
    let finished = both.run(Some(&changed), one);
    assert_eq!(finished.code, Some(5), "{finished:#?}");
    assert!(finished.stderr.contains(&why), "{finished:#?}");
    assert!(finished.stderr.contains("TensorFlow Lite was not found"), "{finished:#?}");
}

#[test]
fn threads_that_hurt_are_warned_of() {
    let (Some(_), Some(c_library)) = (data::jpeg(), camera_front::tflite()) else { return };
    let home = Home::with(&[]);
    let cores = std::thread::available_parallelism().unwrap().get();
    let fewer = Threads::Auto.with_a_core_left();
    if cores == 1 {
        skip("threads that hurt: there is one core");
    } else {
        let (runs, warnings) = home.runs(Some(&c_library), &["--threads", &cores.to_string()]);
        let end = format!("{cores} threads; on a busy machine {fewer} would be faster)");
        assert!(runs.ends_with(&end), "{runs}");
        let start = format!(
            "{cores} threads take every core, and those of TensorFlow Lite 2.17.1 wait for each other"
        );
        assert!(warnings.len() == 1 && warnings[0].starts_with(&start), "{warnings:?}");
        assert!(warnings[0].ends_with(&format!("use --threads {fewer}")), "{warnings:?}");
    }
    let (runs, warnings) = home.runs(Some(&c_library), &[]);
    assert!(runs.contains(&format!("XNNPACK, {fewer} thread")) && warnings.is_empty(), "{runs} {warnings:?}");
}
