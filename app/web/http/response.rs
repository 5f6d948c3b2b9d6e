//! Responses: JSON, problem JSON (RFC 9457), files; and the heads of streams. Each ends its connection.

use std::borrow::Cow;
use std::io::Write;

use serde_json::{Value, json};
use tiny_http::{HTTPVersion, StatusCode};

use super::connection::Client;
use super::request_head::Refusal;
use crate::base::error::Error;

const POLICY: &str = "Content-Security-Policy";
/// What a browser may load on behalf of the page: its own files, pictures it made itself, its own streams; no script
/// and no style that stands in the page itself.
pub const OF_PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                       connect-src 'self' ws: wss:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";
/// What it may load on behalf of anything else that is opened as if it were a page: nothing.
const OF_OTHERS: &str = "default-src 'none'; frame-ancestors 'none'";

/// A response whose body is in memory.
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// With one header more.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // RFC 9110 §8.6: no length where there can be no body.
        if self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        if !self.headers.iter().any(|(name, _)| *name == POLICY) {
            head.push_str(&format!("{POLICY}: {OF_OTHERS}\r\n"));
        }
        head.push_str(&protection("same-origin"));
        head + "Connection: close\r\n\r\n"
    }

    /// Head and body, as they are sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }

    /// Sends it, without its body where a request is `HEAD`. Where the client is gone, nobody misses it.
    pub fn send(&self, client: Client<'_>, without_body: bool) {
        let bytes = if without_body { self.head().into_bytes() } else { self.to_bytes() };
        let _ = client.writer().write_all(&bytes);
    }
}

/// What keeps other sites' pages from making anything of an answer; `sites` may load it into their own pages.
fn protection(sites: &str) -> String {
    format!(
        "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: {sites}\r\n"
    )
}

fn reason(status: u16) -> &'static str {
    StatusCode(status).default_reason_phrase()
}

/// A body with its type.
fn typed(status: u16, kind: &'static str, body: Cow<'static, [u8]>) -> Response {
    Response { status, headers: Vec::new(), body }.with("Content-Type", kind)
}

/// A body with its type that is never cached.
pub fn bytes(status: u16, kind: &'static str, body: Vec<u8>) -> Response {
    typed(status, kind, body.into()).with("Cache-Control", "no-store")
}

/// JSON text.
pub fn json_text(status: u16, text: &str) -> Response {
    bytes(status, "application/json", text.as_bytes().to_vec())
}

/// JSON.
pub fn json(status: u16, value: &Value) -> Response {
    json_text(status, &value.to_string())
}

/// "Nothing new": no body.
pub fn nothing() -> Response {
    empty(204)
}

fn empty(status: u16) -> Response {
    Response { status, headers: Vec::new(), body: Cow::Borrowed(&[]) }.with("Cache-Control", "no-store")
}

/// Leads to another page.
pub fn see_other(place: &'static str) -> Response {
    empty(303).with("Location", place)
}

/// An error as problem JSON.
pub fn problem(error: &Error) -> Response {
    problem_with(error.kind().http_status(), error.http_message())
}

/// A problem with a status of its own.
pub fn problem_with(status: u16, detail: &str) -> Response {
    bytes(status, "application/problem+json", problem_body(status, detail).to_string().into_bytes())
}

/// A problem with fields of its own (RFC 9457 §3.2) beside the usual ones.
pub fn problem_about(status: u16, detail: &str, more: Value) -> Response {
    let mut body = problem_body(status, detail);
    extend(&mut body, more);
    bytes(status, "application/problem+json", body.to_string().into_bytes())
}

fn problem_body(status: u16, detail: &str) -> Value {
    json!({ "type": "about:blank", "title": reason(status), "status": status, "detail": detail })
}

/// Adds the fields of one object to another.
pub fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// "Method not allowed", naming those that are.
pub fn not_allowed(allowed: &str) -> Response {
    problem_with(405, &format!("this address answers {allowed} only")).with("Allow", allowed.to_owned())
}

/// A file of the page, of that type.
pub fn file(kind: &'static str, bytes: &'static [u8]) -> Response {
    // The files change with the program only, but the program changes under the same address.
    typed(200, kind, bytes.into()).with("Cache-Control", "no-cache").with(POLICY, OF_PAGE)
}

/// Why a request is not taken, before anybody has looked at what it asks for.
pub fn refusal(refusal: Refusal) -> Response {
    problem_with(refusal.status, refusal.why)
}

/// Writes the head of an answer whose body ends with the connection.
///
/// # Errors
/// Where the viewer is gone.
pub fn stream_head(writer: &mut dyn Write, kind: &str) -> std::io::Result<()> {
    // Pictures are there for the `<img>` of others, as long as they are of the same site: the same machine or domain.
    let sites = if kind.starts_with("multipart/") { "same-site" } else { "same-origin" };
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n\
         X-Accel-Buffering: no\r\n{}Connection: close\r\n\r\n",
        protection(sites)
    )?;
    writer.flush()
}

/// Writes the head of the answer that makes a WebSocket of the connection; `accept` is the digest of the client's key.
///
/// # Errors
/// Where the client is gone, or `accept` is no value of a header.
pub fn websocket_head(writer: &mut dyn Write, accept: &str) -> std::io::Result<()> {
    let accept = tiny_http::Header::from_bytes("Sec-WebSocket-Accept", accept);
    let accept = accept.map_err(|()| std::io::ErrorKind::InvalidInput)?;
    let head = tiny_http::Response::empty(101).with_header(accept);
    head.raw_print(writer, HTTPVersion(1, 1), &[], true, Some("websocket"))
}
