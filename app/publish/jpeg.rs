//! JPEG from planes, by GStreamer's encoder.
//!
//! The encoder stores samples as they are, so it must be given what JFIF means by them: full range,
//! BT.601. [`I420Buffer`] is that; limited-range video given directly would come out pale.

use gst::prelude::*;
use gst_video::VideoFrameExt;
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use crate::error::{Error, Kind, Result};
use crate::preprocess::I420Buffer;

/// Visually close to the original at about 0.5 bits a pixel.
const QUALITY: i32 = 80;
/// An encoder that takes longer than this for one picture hangs.
const TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// Encodes pictures, one at a time, on the caller's time.
#[derive(Default)]
pub struct JpegEncoder {
    running: Option<Running>,
}

struct Running {
    size: (usize, usize),
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    info: gst_video::VideoInfo,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A pipeline that is dropped while it plays leaks its threads.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn broken(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Output, format!("the picture cannot be encoded as JPEG: {why}"))
}

impl Running {
    fn start((width, height): (usize, usize)) -> Result<Self> {
        let side = |side: usize| u32::try_from(side).map_err(broken);
        let colour = gst_video::VideoColorimetry::new(
            gst_video::VideoColorRange::Range0_255,
            gst_video::VideoColorMatrix::Bt601,
            gst_video::VideoTransferFunction::Unknown,
            gst_video::VideoColorPrimaries::Unknown,
        );
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, side(width)?, side(height)?)
            .colorimetry(&colour)
            .fps(gst::Fraction::new(0, 1))
            .build()
            .map_err(broken)?;
        let encoder =
            gst::ElementFactory::make("jpegenc").property("quality", QUALITY).build().map_err(|_| {
                broken(
                    "GStreamer has no element jpegenc; install gstreamer1.0-plugins-good (./build.sh setup)",
                )
            })?;
        let source = gst_app::AppSrc::builder()
            .caps(&info.to_caps().map_err(broken)?)
            .format(gst::Format::Time)
            .build();
        let sink = gst_app::AppSink::builder().sync(false).enable_last_sample(false).build();
        let pipeline = gst::Pipeline::new();
        let chain = [source.upcast_ref(), &encoder, sink.upcast_ref()];
        pipeline.add_many(chain).map_err(broken)?;
        gst::Element::link_many(chain).map_err(broken)?;
        pipeline.set_state(gst::State::Playing).map_err(broken)?;
        Ok(Self { size: (width, height), pipeline, source, sink, info })
    }

    fn encode(&self, picture: &I420Buffer, into: &mut Vec<u8>) -> Result<()> {
        let mut buffer = gst::Buffer::with_size(self.info.size()).map_err(broken)?;
        {
            let buffer = buffer.get_mut().ok_or_else(|| broken("its buffer is shared"))?;
            let mut frame =
                gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &self.info).map_err(broken)?;
            let (width, _) = picture.size();
            let (chroma_width, _) = picture.chroma_size();
            let planes = [(picture.y(), width), (picture.u(), chroma_width), (picture.v(), chroma_width)];
            for (index, (plane, row_bytes)) in (0u32..).zip(planes) {
                let stride = usize::try_from(frame.plane_stride()[index as usize]).map_err(broken)?;
                let rows = frame.plane_data_mut(index).map_err(broken)?.chunks_mut(stride);
                for (to, from) in rows.zip(plane.chunks_exact(row_bytes.max(1))) {
                    to[..row_bytes].copy_from_slice(from);
                }
            }
        }
        self.source.push_buffer(buffer).map_err(broken)?;
        let sample = self.sink.try_pull_sample(TIMEOUT).ok_or_else(|| broken("the encoder gave nothing"))?;
        let map = sample.buffer().ok_or_else(|| broken("the encoder gave nothing"))?.map_readable();
        into.extend_from_slice(&map.map_err(broken)?);
        Ok(())
    }
}

impl JpegEncoder {
    /// Appends the picture as JPEG to `into`.
    ///
    /// # Errors
    /// `Kind::Output` where the encoder is missing or fails; the next call starts it anew.
    pub fn encode(&mut self, picture: &I420Buffer, into: &mut Vec<u8>) -> Result<()> {
        let running = match self.running.take() {
            Some(running) if running.size == picture.size() => running,
            _ => Running::start(picture.size())?,
        };
        running.encode(picture, into)?;
        self.running = Some(running);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};
    use crate::preprocess::ViewScaler;

    fn picture(width: usize, height: usize, rgb: [u8; 3]) -> I420Buffer {
        let layout = FrameLayout::new(PixelFormat::Rgb, width, height);
        let pixels = OwnedPixels { planes: vec![(rgb.repeat(width * height), width * 3)] };
        let mut into = I420Buffer::new();
        let frame = Frame::now(0, layout, Box::new(pixels));
        ViewScaler::new().run(&frame, width, height, &mut into).unwrap();
        into
    }

    /// The middle pixel of a JPEG, decoded by GStreamer.
    fn middle(jpeg: &[u8]) -> ((usize, usize), [u8; 3]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, jpeg).unwrap();
        use crate::capture::{FrameSource, Next, Pace, SourceSpec, gst_source::GstSource};
        let mut source = GstSource::open(&SourceSpec::File(path), Pace::Unpaced).unwrap();
        loop {
            if let Next::Frame(frame) = source.next(std::time::Duration::from_secs(5)).unwrap() {
                let mut view = I420Buffer::new();
                let size = (frame.layout.width, frame.layout.height);
                ViewScaler::new().run(&frame, size.0, size.1, &mut view).unwrap();
                let at = size.1 / 2 * size.0 + size.0 / 2;
                let chroma = size.1 / 4 * view.chroma_size().0 + size.0 / 4;
                return (size, [view.y()[at], view.u()[chroma], view.v()[chroma]]);
            }
        }
    }

    #[test]
    fn black_white_and_red_survive_at_odd_sizes_too() {
        gst::init().unwrap();
        let mut encoder = JpegEncoder::default();
        for (size, rgb, yuv) in [
            ((64, 48), [255, 255, 255], [255, 128, 128]),
            ((64, 48), [0, 0, 0], [0, 128, 128]),
            ((33, 17), [255, 0, 0], [76, 85, 255]),
        ] {
            let mut jpeg = Vec::new();
            encoder.encode(&picture(size.0, size.1, rgb), &mut jpeg).unwrap();
            assert_eq!(jpeg[..2], [0xFF, 0xD8]);
            let (decoded_size, decoded) = middle(&jpeg);
            assert_eq!(decoded_size, size);
            for (a, b) in decoded.iter().zip(yuv) {
                assert!(a.abs_diff(b) <= 2, "{rgb:?}: {decoded:?} {yuv:?}");
            }
        }
    }
}
