//! What does not move: sky, houses, ground. Painted once a scene.

use tiny_skia::{
    Color, GradientStop, LinearGradient, Paint, PathBuilder, PixmapMut, Point, Rect, SpreadMode, Transform,
};

use super::figures::Lamps;
use super::painter::Painter;
use super::random::Random;
use super::sketch::{Colour, Sketch};
use super::stage::{Layout, Stage};
use super::view::View;

/// Metres from floor to floor.
const FLOOR: f32 = 3.2;

/// Paints the backdrop of a scene. Coordinates are picture heights from the top left corner, y down.
pub fn paint(stage: &Stage, random: &mut Random, picture: &mut PixmapMut) {
    sky(stage, picture);
    let mut painter = Painter::new(picture, &stage.weather);
    let far = stage.view.distance(stage.rows.houses);
    let mut sketch = Sketch::default();
    clouds(stage, random, &mut sketch);
    skyline(stage, random, &mut sketch);
    put(&mut painter, &mut sketch, far * 2.0);
    ground(stage, random, &mut painter);
    houses(stage, random, &mut sketch);
    put(&mut painter, &mut sketch, far);
    if stage.layout == Layout::Along {
        walls(stage, random, &mut painter);
    }
}

/// Paints what was sketched at distance `z` and forgets it.
fn put(painter: &mut Painter, sketch: &mut Sketch, z: f32) {
    let (_, height) = painter.size();
    painter.sketch(sketch, Transform::from_scale(height, height), z);
    sketch.shapes.clear();
}

fn sky(stage: &Stage, picture: &mut PixmapMut) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let stop = |at: f32, Colour(red, green, blue): Colour| {
        GradientStop::new(at, Color::from_rgba8(red, green, blue, 255))
    };
    let (top, bottom) = stage.weather.sky;
    let end = Point::from_xy(0.0, stage.rows.houses * height);
    let stops = vec![stop(0.0, top), stop(1.0, bottom)];
    picture.fill(Color::from_rgba8(bottom.0, bottom.1, bottom.2, 255));
    let shader =
        LinearGradient::new(Point::from_xy(0.0, 0.0), end, stops, SpreadMode::Pad, Transform::identity());
    if let (Some(shader), Some(all)) = (shader, Rect::from_xywh(0.0, 0.0, width, height)) {
        let paint = Paint { shader, ..Paint::default() };
        picture.fill_rect(all, &paint, Transform::identity(), None);
    }
}

fn clouds(stage: &Stage, random: &mut Random, sketch: &mut Sketch) {
    let (_, low) = stage.weather.sky;
    for _ in 0..random.index(4) {
        let (x, y) = (random.between(0.0, stage.view.aspect), random.between(0.0, stage.view.horizon));
        for _ in 0..6 {
            let middle = (x + random.between(-0.12, 0.12), y + random.between(-0.02, 0.02));
            let size = (random.between(0.04, 0.1), random.between(0.015, 0.03));
            sketch.glowing(true, |sketch| {
                sketch.sheer(110, |sketch| sketch.ellipse(middle, size, low.tinted(0.5)))
            });
        }
    }
}

fn skyline(stage: &Stage, random: &mut Random, sketch: &mut Sketch) {
    let (mut x, foot) = (-0.05, stage.rows.houses);
    let grey = random.between(90.0, 150.0) as u8;
    while x < stage.view.aspect {
        let (wide, high) = (random.between(0.05, 0.2), random.between(0.02, 0.22));
        let colour = Colour::grey(grey).mixed(Colour(120, 130, 150), random.unit() * 0.5);
        sketch.rect((x, foot - high), (x + wide, foot + 0.02), colour);
        x += wide;
    }
}

fn wall_colour(random: &mut Random) -> Colour {
    let colour = random.pick([
        Colour(196, 170, 140),
        Colour(168, 98, 78),
        Colour(208, 200, 186),
        Colour(146, 150, 156),
        Colour(186, 150, 110),
        Colour(120, 124, 130),
        Colour(214, 190, 150),
        Colour(150, 120, 104),
        Colour(176, 186, 180),
        Colour(228, 222, 212),
    ]);
    colour.shaded(random.between(0.7, 1.0))
}

fn pane(stage: &Stage, random: &mut Random) -> (Colour, bool) {
    let lit = stage.weather.lamps == Lamps::On && random.chance(0.45);
    let glass = Colour(70, 88, 104).shaded(random.between(0.6, 1.0));
    (if lit { Colour(250, 214, 140).shaded(random.between(0.6, 0.95)) } else { glass }, lit)
}

