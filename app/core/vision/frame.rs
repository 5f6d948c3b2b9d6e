//! A video frame: pixels as they were decoded, and when and from where they came.

use std::time::{Duration, Instant, SystemTime};

/// How the samples of a frame lie in memory. 8 bits a sample throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Planes Y, U, V; chroma halved both ways.
    I420,
    /// Planes Y, V, U; chroma halved both ways.
    Yv12,
    /// Planes Y, UV interleaved; chroma halved both ways.
    Nv12,
    /// Planes Y, VU interleaved; chroma halved both ways.
    Nv21,
    /// Planes Y, U, V; chroma halved horizontally.
    Y42b,
    /// Planes Y, U, V at full size.
    Y444,
    /// One plane Y U Y V; chroma halved horizontally.
    Yuy2,
    /// One plane U Y V Y; chroma halved horizontally.
    Uyvy,
    /// One plane, luma only.
    Gray8,
    /// One plane R G B.
    Rgb,
    /// One plane B G R.
    Bgr,
    /// One plane R G B and a byte that is ignored.
    Rgbx,
    /// One plane B G R and a byte that is ignored.
    Bgrx,
    /// Planes R, G, B.
    PlanarRgb,
}

/// Where the samples of one colour component are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Index of the plane that holds it.
    pub plane: usize,
    /// Bytes from the start of a row to its first sample.
    pub offset: usize,
    /// Bytes from one sample to the next in a row.
    pub step: usize,
    /// Picture columns per sample, 1 or 2.
    pub sub_x: usize,
    /// Picture rows per sample, 1 or 2.
    pub sub_y: usize,
}

const fn component(plane: usize, offset: usize, step: usize, sub_x: usize, sub_y: usize) -> Component {
    Component { plane, offset, step, sub_x, sub_y }
}

impl PixelFormat {
    /// All formats, in the order in which they are offered to a decoder.
    pub const ALL: [PixelFormat; 14] = [
        Self::Nv12,
        Self::I420,
        Self::Yv12,
        Self::Nv21,
        Self::Y42b,
        Self::Y444,
        Self::Yuy2,
        Self::Uyvy,
        Self::Gray8,
        Self::Rgb,
        Self::Bgr,
        Self::Rgbx,
        Self::Bgrx,
        Self::PlanarRgb,
    ];

