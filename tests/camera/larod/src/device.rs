//! The devices of each chip, as published lists and documents have them.

use std::sync::Arc;

use crate::home::Home;
use crate::objects::{DMABUF, MAP, READWRITE};
use crate::pool::Text;
use crate::{Answer, code, failed};

/// What a device does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Role {
    /// TensorFlow Lite on the processor: takes everything.
    Processor,
    /// An accelerator for fully integer models.
    Integer,
    /// The same, with results that are off by a step now and then.
    NoisyInteger,
    /// The Edge TPU: integer models, memory from its beginning on.
    EdgeTpu,
    /// CVflow: models of its own, planes in, padded floats out.
    CvFlow,
    /// Takes formats that the simulator has no use for.
    Closed,
    /// Scales and converts pictures on the processor.
    ProcessorPictures,
    /// NV12 to interleaved RGB, crop and scale.
    Pictures,
    /// The same by OpenCL on ARTPEC-8, which reads and writes memory as a file.
    OpenClPictures,
    /// NV12 to interleaved RGB without scaling.
    ConvertOnly,
    /// NV12 to planar RGB, crop and scale.
    PlanarPictures,
}

impl Role {
    /// Whether it prepares pictures, and runs no models.
    pub fn prepares(self) -> bool {
        matches!(
            self,
            Self::ProcessorPictures
                | Self::Pictures
                | Self::OpenClPictures
                | Self::ConvertOnly
                | Self::PlanarPictures
        )
    }

    /// How it can access the memory of a job's tensors: nn-inference.html and preprocessing.html, "Supported buffer
    /// properties", "When running jobs". Of a9-gpu-proc they do not speak; it is known to take dma-bufs.
    pub fn access(self, input: bool) -> u32 {
        match self {
            Self::EdgeTpu if input => READWRITE | MAP | DMABUF,
            Self::CvFlow | Self::PlanarPictures => READWRITE | DMABUF,
            Self::Pictures => READWRITE | MAP | DMABUF,
            Self::OpenClPictures => READWRITE,
            _ => READWRITE | MAP,
        }
    }

    /// What memory it allocates for these wishes ("Allocation support").
    pub fn memory(self, input: bool, wanted: u32) -> Answer<u32> {
        let has_dma = match self {
            Self::EdgeTpu => input,
            Self::CvFlow | Self::PlanarPictures => true,
            _ => false,
        };
        let given = if has_dma && wanted & READWRITE == 0 { MAP | DMABUF } else { READWRITE | MAP };
        match wanted & !given {
            0 => Ok(given),
            _ => failed(
                code::EINVAL,
                format!("memory of the kind {wanted} cannot be allocated for the device"),
            ),
        }
    }
}

/// `larodDevice`.
pub struct Device {
    /// Of the connection that listed it.
    pub home: Arc<Home>,
    /// Its exact name.
    pub name: &'static str,
    /// The same for C.
    pub c_name: Text,
    /// What it does.
    pub role: Role,
}

/// The devices of a chip.
pub fn of_chip(chip: &str) -> &'static [(&'static str, Role)] {
    match chip {
        "artpec7" => &[
            ("cpu-tflite", Role::Processor),
            ("google-edge-tpu-tflite", Role::EdgeTpu),
            ("cpu-proc", Role::ProcessorPictures),
        ],
        // Some have no Edge TPU: acap-native-sdk-examples #319.
        "artpec7-without-tpu" => &[("cpu-tflite", Role::Processor), ("cpu-proc", Role::ProcessorPictures)],
        // A chip to come.
        "artpec10" => &[
            ("cpu-tflite", Role::Processor),
            ("cpu-proc", Role::ProcessorPictures),
            ("a10-dlpu-tflite", Role::Integer),
            ("a10-dlpu-native", Role::Closed),
        ],
        // How its models' ends lie in memory is not known: taken to be as CV25's.
        "cv75" => &[
            ("cpu-tflite", Role::Processor),
            ("cpu-proc", Role::ProcessorPictures),
            ("cv75-dlpu-native", Role::CvFlow),
        ],
        "artpec9" => &[
            ("cpu-tflite", Role::Processor),
            ("a9-dlpu-native", Role::Closed),
            ("armnn-cpu-tflite", Role::Processor),
            ("cpu-proc", Role::ProcessorPictures),
            ("a9-dlpu-tflite", Role::NoisyInteger),
            ("a9-gpu-proc", Role::Pictures),
        ],
        "cv25" => &[
            ("cpu-tflite", Role::Processor),
            ("cpu-proc", Role::ProcessorPictures),
            ("ambarella-cvflow", Role::CvFlow),
            ("ambarella-cvflow-proc", Role::PlanarPictures),
        ],
        _ => &[
            ("cpu-tflite", Role::Processor),
            ("axis-ace-proc", Role::ConvertOnly),
            ("cpu-proc", Role::ProcessorPictures),
            ("axis-a8-dlpu-tflite", Role::Integer),
            ("axis-a8-dlpu-native", Role::Closed),
            ("axis-a8-dlpu-proc", Role::OpenClPictures),
            ("axis-a8-gpu-proc", Role::OpenClPictures),
        ],
    }
}
