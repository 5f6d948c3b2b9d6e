//! The embedded web server: the page, the interface, the streams.

pub mod assets;
pub mod models;
pub mod multipart;
pub mod reply;
pub mod routes;
pub mod server;
pub mod stream;

pub use server::WebServer;
