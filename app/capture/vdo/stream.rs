//! Which stream to ask the camera for, and what it then is.

use std::sync::Arc;

use super::keys::{self, Form};
use super::request::Request;
use super::shim::{Channel, Failure, Map, Outcome, Stream};
use super::spec::{Format, Suit, VdoSpec, View};
use super::sys::{self, Functions};
use crate::capture::notation::Size;

/// The longest side of the pictures for the page.
const PAGE_SIDE: u32 = 1280;
/// The shape that most sensors have, where a camera does not say its own.
const ASPECT: Size = (16, 9);
/// So many sizes are asked for in turn.
const MOST_SIZES: usize = 5;
/// The shortest side of a frame.
const LEAST_SIDE: u32 = 16;
/// How many times fewer frames a second are asked for where the camera refuses what was.
const SLOWER: [f64; 2] = [2.0, 6.0];
/// A frame rate that differs by less is the one that was asked for.
const NEAR_RATE: f64 = 0.01;

/// How the memory of a stream's buffers is shared, as its info says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// dma-bufs.
    DmaBuf,
    /// Parts of one piece of memory that is no dma-buf.
    Vmem,
    /// Not said, or in another word: the kernel knows.
    Unsaid,
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
    /// How the buffers are shared.
    pub memory: Memory,
    /// Columns and rows of the camera's picture that the frames show, as shares of it around its middle.
    pub part: (f64, f64),
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

    /// What frames are, for a person: "RGB 640×360, the whole picture".
    pub fn detail(&self) -> String {
        let format = match self.format {
            Format::Nv12 => "NV12",
            Format::Rgb => "RGB",
            Format::PlanarRgb => "planar RGB",
            Format::Jpeg => "JPEG",
        };
        let percent = |share: f64| (100.0 * share).round();
        let part = match self.part {
            (width, _) if width < 1.0 => format!("the middle {} % of the picture's width", percent(width)),
            (_, height) if height < 1.0 => {
                format!("the middle {} % of the picture's height", percent(height))
            }
            _ => "the whole picture".to_owned(),
        };
        format!("{format} {}×{}, {part}", self.width, self.height)
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
    filter.set_u32(c"format", keys::vdo_format(format));
    filter.set_text(c"select", c"all");
    filter.set_text(c"aspect_ratio", c"native");
    let id = info.u32(c"id", u32::MAX);
    let aspect = info.pair(c"aspect_ratio", (0, 0));
    // Not every camera lists its sizes, or knows what a native shape is; one of no list is asked for a size that is
    // computed.
    let sizes = match channel.resolutions(&filter) {
        Ok(sizes) if !sizes.is_empty() => sizes,
        _ => {
            let mut every = Map::new(functions)?;
            every.set_u32(c"format", keys::vdo_format(format));
            every.set_text(c"select", c"all");
            channel.resolutions(&every).unwrap_or_default()
        }
    };
    let mut sensor = Sensor {
        id: (id != u32::MAX).then_some(id),
        rotation: info.u32(c"rotation", 0) % 360,
        aspect,
        sizes,
    };
    let shape = sensor.shape();
    // An older camera may list sizes of all shapes.
    sensor.sizes.retain(|size| same_shape(*size, shape));
    Ok(sensor)
}

/// What rounding a side to even pixels may change of a shape.
const ROUNDING: f64 = 0.01;

fn aspect((width, height): Size) -> f64 {
    f64::from(width) / f64::from(height.max(1))
}

fn same_shape(one: Size, other: Size) -> bool {
    (aspect(one) / aspect(other) - 1.0).abs() < ROUNDING
}

impl Sensor {
    /// Its shape: what it says, else that of its largest size, else the usual one.
    fn shape(&self) -> Size {
        match self.aspect {
            (0, _) | (_, 0) => self.sizes.iter().copied().max_by_key(area).unwrap_or(ASPECT),
            aspect => aspect,
        }
    }

    /// Whether a picture of this size, before it is turned, is all of what the sensor sees.
    fn is_whole(&self, size: Size) -> bool {
        same_shape(size, self.shape())
    }

