//! What larod is to load.

use std::sync::Arc;

use super::device;
use crate::base::error::{Error, Kind, Result};
use crate::model::format::file::ModelFile;
use crate::vision::tensor::TensorInfo;

/// A model, and where it is to run.
pub struct LoadRequest {
    /// The model's name, for people.
    pub name: String,
    /// The file.
    pub bytes: Arc<[u8]>,
    /// How the file is made.
    pub form: device::ModelFormat,
    /// The device; the best that takes the model where none is named.
    pub device: Option<String>,
    /// The model's input, as the file says it.
    pub input: TensorInfo,
    /// The model's outputs, as the file says them.
    pub outputs: Vec<TensorInfo>,
}

impl LoadRequest {
    /// A model file that is to run on `device`, or on the best device.
    ///
    /// # Errors
    /// [`Kind::Model`] where it has no input.
    pub fn new(file: &ModelFile, device: Option<&str>) -> Result<Self> {
        let input = file.signature.inputs.first();
        let input = input.ok_or_else(|| Error::new(Kind::Model, format!("{} has no input", file.name)))?;
        Ok(Self {
            name: file.name.clone(),
            bytes: file.bytes.clone(),
            form: device::ModelFormat::of(file),
            device: device.map(str::to_owned),
            input: input.clone(),
            outputs: file.signature.outputs.clone(),
        })
    }
}
