//! What is wanted of a preprocessing device, and which of larod's devices can do it.
//!
//! The limits are those of Axis' documentation of larod's preprocessing; docs/camera.md lists them.

use crate::vision::frame::{FrameLayout, Matrix, PixelFormat, Range};
use crate::vision::geometry::{Mapping, Rect};

/// From a frame in NV12 to the red, green and blue of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Columns and rows of the frame.
    pub from: (usize, usize),
    /// Bytes from one row of the frame to the next, the same in both planes.
    pub from_pitch: usize,
    /// The part of the frame: first column, first row, columns, rows. All of it where there is none.
    pub crop: Option<[usize; 4]>,
    /// Columns and rows that the part is scaled to.
    pub to: (usize, usize),
    /// Bytes from one row of the input to the next.
    pub to_pitch: usize,
    /// The input has planes.
    pub planar: bool,
    /// Bytes from the input's beginning to the first row that shows the frame.
    pub offset: usize,
}

impl Conversion {
    /// The conversion that does what `mapping` says, to the pixel; `None` where a device cannot:
    /// a frame of another format or colours than the devices take for granted, a part that is not of whole pairs of
    /// pixels, and bars that are not whole rows, because what a device writes between rows is not said anywhere.
    pub fn new(
        layout: &FrameLayout,
        from_pitch: usize,
        mapping: &Mapping,
        planar: bool,
        to_pitch: usize,
    ) -> Option<Self> {
        let known = layout.format == PixelFormat::Nv12
            && layout.matrix == Matrix::Bt601
            && layout.range == Range::Limited;
        let (width, height) = mapping.input;
        let whole_rows = mapping.x == 0 && mapping.width == width;
        // Planes that are lower than the input's would not lie where its planes lie.
        let one_piece = !planar || mapping.height == height;
        if !known || !whole_rows || !one_piece {
            return None;
        }
        let from = (layout.width, layout.height);
        let crop = match mapping.source == Rect::new(0.0, 0.0, 1.0, 1.0) {
            true => None,
            false => Some(pairs_of_pixels(&mapping.source, from)?),
        };
        let to = (mapping.width, mapping.height);
        Some(Self { from, from_pitch, crop, to, to_pitch, planar, offset: mapping.y * to_pitch })
    }

    /// Bytes of the frame.
    pub fn from_bytes(&self) -> usize {
        self.from_pitch * self.from.1 * 3 / 2
    }

    /// Bytes of what is written.
    pub fn to_bytes(&self) -> usize {
        self.to_pitch * self.to.1 * if self.planar { 3 } else { 1 }
    }

    /// Columns and rows that are scaled.
    fn part(&self) -> (usize, usize) {
        self.crop.map_or(self.from, |[_, _, width, height]| (width, height))
    }
}

/// A part in pixels (left, top, width, height), where its edges lie between pairs of pixels, as chroma does.
fn pairs_of_pixels(part: &Rect, (width, height): (usize, usize)) -> Option<[usize; 4]> {
    let pixels = |at: f32, size: usize| {
        let place = f64::from(at) * size as f64;
        // An f32 of 0..1 times a frame's size is off by less than a thousandth.
        let near = (place - place.round()).abs() < 1e-2;
        // Not negative: parts lie within the frame.
        Some(place.round() as usize).filter(|pixels| near && pixels % 2 == 0)
    };
    let (left, top) = (pixels(part.left, width)?, pixels(part.top, height)?);
    let (right, bottom) = (pixels(part.right, width)?, pixels(part.bottom, height)?);
    Some([left, top, right.checked_sub(left)?, bottom.checked_sub(top)?])
}

/// What kinds of preprocessing devices there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Crops, scales, writes pixels.
    Pixels,
    /// Writes pixels, no more.
    PixelsUnscaled,
    /// Crops, scales, writes planes.
    Planes,
    /// The processor, by libyuv.
    Processor,
}

