//! A stream: settings, buffers, and what is in them.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use turbojpeg::Compressor;

use crate::camera::{Camera, Chip, Faults, camera, lock, time_of};
use crate::lent::{self, Lent};
use crate::map::{Value, Values};
use crate::os;
use crate::picture::Picture;
use crate::{Failure, error, misuse};

/// What memory is filled with when a buffer is given back.
const POISON: u8 = 0xdb;

const JPEG: u32 = 2;
const YUV: u32 = 3;
const RGB: u32 = 8;
const PLANAR_RGB: u32 = 9;

/// What a buffer holds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VdoFrame {
    pub timestamp: u64,
    pub size: usize,
    pub sequence: u32,
    pub kind: i32,
}

impl VdoFrame {
    /// Of a buffer that was given back.
    pub const POISON: Self =
        Self { timestamp: 0xdbdb_dbdb_dbdb_dbdb, size: 0xdbdb_dbdb, sequence: 0xdbdb_dbdb, kind: -1 };
}

/// One buffer of a stream.
pub struct VdoBuffer {
    pub id: u32,
    pub offset: i64,
    pub data: *mut c_void,
    pub capacity: usize,
    pub fd: RawFd,
    pub frame: VdoFrame,
    stream: Weak<Stream>,
}

impl VdoBuffer {
    /// Whether its stream is gone, and its memory with it.
    pub fn is_orphan(&self) -> bool {
        self.stream.strong_count() == 0
    }
}

// SAFETY: the pointer is to memory that the stream keeps mapped; who has the buffer alone uses it.
unsafe impl Send for VdoBuffer {}

/// Mapped memory of one descriptor.
struct Memory {
    _fd: OwnedFd,
    start: *mut c_void,
    size: usize,
}

// SAFETY: memory of the process.
unsafe impl Send for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `memory` with this size.
        let _ = unsafe { munmap(self.start, self.size) };
    }
}

fn memory(size: usize) -> Result<Memory, Failure> {
    let io = |error: rustix::io::Errno| (error::IO, format!("no memory for a buffer: {error}"));
    let fd = memfd_create("vdo-buffer", MemfdFlags::CLOEXEC).map_err(io)?;
    ftruncate(&fd, size as u64).map_err(io)?;
    // SAFETY: a new mapping touches no other memory.
    let start = unsafe {
        mmap(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &fd, 0)
    }
    .map_err(io)?;
    Ok(Memory { _fd: fd, start, size })
}

#[derive(Default)]
struct State {
    memory: Vec<Memory>,
    // Boxed because the address is what C has.
    #[allow(clippy::vec_box)]
    free: Vec<Box<VdoBuffer>>,
    /// Encoded, on its way.
    late: VecDeque<(Instant, Box<VdoBuffer>)>,
    ready: VecDeque<Box<VdoBuffer>>,
    out: usize,
    started: bool,
    rate: f64,
    compressor: Option<Compressor>,
    sequence: u32,
}

pub struct Stream {
    pub settings: Values,
    format: u32,
    /// As asked for, before the turn.
    size: (u32, u32),
    rotation: u32,
    /// The camera's own rotation when the stream was made.
    mounted: u32,
    /// Whose pictures it has, from 1 on.
    sensor: u32,
    contain: bool,
    pitch: usize,
    capacity: usize,
    buffers: u32,
    dynamic: bool,
    event: OwnedFd,
    state: Mutex<State>,
    down: AtomicBool,
}

fn invalid(text: impl Into<String>) -> Failure {
    (error::INVALID_ARGUMENT, text.into())
}

