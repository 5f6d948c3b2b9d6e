//! Shapes of figures and things, in metres: x to the right, y up, the origin where it stands.

use tiny_skia::{FillRule, Path, PathBuilder, Rect};

/// Bytes of a pixel: red, green, blue, 255 (`PixelFormat::Rgbx`).
pub const PIXEL_BYTES: usize = 4;

/// A colour without transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

impl Colour {
    /// A grey.
    pub const fn grey(value: u8) -> Self {
        Self(value, value, value)
    }

    /// This colour with `share` of another in it.
    pub fn mixed(self, other: Self, share: f32) -> Self {
        let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share.clamp(0.0, 1.0)) as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// With less light: 0 is black, 1 as it is.
    pub fn shaded(self, light: f32) -> Self {
        Self(0, 0, 0).mixed(self, light)
    }

    /// With more light: 1 is white, 0 as it is.
    pub fn tinted(self, light: f32) -> Self {
        self.mixed(Self::grey(255), light)
    }
}

/// One filled area.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its outline in metres.
    pub path: Path,
    /// How holes are told.
    pub rule: FillRule,
    /// What it is filled with.
    pub colour: Colour,
    /// 255 covers what is behind.
    pub alpha: u8,
    /// Belongs to the figure, and so to its box; an umbrella or a leash does not.
    pub body: bool,
    /// Shines by itself: as bright by night as by day.
    pub glow: bool,
}

/// Shapes from back to front.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// What was drawn.
    pub shapes: Vec<Shape>,
    alpha: Option<u8>,
    loose: bool,
    glow: bool,
}

impl Sketch {
    /// Runs `draw`; what it draws does not belong to the figure's body.
    pub fn loose(&mut self, draw: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.loose, true);
        draw(self);
        self.loose = before;
    }

    /// Runs `draw`; what it draws shines by itself where `lit`.
    pub fn glowing(&mut self, lit: bool, draw: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.glow, lit);
        draw(self);
        self.glow = before;
    }

    /// Runs `draw`; what it draws is as transparent as `alpha` says, 255 not at all.
    pub fn sheer(&mut self, alpha: u8, draw: impl FnOnce(&mut Self)) {
        let before = self.alpha.replace(alpha);
        draw(self);
        self.alpha = before;
    }

    fn push(&mut self, path: Option<Path>, rule: FillRule, colour: Colour) {
        // No path: a shape without extent.
        if let Some(path) = path {
            let alpha = self.alpha.unwrap_or(255);
            self.shapes.push(Shape { path, rule, colour, alpha, body: !self.loose, glow: self.glow });
        }
    }

    /// Whatever outline `build` makes.
    pub fn outline(&mut self, colour: Colour, build: impl FnOnce(&mut PathBuilder)) {
        let mut builder = PathBuilder::new();
        build(&mut builder);
        self.push(builder.finish(), FillRule::Winding, colour);
    }

    /// A closed polygon.
    pub fn polygon(&mut self, points: &[(f32, f32)], colour: Colour) {
        self.outline(colour, |path| polygon(path, points));
    }

    /// An ellipse by its middle and half its width and height.
    pub fn ellipse(&mut self, (x, y): (f32, f32), (rx, ry): (f32, f32), colour: Colour) {
        let path = Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry).and_then(PathBuilder::from_oval);
        self.push(path, FillRule::Winding, colour);
    }

    /// A disc by its middle and radius.
    pub fn disc(&mut self, middle: (f32, f32), radius: f32, colour: Colour) {
        self.ellipse(middle, (radius, radius), colour);
    }

    /// A ring by its middle, outer radii and thickness.
    pub fn ring(&mut self, (x, y): (f32, f32), (rx, ry): (f32, f32), thick: f32, colour: Colour) {
        let mut path = PathBuilder::new();
        for inset in [0.0, thick] {
            let (rx, ry) = (rx - inset, ry - inset);
            if let Some(oval) = Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry) {
                path.push_oval(oval);
            }
        }
        self.push(path.finish(), FillRule::EvenOdd, colour);
    }

    /// A rectangle by two corners.
    pub fn rect(&mut self, (x0, y0): (f32, f32), (x1, y1): (f32, f32), colour: Colour) {
        self.polygon(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour);
    }

    /// A rectangle by two corners, its corners rounded by `radius`.
    pub fn rounded(&mut self, (x0, y0): (f32, f32), (x1, y1): (f32, f32), radius: f32, colour: Colour) {
        let radius = radius.min((x1 - x0).abs() / 2.0).min((y1 - y0).abs() / 2.0);
        self.soft_polygon(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], radius, colour);
    }

    /// A closed polygon whose corners are rounded, each by up to `radius`.
    pub fn soft_polygon(&mut self, points: &[(f32, f32)], radius: f32, colour: Colour) {
        self.outline(colour, |path| {
            for (index, &(x, y)) in points.iter().enumerate() {
                let before = points[(index + points.len() - 1) % points.len()];
                let after = points[(index + 1) % points.len()];
                // Towards a neighbour, no further than half of the way.
                let towards = |(to_x, to_y): (f32, f32)| {
                    let (dx, dy) = (to_x - x, to_y - y);
                    let share = (radius / (dx * dx + dy * dy).sqrt().max(1e-6)).min(0.5);
                    (x + dx * share, y + dy * share)
                };
                let ((in_x, in_y), (out_x, out_y)) = (towards(before), towards(after));
                if index == 0 {
                    path.move_to(in_x, in_y);
                } else {
                    path.line_to(in_x, in_y);
                }
                path.quad_to(x, y, out_x, out_y);
            }
            path.close();
        });
    }

    /// A limb: from one round end to another, each with its own width.
    pub fn limb(&mut self, from: (f32, f32), to: (f32, f32), widths: (f32, f32), colour: Colour) {
        self.outline(colour, |path| {
            let (dx, dy) = (to.0 - from.0, to.1 - from.1);
            let length = (dx * dx + dy * dy).sqrt().max(1e-6);
            let (across_x, across_y) = (-dy / length, dx / length);
            let side = |(x, y): (f32, f32), half: f32| (x + across_x * half, y + across_y * half);
            let (a, b) = (widths.0 / 2.0, widths.1 / 2.0);
            polygon(path, &[side(from, a), side(to, b), side(to, -b), side(from, -a)]);
            // The ends turn the way of the polygon, so that the overlap is no hole.
            path.push_circle(from.0, from.1, a);
            path.push_circle(to.0, to.1, b);
        });
    }
}

fn polygon(path: &mut PathBuilder, points: &[(f32, f32)]) {
    // Anticlockwise would cut holes where a polygon and a disc overlap.
    let twice_area: f32 = (0..points.len())
        .map(|index| {
            let ((x0, y0), (x1, y1)) = (points[index], points[(index + 1) % points.len()]);
            x0 * y1 - x1 * y0
        })
        .sum();
    let place =
        |index: usize| if twice_area < 0.0 { points[points.len() - 1 - index] } else { points[index] };
    for index in 0..points.len() {
        let (x, y) = place(index);
        if index == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    path.close();
}
