//! HTTP: connections, their limits, requests and responses. Nothing here knows what Spotter answers.

pub mod body;
pub mod caller;
pub mod connection;
pub mod limits;
pub mod listener;
pub mod multipart;
pub mod query;
pub mod request_head;
pub mod response;
pub mod workers;
pub mod zip_writer;
