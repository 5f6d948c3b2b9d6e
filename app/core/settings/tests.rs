use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use schemars::generate::SchemaSettings;
use serde::Serializer;
use serde_json::{Value, json};

use super::revision::{JSON_SCHEMA, Revision};
use super::shared::{Reader, SharedSettings, merge};
use super::*;
use crate::base::error::Kind;

pub(super) const BEYOND_THE_SCHEMA: &str =
    "Beyond this schema: size.min is not above size.max, sensor names one, and no two zones have one name.";

pub(super) fn as_text<S: Serializer>(sensor: &View, into: S) -> Result<S::Ok, S::Error> {
    into.collect_str(sensor)
}

fn settings() -> SharedSettings {
    SharedSettings::new(Overrides::default())
}

/// What the command line could have said to have these settings.
pub(super) fn values(settings: &SharedSettings) -> Overrides {
    let now = settings.now();
    Overrides { confidence: now.confidence as f32, iou: now.iou as f32, sensor: now.sensor }
}

/// What schemars derives, in the words that the page and other programs know.
fn worded(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(worded);
            // Rust's types, and texts in lines.
            members.shift_remove("format");
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if let Some(Value::Array(words)) = members.get("oneOf") {
                let words: Vec<Value> = words.iter().map(|word| word["const"].clone()).collect();
                members.shift_remove("oneOf");
                members.insert("enum".to_owned(), json!(words));
            }
            for (_, field) in
                members.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
            {
                if field.get("const").is_none() {
                    field["x-spotter-effect"] = json!("live");
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(worded),
        _ => {}
    }
}

#[test]
fn the_kept_schema_is_that_of_the_settings() {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Settings>().to_value();
    worded(&mut schema);
    let text = format!("{schema:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings/schema.json");
    if std::env::var_os("SPOTTER_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "the settings have changed: write their schema with SPOTTER_WRITE_SCHEMA=1, then test again"
    );
}

fn points() -> Value {
    json!([{ "x": 0, "y": 0 }, { "x": 1, "y": 0 }, { "x": 0.5, "y": 1 }])
}

/// A document that uses everything.
fn full() -> Value {
    json!({
        "schema": 2,
        "confidence": 0.4,
        "iou": 0.6,
        "sensor": "channel=0",
        "labels": { "person": { "on": true, "confidence": 0.7 }, "traffic light": { "on": false } },
        "size": { "min": 0.02, "max": 0.9 },
        "zones": [
            { "name": "door", "points": points() },
            { "name": "hedge", "on": false, "kind": "exclude", "points": points(), "anchor": "overlap",
              "share": 0.25, "labels": ["person"], "confidence": 0.9 },
        ],
        "fit": "stretch",
        "fps_limit": 5,
    })
}

#[test]
fn a_patch_is_applied_whole_or_not_at_all() {
    let settings = settings();
    assert_eq!(values(&settings), Overrides { confidence: 0.5, iou: 0.45, ..Overrides::default() });
    assert_eq!(settings.revision().to_json()["confidence"].to_string(), "0.5");
    settings.patch(&json!({ "confidence": 0.25 }), None).unwrap();
    assert_eq!(values(&settings).confidence, 0.25);
    let before = settings.revision();
    let error = settings.patch(&json!({ "confidence": 0.9, "iou": 7 }), None).unwrap_err();
    assert_eq!(error.to_string(), "iou must be from 0 to 1, not 7");
    assert!(Arc::ptr_eq(&before, &settings.revision()));
    for bad in [json!({ "confidence": "x" }), json!([1]), json!(null), json!({ "schema": 1 })] {
        assert_eq!(settings.patch(&bad, None).unwrap_err().kind(), Kind::Usage, "{bad}");
    }
}

#[test]
fn a_patch_is_a_merge_patch() {
    let settings = SharedSettings::new(Overrides { confidence: 0.3, iou: 0.6, ..Overrides::default() });
    settings.replace(&full(), None).unwrap();
    let patched = |patch: Value| settings.patch(&patch, None).unwrap().to_json().clone();
    let value = patched(json!({ "labels": { "person": { "on": false }, "traffic light": null, "dog": {} } }));
    let rule = |on: bool, confidence: Value| json!({ "on": on, "confidence": confidence });
    assert_eq!(value["labels"], json!({ "person": rule(false, json!(0.7)), "dog": rule(true, json!(null)) }));
    assert_eq!(patched(json!({ "size": { "min": null } }))["size"], json!({ "min": 0.0, "max": 0.9 }));
    // What goes away comes back as it was by default; of the two, as the command line says.
    assert_eq!(patched(json!({ "confidence": null }))["confidence"], 0.3);
    assert_eq!(patched(json!({ "zones": null, "fit": null }))["zones"], json!([]));
    assert_eq!(settings.now().fit.fit(), None);
    assert_eq!(
        settings.reset(None).unwrap().to_json(),
        SharedSettings::new(values(&settings)).revision().to_json()
    );
}

#[test]
fn merging_is_that_of_rfc_7396() {
    // The test cases of its appendix A.
    for (target, patch, result) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a":"b"}), json!(["c"]), json!(["c"])),
        (json!({"a":"foo"}), json!(null), json!(null)),
        (json!({"a":"foo"}), json!("bar"), json!("bar")),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
        (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
    ] {
        let mut merged = target.clone();
        merge(&mut merged, &patch);
        assert_eq!(merged, result, "{target} {patch}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_path_and_value() {
    let settings = settings();
    settings.replace(&full(), None).unwrap();
    for (pointer, value, sentence) in [
        ("/zones/1/points/0/x", json!(1.3), "zones[1].points[0].x must be from 0 to 1, not 1.3"),
        ("/zones/1/points", json!([1, 2]), "zones[1].points must be a list of 3 to 32, not of 2"),
        ("/zones/1/name", json!(""), "zones[1].name must be a string of 1 to 64 characters, not \"\""),
        (
            "/zones/1/name",
            json!("door"),
            "zones[1].name must differ from the others, and \"door\" is that of zones[0]",
        ),
        ("/zones/1/kind", json!("keep"), "zones[1].kind must be include or exclude, not \"keep\""),
        ("/zones/0", json!({ "name": "a" }), "zones[0].points is missing"),
        ("/labels/traffic light/on", json!(1), "labels[\"traffic light\"].on must be true or false, not 1"),
        ("/labels/person", json!(true), "labels.person must be a JSON object, not true"),
        ("/fit", json!("crop-0.875"), "fit must be auto, letterbox, stretch or crop, not \"crop-0.875\""),
        ("/fps_limit", json!("5"), "fps_limit must be a number from 0.1 to 240, or null, not \"5\""),
        ("/size/min", json!(0.95), "size.min must not be above size.max: 0.95 > 0.9"),
        ("/schema", json!(3), "schema 3 is of a newer Spotter; this one reads documents of schema 1 to 2"),
        ("", json!([]), "settings must be a JSON object, not []"),
    ] {
        let mut document = full();
        *document.pointer_mut(pointer).unwrap() = value;
        let error = settings.replace(&document, None).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (Kind::Usage, sentence.to_owned()));
    }
    let long = json!({ "fit": "x".repeat(1000) });
    assert!(settings.patch(&long, None).unwrap_err().to_string().len() < 200);
}

#[test]
fn an_etag_names_a_content_and_a_change_can_demand_it() {
    let settings = settings();
    let first = settings.revision().etag().to_owned();
    let second = settings.patch(&json!({ "iou": 0.5 }), Some(&first)).unwrap().etag().to_owned();
    assert_ne!(first, second);
    let outdated = [
        settings.patch(&json!({ "iou": 0.6 }), Some(&first)),
        settings.replace(&full(), Some(&first)),
        settings.reset(Some(&first)),
    ];
    for outcome in outdated {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.kind().http_status()), (Kind::Outdated, 412));
        assert!(error.to_string().contains(&second) && error.to_string().contains("repeat"), "{error}");
    }
    assert_eq!(settings.reset(Some(&second)).unwrap().etag(), first);
}

