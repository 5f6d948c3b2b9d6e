//! `/api/v1/bundle.zip`: all that helps somebody who is not there, in one file.

use std::time::SystemTime;

use log::Level;
use serde_json::{Value, json};

use super::metrics;
use super::scene::stats_json;
use crate::backend::edgetpu;
use crate::base::error::{Error, Kind, Result};
use crate::base::secrets::{HIDDEN, is_secret, without_logins};
use crate::base::time::timestamp;
use crate::base::{logging, machine};
use crate::inspect::report::Report;
use crate::live::context::Context;
use crate::live::history::KEPT_SAMPLES;
use crate::live::status_report::status_json;
use crate::model::catalogue::Catalogue;
use crate::web::handler::RequestContext;
use crate::web::http::response::{self, Response};
use crate::web::http::zip_writer::Archive;

/// The support bundle.
pub fn get(request: &RequestContext<'_>) -> Result<Response> {
    let now = SystemTime::now();
    let time = timestamp(now);
    let context = request.context;
    let mut archive = Archive::new(now);
    for (name, value) in [
        ("settings.json", context.settings.revision().to_json().clone()),
        ("status.json", status_json(context)),
        ("stats.json", stats_json(context, KEPT_SAMPLES, 0)),
        ("log.json", logging::to_json(Level::Debug)),
        ("model.json", model(context)),
        ("chosen.json", request.switch.to_json()),
        ("system.json", system(context, &time)),
    ] {
        archive.add(name, pretty(&without_secrets(value))?.as_bytes());
    }
    archive.add("metrics.txt", metrics::text(context).as_bytes());
    let name = format!("attachment; filename=\"spotter-{}.zip\"", time.replace(':', "-"));
    Ok(response::bytes(200, "application/zip", archive.finish()).with("Content-Disposition", name))
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(Kind::Internal, "the support bundle is no JSON").caused_by(error))
}

/// The model as `spotter inspect --json` tells of it.
fn model(context: &Context) -> Value {
    let model = context.status.model();
    let Some(file) = &model.file else { return json!({ "missing": model.missing }) };
    match Report::of(file, Catalogue::embedded(), || edgetpu::devices().is_ok()) {
        Ok(report) => report.to_json(model.chip),
        Err(error) => json!({ "name": file.name, "error": error.to_string() }),
    }
}

/// Versions and the machine.
fn system(context: &Context, time: &str) -> Value {
    let model = context.status.model();
    json!({
        "time": time,
        "versions": {
            "spotter": env!("CARGO_PKG_VERSION"),
            "gstreamer": gstreamer::version_string().as_str(),
            "backend": model.backend_name,
        },
        "features": { "desktop": cfg!(feature = "desktop") },
        "backend": model.backend_json(),
        "machine": machine::facts(),
    })
}

/// The same without what nobody else should know: the values of fields that are called so, and the names and
/// passwords in addresses (`rtsp://NAME:PASSWORD@HOST`, `?password=…`).
fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value =
                    if is_secret(&name) && !value.is_null() { HIDDEN.into() } else { without_secrets(value) };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        Value::String(text) => Value::String(without_logins(&text)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let value = json!({
            "confidence": 0.5,
            "mqtt": { "user": "a", "Password": "hunter2", "token": null },
            "api_tokens": ["one", "two"],
            "lines": ["lost rtsp://root:pa%40ss@10.0.0.1/x?a=b@c, then rtsp://10.0.0.2/y@z", "a@b", "http://h"],
        });
        let expected = json!({
            "confidence": 0.5,
            "mqtt": { "user": "a", "Password": "***", "token": null },
            "api_tokens": "***",
            "lines": ["lost rtsp://***@10.0.0.1/x?a=b@c, then rtsp://10.0.0.2/y@z", "a@b", "http://h"],
        });
        assert_eq!(without_secrets(value), expected);
    }
}
