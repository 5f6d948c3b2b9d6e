//! `openapi.json` as a test uses it.

use serde_json::{Value, json};

/// The document.
pub struct Document(pub Value);

/// One method of one path.
pub struct Operation<'a> {
    pub path: &'a str,
    /// In capitals.
    pub method: String,
    pub value: &'a Value,
}

impl Document {
    /// What a reference inside the document means.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("a reference into this document");
                self.resolve(self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere")))
            }
            None => value,
        }
    }

    /// All of them.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().expect("paths");
        paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().expect("a path item").iter().map(move |(method, value)| Operation {
                    path,
                    method: method.to_uppercase(),
                    value,
                })
            })
            .collect()
    }

    /// A validator of a schema of the document.
    pub fn validator(&self, schema: &Value) -> jsonschema::Validator {
        let mut whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.0["components"],
        });
        for (key, value) in schema.as_object().expect("a schema") {
            whole[key] = value.clone();
        }
        jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{schema}: {error}"))
    }

    /// Panics, with all that is wrong, where a value does not keep to its schema.
    pub fn check(&self, schema: &Value, value: &Value, what: &str) {
        let validator = self.validator(schema);
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
    }

    /// Panics where an answer is not one that the document has for this operation.
    pub fn check_answer(&self, operation: &Operation<'_>, answer: &super::Response) {
        let what = format!("{} {}: {}", operation.method, operation.path, answer.status);
        let known = &operation.value["responses"][answer.status.to_string()];
        assert!(known.is_object(), "{what} is not described; {}", answer.text());
        let known = self.resolve(known);
        let Some(content) = known["content"].as_object() else {
            assert!(answer.body.is_empty(), "{what} has a body");
            return;
        };
        let kind = answer.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim();
        let media = content.get(kind).unwrap_or_else(|| panic!("{what} is {kind}"));
        if kind.ends_with("json") {
            self.check(&media["schema"], &answer.json(), &what);
        }
    }
}
