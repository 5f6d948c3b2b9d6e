//! Any source that GStreamer can read.
//!
//! Frames stay as the decoder made them: the converter in the pipeline passes the formats of
//! [`pixels::FORMATS`] through and only touches others (10-bit video, palettes).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::container::{CutOff, cut_off};
use super::decoder::{self, Use, element};
#[cfg(feature = "desktop")]
use super::demo;
use super::vdo;
use super::vdo::frame_rate::{RateController, Workload};
use super::{FrameSource, Next, Pace, SourceSpec, pixels};
use crate::base::error::{Error, Kind, Result};
use crate::base::secrets::without_logins;
use crate::vision::frame::{Frame, FrameLayout};

/// How long a source may take to show its caps or to fail.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// A capture time further back than this is a clock gone wrong, not a delay.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Starts GStreamer, once for the process, and makes Spotter's own elements known to it.
///
/// # Errors
/// `Kind::Source` where it cannot.
pub fn init() -> Result<()> {
    gst::init().map_err(|error| Error::new(Kind::Source, "GStreamer does not start").caused_by(error))?;
    let elements = [
        #[cfg(feature = "desktop")]
        (demo::element::NAME, demo::element::register()),
        (vdo::element::NAME, vdo::element::register()),
    ];
    match elements.iter().find(|(_, registered)| !registered) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Error::new(Kind::Internal, format!("GStreamer does not take the element {name}")))
        }
    }
}

/// A running GStreamer pipeline that ends in an appsink.
pub struct GstSource {
    spec: SourceSpec,
    pace: Pace,
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    cut_off: Option<CutOff>,
    caps: Option<(gst::Caps, gst_video::VideoInfo, FrameLayout)>,
    camera: Option<Camera>,
    waiting_since: Option<Instant>,
    frames: u64,
}

/// The camera's video, whose rate follows detection.
struct Camera {
    element: vdo::element::VdoSrc,
    /// What its frames are.
    detail: String,
    controller: RateController,
    workload: Option<Arc<Workload>>,
}

impl Camera {
    /// Asks for more or fewer frames where detection has become faster or slower.
    fn follow(&mut self) {
        let Some(mean) = self.workload.as_ref().and_then(|workload| workload.take()) else { return };
        let before = self.controller.rate();
        if let Some(rate) = self.controller.update(mean, Instant::now()) {
            log::info!(
                "detection takes {:.0} ms a frame: {rate:.1} frames a second, not {before:.1}",
                mean.as_secs_f64() * 1e3
            );
            self.element.set_property("framerate", rate);
        }
    }
}

