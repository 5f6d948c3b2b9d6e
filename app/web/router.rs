//! From a request to its answer: whose request it is, what its path asks for.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use tiny_http::{Method, Request};

use super::api::stream;
use super::assets;
use super::auth::access::Access;
use super::http::response;
use super::http::response::Reply;
use super::routes::{self, Answer, Ask, Verb};
use crate::base::error::{Error, Kind, Result};
use crate::live::context::Context;
use crate::live::model_switch::Switch;

/// The header that the page's own scripts send with changes.
const OWN: &str = "X-Requested-With";

/// What a path asks for, and whether things may be changed there.
pub(super) struct Place<'a> {
    /// The path as it is without a camera: `/api/…`, or a file of the page.
    pub path: Cow<'a, str>,
    pub may_change: bool,
}

/// A camera's own web server passes the whole path on, `/local/spotter/…`, and asks for a viewer's password at
/// `api/` and an administrator's at `admin/`; which of them it has let through, the path alone tells. What comes by
/// another path on a camera did not come through its web server.
/// Without a camera in front, `/api/…` and `/admin/…` are the same.
pub(super) fn place(path: &str, on_camera: bool) -> Place<'_> {
    let (path, behind) = match path.strip_prefix("/local/spotter") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => (rest, true),
        _ => (path, false),
    };
    match path.strip_prefix("/admin/") {
        Some(rest) => Place { path: Cow::Owned(format!("/api/{rest}")), may_change: behind || !on_camera },
        None => Place { path: Cow::Borrowed(path), may_change: !behind && !on_camera },
    }
}

/// Answers one request; a stream is served until its viewer has gone.
pub fn handle(mut request: Request, access: &Access, context: &Context, switch: &Switch, gone: &AtomicBool) {
    let url = request.url().to_owned();
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let Place { path, may_change } = place(path, access.behind_camera());
    let reading = matches!(request.method(), Method::Get | Method::Head);
    let address = routes::find(&path);
    if let Some(refusal) = access.refuse(&request, &path, address) {
        return refusal.send(request);
    }
    // Scripts may open a WebSocket to any site and read it, which they may not with other requests.
    let socket = stream::wants_websocket(&request);
    if (!reading || socket) && is_foreign(&request, || socket && access.takes_ticket(query)) {
        let text = "this request comes from another web site's page; only Spotter's own page may do that";
        return response::problem_with(403, text).send(request);
    }
    let (may_change, refusal) = match access.refuse_caller(&request) {
        Some(refusal) if may_change => (false, refusal),
        _ => (may_change, NOT_HERE.to_owned()),
    };
    let ask = Ask { query, may_change, context, switch, access, gone };
    let Some(address) = address else {
        let answer = match reading || may_change {
            true => no_address(&path, reading),
            false => response::problem_with(403, &refusal),
        };
        return answer.send(request);
    };
    let answer = match address.answer(Verb::of(request.method())) {
        // A stream has no end to ask the head of.
        Some(Answer::Stream(serve)) if *request.method() == Method::Get => return serve(request, &ask),
        Some(Answer::Look(look)) => look(&ask),
        Some(Answer::Sign(sign)) => sign(&mut request, &ask),
        _ if !reading && !may_change => Ok(response::problem_with(403, &refusal)),
        Some(Answer::Change(change)) => change(&mut request, &ask),
        Some(Answer::Stream(_)) | None => Ok(response::not_allowed(&address.allowed())),
    };
    answer.unwrap_or_else(|error| response::problem(&error)).send(request);
}

/// What is said of a change where only viewers are let in.
const NOT_HERE: &str = "only an administrator of the camera may change this, under /local/spotter/admin/ instead of \
                        /local/spotter/api/";

/// A file of the page, or nothing.
fn no_address(path: &str, reading: bool) -> Reply {
    match assets::find(path.trim_start_matches('/')) {
        Some(asset) if reading => response::asset(&asset),
        Some(_) => response::not_allowed("GET, HEAD"),
        None => response::problem(&Error::new(Kind::NotFound, format!("there is nothing at {path}"))),
    }
}

