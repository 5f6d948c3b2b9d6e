//! Whose turn it is: a connection and all that came from it, on one thread at a time.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::pool::misuse;
use crate::settings;

static NEXT: AtomicU64 = AtomicU64::new(1);
/// Tensors (their addresses) that asynchronous jobs use at the moment.
static RUNNING: Mutex<Vec<usize>> = Mutex::new(Vec::new());

thread_local! {
    static THREAD: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

fn thread() -> u64 {
    THREAD.with(|thread| *thread)
}

/// What a connection and the handles that came from it share.
pub struct Home {
    /// The thread that connected.
    thread: u64,
    /// The thread that is in a call; 0 where there is none.
    caller: AtomicU64,
    open: AtomicBool,
}

/// A call that is under way.
pub struct Turn<'a>(Option<&'a AtomicU64>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(caller) = self.0 {
            caller.store(0, Ordering::SeqCst);
        }
    }
}

impl Home {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { thread: thread(), caller: AtomicU64::new(0), open: AtomicBool::new(true) })
    }

    /// Its connection was closed.
    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// A call on it begins.
    pub fn enter(&self) -> Turn<'_> {
        if !self.open.load(Ordering::SeqCst) {
            misuse("the connection that the handle came from was closed");
        }
        self.enter_to_destroy()
    }

    /// The same for calls that free a handle, which nothing forbids after its connection was closed.
    pub fn enter_to_destroy(&self) -> Turn<'_> {
        outside_callbacks();
        let strict = settings::get("SPOTTER_SIM_THREADS").is_none_or(|value| value != "turns");
        if strict && self.thread != thread() {
            misuse("another thread than the one that connected calls the library");
        }
        match self.caller.compare_exchange(0, thread(), Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => Turn(Some(&self.caller)),
            // A call within a call.
            Err(caller) if caller == thread() => Turn(None),
            Err(_) => misuse("two threads use one connection at the same time"),
        }
    }
}

/// Aborts in a callback.
pub fn outside_callbacks() {
    if IN_CALLBACK.get() {
        misuse("it was called from a callback");
    }
}

/// Runs a callback of the caller's.
pub fn call_back(callback: impl FnOnce()) {
    IN_CALLBACK.set(true);
    callback();
    IN_CALLBACK.set(false);
}

/// An asynchronous job with these tensors runs, until this is dropped.
pub struct Running(Vec<usize>);

impl Running {
    pub fn new(tensors: Vec<usize>) -> Self {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).extend(&tensors);
        Self(tensors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        for tensor in &self.0 {
            if let Some(place) = all.iter().position(|running| running == tensor) {
                all.swap_remove(place);
            }
        }
    }
}

/// Aborts where a job that uses the tensor runs.
pub fn not_running(tensor: usize) {
    if RUNNING.lock().unwrap_or_else(PoisonError::into_inner).contains(&tensor) {
        misuse("a tensor is destroyed while a job runs that uses it");
    }
}
