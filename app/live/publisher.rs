//! The publishing thread's work: scenes always, pictures while somebody watches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::context::Context;
use super::stats::Stage;
use super::status_report::status_json;
use super::watchdog::WatchedThread;
use crate::base::error::{Error, Result};
use crate::base::slot::{Slot, Taken};
use crate::capture::Pictures;
use crate::preprocess::{I420Buffer, ViewScaler};
use crate::publish::hub::{Hub, PublishedScene, Watch};
use crate::publish::jpeg::JpegEncoder;
use crate::publish::overlay;
use crate::publish::recorder::Recorder;
use crate::scene::Scene;
use crate::vision::frame::Frame;

/// Longest side of a picture for viewers; larger frames are scaled down for them.
const VIEW_LIMIT: f64 = 1280.0;
/// How often a message for the page carries the status.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);
/// How often the page hears from Spotter when no frames come.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long the thread sleeps when nothing happens; bounds the wait of a new viewer for its picture.
const POLL: Duration = Duration::from_millis(100);

/// How long a picture that the source makes by itself is waited for; longer than a camera's encoder takes. The frame
/// is held meanwhile, and a camera has few buffers for frames.
const PICTURE_WAIT: Duration = Duration::from_millis(60);

/// A message for the page: `u32` length of the JSON, `u32` length of the JPEG (little endian), both.
fn message(json: &str, jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + json.len() + jpeg.len());
    // Neither comes near 4 GiB: the JPEG is at most 1280 pixels wide, the JSON a few hundred detections.
    bytes.extend(u32::try_from(json.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(u32::try_from(jpeg.len()).unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(json.as_bytes());
    bytes.extend_from_slice(jpeg);
    bytes
}

/// Size of the picture that viewers get: square pixels, not larger than the limit.
fn view_size(frame: &Frame) -> (usize, usize) {
    let (width, height) = frame.layout.display_size();
    let scale = (VIEW_LIMIT / width.max(height)).min(1.0);
    let side = |side: f64| ((side * scale).round() as usize).max(1);
    (side(width), side(height))
}

/// A recording, and what its pictures are made with.
struct Recording {
    recorder: Box<dyn Recorder>,
    scaler: ViewScaler,
    picture: I420Buffer,
}

impl Recording {
    fn add(&mut self, frame: &Frame, scene: &Scene) -> Result<()> {
        let (width, height) = self.recorder.size(view_size(frame));
        self.scaler.run(frame, width, height, &mut self.picture)?;
        overlay::draw(scene, &mut self.picture);
        self.recorder.add(&self.picture, scene.captured);
        Ok(())
    }
}

/// What was published last, for viewers that come later.
struct Last {
    /// Given back to a source that has few of them.
    frame: Option<Frame>,
    scene: Arc<Scene>,
    published: Arc<PublishedScene>,
}

/// A set of streams, as bits: who has the picture of a frame, or is to get it.
type Streams = u8;
const LIVE: Streams = 1;
const MJPEG: Streams = 2;
const STILL: Streams = 4;

/// The streams that somebody watches.
fn watched(hub: &Hub) -> Streams {
    let all = [(Watch::Live, LIVE), (Watch::Mjpeg, MJPEG), (Watch::Still, STILL)];
    all.into_iter().filter(|(watch, _)| hub.viewers(*watch) > 0).map(|(_, stream)| stream).sum()
}

/// Publishes what was seen.
pub struct Publisher {
    context: Arc<Context>,
    scaler: ViewScaler,
    view: I420Buffer,
    annotated: I420Buffer,
    encoder: JpegEncoder,
    pictures: Option<Box<dyn Pictures>>,
    recording: Option<Recording>,
    last: Option<Last>,
    shown: Streams,
    last_status: Option<Instant>,
    last_message: Instant,
    picture_failed: bool,
}

impl Publisher {
    /// Publishes into the hub, with the pictures that the source makes by itself, and keeps them with `recorder`.
    pub fn new(
        context: Arc<Context>,
        pictures: Option<Box<dyn Pictures>>,
        recorder: Option<Box<dyn Recorder>>,
    ) -> Self {
        let recording = recorder.map(|recorder| Recording {
            recorder,
            scaler: ViewScaler::new(),
            picture: I420Buffer::new(),
        });
        Self {
            context,
            scaler: ViewScaler::new(),
            view: I420Buffer::new(),
            annotated: I420Buffer::new(),
            encoder: JpegEncoder::default(),
            pictures,
            recording,
            last: None,
            shown: 0,
            last_status: None,
            last_message: Instant::now(),
            picture_failed: false,
        }
    }

    /// Publishes what comes through the slot until it is closed.
    ///
    /// # Errors
    /// Where a recording was not kept to its end.
    pub fn run(mut self, slot: &Slot<(Frame, Arc<Scene>)>) -> Result<()> {
        loop {
            self.context.heartbeats.beat(WatchedThread::Publish);
            match slot.take(POLL) {
                Taken::Item((frame, scene)) => {
                    let start = Instant::now();
                    self.publish(frame, scene);
                    self.context.stats.time(Stage::Publish, start.elapsed());
                }
                Taken::Nothing => self.idle(),
                Taken::Closed => break,
            }
        }
        self.heartbeat();
        self.context.hub.close();
        self.recording.map_or(Ok(()), |recording| recording.recorder.finish())
    }

    fn publish(&mut self, frame: Frame, scene: Arc<Scene>) {
        let published = self.context.hub.publish_scene(scene.clone());
        if let Some(recording) = &mut self.recording
            && let Err(error) = recording.add(&frame, &scene)
        {
            self.tell_once(&error);
        }
        // A source whose memory is shared with devices has few buffers: they go back at once.
        let scarce = frame.pixels.shared().is_some();
        self.last = Some(Last { frame: Some(frame), scene, published });
        self.shown = 0;
        self.show();
        if scarce && let Some(last) = &mut self.last {
            last.frame = None;
        }
    }

    fn tell_once(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.picture_failed, true) {
            log::error!("{error}");
        }
    }

    /// Encodes the last frame for those who watch and have not got it.
    fn show(&mut self) {
        let hub = &self.context.hub;
        hub.forget_unwatched();
        let watched = watched(hub);
        // Whoever comes when the last viewer has gone begins anew, also with the same frame.
        self.shown &= watched;
        let wanted = watched & !self.shown;
        if let Some(pictures) = &mut self.pictures {
            pictures.watch(watched & LIVE != 0);
        }
        if wanted == 0 {
            return;
        }
        if let Err(error) = self.encode(wanted) {
            self.tell_once(&error);
            // The page shows boxes without a picture rather than nothing.
            if wanted & LIVE != 0
                && let Some(last) = &self.last
            {
                let text = self.with_status(last.published.json());
                self.send(&text, &[]);
            }
        } else {
            self.picture_failed = false;
        }
        self.shown |= wanted;
    }

    fn encode(&mut self, wanted: Streams) -> Result<()> {
        let Some(Last { frame: Some(frame), scene, published }) = &self.last else { return Ok(()) };
        let made = match (&mut self.pictures, frame.pts) {
            (Some(pictures), Some(time)) if wanted & LIVE != 0 => pictures.of(time, PICTURE_WAIT),
            _ => None,
        };
        if wanted & (MJPEG | STILL) != 0 || made.is_none() {
            let (width, height) = view_size(frame);
            self.scaler.run(frame, width, height, &mut self.view)?;
        }
        if wanted & STILL != 0 {
            let mut jpeg = Vec::new();
            self.encoder.encode(&self.view, &mut jpeg)?;
            self.context.hub.publish_bytes(Watch::Still, jpeg);
        }
        if wanted & MJPEG != 0 {
            self.annotated.clone_from(&self.view);
            overlay::draw(scene, &mut self.annotated);
            let mut jpeg = Vec::new();
            self.encoder.encode(&self.annotated, &mut jpeg)?;
            self.context.hub.publish_bytes(Watch::Mjpeg, jpeg);
        }
        if wanted & LIVE != 0 {
            let counter = if made.is_some() {
                &self.context.stats.pictures_given
            } else {
                &self.context.stats.pictures_made
            };
            counter.fetch_add(1, Ordering::Relaxed);
            let jpeg = match made {
                Some(made) => made,
                None => {
                    let mut jpeg = Vec::new();
                    self.encoder.encode(&self.view, &mut jpeg)?;
                    jpeg.into()
                }
            };
            let with_status = self.last_status.is_none_or(|at| at.elapsed() >= STATUS_INTERVAL);
            let json = published.json();
            let text = if with_status {
                self.last_status = Some(Instant::now());
                self.with_status(json)
            } else {
                format!("{{\"scene\":{json}}}")
            };
            self.send(&text, &jpeg);
        }
        Ok(())
    }

    /// The JSON of a message with this scene (JSON too) and the status.
    fn with_status(&self, scene: &str) -> String {
        format!("{{\"scene\":{scene},\"status\":{}}}", status_json(&self.context))
    }

    fn send(&mut self, json: &str, jpeg: &[u8]) {
        self.context.hub.publish_bytes(Watch::Live, message(json, jpeg));
        self.last_message = Instant::now();
    }

    /// No frame came: serves viewers that came meanwhile, tells the page how things are.
    fn idle(&mut self) {
        let hub = &self.context.hub;
        if watched(hub) == 0 {
            if let Some(pictures) = &mut self.pictures {
                pictures.watch(false);
            }
            hub.forget_unwatched();
            self.shown = 0;
            return;
        }
        self.show();
        if self.last_message.elapsed() >= HEARTBEAT {
            self.heartbeat();
        }
    }

    fn heartbeat(&mut self) {
        if self.context.hub.viewers(Watch::Live) > 0 {
            let text = self.with_status("null");
            self.send(&text, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_its_lengths() {
        let bytes = message("{}", &[1, 2, 3]);
        assert_eq!(bytes, [2, 0, 0, 0, 3, 0, 0, 0, b'{', b'}', 1, 2, 3]);
    }
}
