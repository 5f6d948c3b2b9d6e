//! The demo scene end to end: clips, evaluation, the page, and what happens without internet.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::process::{self, Finished, Running, http};
use crate::common::street::{self, truths};
use crate::common::{data, say};
use serde_json::{Value, json};
use spotter::capture::demo::bbox;
use spotter::capture::{self, Next, Pace, SourceSpec};
use spotter::demo::{CLASSES, Demo};
use spotter::eval::matching::Truth;
use spotter::preprocess::Preprocessor;
use spotter::vision::tensor::{DataType, TensorInfo};

const LIMIT: Duration = Duration::from_secs(120);
const SSD: &str = "ssd_mobilenet_v1_coco_quant_postprocess.tflite";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn spotter(arguments: &[&str]) -> Finished {
    process::run(arguments, LIMIT)
}

fn json_of(arguments: &[&str]) -> Value {
    let finished = spotter(arguments);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    serde_json::from_str(&finished.stdout).unwrap()
}

/// They name the proxy that a download asks.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The program on a machine of its own: nothing in its home but TensorFlow Lite, nobody reached over the
/// network.
fn offline(home: &Path, arguments: &[&str]) -> Command {
    let mut command = process::spotter();
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    command.envs(data.map(|data| ("XDG_DATA_HOME", data)));
    for name in PROXIES {
        command.env(name, "http://127.0.0.1:9");
    }
    for name in ["NO_PROXY", "no_proxy", "SPOTTER_MODELS", "XDG_CACHE_HOME", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    command.env("HOME", home).env("SPOTTER_STATE", home.join("state")).current_dir(home);
    command.args(arguments);
    command
}

fn detecting(running: &Running) -> Value {
    running.wait_until_detecting(LIMIT);
    running.http_get("/api/status").json()
}

#[test]
fn a_clip_shows_the_scene_and_its_truth_is_that_of_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, truth) = (folder.path().join("new/clip.mp4"), folder.path().join("truth.json"));
    let finished = spotter(&[
        "demo",
        "--save",
        text(&clip),
        "--truth",
        text(&truth),
        "--seconds",
        "2",
        "--fps",
        "30000/1001",
        "--size",
        "320x192",
        "--seed",
        "5",
    ]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let truth: Value = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
    assert_eq!(truth["categories"][4], json!({ "id": 5, "name": "dog" }));

    capture::gst_source::init().unwrap();
    let mut source = capture::open(&SourceSpec::File(clip.clone()), Pace::Unpaced).unwrap();
    let input = TensorInfo {
        name: "rgb".into(),
        shape: vec![1, 192, 320, 3],
        dtype: DataType::U8,
        quantisation: None,
    };
    let rgb = |frame: &spotter::vision::frame::Frame| {
        let mut rgb = vec![0; 320 * 192 * 3];
        Preprocessor::new(&input, spotter::vision::geometry::Fit::Stretch)
            .unwrap()
            .run(frame, &mut rgb)
            .unwrap();
        rgb
    };
    let mut demo = Demo::new(5, 320, 192);
    let (mut count, mut objects) = (0usize, 0);
    loop {
        match source.next(Duration::from_secs(5)).unwrap() {
            Next::Frame(frame) => {
                let time = Duration::from_nanos(1_000_000_000 * 1001 * count as u64 / 30000);
                let drawn = capture::demo::frame(&mut demo, time);
                // An encoder loses something, but shows the same moment.
                let (one, other) = (rgb(&frame), rgb(&drawn));
                let off: u64 = one.iter().zip(&other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                let off = off as f64 / one.len() as f64;
                assert!(off < 10.0, "frame {count} is {off} levels off");
                let image = &truth["images"][count];
                assert_eq!(
                    (&image["id"], &image["width"], &image["height"]),
                    (&json!(count), &json!(320), &json!(192))
                );
                assert!((image["time"].as_f64().unwrap() - time.as_secs_f64()).abs() < 1e-6);
                let written: Vec<&Value> = truth["annotations"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|annotation| annotation["image_id"] == count)
                    .collect();
                assert_eq!(written.len(), demo.truths().len(), "frame {count}");
                for (written, object) in written.iter().zip(demo.truths()) {
                    for (side, exact) in bbox(object, (320, 192)).into_iter().enumerate() {
                        // The reader of JSON may miss the last bit.
                        let side = written["bbox"][side].as_f64().unwrap();
                        assert!((side - exact).abs() < 1e-9, "{side}, not {exact}");
                    }
                    assert_eq!(written["category_id"], object.class + 1);
                    assert_eq!(written["iscrowd"], u8::from(object.ignored));
                    assert_eq!(written["figure"], object.figure);
                }
                objects += written.len();
                count += 1;
            }
            Next::Nothing | Next::Other => {}
            Next::End => break,
        }
    }
    assert_eq!((count, truth["images"].as_array().unwrap().len()), (60, 60));
    assert_eq!(truth["annotations"].as_array().unwrap().len(), objects);
    // What was written is what `spotter eval` reads.
    let annotations = serde_json::to_vec(&truth).unwrap();
    let read = spotter::eval::annotations::Annotations::parse(&annotations, "truth.json").unwrap();
    assert_eq!(
        (read.categories, read.truths.len(), read.strays),
        (CLASSES.map(str::to_owned).to_vec(), objects, 0)
    );
    assert_eq!(std::fs::read_dir(clip.parent().unwrap()).unwrap().count(), 1, "no part is left");
}

#[test]
fn every_container_is_written() {
    let folder = tempfile::tempdir().unwrap();
    capture::gst_source::init().unwrap();
    for name in ["a.mp4", "a.mkv", "a.WEBM", "ä b\"c.avi"] {
        let path = folder.path().join(name);
        let finished =
            spotter(&["demo", "--save", text(&path), "--seconds", "1", "--fps", "10", "--size", "66x64"]);
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        let mut source = capture::open(&SourceSpec::File(path), Pace::Unpaced).unwrap();
        let mut count = 0;
        loop {
            match source.next(Duration::from_secs(5)).unwrap() {
                Next::Frame(frame) => {
                    assert_eq!((frame.layout.width, frame.layout.height), (66, 64));
                    count += 1;
                }
                Next::Nothing | Next::Other => {}
                Next::End => break,
            }
        }
        assert_eq!(count, 10, "{name}");
    }
}

#[test]
fn nothing_half_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let (clip, set) = (folder.path().join("clip.mp4"), folder.path().join("set"));
    std::fs::create_dir(&set).unwrap();
    for arguments in [
        ["demo", "--save", text(&clip), "--seconds", "3600"],
        ["demo", "--dataset", text(&set), "--frames", "1000000"],
    ] {
        let mut command = process::spotter();
        command.args(arguments);
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        // Until it writes.
        while files() + std::fs::read_dir(&set).unwrap().count() < 2 {
            assert!(begun.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(20));
        }
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(8), "{arguments:?}");
        assert_eq!((files(), std::fs::read_dir(&set).unwrap().count()), (1, 0), "{arguments:?}");
    }
    // A clip that was there stays where the new one cannot be written.
    std::fs::write(&clip, "before").unwrap();
    let finished = spotter(&["demo", "--save", text(&clip), "--truth", "/proc/truth.json", "--seconds", "1"]);
    assert_eq!(finished.code, Some(8), "{finished:#?}");
    assert_eq!(std::fs::read(&clip).unwrap(), b"before");
    assert_eq!(files(), 2);
}

