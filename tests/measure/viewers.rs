//! What viewers get and cost: how old the picture is on the canvas, how soon the first one is there, what those do who do
//! not read.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::browser::Browser;
use crate::common::process::{Running, ask, watch};
use crate::record::Record;

const LIMIT: Duration = Duration::from_secs(60);
/// How long each is looked at.
const TIME: Duration = Duration::from_secs(30);
const SOURCE: &str = "demo:size=1280x720,fps=25";

fn start() -> Running {
    let running = Running::start(["--source", SOURCE], LIMIT);
    running.wait_until_detecting(LIMIT);
    running
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// From here on the page notes when its first picture was drawn, and how old every picture is.
const NOTE: &str = "
  window.ages = []; window.firstAt = null;
  (function look(last) {
    const shown = window.spotter?.framesShown ?? 0;
    if (shown !== last) {
      window.firstAt ??= performance.now();
      if (spotter.latencyMs !== null) window.ages.push(spotter.latencyMs);
    }
    setTimeout(look, 2, shown);
  })(0);";

/// How soon a page has its first picture, and how old its pictures are, where three watch.
fn age(record: &mut Record) {
    let running = start();
    // Browsers draw in software here: three of them need more than the machine that detects has left. The others read
    // as those on other machines do.
    let browsers = std::env::var("SPOTTER_BROWSERS").map_or(1, |count| count.parse().unwrap());
    let Some(mut browsers) = (0..browsers).map(|_| Browser::launch()).collect::<Option<Vec<_>>>() else {
        return;
    };
    let stop = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (browsers.len()..3).map(|_| watch(&running.address, &stop)).collect();
    let mut first = Vec::new();
    for browser in &mut browsers {
        browser.set_viewport(1280, 800, 1.0, false);
        browser.call("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({ "source": NOTE }));
        browser.navigate(&format!("http://{}/", running.address));
        browser.wait_for("window.firstAt !== null && ages.length > 10", LIMIT);
        first.push(browser.eval("firstAt").as_f64().unwrap());
    }
    for browser in &mut browsers {
        browser.eval("ages.length = 0");
    }
    std::thread::sleep(TIME);
    for browser in &mut browsers {
        let ages = browser.eval("ages");
        let mut ages: Vec<f64> = ages.as_array().unwrap().iter().map(|age| age.as_f64().unwrap()).collect();
        ages.sort_by(f64::total_cmp);
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| quantile(&ages, share));
        record.less("capture to canvas, p50 ms", p50);
        record.less("capture to canvas, p95 ms", p95);
        record.less("capture to canvas, p99 ms", p99);
    }
    stop.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().unwrap());
    record.less("first picture, ms", first.iter().copied().fold(0.0, f64::max));
    // An old picture must not pass for a live one.
    running.stop(LIMIT);
    let gone = Instant::now();
    browsers[0].wait_for("badge.dataset.level === 'red'", LIMIT);
    record.less("the page says that Spotter is gone after, ms", gone.elapsed().as_secs_f64() * 1e3);
}

fn inferred(running: &Running) -> f64 {
    running.http_get("/api/v1/status").json()["frames"]["inferred"].as_f64().unwrap()
}

/// Frames a second that go through the model.
fn rate(running: &Running, time: Duration) -> f64 {
    let (before, begun) = (inferred(running), Instant::now());
    std::thread::sleep(time);
    (inferred(running) - before) / begun.elapsed().as_secs_f64()
}

/// What a viewer who does not read costs those who do.
fn stalled(record: &mut Record) {
    let running = start();
    // Somebody watches all the time, so that pictures are made all the time.
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(&running.address, &stop);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        without.push(rate(&running, TIME / 10));
        // One that never reads is let go after some seconds; then there is another one.
        let stalled = ask(&running.address, "/api/v1/live");
        with.push(rate(&running, TIME / 10));
        drop(stalled);
    }
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    record
        .more("detections a second beside a stalled viewer, of those without", mean(&with) / mean(&without));
    stop.store(true, Ordering::Relaxed);
    watching.join().unwrap();
}

/// Fifty who watch for so long; how many bytes they got, and how much the one with the least.
fn fifty(running: &Running, time: Duration) -> (u64, u64) {
    let stop = Arc::new(AtomicBool::new(false));
    let viewers: Vec<_> = (0..50)
        .map(|index| {
            let (stop, address) = (stop.clone(), running.address.clone());
            std::thread::spawn(move || {
                // Every way of watching.
                let path = ["/api/v1/live", "/api/v1/live", "/api/v1/stream.mjpg", "/api/v1/scene/events"]
                    [index % 4];
                let mut stream = ask(&address, path);
                let mut scrap = vec![0; 1 << 16];
                let taken = AtomicU64::new(0);
                while !stop.load(Ordering::Relaxed) {
                    match stream.read(&mut scrap) {
                        Ok(read @ 1..) => taken.fetch_add(read as u64, Ordering::Relaxed),
                        other => panic!("{path} ended: {other:?}"),
                    };
                }
                taken.into_inner()
            })
        })
        .collect();
    std::thread::sleep(time);
    println!("with fifty viewers: {:?}", running.weight());
    stop.store(true, Ordering::Relaxed);
    let taken: Vec<u64> = viewers.into_iter().map(|viewer| viewer.join().unwrap()).collect();
    (taken.iter().sum(), *taken.iter().min().unwrap())
}

/// What fifty viewers are sent.
fn many(record: &mut Record) {
    let running = start();
    let (all, least) = fifty(&running, TIME);
    record.more("fifty viewers, MB a second", all as f64 / 1e6 / TIME.as_secs_f64());
    record.more("the slowest of fifty viewers, kB a second", least as f64 / 1e3 / TIME.as_secs_f64());
}

/// How soon it ends that is told to.
fn ending(record: &mut Record) {
    for signal in ["TERM", "INT"] {
        let finished = start().signal_and_wait(signal, LIMIT);
        record.less(&format!("end after SIG{signal}, ms"), finished.took.as_secs_f64() * 1e3);
    }
}

/// All of this.
pub fn measure(record: &mut Record) {
    age(record);
    stalled(record);
    many(record);
    ending(record);
}
