//! What a handler is: a request's context in, a response out; and a route, which is an address with its handlers.

use tiny_http::Method;

use super::auth::access::Access;
use super::http::body::Body;
use super::http::connection::Client;
use super::http::limits::Class;
use super::http::request_head::RequestHead;
use super::http::response::Response;
use crate::base::error::Result;
use crate::live::context::Context;
use crate::live::model_switch::Switch;

/// What a handler knows beside the request's body.
pub struct RequestContext<'a> {
    /// The request's head.
    pub head: &'a RequestHead,
    /// What is behind the question mark, as it came.
    pub query: &'a str,
    /// As whom the client is counted.
    pub peer: std::net::IpAddr,
    /// Whoever asks.
    pub client: Client<'a>,
    /// Changes are taken at this address.
    pub may_change: bool,
    /// The state of everything.
    pub context: &'a Context,
    /// Runs other models.
    pub switch: &'a Switch,
    /// Who may ask.
    pub access: &'a Access,
}

/// How a request is answered.
#[derive(Clone, Copy)]
pub enum Handler {
    /// By looking at something; HEAD is answered as well.
    Read(fn(&RequestContext<'_>) -> Result<Response>),
    /// By a change; the request may have a body. What is open is changed by whoever asks, the rest where changes are
    /// taken.
    Write(fn(&RequestContext<'_>, &mut Body<'_>) -> Result<Response>),
    /// By a stream that ends when its viewer has gone.
    Stream(fn(&RequestContext<'_>) -> Result<()>),
}

/// An address and what answers there.
pub struct Route {
    /// Its path.
    pub path: &'static str,
    /// Other paths that answer the same: those before version 1, and those that a camera passes on.
    pub aliases: &'static [&'static str],
    /// What keeps its requests for long.
    pub class: Class,
    /// It answers without sign-in.
    pub open: bool,
    /// Methods and their handlers.
    pub handlers: &'static [(Method, Handler)],
}

impl Route {
    /// An address whose requests are answered at once, after sign-in.
    pub const fn new(
        path: &'static str,
        aliases: &'static [&'static str],
        handlers: &'static [(Method, Handler)],
    ) -> Self {
        Self { path, aliases, class: Class::Short, open: false, handlers }
    }

    /// Its requests take long.
    pub const fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// It answers without sign-in.
    pub const fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// What answers requests of this method.
    pub fn handler(&self, method: &Method) -> Option<Handler> {
        let method = if *method == Method::Head { &Method::Get } else { method };
        self.handlers.iter().find(|(known, _)| known == method).map(|(_, handler)| *handler)
    }

    /// Whether a request of this method is answered without sign-in. What can be read is open for that alone.
    pub fn is_open_for(&self, method: &Method) -> bool {
        let reads = matches!(method, Method::Get | Method::Head);
        self.open && (reads || self.handler(&Method::Get).is_none())
    }

    /// The methods that are answered, for the header `Allow`.
    pub fn allowed(&self) -> String {
        let methods = self.handlers.iter().flat_map(|(method, handler)| {
            let head = matches!(handler, Handler::Read(_)).then_some("HEAD");
            std::iter::once(method.as_str()).chain(head)
        });
        methods.collect::<Vec<_>>().join(", ")
    }
}
