//! The devices that larod lists: which chip they are of, and which models they take.

use crate::model::chip::Chip;
use crate::model::format::file::ModelFile;

/// Accelerators, best first, with whose they are. The names are exact: there is no `a8-dlpu-tflite`, and no
/// `axis-a9-dlpu-tflite`. No model for CV75 is known to the catalogue, so it is a name alone.
const ACCELERATORS: [(&str, &str, Option<Chip>); 5] = [
    ("google-edge-tpu-tflite", "ARTPEC-7", Some(Chip::Artpec7)),
    ("axis-a8-dlpu-tflite", "ARTPEC-8", Some(Chip::Artpec8)),
    ("a9-dlpu-tflite", "ARTPEC-9", Some(Chip::Artpec9)),
    ("ambarella-cvflow", "CV25", Some(Chip::Cv25)),
    ("cv75-dlpu-native", "CV75", None),
];
/// Those that take what is compiled for Ambarella's CVflow.
const CVFLOW: [&str; 2] = ["ambarella-cvflow", "cv75-dlpu-native"];
/// How the names of accelerators for TensorFlow Lite end, also of those that are not known yet.
const DLPU: &str = "-dlpu-tflite";
/// The processor: every camera has it, and it is slow.
pub const PROCESSOR: &str = "cpu-tflite";

/// How a model file is made, as far as it decides where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelFormat {
    /// TensorFlow Lite.
    Tflite,
    /// TensorFlow Lite, compiled for the Edge TPU.
    EdgeTpu,
    /// Compiled for CVflow.
    Cavalry,
}

impl ModelFormat {
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
            Self::Tflite => !CVFLOW.contains(&device),
            Self::EdgeTpu => device == "google-edge-tpu-tflite",
            Self::Cavalry => CVFLOW.contains(&device),
        }
    }
}

fn is_known(device: &str) -> bool {
    ACCELERATORS.iter().any(|(name, ..)| *name == device)
}

/// Whether it is an accelerator that this Spotter does not know, by its name.
pub fn is_new_accelerator(device: &str) -> bool {
    device.ends_with(DLPU) && !is_known(device)
}

/// Of the devices that a camera lists, those that may run a model of this form, best first: the known accelerators, those
/// that are not known, the processor.
pub fn candidates(listed: &[String], form: ModelFormat) -> Vec<String> {
    let known = ACCELERATORS.iter().map(|(name, ..)| *name);
    let new = listed.iter().map(String::as_str).filter(|device| is_new_accelerator(device));
    let all = known.chain(new).chain([PROCESSOR]);
    let taken = all.filter(|name| form.runs_on(name) && listed.iter().any(|device| device == name));
    taken.map(str::to_owned).collect()
}

/// What a device is for, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It prepares pictures.
    Pictures,
    /// It runs models that Spotter has nothing to do with.
    Native,
    /// It runs models.
    Models,
    /// Nothing is known of it.
    Unknown,
}

/// What a device is for.
pub fn purpose(device: &str) -> Purpose {
    match device {
        _ if device.ends_with("-proc") => Purpose::Pictures,
        _ if device == PROCESSOR || is_known(device) || is_new_accelerator(device) => Purpose::Models,
        _ if device.ends_with("-native") => Purpose::Native,
        _ => Purpose::Unknown,
    }
}

/// The chip that a list of devices is of; `None` where it has no accelerator that is known.
pub fn chip(listed: &[String]) -> Option<Chip> {
    let known = |device: &String| ACCELERATORS.iter().find(|(name, ..)| name == device)?.2;
    listed.iter().find_map(known)
}

/// Whose accelerator a device is; `None` where it is none, or not known.
pub fn maker(device: &str) -> Option<&'static str> {
    ACCELERATORS.iter().find(|(name, ..)| *name == device).map(|(_, title, _)| *title)
}

