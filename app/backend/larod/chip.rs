//! The chip that this camera has, by what larod lists.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::session::Connection;
use super::{device, sys};
use crate::base::clock::{Clock, SystemClock};
use crate::base::platform;
use crate::model::chip::Chip;

/// What was listed holds so long for whoever asks next: a service that is away takes two seconds to say nothing.
const HELD: Duration = Duration::from_secs(10);

static CHIP: OnceLock<Option<Chip>> = OnceLock::new();

/// What larod listed last; none where it did not answer.
static LISTED: Listed = Listed(Mutex::new(None));

struct Listed(Mutex<Option<(Instant, Option<Vec<String>>)>>);

impl Listed {
    /// The devices, by `ask` where that was not asked a moment ago. Who asks meanwhile waits for the same answer.
    fn get(&self, clock: &dyn Clock, ask: impl FnOnce() -> Option<Vec<String>>) -> Option<Vec<String>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, listed)) = &*last
            && clock.now().saturating_duration_since(*at) < HELD
        {
            return listed.clone();
        }
        let listed = ask();
        *last = Some((clock.now(), listed.clone()));
        listed
    }
}

/// The devices that larod lists; none where it is away or not here. May take two seconds.
fn listed() -> Option<Vec<String>> {
    let api = sys::load().ok()?;
    LISTED.get(&SystemClock, || Connection::open(api).and_then(|connection| connection.devices()).ok())
}

/// larod has listed these devices.
pub(super) fn learn_chip(listed: &[String]) -> Option<Chip> {
    *CHIP.get_or_init(|| device::chip_here(Some(listed), None))
}

/// The chip, where it is known already.
pub fn known_chip() -> Option<Chip> {
    CHIP.get().copied().flatten()
}

/// The chip of this camera, as far as models for it are to be offered ([`device::chip_here`]); `None` on a desktop or
/// where nobody says it. May take two seconds.
pub fn chip() -> Option<Chip> {
    if let Some(chip) = CHIP.get() {
        return *chip;
    }
    sys::load().ok()?;
    match listed() {
        Some(listed) => learn_chip(&listed),
        None => device::chip_here(None, platform::get().soc.as_deref()),
    }
}

/// Whether larod answers and lists no Edge TPU. May take two seconds.
pub fn has_no_edge_tpu() -> bool {
    listed().is_some_and(|listed| device::candidates(&listed, device::ModelFormat::EdgeTpu).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SimulatedClock;

    #[test]
    fn a_service_that_is_away_is_not_asked_at_each_question() {
        let (clock, listed) = (SimulatedClock::new(usize::MAX), Listed(Mutex::new(None)));
        assert_eq!(listed.get(&clock, || None), None);
        clock.pass(HELD - Duration::from_secs(1));
        assert_eq!(listed.get(&clock, || panic!("it was asked again")), None);
        clock.pass(Duration::from_secs(1));
        let devices = Some(vec!["cpu-tflite".to_owned()]);
        assert_eq!(listed.get(&clock, || devices.clone()), devices);
    }
}
