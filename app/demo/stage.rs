//! One scene: its street, its weather, and who is where at which time.

use super::figures::{Bicycle, Bus, Car, Dog, Facing, Figure, Lamps, Person, Pose};
use super::props;
use super::random::Random;
use super::sketch::Sketch;
use super::view::View;
use super::weather::Weather;

/// How the street lies in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// From one side to the other.
    Across,
    /// Away from the camera.
    Along,
    /// No street: a square, with a street behind it.
    Square,
}

/// Rows of the ground, in picture heights from the top, from far to near.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows {
    /// Where the houses stand.
    pub houses: f32,
    /// The far edge of the road.
    pub far_kerb: f32,
    /// The near edge of the road.
    pub near_kerb: f32,
}

/// Makes a thing that stands about.
type Prop = fn(&mut Random, Lamps) -> Sketch;

/// Who comes along a way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Traffic {
    /// Cars, and this share of buses.
    Vehicles(f32),
    Walkers,
    DogWalkers,
    Cyclists,
}

/// A way along which figures follow each other at one speed.
#[derive(Clone, Debug)]
struct Stream {
    traffic: Traffic,
    /// Ground points (x, z) in metres.
    from: (f32, f32),
    to: (f32, f32),
    /// Metres a second.
    speed: f32,
    /// Metres from one to the next.
    gap: f32,
}

/// Something that stays where it is.
#[derive(Clone, Debug)]
struct Placed {
    place: (f32, f32),
    what: Fixture,
}

#[derive(Clone, Debug)]
enum Fixture {
    Prop(Sketch),
    Figure { id: u64, figure: Figure, facing: Facing, mirrored: bool },
}

/// A figure or thing in the picture of one moment.
#[derive(Clone, Debug)]
pub struct Actor<'a> {
    /// Ground point (x, z) in metres.
    pub place: (f32, f32),
    pub role: Role<'a>,
}

/// What an actor is.
#[derive(Clone, Debug)]
pub enum Role<'a> {
    /// A thing, as it was sketched.
    Prop(&'a Sketch),
    Figure {
        /// The same in all pictures of a seed.
        id: u64,
        /// Its look.
        figure: Figure,
        /// Which side is seen.
        facing: Facing,
        /// It faces left where it is seen from the side.
        mirrored: bool,
        /// Metres it has gone.
        way: f32,
        pose: Pose,
        /// Metres from its collar to the hand that holds it, to the right and up.
        leash: Option<(f32, f32)>,
    },
}

/// A scene.
pub struct Stage {
    key: u64,
    /// How the street lies.
    pub layout: Layout,
    /// The camera.
    pub view: View,
    /// Light and weather.
    pub weather: Weather,
    /// Where ground ends and the road lies; of a street along the view only `houses` counts.
    pub rows: Rows,
    /// Half of the road's width where it goes away from the camera, in metres.
    pub half_road: f32,
    streams: Vec<Stream>,
    placed: Vec<Placed>,
}

impl Stage {
    /// Scene `scene` of `seed`, for pictures of this width over height.
    pub fn new(seed: u64, scene: u64, aspect: f32) -> Self {
        let random = &mut Random::of(&[seed, scene]);
        let layout =
            random.pick([Layout::Across, Layout::Across, Layout::Along, Layout::Along, Layout::Square]);
        let weather = Weather::any(random);
        let horizon = random.between(0.2, 0.36);
        let view =
            View { camera: random.between(2.5, 4.2), focal: random.between(0.9, 1.3), horizon, aspect };
        let houses = horizon + random.between(0.13, 0.17) * view.camera / 3.0;
        let far_kerb = houses + random.between(0.03, 0.06);
        let near_kerb = match layout {
            Layout::Square => far_kerb + random.between(0.06, 0.1),
            _ => random.between(0.66, 0.8),
        };
        let rows = Rows { houses, far_kerb, near_kerb };
        let mut stage = Self {
            key: random.bits(),
            layout,
            view,
            weather,
            rows,
            half_road: random.between(3.2, 4.2),
            streams: Vec::new(),
            placed: Vec::new(),
        };
        match layout {
            Layout::Across => stage.across(random),
            Layout::Along => stage.along(random),
            Layout::Square => stage.square(random),
        }
        stage
    }

