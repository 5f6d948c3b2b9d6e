//! What a model file says of itself, and how its outputs are read.

pub mod catalogue;
pub mod chip;
pub mod choice;
pub mod decode;
pub mod fetch;
pub mod file;
pub mod flatbuffer;
pub mod flexbuffer;
pub mod head;
pub mod labels;
pub mod operators;
pub mod producer;
pub mod published;
pub mod recommend;
pub mod store;
pub mod zip;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
pub(crate) mod testdata;
