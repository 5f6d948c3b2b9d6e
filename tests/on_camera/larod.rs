//! The real program on the simulated larod: each chip's results, refusals, compiling, and every fault.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::browser::Browser;
use crate::common::camera::{self, Bench};
use crate::common::camera_front::tflite;
use crate::common::process::{self, Finished, Running};
use crate::common::tflite_file::{ADD, DEQUANTIZE, Graph, LOGISTIC, MEAN, Type};
use crate::common::{once, say};
use serde_json::{Value, json};
use spotter::model::catalogue::Catalogue;

const LIMIT: Duration = Duration::from_secs(120);

const SSD: &str = "demo_ssd_mobilenet_v2.tflite";
const YOLO: &str = "demo_yolov5.tflite";
const FLOAT: &str = "demo_ssd_mobilenet_v2_float32.tflite";
const RAW: &str = "demo_ssd_mobilenet_v2_raw.tflite";

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

/// A clip of the drawn street: ten frames over two seconds.
fn clip() -> PathBuf {
    once::made("street-two-seconds.avi", |path| {
        let arguments =
            ["demo", "--seconds", "2", "--fps", "5", "--size", "640x360", "--seed", "7", "--save"];
        let arguments = arguments.map(String::from).into_iter().chain([path.display().to_string()]);
        let made = process::run(arguments, LIMIT);
        assert_eq!(made.code, Some(0), "{made:#?}");
    })
}

/// The program with a simulated camera of this chip.
fn on(chip: &str) -> Command {
    let mut command = process::spotter();
    command.env("SPOTTER_LAROD", camera::larod()).env("SPOTTER_SIM_CHIP", chip);
    command
}

fn detect(mut command: Command, backend: &str, model: &Path) -> Finished {
    command.args(["detect", "--conf", "0.3", "--backend", backend, "--model"]).arg(model).arg(clip());
    process::run_command(command, LIMIT)
}

fn lines(finished: &Finished) -> Vec<Value> {
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10, "{finished:#?}");
    lines
}

fn on_the_desktop(name: &str) -> Vec<Value> {
    let mut desktop = process::spotter();
    // The library that the simulated larod runs models with: LiteRT puts equal scores in another order.
    if let Some(library) = tflite() {
        desktop.env("SPOTTER_TFLITE", library);
    }
    let lines = lines(&detect(desktop, "tflite", &model(name)));
    let found: usize = lines.iter().map(|line| line["detections"].as_array().unwrap().len()).sum();
    assert!(found > 10, "{name} finds {found} objects: too few to compare anything");
    lines
}

fn edges(detection: &Value) -> [f64; 4] {
    ["left", "top", "right", "bottom"].map(|edge| detection["box"][edge].as_f64().unwrap())
}

fn iou(a: &Value, b: &Value) -> f64 {
    let ([al, at, ar, ab], [bl, bt, br, bb]) = (edges(a), edges(b));
    let both = (ar.min(br) - al.max(bl)).max(0.0) * (ab.min(bb) - at.max(bt)).max(0.0);
    both / ((ar - al) * (ab - at) + (br - bl) * (bb - bt) - both)
}

/// Every sure detection of the one side has its partner on the other: the worst score difference and overlap.
fn worst(ours: &[Value], theirs: &[Value], sure: f64) -> (f64, f64) {
    let (mut score_off, mut overlap) = (0.0f64, 1.0f64);
    for (one, other) in [(ours, theirs), (theirs, ours)] {
        for (a, b) in one.iter().zip(other) {
            for detection in a["detections"].as_array().unwrap() {
                let score = detection["score"].as_f64().unwrap();
                if score < sure {
                    continue;
                }
                let same =
                    b["detections"].as_array().unwrap().iter().filter(|d| d["label"] == detection["label"]);
                let partner = same.max_by(|x, y| iou(detection, x).total_cmp(&iou(detection, y)));
                let partner = partner.unwrap_or_else(|| panic!("{detection} has no partner in {b}"));
                score_off = score_off.max((partner["score"].as_f64().unwrap() - score).abs());
                overlap = overlap.min(iou(detection, partner));
            }
        }
    }
    (score_off, overlap)
}

