//! A bus: single or double-decked.

use super::parts::{Facing, Lamps, end_lamp, paint, wheel};
use crate::random::Random;
use crate::sketch::{Colour, Sketch};

/// The look of a bus.
#[derive(Clone, Debug)]
pub struct Bus {
    length: f32,
    height: f32,
    decks: usize,
    panes: usize,
    paint: Colour,
    second: Colour,
    glass: Colour,
    banner: Option<Colour>,
    display: Colour,
}

impl Bus {
    /// A bus of any size and paint.
    pub fn any(random: &mut Random) -> Self {
        let double = random.chance(0.22);
        Self {
            length: random.between(7.5, 11.5),
            height: if double { random.between(3.9, 4.3) } else { random.between(2.75, 3.2) },
            decks: if double { 2 } else { 1 },
            panes: 4 + random.index(4),
            paint: paint(random),
            second: paint(random),
            glass: Colour(34, 44, 54).tinted(random.between(0.0, 0.35)),
            banner: random.chance(0.35).then(|| paint(random)),
            display: random.pick([Colour(255, 170, 30), Colour(240, 240, 240), Colour(120, 230, 90)]),
        }
    }

    /// Length in metres.
    pub fn length(&self) -> f32 {
        self.length
    }

    /// Draws it after `way` metres; from the side its front is at +x.
    pub fn draw(&self, sketch: &mut Sketch, facing: Facing, way: f32, lamps: Lamps) {
        match facing {
            Facing::Side => self.side(sketch, way, lamps),
            Facing::Front | Facing::Back => self.end(sketch, facing, lamps),
        }
    }

    /// Bottom and top of the windows of a deck.
    fn window_rows(&self, deck: usize) -> (f32, f32) {
        match (self.decks, deck) {
            (1, _) => (self.height * 0.45, self.height * 0.83),
            (_, 0) => (1.15, 1.95),
            _ => (self.height - 1.35, self.height - 0.45),
        }
    }

    fn side(&self, sketch: &mut Sketch, way: f32, lamps: Lamps) {
        let (half, h) = (self.length / 2.0, self.height);
        sketch.soft_polygon(
            &[(-half, 0.3), (half, 0.3), (half, h * 0.55), (half - 0.14, h), (-half, h)],
            0.22,
            self.paint,
        );
        sketch.rect((-half + 0.02, 0.32), (half - 0.02, 0.62), self.second.shaded(0.8));
        let lit = lamps == Lamps::On;
        let glass = if lit { Colour(250, 225, 160).mixed(self.glass, 0.25) } else { self.glass };
        for deck in 0..self.decks {
            let (low, high) = self.window_rows(deck);
            sketch.rounded(
                (-half + 0.15, low - 0.05),
                (half - 0.06, high + 0.05),
                0.12,
                self.glass.shaded(0.5),
            );
            let wide = (self.length - 0.9) / self.panes as f32;
            for pane in 0..self.panes {
                let left = -half + 0.25 + wide * pane as f32;
                sketch.glowing(lit, |sketch| {
                    sketch.rounded((left, low), (left + wide - 0.1, high), 0.06, glass);
                });
            }
            sketch.sheer(45, |sketch| {
                let shine = [(-half * 0.4, low), (-half * 0.25, low), (0.0, high), (-half * 0.15, high)];
                sketch.polygon(&shine, Colour::grey(255));
            });
        }
        for door in [half - 1.45, -half * 0.08] {
            let top = self.window_rows(0).1;
            sketch.rounded((door, 0.36), (door + 1.05, top), 0.05, self.paint.shaded(0.5));
            for leaf in 0..2 {
                let left = door + 0.06 + 0.5 * leaf as f32;
                sketch.rect((left, 0.5), (left + 0.43, top - 0.08), glass.tinted(0.08));
            }
        }
        if let Some(banner) = self.banner {
            sketch.rect(
                (-half * 0.85, self.window_rows(0).0 - 0.62),
                (-half * 0.12, self.window_rows(0).0 - 0.12),
                banner,
            );
        }
        sketch.rect((half * 0.35, h - 0.38), (half * 0.8, h - 0.14), Colour::grey(18));
        sketch.glowing(true, |sketch| {
            sketch.rect((half * 0.4, h - 0.32), (half * 0.72, h - 0.2), self.display)
        });
        let (front, back) = if lit {
            (Colour(255, 250, 220), Colour(255, 60, 50))
        } else {
            (Colour(225, 230, 232), Colour(150, 24, 24))
        };
        sketch.glowing(lit, |sketch| {
            sketch.rounded((half - 0.22, 0.62), (half - 0.02, 0.86), 0.06, front);
            sketch.rect((-half + 0.01, 0.7), (-half + 0.1, 1.1), back);
        });
        for share in [-0.62f32, 0.52] {
            let middle = (half * share, 0.48);
            sketch.disc(middle, 0.58, self.paint.shaded(0.25));
            wheel(sketch, middle, 0.48, Colour::grey(150), 6, -way / 0.48);
        }
    }

    fn end(&self, sketch: &mut Sketch, facing: Facing, lamps: Lamps) {
        let (w, h) = (1.25, self.height);
        for side in [-1.0f32, 1.0] {
            sketch.rounded((side * w * 0.95, 0.0), (side * w * 0.62, 0.6), 0.06, Colour::grey(20));
        }
        sketch.rounded((-w, 0.28), (w, h), 0.24, self.paint);
        sketch.rect((-w + 0.01, 0.34), (w - 0.01, 0.7), self.second.shaded(0.8));
        for deck in 0..self.decks {
            let (low, high) = self.window_rows(deck);
            let low = if facing == Facing::Front && deck == 0 { low - 0.25 } else { low };
            sketch.rounded((-w * 0.9, low), (w * 0.9, high), 0.12, self.glass);
            sketch.sheer(50, |sketch| {
                sketch.polygon(
                    &[(-w * 0.5, low), (-w * 0.25, low), (w * 0.25, high), (0.0, high)],
                    Colour::grey(255),
                );
            });
        }
        sketch.rect((-w * 0.7, h - 0.4), (w * 0.7, h - 0.12), Colour::grey(18));
        sketch.glowing(true, |sketch| sketch.rect((-w * 0.5, h - 0.34), (w * 0.45, h - 0.18), self.display));
        let lit = lamps == Lamps::On;
        let lamp = end_lamp(facing, lit);
        for side in [-1.0f32, 1.0] {
            sketch.glowing(lit, |sketch| {
                sketch.rounded((side * w * 0.9, 0.62), (side * w * 0.62, 0.84), 0.08, lamp);
            });
            if facing == Facing::Front {
                sketch.rounded((side * w, h * 0.62), (side * (w + 0.22), h * 0.74), 0.05, Colour::grey(25));
            }
        }
        sketch.rect((-0.26, 0.42), (0.26, 0.54), Colour(235, 235, 225));
    }
}
