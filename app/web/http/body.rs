//! The body of a request.

use std::io::Read;

use serde_json::Value;
use tiny_http::Request;

use super::request_head::LENGTH;
use super::response::header;
use crate::base::error::{Error, Kind, Result};
use crate::base::text::count;

/// JSON that may be sent: settings with as many zones and labels as are taken, and room.
const JSON_LIMIT: u64 = 256 * 1024;

/// How long a request's body is; the door tells.
pub fn length(request: &Request) -> u64 {
    header(request, LENGTH).and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// The body of a request. It ends early where the client goes away or is too slow.
pub fn reader(request: &mut Request) -> impl Read {
    let length = length(request);
    request.as_reader().take(length)
}

/// The body as JSON.
///
/// # Errors
/// `Kind::Usage` where it is too large, was cut off, or is none.
pub fn json(request: &mut Request) -> Result<Value> {
    let wrong = |text: String| Error::new(Kind::Usage, text);
    let length = length(request);
    let mut body = Vec::new();
    let read = reader(request).take(JSON_LIMIT + 1).read_to_end(&mut body);
    read.map_err(|error| Error::new(Kind::Usage, "the request's body cannot be read").caused_by(error))?;
    if length > JSON_LIMIT {
        let text = format!("the request's body has {length} bytes; JSON may have at most {JSON_LIMIT}");
        return Err(Error::new(Kind::TooLarge, text));
    }
    if length > body.len() as u64 {
        return Err(wrong(format!("the request's body was cut off after {}", count(body.len(), "byte"))));
    }
    serde_json::from_slice(&body).map_err(|error| wrong(format!("the request's body is no JSON: {error}")))
}
