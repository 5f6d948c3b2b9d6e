//! Talks to a camera by VAPIX, its HTTP interface: puts applications on it, starts and removes them.

pub mod address;
pub mod answers;
pub mod camera;
pub mod choose;
pub mod client;
pub mod tls;
pub mod trust;

pub use address::Address;
pub use camera::Camera;
pub use client::{Client, Login};
