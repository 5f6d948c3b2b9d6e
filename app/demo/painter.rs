//! Sketches onto pixels.

use tiny_skia::{Color, FillRule, Paint, Path, PixmapMut, Rect, Shader, Transform};

use super::sketch::{Colour, Sketch};
use super::weather::Weather;

/// Fills shapes in a picture, in the light of a scene.
pub struct Painter<'a, 'b> {
    picture: &'a mut PixmapMut<'b>,
    weather: &'a Weather,
}

impl<'a, 'b> Painter<'a, 'b> {
    /// Paints into `picture`.
    pub fn new(picture: &'a mut PixmapMut<'b>, weather: &'a Weather) -> Self {
        Self { picture, weather }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (f32, f32) {
        (self.picture.width() as f32, self.picture.height() as f32)
    }

    /// Fills one path.
    pub fn fill(&mut self, path: &Path, rule: FillRule, transform: Transform, colour: Colour, alpha: u8) {
        let Colour(red, green, blue) = colour;
        let paint = Paint {
            shader: Shader::SolidColor(Color::from_rgba8(red, green, blue, alpha)),
            anti_alias: true,
            ..Paint::default()
        };
        self.picture.fill_path(path, &paint, rule, transform, None);
    }

    /// Paints a sketch at distance `z`.
    pub fn sketch(&mut self, sketch: &Sketch, transform: Transform, z: f32) {
        for shape in &sketch.shapes {
            let colour = self.weather.seen(shape.colour, z, shape.glow);
            self.fill(&shape.path, shape.rule, transform, colour, shape.alpha);
        }
    }

    /// Fills an ellipse, in pixels: a shadow, a glow. The colour is taken as it is.
    pub fn ellipse(&mut self, (x, y): (f32, f32), (rx, ry): (f32, f32), colour: Colour, alpha: u8) {
        if let Some(path) =
            Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry).and_then(tiny_skia::PathBuilder::from_oval)
        {
            self.fill(&path, FillRule::Winding, Transform::identity(), colour, alpha);
        }
    }
}
