//! Spotter finds objects in live video and shows them on a web page.
//!
//! The data goes one way: `capture` → `preprocess` → `backend` → `model::decode` → `filter` → `scene`
//! → `publish` and `web`. The nouns ([`vision`]) know none of the stages; [`detect`] joins one model with one
//! backend, [`live`] joins the threads, [`cli`] and [`web`] are at the top. See `docs/architecture.md`.

pub mod backend;
pub mod base;
pub mod capture;
pub mod cli;
pub mod demo;
pub mod detect;
pub mod eval;
pub mod filter;
pub mod inspect;
pub mod live;
pub mod model;
pub mod preprocess;
pub mod publish;
pub mod scene;
pub mod settings;
pub mod vision;
pub mod web;
