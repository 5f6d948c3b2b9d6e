//! Settings on the running program: each acts on the next scenes, is kept, and survives damage and upgrades.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::process::{self, Response, Running};
use serde_json::{Value, json};
use spotter::capture::demo;
use spotter::demo::Demo;
use spotter::detect::loader::{LoadSpec, LoadedModel};
use spotter::model::decode::Thresholds;
use spotter::vision::geometry::Fit;

const LIMIT: Duration = Duration::from_secs(60);
/// A head whose NMS is Spotter's own.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo_yolov5.tflite");
const SOURCE: &str = "demo:seed=9,size=640x360,fps=15";

fn start(more: &[&str]) -> Running {
    let mut arguments = vec!["--source", SOURCE, "--model", MODEL];
    arguments.extend(more);
    Running::start(arguments, LIMIT)
}

fn ask(running: &Running, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    process::http(&running.address, method, path, headers, body.as_bytes()).unwrap()
}

/// Changes settings, and passes over the scenes that were on their way.
fn patch(running: &Running, change: Value) -> Value {
    let answer = ask(running, "PATCH", "/admin/settings", &[], &change);
    assert_eq!(answer.status, 200, "{change}: {}", answer.text());
    let captured = running.http_get("/api/status").json()["frames"]["captured"].as_u64().unwrap();
    scene_after(running, captured + 1);
    answer.json()
}

fn scene_after(running: &Running, seq: u64) -> Value {
    let begun = Instant::now();
    loop {
        let answer = running.http_get(&format!("/api/scene?after={seq}"));
        if answer.status == 200 {
            return answer.json();
        }
        assert!(begun.elapsed() < LIMIT, "no scene after {seq}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn seq(scene: &Value) -> u64 {
    scene["frame"]["seq"].as_u64().unwrap()
}

fn observations(scene: &Value) -> &Vec<Value> {
    scene["frame"]["observations"].as_array().unwrap()
}

/// The reasons of one kind.
fn reasons<'a>(scene: &'a Value, kind: &str) -> Vec<&'a Value> {
    let reasons = scene["dropped"].as_array().unwrap().iter().map(|dropped| &dropped["reason"]);
    reasons.filter(|reason| reason["kind"] == kind).collect()
}

/// Looks at one scene after the other, each of which must pass `check`, until one is as `met` says.
fn until(running: &Running, what: &str, check: impl Fn(&Value), met: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    let mut scene = running.http_get("/api/scene").json();
    loop {
        check(&scene);
        if met(&scene) {
            return scene;
        }
        assert!(begun.elapsed() < LIMIT, "{what}: {scene:#}");
        scene = scene_after(running, seq(&scene));
    }
}

fn nobody(scene: &Value) {
    assert_eq!(observations(scene), &Vec::<Value>::new());
}

fn square(name: &str, from: f64, to: f64) -> Value {
    let points = [(from, from), (to, from), (to, to), (from, to)].map(|(x, y)| json!({ "x": x, "y": y }));
    json!({ "name": name, "points": points })
}