#[test]
fn what_is_not_understood_is_kept_and_told_but_not_taken_from_a_patch() {
    let settings = settings();
    let mut document = full();
    document["colour"] = json!("red");
    document["size"]["deep"] = json!(1);
    document["zones"][0]["note"] = json!([null]);
    settings.replace(&document, None).unwrap();
    let kept = settings.patch(&json!({ "iou": 0.3 }), None).unwrap();
    assert_eq!(
        (&kept.to_json()["colour"], &kept.to_json()["zones"][0]["note"]),
        (&json!("red"), &json!([null]))
    );
    assert_eq!(kept.unknown(), ["size.deep", "zones[0].note", "colour"]);
    let [notice] = &settings.notices()[..] else { panic!("one notice") };
    assert!(notice.contains("size.deep, zones[0].note, colour; they are kept"), "{notice}");
    let error = settings.patch(&json!({ "confidenze": 1 }), None).unwrap_err().to_string();
    assert_eq!(error, "there is no setting \"confidenze\"; /api/settings/schema lists those there are");
    assert!(
        settings
            .patch(&json!({ "size": { "most": 1 } }), None)
            .unwrap_err()
            .to_string()
            .contains("size.most")
    );
    // What is there already can be changed and taken away.
    settings.patch(&json!({ "colour": null, "size": { "deep": null } }), None).unwrap();
    settings.patch(&json!({ "zones": [] }), None).unwrap();
    assert_eq!(settings.notices(), Vec::<String>::new());
}

