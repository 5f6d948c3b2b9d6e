//! Somebody on foot, or on a bicycle.

use std::f32::consts::PI;

use super::parts::{Facing, cloth, vary};
use crate::random::Random;
use crate::sketch::{Colour, Sketch};

/// What a figure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pose {
    /// It moves on its feet.
    Walking,
    Standing,
    /// It sits on a bicycle and pedals.
    Riding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hair {
    Short,
    Long,
    Bun,
    Cap,
    Hood,
    Bald,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Top {
    Shirt,
    Striped,
    Jacket,
    Coat,
    Vest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bottom {
    Trousers,
    Shorts,
    Skirt,
    Dress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    Nothing,
    Backpack,
    Bag,
    Umbrella,
}

/// The look of a person.
#[derive(Clone, Debug)]
pub struct Person {
    height: f32,
    build: f32,
    head: f32,
    stride: f32,
    skin: Colour,
    hair_colour: Colour,
    top_colour: Colour,
    second_colour: Colour,
    bottom_colour: Colour,
    shoe_colour: Colour,
    bag_colour: Colour,
    hair: Hair,
    top: Top,
    bottom: Bottom,
    carried: Carried,
}

fn turned((x, y): (f32, f32), length: f32, angle: f32) -> (f32, f32) {
    (x + length * libm::sinf(angle), y - length * libm::cosf(angle))
}

impl Person {
    /// A person of any look; more umbrellas where it rains.
    pub fn any(random: &mut Random, rain: bool) -> Self {
        let child = random.chance(0.14);
        let height = if child { random.between(1.05, 1.4) } else { random.between(1.52, 1.95) };
        let skin = random.pick([
            Colour(244, 208, 178),
            Colour(226, 178, 140),
            Colour(198, 142, 104),
            Colour(150, 98, 66),
            Colour(104, 66, 44),
            Colour(72, 46, 34),
        ]);
        let hair_colour = random.pick([
            Colour(28, 22, 18),
            Colour(62, 40, 26),
            Colour(110, 72, 40),
            Colour(196, 156, 92),
            Colour(150, 62, 30),
            Colour(150, 150, 150),
            Colour(225, 222, 215),
        ]);
        let umbrella = random.chance(if rain { 0.5 } else { 0.03 });
        let carried = random.pick([
            Carried::Nothing,
            Carried::Nothing,
            Carried::Nothing,
            Carried::Backpack,
            Carried::Bag,
        ]);
        let hair =
            [Hair::Short, Hair::Short, Hair::Long, Hair::Long, Hair::Bun, Hair::Cap, Hair::Hood, Hair::Bald];
        let top = [Top::Shirt, Top::Shirt, Top::Striped, Top::Jacket, Top::Jacket, Top::Coat, Top::Vest];
        let bottom = [
            Bottom::Trousers,
            Bottom::Trousers,
            Bottom::Trousers,
            Bottom::Shorts,
            Bottom::Skirt,
            Bottom::Dress,
        ];
        Self {
            height,
            build: random.between(0.82, 1.3),
            head: if child { 1.25 } else { 1.0 },
            stride: random.between(0.9, 1.1),
            skin: vary(random, skin, 0.08),
            hair_colour: vary(random, hair_colour, 0.1),
            top_colour: cloth(random),
            second_colour: cloth(random),
            bottom_colour: if random.chance(0.5) {
                random.pick([Colour(36, 48, 78), Colour(28, 28, 32), Colour(74, 66, 56), Colour(86, 92, 98)])
            } else {
                cloth(random)
            },
            shoe_colour: random.pick([
                Colour::grey(25),
                Colour::grey(230),
                Colour(90, 56, 34),
                Colour(170, 40, 40),
            ]),
            bag_colour: cloth(random),
            hair: random.pick(hair),
            top: random.pick(top),
            bottom: random.pick(bottom),
            carried: if umbrella { Carried::Umbrella } else { carried },
        }
    }

    /// Height in metres.
    pub fn height(&self) -> f32 {
        self.height
    }

    /// Draws it after `way` metres.
    pub fn draw(&self, sketch: &mut Sketch, facing: Facing, way: f32, pose: Pose) {
        let step = 0.42 * self.height * self.stride;
        let phase = if pose == Pose::Standing { 0.35 } else { way / step * PI };
        match (pose, facing) {
            (Pose::Riding, _) => self.riding(sketch, way),
            (_, Facing::Side) => self.side(sketch, phase, pose),
            _ => self.front(sketch, phase, pose, facing),
        }
    }

    /// Bare or covered, from hip to knee and from knee to ankle.
    fn leg_colours(&self) -> (Colour, Colour) {
        match self.bottom {
            Bottom::Trousers => (self.bottom_colour, self.bottom_colour),
            Bottom::Shorts => (self.bottom_colour, self.skin),
            Bottom::Skirt | Bottom::Dress => (self.skin, self.skin),
        }
    }

    fn sleeve_colours(&self) -> (Colour, Colour) {
        match self.top {
            Top::Shirt | Top::Striped => (self.top_colour, self.skin),
            Top::Vest => (self.skin, self.skin),
            Top::Jacket | Top::Coat => (self.top_colour, self.top_colour),
        }
    }

    fn leg(&self, sketch: &mut Sketch, hip: (f32, f32), angles: (f32, f32), light: f32, toe: f32) {
        let k = self.height;
        let (thigh, shin) = self.leg_colours();
        let wide = k * 0.082 * self.build.sqrt();
        let knee = turned(hip, 0.245 * k, angles.0);
        let ankle = turned(knee, 0.225 * k, angles.1);
        sketch.limb(knee, ankle, (wide * 0.8, wide * 0.55), shin.shaded(light));
        sketch.limb(hip, knee, (wide * 1.15, wide * 0.85), thigh.shaded(light));
        let tip = (ankle.0 + toe * k, ankle.1 - 0.012 * k);
        sketch.limb(
            (ankle.0 - toe * 0.25 * k, ankle.1 - 0.008 * k),
            tip,
            (k * 0.05, k * 0.036),
            self.shoe_colour.shaded(light),
        );
    }

    fn arm(&self, sketch: &mut Sketch, shoulder: (f32, f32), angles: (f32, f32), light: f32) -> (f32, f32) {
        let k = self.height;
        let (upper, lower) = self.sleeve_colours();
        let wide = k * 0.058 * self.build.sqrt();
        let elbow = turned(shoulder, 0.165 * k, angles.0);
        let hand = turned(elbow, 0.145 * k, angles.1);
        sketch.limb(elbow, hand, (wide * 0.85, wide * 0.65), lower.shaded(light));
        sketch.disc(hand, wide * 0.42, self.skin.shaded(light));
        sketch.limb(shoulder, elbow, (wide * 1.15, wide * 0.9), upper.shaded(light));
        hand
    }

    /// Legs, arms and torso of somebody who is seen from the side and looks along +x.
    fn side(&self, sketch: &mut Sketch, phase: f32, pose: Pose) {
        let k = self.height;
        let swing = if pose == Pose::Standing { 0.25 } else { 1.0 };
        let bob = 0.012 * k * libm::cosf(2.0 * phase) * swing;
        let hip = (0.0, 0.495 * k + bob);
        let shoulder = (0.015 * k, 0.80 * k + bob);
        let leg = |offset: f32| {
            let angle = 0.48 * swing * libm::sinf(phase + offset);
            let bend = swing * (0.12 + 0.6 * libm::cosf(phase + offset).max(0.0));
            (angle, angle - bend)
        };
        let arm = |offset: f32| {
            let angle = -0.5 * swing * libm::sinf(phase + offset);
            (angle, angle + 0.35)
        };
        self.umbrella(sketch, shoulder);
        self.arm(sketch, shoulder, arm(PI), 0.72);
        self.leg(sketch, hip, leg(PI), 0.72, 0.075);
        self.leg(sketch, hip, leg(0.0), 1.0, 0.075);
        if self.carried == Carried::Backpack {
            self.backpack(sketch, (-0.115 * k, 0.68 * k + bob));
        }
        self.torso(sketch, 0.062 * k * self.build, bob, 0.02 * k, Facing::Side);
        self.head(sketch, (0.03 * k, 0.915 * k + bob), Facing::Side);
        let hand = self.arm(sketch, shoulder, arm(0.0), 0.92);
        if self.carried == Carried::Bag {
            self.bag(sketch, hand);
        }
    }

    fn front(&self, sketch: &mut Sketch, phase: f32, pose: Pose, facing: Facing) {
        let k = self.height;
        let swing = if pose == Pose::Standing { 0.0 } else { 1.0 };
        let bob = 0.010 * k * libm::cosf(2.0 * phase) * swing;
        let half = 0.098 * k * self.build;
        self.umbrella(sketch, (half, 0.8 * k));
        for (side, offset) in [(-1.0f32, 0.0f32), (1.0, PI)] {
            let lift = 0.05 * k * libm::sinf(phase + offset).max(0.0) * swing;
            let hip = (side * half * 0.52, 0.495 * k + bob + lift);
            self.leg(sketch, hip, (side * 0.02, side * -0.01), 1.0 - 6.0 * lift / k * 0.4, side * 0.012);
        }
        self.torso(sketch, half, bob, 0.0, facing);
        for (side, offset) in [(-1.0f32, PI), (1.0, 0.0)] {
            let sway = 0.06 * libm::sinf(phase + offset) * swing;
            let shoulder = (side * half * 1.02, 0.79 * k + bob);
            let hand = self.arm(sketch, shoulder, (side * 0.13 + sway, side * 0.04 + sway), 0.9);
            if self.carried == Carried::Bag && side > 0.0 {
                self.bag(sketch, hand);
            }
        }
        if self.carried == Carried::Backpack && facing == Facing::Back {
            self.backpack(sketch, (0.0, 0.68 * k + bob));
        }
        self.head(sketch, (0.0, 0.915 * k + bob), facing);
    }

    fn riding(&self, sketch: &mut Sketch, way: f32) {
        let k = self.height / 1.75;
        let (hip, shoulder) = ((-0.2 * k, 0.98 * k), (0.13 * k, 1.42 * k));
        let crank = way * 1.6;
        for (offset, light) in [(PI, 0.7f32), (0.0, 1.0)] {
            let pedal = (0.02 + 0.17 * libm::cosf(-crank + offset), 0.3 + 0.17 * libm::sinf(-crank + offset));
            let knee = knee_between(hip, pedal, 0.44 * k, 0.44 * k);
            let (thigh, shin) = self.leg_colours();
            let near = light > 0.9;
            if !near {
                sketch.limb(knee, pedal, (0.11 * k, 0.08 * k), shin.shaded(light));
                sketch.limb(hip, knee, (0.17 * k, 0.13 * k), thigh.shaded(light));
            } else {
                sketch.limb(hip, shoulder, (0.27 * k * self.build, 0.24 * k * self.build), self.top_colour);
                sketch.limb(hip, knee, (0.17 * k, 0.13 * k), thigh);
                sketch.limb(knee, pedal, (0.12 * k, 0.08 * k), shin);
            }
            sketch.limb(
                pedal,
                (pedal.0 + 0.12, pedal.1 - 0.02),
                (0.08, 0.06),
                self.shoe_colour.shaded(light),
            );
        }
        if self.carried == Carried::Backpack {
            self.backpack(sketch, (-0.2 * k, 1.3 * k));
        }
        self.head(sketch, (0.26 * k, 1.63 * k), Facing::Side);
        let grip = (0.46, 1.02);
        let elbow = knee_between(grip, shoulder, 0.3 * k, 0.3 * k);
        let (upper, lower) = self.sleeve_colours();
        sketch.limb(elbow, grip, (0.08 * k, 0.06 * k), lower.shaded(0.9));
        sketch.limb(shoulder, elbow, (0.11 * k, 0.09 * k), upper.shaded(0.9));
    }

    fn torso(&self, sketch: &mut Sketch, half: f32, bob: f32, lean: f32, facing: Facing) {
        let k = self.height;
        let (low, high) = (0.46 * k + bob, 0.83 * k + bob);
        let shoulders = if facing == Facing::Side { half * 1.15 } else { half * 1.12 };
        let hips = half * 0.98;
        let at = |y: f32, half: f32| {
            [(lean * (y - low) / (high - low) - half, y), (lean * (y - low) / (high - low) + half, y)]
        };
        let block = |y0: f32, half0: f32, y1: f32, half1: f32| {
            let ([a, b], [d, c]) = (at(y0, half0), at(y1, half1));
            [a, b, c, d]
        };
        match self.bottom {
            Bottom::Skirt => {
                sketch.soft_polygon(
                    &block(0.3 * k + bob, hips * 1.5, 0.54 * k + bob, hips * 0.95),
                    0.02 * k,
                    self.bottom_colour,
                );
            }
            Bottom::Dress => {
                sketch.soft_polygon(
                    &block(0.25 * k + bob, hips * 1.6, 0.6 * k + bob, hips * 0.9),
                    0.02 * k,
                    self.top_colour,
                );
            }
            _ => sketch.soft_polygon(&block(low, hips, 0.56 * k + bob, hips), 0.04 * k, self.bottom_colour),
        }
        let hem = if self.top == Top::Coat { 0.3 * k + bob } else { 0.5 * k + bob };
        let hem_half = if self.top == Top::Coat { hips * 1.3 } else { hips };
        sketch.soft_polygon(&block(hem, hem_half, high, shoulders), 0.06 * k, self.top_colour);
        match self.top {
            Top::Striped => {
                for stripe in 0..4 {
                    let y = (0.54 + 0.065 * stripe as f32) * k + bob;
                    sketch.polygon(&block(y, hips, y + 0.03 * k, hips * 1.02), self.second_colour);
                }
            }
            Top::Jacket | Top::Coat if facing == Facing::Front => {
                sketch.polygon(&block(hem, 0.018 * k, high - 0.02 * k, 0.03 * k), self.second_colour);
            }
            Top::Vest => {
                sketch.polygon(&block(0.66 * k + bob, hips, 0.7 * k + bob, hips * 1.05), self.second_colour);
            }
            _ => {}
        }
    }

    fn head(&self, sketch: &mut Sketch, (x, y): (f32, f32), facing: Facing) {
        let k = self.height * self.head;
        let (rx, ry) = (0.056 * k, 0.07 * k);
        sketch.limb((x * 0.6, y - ry * 1.5), (x, y), (0.06 * k, 0.05 * k), self.skin.shaded(0.85));
        if self.hair == Hair::Long {
            let behind = if facing == Facing::Side { -rx * 0.5 } else { 0.0 };
            let low = y - ry * 1.7;
            sketch.limb((x + behind, y), (x + behind * 1.4, low), (rx * 2.3, rx * 1.7), self.hair_colour);
        }
        if self.hair == Hair::Bun {
            let behind = if facing == Facing::Side { -rx * 1.1 } else { 0.0 };
            sketch.disc((x + behind, y + ry * 0.9), rx * 0.55, self.hair_colour);
        }
        sketch.ellipse((x, y), (rx, ry), self.skin);
        let crown = match self.hair {
            Hair::Bald => return,
            Hair::Cap => self.second_colour,
            Hair::Hood => self.top_colour,
            _ => self.hair_colour,
        };
        if facing == Facing::Back {
            sketch.ellipse((x, y + ry * 0.12), (rx * 1.08, ry * 1.02), crown);
            return;
        }
        // The upper half of the head, and its back where the face looks along +x.
        let back = if facing == Facing::Side { rx * 0.35 } else { 0.0 };
        sketch.outline(crown, |path| {
            let (left, right) = (x - rx * 1.12, x + rx * if facing == Facing::Side { 0.75 } else { 1.1 });
            let brow = y + ry * 0.25;
            path.move_to(left, brow - back * 1.6);
            path.cubic_to(left, y + ry * 1.5, right, y + ry * 1.5, right, brow);
            path.line_to(x - back, brow);
            path.line_to(x - back * 1.5, brow - back * 1.6);
            path.close();
        });
        if self.hair == Hair::Cap && facing == Facing::Side {
            sketch.limb(
                (x + rx * 0.5, y + ry * 0.35),
                (x + rx * 1.6, y + ry * 0.28),
                (ry * 0.22, ry * 0.16),
                crown.shaded(0.8),
            );
        }
    }

    fn backpack(&self, sketch: &mut Sketch, (x, y): (f32, f32)) {
        let k = self.height;
        let (half_x, half_y) = (0.055 * k, 0.1 * k);
        sketch.rounded((x - half_x, y - half_y), (x + half_x, y + half_y), 0.04 * k, self.bag_colour);
        sketch.rounded(
            (x - half_x * 0.8, y - half_y * 0.8),
            (x + half_x * 0.7, y - half_y * 0.1),
            0.03 * k,
            self.bag_colour.shaded(0.75),
        );
    }

    fn bag(&self, sketch: &mut Sketch, (x, y): (f32, f32)) {
        let bag = self.bag_colour;
        sketch.loose(|sketch| {
            sketch.limb((x, y), (x, y - 0.1), (0.03, 0.03), bag.shaded(0.6));
            sketch.rounded((x - 0.15, y - 0.36), (x + 0.15, y - 0.1), 0.04, bag);
        });
    }

    fn umbrella(&self, sketch: &mut Sketch, (x, y): (f32, f32)) {
        if self.carried != Carried::Umbrella {
            return;
        }
        let (colour, k) = (self.bag_colour, self.height);
        sketch.loose(|sketch| {
            let top = y + 0.36 * k;
            sketch.limb((x + 0.1, y - 0.15 * k), (x + 0.02, top), (0.025, 0.025), Colour::grey(60));
            sketch.outline(colour, |path| {
                let (left, right, rim) = (x - 0.52, x + 0.56, top - 0.16);
                path.move_to(left, rim);
                path.cubic_to(left + 0.12, top + 0.14, right - 0.12, top + 0.14, right, rim);
                for step in 0..4 {
                    let from = right - (right - left) * step as f32 / 4.0;
                    let to = right - (right - left) * (step + 1) as f32 / 4.0;
                    path.quad_to((from + to) / 2.0, rim + 0.09, to, rim);
                }
                path.close();
            });
        });
    }
}

/// The joint of two limbs of these lengths between their ends, bent towards +x and up.
fn knee_between(from: (f32, f32), to: (f32, f32), first: f32, second: f32) -> (f32, f32) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let apart = (dx * dx + dy * dy).sqrt().clamp(1e-3, first + second - 1e-3);
    let along = (first * first - second * second + apart * apart) / (2.0 * apart);
    let out = (first * first - along * along).max(0.0).sqrt();
    let (unit_x, unit_y) = (dx / apart, dy / apart);
    (from.0 + unit_x * along - unit_y * out, from.1 + unit_y * along + unit_x * out)
}
