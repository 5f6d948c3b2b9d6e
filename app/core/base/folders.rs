//! Where Spotter keeps things.

use std::path::{Path, PathBuf};

/// The folder that a variable of the environment names.
pub fn folder_named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A folder of the user, by the XDG base directory specification: what `variable` names where that is
/// absolute, else `fallback` at home. None without a home.
pub fn user_folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    folder_named(variable)
        .filter(|path| path.is_absolute())
        .or_else(|| folder_named("HOME").map(|home| home.join(fallback)))
}

/// The one folder that an application on a camera may write into, where `folder` (its working directory) is that of
/// an installed package. The camera keeps it when the package is replaced by a newer one.
pub fn localdata(folder: &Path) -> Option<PathBuf> {
    let local = folder.join("localdata");
    (folder.join("package.conf").is_file() && local.is_dir()).then_some(local)
}

/// The folder for what is to be there after a restart: `SPOTTER_STATE`, else, on a camera, `localdata` of the
/// application's folder, else `spotter` in `XDG_STATE_HOME`, else in `~/.local/state`. None without a home.
pub fn state_folder() -> Option<PathBuf> {
    folder_named("SPOTTER_STATE")
        .or_else(|| localdata(Path::new("")))
        .or_else(|| user_folder("XDG_STATE_HOME", ".local/state").map(|state| state.join("spotter")))
}
