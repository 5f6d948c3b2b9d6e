//! The camera's video as a GStreamer source element, `vdosrc`.
//!
//! A buffer that it gives is the camera's own: its memory is that of the `VdoBuffer`, which goes back to the camera
//! when the last reference is gone. Rows are as far apart as the `GstVideoMeta` says. The metadata [`META`] says
//! through which file descriptor others can have the same memory, and when the frame was captured.
//!
//! The camera stamps frames with the monotonic clock, which is GStreamer's too. A stream is opened at the change to
//! READY → PAUSED, as the properties say; what the camera then gives decides the caps.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstreamer as gst;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::request::Request;
use super::shim::{Buffer, Failure, Stream};
use super::spec::{BUFFERS, Format, View};
use super::stream::{self, Memory, Sensor, Shape};
use super::sys;
use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::SharedMemory;

/// The element's name in pipelines.
pub const NAME: &str = "vdosrc";
/// The name of the metadata about a buffer's memory.
pub const META: &str = "SpotterVdoMeta";

/// How long one wait for a frame is; only a bound, a frame ends it.
const WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// The pause where a frame is announced and not there.
const PAUSE: Duration = Duration::from_millis(5);

glib::wrapper! {
    /// The camera's video as a source.
    pub struct VdoSrc(ObjectSubclass<imp::VdoSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

/// Makes the element and its metadata known to this process, once.
pub fn register() -> bool {
    static REGISTERED: LazyLock<bool> = LazyLock::new(|| {
        gst::meta::CustomMeta::register(META, &[]);
        gst::Element::register(None, NAME, gst::Rank::NONE, VdoSrc::static_type()).is_ok()
    });
    *REGISTERED
}

/// An element for this stream, which is open, once it is registered. Started anew, it opens the same again.
///
/// # Errors
/// [`Kind::Internal`] where it is not.
pub fn source(request: &Request, opened: (Arc<Stream>, Shape)) -> Result<VdoSrc> {
    let element = element(request)?;
    element.imp().give(opened);
    Ok(element)
}

/// An element that opens this stream when it starts.
///
/// # Errors
/// [`Kind::Internal`] where it is not registered.
pub fn element(request: &Request) -> Result<VdoSrc> {
    let (width, height) = request.size.unwrap_or((0, 0));
    let (name, number) = match request.view {
        View::Input(number) => ("input", number),
        View::Channel(number) => ("channel", number),
    };
    gst::ElementFactory::make(NAME)
        .property("format", request.format.word())
        .property(name, i32::try_from(number).unwrap_or(-1))
        .property("width", width)
        .property("height", height)
        .property("framerate", request.rate)
        .property("buffers", request.buffers)
        .property("rotation", request.rotation.and_then(|turn| i32::try_from(turn).ok()).unwrap_or(-1))
        .build()
        .ok()
        .and_then(|element| element.downcast().ok())
        .ok_or_else(|| Error::new(Kind::Internal, "the camera's video has no element"))
}

/// What the metadata of a buffer say of its memory, and when its frame was captured, in microseconds of the
/// monotonic clock.
pub fn origin(buffer: &gst::BufferRef) -> Option<(SharedMemory, u64)> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, META).ok()?;
    let told = meta.structure();
    let memory = SharedMemory {
        fd: told.get("fd").ok()?,
        offset: told.get("offset").ok()?,
        size: usize::try_from(told.get::<u64>("size").ok()?).ok()?,
        buffer: told.get("buffer").ok()?,
        dma_buf: told.get("dma-buf").ok()?,
    };
    Some((memory, told.get("timestamp").ok()?))
}

fn annotate(buffer: &mut gst::BufferRef, memory: &SharedMemory, timestamp: u64) -> Option<()> {
    let mut meta = gst::meta::CustomMeta::add(buffer, META).ok()?;
    let told = meta.mut_structure();
    told.set("fd", memory.fd);
    told.set("offset", memory.offset);
    told.set("size", memory.size as u64);
    told.set("buffer", memory.buffer);
    told.set("dma-buf", memory.dma_buf);
    told.set("timestamp", timestamp);
    Some(())
}

fn video_format(format: Format) -> VideoFormat {
    match format {
        Format::Nv12 => VideoFormat::Nv12,
        Format::Rgb => VideoFormat::Rgb,
        Format::PlanarRgb => VideoFormat::Rgbp,
        Format::Jpeg => VideoFormat::Encoded,
    }
}

/// The frame rate as caps have it; thousandths are as fine as cameras have them.
fn fraction(rate: f64) -> gst::Fraction {
    let thousandths = (rate * 1000.0).round().clamp(1.0, 1e6) as i32;
    if thousandths % 1000 == 0 { (thousandths / 1000, 1).into() } else { (thousandths, 1000).into() }
}

