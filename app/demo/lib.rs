//! A street scene that Spotter draws itself: moving figures whose boxes are known exactly.
//!
//! Everything follows from a seed and a time, to the pixel: the picture of any moment can be drawn
//! without those before it. The scene changes every [`SCENE_SECONDS`]. A scene is a [`stage`] (street,
//! weather, who is where), a [`backdrop`] that is painted once, and figures that are sketched in metres
//! and painted from far to near. From the same sketches comes the [`truth`].

use std::time::Duration;

use tiny_skia::{FillRule, Pixmap, PixmapMut, Transform};

pub mod backdrop;
pub mod figures;
pub mod painter;
pub mod props;
pub mod random;
pub mod sketch;
pub mod stage;
#[cfg(test)]
mod tests;
pub mod truth;
pub mod view;
pub mod weather;

pub use sketch::PIXEL_BYTES;
pub use truth::{CLASSES, TrueBox};

use painter::Painter;
use random::Random;
use sketch::{Colour, Sketch};
use stage::{Actor, Role, Stage};
use truth::Occlusion;
use view::View;
use weather::{Lens, Weather};

/// After so many seconds the scene changes: another street, other weather, another light.
pub const SCENE_SECONDS: u64 = 20;
/// The smallest and the largest side of a picture, in pixels.
pub const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

/// Draws the street of a seed at one size.
pub struct Demo {
    seed: u64,
    width: u32,
    height: u32,
    scene: Option<Scene>,
    lens: Lens,
    truths: Vec<TrueBox>,
}

/// What stays the same through a scene.
struct Scene {
    number: u64,
    stage: Stage,
    backdrop: Pixmap,
    occlusion: Occlusion,
}

impl Demo {
    /// The street of `seed`, drawn at `width` × `height` pixels; both in [`SIDES`], else they are made so.
    pub fn new(seed: u64, width: u32, height: u32) -> Self {
        let side = |side: u32| side.clamp(*SIDES.start(), *SIDES.end());
        let (width, height) = (side(width), side(height));
        Self { seed, width, height, scene: None, lens: Lens::default(), truths: Vec::new() }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Draws the picture of `time` into `pixels`, rows of `width` × [`PIXEL_BYTES`] bytes, top row first.
    /// False, and nothing drawn, where `pixels` has another size.
    pub fn draw(&mut self, time: Duration, pixels: &mut [u8]) -> bool {
        let bytes = self.width as usize * self.height as usize * PIXEL_BYTES;
        if pixels.len() != bytes {
            return false;
        }
        let number = time.as_secs() / SCENE_SECONDS;
        if self.scene.as_ref().is_none_or(|scene| scene.number != number) {
            self.scene = Scene::new(self.seed, number, self.width, self.height);
        }
        let (Some(scene), Some(mut picture)) =
            (&mut self.scene, PixmapMut::from_bytes(pixels, self.width, self.height))
        else {
            return false;
        };
        let seconds = (time - Duration::from_secs(number * SCENE_SECONDS)).as_secs_f32();
        let random = &mut Random::of(&[self.seed, number, time.as_nanos() as u64]);
        scene.draw(seconds, random, &mut picture, &mut self.truths);
        scene.stage.weather.spoil(&mut picture, random, &mut self.lens);
        true
    }

    /// What is in the picture that was drawn last, nearest first.
    pub fn truths(&self) -> &[TrueBox] {
        &self.truths
    }
}

/// An actor, sketched.
struct Drawn {
    sketch: Sketch,
    transform: Transform,
    z: f32,
    /// Number, class and half of the shadow's width in metres; things have none.
    figure: Option<(u64, u32, f32)>,
}

impl Scene {
    /// `None` for a picture without extent.
    fn new(seed: u64, number: u64, width: u32, height: u32) -> Option<Self> {
        let stage = Stage::new(seed, number, width as f32 / height as f32);
        let mut backdrop = Pixmap::new(width, height)?;
        backdrop::paint(&stage, &mut Random::of(&[seed, number, 1]), &mut backdrop.as_mut());
        Some(Self { number, stage, backdrop, occlusion: Occlusion::new(width, height)? })
    }

