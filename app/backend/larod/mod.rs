//! larod, the service of Axis cameras that runs models on the chip's accelerator.
//!
//! `sys.rs` declares the library, `symbols.rs` finds its functions, `call.rs`, `session.rs` and `map.rs` make it safe,
//! `memory.rs` shares memory with it, `device.rs` knows its devices, `chip.rs` the chip that they mean,
//! `load_request.rs` says what to load, `engine.rs` loads it, `ports.rs` are its ends, `buffers.rs` tells larod of the
//! capture's memory, `worker.rs` is the thread that keeps it running, `service.rs` what that thread asks for,
//! `ledger.rs` how each device stands with the model, `given_up.rs` what of that is kept. `conversion.rs` knows which
//! devices can prepare frames, `stage.rs` lets one do it, `prepare.rs` chooses between it and the processor.
//! `backend.rs` is what the rest of Spotter sees.

mod backend;
pub mod buffers;
mod call;
mod chip;
pub mod conversion;
pub mod device;
pub mod engine;
pub mod fault;
pub mod given_up;
pub mod ledger;
mod load_request;
pub mod map;
pub mod memory;
pub mod ports;
pub mod prepare;
pub mod service;
pub mod session;
pub mod stage;
mod symbols;
pub mod sys;
pub mod worker;

pub use backend::LarodBackend;
pub use chip::{chip, has_no_edge_tpu, known_chip};
pub use load_request::LoadRequest;
pub use worker::hung_jobs;
