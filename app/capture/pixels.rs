//! GStreamer's caps and buffers as frame layouts and mapped pixels.

use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrame, VideoFrameExt, VideoInfo};
use gstreamer as gst;
use gstreamer_video as gst_video;

use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::{FrameLayout, Matrix, PixelFormat, Pixels, Range, SharedMemory};

/// The formats taken as they are; anything else is converted by GStreamer first.
pub const FORMATS: [VideoFormat; 16] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Gray8,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Rgbp,
];

fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    Some(match format {
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Yv12 => PixelFormat::Yv12,
        VideoFormat::Nv21 => PixelFormat::Nv21,
        VideoFormat::Y42b => PixelFormat::Y42b,
        VideoFormat::Y444 => PixelFormat::Y444,
        VideoFormat::Yuy2 => PixelFormat::Yuy2,
        VideoFormat::Uyvy => PixelFormat::Uyvy,
        VideoFormat::Gray8 => PixelFormat::Gray8,
        VideoFormat::Rgb => PixelFormat::Rgb,
        VideoFormat::Bgr => PixelFormat::Bgr,
        VideoFormat::Rgbx | VideoFormat::Rgba => PixelFormat::Rgbx,
        VideoFormat::Bgrx | VideoFormat::Bgra => PixelFormat::Bgrx,
        VideoFormat::Rgbp => PixelFormat::PlanarRgb,
        _ => return None,
    })
}

/// What caps say of the pixels. Where they leave the matrix open it is BT.601 below 720 rows, else
/// BT.709; an open range is limited.
///
/// # Errors
/// `Kind::Source` for a format that is not in [`FORMATS`].
pub fn layout(info: &VideoInfo) -> Result<FrameLayout> {
    let format = pixel_format(info.format()).ok_or_else(|| {
        Error::new(
            Kind::Source,
            format!("the source gives frames as {}, which Spotter cannot read", info.format()),
        )
    })?;
    let mut layout = FrameLayout::new(format, info.width() as usize, info.height() as usize);
    let aspect = info.par();
    if let (Ok(n @ 1..), Ok(d @ 1..)) = (u32::try_from(aspect.numer()), u32::try_from(aspect.denom())) {
        layout.pixel_aspect = (n, d);
    }
    let colour = info.colorimetry();
    layout.matrix = match colour.matrix() {
        VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => Matrix::Bt601,
        VideoColorMatrix::Bt709 => Matrix::Bt709,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        _ => layout.matrix,
    };
    if colour.range() == VideoColorRange::Range0_255 {
        layout.range = Range::Full;
    }
    let site = info.chroma_site();
    layout.chroma_left = site.contains(gst_video::VideoChromaSite::H_COSITED);
    layout.chroma_top = site.contains(gst_video::VideoChromaSite::V_COSITED);
    Ok(layout)
}

/// A mapped buffer: pixels without a copy, for as long as it lives.
struct MappedFrame {
    frame: VideoFrame<gst_video::video_frame::Readable>,
    shared: Option<SharedMemory>,
}

impl Pixels for MappedFrame {
    fn plane(&self, index: usize) -> (&[u8], usize) {
        let Some(stride) = self.frame.plane_stride().get(index) else { return (&[], 0) };
        let data = u32::try_from(index).ok().and_then(|index| self.frame.plane_data(index).ok());
        (data.unwrap_or(&[]), usize::try_from(*stride).unwrap_or(0))
    }

    fn shared(&self) -> Option<SharedMemory> {
        self.shared
    }
}

/// Maps a buffer for reading. `shared` is how others can have its memory.
///
/// # Errors
/// `Kind::Source` where it cannot be mapped or is smaller than its caps say.
pub fn map(buffer: gst::Buffer, info: &VideoInfo, shared: Option<SharedMemory>) -> Result<Box<dyn Pixels>> {
    let frame = VideoFrame::from_buffer_readable(buffer, info)
        .map_err(|_| Error::new(Kind::Source, "a video frame could not be mapped into memory"))?;
    Ok(Box::new(MappedFrame { frame, shared }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(caps: &str) -> Result<FrameLayout> {
        gst::init().unwrap();
        let caps: gst::Caps = caps.parse().unwrap();
        layout(&VideoInfo::from_caps(&caps).unwrap())
    }

    #[test]
    fn caps_say_matrix_range_pixel_shape_and_chroma_site() {
        let hd = of("video/x-raw,format=NV12,width=1920,height=1080,colorimetry=bt709").unwrap();
        assert_eq!((hd.matrix, hd.range), (Matrix::Bt709, Range::Limited));
        assert_eq!((hd.width, hd.height, hd.format), (1920, 1080, PixelFormat::Nv12));
        let jpeg =
            of("video/x-raw,format=I420,width=33,height=17,colorimetry=1:4:0:0,chroma-site=jpeg").unwrap();
        assert_eq!((jpeg.matrix, jpeg.range), (Matrix::Bt601, Range::Full));
        assert!(!jpeg.chroma_left && !jpeg.chroma_top);
        // Upscaled SD that still says so.
        let sd =
            of("video/x-raw,format=I420,width=1920,height=1080,colorimetry=bt601,chroma-site=mpeg2").unwrap();
        assert_eq!(sd.matrix, Matrix::Bt601);
        assert!(sd.chroma_left && !sd.chroma_top);
        let pal = of("video/x-raw,format=I420,width=720,height=576,pixel-aspect-ratio=16/15").unwrap();
        assert_eq!((pal.matrix, pal.display_size()), (Matrix::Bt601, (768.0, 576.0)));
        let uhd = of("video/x-raw,format=NV12,width=3840,height=2160,colorimetry=bt2020").unwrap();
        assert_eq!(uhd.matrix, Matrix::Bt2020);
    }

    #[test]
    fn every_format_that_is_offered_is_understood_and_no_other() {
        for format in FORMATS {
            let caps = format!("video/x-raw,format={},width=4,height=4", format.to_str());
            assert!(of(&caps).is_ok(), "{caps}");
        }
        let error = of("video/x-raw,format=I420_10LE,width=4,height=4").unwrap_err();
        assert!(error.to_string().contains("I420_10LE"), "{error}");
    }

    #[test]
    fn a_mapped_buffer_is_not_a_copy_and_keeps_its_pitch() {
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::I420, 313, 239).build().unwrap();
        let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
        buffer.get_mut().unwrap().map_writable().unwrap().fill(7);
        let address = buffer.map_readable().unwrap().as_ptr();
        let pixels = map(buffer, &info, None).unwrap();
        let (luma, pitch) = pixels.plane(0);
        assert_eq!((luma.as_ptr(), pitch), (address, 316));
        let (chroma, pitch) = pixels.plane(2);
        assert_eq!((pitch, chroma.len() >= 119 * 160 + 157), (160, true));
        assert_eq!(pixels.plane(3).0, &[0u8; 0]);
        let short = gst::Buffer::with_size(100).unwrap();
        assert!(map(short, &info, None).is_err());
    }
}
