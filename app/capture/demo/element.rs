//! The demo scene as a GStreamer source element, `spotterdemosrc`.
//!
//! It gives RGBx at any size in [`SIDES`] and any frame rate. Frame `n` is the scene's picture at its
//! timestamp. Each buffer carries a `GstVideoRegionOfInterestMeta` for every true box: its type is the
//! class, its rectangle the box in whole pixels, its parameter `truth` the box to the digit (`x`, `y`,
//! `w`, `h` in pixels), `figure`, `visible` and `ignored`.
//!
//! A live one gives each frame at its time and leaves frames out where it, or what takes them, is late by
//! more than one: delay never grows.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use gstreamer as gst;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use super::bbox;
use super::spec::{DemoSpec, FPS, SIZE, Size};
use crate::base::error::{Error, Kind, Result};
use crate::demo::{CLASSES, Demo, PIXEL_BYTES, SIDES, TrueBox};
use crate::vision::geometry::Rect;

/// The element's name in pipelines.
pub const NAME: &str = "spotterdemosrc";

/// Buffers that are made ahead: one that is drawn, one that is looked at.
const BUFFERS: u32 = 2;

glib::wrapper! {
    /// The demo scene as a source.
    pub struct DemoSrc(ObjectSubclass<imp::DemoSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

/// Makes the element known to this process, once.
pub fn register() -> bool {
    static REGISTERED: LazyLock<bool> =
        LazyLock::new(|| gst::Element::register(None, NAME, gst::Rank::NONE, DemoSrc::static_type()).is_ok());
    *REGISTERED
}

/// A side as caps have it.
fn side(side: u32) -> i32 {
    i32::try_from(side).unwrap_or(i32::MAX)
}

/// The caps of this demo scene.
pub fn caps(spec: &DemoSpec) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format(VideoFormat::Rgbx)
        .width(side(spec.size.0))
        .height(side(spec.size.1))
        .framerate(gst::Fraction::new(spec.fps.0, spec.fps.1))
        .build()
}

/// An element for this demo scene, once it is registered.
///
/// # Errors
/// [`Kind::Internal`] where it is not.
pub fn source(spec: &DemoSpec, live: bool) -> Result<gst::Element> {
    let factory = gst::ElementFactory::make(NAME).property("seed", spec.seed).property("is-live", live);
    factory
        .build()
        .map_err(|error| Error::new(Kind::Internal, "the demo scene has no element").caused_by(error))
}

/// Frames of one format, counted from its first.
struct Stream {
    info: VideoInfo,
    demo: Demo,
    /// The time of frame 0.
    start: gst::ClockTime,
    /// The frame that comes next.
    next: u64,
    /// Rows without gaps, for buffers that have gaps between theirs.
    rows: Vec<u8>,
}

impl Stream {
    /// From the first of these frames to frame `number`. Exact, so that 30000/1001 does not drift.
    fn since_start(&self, number: u64) -> Option<gst::ClockTime> {
        let fps = self.info.fps();
        let (n, d) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
        number
            .mul_div_floor(d.checked_mul(gst::ClockTime::SECOND.nseconds())?, n)
            .map(gst::ClockTime::from_nseconds)
    }

    /// When frame `number` is.
    fn time(&self, number: u64) -> Option<gst::ClockTime> {
        self.start.checked_add(self.since_start(number)?)
    }

    /// The frame whose turn it is at `now`.
    fn due(&self, now: gst::ClockTime) -> Option<u64> {
        let fps = self.info.fps();
        let (n, d) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
        let since = now.saturating_sub(self.start).nseconds();
        since.mul_div_floor(n, d.checked_mul(gst::ClockTime::SECOND.nseconds())?)
    }

    /// Draws the picture of `time` into `buffer`, which has the size that its caps ask for.
    fn draw(&mut self, time: gst::ClockTime, buffer: &mut gst::BufferRef) -> Option<()> {
        let time = Duration::from_nanos(time.nseconds());
        let row = self.info.width() as usize * PIXEL_BYTES;
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, &self.info).ok()?;
        let pitch = usize::try_from(*frame.plane_stride().first()?).ok()?;
        let size = row * self.info.height() as usize;
        let pixels = frame.plane_data_mut(0).ok()?;
        if pitch == row {
            return self.demo.draw(time, pixels.get_mut(..size)?).then_some(());
        }
        self.rows.resize(size, 0);
        if !self.demo.draw(time, &mut self.rows) {
            return None;
        }
        for (to, from) in pixels.chunks_mut(pitch).zip(self.rows.chunks_exact(row)) {
            to.get_mut(..row)?.copy_from_slice(from);
        }
        Some(())
    }
}

