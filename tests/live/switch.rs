//! Other models at run time: the real program, real models, files that break TensorFlow Lite.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::common::process::{self, Response, Running, http};
use crate::common::{data, say};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
const SSD: &str = "ssd_mobilenet_v1_coco_quant_postprocess.tflite";
const VOC: &str = "ssdlite_mobilenet_v2_voc_intquant_postprocess.tflite";
const YOLO: &str = "yolov5n_artpec8_coco_640.tflite";

fn models() -> Option<PathBuf> {
    Some(data::shared_data()?.join("models"))
}

/// Starts `spotter run` on the test picture with its own state folder, and waits until it detects.
fn start(state: &Path, arguments: &[&str]) -> Running {
    let mut command = process::spotter();
    command.args(["run", "--source", "test", "--listen", "127.0.0.1:0"]).args(arguments);
    command.env("SPOTTER_STATE", state);
    let running = Running::start_command(command, LIMIT);
    running.wait_until_detecting(LIMIT);
    running
}

fn request(running: &Running, method: &str, query: &str, kind: &str, body: &[u8]) -> Response {
    let path = format!("/api/model{query}");
    http(&running.address, method, &path, &[("Content-Type", kind)], body).unwrap()
}

fn upload(running: &Running, name: &str, model: &[u8]) -> Response {
    request(running, "POST", &format!("?name={name}"), "application/octet-stream", model)
}

fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, file, data) in parts {
        let head = format!(
            "--line\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend([head.as_bytes(), data, b"\r\n"].concat());
    }
    body.extend(b"--line--\r\n");
    body
}

fn running_model(running: &Running) -> String {
    running.http_get("/api/status").json()["model"]["name"].as_str().unwrap().to_owned()
}

/// Waits for a scene that was made after now.
fn next_scene(running: &Running) -> Value {
    let last = running.http_get("/api/scene").json()["frame"]["seq"].as_u64().unwrap();
    running.http_get(&format!("/api/scene?after={}&timeout_ms=20000", last + 1)).json()
}