impl Drop for GstSource {
    fn drop(&mut self) {
        // A pipeline that is dropped while it plays leaks its threads. A failure changes nothing here.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// What a file is decoded for.
fn use_of(pace: Pace) -> Use {
    if pace == Pace::Real { Use::Paced } else { Use::Unpaced }
}

fn wiring(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Internal, "the GStreamer pipeline cannot be put together").caused_by(error)
}

fn appsink(spec: &SourceSpec, pace: Pace) -> gst_app::AppSink {
    let caps = match spec {
        #[cfg(feature = "desktop")]
        SourceSpec::Demo(spec) => demo::element::caps(spec),
        _ => {
            let formats = pixels::FORMATS.iter().map(|format| format.to_str().as_str());
            gst::Caps::builder("video/x-raw").field("format", gst::List::new(formats)).build()
        }
    };
    let paced = pace == Pace::Real;
    gst_app::AppSink::builder()
        .caps(&caps)
        // A live source is paced by what it sends; waiting for the clock would only add delay.
        .sync(paced && !spec.kind().is_live())
        // Nothing is dropped here, where it would not be counted: the capture thread takes each frame at
        // once, and what is too much is dropped (and counted) behind it.
        .max_buffers(4)
        .drop(false)
        .enable_last_sample(false)
        .build()
}

/// A pipeline of the camera's video. No element of any plugin: this runs wherever GStreamer itself does.
fn build_camera(
    spec: &vdo::spec::VdoSpec,
    sink: gst_app::AppSink,
) -> Result<(gst::Pipeline, gst_app::AppSink, Camera)> {
    let sensor = vdo::sensor(spec, spec.format.unwrap_or(vdo::spec::Format::Nv12))?;
    let (element, shape) = vdo::source(&sensor.requests(spec), &sensor)?;
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([element.upcast_ref::<gst::Element>(), sink.upcast_ref()]).map_err(wiring)?;
    element.link(&sink).map_err(wiring)?;
    // No more than it gives.
    let controller = RateController::new(spec.rate().min(shape.rate));
    Ok((pipeline, sink, Camera { element, detail: shape.detail(), controller, workload: None }))
}

fn build(spec: &SourceSpec, pace: Pace) -> Result<(gst::Pipeline, gst_app::AppSink)> {
    let pipeline = gst::Pipeline::new();
    let sink = appsink(spec, pace);
    #[cfg(feature = "desktop")]
    if let SourceSpec::Demo(spec) = spec {
        // No element of any plugin: this runs wherever GStreamer itself does.
        let source = demo::element::source(spec, pace == Pace::Real)?;
        pipeline.add_many([&source, sink.upcast_ref()]).map_err(wiring)?;
        source.link(&sink).map_err(wiring)?;
        return Ok((pipeline, sink));
    }
    let convert = element("videoconvert")?;
    let mut chain = vec![convert, sink.clone().upcast()];
    if let Ok(flip) = element("videoflip") {
        decoder::turn_where_a_tag_says_so(&flip);
        chain.insert(0, flip);
    }
    pipeline.add_many(&chain).map_err(wiring)?;
    gst::Element::link_many(&chain).map_err(wiring)?;
    let first = chain[0].clone();
    match spec {
        SourceSpec::File(path) => {
            pipeline.add(&decoder::of_uri(&file_uri(path)?, use_of(pace), &first)?).map_err(wiring)?;
        }
        SourceSpec::Uri(uri) => pipeline.add(&decoder::of_uri(uri, Use::Live, &first)?).map_err(wiring)?,
        SourceSpec::Device(path) => {
            let device = element("v4l2src")?;
            device.set_property("device", path.to_string_lossy().as_ref());
            let decoder = element("decodebin")?;
            decoder::tune(&decoder, Use::Live);
            decoder::link_first_video_pad(&decoder, &first);
            pipeline.add_many([&device, &decoder]).map_err(wiring)?;
            device.link(&decoder).map_err(wiring)?;
        }
        SourceSpec::Test => {
            let test = element("videotestsrc")?;
            test.set_property("is-live", pace == Pace::Real);
            test.set_property_from_str("pattern", "ball");
            let caps = gst_video::VideoCapsBuilder::new()
                .format(gst_video::VideoFormat::Nv12)
                .width(1280)
                .height(720)
                .framerate(gst::Fraction::new(25, 1))
                .build();
            pipeline.add(&test).map_err(wiring)?;
            test.link_filtered(&first, &caps).map_err(wiring)?;
        }
        // Linked elsewhere.
        #[cfg(feature = "desktop")]
        SourceSpec::Demo(_) => {}
        SourceSpec::Vdo(_) => {}
    }
    Ok((pipeline, sink))
}

/// Lets the threads of a pipeline that decodes ahead give way to inference: they have frames in reserve
/// and take the time that is left over.
fn give_way(pipeline: &gst::Pipeline) {
    /// Half as urgent as a normal thread, about.
    const NICE: i32 = 4;
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(|_, message| {
        // The message is posted by the thread that it is about.
        if let gst::MessageView::StreamStatus(status) = message.view()
            && status.get().0 == gst::StreamStatusType::Enter
        {
            // Without the right to do so it runs as it was.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        }
        gst::BusSyncReply::Pass
    });
}

fn file_uri(path: &std::path::Path) -> Result<String> {
    let absolute: PathBuf = std::path::absolute(path).map_err(|error| {
        Error::new(Kind::Source, format!("cannot find {}", path.display())).caused_by(error)
    })?;
    gst::glib::filename_to_uri(&absolute, None)
        .map(|uri| uri.to_string())
        .map_err(|error| Error::new(Kind::Source, format!("cannot read {}", path.display())).caused_by(error))
}

impl GstSource {
    /// Opens a source and waits until it is known to give video.
    ///
    /// # Errors
    /// `Kind::Source` with what is wrong with it.
    pub fn open(spec: &SourceSpec, pace: Pace) -> Result<Self> {
        init()?;
        spec.check()?;
        let cut_off = match spec {
            SourceSpec::File(path) => cut_off(path),
            _ => None,
        };
        let (pipeline, sink, camera) = match spec {
            SourceSpec::Vdo(camera) => {
                let built = build_camera(camera, appsink(spec, pace));
                built.map(|(pipeline, sink, camera)| (pipeline, sink, Some(camera)))
            }
            _ => build(spec, pace).map(|(pipeline, sink)| (pipeline, sink, None)),
        }?;
        if pace == Pace::Unpaced {
            give_way(&pipeline);
        }
        let source = Self {
            spec: spec.clone(),
            pace,
            pipeline,
            sink,
            cut_off,
            caps: None,
            camera,
            waiting_since: None,
            frames: 0,
        };
        source.start()?;
        Ok(source)
    }

    fn start(&self) -> Result<()> {
        // The cause of a failed change of state is on the bus; `next` reads it there.
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.bus_error().unwrap_or_else(|| self.error("it does not start")));
        }
        Ok(())
    }

