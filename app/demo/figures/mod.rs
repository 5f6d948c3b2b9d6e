//! The figures of the street: each has a look of its own, from its random numbers.

mod bicycle;
mod bus;
mod car;
mod dog;
mod person;

pub use bicycle::Bicycle;
pub use bus::Bus;
pub use car::Car;
pub use dog::Dog;
pub use person::{Person, Pose};

use super::random::Random;
use super::sketch::{Colour, Sketch};

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

/// A figure with its look.
#[derive(Clone, Debug)]
pub enum Figure {
    /// Somebody on foot.
    Person(Person),
    /// A bicycle without its rider.
    Bicycle(Bicycle),
    /// A car of any build.
    Car(Car),
    /// A bus or coach.
    Bus(Bus),
    /// A dog.
    Dog(Dog),
}

impl Figure {
    /// Index into [`super::CLASSES`].
    pub fn class(&self) -> u32 {
        match self {
            Self::Person(_) => 0,
            Self::Bicycle(_) => 1,
            Self::Car(_) => 2,
            Self::Bus(_) => 3,
            Self::Dog(_) => 4,
        }
    }

    /// Draws it after `way` metres of movement, facing along +x where it is seen from the side.
    pub fn draw(&self, sketch: &mut Sketch, facing: Facing, way: f32, pose: Pose, lamps: Lamps) {
        match self {
            Self::Person(person) => person.draw(sketch, facing, way, pose),
            Self::Bicycle(bicycle) => bicycle.draw(sketch, way),
            Self::Car(car) => car.draw(sketch, facing, way, lamps),
            Self::Bus(bus) => bus.draw(sketch, facing, way, lamps),
            Self::Dog(dog) => dog.draw(sketch, way, pose),
        }
    }

    /// Half of the width of the shadow below it, in metres.
    pub fn half_length(&self, facing: Facing) -> f32 {
        match (self, facing) {
            (Self::Person(_), _) => 0.3,
            (Self::Bicycle(_), _) => 0.9,
            (Self::Dog(dog), _) => 0.7 * dog.height(),
            (Self::Car(car), Facing::Side) => car.length() / 2.0,
            (Self::Car(_), _) => 0.95,
            (Self::Bus(bus), Facing::Side) => bus.length() / 2.0,
            (Self::Bus(_), _) => 1.3,
        }
    }
}

/// Colours of paint.
fn paint(random: &mut Random) -> Colour {
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
fn cloth(random: &mut Random) -> Colour {
    if random.chance(0.3) {
        return Colour::grey(random.between(15.0, 235.0) as u8);
    }
    let mut channel = || random.between(15.0, 240.0) as u8;
    Colour(channel(), channel(), channel())
}

/// A colour a little lighter or darker.
fn vary(random: &mut Random, colour: Colour, by: f32) -> Colour {
    let share = random.between(0.0, by);
    if random.chance(0.5) { colour.shaded(1.0 - share) } else { colour.tinted(share) }
}

/// The lamps of a vehicle that is seen from before or behind.
fn end_lamp(facing: Facing, lit: bool) -> Colour {
    match (facing, lit) {
        (Facing::Back, true) => Colour(255, 50, 40),
        (Facing::Back, false) => Colour(160, 24, 24),
        (_, true) => Colour(255, 252, 225),
        (_, false) => Colour(224, 230, 234),
    }
}

/// A wheel with its tyre, seen from the side; `turned` in radians moves its spokes.
fn wheel(sketch: &mut Sketch, (x, y): (f32, f32), radius: f32, rim: Colour, spokes: usize, turned: f32) {
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
