//! Which library runs a model on the processor: LiteRT, else TensorFlow Lite's C library, and why.

use std::sync::{Arc, Once};

use super::TfliteBackend;
use super::litert::LiteRtBackend;
use super::litert::sys::LiteRt;
use super::threads::Threads;
use crate::backend::Backend;
use crate::base::error::{Kind, Result};

/// Loads a model (the bytes of a .tflite file) to run on the processor. Where LiteRT cannot be used or refuses the
/// model, the C library runs it, and log and [`Backend::detail`] say why.
///
/// # Errors
/// `Kind::Backend` where there is no library, `Kind::Model` where all refuse the model.
pub fn open(model: Arc<[u8]>, threads: Threads) -> Result<Box<dyn Backend>> {
    let (why, refused) = match LiteRt::get() {
        Ok(None) => return Ok(Box::new(TfliteBackend::new(model, threads)?)),
        Ok(Some(library)) => match LiteRtBackend::new(library, model.clone(), threads) {
            Ok(backend) => return Ok(Box::new(backend)),
            Err(refused) => (refused.to_string(), Some(refused)),
        },
        Err(why) => (why.to_owned(), None),
    };
    let backend = match TfliteBackend::new(model, threads) {
        Ok(backend) => backend.in_place_of_litert(&why),
        // The library that is there has had its say.
        Err(error) if error.kind() == Kind::Backend => return Err(refused.unwrap_or(error)),
        Err(error) => return Err(error),
    };
    if refused.is_some() {
        log::warn!("{why}; {} runs it", backend.name());
    } else {
        static SAID: Once = Once::new();
        let name = backend.name();
        SAID.call_once(|| {
            log::warn!(
                "{why}, so {name} runs models, which is slower; run ./build.sh setup to install LiteRT"
            );
        });
    }
    Ok(Box::new(backend))
}
