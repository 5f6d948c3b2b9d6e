//! The interface of version 1 on the real program: every address as `openapi.json` describes it, metrics, statistics,
//! snapshots, the log, the support bundle, and the output file.

pub mod document;
mod prometheus;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::process::{self, Response, Running, http};
use crate::common::{say, skip};
use document::{Document, Operation};
use prometheus::{Families, value_of};
use serde_json::{Value, json};
use spotter::capture::{self, Next, Pace, SourceSpec};
use spotter::demo::CLASSES;
use spotter::model::format::zip;
use spotter::preprocess::Preprocessor;
use spotter::vision::tensor::{DataType, TensorInfo};

const LIMIT: Duration = Duration::from_secs(120);
/// Small and slow, so that several tests can run side by side.
const SCENE: &str = "demo:seed=3,size=640x360,fps=8";

fn start(state: &Path, source: &str, more: &[&str]) -> Running {
    let mut command = process::spotter();
    command
        .args(["run", "--source", source, "--model", "spotter-demo", "--listen", "127.0.0.1:0"])
        .args(more);
    command.env("SPOTTER_STATE", state);
    Running::start_command(command, LIMIT)
}

/// Waits until `done` of what `/api/v1/status` says.
fn wait(running: &Running, done: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = running.http_get("/api/v1/status").json();
        if done(&status) {
            return status;
        }
        assert!(begun.elapsed() < LIMIT, "{status:#}\n{:#?}", running.lines());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn detecting(state: &Path, source: &str, more: &[&str]) -> Running {
    let running = start(state, source, more);
    wait(&running, |status| status["frames"]["inferred"].as_u64() > Some(2));
    running
}

fn send(running: &Running, method: &str, path: &str, kind: &str, body: &[u8]) -> Response {
    http(&running.address, method, path, &[("Content-Type", kind)], body).unwrap()
}

fn problem(answer: &Response, status: u16, why: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")));
    let body = answer.json();
    assert_eq!(body["status"], status);
    assert!(body["detail"].as_str().unwrap().contains(why), "{body}");
}

/// What a stream begins with: its head.
fn head_of_stream(running: &Running, path: &str) -> String {
    let bytes = process::stream(&running.address, path, 300);
    String::from_utf8_lossy(&bytes).split("\r\n\r\n").next().unwrap().to_owned()
}

fn is_stream(operation: &Operation<'_>) -> bool {
    operation.value["operationId"].as_str().unwrap().starts_with("stream")
}

#[test]
fn strangers_are_answered_as_the_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "correct-horse-battery-staple").unwrap();
    let running = Running::start(["--source", SCENE, "--token-file", file.to_str().unwrap()], LIMIT);
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        http(&running.address, method, path, headers, body).unwrap()
    };
    let bearer = [("Authorization", "Bearer correct-horse-battery-staple")];
    let document = Document(ask("GET", "/api/v1/openapi.json", &bearer, b"").json());
    let mut refused = 0;
    for operation in document.operations() {
        let Operation { path, method, value } = &operation;
        let answer = ask(method, path, &[], b"");
        // What the document calls open is.
        if value["security"] == json!([]) {
            assert_ne!(answer.status, 401, "{method} {path}");
        } else {
            problem(&answer, 401, "this Spotter asks for a token");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"Spotter\""));
            refused += 1;
        }
        document.check_answer(&operation, &answer);
    }
    assert!(refused > 25, "{refused}");
    let operations = document.operations();
    let sign =
        |method: &str| operations.iter().find(|o| o.path == "/api/v1/login" && o.method == method).unwrap();
    for (body, status) in [
        (json!({ "token": "correct-horse-battery-staple" }), 204),
        (json!({ "token": 1 }), 400),
        (json!({ "token": "wrong" }), 401),
    ] {
        let answer = ask("POST", "/api/v1/login", &[], body.to_string().as_bytes());
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.header("set-cookie").is_some(), status == 204, "{body}");
        document.check_answer(sign("POST"), &answer);
    }
    for _ in 0..5 {
        ask("POST", "/api/v1/login", &[], b"{\"token\":\"wrong\"}");
    }
    let answer = ask("POST", "/api/v1/login", &[], b"{\"token\":\"wrong\"}");
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (429, true));
    document.check_answer(sign("POST"), &answer);
    let answer = ask("DELETE", "/api/v1/login", &[], b"");
    assert!(answer.status == 204 && answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    document.check_answer(sign("DELETE"), &answer);
    let other = ask("DELETE", "/api/v1/login", &[("Origin", "http://evil.test")], b"");
    problem(&other, 403, "another web site's page");
    document.check_answer(sign("DELETE"), &other);
    running.stop(LIMIT);
}

