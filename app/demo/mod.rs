//! A street scene that Spotter draws itself: moving figures whose boxes are known exactly.
//!
//! Everything follows from a seed and a time, to the pixel: the picture of any moment can be drawn
//! without those before it. The scene changes every [`SCENE_SECONDS`].

use std::time::Duration;

use tiny_skia::{Color, PixmapMut};

pub mod random;
pub mod truth;

pub use truth::{CLASSES, TrueBox};

/// After so many seconds the scene changes: another street, other weather, another light.
pub const SCENE_SECONDS: u64 = 20;
/// Bytes of a pixel: red, green, blue, 255 (`PixelFormat::Rgbx`).
pub const PIXEL_BYTES: usize = 4;
/// The smallest and the largest side of a picture, in pixels.
pub const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

/// Draws the street of a seed at one size.
pub struct Demo {
    seed: u64,
    width: u32,
    height: u32,
    truths: Vec<TrueBox>,
}

impl Demo {
    /// The street of `seed`, drawn at `width` × `height` pixels; both in [`SIDES`], else they are made so.
    pub fn new(seed: u64, width: u32, height: u32) -> Self {
        let side = |side: u32| side.clamp(*SIDES.start(), *SIDES.end());
        Self { seed, width: side(width), height: side(height), truths: Vec::new() }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Draws the picture of `time` into `pixels`, rows of `width` × [`PIXEL_BYTES`] bytes, top row first.
    /// False, and nothing drawn, where `pixels` has another size.
    pub fn draw(&mut self, time: Duration, pixels: &mut [u8]) -> bool {
        let Some(mut picture) = PixmapMut::from_bytes(pixels, self.width, self.height) else { return false };
        let mut random = random::Random::of(&[self.seed, time.as_secs() / SCENE_SECONDS]);
        let mut channel = || (random.unit() * 255.0) as u8;
        picture.fill(Color::from_rgba8(channel(), channel(), channel(), 255));
        true
    }

    /// What is in the picture that was drawn last, nearest first.
    pub fn truths(&self) -> &[TrueBox] {
        &self.truths
    }
}
