//! Several viewers at once: each sees what happens, nobody waits for one who does not read, and nothing is left of many
//! when they have gone. How fast all that is, `tests/measure` measures.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::browser::Browser;
use crate::common::process::{Running, Weight, ask, wait_until, watch};
use crate::common::{alone, say};

const LIMIT: Duration = Duration::from_secs(60);
const SOURCE: &str = "demo:size=1280x720,fps=25";

fn start() -> Running {
    let running = Running::start(["--source", SOURCE], LIMIT);
    running.wait_until_detecting(LIMIT);
    running
}

#[test]
fn three_viewers_see_what_has_just_happened() {
    let _alone = alone();
    let running = start();
    // Browsers draw in software here: three of them need more than the machine that detects has left. The others read
    // as those on other machines do.
    let Some(mut browser) = Browser::launch() else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let others = [(); 2].map(|()| watch(&running.address, &stop));
    browser.set_viewport(1280, 800, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 20 && spotter.latencyMs !== null", LIMIT);
    // Whatever was published while it drew is skipped: the picture is of a frame that was the newest when it was asked for,
    // not of one that waited behind others.
    let newest = || running.http_get("/api/v1/scene").json()["frame"]["seq"].as_u64().unwrap();
    for _ in 0..10 {
        let before = newest();
        let shown = browser.eval("spotter.shown.seq").as_u64().unwrap();
        assert!(shown <= newest());
        browser.wait_for(&format!("spotter.shown.seq >= {before}"), LIMIT);
        let (shown, now) = (browser.eval("spotter.shown.seq").as_u64().unwrap(), newest());
        say(&format!("the page shows frame {shown} when {before} to {now} are the newest"));
        assert!((before..=now).contains(&shown));
    }
    stop.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().unwrap());
}

/// Those who watch the live stream.
fn viewers(running: &Running) -> u64 {
    running.http_get("/api/v1/status").json()["viewers"]["live"].as_u64().unwrap()
}

fn inferred(running: &Running) -> f64 {
    running.http_get("/api/v1/status").json()["frames"]["inferred"].as_f64().unwrap()
}

#[test]
fn a_viewer_that_does_not_read_costs_nothing() {
    let _alone = alone();
    let running = start();
    // Somebody watches all the time, so that pictures are made all the time.
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(&running.address, &stop);
    // One that never reads is let go after some seconds. Until then, and after, frames go through the model as without it.
    let stalled = ask(&running.address, "/api/v1/live");
    wait_until("it watches", || viewers(&running) == 2);
    let before = inferred(&running);
    wait_until("frames go through the model", || inferred(&running) >= before + 100.0);
    wait_until("it is let go", || viewers(&running) == 1);
    let before = inferred(&running);
    wait_until("frames go through the model", || inferred(&running) >= before + 20.0);
    drop(stalled);
    stop.store(true, Ordering::Relaxed);
    watching.join().unwrap();
}

/// Fifty who watch in every way, until each has got so much.
fn fifty(running: &Running, kilobytes: u64) {
    let taken: Vec<_> = (0..50).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let viewers: Vec<_> = (0..50)
        .map(|index| {
            let (stop, address, taken) = (stop.clone(), running.address.clone(), taken[index].clone());
            std::thread::spawn(move || {
                let path = ["/api/v1/live", "/api/v1/live", "/api/v1/stream.mjpg", "/api/v1/scene/events"]
                    [index % 4];
                let mut stream = ask(&address, path);
                let mut scrap = vec![0; 1 << 16];
                while !stop.load(Ordering::Relaxed) {
                    match stream.read(&mut scrap) {
                        Ok(read @ 1..) => taken.fetch_add(read as u64, Ordering::Relaxed),
                        other => panic!("{path} ended: {other:?}"),
                    };
                }
            })
        })
        .collect();
    // Scenes are small: who takes those alone is to get some.
    let enough = |(index, taken): (usize, &Arc<AtomicU64>)| {
        let wanted = if index % 4 == 3 { 5000 } else { 1000 * kilobytes };
        taken.load(Ordering::Relaxed) >= wanted
    };
    wait_until("each has got some", || taken.iter().enumerate().all(enough));
    say(&format!("with fifty viewers: {:?}", running.weight()));
    stop.store(true, Ordering::Relaxed);
    viewers.into_iter().for_each(|viewer| viewer.join().unwrap());
}

#[test]
fn nothing_is_left_of_fifty_viewers() {
    let _alone = alone();
    let running = start();
    let begun = running.weight();
    // The first ones leave behind what is needed anyway: buffers, an encoder.
    fifty(&running, 100);
    wait_until("the first fifty have gone", || {
        let now = running.weight();
        Weight { kilobytes: begun.kilobytes, ..now }.is_as(&begun)
    });
    let before = running.weight();
    fifty(&running, 200);
    let after = || running.weight();
    wait_until(&format!("as before: {before:?}"), || after().is_as(&before));
    say(&format!("fifty viewers: {before:?} before, {:?} after", after()));
}
