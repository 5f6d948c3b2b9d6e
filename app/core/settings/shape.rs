//! What a JSON document may be: one description, of which the validation, the defaults and the JSON Schema are made.

use serde_json::{Map, Value, json};

use crate::base::error::{Error, Kind, Result};

/// When a change of a setting acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// On the next frame.
    Live,
    /// At the next start.
    Restart,
}

/// What a field has where the document does not say it.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The document must say it.
    Required,
    /// `null`.
    Null,
    /// `true`.
    True,
    /// A number.
    Number(f64),
    /// A text.
    Text(&'static str),
    /// What the shape itself is made of: an empty list or map, an object of defaults, the only number there is.
    Plain,
}

/// A member of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What a person calls it.
    pub title: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// What its number counts.
    pub unit: Option<&'static str>,
    /// What it is where it is not there.
    pub absent: Absent,
    /// When a change acts; none for what is no setting.
    pub effect: Option<Effect>,
    /// What it may be.
    pub shape: Shape,
}

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// `true` or `false`.
    Switch,
    /// A number of a range, both ends included.
    Number {
        /// The least.
        least: f64,
        /// The greatest.
        greatest: f64,
        /// `null` is taken too.
        or_null: bool,
        /// How far a key or a button moves it; none where that is left to whoever shows it.
        step: Option<f64>,
    },
    /// This number.
    Only(u32),
    /// A text of 1 to so many characters.
    Text(usize),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list.
    List {
        /// Of what.
        item: &'static Shape,
        /// How many at least.
        least: usize,
        /// How many at most.
        most: usize,
    },
    /// Any names of 1 to so many characters, each with a value.
    Map(&'static Shape, usize),
    /// Named members. Others are not understood, but kept.
    Object(&'static [Field]),
}

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
fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
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

impl Shape {
    /// Checks a value; `path` says where it stands, empty for the document itself.
    ///
    /// # Errors
    /// `Kind::Usage` with the path and the value of the first thing that is wrong.
    pub fn check(&self, value: &Value, path: &mut String) -> Result<()> {
        match self {
            Self::Switch if value.is_boolean() => Ok(()),
            Self::Switch => must(path, "be true or false", value),
            Self::Number { or_null: true, .. } if value.is_null() => Ok(()),
            Self::Number { least, greatest, or_null, .. } => match value.as_f64() {
                Some(number) if (*least..=*greatest).contains(&number) => Ok(()),
                Some(_) => must(path, &format!("be from {least} to {greatest}"), value),
                None => {
                    let or_null = if *or_null { ", or null" } else { "" };
                    must(path, &format!("be a number from {least} to {greatest}{or_null}"), value)
                }
            },
            Self::Only(number) if value.as_f64() == Some(f64::from(*number)) => Ok(()),
            Self::Only(number) => must(path, &format!("be {number}"), value),
            Self::Text(longest) => match value.as_str() {
                Some(text) if (1..=*longest).contains(&text.chars().count()) => Ok(()),
                _ => must(path, &format!("be a string of 1 to {longest} characters"), value),
            },
            Self::Choice(words) if value.as_str().is_some_and(|text| words.contains(&text)) => Ok(()),
            Self::Choice(words) => must(path, &format!("be {}", any_of(words)), value),
            Self::List { item, least, most } => {
                let Value::Array(items) = value else { return must(path, "be a list", value) };
                if !(*least..=*most).contains(&items.len()) {
                    let text = format!("{path} must be a list of {least} to {most}, not of {}", items.len());
                    return Err(Error::new(Kind::Usage, text));
                }
                for (index, value) in items.iter().enumerate() {
                    at_item(path, index, |path| item.check(value, path))?;
                }
                Ok(())
            }
            Self::Map(shape, longest) => {
                let Value::Object(members) = value else { return must(path, "be a JSON object", value) };
                for (name, value) in members {
                    if !(1..=*longest).contains(&name.chars().count()) {
                        let text = format!(
                            "the names in {path} must have 1 to {longest} characters, not {}",
                            name.chars().count()
                        );
                        return Err(Error::new(Kind::Usage, text));
                    }
                    at_member(path, name, |path| shape.check(value, path))?;
                }
                Ok(())
            }
            Self::Object(fields) => {
                let Value::Object(members) = value else { return must(path, "be a JSON object", value) };
                for field in *fields {
                    at_member(path, field.name, |path| match (members.get(field.name), field.absent) {
                        (Some(value), _) => field.shape.check(value, path),
                        (None, Absent::Required) => {
                            Err(Error::new(Kind::Usage, format!("{path} is missing")))
                        }
                        (None, _) => Ok(()),
                    })?;
                }
                Ok(())
            }
        }
    }

    /// Adds what a checked value leaves out: the members in the order of the shape, then those that are not
    /// understood.
    pub fn complete(&self, value: Value) -> Value {
        match (self, value) {
            (Self::List { item, .. }, Value::Array(items)) => {
                items.into_iter().map(|value| item.complete(value)).collect()
            }
            (Self::Map(shape, _), Value::Object(members)) => Value::Object(
                members.into_iter().map(|(name, value)| (name, shape.complete(value))).collect(),
            ),
            (Self::Object(fields), Value::Object(mut members)) => {
                let mut all = Map::new();
                for field in *fields {
                    let value = members.shift_remove(field.name).unwrap_or_else(|| field.default());
                    all.insert(field.name.to_owned(), field.shape.complete(value));
                }
                all.extend(members);
                Value::Object(all)
            }
            (_, value) => value,
        }
    }

    /// The paths of members that are not understood.
    pub fn unknown(&self, value: &Value, path: &mut String, into: &mut Vec<String>) {
        match (self, value) {
            (Self::List { item, .. }, Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    at_item(path, index, |path| item.unknown(value, path, into));
                }
            }
            (Self::Map(shape, _), Value::Object(members)) => {
                for (name, value) in members {
                    at_member(path, name, |path| shape.unknown(value, path, into));
                }
            }
            (Self::Object(fields), Value::Object(members)) => {
                for (name, value) in members {
                    at_member(path, name, |path| match fields.iter().find(|field| field.name == name) {
                        Some(field) => field.shape.unknown(value, path, into),
                        None => into.push(path.clone()),
                    });
                }
            }
            _ => {}
        }
    }

    /// The shape as JSON Schema 2020-12.
    pub fn schema(&self) -> Value {
        match self {
            Self::Switch => json!({ "type": "boolean" }),
            Self::Number { least, greatest, or_null, step } => {
                let kind = if *or_null { json!(["number", "null"]) } else { json!("number") };
                let mut schema = json!({ "type": kind, "minimum": least, "maximum": greatest });
                if let Some(step) = step {
                    schema["x-spotter-step"] = json!(step);
                }
                schema
            }
            Self::Only(number) => json!({ "const": number }),
            Self::Text(longest) => json!({ "type": "string", "minLength": 1, "maxLength": longest }),
            Self::Choice(words) => json!({ "enum": words }),
            Self::List { item, least, most } => {
                json!({ "type": "array", "items": item.schema(), "minItems": least, "maxItems": most })
            }
            Self::Map(shape, longest) => json!({
                "type": "object",
                "propertyNames": { "minLength": 1, "maxLength": longest },
                "additionalProperties": shape.schema(),
            }),
            Self::Object(fields) => {
                let properties: Map<String, Value> =
                    fields.iter().map(|field| (field.name.to_owned(), field.schema())).collect();
                let required: Vec<&str> = fields
                    .iter()
                    .filter(|field| matches!(field.absent, Absent::Required))
                    .map(|field| field.name)
                    .collect();
                json!({ "type": "object", "properties": properties, "required": required })
            }
        }
    }

    fn plain(&self) -> Value {
        match self {
            Self::Only(number) => json!(number),
            Self::List { .. } => json!([]),
            _ => self.complete(json!({})),
        }
    }
}

impl Field {
    /// What it is where the document does not say it.
    pub fn default(&self) -> Value {
        match self.absent {
            Absent::Required | Absent::Null => Value::Null,
            Absent::True => json!(true),
            Absent::Number(number) => json!(number),
            Absent::Text(text) => json!(text),
            Absent::Plain => self.shape.plain(),
        }
    }

    fn schema(&self) -> Value {
        let mut schema = json!({ "title": self.title, "description": self.about });
        if let Value::Object(members) = &mut schema {
            if let Value::Object(of_shape) = self.shape.schema() {
                members.extend(of_shape);
            }
            if !matches!(self.absent, Absent::Required) {
                members.insert("default".to_owned(), self.default());
            }
            if let Some(unit) = self.unit {
                members.insert("x-spotter-unit".to_owned(), json!(unit));
            }
            if let Some(effect) = self.effect {
                let word = if effect == Effect::Live { "live" } else { "restart" };
                members.insert("x-spotter-effect".to_owned(), json!(word));
            }
        }
        schema
    }
}

fn must(path: &str, what: &str, value: &Value) -> Result<()> {
    let path = if path.is_empty() { "settings" } else { path };
    Err(Error::new(Kind::Usage, format!("{path} must {what}, not {}", shown(value))))
}
