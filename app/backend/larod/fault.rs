//! What larod answers where it does not do what it was asked, and what helps.

use super::sys;
use crate::base::error::{Error, Kind};

/// What larod gives, or why it does not.
pub type LarodResult<T> = Result<T, Fault>;

/// Where the codes and their meaning come from is in docs/design/larod.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A negative code of larod, or a positive errno; 0 where Spotter itself found something wrong.
    pub code: i32,
    /// What was being done: "load the model on axis-a8-dlpu-tflite".
    pub doing: String,
    /// What the library said.
    pub said: String,
}

/// What helps against a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same again, after a while.
    Again,
    /// A new connection, and loading the model again.
    Reconnect,
    /// Nothing: this device does not run this model.
    Refused,
    /// Other memory: the device does not read a frame of this kind itself.
    OtherInput,
}

/// Whether a device had no memory for a model, which another application may give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It says so.
    Sure,
    /// It refuses the model, and does not say why in words that are known.
    Perhaps,
    /// It failed at something else.
    No,
}

/// Words of a refusal that mean memory. `LAROD_ERROR_LOAD_MODEL` is what larod answers for all that its backends fail
/// at; only the text tells.
const MEMORY: [&str; 6] =
    ["out of memory", "enough memory", "allocate memory", "memory alloc", "insufficient memory", "no memory"];
/// Words of a refusal that mean the model itself: "Failed model format type check" (acap3-examples #152), "Could not
/// build an interpreter of the model" (acap-native-sdk-examples #61), and what TensorFlow Lite says of operators. "Could
/// not allocate tensors" is neither: it was met where a model was too large (acap-native-sdk-examples #71) and where one
/// was compiled for another runtime (acap3-examples #120).
const MODEL: [&str; 10] = [
    "format",
    "interpreter",
    "support",
    "custom op",
    "unresolved",
    "fully integer",
    "is no ",
    "is empty",
    "does not run models",
    "cannot run it",
];

/// Errors of the system where the connection to a service breaks off: EPIPE, ECONNRESET, ENOTCONN.
const BROKEN_OFF: [i32; 3] = [32, 104, 107];
/// ENOMEM.
const NO_MEMORY: i32 = 12;

impl Fault {
    /// Whether memory was wanting when a model was loaded.
    pub fn want_of_memory(&self) -> Want {
        match self.code {
            sys::ERROR_ALLOC | NO_MEMORY => Want::Sure,
            sys::ERROR_LOAD_MODEL => {
                let said = self.said.to_lowercase();
                let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
                match (has(&MEMORY), has(&MODEL)) {
                    (true, _) => Want::Sure,
                    (false, true) => Want::No,
                    (false, false) => Want::Perhaps,
                }
            }
            _ => Want::No,
        }
    }

    /// Whether the service went away in the middle of a call: "Asynchronous connection has been closed" (-6), "Transport
    /// endpoint is not connected".
    pub fn is_lost_connection(&self) -> bool {
        self.code == sys::ERROR_CONNECTION || BROKEN_OFF.contains(&self.code)
    }

    /// Whether the camera has no power for the device.
    pub fn is_want_of_power(&self) -> bool {
        self.code == sys::ERROR_POWER_NOT_AVAILABLE
    }

    /// A fault that Spotter itself found.
    pub fn own(doing: &str, said: impl Into<String>) -> Self {
        Self { code: 0, doing: doing.to_owned(), said: said.into() }
    }

    /// A fault that no retry helps: the device's tensors are not those that are wanted.
    pub fn misfit(doing: &str, said: String) -> Self {
        Self { code: sys::ERROR_TENSOR_MISMATCH, doing: doing.to_owned(), said }
    }

    /// What helps. Positive codes are errors of the system, as where the service cannot be reached.
    pub fn remedy(&self) -> Remedy {
        match self.code {
            sys::ERROR_POWER_NOT_AVAILABLE | sys::ERROR_JOB | sys::ERROR_ALLOC => Remedy::Again,
            sys::ERROR_LOAD_MODEL | sys::ERROR_INVALID_CHIP_ID | sys::ERROR_VERSION_MISMATCH => {
                Remedy::Refused
            }
            sys::ERROR_TENSOR_MISMATCH | sys::ERROR_FD => Remedy::OtherInput,
            _ => Remedy::Reconnect,
        }
    }

