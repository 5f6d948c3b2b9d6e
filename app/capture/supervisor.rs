//! Keeps a source going: rewinds a clip at its end, comes back to one that was lost.

use std::sync::Arc;
use std::time::Duration;

use super::{FrameSource, Next, Opener};
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::Frame;

/// The first wait after a source was lost.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two attempts, as a rule.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The same for a source on this very machine, which costs nobody else anything.
pub const LONGEST_WAIT_HERE: Duration = Duration::from_secs(4);
/// A source that gave frames for this long has recovered: the next loss starts with the first wait.
const RECOVERED: Duration = Duration::from_secs(5);
/// How long one call waits for a frame; bounds the time to notice the stop flag.
const POLL: Duration = Duration::from_millis(100);
/// A live source that gives nothing for this long is lost.
const STALLED: Duration = Duration::from_secs(10);
/// How often a still picture is shown anew, so that it does not look stale.
const STILL_INTERVAL: Duration = Duration::from_millis(500);

/// How the source is, for the page.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceState {
    /// Being opened.
    Connecting,
    /// Giving frames.
    Live {
        /// What they are, where that is the source's choice.
        detail: Option<String>,
    },
    /// Lost; tried again after `wait`.
    Reconnecting {
        /// Why it was lost.
        message: String,
        /// From the moment of this report.
        wait: Duration,
    },
    /// Played to its end.
    Ended,
    /// Lost for good.
    Failed { message: String },
}

/// What a supervisor does when the source ends or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Play a source that ends once only.
    pub once: bool,
    /// The source is alive by itself (network, device): an end or an error is a loss to recover from,
    /// also at the first attempt.
    pub live: bool,
    /// The longest wait between two attempts.
    pub longest_wait: Duration,
}

/// Runs a source until it has ended for good or is told to stop.
pub struct Supervisor<'a> {
    /// Opens the source.
    pub opener: &'a dyn Opener,
    /// What to do at its end.
    pub policy: Policy,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ends the run.
    pub stop: Stop,
}

/// How one opened source came to its end.
enum Finish {
    Stopped,
    Ended,
    /// To be opened anew at once.
    Other,
    Lost(Error),
}

