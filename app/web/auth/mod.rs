//! Who may do what.

pub mod access;
pub mod ticket;
pub mod token;
