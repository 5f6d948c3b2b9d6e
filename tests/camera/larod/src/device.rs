//! The devices of each chip, as published lists and documents have them.

use std::ffi::CString;

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
    /// NV12 to interleaved RGB without scaling.
    ConvertOnly,
    /// NV12 to planar RGB, crop and scale.
    PlanarPictures,
}

impl Role {
    /// Whether it prepares pictures, and runs no models.
    pub fn prepares(self) -> bool {
        matches!(self, Self::ProcessorPictures | Self::Pictures | Self::ConvertOnly | Self::PlanarPictures)
    }
}

/// `larodDevice`.
pub struct Device {
    /// Its exact name.
    pub name: &'static str,
    /// The same for C.
    pub c_name: CString,
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
            ("axis-a8-dlpu-proc", Role::Pictures),
            ("axis-a8-gpu-proc", Role::Pictures),
        ],
    }
}
