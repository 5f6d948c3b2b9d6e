//! What the camera's capture gives on every AXIS OS, chip and sensor, measured by where a model finds things in it: boxes
//! must lie where they lie on a desktop that looks at the same pictures.
//!
//! The simulated capture runs as each camera's would, in a process of its own. A model of each kind gets its input as it
//! would there; what is measured is the way from the sensor to that input and back, so one detector looks at the part of
//! each input that shows the picture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::camera;
use serde_json::{Value, json};
use spotter::backend::tflite::threads::Threads;
use spotter::capture::{self, Next, Pace, SourceSpec};
use spotter::demo::{Demo, PIXEL_BYTES};
use spotter::detect::detector::Detector;
use spotter::detect::loader::{LoadSpec, LoadedModel};
use spotter::model::decode::Thresholds;
use spotter::preprocess::{InputPicture, Preprocessor};
use spotter::vision::detection::Detection;
use spotter::vision::frame::{Frame, FrameLayout, Matrix, OwnedPixels, PixelFormat};
use spotter::vision::geometry::{Fit, Rect};
use spotter::vision::tensor::{DataType, TensorInfo};

const OSES: [&str; 6] = ["11.11", "12.2", "12.5", "12.7", "12.11", "13.0"];
const CHIPS: [&str; 4] = ["artpec7", "artpec8", "artpec9", "cv25"];
const SENSORS: [(u32, u32); 2] = [(960, 540), (960, 720)];
const MODELS: [(&str, (usize, usize), Fit); 3] = [
    ("300×300, stretched", (300, 300), Fit::Stretch),
    ("320×192, stretched", (320, 192), Fit::Stretch),
    ("640×640, letterbox", (640, 640), Fit::Letterbox),
];
/// Mean IoU may differ so much from the desktop's.
const WITHIN: f64 = 0.02;
const SEED: u64 = 11;
/// Not a multiple of what a slow machine leaves out.
const PICTURES: usize = 13;
const RATE: f64 = 30.0;
const LIMIT: Duration = Duration::from_secs(120);

fn moment(picture: usize) -> Duration {
    Duration::from_millis(4300 * picture as u64 + 500)
}

/// Class and place of the objects that count in a picture.
type Truths = Vec<(u32, [f32; 4])>;

/// The pictures as a sensor of this size sees them, planes Y, U and V, and what is in them.
fn pictures(size: (u32, u32)) -> Vec<(Vec<u8>, Truths)> {
    let (width, height) = (size.0 as usize, size.1 as usize);
    let mut demo = Demo::new(SEED, size.0, size.1);
    let mut rgbx = vec![0; width * height * PIXEL_BYTES];
    let mut one = |picture: usize| {
        assert!(demo.draw(moment(picture), &mut rgbx));
        let pixel = |x: usize, y: usize| {
            let at = (y * width + x) * PIXEL_BYTES;
            [rgbx[at], rgbx[at + 1], rgbx[at + 2]].map(f64::from)
        };
        let byte = |value: f64| value.round().clamp(0.0, 255.0) as u8;
        let mut planes = Vec::with_capacity(width * height * 3 / 2);
        for y in 0..height {
            planes.extend((0..width).map(|x| {
                let [r, g, b] = pixel(x, y);
                byte(16.0 + 0.25679 * r + 0.50413 * g + 0.09791 * b)
            }));
        }
        for [from_r, from_g, from_b] in [[-0.14822, -0.29099, 0.43922], [0.43922, -0.36779, -0.07143]] {
            for y in 0..height / 2 {
                planes.extend((0..width / 2).map(|x| {
                    let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| pixel(2 * x + dx, 2 * y + dy));
                    let mean = |c: usize| four.iter().map(|p| p[c]).sum::<f64>() / 4.0;
                    byte(128.0 + from_r * mean(0) + from_g * mean(1) + from_b * mean(2))
                }));
            }
        }
        let counts = demo.truths().iter().filter(|truth| !truth.ignored);
        let edges = |rect: Rect| [rect.left, rect.top, rect.right, rect.bottom];
        (planes, counts.map(|truth| (truth.class, edges(truth.rect))).collect())
    };
    (0..PICTURES).map(&mut one).collect()
}

