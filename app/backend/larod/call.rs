//! Calls of liblarod whose last argument is an error.
//!
//! `unsafe` here: what an error points to, and that it is freed.
#![allow(unsafe_code, reason = "the border to C")]

use std::ffi::{CStr, CString};
use std::ptr;

use super::fault::{Fault, LarodResult};
use super::sys::{Api, LarodError};

/// Takes what an error says and frees it.
///
/// # Safety
/// `error` is null or was filled in by a call of `api`.
pub(super) unsafe fn fault(api: &Api, mut error: *mut LarodError, doing: &str) -> Fault {
    if error.is_null() {
        return Fault::own(doing, "the library does not say why");
    }
    // SAFETY: not null, so it points to an error with a text or null, until it is cleared.
    let (code, said) = unsafe {
        let LarodError { code, msg } = *error;
        let said =
            if msg.is_null() { String::new() } else { CStr::from_ptr(msg).to_string_lossy().into_owned() };
        (api.larodClearError)(&mut error);
        (code, said)
    };
    Fault { code, doing: doing.to_owned(), said: said.trim().to_owned() }
}

/// Calls a function whose last argument is an error; gives what it returns where that is no failure.
///
/// # Safety
/// The caller keeps the contract of the function that `call` calls.
pub(super) unsafe fn checked<T: Copy>(
    api: &Api,
    doing: &str,
    failed: impl FnOnce(T) -> bool,
    call: impl FnOnce(*mut *mut LarodError) -> T,
) -> LarodResult<T> {
    let mut error = ptr::null_mut();
    let value = call(&mut error);
    if failed(value) || !error.is_null() {
        // SAFETY: the call filled it in, or it is null.
        return Err(unsafe { fault(api, error, doing) });
    }
    Ok(value)
}

pub(super) fn is_false(value: bool) -> bool {
    !value
}

pub(super) fn c_string(text: &str, doing: &str) -> LarodResult<CString> {
    CString::new(text).map_err(|_| Fault::own(doing, format!("\"{text}\" has a zero byte in it")))
}
