//! Builds the simulators of `tests/camera`, which are crates of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a simulator's library, once for each profile, and gives it the name by which programs ask for it,
/// in a folder of its own. Returns the file.
pub fn library(package: &str, built: &str, soname: &str) -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_spotter")).parent().expect("programs are in a folder");
    let target = profile.parent().expect("profiles are in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--target-dir"]).arg(target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo starts").success(), "{package} is built");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    std::fs::create_dir_all(&folder).expect("a folder can be made in target");
    let file = folder.join(soname);
    // Tests run side by side: the file gets its name only when it is whole.
    let part = folder.join(format!("{soname}.{}.part", std::process::id()));
    std::fs::copy(profile.join(built), &part).expect("the library was built");
    std::fs::rename(&part, &file).expect("a file in the same folder can be renamed");
    file
}
