//! Spotter from the sensor to the page on a simulated camera with each chip: the camera's video capture, its
//! accelerator and its web server are simulated (`tests/camera`), the program is the real one.
//!
//! That models give the same numbers on each device is proved in `larod.rs`. Here the same is shown for what arrives at
//! a viewer of the camera, against the same frames of the same simulated sensor through TensorFlow Lite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use crate::common::camera;
use crate::common::camera_front::{Camera, pack_with, tflite};
use crate::common::process::{self, Running};
use crate::common::{say, street};
use serde_json::{Value, json};
use spotter::demo::Demo;

const LIMIT: Duration = Duration::from_secs(60);
const SEED: u64 = 7;
const SIZE: (u32, u32) = (640, 360);
/// Pictures of the clip, which the simulated sensor shows in turn, 30 a second.
const PICTURES: usize = 60;
const RATE: f64 = 30.0;

const SSD: &str = "demo_ssd_mobilenet_v2.tflite";
const RAW: &str = "demo_ssd_mobilenet_v2_raw.tflite";

/// A camera.
struct Chip {
    name: &'static str,
    device: &'static str,
    detail: &'static str,
    /// Size of the frames: the model's own where the camera gives that.
    frame: (u32, u32),
    /// Whether the processor copies frames.
    copies: bool,
    /// The chip whose frames are the same, and the demo model that runs there with TensorFlow Lite.
    same: (&'static str, &'static str),
    /// How far scores may be off, and how little boxes may overlap. ARTPEC-9's one step of an output is up to 1/256
    /// of a score, and of a picture's side, which moves small boxes by much.
    within: Option<(f64, f64)>,
}

const CHIPS: [Chip; 4] = [
    Chip {
        name: "artpec7",
        device: "larod google-edge-tpu-tflite",
        detail: "accelerator of ARTPEC-7",
        frame: (426, 240),
        copies: true,
        same: ("artpec8", SSD),
        within: None,
    },
    Chip {
        name: "artpec8",
        device: "larod axis-a8-dlpu-tflite",
        detail: "accelerator of ARTPEC-8",
        frame: (426, 240),
        copies: true,
        same: ("artpec8", SSD),
        within: None,
    },
    Chip {
        name: "artpec9",
        device: "larod a9-dlpu-tflite",
        detail: "accelerator of ARTPEC-9",
        frame: (426, 240),
        copies: true,
        same: ("artpec8", SSD),
        within: Some((0.01, 0.7)),
    },
    Chip {
        name: "cv25",
        device: "larod ambarella-cvflow",
        detail: "accelerator of CV25",
        frame: (426, 240),
        copies: true,
        same: ("artpec8", RAW),
        within: Some((0.02, 0.9)),
    },
];

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The street as a clip.
fn clip() -> &'static Path {
    static CLIP: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("street.avi");
        let (size, seconds) = (format!("{}x{}", SIZE.0, SIZE.1), (PICTURES as f64 / RATE).to_string());
        let arguments = [
            "demo",
            "--seconds",
            &seconds,
            "--fps",
            "30",
            "--size",
            &size,
            "--seed",
            &SEED.to_string(),
            "--save",
        ];
        let arguments = arguments.into_iter().map(String::from).chain([path.display().to_string()]);
        let made = process::run(arguments, LIMIT);
        assert_eq!(made.code, Some(0), "{made:#?}");
        (folder, path)
    });
    &CLIP.1
}

/// The model as this chip takes it, in a folder: its files, the first is the model.
fn model(chip: &str, folder: &Path) -> Vec<PathBuf> {
    match chip {
        "artpec7" => {
            let path = folder.join("street_edgetpu.tflite");
            std::fs::write(&path, crate::common::compiled::compiled_ssd()).unwrap();
            vec![path]
        }
        "cv25" => {
            let path = camera::cv25_model(folder);
            vec![path.clone(), path.with_extension("json")]
        }
        _ => vec![models().join(SSD)],
    }
}

