//! A car.

use super::parts::{Facing, Lamps, end_lamp, paint, wheel};
use crate::random::Random;
use crate::sketch::{Colour, Sketch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    Hatchback,
    Saloon,
    Estate,
    OffRoad,
    Van,
}

/// The look of a car.
#[derive(Clone, Debug)]
pub struct Car {
    build: Build,
    length: f32,
    height: f32,
    width: f32,
    wheel: f32,
    paint: Colour,
    roof: Colour,
    glass: Colour,
    rim: Colour,
    spokes: usize,
    taxi: bool,
    stripe: Option<Colour>,
}

impl Car {
    /// A car of any build and paint.
    pub fn any(random: &mut Random) -> Self {
        let build = random.pick([Build::Hatchback, Build::Saloon, Build::Estate, Build::OffRoad, Build::Van]);
        let (length, height) = match build {
            Build::Hatchback => (random.between(3.6, 4.2), random.between(1.42, 1.55)),
            Build::Saloon => (random.between(4.4, 4.9), random.between(1.38, 1.48)),
            Build::Estate => (random.between(4.4, 4.8), random.between(1.42, 1.55)),
            Build::OffRoad => (random.between(4.2, 4.8), random.between(1.62, 1.82)),
            Build::Van => (random.between(4.4, 5.2), random.between(1.85, 2.1)),
        };
        let body = paint(random);
        Self {
            build,
            length,
            height,
            width: random.between(1.72, 1.9),
            wheel: random.between(0.29, 0.33) * if build == Build::OffRoad { 1.15 } else { 1.0 },
            paint: body,
            roof: if random.chance(0.12) { paint(random) } else { body },
            glass: Colour(36, 46, 56).tinted(random.between(0.0, 0.4)),
            rim: Colour::grey(random.between(90.0, 215.0) as u8),
            spokes: random.pick([0, 5, 5, 6, 8]),
            taxi: random.chance(0.06),
            stripe: random.chance(0.1).then(|| paint(random)),
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

    /// Where roof and windscreens begin and end, as shares of the length from the back:
    /// foot and top of the rear screen, top and foot of the windscreen.
    fn roofline(&self) -> [f32; 4] {
        match self.build {
            Build::Hatchback => [0.03, 0.13, 0.55, 0.73],
            Build::Saloon => [0.14, 0.28, 0.56, 0.72],
            Build::Estate => [0.03, 0.10, 0.56, 0.72],
            Build::OffRoad => [0.03, 0.08, 0.58, 0.71],
            Build::Van => [0.01, 0.04, 0.74, 0.88],
        }
    }

    fn side(&self, sketch: &mut Sketch, way: f32, lamps: Lamps) {
        let (l, h) = (self.length, self.height);
        let at = |share: f32| (share - 0.5) * l;
        let [foot_back, top_back, top_front, foot_front] = self.roofline();
        let sill = self.wheel * 0.7;
        let belt = if self.build == Build::Van { h * 0.55 } else { h * 0.62 };
        let hood = belt * if self.build == Build::Van { 0.92 } else { 0.97 };
        let boot = if self.build == Build::Saloon { belt } else { belt * 1.02 };
        let body = [
            (at(0.0), sill),
            (at(1.0), sill),
            (at(1.0), hood * 0.78),
            (at(0.97), hood * 0.92),
            (at(foot_front), belt),
            (at(foot_back), boot),
            (at(0.0), boot * 0.95),
        ];
        let cabin = [
            (at(foot_back), belt * 0.9),
            (at(top_back), h),
            (at(top_front), h),
            (at(foot_front), belt * 0.9),
        ];
        sketch.soft_polygon(&cabin, 0.16, self.roof);
        sketch.soft_polygon(&body, 0.14, self.paint);
        if let Some(stripe) = self.stripe {
            sketch.rect((at(0.01), belt * 0.72), (at(0.99), belt * 0.82), stripe);
        }
        sketch.rect((at(0.005), sill), (at(0.995), sill + 0.1), self.paint.shaded(0.55));
        self.windows(sketch, belt);
        for door in [0.36, 0.62] {
            let line = self.paint.shaded(0.7);
            sketch.rect((at(door), sill + 0.1), (at(door) + 0.025, belt), line);
            sketch.rect((at(door) - 0.28, belt * 0.86), (at(door) - 0.12, belt * 0.9), line);
        }
        let lit = lamps == Lamps::On;
        let (front, back) = if lit {
            (Colour(255, 250, 220), Colour(255, 60, 50))
        } else {
            (Colour(220, 226, 230), Colour(150, 24, 24))
        };
        sketch.glowing(lit, |sketch| {
            sketch.rounded((at(0.93), hood * 0.68), (at(0.995), hood * 0.84), 0.04, front);
            sketch.rounded((at(0.003), boot * 0.68), (at(0.045), boot * 0.9), 0.03, back);
        });
        for share in [0.19, 0.81] {
            let middle = (at(share), self.wheel);
            sketch.disc(middle, self.wheel * 1.16, self.paint.shaded(0.3));
            wheel(sketch, middle, self.wheel, self.rim, self.spokes, -way / self.wheel);
        }
        if self.taxi {
            sketch.rounded((at(0.36), h - 0.02), (at(0.44), h + 0.14), 0.03, Colour(250, 215, 60));
        }
    }

    fn windows(&self, sketch: &mut Sketch, belt: f32) {
        let (l, h) = (self.length, self.height);
        let at = |share: f32| (share - 0.5) * l;
        let [foot_back, top_back, top_front, foot_front] = self.roofline();
        let (low, high) = (belt + 0.02, h - 0.09);
        let lean = |foot: f32, top: f32, y: f32| foot + (top - foot) * (y - belt) / (h - belt);
        let edge = |y: f32, inset: f32| {
            (lean(foot_back, top_back, y) + inset, lean(foot_front, top_front, y) - inset)
        };
        let ((low_left, low_right), (high_left, high_right)) = (edge(low, 0.025), edge(high, 0.03));
        let middle = 0.36;
        let solid_back = self.build == Build::Van && self.stripe.is_none();
        let panes: [[f32; 4]; 2] = [
            [low_left, middle - 0.01, high_left, middle - 0.01],
            [middle + 0.01, low_right, middle + 0.01, high_right],
        ];
        for (index, [low_a, low_b, high_a, high_b]) in panes.into_iter().enumerate() {
            if solid_back && index == 0 {
                continue;
            }
            let pane = [(at(low_a), low), (at(low_b), low), (at(high_b), high), (at(high_a), high)];
            sketch.soft_polygon(&pane, 0.05, self.glass);
            sketch.sheer(60, |sketch| {
                let shine =
                    [pane[0], (pane[0].0 + 0.25, low), (pane[3].0 + 0.4, high), (pane[3].0 + 0.12, high)];
                sketch.polygon(&shine, Colour::grey(255));
            });
        }
        sketch.rect((at(0.62), low), (at(0.62) + 0.05, high), self.roof.shaded(0.6));
    }

    fn end(&self, sketch: &mut Sketch, facing: Facing, lamps: Lamps) {
        let (w, h) = (self.width / 2.0, self.height);
        let belt = h * 0.6;
        for side in [-1.0f32, 1.0] {
            sketch.rounded((side * w * 0.98, 0.0), (side * (w - 0.26), 0.5), 0.05, Colour::grey(20));
        }
        sketch.soft_polygon(
            &[(-w * 0.98, belt * 0.9), (-w * 0.78, h), (w * 0.78, h), (w * 0.98, belt * 0.9)],
            0.16,
            self.roof,
        );
        sketch.rounded((-w, self.wheel * 0.6), (w, belt), 0.17, self.paint);
        let pane = [(-w * 0.86, belt), (-w * 0.72, h - 0.1), (w * 0.72, h - 0.1), (w * 0.86, belt)];
        sketch.soft_polygon(&pane, 0.06, self.glass);
        sketch.sheer(55, |sketch| {
            sketch.polygon(
                &[
                    (-w * 0.5, belt + 0.02),
                    (-w * 0.2, belt + 0.02),
                    (w * 0.2, h - 0.12),
                    (-w * 0.1, h - 0.12),
                ],
                Colour::grey(255),
            );
        });
        sketch.rounded((-w * 0.99, self.wheel * 0.55), (w * 0.99, belt * 0.36), 0.06, self.paint.shaded(0.5));
        let lit = lamps == Lamps::On;
        let lamp = end_lamp(facing, lit);
        for side in [-1.0f32, 1.0] {
            sketch.glowing(lit, |sketch| {
                sketch.rounded((side * w * 0.95, belt * 0.6), (side * w * 0.6, belt * 0.82), 0.06, lamp);
            });
            sketch.rounded(
                (side * w, belt * 0.98),
                (side * (w + 0.16), belt * 1.14),
                0.05,
                self.paint.shaded(0.8),
            );
        }
        if facing == Facing::Front {
            sketch.rounded((-w * 0.5, belt * 0.55), (w * 0.5, belt * 0.78), 0.05, self.paint.shaded(0.28));
        } else {
            sketch.rect((-w * 0.8, belt * 0.88), (w * 0.8, belt * 0.9), self.paint.shaded(0.7));
        }
        sketch.rect((-0.26, belt * 0.4), (0.26, belt * 0.52), Colour(235, 235, 225));
        if self.taxi {
            sketch.rounded((-0.2, h - 0.02), (0.2, h + 0.14), 0.03, Colour(250, 215, 60));
        }
    }
}
