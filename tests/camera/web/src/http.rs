//! Requests and answers, by hand: the proxy hands the connection itself on, which servers with a pool of threads
//! do not let go of. One request a connection, as `Connection: close` says.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Bytes that the head of a request may take.
const HEAD_LIMIT: usize = 64 << 10;
const HEADERS: usize = 64;
/// A client that says nothing for so long is let go.
const SILENCE: Duration = Duration::from_secs(60);

/// A request whose head has been read.
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// As it came: path and query.
    pub target: String,
    /// Names as they came.
    pub headers: Vec<(String, String)>,
    /// The connection.
    pub stream: TcpStream,
    /// What came after the head already.
    pub early: Vec<u8>,
}

impl Request {
    /// Reads a request's head; none where the client said nothing.
    ///
    /// # Errors
    /// Where it is no HTTP, or the connection breaks.
    pub fn read(mut stream: TcpStream) -> io::Result<Option<Self>> {
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)?;
        let mut bytes = Vec::new();
        let mut piece = [0; 8192];
        loop {
            let read = stream.read(&mut piece)?;
            if read == 0 {
                return Ok(None);
            }
            bytes.extend_from_slice(&piece[..read]);
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut head = httparse::Request::new(&mut headers);
            match head.parse(&bytes).map_err(io::Error::other)? {
                httparse::Status::Complete(length) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let (method, target) = (head.method.unwrap_or_default(), head.path.unwrap_or_default());
                    let (method, target) = (method.to_owned(), target.to_owned());
                    let headers = head.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect();
                    let early = bytes[length..].to_vec();
                    return Ok(Some(Self { method, target, headers, stream, early }));
                }
                httparse::Status::Partial if bytes.len() > HEAD_LIMIT => {
                    return Err(io::Error::other("the head is too long"));
                }
                httparse::Status::Partial => {}
            }
        }
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The target's path as it came.
    pub fn raw_path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of a parameter in the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        let (_, value) =
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
        Some(decode(&value.replace('+', " ")))
    }

    /// The whole body, up to `limit` bytes; none where it is larger.
    ///
    /// # Errors
    /// Where it is cut off, or has no length.
    pub fn body(&mut self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let length = match self.header("Content-Length") {
            Some(length) => length.parse::<u64>().map_err(io::Error::other)?,
            None if self.header("Transfer-Encoding").is_some() => {
                return Err(io::Error::other("a body without Content-Length"));
            }
            None => 0,
        };
        if length > limit {
            return Ok(None);
        }
        if self.header("Expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = std::mem::take(&mut self.early);
        let missing = length.saturating_sub(body.len() as u64);
        (&mut self.stream).take(missing).read_to_end(&mut body)?;
        if (body.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(body))
    }
}

/// An answer whose body is in memory.
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// An answer of that type.
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
    }

    /// Plain text.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "text/plain", body)
    }

    /// XML.
    pub fn xml(body: String) -> Self {
        Self::new(200, "text/xml", format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{body}"))
    }

    /// An error's own little page, as Apache makes them.
    pub fn error(status: u16) -> Self {
        let title = format!("{status} {}", reason(status));
        Self::new(
            status,
            "text/html",
            format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"),
        )
    }

    /// With one header more.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends it and ends the connection. Where the client is gone, nobody misses it.
    pub fn send(self, mut request: Request) {
        let mut head = format!("HTTP/1.1 {} {}\r\nServer: Apache\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len());
        let body = if request.method == "HEAD" { &[][..] } else { &self.body };
        let stream = &mut request.stream;
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .and_then(|()| stream.flush());
        if sent.is_err() || stream.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        // What the client still sends is read, or the system would throw the answer away with the connection.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = io::copy(&mut stream.take(256 << 20), &mut io::sink());
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// `%41` → `A`.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
        {
            // Two hexadecimal digits are at most 255.
            bytes.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path as Apache sees it before it decides on anything: decoded, `.` and `..` resolved, slashes merged.
/// None for what it refuses: an encoded slash or a way out of the root.
pub fn normalise(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.to_ascii_lowercase().contains("%2f") || path.contains("%00") {
        return None;
    }
    let decoded = decode(path);
    let mut parts: Vec<&str> = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let end = if decoded.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", parts.join("/")))
}

/// The content of a form's file field (`multipart/form-data`) of one of these names.
pub fn form_file<'a>(content_type: &str, body: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    let boundary = content_type.split_once("boundary=")?.1.split(';').next()?.trim().trim_matches('"');
    let divider = format!("--{boundary}");
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let mut rest = &body[find(body, divider.as_bytes())? + divider.len()..];
    loop {
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let after = &rest[head_end + 4..];
        let end = find(after, format!("\r\n{divider}").as_bytes())?;
        if names.iter().any(|name| head.contains(&format!("name=\"{name}\""))) {
            return Some(&after[..end]);
        }
        rest = &after[end + 2 + divider.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_apache_takes_them_for() {
        for (raw, path) in [
            ("/", Some("/")),
            ("/local/spotter/", Some("/local/spotter/")),
            ("/local/spotter/api/../admin/x", Some("/local/spotter/admin/x")),
            ("/local/spotter//api/%61", Some("/local/spotter/api/a")),
            ("/local/spotter/api/%2e%2e/admin/x", Some("/local/spotter/admin/x")),
            ("/local/%2fetc", None),
            ("/../etc", None),
            ("etc", None),
        ] {
            assert_eq!(normalise(raw).as_deref(), path, "{raw}");
        }
    }

    #[test]
    fn the_file_of_a_form_is_found() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; \
                     name=\"packfil\"; filename=\"a.eap\"\r\nContent-Type: application/octet-stream\r\n\r\n\x1f\x8b\r\n\r\n--b--\r\n";
        let kind = "multipart/form-data; boundary=b";
        assert_eq!(form_file(kind, body, &["file", "packfil"]), Some(&b"\x1f\x8b\r\n"[..]));
        assert_eq!(form_file(kind, body, &["file"]), None);
        assert_eq!(form_file("text/plain", body, &["file"]), None);
    }
}