/// A row of house fronts behind everything, or a hedge with trees before the skyline.
fn houses(stage: &Stage, random: &mut Random, sketch: &mut Sketch) {
    let foot = stage.rows.houses;
    let scale = stage.view.scale(stage.view.distance(foot));
    if stage.layout != Layout::Along && random.chance(0.25) {
        return park(stage, random, sketch, foot, scale);
    }
    let mut x = random.between(-0.3, 0.0);
    while x < stage.view.aspect {
        let wide = random.between(6.0, 14.0) * scale;
        let floors = if random.chance(0.15) { 1 } else { 2 + random.index(5) };
        front(stage, random, sketch, (x, foot), wide, floors, scale);
        x += wide;
    }
}

fn park(stage: &Stage, random: &mut Random, sketch: &mut Sketch, foot: f32, scale: f32) {
    let green = Colour(70, 110, 56);
    sketch.rect((-0.1, foot - 1.1 * scale), (stage.view.aspect + 0.1, foot), green.shaded(0.8));
    let mut x = 0.0;
    while x < stage.view.aspect {
        let shade = green.shaded(random.between(0.7, 1.1).min(1.0));
        sketch.disc((x, foot - random.between(0.9, 1.3) * scale), 0.7 * scale, shade);
        if random.chance(0.3) {
            let top = foot - random.between(4.0, 7.0) * scale;
            sketch.limb((x, foot), (x, top), (0.4 * scale, 0.3 * scale), Colour(92, 72, 54));
            for _ in 0..7 {
                let middle = (x + random.between(-1.4, 1.4) * scale, top + random.between(-1.2, 1.2) * scale);
                sketch.disc(middle, random.between(0.7, 1.4) * scale, green.shaded(random.between(0.6, 1.0)));
            }
        }
        x += random.between(0.6, 1.3) * scale;
    }
}

/// A house front from (x, foot) on, `wide` to the right.
fn front(
    stage: &Stage,
    random: &mut Random,
    sketch: &mut Sketch,
    (x, foot): (f32, f32),
    wide: f32,
    floors: usize,
    scale: f32,
) {
    let wall = wall_colour(random);
    let top = foot - (floors as f32 * FLOOR + 0.6) * scale;
    sketch.rect((x, top), (x + wide, foot), wall);
    sketch.rect((x, top - 0.25 * scale), (x + wide, top + 0.15 * scale), wall.shaded(0.7));
    let columns = ((wide / scale) / random.between(1.8, 2.8)).max(2.0) as usize;
    let pitch = wide / columns as f32;
    let (pane_wide, pane_high) = (random.between(0.4, 0.62) * pitch, random.between(1.2, 1.8) * scale);
    for floor in 1..floors {
        let sill = foot - (floor as f32 * FLOOR + 0.8) * scale;
        for column in 0..columns {
            let left = x + pitch * column as f32 + (pitch - pane_wide) / 2.0;
            let (glass, lit) = pane(stage, random);
            let frame = 0.08 * scale;
            sketch.rect(
                (left - frame, sill - pane_high - frame),
                (left + pane_wide + frame, sill + frame),
                wall.tinted(0.35),
            );
            sketch.glowing(lit, |sketch| {
                sketch.rect((left, sill - pane_high), (left + pane_wide, sill), glass)
            });
        }
    }
    shop(stage, random, sketch, (x, foot), wide, scale);
}

/// The ground floor: shop windows, a door, an awning.
fn shop(
    stage: &Stage,
    random: &mut Random,
    sketch: &mut Sketch,
    (x, foot): (f32, f32),
    wide: f32,
    scale: f32,
) {
    let (glass, lit) = pane(stage, random);
    let trim = wall_colour(random).shaded(0.6);
    let (low, high) = (foot - 0.4 * scale, foot - 2.5 * scale);
    sketch.rect((x + 0.3 * scale, high - 0.1 * scale), (x + wide - 0.3 * scale, foot), trim);
    sketch.glowing(lit, |sketch| sketch.rect((x + 0.5 * scale, high), (x + wide * 0.62, low), glass));
    sketch.rect((x + wide * 0.7, high), (x + wide * 0.7 + 1.0 * scale, foot), trim.shaded(0.5));
    if random.chance(0.5) {
        let awning = wall_colour(random)
            .mixed(Colour(random.bits() as u8, random.bits() as u8, random.bits() as u8), 0.6);
        let stripes = 8;
        let (left, right) = (x + 0.3 * scale, x + wide * 0.66);
        for stripe in 0..stripes {
            let at = |share: f32| left + (right - left) * share;
            let (a, b) = (at(stripe as f32 / stripes as f32), at((stripe + 1) as f32 / stripes as f32));
            let colour = if stripe % 2 == 0 { awning } else { Colour::grey(230) };
            sketch.polygon(
                &[
                    (a, high - 0.2 * scale),
                    (b, high - 0.2 * scale),
                    (b, high + 0.35 * scale),
                    (a, high + 0.35 * scale),
                ],
                colour,
            );
        }
    } else {
        let board = Colour(random.bits() as u8, random.bits() as u8, random.bits() as u8);
        sketch.rect((x + 0.4 * scale, high - 0.55 * scale), (x + wide * 0.75, high - 0.1 * scale), board);
    }
}

