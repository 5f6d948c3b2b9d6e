//! Who prepares the frames of a capture: a device of larod or the processor, whichever is faster.

use std::fmt;
use std::time::{Duration, Instant};

use super::conversion::{self, Conversion};
use super::fault::{Fault, LarodResult, Remedy};
use super::load_request::LoadRequest;
use super::memory::{self, Access};
use super::ports::{self, Ports};
use super::service::WorkerTask;
use super::worker::Worker;
use crate::preprocess::BAR;
use crate::vision::frame::{Frame, FrameLayout, SharedMemory};
use crate::vision::geometry::{Fit, Mapping};

/// Frames each way that are not measured: buffers of the capture are seen for the first time.
const WARM_UP: usize = 4;
/// Frames each way that are.
const MEASURED: usize = 5;
/// So many times in a row the connection may break off at preparing before the device is not asked any more.
const LOST: u32 = 3;

/// Who prepares a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A device of larod.
    Device,
    Processor,
}

/// Who prepares frames from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparer {
    /// This device of larod.
    Device(&'static str),
    Processor,
}

impl fmt::Display for Preparer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => write!(f, "by {device}"),
            Self::Processor => f.write_str("on the processor"),
        }
    }
}

/// Who is to prepare frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// Whoever is faster, found out by trying.
    #[default]
    Faster,
    /// The device where it can, for measurements.
    Device,
    /// The processor always, for measurements.
    Processor,
}

/// Both ways in turns, and how long they took: preparing and inference, for they may share the chip.
#[derive(Debug, Default)]
struct Trial {
    device: Vec<Duration>,
    processor: Vec<Duration>,
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted: Vec<Duration> = times.iter().skip(WARM_UP).copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

impl Trial {
    fn next(&self) -> Way {
        if self.device.len() <= self.processor.len() { Way::Device } else { Way::Processor }
    }

    /// Adds a frame; says who is faster, and by how long (device, processor), once that is known.
    fn add(&mut self, way: Way, time: Duration) -> Option<(Way, Duration, Duration)> {
        match way {
            Way::Device => self.device.push(time),
            Way::Processor => self.processor.push(time),
        }
        if self.device.len().min(self.processor.len()) < WARM_UP + MEASURED {
            return None;
        }
        let (device, processor) = (median(&self.device), median(&self.processor));
        let faster = if device < processor { Way::Device } else { Way::Processor };
        Some((faster, device, processor))
    }
}

enum Decision {
    Trying(Trial),
    Made(Way),
}

/// How frames of one layout are prepared for one model.
pub struct Preparation {
    layout: FrameLayout,
    fit: Fit,
    wanted: Conversion,
    mapping: Mapping,
    /// Devices that can do it, best first.
    devices: Vec<&'static str>,
    /// The one that is loaded.
    loaded: Option<&'static str>,
    choice: Decision,
    begun: Option<(Way, Instant)>,
    lost: u32,
}

/// The memory of a frame in NV12 that a device can be given, and the pitch of its rows.
fn memory_of(frame: &Frame) -> Option<(SharedMemory, usize)> {
    let memory = frame.pixels.shared().filter(|_| !frame.still)?;
    let ((luma, pitch), (chroma, chroma_pitch)) = (frame.pixels.plane(0), frame.pixels.plane(1));
    let behind = luma.as_ptr() as usize + pitch * frame.layout.height == chroma.as_ptr() as usize;
    (behind && chroma_pitch == pitch).then_some((memory, pitch))
}

impl Preparation {
    /// How this frame is to be prepared for the model whose ports these are; `None` where that is no question: its
    /// memory is not shared, or no device can do it. `old` is what was so far.
    pub fn of(
        frame: &Frame,
        fit: Fit,
        (wanted, ports): (&LoadRequest, &Ports),
        preference: Preference,
        old: Option<Self>,
    ) -> Option<Self> {
        let (memory, pitch) = memory_of(frame)?;
        let is_same = |old: &Self| {
            (old.layout, old.fit) == (frame.layout, fit)
                && (old.wanted.from_pitch, old.wanted.to_pitch) == (pitch, ports.input_pitch)
        };
        if let Some(old) = old.filter(is_same) {
            return Some(old);
        }
        let input = wanted.input.picture_size().filter(|_| ports::takes_bytes(&wanted.input))?;
        let mapping = Mapping::new(fit, frame.layout.display_size(), input);
        let planar = wanted.input.is_planar();
        let wanted = Conversion::new(&frame.layout, pitch, &mapping, planar, ports.input_pitch)?;
        let devices = conversion::candidates(&ports.listed, &wanted);
        if devices.is_empty() || memory.size < wanted.from_bytes() {
            return None;
        }
        let choice = match preference {
            Preference::Faster => Decision::Trying(Trial::default()),
            Preference::Device => Decision::Made(Way::Device),
            Preference::Processor => Decision::Made(Way::Processor),
        };
        let (layout, loaded, begun) = (frame.layout, None, None);
        Some(Self { layout, fit, wanted, mapping, devices, loaded, choice, begun, lost: 0 })
    }