    /// The components: Y, U, V or R, G, B in this order, or Y alone.
    pub fn components(self) -> &'static [Component] {
        const I420: [Component; 3] =
            [component(0, 0, 1, 1, 1), component(1, 0, 1, 2, 2), component(2, 0, 1, 2, 2)];
        const YV12: [Component; 3] =
            [component(0, 0, 1, 1, 1), component(2, 0, 1, 2, 2), component(1, 0, 1, 2, 2)];
        const NV12: [Component; 3] =
            [component(0, 0, 1, 1, 1), component(1, 0, 2, 2, 2), component(1, 1, 2, 2, 2)];
        const NV21: [Component; 3] =
            [component(0, 0, 1, 1, 1), component(1, 1, 2, 2, 2), component(1, 0, 2, 2, 2)];
        const Y42B: [Component; 3] =
            [component(0, 0, 1, 1, 1), component(1, 0, 1, 2, 1), component(2, 0, 1, 2, 1)];
        const Y444: [Component; 3] =
            [component(0, 0, 1, 1, 1), component(1, 0, 1, 1, 1), component(2, 0, 1, 1, 1)];
        const YUY2: [Component; 3] =
            [component(0, 0, 2, 1, 1), component(0, 1, 4, 2, 1), component(0, 3, 4, 2, 1)];
        const UYVY: [Component; 3] =
            [component(0, 1, 2, 1, 1), component(0, 0, 4, 2, 1), component(0, 2, 4, 2, 1)];
        const GRAY8: [Component; 1] = [component(0, 0, 1, 1, 1)];
        const RGB: [Component; 3] =
            [component(0, 0, 3, 1, 1), component(0, 1, 3, 1, 1), component(0, 2, 3, 1, 1)];
        const BGR: [Component; 3] =
            [component(0, 2, 3, 1, 1), component(0, 1, 3, 1, 1), component(0, 0, 3, 1, 1)];
        const RGBX: [Component; 3] =
            [component(0, 0, 4, 1, 1), component(0, 1, 4, 1, 1), component(0, 2, 4, 1, 1)];
        const BGRX: [Component; 3] =
            [component(0, 2, 4, 1, 1), component(0, 1, 4, 1, 1), component(0, 0, 4, 1, 1)];
        match self {
            Self::PlanarRgb => &Y444,
            Self::I420 => &I420,
            Self::Yv12 => &YV12,
            Self::Nv12 => &NV12,
            Self::Nv21 => &NV21,
            Self::Y42b => &Y42B,
            Self::Y444 => &Y444,
            Self::Yuy2 => &YUY2,
            Self::Uyvy => &UYVY,
            Self::Gray8 => &GRAY8,
            Self::Rgb => &RGB,
            Self::Bgr => &BGR,
            Self::Rgbx => &RGBX,
            Self::Bgrx => &BGRX,
        }
    }

    /// True where the components are R, G, B rather than Y, U, V or Y.
    pub fn is_rgb(self) -> bool {
        matches!(self, Self::Rgb | Self::Bgr | Self::Rgbx | Self::Bgrx | Self::PlanarRgb)
    }

    /// True where a pixel is the bytes R, G and B and nothing else: side by side, or each in a plane of its own.
    pub fn is_rgb_bytes(self, planar: bool) -> bool {
        let components = self.components();
        let in_place = |(index, c): (usize, &Component)| match planar {
            true => (c.plane, c.offset, c.step) == (index, 0, 1),
            false => (c.plane, c.offset, c.step) == (0, index, 3),
        };
        self.is_rgb() && components.len() == 3 && components.iter().enumerate().all(in_place)
    }

    /// How many planes a frame of this format has.
    pub fn plane_count(self) -> usize {
        self.components().iter().map(|c| c.plane + 1).max().unwrap_or(0)
    }

    /// Rows of plane `plane` in a picture of `height` rows.
    pub fn plane_rows(self, plane: usize, height: usize) -> usize {
        let sub = self.components().iter().find(|c| c.plane == plane).map_or(1, |c| c.sub_y);
        height.div_ceil(sub)
    }

    /// Bytes that the samples of one row of plane `plane` take in a picture of `width` columns
    /// (the pitch may be larger).
    pub fn plane_row_bytes(self, plane: usize, width: usize) -> usize {
        self.components()
            .iter()
            .filter(|c| c.plane == plane)
            .map(|c| width.div_ceil(c.sub_x) * c.step)
            .max()
            .unwrap_or(0)
    }
}

/// The matrix that relates Y, U, V to R, G, B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition, JPEG.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020 non-constant luminance.
    Bt2020,
}

impl Matrix {
    /// The luma weights of red and blue, `(Kr, Kb)`, from the recommendation of that number.
    pub fn luma_weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// Which sample values black and white have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16..=235, chroma 16..=240.
    Limited,
    /// 0..=255.
    Full,
}

/// Everything about a frame's pixels but the pixels: what preprocessing is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    /// Columns stored.
    pub width: usize,
    /// Rows stored.
    pub height: usize,
    /// How samples lie in memory.
    pub format: PixelFormat,
    /// Width over height of one pixel on the screen, as a fraction.
    pub pixel_aspect: (u32, u32),
    /// Relates YUV to RGB; of no meaning for RGB formats.
    pub matrix: Matrix,
    /// Range of the samples; of no meaning for RGB formats.
    pub range: Range,
    /// Chroma samples lie on the even luma columns (MPEG-2 and later) rather than between columns
    /// (JPEG, MPEG-1).
    pub chroma_left: bool,
    /// Chroma samples lie on the even luma rows rather than between rows.
    pub chroma_top: bool,
}

impl FrameLayout {
    /// A layout with square pixels, BT.601 below 720 rows and BT.709 from there on, limited range,
    /// chroma between the columns.
    pub fn new(format: PixelFormat, width: usize, height: usize) -> Self {
        let matrix = if height < 720 { Matrix::Bt601 } else { Matrix::Bt709 };
        Self {
            width,
            height,
            format,
            pixel_aspect: (1, 1),
            matrix,
            range: Range::Limited,
            chroma_left: false,
            chroma_top: false,
        }
    }

