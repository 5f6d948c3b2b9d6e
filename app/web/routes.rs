//! Which address answers what.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};
use tiny_http::{Method, Request};

use super::reply::{self, Reply};
use super::{assets, models, stream};
use crate::error::{Error, Kind, Result};
use crate::status::Status;
use crate::switch::Switch;

/// A settings patch is a few dozen bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// The longest a long-poll waits.
const LONGEST_POLL: Duration = Duration::from_secs(30);

/// What a path asks for, and whether things may be changed there.
struct Place<'a> {
    /// The path as it is without a camera: `/api/…`, or a file of the page.
    path: Cow<'a, str>,
    may_change: bool,
}

/// A camera's own web server passes the whole path on, `/local/spotter/…`, and asks for a viewer's password at
/// `api/` and an administrator's at `admin/`; which of them it has let through, the path alone tells.
/// Without a camera in front, `/api/…` and `/admin/…` are the same.
fn place(path: &str) -> Place<'_> {
    let (path, behind) = match path.strip_prefix("/local/spotter") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => (rest, true),
        _ => (path, false),
    };
    match path.strip_prefix("/admin/") {
        Some(rest) => Place { path: Cow::Owned(format!("/api/{rest}")), may_change: true },
        None => Place { path: Cow::Borrowed(path), may_change: !behind },
    }
}

/// Answers one request; a stream is served until its viewer has gone.
pub fn handle(request: Request, status: &Status, switch: &Switch) {
    let url = request.url().to_owned();
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let Place { path, may_change } = place(path);
    let reading = matches!(request.method(), Method::Get | Method::Head);
    // Scripts may open a WebSocket to any site and read it, which they may not with other requests.
    if (!reading || stream::wants_websocket(&request)) && is_foreign(&request) {
        let text = "this request comes from another web site's page; only Spotter's own page may do that";
        return reply::problem_with(403, text).send(request);
    }
    if !reading && !may_change {
        let text = "only an administrator of the camera may change this, under /local/spotter/admin/ instead of \
                    /local/spotter/api/";
        return reply::problem_with(403, text).send(request);
    }
    // A stream has no end to ask the head of.
    if *request.method() == Method::Get {
        match &*path {
            "/api/live" if stream::wants_websocket(&request) => {
                return stream::live_websocket(request, &status.hub);
            }
            "/api/live" => return stream::live_fetch(request, &status.hub),
            "/api/events" => return stream::events(request, &status.hub),
            "/stream.mjpg" | "/api/stream.mjpg" => return stream::mjpeg(request, &status.hub),
            _ => {}
        }
    }
    match &*path {
        "/api/live" | "/api/events" | "/stream.mjpg" | "/api/stream.mjpg" => {
            reply::not_allowed("GET").send(request)
        }
        "/api/model" => models::handle(request, query, switch),
        "/api/access" if reading => {
            reply::json(200, &json!({ "may_change": may_change })).send(request);
        }
        "/api/models" if reading => reply::json(200, &switch.models_json()).send(request),
        "/api/settings" if *request.method() == Method::Patch => patch_settings(request, status),
        "/api/settings" if !reading => reply::not_allowed("GET, HEAD, PATCH").send(request),
        _ if !reading => reply::not_allowed("GET, HEAD").send(request),
        _ => {
            let answer = answer(&path, query, status).unwrap_or_else(|error| reply::problem(&error));
            answer.send(request);
        }
    }
}

fn answer(path: &str, query: &str, status: &Status) -> Result<Reply> {
    match path {
        "/api/scene" => scene(query, status),
        "/api/status" => Ok(reply::json(200, &status.to_json())),
        "/api/settings" => Ok(reply::json(200, &json!(status.settings.values()))),
        "/healthz" | "/api/healthz" => Ok(health(status)),
        _ => match assets::find(path.trim_start_matches('/')) {
            Some(asset) => Ok(reply::asset(&asset)),
            None => Err(Error::new(Kind::NotFound, format!("there is nothing at {path}"))),
        },
    }
}

/// 200 while the program does its work; the source may be away, which the body says.
fn health(status: &Status) -> Reply {
    let value = status.to_json();
    let body = json!({
        "status": "ok",
        "detecting": status.is_detecting(),
        "state": value["state"],
        "message": value["message"],
    });
    reply::json(200, &body)
}

