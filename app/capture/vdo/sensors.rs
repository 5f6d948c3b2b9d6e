//! Which of a camera's sensors is looked at: those there are, the one that is wanted and the one that is shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shim::{Channel, Map, Outcome};
use super::spec::{Format, VdoSpec, View};
use super::{stream, sys};
use crate::base::error::{Error, Kind, Result};
use crate::capture::{FrameSource, Next};

/// While another sensor is shown in place of one that is gone, that one is looked for this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The sensors of the camera. None where this is no camera, or it does not list them.
pub fn list() -> Vec<View> {
    let Ok(functions) = sys::library() else { return Vec::new() };
    listed(functions).unwrap_or_else(|failure| {
        log::debug!("the camera does not list its sensors: {failure}");
        Vec::new()
    })
}

fn listed(functions: &'static sys::Functions) -> Outcome<Vec<View>> {
    // As in the library's own example of a filter: all inputs, whose number is "type.id".
    let mut filter = Map::new(functions)?;
    filter.set_text(c"key", c"input");
    let inputs = Channel::all(functions, Some(&filter)).unwrap_or_default();
    let number = |channel: &Channel| channel.info().ok().map(|info| info.u32(c"type.id", 0));
    let mut views: Vec<View> =
        inputs.iter().filter_map(number).filter(|number| *number > 0).map(View::Input).collect();
    if views.is_empty() {
        // A library that does not know this filter has channels only.
        views = Channel::all(functions, None)?.iter().filter_map(Channel::id).map(View::Channel).collect();
    }
    views.sort_unstable();
    views.dedup();
    Ok(views)
}

/// Whether the camera has this sensor no longer, as far as it says so.
fn is_gone(view: View, there: &[View]) -> bool {
    let Ok(functions) = sys::library() else { return false };
    match stream::sensor(functions, view, Format::Nv12) {
        Ok(_) => false,
        Err(failure) => {
            let comparable = there.iter().any(|other| other.is_input() == view.is_input());
            failure.code == sys::VDO_ERROR_NOT_FOUND || (comparable && !there.contains(&view))
        }
    }
}

#[derive(Debug)]
struct State {
    wanted: View,
    shown: View,
    notice: Option<String>,
}

/// What is wanted, and what is shown; shared by the threads.
#[derive(Debug)]
pub struct SensorChoice(Mutex<State>);

impl SensorChoice {
    /// This sensor is wanted.
    pub fn new(wanted: View) -> Self {
        Self(Mutex::new(State { wanted, shown: wanted, notice: None }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this one is wanted. The source is then opened anew.
    pub fn want(&self, view: View) {
        let mut state = self.lock();
        if state.wanted != view {
            log::info!("{} is wanted, no longer {}", view.title(), state.wanted.title());
            state.wanted = view;
        }
    }

    /// The one that is wanted.
    pub fn wanted(&self) -> View {
        self.lock().wanted
    }

    /// The one that is shown.
    pub fn shown(&self) -> View {
        self.lock().shown
    }

    /// Why it is not the one that is wanted.
    pub fn notice(&self) -> Option<String> {
        self.lock().notice.clone()
    }

    fn show(&self, view: View, notice: Option<String>) {
        let mut state = self.lock();
        if let Some(text) = notice.as_ref().filter(|text| state.notice.as_ref() != Some(*text)) {
            log::warn!("{text}");
        }
        (state.shown, state.notice) = (view, notice);
    }
}

/// Opens the sensor that is wanted, with all else as in `spec`; the first that there is where the camera has that
/// one no longer. What is opened ends when another is wanted.
///
/// # Errors
/// `Kind::Source` where it cannot be opened now, or the camera has no sensor.
pub fn open(
    spec: &VdoSpec,
    choice: &Arc<SensorChoice>,
    open: impl FnOnce(VdoSpec) -> Result<Box<dyn FrameSource>>,
) -> Result<Box<dyn FrameSource>> {
    let wanted = choice.wanted();
    let there = list();
    let (view, notice) = if is_gone(wanted, &there) {
        let Some(instead) = there.into_iter().find(|other| *other != wanted) else {
            let text = format!("the camera has no {}, and names no other", wanted.title());
            return Err(Error::new(Kind::Source, text));
        };
        let text = format!(
            "the camera has no {}: {} is shown in its place; choose another sensor",
            wanted.title(),
            instead.title()
        );
        (instead, Some(text))
    } else {
        (wanted, None)
    };
    let missed = notice.is_some();
    // Before its first frame: pictures of another sensor are none of its frames.
    choice.show(view, notice);
    let source = open(VdoSpec { view, ..*spec })?;
    Ok(Box::new(Chosen { source, choice: choice.clone(), wanted, missed, looked: Instant::now() }))
}

/// A sensor that is open as long as it is wanted.
struct Chosen {
    source: Box<dyn FrameSource>,
    choice: Arc<SensorChoice>,
    wanted: View,
    /// Another one is shown in its place.
    missed: bool,
    looked: Instant,
}

impl FrameSource for Chosen {
    fn next(&mut self, time: Duration) -> Result<Next> {
        if self.choice.wanted() != self.wanted {
            return Ok(Next::Other);
        }
        if self.missed && self.looked.elapsed() >= LOOK_AGAIN {
            self.looked = Instant::now();
            if !is_gone(self.wanted, &list()) {
                return Ok(Next::Other);
            }
        }
        self.source.next(time)
    }

    fn rewind(&mut self) -> Result<()> {
        self.source.rewind()
    }

    fn detail(&self) -> Option<String> {
        self.source.detail()
    }

    fn frame_rate(&self) -> Option<f64> {
        self.source.frame_rate()
    }

    fn follow(&mut self, workload: Arc<super::frame_rate::Workload>) {
        self.source.follow(workload);
    }
}
