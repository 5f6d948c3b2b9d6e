//! Parameters that larod is given: names with texts and numbers.
//!
//! `unsafe` here: the calls themselves. The map is alive until it is dropped, and the library copies what it is given.
#![allow(unsafe_code, reason = "the border to C")]

use std::ffi::c_char;

use super::call::{c_string, checked, is_false};
use super::fault::Fault;
use super::fault::LarodResult;
use super::sys::{Api, LarodError, Opaque};

/// The longest string that a map of larod takes, in bytes with its end.
const MAP_STRING: usize = 128;

/// Parameters of a model or a job.
pub struct Map {
    api: &'static Api,
    pointer: *mut Opaque,
}

impl Map {
    /// A map without entries.
    ///
    /// # Errors
    /// Where there is no memory.
    pub fn new(api: &'static Api) -> LarodResult<Self> {
        // SAFETY: the error is valid for writing.
        let pointer = unsafe {
            let doing = "make a list of parameters";
            checked(api, doing, |map: *mut Opaque| map.is_null(), |error| (api.larodCreateMap)(error))?
        };
        Ok(Self { api, pointer })
    }

    /// The library's own handle, for calls that read the map.
    pub(super) fn pointer(&self) -> *mut Opaque {
        self.pointer
    }

    fn set(
        &mut self,
        key: &str,
        call: impl FnOnce(*const c_char, *mut *mut LarodError) -> bool,
    ) -> LarodResult<()> {
        let doing = format!("set the parameter {key}");
        let name = c_string(key, &doing)?;
        // SAFETY: map and key are alive; the callers below pass the map and values of the right type.
        unsafe { checked(self.api, &doing, is_false, |error| call(name.as_ptr(), error)) }.map(|_| ())
    }

    /// Sets a text of less than 128 bytes.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn text(&mut self, key: &str, value: &str) -> LarodResult<()> {
        let (api, map) = (self.api, self.pointer);
        let doing = format!("set the parameter {key}");
        if value.len() >= MAP_STRING {
            return Err(Fault::own(&doing, format!("\"{value}\" is longer than {MAP_STRING} bytes")));
        }
        let value = c_string(value, &doing)?;
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetStr)(map, key, value.as_ptr(), error) })
    }

    /// Sets a whole number.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn number(&mut self, key: &str, value: usize) -> LarodResult<()> {
        let (api, map) = (self.api, self.pointer);
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetInt)(map, key, value as i64, error) })
    }

    /// Sets a pair of numbers.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn pair(&mut self, key: &str, (a, b): (usize, usize)) -> LarodResult<()> {
        let (api, map) = (self.api, self.pointer);
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetIntArr2)(map, key, a as i64, b as i64, error) })
    }

    /// Sets four numbers.
    ///
    /// # Errors
    /// Where the library does not take it.
    pub fn four(&mut self, key: &str, values: [usize; 4]) -> LarodResult<()> {
        let (api, map) = (self.api, self.pointer);
        let [a, b, c, d] = values.map(|value| value as i64);
        // SAFETY: see set.
        self.set(key, |key, error| unsafe { (api.larodMapSetIntArr4)(map, key, a, b, c, d, error) })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: made by larodCreateMap and owned here alone.
        unsafe { (self.api.larodDestroyMap)(&mut self.pointer) };
    }
}
