//! The one error type: a sentence that a person can act on.

use std::fmt;

/// What is wrong, with which value, and what to do.
#[derive(Debug)]
pub struct Error(String);

/// What fallible functions here return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with this sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// What was being done with a file when it failed.
    pub fn file(doing: &str, path: &std::path::Path, cause: impl fmt::Display) -> Self {
        Self(format!("cannot {doing} {} ({cause})", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