#[test]
fn models_change_between_two_frames_and_the_choice_survives() {
    let Some(models) = models() else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let first = models.join(SSD);
    let scenes = folder.path().join("scenes.jsonl");
    let arguments = ["--model", first.to_str().unwrap(), "--output", scenes.to_str().unwrap()];
    let running = start(&state, &arguments);
    assert_eq!(running.http_get("/api/model").json()["chosen_at"], Value::Null);

    // A form with a label file, as a browser or `curl -F` sends it.
    let labels: String = (0..20).map(|n| format!("thing {n}\n")).collect();
    let voc = std::fs::read(models.join(VOC)).unwrap();
    let body = form(&[("model", "mine.tflite", &voc), ("labels", "l.txt", labels.as_bytes())]);
    let answer = request(&running, "POST", "", "multipart/form-data; boundary=line", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let model = answer.json();
    assert_eq!((&model["name"], &model["classes"]), (&json!("mine.tflite"), &json!(20)));
    assert!(model["labels"].as_str().unwrap().ends_with("labels.txt"), "{model}");
    assert_eq!(running_model(&running), "mine.tflite");
    next_scene(&running);

    // The plain file.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
    let begun = Instant::now();
    let answer = upload(&running, "y.tflite", &std::fs::read(models.join(YOLO)).unwrap());
    let took = begun.elapsed();
    assert_eq!((answer.status, running_model(&running).as_str()), (200, "y.tflite"), "{}", answer.text());
    assert_eq!(answer.json()["fit"], "letterbox");
    next_scene(&running);
    assert!(!running.http_get("/api/status").json()["frames"]["inferred"].is_null());
    assert_eq!(running.stop(LIMIT).code, Some(0));

    // The model before looks at frames while the next one is loaded: no time between two scenes is as long as that.
    let captured: Vec<f64> = std::fs::read_to_string(&scenes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["frame"]["captured_ms"].as_f64().unwrap())
        .collect();
    let during = |pair: &&[f64]| pair[1] >= since && pair[0] <= since + took.as_secs_f64() * 1e3;
    let gap = captured.windows(2).filter(during).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    say(&format!("switching to {YOLO} took {took:.0?}; the longest time between two scenes was {gap:.0} ms"));
    let four_frames = 4e3 / 25.0;
    assert!(gap < 0.5 * took.as_secs_f64() * 1e3 + four_frames, "the picture stood for {gap} ms of {took:?}");

    // Started the same way, the choice holds; without any --model too; another --model is newer.
    let again = start(&state, &arguments[..2]);
    assert_eq!(running_model(&again), "y.tflite");
    assert!(again.http_get("/api/model").json()["chosen_at"].is_string());
    again.stop(LIMIT);
    let again = start(&state, &[]);
    assert_eq!(running_model(&again), "y.tflite");
    // Back to the model of the command line, which is the default that is not here: nothing changes.
    assert_eq!(request(&again, "DELETE", "", "", b"").status, 503);
    assert_eq!(running_model(&again), "y.tflite");
    again.stop(LIMIT);
    let other = models.join(VOC);
    let again = start(&state, &["--model", other.to_str().unwrap()]);
    assert_eq!(running_model(&again), VOC);
    again.stop(LIMIT);
    let again = start(&state, &arguments[..2]);
    assert_eq!(running_model(&again), "y.tflite");
    assert_eq!(request(&again, "DELETE", "", "", b"").json()["name"], SSD);
    again.stop(LIMIT);
    let again = start(&state, &arguments[..2]);
    assert_eq!(running_model(&again), SSD);
    assert_eq!(std::fs::read_dir(state.join("models")).unwrap().count(), 0, "uploads are removed");
    again.stop(LIMIT);
}

#[test]
fn what_cannot_run_changes_nothing_and_ends_nothing() {
    let Some(models) = models() else { return };
    let folder = tempfile::tempdir().unwrap();
    let first = models.join(SSD);
    let running = start(folder.path(), &["--model", first.to_str().unwrap()]);
    let read = |name: &str| std::fs::read(models.join(name)).unwrap();
    let with_zero_at = |name: &str, at: usize| {
        let mut bytes = read(name);
        assert_ne!(bytes[at], 0);
        bytes[at] = 0;
        bytes
    };
    let refused = |status: u16, why: &str, answer: Response| {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(why), "{detail} <> {why}");
        assert_eq!(running_model(&running), SSD);
    };
    // Each of these ends the process that runs it by another signal: out-of-bounds memory, a division by
    // zero, an assertion.
    for (name, at) in [(SSD, 4_181_200), (VOC, 4_119_008), (YOLO, 2_089_836)] {
        refused(400, "makes TensorFlow Lite break down", upload(&running, "b", &with_zero_at(name, at)));
    }
    let lstm = read("negative/automl_video_traffic_lstm_postprocess.tflite");
    refused(400, "has 3 inputs", upload(&running, "l", &lstm));
    let edge = read("edgetpu/mobilenet_v1_0.25_128_quant_edgetpu.tflite");
    refused(400, "needs an Edge TPU", upload(&running, "e", &edge));
    refused(400, "not a TensorFlow Lite model", upload(&running, "t", b"hello, I am text"));
    refused(400, "nothing was sent", upload(&running, "n", b""));
    refused(400, "is damaged", upload(&running, "c", &read(SSD)[..1_000_000]));
    let kind = "multipart/form-data; boundary=line";
    let body = form(&[("model", "m.tflite", &read(VOC)), ("labels", "l.txt", b"cat\ndog\n")]);
    refused(400, "has 2 labels, but the model has 20 classes", request(&running, "POST", "", kind, &body));
    let body = form(&[("model", "m.tflite", &read(VOC)), ("labels", "l.txt", b"\xff\xfe")]);
    refused(400, "is no UTF-8", request(&running, "POST", "", kind, &body));
    let post = |text: &str| request(&running, "POST", "", "application/json", text.as_bytes());
    refused(404, "no catalogue model", post(r#"{"model": "no-such-model"}"#));
    refused(404, "no catalogue model", post(&json!({ "model": first }).to_string()));
    refused(400, "send accept_license: \"AGPL-3.0\"", post(r#"{"model": "yolov5s-artpec8"}"#));
    refused(400, "no JSON", post("{"));
    refused(405, "GET, HEAD, POST, DELETE", request(&running, "PUT", "", "", b""));
    // Another site's page may not, even where its form is right.
    let foreign = [("Content-Type", "application/octet-stream"), ("Origin", "http://evil.example")];
    let answer = http(&running.address, "POST", "/api/model", &foreign, &read(VOC)).unwrap();
    refused(403, "another web site", answer);
    // What was stored for these attempts is gone, and detection goes on.
    assert_eq!(std::fs::read_dir(folder.path().join("models")).unwrap().count(), 0);
    assert!(!folder.path().join("choice.json").exists());
    next_scene(&running);
    assert_eq!(running.stop(LIMIT).code, Some(0));
}

#[test]
fn an_upload_that_is_too_large_is_refused_early() {
    let Some(models) = models() else { return };
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &["--model", models.join(SSD).to_str().unwrap()]);
    let answer = upload(&running, "large", &vec![0; (100 << 20) + 1]);
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("larger than 100 MiB"), "{}", answer.text());
    next_scene(&running);
    running.stop(LIMIT);
}

#[test]
fn a_choice_that_cannot_be_kept_still_runs() {
    let Some(models) = models() else { return };
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be: nothing can be stored there, as on a full disk.
    let state = folder.path().join("state");
    std::fs::write(&state, "").unwrap();
    let running = start(&state, &["--model", models.join(SSD).to_str().unwrap()]);
    let answer = upload(&running, "v", &std::fs::read(models.join(VOC)).unwrap());
    assert_eq!(answer.status, 500, "an upload must be stored to be tried");
    assert!(answer.text().contains("check the disk's space and permissions"), "{}", answer.text());
    assert_eq!(running_model(&running), SSD);
    running.stop(LIMIT);
}

#[test]
fn only_two_uploads_are_held_in_memory() {
    use std::io::{Read, Write};
    let Some(models) = models() else { return };
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &["--model", models.join(SSD).to_str().unwrap()]);
    // The server asks for the body once the upload has its place: else a later one could take it first.
    let begin = || {
        let mut stream = std::net::TcpStream::connect(&running.address).unwrap();
        let head = format!(
            "POST /api/model HTTP/1.1\r\nHost: {}\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n",
            running.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        stream.write_all(&[0; 100_000]).unwrap();
        stream
    };
    let slow = [begin(), begin()];
    let ask = || upload(&running, "x", b"no model");
    let third = ask();
    assert_eq!(third.status, 503, "{}", third.text());
    assert!(third.text().contains("other models are being sent"));
    // Those that go away make room.
    drop(slow);
    let begun = Instant::now();
    while ask().status != 400 {
        assert!(begun.elapsed() < LIMIT, "the places of uploads that were cut off stay taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.stop(LIMIT);
}
