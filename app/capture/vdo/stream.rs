//! Which stream to ask the camera for, and what it then is.

use std::sync::Arc;

use super::shim::{Channel, Failure, Map, Outcome, Stream};
use super::spec::{Format, Suit, VdoSpec, View};
use super::sys::{self, Functions};
use crate::capture::spec::Size;

/// The longest side of the pictures for the page.
const PAGE_SIDE: u32 = 1280;
/// The shape that most sensors have, where a camera does not say its own.
const ASPECT: Size = (16, 9);

/// A stream to ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Which picture.
    pub view: View,
    /// How frames lie in memory.
    pub format: Format,
    /// Columns and rows before the picture is turned; the camera's own choice where there are none.
    pub size: Option<Size>,
    /// Frames a second.
    pub rate: f64,
    /// How many buffers.
    pub buffers: u32,
    /// How it is turned, where not as the camera is set.
    pub rotation: Option<u32>,
}

/// How the memory of a stream's buffers is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// dma-bufs.
    DmaBuf,
    /// memfds, or parts of one piece of memory (`vmem`).
    Other,
}

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// How frames lie in memory.
    pub format: Format,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub pitch: u32,
    /// Frames a second.
    pub rate: f64,
    /// Shape of one pixel on the screen, width over height.
    pub pixel_aspect: (u32, u32),
    /// How the buffers are shared.
    pub memory: Memory,
}

impl Shape {
    /// Where each plane begins, and bytes from the first to behind the last.
    pub fn planes(&self) -> ([usize; 3], usize) {
        let plane = self.pitch as usize * self.height as usize;
        match self.format {
            Format::Nv12 => ([0, plane, 0], plane + self.pitch as usize * (self.height as usize).div_ceil(2)),
            Format::Rgb => ([0; 3], plane),
            Format::PlanarRgb => ([0, plane, 2 * plane], 3 * plane),
            Format::Jpeg => ([0; 3], 0),
        }
    }
}

/// What a camera says of one of its pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sensor {
    /// The channel's number.
    pub id: Option<u32>,
    /// How the camera turns it, in degrees.
    pub rotation: u32,
    /// Its shape, width and height, before it is turned; zeros where it does not say.
    pub aspect: Size,
    /// The sizes of its own shape that it gives, before it is turned.
    pub sizes: Vec<Size>,
}

fn number(view: View) -> u32 {
    let (View::Input(number) | View::Channel(number)) = view;
    number
}

/// Asks the camera about one of its pictures.
///
/// # Errors
/// The library's own, where there is no such picture. What else it does not say is left out.
pub fn sensor(functions: &'static Functions, view: View, format: Format) -> Outcome<Sensor> {
    let mut wanted = Map::new(functions)?;
    match view {
        View::Input(number) => wanted.set_u32(c"input", number),
        View::Channel(number) => wanted.set_u32(c"channel", number),
    }
    let channel = Channel::get(functions, &wanted, number(view))?;
    let info = channel.info()?;
    let mut filter = Map::new(functions)?;
    filter.set_u32(c"format", vdo_format(format));
    filter.set_text(c"select", c"all");
    filter.set_text(c"aspect_ratio", c"native");
    let id = info.u32(c"id", u32::MAX);
    Ok(Sensor {
        id: (id != u32::MAX).then_some(id),
        rotation: info.u32(c"rotation", 0) % 360,
        aspect: info.pair(c"aspect_ratio", (0, 0)),
        // Not every camera lists its sizes; it is then asked for one that is computed.
        sizes: channel.resolutions(&filter).unwrap_or_default(),
    })
}

impl Sensor {
    /// Its shape; the usual one where it does not say.
    fn shape(&self) -> Size {
        match self.aspect {
            (0, _) | (_, 0) => self.sizes.first().copied().unwrap_or(ASPECT),
            aspect => aspect,
        }
    }

    fn turned(&self, spec: &VdoSpec) -> bool {
        matches!(spec.rotation.unwrap_or(self.rotation), 90 | 270)
    }