/// A band of ground from side to side between two rows.
fn band(sketch: &mut Sketch, view: &View, (far, near): (f32, f32), colour: Colour) {
    sketch.rect((-0.1, far), (view.aspect + 0.1, near), colour);
}

/// A patch of ground by its corners (x, z) in metres.
fn patch(sketch: &mut Sketch, view: &View, corners: &[(f32, f32)], colour: Colour) {
    let points: Vec<(f32, f32)> = corners.iter().map(|&(x, z)| view.ground(x, z)).collect();
    sketch.polygon(&points, colour);
}

fn ground(stage: &Stage, random: &mut Random, painter: &mut Painter) {
    let (view, rows) = (&stage.view, &stage.rows);
    let mut sketch = Sketch::default();
    let wet = stage.weather.rains();
    let road = Colour::grey(random.between(70.0, 112.0) as u8).shaded(if wet { 0.75 } else { 1.0 });
    let paving = random.pick([
        Colour(172, 166, 158),
        Colour(150, 146, 142),
        Colour(186, 172, 152),
        Colour(136, 132, 136),
    ]);
    let (near, far) = (view.distance(1.3), view.distance(rows.houses));
    band(&mut sketch, view, (rows.houses - 0.01, 1.1), paving);
    tiles(&mut sketch, view, random, (near, far), paving.shaded(0.86));
    let grass = random.chance(0.3);
    match stage.layout {
        Layout::Across | Layout::Square => {
            if grass {
                band(&mut sketch, view, (rows.houses, rows.far_kerb - 0.012), Colour(96, 132, 72));
            }
            if grass && stage.layout == Layout::Square {
                band(&mut sketch, view, (rows.near_kerb + 0.04, 1.1), Colour(104, 138, 76));
            }
            band(&mut sketch, view, (rows.far_kerb - 0.006, rows.near_kerb + 0.012), paving.tinted(0.25));
            band(&mut sketch, view, (rows.far_kerb, rows.near_kerb), road);
            let (kerb_far, kerb_near) = (view.distance(rows.far_kerb), view.distance(rows.near_kerb));
            let middle = view.distance((rows.far_kerb + rows.near_kerb) / 2.0);
            dashes_across(&mut sketch, view, middle, kerb_far);
            if random.chance(0.4) {
                let x = random.between(-0.6, 0.6) * view.half_width(kerb_near);
                for bar in 0..6 {
                    let left = x + bar as f32 * 0.9;
                    let corners = [
                        (left, kerb_near),
                        (left + 0.5, kerb_near),
                        (left + 0.5, kerb_far),
                        (left, kerb_far),
                    ];
                    patch(&mut sketch, view, &corners, Colour::grey(214));
                }
            }
        }
        Layout::Along => {
            let half = stage.half_road;
            patch(
                &mut sketch,
                view,
                &[(-half - 0.2, near), (half + 0.2, near), (half + 0.2, far), (-half - 0.2, far)],
                paving.tinted(0.25),
            );
            patch(&mut sketch, view, &[(-half, near), (half, near), (half, far), (-half, far)], road);
            let mut z = near;
            while z < far {
                patch(
                    &mut sketch,
                    view,
                    &[(-0.07, z), (0.07, z), (0.07, z + 1.5), (-0.07, z + 1.5)],
                    Colour::grey(220),
                );
                z += 3.5;
            }
            if random.chance(0.5) {
                let z = random.between(near * 1.3, far * 0.5);
                let bars = 7;
                for bar in 0..bars {
                    let left = -half + 2.0 * half * bar as f32 / bars as f32;
                    patch(
                        &mut sketch,
                        view,
                        &[(left, z), (left + 0.5, z), (left + 0.5, z + 2.2), (left, z + 2.2)],
                        Colour::grey(216),
                    );
                }
            }
        }
    }
    stains(&mut sketch, view, random, rows.houses, wet);
    put(painter, &mut sketch, 6.0);
}

