//! The pictures with what was found drawn into them, as a clip (`--record`).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app::{AppSrc, AppStreamType};

use super::container::{self, Container, Player};
use crate::base::error::{Error, Kind, Result};
use crate::capture::gst_source;
use crate::preprocess::I420Buffer;
use crate::publish::recorder::Recorder;

/// Pictures that may wait for the encoder; with more, new ones are left out: nobody waits for a disk.
const QUEUE: u64 = 16;
/// The rate for which the encoder's bits are reckoned.
const RATE: f64 = 25.0;
/// From one picture to the next at most: time in which no frames came is not in the clip.
const LONGEST: Duration = Duration::from_secs(2);
/// For the encoder to end; a signal leaves less than a second for everything.
const LAST_WAIT: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// A clip that is being written.
pub struct Record {
    path: PathBuf,
    container: &'static Container,
    running: Option<Running>,
    failed: bool,
    lost: u64,
}

struct Running {
    pipeline: Player,
    source: AppSrc,
    size: (usize, usize),
    last: SystemTime,
    time: Duration,
}

impl Record {
    /// A clip at `path`, which begins with the first picture.
    ///
    /// # Errors
    /// `Kind::Usage` where its extension is no clip's; `Kind::Output` where it cannot be written.
    pub fn new(path: &Path) -> Result<Self> {
        gst_source::init()?;
        let container = container::of(path)?;
        container.encoder((64, 64), RATE, true)?;
        std::fs::File::create(path).map_err(|error| {
            let text = format!("cannot write {}; check the folder and its permissions", path.display());
            Error::new(Kind::Output, text).caused_by(error)
        })?;
        Ok(Self { path: path.to_owned(), container, running: None, failed: false, lost: 0 })
    }

    fn try_add(&mut self, picture: &I420Buffer, captured: SystemTime) -> Result<()> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(start(&self.path, self.container, picture.size(), captured)?),
        };
        if let Some(why) = running.failure() {
            return Err(unwritten(&self.path, &why));
        }
        let planes = [picture.y(), picture.u(), picture.v()];
        let size = planes.iter().map(|plane| plane.len() as u64).sum::<u64>();
        if running.source.current_level_bytes() >= QUEUE * size {
            if self.lost == 0 {
                log::warn!(
                    "{}: pictures come faster than they can be encoded; some are left out",
                    self.path.display()
                );
            }
            self.lost += 1;
            return Ok(());
        }
        let passed = captured.duration_since(running.last).unwrap_or_default();
        running.time += passed.clamp(Duration::from_millis(1), LONGEST);
        running.last = captured;
        let mut buffer = gst::Buffer::from_mut_slice(planes.concat());
        // Just made, and nobody else has it.
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::try_from(running.time).ok());
        }
        running.source.push_buffer(buffer).map_err(|error| unwritten(&self.path, &error.to_string()))?;
        Ok(())
    }
}

impl Recorder for Record {
    fn size(&self, (width, height): (usize, usize)) -> (usize, usize) {
        let even = |side: usize| (side & !1).max(2);
        self.running.as_ref().map_or((even(width), even(height)), |running| running.size)
    }

    fn add(&mut self, picture: &I420Buffer, captured: SystemTime) {
        if self.failed {
            self.lost += 1;
            return;
        }
        if let Err(error) = self.try_add(picture, captured) {
            log::error!("{error}; recording ends here, detection goes on");
            self.failed = true;
            self.lost += 1;
        }
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Some(running) = &self.running else { return Ok(()) };
        if self.failed {
            let text = format!("{}: the last {} pictures are not in it", self.path.display(), self.lost);
            return Err(Error::new(Kind::Output, text));
        }
        let _ = running.source.end_of_stream();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = running.pipeline.0.bus().and_then(|bus| bus.timed_pop_filtered(LAST_WAIT, &kinds));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(error)) => Err(unwritten(&self.path, error.error().message())),
            _ => Err(unwritten(
                &self.path,
                "the encoder did not end in time; the end of the clip may be missing",
            )),
        }
    }
}

fn unwritten(path: &Path, why: &str) -> Error {
    Error::new(Kind::Output, format!("cannot write {}: {}", path.display(), why.trim_end_matches('.')))
}

fn start(path: &Path, container: &Container, size: (usize, usize), captured: SystemTime) -> Result<Running> {
    let broken =
        |error: gst::glib::Error| unwritten(path, "cannot put the pipeline together").caused_by(error);
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let encoder = container.encoder((side(size.0), side(size.1)), RATE, true)?;
    // What is drawn into is JFIF's full range; other codecs have the range of video.
    let range = match container.full_range {
        // It knows no times, only a rate.
        true => " ! videorate ! video/x-raw,framerate=25/1",
        false => " ! video/x-raw,format=I420,colorimetry=bt709",
    };
    let text = format!(
        "appsrc name=pictures format=time is-live=true ! videoconvert{range} ! {encoder} ! {} ! filesink name=file",
        container.open_muxer
    );
    let pipeline = gst::parse::launch(&text).map_err(broken)?;
    let pipeline =
        pipeline.downcast::<gst::Pipeline>().map_err(|_| unwritten(path, "GStreamer made no pipeline"))?;
    let pipeline = Player(pipeline);
    if let Some(file) = pipeline.0.by_name("file") {
        file.set_property("location", path.to_string_lossy().as_ref());
        // Nothing is shown: pictures are written as they come.
        file.set_property("sync", false);
    }
    let source = pipeline.0.by_name("pictures").and_then(|element| element.downcast::<AppSrc>().ok());
    let source = source.ok_or_else(|| unwritten(path, "GStreamer has no appsrc"))?;
    source.set_stream_type(AppStreamType::Stream);
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", size.0 as i32)
        .field("height", size.1 as i32)
        .field("framerate", gst::Fraction::new(0, 1))
        .field("colorimetry", "1:4:0:0")
        .build();
    source.set_caps(Some(&caps));
    let running = Running { pipeline, source, size, last: captured, time: Duration::ZERO };
    if running.pipeline.0.set_state(gst::State::Playing).is_err() {
        let why = running.failure().unwrap_or_else(|| "the encoder does not start".to_owned());
        return Err(unwritten(path, &why));
    }
    Ok(running)
}

impl Running {
    /// What has gone wrong in the pipeline.
    fn failure(&self) -> Option<String> {
        let message = self.pipeline.0.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(error.error().message().to_owned()),
            _ => None,
        }
    }
}
