//! Variables: of the environment, or set by a test in the same process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static SET: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// Sets a variable for this process.
pub fn set(key: &str, value: &str) {
    let mut set = SET.lock().unwrap_or_else(PoisonError::into_inner);
    set.get_or_insert_default().insert(key.to_owned(), value.to_owned());
}

/// A variable that is set and not empty.
pub fn get(key: &str) -> Option<String> {
    let set = SET.lock().unwrap_or_else(PoisonError::into_inner);
    let own = set.as_ref().and_then(|set| set.get(key).cloned());
    own.or_else(|| std::env::var(key).ok()).filter(|value| !value.is_empty())
}

/// A variable in milliseconds.
pub fn milliseconds(key: &str) -> Duration {
    Duration::from_millis(get(key).and_then(|value| value.parse().ok()).unwrap_or(0))
}

/// The folder of faults and caches.
pub fn folder() -> Option<PathBuf> {
    get("SPOTTER_SIM_DIR").map(PathBuf::from)
}
