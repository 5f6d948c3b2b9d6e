//! Whether the next frame is prepared while the model runs on the one before, and when.
//!
//! An accelerator leaves the processor free meanwhile, and so does a model that runs on fewer threads than there are
//! cores. Where both want the same cores nothing is gained. So it is tried: some frames one way, some the other, and what
//! takes less time a frame is done, until that is tried again.

use std::time::{Duration, Instant};

/// Frames that are measured each way.
const MEASURED: usize = 12;
/// Frames before those, each way, that are not: caches and clocks of the processor settle.
const WARM_UP: usize = 3;
/// Preparing ahead must take less than this share of the time, or frames go through in turn, which is simpler and as
/// fresh.
const WORTH: f64 = 0.985;
/// So many frames a choice holds.
const HOLDS: usize = 2000;
/// After so many frames it is settled for the first time.
pub const SETTLED_AFTER: u64 = 2 * (WARM_UP + MEASURED) as u64;
/// Times that are remembered to say how long the next will be.
const REMEMBERED: usize = 8;
/// A frame is ready by so much before the model is: threads do not wake to the microsecond.
const MARGIN: Duration = Duration::from_micros(300);

/// The last times of one stage.
#[derive(Debug, Default)]
struct Recent {
    times: [Duration; REMEMBERED],
    count: usize,
}

impl Recent {
    fn add(&mut self, time: Duration) {
        self.times[self.count % REMEMBERED] = time;
        self.count += 1;
    }

    fn known(&self) -> &[Duration] {
        &self.times[..self.count.min(REMEMBERED)]
    }

    fn shortest(&self) -> Duration {
        self.known().iter().min().copied().unwrap_or_default()
    }

    fn longest(&self) -> Duration {
        self.known().iter().max().copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    TryInTurn,
    TryAhead,
    Settled { ahead: bool },
}

/// What is known of how long frames take, and what follows.
#[derive(Debug)]
pub struct Overlap {
    phase: Phase,
    frames: usize,
    /// Time a frame, of this phase.
    cycles: [Duration; MEASURED],
    /// The median of the frames in turn.
    in_turn: Duration,
    preparing: Recent,
    running: Recent,
    /// When the frame before was done.
    done: Option<Instant>,
}

impl Default for Overlap {
    fn default() -> Self {
        Self {
            phase: Phase::TryInTurn,
            frames: 0,
            cycles: [Duration::ZERO; MEASURED],
            in_turn: Duration::ZERO,
            preparing: Recent::default(),
            running: Recent::default(),
            done: None,
        }
    }
}

/// A frame that is done.
#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    /// How long it took to prepare.
    pub preparing: Duration,
    /// How long the model ran.
    pub running: Duration,
    /// When its preparation began.
    pub begun: Instant,
    /// When its outputs were read.
    pub done: Instant,
}

impl Overlap {
    /// Whether the next frame is to be prepared while this one runs.
    pub fn is_wanted(&self) -> bool {
        matches!(self.phase, Phase::TryAhead | Phase::Settled { ahead: true })
    }

    /// Takes in a frame; gives the time that it took of the thread: from the end of the one before, or from its own
    /// beginning where that was later. Says too whether another way was settled on.
    pub fn add(&mut self, cycle: Cycle) -> (Duration, bool) {
        self.preparing.add(cycle.preparing);
        self.running.add(cycle.running);
        let from = self.done.replace(cycle.done).map_or(cycle.begun, |before| before.max(cycle.begun));
        let time = cycle.done.saturating_duration_since(from);
        let before = self.phase;
        self.measure(time);
        (time, before != self.phase && matches!(self.phase, Phase::Settled { .. }))
    }

    fn measure(&mut self, time: Duration) {
        let frame = self.frames;
        self.frames += 1;
        if let Phase::Settled { .. } = self.phase {
            if self.frames >= HOLDS {
                self.begin(Phase::TryInTurn);
            }
            return;
        }
        let Some(measured) = frame.checked_sub(WARM_UP) else { return };
        self.cycles[measured] = time;
        if measured + 1 < MEASURED {
            return;
        }
        self.cycles.sort_unstable();
        let median = self.cycles[MEASURED / 2];
        match self.phase {
            Phase::TryInTurn => {
                self.in_turn = median;
                self.begin(Phase::TryAhead);
            }
            _ => self.begin(Phase::Settled { ahead: median < self.in_turn.mul_f64(WORTH) }),
        }
    }

