//! All addresses of the interface in one table: what the router looks into, and what `openapi.json` is tested
//! against.

use tiny_http::Method::{Delete, Get, Patch, Post, Put};

use super::api::{bundle, health, metrics, model, scene, session, settings, stream};
use super::handler::Handler::{Read, Stream, Write};
use super::handler::Route;
use super::http::limits::Class;

/// Every address but the files of the page.
pub static ROUTES: &[Route] = &[
    Route::new("/api/v1/scene", &["/api/scene"], &[(Get, Read(scene::scene))]).class(Class::LongPoll),
    Route::new("/api/v1/scene/events", &["/api/events"], &[(Get, Stream(stream::events))])
        .class(Class::Stream),
    Route::new("/api/v1/live", &["/api/live"], &[(Get, Stream(stream::live))]).class(Class::Stream),
    Route::new("/api/v1/stream.mjpg", &["/stream.mjpg", "/api/stream.mjpg"], &[(Get, Stream(stream::mjpeg))])
        .class(Class::Stream),
    Route::new("/api/v1/snapshot.jpg", &[], &[(Get, Read(scene::snapshot))]),
    Route::new(
        "/api/v1/settings",
        &["/api/settings"],
        &[
            (Get, Read(settings::get)),
            (Patch, Write(settings::patch)),
            (Put, Write(settings::put)),
            (Delete, Write(settings::delete)),
        ],
    ),
    Route::new("/api/v1/settings/schema", &["/api/settings/schema"], &[(Get, Read(settings::schema))]),
    Route::new("/api/v1/zones", &[], &[(Get, Read(settings::get_zones)), (Put, Write(settings::put_zones))]),
    Route::new("/api/v1/labels", &[], &[(Get, Read(scene::labels))]),
    Route::new(
        "/api/v1/model",
        &["/api/model"],
        &[(Get, Read(model::get)), (Post, Write(model::post)), (Delete, Write(model::delete))],
    )
    .class(Class::Upload),
    Route::new("/api/v1/model/retry", &["/api/model/retry"], &[(Post, Write(model::retry))]),
    Route::new("/api/v1/models", &["/api/models"], &[(Get, Read(scene::models))]),
    Route::new("/api/v1/sensors", &["/api/sensors"], &[(Get, Read(scene::sensors))]),
    Route::new("/api/v1/access", &["/api/access"], &[(Get, Read(scene::access))]),
    Route::new("/api/v1/ticket", &[], &[(Get, Read(session::ticket))]),
    Route::new(
        "/api/v1/login",
        &["/api/login"],
        &[(Post, Write(session::log_in)), (Delete, Write(session::log_out))],
    )
    .open(),
    Route::new("/api/v1/status", &["/api/status"], &[(Get, Read(scene::status))]),
    Route::new("/api/v1/stats", &[], &[(Get, Read(scene::stats))]),
    Route::new("/api/v1/log", &[], &[(Get, Read(scene::log_tail))]),
    Route::new("/api/v1/bundle.zip", &[], &[(Get, Read(bundle::get))]),
    Route::new("/api/v1/openapi.json", &["/openapi.json"], &[(Get, Read(scene::openapi))]),
    Route::new("/healthz", &["/api/healthz", "/api/v1/healthz"], &[(Get, Read(health::live))]).open(),
    Route::new("/readyz", &["/api/readyz", "/api/v1/readyz"], &[(Get, Read(health::ready))]).open(),
    Route::new("/metrics", &["/api/metrics", "/api/v1/metrics"], &[(Get, Read(metrics::get))]),
];

/// The route of that path.
pub fn find(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path || route.aliases.contains(&path))
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
        for route in ROUTES {
            for (method, handler) in route.handlers {
                all.insert(format!("{} {}", method.as_str(), route.path));
                // What can be changed can be looked at in the same place.
                let changes =
                    route.handlers.iter().any(|(_, handler)| matches!(handler, Write(_))) && !route.open;
                if changes {
                    all.insert(format!("{} {}", method.as_str(), route.path.replacen("/api/", "/admin/", 1)));
                }
                assert_eq!(*method == Get, !matches!(handler, Write(_)), "{}", route.path);
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
            ROUTES.iter().flat_map(|a| std::iter::once(a.path).chain(a.aliases.iter().copied())).collect();
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
        assert!(find("/stream.mjpg").unwrap().handler(&tiny_http::Method::Trace).is_none());
    }

    /// What keeps a request for long is what its handler does.
    #[test]
    fn streams_have_the_class_of_streams() {
        for route in ROUTES {
            let streams = route.handlers.iter().any(|(_, handler)| matches!(handler, Stream(_)));
            assert_eq!(streams, route.class == Class::Stream, "{}", route.path);
        }
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
