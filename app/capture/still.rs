//! Stills: a source of one frame, decoded to the very pixels that other tools see.
//!
//! GStreamer could decode most of them, but its JPEG decoder thins out chroma and its BMP decoder needs a
//! parser that is not there. What a model finds in a photo depends on such things: compared with a
//! reference that decodes with libjpeg, three detections in a hundred move.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{FrameSource, Next};
use crate::base::error::{Error, Kind, Result};
use crate::vision::frame::{Frame, FrameLayout, PixelFormat, Pixels};

/// Larger files are refused: no photo comes near it.
const MAX_BYTES: u64 = 256 << 20;
/// Longest side that is decoded.
const MAX_SIDE: usize = 32_768;
/// What libjpeg says of oddities that leave the picture whole enough; everything else is an error.
const HARMLESS: [&str; 4] =
    ["Corrupt JPEG data", "Inconsistent progression", "Unknown Adobe color", "Invalid SOS parameters"];

/// Pixels of a still, R G B, shared by the frames that show it.
#[derive(Clone)]
struct RgbPixels {
    bytes: Arc<[u8]>,
    pitch: usize,
}

impl Pixels for RgbPixels {
    fn plane(&self, index: usize) -> (&[u8], usize) {
        if index == 0 { (&self.bytes, self.pitch) } else { (&[], 0) }
    }
}

/// One frame, as often as it is asked for.
pub struct StillSource {
    pixels: RgbPixels,
    layout: FrameLayout,
    given: bool,
}

/// True where the file's first bytes are those of a JPEG, PNG, BMP or WebP picture.
pub fn is_still(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(16).read_to_end(&mut head));
    read.is_ok()
        && (head.starts_with(&[0xFF, 0xD8, 0xFF])
            || head.starts_with(b"\x89PNG")
            || head.starts_with(b"BM")
            || (head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP")))
}

impl StillSource {
    /// Decodes a picture.
    ///
    /// # Errors
    /// `Kind::Source` where it cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Still { path: path.to_owned() };
        let bytes = file.read()?;
        let (rgb, width, height) =
            if bytes.starts_with(&[0xFF, 0xD8]) { file.jpeg(&bytes)? } else { file.other(&bytes)? };
        let pixels = RgbPixels { bytes: rgb.into(), pitch: width * 3 };
        Ok(Self { pixels, layout: FrameLayout::new(PixelFormat::Rgb, width, height), given: false })
    }
}

impl FrameSource for StillSource {
    fn next(&mut self, _: Duration) -> Result<Next> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(Next::End);
        }
        let mut frame = Frame::now(0, self.layout, Box::new(self.pixels.clone()));
        frame.still = true;
        Ok(Next::Frame(frame))
    }

    fn rewind(&mut self) -> Result<()> {
        self.given = false;
        Ok(())
    }

    fn frame_rate(&self) -> Option<f64> {
        None
    }
}

/// A file on its way to pixels.
struct Still {
    path: PathBuf,
}

