//! A Coral Edge TPU on a desktop: libedgetpu's delegate in TensorFlow Lite's interpreter.
//!
//! A model that `edgetpu_compiler` wrote is one operator, `edgetpu-custom-op`, and what the compiler left
//! on the processor. The delegate takes the operator; the rest runs on the interpreter's own kernels.

mod sys;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Backend;
use super::tflite::TfliteBackend;
use super::tflite::c_api;
use super::tflite::threads::Threads;
use crate::base::error::{Error, Kind, Result};
use sys::{Listed, Runtime};

/// A device that was lost is looked for again, but not more often than this: opening one may take a while.
const REOPEN_WAIT: Duration = Duration::from_secs(1);

/// An attached Edge TPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device(Listed);

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bus = match self.0.kind {
            sys::PCI => "PCI",
            sys::USB => "USB",
            _ => "unknown bus",
        };
        write!(f, "{bus}, {}", self.0.path.to_string_lossy())
    }
}

fn runtime() -> Result<&'static Runtime> {
    Runtime::get().map_err(|why| {
        let text = format!(
            "{} cannot be opened; install libedgetpu, or set SPOTTER_EDGETPU to its path",
            sys::library_name().display()
        );
        Error::new(Kind::Backend, text).caused_by(why)
    })
}

/// The Edge TPUs that are attached; at least one. Says nothing of whether another program uses them.
///
/// # Errors
/// [`Kind::Backend`] where there is no libedgetpu or no device.
pub fn devices() -> Result<Vec<Device>> {
    let devices: Vec<Device> = runtime()?.devices().into_iter().map(Device).collect();
    if devices.is_empty() {
        let text = "no Edge TPU is attached; plug one in, and see that this user may use it (udev rules, group plugdev)";
        return Err(Error::new(Kind::Backend, text));
    }
    Ok(devices)
}

/// Opens the first device that can be opened.
fn first_free() -> Result<(c_api::Delegate, Device)> {
    let devices = devices()?;
    let runtime = runtime()?;
    let opened = devices.iter().find_map(|device| Some((runtime.delegate(&device.0)?, device.clone())));
    opened.ok_or_else(|| {
        let listed: Vec<String> = devices.iter().map(Device::to_string).collect();
        let text = format!(
            "the Edge TPU ({}) cannot be opened; end the program that uses it, or plug it in again",
            listed.join("; ")
        );
        Error::new(Kind::Busy, text)
    })
}

/// A compiled model on an Edge TPU. One that is lost is opened again for the next run.
pub struct EdgeTpuBackend {
    model: Arc<[u8]>,
    threads: Threads,
    device: Device,
    /// None after a failure.
    session: Option<TfliteBackend>,
    tried: Instant,
}

impl EdgeTpuBackend {
    /// Loads a compiled model (the bytes of a .tflite file). `threads` are for what the compiler left on
    /// the processor.
    ///
    /// # Errors
    /// [`Kind::Backend`] where TensorFlow Lite, libedgetpu or a device is missing or the model is refused,
    /// [`Kind::Busy`] where the device cannot be opened.
    pub fn new(model: Arc<[u8]>, threads: Threads) -> Result<Self> {
        let (session, device) = open_session(&model, threads)?;
        Ok(Self { model, threads, device, session: Some(session), tried: Instant::now() })
    }

    /// The interpreter with its delegate, made anew where it was lost.
    fn session(&mut self) -> Result<&mut TfliteBackend> {
        if self.session.is_none() {
            let lost = |why: &str| {
                let text = format!("the Edge TPU ({}) was lost ({why})", self.device);
                Error::new(Kind::Backend, text)
            };
            if self.tried.elapsed() < REOPEN_WAIT {
                return Err(lost("it is looked for every second"));
            }
            self.tried = Instant::now();
            let (session, device) =
                open_session(&self.model, self.threads).map_err(|error| lost(error.message()))?;
            log::info!("the Edge TPU ({device}) is back");
            (self.session, self.device) = (Some(session), device);
        }
        self.session.as_mut().ok_or_else(|| Error::new(Kind::Internal, "there is no Edge TPU session"))
    }
}

fn open_session(model: &Arc<[u8]>, threads: Threads) -> Result<(TfliteBackend, Device)> {
    // What fails without a device is said before one is woken.
    c_api::load()?;
    let (delegate, device) = first_free()?;
    if let Some(version) = runtime()?.version() {
        log::debug!("libedgetpu is {version}");
    }
    let session = TfliteBackend::with_delegate(model.clone(), threads, delegate).map_err(|error| {
        let text = format!("the Edge TPU ({device}) does not take the model: {error}");
        Error::new(Kind::Backend, text)
    })?;
    Ok((session, device))
}

impl Backend for EdgeTpuBackend {
    fn name(&self) -> String {
        "Edge TPU".to_owned()
    }

    fn detail(&self) -> String {
        format!("{}; TensorFlow Lite {}", self.device, c_api::version_text())
    }

    fn input_mut(&mut self) -> Result<&mut [u8]> {
        self.session()?.input_mut()
    }

    fn run(&mut self) -> Result<()> {
        let outcome = self.session()?.run();
        outcome.map_err(|error| {
            // A delegate that has lost its device does not find it again; a new one may.
            self.session = None;
            self.tried = Instant::now();
            let text = format!("the Edge TPU ({}) failed: {error}", self.device);
            Error::new(Kind::Backend, text)
        })
    }

    fn output(&self, index: usize) -> Result<&[u8]> {
        let session = self.session.as_ref();
        session.ok_or_else(|| Error::new(Kind::Backend, "the Edge TPU gave no outputs"))?.output(index)
    }
}
