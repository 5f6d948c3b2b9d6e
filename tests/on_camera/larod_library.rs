//! The safe layer over the simulated liblarod in this process: frames that the device reads itself, and the rules
//! that the simulator has to keep.
#![allow(unsafe_code, reason = "calls the simulated C libraries as a program in C does")]

mod memory;
mod prepared;
#[allow(clippy::undocumented_unsafe_blocks)]
mod rules;

use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::common::camera::{self, Bench};
use spotter::backend::Backend;
use spotter::backend::larod::fault::Remedy;
use spotter::backend::larod::map::Map;
use spotter::backend::larod::memory::{Access, Mapped, file_of};
use spotter::backend::larod::session::{Connection, Side, TensorMemory};
use spotter::backend::larod::sys::{self, Api};
use spotter::backend::larod::{LarodBackend, LoadRequest};
use spotter::backend::tflite::TfliteBackend;
use spotter::backend::tflite::threads::Threads;
use spotter::base::clock::SystemClock;
use spotter::demo::{Demo, PIXEL_BYTES};
use spotter::detect::detector::Detector;
use spotter::model::decode::Thresholds;
use spotter::model::decode::head::Head;
use spotter::model::format::file::ModelFile;
use spotter::preprocess::Preprocessor;
use spotter::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat, Pixels, SharedMemory};
use spotter::vision::geometry::Fit;
use spotter::vision::predictions::Predictions;

const SSD: &[u8] = include_bytes!("../../models/demo_ssd_mobilenet_v2.tflite");
const FLOAT: &[u8] = include_bytes!("../../models/demo_ssd_mobilenet_v2_float32.tflite");
const FILE: u32 = sys::FD_READWRITE;
const MAPPED: u32 = sys::FD_READWRITE | sys::FD_MAP;
const WIDTH: usize = 320;
const HEIGHT: usize = 192;

/// The simulated library, for one test at a time: its settings are the process's.
struct Camera {
    api: &'static Api,
    _turn: MutexGuard<'static, ()>,
    bench: Bench,
    set: libloading::Library,
}

fn camera(chip: &str) -> Camera {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let path = camera::larod();
    let api = sys::load_from(path.clone()).unwrap();
    // SAFETY: the same library once more.
    let set = unsafe { libloading::Library::new(path) }.unwrap();
    let camera = Camera { api, _turn: turn, bench: Bench::new(), set };
    camera.set("SPOTTER_SIM_CHIP", chip);
    camera.set("SPOTTER_SIM_DIR", camera.bench.path().to_str().unwrap());
    camera.set("SPOTTER_SIM_LOAD_MS", "");
    camera.set("SPOTTER_SIM_INFERENCE_MS", "");
    camera.set("SPOTTER_SIM_PREPARE_MS", "");
    camera.set("SPOTTER_SIM_ARRAYS", "");
    camera.set("SPOTTER_SIM_BUFFERS", "");
    camera.set("SPOTTER_SIM_FILES", "");
    camera
}

impl Camera {
    fn set(&self, key: &str, value: &str) {
        type Set = unsafe extern "C" fn(*const std::ffi::c_char, *const std::ffi::c_char);
        let [key, value] = [key, value].map(|text| std::ffi::CString::new(text).unwrap());
        // SAFETY: the simulator's function takes two texts.
        unsafe { (self.set.get::<Set>(b"spotterSimSet\0").unwrap())(key.as_ptr(), value.as_ptr()) };
    }

    fn connect(&self) -> Rc<Connection> {
        Connection::open(self.api).unwrap()
    }

    /// The demo model on this device, as a detector that is ready.
    fn detector(&self, device: &str) -> Detector {
        let file = ModelFile::from_bytes("demo", SSD.to_vec()).unwrap();
        let wanted = LoadRequest::new(&file, Some(device)).unwrap();
        let backend = LarodBackend::new(wanted, Arc::new(SystemClock)).unwrap();
        let mut detector = detector(&file, Box::new(backend));
        detector.wait_until_ready(Duration::from_secs(60)).unwrap();
        detector
    }
}

fn detector(file: &ModelFile, backend: Box<dyn Backend>) -> Detector {
    fitted_detector(file, backend, Fit::Stretch)
}

