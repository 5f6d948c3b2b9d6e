//! Faults of the larod service as they are met on real cameras: a model at whose load it falls over, an accelerator whose
//! memory another application holds, jobs that never come back; and devices that nobody knows.
//!
//! Time passes eight times as fast for what waits for larod (`SPOTTER_SIM_CLOCK`), so a minute takes 7.5 s.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::camera::{self, Bench};
use crate::common::process::{self, Running};
use crate::common::say;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
const DLPU: &str = "larod axis-a8-dlpu-tflite";
const CPU: &str = "larod cpu-tflite";

fn model(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).display().to_string()
}

/// A camera with this AXIS OS, and the program that says so.
struct Camera {
    bench: Bench,
}

impl Camera {
    fn new() -> Self {
        Self { bench: Bench::new() }
    }

    fn programs(&self, os: &str) -> PathBuf {
        let folder = self.bench.path().join(format!("bin-{os}"));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("parhandclient");
        let text = format!(
            "#!/bin/sh\ncase \"$2\" in\n*Firmware.Version) echo '\"{os}\"' ;;\n*Soc) echo '\"Axis Artpec-8\"' ;;\nesac\n"
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        folder
    }

    fn command(&self, os: &str) -> Command {
        let mut command = process::spotter();
        let path = format!("{}:{}", self.programs(os).display(), std::env::var("PATH").unwrap_or_default());
        command.env("SPOTTER_LAROD", camera::larod()).env("SPOTTER_SIM_CHIP", "artpec8").env("PATH", path);
        command
            .env("SPOTTER_SIM_DIR", self.bench.path())
            .env("SPOTTER_STATE", self.bench.path().join("state"));
        command.env("SPOTTER_SIM_CLOCK", "8");
        command.args(["run", "--source", "demo:size=640x360,fps=10", "--listen", "127.0.0.1:0"]);
        command
    }

    fn start(&self, os: &str, model: &str) -> Running {
        let mut command = self.command(os);
        command.args(["--backend", "larod", "--model", model]);
        Running::start_command(command, LIMIT)
    }
}

fn status(running: &Running) -> Value {
    running.http_get("/api/status").json()
}

fn wait_for(running: &Running, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let now = status(running);
        if wanted(&now) {
            return now;
        }
        assert!(begun.elapsed() < limit, "no {what} within {limit:?}: {now:#}\n{:#?}", running.lines());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until frames go through the model on this device.
fn wait_until_it_detects_on(running: &Running, device: &str, limit: Duration) -> Value {
    let before = status(running)["frames"]["inferred"].as_u64().unwrap();
    wait_for(running, device, limit, |now| {
        now["state"] == "live"
            && now["backend"]["name"] == device
            && now["frames"]["inferred"].as_u64().unwrap() > before + 2
    })
}

/// How a device stands, by the page's own word.
fn standing(status: &Value, device: &str) -> Value {
    let devices = status["camera"]["devices"].as_array().unwrap();
    let found = devices.iter().find(|one| device.ends_with(one["name"].as_str().unwrap()));
    found.unwrap_or_else(|| panic!("{status:#}")).clone()
}

fn has_notice(status: &Value, words: &str) -> bool {
    status["notices"].as_array().unwrap().iter().any(|notice| notice.as_str().unwrap().contains(words))
}

fn try_again(running: &Running) -> Value {
    let answer = process::http(&running.address, "POST", "/api/v1/model/retry", &[], b"").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_model_at_whose_load_the_service_falls_over_is_given_up_after_three_loads_and_kept_over_a_restart() {
    let camera = Camera::new();
    let ssd = model("demo_ssd_mobilenet_v2.tflite");
    camera.bench.faults("larod crash load axis-a8-dlpu-tflite");
    let running = camera.start("12.7.61", &ssd);
    let now = wait_until_it_detects_on(&running, CPU, LIMIT);
    assert_eq!(camera.bench.falls(), 3);
    assert_eq!(now["camera"]["axis_os"], "12.7.61");
    assert_eq!(now["camera"]["soc"], "Axis Artpec-8");
    let dlpu = standing(&now, DLPU);
    assert_eq!((&dlpu["state"], &now["camera"]["can_try_again"]), (&json!("given-up"), &json!(true)));
    assert!(dlpu["why"].as_str().unwrap().contains("the larod service fell over 3 times"), "{dlpu}");
    assert_eq!(standing(&now, CPU)["state"], "runs");
    assert_eq!(standing(&now, "axis-a8-gpu-proc")["state"], "pictures");
    assert!(has_notice(&now, "axis-a8-dlpu-tflite was given up for this model"), "{now:#}");
    assert_eq!(running.stop(LIMIT).code, Some(0));

    // A restart knows it, and the service stays up for everybody.
    let running = camera.start("12.7.61", &ssd);
    let now = wait_until_it_detects_on(&running, CPU, LIMIT);
    assert_eq!((standing(&now, DLPU)["state"].clone(), camera.bench.falls()), (json!("given-up"), 3));
    running.stop(LIMIT);

    // Another AXIS OS may have mended it, and another model may be another matter: both are tried.
    let running = camera.start("12.8.3", &ssd);
    wait_until_it_detects_on(&running, CPU, LIMIT);
    assert_eq!(camera.bench.falls(), 6);
    running.stop(LIMIT);
    let running = camera.start("12.8.3", &model("demo_yolov5.tflite"));
    wait_until_it_detects_on(&running, CPU, LIMIT);
    assert_eq!(camera.bench.falls(), 9);

    // The fault is over, but nobody tries it by himself: only "Try again" does.
    camera.bench.faults("");
    assert_eq!(standing(&status(&running), DLPU)["state"], "given-up");
    let begun = Instant::now();
    try_again(&running);
    let now = wait_until_it_detects_on(&running, DLPU, LIMIT);
    say(&format!("tried again: the accelerator runs after {:.1} s", begun.elapsed().as_secs_f64()));
    assert_eq!((now["camera"]["can_try_again"].clone(), camera.bench.falls()), (json!(false), 9));
    assert!(!has_notice(&now, "given up"), "{now:#}");
    running.stop(LIMIT);
    let running = camera.start("12.8.3", &model("demo_yolov5.tflite"));
    wait_until_it_detects_on(&running, DLPU, LIMIT);
    running.stop(LIMIT);
}

#[test]
fn try_again_that_fails_gives_the_device_up_again_while_the_next_one_goes_on() {
    let camera = Camera::new();
    camera.bench.faults("larod crash load axis-a8-dlpu-tflite");
    let running = camera.start("12.7.61", &model("demo_ssd_mobilenet_v2.tflite"));
    wait_until_it_detects_on(&running, CPU, LIMIT);
    try_again(&running);
    wait_for(&running, "three falls more", LIMIT, |_| camera.bench.falls() == 6);
    let now = wait_until_it_detects_on(&running, CPU, LIMIT);
    assert_eq!(standing(&now, DLPU)["state"], "given-up");
    assert_eq!(camera.bench.falls(), 6);
    assert_eq!(running.stop(LIMIT).code, Some(0));

    // Where no device is left, that is said with the way back, and the way back works.
    camera.bench.faults("larod crash load");
    std::fs::remove_dir_all(camera.bench.path().join("state")).unwrap();
    let running = camera.start("12.7.61", &model("demo_ssd_mobilenet_v2.tflite"));
    let now = wait_for(&running, "the end of it", LIMIT, |now| {
        standing_or_none(now, CPU) == "given-up"
            && now["message"].as_str().is_some_and(|said| said.contains("\"Try again\" on the page"))
    });
    assert_eq!((now["state"].clone(), camera.bench.falls()), (json!("backend-failed"), 12));
    camera.bench.faults("");
    try_again(&running);
    wait_until_it_detects_on(&running, DLPU, LIMIT);
    running.stop(LIMIT);
}

fn standing_or_none(status: &Value, device: &str) -> String {
    let devices = status["camera"]["devices"].as_array().cloned().unwrap_or_default();
    let found = devices.iter().find(|one| device.ends_with(one["name"].as_str().unwrap()));
    found.map(|one| one["state"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn an_accelerator_without_memory_is_tried_again_by_itself_and_takes_over_between_two_frames() {
    // By the code, in plain words, and in words that may mean something else.
    for fault in ["alloc", "memory", "tensors"] {
        let camera = Camera::new();
        camera.bench.faults(&format!("larod {fault} load axis-a8-dlpu-tflite"));
        let running = camera.start("12.7.61", &model("demo_ssd_mobilenet_v2.tflite"));
        let now = wait_until_it_detects_on(&running, CPU, LIMIT);
        let dlpu = standing(&now, DLPU);
        assert_eq!(dlpu["state"], "no-memory", "{fault}: {now:#}");
        assert!(dlpu["retry_in_s"].as_u64().unwrap() <= 60, "{dlpu}");
        assert!(has_notice(&now, "has no memory for this model now"), "{now:#}");
        camera.bench.faults("");
        let ended = Instant::now();
        let (seen, mut least) = (now["frames"]["inferred"].as_u64().unwrap(), u64::MAX);
        let now = wait_for(&running, "the accelerator", LIMIT, |now| {
            assert_eq!(now["state"], "live", "{fault}: detection was interrupted: {now:#}");
            now["backend"]["name"] == DLPU
        });
        least = least.min(now["frames"]["inferred"].as_u64().unwrap() - seen);
        assert!(least > 0, "nothing was detected meanwhile");
        wait_until_it_detects_on(&running, DLPU, LIMIT);
        say(&format!("{fault}: the accelerator runs {:.1} s after the end", ended.elapsed().as_secs_f64()));
        assert_eq!(standing(&now, CPU)["state"], "spare");
        // Nobody's connection was lost on the way.
        assert_eq!(camera.bench.falls(), 0);
        assert!(!running.lines().iter().any(|line| line.contains("inference works again")), "{fault}");
        assert_eq!(running.stop(LIMIT).code, Some(0));
    }
}

#[test]
fn memory_that_is_wanting_on_every_device_is_waited_for() {
    let camera = Camera::new();
    camera.bench.faults("larod memory load");
    let running = camera.start("12.7.61", &model("demo_ssd_mobilenet_v2.tflite"));
    let now = wait_for(&running, "words", LIMIT, |now| {
        now["message"]
            .as_str()
            .is_some_and(|said| said.contains("Out of memory; tried again within a minute"))
    });
    assert_eq!(now["state"], "backend-failed");
    camera.bench.faults("");
    wait_until_it_detects_on(&running, DLPU, LIMIT);
    assert_eq!(running.stop(LIMIT).code, Some(0));
}

/// Threads of the process that talk to larod.
fn larod_threads(running: &Running) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", running.id())).unwrap();
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "larod").count()
}

/// Lets one job hang and waits until it is given up; then later jobs do not hang.
fn hang(camera: &Camera, running: &Running, hung: u64) {
    camera.bench.faults("larod wedge run");
    wait_for(running, "words", LIMIT, |now| {
        now["message"].as_str().is_some_and(|said| said.contains("the larod service has not answered for"))
    });
    wait_for(running, "a new connection", LIMIT, |now| now["camera"]["hung_jobs"] == hung);
    camera.bench.faults("");
    let ended = Instant::now();
    wait_until_it_detects_on(running, DLPU, LIMIT);
    say(&format!("job {hung} that hangs: detecting again after {:.1} s", ended.elapsed().as_secs_f64()));
}

#[test]
fn a_job_that_never_comes_back_costs_one_thread_and_a_fourth_ends_the_program() {
    let camera = Camera::new();
    let running = camera.start("12.7.61", &model("demo_ssd_mobilenet_v2.tflite"));
    wait_until_it_detects_on(&running, DLPU, LIMIT);
    assert_eq!(larod_threads(&running), 1);
    let before = running.weight();
    hang(&camera, &running, 1);
    let now = status(&running);
    assert!(has_notice(&now, "one job of the larod service hangs"), "{now:#}");
    assert_eq!(larod_threads(&running), 2);
    // It comes back: its thread ends, and with it what it held.
    camera.bench.faults("larod unwedge");
    wait_for(&running, "the thread's end", LIMIT, |now| now["camera"]["hung_jobs"] == 0);
    let end = Instant::now() + LIMIT;
    while larod_threads(&running) > 1 || running.weight().descriptors > before.descriptors + 2 {
        assert!(Instant::now() < end, "{} threads", larod_threads(&running));
        std::thread::sleep(Duration::from_millis(20));
    }
    for hung in 1..=3 {
        hang(&camera, &running, hung);
        assert_eq!(larod_threads(&running), 1 + hung as usize);
    }
    camera.bench.faults("larod wedge run");
    let finished = running.wait(LIMIT);
    assert_eq!(finished.code, Some(5), "{finished:#?}");
    let says = "3 jobs before hang still; Spotter ends, so that the camera starts it anew";
    assert!(finished.stderr.contains(says), "{finished:#?}");
    assert_eq!(camera.bench.falls(), 0);
}

#[test]
fn a_camera_without_power_says_which_device_waits_for_it() {
    let camera = Camera::new();
    camera.bench.faults("larod power load axis-a8-dlpu-tflite");
    let running = camera.start("12.7.61", &model("demo_ssd_mobilenet_v2.tflite"));
    wait_for(&running, "no power", LIMIT, |now| standing_or_none(now, DLPU) == "no-power");
    camera.bench.faults("");
    wait_until_it_detects_on(&running, DLPU, LIMIT);
    assert_eq!((running.stop(LIMIT).code, camera.bench.falls()), (Some(0), 0));
}

#[test]
fn an_accelerator_that_nobody_knows_is_taken_and_named() {
    let camera = Camera::new();
    let ssd = model("demo_ssd_mobilenet_v2.tflite");
    let start = |chip: &str, model: &str| {
        let mut command = camera.command("13.1.2");
        command.env("SPOTTER_SIM_CHIP", chip).args(["--backend", "larod", "--model", model]);
        Running::start_command(command, LIMIT)
    };
    let running = start("artpec10", &ssd);
    let now = wait_until_it_detects_on(&running, "larod a10-dlpu-tflite", LIMIT);
    assert_eq!(now["backend"]["detail"], "an accelerator that this Spotter does not know");
    assert_eq!(now["backend"]["chip"], json!(null));
    assert_eq!(standing(&now, "a10-dlpu-native")["state"], "other-models");
    let line = "a10-dlpu-tflite is an accelerator that this Spotter does not know";
    assert!(running.wait_for_line(line, LIMIT), "{:#?}", running.lines());
    running.stop(LIMIT);

    let folder = tempfile::tempdir().unwrap();
    let compiled = camera::cv25_model(folder.path()).display().to_string();
    let running = start("cv75", &compiled);
    let now = wait_until_it_detects_on(&running, "larod cv75-dlpu-native", LIMIT);
    assert_eq!(now["backend"]["detail"], "accelerator of CV75");
    running.stop(LIMIT);
}

#[test]
fn an_artpec_7_without_the_edge_tpu_is_offered_no_models_for_it() {
    let offered = |chip: &str| {
        let camera = Camera::new();
        let mut command = camera.command("11.11.73");
        command.env("SPOTTER_SIM_CHIP", chip);
        command.args(["--backend", "larod", "--model", &model("demo_ssd_mobilenet_v2.tflite")]);
        let running = Running::start_command(command, LIMIT);
        wait_for(&running, "detection", LIMIT, |now| now["state"] == "live");
        let models = running.http_get("/api/models").json();
        let suits = running.http_get("/api/model").json()["suitability"]["chip"].clone();
        running.stop(LIMIT);
        let names =
            models["models"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), suits)
    };
    let for_tpu = |names: &[String]| names.iter().filter(|name| name.contains("edgetpu")).count();
    let (with, without) = (offered("artpec7"), offered("artpec7-without-tpu"));
    assert!(for_tpu(&with.0) > 0, "{with:?}");
    assert_eq!(for_tpu(&without.0), 0, "{without:?}");
    assert!(without.0.iter().any(|name| name == "ssd-mobilenet-v2-coco"), "{without:?}");
    assert_eq!((&with.1, &without.1), (&json!("artpec7"), &json!("cpu")));
}
