//! Whether capture and inference overlap with three buffers: frames a second through a model that takes a known time, and
//! how old its results are.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use spotter::live::context::Context;

use crate::common::camera::{self, Bench};
use crate::common::made_up::{self, Faults, Times};
use crate::common::pace::{self, Device};
use crate::record::Record;

/// Asks for the part that runs with the environment.
pub const INSIDE: &str = "overlap-inside";
const LIMIT: Duration = Duration::from_secs(60);

pub fn measure(record: &mut Record) {
    prepared_ahead(record);
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

/// Frames that the processor prepares while a device runs the model: the share of what the slowest of the three allows,
/// and the age of results beyond what preparation and inference take, in frames of the sensor.
fn prepared_ahead(record: &mut Record) {
    let ms = Duration::from_millis;
    for rate in [30u32, 60] {
        for preparing in [5, 20] {
            for running in [20, 60, 100] {
                let interval = Duration::from_secs(1) / rate;
                let times =
                    Times { interval: Some(interval), preparing: ms(preparing), running: ms(running) };
                let live = made_up::start(u64::MAX, times, Faults::default(), None);
                std::thread::sleep(Duration::from_secs(5));
                let (fps, ages) = results(&live.context, Duration::from_secs(10));
                live.stop.set();
                live.pipeline.join().unwrap();
                let slowest = interval.max(ms(preparing)).max(ms(running)).as_secs_f64();
                let beyond = ages[ages.len() * 95 / 100] - (preparing + running) as f64;
                let name = format!("sensor {rate}, preparation {preparing} ms, inference {running} ms");
                record.more(&format!("{name}: share of possible rate"), fps * slowest);
                record.less(
                    &format!("{name}: age p95 beyond both, in frames"),
                    beyond / 1e3 / interval.as_secs_f64(),
                );
            }
        }
    }
}

/// Results a second, and how old each was when it came, in ms, sorted.
fn results(context: &Context, time: Duration) -> (f64, Vec<f64>) {
    let (mut ages, mut after, begun) = (Vec::new(), None, Instant::now());
    while begun.elapsed() < time {
        let scene = context.hub.wait_scene(after, LIMIT).expect("scenes go on");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
        let frame: Value = serde_json::from_str(scene.json()).unwrap();
        ages.push(now - frame["frame"]["captured_ms"].as_f64().unwrap());
        after = Some(scene.seq());
    }
    let rate = ages.len() as f64 / begun.elapsed().as_secs_f64();
    ages.sort_by(f64::total_cmp);
    (rate, ages)
}

/// Prints time, share, age and starved frames of each setting.
pub fn inside() {
    for time in [20u64, 60, 100] {
        let before = pace::report()["starved"].as_u64().unwrap_or_default();
        let live = pace::Live::start(Device::new(Duration::from_millis(time)));
        // The rate has settled.
        std::thread::sleep(Duration::from_secs(3));
        let (rate, ages) = results(&live.context, Duration::from_secs(10));
        live.end();
        let possible = (1000.0 / time as f64).min(30.0);
        let starved = pace::report()["starved"].as_u64().unwrap() - before;
        let age = ages[ages.len() * 95 / 100] * possible / 1e3;
        println!("{time} {} {age} {starved}", rate / possible);
    }
}