    /// A way from side to side on a row between `rows`, to the right or to the left; its ends are up to
    /// `tilt` metres nearer or farther.
    fn sideways(&mut self, random: &mut Random, traffic: Traffic, rows: (f32, f32), tilt: f32) {
        let z = self.view.distance(random.between(rows.0, rows.1));
        let tilt = random.between(-tilt, tilt);
        let edge = self.view.half_width(z + tilt.abs());
        // Where much of the street is seen, those who walk there are farther apart: no crowds.
        let apart = |random: &mut Random, least: f32, most: f32| random.between(least, most) * edge / 5.0;
        let (margin, speed, gap) = match traffic {
            Traffic::Vehicles(_) => (8.0, random.between(3.0, 8.0), random.between(17.0, 34.0)),
            Traffic::Walkers => (1.5, random.between(0.9, 1.6), apart(random, 4.0, 10.0).max(3.0)),
            Traffic::DogWalkers => (3.0, random.between(0.9, 1.4), apart(random, 8.0, 14.0).max(8.0)),
            Traffic::Cyclists => (2.0, random.between(2.5, 5.0), apart(random, 9.0, 18.0).max(8.0)),
        };
        let edge = edge + margin;
        let (from, to) = ((-edge, z), (edge, (z - tilt).max(2.0)));
        let (from, to) = if random.chance(0.5) { (from, to) } else { (to, from) };
        self.streams.push(Stream { traffic, from, to, speed, gap });
    }

    fn vehicles_sideways(&mut self, random: &mut Random) {
        let Rows { far_kerb, near_kerb, .. } = self.rows;
        let buses = random.between(0.15, 0.4);
        for share in [0.28, 0.72] {
            let down = far_kerb + (near_kerb - far_kerb) * share;
            self.sideways(random, Traffic::Vehicles(buses), (down, down), 0.0);
        }
    }

    fn across(&mut self, random: &mut Random) {
        let Rows { houses, far_kerb, near_kerb } = self.rows;
        let (far_side, near_side) = ((houses + 0.01, far_kerb), (near_kerb + 0.02, 0.97));
        self.vehicles_sideways(random);
        self.sideways(random, Traffic::Walkers, far_side, 0.0);
        let far_lane = far_kerb + (near_kerb - far_kerb) * 0.12;
        let lane = if random.chance(0.5) { far_lane } else { near_kerb - 0.03 };
        self.sideways(random, Traffic::Cyclists, (lane, lane), 0.0);
        for _ in 0..1 + random.index(2) {
            self.sideways(random, Traffic::Walkers, near_side, 0.8);
        }
        self.sideways(random, Traffic::DogWalkers, near_side, 0.0);
        self.parked(random, far_kerb + 0.012);
        self.bystanders(random, 2, near_side);
        let props = 1 + random.index(3);
        self.furnish(random, props, (near_kerb + 0.01, 0.98), props::slender);
        let props = 1 + random.index(3);
        self.furnish(random, props, far_side, props::any);
    }

    fn along(&mut self, random: &mut Random) {
        let (far, near) = (self.view.distance(self.rows.houses), self.view.distance(1.6));
        let buses = random.between(0.15, 0.4);
        for (x, away) in
            [(-self.half_road * 0.5, random.chance(0.5)), (self.half_road * 0.5, random.chance(0.5))]
        {
            let ends = if away { ((x, near), (x, far)) } else { ((x, far), (x, near)) };
            let (speed, gap) = (random.between(2.0, 5.0), random.between(13.0, 24.0));
            self.streams.push(Stream {
                traffic: Traffic::Vehicles(buses),
                from: ends.0,
                to: ends.1,
                speed,
                gap,
            });
        }
        for side in [-1.0f32, 1.0] {
            for _ in 0..1 {
                let x = side * (self.half_road + random.between(0.5, 2.6));
                let ends =
                    if random.chance(0.5) { ((x, near), (x * 1.05, far)) } else { ((x, far), (x, near)) };
                let (speed, gap) = (random.between(0.9, 1.6), random.between(4.0, 9.0));
                self.streams.push(Stream { traffic: Traffic::Walkers, from: ends.0, to: ends.1, speed, gap });
            }
            let x = side * (self.half_road + random.between(0.2, 3.2));
            let z = random.between(near * 1.5, far * 0.7);
            self.place_prop(random, (x, z), props::any);
        }
        self.sideways(random, Traffic::Walkers, (0.6, 0.9), 0.6);
        self.sideways(random, Traffic::Cyclists, (0.55, 0.85), 0.0);
        self.sideways(random, Traffic::DogWalkers, (0.62, 0.95), 0.0);
        self.bystanders(random, 2, (0.7, 0.98));
    }

