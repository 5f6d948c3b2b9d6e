//! What the pages of the documentation say of the interface, asked of a running Spotter: addresses, JSON, commands.
//! `tests/offline/docs.rs` has what needs none.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::interface::document::Document;
use crate::common::docs::{self, Code};
use crate::common::process::{self, Running};
use crate::common::{camera, data, skip};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

fn document() -> Document {
    Document(serde_json::from_str(&docs::read("app/web/openapi.json")).unwrap())
}

#[test]
fn every_address_of_the_pages_is_in_the_interface_and_the_other_way_round() {
    let document = document();
    let operations: BTreeSet<(String, &str)> =
        document.operations().iter().map(|operation| (operation.method.clone(), operation.path)).collect();
    let mut found = BTreeSet::new();
    for page in docs::pages() {
        for Code { text, .. } in page.code() {
            let Some((method, path)) = text.split_once(' ') else { continue };
            if !["GET", "PUT", "POST", "PATCH", "DELETE"].contains(&method) || !path.starts_with('/') {
                continue;
            }
            let path = path.split(['?', '[']).next().unwrap();
            // The page itself is no address of the interface.
            if path != "/" {
                let known = operations.iter().any(|(m, p)| m == method && *p == path);
                assert!(known, "{}: there is no {method} {path}", page.path.display());
                found.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    let page = docs::page("docs/api.md").text;
    for (method, path) in &operations {
        // Below admin/ are the same changes, and HEAD is told of in a sentence.
        let own = path.starts_with("/api/v1/") || !path.starts_with("/api/") && !path.starts_with("/admin/");
        let told = found.contains(&(method.clone(), (*path).to_owned()))
            || page
                .lines()
                .any(|line| line.contains(&format!("`GET {path}`")) && line.contains(&format!("`{method}`")))
            || page.contains(&format!("`POST {path}`")) && page.contains("`DELETE` clears it")
            || ["/api/v1/healthz", "/api/v1/readyz", "/api/v1/metrics", "/openapi.json", "/stream.mjpg"]
                .contains(path);
        assert!(!own || told, "docs/api.md does not tell of {method} {path}");
    }
    assert!(found.len() > 25, "{found:?}");
}

/// A list that goes on in a page ends with "…".
fn whole(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| *item != json!("…"));
            items.iter_mut().for_each(whole);
        }
        Value::Object(members) => members.values_mut().for_each(whole),
        _ => {}
    }
}

#[test]
fn json_of_the_pages_keeps_to_the_schemas() {
    let document = document();
    let schemas = |heading: &str, text: &str| -> Option<&'static str> {
        Some(match heading {
            "Scene" => "Scene",
            "Settings" => "Settings",
            "Status" => "Status",
            "Labels" => "Labels",
            "Statistics" => "Stats",
            "Log" => "Log",
            "Sensors" => "Sensors",
            "Changing the model" if text.contains("\"default\"") => "Models",
            "Changing the model" => "RunningModel",
            _ => return None,
        })
    };
    let mut checked = BTreeSet::new();
    let scene = &document.0["components"]["schemas"]["Scene"]["examples"][0];
    for Code { heading, text, .. } in
        docs::page("docs/api.md").code().into_iter().filter(|code| code.language == "json")
    {
        let mut value: Value = match serde_json::from_str(&text) {
            Ok(value) => value,
            // Members that a scene has beside the others.
            Err(_) => {
                let more: Value = serde_json::from_str(&format!("{{{text}}}"))
                    .unwrap_or_else(|error| panic!("{heading}: {error}"));
                let mut value = scene.clone();
                value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                value
            }
        };
        whole(&mut value);
        match schemas(&heading, &text) {
            Some(name) => {
                document.check(&json!({ "$ref": format!("#/components/schemas/{name}") }), &value, &heading);
                checked.insert(name);
            }
            None => assert_eq!(heading, "JSON lines", "{text} is held against nothing"),
        }
    }
    assert_eq!(checked.len(), 9, "{checked:?}");
}

/// The names of all members, with the path to them.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}.{name}");
                shape(value, &path, into);
                into.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| shape(item, path, into)),
        _ => {}
    }
}