/// The share of sure detections that are found on the other side too.
fn kept(ours: &[Value], theirs: &[Value]) -> f64 {
    let (mut all, mut found) = (0u32, 0u32);
    for (a, b) in ours.iter().zip(theirs) {
        for detection in a["detections"].as_array().unwrap() {
            let score = detection["score"].as_f64().unwrap();
            if score > 0.5 {
                all += 1;
                let is_same = |other: &Value| {
                    other["label"] == detection["label"]
                        && iou(detection, other) > 0.5
                        && (other["score"].as_f64().unwrap() - score).abs() < 0.1
                };
                found += u32::from(b["detections"].as_array().unwrap().iter().any(is_same));
            }
        }
    }
    assert!(all > 5, "{all} detections are too few to compare");
    f64::from(found) / f64::from(all)
}

#[test]
fn each_chips_results_are_those_of_the_desktop() {
    for name in [SSD, YOLO] {
        let desktop = on_the_desktop(name);
        for (chip, device) in [
            ("artpec7", "google-edge-tpu-tflite"),
            ("artpec8", "axis-a8-dlpu-tflite"),
            ("artpec8", "cpu-tflite"),
            ("cv25", "cpu-tflite"),
        ] {
            let backend = if device == "cpu-tflite" { "larod:cpu-tflite" } else { "auto" };
            let finished = detect(on(chip), backend, &model(name));
            assert_eq!(lines(&finished), desktop, "{name} on {chip}");
            let used = format!("backend  larod {device} (");
            assert!(finished.stderr.contains(&used), "{chip} used another device: {}", finished.stderr);
        }
        let finished = detect(on("artpec9"), "auto", &model(name));
        assert!(
            finished.stderr.contains("backend  larod a9-dlpu-tflite (accelerator of ARTPEC-9)"),
            "{}",
            finished.stderr
        );
        let noisy = lines(&finished);
        assert_ne!(noisy, desktop, "ARTPEC-9 is not the processor to the bit");
        if name == SSD {
            let (score, overlap) = worst(&desktop, &noisy, 0.45);
            say(&format!("{name} on ARTPEC-9: scores within {score:.4}, overlaps at least {overlap:.3}"));
            assert!(score < 0.01 && overlap > 0.7, "{score} {overlap}");
        } else {
            // A step in one of YOLO's numbers lets suppression keep another of two boxes that are alike.
            let kept = kept(&desktop, &noisy);
            say(&format!("{name} on ARTPEC-9: {:.0} % of the sure boxes are there", 100.0 * kept));
            assert!(kept > 0.9, "{kept}");
        }
    }
}

#[test]
fn cv25_takes_planes_and_gives_padded_rows_that_are_decoded_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = camera::cv25_model(folder.path());
    let desktop = on_the_desktop(RAW);
    let finished = detect(on("cv25"), "auto", &path);
    assert!(
        finished.stderr.contains("backend  larod ambarella-cvflow (accelerator of CV25)"),
        "{}",
        finished.stderr
    );
    let (score, overlap) = worst(&desktop, &lines(&finished), 0.31);
    say(&format!("CV25: scores within {score:.4}, overlaps at least {overlap:.3}"));
    assert!(score <= 0.02 && overlap >= 0.9, "{score} {overlap}");
    // It runs nowhere else.
    let refused = detect(on("artpec8"), "auto", &path);
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("none of the devices is for such a model: cpu-tflite, axis-ace-proc"));
    let refused = detect(process::spotter(), "tflite", &path);
    assert!(refused.stderr.contains("is compiled for Ambarella CV25"), "{refused:#?}");
}

