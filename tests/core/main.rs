//! What `spotter-core` promises: pixels, decoders and filters, by themselves. Memory is counted here, so the allocator is
//! one that counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod allocation;
mod allocation_decode;
mod allocation_filter;
mod confidence;
mod preprocess;
mod settings;
