//! What the process uses and how the machine is, as Linux tells it; `None` where it does not.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// Where Linux shows its thermal sensors.
const THERMAL: &str = "/sys/class/thermal";

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number at `index` of a line of numbers, such as `/proc/self/statm`.
fn number_at(text: &str, index: usize) -> Option<f64> {
    text.split_whitespace().nth(index)?.parse().ok()
}

/// The number after `name:`, such as in `/proc/meminfo`.
fn named(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Bytes of memory that the process holds.
pub fn resident_bytes() -> Option<u64> {
    // proc(5): size and resident, in pages.
    let pages = number_at(&read("/proc/self/statm")?, 1)? as u64;
    Some(pages * rustix::param::page_size() as u64)
}

/// The most bytes of memory that the process has held.
pub fn peak_resident_bytes() -> Option<u64> {
    Some(named(&read("/proc/self/status")?, "VmHWM")? << 10)
}

/// Processor time of all threads of the process so far.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // The clock of a process counts from its start: neither is negative.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How many processors of which kind: "2 x AMD EPYC 9R14".
pub fn processors() -> String {
    let text = read("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{count} x {}", model.map_or(std::env::consts::ARCH, |(_, name)| name))
}

/// Threads of the process.
pub fn threads() -> Option<u64> {
    named(&read("/proc/self/status")?, "Threads")
}

/// Files and connections that the process has open.
pub fn open_files() -> Option<usize> {
    // The folder itself is one of them while it is read.
    std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1))
}

/// The hottest of the machine's sensors in °C.
pub fn temperature() -> Option<f64> {
    temperature_in(Path::new(THERMAL))
}

fn temperature_in(folder: &Path) -> Option<f64> {
    let zones = std::fs::read_dir(folder).ok()?.flatten();
    let zones = zones.filter(|zone| zone.file_name().to_string_lossy().starts_with("thermal_zone"));
    let degrees = zones.filter_map(|zone| {
        // Thousandths of a degree (kernel documentation, driver-api/thermal/sysfs-api).
        let value = read(zone.path().join("temp"))?.trim().parse::<f64>().ok()? / 1000.0;
        // A sensor that is not there reads as absolute zero or less.
        (value > -100.0 && value < 200.0).then_some(value)
    });
    degrees.reduce(f64::max)
}

/// The machine, for whoever helps from afar. Names no person and no address.
pub fn facts() -> Value {
    let memory = read("/proc/meminfo").unwrap_or_default();
    let kilobytes = |name: &str| named(&memory, name).map(|value| value * 1024);
    let os = read("/etc/os-release").and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches('"').to_owned())
    });
    let load = read("/proc/loadavg").unwrap_or_default();
    json!({
        "os": os,
        "kernel": read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
        "architecture": std::env::consts::ARCH,
        "cores": std::thread::available_parallelism().ok(),
        "memory_bytes": { "total": kilobytes("MemTotal"), "available": kilobytes("MemAvailable") },
        "load": [number_at(&load, 0), number_at(&load, 1), number_at(&load, 2)],
        "uptime_s": read("/proc/uptime").and_then(|text| number_at(&text, 0)),
        "temperature_c": temperature(),
        "process": {
            "resident_bytes": resident_bytes(),
            "cpu_s": cpu_time().as_secs_f64(),
            "threads": threads(),
            "open_files": open_files(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_of_this_process() {
        let before = cpu_time();
        let memory = vec![1u8; 32 << 20];
        assert!(resident_bytes().unwrap() > memory.len() as u64, "{:?}", resident_bytes());
        assert!(cpu_time() > before);
        assert!(threads().unwrap() >= 1 && open_files().unwrap() >= 3);
        let facts = facts();
        assert!(facts["memory_bytes"]["total"].as_u64().unwrap() > 64 << 20, "{facts}");
        assert!(facts["kernel"].is_string() && facts["load"][2].is_number(), "{facts}");
    }

    #[test]
    fn the_hottest_sensor_that_works_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(temperature_in(folder.path()), None);
        for (name, text) in [
            ("thermal_zone0", "48250\n"),
            ("thermal_zone1", "61000\n"),
            ("thermal_zone2", "-273150\n"),
            ("thermal_zone3", "not known"),
            ("cooling_device0", "99000\n"),
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("temp"), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("thermal_zone4")).unwrap();
        assert_eq!(temperature_in(folder.path()), Some(61.0));
        assert_eq!(temperature_in(Path::new("/nonexistent")), None);
    }
}
