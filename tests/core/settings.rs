//! What may be set: one file of examples holds Spotter's validation and the page's (`tests/page/settings.test.mjs`) to it.

use std::collections::BTreeSet;

use serde_json::Value;
use spotter_core::settings::Overrides;
use spotter_core::settings::shared::SharedSettings;

#[test]
fn documents_are_taken_or_refused_as_the_shared_examples_say() {
    let file: Value = serde_json::from_str(include_str!("../vectors/settings.json")).unwrap();
    let schema = SharedSettings::new(Overrides::default()).schema();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    for case in file["documents"].as_array().unwrap() {
        let (name, document) = (&case["name"], &case["document"]);
        let outcome = SharedSettings::new(Overrides::default()).replace(document, None);
        let error = outcome.err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), case["error"].as_str(), "{name}");
        assert!(error.is_some() || schema.is_valid(document), "{name}");
    }
}

/// What a reference in the description of the interface means.
fn resolved<'a>(openapi: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str().and_then(|reference| openapi.pointer(reference.trim_start_matches('#'))) {
        Some(node) => resolved(openapi, node),
        None => node,
    }
}

/// Whether the description of the interface says of a setting, and of all in it, what its schema says.
fn compare(openapi: &Value, described: &Value, schema: &Value, path: &str) {
    let described = resolved(openapi, described);
    for word in ["minimum", "maximum", "maxLength", "minItems", "maxItems", "enum"] {
        let (mut told, is) = (described[word].clone(), &schema[word]);
        // In a patch null is a choice too.
        if let (Value::Array(choices), "enum") = (&mut told, word) {
            choices.retain(|choice| !choice.is_null());
        }
        let is_nothing = is == 0 && told.is_null();
        let same = told == *is || is_nothing || told.is_number() && told.as_f64() == is.as_f64();
        assert!(same, "{path}: {word} is {is}, and openapi.json says {told}");
    }
    let names = |node: &Value| -> BTreeSet<String> {
        node["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(described), names(schema), "{path}: openapi.json names other settings");
    for name in names(schema).iter().filter(|name| *name != "schema") {
        let path = format!("{path}.{name}");
        compare(openapi, &described["properties"][name], &schema["properties"][name], &path);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            compare(openapi, &described[inner], &schema[inner], &format!("{path}.{inner}"));
        }
    }
}

#[test]
fn the_description_of_the_interface_has_all_settings_and_their_limits() {
    let openapi: Value = serde_json::from_str(include_str!("../../app/web/openapi.json")).unwrap();
    let schema = SharedSettings::new(Overrides::default()).schema();
    for described in ["Settings", "SettingsDocument", "SettingsPatch"] {
        compare(&openapi, &openapi["components"]["schemas"][described], &schema, described);
    }
}