/// The chip whose models are to be offered. What larod lists decides: an ARTPEC-7 without the Edge TPU lists the
/// processor alone (acap-native-sdk-examples #319). The camera's own name for its chip counts where larod does not answer,
/// and not for ARTPEC-7, of which only some have it.
pub fn chip_here(listed: Option<&[String]>, soc: Option<&str>) -> Option<Chip> {
    match listed {
        Some(listed) => chip(listed),
        None => chip_named(soc?).filter(|chip| *chip != Chip::Artpec7),
    }
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
        assert_eq!(candidates(&artpec8, ModelFormat::Tflite), ["axis-a8-dlpu-tflite", "cpu-tflite"]);
        assert_eq!(candidates(&artpec8, ModelFormat::Cavalry), [""; 0]);
        assert_eq!(chip(&artpec8), Some(Chip::Artpec8));
        let artpec9 =
            list(&["cpu-tflite", "a9-dlpu-native", "armnn-cpu-tflite", "cpu-proc", "a9-dlpu-tflite"]);
        assert_eq!(candidates(&artpec9, ModelFormat::Tflite), ["a9-dlpu-tflite", "cpu-tflite"]);
        let artpec7 = list(&["cpu-tflite", "cpu-proc", "google-edge-tpu-tflite"]);
        assert_eq!(candidates(&artpec7, ModelFormat::EdgeTpu), ["google-edge-tpu-tflite"]);
        let cv25 = list(&["cpu-tflite", "ambarella-cvflow", "ambarella-cvflow-proc"]);
        assert_eq!(candidates(&cv25, ModelFormat::Cavalry), ["ambarella-cvflow"]);
        assert_eq!(candidates(&cv25, ModelFormat::Tflite), ["cpu-tflite"]);
        assert_eq!(chip(&list(&["cpu-tflite", "a8-dlpu-tflite"])), None);
    }

    #[test]
    fn an_accelerator_that_is_not_known_comes_after_those_that_are() {
        let new = list(&["cpu-tflite", "a10-dlpu-tflite", "a10-dlpu-native", "a9-dlpu-tflite", "cpu-proc"]);
        assert_eq!(
            candidates(&new, ModelFormat::Tflite),
            ["a9-dlpu-tflite", "a10-dlpu-tflite", "cpu-tflite"]
        );
        assert_eq!(candidates(&new, ModelFormat::EdgeTpu), [""; 0]);
        assert!(is_new_accelerator("a10-dlpu-tflite") && !is_new_accelerator("a9-dlpu-tflite"));
        assert_eq!(chip(&list(&["cpu-tflite", "a10-dlpu-tflite"])), None);
        let cv75 = list(&["cpu-tflite", "cv75-dlpu-native"]);
        assert_eq!(candidates(&cv75, ModelFormat::Cavalry), ["cv75-dlpu-native"]);
        assert_eq!(candidates(&cv75, ModelFormat::Tflite), ["cpu-tflite"]);
        assert_eq!((chip(&cv75), maker("cv75-dlpu-native")), (None, Some("CV75")));
        assert_eq!(purpose("a10-dlpu-tflite"), Purpose::Models);
        assert_eq!(purpose("a10-dlpu-native"), Purpose::Native);
        assert_eq!(purpose("axis-a8-gpu-proc"), Purpose::Pictures);
        assert_eq!(purpose("armnn-gpu-tflite"), Purpose::Unknown);
    }

    #[test]
    fn advice_follows_the_devices_and_not_the_name_of_the_chip() {
        let artpec7 = Some("Axis Artpec-7");
        assert_eq!(chip_here(Some(&list(&["cpu-tflite", "cpu-proc"])), artpec7), None);
        let with_tpu = list(&["cpu-tflite", "google-edge-tpu-tflite"]);
        assert_eq!(chip_here(Some(&with_tpu), artpec7), Some(Chip::Artpec7));
        assert_eq!(chip_here(None, artpec7), None);
        assert_eq!(chip_here(None, Some("Axis Artpec-8")), Some(Chip::Artpec8));
        assert_eq!(chip_here(None, None), None);
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
