//! The devices that larod lists: which chip they are of, and which models they take.

use crate::model::chip::Chip;
use crate::model::format::file::ModelFile;

/// Accelerators, best first, with the chip that has them. The names are exact: there is no
/// `a8-dlpu-tflite`, and no `axis-a9-dlpu-tflite`.
const ACCELERATORS: [(&str, Chip); 4] = [
    ("google-edge-tpu-tflite", Chip::Artpec7),
    ("axis-a8-dlpu-tflite", Chip::Artpec8),
    ("a9-dlpu-tflite", Chip::Artpec9),
    ("ambarella-cvflow", Chip::Cv25),
];
/// The processor: every camera has it, and it is slow.
pub const PROCESSOR: &str = "cpu-tflite";

/// How a model file is made, as far as it decides where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// TensorFlow Lite.
    Tflite,
    /// TensorFlow Lite, compiled for the Edge TPU.
    EdgeTpu,
    /// Compiled for CVflow.
    Cavalry,
}

impl Form {
    /// The form of a model file.
    pub fn of(file: &ModelFile) -> Self {
        if file.cavalry.is_some() {
            Self::Cavalry
        } else if file.needs_edge_tpu() {
            Self::EdgeTpu
        } else {
            Self::Tflite
        }
    }

    fn runs_on(self, device: &str) -> bool {
        match self {
            Self::Tflite => device != "ambarella-cvflow",
            Self::EdgeTpu => device == "google-edge-tpu-tflite",
            Self::Cavalry => device == "ambarella-cvflow",
        }
    }
}

/// Of the devices that a camera lists, those that may run a model of this form, best first.
pub fn candidates(listed: &[String], form: Form) -> Vec<&'static str> {
    let all = ACCELERATORS.iter().map(|(name, _)| *name).chain([PROCESSOR]);
    all.filter(|name| form.runs_on(name) && listed.iter().any(|device| device == name)).collect()
}

/// The chip that a list of devices is of; `None` where it has no accelerator that is known.
pub fn chip(listed: &[String]) -> Option<Chip> {
    let known = |device: &String| ACCELERATORS.iter().find(|(name, _)| name == device).map(|(_, chip)| *chip);
    listed.iter().find_map(known)
}

/// The chip that a camera's own name for it means.
pub fn chip_named(soc: &str) -> Option<Chip> {
    let soc = soc.to_ascii_lowercase();
    let names = [
        ("artpec-7", Chip::Artpec7),
        ("artpec-8", Chip::Artpec8),
        ("artpec-9", Chip::Artpec9),
        ("cv25", Chip::Cv25),
    ];
    names.into_iter().find(|(name, _)| soc.contains(name)).map(|(_, chip)| chip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(devices: &[&str]) -> Vec<String> {
        devices.iter().map(|device| (*device).to_owned()).collect()
    }

    #[test]
    fn the_accelerator_comes_first_and_the_processor_last() {
        let artpec8 = list(&[
            "cpu-tflite",
            "axis-ace-proc",
            "cpu-proc",
            "axis-a8-dlpu-tflite",
            "axis-a8-dlpu-native",
            "axis-a8-dlpu-proc",
            "axis-a8-gpu-proc",
        ]);
        assert_eq!(candidates(&artpec8, Form::Tflite), ["axis-a8-dlpu-tflite", "cpu-tflite"]);
        assert_eq!(candidates(&artpec8, Form::Cavalry), [""; 0]);
        assert_eq!(chip(&artpec8), Some(Chip::Artpec8));
        let artpec9 =
            list(&["cpu-tflite", "a9-dlpu-native", "armnn-cpu-tflite", "cpu-proc", "a9-dlpu-tflite"]);
        assert_eq!(candidates(&artpec9, Form::Tflite), ["a9-dlpu-tflite", "cpu-tflite"]);
        let artpec7 = list(&["cpu-tflite", "cpu-proc", "google-edge-tpu-tflite"]);
        assert_eq!(candidates(&artpec7, Form::EdgeTpu), ["google-edge-tpu-tflite"]);
        let cv25 = list(&["cpu-tflite", "ambarella-cvflow", "ambarella-cvflow-proc"]);
        assert_eq!(candidates(&cv25, Form::Cavalry), ["ambarella-cvflow"]);
        assert_eq!(candidates(&cv25, Form::Tflite), ["cpu-tflite"]);
        assert_eq!(chip(&list(&["cpu-tflite", "a8-dlpu-tflite"])), None);
    }

    #[test]
    fn a_chip_is_told_by_its_name() {
        for (soc, chip) in [
            ("Axis Artpec-8", Some(Chip::Artpec8)),
            ("Ambarella CV25", Some(Chip::Cv25)),
            ("Axis Artpec-6", None),
        ] {
            assert_eq!(chip_named(soc), chip);
        }
    }
}
