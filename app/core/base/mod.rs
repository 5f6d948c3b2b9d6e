//! What knows nobody: errors, time, files, logging, what Linux says, text for people.

pub mod atomic_file;
pub mod clock;
pub mod error;
pub mod folders;
pub mod logging;
pub mod machine;
pub mod platform;
pub mod secrets;
pub mod slot;
pub mod table;
pub mod text;
pub mod time;
