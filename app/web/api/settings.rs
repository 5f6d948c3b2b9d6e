//! The settings over HTTP. A change with `If-Match` is made where they still are the ones that it names.

use std::sync::Arc;

use serde_json::{Value, json};
use tiny_http::Request;

use crate::base::error::Result;
use crate::settings::revision::Revision;
use crate::settings::shared::SharedSettings;
use crate::web::http::body;
use crate::web::http::response::{self, Reply};
use crate::web::routes::Ask;

/// The settings as an answer, with their ETag.
fn answer(revision: &Revision) -> Reply {
    response::json(200, revision.to_json()).with("ETag", format!("\"{}\"", revision.etag()))
}

/// The settings.
pub fn get(ask: &Ask<'_>) -> Result<Reply> {
    Ok(answer(&ask.context.settings.revision()))
}

/// What they may be, as JSON Schema.
pub fn schema(ask: &Ask<'_>) -> Result<Reply> {
    Ok(response::json(200, &ask.context.settings.schema()))
}

/// Changes some: a JSON merge patch.
pub fn patch(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    change(request, &ask.context.settings, SharedSettings::patch)
}

/// Takes others in their place.
pub fn put(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    change(request, &ask.context.settings, SharedSettings::replace)
}

/// Back to the defaults.
pub fn delete(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    let settings = &ask.context.settings;
    Ok(answer(&*settings.reset(expected(request, settings).as_deref())?))
}

/// The zones of the settings as an answer, with the settings' ETag.
fn zones(revision: &Revision) -> Reply {
    response::json(200, &revision.to_json()["zones"]).with("ETag", format!("\"{}\"", revision.etag()))
}

/// The zones alone.
pub fn get_zones(ask: &Ask<'_>) -> Result<Reply> {
    Ok(zones(&ask.context.settings.revision()))
}

/// Takes other zones in place of all that there are.
pub fn put_zones(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    let settings = &ask.context.settings;
    let patch = json!({ "zones": body::json(request)? });
    Ok(zones(&*settings.patch(&patch, expected(request, settings).as_deref())?))
}

type Change = fn(&SharedSettings, &Value, Option<&str>) -> Result<Arc<Revision>>;

fn change(request: &mut Request, settings: &SharedSettings, change: Change) -> Result<Reply> {
    let body = body::json(request)?;
    Ok(answer(&*change(settings, &body, expected(request, settings).as_deref())?))
}

/// The ETag of `If-Match` that is to be the settings', where there is such a condition (RFC 9110 §13.1.1).
fn expected(request: &Request, settings: &SharedSettings) -> Option<String> {
    let header = response::header(request, "If-Match")?;
    let mut tags = header.split(',').map(str::trim);
    // There always are some.
    if tags.clone().any(|tag| tag == "*") {
        return None;
    }
    let now = format!("\"{}\"", settings.revision().etag());
    let tag = tags.clone().find(|tag| *tag == now).or_else(|| tags.next()).unwrap_or_default();
    Some(tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag).to_owned())
}