    /// The shares of columns and rows that a picture of this size shows: as much of the middle as fills it.
    fn part(&self, size: Size) -> (f64, f64) {
        let ratio = aspect(size) / aspect(self.shape());
        match self.is_whole(size) {
            true => (1.0, 1.0),
            false => (ratio.min(1.0), (1.0 / ratio).min(1.0)),
        }
    }

    fn turned(&self, spec: &VdoSpec) -> bool {
        matches!(spec.rotation.unwrap_or(self.rotation), 90 | 270)
    }

    /// The streams to ask for in turn, until one is given.
    ///
    /// Where nobody names a size, all are of the sensor's own shape, of which no camera cuts anything off or puts bars
    /// beside: the model's own pixels where they are just as large, then NV12 in sizes from which its input can be
    /// filled, then the others, then fewer frames.
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
        let format = spec.format.unwrap_or(Format::Nv12);
        let mut all = match (spec.size, spec.suit) {
            (Some(size), _) => vec![request(format, turn(size))],
            (None, None) => self.next_to(self.at_most(PAGE_SIDE)).map(|size| request(format, size)).collect(),
            (None, Some(Suit { input, stretched, planar, cropped })) => {
                let input = turn(input);
                let own = if planar { Format::PlanarRgb } else { Format::Rgb };
                let wanted = !cropped && spec.format.is_none_or(|format| format == own);
                let as_it_is = self.inside(input, stretched).filter(|_| wanted);
                let sizes = self.next_to(self.covering(input, stretched));
                as_it_is
                    .into_iter()
                    .map(|size| request(own, size))
                    .chain(sizes.map(|size| request(format, size)))
                    .collect()
            }
        };
        // What is too much for the camera in one second may be given in two.
        let slower =
            |part: f64| move |request: &Request| Request { rate: (request.rate / part).max(1.0), ..*request };
        if let Some(least) = all
            .iter()
            .filter(|request| request.format == format)
            .min_by_key(|request| request.size.as_ref().map(area))
        {
            let slower: Vec<Request> = SLOWER.into_iter().map(|part| slower(part)(least)).collect();
            all.extend(slower.into_iter().filter(|request| request.rate < spec.rate()));
        }
        all
    }

    /// This size, then the larger ones, then the smaller ones, each nearest first.
    fn next_to(&self, size: Size) -> impl Iterator<Item = Size> {
        let mut others: Vec<Size> = self.sizes.iter().copied().filter(|other| *other != size).collect();
        others.sort_unstable_by_key(|other| match (area(other), area(&size)) {
            (larger, this) if larger > this => (false, larger - this),
            (smaller, this) => (true, this - smaller),
        });
        others.dedup();
        std::iter::once(size).chain(others).take(MOST_SIZES)
    }

    /// The size of the sensor's shape that lies in an input of this size without scaling, to the pixel. `stretched`:
    /// only where it is the whole input.
    fn inside(&self, input: Size, stretched: bool) -> Option<Size> {
        /// Of a pixel.
        const EXACT: f64 = 0.25;
        let shape = aspect(self.shape());
        let (width, height) = (f64::from(input.0), f64::from(input.1));
        let (across, down) = (width.min(height * shape), height.min(width / shape));
        let exact = |side: f64| (side - side.round()).abs() <= EXACT && side.round() % 2.0 == 0.0;
        // Sides are some thousands at most.
        let size = (across.round() as u32, down.round() as u32);
        let fits = exact(across) && exact(down) && size.0.min(size.1) >= LEAST_SIDE;
        (fits && (!stretched || size == input)).then_some(size)
    }

    /// The stream of compressed pictures for the page: of the part that frames show.
    pub fn page_request(&self, spec: &VdoSpec) -> Request {
        let (turned, whole) = (self.turned(spec), self.at_most(PAGE_SIDE));
        let turn = |(width, height): Size| if turned { (height, width) } else { (width, height) };
        let named = spec.size.map(turn).filter(|size| !self.is_whole(*size));
        Request {
            view: self.id.map_or(spec.view, View::Channel),
            format: Format::Jpeg,
            size: Some(named.map_or(whole, |size| of_shape(size, PAGE_SIDE))),
            rate: spec.rate(),
            buffers: spec.buffers,
            rotation: spec.rotation,
        }
    }

    /// The smallest size of the sensor's shape from which an input of this size can be filled without making
    /// anything larger; the largest there is where none can. `stretched`: both sides count, else the one that
    /// a letterbox fills.
    pub fn covering(&self, (width, height): Size, stretched: bool) -> Size {
        // Scaled twice with nothing to spare, boxes are less exact by up to 0.02 of their IoU.
        let spare =
            |side: u32| if stretched && !self.is_whole((width, height)) { side * 6 / 5 } else { side };
        let (width, height) = (spare(width), spare(height));
        let fits = |size: Size| {
            if stretched { size.0 >= width && size.1 >= height } else { size.0 >= width || size.1 >= height }
        };
        if let Some(size) = self.sizes.iter().copied().filter(|size| fits(*size)).min_by_key(area) {
            return size;
        }
        if let Some(size) = self.sizes.iter().copied().max_by_key(area) {
            return size;
        }
        let shape = self.shape();
        let (across, down) =
            (f64::from(width) / f64::from(shape.0.max(1)), f64::from(height) / f64::from(shape.1.max(1)));
        let scale = if stretched { across.max(down) } else { across.min(down) };
        scaled(shape, scale)
    }

    /// The largest size of the sensor's shape with no side above `side`.
    fn at_most(&self, side: u32) -> Size {
        let small = self.sizes.iter().copied().filter(|size| size.0.max(size.1) <= side);
        small.max_by_key(area).unwrap_or_else(|| of_shape(self.shape(), side))
    }
}

