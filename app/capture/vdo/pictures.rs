//! The camera's own compressed pictures, for the page: its encoder is there and costs nothing.
//!
//! They come as a second stream of the same sensor. A picture belongs to a frame where both have the same capture
//! time; the last pictures are kept until detection has got as far. The stream is open only while somebody watches,
//! in a thread of its own: neither capture nor detection waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::element;
use super::sensors::SensorChoice;
use super::spec::{Format, VdoSpec, View};
use crate::base::clock::Stop;
use crate::base::error::{Error, Kind, Result};
use crate::capture::Pictures;

/// Pictures are kept for the slowest detection that a rate of one frame a second leaves.
const KEPT: Duration = Duration::from_millis(1500);
/// How many pictures, and how many bytes of them, are kept at most.
const MOST: usize = 48;
const MOST_BYTES: usize = 8 << 20;
/// A stream that has given nothing for this long is not waited for.
const SILENT: Duration = Duration::from_secs(1);
/// How long one look for a picture is; bounds the time to notice that nobody watches any more.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// How long to wait before a stream that failed is opened again.
const AGAIN: Duration = Duration::from_secs(2);

/// The last pictures, oldest first.
#[derive(Default)]
struct Ring {
    /// Whose they are.
    view: View,
    pictures: VecDeque<(Duration, Arc<[u8]>)>,
    bytes: usize,
    last: Option<Instant>,
}

impl Ring {
    fn put(&mut self, time: Duration, jpeg: Arc<[u8]>) {
        self.last = Some(Instant::now());
        self.bytes += jpeg.len();
        self.pictures.push_back((time, jpeg));
        while let Some((oldest, jpeg)) = self.pictures.front()
            && (self.pictures.len() > MOST || self.bytes > MOST_BYTES || *oldest + KEPT < time)
        {
            self.bytes -= jpeg.len();
            self.pictures.pop_front();
        }
    }

    fn of(&self, time: Duration, view: View) -> Option<Arc<[u8]>> {
        if self.view != view {
            return None;
        }
        self.pictures.iter().rev().find(|(of, _)| *of == time).map(|(_, jpeg)| jpeg.clone())
    }

    /// Whether the picture of this time may still come.
    fn may_come(&self, time: Duration, view: View) -> bool {
        self.view == view
            && self.last.is_some_and(|last| last.elapsed() < SILENT)
            && self.pictures.back().is_none_or(|(newest, _)| *newest < time)
    }
}

#[derive(Default)]
struct Shared {
    ring: Mutex<Ring>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The camera's compressed pictures.
pub struct VdoPictures {
    spec: VdoSpec,
    sensor: Arc<SensorChoice>,
    shared: Arc<Shared>,
    running: Option<(Stop, JoinHandle<()>)>,
}

impl VdoPictures {
    /// Pictures of the sensor that is shown, with all else as in `spec`. No stream is opened yet.
    pub fn new(spec: VdoSpec, sensor: Arc<SensorChoice>) -> Self {
        Self { spec, sensor, shared: Arc::default(), running: None }
    }
}

impl Drop for VdoPictures {
    fn drop(&mut self) {
        self.watch(false);
    }
}

impl Pictures for VdoPictures {
    fn watch(&mut self, watched: bool) {
        if watched && self.running.is_none() {
            let (stop, shared, spec) = (Stop::new(), self.shared.clone(), self.spec);
            let sensor = self.sensor.clone();
            let stopped = stop.clone();
            let thread = std::thread::Builder::new().name("pictures".to_owned());
            // Without a thread the page's pictures are made here.
            if let Ok(thread) = thread.spawn(move || feed(&spec, &sensor, &shared, &stopped)) {
                self.running = Some((stop, thread));
            }
        } else if !watched && let Some((stop, _)) = self.running.take() {
            // It ends by itself within a moment; nobody waits for it.
            stop.set();
            *self.shared.lock() = Ring::default();
        }
    }

    fn of(&mut self, time: Duration, wait: Duration) -> Option<Arc<[u8]>> {
        let view = self.sensor.shown();
        let (ring, _) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), wait, |ring| {
                ring.of(time, view).is_none() && ring.may_come(time, view)
            })
            .unwrap_or_else(PoisonError::into_inner);
        ring.of(time, view)
    }
}

/// Keeps the stream going until told to stop.
fn feed(spec: &VdoSpec, sensor: &SensorChoice, shared: &Shared, stop: &Stop) {
    let mut said = false;
    while !stop.is_set() {
        let outcome = play(spec, sensor, shared, stop);
        if let Err(error) = outcome
            && !stop.is_set()
        {
            if !said {
                log::info!("the camera gives no compressed pictures ({error}); the page's are made here");
            }
            said = true;
            stop.wait(AGAIN);
        }
    }
}

