//! Forms with files (`multipart/form-data`, RFC 7578), read field by field as they come: a file is never in memory as
//! a whole.
//!
//! Why own code: the kept crates for it are made for async runtimes.

use std::io::{self, Read};

use super::body::unreadable;
use crate::base::error::{Error, Kind, Result};

/// Fields at most; a model, its labels and three words are all there is.
const FIELDS: usize = 16;
/// Bytes that the head of a field may take.
const HEAD_LIMIT: usize = 4096;
/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// One field of a form, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The name of the file that it holds.
    pub file_name: Option<String>,
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

/// A form that is being read.
pub struct Form<R> {
    body: R,
    /// What divides fields, with the line end before it.
    divider: Vec<u8>,
    /// Bytes that have come and are not used up.
    buffer: Vec<u8>,
    fields: usize,
}

impl<R: Read> Form<R> {
    /// The form that `body` is; `content_type` is the request's header, which names what divides its fields.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it is no form.
    pub fn new(content_type: &str, body: R) -> Result<Self> {
        let boundary = parameter(content_type, "boundary").filter(|b| (1..=70).contains(&b.len()));
        let boundary = boundary.ok_or_else(|| wrong("the header Content-Type has no boundary"))?;
        // The first divider has no line end before it.
        let (divider, buffer) = (format!("\r\n--{boundary}").into_bytes(), b"\r\n".to_vec());
        let mut form = Self { body, divider, buffer, fields: 0 };
        form.fill_to(form.divider.len()).map_err(unreadable)?;
        if !form.buffer.starts_with(&form.divider) {
            return Err(wrong("it has no first field"));
        }
        form.buffer.drain(..form.divider.len());
        Ok(form)
    }

    /// Reads until there are so many bytes in the buffer, or no more.
    fn fill_to(&mut self, length: usize) -> io::Result<()> {
        while self.buffer.len() < length {
            let before = self.buffer.len();
            self.buffer.resize(before + PIECE, 0);
            let read = self.body.read(&mut self.buffer[before..]);
            self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The next field, once the content of the one before has been read; none at the end, up to which the body has
    /// been read then.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it is no form.
    pub fn next_field(&mut self) -> Result<Option<Field>> {
        self.fill_to(2).map_err(unreadable)?;
        if self.buffer.starts_with(b"--") {
            io::copy(&mut self.body, &mut io::sink()).map_err(unreadable)?;
            return Ok(None);
        }
        if self.fields == FIELDS {
            return Err(wrong("it has too many fields"));
        }
        self.fields += 1;
        if !self.buffer.starts_with(b"\r\n") {
            return Err(wrong("a line does not end"));
        }
        self.buffer.drain(..2);
        self.fill_to(HEAD_LIMIT).map_err(unreadable)?;
        let window = &self.buffer[..self.buffer.len().min(HEAD_LIMIT)];
        let end = find(window, b"\r\n\r\n").ok_or_else(|| wrong("a field has no end of its head"))?;
        let head = std::str::from_utf8(&window[..end]).map_err(|_| wrong("a field's head is no UTF-8"))?;
        let disposition = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("content-disposition"))
            .map_or("", |(_, value)| value);
        let name = parameter(disposition, "name").ok_or_else(|| wrong("a field has no name"))?.to_owned();
        let file_name = parameter(disposition, "filename").map(str::to_owned);
        self.buffer.drain(..end + 4);
        Ok(Some(Field { name, file_name }))
    }

    /// The content of the field, which has to be read to its end.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { form: self, ended: false }
    }
}

/// The content of a field.
pub struct Content<'a, R> {
    form: &'a mut Form<R>,
    ended: bool,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.ended || bytes.is_empty() {
            return Ok(0);
        }
        let Form { divider, .. } = &*self.form;
        let most = divider.len();
        self.form.fill_to(most)?;
        let Form { divider, buffer, .. } = &mut *self.form;
        // What may be the beginning of a divider waits for the rest of it.
        let content = find(buffer, divider).unwrap_or((buffer.len() + 1).saturating_sub(most));
        if content == 0 && buffer.len() < most {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                wrong("a field is cut off").to_string(),
            ));
        }
        let taken = content.min(bytes.len());
        bytes[..taken].copy_from_slice(&buffer[..taken]);
        buffer.drain(..taken);
        if taken == 0 {
            buffer.drain(..most);
            self.ended = true;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fields with their contents, of a body that comes in pieces of `piece` bytes.
    fn fields_of(content_type: &str, body: &[u8], piece: usize) -> Result<Vec<(Field, Vec<u8>)>> {
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                let most = bytes.len().min(self.1);
                self.0.read(&mut bytes[..most])
            }
        }
        let mut form = Form::new(content_type, Pieces(body, piece))?;
        let mut fields = Vec::new();
        while let Some(field) = form.next_field()? {
            let mut content = Vec::new();
            form.content().read_to_end(&mut content).map_err(unreadable)?;
            fields.push((field, content));
        }
        Ok(fields)
    }

    fn fields(content_type: &str, body: &[u8]) -> Result<Vec<(Field, Vec<u8>)>> {
        let all = fields_of(content_type, body, usize::MAX);
        for piece in [1, 2, 7] {
            match (&all, fields_of(content_type, body, piece)) {
                (Ok(all), Ok(pieces)) => assert_eq!(*all, pieces, "{piece}"),
                (Err(all), Err(pieces)) => assert_eq!(all.to_string(), pieces.to_string(), "{piece}"),
                (all, pieces) => panic!("{all:?} {pieces:?} {piece}"),
            }
        }
        all
    }

    const TYPE: &str = "multipart/form-data; boundary=\"x-y\"";

    #[test]
    fn fields_and_files_are_read() {
        let body = b"--x-y\r\nContent-Disposition: form-data; name=\"model\"; filename=\"a;b.tflite\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\r\n--x-\r\nTFL3\r\n--x-y\r\n\
            content-disposition: form-data; filename=l.txt; name=labels\r\n\r\n\r\n--x-y--\r\n";
        let field = |name: &str, file_name: &str, content: &[u8]| {
            (Field { name: name.to_owned(), file_name: Some(file_name.to_owned()) }, content.to_vec())
        };
        let expected = [field("model", "a;b.tflite", b"\r\n--x-\r\nTFL3"), field("labels", "l.txt", b"")];
        assert_eq!(fields(TYPE, body).unwrap(), expected);
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
            prop_assert_eq!(&fields(TYPE, &body).unwrap()[0].1, &data);
            let _ = (fields(TYPE, &data).is_ok(), parameter(&text, "name"));
        }
    }
}
