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
use crate::live::model_switch::Switch;
use crate::live::status::Status;

/// What a path asks for, and whether things may be changed there.
pub(super) struct Place<'a> {
    /// The path as it is without a camera: `/api/…`, or a file of the page.
    pub path: Cow<'a, str>,
    pub may_change: bool,
}

/// A camera's own web server passes the whole path on, `/local/spotter/…`, and asks for a viewer's password at
/// `api/` and an administrator's at `admin/`; which of them it has let through, the path alone tells.
/// Without a camera in front, `/api/…` and `/admin/…` are the same.
pub(super) fn place(path: &str) -> Place<'_> {
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
pub fn handle(mut request: Request, access: &Access, status: &Status, switch: &Switch, gone: &AtomicBool) {
    let url = request.url().to_owned();
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let Place { path, may_change } = place(path);
    let reading = matches!(request.method(), Method::Get | Method::Head);
    let address = routes::find(&path);
    if let Some(refusal) = access.refuse(&request, &path, address) {
        return refusal.send(request);
    }
    // Scripts may open a WebSocket to any site and read it, which they may not with other requests.
    if (!reading || stream::wants_websocket(&request)) && is_foreign(&request) {
        let text = "this request comes from another web site's page; only Spotter's own page may do that";
        return response::problem_with(403, text).send(request);
    }
    let ask = Ask { query, may_change, status, switch, access, gone };
    let Some(address) = address else {
        return no_address(&path, reading, may_change).send(request);
    };
    let answer = match address.answer(Verb::of(request.method())) {
        // A stream has no end to ask the head of.
        Some(Answer::Stream(serve)) if *request.method() == Method::Get => return serve(request, &ask),
        Some(Answer::Look(look)) => look(&ask),
        Some(Answer::Sign(sign)) => sign(&mut request, &ask),
        _ if !reading && !may_change => Ok(not_here()),
        Some(Answer::Change(change)) => change(&mut request, &ask),
        Some(Answer::Stream(_)) | None => Ok(response::not_allowed(&address.allowed())),
    };
    answer.unwrap_or_else(|error| response::problem(&error)).send(request);
}

/// The answer to a change where only viewers are let in.
fn not_here() -> Reply {
    let text = "only an administrator of the camera may change this, under /local/spotter/admin/ instead of \
                /local/spotter/api/";
    response::problem_with(403, text)
}

/// A file of the page, or nothing.
fn no_address(path: &str, reading: bool, may_change: bool) -> Reply {
    match assets::find(path.trim_start_matches('/')) {
        _ if !reading && !may_change => not_here(),
        Some(asset) if reading => response::asset(&asset),
        Some(_) => response::not_allowed("GET, HEAD"),
        None => response::problem(&Error::new(Kind::NotFound, format!("there is nothing at {path}"))),
    }
}

/// True where a browser says that the page of another site makes the request. Such a page can send forms
/// to any address that its visitor reaches; programs other than browsers send neither header.
fn is_foreign(request: &Request) -> bool {
    if response::header(request, "Sec-Fetch-Site").is_some_and(|site| site.eq_ignore_ascii_case("cross-site"))
    {
        return true;
    }
    let Some(origin) = response::header(request, "Origin") else { return false };
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
            let place = place(path);
            assert_eq!((&*place.path, place.may_change), (short, may_change), "{path}");
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
