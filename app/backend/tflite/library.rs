//! Where the libraries that run models are looked for.

use std::path::{Path, PathBuf};

/// The version of the Python package `ai-edge-litert` that LiteRT is taken out of.
pub(super) const LITERT_VERSION: &str = "2.3.0";

/// `$SPOTTER_TFLITE`: the one library that is to be used.
pub(super) fn named() -> Option<PathBuf> {
    std::env::var_os("SPOTTER_TFLITE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The files of this name, in the order in which they are taken: beside the program, then where
/// `./build.sh setup` puts it.
pub(super) fn installed(name: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        paths.push(folder.join("lib").join(name));
        paths.push(folder.join("../lib").join(name));
    }
    let data = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    if let Some(data) = data {
        paths.push(data.join("spotter/lib").join(name));
    }
    paths.retain(|path| path.exists());
    paths
}

/// Whether the file has the name of one of LiteRT's functions in it; it is not opened for that, which would run it.
pub(super) fn is_litert(path: &Path) -> bool {
    const FUNCTION: &[u8] = b"\0LiteRtCreateEnvironment\0";
    std::fs::read(path).is_ok_and(|bytes| bytes.windows(FUNCTION.len()).any(|part| part == FUNCTION))
}

/// Why a LiteRT library is not used.
pub(super) fn not_the_litert(path: &Path) -> String {
    format!(
        "{} is not the libLiteRt.so of ai-edge-litert {LITERT_VERSION}, and others have other functions",
        path.display()
    )
}