/// The devices, best first; each chip has some of them.
const DEVICES: [(&str, Kind); 6] = [
    ("axis-a8-gpu-proc", Kind::Pixels),
    ("axis-a8-dlpu-proc", Kind::Pixels),
    ("a9-gpu-proc", Kind::Pixels),
    ("ambarella-cvflow-proc", Kind::Planes),
    ("axis-ace-proc", Kind::PixelsUnscaled),
    ("cpu-proc", Kind::Processor),
];

/// `axis-ace-proc` takes fewer pixels than this.
const ACE_PIXELS: usize = 4_194_304;
/// `ambarella-cvflow-proc` scales by no more than this, along each axis.
const CVFLOW_SCALE: usize = 256;
/// Rows on CV25 begin at multiples of this.
const CVFLOW_PITCH: usize = 32;

impl Kind {
    fn takes(self, wanted: &Conversion) -> bool {
        let even = |(a, b): (usize, usize)| a.is_multiple_of(2) && b.is_multiple_of(2);
        let part = wanted.part();
        match self {
            Self::Pixels => !wanted.planar,
            Self::PixelsUnscaled => {
                let (width, height) = wanted.from;
                !wanted.planar
                    && wanted.crop.is_none()
                    && wanted.to == wanted.from
                    && wanted.from_pitch == width
                    && wanted.to_pitch == 3 * width
                    && width.is_multiple_of(8)
                    && height >= 4
                    && width * height < ACE_PIXELS
            }
            Self::Planes => {
                let near = |from: usize, to: usize| from <= to * CVFLOW_SCALE && to <= from * CVFLOW_SCALE;
                wanted.planar
                    && even(wanted.to)
                    && near(part.0, wanted.to.0)
                    && near(part.1, wanted.to.1)
                    && wanted.from_pitch.is_multiple_of(CVFLOW_PITCH)
                    && wanted.to_pitch.is_multiple_of(CVFLOW_PITCH)
            }
            Self::Processor => even(wanted.to) && even((wanted.from_pitch, wanted.to_pitch)),
        }
    }
}

