//! Helpers that several test crates share; each crate uses its part of them.
#![allow(dead_code)]

pub mod browser;
pub mod mock;