/// A raw SSD as SSD MobileNet v2 has it for CV25: 300×300, 1917 boxes, background and 90 classes. Its objects stand
/// still; their scores are those of the picture's brightness.
fn ssd_1917_by_91() -> Vec<u8> {
    const ROWS: i32 = 1917;
    const COLUMNS: i32 = 91;
    let floats = |values: Vec<f32>| values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    let mut logits = vec![-9.0f32; (ROWS * COLUMNS) as usize];
    let mut codes = vec![0.0f32; (ROWS * 4) as usize];
    // Grids of 19 × 19 × 3, 10 × 10 × 6, 5 × 5 × 6 and so on: some of each, and the very last.
    for (number, row) in
        [40usize, 500, 1000, 1083, 1300, 1683, 1700, 1833, 1900, 1916].into_iter().enumerate()
    {
        // Of the last column too; once the background is surest, which is nothing.
        let class = [1, 3, 18, 90, 62, 44, 0, 2, 17, 88][number];
        logits[row * 91 + class] = 0.2 * number as f32 - 0.9;
        for (place, code) in codes[4 * row..4 * row + 4].iter_mut().enumerate() {
            *code = [0.8, -1.1, 0.6, -0.4][place] * (1.0 + 0.1 * number as f32);
        }
    }
    let mut graph = Graph::default();
    let input = graph.tensor("image", &[1, 300, 300, 3], Type::U8, Some((1.0 / 128.0, 0)), vec![]);
    let picture = graph.tensor("picture", &[1, 300, 300, 3], Type::F32, None, vec![]);
    graph.operator(DEQUANTIZE, &[input], &[picture]);
    let axes = graph.tensor("axes", &[3], Type::I32, None, [1i32, 2, 3].map(i32::to_le_bytes).concat());
    let brightness = graph.tensor("brightness", &[1], Type::F32, None, vec![]);
    graph.operator(MEAN, &[picture, axes], &[brightness]);
    let made = graph.tensor("logits", &[1, ROWS, COLUMNS], Type::F32, None, floats(logits));
    let lit = graph.tensor("lit", &[1, ROWS, COLUMNS], Type::F32, None, vec![]);
    graph.operator(ADD, &[made, brightness], &[lit]);
    let scores = graph.tensor("scores", &[1, ROWS, COLUMNS], Type::F32, None, vec![]);
    graph.operator(LOGISTIC, &[lit], &[scores]);
    let made = graph.tensor("codes", &[1, ROWS, 4], Type::F32, None, floats(codes));
    let none = graph.tensor("none", &[1], Type::F32, None, vec![0; 4]);
    let boxes = graph.tensor("boxes", &[1, ROWS, 4], Type::F32, None, vec![]);
    graph.operator(ADD, &[made, none], &[boxes]);
    graph.finish(&[input], &[boxes, scores])
}

#[test]
fn a_raw_head_of_1917_by_91_on_cv25_gives_what_the_desktop_does() {
    let folder = tempfile::tempdir().unwrap();
    let twin = ssd_1917_by_91();
    let model = folder.path().join("raw.tflite");
    std::fs::write(&model, &twin).unwrap();
    let desktop = lines(&detect(process::spotter(), "tflite", &model));
    let seen: Vec<usize> = desktop.iter().map(|line| line["detections"].as_array().unwrap().len()).collect();
    assert!(seen.iter().all(|seen| (7..=9).contains(seen)), "the background is none of them: {seen:?}");
    let labels: Vec<&Value> =
        desktop[0]["detections"].as_array().unwrap().iter().map(|found| &found["label"]).collect();
    assert!(labels.contains(&&json!("toothbrush")), "the last class has its name: {labels:?}");

    // The description is the one that Spotter makes of the catalogue's entry.
    let entry = Catalogue::embedded().get("ssd-mobilenet-v2-coco-cv25").unwrap();
    let description = serde_json::to_string(&entry.description().unwrap()).unwrap();
    let compiled = folder.path().join("raw.bin");
    std::fs::write(&compiled, [b"SPOTTER-SIM-CV25".as_slice(), &twin].concat()).unwrap();
    std::fs::write(folder.path().join("raw.json"), description).unwrap();
    for rows in ["padded", "packed"] {
        let mut command = on("cv25");
        command.env("SPOTTER_SIM_CV25_ROWS", rows);
        let finished = detect(command, "auto", &compiled);
        assert!(finished.stderr.contains("backend  larod ambarella-cvflow"), "{}", finished.stderr);
        let (score, overlap) = worst(&desktop, &lines(&finished), 0.305);
        say(&format!(
            "1917×91 on CV25, rows {rows}: scores within {score:.5}, overlaps at least {overlap:.4}"
        ));
        assert!(score < 0.004 && overlap > 0.999, "{rows}: {score} {overlap}");
    }
}

