//! The embedded web server: the page, the interface, the streams.

pub mod addresses;
pub mod answers;
pub mod archive;
pub mod assets;
pub mod bundle;
pub mod health;
pub mod metrics;
pub mod models;
pub mod multipart;
pub mod reply;
pub mod routes;
pub mod server;
pub mod stream;
pub mod tuning;

pub use server::WebServer;
