//! Things that stand in the street and are no figures: they hide what is behind them.

use super::figures::Lamps;
use super::random::Random;
use super::sketch::{Colour, Sketch};

/// Anything that may stand on a pavement.
pub fn any(random: &mut Random, lamps: Lamps) -> Sketch {
    let mut sketch = Sketch::default();
    match random.index(6) {
        0..=1 => tree(&mut sketch, random),
        2 => bench(&mut sketch, random),
        3 => pillar(&mut sketch, random),
        _ => return slender(random, lamps),
    }
    sketch
}

/// What hides little of what is behind it.
pub fn slender(random: &mut Random, lamps: Lamps) -> Sketch {
    let mut sketch = Sketch::default();
    match random.index(6) {
        0..=1 => lamp(&mut sketch, random, lamps),
        2 => sign(&mut sketch, random),
        3 => bin(&mut sketch, random),
        4 => planter(&mut sketch, random),
        _ => hydrant(&mut sketch, random),
    }
    sketch
}

fn leaf(random: &mut Random) -> Colour {
    let green = random.pick([
        Colour(58, 112, 48),
        Colour(84, 136, 58),
        Colour(44, 92, 54),
        Colour(150, 120, 44),
        Colour(116, 140, 70),
    ]);
    green.shaded(random.between(0.8, 1.0))
}

/// A tree with a crown of many parts.
fn tree(sketch: &mut Sketch, random: &mut Random) {
    let height = random.between(4.0, 7.0);
    let trunk = height * random.between(0.4, 0.55);
    let wide = random.between(0.16, 0.32);
    sketch.limb((0.0, 0.0), (random.between(-0.2, 0.2), trunk), (wide * 1.3, wide), Colour(92, 72, 54));
    let green = leaf(random);
    for part in 0..12 {
        let (x, y) = (random.between(-0.8, 0.8), random.between(trunk * 1.1, height));
        let radius = random.between(0.6, 1.05);
        let light = if part < 5 { 0.72 } else { random.between(0.85, 1.15) };
        sketch.disc(
            (x, y),
            radius,
            if light > 1.0 { green.tinted(light - 1.0) } else { green.shaded(light) },
        );
    }
}

fn lamp(sketch: &mut Sketch, random: &mut Random, lamps: Lamps) {
    let (height, colour) = (random.between(3.6, 5.5), Colour::grey(random.between(40.0, 110.0) as u8));
    sketch.limb((0.0, 0.0), (0.0, height), (0.14, 0.09), colour);
    sketch.limb((0.0, height), (0.7, height + 0.15), (0.08, 0.08), colour);
    let lit = lamps == Lamps::On;
    if lit {
        sketch.glowing(true, |sketch| {
            sketch.sheer(38, |sketch| sketch.disc((0.85, height), 0.85, Colour(255, 226, 150)));
            sketch.sheer(70, |sketch| sketch.disc((0.85, height), 0.4, Colour(255, 232, 170)));
        });
    }
    sketch.glowing(lit, |sketch| {
        sketch.ellipse(
            (0.85, height + 0.05),
            (0.28, 0.12),
            if lit { Colour(255, 240, 200) } else { Colour::grey(200) },
        );
    });
}

fn sign(sketch: &mut Sketch, random: &mut Random) {
    sketch.limb((0.0, 0.0), (0.0, 2.6), (0.07, 0.07), Colour::grey(130));
    let colour = random.pick([Colour(200, 30, 30), Colour(30, 80, 170), Colour(240, 200, 40)]);
    match random.index(3) {
        0 => {
            sketch.disc((0.0, 2.5), 0.36, colour);
            sketch.disc((0.0, 2.5), 0.25, Colour::grey(240));
        }
        1 => sketch.polygon(&[(-0.4, 2.2), (0.4, 2.2), (0.0, 2.9)], colour),
        _ => sketch.rounded((-0.34, 2.2), (0.34, 2.9), 0.06, colour),
    }
}

fn bin(sketch: &mut Sketch, random: &mut Random) {
    let colour = random.pick([Colour(40, 90, 60), Colour(70, 74, 78), Colour(170, 90, 40)]);
    sketch.soft_polygon(&[(-0.24, 0.0), (0.24, 0.0), (0.3, 0.85), (-0.3, 0.85)], 0.05, colour);
    sketch.rounded((-0.33, 0.8), (0.33, 0.95), 0.05, colour.shaded(0.6));
}

fn bench(sketch: &mut Sketch, random: &mut Random) {
    let colour = random.pick([Colour(130, 88, 50), Colour(90, 96, 90)]);
    for x in [-0.7, 0.62] {
        sketch.rect((x, 0.0), (x + 0.08, 0.45), Colour::grey(50));
    }
    sketch.rect((-0.85, 0.42), (0.85, 0.5), colour);
    sketch.rect((-0.85, 0.58), (0.85, 0.68), colour.shaded(0.85));
    sketch.rect((-0.85, 0.74), (0.85, 0.84), colour.shaded(0.85));
}

fn planter(sketch: &mut Sketch, random: &mut Random) {
    let wide = random.between(0.5, 1.1);
    let green = leaf(random);
    for step in 0..7 {
        let x = wide * (step as f32 / 3.0 - 1.0) * 0.85;
        sketch.disc(
            (x, random.between(0.6, 0.85)),
            random.between(0.18, 0.3),
            green.shaded(random.between(0.75, 1.0)),
        );
    }
    sketch.soft_polygon(
        &[(-wide * 0.9, 0.0), (wide * 0.9, 0.0), (wide, 0.55), (-wide, 0.55)],
        0.05,
        Colour(150, 140, 128).shaded(random.between(0.6, 1.0)),
    );
}

fn hydrant(sketch: &mut Sketch, random: &mut Random) {
    let colour = random.pick([Colour(200, 40, 30), Colour(230, 180, 40), Colour(60, 90, 170)]);
    sketch.rounded((-0.14, 0.0), (0.14, 0.62), 0.05, colour);
    sketch.limb((-0.24, 0.42), (0.24, 0.42), (0.12, 0.12), colour.shaded(0.85));
    sketch.disc((0.0, 0.64), 0.15, colour.shaded(0.9));
}

/// A round pillar with posters.
fn pillar(sketch: &mut Sketch, random: &mut Random) {
    sketch.rounded((-0.55, 0.0), (0.55, 2.9), 0.08, Colour(190, 184, 170));
    for row in 0..3 {
        let (x, y) = (random.between(-0.45, 0.0), 0.3 + 0.8 * row as f32);
        let colour = Colour(random.bits() as u8, random.bits() as u8, random.bits() as u8);
        sketch.rect((x, y), (x + 0.5, y + 0.65), colour);
        sketch.rect((x + 0.06, y + 0.1), (x + 0.44, y + 0.2), colour.tinted(0.6));
    }
    sketch.soft_polygon(&[(-0.65, 2.85), (0.65, 2.85), (0.3, 3.2), (-0.3, 3.2)], 0.08, Colour(70, 90, 80));
}
