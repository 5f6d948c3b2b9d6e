//! The demo scene as a clip, through GStreamer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;

use super::args::DemoArgs;
use super::coco::{Truth, unwritten};
use crate::base::atomic_file::Part;
use crate::base::clock::Stop;
use crate::base::error::{Error, Kind, Result};
use crate::capture::demo::element;
use crate::capture::demo::spec::{DemoSpec, FPS, SIZE};
use crate::capture::gst_source;
use crate::cli::answers::Progress;
use crate::cli::signals::stop_on_signals;
use crate::publish::container::{self, Player};

/// How long a clip is where nobody says.
const SECONDS: u32 = 20;
/// Frames of a clip at most: what comes near it is a mistake.
const MOST_FRAMES: i32 = 1_000_000;
/// How often the stop flag is looked at.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// Writes the clip and, where it is wanted, its truth; all of it or, where it fails or is stopped, nothing.
///
/// # Errors
/// [`Kind::Usage`] for what cannot be a clip; [`Kind::Output`] where it cannot be written or a signal
/// comes.
pub(super) fn write(args: &DemoArgs, path: &Path) -> Result<()> {
    gst_source::init()?;
    let container = container::of(path)?;
    let spec = DemoSpec { seed: args.seed, size: args.size.unwrap_or(SIZE), fps: args.fps.unwrap_or(FPS) };
    let (width, height) = spec.size;
    if width % 2 + height % 2 > 0 {
        let text = format!("a clip has even sides, and {width}x{height} has an odd one; give another --size");
        return Err(Error::new(Kind::Usage, text));
    }
    let seconds = args.seconds.unwrap_or(SECONDS);
    let frames = (f64::from(seconds) * f64::from(spec.fps.0) / f64::from(spec.fps.1)).round().max(1.0) as i32;
    if frames > MOST_FRAMES {
        let text = format!("{seconds} s are {frames} frames at this rate; a clip has at most {MOST_FRAMES}");
        return Err(Error::new(Kind::Usage, text));
    }
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    let part = Part::new(path).map_err(|error| unwritten(path, error))?;
    let rate = f64::from(spec.fps.0) / f64::from(spec.fps.1);
    let chain = format!("{} ! {}", container.encoder((width, height), rate, false)?, container.muxer);
    let truth = Recorder { path, frames, stop: &stop }.record(&spec, &chain, part.path())?;

    let truth_part =
        args.truth.as_deref().map(|path| truth.part(path).map(|part| (path, part))).transpose()?;
    part.place().map_err(|error| unwritten(path, error))?;
    if let Some((path, part)) = truth_part {
        part.place().map_err(|error| unwritten(path, error))?;
    }
    let codec = chain.split(' ').next().unwrap_or_default();
    log::info!("{} frames in {} ({codec})", truth.pictures(), path.display());
    Ok(())
}

/// Plays the demo scene into a file.
struct Recorder<'a> {
    /// The clip, for messages.
    path: &'a Path,
    frames: i32,
    stop: &'a Stop,
}

impl Recorder<'_> {
    /// Writes the clip to `to`, and gives what is in it.
    fn record(&self, spec: &DemoSpec, chain: &str, to: &Path) -> Result<Truth> {
        let wiring =
            |error: gst::glib::Error| self.failed("cannot put the pipeline together").caused_by(error);
        let source = element::source(spec, false)?;
        source.set_property("num-buffers", self.frames);
        // Names of files are set, never written into the text: they may have any characters.
        let rest =
            gst::parse::bin_from_description(&format!("videoconvert ! {chain} ! filesink name=file"), true)
                .map_err(wiring)?;
        if let Some(file) = rest.by_name("file") {
            file.set_property("location", to.to_string_lossy().as_ref());
        }
        let pipeline = Player(gst::Pipeline::new());
        pipeline
            .0
            .add_many([&source, rest.upcast_ref()])
            .and_then(|()| source.link_filtered(&rest, &element::caps(spec)))
            .map_err(|error| self.failed("cannot put the pipeline together").caused_by(error))?;
        let truth = Arc::new(Mutex::new(Truth::new(spec.seed)));
        self.watch(&source, spec, &truth);
        self.play(&pipeline.0, &truth)?;
        drop(pipeline);
        let mut truth = truth.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut truth, Truth::new(spec.seed)))
    }

    fn failed(&self, why: impl std::fmt::Display) -> Error {
        Error::new(Kind::Output, format!("cannot write {}: {why}", self.path.display()))
    }

    /// Writes down what is in each frame that leaves the source.
    fn watch(&self, source: &gst::Element, spec: &DemoSpec, truth: &Arc<Mutex<Truth>>) {
        let (truth, size) = (truth.clone(), spec.size);
        let Some(pad) = source.static_pad("src") else { return };
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer() {
                let time = buffer.pts().map_or(Duration::ZERO, Duration::from);
                let mut truth = truth.lock().unwrap_or_else(PoisonError::into_inner);
                truth.add(size, time, &element::truths(buffer, size));
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Plays the pipeline to its end.
    fn play(&self, pipeline: &gst::Pipeline, truth: &Mutex<Truth>) -> Result<()> {
        let mut progress = Progress::new(self.frames as usize);
        let Some(bus) = pipeline.bus() else { return Err(self.failed("the pipeline has no bus")) };
        // Why a change of state failed is on the bus.
        let started = pipeline.set_state(gst::State::Playing);
        loop {
            let message = bus.timed_pop_filtered(POLL, &[gst::MessageType::Eos, gst::MessageType::Error]);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Eos(_)) => return Ok(()),
                Some(gst::MessageView::Error(message)) => {
                    let (error, debug) = (message.error(), message.debug());
                    log::debug!("GStreamer: {error} ({})", debug.as_deref().unwrap_or(""));
                    return Err(self.failed(error.message().trim_end_matches('.')));
                }
                _ if self.stop.is_set() => {
                    return Err(Error::new(Kind::Output, "stopped by a signal; nothing was written"));
                }
                _ if started.is_err() => return Err(self.failed("the encoder does not start")),
                _ => progress.at(truth.lock().unwrap_or_else(PoisonError::into_inner).pictures()),
            }
        }
    }
}