    /// An error about this source: "SOURCE: WHAT".
    fn error(&self, what: &str) -> Error {
        Error::new(Kind::Source, format!("cannot play {}: {what}", self.spec))
    }

    /// The error of a file that was cut off, where it was.
    fn cut_off_error(&self) -> Option<Error> {
        let cut = self.cut_off?;
        let message = format!(
            "{} is cut off: its container says {} bytes, the file has {} ({} frames could be read); copy it again",
            self.spec, cut.declared, cut.actual, self.frames
        );
        Some(Error::new(Kind::Source, message))
    }

    /// The first error on the bus, as a sentence.
    fn bus_error(&self) -> Option<Error> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(message) = message.view() else { return None };
        let (error, debug) = (message.error(), message.debug());
        let debug = debug.as_deref().unwrap_or("");
        log::debug!("GStreamer: {}", without_logins(&format!("{error} ({debug})")));
        if let Some(cut) = self.cut_off_error() {
            return Some(cut);
        }
        Some(self.error(&without_logins(&explain(&self.spec, self.frames, &error, debug))))
    }

    /// Maps a sample and gives it its times.
    fn frame(&mut self, sample: &gst::Sample) -> Result<Frame> {
        let caps = sample.caps().ok_or_else(|| self.error("a frame came without a format"))?;
        if self.caps.as_ref().is_none_or(|(known, ..)| known.as_ptr() != caps.as_ptr()) {
            let info = gst_video::VideoInfo::from_caps(caps)
                .map_err(|error| self.error("its frames have no format Spotter knows").caused_by(error))?;
            let layout = pixels::layout(&info)?;
            self.caps = Some((caps.to_owned(), info, layout));
        }
        let Some((_, info, layout)) = &self.caps else {
            return Err(self.error("a frame came without a format"));
        };
        let buffer = sample.buffer_owned().ok_or_else(|| self.error("a frame came without pixels"))?;
        let pts = buffer.pts();
        let origin = vdo::element::origin(&buffer);
        let pixels = pixels::map(buffer, info, origin.map(|(memory, _)| memory))?;
        let mut frame = Frame::now(0, *layout, pixels);
        // The camera's own time: its compressed pictures have the same.
        frame.pts = origin.map_or(pts.map(Duration::from), |(_, time)| Some(Duration::from_micros(time)));
        let waited = self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        frame.capture = if self.pace == Pace::Real { self.delay(sample, pts) } else { waited };
        if self.pace == Pace::Real {
            frame.captured = SystemTime::now() - frame.capture;
        }
        self.frames += 1;
        Ok(frame)
    }

    /// How long ago, by the pipeline's clock, the frame was captured or due.
    fn delay(&self, sample: &gst::Sample, pts: Option<gst::ClockTime>) -> Duration {
        let due = sample
            .segment()
            .and_then(|segment| segment.downcast_ref::<gst::ClockTime>())
            .and_then(|segment| segment.to_running_time(pts));
        match (self.pipeline.current_running_time(), due) {
            (Some(now), Some(due)) => Duration::from(now.saturating_sub(due)).min(LONGEST_DELAY),
            _ => Duration::ZERO,
        }
    }
}

