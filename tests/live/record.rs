//! `spotter run --record`: the clip is looked at, frame by frame.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::process::{self, Running};
use crate::common::{say, skip};
use serde_json::Value;
use spotter::capture::gst_source::GstSource;
use spotter::capture::{FrameSource, Next, Pace, SourceSpec};
use spotter::preprocess::{I420Buffer, ViewScaler};

const LIMIT: Duration = Duration::from_secs(30);

/// Runs for a while with a recording and the scenes beside it, until a signal.
fn record(clip: &Path, scenes: &Path) -> process::Finished {
    let arguments = ["--source", "demo:seed=15,size=640x360,fps=10", "--conf", "0.3", "--record"];
    let running = Running::start(
        arguments.iter().map(std::ffi::OsString::from).chain([clip.into(), "--output".into(), scenes.into()]),
        LIMIT,
    );
    let begun = Instant::now();
    while running.http_get("/api/status").json()["frames"]["inferred"].as_u64().unwrap() < 30 {
        assert!(begun.elapsed() < LIMIT, "{:#?}", running.lines());
        std::thread::sleep(Duration::from_millis(50));
    }
    running.stop(process::AT_ONCE)
}

/// Every picture of a clip, and its time.
fn pictures(clip: &Path) -> Vec<(Duration, I420Buffer)> {
    let mut source = GstSource::open(&SourceSpec::File(clip.to_owned()), Pace::Unpaced).unwrap();
    let (mut scaler, mut pictures) = (ViewScaler::new(), Vec::new());
    loop {
        match source.next(LIMIT).unwrap() {
            Next::Frame(frame) => {
                let mut picture = I420Buffer::new();
                scaler.run(&frame, frame.layout.width, frame.layout.height, &mut picture).unwrap();
                pictures.push((frame.pts.unwrap(), picture));
            }
            Next::End => return pictures,
            Next::Nothing | Next::Other => panic!("{} gives no picture", clip.display()),
        }
    }
}

/// The colours of the page for its first classes.
const COLOURS: [[f64; 3]; 5] = [
    [230.0, 159.0, 0.0],
    [204.0, 121.0, 167.0],
    [86.0, 180.0, 233.0],
    [240.0, 228.0, 66.0],
    [0.0, 114.0, 178.0],
];

/// Whether the left edge of a box has its class's colour there.
fn is_drawn(picture: &I420Buffer, observation: &Value) -> bool {
    let (width, height) = picture.size();
    let edge = |name: &str| observation["bounding_box"][name].as_f64().unwrap().clamp(0.0, 1.0);
    let x = ((edge("left") * width as f64) as usize).min(width - 2);
    let y = ((0.5 * (edge("top") + edge("bottom")) * height as f64) as usize).min(height - 2);
    let chroma = y / 2 * picture.chroma_size().0 + x / 2;
    let (u, v) = (f64::from(picture.u()[chroma]) - 128.0, f64::from(picture.v()[chroma]) - 128.0);
    let [r, g, b] = COLOURS[observation["class"]["index"].as_u64().unwrap() as usize % 5];
    let (cb, cr) = (-0.169 * r - 0.331 * g + 0.5 * b, 0.5 * r - 0.419 * g - 0.081 * b);
    // A line of two pixels: codecs halve its colour at worst.
    let along = (u * cb + v * cr) / (cb * cb + cr * cr);
    along > 0.4
}

#[test]
fn what_was_found_is_in_each_picture_of_the_clip() {
    for extension in ["mp4", "mkv", "webm", "avi"] {
        let folder = tempfile::tempdir().unwrap();
        let (clip, scenes) =
            (folder.path().join(format!("out.{extension}")), folder.path().join("scenes.jsonl"));
        let finished = record(&clip, &scenes);
        if finished.stderr.contains("GStreamer has no encoder") {
            skip(&format!("{extension}: GStreamer has no encoder for it"));
            continue;
        }
        assert_eq!(finished.code, Some(0), "{extension}: {finished:#?}");
        let pictures = pictures(&clip);
        let text = std::fs::read_to_string(&scenes).unwrap();
        let scenes: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        // AVI knows a rate only: its pictures come 25 times a second.
        let span = pictures.last().unwrap().0.as_secs_f64() - pictures[0].0.as_secs_f64();
        let time = |scene: &Value| scene["frame"]["captured_ms"].as_f64().unwrap() / 1e3;
        let real = time(scenes.last().unwrap()) - time(&scenes[0]);
        assert!((span - real).abs() < 0.35, "{extension}: {span} s of {real}");
        let (mut drawn, mut all) = (0, 0);
        if extension != "avi" {
            assert!(
                pictures.len() + 2 >= scenes.len(),
                "{extension}: {} of {}",
                pictures.len(),
                scenes.len()
            );
        }
        for (at, picture) in &pictures {
            let nearest = |scene: &&Value| {
                ((time(scene) - time(&scenes[0]) - (*at - pictures[0].0).as_secs_f64()).abs() * 1e6) as u64
            };
            let scene = scenes.iter().min_by_key(nearest).unwrap();
            for observation in scene["frame"]["observations"].as_array().unwrap() {
                all += 1;
                drawn += usize::from(is_drawn(picture, observation));
            }
        }
        say(&format!("{extension}: {} pictures, {drawn} of {all} boxes drawn", pictures.len()));
        assert!(all > 50 && drawn * 10 > all * 7, "{extension}: {drawn} of {all}");
    }
}

#[test]
fn what_cannot_be_recorded_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = |clip: &Path| {
        process::run(
            ["run", "--source", "demo", "--listen", "127.0.0.1:0", "--record", clip.to_str().unwrap()],
            LIMIT,
        )
    };
    let refused = run(&folder.path().join("out.txt"));
    assert!(
        refused.stderr.contains("is no clip that can be written; give .mp4, .mkv, .webm or .avi"),
        "{refused:#?}"
    );
    let refused = run(&folder.path().join("absent/out.webm"));
    assert!(refused.stderr.contains("cannot write") && refused.code != Some(0), "{refused:#?}");
}

#[test]
fn a_full_disk_ends_the_recording_alone() {
    if !Path::new("/dev/full").exists() {
        return skip("no /dev/full here");
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("out.webm");
    std::os::unix::fs::symlink("/dev/full", &clip).unwrap();
    let scenes = folder.path().join("scenes.jsonl");
    let finished = record(&clip, &scenes);
    assert!(finished.stderr.contains("recording ends here, detection goes on"), "{finished:#?}");
    assert!(std::fs::read_to_string(&scenes).unwrap().lines().count() >= 30);
}
