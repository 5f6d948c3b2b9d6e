//! Forms with files (`multipart/form-data`, RFC 7578), read from a body that is in memory.
//!
//! Why own code: the kept crates for it are made for async runtimes, and a body that has been bounded
//! and read needs no streaming.

use crate::base::error::{Error, Kind, Result};

/// Fields at most; a model, its labels and three words are all there is.
const FIELDS: usize = 16;
/// Bytes that the head of a field may take.
const HEAD_LIMIT: usize = 4096;

/// One field of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// The name of the file that it holds.
    pub file_name: Option<&'a str>,
    /// Its content.
    pub data: &'a [u8],
}

fn wrong(why: &str) -> Error {
    Error::new(Kind::Usage, format!("the form cannot be read: {why}; send it as multipart/form-data"))
}

/// The value of parameter `name` of a header such as `form-data; name="model"`.
fn parameter<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (found, after) = match value.strip_prefix('"') {
            // Browsers write a quote inside as %22, so the next one ends the value.
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim_end(), &value[end..])
            }
        };
        if key.trim_start_matches([' ', ';', '\t']).trim_end().eq_ignore_ascii_case(name) {
            return Some(found);
        }
        rest = after;
    }
}

/// Where `wanted` is first in `bytes`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The fields of a form; `content_type` is the request's header, which names what divides them.
///
/// # Errors
/// [`Kind::Usage`] where it is no form.
pub fn fields<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Field<'a>>> {
    let boundary = parameter(content_type, "boundary").filter(|b| (1..=70).contains(&b.len()));
    let boundary = boundary.ok_or_else(|| wrong("the header Content-Type has no boundary"))?;
    let divider = format!("\r\n--{boundary}");
    // The first divider has no line end before it.
    let mut rest =
        body.strip_prefix(&divider.as_bytes()[2..]).ok_or_else(|| wrong("it has no first field"))?;
    let mut fields = Vec::new();
    while !rest.starts_with(b"--") {
        if fields.len() == FIELDS {
            return Err(wrong("it has too many fields"));
        }
        rest = rest.strip_prefix(b"\r\n").ok_or_else(|| wrong("a line does not end"))?;
        let window = &rest[..rest.len().min(HEAD_LIMIT)];
        let end = find(window, b"\r\n\r\n").ok_or_else(|| wrong("a field has no end of its head"))?;
        let head = std::str::from_utf8(&rest[..end]).map_err(|_| wrong("a field's head is no UTF-8"))?;
        rest = &rest[end + 4..];
        let length = find(rest, divider.as_bytes()).ok_or_else(|| wrong("a field is cut off"))?;
        let (data, after) = rest.split_at(length);
        rest = &after[divider.len()..];
        let disposition = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("content-disposition"))
            .map_or("", |(_, value)| value);
        let name = parameter(disposition, "name").ok_or_else(|| wrong("a field has no name"))?;
        fields.push(Field { name, file_name: parameter(disposition, "filename"), data });
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x-y\"";

    #[test]
    fn fields_and_files_are_read() {
        let body = b"--x-y\r\nContent-Disposition: form-data; name=\"model\"; filename=\"a;b.tflite\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\r\n--x-\r\nTFL3\r\n--x-y\r\n\
            content-disposition: form-data; filename=l.txt; name=labels\r\n\r\n\r\n--x-y--\r\n";
        let found = fields(TYPE, body).unwrap();
        assert_eq!(
            found,
            [
                Field { name: "model", file_name: Some("a;b.tflite"), data: b"\r\n--x-\r\nTFL3" },
                Field { name: "labels", file_name: Some("l.txt"), data: b"" },
            ]
        );
    }

    #[test]
    fn what_is_no_form_is_said_so() {
        let field = "--x-y\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n";
        for (kind, body, why) in [
            ("multipart/form-data", "--x-y--".to_owned(), "no boundary"),
            (TYPE, String::new(), "no first field"),
            (TYPE, "--x-y".to_owned(), "a line does not end"),
            (TYPE, "--x-y\r\nA: b".to_owned(), "no end of its head"),
            (TYPE, "--x-y\r\nContent-Disposition: form-data; name=a\r\n\r\nv".to_owned(), "cut off"),
            (TYPE, "--x-y\r\nA: b\r\n\r\nv\r\n--x-y--".to_owned(), "has no name"),
            (TYPE, field.repeat(17) + "--x-y--", "too many"),
            (TYPE, format!("--x-y\r\n{}\r\n\r\n--x-y--", "a".repeat(5000)), "no end of its head"),
        ] {
            let sentence = fields(kind, body.as_bytes()).unwrap_err().to_string();
            assert!(sentence.contains(why), "{sentence}");
        }
        assert_eq!(fields(TYPE, (field.repeat(16) + "--x-y--").as_bytes()).unwrap().len(), 16);
    }

    proptest! {
        #[test]
        fn any_bytes_come_through(data in proptest::collection::vec(any::<u8>(), 0..300), text in "[a-z;=\"]{0,12}") {
            let mut body = b"--x-y\r\nContent-Disposition: form-data; name=m\r\n\r\n".to_vec();
            body.extend(&data);
            body.extend(b"\r\n--x-y--");
            prop_assume!(find(&data, b"\r\n--x-y").is_none());
            prop_assert_eq!(fields(TYPE, &body).unwrap()[0].data, &data[..]);
            let _ = (fields(TYPE, &data), parameter(&text, "name"));
        }
    }
}
