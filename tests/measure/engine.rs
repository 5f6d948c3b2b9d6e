//! How long a model takes on the processor: each library on each number of threads, the number that Spotter takes by
//! itself, and Python's LiteRT on the same model, in turns, while nothing, or so many busy processes a core, run beside
//! them. Ratios are of the least times, which the rest of the machine disturbs least, and of the means, which is what
//! somebody waits for.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use spotter::backend::Backend;
use spotter::backend::tflite::processor;
use spotter::backend::tflite::threads::Threads;
use spotter::model::format::file::ModelFile;

use crate::common::data;
use crate::common::engines::engines;
use crate::record::Record;

/// Each of them has its turn so often.
const ROUNDS: usize = 10;
const TURN: Duration = Duration::from_millis(400);
/// At least: a turn on a busy machine may see one run only.
const RUNS: usize = 3;

/// Milliseconds of the runs.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }
}

/// Something that runs the model again and again for a turn.
trait Runner {
    fn turn(&mut self) -> Vec<f64>;
}

impl Runner for Box<dyn Backend> {
    fn turn(&mut self) -> Vec<f64> {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < TURN || times.len() < RUNS {
            let start = Instant::now();
            self.run().unwrap();
            times.push(start.elapsed().as_secs_f64() * 1e3);
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
    fn turn(&mut self) -> Vec<f64> {
        writeln!(self.input).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.split_whitespace().map(|word| word.parse().unwrap()).collect()
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

pub fn measure(record: &mut Record) {
    let (python, cores) = (python(), available_parallelism().map_or(1, usize::from));
    for path in models() {
        let file = ModelFile::open(&path).unwrap();
        let mut runners: Vec<(String, Box<dyn Runner>)> = Vec::new();
        let mut add = |name: &str, mut backend: Box<dyn Backend>| {
            backend.input_mut().unwrap().fill(128);
            let title = format!("{name} {}", backend.name().split_whitespace().next().unwrap());
            runners.push((title, Box::new(backend)));
        };
        let bytes = || -> Arc<[u8]> { file.bytes.clone() };
        add("auto", processor::open(bytes(), Threads::Auto).unwrap());
        for threads in 1..=cores.min(4) {
            for open in engines() {
                add(&threads.to_string(), open(bytes(), Threads::fixed(threads)).unwrap());
            }
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
            "  {title}: {name}: least {:.1} ms, mean {:.1} ms, {} runs",
            times.least(),
            times.mean(),
            times.0.len()
        );
    }
    let of = |name: &str| times.iter().find(|(one, _)| one.ends_with(name)).map(|(_, times)| times);
    for threads in ["1", "2"] {
        if let (Some(ours), Some(theirs)) =
            (of(&format!("{threads} LiteRT")), of(&format!("{threads} Python")))
        {
            record.less(
                &format!("{title}: {threads} threads, least, of Python's"),
                ours.least() / theirs.least(),
            );
            record
                .less(&format!("{title}: {threads} threads, mean, of Python's"), ours.mean() / theirs.mean());
        }
    }
    let fixed = times.iter().filter(|(name, _)| !name.starts_with("auto") && !name.ends_with("Python"));
    let best = fixed.map(|(_, times)| times.mean()).fold(f64::INFINITY, f64::min);
    record.less(&format!("{title}: auto, mean, of the best number"), times[0].1.mean() / best);
}
