//! What a model file says of itself.

pub mod cavalry;
pub mod file;
pub mod flatbuffer;
pub mod flexbuffer;
pub mod graph;
pub mod label_file;
pub mod operators;
pub mod producer;
mod schema;
pub mod zip;
