//! How good a model's answers are: against annotations, and against another model's answers.
//!
//! Everything here works on plain values; which models and pictures they come from is the business of
//! `cli`.

pub mod annotations;
pub mod categories;
pub mod classification;
pub mod coco;
pub mod compare;
pub mod compare_report;
pub mod files;
pub mod matching;
pub mod pairing;
pub mod report;
pub mod results;
pub mod table;