#[test]
fn an_older_document_is_taken_and_an_exported_one_comes_back_the_same() {
    let settings = settings();
    let old = json!({ "schema": 1, "settings": { "confidence": 0.3, "iou": 0.6 }, "instead_of": { "confidence": 0.5 } });
    let document = settings.replace(&old, None).unwrap();
    assert_eq!(values(&settings), Overrides { confidence: 0.3, iou: 0.6, ..Overrides::default() });
    assert_eq!((document.unknown(), &document.to_json()["schema"]), (&[][..], &json!(2)));
    let exported = settings.replace(&full(), None).unwrap();
    let other = SharedSettings::new(Overrides { confidence: 0.1, iou: 0.1, ..Overrides::default() });
    let imported = other.replace(exported.to_json(), None).unwrap();
    assert_eq!((imported.to_json(), imported.etag()), (exported.to_json(), exported.etag()));
}

#[test]
fn a_reader_hears_of_every_change_once() {
    let settings = settings();
    let mut reader = Reader::default();
    assert_eq!(reader.news(&settings).unwrap().confidence, 0.5);
    assert!(reader.news(&settings).is_none());
    settings.patch(&json!({ "confidence": 0.2 }), None).unwrap();
    settings.patch(&json!({ "confidence": 0.1 }), None).unwrap();
    assert_eq!(reader.news(&settings).unwrap().confidence, 0.1);
    assert!(settings.patch(&json!({ "confidence": 2 }), None).is_err());
    assert!(reader.news(&settings).is_none(), "what was refused is no change");
}

#[test]
fn the_settings_are_those_of_the_json() {
    let settings = settings();
    settings.replace(&full(), None).unwrap();
    let now = settings.now();
    assert_eq!((now.confidence, now.iou, now.size), (0.4, 0.6, SizeSettings { min: 0.02, max: 0.9 }));
    assert_eq!((now.fit.fit(), now.fps_limit), (Some(Fit::Stretch), Some(5.0)));
    assert_eq!((now.labels["person"].confidence, now.labels["traffic light"].on), (Some(0.7), false));
    let zones: Vec<_> = now.zones.iter().map(|zone| (zone.name.as_str(), zone.on, zone.kind)).collect();
    assert_eq!(zones, [("door", true, ZoneKind::Include), ("hedge", false, ZoneKind::Exclude)]);
    settings.patch(&json!({ "fit": "auto", "fps_limit": null }), None).unwrap();
    assert_eq!((settings.now().fit.fit(), settings.now().fps_limit), (None, None));
}

#[test]
fn the_schema_says_of_each_setting_what_it_is() {
    let settings = SharedSettings::new(Overrides { confidence: 0.3, iou: 0.6, ..Overrides::default() });
    let schema = settings.schema();
    assert!(jsonschema::meta::is_valid(&schema));
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    fn look(schema: &Value, path: &str, seen: &mut usize) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            *seen += 1;
            assert!(field["title"].is_string() && field["description"].is_string(), "{path}");
            let required =
                schema["required"].as_array().is_some_and(|required| required.contains(&json!(name)));
            assert_ne!(required, field.get("default").is_some(), "{path}");
            if path != "/schema" {
                assert!(["live", "restart"].contains(&field["x-spotter-effect"].as_str().unwrap()), "{path}");
            }
            if field["type"].to_string().contains("number") {
                assert!(field["x-spotter-unit"].is_string(), "{path}");
            }
            for inner in [field, &field["items"], &field["additionalProperties"]] {
                look(inner, &path, seen);
            }
        }
    }
    let mut seen = 0;
    look(&schema, "", &mut seen);
    assert!(seen >= 23, "{seen}");
    // The defaults are what a reset gives.
    for (name, field) in schema["properties"].as_object().unwrap() {
        assert_eq!(field["default"], settings.reset(None).unwrap().to_json()[name], "{name}");
    }
}