/// A picture as a desktop has it.
fn frame_of(planes: &[u8], (width, height): (u32, u32)) -> Frame {
    let (width, height) = (width as usize, height as usize);
    let layout = FrameLayout { matrix: Matrix::Bt601, ..FrameLayout::new(PixelFormat::I420, width, height) };
    let (y, chroma) = planes.split_at(width * height);
    let (u, v) = chroma.split_at(chroma.len() / 2);
    let planes = vec![(y.to_vec(), width), (u.to_vec(), width / 2), (v.to_vec(), width / 2)];
    Frame::now(0, layout, Box::new(OwnedPixels { planes }))
}

fn detector() -> Detector {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo_ssd_mobilenet_v2.tflite");
    let spec = LoadSpec { model: Some(model.to_owned()), threads: Threads::fixed(1), ..LoadSpec::default() };
    LoadedModel::read(Path::new(model), &spec).unwrap().detector().unwrap()
}

/// What is found in a model's input that is made of this frame, relative to the frame.
fn found(
    frame: &Frame,
    (input, fit, planar): ((usize, usize), Fit, bool),
    eye: &mut Detector,
) -> Vec<Detection> {
    let shape = if planar { vec![1, 3, input.1, input.0] } else { vec![1, input.1, input.0, 3] };
    let info = TensorInfo { name: "input".into(), shape, dtype: DataType::U8, quantisation: None };
    let mut preprocessor = Preprocessor::new(&info, fit).unwrap();
    let mut tensor = vec![0; preprocessor.tensor_bytes()];
    let mapping = preprocessor.run(frame, &mut tensor).unwrap();
    let at = |x: usize, y: usize, colour: usize| match planar {
        true => (colour * input.1 + y) * input.0 + x,
        false => (y * input.0 + x) * 3 + colour,
    };
    let mut shown = Vec::with_capacity(3 * mapping.width * mapping.height);
    for y in mapping.y..mapping.y + mapping.height {
        for x in mapping.x..mapping.x + mapping.width {
            shown.extend((0..3).map(|colour| tensor[at(x, y, colour)]));
        }
    }
    let layout = FrameLayout::new(PixelFormat::Rgb, mapping.width, mapping.height);
    let shown = Frame::now(0, layout, Box::new(OwnedPixels { planes: vec![(shown, 3 * mapping.width)] }));
    let (findings, _) = eye.detect(&shown, &Thresholds::live(0.3, 0.5)).unwrap();
    let side =
        |at: f32, from: usize, length: usize, whole: usize| (from as f32 + at * length as f32) / whole as f32;
    let mut detections = findings.detections.clone();
    for detection in &mut detections {
        let Rect { left, top, right, bottom } = detection.rect;
        let in_input = Rect::new(
            side(left, mapping.x, mapping.width, input.0),
            side(top, mapping.y, mapping.height, input.1),
            side(right, mapping.x, mapping.width, input.0),
            side(bottom, mapping.y, mapping.height, input.1),
        );
        detection.rect = mapping.to_source(&in_input);
    }
    detections
}

/// How well each object is found: the best IoU of its class, 0 where it is not found.
fn overlaps(truths: &Truths, found: &[Detection]) -> Vec<f64> {
    let best = |(class, [left, top, right, bottom]): &(u32, [f32; 4])| {
        let truth = Rect::new(*left, *top, *right, *bottom);
        let same = found.iter().filter(|detection| detection.class == *class);
        same.map(|detection| f64::from(detection.rect.iou(&truth))).fold(0.0, f64::max)
    };
    truths.iter().map(best).collect()
}

/// Mean over the objects that the desktop finds.
fn mean(overlaps: &[Vec<f64>], desktop: &[Vec<f64>]) -> f64 {
    let both = overlaps.iter().flatten().zip(desktop.iter().flatten());
    let counted: Vec<f64> = both.filter(|(_, desktop)| **desktop >= 0.5).map(|(one, _)| *one).collect();
    assert!(counted.len() >= 20, "{} objects are too few", counted.len());
    counted.iter().sum::<f64>() / counted.len() as f64
}

