//! The libraries that run models on the processor.

use std::sync::Arc;

use spotter::backend::Backend;
use spotter::backend::tflite::litert::LiteRtBackend;
use spotter::backend::tflite::litert::sys::LiteRt;
use spotter::backend::tflite::threads::Threads;
use spotter::backend::tflite::{TfliteBackend, c_api};
use spotter::base::error::Result;

use super::skip;

/// Loads a model.
pub type Open = fn(Arc<[u8]>, Threads) -> Result<Box<dyn Backend>>;

/// Those that are here, the one that is used by itself first; of the others it is said why not.
pub fn engines() -> Vec<Open> {
    let mut here: Vec<Open> = Vec::new();
    match LiteRt::get() {
        Ok(Some(_)) => here.push(|model, threads| {
            let library = LiteRt::get().ok().flatten().expect("it is open");
            Ok(Box::new(LiteRtBackend::new(library, model, threads)?))
        }),
        Ok(None) => skip("LiteRT: SPOTTER_TFLITE names another library, or this processor has none"),
        Err(why) => skip(&format!("LiteRT: {why}")),
    }
    match c_api::load() {
        Ok(_) => here.push(|model, threads| Ok(Box::new(TfliteBackend::new(model, threads)?))),
        Err(error) => skip(&format!("TensorFlow Lite's C library: {error}")),
    }
    here
}