/// Writes down what is in the picture.
fn annotate(buffer: &mut gst::BufferRef, size: Size, truths: &[TrueBox]) {
    for truth in truths {
        let [x, y, w, h] = bbox(truth, size);
        let class = CLASSES.get(truth.class as usize).copied().unwrap_or_default();
        // The smallest rectangle of whole pixels around it.
        let (left, top) = (x.floor() as u32, y.floor() as u32);
        let (right, bottom) = ((x + w).ceil() as u32, (y + h).ceil() as u32);
        let rect = (left, top, right.saturating_sub(left), bottom.saturating_sub(top));
        let truth = gst::Structure::builder("truth")
            .field("figure", truth.figure)
            .field("visible", f64::from(truth.visible))
            .field("ignored", truth.ignored)
            .field("x", x)
            .field("y", y)
            .field("w", w)
            .field("h", h)
            .build();
        gst_video::VideoRegionOfInterestMeta::add(buffer, class, rect).add_param(truth);
    }
}

mod imp {
    use std::result::Result;

    use super::*;

    static DEBUG: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
        gst::DebugCategory::new(NAME, gst::DebugColorFlags::empty(), Some("Spotter's demo scene"))
    });

    /// State of the element.
    #[derive(Default)]
    pub struct DemoSrc {
        seed: Mutex<u64>,
        stream: Mutex<Option<Stream>>,
        waiting: Mutex<Waiting>,
    }

    /// What a live element waits for.
    #[derive(Default)]
    struct Waiting {
        flushing: bool,
        id: Option<gst::SingleShotClockId>,
    }

    impl DemoSrc {
        /// Waits until the buffer's time. The base class could do so, but it then moves the timestamps by
        /// the time that the start took, and a picture would no longer be that of its timestamp.
        fn wait(&self, buffer: &gst::BufferRef) -> Result<(), gst::FlowError> {
            let (element, pts) = (self.obj(), buffer.pts());
            let (Some(clock), Some(base), Some(pts)) = (element.clock(), element.base_time(), pts) else {
                return Ok(());
            };
            let id = clock.new_single_shot_id(base + pts);
            {
                let mut waiting = lock(&self.waiting);
                if waiting.flushing {
                    return Err(gst::FlowError::Flushing);
                }
                waiting.id = Some(id.clone());
            }
            let (waited, _) = id.wait();
            lock(&self.waiting).id = None;
            match waited {
                Err(gst::ClockError::Unscheduled) => Err(gst::FlowError::Flushing),
                // A time that has passed is no error.
                _ => Ok(()),
            }
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[glib::object_subclass]
    impl ObjectSubclass for DemoSrc {
        const NAME: &'static str = "SpotterDemoSrc";
        type Type = super::DemoSrc;
        type ParentType = gst_base::PushSrc;
    }

    impl ObjectImpl for DemoSrc {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecUInt64::builder("seed")
                        .blurb("What the scenes follow from")
                        .mutable_ready()
                        .build(),
                    glib::ParamSpecBoolean::builder("is-live")
                        .blurb("Give each frame at its time")
                        .mutable_ready()
                        .build(),
                ]
            });
            &PROPERTIES
        }

        // GLib asks for the properties above alone, and with values of their types.
        fn set_property(&self, _id: usize, value: &glib::Value, property: &glib::ParamSpec) {
            if property.name() == "is-live" {
                self.obj().set_live(value.get().unwrap_or_default());
            } else {
                *lock(&self.seed) = value.get().unwrap_or_default();
            }
        }

        fn property(&self, _id: usize, property: &glib::ParamSpec) -> glib::Value {
            if property.name() == "is-live" {
                self.obj().is_live().to_value()
            } else {
                lock(&self.seed).to_value()
            }
        }

        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_format(gst::Format::Time);
        }
    }

    impl GstObjectImpl for DemoSrc {}

    impl ElementImpl for DemoSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Demo scene",
                    "Source/Video",
                    "Draws a street with moving figures whose boxes are known",
                    env!("CARGO_PKG_NAME"),
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let sides = side(*SIDES.start())..=side(*SIDES.end());
                let caps = gst_video::VideoCapsBuilder::new()
                    .format(VideoFormat::Rgbx)
                    .width_range(sides.clone())
                    .height_range(sides)
                    .framerate_range(gst::Fraction::new(1, i32::MAX)..=gst::Fraction::new(i32::MAX, 1))
                    .build();
                let template =
                    gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps);
                // Without it the element has no pad, and linking says so.
                template.into_iter().collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for DemoSrc {
        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            *lock(&self.stream) = None;
            Ok(())
        }

        fn is_seekable(&self) -> bool {
            false
        }

        fn fixate(&self, mut caps: gst::Caps) -> gst::Caps {
            caps.truncate();
            if let Some(structure) = caps.make_mut().structure_mut(0) {
                structure.fixate_field_nearest_int("width", side(SIZE.0));
                structure.fixate_field_nearest_int("height", side(SIZE.1));
                structure.fixate_field_nearest_fraction("framerate", gst::Fraction::new(FPS.0, FPS.1));
            }
            self.parent_fixate(caps)
        }

        fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
            let info = VideoInfo::from_caps(caps)
                .map_err(|_| gst::loggable_error!(DEBUG, "{caps} are no caps of a video"))?;
            let mut stream = lock(&self.stream);
            let start = stream.as_ref().and_then(|before| before.time(before.next));
            let demo = Demo::new(*lock(&self.seed), info.width(), info.height());
            *stream =
                Some(Stream { info, demo, start: start.unwrap_or_default(), next: 0, rows: Vec::new() });
            Ok(())
        }

        fn decide_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
            if query.allocation_pools().next().is_none()
                && let (Some(caps), _) = query.get_owned()
                && let Ok(info) = VideoInfo::from_caps(&caps)
                && let Ok(size) = u32::try_from(info.size())
            {
                query.add_allocation_pool(Some(&gst_video::VideoBufferPool::new()), size, BUFFERS, 0);
            }
            self.parent_decide_allocation(query)
        }

        fn unlock(&self) -> Result<(), gst::ErrorMessage> {
            let mut waiting = lock(&self.waiting);
            waiting.flushing = true;
            if let Some(id) = waiting.id.take() {
                id.unschedule();
            }
            Ok(())
        }

        fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
            lock(&self.waiting).flushing = false;
            Ok(())
        }

        fn query(&self, query: &mut gst::QueryRef) -> bool {
            if let gst::QueryViewMut::Latency(latency) = query.view_mut()
                && self.obj().is_live()
            {
                let frame = lock(&self.stream).as_ref().and_then(|stream| stream.since_start(1));
                let Some(frame) = frame else { return false };
                // A frame that is late by more than one is left out.
                latency.set(true, frame, Some(frame));
                return true;
            }
            BaseSrcImplExt::parent_query(self, query)
        }
    }

    impl PushSrcImpl for DemoSrc {
        fn create(&self, given: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
            let live = self.obj().is_live();
            if let Some(buffer) = given {
                PushSrcImpl::fill(self, buffer)?;
                if live {
                    self.wait(buffer)?;
                }
                return Ok(CreateSuccess::FilledBuffer);
            }
            let mut buffer = match self.obj().buffer_pool() {
                Some(pool) => pool.acquire_buffer(None)?,
                None => {
                    let stream = lock(&self.stream);
                    let size = stream.as_ref().ok_or(gst::FlowError::NotNegotiated)?.info.size();
                    gst::Buffer::with_size(size).map_err(|_| gst::FlowError::Error)?
                }
            };
            PushSrcImpl::fill(self, buffer.make_mut())?;
            if live {
                self.wait(&buffer)?;
            }
            Ok(CreateSuccess::NewBuffer(buffer))
        }

        fn fill(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
            let mut guard = lock(&self.stream);
            let stream = guard.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
            let mut number = stream.next;
            if self.obj().is_live()
                && let Some(due) = self.obj().current_running_time().and_then(|now| stream.due(now))
                && due > number
            {
                number = due;
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
            let (time, next) = stream.time(number).zip(stream.time(number + 1)).ok_or(gst::FlowError::Eos)?;
            if stream.draw(time, buffer).is_none() {
                gst::element_imp_error!(
                    self,
                    gst::ResourceError::Failed,
                    ["a frame does not fit into its buffer"]
                );
                return Err(gst::FlowError::Error);
            }
            annotate(buffer, stream.demo.size(), stream.demo.truths());
            buffer.set_pts(time);
            buffer.set_dts(None);
            buffer.set_duration(next - time);
            buffer.set_offset(number);
            buffer.set_offset_end(number + 1);
            stream.next = number + 1;
            Ok(gst::FlowSuccess::Ok)
        }
    }
}

/// What the metadata of a buffer of this size say is in its picture, in the order in which it was written.
pub fn truths(buffer: &gst::BufferRef, size: Size) -> Vec<TrueBox> {
    let metas = buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>();
    metas.filter_map(|meta| truth(meta.roi_type(), meta.param("truth")?, size)).collect()
}

fn truth(class: &str, truth: &gst::StructureRef, (width, height): Size) -> Option<TrueBox> {
    let number = |name: &str| truth.get::<f64>(name).ok();
    let (x, y, w, h) = (number("x")?, number("y")?, number("w")?, number("h")?);
    let (width, height) = (f64::from(width), f64::from(height));
    Some(TrueBox {
        figure: truth.get("figure").ok()?,
        class: CLASSES.iter().position(|name| *name == class).and_then(|class| u32::try_from(class).ok())?,
        rect: Rect::new(
            (x / width) as f32,
            (y / height) as f32,
            ((x + w) / width) as f32,
            ((y + h) / height) as f32,
        ),
        visible: number("visible")? as f32,
        ignored: truth.get("ignored").ok()?,
    })
}

#[cfg(test)]
mod tests;
