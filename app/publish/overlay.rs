//! Boxes and labels drawn into a picture, for viewers that only show pictures.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::{MonoTextStyle, ascii::FONT_6X10, ascii::FONT_10X20};
use embedded_graphics::pixelcolor::PixelColor;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};
use embedded_graphics::{Drawable, mono_font::MonoFont};

use crate::preprocess::I420Buffer;
use crate::scene::Scene;

/// A colour as JPEG holds it: Y, Cb, Cr, full range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour(u8, u8, u8);

impl PixelColor for Colour {
    type Raw = ();
}

impl Colour {
    /// From RGB by ITU-R BT.601, as JFIF 1.02 has it.
    const fn rgb(r: i32, g: i32, b: i32) -> Self {
        let y = (299 * r + 587 * g + 114 * b + 500) / 1000;
        let cb = (-168_736 * r - 331_264 * g + 500_000 * b + 500_000) / 1_000_000 + 128;
        let cr = (500_000 * r - 418_688 * g - 81_312 * b + 500_000) / 1_000_000 + 128;
        Self(y as u8, if cb > 255 { 255 } else { cb as u8 }, if cr > 255 { 255 } else { cr as u8 })
    }
}

const BLACK: Colour = Colour::rgb(0, 0, 0);

const WHITE: Colour = Colour::rgb(255, 255, 255);

/// Masataka Okabe's and Kei Ito's colours, which colour-blind people tell apart, in the order of the page
/// (`html/scene.js`).
const PALETTE: [[i32; 3]; 7] = [
    [230, 159, 0],
    [204, 121, 167],
    [86, 180, 233],
    [240, 228, 66],
    [0, 114, 178],
    [0, 158, 115],
    [213, 94, 0],
];

/// Further classes get lighter, then darker variants: towards this grey, by so many hundredths.
const TINTS: [(i32, i32); 3] = [(0, 0), (255, 45), (0, 35)];

/// The colour of a class, as on the page.
fn colour_of(class: usize) -> Colour {
    let [r, g, b] = PALETTE[class % PALETTE.len()];
    let (towards, share) = TINTS[class / PALETTE.len() % TINTS.len()];
    let tint = |c: i32| c + ((towards - c) * share + 50 * (towards - c).signum()) / 100;
    Colour::rgb(tint(r), tint(g), tint(b))
}

struct Canvas<'a> {
    picture: &'a mut I420Buffer,
}

impl Canvas<'_> {
    /// Fills the pixels `left..right` × `top..bottom`, cut to the picture.
    fn fill(&mut self, (left, right): (i32, i32), (top, bottom): (i32, i32), colour: Colour) {
        let (width, height) = self.picture.size();
        let chroma_width = self.picture.chroma_size().0;
        let cut = |value: i32, limit: usize| usize::try_from(value).unwrap_or(0).min(limit);
        let (left, right) = (cut(left, width), cut(right, width));
        let (top, bottom) = (cut(top, height), cut(bottom, height));
        if left >= right || top >= bottom {
            return;
        }
        let [y, u, v] = self.picture.planes_mut();
        for row in top..bottom {
            y[row * width + left..row * width + right].fill(colour.0);
        }
        let columns = left / 2..right.div_ceil(2);
        for row in top / 2..bottom.div_ceil(2) {
            let range = row * chroma_width + columns.start..row * chroma_width + columns.end;
            u[range.clone()].fill(colour.1);
            v[range].fill(colour.2);
        }
    }
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        let (width, height) = self.picture.size();
        Size::new(u32::try_from(width).unwrap_or(u32::MAX), u32::try_from(height).unwrap_or(u32::MAX))
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Colour;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Colour>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            self.fill((at.x, at.x + 1), (at.y, at.y + 1), colour);
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Colour) -> Result<(), Infallible> {
        let right = area.top_left.x.saturating_add_unsigned(area.size.width);
        let bottom = area.top_left.y.saturating_add_unsigned(area.size.height);
        self.fill((area.top_left.x, right), (area.top_left.y, bottom), colour);
        Ok(())
    }
}

