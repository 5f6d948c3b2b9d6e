//! Spotter finds objects in live video and shows them on a web page.
//!
//! The data goes one way: `capture` → `preprocess` → `backend` → `model::decode` → `filter` → `scene`
//! → `publish` and `web`. The nouns ([`vision`]) know none of the stages; [`detect`] joins one model with one
//! backend, [`live`] joins the threads, [`cli`] and [`web`] are at the top. See `docs/architecture.md`.

pub mod backend;
pub mod capture;
pub mod cli;
pub mod detect;
pub mod live;
pub mod publish;
pub mod web;

pub use spotter_core::{base, filter, preprocess, scene, settings, vision};
#[cfg(feature = "desktop")]
pub use spotter_demo as demo;
pub use spotter_lab::{eval, inspect};

#[cfg(test)]
#[path = "../tests/common/said.rs"]
mod said;

/// Models: their files, outputs and labels, and the catalogue.
pub mod model {
    pub use spotter_core::model::*;
    pub use spotter_lab::catalogue;
}
