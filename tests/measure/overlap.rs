//! Whether capture and inference overlap with three buffers: frames a second through a model that takes a known time, and
//! how old its results are.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::common::camera::{self, Bench};
use crate::common::pace::{self, Device};
use crate::record::Record;

/// Asks for the part that runs with the environment.
pub const INSIDE: &str = "overlap-inside";
const LIMIT: Duration = Duration::from_secs(60);

pub fn measure(record: &mut Record) {
    let bench = Bench::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(INSIDE).env("SPOTTER_VDO", camera::vdo()).env("SPOTTER_SIM_DIR", bench.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let figures: Vec<f64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let &[time, rate, age, starved] = &figures[..] else { panic!("{line}") };
        record.more(&format!("{time} ms: share of possible rate"), rate);
        record.less(&format!("{time} ms: age p95 in frame times"), age);
        record.less(&format!("{time} ms: frames that found no buffer"), starved);
    }
}

/// Prints time, share, age and starved frames of each setting.
pub fn inside() {
    for time in [20u64, 60, 100] {
        let before = pace::report()["starved"].as_u64().unwrap_or_default();
        let live = pace::Live::start(Device::new(Duration::from_millis(time)));
        // The rate has settled.
        std::thread::sleep(Duration::from_secs(3));
        let (mut ages, mut after, begun) = (Vec::new(), None, Instant::now());
        while begun.elapsed() < Duration::from_secs(10) {
            let scene = live.context.hub.wait_scene(after, LIMIT).expect("scenes go on");
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
            let frame: Value = serde_json::from_str(scene.json()).unwrap();
            ages.push(now - frame["frame"]["captured_ms"].as_f64().unwrap());
            after = Some(scene.seq());
        }
        let rate = ages.len() as f64 / begun.elapsed().as_secs_f64();
        live.end();
        ages.sort_by(f64::total_cmp);
        let possible = (1000.0 / time as f64).min(30.0);
        let starved = pace::report()["starved"].as_u64().unwrap() - before;
        let age = ages[ages.len() * 95 / 100] * possible / 1e3;
        println!("{time} {} {age} {starved}", rate / possible);
    }
}
