//! What models are for.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a model is for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Objects and where they are
    #[default]
    Detection,
    /// What the whole picture shows
    Classification,
    /// A class for every pixel
    Segmentation,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Detection => "detection",
            Self::Classification => "classification",
            Self::Segmentation => "segmentation",
        })
    }
}
