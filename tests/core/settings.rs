//! What may be set: one file of examples holds Spotter's validation and the page's (`tests/page/settings.test.mjs`) to it.

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