    /// The streams to ask for in turn, until one is given.
    pub fn requests(&self, spec: &VdoSpec) -> Vec<Request> {
        let turned = self.turned(spec);
        let turn = |(width, height): Size| if turned { (height, width) } else { (width, height) };
        let request = |format, size| Request {
            view: self.id.map_or(spec.view, View::Channel),
            format,
            size: Some(size),
            rate: spec.rate(),
            buffers: spec.buffers,
            rotation: spec.rotation,
        };
        if let Some(size) = spec.size {
            return vec![request(spec.format.unwrap_or(Format::Nv12), turn(size))];
        }
        let Some(Suit { input, stretched, planar }) = spec.suit else {
            return vec![request(spec.format.unwrap_or(Format::Nv12), self.at_most(PAGE_SIDE))];
        };
        let input = turn(input);
        let covering = self.covering(input, stretched);
        match spec.format {
            // The model's very input: nothing is left to be done.
            None if stretched => {
                let own = if planar { Format::PlanarRgb } else { Format::Rgb };
                vec![request(own, input), request(Format::Nv12, covering)]
            }
            Some(format @ (Format::Rgb | Format::PlanarRgb)) if stretched => vec![request(format, input)],
            format => vec![request(format.unwrap_or(Format::Nv12), covering)],
        }
    }

    /// The stream of compressed pictures for the page.
    pub fn page_request(&self, spec: &VdoSpec) -> Request {
        Request {
            view: self.id.map_or(spec.view, View::Channel),
            format: Format::Jpeg,
            size: Some(self.at_most(PAGE_SIDE)),
            rate: spec.rate(),
            buffers: spec.buffers,
            rotation: spec.rotation,
        }
    }

    /// The smallest size of the sensor's shape from which an input of this size can be filled without making
    /// anything larger; the largest there is where none can. `stretched`: both sides count, else the one that
    /// a letterbox fills.
    pub fn covering(&self, (width, height): Size, stretched: bool) -> Size {
        let (aspect_w, aspect_h) = self.shape();
        let fits = |size: Size| {
            if stretched { size.0 >= width && size.1 >= height } else { size.0 >= width || size.1 >= height }
        };
        let area = |size: &Size| u64::from(size.0) * u64::from(size.1);
        if let Some(size) = self.sizes.iter().copied().filter(|size| fits(*size)).min_by_key(area) {
            return size;
        }
        if let Some(size) = self.sizes.iter().copied().max_by_key(area) {
            return size;
        }
        let (width, height) = (f64::from(width), f64::from(height));
        let (across, down) = (width / f64::from(aspect_w), height / f64::from(aspect_h));
        let scale = if stretched { across.max(down) } else { across.min(down) };
        (even(scale * f64::from(aspect_w)), even(scale * f64::from(aspect_h)))
    }

    /// The largest size of the sensor's shape with no side above `side`.
    fn at_most(&self, side: u32) -> Size {
        let small = self.sizes.iter().copied().filter(|size| size.0.max(size.1) <= side);
        let area = |size: &Size| u64::from(size.0) * u64::from(size.1);
        small.max_by_key(area).unwrap_or_else(|| {
            let (width, height) = self.shape();
            let scale = f64::from(side) / f64::from(width.max(height));
            (even(scale * f64::from(width)), even(scale * f64::from(height)))
        })
    }