    fn begin(&mut self, phase: Phase) {
        (self.phase, self.frames) = (phase, 0);
    }

    /// Another model, or another way into it: what was measured does not hold.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// When to begin to prepare a frame so that it is ready when the run that began at `started` ends: the later, the
    /// fresher is the frame.
    pub fn latest(&self, started: Instant) -> Instant {
        let lead = self.preparing.longest() + MARGIN;
        started + self.running.shortest().saturating_sub(lead)
    }

    /// How long a newer frame than the one that is prepared may still be waited for, where the run that began at `started`
    /// takes longer than usual: it must be prepared before that ends. None where there is no time for another.
    pub fn time_left(&self, started: Instant, now: Instant) -> Option<Duration> {
        (started + self.running.longest())
            .checked_duration_since(now + self.preparing.longest() + MARGIN)
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Plays frames that take so long in turn and ahead, without a pause; gives what was settled on first.
    fn settle(overlap: &mut Overlap, in_turn: u32, ahead: u32) -> bool {
        let mut now = Instant::now();
        for _ in 0..2 * (WARM_UP + MEASURED) {
            let time = MS * if overlap.is_wanted() { ahead } else { in_turn };
            let begun = now;
            now += time;
            overlap.add(Cycle { preparing: 5 * MS, running: time.saturating_sub(5 * MS), begun, done: now });
        }
        assert!(matches!(overlap.phase, Phase::Settled { .. }), "{overlap:?}");
        overlap.is_wanted()
    }

    #[test]
    fn frames_are_prepared_ahead_where_that_is_faster_and_only_there() {
        assert!(settle(&mut Overlap::default(), 80, 60));
        assert!(!settle(&mut Overlap::default(), 60, 60));
        // What two want at once.
        assert!(!settle(&mut Overlap::default(), 60, 70));
    }

    #[test]
    fn a_choice_is_made_anew_after_a_while_and_for_another_model() {
        let mut overlap = Overlap::default();
        assert!(settle(&mut overlap, 80, 60));
        let at = Instant::now();
        let cycle = Cycle { preparing: MS, running: MS, begun: at, done: at };
        let tried_again = (1..=HOLDS).find(|_| {
            overlap.add(cycle);
            overlap.phase == Phase::TryInTurn
        });
        assert_eq!(tried_again, Some(HOLDS));
        assert!(!settle(&mut overlap, 60, 60));
        overlap.forget();
        assert!(settle(&mut overlap, 80, 60));
    }

    #[test]
    fn one_slow_frame_in_between_does_not_decide() {
        let mut overlap = Overlap::default();
        let mut now = Instant::now();
        for frame in 0..2 * (WARM_UP + MEASURED) {
            let usual = if overlap.is_wanted() { 60 } else { 80 };
            let begun = now;
            now += MS * if frame == WARM_UP + MEASURED + 10 { 5000 } else { usual };
            overlap.add(Cycle { preparing: 20 * MS, running: 60 * MS, begun, done: now });
        }
        assert!(overlap.is_wanted());
    }

    #[test]
    fn a_pause_between_frames_is_not_counted() {
        let mut overlap = Overlap::default();
        let begun = Instant::now();
        let cycle = |begun, done| Cycle { preparing: MS, running: MS, begun, done };
        assert_eq!(overlap.add(cycle(begun, begun + 10 * MS)).0, 10 * MS);
        // Prepared while the one before ran.
        assert_eq!(overlap.add(cycle(begun + 5 * MS, begun + 18 * MS)).0, 8 * MS);
        assert_eq!(overlap.add(cycle(begun + 500 * MS, begun + 510 * MS)).0, 10 * MS);
    }

    #[test]
    fn preparation_begins_as_late_as_it_may() {
        let mut overlap = Overlap::default();
        let started = Instant::now();
        for running in [62, 60, 64] {
            let cycle = Cycle { preparing: 20 * MS, running: running * MS, begun: started, done: started };
            overlap.add(cycle);
        }
        assert_eq!(overlap.latest(started), started + 40 * MS - MARGIN);
        assert_eq!(overlap.time_left(started, started + 40 * MS), Some(4 * MS - MARGIN));
        assert_eq!(overlap.time_left(started, started + 45 * MS), None);
        assert_eq!(overlap.time_left(started, started + 44 * MS - MARGIN), None);
        // One that takes longer to prepare than to run is begun at once.
        overlap.add(Cycle { preparing: 90 * MS, running: 60 * MS, begun: started, done: started });
        assert_eq!(overlap.latest(started), started);
    }
}
