//! What a user may say of the camera's own video.

use std::fmt;
use std::str::FromStr;

pub use crate::vision::sensor::View;

use crate::capture::notation::{Size, fps};

/// Frames a second where nobody says: what cameras capture at most, as a rule.
pub const FPS: (i32, i32) = (30, 1);
/// Buffers where nobody says: one is filled, one waits, one is looked at.
pub const BUFFERS: u32 = 3;
/// More are of no use, and cameras have few.
const MOST_BUFFERS: u32 = 16;
/// The longest side of a frame.
const MOST_SIDE: u32 = 8192;

/// How frames lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Planes Y and UV; every camera gives it.
    Nv12,
    /// R, G and B side by side; ARTPEC-9 and Ambarella give it.
    Rgb,
    /// Planes R, G and B; ARTPEC-8 and Ambarella give it.
    PlanarRgb,
    /// Compressed by the camera's encoder, for the page.
    Jpeg,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Nv12, Self::Rgb, Self::PlanarRgb, Self::Jpeg];

    pub fn word(self) -> &'static str {
        match self {
            Self::Nv12 => "nv12",
            Self::Rgb => "rgb",
            Self::PlanarRgb => "planar-rgb",
            Self::Jpeg => "jpeg",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.word() == text).ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            format!("\"{text}\" is no format of frames; there are {words}")
        })
    }
}

/// What the frames are for, so that they are no larger than need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suit {
    /// Columns and rows of the model's input.
    pub input: Size,
    /// Whether frames are stretched into it.
    pub stretched: bool,
    /// Whether its red, green and blue are planes.
    pub planar: bool,
    /// Whether only the middle of frames goes into it.
    pub cropped: bool,
}

/// Which video of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VdoSpec {
    /// Which picture.
    pub view: View,
    /// Columns and rows as the picture stands; as the model wants it where nobody says.
    pub size: Option<Size>,
    /// Frames a second at most, as a fraction.
    pub fps: (i32, i32),
    /// How frames lie in memory; what suits the model where nobody says.
    pub format: Option<Format>,
    /// How it is turned, in degrees; as the camera is set where nobody says.
    pub rotation: Option<u32>,
    /// How many buffers the camera fills in turn.
    pub buffers: u32,
    /// What the frames are for; not for the user to say.
    pub suit: Option<Suit>,
}

impl Default for VdoSpec {
    fn default() -> Self {
        Self {
            view: View::default(),
            size: None,
            fps: FPS,
            format: None,
            rotation: None,
            buffers: BUFFERS,
            suit: None,
        }
    }
}

impl VdoSpec {
    /// Frames a second at most.
    pub fn rate(&self) -> f64 {
        f64::from(self.fps.0) / f64::from(self.fps.1.max(1))
    }
}

/// What is behind the colon of "vdo:channel=1,size=1280x720,fps=15,format=nv12"; every part may be left out.
impl FromStr for VdoSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut spec = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("input" | "channel", _)) => spec.view = part.parse()?,
                Some(("size", text)) => spec.size = Some(size(text)?),
                Some(("fps", text)) => spec.fps = fps(text)?,
                Some(("format", text)) => match text.parse()? {
                    Format::Jpeg => {
                        return Err(
                            "format=jpeg is for the page alone; detection takes nv12, rgb or planar-rgb"
                                .to_owned(),
                        );
                    }
                    format => spec.format = Some(format),
                },
                Some(("rotation", text)) => match text {
                    "0" | "90" | "180" | "270" => spec.rotation = text.parse().ok(),
                    _ => return Err(format!("\"{text}\" is no rotation; give 0, 90, 180 or 270")),
                },
                Some(("buffers", text)) => {
                    spec.buffers = number(text, "number of buffers", 2..=MOST_BUFFERS)?
                }
                _ => {
                    return Err(format!(
                        "the camera's video has no setting \"{part}\"; write vdo:channel=1,size=1280x720,fps=15,\
                         format=nv12,rotation=90,buffers=3 with what is to differ, or input=1 in place of channel"
                    ));
                }
            }
        }
        Ok(spec)
    }
}

/// As [`FromStr`] reads it, with what differs from the default.
impl fmt::Display for VdoSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { view, size, fps, format, rotation, buffers, suit: _ } = *self;
        let parts = [
            (view != View::default()).then(|| view.to_string()),
            size.map(|(width, height)| format!("size={width}x{height}")),
            (fps != FPS).then(|| match fps {
                (n, 1) => format!("fps={n}"),
                (n, d) => format!("fps={n}/{d}"),
            }),
            format.map(|format| format!("format={}", format.word())),
            rotation.map(|rotation| format!("rotation={rotation}")),
            (buffers != BUFFERS).then(|| format!("buffers={buffers}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

fn number(text: &str, what: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        format!("\"{text}\" is no {what}; give a number from {} to {}", range.start(), range.end())
    })
}

/// Even sides: chroma is halved both ways.
fn size(text: &str) -> Result<Size, String> {
    let side = |text: &str| text.parse().ok().filter(|side| (16..=MOST_SIDE).contains(side) && side % 2 == 0);
    text.split_once(['x', '×']).and_then(|(width, height)| Some((side(width)?, side(height)?))).ok_or_else(
        || format!("\"{text}\" is no size; write 1280x720, with even sides of 16 to {MOST_SIDE} pixels"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let read = |text: &str| text.parse::<VdoSpec>();
        for text in [
            "",
            "channel=0",
            "input=2,size=640x360",
            "channel=1,size=1280x720,fps=15,format=nv12",
            "fps=30000/1001,format=planar-rgb,rotation=90,buffers=5",
        ] {
            assert_eq!(read(text).map(|spec| spec.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(read("input=1,fps=30,buffers=3,"), Ok(VdoSpec::default()));
        assert_eq!(read("fps=15").unwrap().rate(), 15.0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (bad, said) in [
            ("size=641x360", "\"641x360\" is no size; write 1280x720, with even sides of 16 to 8192 pixels"),
            ("input=0", "\"0\" is no input; give a number from 1 to 64"),
            ("buffers=1", "\"1\" is no number of buffers; give a number from 2 to 16"),
            ("rotation=45", "\"45\" is no rotation; give 0, 90, 180 or 270"),
            ("format=bgr", "\"bgr\" is no format of frames; there are nv12, rgb, planar-rgb, jpeg"),
            ("format=jpeg", "format=jpeg is for the page alone; detection takes nv12, rgb or planar-rgb"),
            ("fps=0", "\"0\" is no frame rate; give a number above 0 and to 240, or 30000/1001"),
        ] {
            assert_eq!(bad.parse::<VdoSpec>(), Err(said.to_owned()));
        }
        assert!(
            "quality=1"
                .parse::<VdoSpec>()
                .unwrap_err()
                .starts_with("the camera's video has no setting \"quality=1\"")
        );
    }
}