    fn draw(
        &mut self,
        seconds: f32,
        random: &mut Random,
        picture: &mut PixmapMut,
        truths: &mut Vec<TrueBox>,
    ) {
        picture.data_mut().copy_from_slice(self.backdrop.data());
        let size = (picture.width() as f32, picture.height() as f32);
        let Self { stage, occlusion, .. } = self;
        let mut actors = Vec::new();
        stage.actors(seconds, &mut actors);
        let drawn: Vec<Drawn> =
            actors.iter().map(|actor| sketched(actor, &stage.view, &stage.weather, size.1)).collect();

        let mut painter = Painter::new(picture, &stage.weather);
        for drawn in &drawn {
            shadow(drawn, stage, size.1, &mut painter);
            painter.sketch(&drawn.sketch, drawn.transform, drawn.z);
        }
        if let Some((left, right)) = stage.weather.shade {
            shade(stage, (left, right), size, &mut painter);
        }
        backdrop::rain(stage, random, &mut painter);

        truths.clear();
        occlusion.clear();
        for drawn in drawn.iter().rev() {
            let free = occlusion.lay(&drawn.sketch, drawn.transform);
            let extent = truth::extent(&drawn.sketch, drawn.transform);
            if let (Some((id, class, _)), Some(extent)) = (drawn.figure, extent) {
                truths.extend(truth::true_box(id, class, extent, free, size));
            }
        }
    }
}

fn sketched(actor: &Actor, view: &View, weather: &Weather, height: f32) -> Drawn {
    let (x, z) = actor.place;
    let (left, down) = view.ground(x, z);
    let scale = view.scale(z) * height;
    let mirror = |mirrored: bool| if mirrored { -scale } else { scale };
    let (sketch, mirrored, figure) = match &actor.role {
        Role::Prop(sketch) => ((*sketch).clone(), false, None),
        Role::Figure { id, figure, facing, mirrored, way, pose, leash } => {
            let mut sketch = Sketch::default();
            figure.draw(&mut sketch, *facing, *way, *pose, weather.lamps);
            if let (figures::Figure::Dog(dog), Some((dx, dy))) = (figure, leash) {
                let (x, y) = dog.collar();
                sketch.loose(|sketch| sketch.limb((x, y), (x + dx, y + dy), (0.03, 0.03), Colour::grey(40)));
            }
            // A rider's shadow is the bicycle's.
            let half = if *pose == figures::Pose::Riding { 0.0 } else { figure.half_length(*facing) };
            (sketch, *mirrored, Some((*id, figure.class(), half)))
        }
    };
    let transform = Transform::from_row(mirror(mirrored), 0.0, 0.0, -scale, left * height, down * height);
    Drawn { sketch, transform, z, figure }
}

/// The shadow below a figure, as flat as the ground is seen.
fn shadow(drawn: &Drawn, stage: &Stage, height: f32, painter: &mut Painter) {
    let half = drawn.figure.map_or(0.4, |(_, _, half)| half);
    if half <= 0.0 {
        return;
    }
    let (lean, alpha) = stage.weather.shadow;
    let scale = stage.view.scale(drawn.z) * height;
    let flat = (stage.view.camera / drawn.z).min(0.6);
    let (rx, ry) = (half * (1.05 + lean.abs() * 0.3) * scale, (0.22 + half * 0.12) * flat * scale);
    let middle = (drawn.transform.tx + lean * half * 0.6 * scale, drawn.transform.ty);
    painter.ellipse(middle, (rx, ry), Colour(12, 14, 22), alpha);
}

/// The shadow of a house behind the camera, over ground and figures.
fn shade(stage: &Stage, (left, right): (f32, f32), (width, height): (f32, f32), painter: &mut Painter) {
    let mut path = tiny_skia::PathBuilder::new();
    let (top, lean) = (stage.rows.houses * height, 0.12 * width);
    path.move_to(left * width + lean, top);
    path.line_to(right * width + lean, top);
    path.line_to(right * width - lean, height);
    path.line_to(left * width - lean, height);
    path.close();
    if let Some(path) = path.finish() {
        painter.fill(&path, FillRule::Winding, Transform::identity(), Colour(10, 14, 30), 84);
    }
}
