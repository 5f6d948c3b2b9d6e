//! Spotter finds objects in live video and shows them on a web page.
//!
//! The data goes one way: `capture` → `preprocess` → `backend` → `model::decode` → `filter` → `scene`
//! → `publish` and `web`. The nouns ([`frame`], [`geometry`], [`tensor`], [`detection`], [`findings`],
//! [`scene`])
//! know none of the stages; [`detector`] joins one model with one backend, [`pipeline`] joins the
//! threads, [`cli`] and [`web`] are at the top. See `docs/architecture.md`.

pub mod atomic_file;
pub mod backend;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod demo;
pub mod detection;
pub mod detector;
pub mod error;
pub mod eval;
pub mod exchange;
pub mod filter;
pub mod findings;
pub mod frame;
pub mod geometry;
pub mod history;
pub mod inspect;
pub mod limiter;
pub mod loaded;
pub mod logging;
pub mod machine;
pub mod model;
pub mod patience;
pub mod pipeline;
pub mod preprocess;
pub mod probe;
pub mod publish;
pub mod pulse;
pub mod scene;
pub mod settings;
pub mod slot;
pub mod stats;
pub mod status;
pub mod switch;
pub mod table;
pub mod tensor;
pub mod twin;
pub mod web;
pub mod words;