    /// Size on a screen with square pixels: the stored rows, the columns stretched.
    pub fn display_size(&self) -> (f64, f64) {
        let (n, d) = self.pixel_aspect;
        let aspect = if n == 0 || d == 0 { 1.0 } else { f64::from(n) / f64::from(d) };
        (self.width as f64 * aspect, self.height as f64)
    }
}

/// Read access to mapped pixels. Whoever implements it keeps the memory alive and mapped.
pub trait Pixels: Send + Sync {
    /// The bytes of plane `index` from its first row on and its pitch in bytes.
    /// An empty slice where there is no such plane.
    fn plane(&self, index: usize) -> (&[u8], usize);

    /// The memory that the planes lie in, where a device can be given it by its file descriptor.
    fn shared(&self) -> Option<SharedMemory> {
        None
    }
}

/// A frame's memory as others can map it too: a dma-buf or a memfd that the capture keeps open and filled for
/// as long as the frame lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharedMemory {
    /// The file descriptor; whoever keeps it longer than the frame duplicates it.
    pub fd: std::os::fd::RawFd,
    /// Where the frame begins in it, in bytes.
    pub offset: u64,
    /// Bytes of the frame from there on.
    pub size: usize,
    /// The same number for the same buffer each time the capture fills it again, and for no other buffer.
    pub buffer: u64,
    /// Whether it is a dma-buf: what the processor reads or writes there is then put between two
    /// `DMA_BUF_IOCTL_SYNC`.
    pub dma_buf: bool,
}

/// Pixels owned by the process: stills, tests.
pub struct OwnedPixels {
    /// Bytes and pitch per plane.
    pub planes: Vec<(Vec<u8>, usize)>,
}

impl Pixels for OwnedPixels {
    fn plane(&self, index: usize) -> (&[u8], usize) {
        self.planes.get(index).map_or((&[], 0), |(bytes, pitch)| (bytes, *pitch))
    }
}

/// One picture of a source, borrowed from whoever decoded it.
pub struct Frame {
    /// Counts the frames of a source from 0, over reconnects and loops.
    pub seq: u64,
    /// When it reached Spotter, on the monotonic clock.
    pub arrived: Instant,
    /// When it was captured, as wall-clock time.
    pub captured: SystemTime,
    /// How late it came where the source has a pace of its own, else how long it was waited for.
    pub capture: Duration,
    /// Its place in the source's own time.
    pub pts: Option<Duration>,
    /// The only picture of its source: scaled as detection sets are, to the bit.
    pub still: bool,
    /// What the pixels are.
    pub layout: FrameLayout,
    pub pixels: Box<dyn Pixels>,
}

impl Frame {
    /// A frame over pixels, captured now.
    pub fn now(seq: u64, layout: FrameLayout, pixels: Box<dyn Pixels>) -> Self {
        let (arrived, captured) = (Instant::now(), SystemTime::now());
        Self { seq, arrived, captured, capture: Duration::ZERO, pts: None, still: false, layout, pixels }
    }

    /// The same frame over pixels of its own, so that a decoder's buffer need not be held.
    pub fn copied(&self) -> Self {
        let planes = (0..self.layout.format.plane_count())
            .map(|index| {
                let (bytes, pitch) = self.pixels.plane(index);
                (bytes.to_vec(), pitch)
            })
            .collect();
        Self { pixels: Box::new(OwnedPixels { planes }), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_chroma_up() {
        assert_eq!(PixelFormat::Nv12.plane_row_bytes(1, 313), 314);
        assert_eq!(PixelFormat::I420.plane_row_bytes(1, 313), 157);
        assert_eq!(PixelFormat::I420.plane_rows(2, 5), 3);
        assert_eq!(PixelFormat::Yuy2.plane_row_bytes(0, 3), 8);
        assert_eq!(PixelFormat::Bgrx.plane_row_bytes(0, 3), 12);
        assert_eq!(PixelFormat::Nv21.plane_count(), 2);
    }

    #[test]
    fn display_size_follows_the_pixel_aspect() {
        let mut layout = FrameLayout::new(PixelFormat::I420, 720, 576);
        layout.pixel_aspect = (16, 15);
        assert_eq!(layout.display_size(), (768.0, 576.0));
    }
}