/// Rows of a classifier's list.
const RANKED: usize = 3;

/// Colours the pixels of a segmentation mask, half and half with the picture. The background stays as it
/// is.
fn tint(scene: &Scene, picture: &mut I420Buffer) {
    let (width, height) = picture.size();
    let (chroma_width, chroma_height) = picture.chroma_size();
    let mut colours = [None; 256];
    for (class, colour) in colours.iter_mut().enumerate() {
        if !scene.labels.is_background(class as u32) {
            *colour = Some(colour_of(class));
        }
    }
    let mix = |old: u8, new: u8| ((u16::from(old) + u16::from(new)) / 2) as u8;
    let centre = |at: usize, of: usize| (at as f32 + 0.5) / of as f32;
    let [luma, blue, red] = picture.planes_mut();
    let colour_at = |x, y| scene.mask.class_at(x, y).and_then(|class| colours[usize::from(class)]);
    for y in 0..height {
        for x in 0..width {
            if let Some(colour) = colour_at(centre(x, width), centre(y, height)) {
                luma[y * width + x] = mix(luma[y * width + x], colour.0);
            }
        }
    }
    for y in 0..chroma_height {
        for x in 0..chroma_width {
            if let Some(colour) = colour_at(centre(x, chroma_width), centre(y, chroma_height)) {
                let at = y * chroma_width + x;
                (blue[at], red[at]) = (mix(blue[at], colour.1), mix(red[at], colour.2));
            }
        }
    }
}

/// Draws what was found in a scene into its picture: the mask, the kept detections, the best classes.
pub fn draw(scene: &Scene, picture: &mut I420Buffer) {
    if !scene.mask.is_empty() {
        tint(scene, picture);
    }
    let (width, height) = picture.size();
    let (columns, rows) = (width as f32, height as f32);
    let large = height >= 480;
    let font: &MonoFont = if large { &FONT_10X20 } else { &FONT_6X10 };
    let line = if large { 3 } else { 2 };
    let mut canvas = Canvas { picture };
    // The best is drawn last, so that it is on top.
    for detection in scene.sorted.kept.iter().rev() {
        let colour = colour_of(detection.class as usize);
        let rect = detection.rect.clamped();
        let (left, right) = ((rect.left * columns) as i32, (rect.right * columns).ceil() as i32);
        let (top, bottom) = ((rect.top * rows) as i32, (rect.bottom * rows).ceil() as i32);
        canvas.fill((left, right), (top, top + line), colour);
        canvas.fill((left, right), (bottom - line, bottom), colour);
        canvas.fill((left, left + line), (top, bottom), colour);
        canvas.fill((right - line, right), (top, bottom), colour);
        let text = format!("{} {:.2}", scene.labels.name(detection.class), detection.score);
        // Above the box where there is room, else inside it.
        let text_height = i32::try_from(font.character_size.height).unwrap_or(0);
        let y = if top >= text_height { top - text_height } else { top };
        chip(&mut canvas, &text, font, colour, (left, y));
    }
    let mut y = 0;
    for ranked in scene.classes.iter().take(RANKED) {
        let text = format!("{} {:.2}", scene.labels.name(ranked.class), ranked.score);
        chip(&mut canvas, &text, font, colour_of(ranked.class as usize), (0, y));
        y += i32::try_from(font.character_size.height).unwrap_or(0);
    }
}

