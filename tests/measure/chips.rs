//! How fast the program is on a simulated camera whose accelerator takes a known time, and how old its results are.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::common::camera::{self, Bench};
use crate::common::process::{self, Running};
use crate::record::Record;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

struct Setting<'a> {
    chip: &'a str,
    /// Milliseconds that the accelerator takes.
    inference: u64,
    /// Frames a second that the sensor gives.
    sensor: u64,
    /// Whether a device prepares frames.
    prepare: bool,
}

impl Setting<'_> {
    /// Frames a second that are possible.
    fn possible(&self) -> f64 {
        (1000.0 / self.inference as f64).min(self.sensor as f64)
    }

    fn start(&self, bench: &Bench, folder: &Path) -> Running {
        let mut command = process::spotter();
        command.env("SPOTTER_VDO", camera::vdo()).env("SPOTTER_LAROD", camera::larod());
        command.env("SPOTTER_SIM_CHIP", self.chip).env("SPOTTER_SIM_DIR", bench.path());
        command.env("SPOTTER_SIM_INFERENCE_MS", self.inference.to_string());
        command.env("SPOTTER_SIM_RATE", self.sensor.to_string()).env("SPOTTER_SIM_SIZE", "1280x720");
        if !self.prepare {
            command.env("SPOTTER_SIM_PREPARE", "no");
        }
        let street = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo_ssd_mobilenet_v2.tflite");
        let model = match self.chip {
            "artpec7" => {
                command.env("SPOTTER_SIM_TWIN", &street);
                let path = folder.join("street_edgetpu.tflite");
                std::fs::write(&path, crate::common::compiled::compiled_ssd()).unwrap();
                path
            }
            "cv25" => camera::cv25_model(folder),
            _ => street,
        };
        command
            .args([
                "run",
                "--source",
                &format!("vdo:fps={}", self.sensor),
                "--listen",
                "127.0.0.1:0",
                "--model",
            ])
            .arg(model);
        Running::start_command(command, LIMIT)
    }

    /// Measures for `time`, when the rate has settled: frames through the model in a second, and the age of results when
    /// a client on the same machine has them.
    fn measure(&self, time: Duration, record: &mut Record) {
        let (bench, folder) = (Bench::new(), tempfile::tempdir().unwrap());
        let running = self.start(&bench, folder.path());
        let begun = Instant::now();
        while status(&running)["frames"]["inferred"].as_u64().unwrap() < 25 {
            assert!(begun.elapsed() < LIMIT, "{:#?}", running.lines());
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(4));
        let (before, begun, mut ages, mut after) = (status(&running), Instant::now(), Vec::new(), 0);
        while begun.elapsed() < time {
            let answer = running.http_get(&format!("/api/scene?after={after}&timeout_ms=20000"));
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
            let frame = &answer.json()["frame"];
            ages.push(now - frame["captured_ms"].as_f64().unwrap());
            after = frame["seq"].as_u64().unwrap();
        }
        let seconds = begun.elapsed().as_secs_f64();
        let status = status(&running);
        let count = |of: &str| {
            let now = status["frames"][of].as_u64().unwrap();
            (now - before["frames"][of].as_u64().unwrap()) as f64
        };
        ages.sort_by(f64::total_cmp);
        let (rate, copied) = (count("inferred") / seconds, count("copied") / count("inferred"));
        let age = (ages[ages.len() / 2], ages[ages.len() * 95 / 100]);
        let memory = memory(running.id());
        let name = format!(
            "{} {} ms of {}/s{}",
            self.chip,
            self.inference,
            self.sensor,
            if self.prepare { "" } else { " processor" }
        );
        record.more(&format!("{name}: share of possible rate"), rate / self.possible());
        record.less(&format!("{name}: age p95 in frame times"), age.1 * self.possible() / 1e3);
        println!(
            "{:8} {:3} ms, sensor {:2}/s, {}: {rate:.1} of {:.1} a second ({:.2}); age {:.0}, p95 {:.0} ms ({:.2} frame times); \
             copied {:.0} %; prepare {} ms; {memory}",
            self.chip,
            self.inference,
            self.sensor,
            if self.prepare { "device may prepare" } else { "processor prepares" },
            self.possible(),
            rate / self.possible(),
            age.0,
            age.1,
            age.1 * self.possible() / 1e3,
            100.0 * copied,
            status["stages"]["preprocess"]["p50_ms"],
        );
        running.stop(LIMIT);
    }
}

fn status(running: &Running) -> Value {
    running.http_get("/api/status").json()
}

/// What the kernel says of a process's memory.
fn memory(id: u32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let wanted = ["VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "Threads"];
    let lines = text.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

/// Each chip with accelerators and sensors of several speeds; minutes.
pub fn measure(record: &mut Record) {
    for chip in ["artpec7", "artpec8", "artpec9", "cv25"] {
        for inference in [20, 60, 100] {
            for sensor in [30, 60] {
                // Without frames that have to be prepared it is all the same.
                for prepare in if chip == "artpec8" { &[true, false][..] } else { &[true] } {
                    let setting = Setting { chip, inference, sensor, prepare: *prepare };
                    setting.measure(Duration::from_secs(8), record);
                }
            }
        }
    }
}
