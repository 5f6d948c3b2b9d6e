//! What a model file says of itself, and how its outputs are read.

pub mod catalogue;
pub mod cavalry;
pub mod chip;
pub mod choice;
pub mod decode;
pub mod demo;
#[cfg(feature = "desktop")]
pub mod fetch;
pub mod file;
pub mod flatbuffer;
pub mod flexbuffer;
pub mod graph;
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
mod graph_tests;
#[cfg(test)]
pub(crate) mod testdata;
