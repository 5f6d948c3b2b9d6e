//! How many threads run a model on the processor.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;
use std::thread::available_parallelism;

/// More threads than any model or machine has use for.
const MOST: usize = 64;
/// More threads than this help no model that a camera could run.
const MOST_BY_ITSELF: usize = 4;

/// Threads that run a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// As many as suit the library and this machine.
    #[default]
    Auto,
    Fixed(NonZero<u16>),
}

/// What this process may use: less than the machine has where a group or an affinity limits it.
fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

impl Threads {
    /// So many, 1 at least and 64 at most.
    pub fn fixed(count: usize) -> Self {
        let count = u16::try_from(count.min(MOST)).ok().and_then(NonZero::new);
        Self::Fixed(count.unwrap_or(NonZero::<u16>::MIN))
    }

    /// For a library whose threads sleep soon where they have to wait: all cores. On a busy machine two threads
    /// also get more of it than one.
    pub fn of_all_cores(self) -> usize {
        self.or(cores())
    }

    /// For a library whose threads wait for each other at every layer without sleeping: where one of them has to
    /// share its core, all are as slow as it is. One core is left to decoding, the page and whoever looks at it.
    pub fn with_a_core_left(self) -> usize {
        self.or(cores() - 1)
    }

    fn or(self, suitable: usize) -> usize {
        match self {
            Self::Auto => suitable.clamp(1, MOST_BY_ITSELF),
            Self::Fixed(count) => usize::from(count.get()),
        }
    }

    /// Whether so many were asked for that no core is left.
    pub fn takes_every_core(self) -> bool {
        self != Self::Auto && self.or(1) > 1 && self.or(1) >= cores()
    }
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(count) if (1..=MOST).contains(&count) => Ok(Self::fixed(count)),
            _ => Err(format!("\"{text}\" is no number of threads; use auto, or 1 to {MOST}")),
        }
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(count) => count.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_meant() {
        for text in ["auto", "1", "64"] {
            assert_eq!(text.parse::<Threads>().unwrap().to_string(), text);
        }
        for bad in ["", "0", "65", "-1", "all"] {
            let error = bad.parse::<Threads>().unwrap_err();
            assert!(error.contains("use auto, or 1 to 64"), "{error}");
        }
    }

    #[test]
    fn a_number_is_kept_and_auto_leaves_a_core_where_it_must() {
        let cores = cores();
        let auto = Threads::Auto;
        assert_eq!((auto.of_all_cores(), auto.with_a_core_left()), (cores.min(4), (cores - 1).clamp(1, 4)));
        assert!(!auto.takes_every_core() && !Threads::fixed(1).takes_every_core());
        let many = Threads::fixed(64);
        assert_eq!((many.of_all_cores(), many.with_a_core_left(), Threads::fixed(99)), (64, 64, many));
        assert_eq!(many.takes_every_core(), cores <= 64);
    }
}