fn area(size: &Size) -> u64 {
    u64::from(size.0) * u64::from(size.1)
}

/// A size of this shape whose longer side is `side` or little less.
fn of_shape(shape: Size, side: u32) -> Size {
    scaled(shape, f64::from(side) / f64::from(shape.0.max(shape.1).max(1)))
}

/// A size of even sides, of just this shape where that needs no more than some pixels more.
fn scaled(shape: Size, scale: f64) -> Size {
    /// Pixels.
    const NEAR: f64 = 32.0;
    let divisor = greatest_common_divisor(shape.0, shape.1);
    let unit = (2 * shape.0 / divisor, 2 * shape.1 / divisor);
    let (width, height) = (scale * f64::from(shape.0), scale * f64::from(shape.1));
    // The next multiple, but not for what floating point adds to one.
    let times = (width / f64::from(unit.0.max(1)) - 1e-6).ceil().max(1.0);
    if f64::from(unit.0.max(unit.1)) <= NEAR {
        // Some thousands at most.
        return (unit.0 * times as u32, unit.1 * times as u32);
    }
    (even(width), even(height))
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { greatest_common_divisor(b, a % b) }
}

fn even(side: f64) -> u32 {
    // Sides are some thousands at most.
    (((side / 2.0).ceil() as u32) * 2).max(LEAST_SIDE)
}

/// Makes and starts a stream, in the newest form of settings that the camera takes.
///
/// # Errors
/// The library's own; a failure where what it says of the stream makes no sense, or is not what was asked for.
pub fn open(
    functions: &'static Functions,
    request: &Request,
    sensor: &Sensor,
) -> Outcome<(Arc<Stream>, Shape)> {
    let whole = request.size.is_none_or(|size| sensor.is_whole(size));
    let make = |form: Form| -> Outcome<(Stream, Shape)> {
        let stream = Stream::new(functions, &keys::settings(functions, request, form, whole)?)?;
        let shape = shape(&stream.info()?, request, sensor)?;
        Ok((stream, shape))
    };
    let mut refused = None;
    // How far the rate is from the one asked for, in the nearest form so far.
    let mut nearest: Option<(f64, Form)> = None;
    for form in Form::to_try() {
        match make(form) {
            Ok((stream, shape)) => {
                let off = (shape.rate / form.rate(request.rate) - 1.0).abs();
                // A known form is not doubted because the sensor is slower than what was asked for.
                if off < NEAR_RATE || Form::known() == Some(form) {
                    form.keep();
                    return start(stream, shape);
                }
                if nearest.is_none_or(|(least, _)| off < least) {
                    nearest = Some((off, form));
                }
            }
            Err(failure) if failure.is_about_settings() => refused = refused.or(Some(failure)),
            Err(failure) => return Err(failure),
        }
    }
    // The camera's sensor may be slower than what was asked for, in all forms.
    match (nearest, refused) {
        (Some((_, form)), _) => {
            let (stream, shape) = make(form)?;
            form.keep();
            start(stream, shape)
        }
        (None, Some(failure)) => Err(failure),
        (None, None) => Err(Failure { code: 0, text: "no stream was asked for".to_owned() }),
    }
}

