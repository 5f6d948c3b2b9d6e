//! What a model is made of, what it costs, and what each chip makes of it.

pub mod backbone;
pub mod cost;
pub mod html;
pub mod links;
pub mod report;
pub mod rules;
pub mod suitability;
pub mod text;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod graph_tests;
#[cfg(test)]
pub(crate) mod testgraph;
