//! A bicycle, seen from the side.

use super::parts::paint;
use crate::random::Random;
use crate::sketch::{Colour, Sketch};

/// The look of a bicycle.
#[derive(Clone, Debug)]
pub struct Bicycle {
    wheel: f32,
    paint: Colour,
    tyre: Colour,
    low_frame: bool,
    drop_bar: bool,
    basket: bool,
    guards: bool,
    tube: f32,
}

impl Bicycle {
    /// A bicycle of any build and paint.
    pub fn any(random: &mut Random) -> Self {
        Self {
            wheel: random.between(0.31, 0.36),
            paint: paint(random),
            tyre: Colour::grey(random.pick([18, 24, 30, 48])),
            low_frame: random.chance(0.35),
            drop_bar: random.chance(0.25),
            basket: random.chance(0.25),
            guards: random.chance(0.4),
            tube: random.between(0.045, 0.07),
        }
    }

    /// Draws it after `way` metres; its front is at +x.
    pub fn draw(&self, sketch: &mut Sketch, way: f32) {
        let r = self.wheel;
        let (back, front) = ((-0.53, r), (0.55, r));
        for (x, y) in [back, front] {
            sketch.ring((x, y), (r, r), 0.05, self.tyre);
            for spoke in 0..4 {
                let angle = -way / r + std::f32::consts::PI * spoke as f32 / 4.0;
                let (dx, dy) = (libm::cosf(angle) * (r - 0.03), libm::sinf(angle) * (r - 0.03));
                sketch.limb((x - dx, y - dy), (x + dx, y + dy), (0.012, 0.012), Colour::grey(150));
            }
            sketch.disc((x, y), 0.04, Colour::grey(90));
            if self.guards {
                let guard = self.paint.shaded(0.8);
                sketch.limb((x - r * 0.75, y + r * 0.78), (x + r * 0.1, y + r * 1.08), (0.04, 0.04), guard);
            }
        }
        let (pedal, seat, head) = ((0.02, 0.3), (-0.2, 0.86), (0.4, 0.84));
        let t = self.tube;
        let mut tube = |from, to| sketch.limb(from, to, (t, t), self.paint);
        tube(back, pedal);
        tube(back, (-0.16, 0.72));
        tube(pedal, seat);
        tube(pedal, (0.42, 0.72));
        tube(if self.low_frame { (-0.06, 0.45) } else { (-0.17, 0.76) }, (0.41, 0.78));
        tube(front, head);
        sketch.disc(pedal, 0.09, Colour::grey(70));
        sketch.limb((-0.33, 0.93), (-0.08, 0.92), (0.09, 0.05), Colour::grey(30));
        sketch.limb(seat, (-0.21, 0.92), (0.04, 0.04), Colour::grey(60));
        let bar = (0.36, 1.02);
        sketch.limb(head, bar, (0.045, 0.045), Colour::grey(70));
        if self.drop_bar {
            sketch.ring((0.5, 0.93), (0.1, 0.1), 0.035, Colour::grey(35));
        } else {
            sketch.limb(bar, (0.46, 1.03), (0.05, 0.05), Colour::grey(35));
        }
        if self.basket {
            sketch.soft_polygon(
                &[(0.47, 0.72), (0.8, 0.72), (0.86, 0.98), (0.43, 0.98)],
                0.04,
                Colour(140, 100, 60),
            );
        }
    }
}