/// Plays the pictures of the sensor that is shown until another one is.
fn play(spec: &VdoSpec, choice: &SensorChoice, shared: &Shared, stop: &Stop) -> Result<()> {
    let view = choice.shown();
    let spec = &VdoSpec { view, ..*spec };
    *shared.lock() = Ring { view, ..Ring::default() };
    let broken = |what: &str| Error::new(Kind::Source, what.to_owned());
    let sensor = super::sensor(spec, Format::Jpeg)?;
    let source = element::element(&sensor.page_request(spec))?;
    let sink = gst_app::AppSink::builder()
        .caps(&gst::Caps::new_empty_simple("image/jpeg"))
        .sync(false)
        .max_buffers(2)
        .drop(true)
        .enable_last_sample(false)
        .build();
    let pipeline = Playing(gst::Pipeline::new());
    let chain = [source.upcast_ref::<gst::Element>(), sink.upcast_ref()];
    pipeline.0.add_many(chain).map_err(|_| broken("the pipeline cannot be put together"))?;
    gst::Element::link_many(chain).map_err(|_| broken("the pipeline cannot be put together"))?;
    // The cause of a failed change of state is on the bus.
    let started = pipeline.0.set_state(gst::State::Playing);
    while !stop.is_set() && choice.shown() == view {
        if started.is_ok()
            && let Some(sample) = sink.try_pull_sample(POLL)
        {
            let buffer = sample.buffer().ok_or_else(|| broken("a picture came without bytes"))?;
            let (_, time) =
                element::origin(buffer).ok_or_else(|| broken("a picture came without its capture time"))?;
            let bytes = buffer.map_readable().map_err(|_| broken("a picture could not be read"))?;
            let jpeg: Arc<[u8]> = bytes.as_slice().into();
            let mut ring = shared.lock();
            if !stop.is_set() && ring.view == view {
                ring.put(Duration::from_micros(time), jpeg);
                shared.changed.notify_all();
            }
            continue;
        }
        if let Some(message) = pipeline.0.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]))
            && let gst::MessageView::Error(error) = message.view()
        {
            return Err(broken(error.error().message().trim_end_matches('.')));
        }
        if started.is_err() {
            return Err(broken("its stream does not start"));
        }
    }
    Ok(())
}

/// A pipeline that ends when it is dropped.
struct Playing(gst::Pipeline);

impl Drop for Playing {
    fn drop(&mut self) {
        // A pipeline that is dropped while it plays leaks its threads.
        let _ = self.0.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn picture(byte: u8) -> Arc<[u8]> {
        vec![byte; 1000].into()
    }

    #[test]
    fn the_picture_of_that_very_time_is_found_and_no_other() {
        let mut ring = Ring::default();
        for index in 0..10u8 {
            ring.put(ms(1000 + 40 * u64::from(index)), picture(index));
        }
        assert_eq!(ring.of(ms(1120), View::default()).as_deref(), Some(&*picture(3)));
        assert!(ring.of(ms(1121), View::default()).is_none() && ring.of(ms(960), View::default()).is_none());
        assert!(ring.may_come(ms(1400), View::default()));
        // What is past does not come any more.
        assert!(!ring.may_come(ms(1100), View::default()) && !ring.may_come(ms(1360), View::default()));
    }

    #[test]
    fn pictures_of_another_sensor_are_none_of_the_frames() {
        let mut ring = Ring::default();
        ring.put(ms(1000), picture(1));
        let other = View::Input(2);
        assert!(ring.of(ms(1000), other).is_none() && !ring.may_come(ms(1001), other));
        assert!(ring.of(ms(1000), View::Input(1)).is_some());
    }

    #[test]
    fn only_the_last_are_kept() {
        let mut ring = Ring::default();
        for index in 0..200u64 {
            ring.put(ms(33 * index), picture(0));
        }
        assert!(ring.pictures.len() <= MOST);
        assert_eq!(ring.bytes, 1000 * ring.pictures.len());
        ring.put(ms(60_000), picture(1));
        assert_eq!((ring.pictures.len(), ring.bytes), (1, 1000));
        for index in 0..20u64 {
            ring.put(ms(60_001 + index), vec![0; 1 << 20].into());
        }
        assert!(ring.bytes <= MOST_BYTES);
    }

    #[test]
    fn a_picture_is_waited_for_while_it_may_come_and_not_without_a_stream() {
        let mut pictures = VdoPictures::new(VdoSpec::default(), Arc::new(SensorChoice::new(View::default())));
        let begun = Instant::now();
        assert!(pictures.of(ms(5), ms(100_000)).is_none());
        assert!(begun.elapsed() < ms(50_000), "there is no stream");
        pictures.shared.lock().put(ms(5), picture(1));
        let shared = pictures.shared.clone();
        let late = std::thread::spawn(move || {
            std::thread::sleep(ms(50));
            shared.lock().put(ms(10), picture(2));
            shared.changed.notify_all();
        });
        assert_eq!(pictures.of(ms(10), ms(5000)).as_deref(), Some(&*picture(2)));
        late.join().unwrap();
        assert!(pictures.of(ms(7), ms(5000)).is_none(), "left out by the camera");
    }
}
