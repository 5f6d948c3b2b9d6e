//! Packs Spotter for Axis cameras, checks packages, and installs them by VAPIX, the cameras' HTTP interface.
//!
//! [`manifest`] and [`conf`] make a package's descriptions out of `manifest.json`, [`archive`] is the file's
//! format, [`pack`] and [`lint`] write and check it; [`vapix`] talks to a camera.

pub mod archive;
pub mod cli;
pub mod conf;
pub mod elf;
pub mod error;
pub mod lint;
pub mod manifest;
pub mod model;
pub mod pack;
pub mod vapix;

#[cfg(test)]
#[path = "../../tests/common/said.rs"]
mod said;
