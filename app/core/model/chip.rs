//! What runs a model: the deep-learning processor of a camera's chip, or any processor.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Kind, Result};

/// A chip that models are made for. Its name (`artpec8`) is that of the command line, of the catalogue
/// and of the published model files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    /// ARTPEC-7 with a Coral Edge TPU: files compiled for the Edge TPU
    #[value(name = "artpec7")]
    Artpec7,
    /// ARTPEC-8: int8 .tflite with per-tensor weights
    #[value(name = "artpec8")]
    Artpec8,
    /// ARTPEC-9: int8 .tflite
    #[value(name = "artpec9")]
    Artpec9,
    /// Ambarella CV25: .bin compiled from a .tflite or ONNX file
    #[value(name = "cv25")]
    Cv25,
    /// TensorFlow Lite on any processor
    #[value(name = "cpu")]
    Cpu,
}

impl Chip {
    /// All chips, cameras' first.
    pub const ALL: [Self; 5] = [Self::Artpec7, Self::Artpec8, Self::Artpec9, Self::Cv25, Self::Cpu];

    /// The name on the command line and in the catalogue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Artpec7 => "artpec7",
            Self::Artpec8 => "artpec8",
            Self::Artpec9 => "artpec9",
            Self::Cv25 => "cv25",
            Self::Cpu => "cpu",
        }
    }

    /// The name its maker writes.
    pub fn title(self) -> &'static str {
        match self {
            Self::Artpec7 => "ARTPEC-7",
            Self::Artpec8 => "ARTPEC-8",
            Self::Artpec9 => "ARTPEC-9",
            Self::Cv25 => "CV25",
            Self::Cpu => "CPU",
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Chip {
    type Err = Error;

    /// Reads a chip's name; `ARTPEC-8` is taken too.
    fn from_str(text: &str) -> Result<Self> {
        let matches =
            |chip: &Self| chip.name().eq_ignore_ascii_case(text) || chip.title().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(matches).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|chip| chip.name()).collect();
            let text = format!("there is no chip \"{text}\"; known are {}", names.join(", "));
            Error::new(Kind::Usage, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_chip_gives_the_same_name() {
        for chip in Chip::ALL {
            assert_eq!(chip.name().parse::<Chip>().unwrap(), chip);
            assert_eq!(chip.title().parse::<Chip>().unwrap(), chip);
            assert_eq!(chip.to_possible_value().unwrap().get_name(), chip.name());
            assert_eq!(serde_json::to_string(&chip).unwrap(), format!("\"{chip}\""));
        }
        assert_eq!(Chip::value_variants(), Chip::ALL);
        let error = "artpec6".parse::<Chip>().unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(
            error.to_string(),
            "there is no chip \"artpec6\"; known are artpec7, artpec8, artpec9, cv25, cpu"
        );
    }
}