#[test]
fn every_address_answers_as_the_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let running = detecting(folder.path(), SCENE, &[]);
    let document = Document(running.http_get("/api/v1/openapi.json").json());
    assert_eq!(document.0, running.http_get("/openapi.json").json());
    let camera = |path: &str| path.starts_with("/api/") || path.starts_with("/admin/");
    for operation in document.operations() {
        let Operation { path, method, value } = &operation;
        let mut places = vec![(*path).to_owned()];
        if camera(path) && (method == "GET" || path.starts_with("/admin/")) {
            places.push(format!("/local/spotter{path}"));
        }
        for place in &places {
            if is_stream(&operation) {
                let known = value["responses"]["200"]["content"].as_object().unwrap().keys().next().unwrap();
                let head = head_of_stream(&running, place);
                assert!(head.contains(&format!("200 OK\r\nContent-Type: {known}")), "{place}: {head}");
                let refused = http(&running.address, "HEAD", place, &[], b"").unwrap();
                assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")), "{place}");
                continue;
            }
            let body = match (method.as_str(), path.rsplit('/').next().unwrap()) {
                ("PATCH", "settings") => json!({ "confidence": 0.4 }).to_string(),
                ("PUT", "settings") => running.http_get("/api/v1/settings").text(),
                ("PUT", "zones") => running.http_get("/api/v1/zones").text(),
                ("POST", "model") => json!({ "model": "spotter-demo" }).to_string(),
                _ => String::new(),
            };
            let answer = send(&running, method, place, "application/json", body.as_bytes());
            // Nobody need sign in to a Spotter without a token, and no camera has devices to try again.
            let absent = ["/login", "/model/retry"].iter().any(|end| path.ends_with(end));
            let expected = if absent { 404 } else { 200 };
            assert_eq!(answer.status, expected, "{method} {place}: {}", answer.text());
            document.check_answer(&operation, &answer);
            if method == "GET" {
                let head = http(&running.address, "HEAD", place, &[], b"").unwrap();
                assert_eq!((head.status, head.body.len()), (200, 0), "{place}");
                assert_eq!(head.header("content-type"), answer.header("content-type"), "{place}");
                assert!(head.header("content-length").is_some(), "{place}");
            }
        }
        // With its parameters as the document shows them.
        let examples: Vec<String> = value["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| {
                let parameter = document.resolve(parameter);
                let example =
                    parameter["example"].as_str().map_or(parameter["example"].to_string(), str::to_owned);
                format!("{}={example}", parameter["name"].as_str().unwrap())
            })
            .collect();
        if method == "GET" && !examples.is_empty() {
            let place = format!("{path}?{}", examples.join("&"));
            if is_stream(&operation) {
                // It has no end to wait for.
                assert!(head_of_stream(&running, &place).contains("200 OK"), "{place}");
                continue;
            }
            let answer = running.http_get(&place);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            document.check_answer(&operation, &answer);
        }
    }
    // What is not in the document is refused, with the methods that are.
    let paths: BTreeSet<&str> = document.operations().iter().map(|operation| operation.path).collect();
    for path in paths {
        let known: BTreeSet<String> =
            document.operations().iter().filter(|o| o.path == path).map(|o| o.method.clone()).collect();
        for method in ["GET", "PATCH", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            if known.contains(method) {
                continue;
            }
            let answer = http(&running.address, method, path, &[], b"").unwrap();
            problem(&answer, 405, "this address answers");
            let allowed: BTreeSet<String> =
                answer.header("allow").unwrap().split(", ").map(str::to_owned).collect();
            assert_eq!(
                allowed.difference(&known).map(String::as_str).filter(|m| *m != "HEAD").count(),
                0,
                "{path}"
            );
            assert!(allowed.is_superset(&known), "{path}: {allowed:?}");
        }
    }
    problem(&running.http_get("/api/v1/nothing"), 404, "there is nothing at /api/v1/nothing");
    problem(&send(&running, "POST", "/api/v1/nothing", "text/plain", b"x"), 404, "there is nothing");
}