/// Which picture of the clip a scene is of.
fn picture(scene: &Value) -> usize {
    (street::time(&scene["frame"]).as_secs_f64() * RATE).round() as usize % PICTURES
}

/// What was found with some certainty, shown or left out by the threshold.
fn found(scene: &Value) -> Vec<Value> {
    let (shown, left_out) = (&scene["frame"]["observations"], &scene["dropped"]);
    let both = shown.as_array().unwrap().iter().chain(left_out.as_array().unwrap());
    // What NMS has suppressed is there too, as the reason for which it is not shown.
    both.filter(|one| score(one) > 0.3 && one["reason"]["kind"] != "suppressed")
        .map(|one| json!({ "box": one["bounding_box"], "class": one["class"] }))
        .collect()
}

fn score(one: &Value) -> f64 {
    one["class"]["score"].as_f64().unwrap()
}

/// What TensorFlow Lite finds in each picture as this chip's capture gives it.
fn on_the_desktop(chip: &str, model: &str) -> BTreeMap<usize, Vec<Value>> {
    static KNOWN: Mutex<BTreeMap<String, BTreeMap<usize, Vec<Value>>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let entry = known.entry(format!("{chip} {model}"));
    entry
        .or_insert_with(|| {
            let folder = tempfile::tempdir().unwrap();
            let output = folder.path().join("scenes");
            let mut command = simulated(chip);
            // The library that the simulated larod runs models with: LiteRT puts equal scores in another order.
            if let Some(library) = tflite() {
                command.env("SPOTTER_TFLITE", library);
            }
            command.args([
                "run",
                "--source",
                "vdo",
                "--backend",
                "tflite",
                "--listen",
                "127.0.0.1:0",
                "--model",
            ]);
            command.arg(models().join(model)).arg("--output").arg(&output);
            command.env("SPOTTER_SIM_SOURCE", clip());
            let running = Running::start_command(command, LIMIT);
            wait_for(&running, "each picture twice", |status| {
                status["frames"]["inferred"].as_u64().unwrap() > 2 * PICTURES as u64
            });
            assert_eq!(running.stop(LIMIT).code, Some(0));
            let text = std::fs::read_to_string(output).unwrap();
            let scenes = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            scenes.map(|scene| (picture(&scene), found(&scene))).collect()
        })
        .clone()
}

/// The program with the simulated capture and accelerator of a chip, without the web server.
fn simulated(chip: &str) -> Command {
    let mut command = process::spotter();
    command.env("SPOTTER_VDO", camera::vdo()).env("SPOTTER_LAROD", camera::larod());
    command.env("SPOTTER_SIM_CHIP", chip).env("SPOTTER_SIM_SIZE", format!("{}x{}", SIZE.0, SIZE.1));
    command
}

