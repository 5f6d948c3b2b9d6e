//! How soon frames go through the model again when a fault of the camera's video or accelerator has ended.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::camera::{self, Bench};
use crate::common::process::{self, Running, wait_until};
use crate::record::Record;

const LIMIT: Duration = Duration::from_secs(60);
/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(5);

fn inferred(running: &Running) -> u64 {
    running.http_get("/api/v1/status").json()["frames"]["inferred"].as_u64().unwrap()
}

/// Frames go through the model while no fault is told.
fn wait_until_live(running: &Running) {
    let before = inferred(running);
    wait_until("frames go through the model", || inferred(running) > before + 2);
    wait_until("it says that it is live", || running.http_get("/api/v1/status").json()["state"] == "live");
}

fn faults(mut command: Command, bench: &Bench, faults: &[&str], record: &mut Record) {
    command.args(["--listen", "127.0.0.1:0"]).env("SPOTTER_SIM_DIR", bench.path());
    let running = Running::start_command(command, LIMIT);
    wait_until_live(&running);
    for fault in faults {
        bench.faults(fault);
        std::thread::sleep(FAULT);
        bench.faults("");
        let ended = Instant::now();
        wait_until_live(&running);
        record.less(&format!("{fault}: detecting again after, s"), ended.elapsed().as_secs_f64());
    }
    running.stop(LIMIT);
}

pub fn measure(record: &mut Record) {
    let bench = Bench::new();
    let mut video = process::spotter();
    video.env("SPOTTER_VDO", camera::vdo()).args(["run", "--source", "vdo", "--model", "spotter-demo"]);
    faults(video, &bench, &["vdo interface-down", "vdo no-data", "vdo stall"], record);
    let bench = Bench::new();
    let mut accelerator = process::spotter();
    accelerator.env("SPOTTER_LAROD", camera::larod()).env("SPOTTER_SIM_CHIP", "artpec8");
    accelerator.env("SPOTTER_STATE", bench.path().join("state"));
    accelerator.args(["run", "--source", "demo:size=640x360,fps=10", "--backend", "larod"]);
    let all = ["larod restart", "larod power run", "larod crash run", "larod job run", "larod hang run"];
    faults(accelerator, &bench, &all, record);
}
