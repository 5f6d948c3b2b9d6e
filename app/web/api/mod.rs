//! The handlers of the interface, one file a noun.

pub mod bundle;
pub mod health;
pub mod metrics;
pub mod model;
pub mod scene;
pub mod session;
pub mod settings;
pub mod stream;
