//! The settings over HTTP. A change with `If-Match` is made where they still are the ones that it names.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::error::Result;
use crate::settings::revision::Revision;
use crate::settings::shared::SharedSettings;
use crate::web::handler::RequestContext;
use crate::web::http::body::{self, Body};
use crate::web::http::request_head::RequestHead;
use crate::web::http::response::{self, Response};

/// The settings as an answer, with their ETag.
fn answer(revision: &Revision) -> Response {
    response::json(200, revision.to_json()).with("ETag", format!("\"{}\"", revision.etag()))
}

/// The settings.
pub fn get(request: &RequestContext<'_>) -> Result<Response> {
    Ok(answer(&request.context.settings.revision()))
}

/// What they may be, as JSON Schema.
pub fn schema(request: &RequestContext<'_>) -> Result<Response> {
    Ok(response::json(200, &request.context.settings.schema()))
}

/// Changes some: a JSON merge patch.
pub fn patch(request: &RequestContext<'_>, body: &mut Body<'_>) -> Result<Response> {
    change(request, body, SharedSettings::patch)
}

/// Takes others in their place.
pub fn put(request: &RequestContext<'_>, body: &mut Body<'_>) -> Result<Response> {
    change(request, body, SharedSettings::replace)
}

/// Back to the defaults.
pub fn delete(request: &RequestContext<'_>, _: &mut Body<'_>) -> Result<Response> {
    let settings = &request.context.settings;
    Ok(answer(&*settings.reset(expected(request.head, settings).as_deref())?))
}

/// The zones of the settings as an answer, with the settings' ETag.
fn zones(revision: &Revision) -> Response {
    response::json(200, &revision.to_json()["zones"]).with("ETag", format!("\"{}\"", revision.etag()))
}

/// The zones alone.
pub fn get_zones(request: &RequestContext<'_>) -> Result<Response> {
    Ok(zones(&request.context.settings.revision()))
}

/// Takes other zones in place of all that there are.
pub fn put_zones(request: &RequestContext<'_>, body: &mut Body<'_>) -> Result<Response> {
    let settings = &request.context.settings;
    let patch = json!({ "zones": body::json(body)? });
    Ok(zones(&*settings.patch(&patch, expected(request.head, settings).as_deref())?))
}

type Change = fn(&SharedSettings, &Value, Option<&str>) -> Result<Arc<Revision>>;

fn change(request: &RequestContext<'_>, body: &mut Body<'_>, change: Change) -> Result<Response> {
    let settings = &request.context.settings;
    let body = body::json(body)?;
    Ok(answer(&*change(settings, &body, expected(request.head, settings).as_deref())?))
}

/// The ETag of `If-Match` that is to be the settings', where there is such a condition (RFC 9110 §13.1.1).
fn expected(head: &RequestHead, settings: &SharedSettings) -> Option<String> {
    let header = head.header("If-Match")?;
    let mut tags = header.split(',').map(str::trim);
    // There always are some.
    if tags.clone().any(|tag| tag == "*") {
        return None;
    }
    let now = format!("\"{}\"", settings.revision().etag());
    let tag = tags.clone().find(|tag| *tag == now).or_else(|| tags.next()).unwrap_or_default();
    Some(tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag).to_owned())
}