#[test]
fn every_setting_acts_on_the_next_scenes() {
    let running = start(&[]);
    let any = |scene: &Value| !observations(scene).is_empty();
    let scene = loop {
        match running.http_get("/api/scene") {
            answer if answer.status == 200 => break answer.json(),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(seq(&scene) < u64::MAX);
    let seen = until(&running, "something is seen", |_| {}, any);
    let label = observations(&seen)[0]["class"]["type"].as_str().unwrap().to_owned();

    // Confidence: one for all, one for a label.
    patch(&running, json!({ "confidence": 0.999 }));
    let dropped = |kind: &'static str| move |scene: &Value| !reasons(scene, kind).is_empty();
    let scene = until(&running, "confidence", nobody, dropped("below_confidence"));
    let reason = reasons(&scene, "below_confidence")[0];
    assert_eq!(reason["threshold"], 0.999);
    assert!(reason["text"].as_str().unwrap().starts_with("below confidence: 0."), "{reason}");
    patch(&running, json!({ "confidence": 0.3, "labels": { label.as_str(): { "confidence": 0.999 } } }));
    let none_of_it = |scene: &Value| {
        assert!(observations(scene).iter().all(|one| one["class"]["type"] != label), "{scene:#}");
    };
    until(&running, "a label's confidence", none_of_it, dropped("below_label_confidence"));
    patch(&running, json!({ "labels": { label.as_str(): { "on": false, "confidence": null } } }));
    let scene = until(&running, "a label off", none_of_it, dropped("label_off"));
    assert_eq!(reasons(&scene, "label_off")[0]["text"], format!("label off: {label}"));
    patch(&running, json!({ "labels": null }));
    until(
        &running,
        "the label on",
        |_| {},
        |scene| observations(scene).iter().any(|one| one["class"]["type"] == label),
    );

    // Size.
    patch(&running, json!({ "size": { "min": 0.9 } }));
    let scene = until(&running, "too small", nobody, dropped("too_small"));
    assert_eq!(reasons(&scene, "too_small")[0]["text"], "smaller than 90 %");
    patch(&running, json!({ "size": { "min": 0, "max": 0.01 } }));
    let scene = until(&running, "too large", nobody, dropped("too_large"));
    assert!(reasons(&scene, "too_large")[0]["size"].as_f64().unwrap() > 0.01);
    patch(&running, json!({ "size": null }));

    // Zones.
    let with = |mut zone: Value, name: &str, value: Value| {
        zone[name] = value;
        zone
    };
    patch(&running, json!({ "zones": [square("door", 0.0, 0.01)] }));
    let scene = until(&running, "outside", nobody, dropped("outside_zones"));
    assert_eq!(reasons(&scene, "outside_zones")[0]["text"], "outside zone \"door\"");
    patch(&running, json!({ "zones": [square("door", 0.0, 0.01), square("all", 0.0, 1.0)] }));
    let in_all = |scene: &Value| {
        for one in observations(scene) {
            assert!(one["zones"].as_array().unwrap().contains(&json!("all")), "{scene:#}");
        }
    };
    until(&running, "inside", in_all, any);
    patch(&running, json!({ "zones": [with(square("all", 0.0, 1.0), "confidence", json!(0.999))] }));
    until(&running, "a zone's confidence", nobody, dropped("below_zone_confidence"));
    patch(&running, json!({ "zones": [with(square("hedge", 0.0, 1.0), "kind", json!("exclude"))] }));
    let scene = until(&running, "excluded", nobody, dropped("inside_zone"));
    assert_eq!(reasons(&scene, "inside_zone")[0]["zone"], "hedge");
    patch(&running, json!({ "zones": null }));

    // NMS: at 1 nothing overlaps more.
    patch(&running, json!({ "iou": 1 }));
    let not_suppressed = |scene: &Value| assert!(reasons(scene, "suppressed").is_empty(), "{scene:#}");
    until(&running, "no NMS", not_suppressed, |scene| observations(scene).len() > 3);
    patch(&running, json!({ "iou": 0.4 }));
    let scene = until(&running, "NMS", |_| {}, dropped("suppressed"));
    for reason in reasons(&scene, "suppressed") {
        assert!(reason["iou"].as_f64().unwrap() > 0.399 && reason["by"]["type"].is_string(), "{reason}");
    }

    // Fit.
    let fit = || running.http_get("/api/status").json()["model"]["fit"].clone();
    assert_eq!(fit(), "letterbox");
    for wanted in ["stretch", "crop", "letterbox"] {
        patch(&running, json!({ "fit": wanted }));
        assert_eq!(fit(), wanted);
        until(&running, wanted, |_| {}, any);
    }
    patch(&running, json!({ "fit": "auto" }));

    // Frame rate.
    let frames = || running.http_get("/api/status").json()["frames"].clone();
    let of = |frames: &Value, name: &str| frames[name].as_u64().unwrap();
    assert_eq!(frames()["skipped"], 0);
    patch(&running, json!({ "fps_limit": 2 }));
    let (before, begun) = (frames(), Instant::now());
    let since = |before: &Value, name: &str| of(&frames(), name) - of(before, name);
    process::wait_until("some frames go through", || {
        since(&before, "inferred") > 3 && since(&before, "skipped") > 20
    });
    let (after, took) = (frames(), begun.elapsed().as_secs_f64());
    let inferred = of(&after, "inferred") - of(&before, "inferred");
    assert!((3..=(took * 2.0).ceil() as u64 + 1).contains(&inferred), "{inferred} in {took} s");
    assert!(of(&after, "skipped") - of(&before, "skipped") > 20, "{before} {after}");
    patch(&running, json!({ "fps_limit": null }));
    let before = frames();
    process::wait_until("frames go through", || since(&before, "captured") > 10);
    let after = frames();
    assert_eq!(of(&after, "skipped"), of(&before, "skipped"));
    // Every frame is accounted for; at most those on their way are not yet.
    let sum = of(&after, "inferred") + of(&after, "dropped") + of(&after, "skipped");
    assert!((sum..=sum + 3).contains(&of(&after, "captured")), "{after}");
}

#[test]
fn another_fit_finds_the_same_as_a_model_loaded_with_it() {
    let mut scene = Demo::new(9, 640, 360);
    let frame = demo::frame(&mut scene, Duration::from_secs(3));
    let load = |fit| {
        let spec = LoadSpec { model: Some(MODEL.to_owned()), fit, ..LoadSpec::default() };
        LoadedModel::open(spec).unwrap().ready_detector().unwrap()
    };
    let thresholds = Thresholds::live(0.3, 0.45);
    let mut live = load(None);
    let mut all = Vec::new();
    for fit in [None, Some(Fit::Stretch), Some(Fit::Crop), Some(Fit::Letterbox), None] {
        live.set_fit(fit);
        let (found, _) = live.detect(&frame, &thresholds).unwrap();
        let (found, mut fresh) = (found.clone(), load(fit));
        assert_eq!(&found, fresh.detect(&frame, &thresholds).unwrap().0, "{fit:?}");
        assert!(!found.detections.is_empty(), "{fit:?}");
        all.push(found);
    }
    assert_eq!(all[0], all[4]);
    assert_ne!(all[0], all[1]);
    assert_ne!(all[1], all[2]);
}

#[test]
fn settings_are_read_changed_exported_and_imported() {
    let running = start(&["--conf", "0.3"]);
    let get = || running.http_get("/api/settings");
    let first = get();
    let etag = first.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert_eq!((&first.json()["confidence"], &first.json()["schema"]), (&json!(0.3), &json!(2)));
    assert_eq!(running.http_get("/api/status").json()["settings"]["etag"], etag.trim_matches('"'));

    let change = json!({ "zones": [square("door", 0.0, 0.5)], "size": { "min": 0.02 } });
    let changed = ask(&running, "PATCH", "/api/settings", &[("If-Match", &etag)], &change);
    assert_eq!(changed.status, 200);
    assert_eq!(changed.header("etag"), get().header("etag"));
    // What came first wins.
    for method in ["PATCH", "PUT", "DELETE"] {
        let body = if method == "DELETE" { Value::Null } else { json!({ "iou": 0.1 }) };
        let refused = ask(&running, method, "/api/settings", &[("If-Match", &etag)], &body);
        assert_eq!((refused.status, refused.header("content-type")), (412, Some("application/problem+json")));
        assert!(refused.json()["detail"].as_str().unwrap().contains("read them again"), "{}", refused.text());
    }
    let several = format!("\"x\", {}", changed.header("etag").unwrap());
    for tags in ["*", &several] {
        assert_eq!(
            ask(&running, "PATCH", "/api/settings", &[("If-Match", tags)], &json!({})).status,
            200,
            "{tags}"
        );
    }
    let wrong = json!({ "zones": [square("door", 0.0, 1.3)] });
    let refused = ask(&running, "PATCH", "/api/settings", &[], &wrong);
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["detail"], "zones[0].points[1].x must be from 0 to 1, not 1.3");

    // The zones alone.
    let zones = running.http_get("/api/v1/zones");
    assert_eq!(zones.json(), get().json()["zones"]);
    assert_eq!(zones.header("etag"), get().header("etag"));
    let put = |headers: &[(&str, &str)], body: Value| ask(&running, "PUT", "/admin/v1/zones", headers, &body);
    let other = put(&[("If-Match", zones.header("etag").unwrap())], json!([square("gate", 0.5, 1.0)]));
    assert_eq!((other.status, &other.json()[0]["name"]), (200, &json!("gate")));
    let document = get().json();
    assert_eq!((&document["zones"], &document["size"]["min"]), (&other.json(), &json!(0.02)));
    assert_eq!(put(&[("If-Match", zones.header("etag").unwrap())], zones.json()).status, 412);
    for (wrong, why) in [
        (json!([square("door", 0.0, 1.3)]), "zones[0].points[1].x must be from 0 to 1, not 1.3"),
        (json!({ "name": "door" }), "zones must be"),
    ] {
        let refused = put(&[], wrong);
        assert_eq!(refused.status, 400);
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(why), "{detail}");
    }
    assert_eq!(put(&[], zones.json()).json(), zones.json());

    // Out, back to the defaults, and in again.
    let exported = get();
    let reset = ask(&running, "DELETE", "/admin/settings", &[], &Value::Null);
    assert_eq!((reset.status, reset.header("etag")), (200, Some(etag.as_str())));
    let imported = ask(&running, "PUT", "/admin/settings", &[], &exported.json());
    assert_eq!((imported.status, imported.json()), (200, exported.json()));
    assert_eq!(imported.header("etag"), exported.header("etag"));

    let schema = running.http_get("/api/settings/schema").json();
    assert_eq!(schema["properties"]["confidence"]["default"], 0.3);
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    assert!(schema.is_valid(&exported.json()) && !schema.is_valid(&wrong));

    // Viewers behind a camera's web server only look.
    assert_eq!(running.http_get("/local/spotter/api/settings/schema").status, 200);
    assert_eq!(ask(&running, "DELETE", "/local/spotter/api/settings", &[], &Value::Null).status, 403);
    let refused = ask(&running, "POST", "/api/settings", &[], &json!({}));
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, PATCH, PUT, DELETE")));
}

