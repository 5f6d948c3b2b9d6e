//! Reads the rows of a label file, in every form that is about.

use serde_json::Value;

use crate::base::error::{Error, Kind, Result};

/// Larger label files are refused.
pub const MAX_BYTES: usize = 1 << 20;
/// A class index in a file may not be larger.
const MAX_ROWS: usize = 65_536;

/// The error for a file above [`MAX_BYTES`].
pub(in crate::model) fn too_large(source: &str) -> Error {
    Error::new(Kind::Model, format!("{source} is too large for a label file: at most 1 MiB is read"))
}

/// Rows of a label file:
///
/// - one name a line; blank lines at the end are ignored, blank lines between names are empty rows;
/// - or every line with its class number before it (`0 person`, `0: person`); numbers left out become
///   empty rows;
/// - or every line with its WordNet id before it (`n01440764 tench`), as ImageNet's lists have it; the id
///   is taken off;
/// - or JSON: `["person", …]`, `{"0": "person", …}` or `{"0": ["n01440764", "tench"], …}`.
///
/// # Errors
/// [`Kind::Model`] where the text is too large, no UTF-8, empty, no sound JSON though it begins like it, or
/// numbers classes beyond 65536.
pub fn parse(bytes: &[u8], source: &str) -> Result<Vec<String>> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large(source));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|b| **b == b'\n').count() + 1;
        Error::new(Kind::Model, format!("{source} is no UTF-8 text (line {line}); save the labels as UTF-8"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
    if text.trim_start().starts_with(['[', '{']) {
        return json_rows(text, source);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    if lines.iter().all(|line| line.is_empty()) {
        return Err(Error::new(Kind::Model, format!("{source} has no labels; give one name a line")));
    }
    if let Some(rows) = numbered_rows(&lines) {
        return place(rows.into_iter().map(|(index, name)| (index, name.to_string())), source);
    }
    let names = lines.iter().map(|line| if line.is_empty() { Some("") } else { without_synset(line) });
    let names: Option<Vec<&str>> = names.collect();
    Ok(names.unwrap_or(lines).into_iter().map(str::to_string).collect())
}

/// The names at their indices; empty rows between them.
fn place(rows: impl Iterator<Item = (usize, String)>, source: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (index, name) in rows {
        if index >= MAX_ROWS {
            let text = format!("{source} numbers a class beyond {MAX_ROWS}; give one name a line");
            return Err(Error::new(Kind::Model, text));
        }
        if names.len() <= index {
            names.resize(index + 1, String::new());
        }
        names[index] = name;
    }
    Ok(names)
}

/// The rows of a JSON label file.
fn json_rows(text: &str, source: &str) -> Result<Vec<String>> {
    const FORMS: &str = "give [\"person\", \"car\"], {\"0\": \"person\"}, or one name a line";
    let wrong =
        |what: &str| Error::new(Kind::Model, format!("{source} is no JSON label file: {what}; {FORMS}"));
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let rows = match &value {
        Value::Array(list) if !list.is_empty() => {
            let names = list.iter().enumerate().map(|(i, value)| Some((i, json_name(value)?)));
            names.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("its list holds more than names"))?
        }
        Value::Object(map) if !map.is_empty() => {
            let rows = map.iter().map(|(key, value)| Some((key.parse().ok()?, json_name(value)?)));
            rows.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("its entries are no numbers with names"))?
        }
        _ => return Err(wrong("it is empty")),
    };
    place(rows.into_iter(), source)
}

/// The name that one entry of a JSON label file gives: a text, or a pair of WordNet id and text.
fn json_name(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(id), Value::String(name)] if is_synset(id) => name,
            _ => return None,
        },
        _ => return None,
    };
    let text = text.trim();
    Some(without_synset(text).unwrap_or(text).to_string())
}