/// True where a browser makes the request, and nothing proves that it does so for Spotter's own page. The page of
/// another site can send forms to any address that its visitor reaches, and open WebSockets there. Programs other
/// than browsers send neither `Origin` nor `Sec-Fetch-Site`.
///
/// Own pages are known by any of: the browser's word, which it gives over https and on loopback only; a header that
/// another site's script cannot set without asking Spotter first (CORS), which is never answered; a ticket, which it
/// cannot read; an `Origin` that is the host that was asked for, where a proxy in front tells it.
fn is_foreign(request: &Request, has_ticket: impl FnOnce() -> bool) -> bool {
    match response::header(request, "Sec-Fetch-Site") {
        Some(site) if site.eq_ignore_ascii_case("same-origin") => return false,
        Some(site) if site.eq_ignore_ascii_case("cross-site") => return true,
        _ => {}
    }
    let Some(origin) = response::header(request, "Origin") else { return false };
    // No header of a page's own goes with a WebSocket.
    let own_header = !stream::wants_websocket(request) && response::header(request, OWN).is_some();
    if own_header || has_ticket() {
        return false;
    }
    let origin = origin.split_once("://").map_or(origin, |(_, host)| host);
    // Behind a camera's own web server the page's host is the camera's.
    // Each proxy on the way adds the host that it was asked for.
    let forwarded = response::header(request, "X-Forwarded-Host").unwrap_or("").split(',').map(str::trim);
    !response::header(request, "Host")
        .into_iter()
        .chain(forwarded)
        .any(|host| host.eq_ignore_ascii_case(origin))
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
///
/// # Errors
/// `Kind::Usage` where it is something else.
pub fn number(query: &str, name: &str) -> Result<Option<u64>> {
    let Some(value) = parameter(query, name) else { return Ok(None) };
    // "+7" and "-0" are numbers to Rust.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).map(Some).ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("{name} must be a whole number from 0 on, not \"{}\"", value.escape_default()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_who_may_change() {
        for (path, short, may_change) in [
            ("/api/settings", "/api/settings", true),
            ("/admin/settings", "/api/settings", true),
            ("/admin/v1/settings", "/api/v1/settings", true),
            ("/local/spotter/api/settings", "/api/settings", false),
            ("/local/spotter/api/v1/settings", "/api/v1/settings", false),
            ("/local/spotter/admin/settings", "/api/settings", true),
            ("/local/spotter/admin/v1/settings", "/api/v1/settings", true),
            ("/local/spotter/", "/", false),
            ("/local/spotter", "", false),
            // Neither is a way from what viewers may ask to what administrators may.
            ("/local/spotter/api/../admin/settings", "/api/../admin/settings", false),
            ("/local/spotter//admin/settings", "//admin/settings", false),
            ("/local/spotter/api/admin/settings", "/api/admin/settings", false),
            ("/local/spotters/api/model", "/local/spotters/api/model", true),
        ] {
            let here = place(path, false);
            assert_eq!((&*here.path, here.may_change), (short, may_change), "{path}");
            // On a camera nothing else than the web server's own path to administrators will do.
            let on_camera = place(path, true);
            let through = path.starts_with("/local/spotter/admin/");
            assert_eq!((&*on_camera.path, on_camera.may_change), (short, through), "{path}");
        }
    }

    #[test]
    fn query_parameters_are_decoded() {
        let query = "a=1&name=m%C3%BC+b%2fc%&b=%zz&empty=&plus=%2B1";
        let value = |name: &str| parameter(query, name);
        assert_eq!(value("name").as_deref(), Some("mü b/c%"));
        assert_eq!((value("b").as_deref(), value("empty").as_deref()), (Some("%zz"), Some("")));
        assert_eq!(value("c"), None);
        assert_eq!(number(query, "a").unwrap(), Some(1));
        for bad in ["b", "empty", "plus"] {
            assert!(number(query, bad).is_err(), "{bad}");
        }
    }
}
