//! The embedded web server: the page, the interface, the streams.

pub mod access;
pub mod addresses;
pub mod answers;
pub mod archive;
pub mod assets;
pub mod body;
pub mod bundle;
pub mod door;
pub mod head;
pub mod health;
pub mod inside;
pub mod metrics;
pub mod models;
pub mod multipart;
pub mod relay;
pub mod reply;
pub mod room;
pub mod routes;
pub mod server;
pub mod stream;
pub mod token;
pub mod tuning;

pub use server::WebServer;