#[test]
fn the_documents_examples_keep_to_its_schemas() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/app/web/openapi.json")).unwrap();
    let document = Document(serde_json::from_str(&text).unwrap());
    let mut examples = 0;
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        document.validator(schema);
        for example in schema["examples"].as_array().into_iter().flatten() {
            let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
            document.check(&reference, example, name);
            examples += 1;
        }
    }
    for operation in document.operations() {
        let body = document.resolve(&operation.value["requestBody"]);
        let responses =
            operation.value["responses"].as_object().unwrap().values().map(|r| document.resolve(r));
        for content in std::iter::once(body).chain(responses) {
            for media in content["content"].as_object().into_iter().flat_map(|content| content.values()) {
                if media["example"].is_object() {
                    document.check(&media["schema"], &media["example"], operation.path);
                    examples += 1;
                }
            }
        }
        for parameter in operation.value["parameters"].as_array().into_iter().flatten() {
            let parameter = document.resolve(parameter);
            document.check(&parameter["schema"], &parameter["example"], operation.path);
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples}");
    // A schema that lets anything through would pass all of this.
    let scene = json!({ "$ref": "#/components/schemas/Scene" });
    let mut broken = document.0["components"]["schemas"]["Scene"]["examples"][0].clone();
    broken["frame"]["observations"][0]["class"]["score"] = json!(87);
    assert!(!document.validator(&scene).is_valid(&broken));
}

#[test]
fn older_paths_answer_the_same_and_a_camera_decides_who_changes() {
    let folder = tempfile::tempdir().unwrap();
    let running = detecting(folder.path(), SCENE, &[]);
    let keys = |path: &str| -> Vec<String> {
        let answer = running.http_get(path);
        assert_eq!(answer.status, 200, "{path}");
        answer.json().as_object().unwrap().keys().cloned().collect()
    };
    for name in ["scene", "status", "settings", "model", "models", "access"] {
        let first = keys(&format!("/api/v1/{name}"));
        for base in ["/api", "/admin", "/admin/v1", "/local/spotter/api", "/local/spotter/admin/v1"] {
            assert_eq!(keys(&format!("{base}/{name}")), first, "{base}/{name}");
        }
    }
    for name in ["healthz", "readyz", "metrics"] {
        for base in ["", "/api", "/api/v1", "/local/spotter/api/v1"] {
            assert_eq!(running.http_get(&format!("{base}/{name}")).status, 200, "{base}/{name}");
        }
    }
    let patch = |path: &str, body: &[u8]| send(&running, "PATCH", path, "application/merge-patch+json", body);
    problem(&patch("/local/spotter/api/v1/settings", b"{}"), 403, "only an administrator");
    assert_eq!(patch("/local/spotter/admin/v1/settings", b"{\"confidence\":0.3}").json()["confidence"], 0.3);
    assert_eq!(running.http_get("/api/settings").json()["confidence"], 0.3);
    for (body, why) in
        [(&b"{"[..], "no JSON"), (b"[]", "must be a JSON object"), (b"{\"confidence\":7}", "not 7")]
    {
        problem(&patch("/api/v1/settings", body), 400, why);
    }
    for (path, why) in [
        ("scene?after=-1", "after must be a whole number"),
        ("scene?timeout_ms=soon", "timeout_ms must be"),
        ("stats?minutes=0", "minutes must be from 1 to 10"),
        ("stats?minutes=11", "not 11"),
        ("stats?after=1.5", "after must be"),
        ("log?level=warn", "level must be error, warning, info or debug"),
        ("snapshot.jpg?boxes=yes", "boxes must be 0 or 1"),
    ] {
        problem(&running.http_get(&format!("/api/v1/{path}")), 400, why);
    }
    assert_eq!(running.http_get(&format!("/api/v1/scene?after={}&timeout_ms=20", u64::MAX)).status, 204);
    // Another site's page may not.
    let foreign = [("Origin", "http://evil.example")];
    let answer = http(&running.address, "PATCH", "/api/v1/settings", &foreign, b"{}").unwrap();
    problem(&answer, 403, "another web site");
}

fn metrics(running: &Running) -> Families {
    let answer = running.http_get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    prometheus::parse(&answer.text()).unwrap()
}

