//! A live run: the threads from capture to publishing, and the state that they share.

pub mod context;
pub mod frame_limiter;
pub mod frame_pacing;
pub mod history;
mod inference;
pub mod model_choice;
pub mod model_slot;
pub mod model_switch;
pub mod overlap;
pub mod pipeline;
pub mod publisher;
pub mod stats;
pub mod status;
pub mod status_report;
pub mod watchdog;
