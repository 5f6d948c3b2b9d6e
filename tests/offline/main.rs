//! The program as a command that ends: models, files, evaluation, errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod build_script;
mod coco_figures;
mod cross;
mod demo_models;
mod docs;
mod engines;
mod errors;
mod eval;
mod fuzz;
mod helpers;
mod imports;
mod inspect;
mod look_alikes;
mod manifest;
mod models;
mod reference;
