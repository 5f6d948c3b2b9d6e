//! What people ask about models: which there are, what one is and costs, which chips it suits, how good it is.

pub mod catalogue;
pub mod eval;
pub mod inspect;

#[cfg(test)]
#[path = "../core/testdata.rs"]
mod testdata;