fn start(mut stream: Stream, shape: Shape) -> Outcome<(Arc<Stream>, Shape)> {
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
    // As it is before the turn.
    let given = if turned { (height, width) } else { (width, height) };
    if request.size.is_some_and(|size| size != given && !sensor.is_whole(given)) {
        let text =
            format!("frames of {}x{} came where {}x{} were asked for", given.0, given.1, asked.0, asked.1);
        return Err(Failure { code: sys::VDO_ERROR_NOT_SUPPORTED, text });
    }
    // A number of its own type in each version.
    let rate = match (info.f64(c"framerate", 0.0), info.u32(c"framerate", 0)) {
        (rate, _) if rate.is_finite() && rate > 0.0 => rate,
        (_, rate) if rate > 0 => f64::from(rate),
        _ => request.rate,
    };
    Ok(Shape {
        format: request.format,
        width,
        height,
        pitch,
        rate,
        memory: match info.text(c"buffer.type").as_str() {
            "dmabuf" => Memory::DmaBuf,
            "vmem" => Memory::Vmem,
            _ => Memory::Unsaid,
        },
        part: sensor.part(given),
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
        // 320 columns would do, with nothing to spare.
        assert_eq!(sensor.covering((320, 170), true), (480, 270));
        assert_eq!(sensor.covering((320, 180), true), (320, 180));
        assert_eq!(sensor.covering((640, 640), false), (640, 360));
        assert_eq!(sensor.covering((4000, 4000), false), (1920, 1080));
        let silent = Sensor { sizes: Vec::new(), ..sensor };
        // Of the very shape: nothing is cut off.
        assert_eq!(silent.covering((300, 300), false), (320, 180));
        assert_eq!(silent.covering((300, 300), true), (640, 360));
        assert_eq!(silent.covering((640, 360), true), (640, 360));
        assert_eq!(Sensor::default().at_most(1280), (1280, 720));
    }

    fn suited(input: Size, stretched: bool) -> VdoSpec {
        let suit = Suit { input, stretched, planar: false, cropped: false };
        VdoSpec { suit: Some(suit), ..VdoSpec::default() }
    }

    /// Formats and sizes, first wish first; those at the full rate.
    fn asked(sensor: &Sensor, spec: &VdoSpec) -> Vec<(Format, Size)> {
        let requests = sensor.requests(spec).into_iter().filter(|request| request.rate == 30.0);
        requests.map(|request| (request.format, request.size.unwrap())).collect()
    }

    #[test]
    fn what_is_asked_for_has_the_sensors_shape() {
        let tall = Sensor { aspect: (4, 3), sizes: vec![(1280, 960), (640, 480), (320, 240)], ..sensor() };
        for sensor in [sensor(), tall] {
            for (input, stretched) in [
                ((300, 300), true),
                ((300, 300), false),
                ((320, 192), true),
                ((320, 192), false),
                ((640, 640), false),
            ] {
                for (format, size) in asked(&sensor, &suited(input, stretched)) {
                    assert!(sensor.is_whole(size) && sensor.part(size) == (1.0, 1.0), "{format:?} {size:?}");
                }
            }
        }
    }

    #[test]
    fn the_models_own_pixels_are_asked_for_where_they_are_the_whole_picture() {
        let sensor = sensor();
        let first = |spec: &VdoSpec| asked(&sensor, spec)[0];
        // A stretched input of another shape would be cut or have bars.
        assert_eq!(first(&suited((300, 300), true)), (Format::Nv12, (640, 360)));
        assert_eq!(first(&suited((320, 192), true)), (Format::Nv12, (480, 270)));
        assert_eq!(first(&suited((320, 180), true)), (Format::Rgb, (320, 180)));
        // Between the bars of a letterbox there is one of the sensor's shape.
        assert_eq!(first(&suited((640, 640), false)), (Format::Rgb, (640, 360)));
        assert_eq!(first(&suited((320, 192), false)), (Format::Rgb, (320, 180)));
        // 300 x 168.75 is none.
        assert_eq!(first(&suited((300, 300), false)), (Format::Nv12, (320, 180)));
        let planes = Suit { input: (640, 640), stretched: false, planar: true, cropped: false };
        assert_eq!(
            first(&VdoSpec { suit: Some(planes), ..VdoSpec::default() }),
            (Format::PlanarRgb, (640, 360))
        );
        let cropped = Suit { cropped: true, planar: false, ..planes };
        assert_eq!(first(&VdoSpec { suit: Some(cropped), ..VdoSpec::default() }), (Format::Nv12, (640, 360)));
        let nv12 = VdoSpec { format: Some(Format::Nv12), ..suited((640, 640), false) };
        assert_eq!(first(&nv12), (Format::Nv12, (640, 360)));
        assert_eq!(first(&VdoSpec::default()), (Format::Nv12, (1280, 720)));
        let page = sensor.page_request(&VdoSpec::default());
        assert_eq!((page.format, page.size), (Format::Jpeg, Some((1280, 720))));
    }

    #[test]
    fn what_is_refused_is_asked_for_in_other_sizes_and_more_slowly() {
        let requests = sensor().requests(&suited((640, 640), false));
        let asked: Vec<_> = requests.iter().map(|r| (r.format, r.size.unwrap(), r.rate)).collect();
        assert_eq!(
            asked,
            [
                (Format::Rgb, (640, 360), 30.0),
                (Format::Nv12, (640, 360), 30.0),
                (Format::Nv12, (1280, 720), 30.0),
                (Format::Nv12, (1920, 1080), 30.0),
                (Format::Nv12, (480, 270), 30.0),
                (Format::Nv12, (320, 180), 30.0),
                (Format::Nv12, (320, 180), 15.0),
                (Format::Nv12, (320, 180), 5.0),
            ]
        );
        // What a user names is not exchanged for another size or format.
        let spec =
            VdoSpec { size: Some((300, 300)), format: Some(Format::Rgb), fps: (1, 1), ..VdoSpec::default() };
        assert_eq!(sensor().requests(&spec).len(), 1);
    }

    #[test]
    fn a_size_of_another_shape_shows_the_middle_and_the_page_shows_the_same() {
        let sensor = sensor();
        assert_eq!(sensor.part((1280, 720)), (1.0, 1.0));
        assert_eq!(sensor.part((480, 272)), (1.0, 1.0));
        assert_eq!(sensor.part((300, 300)), (0.5625, 1.0));
        assert_eq!(sensor.part((640, 180)), (1.0, 0.5));
        let named = |size| VdoSpec { size: Some(size), ..VdoSpec::default() };
        assert_eq!(sensor.page_request(&named((300, 300))).size, Some((1280, 1280)));
        assert_eq!(sensor.page_request(&named((640, 360))).size, Some((1280, 720)));
        let shape = Shape {
            format: Format::Rgb,
            width: 300,
            height: 300,
            pitch: 900,
            rate: 30.0,
            memory: Memory::Unsaid,
            part: sensor.part((300, 300)),
        };
        assert_eq!(shape.detail(), "RGB 300×300, the middle 56 % of the picture's width");
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
    fn planes_follow_each_other_at_the_pitch() {
        let shape = Shape {
            format: Format::Nv12,
            width: 300,
            height: 224,
            pitch: 320,
            rate: 30.0,
            memory: Memory::Vmem,
            part: (1.0, 1.0),
        };
        // The figures of Axis's documentation of larod's pitches for 420SP.
        assert_eq!(shape.planes(), ([0, 71_680, 0], 107_520));
        let planar = Shape { format: Format::PlanarRgb, ..shape };
        assert_eq!(planar.planes(), ([0, 71_680, 143_360], 215_040));
    }
}
