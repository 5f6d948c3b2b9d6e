//! Preprocessing models: crop, scale, convert, with the limits that each device has.

use crate::device::Role;
use crate::model::{NCHW, NHWC, SEMIPLANAR, Spec};
use crate::objects::{Map, Value, picture_dims, picture_pitches};
use crate::{Answer, code, failed};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Format {
    Nv12,
    Interleaved,
    Planar,
}

/// One end of the model: a picture.
#[derive(Clone, Copy)]
struct Picture {
    format: Format,
    width: usize,
    height: usize,
    pitch: usize,
}

impl Picture {
    fn of(params: &Map, end: &str) -> Answer<Self> {
        let format = match params.get(&format!("image.{end}.format"))? {
            Value::Text(text) => match text.as_str() {
                "nv12" => Format::Nv12,
                "rgb-interleaved" => Format::Interleaved,
                "rgb-planar" => Format::Planar,
                text => return failed(code::LOAD_MODEL, format!("the format {text:?} is not known")),
            },
            _ => return failed(code::LOAD_MODEL, format!("image.{end}.format is no text")),
        };
        let (width, height) = match params.get(&format!("image.{end}.size"))? {
            Value::Two([width @ 1..=65536, height @ 1..=65536]) => (*width as usize, *height as usize),
            _ => return failed(code::LOAD_MODEL, format!("image.{end}.size is no size")),
        };
        let least = if format == Format::Interleaved { 3 * width } else { width };
        let pitch = match params.get(&format!("image.{end}.row-pitch")) {
            Ok(Value::Int(pitch)) if *pitch as usize >= least => *pitch as usize,
            Ok(_) => return failed(code::LOAD_MODEL, format!("image.{end}.row-pitch is too small")),
            Err(_) => least,
        };
        Ok(Self { format, width, height, pitch })
    }

    fn spec(&self, name: &str) -> Answer<Spec> {
        let layout = match self.format {
            Format::Nv12 => SEMIPLANAR,
            Format::Interleaved => NHWC,
            Format::Planar => NCHW,
        };
        Ok(Spec {
            name: name.to_owned(),
            dims: picture_dims(layout, self.width, self.height, 3)?,
            pitches: picture_pitches(layout, self.pitch, self.height, 3)?,
            kind: 3,
            layout,
        })
    }

    fn is_even(&self) -> bool {
        self.width.is_multiple_of(2) && self.height.is_multiple_of(2) && self.pitch.is_multiple_of(2)
    }
}

/// A preprocessing model.
pub struct Pictures {
    pub input: Spec,
    pub output: Spec,
    from: Picture,
    to: Picture,
}

impl Pictures {
    pub fn new(role: Role, params: &Map) -> Answer<Self> {
        let (from, to) = (Picture::of(params, "input")?, Picture::of(params, "output")?);
        let refused = |why: &str| failed(code::LOAD_MODEL, why);
        let scales = (from.width, from.height) != (to.width, to.height);
        let conversion = (from.format, to.format);
        match role {
            Role::ProcessorPictures if !(from.is_even() && to.is_even()) => {
                return refused("sizes must be even");
            }
            Role::ProcessorPictures if conversion == (Format::Planar, Format::Interleaved) && scales => {
                return refused("planar to interleaved does not scale");
            }
            Role::ProcessorPictures => {}
            Role::Pictures | Role::OpenClPictures | Role::ConvertOnly
                if conversion != (Format::Nv12, Format::Interleaved) =>
            {
                return refused("This backend only supports color conversion from NV12 to RGB interleaved");
            }
            Role::ConvertOnly
                if scales || !from.width.is_multiple_of(8) || from.height < 4 || from.pitch != from.width =>
            {
                return refused("this backend does not scale, and takes widths of 8 without padding");
            }
            Role::PlanarPictures
                if conversion != (Format::Nv12, Format::Planar) || !from.pitch.is_multiple_of(32) =>
            {
                return refused("this backend makes planes of NV12 with a pitch that is a multiple of 32");
            }
            Role::Pictures | Role::OpenClPictures | Role::ConvertOnly | Role::PlanarPictures => {}
            _ => return refused("the device does not preprocess"),
        }
        Ok(Self { input: from.spec("image")?, output: to.spec("image")?, from, to })
    }