impl FrameSource for GstSource {
    fn next(&mut self, time: Duration) -> Result<Next> {
        if let Some(camera) = &mut self.camera {
            camera.follow();
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let timeout = gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        if let Some(sample) = self.sink.try_pull_sample(timeout) {
            return self.frame(&sample).map(Next::Frame);
        }
        if let Some(error) = self.bus_error() {
            return Err(error);
        }
        if self.sink.is_eos() {
            return self.cut_off_error().map_or(Ok(Next::End), Err);
        }
        if self.frames == 0 && !self.spec.kind().is_live() && since.elapsed() > OPEN_TIMEOUT {
            return Err(self.error("it gave no frame within 20 s"));
        }
        Ok(Next::Nothing)
    }

    fn rewind(&mut self) -> Result<()> {
        self.waiting_since = None;
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT;
        if self.frames > 1 && self.pipeline.seek_simple(flags, gst::ClockTime::ZERO).is_ok() {
            return Ok(());
        }
        // Stills and streams without an index cannot seek: start anew.
        *self = Self::open(&self.spec.clone(), self.pace)?;
        Ok(())
    }

    fn follow(&mut self, workload: Arc<Workload>) {
        if let Some(camera) = &mut self.camera {
            camera.workload = Some(workload);
        }
    }

    fn detail(&self) -> Option<String> {
        self.camera.as_ref().map(|camera| camera.detail.clone())
    }

    fn frame_rate(&self) -> Option<f64> {
        if let Some(camera) = &self.camera {
            return Some(camera.controller.rate());
        }
        let (_, info, _) = self.caps.as_ref()?;
        let fps = info.fps();
        (fps.numer() > 0 && fps.denom() > 0).then(|| f64::from(fps.numer()) / f64::from(fps.denom()))
    }
}

/// What a GStreamer error means to a user, without the name of the source.
fn explain(spec: &SourceSpec, frames: u64, error: &gst::glib::Error, debug: &str) -> String {
    let missing =
        error.matches(gst::CoreError::MissingPlugin) || error.matches(gst::StreamError::CodecNotFound);
    if missing && debug.contains("no suitable plugins found") && !debug.contains("Missing") && frames == 0 {
        return "there is no video stream in it that the installed GStreamer can decode; \
                apt-get install gstreamer1.0-libav adds H.264, H.265 and many others"
            .to_owned();
    }
    if let (SourceSpec::Uri(uri), true) =
        (spec, debug.contains("no URI handler") || error.message().contains("No URI handler"))
    {
        let scheme = uri.split("://").next().unwrap_or_default();
        return format!("Spotter cannot read {scheme}:// addresses; give rtsp://, http:// or a file");
    }
    if missing {
        return format!(
            "a decoder is missing ({}); apt-get install gstreamer1.0-libav gstreamer1.0-plugins-good",
            error.message().trim_end_matches('.')
        );
    }
    let unreadable = error.matches(gst::StreamError::TypeNotFound)
        || error.matches(gst::StreamError::WrongType)
        || error.matches(gst::StreamError::Demux)
        || error.matches(gst::StreamError::Decode)
        || error.matches(gst::StreamError::Format)
        || error.matches(gst::StreamError::Failed);
    let said = error.message().trim_end_matches('.').to_owned();
    match spec {
        SourceSpec::File(_) if unreadable && frames == 0 => {
            format!("it is no video or image that can be read, or it is damaged ({said})")
        }
        SourceSpec::File(_) if unreadable => format!("it is damaged after frame {frames} ({said})"),
        SourceSpec::Uri(_) if frames == 0 => {
            format!("{said}; check the address, user name and password, and that the camera is on")
        }
        _ => said,
    }
}
