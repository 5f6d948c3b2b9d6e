//! What a user may say of the demo scene.

use std::fmt;
use std::str::FromStr;

pub use crate::capture::notation::{Size, fps};
use crate::demo::SIDES;

/// The size of the demo scene where nobody says another.
pub const SIZE: Size = (1280, 720);
/// Its frame rate where nobody says another, as a fraction.
pub const FPS: (i32, i32) = (25, 1);
/// What it follows from where nobody says: its first scene is a street by day with figures of all classes.
pub const SEED: u64 = 15;
/// Which demo scene, and how it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoSpec {
    /// What the scenes follow from.
    pub seed: u64,
    /// Columns and rows.
    pub size: Size,
    /// Frames a second, as a fraction.
    pub fps: (i32, i32),
}

impl Default for DemoSpec {
    fn default() -> Self {
        Self { seed: SEED, size: SIZE, fps: FPS }
    }
}

/// What is behind the colon of "demo:seed=7,size=640x360,fps=15"; every part may be left out.
impl FromStr for DemoSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut spec = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("seed", text)) => {
                    spec.seed = text.parse().map_err(|_| {
                        format!("\"{text}\" is no seed; give a whole number from 0 to {}", u64::MAX)
                    })?;
                }
                Some(("size", text)) => spec.size = size(text)?,
                Some(("fps", text)) => spec.fps = fps(text)?,
                _ => {
                    return Err(format!(
                        "the demo scene has no setting \"{part}\"; write demo:seed=7,size=640x360,fps=15 with what \
                         is to differ"
                    ));
                }
            }
        }
        Ok(spec)
    }
}

/// As [`FromStr`] reads it, with what differs from the default.
impl fmt::Display for DemoSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, size, fps } = *self;
        let parts = [
            (seed != SEED).then(|| format!("seed={seed}")),
            (size != SIZE).then(|| format!("size={}x{}", size.0, size.1)),
            (fps != FPS).then(|| match fps {
                (n, 1) => format!("fps={n}"),
                (n, d) => format!("fps={n}/{d}"),
            }),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

/// A size of the demo scene: "640x360".
///
/// # Errors
/// A sentence where it is none, or a side is not in [`SIDES`].
pub fn size(text: &str) -> Result<Size, String> {
    let (least, most) = (SIDES.start(), SIDES.end());
    let side = |text: &str| text.parse().ok().filter(|side| SIDES.contains(side));
    text.split_once(['x', '×']).and_then(|(width, height)| Some((side(width)?, side(height)?))).ok_or_else(
        || format!("\"{text}\" is no size; write 1280x720, with sides of {least} to {most} pixels"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert_eq!((size("640x360"), size("64×4096")), (Ok((640, 360)), Ok((64, 4096))));
        for bad in ["", "x", "640", "640x", "640x63", "4097x64", "-640x360", "640x360x2", "640 x 360"] {
            let wanted = format!("\"{bad}\" is no size; write 1280x720, with sides of 64 to 4096 pixels");
            assert_eq!(size(bad), Err(wanted));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read = |text: &str| text.parse::<DemoSpec>();
        for text in
            ["", "seed=7", "size=640x360", "fps=15", "seed=18446744073709551615,size=64x64,fps=30000/1001"]
        {
            assert_eq!(read(text).map(|spec| spec.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(read("fps=5,seed=1"), read("seed=1,,fps=5,"));
        assert_eq!(read("seed=15,size=1280x720,fps=25"), Ok(DemoSpec::default()));
        assert_eq!(
            read("sed=7").unwrap_err(),
            "the demo scene has no setting \"sed=7\"; write demo:seed=7,size=640x360,fps=15 with what is to differ"
        );
        for (bad, said) in
            [("seed=-1", "\"-1\" is no seed"), ("size=9", "\"9\" is no size"), ("fps=x", "\"x\" is no")]
        {
            assert!(read(bad).unwrap_err().starts_with(said));
        }
    }
}
