//! Finds the shared test data beside the project; tests that need it pass over it where it is not
//! there, and say so.

#[path = "../../tests/common/said.rs"]
pub(crate) mod said;

use std::path::{Path, PathBuf};

/// `shared/data/NAME` beside the project, or `None` after saying that the test is skipped.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    said::skip(&format!("../shared/data/{name} is not there"));
    None
}
