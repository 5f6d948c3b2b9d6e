//! LiteRT, TensorFlow Lite's successor, on the CPU with XNNPACK.

pub mod sys;

use std::sync::Arc;

use super::library::LITERT_VERSION;
use super::threads::Threads;
use crate::backend::Backend;
use crate::base::error::{Error, Kind, Result};
use sys::{Failed, LiteRt, Model, Session};

/// A model compiled by LiteRT.
pub struct LiteRtBackend {
    session: Session,
    threads: usize,
}

/// The error of a call into the library.
fn failed(kind: Kind, doing: &str) -> impl Fn(Failed) -> Error {
    move |why| Error::new(kind, format!("LiteRT cannot {doing}: {why}"))
}

impl LiteRtBackend {
    /// Loads a model (the bytes of a .tflite file).
    ///
    /// # Errors
    /// `Kind::Model` where the library refuses the model. It does not say why.
    pub fn new(library: &'static LiteRt, model: Arc<[u8]>, threads: Threads) -> Result<Self> {
        let threads = threads.of_all_cores();
        let model = Model::read(library, model).map_err(failed(Kind::Model, "read the model"))?;
        let compiled = model.compile(threads).map_err(failed(Kind::Model, "set up the model"))?;
        let session = Session::new(compiled).map_err(failed(Kind::Model, "prepare the model"))?;
        Ok(Self { session, threads })
    }
}

impl Backend for LiteRtBackend {
    fn name(&self) -> String {
        format!("LiteRT {}", LITERT_VERSION)
    }

    fn detail(&self) -> String {
        super::detail("XNNPACK", self.threads)
    }

    fn input_mut(&mut self) -> Result<&mut [u8]> {
        self.session
            .input_mut(0)
            .ok_or_else(|| Error::new(Kind::Backend, "LiteRT has no memory for the model's input"))
    }

    fn run(&mut self) -> Result<()> {
        self.session.run().map_err(|why| {
            // The first line names the cause; those after it say that the callers failed too.
            let said = self.session.errors().unwrap_or_default();
            let said = said.lines().map(str::trim).find(|line| !line.is_empty());
            let why = said.map_or_else(|| why.to_string(), |said| said.trim_end_matches('.').to_owned());
            Error::new(Kind::Backend, format!("LiteRT cannot run the model: {why}"))
        })
    }

    fn output(&self, index: usize) -> Result<&[u8]> {
        self.session
            .output(index)
            .ok_or_else(|| Error::new(Kind::Backend, format!("the model gave no output {index}")))
    }
}