/// Of the devices that a camera lists, those that can do this, best first.
pub fn candidates(listed: &[String], wanted: &Conversion) -> Vec<&'static str> {
    let sane = wanted.part().0 > 0 && wanted.part().1 > 0 && wanted.to.0 > 0 && wanted.to.1 > 0;
    // Chroma of NV12 is of pairs of columns and rows.
    let paired = wanted.from.0.is_multiple_of(2) && wanted.from.1.is_multiple_of(2);
    let able = DEVICES.iter().filter(|(_, kind)| sane && paired && kind.takes(wanted)).map(|(name, _)| *name);
    able.filter(|name| listed.iter().any(|device| device == name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::geometry::Fit;

    fn nv12(width: usize, height: usize) -> FrameLayout {
        FrameLayout { matrix: Matrix::Bt601, ..FrameLayout::new(PixelFormat::Nv12, width, height) }
    }

    fn conversion(fit: Fit, frame: (usize, usize), input: (usize, usize)) -> Option<Conversion> {
        let layout = nv12(frame.0, frame.1);
        let mapping = Mapping::new(fit, layout.display_size(), input);
        Conversion::new(&layout, frame.0, &mapping, false, 3 * input.0)
    }

    fn list(devices: &[&str]) -> Vec<String> {
        devices.iter().map(|device| (*device).to_owned()).collect()
    }

    #[test]
    fn each_fit_is_a_part_scaled_to_a_place() {
        let stretched = conversion(Fit::Stretch, (1280, 720), (300, 300)).unwrap();
        assert_eq!((stretched.crop, stretched.to, stretched.offset), (None, (300, 300), 0));
        assert_eq!((stretched.from_bytes(), stretched.to_bytes()), (1280 * 1080, 270_000));
        // Bars above and below are whole rows.
        let letterboxed = conversion(Fit::Letterbox, (1920, 1080), (640, 640)).unwrap();
        assert_eq!((letterboxed.to, letterboxed.offset), ((640, 360), 140 * 1920));
        assert_eq!(letterboxed.to_bytes(), 360 * 1920);
        // Bars at the sides are not.
        assert_eq!(conversion(Fit::Letterbox, (1080, 1920), (640, 640)), None);
        let cropped = conversion(Fit::Crop, (1280, 720), (300, 300)).unwrap();
        assert_eq!((cropped.crop, cropped.to), (Some([280, 0, 720, 720]), (300, 300)));
        // 853.33 columns of 1280: no whole pixels.
        assert_eq!(conversion(Fit::Crop, (1280, 640), (320, 240)), None);
        // From column 5 on: between the columns of a pair.
        assert_eq!(conversion(Fit::Crop, (110, 100), (50, 50)), None);
    }

    #[test]
    fn what_devices_take_for_granted_must_be_so() {
        let mapping = Mapping::new(Fit::Stretch, (640.0, 360.0), (320, 192));
        let made = |layout: FrameLayout| Conversion::new(&layout, 640, &mapping, false, 960);
        assert!(made(nv12(640, 360)).is_some());
        assert!(made(FrameLayout { matrix: Matrix::Bt709, ..nv12(640, 360) }).is_none());
        assert!(made(FrameLayout { range: Range::Full, ..nv12(640, 360) }).is_none());
        assert!(made(FrameLayout { format: PixelFormat::Nv21, ..nv12(640, 360) }).is_none());
        // Planes below bars would not be the input's planes.
        let bars = Mapping::new(Fit::Letterbox, (640.0, 360.0), (320, 192));
        assert_eq!((bars.y, bars.height), (6, 180));
        assert!(Conversion::new(&nv12(640, 360), 640, &bars, true, 320).is_none());
        assert!(Conversion::new(&nv12(640, 360), 640, &mapping, true, 320).is_some());
    }

    #[test]
    fn devices_are_asked_within_their_limits() {
        let artpec8 = list(&[
            "cpu-tflite",
            "axis-ace-proc",
            "cpu-proc",
            "axis-a8-dlpu-tflite",
            "axis-a8-dlpu-proc",
            "axis-a8-gpu-proc",
        ]);
        let all = list(&DEVICES.map(|(name, _)| name));
        let scaled = conversion(Fit::Stretch, (1280, 720), (300, 300)).unwrap();
        assert_eq!(candidates(&artpec8, &scaled), ["axis-a8-gpu-proc", "axis-a8-dlpu-proc", "cpu-proc"]);
        let same = conversion(Fit::Stretch, (640, 360), (640, 360)).unwrap();
        assert!(candidates(&artpec8, &same).contains(&"axis-ace-proc"));
        for unfit in [
            Conversion { from_pitch: 704, ..same },
            Conversion { to_pitch: 2048, ..same },
            Conversion { crop: Some([0, 0, 640, 360]), ..same },
            Conversion { from: (2048, 2048), to: (2048, 2048), from_pitch: 2048, to_pitch: 6144, ..same },
            Conversion { from: (636, 360), to: (636, 360), from_pitch: 636, to_pitch: 1908, ..same },
        ] {
            assert!(!candidates(&all, &unfit).contains(&"axis-ace-proc"), "{unfit:?}");
        }
        // Odd sizes are for no libyuv, and an odd frame for nobody.
        let odd = Conversion { to: (299, 299), to_pitch: 897, ..scaled };
        assert_eq!(candidates(&artpec8, &odd), ["axis-a8-gpu-proc", "axis-a8-dlpu-proc"]);
        assert_eq!(candidates(&all, &Conversion { from: (1279, 720), ..scaled }), [""; 0]);

        let planes = Conversion { planar: true, to: (320, 192), to_pitch: 320, ..scaled };
        assert_eq!(candidates(&all, &planes), ["ambarella-cvflow-proc", "cpu-proc"]);
        for unfit in [
            Conversion { to_pitch: 330, ..planes },
            Conversion { from_pitch: 1288, ..planes },
            Conversion { to: (4, 192), ..planes },
            Conversion { crop: Some([0, 0, 64, 2]), to: (320, 514), ..planes },
        ] {
            assert_eq!(candidates(&all, &unfit), ["cpu-proc"], "{unfit:?}");
        }
    }
}