fn fitted_detector(file: &ModelFile, backend: Box<dyn Backend>, fit: Fit) -> Detector {
    let head = Head::recognise(file).unwrap();
    let preprocessor = Preprocessor::new(&file.signature.inputs[0], fit).unwrap();
    let decoder = head.decoder(&file.signature).unwrap();
    Detector::new(backend, preprocessor, decoder, file.signature.outputs.clone()).unwrap()
}

/// A frame of a capture: RGB in a buffer that others can map.
struct Shared {
    memory: Mapped,
    pitch: usize,
    about: SharedMemory,
    _fd: Arc<OwnedFd>,
}

impl Pixels for Shared {
    fn plane(&self, index: usize) -> (&[u8], usize) {
        if index == 0 { (self.memory.bytes(), self.pitch) } else { (&[], 0) }
    }

    fn shared(&self) -> Option<SharedMemory> {
        Some(self.about)
    }
}

/// One of a capture's buffers.
struct Buffer {
    fd: Arc<OwnedFd>,
    number: u64,
    offset: usize,
    pitch: usize,
}

impl Buffer {
    fn new(number: u64, offset: usize, pitch: usize) -> Self {
        let fd = file_of("buffer", &vec![0; offset + pitch * HEIGHT]).unwrap();
        Self { fd: Arc::new(fd), number, offset, pitch }
    }

    /// The next frame in this buffer.
    fn frame(&self, seq: u64) -> Frame {
        let size = self.pitch * HEIGHT;
        let mut memory = Mapped::new(self.fd.as_raw_fd(), self.offset as u64, size, false).unwrap();
        memory.begin(Access::Write).unwrap();
        for (row, pixels) in
            memory.bytes_mut().chunks_exact_mut(self.pitch).zip(picture(seq).chunks_exact(3 * WIDTH))
        {
            row[..3 * WIDTH].copy_from_slice(pixels);
        }
        memory.end().unwrap();
        let fd = self.fd.as_raw_fd();
        let about =
            SharedMemory { fd, offset: self.offset as u64, size, buffer: self.number, dma_buf: false };
        let pixels = Shared { memory, pitch: self.pitch, about, _fd: self.fd.clone() };
        Frame::now(seq, FrameLayout::new(PixelFormat::Rgb, WIDTH, HEIGHT), Box::new(pixels))
    }
}

