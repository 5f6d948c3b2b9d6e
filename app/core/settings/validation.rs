//! What a JSON document may be by its schema: as much of JSON Schema 2020-12 as `schema.json` uses. Why it is not a
//! library's: none that fits into a camera's package, and none that says what to do instead.

use serde_json::{Map, Value, json};

use crate::base::error::{Error, Kind, Result};

/// A value as a person reads it: not more than fits into a sentence.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// "a, b or c".
fn any_of(words: &[Value]) -> String {
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    match words.as_slice() {
        [words @ .., last] if !words.is_empty() => format!("{} or {last}", words.join(", ")),
        words => words.concat(),
    }
}

/// Does something with a member's path: `size` → `size.min`, `labels` → `labels["traffic light"]`.
fn at_member<T>(path: &mut String, name: &str, work: impl FnOnce(&mut String) -> T) -> T {
    let before = path.len();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    match name.chars().all(is_word) && !name.is_empty() {
        true if path.is_empty() => path.push_str(name),
        true => path.push_str(&format!(".{name}")),
        false => path.push_str(&format!("[{}]", shown(&json!(name)))),
    }
    let done = work(path);
    path.truncate(before);
    done
}

/// As [`at_member`], for the item of a list.
fn at_item<T>(path: &mut String, index: usize, work: impl FnOnce(&mut String) -> T) -> T {
    let before = path.len();
    path.push_str(&format!("[{index}]"));
    let done = work(path);
    path.truncate(before);
    done
}

fn wrong<T>(text: String) -> Result<T> {
    Err(Error::new(Kind::Usage, text))
}

/// The schema's numbers `least` and `most` under these names.
fn limits(schema: &Value, least: &str, most: &str) -> (f64, f64) {
    (schema[least].as_f64().unwrap_or(f64::MIN), schema[most].as_f64().unwrap_or(f64::MAX))
}

fn within((least, most): (f64, f64), count: usize) -> bool {
    (least..=most).contains(&(count as f64))
}

/// The schemas of an object's members: those that it names, and that of all others.
fn members(schema: &Value) -> (impl Iterator<Item = (&String, &Value)>, Option<&Value>) {
    (schema["properties"].as_object().into_iter().flatten(), schema.get("additionalProperties"))
}

/// Checks a value; `path` says where it stands, empty for the document itself.
///
/// # Errors
/// `Kind::Usage` with the path and the value of the first thing that is wrong.
pub(super) fn check(schema: &Value, value: &Value, path: &mut String) -> Result<()> {
    let must = |path: &str, what: &str| {
        let path = if path.is_empty() { "settings" } else { path };
        wrong(format!("{path} must {what}, not {}", shown(value)))
    };
    if let Some(only) = schema.get("const") {
        return if only.as_f64() == value.as_f64() { Ok(()) } else { must(path, &format!("be {only}")) };
    }
    if let Some(words) = schema["enum"].as_array() {
        return if words.contains(value) { Ok(()) } else { must(path, &format!("be {}", any_of(words))) };
    }
    let (kind, or_null) = match &schema["type"] {
        Value::Array(kinds) => (&kinds[0], true),
        kind => (kind, false),
    };
    match (kind.as_str().unwrap_or_default(), value) {
        (_, Value::Null) if or_null => Ok(()),
        ("boolean", Value::Bool(_)) => Ok(()),
        ("boolean", _) => must(path, "be true or false"),
        ("number", _) => {
            let (least, most) = limits(schema, "minimum", "maximum");
            match value.as_f64() {
                Some(number) if (least..=most).contains(&number) => Ok(()),
                Some(_) => must(path, &format!("be from {least} to {most}")),
                None => {
                    let or_null = if or_null { ", or null" } else { "" };
                    must(path, &format!("be a number from {least} to {most}{or_null}"))
                }
            }
        }
        ("string", _) => {
            let length = limits(schema, "minLength", "maxLength");
            match value.as_str() {
                Some(text) if within(length, text.chars().count()) => Ok(()),
                _ => must(path, &format!("be a string of {} to {} characters", length.0, length.1)),
            }
        }
        ("array", Value::Array(items)) => {
            let (least, most) = limits(schema, "minItems", "maxItems");
            if !within((least, most), items.len()) {
                return wrong(format!("{path} must be a list of {least} to {most}, not of {}", items.len()));
            }
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, value)| {
                at_item(path, index, |path| check(&schema["items"], value, path))
            })
        }
        ("array", _) => must(path, "be a list"),
        (_, Value::Object(values)) => check_members(schema, values, path),
        _ => must(path, "be a JSON object"),
    }
}

fn check_members(schema: &Value, values: &Map<String, Value>, path: &mut String) -> Result<()> {
    let (named, others) = members(schema);
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, schema) in named {
        at_member(path, name, |path| match values.get(name) {
            Some(value) => check(schema, value, path),
            None if required.iter().any(|required| required == name) => wrong(format!("{path} is missing")),
            None => Ok(()),
        })?;
    }
    let Some(others) = others else { return Ok(()) };
    let length = limits(&schema["propertyNames"], "minLength", "maxLength");
    for (name, value) in values {
        let count = name.chars().count();
        if !within(length, count) {
            let (least, most) = length;
            return wrong(format!("the names in {path} must have {least} to {most} characters, not {count}"));
        }
        at_member(path, name, |path| check(others, value, path))?;
    }
    Ok(())
}

/// Adds what a checked value leaves out: the members in the order of the schema, then those that are not understood.
pub(super) fn complete(schema: &Value, value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|value| complete(&schema["items"], value)).collect(),
        Value::Object(mut values) => {
            let (named, others) = members(schema);
            let mut all = Map::new();
            for (name, schema) in named {
                let value = values.shift_remove(name).unwrap_or_else(|| schema["default"].clone());
                all.insert(name.clone(), complete(schema, value));
            }
            all.extend(values.into_iter().map(|(name, value)| match others {
                Some(schema) => (name, complete(schema, value)),
                None => (name, value),
            }));
            Value::Object(all)
        }
        value => value,
    }
}

/// The paths of members that are not understood.
pub(super) fn unknown(schema: &Value, value: &Value, path: &mut String, into: &mut Vec<String>) {
    match value {
        Value::Array(items) if schema.get("items").is_some() => {
            for (index, value) in items.iter().enumerate() {
                at_item(path, index, |path| unknown(&schema["items"], value, path, into));
            }
        }
        Value::Object(values) if schema["type"] == "object" => {
            for (name, value) in values {
                at_member(path, name, |path| match schema["properties"].get(name).or(members(schema).1) {
                    Some(schema) => unknown(schema, value, path, into),
                    None => into.push(path.clone()),
                });
            }
        }
        _ => {}
    }
}