#[test]
fn metrics_statistics_labels_and_log_tell_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let running = detecting(folder.path(), SCENE, &[]);
    let before = metrics(&running);
    let status = wait(&running, |status| status["uptime_s"].as_f64() > Some(6.0));
    let after = metrics(&running);
    // Counters only rise, and are those of the status.
    for (name, family) in before.iter().filter(|(_, family)| family.kind != "gauge") {
        for sample in family.samples.iter().filter(|sample| !sample.name.ends_with("_sum")) {
            let later =
                after[name].samples.iter().find(|s| (&s.name, &s.labels) == (&sample.name, &sample.labels));
            assert!(later.unwrap().value >= sample.value, "{sample:?} {later:?}");
        }
    }
    let inferred = status["frames"]["inferred"].as_f64().unwrap();
    assert!(value_of(&before, "spotter_frames_inferred_total", &[]) <= inferred);
    assert!(value_of(&after, "spotter_frames_inferred_total", &[]) >= inferred);
    for stage in ["preprocess", "inference", "decode"] {
        let count = value_of(&after, "spotter_stage_seconds_count", &[("stage", stage)]);
        let sum = value_of(&after, "spotter_stage_seconds_sum", &[("stage", stage)]);
        assert!(count >= inferred && sum > 0.0, "{stage}: {count} {sum}");
        // The buckets speak of the same times as the percentiles.
        let p50 = status["stages"][stage]["p50_ms"].as_f64().unwrap() / 1e3;
        let buckets = &after["spotter_stage_seconds"].samples;
        let shorter: f64 = buckets
            .iter()
            .filter(|s| s.labels["stage"] == stage && s.labels.get("le").is_some_and(|le| le != "+Inf"))
            .filter(|s| s.labels["le"].parse::<f64>().unwrap() > 2.2 * p50)
            .map(|s| s.value)
            .fold(f64::NAN, f64::min);
        assert!(shorter >= 0.4 * count, "{stage}: {shorter} of {count} below {p50}");
    }
    assert_eq!(value_of(&after, "spotter_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(value_of(&after, "spotter_state", &[("state", "live")]), 1.0);
    assert_eq!(after["spotter_state"].samples.iter().map(|s| s.value).sum::<f64>(), 1.0);
    assert_eq!(value_of(&after, "spotter_detecting", &[]), 1.0);
    assert_eq!(value_of(&after, "spotter_log_lines_total", &[("level", "error")]), 0.0);
    assert!(value_of(&after, "process_resident_memory_bytes", &[]) > 10e6);
    assert!(value_of(&after, "process_cpu_seconds_total", &[]) > 0.1);
    assert!(value_of(&after, "process_open_fds", &[]) > 3.0);

    // A sample a second, and each quantity in all of them.
    let stats = running.http_get("/api/v1/stats?minutes=1").json();
    let times: Vec<u64> = stats["time_ms"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
    assert!((4..=60).contains(&times.len()), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 900), "{times:?}");
    let last = |value: &Value| value.as_array().unwrap().last().unwrap().as_f64();
    assert_eq!(stats["cpu"].as_array().unwrap().len(), times.len());
    assert!(last(&stats["cpu"]) > Some(0.01) && last(&stats["resident_bytes"]) > Some(10e6), "{stats}");
    assert!(last(&stats["fps"]["capture"]) > Some(1.0), "{stats}");
    let share = last(&stats["inference_share"]).unwrap();
    assert!((0.05..1.0).contains(&share), "{stats}");
    assert!(last(&stats["stages"]["inference"]["p95_ms"]) >= last(&stats["stages"]["inference"]["p50_ms"]));
    // The histograms hold the frames and times that /metrics tells of.
    let histograms = &stats["histograms"];
    let limits: Vec<f64> = histograms["upper_ms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l.as_f64().unwrap_or(f64::INFINITY))
        .collect();
    assert!(limits.is_sorted_by(|a, b| a < b) && limits.last() == Some(&f64::INFINITY), "{limits:?}");
    for stage in ["capture", "preprocess", "inference", "decode", "publish"] {
        let counts: Vec<f64> =
            histograms["counts"][stage].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
        assert_eq!(counts.len(), limits.len(), "{stage}");
        let earlier = value_of(&after, "spotter_stage_seconds_count", &[("stage", stage)]);
        let total: f64 = counts.iter().sum();
        assert!((earlier..earlier + 60.0).contains(&total), "{stage}: {total} after {earlier}");
        let bucket =
            |le: &str| value_of(&after, "spotter_stage_seconds_bucket", &[("stage", stage), ("le", le)]);
        for (le, limit) in [("0.000064", 0.064), ("0.001024", 1.024), ("8.388608", 8388.608)] {
            let at = limits.iter().position(|l| *l == limit).unwrap();
            let shorter: f64 = counts[..=at].iter().sum();
            assert!(
                (bucket(le)..=bucket(le) + total - earlier).contains(&shorter),
                "{stage} {le}: {shorter}"
            );
        }
    }
    let newer = running.http_get(&format!("/api/v1/stats?after={}", times[times.len() - 2])).json();
    let newer = newer["time_ms"].as_array().unwrap();
    assert!(newer[0] == times[times.len() - 1] && newer.len() <= 3, "{newer:?}");

    // Names by index, as scenes have them.
    let labels = running.http_get("/api/v1/labels").json();
    let names: Vec<&str> =
        labels["labels"].as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(names, CLASSES);
    let scene = running.http_get("/api/v1/scene").json();
    for seen in
        scene["dropped"].as_array().unwrap().iter().chain(scene["frame"]["observations"].as_array().unwrap())
    {
        let index = seen["class"]["index"].as_u64().unwrap() as usize;
        assert_eq!(
            (seen["class"]["type"].as_str(), &labels["labels"][index]["index"]),
            (Some(names[index]), &json!(index))
        );
    }

    let log = running.http_get("/api/v1/log").json();
    let said = |text: &str| {
        log["lines"]
            .as_array()
            .unwrap()
            .iter()
            .any(|l| l["level"] == "info" && l["text"].as_str().unwrap().starts_with(text))
    };
    assert!(said("source   demo") && said("page     http://"), "{log:#}");
    assert_eq!(running.http_get("/api/v1/log?level=error").json()["lines"], json!([]));
    running.stop(LIMIT);
}

#[test]
fn the_model_tells_which_chips_it_suits_and_the_status_where_settings_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    let running = detecting(folder.path(), SCENE, &["--settings", path.to_str().unwrap()]);
    let document = Document(running.http_get("/openapi.json").json());
    let settings = |running: &Running| {
        let status = running.http_get("/api/v1/status").json();
        document.check(&json!({ "$ref": "#/components/schemas/Status" }), &status, "the status");
        status["settings"].clone()
    };
    assert_eq!(settings(&running)["file"], json!(path));
    assert_eq!(settings(&running)["unsaved"], Value::Null);

    // The chips' verdicts are those of `spotter inspect`, with what is not as the chip wants it.
    let inspect = |model: &str| -> Value {
        serde_json::from_str(&process::run(["inspect", model, "--json"], LIMIT).stdout).unwrap()
    };
    let judged = |model: Value, inspected: Value| {
        document.check(&json!({ "$ref": "#/components/schemas/RunningModel" }), &model, "the model");
        let suitability = &model["suitability"];
        assert_eq!((&suitability["chip"], &suitability["note"]), (&json!("cpu"), &Value::Null));
        let chips = suitability["chips"].as_array().unwrap();
        assert_eq!((chips.len(), &chips[0]["chip"]), (5, &json!("cpu")));
        for chip in chips {
            let expected = &inspected["chips"][chip["chip"].as_str().unwrap()];
            assert_eq!(chip["verdict"], expected["verdict"], "{chip}");
            let of = |level: &'static str| {
                expected["rules"].as_array().unwrap().iter().filter(move |r| r["level"] == level).cloned()
            };
            assert_eq!(chip["rules"], of("fail").chain(of("warn")).collect::<Value>(), "{chip}");
        }
        suitability.clone()
    };
    let first = judged(running.http_get("/api/v1/model").json(), inspect("spotter-demo"));
    assert_eq!(first, running.http_get("/admin/v1/model").json()["suitability"], "asked again");
    // Another model has its own, in the answer to its upload already.
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo_yolov5.tflite");
    let body = std::fs::read(other).unwrap();
    let sent = send(&running, "POST", "/api/v1/model", "application/octet-stream", &body).json();
    assert_ne!(judged(sent, inspect(other)), first);
    assert!(
        running.http_get("/api/v1/status").json()["model"]["suitability"].is_null(),
        "not said twice a second"
    );
    running.stop(LIMIT);

    // Nothing keeps them; and a file that cannot be.
    let running = detecting(folder.path(), SCENE, &[]);
    assert_eq!((&settings(&running)["file"], &settings(&running)["unsaved"]), (&Value::Null, &Value::Null));
    running.stop(LIMIT);
    let within = path.join("settings.json");
    std::fs::write(&path, "{}").unwrap();
    let running = detecting(folder.path(), SCENE, &["--settings", within.to_str().unwrap()]);
    let unsaved = settings(&running)["unsaved"].as_str().unwrap().to_owned();
    assert!(unsaved.starts_with(within.to_str().unwrap()), "{unsaved}");
    running.stop(LIMIT);
}

