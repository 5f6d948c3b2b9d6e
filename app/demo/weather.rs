//! Light and weather: what they do to colours, and what they lay over the picture.

use tiny_skia::PixmapMut;

use super::figures::Lamps;
use super::random::Random;
use super::sketch::{Colour, PIXEL_BYTES};

/// Values of noise that are drawn once; each row of a picture starts somewhere else in them.
const GRAIN: usize = 1 << 16;

/// The light and the air of a scene, and how well its camera sees.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Share of light that is left, per channel.
    gain: [f32; 3],
    /// Colour of the air, and the share of it at 30 metres.
    haze: (Colour, f32),
    /// Top and bottom of the sky.
    pub sky: (Colour, Colour),
    /// Lamps burn.
    pub lamps: Lamps,
    /// The sun throws shadows: how far to the side, in heights of what throws them, and how dark.
    pub shadow: (f32, u8),
    /// Streaks of rain in the picture.
    pub streaks: usize,
    /// Largest deviation of a sample by noise.
    noise: f32,
    /// The picture is a little out of focus.
    blurred: bool,
    /// A building behind the camera throws its shadow from here to here, in widths of the picture.
    pub shade: Option<(f32, f32)>,
}

impl Weather {
    /// Any weather at any time of the day.
    pub fn any(random: &mut Random) -> Self {
        let fine = Self {
            gain: [1.0, 1.0, 1.0],
            haze: (Colour(196, 214, 232), random.between(0.05, 0.15)),
            sky: (Colour(92, 154, 222), Colour(206, 226, 242)),
            lamps: Lamps::Off,
            shadow: (random.between(-0.9, 0.9), 96),
            streaks: 0,
            noise: if random.chance(0.5) { random.between(2.0, 14.0) } else { 2.0 },
            blurred: random.chance(0.2),
            shade: random.chance(0.35).then(|| {
                let left = random.between(-0.3, 0.8);
                (left, left + random.between(0.25, 0.8))
            }),
        };
        match random.index(10) {
            0..=3 => fine,
            4..=5 => Self {
                gain: [0.88, 0.9, 0.93],
                haze: (Colour(190, 196, 202), random.between(0.1, 0.4)),
                sky: (Colour(168, 178, 190), Colour(212, 216, 220)),
                shadow: (0.0, 60),
                shade: None,
                ..fine
            },
            6 => Self {
                gain: [0.86, 0.64, 0.56],
                haze: (Colour(232, 170, 130), random.between(0.1, 0.3)),
                sky: (Colour(84, 92, 150), Colour(246, 176, 116)),
                lamps: Lamps::On,
                shadow: (random.pick([-1.3, 1.3]), 70),
                ..fine
            },
            7 => Self {
                gain: [0.52, 0.56, 0.7],
                haze: (Colour(70, 80, 110), random.between(0.05, 0.2)),
                sky: (Colour(14, 18, 40), Colour(52, 56, 84)),
                lamps: Lamps::On,
                shadow: (0.0, 50),
                noise: random.between(6.0, 18.0),
                shade: None,
                ..fine
            },
            _ => Self {
                gain: [0.7, 0.74, 0.8],
                haze: (Colour(168, 176, 186), random.between(0.25, 0.5)),
                sky: (Colour(120, 130, 142), Colour(176, 184, 190)),
                lamps: Lamps::On,
                shadow: (0.0, 40),
                streaks: 60 + random.index(160),
                shade: None,
                ..fine
            },
        }
    }

    /// True where umbrellas are up.
    pub fn rains(&self) -> bool {
        self.streaks > 0
    }

    /// What a colour at distance `z` looks like; `glow` where it shines by itself.
    pub fn seen(&self, colour: Colour, z: f32, glow: bool) -> Colour {
        let (air, share) = self.haze;
        let gain = if glow { [1.0; 3] } else { self.gain };
        let channel = |value: u8, gain: f32| (f32::from(value) * gain) as u8;
        let lit = Colour(channel(colour.0, gain[0]), channel(colour.1, gain[1]), channel(colour.2, gain[2]));
        lit.mixed(air, (share * z / 30.0).min(0.7))
    }

    /// Lays blur and noise over a finished picture.
    pub fn spoil(&self, picture: &mut PixmapMut, random: &mut Random, lens: &mut Lens) {
        let row_bytes = picture.width() as usize * PIXEL_BYTES;
        if self.blurred {
            lens.blur(picture.data_mut(), row_bytes);
        }
        if self.noise > 0.0 {
            lens.add_noise(picture.data_mut(), row_bytes, self.noise, random);
        }
    }
}

/// What blur and noise need, kept from picture to picture.
pub struct Lens {
    grain: Vec<i8>,
    before: Vec<u8>,
    now: Vec<u8>,
}

impl Default for Lens {
    fn default() -> Self {
        let mut random = Random::of(&[0x006e_6f69_7365]);
        // The mean of three: nearer to a sensor's noise than one number that is as likely anywhere.
        let sample = |random: &mut Random| (0..3).map(|_| random.between(-127.0, 127.0)).sum::<f32>() / 3.0;
        let grain = (0..GRAIN).map(|_| sample(&mut random) as i8).collect();
        Self { grain, before: Vec::new(), now: Vec::new() }
    }
}

impl Lens {
    fn add_noise(&self, pixels: &mut [u8], row_bytes: usize, most: f32, random: &mut Random) {
        let strength = (most * 2.0) as i16;
        for row in pixels.chunks_mut(row_bytes) {
            let mut place = random.index(GRAIN);
            let mut left = &mut *row;
            while !left.is_empty() {
                let many = left.len().min(GRAIN - place);
                let (now, later) = left.split_at_mut(many);
                for (sample, noise) in now.iter_mut().zip(&self.grain[place..place + many]) {
                    let noise = (i16::from(*noise) * strength) >> 8;
                    *sample = (i16::from(*sample) + noise).clamp(0, 255) as u8;
                }
                (left, place) = (later, 0);
            }
            row.iter_mut().skip(3).step_by(PIXEL_BYTES).for_each(|sample| *sample = 255);
        }
    }

    /// The mean over 3 × 3 pixels, weighted 1 2 1 both ways; the outermost pixels stay as they are.
    fn blur(&mut self, pixels: &mut [u8], row_bytes: usize) {
        let step = PIXEL_BYTES;
        let rows = pixels.len() / row_bytes;
        let weighted =
            |a: u8, b: u8, c: u8| ((u16::from(a) + 2 * u16::from(b) + u16::from(c) + 2) >> 2) as u8;
        for row in pixels.chunks_mut(row_bytes) {
            self.now.clear();
            self.now.extend_from_slice(row);
            let (inner, old) = (&mut row[step..row_bytes - step], &self.now);
            for (index, sample) in inner.iter_mut().enumerate() {
                *sample = weighted(old[index], old[index + step], old[index + 2 * step]);
            }
        }
        self.before.clear();
        self.before.extend_from_slice(&pixels[..row_bytes]);
        for row in 1..rows.saturating_sub(1) {
            let (upper, below) = pixels.split_at_mut((row + 1) * row_bytes);
            let current = &mut upper[row * row_bytes..];
            self.now.clear();
            self.now.extend_from_slice(current);
            for (index, sample) in current.iter_mut().enumerate() {
                *sample = weighted(self.before[index], self.now[index], below[index]);
            }
            std::mem::swap(&mut self.before, &mut self.now);
        }
    }
}