    /// The code in words, and what to do about it.
    fn meaning(&self) -> &'static str {
        match self.code {
            sys::ERROR_JOB => "the job failed",
            sys::ERROR_LOAD_MODEL => {
                "the device does not take this model; give one that is made for this chip"
            }
            sys::ERROR_FD => "it cannot use the memory",
            sys::ERROR_MODEL_NOT_FOUND => "it does not know the model any more",
            sys::ERROR_PERMISSION => "it is not allowed; the application must be in the group video",
            sys::ERROR_CONNECTION => "the connection to the larod service broke off",
            sys::ERROR_CREATE_SESSION => "the larod service gives no session",
            sys::ERROR_KILL_SESSION => "the session could not be ended",
            sys::ERROR_INVALID_CHIP_ID => "there is no such device",
            sys::ERROR_INVALID_ACCESS => "the access to the model is not one that larod has",
            sys::ERROR_DELETE_MODEL => "the model could not be deleted",
            sys::ERROR_TENSOR_MISMATCH => "the memory is not as the model wants it",
            sys::ERROR_VERSION_MISMATCH => {
                "liblarod and the larod service are of different versions; no liblarod may be in the package"
            }
            sys::ERROR_ALLOC => "there is not enough memory for the accelerator",
            sys::ERROR_POWER_NOT_AVAILABLE => {
                "the camera has no power for its accelerator now; a stronger PoE supply or less heating helps"
            }
            1.. => "the larod service cannot be reached",
            _ => "it failed",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, doing, said } = self;
        match code {
            0 => write!(f, "larod cannot {doing}: {said}"),
            _ if said.is_empty() => write!(f, "larod cannot {doing}: {} ({code})", self.meaning()),
            _ => write!(f, "larod cannot {doing}: {} ({code}: {said})", self.meaning()),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let kind = if fault.code == sys::ERROR_LOAD_MODEL { Kind::Model } else { Kind::Backend };
        Self::new(kind, fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_of_its_own_and_a_remedy() {
        let fault = |code| Fault { code, doing: "run the model".into(), said: "said".into() };
        let words: std::collections::BTreeSet<&str> = (-15..=-1).map(|code| fault(code).meaning()).collect();
        assert_eq!(words.len(), 15);
        assert_eq!(fault(111).meaning(), "the larod service cannot be reached");
        assert_eq!(fault(-15).remedy(), Remedy::Again);
        assert_eq!(fault(-6).remedy(), Remedy::Reconnect);
        assert_eq!(fault(111).remedy(), Remedy::Reconnect);
        assert_eq!(fault(-2).remedy(), Remedy::Refused);
        assert_eq!(fault(-12).remedy(), Remedy::OtherInput);
        assert_eq!(
            fault(-6).to_string(),
            "larod cannot run the model: the connection to the larod service broke off (-6: said)"
        );
        assert!(fault(-6).is_lost_connection() && fault(107).is_lost_connection());
        assert!(!fault(111).is_lost_connection() && !fault(-15).is_lost_connection());
        assert_eq!(Error::from(fault(-2)).kind(), Kind::Model);
        assert_eq!(Error::from(fault(-15)).kind(), Kind::Backend);
    }

    #[test]
    fn a_refusal_for_want_of_memory_is_told_from_one_of_the_model() {
        for (code, said, want) in [
            (-14, "", Want::Sure),
            (12, "Cannot allocate memory", Want::Sure),
            (-2, "Could not load model: Out of memory", Want::Sure),
            (-2, "Failed to allocate memory for the network", Want::Sure),
            (-2, "Could not load model: Could not allocate tensors", Want::Perhaps),
            (-2, "Could not load model", Want::Perhaps),
            (-2, "", Want::Perhaps),
            (
                -2,
                "Failed model format type check, expected a TFLite model converted to .larod format",
                Want::No,
            ),
            (-2, "Could not load model: Could not build an interpreter of the model", Want::No),
            (-2, "Encountered unresolved custom op: edgetpu-custom-op", Want::No),
            (-6, "Out of memory", Want::No),
            (-15, "", Want::No),
        ] {
            let fault = Fault { code, doing: "load the model".into(), said: said.into() };
            assert_eq!(fault.want_of_memory(), want, "{code} {said}");
        }
    }
}
