//! From what the user named to a source that is open.

use std::sync::Arc;

use super::source::{FrameSource, Opener, Pace, Pictures};
use super::spec::SourceSpec;
use super::vdo::frame_rate::Workload;
use super::vdo::sensors::SensorChoice;
use super::{gst_source, still, vdo};
use crate::base::error::Result;

/// Opens a source that the user named, at this pace.
///
/// # Errors
/// `Kind::Source` where it cannot be opened now.
pub fn open(spec: &SourceSpec, pace: Pace) -> Result<Box<dyn FrameSource>> {
    spec.check()?;
    match spec {
        SourceSpec::File(path) if still::is_still(path) => Ok(Box::new(still::StillSource::open(path)?)),
        _ => Ok(Box::new(gst_source::GstSource::open(spec, pace)?)),
    }
}

/// [`open`], for whoever opens again and again.
pub struct SpecOpener {
    /// What to open.
    pub spec: SourceSpec,
    /// At which pace to play it.
    pub pace: Pace,
    /// How long detection takes, for a source that can give fewer frames.
    pub workload: Option<Arc<Workload>>,
    /// Which sensor of a camera is wanted, where that may change.
    pub sensor: Option<Arc<SensorChoice>>,
}

impl Opener for SpecOpener {
    fn open(&self) -> Result<Box<dyn FrameSource>> {
        let mut source = match (&self.spec, &self.sensor) {
            (SourceSpec::Vdo(spec), Some(sensor)) => {
                vdo::sensors::open(spec, sensor, |spec| open(&SourceSpec::Vdo(spec), self.pace))?
            }
            _ => open(&self.spec, self.pace)?,
        };
        if let Some(workload) = &self.workload {
            source.follow(workload.clone());
        }
        Ok(source)
    }
}

/// The pictures that this source makes by itself, where it does; those of the sensor that is shown.
pub fn pictures(spec: &SourceSpec, sensor: Option<&Arc<SensorChoice>>) -> Option<Box<dyn Pictures>> {
    match spec {
        SourceSpec::Vdo(spec) => {
            let sensor = sensor.cloned().unwrap_or_else(|| Arc::new(SensorChoice::new(spec.view)));
            Some(Box::new(vdo::pictures::VdoPictures::new(*spec, sensor)))
        }
        _ => None,
    }
}