/// True for a WordNet id: `n` and eight digits.
fn is_synset(word: &str) -> bool {
    word.strip_prefix('n').is_some_and(|id| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What follows the WordNet id at the start of a line, where there is one and something follows.
fn without_synset(line: &str) -> Option<&str> {
    let (id, name) = line.split_once(char::is_whitespace)?;
    is_synset(id).then(|| name.trim()).filter(|name| !name.is_empty())
}

/// The rows where every one has a number before it and the numbers rise.
fn numbered_rows<'a>(lines: &[&'a str]) -> Option<Vec<(usize, &'a str)>> {
    let mut rows: Vec<(usize, &str)> = Vec::with_capacity(lines.len());
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let digits = line.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = line.split_at(digits);
        let name = rest.strip_prefix(':').or_else(|| rest.strip_prefix(char::is_whitespace))?;
        let index: usize = number.parse().ok()?;
        if rows.last().is_some_and(|(previous, _)| *previous >= index) {
            return None;
        }
        rows.push((index, name.trim()));
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<String> {
        parse(text.as_bytes(), "labels.txt").unwrap()
    }

    #[test]
    fn one_name_a_line_with_any_line_end() {
        assert_eq!(rows("\u{feff}person\r\n traffic light \r\n\r\n\r\n"), ["person", "traffic light"]);
        assert_eq!(rows("a\n\nb"), ["a", "", "b"]);
        assert_eq!(rows("3 wheeler\ncar"), ["3 wheeler", "car"]);
    }

    #[test]
    fn wordnet_ids_are_taken_off_where_every_line_has_one() {
        assert_eq!(
            rows("n01440764 tench, Tinca tinca\r\nn01443537\tgoldfish\n"),
            ["tench, Tinca tinca", "goldfish"]
        );
        let mixed = ["n01440764 tench", "car"];
        assert_eq!(rows(&mixed.join("\n")), mixed);
        assert_eq!(rows("n01440764\nn01443537"), ["n01440764", "n01443537"], "ids alone are the names");
        assert_eq!(rows("n0144076 tench\nn014435370 fish")[0], "n0144076 tench", "eight digits");
    }

    #[test]
    fn json_is_read_in_its_usual_forms() {
        for text in [
            r#"["person", "", "car"]"#,
            r#" {"2": "car", "0": "person"}"#,
            r#"{"0": ["n01440764", "person"], "2": "n01443537 car"}"#,
        ] {
            assert_eq!(rows(text), ["person", "", "car"], "{text}");
        }
        let sentence = |text: &str| parse(text.as_bytes(), "l.json").unwrap_err().to_string();
        for (text, what) in [
            ("[\"person\"", "EOF while parsing a list at line 1 column 9"),
            ("[1, 2]", "its list holds more than names"),
            ("{\"person\": 0}", "its entries are no numbers with names"),
            ("[]", "it is empty"),
        ] {
            let end = "give [\"person\", \"car\"], {\"0\": \"person\"}, or one name a line";
            assert_eq!(sentence(text), format!("l.json is no JSON label file: {what}; {end}"));
        }
        assert_eq!(
            sentence("{\"65536\": \"x\"}"),
            "l.json numbers a class beyond 65536; give one name a line"
        );
        assert!(sentence(&"[".repeat(100_000)).contains("recursion limit"));
    }

    #[test]
    fn what_is_no_label_file_is_said_so() {
        for (bytes, sentence) in [
            (&b"a\nb\xff"[..], "l.txt is no UTF-8 text (line 2); save the labels as UTF-8"),
            (b" \r\n\n", "l.txt has no labels; give one name a line"),
            (b"", "l.txt has no labels; give one name a line"),
        ] {
            assert_eq!(parse(bytes, "l.txt").unwrap_err().to_string(), sentence);
        }
        assert!(parse(&vec![b'a'; MAX_BYTES + 1], "l.txt").unwrap_err().to_string().contains("too large"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_are_labels_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), classes in proptest::option::of(0usize..2000)) {
            if let Ok(rows) = parse(&bytes, "l") {
                prop_assert!(!rows.is_empty() && rows.len() <= MAX_ROWS);
                let _ = Labels::fit(rows, classes, "l");
            }
        }

        #[test]
        fn text_like_labels_is_never_deadly(
            lines in proptest::collection::vec("([0-9]{1,12}|n[0-9]{8}|\\{\"|\\[\"|)[ :\t]?[a-z é\",\\]\\}]{0,8}", 0..40),
            classes in proptest::option::of(0usize..50),
        ) {
            let text = lines.join("\n");
            if let Ok(rows) = parse(text.as_bytes(), "l") {
                prop_assert!(!rows.is_empty() && rows.len() <= MAX_ROWS);
                if let Ok(labels) = Labels::fit(rows, classes, "l") {
                    prop_assert!(classes.is_none_or(|classes| classes == labels.len()));
                }
            }
        }

        #[test]
        fn names_survive_every_form(names in proptest::collection::vec("[a-z][a-z ]{0,10}[a-z]", 1..30)) {
            let numbered: Vec<String> = names.iter().enumerate().map(|(i, n)| format!("{i}: {n}")).collect();
            let ids: Vec<String> = names.iter().enumerate().map(|(i, n)| format!("n{i:08} {n}")).collect();
            let map: serde_json::Map<String, Value> =
                names.iter().enumerate().map(|(i, n)| (i.to_string(), Value::from(n.as_str()))).collect();
            let list = serde_json::to_string(&names).unwrap();
            for text in [names.join("\n"), numbered.join("\r\n"), ids.join("\n"), list, Value::from(map).to_string()] {
                prop_assert_eq!(&rows(&text), &names, "{}", text);
            }
        }
    }
}