    /// The picture, its part `crop` (x, y, width, height) scaled to the whole output.
    pub fn run(&self, bytes: &[u8], crop: Option<[i64; 4]>) -> Answer<Vec<u8>> {
        let whole = [0, 0, self.from.width as i64, self.from.height as i64];
        let [x, y, width, height] = crop.unwrap_or(whole);
        let inside =
            x >= 0 && y >= 0 && width > 0 && height > 0 && x + width <= whole[2] && y + height <= whole[3];
        if !inside {
            return failed(code::JOB, format!("the crop {x},{y},{width},{height} is not in the picture"));
        }
        let to = &self.to;
        let mut out = vec![0; self.output.bytes()];
        let steps = (width as f32 / to.width as f32, height as f32 / to.height as f32);
        for row in 0..to.height {
            for column in 0..to.width {
                let sx = x as f32 + (column as f32 + 0.5) * steps.0 - 0.5;
                let sy = y as f32 + (row as f32 + 0.5) * steps.1 - 0.5;
                let pixel = self.sample(bytes, sx, sy);
                match to.format {
                    Format::Interleaved => {
                        let at = row * to.pitch + 3 * column;
                        out[at..at + 3].copy_from_slice(&pixel);
                    }
                    Format::Planar => {
                        for (plane, value) in pixel.iter().enumerate() {
                            out[(plane * to.height + row) * to.pitch + column] = *value;
                        }
                    }
                    // The components of NV12 were sampled as they are.
                    Format::Nv12 => {
                        out[row * to.pitch + column] = pixel[0];
                        let chroma = to.height * to.pitch + row / 2 * to.pitch + column / 2 * 2;
                        out[chroma] = pixel[1];
                        out[chroma + 1] = pixel[2];
                    }
                }
            }
        }
        Ok(out)
    }

    /// The three components at a place, between four pixels.
    fn sample(&self, bytes: &[u8], x: f32, y: f32) -> [u8; 3] {
        let clamp = |v: f32, size: usize| (v.max(0.0) as usize).min(size - 1);
        let (x0, y0) = (clamp(x, self.from.width), clamp(y, self.from.height));
        let (x1, y1) = (clamp(x + 1.0, self.from.width), clamp(y + 1.0, self.from.height));
        let (fx, fy) = ((x - x0 as f32).clamp(0.0, 1.0), (y - y0 as f32).clamp(0.0, 1.0));
        let [a, b, c, d] = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| self.pixel(bytes, x, y));
        let mut mixed = [0.0; 3];
        for (index, to) in mixed.iter_mut().enumerate() {
            let above = a[index] * (1.0 - fx) + b[index] * fx;
            let below = c[index] * (1.0 - fx) + d[index] * fx;
            *to = above * (1.0 - fy) + below * fy;
        }
        if self.from.format == Format::Nv12 && self.to.format != Format::Nv12 {
            // BT.601, limited range.
            let [y, u, v] = [1.164_383 * (mixed[0] - 16.0), mixed[1] - 128.0, mixed[2] - 128.0];
            mixed = [y + 1.596_027 * v, y - 0.391_762 * u - 0.812_968 * v, y + 2.017_232 * u];
        }
        mixed.map(|value| value.round().clamp(0.0, 255.0) as u8)
    }

    fn pixel(&self, bytes: &[u8], x: usize, y: usize) -> [f32; 3] {
        let Picture { format, height, pitch, .. } = self.from;
        let at = |place: usize| f32::from(bytes.get(place).copied().unwrap_or(0));
        match format {
            Format::Nv12 => {
                let chroma = height * pitch + y / 2 * pitch + x / 2 * 2;
                [at(y * pitch + x), at(chroma), at(chroma + 1)]
            }
            Format::Interleaved => [0, 1, 2].map(|c| at(y * pitch + 3 * x + c)),
            Format::Planar => [0, 1, 2].map(|plane| at((plane * height + y) * pitch + x)),
        }
    }
}
