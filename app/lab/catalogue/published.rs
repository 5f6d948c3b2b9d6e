//! What others have measured of a model: how fast it is on which camera, and how accurate.

use std::fmt;

use serde::{Deserialize, Serialize};

use spotter_core::model::chip::Chip;

/// The time that one inference takes on one camera, and the accuracy told beside it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What ran it.
    pub chip: Chip,
    /// The camera that was measured; cameras with the same chip differ.
    pub camera: String,
    /// Mean milliseconds of inference alone: no preprocessing, no decoding.
    pub ms: f64,
    /// Who published the time, for which firmware: it changes speeds.
    pub source: String,
    /// The file that was measured, where it is not the catalogue's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How accurate the model is, where told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
}

/// One figure of accuracy.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// What the figure counts.
    pub metric: Metric,
    /// Percent.
    pub value: f64,
    /// Percent of pictures whose class is among the five likeliest, for [`Metric::ImagenetTop1`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5: Option<f64>,
    /// True where the camera itself was measured; else it is a figure of the model as it was trained or
    /// converted, and a chip may lose some of it.
    pub on_camera: bool,
    /// Who published it.
    pub source: String,
}

/// What a figure of accuracy counts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Mean average precision of COCO, IoU 0.50 to 0.95.
    CocoMap,
    /// Share of ImageNet's validation pictures whose class is the likeliest.
    ImagenetTop1,
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.metric {
            Metric::CocoMap => write!(f, "COCO mAP {:.1}", self.value)?,
            Metric::ImagenetTop1 => write!(f, "ImageNet top-1 {:.1} %", self.value)?,
        }
        self.top5.map_or(Ok(()), |top5| write!(f, ", top-5 {top5:.1} %"))
    }
}
