//! The simulated camera: its libraries, built once a run of the tests, and the folder through which it is told to fail.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::once;

/// Set where all crates of the workspace have been built with the tests that run.
const WHOLE: &str = "SPOTTER_TESTS_WHOLE";

/// Builds a crate of `tests/camera`, once for each run of the tests, unless it was built with them: alone, it would be
/// compiled anew with all it needs, whose features are others. Returns the file `built` of the profile's folder.
pub fn build(package: &str, built: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut done = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let profile = Path::new(env!("CARGO_BIN_EXE_spotter")).parent().expect("programs are in a folder");
    if std::env::var_os(WHOLE).is_none() && done.insert(package.to_owned()) {
        // nextest gives each test a process, and all processes of a run this variable.
        let run = std::env::var("NEXTEST_RUN_ID").ok();
        let _lock = once::lock(package);
        let last = once::folder().join(format!("{package}.run"));
        if run.is_none() || std::fs::read_to_string(&last).ok() != run {
            let target = profile.parent().expect("profiles are in the target folder");
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--locked", "--package", package, "--target-dir"]).arg(target);
            cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().expect("cargo starts").success(), "{package} is built");
            std::fs::write(last, run.unwrap_or_default()).expect("a file can be made in target");
        }
    }
    profile.join(built)
}

/// Builds the library of a crate of `tests/camera` and gives it the name by which programs ask for it, in a folder of
/// its own. Returns the file.
pub fn library(package: &str, built: &str, soname: &str) -> PathBuf {
    // Where cargo puts it whether it was asked for or needed by a test.
    let built = build(package, &format!("deps/{built}"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    std::fs::create_dir_all(&folder).expect("a folder can be made in target");
    let file = folder.join(soname);
    // Tests run side by side: the file gets its name only when it is whole.
    let part = tempfile::NamedTempFile::new_in(&folder).expect("a file can be made in target");
    std::fs::copy(built, part.path()).expect("the library was built");
    part.persist(&file).expect("a file in the same folder can be renamed");
    file
}

/// The simulated libvdostream.
pub fn vdo() -> PathBuf {
    library("sim-vdo", "libvdostream.so", "libvdostream.so.1")
}

/// The simulated liblarod.
pub fn larod() -> PathBuf {
    library("sim-larod", "liblarod.so", "liblarod.so.1")
}

/// A model for the simulated CV25: the raw SSD behind the mark, and its description.
pub fn cv25_model(folder: &Path) -> PathBuf {
    let path = folder.join("street.bin");
    let twin = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo_ssd_mobilenet_v2_raw.tflite");
    let twin = std::fs::read(twin).expect("the model is in the tree");
    std::fs::write(&path, [b"SPOTTER-SIM-CV25".as_slice(), &twin].concat())
        .expect("the folder can be written");
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/camera/larod/street_cv25.json");
    std::fs::copy(description, folder.join("street.json")).expect("the folder can be written");
    path
}

/// The folder through which faults are injected and counters read.
pub struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("there is room for a folder") }
    }

    /// What `SPOTTER_SIM_DIR` is to be.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// These faults and no others from now on.
    pub fn faults(&self, lines: &str) {
        let new = self.path().join("faults.new");
        std::fs::write(&new, lines).expect("the folder can be written");
        std::fs::rename(new, self.path().join("faults")).expect("the folder can be written");
    }

    /// How often the simulated larod service has fallen over.
    pub fn falls(&self) -> usize {
        std::fs::read_to_string(self.path().join("larod-falls")).unwrap_or_default().lines().count()
    }

    /// What the simulated libvdostream has counted; null before the first time.
    pub fn vdo(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path().join("vdo.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}