fn caps(shape: &Shape) -> Option<gst::Caps> {
    let rate = fraction(shape.rate);
    // Whatever part of its picture a camera gives, it gives it undistorted.
    let aspect = gst::Fraction::new(1, 1);
    if shape.format == Format::Jpeg {
        let caps = gst::Caps::builder("image/jpeg")
            .field("width", i32::try_from(shape.width).ok()?)
            .field("height", i32::try_from(shape.height).ok()?)
            .field("pixel-aspect-ratio", aspect)
            .field("framerate", rate);
        return Some(caps.build());
    }
    let info =
        VideoInfo::builder(video_format(shape.format), shape.width, shape.height).fps(rate).par(aspect);
    // What larod's own conversion takes a camera's NV12 for.
    let colour = gst_video::VideoColorimetry::new(
        gst_video::VideoColorRange::Range16_235,
        gst_video::VideoColorMatrix::Bt601,
        gst_video::VideoTransferFunction::Unknown,
        gst_video::VideoColorPrimaries::Unknown,
    );
    let info = if shape.format == Format::Nv12 { info.colorimetry(&colour) } else { info };
    info.build().ok()?.to_caps().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

mod imp {
    use std::result::Result;

    use super::*;

    /// State of the element.
    pub struct VdoSrc {
        settings: Mutex<Settings>,
        /// What the next start takes in place of a new stream.
        given: Mutex<Option<(Arc<Stream>, Shape)>>,
        open: Mutex<Option<(Arc<Stream>, Shape)>>,
        flushing: AtomicBool,
        /// Readable while flushing; none where the system gave no descriptor.
        wake: Option<OwnedFd>,
    }

    impl Default for VdoSrc {
        fn default() -> Self {
            Self {
                settings: Mutex::default(),
                given: Mutex::default(),
                open: Mutex::default(),
                flushing: AtomicBool::new(false),
                wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok(),
            }
        }
    }

    /// The properties; what is below 0 or 0 is not said.
    struct Settings {
        channel: i32,
        input: i32,
        format: Format,
        width: u32,
        height: u32,
        rate: f64,
        buffers: u32,
        rotation: i32,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self {
                channel: -1,
                input: -1,
                format: Format::Nv12,
                width: 0,
                height: 0,
                rate: 30.0,
                buffers: BUFFERS,
                rotation: -1,
            }
        }
    }

    impl Settings {
        fn request(&self) -> Request {
            let view = match (u32::try_from(self.channel), u32::try_from(self.input)) {
                (Ok(channel), _) => View::Channel(channel),
                (_, Ok(input)) => View::Input(input),
                _ => View::Input(1),
            };
            Request {
                view,
                format: self.format,
                size: (self.width > 0 && self.height > 0).then_some((self.width, self.height)),
                rate: self.rate,
                buffers: self.buffers,
                rotation: u32::try_from(self.rotation).ok(),
            }
        }
    }

    impl VdoSrc {
        /// The stream for the next start.
        pub fn give(&self, opened: (Arc<Stream>, Shape)) {
            *lock(&self.given) = Some(opened);
        }

        /// Says on the bus what the camera refused.
        fn report(&self, failure: &Failure) -> gst::FlowError {
            let text = failure.to_string();
            gst::element_imp_error!(self, gst::ResourceError::Read, ("{text}"));
            gst::FlowError::Error
        }

        /// The next frame.
        fn wait(&self, stream: &Arc<Stream>) -> Result<Buffer, gst::FlowError> {
            let mut announced = false;
            loop {
                if self.flushing.load(Ordering::Acquire) {
                    return Err(gst::FlowError::Flushing);
                }
                match stream.frame() {
                    Ok(buffer) => return Ok(buffer),
                    Err(Failure { code: sys::VDO_ERROR_NO_DATA, .. }) => {}
                    Err(failure) => return Err(self.report(&failure)),
                }
                // Where a frame is announced and not there, the descriptor would end each wait at once.
                if announced {
                    std::thread::sleep(PAUSE);
                }
                announced = self.sleep(stream);
            }
        }

        /// Until there may be a frame (true), or the element is to stop.
        fn sleep(&self, stream: &Stream) -> bool {
            let wake = self.wake.as_ref().map(|wake| PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
            let frames = stream.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let mut both: Vec<PollFd<'_>> = frames.into_iter().chain(wake).collect();
            // An interrupted wait is only shorter.
            let _ = poll(&mut both, Some(&WAIT));
            both.first().is_some_and(|fd| !fd.revents().is_empty())
        }

        fn wrap(&self, vdo: Buffer, shape: &Shape) -> Result<gst::Buffer, gst::FlowError> {
            let fail = |text: String| Err(self.report(&Failure { code: 0, text }));
            let (offsets, needed) = shape.planes();
            if vdo.capacity < needed {
                return fail(format!(
                    "a frame of {}x{} pixels with rows {} bytes apart came in a buffer of {} bytes",
                    shape.width, shape.height, shape.pitch, vdo.capacity
                ));
            }
            if shape.format == Format::Jpeg && vdo.size > vdo.capacity {
                return fail(format!("a picture of {} bytes came in a buffer of {}", vdo.size, vdo.capacity));
            }
            let timestamp = vdo.timestamp;
            let memory = SharedMemory {
                fd: vdo.fd,
                offset: u64::try_from(vdo.offset).unwrap_or(0),
                size: vdo.capacity,
                buffer: vdo.number,
                dma_buf: match shape.memory {
                    Memory::DmaBuf => true,
                    Memory::Vmem => false,
                    Memory::Unsaid => vdo.dma_buf,
                },
            };
            let size = if shape.format == Format::Jpeg { vdo.size } else { needed };
            let mut buffer = gst::Buffer::from_slice(vdo);
            let Some(writable) = buffer.get_mut() else { return Err(gst::FlowError::Error) };
            writable.set_size(size);
            // Where the pipeline started between capture and now, the frame is from before its time.
            let base = self.obj().base_time().unwrap_or_default();
            writable.set_pts(gst::ClockTime::from_useconds(timestamp).saturating_sub(base));
            writable.set_duration(gst::ClockTime::SECOND.mul_div_floor(1000, (shape.rate * 1000.0) as u64));
            let described = if shape.format == Format::Jpeg {
                true
            } else {
                let planes = match shape.format {
                    Format::Nv12 => 2,
                    Format::PlanarRgb => 3,
                    Format::Rgb | Format::Jpeg => 1,
                };
                let strides = [i32::try_from(shape.pitch).unwrap_or(i32::MAX); 3];
                gst_video::VideoMeta::add_full(
                    writable,
                    gst_video::VideoFrameFlags::empty(),
                    video_format(shape.format),
                    shape.width,
                    shape.height,
                    &offsets[..planes],
                    &strides[..planes],
                )
                .is_ok()
            };
            if !described || annotate(writable, &memory, timestamp).is_none() {
                return Err(gst::FlowError::Error);
            }
            Ok(buffer)
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for VdoSrc {
        const NAME: &'static str = "SpotterVdoSrc";
        type Type = super::VdoSrc;
        type ParentType = gst_base::PushSrc;
    }

    impl ObjectImpl for VdoSrc {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                let int = |name: &'static str, blurb: &'static str| {
                    glib::ParamSpecInt::builder(name)
                        .blurb(blurb)
                        .minimum(-1)
                        .default_value(-1)
                        .mutable_ready()
                        .build()
                };
                let uint = |name: &'static str, blurb: &'static str, default: u32| {
                    glib::ParamSpecUInt::builder(name)
                        .blurb(blurb)
                        .default_value(default)
                        .mutable_ready()
                        .build()
                };
                vec![
                    int("channel", "Channel: 0 the overview, from 1 on view areas; -1 for an input"),
                    int("input", "Whole sensor, from 1 on; where no channel is said"),
                    glib::ParamSpecString::builder("format")
                        .blurb("nv12, rgb, planar-rgb or jpeg")
                        .default_value(Some(Format::Nv12.word()))
                        .mutable_ready()
                        .build(),
                    uint("width", "Columns before the picture is turned; 0 for the camera's choice", 0),
                    uint("height", "Rows before the picture is turned; 0 for the camera's choice", 0),
                    glib::ParamSpecDouble::builder("framerate")
                        .blurb("Frames a second; may change while it plays")
                        .minimum(0.001)
                        .maximum(1000.0)
                        .default_value(30.0)
                        .mutable_playing()
                        .build(),
                    uint("buffers", "How many buffers the camera fills in turn", BUFFERS),
                    int("rotation", "How the picture is turned, in degrees; -1 as the camera is set"),
                ]
            });
            &PROPERTIES
        }

        // GLib asks for the properties above alone, and with values of their types.
        fn set_property(&self, _id: usize, value: &glib::Value, property: &glib::ParamSpec) {
            let mut settings = lock(&self.settings);
            let int = || value.get().unwrap_or(-1);
            match property.name() {
                "channel" => settings.channel = int(),
                "input" => settings.input = int(),
                "format" => {
                    let word: Option<String> = value.get().unwrap_or_default();
                    match word.unwrap_or_default().parse() {
                        Ok(format) => settings.format = format,
                        Err(text) => gst::warning!(DEBUG, imp = self, "{text}"),
                    }
                }
                "width" => settings.width = value.get().unwrap_or_default(),
                "height" => settings.height = value.get().unwrap_or_default(),
                "buffers" => settings.buffers = value.get().unwrap_or(BUFFERS),
                "rotation" => settings.rotation = int(),
                _ => {
                    settings.rate = value.get().unwrap_or(30.0);
                    let rate = settings.rate;
                    drop(settings);
                    if let Some((stream, _)) = &*lock(&self.open)
                        && let Err(failure) = stream.set_frame_rate(rate)
                    {
                        // It goes on at the rate before; only more is thrown away.
                        log::debug!("the camera does not change the frame rate: {failure}");
                    }
                }
            }
        }

        fn property(&self, _id: usize, property: &glib::ParamSpec) -> glib::Value {
            let settings = lock(&self.settings);
            match property.name() {
                "channel" => settings.channel.to_value(),
                "input" => settings.input.to_value(),
                "format" => settings.format.word().to_value(),
                "width" => settings.width.to_value(),
                "height" => settings.height.to_value(),
                "buffers" => settings.buffers.to_value(),
                "rotation" => settings.rotation.to_value(),
                _ => settings.rate.to_value(),
            }
        }

        fn constructed(&self) {
            self.parent_constructed();
            let element = self.obj();
            element.set_live(true);
            element.set_format(gst::Format::Time);
            element.set_do_timestamp(false);
        }
    }

    static DEBUG: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
        gst::DebugCategory::new(NAME, gst::DebugColorFlags::empty(), Some("the camera's video"))
    });

    impl GstObjectImpl for VdoSrc {}

    impl ElementImpl for VdoSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Camera video",
                    "Source/Video",
                    "Frames of the camera's own video capture, without a copy",
                    env!("CARGO_PKG_NAME"),
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let formats = [VideoFormat::Nv12, VideoFormat::Rgb, VideoFormat::Rgbp];
                let mut caps = gst_video::VideoCapsBuilder::new().format_list(formats).build();
                if let Some(caps) = caps.get_mut() {
                    caps.append(gst::Caps::new_empty_simple("image/jpeg"));
                }
                let template =
                    gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps);
                // Without it the element has no pad, and linking says so.
                template.into_iter().collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for VdoSrc {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            if let Some(opened) = lock(&self.given).take() {
                *lock(&self.open) = Some(opened);
                return Ok(());
            }
            let request = lock(&self.settings).request();
            let broken = |text: String| gst::error_msg!(gst::ResourceError::OpenRead, ("{text}"));
            let functions = sys::library().map_err(|error| broken(error.to_string()))?;
            let refused = |failure: Failure| broken(failure.to_string());
            // How it is turned may have changed since the last time.
            let sensor: Sensor = stream::sensor(functions, request.view, request.format).map_err(refused)?;
            *lock(&self.open) = Some(stream::open(functions, &request, &sensor).map_err(refused)?);
            Ok(())
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            // The stream itself ends with the last of its frames.
            *lock(&self.open) = None;
            Ok(())
        }

        fn is_seekable(&self) -> bool {
            false
        }

        fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
            let known = lock(&self.open).as_ref().and_then(|(_, shape)| caps(shape));
            let Some(known) = known else { return self.parent_caps(filter) };
            Some(filter.map_or_else(
                || known.clone(),
                |filter| filter.intersect_with_mode(&known, gst::CapsIntersectMode::First),
            ))
        }

        fn unlock(&self) -> Result<(), gst::ErrorMessage> {
            self.flushing.store(true, Ordering::Release);
            if let Some(wake) = &self.wake {
                // A counter that is full is readable too.
                let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
            }
            Ok(())
        }

        fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
            self.flushing.store(false, Ordering::Release);
            if let Some(wake) = &self.wake {
                let _ = rustix::io::read(wake, &mut [0u8; 8]);
            }
            Ok(())
        }

        fn query(&self, query: &mut gst::QueryRef) -> bool {
            if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
                let Some((_, shape)) = *lock(&self.open) else { return false };
                let rate = (shape.rate * 1000.0).max(1.0) as u64;
                let frame = gst::ClockTime::SECOND.mul_div_floor(1000, rate).unwrap_or_default();
                let buffers = u64::from(lock(&self.settings).buffers);
                latency.set(true, frame, frame.checked_mul(buffers));
                return true;
            }
            BaseSrcImplExt::parent_query(self, query)
        }
    }

    impl PushSrcImpl for VdoSrc {
        fn create(&self, _: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
            let open = lock(&self.open).clone();
            let (stream, shape) = open.ok_or(gst::FlowError::NotNegotiated)?;
            let vdo = self.wait(&stream)?;
            self.wrap(vdo, &shape).map(CreateSuccess::NewBuffer)
        }
    }
}
