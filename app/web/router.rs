//! From a request to its answer: whose request it is, what its path asks for.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use tiny_http::Method;

use super::assets;
use super::auth::access::Access;
use super::handler::{Handler, RequestContext, Route};
use super::http::limits::Class;
use super::http::listener::{Request, Service};
use super::http::query::parameter;
use super::http::request_head::RequestHead;
use super::http::response::{self, Response};
use super::routes;
use crate::base::error::{Error, Kind};
use crate::live::context::Context;
use crate::live::model_switch::Switch;

/// The header that the page's own scripts send with changes.
const OWN: &str = "X-Requested-With";

/// What a path asks for, and whether things may be changed there.
struct Place<'a> {
    /// The path as it is without a camera: `/api/…`, or a file of the page.
    path: Cow<'a, str>,
    may_change: bool,
}

/// A camera's own web server passes the whole path on, `/local/spotter/…`, and asks for a viewer's password at
/// `api/` and an administrator's at `admin/`; which of them it has let through, the path alone tells. What comes by
/// another path on a camera did not come through its web server.
/// Without a camera in front, `/api/…` and `/admin/…` are the same.
fn place(path: &str, on_camera: bool) -> Place<'_> {
    let (path, behind) = match path.strip_prefix("/local/spotter") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => (rest, true),
        _ => (path, false),
    };
    match path.strip_prefix("/admin/") {
        Some(rest) => Place { path: Cow::Owned(format!("/api/{rest}")), may_change: behind || !on_camera },
        None => Place { path: Cow::Borrowed(path), may_change: !behind && !on_camera },
    }
}

/// Answers requests.
pub struct Router {
    /// Who may ask.
    pub access: Access,
    /// The state of everything.
    pub context: Arc<Context>,
    /// Runs other models.
    pub switch: Arc<Switch>,
}

impl Service for Router {
    fn class(&self, head: &RequestHead) -> Class {
        let (path, query) = head.path_and_query();
        let route = routes::find(&place(path, self.access.behind_camera()).path);
        let waits = || ["after", "timeout_ms"].iter().any(|name| parameter(query, name).is_some());
        match route.map_or(Class::Short, |route| route.class) {
            Class::Stream if head.method != Method::Get => Class::Short,
            Class::Upload if head.body_length.is_none() => Class::Short,
            Class::LongPoll if !waits() => Class::Short,
            class => class,
        }
    }

    fn serve(&self, request: &mut Request<'_>) {
        if let Some(response) = self.answer(request) {
            response.send(request.client, request.head.method == Method::Head);
        }
    }
}

impl Router {
    /// The answer to a request; none where a stream has been served.
    fn answer(&self, request: &mut Request<'_>) -> Option<Response> {
        let head = request.head;
        let (path, query) = head.path_and_query();
        let Place { path, may_change } = place(path, self.access.behind_camera());
        let route = routes::find(&path);
        if let Some(refusal) = refuse(&self.access, head, request.peer, &path, route) {
            return Some(refusal);
        }
        // Scripts may open a WebSocket to any site and read it, which they may not with other requests.
        let socket = head.wants_websocket();
        if (!head.is_read() || socket) && is_foreign(head, || socket && self.access.takes_ticket(query)) {
            let text = "this request comes from another web site's page; only Spotter's own page may do that";
            return Some(response::problem_with(403, text));
        }
        // What another application of a camera asks for, it may as little change as a viewer.
        let refusal = may_change.then(|| self.access.refuse_caller(request.client)).flatten();
        let may_change = may_change && refusal.is_none();
        let forbidden = || response::problem_with(403, refusal.as_deref().unwrap_or(NOT_HERE));
        let Some(route) = route else {
            let allowed = head.is_read() || may_change;
            return Some(if allowed { no_route(&path, head.is_read()) } else { forbidden() });
        };
        let (Self { access, context, switch }, Request { client, peer, .. }) = (self, &*request);
        let (client, peer) = (*client, *peer);
        let this = RequestContext { head, query, peer, client, may_change, context, switch, access };
        let answer = match route.handler(&head.method) {
            Some(Handler::Stream(serve)) if head.method == Method::Get => match serve(&this) {
                Ok(()) => return None,
                Err(error) => Err(error),
            },
            Some(Handler::Read(read)) => read(&this),
            _ if !head.is_read() && !may_change && !route.is_open_for(&head.method) => Ok(forbidden()),
            Some(Handler::Write(change)) => change(&this, &mut request.body),
            // A stream has no end to ask the head of.
            Some(Handler::Stream(_)) | None => Ok(response::not_allowed(&route.allowed())),
        };
        Some(answer.unwrap_or_else(|error| response::problem(&error)))
    }
}

/// The path of a request as it is without a camera.
#[cfg(test)]
pub(super) fn path(head: &RequestHead, on_camera: bool) -> String {
    place(head.path_and_query().0, on_camera).path.into_owned()
}

/// The answer to a request that is not let in.
pub(super) fn refuse(
    access: &Access,
    head: &RequestHead,
    peer: IpAddr,
    path: &str,
    route: Option<&Route>,
) -> Option<Response> {
    let file = path.trim_start_matches('/');
    let open = match route {
        Some(route) => route.is_open_for(&head.method),
        None => head.is_read() && !file.is_empty() && assets::find(file).is_some(),
    };
    access.refuse(head, peer, open, file.is_empty())
}

/// What is said of a change where only viewers are let in.
const NOT_HERE: &str = "only an administrator of the camera may change this, under /local/spotter/admin/ instead of \
                        /local/spotter/api/";

/// A file of the page, or nothing.
fn no_route(path: &str, reading: bool) -> Response {
    match assets::find(path.trim_start_matches('/')) {
        Some(asset) if reading => asset.response(),
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
fn is_foreign(head: &RequestHead, has_ticket: impl FnOnce() -> bool) -> bool {
    match head.header("Sec-Fetch-Site") {
        Some(site) if site.eq_ignore_ascii_case("same-origin") => return false,
        Some(site) if site.eq_ignore_ascii_case("cross-site") => return true,
        _ => {}
    }
    let Some(origin) = head.header("Origin") else { return false };
    // No header of a page's own goes with a WebSocket.
    let own_header = !head.wants_websocket() && head.header(OWN).is_some();
    if own_header || has_ticket() {
        return false;
    }
    let origin = origin.split_once("://").map_or(origin, |(_, host)| host);
    // Behind a camera's own web server the page's host is the camera's.
    // Each proxy on the way adds the host that it was asked for.
    let forwarded = head.header("X-Forwarded-Host").unwrap_or("").split(',').map(str::trim);
    !head.header("Host").into_iter().chain(forwarded).any(|host| host.eq_ignore_ascii_case(origin))
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
}
