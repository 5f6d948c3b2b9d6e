//! What a model file says of itself, and how its outputs are read.
pub mod decode;
