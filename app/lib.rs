//! Spotter finds objects in live video and shows them on a web page.
//!
//! The data goes one way: `capture` → `preprocess` → `backend` → `model::decode` → `filter` → `scene`
//! → `publish` and `web`. The nouns ([`frame`], [`geometry`], [`tensor`], [`detection`], [`scene`])
//! know none of the stages; [`detector`] joins one model with one backend, [`pipeline`] joins the
//! threads, [`cli`] and [`web`] are at the top. See `docs/architecture.md`.

pub mod detection;
pub mod error;
pub mod frame;
pub mod geometry;
pub mod model;
pub mod preprocess;
pub mod tensor;