/// A picture as RGB.
fn pixels(jpeg: &[u8]) -> ((usize, usize), Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    std::fs::write(&path, jpeg).unwrap();
    capture::gst_source::init().unwrap();
    let mut source = capture::open(&SourceSpec::File(path), Pace::Unpaced).unwrap();
    loop {
        let Next::Frame(frame) = source.next(Duration::from_secs(5)).unwrap() else { continue };
        let (width, height) = (frame.layout.width, frame.layout.height);
        let shape = vec![1, height, width, 3];
        let input = TensorInfo { name: "rgb".into(), shape, dtype: DataType::U8, quantisation: None };
        let mut rgb = vec![0; width * height * 3];
        Preprocessor::new(&input, spotter::vision::geometry::Fit::Stretch)
            .unwrap()
            .run(&frame, &mut rgb)
            .unwrap();
        return ((width, height), rgb);
    }
}

fn snapshot(running: &Running, boxes: &str) -> Vec<u8> {
    let answer = running.http_get(&format!("/api/v1/snapshot.jpg{boxes}"));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("image/jpeg")),
        "{}",
        answer.text()
    );
    answer.body
}

#[test]
fn a_snapshot_shows_the_picture_with_and_without_boxes() {
    let folder = tempfile::tempdir().unwrap();
    let running = detecting(folder.path(), SCENE, &[]);
    // A moment of the scene with something in it becomes a still picture.
    wait(&running, |_| {
        let scene = running.http_get("/api/v1/scene").json();
        scene["frame"]["observations"]
            .as_array()
            .unwrap()
            .iter()
            .any(|o| o["class"]["score"].as_f64() > Some(0.7))
    });
    let picture = snapshot(&running, "");
    assert_eq!(pixels(&picture).0, (640, 360));
    running.stop(LIMIT);
    let still = folder.path().join("still.jpg");
    std::fs::write(&still, &picture).unwrap();

    let running = detecting(folder.path(), still.to_str().unwrap(), &["--conf", "0.3"]);
    let (size, plain) = pixels(&snapshot(&running, "?boxes=0"));
    let (_, drawn) = pixels(&snapshot(&running, "?boxes=1"));
    let scene = running.http_get("/api/v1/scene").json();
    let found: Vec<[f64; 4]> = scene["frame"]["observations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|observation| {
            ["left", "top", "right", "bottom"].map(|side| observation["bounding_box"][side].as_f64().unwrap())
        })
        .collect();
    assert!(!found.is_empty(), "{scene:#}");
    let differs = |x: usize, y: usize| {
        let at = (y * size.0 + x) * 3;
        plain[at..at + 3].iter().zip(&drawn[at..at + 3]).any(|(a, b)| a.abs_diff(*b) > 40)
    };
    // Along the sides of a box most pixels are the box's; far from all boxes and their labels none are.
    for [left, top, right, bottom] in &found {
        let (x, right) = ((left * size.0 as f64) as usize, (right * size.0 as f64) as usize);
        let (top, bottom) = ((top * size.1 as f64) as usize, ((bottom * size.1 as f64) as usize).min(size.1));
        let side = |x: usize| (top..bottom).filter(|y| differs(x.min(size.0 - 1), *y)).count();
        let most = side(x).max(side(x + 1)).max(side(right.saturating_sub(2)));
        assert!(most * 2 > bottom - top, "{most} of {}", bottom - top);
    }
    let near = |x: usize, y: usize| {
        let (x, y) = (x as f64 / size.0 as f64, y as f64 / size.1 as f64);
        found.iter().any(|[l, t, r, b]| x > l - 0.25 && x < r + 0.25 && y > t - 0.08 && y < b + 0.08)
    };
    let strange = (0..size.1)
        .flat_map(|y| (0..size.0).map(move |x| (x, y)))
        .filter(|(x, y)| !near(*x, *y) && differs(*x, *y));
    assert_eq!(strange.count(), 0);
    // Nobody stays behind.
    assert_eq!(
        running.http_get("/api/v1/status").json()["viewers"],
        json!({ "live": 0, "mjpeg": 0, "events": 0 })
    );
    running.stop(LIMIT);
}

