//! Answers: JSON, problem JSON (RFC 9457), files; and the heads of streams.

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use tiny_http::{Header, Response, StatusCode};

use super::assets::{Asset, content_type};
use crate::error::Error;

/// An answer whose body is in memory.
pub type Reply = Response<Cursor<Vec<u8>>>;

/// What a browser may load on behalf of the page: its own files, pictures it made itself, its own streams.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:; frame-ancestors 'self'";

/// A header of plain ASCII; `None` where the value is not.
fn header(name: &str, value: &str) -> Option<Header> {
    Header::from_bytes(name.as_bytes(), value.as_bytes()).ok()
}

fn with_headers(mut reply: Reply, headers: &[(&str, &str)]) -> Reply {
    for (name, value) in headers {
        if let Some(header) = header(name, value) {
            reply.add_header(header);
        }
    }
    reply
}

/// A body with its type that is never cached.
pub fn bytes(status: u16, kind: &str, body: Vec<u8>) -> Reply {
    let reply = Response::from_data(body).with_status_code(StatusCode(status));
    let headers =
        [("Content-Type", kind), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
    with_headers(reply, &headers)
}

/// JSON text.
pub fn json_text(status: u16, text: &str) -> Reply {
    bytes(status, "application/json", text.as_bytes().to_vec())
}

/// JSON.
pub fn json(status: u16, value: &Value) -> Reply {
    json_text(status, &value.to_string())
}

/// An error as problem JSON.
pub fn problem(error: &Error) -> Reply {
    problem_with(error.kind().http_status(), error.message())
}

/// A problem with a status of its own.
pub fn problem_with(status: u16, detail: &str) -> Reply {
    let title = StatusCode(status).default_reason_phrase();
    let body = json!({ "type": "about:blank", "title": title, "status": status, "detail": detail });
    bytes(status, "application/problem+json", body.to_string().into_bytes())
}

/// "Method not allowed", naming those that are.
pub fn not_allowed(allowed: &str) -> Reply {
    let reply = problem_with(405, &format!("this address answers {allowed} only"));
    with_headers(reply, &[("Allow", allowed)])
}

/// A file of the page.
pub fn asset(asset: &Asset) -> Reply {
    let reply = Response::from_data(asset.bytes);
    let headers = [
        ("Content-Type", content_type(asset.path)),
        // The files change with the program only, but the program changes under the same address.
        ("Cache-Control", "no-cache"),
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ];
    with_headers(reply, &headers)
}

/// Writes the head of an answer whose body ends with the connection.
///
/// # Errors
/// Where the viewer is gone.
pub fn stream_head(writer: &mut dyn Write, kind: &str) -> std::io::Result<()> {
    write!(
        writer,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
    )?;
    writer.flush()
}