#[test]
fn the_line_of_detect_has_the_members_of_the_page() {
    let Some(jpeg) = data::jpeg() else {
        return skip("the JSON line of docs/api.md: GStreamer cannot make a picture here");
    };
    let code = docs::page("docs/api.md").code();
    let line = code.iter().find(|code| code.heading == "JSON lines" && code.language == "json").unwrap();
    let told: Value = serde_json::from_str(&line.text).unwrap();
    let finished =
        process::run(["detect", "--model", "spotter-demo", "--conf", "0.01", jpeg.to_str().unwrap()], LIMIT);
    let mut said: Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(said["pts_ms"], told["pts_ms"]);
    // What is found in a test picture is chance; of one detection the members are told.
    if said["detections"] == json!([]) {
        said["detections"] = told["detections"].clone();
    }
    let (mut one, mut other) = (BTreeSet::new(), BTreeSet::new());
    shape(&said, "", &mut one);
    shape(&told, "", &mut other);
    assert_eq!(one, other);
}

#[test]
fn commands_of_the_interface_work_as_they_stand() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("the curl commands of docs/api.md: there is no curl");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = docs::root().join("models/demo_ssd_mobilenet_v2.tflite");
    std::fs::copy(&model, at("my.tflite")).unwrap();
    std::fs::write(at("labels.txt"), "person\nbicycle\ncar\nbus\ndog\n").unwrap();
    camera::cv25_model(folder.path());
    let start = |more: &[&str]| {
        let mut command = process::spotter();
        command.args(["run", "--source", "demo:size=320x180,fps=5", "--listen", "127.0.0.1:0"]).args(more);
        command.env("SPOTTER_STATE", folder.path().join("state")).current_dir(folder.path());
        Running::start_command(command, LIMIT)
    };
    let shell = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).current_dir(folder.path()).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{said}");
        said
    };
    let open = start(&[]);
    open.wait_until_detecting(LIMIT);
    let mut guarded = None;
    let mut ran = 0;
    for command in docs::commands()
        .iter()
        .filter(|command| command.is_block() && command.page == Path::new("docs/api.md"))
    {
        let line = &command.line;
        match command.program() {
            "head" => drop(shell(line)),
            "spotter" => {
                // Tests listen to this machine alone.
                let words: Vec<&str> = line.split_whitespace().skip(2).collect();
                assert_eq!(words[..2], ["--listen", "0.0.0.0:8080"], "{line}");
                guarded = Some(start(&words[2..]));
            }
            "curl" => {
                let running = match line.contains("http://SPOTTER:8080") {
                    true => guarded.as_ref().expect("it was started by the line before"),
                    false => &open,
                };
                let line = ["SPOTTER:8080", "127.0.0.1:8080", "CAMERA"]
                    .iter()
                    .fold(line.clone(), |line, name| {
                        line.replace(&format!("http://{name}/"), &format!("http://{}/", running.address))
                    })
                    // What would be downloaded.
                    .replace("ssd-mobilenet-v2-coco", "spotter-demo");
                assert!(line.contains(&running.address), "{line}");
                // A model for another chip is refused here, for what it is.
                let elsewhere = line.contains("street.bin");
                let how = if elsewhere { "" } else { "--fail-with-body " };
                let answer = shell(&line.replacen("curl ", &format!("curl --silent --show-error {how}"), 1));
                let refused = || serde_json::from_str::<Value>(&answer).unwrap()["detail"].is_string();
                assert!(!elsewhere || refused() && answer.contains("CV25"), "{line}: {answer}");
                let saved = line.contains("> settings.json");
                let answer =
                    if saved { std::fs::read_to_string(at("settings.json")).unwrap() } else { answer };
                assert!(serde_json::from_str::<Value>(&answer).unwrap().is_object(), "{line}: {answer}");
            }
            other => panic!("{line}: what is {other}?"),
        }
        ran += 1;
    }
    assert!(ran > 10, "{ran}");
    // What they were to change is changed.
    let settings = open.http_get("/api/v1/settings").json();
    assert_eq!(
        (settings["fps_limit"].as_f64(), &settings["labels"]["boat"]["on"]),
        (Some(5.0), &json!(false))
    );
    assert_eq!(guarded.as_ref().unwrap().http_get("/api/v1/status").status, 401);
    assert_eq!(open.http_get("/api/v1/model").json()["chosen_at"], Value::Null);
    open.stop(LIMIT);
    guarded.unwrap().stop(LIMIT);
}