    fn square(&mut self, random: &mut Random) {
        let near_kerb = self.rows.near_kerb;
        self.vehicles_sideways(random);
        for _ in 0..2 + random.index(2) {
            self.sideways(random, Traffic::Walkers, (near_kerb + 0.04, 0.97), 2.0);
        }
        for _ in 0..1 + random.index(2) {
            self.sideways(random, Traffic::DogWalkers, (near_kerb + 0.1, 0.97), 0.0);
        }
        for _ in 0..1 + random.index(2) {
            self.sideways(random, Traffic::Cyclists, (near_kerb + 0.06, 0.95), 0.0);
        }
        self.bystanders(random, 3, (near_kerb + 0.05, 0.95));
        let props = 1 + random.index(3);
        self.furnish(random, props, (near_kerb + 0.02, near_kerb + 0.1), props::any);
        let props = random.index(3);
        self.furnish(random, props, (near_kerb + 0.1, 0.98), props::slender);
        if random.chance(0.6) {
            let down = random.between(near_kerb + 0.05, 0.9);
            self.parked_bicycles(random, down);
        }
    }

    /// Cars or bicycles that stand along a kerb.
    fn parked(&mut self, random: &mut Random, down: f32) {
        match random.index(3) {
            0 => {}
            1 => self.parked_bicycles(random, down - 0.02),
            _ => {
                let z = self.view.distance(down);
                let half = self.view.half_width(z);
                let mut x = random.between(-half - 3.0, -half * 0.2);
                for _ in 0..1 + random.index(3) {
                    let car = Car::any(random);
                    let wide = car.length() + random.between(0.8, 4.0);
                    self.place_figure(random, (x, z), Figure::Car(car), Facing::Side);
                    x += wide;
                }
            }
        }
    }

    fn parked_bicycles(&mut self, random: &mut Random, down: f32) {
        let z = self.view.distance(down);
        let mut x = random.between(-1.0, 0.6) * self.view.half_width(z);
        for _ in 0..1 + random.index(3) {
            let bicycle = Bicycle::any(random);
            self.place_figure(random, (x, z), Figure::Bicycle(bicycle), Facing::Side);
            x += random.between(1.5, 2.6);
        }
    }

    /// People who stand about.
    fn bystanders(&mut self, random: &mut Random, most: usize, rows: (f32, f32)) {
        for _ in 0..random.index(most + 1) {
            let z = self.view.distance(random.between(rows.0, rows.1));
            let x = random.between(-0.95, 0.95) * self.view.half_width(z);
            let facing = random.pick([Facing::Side, Facing::Front, Facing::Back]);
            let person = Person::any(random, self.weather.rains());
            self.place_figure(random, (x, z), Figure::Person(person), facing);
        }
    }

    /// Things that stand about.
    fn furnish(&mut self, random: &mut Random, count: usize, rows: (f32, f32), prop: Prop) {
        for _ in 0..count {
            let z = self.view.distance(random.between(rows.0, rows.1));
            let x = random.between(-1.0, 1.0) * self.view.half_width(z);
            self.place_prop(random, (x, z), prop);
        }
    }

    fn place_prop(&mut self, random: &mut Random, place: (f32, f32), prop: Prop) {
        let prop = prop(random, self.weather.lamps);
        self.placed.push(Placed { place, what: Fixture::Prop(prop) });
    }

    fn place_figure(&mut self, random: &mut Random, place: (f32, f32), figure: Figure, facing: Facing) {
        let id = identity(&[self.key, u64::MAX, self.placed.len() as u64]);
        let what = Fixture::Figure { id, figure, facing, mirrored: random.chance(0.5) };
        self.placed.push(Placed { place, what });
    }

    /// Everything that is in the street `time` seconds after the scene began, farthest first.
    pub fn actors<'a>(&'a self, time: f32, actors: &mut Vec<Actor<'a>>) {
        actors.clear();
        for placed in &self.placed {
            let role = match &placed.what {
                Fixture::Prop(sketch) => Role::Prop(sketch),
                Fixture::Figure { id, figure, facing, mirrored } => Role::Figure {
                    id: *id,
                    figure: figure.clone(),
                    facing: *facing,
                    mirrored: *mirrored,
                    way: 0.0,
                    pose: Pose::Standing,
                    leash: None,
                },
            };
            actors.push(Actor { place: placed.place, role });
        }
        for (index, stream) in self.streams.iter().enumerate() {
            stream.members(self.key, index as u64, time, self.weather.rains(), actors);
        }
        actors.sort_by(|a, b| b.place.1.total_cmp(&a.place.1));
    }
}

