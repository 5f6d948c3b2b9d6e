//! Pictures: of a clip or drawn; scaled, turned and laid out as a stream wants them.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use turbojpeg::{Compressor, Subsamp, YuvPlanesImage};

/// Planes Y, U and V, limited range, BT.601, chroma halved both ways, no gaps.
#[derive(Clone, Default)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub planes: [Vec<u8>; 3],
}

impl Picture {
    /// The next picture of a player. False at the end.
    fn read(&mut self, player: &mut Child) -> bool {
        let pipe = player.stdout.as_mut();
        pipe.is_some_and(|pipe| self.planes.iter_mut().all(|plane| pipe.read_exact(plane).is_ok()))
    }

    fn size_of_plane(&self, plane: usize) -> (usize, usize) {
        if plane == 0 { (self.width, self.height) } else { (self.width.div_ceil(2), self.height.div_ceil(2)) }
    }

    pub fn new(width: usize, height: usize) -> Self {
        let mut picture = Self { width, height, planes: Default::default() };
        for plane in 0..3 {
            let (w, h) = picture.size_of_plane(plane);
            picture.planes[plane] = vec![128; w * h];
        }
        picture
    }

    /// Frame `number` of the drawn scene: its number above, below it a ramp over which a disc goes.
    fn draw(&mut self, number: u64) {
        let (width, height) = (self.width, self.height);
        let band = height / 8;
        let radius = (height / 8) as i64;
        let x = (number * 7 % (width as u64)) as i64;
        let y = (height / 2) as i64 + ((number as f64 / 20.0).sin() * height as f64 / 5.0) as i64;
        for row in 0..height {
            for column in 0..width {
                let luma = if row < band {
                    let cell = (column * 32 / width).min(31);
                    if number as u32 >> (31 - cell) & 1 == 1 { 235 } else { 16 }
                } else {
                    let (dx, dy) = (column as i64 - x, row as i64 - y);
                    if dx * dx + dy * dy < radius * radius { 220 } else { 40 + (column * 120 / width) as u8 }
                };
                self.planes[0][row * width + column] = luma;
            }
        }
    }

    /// The part of this picture that starts at `from` and has `size`, as another size: every pixel is the mean of
    /// what it covers.
    pub fn scaled(&self, from: (f64, f64), size: (f64, f64), width: usize, height: usize) -> Self {
        let mut out = Self::new(width, height);
        for plane in 0..3 {
            let (in_w, in_h) = self.size_of_plane(plane);
            let (out_w, out_h) = out.size_of_plane(plane);
            let across = edges(from.0, size.0, in_w, out_w);
            let down = edges(from.1, size.1, in_h, out_h);
            for (y, rows) in down.iter().enumerate() {
                for (x, columns) in across.iter().enumerate() {
                    let mut sum = 0u32;
                    for row in rows.clone() {
                        for byte in &self.planes[plane][row * in_w + columns.start..row * in_w + columns.end]
                        {
                            sum += u32::from(*byte);
                        }
                    }
                    let count = (rows.len() * columns.len()).max(1) as u32;
                    out.planes[plane][y * out_w + x] = ((sum + count / 2) / count) as u8;
                }
            }
        }
        out
    }

    /// With as many white fields of eight at the bottom as the sensor's number, the others black.
    pub fn numbered(mut self, sensor: u32) -> Self {
        for row in self.height * 7 / 8..self.height {
            for column in 0..self.width {
                let luma = if (column * 8 / self.width) < sensor as usize { 235 } else { 16 };
                self.planes[0][row * self.width + column] = luma;
            }
        }
        self
    }

    /// This picture on a black one of this size: in its middle, or above and to the left of the bars.
    pub fn with_bars(&self, width: usize, height: usize, centred: bool) -> Self {
        let mut out = Self::new(width, height);
        out.planes[0].fill(16);
        for plane in 0..3 {
            let ((in_w, in_h), (out_w, out_h)) = (self.size_of_plane(plane), out.size_of_plane(plane));
            let place = |inner: usize, outer: usize| if centred { (outer - inner) / 2 } else { 0 };
            let (left, top) = (place(in_w, out_w), place(in_h, out_h));
            for (row, from) in self.planes[plane].chunks_exact(in_w).enumerate() {
                let at = (top + row) * out_w + left;
                out.planes[plane][at..at + in_w].copy_from_slice(from);
            }
        }
        out
    }