    /// The shape of one pixel of a picture of this size, delivered as `turned` says. Rounded sizes are taken for
    /// what they stand for.
    fn pixel_aspect(&self, (width, height): Size, turned: bool) -> (u32, u32) {
        /// What rounding a side to a multiple of 16 may change.
        const ROUNDING: f64 = 0.03;
        let (aspect_w, aspect_h) = match (self.aspect, turned) {
            ((0, _) | (_, 0), _) => return (1, 1),
            ((w, h), true) => (h, w),
            (aspect, false) => aspect,
        };
        let (n, d) = (aspect_w * height, aspect_h * width);
        let ratio = f64::from(n) / f64::from(d.max(1));
        if (ratio - 1.0).abs() < ROUNDING {
            return (1, 1);
        }
        let divisor = greatest_common_divisor(n, d);
        (n / divisor, d / divisor)
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { greatest_common_divisor(b, a % b) }
}

fn even(side: f64) -> u32 {
    // Sides are some thousands at most.
    (((side / 2.0).ceil() as u32) * 2).max(16)
}

fn vdo_format(format: Format) -> u32 {
    match format {
        Format::Nv12 => sys::VDO_FORMAT_YUV,
        Format::Rgb => sys::VDO_FORMAT_RGB,
        Format::PlanarRgb => sys::VDO_FORMAT_PLANAR_RGB,
        Format::Jpeg => sys::VDO_FORMAT_JPEG,
    }
}

/// The settings of a request.
fn settings(functions: &'static Functions, request: &Request) -> Outcome<Map> {
    let mut map = Map::new(functions)?;
    match request.view {
        View::Input(number) => map.set_u32(c"input", number),
        View::Channel(number) => map.set_u32(c"channel", number),
    }
    map.set_u32(c"format", vdo_format(request.format));
    if request.format == Format::Nv12 {
        map.set_text(c"subformat", c"NV12");
    }
    if let Some(size) = request.size {
        map.set_pair(c"resolution", size);
    }
    map.set_f64(c"framerate", request.rate);
    map.set_bool(c"dynamic.framerate", true);
    map.set_u32(c"buffer.count", request.buffers);
    map.set_bool(c"socket.blocking", false);
    // The default cuts off what does not fit.
    map.set_text(c"image.fit", c"scale");
    if let Some(rotation) = request.rotation {
        map.set_u32(c"rotation", rotation);
    }
    Ok(map)
}

/// Makes and starts a stream.
///
/// # Errors
/// The library's own; a failure where what it says of the stream makes no sense.
pub fn open(
    functions: &'static Functions,
    request: &Request,
    sensor: &Sensor,
) -> Outcome<(Arc<Stream>, Shape)> {
    let mut stream = Stream::new(functions, &settings(functions, request)?)?;
    let info = stream.info()?;
    let shape = shape(&info, request, sensor)?;
    stream.start()?;
    Ok((Arc::new(stream), shape))
}

fn shape(info: &Map, request: &Request, sensor: &Sensor) -> Outcome<Shape> {
    let asked = request.size.unwrap_or((0, 0));
    let (mut width, mut height) = (info.u32(c"width", asked.0), info.u32(c"height", asked.1));
    let pitch = info.u32(c"pitch", 0);
    let row = |width: u32| if request.format == Format::Rgb { 3 * width } else { width };
    let turned = matches!(request.rotation.unwrap_or(sensor.rotation), 90 | 270);
    // Frames come turned; should a camera give the size before that, the pitch tells.
    if turned && (width, height) == asked && pitch != 0 && pitch < row(width) && pitch >= row(height) {
        (width, height) = (height, width);
    }
    if width == 0 || height == 0 {
        return Err(Failure {
            code: 0,
            text: format!("the camera says that its frames are {width}x{height} pixels"),
        });
    }
    let pitch = match pitch {
        0 => row(width),
        // Said in pixels rather than bytes.
        pixels if request.format == Format::Rgb && pixels < 3 * width && pixels >= width => 3 * pixels,
        pitch => pitch,
    };
    if request.format != Format::Jpeg && pitch < row(width) {
        let text = format!("the camera says that rows of {width} pixels are {pitch} bytes apart");
        return Err(Failure { code: 0, text });
    }
    Ok(Shape {
        format: request.format,
        width,
        height,
        pitch,
        rate: info.f64(c"framerate", request.rate),
        pixel_aspect: sensor.pixel_aspect((width, height), turned),
        memory: if info.text(c"buffer.type") == "dmabuf" { Memory::DmaBuf } else { Memory::Other },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor() -> Sensor {
        let sizes = vec![(1920, 1080), (1280, 720), (640, 360), (480, 270), (320, 180)];
        Sensor { id: Some(1), rotation: 0, aspect: (16, 9), sizes }
    }

    #[test]
    fn the_smallest_size_that_loses_nothing_is_taken() {
        let sensor = sensor();
        assert_eq!(sensor.covering((300, 300), false), (320, 180));
        assert_eq!(sensor.covering((300, 300), true), (640, 360));
        assert_eq!(sensor.covering((640, 640), false), (640, 360));
        assert_eq!(sensor.covering((4000, 4000), false), (1920, 1080));
        let silent = Sensor { sizes: Vec::new(), ..sensor };
        assert_eq!(silent.covering((300, 300), false), (300, 170));
        assert_eq!(silent.covering((300, 300), true), (534, 300));
        assert_eq!(Sensor::default().at_most(1280), (1280, 720));
    }

    #[test]
    fn a_stretched_input_is_asked_for_as_it_is_and_else_as_the_sensor_is() {
        let suit = |stretched| {
            let suit = Suit { input: (300, 300), stretched, planar: false };
            VdoSpec { suit: Some(suit), ..VdoSpec::default() }
        };
        let asked =
            |spec: &VdoSpec| sensor().requests(spec).iter().map(|r| (r.format, r.size)).collect::<Vec<_>>();
        let (rgb, nv12) = ((Format::Rgb, Some((300, 300))), (Format::Nv12, Some((640, 360))));
        assert_eq!(asked(&suit(true)), [rgb, nv12]);
        let planes = Suit { input: (300, 300), stretched: true, planar: true };
        let planar = (Format::PlanarRgb, Some((300, 300)));
        assert_eq!(asked(&VdoSpec { suit: Some(planes), ..VdoSpec::default() }), [planar, nv12]);
        assert_eq!(asked(&suit(false)), [(Format::Nv12, Some((320, 180)))]);
        assert_eq!(asked(&VdoSpec { format: Some(Format::Nv12), ..suit(true) }), [nv12]);
        assert_eq!(asked(&VdoSpec::default()), [(Format::Nv12, Some((1280, 720)))]);
        let page = sensor().page_request(&VdoSpec::default());
        assert_eq!((page.format, page.size), (Format::Jpeg, Some((1280, 720))));
    }

    #[test]
    fn sizes_are_asked_for_as_they_are_before_the_turn() {
        let upright = Sensor { rotation: 90, ..sensor() };
        let spec = VdoSpec { size: Some((360, 640)), ..VdoSpec::default() };
        assert_eq!(upright.requests(&spec)[0].size, Some((640, 360)));
        let level = VdoSpec { rotation: Some(0), ..spec };
        assert_eq!(upright.requests(&level)[0].size, Some((360, 640)));
    }

    #[test]
    fn pixels_are_square_but_for_a_stretched_picture() {
        let sensor = sensor();
        assert_eq!(sensor.pixel_aspect((640, 360), false), (1, 1));
        assert_eq!(sensor.pixel_aspect((480, 272), false), (1, 1));
        assert_eq!(sensor.pixel_aspect((300, 300), false), (16, 9));
        assert_eq!(sensor.pixel_aspect((300, 300), true), (9, 16));
        assert_eq!(sensor.pixel_aspect((360, 640), true), (1, 1));
    }

    #[test]
    fn planes_follow_each_other_at_the_pitch() {
        let shape = Shape {
            format: Format::Nv12,
            width: 300,
            height: 224,
            pitch: 320,
            rate: 30.0,
            pixel_aspect: (1, 1),
            memory: Memory::Other,
        };
        // The figures of Axis's documentation of larod's pitches for 420SP.
        assert_eq!(shape.planes(), ([0, 71_680, 0], 107_520));
        let planar = Shape { format: Format::PlanarRgb, ..shape };
        assert_eq!(planar.planes(), ([0, 71_680, 143_360], 215_040));
    }
}
