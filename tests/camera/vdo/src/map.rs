//! Values by name.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(u32),
    Boolean(bool),
    Double(f64),
    Text(CString),
    Pair(u32, u32),
}

/// What a VdoMap holds.
#[derive(Debug, Default)]
pub struct Values(Mutex<BTreeMap<String, Value>>);

impl Clone for Values {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}

impl Values {
    pub fn set(&self, key: &str, value: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value);
    }

    pub fn with<R>(&self, key: &str, read: impl FnOnce(&Value) -> Option<R>) -> Option<R> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(read)
    }

    pub fn number(&self, key: &str) -> Option<u32> {
        self.with(key, |value| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        })
    }

    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.with(key, |value| match value {
            Value::Boolean(yes) => Some(*yes),
            _ => None,
        })
    }

    pub fn double(&self, key: &str) -> Option<f64> {
        self.with(key, |value| match value {
            Value::Double(number) => Some(*number),
            _ => None,
        })
    }

    pub fn pair(&self, key: &str) -> Option<(u32, u32)> {
        self.with(key, |value| match value {
            Value::Pair(w, h) => Some((*w, *h)),
            _ => None,
        })
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.with(key, |value| match value {
            Value::Text(text) => Some(text.to_string_lossy().into_owned()),
            _ => None,
        })
    }

    pub fn all(&self) -> Vec<(String, Value)> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