    /// Turned clockwise by 0, 90, 180 or 270 degrees.
    pub fn turned(self, degrees: u32) -> Self {
        if degrees == 0 {
            return self;
        }
        let (width, height) =
            if degrees == 180 { (self.width, self.height) } else { (self.height, self.width) };
        let mut out = Self::new(width, height);
        for plane in 0..3 {
            let (in_w, in_h) = self.size_of_plane(plane);
            let (out_w, out_h) = out.size_of_plane(plane);
            for y in 0..out_h {
                for x in 0..out_w {
                    let (from_x, from_y) = match degrees {
                        90 => (y, in_h - 1 - x),
                        180 => (in_w - 1 - x, in_h - 1 - y),
                        _ => (in_w - 1 - y, x),
                    };
                    out.planes[plane][y * out_w + x] = self.planes[plane][from_y * in_w + from_x];
                }
            }
        }
        out
    }

    /// Planes Y and UV, rows `pitch` bytes apart.
    pub fn nv12(&self, pitch: usize, out: &mut [u8]) {
        let (y, uv) = out.split_at_mut(pitch * self.height);
        for (to, from) in y.chunks_mut(pitch).zip(self.planes[0].chunks_exact(self.width)) {
            to[..self.width].copy_from_slice(from);
        }
        let half = self.width.div_ceil(2);
        let chroma = self.planes[1].chunks_exact(half).zip(self.planes[2].chunks_exact(half));
        for (to, (u, v)) in uv.chunks_mut(pitch).zip(chroma) {
            for (to, (u, v)) in to.chunks_exact_mut(2).zip(u.iter().zip(v)) {
                to.copy_from_slice(&[*u, *v]);
            }
        }
    }

    fn rgb_at(&self, x: usize, y: usize) -> [u8; 3] {
        let chroma = y / 2 * self.width.div_ceil(2) + x / 2;
        let luma = 1.164 * (f32::from(self.planes[0][y * self.width + x]) - 16.0);
        let (u, v) = (f32::from(self.planes[1][chroma]) - 128.0, f32::from(self.planes[2][chroma]) - 128.0);
        [luma + 1.596 * v, luma - 0.392 * u - 0.813 * v, luma + 2.017 * u]
            .map(|value| value.round().clamp(0.0, 255.0) as u8)
    }

    /// R, G and B side by side.
    pub fn rgb(&self, pitch: usize, out: &mut [u8]) {
        for (y, row) in out.chunks_mut(pitch).take(self.height).enumerate() {
            for (x, to) in row.chunks_exact_mut(3).take(self.width).enumerate() {
                to.copy_from_slice(&self.rgb_at(x, y));
            }
        }
    }

    /// Planes R, G and B.
    pub fn planar(&self, pitch: usize, out: &mut [u8]) {
        for y in 0..self.height {
            for x in 0..self.width {
                for (plane, value) in self.rgb_at(x, y).into_iter().enumerate() {
                    out[plane * pitch * self.height + y * pitch + x] = value;
                }
            }
        }
    }

    /// As JPEG has it, full range. How many bytes; none where `out` is too small.
    pub fn jpeg(&self, compressor: &mut Compressor, out: &mut [u8]) -> Option<usize> {
        let full = |plane: usize, zero: f32, scale: f32| -> Vec<u8> {
            let table: Vec<u8> = (0..=255u8)
                .map(|v| {
                    ((f32::from(v) - zero) * scale + if plane == 0 { 0.0 } else { 128.0 })
                        .round()
                        .clamp(0.0, 255.0) as u8
                })
                .collect();
            self.planes[plane].iter().map(|v| table[usize::from(*v)]).collect()
        };
        let (y, u, v) =
            (full(0, 16.0, 255.0 / 219.0), full(1, 128.0, 255.0 / 224.0), full(2, 128.0, 255.0 / 224.0));
        let half = self.width.div_ceil(2);
        let image = YuvPlanesImage {
            y_plane: &y[..],
            u_plane: &u[..],
            v_plane: &v[..],
            width: self.width,
            height: self.height,
            y_stride: self.width,
            u_stride: half,
            v_stride: half,
            subsamp: Subsamp::Sub2x2,
        };
        compressor.compress_yuv_planes_to_slice(&image, out).ok()
    }
}

