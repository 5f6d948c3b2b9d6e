//! The camera's own video.

pub mod element;
pub mod frame_rate;
pub mod pictures;
pub mod sensors;
pub mod shim;
pub mod spec;
pub mod stream;
pub mod sys;

use crate::base::error::{Error, Kind, Result};

use shim::Failure;
use stream::{Request, Sensor};

/// True where this is a camera: its video capture library opens.
pub fn is_here() -> bool {
    sys::library().is_ok()
}

fn refused(failure: &Failure) -> Error {
    Error::new(Kind::Source, failure.to_string())
}

/// Asks the camera about the picture that `spec` names, as frames of this format.
///
/// # Errors
/// [`Kind::Source`] where this is no camera, or it has no such picture.
pub fn sensor(spec: &spec::VdoSpec, format: spec::Format) -> Result<Sensor> {
    stream::sensor(sys::library()?, spec.view, format).map_err(|failure| refused(&failure))
}

/// The first of these streams that the camera gives, as an element that is not started yet.
///
/// # Errors
/// [`Kind::Source`] where it gives none, with what it said of the last.
pub fn source(requests: &[Request], sensor: &Sensor) -> Result<element::VdoSrc> {
    let functions = sys::library()?;
    let mut last = Error::new(Kind::Internal, "no stream was asked for");
    for (index, request) in requests.iter().enumerate() {
        // The last is opened by the element itself, which then says what is wrong.
        if index + 1 < requests.len() {
            match stream::open(functions, request, sensor) {
                Ok((stream, _)) => drop(stream),
                Err(failure) => {
                    log::debug!("{request:?}: {failure}");
                    last = refused(&failure);
                    continue;
                }
            }
        }
        return element::source(request);
    }
    Err(last)
}
