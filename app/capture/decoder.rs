//! The decoders that GStreamer chooses, set up for little memory and no delay.

use gst::prelude::*;
use gstreamer as gst;

use crate::base::error::{Error, Kind, Result};

/// What frames are decoded for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Each is wanted at once.
    Live,
    /// A file at its own rate.
    Paced,
    /// A file as fast as it goes.
    Unpaced,
}

impl Use {
    /// Threads of a decoder for frames of so many pixels.
    ///
    /// Every frame thread holds back a frame and keeps buffers of its own: wrong for a live picture, and one alone
    /// decodes 1080p several times as fast as a clip plays. Two are enough for 4K and leave the cores to inference.
    fn threads(self, pixels: usize) -> i32 {
        const FULL_HD: usize = 1920 * 1088;
        match self {
            Self::Live => 1,
            Self::Paced if pixels <= FULL_HD => 1,
            Self::Paced | Self::Unpaced => 2,
        }
    }
}

/// A new element of GStreamer.
pub(super) fn element(factory: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        let hint = if cfg!(feature = "desktop") {
            "install its base and good plugins (./build.sh setup)"
        } else {
            "this build of Spotter is for a camera and plays no files, streams or devices; \
             take the camera's own video (--source vdo)"
        };
        Error::new(Kind::Source, format!("GStreamer has no element {factory}; {hint}"))
    })
}

/// Links the first video pad of `from` to `to`; other streams of the source are left alone.
pub(super) fn link_first_video_pad(from: &gst::Element, to: &gst::Element) {
    let to = to.downgrade();
    from.connect_pad_added(move |_, pad| {
        let Some(sink) = to.upgrade().and_then(|element| element.static_pad("sink")) else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_video = caps.structure(0).is_some_and(|structure| structure.name().starts_with("video/"));
        if is_video && !sink.is_linked() {
            // A pad that does not link is reported by its own element as "not linked".
            let _ = pad.link(&sink);
        }
    });
}

/// Width x height of compressed video, where its caps say so.
fn pixels(caps: &gst::CapsRef) -> Option<usize> {
    let structure = caps.structure(0)?;
    let side = |name| structure.get::<i32>(name).ok().and_then(|side| usize::try_from(side).ok());
    side("width")?.checked_mul(side("height")?)
}

/// Sets the number of threads before the decoder is opened, which it is when its caps come.
fn set_threads(decoder: &gst::Element, purpose: Use) {
    decoder.set_property("max-threads", purpose.threads(0));
    let Some(pad) = decoder.static_pad("sink") else { return };
    let decoder = decoder.downgrade();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let (Some(gst::EventView::Caps(event)), Some(decoder)) =
            (info.event().map(|event| event.view()), decoder.upgrade())
            && let Some(pixels) = pixels(event.caps())
        {
            decoder.set_property("max-threads", purpose.threads(pixels));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Settings of elements that the decoder bin makes by itself.
pub(super) fn tune(bin: &gst::Element, purpose: Use) {
    let Ok(bin) = bin.clone().downcast::<gst::Bin>() else { return };
    bin.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        let name = factory.name();
        if name.starts_with("avdec_") {
            if element.find_property("max-threads").is_some() {
                set_threads(element, purpose);
            }
            // FFmpeg still holds what it has drawn into directly, so each frame would be copied into fresh memory
            // further on; so it is copied once, into a pool.
            if element.find_property("direct-rendering").is_some() {
                element.set_property("direct-rendering", false);
            }
        }
        if name == "rtspsrc" {
            element.set_property("latency", 0u32);
            element.set_property_from_str("protocols", "tcp");
            element.set_property("tcp-timeout", 5_000_000u64);
        }
    });
}

/// Opens and decodes a URI; its video goes to `first`.
///
/// # Errors
/// `Kind::Source` where GStreamer has no such element.
pub(super) fn of_uri(uri: &str, purpose: Use, first: &gst::Element) -> Result<gst::Element> {
    let decoder = element("uridecodebin")?;
    decoder.set_property("uri", uri);
    decoder.set_property("expose-all-streams", false);
    // Without ANY, decodebin 1.22 finds no decoder for some of the streams it can decode.
    let video = gst::Caps::builder("video/x-raw").any_features().build();
    decoder.set_property("caps", video);
    tune(&decoder, purpose);
    link_first_video_pad(&decoder, first);
    Ok(decoder)
}

/// Turns the picture as its tag says; phones write one. Before such a tag comes, `videoflip` hands frames through:
/// in its automatic mode it copies each one.
pub(super) fn turn_where_a_tag_says_so(flip: &gst::Element) {
    let Some(pad) = flip.static_pad("sink") else { return };
    let flip = flip.downgrade();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let (Some(gst::EventView::Tag(event)), Some(flip)) =
            (info.event().map(|event| event.view()), flip.upgrade())
            && event.tag().get::<gst::tags::ImageOrientation>().is_some_and(|turn| turn.get() != "rotate-0")
        {
            // From here on it follows the tags, beginning with this one.
            flip.set_property_from_str("video-direction", "auto");
        }
        gst::PadProbeReturn::Ok
    });
}
