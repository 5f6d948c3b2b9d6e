//! Models on the processor: by LiteRT, or by TensorFlow Lite's C library through crate `tflitec`, with XNNPACK or
//! with the delegate of an accelerator.

pub mod c_api;
mod library;
#[cfg(feature = "desktop")]
pub mod litert;
#[cfg(feature = "desktop")]
pub mod processor;
pub mod threads;

use std::sync::Arc;

use self_cell::self_cell;
use tflitec::interpreter::{Interpreter, Options};
use tflitec::model::Model;

use super::Backend;
use crate::base::error::{Error, Kind, Result};
use c_api::{Accelerator, Delegate};
use threads::Threads;

/// A camera has larod, and at most this library beside it.
#[cfg(not(feature = "desktop"))]
pub mod processor {
    use super::*;

    /// Loads a model (the bytes of a .tflite file) to run on the processor.
    ///
    /// # Errors
    /// As for [`TfliteBackend::new`].
    pub fn open(model: Arc<[u8]>, threads: Threads) -> Result<Box<dyn Backend>> {
        Ok(Box::new(TfliteBackend::new(model, threads)?))
    }
}

self_cell!(
    struct LoadedModel {
        owner: Arc<[u8]>,
        #[covariant]
        dependent: Model,
    }
);

self_cell!(
    struct LoadedInterpreter {
        owner: LoadedModel,
        #[not_covariant]
        dependent: Interpreter,
    }
);

/// A model in TensorFlow Lite's interpreter.
pub struct TfliteBackend {
    interpreter: LoadedInterpreter,
    tensors: c_api::Tensors,
    threads: usize,
    /// What a person is told beside it.
    notes: String,
}

/// How a library runs a model.
fn detail(kernels: &str, threads: usize) -> String {
    let plural = if threads == 1 { "" } else { "s" };
    format!("CPU, {kernels}, {threads} thread{plural}")
}

/// The error of a call into the library, with what the library itself said.
fn failed(kind: Kind, doing: &str, error: &tflitec::Error) -> Error {
    let why = c_api::take_last_error().unwrap_or_else(|| error.to_string());
    Error::new(kind, format!("TensorFlow Lite cannot {doing}: {why}"))
}

impl TfliteBackend {
    /// Loads a model (the bytes of a .tflite file). Warns of a number of threads that hurts.
    ///
    /// # Errors
    /// `Kind::Backend` without a TensorFlow Lite library, `Kind::Model` where the library refuses the model.
    pub fn new(model: Arc<[u8]>, threads: Threads) -> Result<Self> {
        let count = threads.with_a_core_left();
        let mut backend = Self::accelerated(model, count, Accelerator::Xnnpack(count as i32))?;
        if threads.takes_every_core() {
            let fewer = Threads::Auto.with_a_core_left();
            log::warn!(
                "{count} threads take every core, and those of {} wait for each other at every layer: anything else \
                 that runs can make inference ten times slower; use --threads {fewer}",
                backend.name()
            );
            backend.notes = format!("; on a busy machine {fewer} would be faster");
        }
        Ok(backend)
    }

    /// Says in [`Backend::detail`] why it is not LiteRT that runs the model.
    #[cfg(feature = "desktop")]
    fn in_place_of_litert(mut self, why: &str) -> Self {
        self.notes.push_str(&format!("; not LiteRT: {why}"));
        self
    }

    /// As [`TfliteBackend::new`], with a delegate in place of XNNPACK; it is deleted with the interpreter.
    ///
    /// # Errors
    /// As for [`TfliteBackend::new`].
    pub fn with_delegate(model: Arc<[u8]>, threads: Threads, delegate: Delegate) -> Result<Self> {
        Self::accelerated(model, threads.with_a_core_left(), Accelerator::Delegate(delegate))
    }

    fn accelerated(model: Arc<[u8]>, threads: usize, by: Accelerator) -> Result<Self> {
        c_api::load()?;
        let model = LoadedModel::try_new(model, |bytes| {
            Model::from_bytes(bytes).map_err(|error| failed(Kind::Model, "read the model", &error))
        })?;
        let options = Options { thread_count: threads as i32 };
        let (interpreter, tensors) = c_api::accelerated(by, || {
            LoadedInterpreter::try_new(model, |model| {
                Interpreter::new(model.borrow_dependent(), Some(options))
                    .map_err(|error| failed(Kind::Model, "set up the model", &error))
            })
        });
        let interpreter = interpreter?;
        interpreter
            .with_dependent(|_, interpreter| interpreter.allocate_tensors())
            .map_err(|error| failed(Kind::Model, "prepare the model", &error))?;
        Ok(Self { interpreter, tensors, threads, notes: String::new() })
    }
}

impl Backend for TfliteBackend {
    fn name(&self) -> String {
        format!("TensorFlow Lite {}", c_api::version_text())
    }

    fn detail(&self) -> String {
        let kernels = if c_api::has_xnnpack() { "XNNPACK" } else { "plain kernels" };
        detail(kernels, self.threads) + &self.notes
    }

    #[allow(unsafe_code, reason = "the memory of the C library's tensors")]
    fn input_mut(&mut self) -> Result<&mut [u8]> {
        // SAFETY: the interpreter lives in this struct; `&mut self` excludes any other access.
        unsafe { self.tensors.input(0) }
            .ok_or_else(|| Error::new(Kind::Backend, "TensorFlow Lite has no memory for the model's input"))
    }

    fn run(&mut self) -> Result<()> {
        self.interpreter
            .with_dependent(|_, interpreter| interpreter.invoke())
            .map_err(|error| failed(Kind::Backend, "run the model", &error))
    }

    #[allow(unsafe_code, reason = "the memory of the C library's tensors")]
    fn output(&self, index: usize) -> Result<&[u8]> {
        // SAFETY: the interpreter lives in this struct and `run` needs `&mut self`.
        unsafe { self.tensors.output(index) }
            .ok_or_else(|| Error::new(Kind::Backend, format!("the model gave no output {index}")))
    }
}