impl Still {
    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::new(Kind::Source, format!("cannot read the picture {}: {what}", self.path.display()))
    }

    fn read(&self) -> Result<Vec<u8>> {
        let size = std::fs::metadata(&self.path).map_err(|error| self.error(error))?.len();
        if size > MAX_BYTES {
            return Err(self.error(format!("it has {size} bytes, more than {MAX_BYTES}")));
        }
        std::fs::read(&self.path).map_err(|error| self.error(error))
    }

    fn check(&self, width: usize, height: usize) -> Result<()> {
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            let what = format!("it is {width}×{height} pixels; sides may be 1 to {MAX_SIDE}");
            return Err(self.error(what));
        }
        Ok(())
    }

    /// By libjpeg-turbo with its defaults: the accurate inverse transform and smooth chroma.
    fn jpeg(&self, bytes: &[u8]) -> Result<(Vec<u8>, usize, usize)> {
        let damaged = |error: turbojpeg::Error| self.error(format!("it is damaged ({error})"));
        let mut decompressor = turbojpeg::Decompressor::new().map_err(damaged)?;
        let header = decompressor.read_header(bytes).map_err(|error| match error {
            // What is behind the header's end reads as sizes that there cannot be.
            turbojpeg::Error::IntegerOverflow(_) => {
                self.error("it is damaged (it ends before its size is told)")
            }
            error => damaged(error),
        })?;
        let (width, height) = (header.width, header.height);
        self.check(width, height)?;
        let mut rgb = vec![0; width * height * 3];
        let image = turbojpeg::Image {
            pixels: rgb.as_mut_slice(),
            width,
            pitch: width * 3,
            height,
            format: turbojpeg::PixelFormat::RGB,
        };
        match decompressor.decompress(bytes, image) {
            Ok(()) => {}
            Err(turbojpeg::Error::TurboJpegError(text))
                if HARMLESS.iter().any(|known| text.contains(known)) =>
            {
                log::warn!("{} is slightly damaged ({text})", self.path.display());
            }
            Err(error) => return Err(damaged(error)),
        }
        Ok((rgb, width, height))
    }

    #[cfg(not(feature = "desktop"))]
    fn other(&self, _: &[u8]) -> Result<(Vec<u8>, usize, usize)> {
        Err(self.error("this build of Spotter reads JPEG alone; convert the picture"))
    }

    /// PNG, BMP, WebP; transparency is left out.
    #[cfg(feature = "desktop")]
    fn other(&self, bytes: &[u8]) -> Result<(Vec<u8>, usize, usize)> {
        let mut reader = image::ImageReader::new(std::io::Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| self.error(error))?;
        let mut limits = image::Limits::default();
        let side = u32::try_from(MAX_SIDE).unwrap_or(u32::MAX);
        (limits.max_image_width, limits.max_image_height) = (Some(side), Some(side));
        reader.limits(limits);
        let picture =
            reader.decode().map_err(|error| self.error(format!("it is damaged ({error})")))?.into_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        self.check(width, height)?;
        Ok((picture.into_raw(), width, height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn jpeg(width: usize, height: usize) -> Vec<u8> {
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        let image = turbojpeg::Image {
            pixels: pixels.as_slice(),
            width,
            pitch: width * 3,
            height,
            format: turbojpeg::PixelFormat::RGB,
        };
        turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
    }

    #[test]
    fn a_picture_is_one_frame_as_often_as_it_is_rewound() {
        let (_folder, path) = write("a.jpg", &jpeg(33, 17));
        assert!(is_still(&path));
        let mut source = StillSource::open(&path).unwrap();
        for _ in 0..3 {
            let Next::Frame(frame) = source.next(Duration::ZERO).unwrap() else { panic!("no frame") };
            assert_eq!((frame.layout.width, frame.layout.height, frame.still), (33, 17, true));
            assert!(matches!(source.next(Duration::ZERO).unwrap(), Next::End));
            source.rewind().unwrap();
        }
    }

    #[test]
    fn a_bmp_is_read_bottom_up_and_blue_first() {
        // 1×2 pixels, 24 bits: red above green.
        let mut bytes = b"BM\x3e\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\x18\0".to_vec();
        bytes.extend([0; 24]);
        bytes.extend([0, 255, 0, 0, 0, 0, 255, 0]);
        let (_folder, path) = write("a.bmp", &bytes);
        assert!(is_still(&path));
        let source = StillSource::open(&path).unwrap();
        assert_eq!(&*source.pixels.bytes, [255, 0, 0, 0, 255, 0]);
    }

    #[test]
    fn damage_is_an_error_sentence() {
        let whole = jpeg(64, 64);
        for length in [2, 3, 20, 200, whole.len() / 2, whole.len() - 2] {
            let (_folder, path) = write("cut.jpg", &whole[..length]);
            let error = StillSource::open(&path).err().unwrap_or_else(|| panic!("{length} bytes were taken"));
            assert_eq!(error.kind(), Kind::Source);
            assert!(error.to_string().starts_with("cannot read the picture "), "{error}");
        }
        let (_folder, path) = write("bad.png", b"\x89PNG\r\n\x1a\nnonsense");
        assert!(StillSource::open(&path).is_err());
        let (_folder, path) = write("clip.mp4", b"\0\0\0\x10ftypisom");
        assert!(!is_still(&path));
    }
}