#[test]
fn the_support_bundle_is_whole_and_has_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    // A source that is never there, with a password.
    let running = start(folder.path(), "rtsp://bob:hunter2@127.0.0.1:9/x?password=swordfish&size=2", &[]);
    wait(&running, |status| status["state"] == "reconnecting");
    let health = running.http_get("/healthz");
    assert_eq!((health.status, &health.json()["detecting"]), (200, &json!(false)));
    let ready = running.http_get("/readyz");
    assert_eq!((ready.status, &ready.json()["state"]), (503, &json!("reconnecting")));
    // Who may not ask for more sees this.
    let shown = String::from_utf8(ready.body.clone()).unwrap();
    assert!(shown.contains("?password=***&size=2") && !shown.contains("swordfish"), "{shown}");
    let document = Document(running.http_get("/openapi.json").json());
    for operation in document.operations().iter().filter(|operation| operation.path == "/readyz") {
        document.check_answer(operation, &ready);
    }
    problem(&running.http_get("/api/v1/scene"), 503, "no frame");
    problem(&running.http_get("/api/v1/snapshot.jpg"), 503, "no frame");
    let warnings = running.http_get("/api/v1/log?level=warning").json();
    assert!(
        warnings["lines"]
            .as_array()
            .unwrap()
            .iter()
            .any(|l| l["text"].as_str().unwrap().contains("trying again")),
        "{warnings:#}"
    );

    let answer = running.http_get("/api/v1/bundle.zip");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/zip")));
    assert!(answer.header("content-disposition").unwrap().starts_with("attachment; filename=\"spotter-20"));
    say(&format!("the support bundle has {} bytes", answer.body.len()));
    assert!(answer.body.len() < 2 << 20);
    let mut names = Vec::new();
    for entry in zip::entries(&answer.body) {
        let content = String::from_utf8(zip::unpack(&answer.body, &entry, 2 << 20).unwrap()).unwrap();
        for secret in ["hunter2", "bob", "swordfish"] {
            assert!(!content.contains(secret), "{}: {content}", entry.name);
        }
        match entry.name.as_str() {
            "metrics.txt" => drop(prometheus::parse(&content).unwrap()),
            "model.json" => {
                let inspected = process::run(["inspect", "spotter-demo", "--json"], LIMIT);
                let (ours, expected): (Value, Value) = (
                    serde_json::from_str(&content).unwrap(),
                    serde_json::from_str(&inspected.stdout).unwrap(),
                );
                assert_eq!(ours, expected);
            }
            "status.json" => {
                assert_eq!(serde_json::from_str::<Value>(&content).unwrap()["state"], "reconnecting")
            }
            "system.json" => {
                let system: Value = serde_json::from_str(&content).unwrap();
                assert_eq!(system["versions"]["spotter"], env!("CARGO_PKG_VERSION"));
                assert!(system["machine"]["memory_bytes"]["total"].is_u64(), "{system:#}");
            }
            _ => drop(serde_json::from_str::<Value>(&content).unwrap()),
        }
        names.push(entry.name);
    }
    let all = ["settings", "status", "stats", "log", "model", "chosen", "system"]
        .map(|name| format!("{name}.json"));
    assert_eq!(names, [&all[..], &["metrics.txt".to_owned()]].concat());
    // Another reader checks the checksums.
    let path = folder.path().join("bundle.zip");
    std::fs::write(&path, &answer.body).unwrap();
    match Command::new("python3").args(["-m", "zipfile", "-t"]).arg(&path).output() {
        Ok(tested) => {
            let said = String::from_utf8_lossy(&tested.stdout).into_owned();
            assert!(tested.status.success() && !said.contains("corrupted"), "{said}");
        }
        Err(error) => skip(&format!("the bundle's checksums: python3 cannot be run ({error})")),
    }
    running.stop(LIMIT);
}

