//! All addresses of the interface in one table: what the router looks into, and what `openapi.json` is tested
//! against.

use std::sync::atomic::AtomicBool;

use tiny_http::{Method, Request};

use super::api::{bundle, health, metrics, model, scene, settings, stream};
use super::auth::access::{self, Access};
use super::http::response::Reply;
use crate::base::error::Result;
use crate::live::context::Context;
use crate::live::model_switch::Switch;

/// What a request asks for beside its address, and of whom.
pub struct Ask<'a> {
    /// Behind the question mark, as it came.
    pub query: &'a str,
    /// Changes are taken at this address.
    pub may_change: bool,
    /// The state of everything.
    pub context: &'a Context,
    /// Runs other models.
    pub switch: &'a Switch,
    /// Who may ask.
    pub access: &'a Access,
    /// Set when whoever asked has gone.
    pub gone: &'a AtomicBool,
}

/// How a request is answered.
#[derive(Clone, Copy)]
pub enum Answer {
    /// By looking at something; HEAD is answered as well.
    Look(fn(&Ask<'_>) -> Result<Reply>),
    /// By a change; the request may have a body.
    Change(fn(&mut Request, &Ask<'_>) -> Result<Reply>),
    /// By letting somebody in or out, wherever they ask.
    Sign(fn(&mut Request, &Ask<'_>) -> Result<Reply>),
    /// By a stream that ends when its viewer has gone.
    Stream(fn(Request, &Ask<'_>)),
}

/// The methods that the interface knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET, and HEAD where it is no stream.
    Get,
    /// PATCH.
    Patch,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

impl Verb {
    /// The method of a request; none where no address answers it.
    pub fn of(method: &Method) -> Option<Self> {
        match method {
            Method::Get | Method::Head => Some(Self::Get),
            Method::Patch => Some(Self::Patch),
            Method::Post => Some(Self::Post),
            Method::Put => Some(Self::Put),
            Method::Delete => Some(Self::Delete),
            _ => None,
        }
    }

    /// As it stands in a request.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// An address and what it answers.
pub struct Address {
    /// Its path.
    pub path: &'static str,
    /// Other paths that answer the same: those before version 1, and those that a camera passes on.
    pub aliases: &'static [&'static str],
    /// What it answers.
    pub answers: &'static [(Verb, Answer)],
}

impl Address {
    /// How a request with this method is answered.
    pub fn answer(&self, verb: Option<Verb>) -> Option<Answer> {
        self.answers.iter().find(|(known, _)| Some(*known) == verb).map(|(_, answer)| *answer)
    }

    /// The methods that are answered, for the header `Allow`.
    pub fn allowed(&self) -> String {
        let words = self.answers.iter().flat_map(|(verb, answer)| {
            let head = matches!(answer, Answer::Look(_)).then_some("HEAD");
            std::iter::once(verb.word()).chain(head)
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

use Answer::{Change, Look, Sign, Stream};
use Verb::{Delete, Get, Patch, Post, Put};

/// Where somebody signs in.
pub const LOGIN: &str = "/api/v1/login";
/// Where a machine asks whether Spotter lives, and whether it detects.
pub const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Every address but the files of the page.
pub static ADDRESSES: &[Address] = &[
    Address { path: "/api/v1/scene", aliases: &["/api/scene"], answers: &[(Get, Look(scene::scene))] },
    Address {
        path: "/api/v1/scene/events",
        aliases: &["/api/events"],
        answers: &[(Get, Stream(stream::events))],
    },
    Address { path: "/api/v1/live", aliases: &["/api/live"], answers: &[(Get, Stream(stream::live))] },
    Address {
        path: "/api/v1/stream.mjpg",
        aliases: &["/stream.mjpg", "/api/stream.mjpg"],
        answers: &[(Get, Stream(stream::mjpeg))],
    },
    Address { path: "/api/v1/snapshot.jpg", aliases: &[], answers: &[(Get, Look(scene::snapshot))] },
    Address {
        path: "/api/v1/settings",
        aliases: &["/api/settings"],
        answers: &[
            (Get, Look(settings::get)),
            (Patch, Change(settings::patch)),
            (Put, Change(settings::put)),
            (Delete, Change(settings::delete)),
        ],
    },
    Address {
        path: "/api/v1/settings/schema",
        aliases: &["/api/settings/schema"],
        answers: &[(Get, Look(settings::schema))],
    },
    Address {
        path: "/api/v1/zones",
        aliases: &[],
        answers: &[(Get, Look(settings::get_zones)), (Put, Change(settings::put_zones))],
    },
    Address { path: "/api/v1/labels", aliases: &[], answers: &[(Get, Look(scene::labels))] },
    Address {
        path: "/api/v1/model",
        aliases: &["/api/model"],
        answers: &[(Get, Look(model::get)), (Post, Change(model::post)), (Delete, Change(model::delete))],
    },
    Address {
        path: "/api/v1/model/retry",
        aliases: &["/api/model/retry"],
        answers: &[(Post, Change(model::retry))],
    },
    Address { path: "/api/v1/models", aliases: &["/api/models"], answers: &[(Get, Look(scene::models))] },
    Address { path: "/api/v1/sensors", aliases: &["/api/sensors"], answers: &[(Get, Look(scene::sensors))] },
    Address { path: "/api/v1/access", aliases: &["/api/access"], answers: &[(Get, Look(scene::access))] },
    Address { path: "/api/v1/ticket", aliases: &[], answers: &[(Get, Look(access::ticket))] },
    Address {
        path: LOGIN,
        aliases: &["/api/login"],
        answers: &[(Post, Sign(access::log_in)), (Delete, Sign(access::log_out))],
    },
    Address { path: "/api/v1/status", aliases: &["/api/status"], answers: &[(Get, Look(scene::status))] },
    Address { path: "/api/v1/stats", aliases: &[], answers: &[(Get, Look(scene::stats))] },
    Address { path: "/api/v1/log", aliases: &[], answers: &[(Get, Look(scene::log_tail))] },
    Address { path: "/api/v1/bundle.zip", aliases: &[], answers: &[(Get, Look(bundle::get))] },
    Address {
        path: "/api/v1/openapi.json",
        aliases: &["/openapi.json"],
        answers: &[(Get, Look(scene::openapi))],
    },
    Address {
        path: HEALTH[0],
        aliases: &["/api/healthz", "/api/v1/healthz"],
        answers: &[(Get, Look(health::live))],
    },
    Address {
        path: HEALTH[1],
        aliases: &["/api/readyz", "/api/v1/readyz"],
        answers: &[(Get, Look(health::ready))],
    },
    Address {
        path: "/metrics",
        aliases: &["/api/metrics", "/api/v1/metrics"],
        answers: &[(Get, Look(metrics::get))],
    },
];

/// The address of that path.
pub fn find(path: &str) -> Option<&'static Address> {
    ADDRESSES.iter().find(|address| address.path == path || address.aliases.contains(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use serde_json::Value;

    fn document() -> Value {
        serde_json::from_str(scene::OPENAPI).unwrap()
    }

    /// "GET /path" of all that changes nothing, and "POST /admin/…" beside "POST /api/…" of what does.
    fn served() -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for address in ADDRESSES {
            for (verb, answer) in address.answers {
                all.insert(format!("{} {}", verb.word(), address.path));
                // What can be changed can be looked at in the same place.
                let changes = address.answers.iter().any(|(_, answer)| matches!(answer, Change(_)));
                if changes {
                    all.insert(format!("{} {}", verb.word(), address.path.replacen("/api/", "/admin/", 1)));
                }
                assert_eq!(*verb == Get, !matches!(answer, Change(_) | Sign(_)), "{}", address.path);
            }
        }
        all
    }

    #[test]
    fn the_document_has_every_address_and_no_other() {
        let document = document();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (key, operation) in item.as_object().unwrap() {
                if matches!(key.as_str(), "summary" | "description" | "parameters") {
                    continue;
                }
                described.insert(format!("{} {path}", key.to_uppercase()));
                assert!(
                    operation["summary"].is_string() && operation["operationId"].is_string(),
                    "{key} {path}"
                );
                assert!(operation["responses"].as_object().unwrap().len() > 1, "{key} {path}");
            }
        }
        assert_eq!(described, served());
    }

    #[test]
    fn no_path_has_two_meanings() {
        let mut paths: Vec<&str> =
            ADDRESSES.iter().flat_map(|a| std::iter::once(a.path).chain(a.aliases.iter().copied())).collect();
        paths.sort_unstable();
        let all = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), all);
        assert!(find("/api/v1/").is_none() && find("").is_none() && find("/api/v1/status/").is_none());
    }

    #[test]
    fn methods_are_told_with_head() {
        let allowed = |path: &str| find(path).unwrap().allowed();
        assert_eq!(allowed("/api/settings"), "GET, HEAD, PATCH, PUT, DELETE");
        assert_eq!(allowed("/api/v1/model"), "GET, HEAD, POST, DELETE");
        assert_eq!(allowed("/stream.mjpg"), "GET");
        assert_eq!(Verb::of(&Method::Trace), None);
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let document = document();
        let items = document["paths"].as_object().unwrap().values();
        let mut names: Vec<&str> = items
            .flat_map(|item| item.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