/// What a camera gives a model of this kind: what its frames are, and each of the pictures.
fn given(suit: InputPicture) -> (String, BTreeMap<usize, Frame>) {
    let spec = "vdo".parse::<SourceSpec>().unwrap().suited_to(Some(suit));
    let mut source = capture::open(&spec, Pace::Real).unwrap();
    let (begun, mut frames) = (Instant::now(), BTreeMap::new());
    while frames.len() < PICTURES {
        assert!(begun.elapsed() < LIMIT, "{} pictures came", frames.len());
        if let Next::Frame(frame) = source.next(Duration::from_millis(100)).unwrap() {
            let picture = (frame.pts.unwrap().as_secs_f64() * RATE).round() as u64 % PICTURES as u64;
            frames.entry(picture as usize).or_insert_with(|| frame.copied());
        }
    }
    (source.detail().unwrap(), frames)
}

#[test]
#[ignore = "needs an environment of its own: boxes_are_right_on_every_axis_os_chip_and_sensor starts it"]
fn inner_camera() {
    let reference: Value =
        serde_json::from_slice(&std::fs::read(std::env::var("MATRIX_DESKTOP").unwrap()).unwrap()).unwrap();
    let chip = std::env::var("SPOTTER_SIM_CHIP").unwrap();
    let truths: Vec<Truths> = serde_json::from_value(reference["truths"].clone()).unwrap();
    let mut eye = detector();
    let mut results = Vec::new();
    for (name, input, fit) in MODELS {
        let planar = chip == "cv25";
        let (path, frames) = given(InputPicture { size: input, fit, planar });
        let overlaps: Vec<Vec<f64>> = (0..PICTURES)
            .map(|picture| {
                overlaps(&truths[picture], &found(&frames[&picture], (input, fit, planar), &mut eye))
            })
            .collect();
        let desktop: Vec<Vec<f64>> = serde_json::from_value(reference[name].clone()).unwrap();
        results.push(
            json!({ "path": path, "iou": mean(&overlaps, &desktop), "desktop": mean(&desktop, &desktop) }),
        );
    }
    println!("RESULT {}", Value::Array(results));
}

