//! A preprocessing model: a device of larod writes frames into the memory of a model's input.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::buffers::{Buffers, Ends};
use super::conversion::Conversion;
use super::fault::{Fault, LarodResult};
use super::map::Map;
use super::session::{Connection, LarodModel, Side, TensorMemory, Tensors};
use super::sys::Api;
use crate::vision::frame::SharedMemory;

/// A preprocessing model on a device. Dropped in this order: jobs, tensors, what jobs may refer to, the model.
pub struct Stage {
    api: &'static Api,
    device: &'static str,
    buffers: Buffers,
    outputs: Tensors,
    crop: Option<Map>,
    model: LarodModel,
}

impl Stage {
    /// Loads it. `input` is the memory of the model's input, which must outlive the stage.
    ///
    /// # Errors
    /// Where the device does not take the conversion; never [`super::fault::Remedy::Reconnect`] without a code.
    pub fn load(
        api: &'static Api,
        connection: &Rc<Connection>,
        device: &'static str,
        conversion: &Conversion,
        input: TensorMemory,
    ) -> LarodResult<Self> {
        Self::make(api, connection, device, conversion, input).map_err(|fault| on(device, fault))
    }

    fn make(
        api: &'static Api,
        connection: &Rc<Connection>,
        device: &'static str,
        conversion: &Conversion,
        input: TensorMemory,
    ) -> LarodResult<Self> {
        let doing = "prepare frames";
        let model = connection.load(None, device, "frames", Some(&parameters(api, conversion)?))?;
        let mut outputs = model.describe(Side::Outputs)?;
        let (size, end) = (conversion.to_bytes(), conversion.offset + conversion.to_bytes());
        let written = outputs.about(0)?.byte_size;
        if outputs.count() != 1 || written > size || end > input.size {
            let said = format!(
                "the device writes {written} bytes where {size} are wanted, from byte {} of {} on",
                conversion.offset, input.size
            );
            return Err(Fault::misfit(doing, said));
        }
        // The input's own tensor is tracked, so its memory cannot be exchanged; this one's can.
        let offset = input.offset + conversion.offset as u64;
        outputs.put(0, TensorMemory { offset, size, ..input })?;
        outputs.track()?;
        let crop = match conversion.crop {
            Some(part) => {
                let mut map = Map::new(api)?;
                map.four("image.input.crop", part)?;
                Some(map)
            }
            None => None,
        };
        Ok(Self { api, device, buffers: Buffers::default(), outputs, crop, model })
    }

    /// Writes the frame in this memory into the model's input.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn run(&mut self, memory: SharedMemory, fd: OwnedFd) -> LarodResult<()> {
        let Self { api, device, buffers, outputs, crop, model } = self;
        let ends = Ends { model, outputs, params: crop.as_ref() };
        buffers.job(api, &ends, memory, fd).and_then(|job| job.run()).map_err(|fault| on(device, fault))
    }
}

/// A fault of this device: what Spotter itself found is no fault of the connection.
fn on(device: &str, fault: Fault) -> Fault {
    let doing = format!("prepare frames on {device}");
    match fault.code {
        0 => Fault::misfit(&doing, fault.said),
        code => Fault { code, doing, said: fault.said },
    }
}

/// Parameters of a preprocessing model, by the names of larod's documentation.
fn parameters(api: &'static Api, conversion: &Conversion) -> LarodResult<Map> {
    let mut map = Map::new(api)?;
    map.text("image.input.format", "nv12")?;
    map.pair("image.input.size", conversion.from)?;
    map.number("image.input.row-pitch", conversion.from_pitch)?;
    map.text("image.output.format", if conversion.planar { "rgb-planar" } else { "rgb-interleaved" })?;
    map.pair("image.output.size", conversion.to)?;
    map.number("image.output.row-pitch", conversion.to_pitch)?;
    Ok(map)
}