/// Starts with a settings file, looks at the settings and the notices, and ends.
fn look(path: &Path, change: Option<Value>) -> (Value, Vec<String>) {
    let running = start(&["--settings", path.to_str().unwrap()]);
    if let Some(change) = change {
        assert_eq!(ask(&running, "PATCH", "/api/settings", &[], &change).status, 200);
    }
    let settings = running.http_get("/api/settings").json();
    let notices = running.http_get("/api/status").json()["notices"].clone();
    assert_eq!(running.stop(LIMIT).code, Some(0));
    (settings, serde_json::from_value(notices).unwrap())
}

#[test]
fn settings_survive_restarts_damage_and_upgrades() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    // Schema 1, as version 0.1.0 wrote it at first.
    let old = json!({ "schema": 1, "settings": { "confidence": 0.3, "iou": 0.6 },
                      "instead_of": { "confidence": 0.5, "iou": 0.45 } });
    std::fs::write(&path, old.to_string()).unwrap();
    let (settings, notices) = look(&path, None);
    assert_eq!(
        (&settings["schema"], &settings["confidence"], &settings["iou"]),
        (&json!(2), &json!(0.3), &json!(0.6))
    );
    assert_eq!(notices, Vec::<String>::new());

    let change = json!({ "zones": [square("door", 0.1, 0.5)], "labels": { "person": { "on": false } }, "fps_limit": 10 });
    let (changed, _) = look(&path, Some(change));
    let (again, notices) = look(&path, None);
    assert_eq!((&again, notices), (&changed, vec![]));

    // Damaged: the last good copy, and a word about it.
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    let (saved, notices) = look(&path, None);
    assert_eq!(saved, changed);
    assert!(
        notices[0].contains("settings.json is not used") && notices[0].contains(".bak is"),
        "{notices:?}"
    );
    // The next change mends it.
    look(&path, Some(json!({ "confidence": 0.7 })));
    let (mended, notices) = look(&path, None);
    assert_eq!((&mended["confidence"], &mended["zones"], notices), (&json!(0.7), &changed["zones"], vec![]));

    // A newer version's settings are kept through changes, and told of.
    let mut newer: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    newer["tracks"] = json!({ "most": 7 });
    newer["zones"][0]["note"] = json!("by hand");
    std::fs::write(&path, newer.to_string()).unwrap();
    let (kept, notices) = look(&path, Some(json!({ "confidence": 0.6 })));
    assert!(notices[0].contains("zones[0].note, tracks"), "{notices:?}");
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for value in [&kept, &written] {
        assert_eq!(
            (&value["tracks"], &value["zones"][0]["note"]),
            (&json!({ "most": 7 }), &json!("by hand"))
        );
        assert_eq!(value["confidence"], 0.6);
    }
    // Without a file nothing outlives the program.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "settings.json, .bak and .damaged");
}
