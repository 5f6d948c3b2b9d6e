//! HTTP: connections, their limits, requests and responses. Nothing here knows what Spotter answers.

pub mod body;
pub mod caller;
pub mod limits;
pub mod listener;
pub mod multipart;
pub mod proxy;
pub mod request_head;
pub mod response;
pub mod server;
pub mod upstream;
pub mod zip_writer;