#[test]
fn what_cannot_be_meant_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| text(&folder.path().join(name)).to_owned();
    let (odd, list, clip) = (inside("a.mov"), inside("list.mp4"), inside("a.mp4"));
    std::fs::create_dir(&list).unwrap();
    let eval = ["eval", "--source", "demo"];
    for (arguments, code, said) in [
        (vec!["demo"], 2, "<--save <CLIP>|--dataset <DIR>>"),
        (
            vec!["demo", "--save", &odd],
            2,
            "a.mov is no clip that can be written; give .mp4, .mkv, .webm or .avi",
        ),
        (vec!["demo", "--save", "clip"], 2, "clip is no clip that can be written; give"),
        (
            vec!["demo", "--save", &clip, "--size", "65x64"],
            2,
            "a clip has even sides, and 65x64 has an odd one",
        ),
        (
            vec!["demo", "--save", &clip, "--size", "64"],
            2,
            "\"64\" is no size; write 1280x720, with sides of 64 to",
        ),
        (vec!["demo", "--save", &clip, "--fps", "0"], 2, "\"0\" is no frame rate"),
        (
            vec!["demo", "--save", &clip, "--seconds", "86400", "--fps", "240"],
            2,
            "a clip has at most 1000000",
        ),
        (vec!["demo", "--save", &list, "--seconds", "1"], 8, "list.mp4"),
        (vec!["demo", "--save", "/proc/no/a.mp4"], 8, "cannot write /proc/no/a.mp4"),
        (vec!["demo", "--save", &clip, "--dataset", "x"], 2, "cannot be used with"),
        (vec!["demo", "--save", &clip, "--frames", "3"], 2, "--dataset"),
        (vec!["demo", "--dataset", "x", "--fps", "3"], 2, "--save"),
        (
            vec!["demo", "--dataset", "x", "--fit", "crop"],
            2,
            "crop cuts off a part of the picture; use letterbox or",
        ),
        (vec!["demo", "--dataset", "/proc/no"], 8, "cannot write /proc/no/images.u8"),
        (
            vec!["run", "--source", "demo:speed=3"],
            2,
            "the demo scene has no setting \"speed=3\"; write demo:seed=7",
        ),
        (
            vec!["eval", "--source", "clip.mp4"],
            2,
            "of this source nobody knows what is in it; give demo, or --images",
        ),
        (
            [&eval[..], &["--images", "x"]].concat(),
            2,
            "'--source <demo>' cannot be used with '--images <DIR>'",
        ),
        ([&eval[..], &["--truth", "x"]].concat(), 2, "cannot be used with"),
        ([&eval[..], &["--frames", "0"]].concat(), 2, "0 is not in 1..=100000"),
        (
            vec!["eval", "--images", "x", "--annotations", "y", "--seed", "3"],
            2,
            "cannot be used with '--seed",
        ),
        (vec!["eval"], 2, "--images"),
    ] {
        let finished = spotter(&arguments);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {finished:#?}");
        let sentence = finished.stderr.lines().next().unwrap_or_default();
        assert!(finished.stderr.contains(said), "{arguments:?}: {}", finished.stderr);
        assert!(sentence.contains("error: "), "{sentence}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only what the test put there");
}

/// A model whose classes are among COCO's.
fn ssd() -> Option<PathBuf> {
    Some(data::shared_data()?.join("models").join(SSD))
}

#[test]
fn any_model_is_scored_and_twice_the_same() {
    let Some(model) = ssd() else { return };
    let run = |seed: &str, more: &[&str]| {
        let model = text(&model);
        let first = [
            "eval", "--source", "demo", "--frames", "14", "--size", "640x360", "--model", model, "--json",
            "--seed",
        ];
        let mut report = json_of(&[&first[..], &[seed], more].concat());
        report["seconds"] = Value::Null;
        report["ms_per_image"] = Value::Null;
        report
    };
    let report = run("3", &[]);
    assert_eq!(report, run("3", &[]), "the same seed, the same figures");
    assert_ne!(report["per_class"], run("4", &[])["per_class"]);
    assert!(report["truth"].as_str().unwrap().contains("the demo scene, seed 3, 640×360"), "{report:#}");
    assert_eq!(report["images"], 14);

    // The objects are those of these moments.
    let mut demo = Demo::new(3, 640, 360);
    let moments = (0..14).map(|image| (Duration::from_secs(3 * image as u64), image));
    let all: Vec<Truth> = moments.flat_map(|(time, image)| truths(&mut demo, time, image)).collect();
    let objects = all.iter().filter(|truth| !truth.crowd).count();
    let counted: u64 =
        report["per_class"].as_array().unwrap().iter().map(|class| class["objects"].as_u64().unwrap()).sum();
    assert_eq!(counted, objects as u64);
}

#[test]
fn the_demo_model_finds_what_is_there() {
    let report = json_of(&["eval", "--source", "demo", "--frames", "150", "--seed", "77", "--json"]);
    let figure = |name: &str| report[name].as_f64().unwrap();
    say(&format!("demo model: mAP {:.3}, at 0.50 {:.3}", figure("map"), figure("map50")));
    assert!(figure("map50") >= 0.90 && figure("map") >= 0.58, "{report:#}");
}

#[test]
fn what_runs_live_is_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    let arguments = ["--source", "demo:seed=9", "--conf", "0.05", "--output", text(&output)];
    let running = Running::start(arguments, LIMIT);
    let status = detecting(&running);
    assert_eq!(
        (&status["source"]["kind"], &status["source"]["name"], &status["model"]["scope"]),
        (&json!("demo"), &json!("demo scene"), &json!("demo"))
    );
    assert_eq!((&status["source"]["width"], &status["source"]["fps"]), (&json!(1280), &json!(25.0)));
    let inferred = || running.http_get("/api/status").json()["frames"]["inferred"].as_u64().unwrap();
    process::wait_until("120 frames were looked at", || inferred() >= 120);
    assert_eq!(running.stop(LIMIT).code, Some(0));
    let lines = std::fs::read_to_string(&output).unwrap();
    let (size, mut demo) = ((1280, 720), Demo::new(9, 1280, 720));
    let (mut all, mut founds) = (Vec::new(), Vec::new());
    // One in three is enough; each is another moment.
    for (image, line) in lines.lines().step_by(3).enumerate() {
        let frame = serde_json::from_str::<Value>(line).unwrap()["frame"].take();
        all.extend(truths(&mut demo, street::time(&frame), image));
        for object in frame["observations"].as_array().unwrap() {
            let class = &object["class"];
            founds.push(street::found(image, size, &class["type"], &class["score"], &object["bounding_box"]));
        }
    }
    let (precision, recall, objects) = street::at_half(&all, &founds);
    say(&format!("live: precision {precision:.3}, recall {recall:.3} of {objects} objects"));
    assert!(objects > 40 && precision > 0.8 && recall > 0.5, "{precision} {recall} {objects}");
}

