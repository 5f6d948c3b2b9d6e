//! One model on one backend: from its name or file to a detector.

pub mod backend_choice;
pub mod cpu_variant;
pub mod detector;
pub mod loader;
pub mod model_info;
pub mod runner;
pub mod sandbox;
