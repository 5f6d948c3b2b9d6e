//! What needs the library alone: no program, no browser, no network. Memory is counted here, so the allocator is
//! one that counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod allocation;
mod allocation_decode;
mod allocation_filter;
mod exchange;
mod fuzz;
mod manifest;
mod preprocess;
#[path = "../common/tflite_file.rs"]
#[allow(dead_code)]
mod tflite_file;