#[test]
fn without_internet_the_demo_runs_and_says_what_it_is() {
    let home = tempfile::tempdir().unwrap();
    // Whoever downloads asks the proxy.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = offline(home.path(), &["run", "--listen", "127.0.0.1:0"]);
    for name in PROXIES {
        command.env(name, format!("http://{}", proxy.local_addr().unwrap()));
    }
    let running = Running::start_command(command, LIMIT);
    let status = detecting(&running);
    proxy.set_nonblocking(true).unwrap();
    assert_eq!(proxy.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "a download was tried");
    assert_eq!((&status["source"]["kind"], &status["model"]["scope"]), (&json!("demo"), &json!("demo")));
    assert!(running.http_get("/").text().contains("notices-list"));
    // A picture and its scene come.
    assert!(running.http_get("/api/scene").json()["frame"]["seq"].is_u64());

    // The page offers the others, with what each asks for.
    let list = running.http_get("/api/models").json();
    let named = |name: &str| {
        list["models"]
            .as_array()
            .unwrap()
            .iter()
            .find(|model| model["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let default = named("ssd-mobilenet-v2-coco");
    assert_eq!(default["here"], false);
    assert_eq!((&default["licence"], &default["accept_license"]), (&json!("Apache-2.0"), &Value::Null));
    assert_eq!(named("yolov5n-artpec8")["accept_license"], "AGPL-3.0");
    assert_eq!(
        (&named("spotter-demo")["here"], &named("spotter-demo")["scope"]),
        (&json!(true), &json!("demo"))
    );
    assert_eq!(named("ssd-mobilenet-v2-coco-edgetpu"), Value::Null, "it does not run here");
    // One of them cannot be had now; that is said, and the demo goes on.
    let body = br#"{"model": "ssd-mobilenet-v2-coco"}"#;
    let kind = [("Content-Type", "application/json")];
    let answer = http(&running.address, "POST", "/api/model", &kind, body).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(running.http_get("/api/status").json()["model"]["scope"], "demo");
    assert_eq!(running.stop(LIMIT).code, Some(0));

    // A choice that cannot be had any more is passed over.
    let state = home.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let choice = json!({ "schema": 1, "model": "ssd-mobilenet-v2-coco", "upload": null, "labels": null, "fit": null,
        "instead_of": null, "chosen_at": "2026-01-02T03:04:05.000Z" });
    std::fs::write(state.join("choice.json"), choice.to_string()).unwrap();
    let running = Running::start_command(offline(home.path(), &["run", "--listen", "127.0.0.1:0"]), LIMIT);
    assert_eq!(detecting(&running)["model"]["scope"], "demo");
    assert!(running.wait_for_line("the model chosen 2026-01-02T03:04:05.000Z is not used", LIMIT));
    running.stop(LIMIT);
}

/// What is said where there is no model for a clip and none can be had.
const NO_MODEL: &str = "there is no model for h264.mp4: cannot download ssd-mobilenet-v2-coco";

#[test]
fn without_internet_a_real_source_is_shown_and_takes_a_model() {
    let Some(clip) = data::h264_mp4() else { return };
    let home = tempfile::tempdir().unwrap();
    let arguments = ["run", "--listen", "127.0.0.1:0", "--source", text(&clip)];
    let running = Running::start_command(offline(home.path(), &arguments), LIMIT);
    // The picture is there, and nothing is found in it.
    let begun = Instant::now();
    let scene = loop {
        let answer = running.http_get("/api/scene");
        if answer.status == 200 && answer.json()["frame"]["seq"].as_u64().is_some_and(|seq| seq > 10) {
            break answer.json();
        }
        assert!(begun.elapsed() < LIMIT, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(scene["frame"]["observations"], json!([]));
    let status = running.http_get("/api/status").json();
    assert_eq!((&status["state"], &status["source"]["state"]), (&json!("no-model"), &json!("live")));
    assert_eq!(status["model"]["name"], Value::Null);
    let how = "ssd-mobilenet-v2-coco could not be downloaded; once there is internet, get it with: spotter models fetch \
               ssd-mobilenet-v2-coco";
    assert_eq!((&status["message"], &status["model"]["missing"]), (&json!(how), &json!(how)));
    assert_eq!(status["frames"]["inferred"], 0);
    for line in [NO_MODEL, how] {
        assert!(running.wait_for_line(line, LIMIT), "{line}");
    }
    assert_eq!(running.http_get("/healthz").json()["detecting"], false);
    assert_eq!(running.http_get("/api/model").json()["name"], Value::Null);
    // The default cannot be gone back to; that is said, and the picture goes on.
    assert_eq!(http(&running.address, "DELETE", "/api/model", &[], b"").unwrap().status, 503);
    assert_eq!(running.http_get("/api/status").json()["state"], "no-model");

    let body = br#"{"model": "spotter-demo"}"#;
    let kind = [("Content-Type", "application/json")];
    let answer = http(&running.address, "POST", "/api/model", &kind, body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let status = detecting(&running);
    assert_eq!((&status["state"], &status["message"]), (&json!("live"), &Value::Null));
    assert_eq!(status["model"]["scope"], "demo");
    assert_eq!(running.stop(LIMIT).code, Some(0));
}

#[test]
fn without_a_model_a_clip_is_not_played_once() {
    let Some(clip) = data::h264_mp4() else { return };
    let home = tempfile::tempdir().unwrap();
    let arguments = ["run", "--listen", "127.0.0.1:0", "--once", "--source", text(&clip)];
    let finished = process::run_command(offline(home.path(), &arguments), LIMIT);
    assert_eq!(finished.code, Some(7), "{finished:#?}");
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("error: ")).collect();
    assert_eq!(lines.len(), 1, "{finished:#?}");
    assert!(lines[0].contains(NO_MODEL), "{lines:?}");
}

#[test]
fn a_model_and_a_source_that_do_not_belong_together_are_told() {
    let (Some(model), Some(clip)) = (ssd(), data::h264_mp4()) else { return };
    let running = Running::start(["--source", "demo:size=320x192,fps=5", "--model", text(&model)], LIMIT);
    assert!(running.wait_for_line("is not made for drawn figures; --model spotter-demo knows those", LIMIT));
    assert_eq!(detecting(&running)["model"]["scope"], Value::Null);
    running.stop(LIMIT);
    let running = Running::start(["--source", text(&clip), "--model", "spotter-demo"], LIMIT);
    assert!(running.wait_for_line("knows the drawn figures of the demo scene only; choose another", LIMIT));
    running.stop(LIMIT);
}

#[test]
fn bench_takes_the_demo_scene() {
    let Some(model) = ssd() else { return };
    let report = json_of(&[
        "bench",
        "--source",
        "demo:size=320x192",
        "--seconds",
        "2",
        "--json",
        "--model",
        text(&model),
    ]);
    assert_eq!((&report["source"], &report["dropped"]), (&json!("demo:size=320x192"), &json!(0)));
    assert!(report["frames"].as_u64().unwrap() > 5, "{report:#}");
}
