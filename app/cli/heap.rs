//! How glibc's heap treats frames and tensors.

/// Blocks from this size on are mapped alone and given back when they are freed: frames, tensors, model files. What is
/// smaller comes from the heap, which is trimmed when as much lies free at its end.
#[cfg(target_env = "gnu")]
const OWN_MAPPING: libc::c_int = 128 * 1024;

/// Keeps freed memory out of the process; to be called before another thread starts.
///
/// Without it glibc raises the size up to 32 MiB as soon as the first large block is freed (mallopt(3), "dynamic mmap
/// threshold"): from then on frames come out of heaps that fragment and are not given back.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "a call of the C library")]
pub(super) fn give_back() {
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt takes two numbers and is called while the process has one thread. What it answers is left:
        // without it more memory is used, nothing else.
        unsafe { libc::mallopt(parameter, OWN_MAPPING) };
    }
}

/// Only glibc has this.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}