fn wait_for(running: &Running, what: &str, wanted: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    while !wanted(&running.http_get("/api/status").json()) {
        assert!(begun.elapsed() < LIMIT, "no {what}: {:#?}", running.lines());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn overlap(a: &Value, b: &Value) -> f64 {
    let edges =
        |one: &Value| ["left", "top", "right", "bottom"].map(|edge| one["box"][edge].as_f64().unwrap());
    let ([al, at, ar, ab], [bl, bt, br, bb]) = (edges(a), edges(b));
    let both = (ar.min(br) - al.max(bl)).max(0.0) * (ab.min(bb) - at.max(bt)).max(0.0);
    both / ((ar - al) * (ab - at) + (br - bl) * (bb - bt) - both)
}

/// The worst difference of scores and overlap of boxes, of those that are sure on either side.
fn worst(ours: &[Value], theirs: &[Value]) -> (f64, f64) {
    let (mut off, mut least) = (0.0f64, 1.0f64);
    for (one, other) in [(ours, theirs), (theirs, ours)] {
        for sure in one.iter().filter(|one| score(one) > 0.45) {
            let same = other.iter().filter(|other| other["class"]["type"] == sure["class"]["type"]);
            let partner = same.max_by(|x, y| overlap(sure, x).total_cmp(&overlap(sure, y)));
            let partner = partner.unwrap_or_else(|| panic!("{sure} has no partner in {other:#?}"));
            off = off.max((score(partner) - score(sure)).abs());
            least = least.min(overlap(sure, partner));
        }
    }
    (off, least)
}

/// Scenes as a viewer of the camera gets them: so many, and more until something was found in as many. For a while the
/// street is empty.
fn scenes(camera: &Camera, count: usize) -> Vec<Value> {
    let sure = |scene: &&Value| found(scene).iter().any(|one| score(one) >= 0.5);
    let mut scenes: Vec<Value> = Vec::new();
    let mut after = String::new();
    while scenes.iter().filter(sure).count() < count {
        assert!(scenes.len() < 20 * count, "nothing is found: {:#}", scenes[0]);
        let scene = camera.get(&format!("scene?timeout_ms=20000{after}"));
        assert!(scene["http"].is_null(), "{scene}\n{}", camera.log());
        after = format!("&after={}", scene["frame"]["seq"]);
        scenes.push(scene);
    }
    scenes
}

/// A camera with this chip, and Spotter installed in it with a model.
fn installed(chip: &Chip, folder: &Path) -> Option<Camera> {
    let model = model(chip.name, folder);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let size = format!("SPOTTER_SIM_SIZE={}x{}", SIZE.0, SIZE.1);
    let mut arguments = vec!["--chip", chip.name, "--native", "--env", &size];
    // A device's scaler is another than the desktop's: only what the processor has prepared can be compared exactly.
    arguments.extend(["--env", "SPOTTER_SIM_PREPARE=no"]);
    let (source, larod, vdo, twin) =
        (text(clip()), text(&camera::larod()), text(&camera::vdo()), text(&models().join(SSD)));
    arguments.extend(["--source", &source, "--library", &larod, "--library", &vdo]);
    // Where the application's user may read it.
    let in_camera = format!("SPOTTER_SIM_TWIN={{root}}/usr/lib/{SSD}");
    if chip.name == "artpec7" {
        arguments.extend(["--library", &twin, "--env", &in_camera]);
    }
    let camera = Camera::start(&arguments)?;
    let name = model[0].file_name().unwrap().to_str().unwrap();
    let options = format!("run --listen 127.0.0.1:27768 --model models/{name}");
    let package = pack_with(camera.root.path(), &options, &model, |_| ());
    camera.vapix("applications/config.cgi?action=set&name=AllowUnsigned&value=true");
    assert_eq!(camera.upload(&package), "OK", "{}", camera.log());
    assert_eq!(camera.control("start"), "OK");
    camera.wait_until_detecting(LIMIT);
    Some(camera)
}

/// From the sensor to the page.
fn check(chip: &Chip) {
    let folder = tempfile::tempdir().unwrap();
    let Some(camera) = installed(chip, folder.path()) else { return };
    let status = camera.get("status");
    assert_eq!(
        (&status["backend"]["name"], &status["backend"]["detail"]),
        (&json!(chip.device), &json!(chip.detail))
    );
    assert_eq!(
        (&status["backend"]["chip"], &status["source"]["kind"]),
        (&json!(chip.name), &json!("camera"))
    );
    let size = (&status["source"]["width"], &status["source"]["height"]);
    assert_eq!(size, (&json!(chip.frame.0), &json!(chip.frame.1)));

    // What a viewer gets is what the desktop finds in the same pictures, and is there.
    let desktop = on_the_desktop(chip.same.0, chip.same.1);
    let mut demo = Demo::new(SEED, SIZE.0, SIZE.1);
    let (mut compared, mut truths, mut founds) = (0, Vec::new(), Vec::new());
    let (mut off, mut least) = (0.0f64, 1.0f64);
    for (image, scene) in scenes(&camera, 30).iter().enumerate() {
        let (picture, ours) = (picture(scene), found(scene));
        truths.extend(street::truths(&mut demo, Duration::from_secs_f64(picture as f64 / RATE), image));
        for one in ours.iter().filter(|one| score(one) >= 0.5) {
            let class = &one["class"];
            founds.push(street::found(image, SIZE, &class["type"], &class["score"], &one["box"]));
        }
        let Some(theirs) = desktop.get(&picture) else { continue };
        compared += 1;
        if chip.within.is_none() {
            assert_eq!(&ours, theirs, "{}: picture {picture}", chip.name);
        }
        let worst = worst(&ours, theirs);
        (off, least) = (off.max(worst.0), least.min(worst.1));
    }
    assert!(compared >= 20, "{compared} pictures are too few to compare");
    let (scores, overlaps) = chip.within.unwrap_or((0.0, 1.0 - 1e-9));
    let (precision, recall, objects) = street::at_half(&truths, &founds);
    say(&format!(
        "{}: {compared} pictures, scores within {off:.4} and overlaps at least {least:.3} of the desktop's; \
         precision {precision:.3}, recall {recall:.3} of {objects}",
        chip.name
    ));
    assert!(off <= scores && least >= overlaps, "{off} {least}");
    // A busy street: the clip itself gives 0.84 and 0.79 on the desktop.
    assert!(precision > 0.75 && recall > 0.6, "{precision} {recall}");

    // As the device reads frames itself where it can.
    let status = camera.get("status");
    let (inferred, copied) = (&status["frames"]["inferred"], &status["frames"]["copied"]);
    assert!(inferred.as_u64().unwrap() > 30, "{status}");
    assert_eq!(*copied, if chip.copies { inferred.clone() } else { json!(0) }, "{status}");

    let Some(mut browser) = camera.page("viewer", LIMIT) else { return };
    browser.wait_for("spotter.shown.boxes.length > 0", LIMIT);
    browser.wait_for("spotter.status?.pictures.from_source > 5", LIMIT);
    let name = format!("camera_{}.png", chip.name);
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

// One after the other: side by side they would be too slow for each other on a small machine.
#[test]
fn from_the_sensor_to_the_page_of_each_chips_camera() {
    for chip in &CHIPS {
        let begun = Instant::now();
        check(chip);
        say(&format!("{}: {:.0} s", chip.name, begun.elapsed().as_secs_f64()));
    }
}

/// A package for ARTPEC-7 has a model for the Edge TPU and its twin for any device: not every camera has an Edge TPU.
#[test]
fn the_twin_runs_on_a_camera_without_an_edge_tpu() {
    let folder = tempfile::tempdir().unwrap();
    let twin = folder.path().join("street.tflite");
    std::fs::copy(models().join(SSD), &twin).unwrap();
    let model = [model("artpec7", folder.path()).remove(0), twin];
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let size = format!("SPOTTER_SIM_SIZE={}x{}", SIZE.0, SIZE.1);
    let (source, larod, vdo) = (text(clip()), text(&camera::larod()), text(&camera::vdo()));
    let mut arguments = vec!["--chip", "artpec8", "--native", "--env", &size, "--source", &source];
    arguments.extend(["--library", &larod, "--library", &vdo]);
    let Some(camera) = Camera::start(&arguments) else { return };
    let options = "run --listen 127.0.0.1:27768 --model models/street_edgetpu.tflite";
    let package = pack_with(camera.root.path(), options, &model, |_| ());
    camera.vapix("applications/config.cgi?action=set&name=AllowUnsigned&value=true");
    assert_eq!(camera.upload(&package), "OK", "{}", camera.log());
    assert_eq!(camera.control("start"), "OK");
    camera.wait_until_detecting(LIMIT);
    let said = "street_edgetpu.tflite does not run on an Edge TPU (this camera has none)";
    assert!(camera.log().contains(said), "{}", camera.log());
    let status = camera.get("status");
    assert_eq!(status["backend"]["name"], "larod axis-a8-dlpu-tflite", "{status}");
}