    /// The model was loaded anew, and what prepared its input is gone.
    pub fn forget_device(&mut self) {
        (self.loaded, self.begun) = (None, None);
    }

    /// Who prepares, where that is settled.
    pub fn settled(&self) -> Option<Preparer> {
        match (&self.choice, self.loaded) {
            (Decision::Made(Way::Device), Some(device)) => Some(Preparer::Device(device)),
            (Decision::Made(Way::Processor), _) => Some(Preparer::Processor),
            _ => None,
        }
    }

    /// Lets the device write the frame into the model's input, where it is its turn. Says where the frame lies
    /// there, or `None` where the processor is to write it.
    ///
    /// # Errors
    /// Where the connection fails; what the device alone fails at is told, and the processor's turn from then on.
    pub fn take(
        &mut self,
        frame: &Frame,
        worker: &Worker,
        ports: &mut Ports,
    ) -> LarodResult<Option<Mapping>> {
        let way = match &self.choice {
            Decision::Trying(trial) => trial.next(),
            Decision::Made(way) => *way,
        };
        self.begun = Some((way, Instant::now()));
        if way == Way::Processor {
            return Ok(None);
        }
        match self.prepare(frame, worker, ports) {
            Ok(()) => {
                self.lost = 0;
                Ok(Some(self.mapping))
            }
            Err(fault) if fault.remedy() == Remedy::Reconnect => {
                self.begun = None;
                self.lost += 1;
                if self.lost >= LOST {
                    self.give_up(&fault);
                }
                Err(fault)
            }
            Err(fault) => {
                self.pass_on(&fault);
                Ok(None)
            }
        }
    }

    /// What the loaded device cannot do at all with this memory, as OpenCL with a dma-buf, the next one may.
    fn pass_on(&mut self, fault: &Fault) {
        let Some(device) = self.loaded.filter(|_| fault.remedy() == Remedy::OtherInput) else {
            return self.give_up(fault);
        };
        self.devices.retain(|other| *other != device);
        if self.devices.is_empty() {
            return self.give_up(fault);
        }
        log::info!("{fault}; another device is tried");
        (self.loaded, self.begun) = (None, None);
        if let Decision::Trying(trial) = &mut self.choice {
            *trial = Trial::default();
        }
    }

    fn give_up(&mut self, fault: &Fault) {
        log::warn!("{fault}; the processor prepares frames");
        (self.choice, self.begun) = (Decision::Made(Way::Processor), None);
    }

    fn prepare(&mut self, frame: &Frame, worker: &Worker, ports: &mut Ports) -> LarodResult<()> {
        let failed = |error: std::io::Error| Fault::own("share memory with the device", error.to_string());
        if self.loaded.is_none() {
            self.loaded = Some(self.load(worker)?);
            // The device leaves the bars as they are.
            ports.input.begin(Access::Write).map_err(failed)?;
            ports.input.bytes_mut().fill(BAR);
        }
        ports.input.end().map_err(failed)?;
        let memory = frame.pixels.shared().ok_or_else(|| Fault::own("prepare frames", "it is not shared"))?;
        let fd = memory::duplicate(memory.fd).map_err(failed)?;
        worker.run(WorkerTask::Prepare(memory, fd))
    }

    /// Loads the best device that takes the conversion.
    fn load(&self, worker: &Worker) -> LarodResult<&'static str> {
        let mut last = Fault::own("prepare frames", "no device can do it");
        for device in &self.devices {
            match worker.run(WorkerTask::Load(device, self.wanted)) {
                Ok(()) => return Ok(device),
                Err(fault) if fault.remedy() == Remedy::Reconnect => return Err(fault),
                Err(fault) => {
                    log::debug!("{fault}");
                    last = fault;
                }
            }
        }
        Err(last)
    }

    /// A frame has gone through the model.
    pub fn ran(&mut self) {
        let (Some((way, begun)), Decision::Trying(trial)) = (self.begun.take(), &mut self.choice) else {
            return;
        };
        if let Some((faster, device, processor)) = trial.add(way, begun.elapsed()) {
            let name = self.loaded.unwrap_or("the device");
            log::debug!("a frame takes {device:?} prepared by {name}, {processor:?} by the processor");
            self.choice = Decision::Made(faster);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn the_faster_way_wins_by_its_median_without_the_warm_up() {
        for (device, processor, faster) in [(4, 9, Way::Device), (9, 4, Way::Processor)] {
            let mut trial = Trial::default();
            let mut result = None;
            for frame in 0..2 * (WARM_UP + MEASURED) {
                assert_eq!(result, None, "after {frame} frames");
                let way = trial.next();
                assert_eq!(way == Way::Device, frame % 2 == 0, "in turns");
                let time = if way == Way::Device { device } else { processor };
                // The first frames and one in between are slow.
                let slow = if frame / 2 < WARM_UP || frame / 2 == WARM_UP + 2 { 500 } else { 0 };
                let slow = if way == faster { slow } else { 0 };
                result = trial.add(way, milliseconds(time + slow));
            }
            assert_eq!(result, Some((faster, milliseconds(device), milliseconds(processor))));
        }
    }
}
