//! The demo scene as frames.

use std::time::Duration;

use spec::Size;

use crate::demo::{Demo, PIXEL_BYTES, TrueBox};
use crate::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};

pub mod element;
pub mod spec;

/// The frame of `time`, over pixels of its own. Its true boxes are then `demo.truths()`.
pub fn frame(demo: &mut Demo, time: Duration) -> Frame {
    let (width, height) = demo.size();
    let (width, height) = (width as usize, height as usize);
    let pitch = width * PIXEL_BYTES;
    let mut pixels = vec![0; pitch * height];
    let drawn = demo.draw(time, &mut pixels);
    debug_assert!(drawn, "the buffer has the size of the picture");
    let layout = FrameLayout::new(PixelFormat::Rgbx, width, height);
    let mut frame = Frame::now(0, layout, Box::new(OwnedPixels { planes: vec![(pixels, pitch)] }));
    frame.pts = Some(time);
    frame
}

/// Left, top, width and height in pixels of a picture of this size.
pub fn bbox(truth: &TrueBox, (width, height): Size) -> [f64; 4] {
    let (rect, width, height) = (truth.rect, f64::from(width), f64::from(height));
    let (left, top) = (f64::from(rect.left) * width, f64::from(rect.top) * height);
    [left, top, f64::from(rect.right) * width - left, f64::from(rect.bottom) * height - top]
}
