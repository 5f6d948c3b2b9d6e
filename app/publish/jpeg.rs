//! JPEG from planes, by libjpeg-turbo: the same encoder on a desktop and on a camera, whatever plugins there are.
//!
//! The encoder stores samples as they are, so it must be given what JFIF means by them: full range,
//! BT.601. [`I420Buffer`] is that; limited-range video given directly would come out pale.

use turbojpeg::{Compressor, Subsamp, YuvPlanesImage};

use crate::base::error::{Error, Kind, Result};
use crate::preprocess::I420Buffer;

/// Visually close to the original at about 0.5 bits a pixel.
const QUALITY: i32 = 80;

/// Encodes pictures, one at a time, on the caller's time.
#[derive(Default)]
pub struct JpegEncoder {
    compressor: Option<Compressor>,
    /// Luma of a picture with an odd side.
    even: Vec<u8>,
}

fn broken(why: turbojpeg::Error) -> Error {
    Error::new(Kind::Output, format!("the picture cannot be encoded as JPEG: {why}"))
}

impl JpegEncoder {
    /// Appends the picture as JPEG to `into`.
    ///
    /// # Errors
    /// `Kind::Output` where the encoder fails; the next call starts it anew.
    pub fn encode(&mut self, picture: &I420Buffer, into: &mut Vec<u8>) -> Result<()> {
        let mut compressor = match self.compressor.take() {
            Some(compressor) => compressor,
            None => {
                let mut compressor = Compressor::new().map_err(broken)?;
                compressor.set_quality(QUALITY).map_err(broken)?;
                compressor
            }
        };
        let ((width, height), (chroma_width, chroma_height)) = (picture.size(), picture.chroma_size());
        // The encoder takes luma in the two by two pixels of a chroma sample.
        let (luma, stride) = if (width, height) == (2 * chroma_width, 2 * chroma_height) {
            (picture.y(), width)
        } else {
            make_even(picture, &mut self.even);
            (self.even.as_slice(), 2 * chroma_width)
        };
        let planes = YuvPlanesImage {
            y_plane: luma,
            u_plane: picture.u(),
            v_plane: picture.v(),
            width,
            height,
            y_stride: stride,
            u_stride: chroma_width,
            v_stride: chroma_width,
            subsamp: Subsamp::Sub2x2,
        };
        let jpeg = compressor.compress_yuv_planes_to_owned(&planes).map_err(broken)?;
        into.extend_from_slice(&jpeg);
        self.compressor = Some(compressor);
        Ok(())
    }
}

/// Luma with even sides: the last column and row are there twice where they have to be.
fn make_even(picture: &I420Buffer, into: &mut Vec<u8>) {
    let ((width, _), (chroma_width, chroma_height)) = (picture.size(), picture.chroma_size());
    into.clear();
    for row in picture.y().chunks_exact(width.max(1)) {
        into.extend_from_slice(row);
        into.extend(row.last().filter(|_| width % 2 == 1));
    }
    let stride = 2 * chroma_width;
    if into.len() < stride * 2 * chroma_height {
        into.extend_from_within(into.len().saturating_sub(stride)..);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::ViewScaler;
    use crate::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};

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
        let mut encoder = JpegEncoder::default();
        for (size, rgb, yuv) in [
            ((64, 48), [255, 255, 255], [255, 128, 128]),
            ((64, 48), [0, 0, 0], [0, 128, 128]),
            ((33, 17), [255, 0, 0], [76, 85, 255]),
            ((32, 17), [0, 0, 255], [29, 255, 107]),
            ((33, 16), [255, 255, 255], [255, 128, 128]),
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
