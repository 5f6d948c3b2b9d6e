//! Models that are compiled for the Edge TPU, on the stand-in of `tests/camera/edgetpu`: what they find, and
//! what happens where the device, its library or the model fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::common::camera;
use crate::common::compiled::{MAGIC, SSD, compiled, compiled_ssd, model};
use crate::common::process::{self, Finished, Running};
use serde_json::Value;
use spotter::backend::Backend;
use spotter::backend::edgetpu::EdgeTpuBackend;
use spotter::backend::tflite::TfliteBackend;
use spotter::backend::tflite::threads::Threads;
use spotter::model::format::file::ModelFile;

const LIMIT: Duration = Duration::from_secs(120);

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| camera::library("spotter-sim-edgetpu", "libedgetpu.so", "libedgetpu.so.1"))
}

/// A folder with a compiled model, by which the test also speaks to the stand-in.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(bench.compiled(), compiled_ssd()).unwrap();
        bench
    }

    /// With the file that the model was compiled from beside it.
    fn with_twin() -> Self {
        let bench = Self::new();
        std::fs::write(bench.folder.path().join("m.tflite"), model(SSD)).unwrap();
        bench
    }

    fn compiled(&self) -> PathBuf {
        self.folder.path().join("m_edgetpu.tflite")
    }

    fn fault(&self, fault: &str) {
        std::fs::write(self.folder.path().join("faults"), format!("larod hang\nedgetpu {fault}\n")).unwrap();
    }

    fn no_fault(&self) {
        std::fs::remove_file(self.folder.path().join("faults")).unwrap();
    }

    fn events(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("edgetpu.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The program with the stand-in where the system's loader looks for libraries.
    fn spotter(&self) -> Command {
        let mut command = process::spotter();
        command
            .env_remove("SPOTTER_EDGETPU")
            .env("LD_LIBRARY_PATH", library().parent().unwrap())
            .env("SPOTTER_SIM_DIR", self.folder.path());
        command
    }

    fn eval(&self, arguments: &[&str]) -> Finished {
        let mut command = self.spotter();
        command.args(["eval", "--source", "demo", "--frames", "8", "--json", "--model"]);
        command.arg(self.compiled()).args(arguments);
        process::run_command(command, LIMIT)
    }

    fn live(&self, arguments: &[&str]) -> Running {
        let mut command = self.spotter();
        command.args(["run", "--source", "demo:size=320x192,fps=15", "--listen", "127.0.0.1:0", "--model"]);
        command.arg(self.compiled()).args(arguments);
        Running::start_command(command, LIMIT)
    }
}

/// The figures without what made them.
fn figures(finished: &Finished) -> Value {
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let mut figures: Value = serde_json::from_str(&finished.stdout).unwrap();
    for other in ["model", "backend", "seconds"] {
        figures.as_object_mut().unwrap().remove(other).unwrap();
    }
    figures
}

fn error_line(finished: &Finished, code: i32) -> String {
    assert_eq!(finished.code, Some(code), "{finished:#?}");
    let mut lines = finished.stderr.lines().filter_map(|line| line.split_once("spotter: error: "));
    lines.next().unwrap_or_else(|| panic!("{finished:#?}")).1.to_owned()
}

fn status(running: &Running) -> Value {
    running.http_get("/api/status").json()
}

fn wait_for(running: &Running, what: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + LIMIT;
    loop {
        let status = status(running);
        if what(&status) {
            return status;
        }
        assert!(Instant::now() < end, "{status:#}\n{:#?}", running.lines());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The test runs itself once more, with the stand-in's library in its environment.
#[test]
fn outputs_are_those_of_the_processor_to_the_byte() {
    if std::env::var_os("SPOTTER_EDGETPU").is_none_or(|path| Path::new(&path) != library()) {
        let folder = tempfile::tempdir().unwrap();
        let mut again = Command::new(std::env::current_exe().unwrap());
        let (_, module) = module_path!().split_once("::").unwrap();
        let test = format!("{module}::outputs_are_those_of_the_processor_to_the_byte");
        again.args(["--exact", &test, "--nocapture"]);
        again.env("SPOTTER_EDGETPU", library()).env("SPOTTER_SIM_DIR", folder.path());
        assert!(again.status().unwrap().success());
        let log = std::fs::read_to_string(folder.path().join("edgetpu.log")).unwrap();
        // The model goes before the delegate, and nothing stays open.
        let one = ["open /sys/bus/usb/devices/9-9", "load", "unload", "close"];
        assert_eq!(log.lines().collect::<Vec<_>>(), [one, one, one].concat());
        return;
    }
    let whole = |name: &str| (compiled(&model(name)), model(name));
    for (compiled, cpu) in
        [(compiled_ssd(), model(SSD)), whole("demo_resnet18"), whole("demo_ssd_mobilenet_v2_raw")]
    {
        let outputs = ModelFile::from_bytes("m", cpu.clone()).unwrap().signature.outputs.len();
        let mut tpu = EdgeTpuBackend::new(compiled.into(), Threads::fixed(1)).unwrap();
        let mut cpu = TfliteBackend::new(cpu.into(), Threads::fixed(1)).unwrap();
        assert_eq!(tpu.name(), "Edge TPU");
        assert!(
            tpu.detail().starts_with("USB, /sys/bus/usb/devices/9-9; TensorFlow Lite "),
            "{}",
            tpu.detail()
        );
        let mut seen = Vec::new();
        for picture in 0..3u32 {
            // Noise, a ramp, and black.
            let picture = |pixel: usize| match picture {
                0 => (pixel as u32).wrapping_mul(2_654_435_761) >> 24,
                1 => pixel as u32 >> 6 & 0xff,
                _ => 0,
            };
            for (pixel, byte) in tpu.input_mut().unwrap().iter_mut().enumerate() {
                *byte = picture(pixel) as u8;
            }
            for (pixel, byte) in cpu.input_mut().unwrap().iter_mut().enumerate() {
                *byte = picture(pixel) as u8;
            }
            tpu.run().unwrap();
            cpu.run().unwrap();
            for index in 0..outputs {
                assert!(tpu.output(index).unwrap() == cpu.output(index).unwrap(), "output {index}");
            }
            seen.push((0..outputs).map(|i| tpu.output(i).unwrap().to_vec()).collect::<Vec<_>>());
        }
        assert!(seen[0] != seen[1] && seen[1] != seen[2], "other pictures, other outputs");
        assert!(tpu.output(outputs).is_err());
    }
}

#[test]
fn a_compiled_model_finds_what_the_model_finds() {
    let bench = Bench::with_twin();
    let finished = bench.eval(&["--backend", "edgetpu"]);
    let events = bench.events();
    assert_eq!(
        events.iter().filter(|event| *event == "close").count(),
        2,
        "once tried, once used: {events:?}"
    );
    let mut cpu = process::spotter();
    cpu.args(["eval", "--source", "demo", "--frames", "8", "--json", "--model", "spotter-demo"]);
    let on_cpu = figures(&process::run_command(cpu, LIMIT));
    assert!(on_cpu["map50"].as_f64().unwrap() > 0.5, "{on_cpu:#}");
    assert_eq!(figures(&finished), on_cpu);
    // Without a word of a backend it is the same.
    assert_eq!(figures(&bench.eval(&[])), on_cpu);
    assert!(bench.events().len() > events.len());
}

#[test]
fn without_an_edge_tpu_the_twin_runs_and_says_so() {
    let bench = Bench::with_twin();
    let twin = bench.folder.path().join("m.tflite");
    let mut cpu = process::spotter();
    cpu.args(["eval", "--source", "demo", "--frames", "8", "--json", "--model", "spotter-demo"]);
    let on_cpu = figures(&process::run_command(cpu, LIMIT));
    for (fault, why, code) in [
        ("no-device", "no Edge TPU is attached; plug one in", 5),
        (
            "busy",
            "the Edge TPU (USB, /sys/bus/usb/devices/9-9) cannot be opened; end the program that uses it",
            9,
        ),
        ("crash", "libedgetpu breaks down with TensorFlow Lite 2.", 5),
    ] {
        bench.fault(fault);
        let finished = bench.eval(&[]);
        let warning = finished.stderr.lines().find(|line| line.contains("m_edgetpu.tflite does not run"));
        let warning = warning.unwrap_or_else(|| panic!("{fault}: {finished:#?}"));
        assert!(warning.contains(why), "{fault}: {warning}");
        assert!(
            warning.ends_with(&format!("; {} runs on the processor instead", twin.display())),
            "{fault}: {warning}"
        );
        assert_eq!(figures(&finished), on_cpu, "{fault}");
        // Who asks for an Edge TPU gets no other.
        let line = error_line(&bench.eval(&["--backend", "edgetpu"]), code);
        assert!(line.contains(why), "{fault}: {line}");
        // Who asks for the processor is told what to give.
        let line = error_line(&bench.eval(&["--backend", "tflite"]), 4);
        assert!(line.contains("m_edgetpu.tflite needs an Edge TPU: custom op edgetpu-custom-op"), "{line}");
    }
}

#[test]
fn without_a_library_or_a_twin_the_sentence_says_what_is_missing() {
    let bench = Bench::new();
    let mut command = bench.spotter();
    command.env("SPOTTER_EDGETPU", "/nonexistent/libedgetpu.so.1");
    command.args(["eval", "--source", "demo", "--frames", "1", "--model"]).arg(bench.compiled());
    let line = error_line(&process::run_command(command, LIMIT), 4);
    for part in [
        "m_edgetpu.tflite needs an Edge TPU: custom op edgetpu-custom-op, and",
        "/nonexistent/libedgetpu.so.1 cannot be opened; install libedgetpu, or set SPOTTER_EDGETPU to its path (",
        "No such file or directory",
        "give the model's CPU version (the file without _edgetpu)",
    ] {
        assert!(line.contains(part), "{line}");
    }
    // A library that is another.
    let mut command = bench.spotter();
    command.env("SPOTTER_EDGETPU", "libc.so.6").args(["eval", "--source", "demo", "--frames", "1"]);
    command.args(["--backend", "edgetpu", "--model"]).arg(bench.compiled());
    let line = error_line(&process::run_command(command, LIMIT), 5);
    assert!(line.contains("libc.so.6 is no libedgetpu"), "{line}");
    // A model that is not compiled, and one that is compiled for something else than the stand-in.
    let mut command = bench.spotter();
    command.args(["eval", "--source", "demo", "--frames", "1", "--backend", "edgetpu", "--model"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo_yolov5.tflite"));
    let line = error_line(&process::run_command(command, LIMIT), 4);
    assert!(line.contains("demo_yolov5.tflite is not compiled for the Edge TPU"), "{line}");
    let mut other = compiled_ssd();
    let at = other.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap();
    other[at] = b'X';
    std::fs::write(bench.compiled(), other).unwrap();
    let line = error_line(&bench.eval(&["--backend", "edgetpu"]), 5);
    assert!(line.contains("the Edge TPU (USB, /sys/bus/usb/devices/9-9) does not take the model"), "{line}");
}

#[test]
fn a_device_that_is_lost_in_use_is_taken_again() {
    let bench = Bench::with_twin();
    let running = bench.live(&[]);
    let inferred = |status: &Value| status["frames"]["inferred"].as_u64().unwrap();
    let before = wait_for(&running, |status| status["state"] == "live" && inferred(status) > 5);
    assert_eq!(before["backend"]["name"], "Edge TPU", "{before:#}");
    assert_eq!(before["model"]["warning"], Value::Null);
    assert!(before["message"].is_null());
    for _ in 0..2 {
        bench.fault("lost");
        let lost = wait_for(&running, |status| status["state"] == "backend-failed");
        assert!(lost["message"].as_str().unwrap().contains("the Edge TPU (USB, "), "{lost:#}");
        let said = |status: &Value| status["message"].as_str().is_some_and(|text| text.contains("was lost"));
        let lost = wait_for(&running, said);
        // It stays lost, and the program lives.
        let captured = |status: &Value| status["frames"]["captured"].as_u64().unwrap();
        wait_for(&running, |status| captured(status) > captured(&lost) + 20);
        assert_eq!(inferred(&status(&running)), inferred(&lost));
        bench.no_fault();
        wait_for(&running, |status| status["state"] == "live" && inferred(status) > inferred(&lost) + 3);
    }
    let lines = running.lines().join("\n");
    assert_eq!(lines.matches("is back").count(), 2, "{lines}");
    assert_eq!(lines.matches("inference works again").count(), 2, "{lines}");
    assert_eq!(running.stop(LIMIT).code, Some(0));
    let count = |event: &str| bench.events().iter().filter(|line| line.starts_with(event)).count();
    // Once tried, once at the start, twice after a loss.
    assert_eq!((count("open"), count("load"), count("unload"), count("close")), (4, 4, 4, 4));
}

#[test]
fn the_page_is_told_that_the_twin_runs() {
    let bench = Bench::with_twin();
    bench.fault("no-device");
    let running = bench.live(&[]);
    let status = wait_for(&running, |status| status["state"] == "live");
    let name = status["backend"]["name"].as_str().unwrap();
    assert!(name.starts_with("LiteRT ") || name.starts_with("TensorFlow Lite "), "{name}");
    let warning = status["model"]["warning"].as_str().unwrap();
    assert!(warning.starts_with("m_edgetpu.tflite does not run on an Edge TPU (no Edge TPU is"), "{warning}");
    assert_eq!(running.stop(LIMIT).code, Some(0));
}