#[test]
fn a_model_for_cv25_is_sent_with_its_description_and_is_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let compiled = camera::cv25_model(folder.path());
    let (model, description) =
        (std::fs::read(&compiled).unwrap(), std::fs::read(compiled.with_extension("json")).unwrap());
    let start = || {
        let mut command = on("cv25");
        command.args(["run", "--source", "demo:size=640x360,fps=10", "--listen", "127.0.0.1:0"]);
        command.env("SPOTTER_STATE", folder.path().join("state"));
        Running::start_command(command, LIMIT)
    };
    let send = |running: &Running, parts: &[(&str, &str, &[u8])]| {
        let mut body = Vec::new();
        for (field, file, data) in parts {
            let head = format!(
                "--line\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file}\"\r\n\r\n"
            );
            body.extend([head.as_bytes(), data, b"\r\n"].concat());
        }
        body.extend(b"--line--\r\n");
        let kind = [("Content-Type", "multipart/form-data; boundary=line")];
        process::http(&running.address, "POST", "/api/v1/model", &kind, &body).unwrap()
    };
    let running = start();
    wait_until_detecting(&running, LIMIT);
    let before = running.http_get("/api/v1/model").json()["name"].clone();
    let other = String::from_utf8_lossy(&description).replace("3780, 6", "3780, 7");
    for (parts, why) in [
        (&[("model", "street.bin", &model[..])][..], "send its description, street.json, along with it"),
        (&[("description", "street.json", &description[..])][..], "send the .bin file that it describes"),
        (
            &[("model", "street.bin", &model[..]), ("description", "street.json", b"{}".as_slice())][..],
            "the description of street.bin does not describe a model",
        ),
        (
            &[("model", "street.bin", &model[..]), ("description", "street.json", other.as_bytes())][..],
            "on the device",
        ),
    ] {
        let answer = send(&running, parts);
        assert!(
            (400..=503).contains(&answer.status) && answer.text().contains(why),
            "{why}: {}",
            answer.text()
        );
        assert_eq!(running.http_get("/api/v1/model").json()["name"], before, "{why}");
    }
    let answer =
        send(&running, &[("description", "about.json", &description), ("model", "street.bin", &model)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let check = |running: &Running| {
        wait_until_detecting(running, LIMIT);
        let now = running.http_get("/api/v1/model").json();
        assert_eq!((&now["name"], &now["classes"]), (&json!("street.bin"), &json!(5)), "{now}");
        assert!(now["backend"]["name"].as_str().unwrap().contains("ambarella-cvflow"), "{now}");
    };
    check(&running);
    let kept: Vec<PathBuf> = std::fs::read_dir(folder.path().join("state/models"))
        .unwrap()
        .flat_map(|upload| std::fs::read_dir(upload.unwrap().path()).unwrap())
        .map(|file| file.unwrap().file_name().into())
        .collect();
    assert!(kept.contains(&"street.bin".into()) && kept.contains(&"street.json".into()), "{kept:?}");
    running.stop(LIMIT);
    let again = start();
    check(&again);
    again.stop(LIMIT);
}

#[test]
fn the_page_takes_a_model_for_cv25_with_its_description() {
    let folder = tempfile::tempdir().unwrap();
    let compiled = camera::cv25_model(folder.path());
    let description = compiled.with_extension("json");
    let Some(mut browser) = Browser::launch() else { return };
    let mut command = on("cv25");
    command.args(["run", "--source", "demo:size=640x360,fps=10", "--listen", "127.0.0.1:0"]);
    command.env("SPOTTER_STATE", folder.path().join("state"));
    let running = Running::start_command(command, LIMIT);
    wait_until_detecting(&running, LIMIT);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 2", LIMIT);
    browser.eval("document.querySelector('#models-open').click()");
    browser.wait_for("!document.getElementById('models-file').disabled", LIMIT);
    let mut choose = |files: &[&Path], says: &str| {
        let root = browser.call("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
        let field = json!({ "nodeId": root, "selector": "#models-file" });
        let node = browser.call("DOM.querySelector", field)["nodeId"].clone();
        browser.call("DOM.setFileInputFiles", json!({ "nodeId": node, "files": files }));
        let said = "document.querySelector('#models-said').textContent";
        browser.wait_for(&format!("{said}.includes({})", json!(says)), LIMIT);
    };
    // One file at a time, as a phone gives them, in either order.
    choose(
        &[&compiled],
        "street.bin is compiled and does not say what it takes and gives: choose its description",
    );
    choose(&[&description], "street.bin runs.");
    assert_eq!(running.http_get("/api/v1/model").json()["name"], "street.bin");
    choose(&[&description], "street.json is a description: choose the .bin file that it describes too.");
    choose(&[&compiled], "street.bin runs.");
    // Together; and what does not belong here.
    choose(&[&model(SSD), &compiled], "These are several models; choose one.");
    choose(&[&model(SSD), &description], "leave its description out");
    choose(&[&compiled, &description], "street.bin runs.");
    if let Some(folder) = std::env::var_os("SPOTTER_SCREENSHOTS") {
        for (name, width, dark) in [("upload-desktop-dark", 1280, true), ("upload-phone", 390, false)] {
            browser.set_viewport(width, 1000, 1.0, dark);
            browser.screenshot(&Path::new(&folder).join(format!("{name}.png")));
        }
    }
    // The one that was refused is in the browser's own log.
    assert_eq!(browser.console_problems().iter().filter(|line| !line.contains("400")).count(), 0);
    running.stop(LIMIT);
}

#[test]
fn what_a_device_refuses_goes_to_the_next_or_is_said() {
    let refused = detect(on("artpec8"), "larod:axis-a8-dlpu-tflite", &model(FLOAT));
    assert_eq!(refused.code, Some(4), "{refused:#?}");
    let says = "larod cannot load the model on axis-a8-dlpu-tflite: the device does not take this model";
    assert!(refused.stderr.contains(says), "{refused:#?}");

    let taken = detect(on("artpec8"), "auto", &model(FLOAT));
    assert!(taken.stderr.contains("is not fully integer); trying the next device"), "{taken:#?}");
    assert_eq!(lines(&taken), on_the_desktop(FLOAT));

    let none = detect(on("artpec8"), "larod:a8-dlpu-tflite", &model(SSD));
    assert_eq!(none.code, Some(5), "{none:#?}");
    assert!(
        none.stderr.contains("there is no such device (-9: this camera has cpu-tflite, axis-ace-proc"),
        "{none:#?}"
    );

    let mut desktop = process::spotter();
    desktop.env("SPOTTER_LAROD", "/nowhere/liblarod.so.1");
    let none = detect(desktop, "larod", &model(SSD));
    assert_eq!(none.code, Some(5), "{none:#?}");
    assert!(
        none.stderr.contains("there is no liblarod.so.1 here, so larod cannot run the model"),
        "{none:#?}"
    );
}

/// Starts `spotter run` on the drawn street with a simulated ARTPEC-8.
fn start(bench: &Bench, more: &[(&str, &str)]) -> Running {
    let mut command = on("artpec8");
    command.args(["run", "--source", "demo:size=640x360,fps=10", "--listen", "127.0.0.1:0"]);
    command.env("SPOTTER_SIM_DIR", bench.path()).env("SPOTTER_STATE", bench.path().join("state"));
    for (key, value) in more {
        command.env(key, value);
    }
    Running::start_command(command, LIMIT)
}

/// Waits for a status; panics with the last one where it does not come.
fn wait_for(running: &Running, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = running.http_get("/api/status").json();
        if wanted(&status) {
            return status;
        }
        assert!(begun.elapsed() < limit, "no {what} within {limit:?}: {status:#}\n{:#?}", running.lines());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn count(status: &Value, of: &str) -> u64 {
    status["frames"][of].as_u64().unwrap()
}

/// Waits until frames go through the model again.
fn wait_until_detecting(running: &Running, limit: Duration) {
    let before = count(&running.http_get("/api/status").json(), "inferred");
    wait_for(running, "detection", limit, |status| {
        status["state"] == "live" && count(status, "inferred") > before + 2
    });
    assert_eq!(running.http_get("/healthz").json()["detecting"], true);
}

#[test]
fn the_page_is_there_while_the_model_compiles() {
    let bench = Bench::new();
    let slow = [("SPOTTER_SIM_LOAD_MS", "3000")];
    let running = start(&bench, &slow);
    let status = wait_for(&running, "compiling", LIMIT, |status| {
        status["state"] == "compiling"
            && status["message"].as_str().is_some_and(|m| m.contains("axis-a8-dlpu-tflite"))
    });
    let says = "compiling the model for axis-a8-dlpu-tflite; the first time this may take 5 minutes";
    assert_eq!(status["message"], says);
    let health = running.http_get("/healthz").json();
    assert_eq!((&health["state"], &health["detecting"]), (&json!("compiling"), &json!(false)));
    // Pictures come meanwhile, without detections.
    let first = running.http_get("/api/scene?after=0&timeout_ms=5000").json();
    assert_eq!(first["frame"]["observations"], json!([]));
    assert_eq!(count(&running.http_get("/api/status").json(), "inferred"), 0);
    wait_until_detecting(&running, LIMIT);
    let status = running.http_get("/api/status").json();
    assert_eq!(status["backend"]["name"], "larod axis-a8-dlpu-tflite");
    assert_eq!(status["backend"]["detail"], "accelerator of ARTPEC-8");
    assert_eq!(status["backend"]["chip"], "artpec8");
    // Frames of a drawn scene are in no memory that larod can read.
    assert_eq!(status["frames"]["copied"], status["frames"]["inferred"]);
    running.stop(LIMIT);

    // What was compiled once is loaded at once.
    let begun = Instant::now();
    let running = start(&bench, &[("SPOTTER_SIM_LOAD_MS", "60000")]);
    wait_until_detecting(&running, Duration::from_secs(50));
    say(&format!("a compiled model detects {:.1} s after the start", begun.elapsed().as_secs_f64()));
    running.stop(LIMIT);
}

/// Injects faults one after the other: each is said, the picture goes on, and detection comes back by itself.
fn survive(faults: &[(&str, &str)]) {
    let bench = Bench::new();
    let running = start(&bench, &[]);
    wait_until_detecting(&running, LIMIT);
    for (fault, says) in faults {
        bench.faults("larod restart");
        if !fault.ends_with("run") {
            // A fault of loading shows when the service comes back.
            wait_for(&running, fault, LIMIT, |status| status["state"] == "backend-failed");
        }
        bench.faults(fault);
        let status = wait_for(&running, says, LIMIT, |status| {
            status["message"].as_str().is_some_and(|message| message.contains(says))
        });
        let health = running.http_get("/healthz");
        assert_eq!((health.status, &health.json()["detecting"]), (200, &json!(false)), "{fault}");
        // The picture goes on.
        wait_for(&running, "picture", LIMIT, |now| count(now, "captured") > count(&status, "captured") + 5);
        bench.faults("");
        let ended = Instant::now();
        wait_until_detecting(&running, LIMIT);
        say(&format!("{fault}: detecting again after {:.1} s", ended.elapsed().as_secs_f64()));
    }
    assert_eq!(running.stop(LIMIT).code, Some(0));
}

#[test]
fn every_fault_at_a_run_is_said_and_survived() {
    survive(&[
        ("larod power run", "the camera has no power for its accelerator now"),
        ("larod crash run", "the connection to the larod service broke off"),
        ("larod job run", "the job failed"),
        ("larod hang run", "the larod service has not answered for"),
    ]);
}

#[test]
fn every_fault_at_a_load_is_said_and_survived() {
    survive(&[
        ("larod restart", "the larod service cannot be reached"),
        ("larod power load", "the camera has no power for its accelerator now"),
        ("larod crash load", "the connection to the larod service broke off"),
        ("larod hang load", "compiling the model for axis-a8-dlpu-tflite"),
        ("larod hang connect", "connecting to the larod service"),
    ]);
}

#[test]
fn a_fault_from_the_start_on_is_no_end() {
    let bench = Bench::new();
    bench.faults("larod restart");
    let running = start(&bench, &[]);
    wait_for(&running, "words", LIMIT, |status| {
        status["message"]
            .as_str()
            .is_some_and(|message| message.contains("the larod service cannot be reached"))
    });
    bench.faults("");
    wait_until_detecting(&running, LIMIT);
    running.stop(LIMIT);
}
