//! The devices that larod lists: which chip they are of, and which models they take.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// The program on a camera that tells its properties, and how long it may take.
const PROPERTIES: [&str; 3] = ["parhandclient", "getgroup", "root.Properties.System.Soc"];
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// What the camera calls its system on a chip ("Axis Artpec-8"); `None` where there is nobody to ask.
pub fn system_on_chip() -> Option<String> {
    let [program, arguments @ ..] = PROPERTIES;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + TIME_LIMIT;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            _ => break false,
        }
    };
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    let mut said = String::new();
    child.stdout.take()?.take(4096).read_to_string(&mut said).ok()?;
    soc_in(&said)
}

/// `root.Properties.System.Soc=Axis Artpec-8`, with or without quotes.
fn soc_in(said: &str) -> Option<String> {
    let line =
        said.lines().find_map(|line| line.trim().split_once("Properties.System.Soc=").map(|(_, soc)| soc))?;
    let soc = line.trim().trim_matches('"').trim();
    (!soc.is_empty()).then(|| soc.to_owned())
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
        for (said, soc, chip) in [
            ("root.Properties.System.Soc=Axis Artpec-8\n", Some("Axis Artpec-8"), Some(Chip::Artpec8)),
            ("Properties.System.Soc=\"Ambarella CV25\"", Some("Ambarella CV25"), Some(Chip::Cv25)),
            ("root.Properties.System.Soc=Axis Artpec-6", Some("Axis Artpec-6"), None),
            ("# Error: no such group", None, None),
            ("root.Properties.System.Soc=\n", None, None),
        ] {
            assert_eq!(soc_in(said).as_deref(), soc, "{said}");
            assert_eq!(soc_in(said).and_then(|soc| chip_named(&soc)), chip);
        }
        // No such program on a desktop: nobody is waited for.
        assert_eq!(system_on_chip(), None);
    }
}
