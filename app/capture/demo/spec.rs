//! What a user may say of the demo scene.

use crate::demo::SIDES;

/// Columns and rows of a picture, in pixels.
pub type Size = (u32, u32);

/// The size of the demo scene where nobody says another.
pub const SIZE: Size = (1280, 720);

/// A size of the demo scene: "640x360".
///
/// # Errors
/// The end of a sentence where it is none, or a side is not in [`SIDES`].
pub fn size(text: &str) -> std::result::Result<Size, String> {
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
            let error = size(bad).unwrap_err();
            assert_eq!(
                error,
                format!("\"{bad}\" is no size; write 1280x720, with sides of 64 to 4096 pixels")
            );
        }
    }
}
