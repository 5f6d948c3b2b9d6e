//! The page in a real browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod live_page;
mod page;
mod page_controls;
mod page_settings;
mod pictures;
mod sign_in;
