//! The nouns of detection: frames, geometry, tensors, and what a model predicts.

pub mod detection;
pub mod frame;
pub mod geometry;
pub mod predictions;
pub mod sensor;
pub mod tensor;
