//! The settings over HTTP. A change with `If-Match` is made where they still are the ones that it names.

use std::io::Read;
use std::sync::Arc;

use serde_json::Value;
use tiny_http::Request;

use super::addresses::Ask;
use super::reply::{self, Reply};
use crate::error::{Error, Kind, Result};
use crate::settings::Settings;
use crate::settings::document::Document;

/// What may be sent: as many zones and labels as are taken, and room.
const BODY_LIMIT: usize = 256 * 1024;

/// The settings as an answer, with their ETag.
fn answer(document: &Document) -> Reply {
    reply::json(200, document.to_json()).with("ETag", format!("\"{}\"", document.etag()))
}

/// The settings.
pub fn get(ask: &Ask<'_>) -> Result<Reply> {
    Ok(answer(&ask.status.settings.document()))
}

/// What they may be, as JSON Schema.
pub fn schema(ask: &Ask<'_>) -> Result<Reply> {
    Ok(reply::json(200, &ask.status.settings.schema()))
}

/// Changes some: a JSON merge patch.
pub fn patch(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    change(request, &ask.status.settings, Settings::patch)
}

/// Takes others in their place.
pub fn put(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    change(request, &ask.status.settings, Settings::replace)
}

/// Back to the defaults.
pub fn delete(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    let settings = &ask.status.settings;
    Ok(answer(&*settings.reset(expected(request, settings).as_deref())?))
}

type Change = fn(&Settings, &Value, Option<&str>) -> Result<Arc<Document>>;

fn change(request: &mut Request, settings: &Settings, change: Change) -> Result<Reply> {
    let body = read_body(request)?;
    Ok(answer(&*change(settings, &body, expected(request, settings).as_deref())?))
}

/// The ETag of `If-Match` that is to be the settings', where there is such a condition (RFC 9110 §13.1.1).
fn expected(request: &Request, settings: &Settings) -> Option<String> {
    let header = reply::header(request, "If-Match")?;
    let mut tags = header.split(',').map(str::trim);
    // There always are some.
    if tags.clone().any(|tag| tag == "*") {
        return None;
    }
    let now = format!("\"{}\"", settings.document().etag());
    let tag = tags.clone().find(|tag| *tag == now).or_else(|| tags.next()).unwrap_or_default();
    Some(tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag).to_owned())
}

fn read_body(request: &mut Request) -> Result<Value> {
    let mut body = Vec::new();
    let read = request.as_reader().take(BODY_LIMIT as u64 + 1).read_to_end(&mut body);
    read.map_err(|error| Error::new(Kind::Usage, "the request's body cannot be read").caused_by(error))?;
    if body.len() > BODY_LIMIT {
        return Err(Error::new(Kind::Usage, format!("the request's body is larger than {BODY_LIMIT} bytes")));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Error::new(Kind::Usage, format!("the request's body is no JSON: {error}")))
}