/// What each camera of the matrix gave: for each model the path and the two figures.
fn camera_gives(os: &str, chip: &str, size: (u32, u32), variant: usize, files: (&Path, &Path)) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("{}::inner_camera", module_path!().split_once("::").unwrap().1);
    command.args(["--exact", &test, "--ignored", "--nocapture"]);
    command.env("SPOTTER_VDO", camera::vdo()).env("SPOTTER_SIM_DIR", folder.path());
    command.env("SPOTTER_SIM_OS", os).env("SPOTTER_SIM_CHIP", chip);
    command.env("SPOTTER_SIM_SIZE", format!("{}x{}", size.0, size.1));
    command.env("SPOTTER_SIM_SOURCE", files.0).env("MATRIX_DESKTOP", files.1);
    // Unknown keys ignored, refused, and refused where the camera says what it is.
    command.env("SPOTTER_SIM_UNKNOWN", if variant == 0 { "ignore" } else { "refuse" });
    if variant == 2 {
        let tool = folder.path().join("parhandclient");
        std::fs::write(&tool, format!("#!/bin/sh\necho root.Properties.Firmware.Version={os}.7\n")).unwrap();
        std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        command.env("PATH", format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap()));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let result = said.lines().find_map(|line| line.split_once("RESULT ").map(|(_, result)| result));
    let result = result
        .unwrap_or_else(|| panic!("{os} {chip} {size:?}: {said}{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(result).unwrap()
}

/// Of a sensor: its pictures as a file for the simulated camera, and what the desktop finds in them.
fn prepared(size: (u32, u32), folder: &Path) -> (PathBuf, PathBuf) {
    let pictures = pictures(size);
    let source = folder.join(format!("{}x{}.i420", size.0, size.1));
    let bytes: Vec<u8> = pictures.iter().flat_map(|(planes, _)| planes.iter().copied()).collect();
    std::fs::write(&source, bytes).unwrap();
    let mut eye = detector();
    let mut desktop = serde_json::Map::new();
    desktop.insert("truths".to_owned(), json!(pictures.iter().map(|(_, truths)| truths).collect::<Vec<_>>()));
    for (name, input, fit) in MODELS {
        let of = |(planes, truths): &(Vec<u8>, Truths)| {
            overlaps(truths, &found(&frame_of(planes, size), (input, fit, false), &mut eye))
        };
        desktop.insert(name.to_owned(), json!(pictures.iter().map(of).collect::<Vec<_>>()));
    }
    let whole: Vec<Vec<f64>> = serde_json::from_value(desktop[MODELS[0].0].clone()).unwrap();
    let squeezed = mean(&squeezed(&pictures, size, &mut eye), &whole);
    // What is measured tells a picture with bars from one without.
    assert!(squeezed < mean(&whole, &whole) - 0.2, "{squeezed}");
    let reference = folder.join(format!("{}x{}.json", size.0, size.1));
    std::fs::write(&reference, Value::Object(desktop).to_string()).unwrap();
    (source, reference)
}

/// What is found where a camera puts bars above and below the picture and nobody knows.
fn squeezed(pictures: &[(Vec<u8>, Truths)], size: (u32, u32), eye: &mut Detector) -> Vec<Vec<f64>> {
    let (width, height) = (size.0 as usize, size.1 as usize);
    let of = |(planes, truths): &(Vec<u8>, Truths)| {
        let mut barred = vec![16; width * width];
        barred.resize(width * width * 3 / 2, 128);
        let above = (width - height) / 4 * 2;
        barred[above * width..][..width * height].copy_from_slice(&planes[..width * height]);
        for plane in 0..2 {
            let (from, to) = (width * height * (4 + plane) / 4, width * width * (4 + plane) / 4);
            barred[to + above / 2 * width / 2..][..width * height / 4]
                .copy_from_slice(&planes[from..][..width * height / 4]);
        }
        let frame = frame_of(&barred, (size.0, size.0));
        overlaps(truths, &found(&frame, (MODELS[0].1, MODELS[0].2, false), eye))
    };
    pictures.iter().map(of).collect()
}

#[test]
fn boxes_are_right_on_every_axis_os_chip_and_sensor() {
    let folder = tempfile::tempdir().unwrap();
    camera::vdo();
    let files = SENSORS.map(|size| prepared(size, folder.path()));
    let mut cells = Vec::new();
    for (row, os) in OSES.into_iter().enumerate() {
        for (column, chip) in CHIPS.into_iter().enumerate() {
            for (sensor, size) in SENSORS.into_iter().enumerate() {
                cells.push((os, chip, sensor, size, (row + column + sensor) % 3));
            }
        }
    }
    // Some at a time: each waits for frames half of its time.
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((os, chip, sensor, size, variant)) =
                    cells.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let (source, reference) = &files[*sensor];
                    let result = camera_gives(os, chip, *size, *variant, (source, reference));
                    results.lock().unwrap().insert((*sensor, *chip, *os), result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    assert_eq!(results.len(), OSES.len() * CHIPS.len() * SENSORS.len());
    // Rows of docs/benchmarks.md: versions with the same path and figure are one.
    let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
    let mut wrong = Vec::new();
    for (sensor, size) in SENSORS.into_iter().enumerate() {
        for chip in CHIPS {
            for (index, (model, ..)) in MODELS.into_iter().enumerate() {
                for os in OSES {
                    let cell = &results[&(sensor, chip, os)][index];
                    let (iou, desktop) = (cell["iou"].as_f64().unwrap(), cell["desktop"].as_f64().unwrap());
                    let path = cell["path"].as_str().unwrap();
                    let row = format!(
                        "| {}×{} | {chip} | {model} | {path} | {iou:.3} | {desktop:.3} |",
                        size.0, size.1
                    );
                    if iou < desktop - WITHIN || !path.ends_with("the whole picture") {
                        wrong.push(format!("{os} {row}"));
                    }
                    match rows.last_mut() {
                        Some((last, oses)) if *last == row => oses.push(os),
                        _ => rows.push((row, vec![os])),
                    }
                }
            }
        }
    }
    for (row, oses) in &rows {
        let oses = if oses.len() == OSES.len() { "all".to_owned() } else { oses.join(", ") };
        crate::common::say(&format!("{row} {oses} |"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
