//! What a user may name to run the model.

use clap::ValueEnum;

/// What runs the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BackendChoice {
    /// What suits the model: an Edge TPU for models compiled for it, else the processor; without an Edge
    /// TPU the model's twin on the processor
    #[default]
    Auto,
    /// TensorFlow Lite on the processor
    #[value(alias = "cpu")]
    Tflite,
    /// A Coral Edge TPU, and nothing else
    #[value(name = "edgetpu")]
    EdgeTpu,
}
