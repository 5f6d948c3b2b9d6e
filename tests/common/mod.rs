//! What the integration tests share.
#![allow(dead_code, unused_imports)]

pub mod axe;
pub mod browser;
pub mod camera;
pub mod camera_front;
pub mod compiled;
pub mod data;
pub mod docs;
pub mod engines;
pub mod made_up;
pub mod mock;
pub mod once;
pub mod pace;
pub mod page;
pub mod process;
pub mod said;
pub mod street;
pub mod tflite_file;

pub use said::{say, skip};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One at a time, of the tests that need the machine for themselves: a browser, all processors, time. Between
/// processes, the groups of .config/nextest.toml see to it.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
