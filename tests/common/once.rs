//! What tests share although each may be a process of its own: made once, by whoever is first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A lock between threads and processes, by a name; free again when dropped.
pub fn lock(name: &str) -> File {
    let file = File::create(folder().join(format!("{name}.lock"))).expect("a file can be made in target");
    file.lock().expect("a file in target can be locked");
    file
}

/// A file that `make` writes to the path that it is given. It is made anew where the program under test is newer.
pub fn made(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let age =
        |path: &Path| path.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let _lock = lock(name);
    let path = folder().join(name);
    if age(&path) <= age(Path::new(env!("CARGO_BIN_EXE_spotter"))) {
        // It gets its name only when it is whole. The ending stays: programs go by it.
        let part = folder().join(format!("part-{name}"));
        make(&part);
        std::fs::rename(&part, &path).expect("a file in the same folder can be renamed");
    }
    path
}

/// Where these files are.
pub fn folder() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("once");
    std::fs::create_dir_all(&path).expect("a folder can be made in target");
    path
}
