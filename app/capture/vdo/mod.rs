//! The camera's own video.

pub mod element;
pub mod frame_rate;
pub mod keys;
pub mod pictures;
pub mod request;
pub mod sensors;
pub mod shim;
pub mod spec;
pub mod stream;
pub mod sys;

use crate::base::error::{Error, Kind, Result};

use request::Request;
use shim::Failure;
use stream::{Sensor, Shape};

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

/// The first of these streams that the camera gives, as an element that has it, and what it is.
///
/// # Errors
/// [`Kind::Source`] where it gives none, with what it said.
pub fn source(requests: &[Request], sensor: &Sensor) -> Result<(element::VdoSrc, Shape)> {
    let functions = sys::library()?;
    let mut told: Option<Failure> = None;
    for request in requests {
        match stream::open(functions, request, sensor) {
            Ok((stream, shape)) => {
                let detail = shape.detail();
                match &told {
                    // A format that the chip does not have is not worth a word.
                    Some(why) if request.format == requests[0].format => {
                        log::warn!("the camera gives {detail}, {:.1} frames a second: {why}", shape.rate);
                    }
                    _ => log::info!("the camera gives {detail}"),
                }
                return Ok((element::source(request, (stream, shape))?, shape));
            }
            Err(failure) if failure.is_for_all_streams() => return Err(refused(&failure)),
            Err(failure) => {
                log::debug!("{request:?}: {failure}");
                // That there are too many streams says more than what of it is refused after that.
                if !told.as_ref().is_some_and(Failure::is_for_want_of_resources) {
                    told = Some(failure);
                }
            }
        }
    }
    Err(told.map_or_else(|| Error::new(Kind::Internal, "no stream was asked for"), |why| refused(&why)))
}
