//! What a model file says of itself, and how its outputs are read.

pub mod chip;
pub mod decode;
pub mod format;
pub mod labels;
pub mod task;

#[cfg(test)]
mod golden_tests;
