//! Frames from files, networks and devices.

pub mod container;
mod decoder;
#[cfg(feature = "desktop")]
pub mod demo;
pub mod gst_source;
pub mod notation;
mod opener;
pub mod pixels;
mod source;
pub mod spec;
pub mod still;
pub mod supervisor;
pub mod vdo;

pub use opener::{SpecOpener, open, pictures};
pub use source::{FrameSource, Next, Opener, Pace, Pictures};
pub use spec::{SourceKind, SourceSpec};
