//! Answers that are looked up: scene, settings, labels, status, statistics, log.

use std::time::Duration;

use serde_json::{Value, json};

use super::stream;
use crate::base::error::{Error, Kind, Result};
use crate::base::logging;
use crate::capture::vdo::sensors;
use crate::capture::vdo::spec::View;
use crate::live::context::Context;
use crate::live::history::KEPT_SAMPLES;
use crate::live::status_report::status_json;
use crate::publish::hub::Watch;
use crate::web::handler::RequestContext;
use crate::web::http::query::{number, parameter};
use crate::web::http::response::{self, Response};

/// The interface, described for machines.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The longest a long-poll waits.
const LONGEST_POLL: Duration = Duration::from_secs(30);
/// The longest a snapshot waits for its picture.
const PICTURE_WAIT: Duration = Duration::from_secs(5);
/// The minutes of the history.
const MINUTES: u64 = KEPT_SAMPLES as u64 / 60;

/// The newest scene, or one after a frame that the client has seen.
pub fn scene(request: &RequestContext<'_>) -> Result<Response> {
    let after = number(request.query, "after")?;
    let wait = match number(request.query, "timeout_ms")? {
        Some(ms) => Duration::from_millis(ms).min(LONGEST_POLL),
        None if after.is_some() => LONGEST_POLL,
        None => Duration::ZERO,
    };
    let hub = &request.context.hub;
    match stream::wait_while_wanted(request, wait, |time| hub.wait_scene(after, time)) {
        Some(scene) => Ok(response::json_text(200, scene.json())),
        // Nothing newer in the time given is no error: the client asks again.
        None if hub.scene().is_some() => Ok(response::nothing()),
        None => Err(stream::nothing_yet()),
    }
}

/// The newest picture, with `boxes=1` what was found in it drawn in.
pub fn snapshot(request: &RequestContext<'_>) -> Result<Response> {
    let watch = match parameter(request.query, "boxes").as_deref() {
        None | Some("0" | "false") => Watch::Still,
        Some("1" | "true") => Watch::Mjpeg,
        Some(other) => {
            let text = format!("boxes must be 0 or 1, not \"{}\"", other.escape_default());
            return Err(Error::new(Kind::Usage, text));
        }
    };
    let hub = &request.context.hub;
    // For as long as it takes this is a viewer like others.
    let _viewer = hub.join(watch)?;
    match stream::wait_while_wanted(request, PICTURE_WAIT, |time| hub.wait_bytes(watch, 0, time)) {
        Some(picture) => Ok(response::bytes(200, "image/jpeg", picture.item.to_vec())),
        None => Err(stream::nothing_yet()),
    }
}

/// The classes of the model that runs.
pub fn labels(request: &RequestContext<'_>) -> Result<Response> {
    let model = request.context.status.model();
    let names = &model.names;
    let rows = (0u32..).zip(names.names()).map(|(index, name)| {
        json!({ "index": index, "name": name, "named": names.is_named(index), "background": names.is_background(index) })
    });
    let body = json!({
        "model": model.missing.is_none().then_some(&model.name),
        "source": names.source,
        "assumed": names.assumed,
        "labels": rows.collect::<Vec<_>>(),
    });
    Ok(response::json(200, &body))
}

/// The models that can be chosen by name.
pub fn models(request: &RequestContext<'_>) -> Result<Response> {
    Ok(response::json(200, &request.switch.models_json()))
}

/// The sensors of the camera that can be looked at, which one is wanted, and which one is shown.
pub fn sensors(request: &RequestContext<'_>) -> Result<Response> {
    let Some(choice) = &request.context.sensor else {
        return Ok(response::json(200, &json!({ "sensors": [], "wanted": null, "shown": null })));
    };
    let title = |view: &View| {
        let mut title = view.title();
        title[..1].make_ascii_uppercase();
        title
    };
    let all: Vec<Value> =
        sensors::list().iter().map(|view| json!({ "id": view.to_string(), "title": title(view) })).collect();
    let (wanted, shown) = (choice.wanted().to_string(), choice.shown().to_string());
    Ok(response::json(200, &json!({ "sensors": all, "wanted": wanted, "shown": shown })))
}

/// Whether changes are taken here.
pub fn access(request: &RequestContext<'_>) -> Result<Response> {
    Ok(response::json(200, &json!({ "may_change": request.may_change })))
}

/// How everything is.
pub fn status(request: &RequestContext<'_>) -> Result<Response> {
    Ok(response::json(200, &status_json(request.context)))
}

/// How it was in the last minutes.
pub fn stats(request: &RequestContext<'_>) -> Result<Response> {
    let minutes = number(request.query, "minutes")?.unwrap_or(MINUTES);
    if !(1..=MINUTES).contains(&minutes) {
        let text = format!("minutes must be from 1 to {MINUTES}, not {minutes}");
        return Err(Error::new(Kind::Usage, text));
    }
    let after = number(request.query, "after")?.unwrap_or(0);
    Ok(response::json(200, &stats_json(request.context, minutes as usize * 60, after)))
}

/// The newest `count` samples of those after `after` (milliseconds since 1970), and the stages' histograms.
pub fn stats_json(context: &Context, count: usize, after: u64) -> Value {
    let mut value = context.history.to_json(count, after);
    value["histograms"] = context.stats.histograms_json();
    value
}

/// The last lines of the log.
pub fn log_tail(request: &RequestContext<'_>) -> Result<Response> {
    let name = parameter(request.query, "level").unwrap_or_else(|| "info".to_owned());
    let level = logging::level(&name).ok_or_else(|| {
        let text = format!("level must be error, warning, info or debug, not \"{}\"", name.escape_default());
        Error::new(Kind::Usage, text)
    })?;
    Ok(response::json(200, &logging::to_json(level)))
}

/// The interface itself.
pub fn openapi(_: &RequestContext<'_>) -> Result<Response> {
    Ok(response::json_text(200, OPENAPI))
}