/// The samples that each output covers, at least one.
fn edges(from: f64, size: f64, samples: usize, outputs: usize) -> Vec<std::ops::Range<usize>> {
    let edge =
        |index: usize| ((from + size * index as f64 / outputs as f64) * samples as f64).round() as usize;
    (0..outputs)
        .map(|index| {
            let start = edge(index).min(samples - 1);
            start..edge(index + 1).clamp(start + 1, samples)
        })
        .collect()
}

/// A clip of fewer bytes is kept whole: it goes on without a gap at its end, and each frame shows by its number.
const KEPT: usize = 256 << 20;

/// Where pictures come from.
pub enum Source {
    Drawn,
    /// A clip that is kept: frame `n` shows picture `n` of it, and picture 0 after the last one.
    Kept(Vec<Picture>),
    Clip {
        path: String,
        child: Option<Child>,
    },
}

impl Source {
    /// What the environment names; a clip is read for pictures of the size of `like`.
    pub fn of_environment(like: &Picture) -> Self {
        let path = match std::env::var("SPOTTER_SIM_SOURCE") {
            Ok(path) if !path.is_empty() && path != "demo" => path,
            _ => return Self::Drawn,
        };
        kept(&path, like).map_or(Self::Clip { path, child: None }, Self::Kept)
    }

    /// The next picture, with this number.
    pub fn next(&mut self, number: u64, into: &mut Picture) {
        let (path, child) = match self {
            Self::Drawn => return into.draw(number),
            Self::Kept(pictures) => {
                into.clone_from(&pictures[(number % pictures.len() as u64) as usize]);
                return;
            }
            Self::Clip { path, child } => (path, child),
        };
        // Once more from the start at the end of the clip; the picture before stays where it cannot be played.
        for _ in 0..2 {
            if child.is_none() {
                *child = play(path, into);
            }
            let Some(player) = child else { return };
            if into.read(player) {
                return;
            }
            if let Some(player) = child.take() {
                end(player);
            }
        }
    }
}

/// The pictures of a file that has nothing else: planes Y, U and V of each, in the sensor's size.
fn raw(path: &str, like: &Picture) -> Option<Vec<Picture>> {
    let bytes = std::fs::read(path).ok()?;
    let sizes: Vec<usize> = like.planes.iter().map(Vec::len).collect();
    let pictures: Vec<Picture> = bytes
        .chunks_exact(sizes.iter().sum())
        .map(|bytes| {
            let (y, chroma) = bytes.split_at(sizes[0]);
            let (u, v) = chroma.split_at(sizes[1]);
            Picture { planes: [y.to_vec(), u.to_vec(), v.to_vec()], ..*like }
        })
        .collect();
    (!pictures.is_empty()).then_some(pictures)
}

/// All pictures of a clip that is small enough and can be played.
fn kept(path: &str, like: &Picture) -> Option<Vec<Picture>> {
    if path.ends_with(".i420") {
        return raw(path, like);
    }
    let most = KEPT / like.planes.iter().map(Vec::len).sum::<usize>().max(1);
    let mut player = play(path, like)?;
    let mut pictures = Vec::new();
    let mut picture = like.clone();
    while pictures.len() <= most && picture.read(&mut player) {
        pictures.push(picture.clone());
    }
    end(player);
    (1..=most).contains(&pictures.len()).then_some(pictures)
}

fn end(mut player: Child) {
    let _ = player.kill();
    let _ = player.wait();
}

fn play(path: &str, like: &Picture) -> Option<Child> {
    let caps = format!(
        "video/x-raw,format=I420,width={},height={},framerate=30/1,pixel-aspect-ratio=1/1,colorimetry=bt601",
        like.width, like.height
    );
    let mut command = Command::new("gst-launch-1.0");
    // Without a home, as on a camera, GStreamer would look at all of its plugins each time.
    if let Some(folder) = std::env::var_os("SPOTTER_SIM_DIR").filter(|folder| !folder.is_empty()) {
        command.env("GST_REGISTRY", Path::new(&folder).join("gst-registry.bin"));
    }
    let child = command
        .args(["-q", "filesrc", &format!("location={path}"), "!", "decodebin", "!", "videoconvert", "!"])
        .args(["videoscale", "add-borders=true", "!", "videorate", "!", &caps, "!", "fdsink", "fd=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = &child {
        eprintln!("simulated camera: gst-launch-1.0 does not start: {error}");
    }
    child.ok()
}
