//! The embedded web server: the page, the interface, the streams.

pub mod api;
pub mod assets;
pub mod auth;
pub mod handler;
pub mod http;
pub mod router;
pub mod routes;
mod server;

pub use server::WebServer;
