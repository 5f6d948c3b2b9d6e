//! Which backend runs a model: named, or the best that is here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::backend::larod::ledger::Ledger;
use crate::backend::larod::{self, LarodBackend, LoadRequest, sys};
use crate::backend::tflite::threads::Threads;
use crate::backend::tflite::{c_api, processor};
use crate::backend::{Backend, Readiness};
use crate::base::clock::{self, Clock};
use crate::base::error::{Error, Kind, Result};
use crate::model::chip::Chip;
use crate::model::format::file::ModelFile;
use crate::vision::frame::Frame;
use crate::vision::geometry::{Fit, Mapping};

/// What runs a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// On a camera the best of larod's devices that takes the model. Elsewhere an Edge TPU for models compiled for
    /// it (without one the model's twin on the processor), and the processor for all others.
    #[default]
    Auto,
    /// TensorFlow Lite on the processor.
    Tflite,
    /// A Coral Edge TPU on a desktop, and nothing else.
    EdgeTpu,
    /// larod, on the device that is named or on the best.
    Larod(Option<String>),
}

impl FromStr for BackendChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "tflite" | "cpu" => Ok(Self::Tflite),
            "edgetpu" => Ok(Self::EdgeTpu),
            "larod" => Ok(Self::Larod(None)),
            other => match other.strip_prefix("larod:").filter(|device| !device.is_empty()) {
                Some(device) => Ok(Self::Larod(Some(device.to_owned()))),
                None => Err(format!(
                    "\"{other}\" is no backend; use auto, tflite (or cpu), edgetpu, larod or larod:DEVICE"
                )),
            },
        }
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Tflite => f.write_str("tflite"),
            Self::EdgeTpu => f.write_str("edgetpu"),
            Self::Larod(None) => f.write_str("larod"),
            Self::Larod(Some(device)) => write!(f, "larod:{device}"),
        }
    }
}

impl BackendChoice {
    /// Whether larod is to run models: it is named, or this is a camera.
    pub fn is_larod(&self) -> bool {
        match self {
            Self::Auto => sys::is_here(),
            Self::Tflite | Self::EdgeTpu => false,
            Self::Larod(_) => true,
        }
    }

    /// The chip whose models are to be offered.
    pub fn chip(&self) -> Chip {
        if self.is_larod() { larod::chip().unwrap_or(Chip::Cpu) } else { Chip::Cpu }
    }

    /// Whether larod can run the model at all.
    ///
    /// # Errors
    /// [`Kind::Model`] with what the model needs.
    pub fn check_larod(&self, file: &ModelFile) -> Result<()> {
        match &file.cavalry {
            Some(cavalry) => {
                let wrong = |why| Error::new(Kind::Model, format!("{}: {why}", file.name));
                cavalry.check_input().map_err(wrong)
            }
            None if file.needs_edge_tpu() => file.check_input(),
            None => file.check_runnable_on_cpu(),
        }
    }

    /// Whether TensorFlow Lite runs in this process what none of larod's devices takes.
    pub fn falls_back_to_tflite(&self) -> bool {
        *self == Self::Auto && c_api::load().is_ok()
    }

    /// A backend that larod loads the model into; it goes on when this returns.
    ///
    /// # Errors
    /// `Kind::Backend` where there is no larod.
    pub fn open_larod(&self, file: &ModelFile, threads: Threads) -> Result<Box<dyn Backend>> {
        let device = match self {
            Self::Larod(device) => device.as_deref(),
            _ => None,
        };
        let clock = clock::of_environment();
        let larod = LarodBackend::new(LoadRequest::new(file, device)?, clock.clone())?;
        let otherwise = (self.falls_back_to_tflite() && file.check_runnable_on_cpu().is_ok())
            .then(|| (file.clone(), threads));
        let (wanted, ledger) = (larod.wanted().clone(), larod.ledger().clone());
        Ok(Box::new(Chain {
            current: Box::new(larod),
            on_larod: true,
            wanted,
            ledger,
            clock,
            otherwise,
            changes: 0,
        }))
    }
}

/// larod, and TensorFlow Lite where larod has no device for the model.
struct Chain {
    current: Box<dyn Backend>,
    on_larod: bool,
    wanted: Arc<LoadRequest>,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    otherwise: Option<(ModelFile, Threads)>,
    /// Those of all that ran before.
    changes: u64,
}

impl Chain {
    fn set_current(&mut self, backend: Box<dyn Backend>, on_larod: bool) {
        self.changes += self.current.changes() + 1;
        (self.current, self.on_larod) = (backend, on_larod);
    }
}

impl Backend for Chain {
    fn name(&self) -> String {
        self.current.name()
    }

    fn detail(&self) -> String {
        self.current.detail()
    }

    fn changes(&self) -> u64 {
        self.changes + self.current.changes()
    }

    fn devices(&self) -> Option<Arc<Ledger>> {
        Some(self.ledger.clone())
    }

    fn readiness(&mut self) -> Result<Readiness> {
        if !self.on_larod && self.ledger.call().is_some() {
            let larod = LarodBackend::with(self.wanted.clone(), self.ledger.clone(), self.clock.clone())?;
            self.set_current(Box::new(larod), true);
        }
        let refused = match self.current.readiness() {
            Ok(readiness) => return Ok(readiness),
            Err(refused) => refused,
        };
        let Some((file, threads)) = self.otherwise.as_ref().filter(|_| self.on_larod) else {
            return Err(refused);
        };
        log::warn!("{refused}; TensorFlow Lite runs it on the processor");
        self.on_larod = false;
        self.set_current(processor::open(file.bytes.clone(), *threads)?, false);
        self.current.readiness()
    }

    fn take_frame(&mut self, frame: &Frame, fit: Fit) -> Result<Option<Mapping>> {
        self.current.take_frame(frame, fit)
    }

    fn input_pitch(&self) -> Option<usize> {
        self.current.input_pitch()
    }

    fn input_mut(&mut self) -> Result<&mut [u8]> {
        self.current.input_mut()
    }

    fn run(&mut self) -> Result<()> {
        self.current.run()
    }

    fn output(&self, index: usize) -> Result<&[u8]> {
        self.current.output(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_meant() {
        for text in ["auto", "tflite", "edgetpu", "larod", "larod:axis-a8-dlpu-tflite"] {
            assert_eq!(text.parse::<BackendChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cpu".parse(), Ok(BackendChoice::Tflite));
        for bad in ["", "larod:", "gpu", "Larod"] {
            let error = bad.parse::<BackendChoice>().unwrap_err();
            assert!(error.contains("use auto, tflite (or cpu), edgetpu, larod or larod:DEVICE"), "{error}");
        }
    }
}
