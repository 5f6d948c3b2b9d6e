//! Clips that are written: what goes into a file of each extension, and the encoders for it.

use std::path::Path;

use gst::prelude::*;
use gstreamer as gst;

use crate::base::error::{Error, Kind, Result};

/// Bits a pixel: drawn pictures look good with it in all of the codecs here.
const BITS_A_PIXEL: f64 = 0.15;

/// An encoder, and what it needs before a container takes its stream.
struct Encoder {
    name: &'static str,
    /// Its properties, with RATE and KILORATE for the rate in bits and kilobits a second.
    settings: &'static str,
    /// What makes it give each frame at once.
    prompt: &'static str,
    parser: Option<&'static str>,
}

/// H.264 where there is an encoder for it; what GStreamer's libav brings else.
const H264: &[Encoder] = &[
    Encoder {
        name: "x264enc",
        settings: "bitrate=KILORATE speed-preset=veryfast",
        prompt: "tune=zerolatency",
        parser: None,
    },
    Encoder { name: "openh264enc", settings: "bitrate=RATE", prompt: "", parser: Some("h264parse") },
    Encoder { name: "avenc_mpeg4", settings: "bitrate=RATE", prompt: "", parser: None },
];
const VP8: &[Encoder] = &[Encoder {
    name: "vp8enc",
    settings: "target-bitrate=RATE deadline=1 cpu-used=4",
    prompt: "lag-in-frames=0",
    parser: None,
}];
const JPEG: &[Encoder] = &[Encoder { name: "jpegenc", settings: "quality=90", prompt: "", parser: None }];

/// What is written into a file of an extension.
pub struct Container {
    extension: &'static str,
    /// The element that makes the file.
    pub muxer: &'static str,
    /// As [`Self::muxer`], for a file that can be played however it ends.
    pub open_muxer: &'static str,
    encoders: &'static [Encoder],
    /// Whether its pictures have the full range, as JPEG has it.
    pub full_range: bool,
}

const CONTAINERS: [Container; 4] = [
    Container {
        extension: "mp4",
        muxer: "mp4mux",
        open_muxer: "mp4mux fragment-duration=1000",
        encoders: H264,
        full_range: false,
    },
    Container {
        extension: "mkv",
        muxer: "matroskamux",
        open_muxer: "matroskamux streamable=false",
        encoders: H264,
        full_range: false,
    },
    Container {
        extension: "webm",
        muxer: "webmmux",
        open_muxer: "webmmux streamable=false",
        encoders: VP8,
        full_range: false,
    },
    Container { extension: "avi", muxer: "avimux", open_muxer: "avimux", encoders: JPEG, full_range: true },
];

fn is_there(element: &str) -> bool {
    gst::ElementFactory::find(element).is_some()
}

/// The container for a file's extension.
///
/// # Errors
/// `Kind::Usage` where no clip has such an extension.
pub fn of(path: &Path) -> Result<&'static Container> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let known = CONTAINERS.iter().find(|container| extension.as_deref() == Some(container.extension));
    known.ok_or_else(|| {
        let name = path.display();
        Error::new(
            Kind::Usage,
            format!("{name} is no clip that can be written; give .mp4, .mkv, .webm or .avi"),
        )
    })
}

impl Container {
    /// The elements from raw video of this size and so many frames a second to a stream that the container takes, as
    /// GStreamer writes pipelines. `prompt` where frames come live.
    ///
    /// # Errors
    /// `Kind::Output` where GStreamer has no encoder.
    pub fn encoder(&self, (width, height): (u32, u32), rate: f64, prompt: bool) -> Result<String> {
        let usable = |encoder: &&Encoder| is_there(encoder.name) && encoder.parser.is_none_or(is_there);
        let Some(encoder) = self.encoders.iter().find(usable) else {
            let names: Vec<&str> = self.encoders.iter().map(|encoder| encoder.name).collect();
            let text =
                format!("GStreamer has no encoder {}; ./build.sh setup installs one", names.join(" or "));
            return Err(Error::new(Kind::Output, text));
        };
        let pixels = f64::from(width) * f64::from(height);
        let bits = (pixels * rate * BITS_A_PIXEL).clamp(1e5, 5e7) as u32;
        let settings = encoder
            .settings
            .replace("KILORATE", &(bits / 1000).to_string())
            .replace("RATE", &bits.to_string());
        let prompt = if prompt { encoder.prompt } else { "" };
        let parser = encoder.parser.map_or(String::new(), |parser| format!(" ! {parser}"));
        Ok(format!("{} {settings} {prompt}{parser}", encoder.name))
    }
}

/// A pipeline that is stopped before it is dropped: else it leaks its threads.
pub struct Player(pub gst::Pipeline);

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
