//! What Spotter knows without a camera, a network or a library in C: frames, tensors, model files and what their
//! outputs mean, settings, and which detections count.
//!
//! Nothing here starts a thread, opens a connection or asks what time it is but through [`base::clock`].

pub mod base;
pub mod filter;
pub mod model;
pub mod preprocess;
pub mod scene;
pub mod settings;
pub mod vision;

#[cfg(test)]
pub(crate) mod testdata;