impl Supervisor<'_> {
    /// Gives every frame to `frame` and every change of state to `state` until the source has ended. Calls `alive`
    /// all the while, whether frames come or not.
    ///
    /// # Errors
    /// The source's own, where the policy does not try again.
    pub fn run(
        &self,
        mut frame: impl FnMut(Frame, Option<f64>),
        mut state: impl FnMut(SourceState),
        alive: impl Fn(),
    ) -> Result<()> {
        let mut seq = 0;
        let mut wait = FIRST_WAIT;
        while !self.stop.is_set() {
            alive();
            state(SourceState::Connecting);
            let opened = self.clock.now();
            let mut last_frame = opened;
            let finish = match self.opener.open() {
                Err(error) => Finish::Lost(error),
                Ok(mut source) => {
                    self.play(source.as_mut(), &mut seq, &mut last_frame, &mut frame, &mut state, &alive)
                }
            };
            let error = match finish {
                Finish::Stopped => return Ok(()),
                Finish::Other => continue,
                Finish::Ended => {
                    state(SourceState::Ended);
                    return Ok(());
                }
                Finish::Lost(error) => error,
            };
            // A clip that was never shown cannot be waited for; one that broke off may be being copied.
            if self.policy.once || (!self.policy.live && seq == 0) {
                state(SourceState::Failed { message: error.to_string() });
                return Err(error);
            }
            if last_frame.duration_since(opened) >= RECOVERED {
                wait = FIRST_WAIT;
            }
            log::warn!("{error}; trying again in {} s", wait.as_secs());
            state(SourceState::Reconnecting { message: error.to_string(), wait });
            alive();
            if self.clock.wait(wait, &self.stop) {
                return Ok(());
            }
            wait = (wait * 2).min(self.policy.longest_wait);
        }
        Ok(())
    }

    /// Plays one opened source to its end.
    fn play(
        &self,
        source: &mut dyn FrameSource,
        seq: &mut u64,
        last_frame: &mut std::time::Instant,
        frame: &mut impl FnMut(Frame, Option<f64>),
        state: &mut impl FnMut(SourceState),
        alive: &impl Fn(),
    ) -> Finish {
        let mut in_this_round = 0u64;
        let mut live = false;
        while !self.stop.is_set() {
            alive();
            match source.next(POLL) {
                Ok(Next::Frame(mut next)) => {
                    *last_frame = self.clock.now();
                    next.seq = *seq;
                    *seq += 1;
                    in_this_round += 1;
                    if !live {
                        live = true;
                        state(SourceState::Live { detail: source.detail() });
                    }
                    let rate = source.frame_rate();
                    frame(next, rate);
                }
                Ok(Next::Nothing) => {
                    let silent = self.clock.now().duration_since(*last_frame);
                    if self.policy.live && silent >= STALLED {
                        let message = format!("the source has sent no frame for {} s", silent.as_secs());
                        return Finish::Lost(Error::new(Kind::Source, message));
                    }
                }
                Ok(Next::Other) => return Finish::Other,
                Ok(Next::End) if in_this_round == 0 => {
                    return Finish::Lost(Error::new(Kind::Source, "the source ended without a single frame"));
                }
                Ok(Next::End) if self.policy.once => return Finish::Ended,
                Ok(Next::End) if self.policy.live => {
                    return Finish::Lost(Error::new(Kind::Source, "the source has ended its stream"));
                }
                Ok(Next::End) => {
                    if in_this_round == 1 && self.clock.wait(STILL_INTERVAL, &self.stop) {
                        return Finish::Stopped;
                    }
                    in_this_round = 0;
                    if let Err(error) = source.rewind() {
                        return Finish::Lost(error);
                    }
                }
                Err(error) => return Finish::Lost(error),
            }
        }
        Finish::Stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SimulatedClock;
    use crate::vision::frame::{FrameLayout, OwnedPixels, PixelFormat};
    use std::collections::VecDeque;
    use std::sync::Mutex;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Frame,
        Nothing,
        Other,
        End,
        Fail,
    }

    struct FakeSource(VecDeque<Step>, Vec<Step>);

    impl FrameSource for FakeSource {
        fn next(&mut self, _: Duration) -> Result<Next> {
            match self.0.pop_front().unwrap_or(Step::Fail) {
                Step::Frame => {
                    let layout = FrameLayout::new(PixelFormat::Gray8, 1, 1);
                    let pixels = OwnedPixels { planes: vec![(vec![0], 1)] };
                    Ok(Next::Frame(Frame::now(0, layout, Box::new(pixels))))
                }
                Step::Nothing => Ok(Next::Nothing),
                Step::Other => Ok(Next::Other),
                Step::End => Ok(Next::End),
                Step::Fail => Err(Error::new(Kind::Source, "lost")),
            }
        }

        fn rewind(&mut self) -> Result<()> {
            self.0 = self.1.clone().into();
            Ok(())
        }

        fn frame_rate(&self) -> Option<f64> {
            None
        }
    }

    /// Each entry is one attempt to open: `None` fails, `Some` opens a source with these steps.
    struct FakeOpener(Mutex<VecDeque<Option<Vec<Step>>>>);

    impl Opener for FakeOpener {
        fn open(&self) -> Result<Box<dyn FrameSource>> {
            match self.0.lock().unwrap().pop_front().flatten() {
                Some(steps) => Ok(Box::new(FakeSource(steps.clone().into(), steps))),
                None => Err(Error::new(Kind::Source, "cannot connect")),
            }
        }
    }

    struct Outcome {
        result: Result<()>,
        seqs: Vec<u64>,
        states: Vec<SourceState>,
        waits: Vec<u64>,
    }

    fn run(
        attempts: Vec<Option<Vec<Step>>>,
        policy: Policy,
        stop_after_waits: usize,
        stop_after_frames: u64,
    ) -> Outcome {
        let opener = FakeOpener(Mutex::new(attempts.into()));
        let clock = Arc::new(SimulatedClock::new(stop_after_waits));
        let stop = Stop::new();
        let supervisor = Supervisor { opener: &opener, policy, clock: clock.clone(), stop: stop.clone() };
        let (mut seqs, mut states) = (Vec::new(), Vec::new());
        let alive = std::cell::Cell::new(0);
        let result = supervisor.run(
            |frame, _| {
                seqs.push(frame.seq);
                if frame.seq + 1 >= stop_after_frames {
                    stop.set();
                }
            },
            |state| states.push(state),
            || alive.set(alive.get() + 1),
        );
        assert!(alive.get() > seqs.len(), "signs of life come with and without frames");
        let waits = clock.waits().iter().map(Duration::as_secs).collect();
        Outcome { result, seqs, states, waits }
    }

    const LIVE: Policy = Policy { once: false, live: true, longest_wait: LONGEST_WAIT };
    const CLIP: Policy = Policy { once: false, live: false, longest_wait: LONGEST_WAIT };
    const ONCE: Policy = Policy { once: true, live: false, longest_wait: LONGEST_WAIT };

    #[test]
    fn the_wait_doubles_from_one_to_thirty_seconds() {
        let outcome = run(vec![None; 9], LIVE, 8, u64::MAX);
        assert!(outcome.result.is_ok());
        assert_eq!(outcome.waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_camera_that_is_this_machine_is_asked_more_often() {
        let here = Policy { longest_wait: LONGEST_WAIT_HERE, ..LIVE };
        assert_eq!(run(vec![None; 6], here, 5, u64::MAX).waits, [1, 2, 4, 4, 4]);
    }

    #[test]
    fn where_another_picture_is_wanted_the_source_is_opened_anew_at_once() {
        let attempts = vec![Some(vec![Step::Frame, Step::Other]), Some(vec![Step::Frame, Step::Frame])];
        let outcome = run(attempts, LIVE, 99, 3);
        assert_eq!((outcome.seqs, outcome.waits), (vec![0, 1, 2], vec![]));
        let (connecting, live) = (SourceState::Connecting, SourceState::Live { detail: None });
        assert_eq!(outcome.states, [connecting.clone(), live.clone(), connecting, live]);
    }

    #[test]
    fn a_lost_live_source_comes_back_and_frames_go_on_counting() {
        let attempts = vec![Some(vec![Step::Frame, Step::Fail]), None, Some(vec![Step::Frame, Step::Frame])];
        let outcome = run(attempts, LIVE, 99, 3);
        assert_eq!(outcome.seqs, [0, 1, 2]);
        assert_eq!(outcome.waits, [1, 2]);
        assert_eq!(
            outcome.states[..3],
            [
                SourceState::Connecting,
                SourceState::Live { detail: None },
                SourceState::Reconnecting { message: "lost".into(), wait: Duration::from_secs(1) }
            ]
        );
    }

    #[test]
    fn a_stream_that_ends_is_a_loss_where_it_should_live() {
        let outcome = run(vec![Some(vec![Step::Frame, Step::End])], LIVE, 1, 99);
        assert_eq!(outcome.waits, [1]);
    }

    #[test]
    fn a_clip_loops_without_a_wait() {
        let outcome = run(vec![Some(vec![Step::Frame, Step::Frame, Step::End])], CLIP, 99, 7);
        assert_eq!(outcome.seqs, [0, 1, 2, 3, 4, 5, 6]);
        assert!(outcome.waits.is_empty());
    }

    #[test]
    fn a_still_is_shown_anew_before_it_looks_stale() {
        let outcome = run(vec![Some(vec![Step::Frame, Step::End])], CLIP, 99, 3);
        assert_eq!(outcome.seqs, [0, 1, 2]);
        assert_eq!(outcome.waits, [0, 0], "half seconds");
    }

    #[test]
    fn once_plays_to_the_end_and_fails_on_damage() {
        let outcome = run(vec![Some(vec![Step::Frame, Step::Nothing, Step::Frame, Step::End])], ONCE, 99, 99);
        assert!(outcome.result.is_ok());
        assert_eq!(outcome.seqs.len(), 2);
        assert_eq!(outcome.states.last(), Some(&SourceState::Ended));
        let outcome = run(vec![Some(vec![Step::Frame, Step::Fail])], ONCE, 99, 99);
        assert_eq!(outcome.result.unwrap_err().to_string(), "lost");
    }

    #[test]
    fn a_clip_that_never_opened_fails_at_once_but_a_camera_is_waited_for() {
        assert!(run(vec![None], CLIP, 99, 99).result.is_err());
        assert!(run(vec![None], LIVE, 1, 99).result.is_ok());
        let empty = run(vec![Some(vec![Step::End])], ONCE, 99, 99);
        assert!(empty.result.unwrap_err().to_string().contains("without a single frame"));
    }
}
