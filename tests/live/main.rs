//! The program while it runs: video in, its web server, its settings, its enemies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod demo;
mod docs;
mod edgetpu;
mod interface;
mod model_slot;
mod overlap;
mod record;
mod run;
mod settings;
mod switch;
mod viewers;
mod web_attacks;
