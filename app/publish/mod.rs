//! Scenes and pictures to whoever reads them; never on the detection path.

#[cfg(feature = "desktop")]
pub mod container;
pub mod hub;
pub mod jpeg;
pub mod jsonl;
pub mod overlay;
#[cfg(feature = "desktop")]
pub mod record;
pub mod recorder;
