//! The figures of the street: each has a look of its own, from its random numbers.

mod bicycle;
mod bus;
mod car;
mod dog;
mod parts;
mod person;

pub use bicycle::Bicycle;
pub use bus::Bus;
pub use car::Car;
pub use dog::Dog;
pub use parts::{Facing, Lamps};
pub use person::{Person, Pose};

use super::sketch::Sketch;

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
