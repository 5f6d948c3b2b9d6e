//! Who may do what.

pub mod access;
pub mod token;