/// True where a browser says that the page of another site makes the request. Such a page can send forms
/// to any address that its visitor reaches; programs other than browsers send neither header.
fn is_foreign(request: &Request) -> bool {
    if reply::header(request, "Sec-Fetch-Site").is_some_and(|site| site.eq_ignore_ascii_case("cross-site")) {
        return true;
    }
    let Some(origin) = reply::header(request, "Origin") else { return false };
    let origin = origin.split_once("://").map_or(origin, |(_, host)| host);
    // Behind a camera's own web server the page's host is the camera's.
    // Each proxy on the way adds the host that it was asked for.
    let forwarded = reply::header(request, "X-Forwarded-Host").unwrap_or("").split(',').map(str::trim);
    !reply::header(request, "Host").into_iter().chain(forwarded).any(|host| host.eq_ignore_ascii_case(origin))
}

/// The value of a query parameter, decoded.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
        {
            // Two hexadecimal digits are at most 255.
            bytes.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The value of a query parameter that is a whole number.
fn number(query: &str, name: &str) -> Result<Option<u64>> {
    let Some(value) = parameter(query, name) else { return Ok(None) };
    value
        .parse()
        .map(Some)
        .map_err(|_| Error::new(Kind::Usage, format!("{name} must be a whole number, not \"{value}\"")))
}

fn scene(query: &str, status: &Status) -> Result<Reply> {
    let after = number(query, "after")?;
    let wait = match number(query, "timeout_ms")? {
        Some(ms) => Duration::from_millis(ms).min(LONGEST_POLL),
        None if after.is_some() => LONGEST_POLL,
        None => Duration::ZERO,
    };
    match status.hub.wait_scene(after, wait) {
        Some(scene) => Ok(reply::json_text(200, scene.json())),
        // Nothing newer in the time given is no error: the client asks again.
        None if status.hub.scene().is_some() => Ok(reply::nothing()),
        None => Err(stream::nothing_yet()),
    }
}

fn patch_settings(mut request: Request, status: &Status) {
    let answer = match read_body(&mut request).and_then(|patch| status.settings.patch(&patch)) {
        Ok(values) => reply::json(200, &json!(values)),
        Err(error) => reply::problem(&error),
    };
    answer.send(request);
}

fn read_body(request: &mut Request) -> Result<Value> {
    use std::io::Read;
    let mut body = Vec::new();
    let read = request.as_reader().take(BODY_LIMIT as u64 + 1).read_to_end(&mut body);
    read.map_err(|error| Error::new(Kind::Usage, "the request's body cannot be read").caused_by(error))?;
    if body.len() > BODY_LIMIT {
        return Err(Error::new(Kind::Usage, format!("the request's body is larger than {BODY_LIMIT} bytes")));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Error::new(Kind::Usage, format!("the request's body is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_who_may_change() {
        for (path, short, may_change) in [
            ("/api/settings", "/api/settings", true),
            ("/admin/settings", "/api/settings", true),
            ("/local/spotter/api/settings", "/api/settings", false),
            ("/local/spotter/admin/settings", "/api/settings", true),
            ("/local/spotter/", "/", false),
            ("/local/spotter", "", false),
            // Neither is a way from what viewers may ask to what administrators may.
            ("/local/spotter/api/../admin/settings", "/api/../admin/settings", false),
            ("/local/spotter//admin/settings", "//admin/settings", false),
            ("/local/spotter/api/admin/settings", "/api/admin/settings", false),
            ("/local/spotters/api/model", "/local/spotters/api/model", true),
        ] {
            let place = place(path);
            assert_eq!((&*place.path, place.may_change), (short, may_change), "{path}");
        }
    }

    #[test]
    fn query_parameters_are_decoded() {
        let query = "a=1&name=m%C3%BC+b%2fc%&b=%zz&empty=";
        let value = |name: &str| parameter(query, name);
        assert_eq!(value("name").as_deref(), Some("mü b/c%"));
        assert_eq!((value("b").as_deref(), value("empty").as_deref()), (Some("%zz"), Some("")));
        assert_eq!(value("c"), None);
        assert_eq!(number(query, "a").unwrap(), Some(1));
        assert!(number(query, "b").is_err());
    }
}
