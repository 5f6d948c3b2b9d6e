//! What several figures have.

use crate::random::Random;
use crate::sketch::{Colour, Sketch};

/// Which side of a figure the camera sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facing {
    /// It looks along x.
    Side,
    /// It comes nearer.
    Front,
    /// It goes away.
    Back,
}

/// What light does to things that shine themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lamps {
    /// By day.
    Off,
    /// In the dark and in rain.
    On,
}

/// Colours of paint.
pub(super) fn paint(random: &mut Random) -> Colour {
    let base = random.pick([
        Colour(200, 30, 35),
        Colour(30, 70, 160),
        Colour(240, 240, 238),
        Colour(245, 245, 245),
        Colour(40, 42, 46),
        Colour(25, 25, 28),
        Colour(150, 155, 160),
        Colour(185, 190, 194),
        Colour(90, 96, 102),
        Colour(25, 95, 60),
        Colour(225, 180, 40),
        Colour(225, 120, 30),
        Colour(95, 25, 45),
        Colour(90, 150, 190),
        Colour(140, 110, 80),
        Colour(30, 130, 140),
    ]);
    vary(random, base, 0.12)
}

/// Colours of cloth.
pub(super) fn cloth(random: &mut Random) -> Colour {
    if random.chance(0.3) {
        return Colour::grey(random.between(15.0, 235.0) as u8);
    }
    let mut channel = || random.between(15.0, 240.0) as u8;
    Colour(channel(), channel(), channel())
}

/// A colour a little lighter or darker.
pub(super) fn vary(random: &mut Random, colour: Colour, by: f32) -> Colour {
    let share = random.between(0.0, by);
    if random.chance(0.5) { colour.shaded(1.0 - share) } else { colour.tinted(share) }
}

/// The lamps of a vehicle that is seen from before or behind.
pub(super) fn end_lamp(facing: Facing, lit: bool) -> Colour {
    match (facing, lit) {
        (Facing::Back, true) => Colour(255, 50, 40),
        (Facing::Back, false) => Colour(160, 24, 24),
        (_, true) => Colour(255, 252, 225),
        (_, false) => Colour(224, 230, 234),
    }
}

/// A wheel with its tyre, seen from the side; `turned` in radians moves its spokes.
pub(super) fn wheel(
    sketch: &mut Sketch,
    (x, y): (f32, f32),
    radius: f32,
    rim: Colour,
    spokes: usize,
    turned: f32,
) {
    sketch.disc((x, y), radius, Colour::grey(22));
    sketch.disc((x, y), radius * 0.66, rim);
    sketch.disc((x, y), radius * 0.56, rim.shaded(0.55));
    for spoke in 0..spokes {
        let angle = turned + std::f32::consts::TAU * spoke as f32 / spokes as f32;
        let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
        let end = (x + cos * radius * 0.6, y + sin * radius * 0.6);
        sketch.limb((x, y), end, (radius * 0.2, radius * 0.14), rim);
    }
    sketch.disc((x, y), radius * 0.16, rim.shaded(0.7));
}