/// Text on a coloured ground, moved left as far as it must to stay inside the picture.
fn chip(canvas: &mut Canvas<'_>, text: &str, font: &MonoFont<'_>, colour: Colour, (left, top): (i32, i32)) {
    let text_width =
        i32::try_from(font.character_size.width as usize * text.chars().count()).unwrap_or(0) + 4;
    let text_height = i32::try_from(font.character_size.height).unwrap_or(0);
    let width = i32::try_from(canvas.picture.size().0).unwrap_or(i32::MAX);
    let x = left.min(width - text_width).max(0);
    canvas.fill((x, x + text_width), (top, top + text_height), colour);
    // What can be read on the ground: its luma says how bright it is.
    let style = MonoTextStyle::new(font, if colour.0 > 110 { BLACK } else { WHITE });
    // Drawing into memory cannot fail (the error type is `Infallible`).
    let _ = Text::with_baseline(text, Point::new(x + 2, top), style, Baseline::Top).draw(canvas);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::model::labels::Labels;
    use crate::preprocess::ViewScaler;
    use crate::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};
    use crate::vision::geometry::Rect;
    use crate::vision::predictions::{ClassScore, Mask};

    /// A grey picture and an empty scene of it.
    fn picture(labels: Labels) -> (Scene, I420Buffer) {
        let (width, height) = (64, 48);
        let pixels = OwnedPixels { planes: vec![(vec![90; width * height], width)] };
        let frame = Frame::now(0, FrameLayout::new(PixelFormat::Gray8, width, height), Box::new(pixels));
        let mut view = I420Buffer::new();
        ViewScaler::new().run(&frame, width, height, &mut view).unwrap();
        (Scene::of(&frame, Arc::new(labels), Arc::default()), view)
    }

    #[test]
    fn colours_are_the_pages() {
        let page = include_str!("../../html/scene.js");
        let start = page.find("const PALETTE = [").unwrap();
        let list = &page[start..start + page[start..].find("];").unwrap()];
        let numbers: Vec<i32> =
            list.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        assert_eq!(numbers, PALETTE.concat());
        let dense: String = page.split_whitespace().collect();
        assert!(dense.contains("constTINTS=[[0,0],[255,0.45],[0,0.35],];"));
        assert_eq!(colour_of(0), Colour::rgb(230, 159, 0));
        assert_eq!(colour_of(7), Colour::rgb(241, 202, 115));
        assert_eq!(colour_of(14 + 21), colour_of(14));
    }

    #[test]
    fn a_mask_tints_all_but_the_background() {
        let (mut scene, mut view) = picture(Labels::built_in("voc-21").unwrap());
        let before = view.clone();
        let region = Rect::new(0.0, 0.0, 1.0, 1.0);
        scene.mask = Mask { width: 2, height: 1, classes: vec![0, 15], region };
        draw(&scene, &mut view);
        let colours = |view: &mut I420Buffer, x: usize, y: usize| {
            let [luma, blue, red] = view.planes_mut();
            (luma[y * 64 + x], blue[y / 2 * 32 + x / 2], red[y / 2 * 32 + x / 2])
        };
        let mut before = before;
        assert_eq!(colours(&mut view, 10, 20), colours(&mut before, 10, 20));
        let (old, Colour(y, cb, cr)) = (colours(&mut before, 50, 20), colour_of(15));
        let mix = |a: u8, b: u8| ((u16::from(a) + u16::from(b)) / 2) as u8;
        assert_eq!(colours(&mut view, 50, 20), (mix(old.0, y), mix(old.1, cb), mix(old.2, cr)));
    }

    #[test]
    fn the_best_classes_stand_in_the_corner() {
        let (mut scene, mut view) = picture(Labels::numbers(Some(5)));
        scene.classes = (1..=5).map(|class| ClassScore { class: class % 5, score: 0.2 }).collect();
        draw(&scene, &mut view);
        let Colour(luma, ..) = colour_of(1);
        let rows: Vec<u8> = (0..48).map(|y| view.planes_mut()[0][y * 64]).collect();
        assert_eq!((rows[0], rows[9]), (luma, luma), "the first row has the colour of class 1");
        assert_eq!(rows[10], colour_of(2).0);
        assert_eq!((rows[29], rows[30]), (colour_of(3).0, rows[47]), "three rows, then the picture");
    }
}
