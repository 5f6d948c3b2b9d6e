//! How long a model takes on the processor: each library on each number of threads, the number that Spotter takes by
//! itself, and Python's LiteRT on the same model, in turns, while nothing, or so many busy processes a core, run beside
//! them. Ratios are of the least times and of the least processor times, which the rest of the machine disturbs least, and
//! of the means, which is what somebody waits for.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use spotter::backend::Backend;
use spotter::backend::tflite::processor;
use spotter::backend::tflite::threads::Threads;
use spotter::base::machine::cpu_time;
use spotter::model::format::file::ModelFile;

use crate::common::data;
use crate::common::engines::{Open, engines};
use crate::record::Record;

/// Each of them has its turn so often.
const ROUNDS: usize = 10;
const TURN: Duration = Duration::from_millis(300);
/// At least: a turn on a busy machine may see one run only.
const RUNS: usize = 3;

/// Milliseconds of the runs, and of processor time in them.
#[derive(Default)]
struct Times(Vec<[f64; 2]>);

const WALL: usize = 0;
const CPU: usize = 1;

impl Times {
    fn least(&self, which: usize) -> f64 {
        self.0.iter().map(|run| run[which]).fold(f64::INFINITY, f64::min)
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|run| run[WALL]).sum::<f64>() / self.0.len().max(1) as f64
    }
}

/// Something that runs the model again and again for a turn.
trait Runner {
    fn turn(&mut self) -> Vec<[f64; 2]>;
}

impl Runner for Box<dyn Backend> {
    fn turn(&mut self) -> Vec<[f64; 2]> {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < TURN || times.len() < RUNS {
            let (start, before) = (Instant::now(), cpu_time());
            self.run().unwrap();
            times.push([start.elapsed(), cpu_time() - before].map(|time| time.as_secs_f64() * 1e3));
        }
        times
    }
}

/// `tests/tools/litert_time.py`, which runs the model when it is told to.
struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    fn start(python: &Path, model: &Path, threads: usize) -> Self {
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/litert_time.py")).arg(model);
        command.arg(threads.to_string()).arg(TURN.as_secs_f64().to_string()).arg(RUNS.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("Python starts");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }
}

impl Runner for Python {
    fn turn(&mut self) -> Vec<[f64; 2]> {
        writeln!(self.input).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let times: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        times.as_chunks::<2>().0.to_vec()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes that only take time; ended when dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start(count: usize) -> Self {
        let busy = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh starts");
        Self((0..count).map(|_| busy()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A Python that has ai-edge-litert: the one that is named, else the tests' own.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/python");
    let path = std::env::var_os("SPOTTER_BENCH_PYTHON").map_or(own, PathBuf::from);
    let imports =
        Command::new(&path).args(["-c", "import ai_edge_litert, numpy"]).stderr(Stdio::null()).status();
    if imports.is_ok_and(|status| status.success()) {
        return Some(path);
    }
    println!("  skipped: Python's LiteRT: {} cannot import ai_edge_litert", path.display());
    None
}

fn models() -> Vec<PathBuf> {
    const PUBLISHED: [&str; 4] = [
        "ssd_mobilenet_v1_coco_quant_postprocess",
        "yolov5n_artpec8_coco_640",
        "mobilenet_v2_1.0_224_quant",
        "segmentation/deeplabv3_mnv2_pascal_quant",
    ];
    match data::shared_data() {
        Some(shared) => PUBLISHED.map(|name| shared.join(format!("models/{name}.tflite"))).into(),
        None => vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo_ssd_mobilenet_v2.tflite")],
    }
}

/// The library with a picture in its input, after the words that say how many threads it has.
fn named(threads: &str, mut backend: Box<dyn Backend>) -> (String, Box<dyn Runner>) {
    backend.input_mut().unwrap().fill(128);
    let name = backend.name();
    (format!("{threads} {}", name.split_whitespace().next().unwrap_or_default()), Box::new(backend))
}

pub fn measure(record: &mut Record) {
    let (python, cores) = (python(), available_parallelism().map_or(1, usize::from));
    for path in models() {
        let file = ModelFile::open(&path).unwrap();
        let bytes = || -> Arc<[u8]> { file.bytes.clone() };
        let mut runners = vec![named("auto", processor::open(bytes(), Threads::Auto).unwrap())];
        for threads in 1..=cores.min(4) {
            let fixed = |open: Open| open(bytes(), Threads::fixed(threads)).unwrap();
            // The C library's threads wait for each other without sleeping: with no core left a run takes seconds.
            let sensible = if threads == 1 || threads < cores { 2 } else { 1 };
            let libraries = engines().into_iter().take(sensible);
            runners.extend(libraries.map(|open| named(&threads.to_string(), fixed(open))));
            if let Some(python) = &python {
                let runner = Box::new(Python::start(python, &path, threads));
                runners.push((format!("{threads} Python"), runner));
            }
        }
        for busy in 0..=2 {
            let _busy = Busy::start(busy * cores);
            let times = in_turns(&mut runners);
            report(record, &format!("{}, {busy} busy a core", file.name), &times);
        }
    }
}

/// Each in turn, one way and then the other, so that nobody always follows the same one.
fn in_turns(runners: &mut [(String, Box<dyn Runner>)]) -> Vec<(String, Times)> {
    let mut times: Vec<(String, Times)> =
        runners.iter().map(|(name, _)| (name.clone(), Times::default())).collect();
    for round in 0..ROUNDS {
        for place in 0..runners.len() {
            let place = if round % 2 == 0 { place } else { runners.len() - 1 - place };
            times[place].1.0.extend(runners[place].1.turn());
        }
    }
    times
}

fn report(record: &mut Record, title: &str, times: &[(String, Times)]) {
    for (name, times) in times {
        println!(
            "  {title}: {name}: least {:.1} ms, processor {:.1} ms, mean {:.1} ms, {} runs",
            times.least(WALL),
            times.least(CPU),
            times.mean(),
            times.0.len()
        );
    }
    let of = |name: &str| times.iter().find(|(one, _)| one == name).map(|(_, times)| times);
    for threads in ["1", "2"] {
        let [ours, theirs] = ["LiteRT", "Python"].map(|name| of(&format!("{threads} {name}")));
        let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
        for (figure, ratio) in [
            ("least", ours.least(WALL) / theirs.least(WALL)),
            ("processor", ours.least(CPU) / theirs.least(CPU)),
            ("mean", ours.mean() / theirs.mean()),
        ] {
            record.less(&format!("{title}: {threads} threads, {figure}, of Python's"), ratio);
        }
    }
    let fixed = times.iter().filter(|(name, _)| !name.starts_with("auto") && !name.ends_with("Python"));
    let best = fixed.map(|(_, times)| times.mean()).fold(f64::INFINITY, f64::min);
    record.less(&format!("{title}: auto, mean, of the best number"), times[0].1.mean() / best);
}