fn dashes_across(sketch: &mut Sketch, view: &View, z: f32, far: f32) {
    let half = view.half_width(far) + 2.0;
    let mut x = -half;
    while x < half {
        patch(
            sketch,
            view,
            &[(x, z - 0.1), (x + 1.6, z - 0.1), (x + 1.6, z + 0.1), (x, z + 0.1)],
            Colour::grey(216),
        );
        x += 3.4;
    }
}

/// Lines between paving slabs.
fn tiles(sketch: &mut Sketch, view: &View, random: &mut Random, (near, far): (f32, f32), line: Colour) {
    let size = random.between(0.8, 2.0);
    let half = view.half_width(far);
    let mut x = -half;
    while x < half {
        patch(sketch, view, &[(x, near), (x + 0.03, near), (x + 0.03, far), (x, far)], line);
        x += size;
    }
    let mut z = near;
    while z < far {
        patch(sketch, view, &[(-half, z), (half, z), (half, z + 0.035), (-half, z + 0.035)], line);
        z += size;
    }
}

/// Stains, patches and puddles.
fn stains(sketch: &mut Sketch, view: &View, random: &mut Random, houses: f32, wet: bool) {
    for _ in 0..260 {
        let down = random.between(houses + 0.01, 1.0);
        let middle = (random.between(0.0, view.aspect), down);
        let size = (down - view.horizon) * random.between(0.004, 0.05);
        let grey = Colour::grey(random.pick([20, 60, 200]));
        sketch.sheer(14 + random.index(20) as u8, |sketch| sketch.ellipse(middle, (size, size * 0.3), grey));
    }
    if wet {
        for _ in 0..14 {
            let down = random.between(houses + 0.05, 1.0);
            let middle = (random.between(0.0, view.aspect), down);
            let size = (down - view.horizon) * random.between(0.1, 0.4);
            sketch.sheer(60, |sketch| sketch.ellipse(middle, (size, size * 0.18), Colour(190, 200, 212)));
        }
    }
}

/// House fronts along both sides of a street that goes away from the camera.
fn walls(stage: &Stage, random: &mut Random, painter: &mut Painter) {
    let view = &stage.view;
    let far = view.distance(stage.rows.houses);
    let mut sketch = Sketch::default();
    for side in [-1.0f32, 1.0] {
        let x = side * (stage.half_road + random.between(3.4, 5.5));
        let mut z = far;
        while z > 2.0 {
            let deep = random.between(6.0, 11.0);
            let (back, front) = (z, (z - deep).max(1.5));
            let floors = 2 + random.index(4);
            let high = floors as f32 * FLOOR + 0.5;
            let wall = wall_colour(random);
            let mut quad = |z0: f32, z1: f32, y0: f32, y1: f32, colour: Colour, lit: bool| {
                let points = [
                    view.raised(x, y0, z0),
                    view.raised(x, y0, z1),
                    view.raised(x, y1, z1),
                    view.raised(x, y1, z0),
                ];
                sketch.glowing(lit, |sketch| sketch.polygon(&points, colour));
            };
            quad(back, front, 0.0, high, wall, false);
            quad(back, front, high - 0.3, high, wall.shaded(0.65), false);
            for floor in 0..floors {
                let mut pane_z = back - 0.7;
                while pane_z - 1.1 > front + 0.3 {
                    let (glass, lit) = pane(stage, random);
                    let (low, wide) = (
                        floor as f32 * FLOOR + if floor == 0 { 0.5 } else { 1.0 },
                        if floor == 0 { 1.7 } else { 1.1 },
                    );
                    quad(pane_z, pane_z - wide, low, low + 1.6, glass, lit);
                    pane_z -= 2.2;
                }
            }
            z = front;
            put(painter, &mut sketch, (back + front) / 2.0);
            if front <= 1.5 {
                break;
            }
        }
    }
}

/// Streaks of rain over a finished picture, from what is random in this very picture.
pub fn rain(stage: &Stage, random: &mut Random, painter: &mut Painter) {
    let (width, height) = painter.size();
    let mut path = PathBuilder::new();
    for _ in 0..stage.weather.streaks {
        let (x, y) = (random.between(-0.05, 1.0) * width, random.between(-0.1, 1.0) * height);
        let (long, wide) = (random.between(0.03, 0.09) * height, height * 0.0012 + 0.3);
        let lean = long * 0.14;
        path.move_to(x, y);
        path.line_to(x + wide, y);
        path.line_to(x + wide + lean, y + long);
        path.line_to(x + lean, y + long);
        path.close();
    }
    if let Some(path) = path.finish() {
        painter.fill(&path, tiny_skia::FillRule::Winding, Transform::identity(), Colour(215, 222, 230), 95);
    }
}