/// The frame numbers in a file of whole lines.
fn numbers(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n') || text.is_empty(), "{}", path.display());
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["frame"]["seq"].as_u64().unwrap();
    text.lines().map(number).collect()
}

#[test]
fn the_output_is_rotated_and_trouble_with_it_is_told_until_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    let numbered = |number: u32| folder.path().join(format!("scenes.jsonl.{number}"));
    // A folder in the way of the first full file.
    std::fs::create_dir_all(numbered(1).join("inside")).unwrap();
    std::fs::write(numbered(2), "").unwrap();
    let arguments = ["--output", output.to_str().unwrap(), "--output-limit", "100000"];
    let running = detecting(folder.path(), SCENE, &arguments);
    let status = wait(&running, |status| status["notices"] != json!([]));
    let notice = status["notices"][0].as_str().unwrap();
    assert!(notice.starts_with(&format!("cannot write {} (", output.display())), "{notice}");
    // Detection goes on, and what waits is there when the way is free.
    let before = status["frames"]["inferred"].as_u64();
    wait(&running, |status| status["frames"]["inferred"].as_u64() > before);
    std::fs::remove_dir_all(numbered(1)).unwrap();
    wait(&running, |status| status["notices"] == json!([]));
    assert!(running.wait_for_line("can be written again", LIMIT), "{:#?}", running.lines());
    let begun = Instant::now();
    while !std::fs::metadata(numbered(2)).is_ok_and(|about| about.len() > 1000) {
        assert!(begun.elapsed() < LIMIT, "no second full file");
        std::thread::sleep(Duration::from_millis(100));
    }
    let families = metrics(&running);
    assert_eq!(value_of(&families, "spotter_output_lines_total", &[("result", "lost")]), 0.0);
    assert!(value_of(&families, "spotter_output_lines_total", &[("result", "written")]) > 10.0);
    let finished = running.stop(LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let files = [numbered(2), numbered(1), output];
    let found: Vec<u64> = files.iter().flat_map(|file| numbers(file)).collect();
    assert!(found.len() > 10 && found.is_sorted_by(|a, b| a < b), "{found:?}");
    for file in &files {
        let size = std::fs::metadata(file).unwrap().len();
        assert!(size <= 100_000, "{size}");
    }
}