impl Stream {
    pub fn new(settings: &Values) -> Result<Arc<Self>, Failure> {
        let camera = camera();
        let faults = camera.faults();
        if faults.interface_down {
            return Err((error::INTERFACE_DOWN, "video is down for maintenance".to_owned()));
        }
        let live = u32::try_from(camera.streams().len()).unwrap_or(u32::MAX);
        if faults.busy || faults.max_streams.is_some_and(|most| live >= most) {
            return Err((error::BUSY, "no stream is left".to_owned()));
        }
        let settings = &os::known(camera.os, camera.refuses, settings)?;
        let (input, channel) = (settings.number("input"), settings.number("channel"));
        let asked = if input.is_none() && channel.is_none() { Some(1) } else { channel };
        let Some(sensor) = camera.input(input, asked) else {
            return Err((error::NOT_FOUND, format!("no view of input {input:?}, channel {channel:?}")));
        };
        let format = settings.number("format").ok_or_else(|| invalid("no format"))?;
        let withheld = match format {
            JPEG => faults.no_jpeg,
            RGB | PLANAR_RGB => faults.no_rgb,
            _ => false,
        };
        if withheld || !supported(camera.chip, format) {
            return Err((error::NOT_SUPPORTED, format!("format {format} is not supported by this chip")));
        }
        if settings.text("subformat").is_some_and(|text| format == YUV && text != "NV12") {
            return Err((error::NOT_SUPPORTED, "only NV12 is simulated".to_owned()));
        }
        let size = settings
            .pair("resolution")
            .or_else(|| settings.number("width").zip(settings.number("height")))
            .unwrap_or(camera.size);
        if faults.no_sizes.contains(&size) && format != JPEG {
            let text = format!("{}x{} is not supported in format {format}", size.0, size.1);
            return Err((error::NOT_SUPPORTED, text));
        }
        // "The info value will differ if it has been clamped to within allowed values."
        let size = (size.0.min(camera.size.0), size.1.min(camera.size.1));
        if [size.0, size.1].iter().any(|side| side % 2 == 1 || !(16..=4096).contains(side)) {
            return Err(invalid(format!("no resolution {}x{}", size.0, size.1)));
        }
        let rotation = settings.number("rotation").unwrap_or(faults.rotation);
        if ![0, 90, 180, 270].contains(&rotation) {
            return Err(invalid(format!("no rotation {rotation}")));
        }
        let rate = settings.double("framerate").or(settings.number("framerate").map(f64::from));
        let rate = rate.unwrap_or(camera.rate as f64);
        if !(rate > 0.0 && rate <= 240.0) {
            return Err(invalid(format!("no frame rate {rate}")));
        }
        // No faster than its sensor.
        let rate = rate.min(camera.rate as f64);
        if faults.max_rate.is_some_and(|most| rate > f64::from(most)) {
            return Err((error::BUSY, format!("{rate} frames a second are too many")));
        }
        let buffers = settings.number("buffer.count").unwrap_or(3);
        if !(1..=32).contains(&buffers) {
            return Err(invalid(format!("no number of buffers {buffers}")));
        }
        if settings.boolean("socket.blocking") != Some(false) {
            return Err(invalid("only streams with socket.blocking = false are simulated"));
        }
        // "crop" clips to cover the frame and "scale" shrinks to contain the image. "crop" works on all platforms. On
        // Ambarella CV25, only YUV and RGB work with "scale".
        let contain = match settings.text("image.fit").as_deref() {
            None | Some("crop") => false,
            Some("scale") => camera.chip != Chip::Cv25 || matches!(format, YUV | RGB),
            Some(other) => return Err(invalid(format!("no image.fit {other}"))),
        };
        let (width, height) = turn(size, rotation);
        let row = if format == RGB { 3 * width } else { width } as usize;
        let pitch = row.next_multiple_of(camera.pitch);
        let capacity = match format {
            YUV => pitch * height as usize + pitch * (height as usize).div_ceil(2),
            RGB => pitch * height as usize,
            PLANAR_RGB => 3 * pitch * height as usize,
            // As large as a picture that cannot be compressed.
            _ => (width * height * 2 + 4096) as usize,
        };
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE)
            .map_err(|error| (error::IO, format!("no event descriptor: {error}")))?;
        let stream = Arc::new(Self {
            settings: settings.clone(),
            format,
            size,
            rotation,
            mounted: faults.rotation,
            sensor,
            contain,
            pitch,
            capacity,
            buffers,
            dynamic: settings.boolean("dynamic.framerate").unwrap_or(false),
            event,
            state: Mutex::new(State { rate, ..State::default() }),
            down: AtomicBool::new(false),
        });
        camera.add(&stream);
        Ok(stream)
    }

    fn camera(&self) -> &'static Camera {
        camera()
    }

    pub fn rate(&self) -> f64 {
        lock(&self.state).rate
    }

    /// Fails as long as video is down, and for good once the camera was turned.
    fn check(&self) -> Result<Faults, Failure> {
        let faults = self.camera().faults();
        if faults.interface_down || faults.rotation != self.mounted || faults.gone == self.sensor {
            self.down.store(true, Ordering::Release);
        }
        if self.down.load(Ordering::Acquire) {
            return Err((error::INTERFACE_DOWN, "video is down for maintenance".to_owned()));
        }
        Ok(faults)
    }

    pub fn info(&self) -> Values {
        let (width, height) = turn(self.size, self.rotation);
        let values = self.settings.clone();
        let camera = self.camera();
        values.set("format", Value::Number(self.format));
        values.set("width", Value::Number(width));
        values.set("height", Value::Number(height));
        values.set("pitch", Value::Number(self.pitch as u32));
        values.set("buffer.count", Value::Number(self.buffers));
        values.set(
            "framerate",
            match camera.os < os::FRACTIONS {
                true => Value::Number(self.rate().round() as u32),
                false => Value::Double(self.rate()),
            },
        );
        let kind = std::ffi::CString::new(camera.memory.as_str()).unwrap_or_default();
        values.set("buffer.type", Value::Text(kind));
        values.set("aspect_ratio", Value::Pair(camera.size.0, camera.size.1));
        values
    }

    pub fn start(self: &Arc<Self>) -> Result<(), Failure> {
        self.check()?;
        let mut state = lock(&self.state);
        if state.started {
            return Ok(());
        }
        let page = 4096usize;
        let each = self.capacity.next_multiple_of(page);
        let one = self.camera().memory == "vmem";
        let count = self.buffers as usize;
        if state.memory.is_empty() {
            state.memory = if one {
                vec![memory(each * count)?]
            } else {
                (0..count).map(|_| memory(each)).collect::<Result<_, _>>()?
            };
            for index in 0..count {
                let (which, offset) = if one { (0, each * index) } else { (index, 0) };
                let place = &state.memory[which];
                let buffer = VdoBuffer {
                    id: index as u32,
                    offset: offset as i64,
                    data: place.start.cast::<u8>().wrapping_add(offset).cast(),
                    capacity: self.capacity,
                    fd: place._fd.as_raw_fd(),
                    frame: VdoFrame { timestamp: 0, size: 0, sequence: 0, kind: 0 },
                    stream: Arc::downgrade(self),
                };
                state.free.push(Box::new(buffer));
            }
        }
        state.started = true;
        Ok(())
    }

    pub fn stop(&self) {
        lock(&self.state).started = false;
    }

    pub fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    pub fn set_rate(&self, rate: f64) -> Result<(), Failure> {
        self.check()?;
        if !self.dynamic {
            return Err((error::NOT_SUPPORTED, "the stream was made without dynamic.framerate".to_owned()));
        }
        if !(rate > 0.0 && rate <= 240.0) {
            return Err(invalid(format!("no frame rate {rate}")));
        }
        lock(&self.state).rate = rate;
        Ok(())
    }

    /// The next frame; its buffer is then the caller's until it is given back.
    pub fn take(&self) -> Result<*mut Lent, Failure> {
        let faults = self.check()?;
        let none = || (error::NO_DATA, "no frame".to_owned());
        if faults.no_data {
            return Err(none());
        }
        let mut state = lock(&self.state);
        if !state.started {
            return Err((error::CLOSED, "the stream is not started".to_owned()));
        }
        let buffer = state.ready.pop_front().ok_or_else(none)?;
        // One less is announced.
        let _ = rustix::io::read(&self.event, &mut [0u8; 8]);
        state.out += 1;
        self.camera().count(|counts| counts.given += 1);
        Ok(lent::lend(buffer))
    }

    /// Takes a buffer back. Ends the program where it is none that this stream has lent.
    pub fn give_back(&self, lent: *mut Lent) -> Result<(), Failure> {
        let mut buffer = lent::take(lent);
        if !std::ptr::eq(buffer.stream.as_ptr(), self) {
            misuse("a buffer is given back to another stream than the one that gave it");
        }
        buffer.frame = VdoFrame::POISON;
        // SAFETY: the buffer's memory is mapped with this size, and it is ours again: who still reads it reads this.
        unsafe { std::slice::from_raw_parts_mut(buffer.data.cast::<u8>(), self.capacity) }.fill(POISON);
        let mut state = lock(&self.state);
        state.out -= 1;
        state.free.push(buffer);
        self.camera().count(|counts| counts.returned += 1);
        Ok(())
    }

    /// Whether the stream's rate has a frame at this frame of the sensor. Streams of one rate have the same frames.
    pub fn wants(&self, number: u64) -> bool {
        let state = lock(&self.state);
        let count = |number: u64| (number as f64 * state.rate / self.camera().rate as f64 + 1e-9).floor();
        state.started && count(number) > count(number - 1)
    }

    pub fn offer(&self, number: u64, picture: &Picture, faults: &Faults) {
        let buffer = {
            let mut state = lock(&self.state);
            state.sequence = state.sequence.wrapping_add(1);
            state.free.pop()
        };
        let Some(mut buffer) = buffer else {
            self.camera().count(|counts| counts.starved += 1);
            return;
        };
        let size = self.fill(picture, &mut buffer);
        let mut state = lock(&self.state);
        buffer.frame = VdoFrame {
            timestamp: time_of(number, self.camera().rate),
            size,
            sequence: state.sequence,
            kind: match self.format {
                JPEG => 1,
                YUV => 17,
                RGB => 20,
                _ => 21,
            },
        };
        if self.format == JPEG && !faults.late_jpeg.is_zero() {
            state.late.push_back((Instant::now() + faults.late_jpeg, buffer));
        } else {
            state.ready.push_back(buffer);
            drop(state);
            self.announce();
        }
    }

    pub fn deliver_late(&self) {
        let mut state = lock(&self.state);
        while state.late.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, buffer)) = state.late.pop_front() {
                state.ready.push_back(buffer);
                self.announce();
            }
        }
    }

    fn announce(&self) {
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Whoever waits for a frame learns that there will be none.
    pub fn wake_if_down(&self, faults: &Faults) {
        if (faults.interface_down || faults.rotation != self.mounted || faults.gone == self.sensor)
            && !self.down.swap(true, Ordering::AcqRel)
        {
            self.announce();
        }
    }

    fn fill(&self, picture: &Picture, buffer: &mut VdoBuffer) -> usize {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let (whole_w, whole_h) = (picture.width as f64, picture.height as f64);
        let (columns, rows) = (self.size.0 as usize, self.size.1 as usize);
        let picture = if self.contain {
            let scale = (width / whole_w).min(height / whole_h);
            let side = |side: f64, most: usize| ((side * scale).round() as usize).clamp(1, most);
            let inner = picture.scaled((0.0, 0.0), (1.0, 1.0), side(whole_w, columns), side(whole_h, rows));
            inner.with_bars(columns, rows, self.camera().centred)
        } else {
            let scale = (whole_w / width).min(whole_h / height);
            let (w, h) = (scale * width / whole_w, scale * height / whole_h);
            picture.scaled(((1.0 - w) / 2.0, (1.0 - h) / 2.0), (w, h), columns, rows)
        };
        let picture = if self.camera().sensors > 1 { picture.numbered(self.sensor) } else { picture };
        let picture = picture.turned(self.rotation);
        // SAFETY: the buffer's memory is mapped with this size, and nobody else has the buffer.
        let out = unsafe { std::slice::from_raw_parts_mut(buffer.data.cast::<u8>(), self.capacity) };
        match self.format {
            YUV => picture.nv12(self.pitch, out),
            RGB => picture.rgb(self.pitch, out),
            PLANAR_RGB => picture.planar(self.pitch, out),
            _ => {
                let mut state = lock(&self.state);
                if state.compressor.is_none() {
                    state.compressor = Compressor::new().ok().map(|mut compressor| {
                        let _ = compressor.set_quality(80);
                        compressor
                    });
                }
                let compressor = state.compressor.as_mut();
                return compressor.and_then(|compressor| picture.jpeg(compressor, out)).unwrap_or(0);
            }
        }
        self.capacity
    }
}

/// Which formats which chip gives.
pub fn supported(chip: Chip, format: u32) -> bool {
    match format {
        JPEG | YUV => true,
        RGB => matches!(chip, Chip::Artpec9 | Chip::Cv25),
        PLANAR_RGB => matches!(chip, Chip::Artpec8 | Chip::Cv25),
        _ => false,
    }
}

fn turn((width, height): (u32, u32), rotation: u32) -> (u32, u32) {
    if matches!(rotation, 90 | 270) { (height, width) } else { (width, height) }
}
