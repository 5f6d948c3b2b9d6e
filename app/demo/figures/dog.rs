//! A dog, seen from the side.

use std::f32::consts::PI;

use super::parts::vary;
use super::person::Pose;
use crate::random::Random;
use crate::sketch::{Colour, Sketch};

/// The look of a dog.
#[derive(Clone, Debug)]
pub struct Dog {
    height: f32,
    length: f32,
    stout: f32,
    legs: f32,
    snout: f32,
    coat: Colour,
    second: Colour,
    patches: usize,
    drop_ears: bool,
    bushy: bool,
    collar: Colour,
}

impl Dog {
    /// A dog of any breed.
    pub fn any(random: &mut Random) -> Self {
        let coats = [
            Colour(60, 40, 26),
            Colour(120, 78, 42),
            Colour(196, 150, 92),
            Colour(228, 206, 170),
            Colour(242, 240, 234),
            Colour(30, 28, 28),
            Colour(120, 118, 116),
            Colour(166, 88, 40),
        ];
        let coat = random.pick(coats);
        Self {
            height: random.between(0.48, 0.86),
            length: random.between(0.95, 1.35),
            stout: random.between(0.85, 1.25),
            legs: random.between(0.42, 0.56),
            snout: random.between(0.75, 1.3),
            coat: vary(random, coat, 0.1),
            second: random.pick(coats),
            patches: random.index(4),
            drop_ears: random.chance(0.5),
            bushy: random.chance(0.35),
            collar: random.pick([
                Colour(200, 30, 30),
                Colour(40, 80, 190),
                Colour(240, 200, 40),
                Colour(30, 30, 30),
            ]),
        }
    }

    /// Height of the head's top, about, in metres.
    pub fn height(&self) -> f32 {
        self.height
    }

    /// Where a leash is fixed.
    pub fn collar(&self) -> (f32, f32) {
        (0.42 * self.length * self.height, 0.78 * self.height)
    }

    /// Draws it after `way` metres; its head is at +x.
    pub fn draw(&self, sketch: &mut Sketch, way: f32, pose: Pose) {
        let k = self.height;
        let half = 0.46 * self.length * k;
        let thick = 0.3 * k * self.stout;
        let back = self.legs * k + thick / 2.0;
        let phase = if pose == Pose::Standing { 0.6 } else { way / (0.5 * k) * PI };
        let swing = if pose == Pose::Standing { 0.12 } else { 0.5 };
        let leg = |sketch: &mut Sketch, x: f32, offset: f32, light: f32| {
            let angle = swing * libm::sinf(phase + offset);
            let hip = (x, back - thick * 0.1);
            let length = back - thick * 0.1;
            let knee = (hip.0 + 0.5 * length * libm::sinf(angle), hip.1 - 0.5 * length * libm::cosf(angle));
            let paw_angle = angle - 0.35 * libm::cosf(phase + offset).max(0.0);
            let paw = (
                knee.0 + 0.46 * length * libm::sinf(paw_angle),
                knee.1 - 0.46 * length * libm::cosf(paw_angle),
            );
            let colour = self.coat.shaded(light);
            sketch.limb(hip, knee, (0.13 * k, 0.09 * k), colour);
            sketch.limb(knee, paw, (0.09 * k, 0.06 * k), colour);
            sketch.limb(paw, (paw.0 + 0.05 * k, paw.1), (0.06 * k, 0.05 * k), colour.shaded(0.9));
        };
        leg(sketch, half * 0.85, PI, 0.7);
        leg(sketch, -half * 0.85, 0.0, 0.7);
        let wag = 0.25 * libm::sinf(way * 5.0 + phase);
        let tail = (-half - (0.26 + 0.05 * wag) * k, back + (0.22 + 0.14 * wag) * k);
        let tail_width = if self.bushy { 0.13 * k } else { 0.06 * k };
        sketch.limb((-half, back + thick * 0.25), tail, (0.08 * k, tail_width), self.coat);
        sketch.limb((-half, back), (half, back + 0.03 * k), (thick * 0.92, thick * 1.12), self.coat);
        for patch in 0..self.patches {
            let x = half * (0.7 * patch as f32 - 0.6);
            sketch.ellipse((x, back + thick * 0.12), (0.13 * k, thick * 0.3), self.second);
        }
        leg(sketch, half * 0.95, 0.0, 0.95);
        leg(sketch, -half * 0.95, PI, 0.95);
        let head = (half + 0.17 * k, back + thick * 0.5 + 0.13 * k);
        sketch.limb((half * 0.9, back + 0.05 * k), head, (thick * 0.85, 0.2 * k), self.coat);
        sketch.limb(
            (half + 0.02 * k, back + 0.17 * k),
            (half + 0.14 * k, back + 0.06 * k),
            (0.06 * k, 0.06 * k),
            self.collar,
        );
        sketch.disc(head, 0.135 * k, self.coat);
        let nose = (head.0 + 0.2 * k * self.snout, head.1 - 0.045 * k);
        sketch.limb(head, nose, (0.16 * k, 0.09 * k), self.coat.mixed(self.second, 0.35));
        sketch.disc((nose.0 + 0.03 * k, nose.1 + 0.01 * k), 0.03 * k, Colour::grey(20));
        sketch.disc((head.0 + 0.06 * k, head.1 + 0.035 * k), 0.022 * k, Colour::grey(15));
        let ear = self.coat.mixed(self.second, 0.6).shaded(0.7);
        if self.drop_ears {
            sketch.limb(
                (head.0 - 0.06 * k, head.1 + 0.08 * k),
                (head.0 - 0.1 * k, head.1 - 0.09 * k),
                (0.09 * k, 0.08 * k),
                ear,
            );
        } else {
            sketch.polygon(
                &[
                    (head.0 - 0.13 * k, head.1 + 0.06 * k),
                    (head.0 - 0.06 * k, head.1 + 0.25 * k),
                    (head.0 + 0.02 * k, head.1 + 0.1 * k),
                ],
                ear,
            );
        }
    }
}