/// A number that stands for a figure; exact as a JSON number, which has 53 bits.
fn identity(keys: &[u64]) -> u64 {
    Random::of(keys).bits() >> 11
}

impl Stream {
    /// Adds those who are on their way at `time`.
    fn members(&self, key: u64, stream: u64, time: f32, rain: bool, actors: &mut Vec<Actor>) {
        let (dx, dz) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let length = (dx * dx + dz * dz).sqrt();
        let gone = self.speed * time;
        // Number k starts k gaps after the first, give or take a part of a gap.
        let first = ((gone - length) / self.gap).floor() as i64 - 1;
        let last = (gone / self.gap).ceil() as i64 + 1;
        for number in first..=last {
            let random = &mut Random::of(&[key, stream, number as u64]);
            let way = gone - (number as f32 + random.between(0.0, self.give())) * self.gap;
            if !(0.0..=length).contains(&way) {
                continue;
            }
            let share = way / length;
            let place = (self.from.0 + dx * share, self.from.1 + dz * share);
            let id = identity(&[key, stream, number as u64]);
            self.member(random, id, place, (dx, dz), way, rain, actors);
        }
    }

    /// How much of a gap the distance may vary: vehicles must not run into each other.
    fn give(&self) -> f32 {
        if matches!(self.traffic, Traffic::Vehicles(_)) { 0.2 } else { 0.7 }
    }

    #[expect(clippy::too_many_arguments, reason = "all belong to one figure at one moment")]
    fn member(
        &self,
        random: &mut Random,
        id: u64,
        (x, z): (f32, f32),
        (dx, dz): (f32, f32),
        way: f32,
        rain: bool,
        actors: &mut Vec<Actor>,
    ) {
        let facing = match dz {
            _ if dx.abs() >= dz.abs() * 0.5 => Facing::Side,
            dz if dz < 0.0 => Facing::Front,
            _ => Facing::Back,
        };
        let mirrored = dx < 0.0;
        let ahead = if mirrored { -1.0 } else { 1.0 };
        let mut add = |id: u64, place: (f32, f32), figure: Figure, pose: Pose, leash: Option<(f32, f32)>| {
            actors
                .push(Actor { place, role: Role::Figure { id, figure, facing, mirrored, way, pose, leash } });
        };
        match self.traffic {
            Traffic::Vehicles(buses) => {
                let figure = if random.chance(buses) {
                    Figure::Bus(Bus::any(random))
                } else {
                    Figure::Car(Car::any(random))
                };
                add(id, (x, z), figure, Pose::Walking, None);
            }
            Traffic::Walkers => {
                let aside = random.between(-0.35, 0.35);
                add(id, (x, z + aside), Figure::Person(Person::any(random, rain)), Pose::Walking, None);
                if random.chance(0.2) {
                    let place = (x - ahead * random.between(0.35, 0.9), z + aside + random.between(0.2, 0.5));
                    let friend = Figure::Person(Person::any(random, rain));
                    add(identity(&[id, 1]), place, friend, Pose::Walking, None);
                }
            }
            Traffic::DogWalkers => {
                let person = Person::any(random, rain);
                let dog = Dog::any(random);
                let (apart, before) = (random.between(1.0, 1.7), random.between(0.05, 0.3));
                let (collar_x, collar_y) = dog.collar();
                let hand = (-(apart + collar_x), 0.5 * person.height() - collar_y);
                let leash = random.chance(0.8).then_some(hand);
                add(id, (x, z), Figure::Person(person), Pose::Walking, None);
                let place = (x + ahead * apart, z - before);
                add(identity(&[id, 2]), place, Figure::Dog(dog), Pose::Walking, leash);
            }
            Traffic::Cyclists => {
                add(id, (x, z), Figure::Bicycle(Bicycle::any(random)), Pose::Walking, None);
                // A hand's breadth nearer, so that the rider covers the saddle.
                let rider = Figure::Person(Person::any(random, false));
                add(identity(&[id, 3]), (x, z - 0.05), rider, Pose::Riding, None);
            }
        }
    }
}