/// A picture of the drawn street: packed red, green and blue.
fn picture(seq: u64) -> Vec<u8> {
    let mut demo = Demo::new(7, WIDTH as u32, HEIGHT as u32);
    let mut pixels = vec![0; WIDTH * HEIGHT * PIXEL_BYTES];
    demo.draw(Duration::from_millis(400 * seq), &mut pixels);
    pixels.chunks_exact(PIXEL_BYTES).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// The same picture in memory that nobody else can map.
fn private(seq: u64) -> Frame {
    let planes = vec![(picture(seq), 3 * WIDTH)];
    Frame::now(seq, FrameLayout::new(PixelFormat::Rgb, WIDTH, HEIGHT), Box::new(OwnedPixels { planes }))
}

fn find(detector: &mut Detector, frame: &Frame) -> (Predictions, bool) {
    let (found, times) = detector.detect(frame, &Thresholds::live(0.2, 0.5)).unwrap();
    (found.clone(), times.in_place)
}

#[test]
fn the_device_reads_fitting_frames_where_they_lie() {
    let camera = camera("artpec8");
    let mut on_device = camera.detector("axis-a8-dlpu-tflite");
    let file = ModelFile::from_bytes("demo", SSD.to_vec()).unwrap();
    let mut desktop =
        detector(&file, Box::new(TfliteBackend::new(file.bytes.clone(), Threads::fixed(1)).unwrap()));
    // More buffers than are remembered at a time, used again in turns; one not from the beginning of its memory.
    let buffers: Vec<Buffer> =
        (0..15).map(|n| Buffer::new(n, if n == 3 { 8192 } else { 0 }, 3 * WIDTH)).collect();
    let mut seen = 0;
    for seq in 0..45 {
        let (found, in_place) = find(&mut on_device, &buffers[seq as usize % buffers.len()].frame(seq));
        assert!(in_place, "frame {seq} was copied");
        if seq % 9 == 0 {
            let (wanted, in_place) = find(&mut desktop, &private(seq));
            assert!(!in_place);
            assert_eq!(found, wanted, "frame {seq}");
            seen += found.detections.len();
        }
    }
    assert!(seen > 5, "the street is empty");
    // A pitch that is not the device's, and memory that cannot be shared: the processor copies, with the same result.
    for frame in [Buffer::new(99, 0, 3 * WIDTH + 64).frame(9), private(9)] {
        let (found, in_place) = find(&mut on_device, &frame);
        assert!(!in_place);
        assert_eq!(found, find(&mut desktop, &private(9)).0);
    }
    // And then again one that fits.
    assert!(find(&mut on_device, &buffers[0].frame(1)).1);
}

#[test]
fn what_a_device_does_not_read_is_copied_from_then_on() {
    let camera = camera("artpec7");
    let mut detector = camera.detector("google-edge-tpu-tflite");
    assert!(find(&mut detector, &Buffer::new(0, 0, 3 * WIDTH).frame(0)).1);
    // The Edge TPU wants memory from its beginning on.
    let offset = Buffer::new(1, 4096, 3 * WIDTH);
    let error = detector.detect(&offset.frame(1), &Thresholds::live(0.2, 0.5)).unwrap_err();
    assert!(error.to_string().contains("the memory is not as the model wants it"), "{error}");
    let (found, in_place) = find(&mut detector, &offset.frame(1));
    assert!(!in_place);
    assert_eq!(found, find(&mut detector, &private(1)).0);
}

/// A model on a device, on a connection of its own.
fn loaded(camera: &Camera, device: &str) -> (Rc<Connection>, spotter::backend::larod::session::LarodModel) {
    let connection = camera.connect();
    let file = file_of("model", SSD).unwrap();
    let model = connection.load(Some(std::os::fd::AsFd::as_fd(&file)), device, "demo", None).unwrap();
    (connection, model)
}

fn code(answer: Result<impl Sized, spotter::backend::larod::fault::Fault>) -> i32 {
    answer.err().expect("it fails").code
}

#[test]
fn tracked_memory_stays_and_no_more_than_32_are_remembered() {
    let camera = camera("artpec8");
    let (_connection, model) = loaded(&camera, "axis-a8-dlpu-tflite");
    let mut allocated = model.allocate(Side::Inputs, MAPPED).unwrap();
    let place = allocated.place(0).unwrap();
    assert_eq!(code(allocated.put(0, place)), 22);
    let memory = file_of("input", &vec![0; 3 * WIDTH * HEIGHT]).unwrap();
    let place =
        TensorMemory { fd: memory.as_raw_fd(), offset: 0, size: 3 * WIDTH * HEIGHT, properties: MAPPED };
    let tracked = |_| {
        let mut tensors = model.describe(Side::Inputs).unwrap();
        tensors.put(0, place).unwrap();
        tensors.track().map(|()| tensors)
    };
    // One is the allocated one.
    let mut held: Vec<_> = (0..31).map(|n| tracked(n).unwrap()).collect();
    assert_eq!(code(tracked(31)), sys::ERROR_ALLOC);
    held.pop();
    held.push(tracked(32).unwrap());
    assert_eq!(code(held[0].put(0, place)), 22);
}

#[test]
fn a_job_copies_what_its_tensors_said() {
    let camera = camera("artpec8");
    let (_connection, model) = loaded(&camera, "axis-a8-dlpu-tflite");
    let outputs = model.allocate(Side::Outputs, MAPPED).unwrap();
    let boxes = outputs.place(0).unwrap();
    let read = || Mapped::new(boxes.fd, 0, boxes.size, false).unwrap().bytes().to_vec();
    let bytes = 3 * WIDTH * HEIGHT;
    let [one, other] = [picture(3), vec![0; bytes]].map(|bytes| file_of("input", &bytes).unwrap());
    let place =
        |fd: &OwnedFd| TensorMemory { fd: fd.as_raw_fd(), offset: 0, size: bytes, properties: MAPPED };
    let mut inputs = model.describe(Side::Inputs).unwrap();
    inputs.put(0, place(&one)).unwrap();
    let mut job = model.job(&inputs, &outputs, None).unwrap();
    job.run().unwrap();
    let first = read();
    inputs.put(0, place(&other)).unwrap();
    job.run().unwrap();
    assert_eq!(read(), first, "the job followed its tensor");
    model.job(&inputs, &outputs, None).unwrap().run().unwrap();
    assert_ne!(read(), first);
}

#[test]
fn every_job_writes_its_outputs_at_their_place_in_the_file() {
    for files in ["position", "offset"] {
        let camera = camera("artpec8");
        camera.set("SPOTTER_SIM_FILES", files);
        let (_connection, model) = loaded(&camera, "axis-a8-dlpu-tflite");
        let bytes = 3 * WIDTH * HEIGHT;
        let input = file_of("input", &picture(3)).unwrap();
        rustix_seek(&input, 1000);
        let mut inputs = model.describe(Side::Inputs).unwrap();
        inputs
            .put(0, TensorMemory { fd: input.as_raw_fd(), offset: 0, size: bytes, properties: FILE })
            .unwrap();
        let mut outputs = model.describe(Side::Outputs).unwrap();
        let written: Vec<OwnedFd> =
            (0..outputs.count()).map(|_| file_of("output", &[0; 4096]).unwrap()).collect();
        for (index, file) in written.iter().enumerate() {
            let place = TensorMemory { fd: file.as_raw_fd(), offset: 64, size: 4032, properties: FILE };
            outputs.put(index, place).unwrap();
        }
        let mut job = model.job(&inputs, &outputs, None).unwrap();
        let scores = outputs.about(2).unwrap().byte_size;
        let read = || Mapped::new(written[2].as_raw_fd(), 0, 4096, false).unwrap().bytes().to_vec();
        job.run().unwrap();
        let first = read();
        assert!(first[64..64 + scores].iter().any(|byte| *byte != 0), "{files}");
        job.run().unwrap();
        assert_eq!(read(), first, "{files}: the second job wrote somewhere else");
        assert!(first[64 + scores..].iter().chain(&first[..64]).all(|byte| *byte == 0), "{files}");
    }
}

fn rustix_seek(fd: &OwnedFd, to: u64) {
    use std::io::{Seek, SeekFrom};
    std::fs::File::from(fd.try_clone().unwrap()).seek(SeekFrom::Start(to)).unwrap();
}

#[test]
fn models_die_with_their_connection_and_faults_are_what_they_say() {
    let camera = camera("artpec9");
    let (_connection, model) = loaded(&camera, "a9-dlpu-tflite");
    let inputs = model.allocate(Side::Inputs, MAPPED).unwrap();
    let outputs = model.allocate(Side::Outputs, MAPPED).unwrap();
    let mut job = model.job(&inputs, &outputs, None).unwrap();
    job.run().unwrap();
    for (fault, code_of) in
        [("larod power run", sys::ERROR_POWER_NOT_AVAILABLE), ("larod job run", sys::ERROR_JOB)]
    {
        camera.bench.faults(fault);
        assert_eq!(code(job.run()), code_of);
        camera.bench.faults("vdo something else");
        job.run().unwrap();
    }
    camera.bench.faults("larod crash run");
    assert_eq!(code(job.run()), sys::ERROR_CONNECTION);
    camera.bench.faults("");
    assert_eq!(code(job.run()), sys::ERROR_CONNECTION, "a dead connection came back to life");
    camera.bench.faults("larod restart");
    let fault = Connection::open(camera.api).err().expect("nobody is there");
    assert_eq!((fault.code, fault.remedy()), (111, Remedy::Reconnect));
    camera.bench.faults("");
    // A model of one connection is not known on another.
    let (_other, again) = loaded(&camera, "a9-dlpu-tflite");
    assert_eq!(again.allocate(Side::Inputs, MAPPED).unwrap().count(), 1);
}

#[test]
fn devices_refuse_what_they_cannot_do() {
    let camera = camera("artpec8");
    let connection = camera.connect();
    assert_eq!(
        connection.devices().unwrap(),
        [
            "cpu-tflite",
            "axis-ace-proc",
            "cpu-proc",
            "axis-a8-dlpu-tflite",
            "axis-a8-dlpu-native",
            "axis-a8-dlpu-proc",
            "axis-a8-gpu-proc"
        ]
    );
    let float = file_of("model", FLOAT).unwrap();
    let load = |device| connection.load(Some(std::os::fd::AsFd::as_fd(&float)), device, "f", None);
    assert_eq!(code(load("axis-a8-dlpu-tflite")), sys::ERROR_LOAD_MODEL);
    assert_eq!(code(load("axis-a8-dlpu-native")), sys::ERROR_LOAD_MODEL);
    assert_eq!(code(load("a9-dlpu-tflite")), sys::ERROR_INVALID_CHIP_ID);
    load("cpu-tflite").unwrap();
    // Texts of maps are shorter than 128 bytes, here and there.
    let mut map = Map::new(camera.api).unwrap();
    map.text("key", &"x".repeat(127)).unwrap();
    assert!(map.text("key", &"x".repeat(128)).is_err());
}

#[test]
fn preprocessing_scales_and_converts_within_the_devices_limits() {
    let camera = camera("artpec8");
    let connection = camera.connect();
    let params = |format: &str, pitch: usize| {
        let mut map = Map::new(camera.api).unwrap();
        map.text("image.input.format", "nv12").unwrap();
        map.pair("image.input.size", (64, 32)).unwrap();
        map.text("image.output.format", format).unwrap();
        map.pair("image.output.size", (32, 16)).unwrap();
        map.number("image.output.row-pitch", pitch).unwrap();
        map
    };
    assert_eq!(
        code(connection.load(None, "axis-a8-gpu-proc", "p", Some(&params("rgb-planar", 32)))),
        sys::ERROR_LOAD_MODEL
    );
    assert_eq!(
        code(connection.load(None, "axis-ace-proc", "p", Some(&params("rgb-interleaved", 96)))),
        sys::ERROR_LOAD_MODEL
    );
    for device in ["cpu-proc", "axis-a8-gpu-proc"] {
        let model = connection.load(None, device, "p", Some(&params("rgb-interleaved", 128))).unwrap();
        let (inputs, outputs) =
            (model.allocate(Side::Inputs, MAPPED).unwrap(), model.allocate(Side::Outputs, MAPPED).unwrap());
        let about = inputs.about(0).unwrap();
        assert_eq!((about.dims, about.pitches), (vec![3, 32, 64], vec![3072, 2048, 64]));
        let (from, to) = (inputs.place(0).unwrap(), outputs.place(0).unwrap());
        let mut from = Mapped::new(from.fd, 0, from.size, false).unwrap();
        // Left half red, right half blue, as BT.601 has them.
        let (luma, chroma) = from.bytes_mut().split_at_mut(2048);
        for (index, y) in luma.iter_mut().enumerate() {
            *y = if index % 64 < 32 { 82 } else { 41 };
        }
        for (index, c) in chroma.iter_mut().enumerate() {
            *c = match (index % 64 < 32, index % 2 == 0) {
                (true, true) => 90,
                (true, false) => 240,
                (false, true) => 240,
                (false, false) => 110,
            };
        }
        model.job(&inputs, &outputs, None).unwrap().run().unwrap();
        let to = Mapped::new(to.fd, 0, to.size, false).unwrap();
        let pixel = |x: usize, y: usize| to.bytes()[y * 128 + 3 * x..][..3].to_vec();
        let near = |found: Vec<u8>, wanted: [u8; 3]| {
            assert!(found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 3), "{found:?}");
        };
        near(pixel(3, 3), [255, 0, 0]);
        near(pixel(29, 13), [0, 0, 255]);
        let mut crop = Map::new(camera.api).unwrap();
        crop.four("image.input.crop", [32, 0, 32, 32]).unwrap();
        model.job(&inputs, &outputs, Some(&crop)).unwrap().run().unwrap();
        near(pixel(3, 3), [0, 0, 255]);
    }
}

#[test]
fn compiling_takes_its_time_once() {
    let camera = camera("artpec8");
    camera.set("SPOTTER_SIM_LOAD_MS", "600");
    let time = |device| {
        let begun = Instant::now();
        drop(loaded(&camera, device));
        begun.elapsed()
    };
    assert!(time("axis-a8-dlpu-tflite") >= Duration::from_millis(600));
    camera.set("SPOTTER_SIM_LOAD_MS", "100000");
    let soon = Duration::from_secs(50);
    assert!(time("axis-a8-dlpu-tflite") < soon);
    // The processor does not compile.
    assert!(time("cpu-tflite") < soon);
    camera.set("SPOTTER_SIM_INFERENCE_MS", "60");
    let (_connection, model) = loaded(&camera, "axis-a8-dlpu-tflite");
    let (inputs, outputs) =
        (model.allocate(Side::Inputs, MAPPED).unwrap(), model.allocate(Side::Outputs, MAPPED).unwrap());
    let mut job = model.job(&inputs, &outputs, None).unwrap();
    let begun = Instant::now();
    job.run().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60));
}