#[test]
fn a_disk_that_stays_full_stops_nothing() {
    if !Path::new("/dev/full").exists() {
        return skip("the output on a full disk: there is no /dev/full");
    }
    let folder = tempfile::tempdir().unwrap();
    let running = detecting(folder.path(), SCENE, &["--output", "/dev/full"]);
    let status = wait(&running, |status| status["notices"] != json!([]));
    assert!(status["notices"][0].as_str().unwrap().starts_with("cannot write /dev/full ("), "{status}");
    let before = status["frames"]["inferred"].as_u64();
    wait(&running, |status| status["frames"]["inferred"].as_u64() > before.map(|n| n + 5));
    assert_eq!(running.http_get("/readyz").status, 200);
    assert_eq!(value_of(&metrics(&running), "spotter_log_lines_total", &[("level", "error")]), 1.0);
    let finished = running.stop(LIMIT);
    assert!(finished.stderr.contains("lines could not be written to /dev/full"), "{finished:#?}");
    assert_eq!(finished.code, Some(8), "{finished:#?}");
}

#[test]
fn a_file_that_may_not_grow_has_whole_lines_during_the_fault_and_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    // The shell counts in blocks of 512 bytes or more: room for some writes, and the limit is in the middle of a line.
    let mut command = process::command("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_spotter")]);
    command.args([
        "run",
        "--source",
        SCENE,
        "--model",
        "spotter-demo",
        "--listen",
        "127.0.0.1:0",
        "--output",
    ]);
    command.arg(&output).env("SPOTTER_STATE", folder.path());
    let running = Running::start_command(command, LIMIT);
    let status = wait(&running, |status| status["notices"] != json!([]));
    assert!(status["notices"][0].as_str().unwrap().contains("File too large"), "{status}");
    let during = numbers(&output);
    let finished = running.stop(LIMIT);
    assert_eq!(finished.code, Some(8), "{finished:#?}");
    let after = numbers(&output);
    assert!(!after.is_empty() && after.starts_with(&during), "{during:?} {after:?}");
}

/// The tool that `./build.sh test` installs.
fn schemathesis() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/schemathesis");
    if path.is_file() {
        return Some(path);
    }
    skip("fuzzing the interface: no schemathesis in target/test-venv, which ./build.sh test makes");
    None
}

#[test]
fn what_a_fuzzer_sends_is_answered_as_the_document_says() {
    let Some(tool) = schemathesis() else { return };
    let folder = tempfile::tempdir().unwrap();
    let running = detecting(folder.path(), SCENE, &[]);
    let config = folder.path().join("schemathesis.toml");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/schemathesis.toml"), &config).unwrap();
    let mut command = Command::new(&tool);
    command.arg("--config-file").arg(&config).arg("run");
    command.arg(format!("http://{}/openapi.json", running.address));
    command.args(["--url", &format!("http://{}", running.address), "--no-color"]);
    command.current_dir(folder.path()).stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{text}");
    let cases =
        text.lines().find(|line| line.contains(" generated, ") || line.ends_with(" generated")).unwrap_or("");
    say(&format!("schemathesis took {:.0?}:{cases}", begun.elapsed()));
    // Still there, and still detecting.
    let before = running.http_get("/api/v1/status").json()["frames"]["inferred"].as_u64();
    wait(&running, |status| status["frames"]["inferred"].as_u64() > before);
    assert!(running.lines().iter().all(|line| !line.contains("panicked")), "{:#?}", running.lines());
    running.stop(LIMIT);
}
