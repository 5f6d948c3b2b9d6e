//! The program on a simulated camera, whose parts are crates of their own in `tests/camera`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod camera;
mod camera_vdo;
mod chips;
mod larod;
mod larod_faults;
mod larod_library;
mod larod_memory;
mod matrix;