/// All places in a document.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| pointers(value, &format!("{at}/{i}"), into));
        }
        _ => {}
    }
}

/// What the description of the schema says beside it, told in another way.
fn keeps_the_rules(document: &Value) -> bool {
    let size = |name: &str, default: f64| {
        document.pointer(&format!("/size/{name}")).map_or(default, |v| v.as_f64().unwrap())
    };
    let names: Vec<&Value> =
        document["zones"].as_array().into_iter().flatten().map(|zone| &zone["name"]).collect();
    let different: std::collections::HashSet<String> = names.iter().map(|name| name.to_string()).collect();
    let sensor = document.get("sensor").and_then(Value::as_str);
    let known = sensor.is_none_or(|sensor| ["input=1", "input=2", "channel=0"].contains(&sensor));
    size("min", 0.0) <= size("max", 1.0) && different.len() == names.len() && known
}

fn any_value() -> impl Strategy<Value = Value> {
    let texts =
        ["", "x", "door", "auto", "crop", "exclude", "overlap", "centre", "ü", "input=2", "channel=0"]
            .map(|text| json!(text));
    let plain = [
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!({}),
        json!(["a"]),
        json!({ "a": {} }),
        points(),
    ];
    let numbers = [0.0, -0.0, 0.5, 1.0, 1.0000001, -1e-9, 2.0, 3.0, 0.1, 0.01, 240.0, 1e300]
        .map(|number| json!(number));
    let whole = [json!(0), json!(1), json!(2), json!(-1), json!(u64::MAX)];
    let many = [json!(vec![json!({ "x": 0.5, "y": 0.5 }); 33])];
    let long = [json!("x".repeat(64)), json!("ü".repeat(64)), json!("x".repeat(65)), json!("y".repeat(101))];
    let all: Vec<Value> =
        texts.into_iter().chain(plain).chain(numbers).chain(whole).chain(many).chain(long).collect();
    prop_oneof![4 => proptest::sample::select(all), 1 => (-0.5f64..1.5).prop_map(|number| json!(number))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn the_schema_and_the_validation_agree(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), proptest::option::weighted(0.8, any_value())), 0..4),
    ) {
        let mut document = full();
        for (place, value) in changes {
            let mut places = Vec::new();
            pointers(&document, "", &mut places);
            let place = &places[place.index(places.len())];
            match (value, place.rsplit_once('/')) {
                (Some(value), _) => *document.pointer_mut(place).unwrap() = value,
                (None, Some((parent, name))) => match document.pointer_mut(parent).unwrap() {
                    Value::Object(members) => drop(members.shift_remove(name)),
                    Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                    _ => unreachable!("it has members"),
                },
                (None, None) => {}
            }
        }
        thread_local! {
            static SCHEMA: jsonschema::Validator = jsonschema::draft202012::new(&settings().schema()).unwrap();
        }
        let by_schema = SCHEMA.with(|schema| schema.is_valid(&document));
        let by_us = validation::check(&JSON_SCHEMA, &document, &mut String::new());
        prop_assert_eq!(by_us.is_ok(), by_schema, "{:?} {}", by_us, document);
        let made = Revision::new(document.clone(), settings().revision().to_json());
        prop_assert_eq!(made.is_ok(), by_schema && keeps_the_rules(&document), "{:?}", document);
        // What was taken is complete, is taken again, and stays the same.
        if let Ok(made) = made {
            prop_assert!(SCHEMA.with(|schema| schema.is_valid(made.to_json())));
            let again = Revision::new(made.to_json().clone(), settings().revision().to_json()).unwrap();
            prop_assert_eq!(again.etag(), made.etag());
            for (name, value) in document.as_object().unwrap() {
                prop_assert!(name == "labels" || name == "zones" || name == "size" || &made.to_json()[name] == value);
            }
        }
    }
}
