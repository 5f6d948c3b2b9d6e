//! Scenes and pictures to whoever reads them; never on the detection path.

pub mod hub;
pub mod jpeg;
pub mod jsonl;
pub mod overlay;
pub mod publisher;
