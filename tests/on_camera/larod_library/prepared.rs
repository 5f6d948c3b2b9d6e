//! Frames in NV12 that a device of larod converts, crops and scales into the model's input.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use spotter::backend::larod::memory::{Access, Mapped, file_of};
use spotter::backend::larod::prepare::Preference;
use spotter::backend::larod::{LarodBackend, LoadRequest};
use spotter::backend::tflite::TfliteBackend;
use spotter::backend::tflite::threads::Threads;
use spotter::backend::{Backend, Readiness};
use spotter::base::clock::SystemClock;
use spotter::demo::{Demo, PIXEL_BYTES};
use spotter::detect::detector::Detector;
use spotter::model::decode::Thresholds;
use spotter::model::format::file::ModelFile;
use spotter::preprocess::Preprocessor;
use spotter::vision::detection::Detection;
use spotter::vision::frame::{Frame, FrameLayout, Matrix, OwnedPixels, PixelFormat, Pixels, SharedMemory};
use spotter::vision::geometry::Fit;
use spotter::vision::predictions::Predictions;

use super::{SSD, camera, find, fitted_detector};
use crate::common::say;

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
const PITCH: usize = 704;
/// Two scalers differ by a level or two (see below), and the small demo model's scores have steps of 0.04 to 0.1 and
/// move by several in a crowd: not every sure box is within the tolerance.
const SHARE: f64 = 0.8;
const BYTES: usize = PITCH * HEIGHT * 3 / 2;

/// A picture of the drawn street in NV12, BT.601, limited range.
fn nv12(seq: u64) -> Vec<u8> {
    let mut demo = Demo::new(7, WIDTH as u32, HEIGHT as u32);
    let mut pixels = vec![0; WIDTH * HEIGHT * PIXEL_BYTES];
    demo.draw(Duration::from_millis(400 * seq), &mut pixels);
    let rgb = |x: usize, y: usize| {
        let at = (y * WIDTH + x) * PIXEL_BYTES;
        [pixels[at], pixels[at + 1], pixels[at + 2]].map(f32::from)
    };
    let mut bytes = vec![0; BYTES];
    let (luma, chroma) = bytes.split_at_mut(PITCH * HEIGHT);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let [r, g, b] = rgb(x, y);
            luma[y * PITCH + x] = (16.0 + 0.256_788 * r + 0.504_129 * g + 0.097_906 * b).round() as u8;
            if x % 2 == 0 && y % 2 == 0 {
                let [r, g, b] = [0, 1, 2].map(|c| {
                    (rgb(x, y)[c] + rgb(x + 1, y)[c] + rgb(x, y + 1)[c] + rgb(x + 1, y + 1)[c]) / 4.0
                });
                let at = y / 2 * PITCH + x;
                chroma[at] = (128.0 - 0.148_223 * r - 0.290_993 * g + 0.439_216 * b).round() as u8;
                chroma[at + 1] = (128.0 + 0.439_216 * r - 0.367_788 * g - 0.071_427 * b).round() as u8;
            }
        }
    }
    bytes
}

fn layout() -> FrameLayout {
    FrameLayout { matrix: Matrix::Bt601, ..FrameLayout::new(PixelFormat::Nv12, WIDTH, HEIGHT) }
}

struct Shared {
    memory: Mapped,
    about: SharedMemory,
    _fd: Arc<OwnedFd>,
}

impl Pixels for Shared {
    fn plane(&self, index: usize) -> (&[u8], usize) {
        let bytes = self.memory.bytes();
        match index {
            0 => (&bytes[..PITCH * HEIGHT], PITCH),
            1 => (&bytes[PITCH * HEIGHT..], PITCH),
            _ => (&[], 0),
        }
    }

    fn shared(&self) -> Option<SharedMemory> {
        Some(self.about)
    }
}

/// Buffers of a capture, filled in turns.
struct Capture {
    buffers: Vec<Arc<OwnedFd>>,
    pictures: Vec<Vec<u8>>,
    dma_buf: bool,
}

impl Capture {
    fn new(buffers: usize, pictures: u64) -> Self {
        let buffers = (0..buffers).map(|_| Arc::new(file_of("buffer", &vec![0; BYTES]).unwrap())).collect();
        Self { buffers, pictures: (0..pictures).map(nv12).collect(), dma_buf: false }
    }

    fn picture(&self, seq: u64) -> &[u8] {
        &self.pictures[seq as usize % self.pictures.len()]
    }

    /// A frame in memory that a device can be given.
    fn frame(&self, seq: u64) -> Frame {
        let number = seq % self.buffers.len() as u64;
        let fd = self.buffers[number as usize].clone();
        let mut memory = Mapped::new(fd.as_raw_fd(), 0, BYTES, false).unwrap();
        memory.begin(Access::Write).unwrap();
        memory.bytes_mut().copy_from_slice(self.picture(seq));
        memory.end().unwrap();
        let dma_buf = self.dma_buf;
        let about = SharedMemory { fd: fd.as_raw_fd(), offset: 0, size: BYTES, buffer: number, dma_buf };
        Frame::now(seq, layout(), Box::new(Shared { memory, about, _fd: fd }))
    }

    /// The same frame in memory that nobody else has.
    fn private(&self, seq: u64) -> Frame {
        let (luma, chroma) = self.picture(seq).split_at(PITCH * HEIGHT);
        let planes = vec![(luma.to_vec(), PITCH), (chroma.to_vec(), PITCH)];
        Frame::now(seq, layout(), Box::new(OwnedPixels { planes }))
    }
}

fn ready(file: &ModelFile, device: &str, fit: Fit, preference: Preference) -> Detector {
    let wanted = LoadRequest::new(file, Some(device)).unwrap();
    let backend = LarodBackend::new(wanted, Arc::new(SystemClock)).unwrap().preferring(preference);
    let mut detector = fitted_detector(file, Box::new(backend), fit);
    detector.wait_until_ready(Duration::from_secs(60)).unwrap();
    detector
}

fn detail(detector: &mut Detector) -> String {
    detector.backend().unwrap().detail()
}

fn demo() -> ModelFile {
    ModelFile::from_bytes("demo", SSD.to_vec()).unwrap()
}

/// Sure detections of both sides, and how many of them the other side has too: score within 0.1, overlap 0.85.
fn shared_by(one: &Predictions, other: &Predictions) -> (usize, usize) {
    let (mut all, mut found) = (0, 0);
    for (ours, theirs) in [(one, other), (other, one)] {
        for detection in ours.detections.iter().filter(|detection| detection.score >= 0.5) {
            let is_same = |other: &Detection| {
                other.class == detection.class
                    && (other.score - detection.score).abs() <= 0.1
                    && other.rect.iou(&detection.rect) >= 0.85
            };
            all += 1;
            found += usize::from(theirs.detections.iter().any(is_same));
        }
    }
    (all, found)
}

/// Frames that a device prepares are found in what the processor finds, and none is copied.
fn agrees(file: &ModelFile, device: &str, by: &str, fit: Fit) {
    let mut prepared = ready(file, device, fit, Preference::Device);
    let mut processed = ready(file, device, fit, Preference::Processor);
    // More buffers than are remembered at a time.
    let capture = Capture::new(15, 5);
    let (mut all, mut same) = (0, 0);
    for seq in 0..30 {
        let (found, in_place) = find(&mut prepared, &capture.frame(seq));
        assert!(in_place, "frame {seq} was copied");
        if seq < 5 || seq == 29 {
            let (wanted, in_place) = find(&mut processed, &capture.frame(seq));
            assert!(!in_place);
            assert_eq!(wanted, find(&mut processed, &capture.private(seq)).0);
            let (sure, shared) = shared_by(&found, &wanted);
            (all, same) = (all + sure, same + shared);
        }
    }
    assert!(all > 20, "{all} detections are too few to compare");
    let share = same as f64 / all as f64;
    say(&format!("{by}, {fit}: {:.0} % of {all} sure detections are the processor's", 100.0 * share));
    assert!(share >= SHARE, "{by}, {fit}: {share}");
    assert!(
        detail(&mut prepared).ends_with(&format!(", frames prepared by {by}")),
        "{}",
        detail(&mut prepared)
    );
}

#[test]
fn artpec8_prepares_frames() {
    let _camera = camera("artpec8");
    for fit in [Fit::Stretch, Fit::Letterbox, Fit::Crop] {
        agrees(&demo(), "axis-a8-dlpu-tflite", "axis-a8-gpu-proc", fit);
    }
}

/// preprocessing.html of OpenCL's devices: "The backends only support the fd access type LAROD_FD_PROP_READWRITE."
#[test]
fn dma_bufs_go_to_the_first_device_that_reads_them() {
    let _camera = camera("artpec8");
    let capture = Capture { dma_buf: true, ..Capture::new(3, 3) };
    let mut prepared = ready(&demo(), "axis-a8-dlpu-tflite", Fit::Stretch, Preference::Device);
    let mut processed = ready(&demo(), "axis-a8-dlpu-tflite", Fit::Stretch, Preference::Processor);
    let (mut ways, mut all, mut same) = (Vec::new(), 0, 0);
    for seq in 0..6 {
        let (found, in_place) = find(&mut prepared, &capture.frame(seq));
        let (sure, shared) = shared_by(&found, &find(&mut processed, &capture.private(seq)).0);
        (all, same) = (all + sure, same + shared);
        ways.push(in_place);
    }
    // Two devices refuse, each at the cost of one frame that the processor prepares.
    assert_eq!(ways, [false, false, true, true, true, true]);
    assert!(all > 5 && same as f64 / all as f64 >= SHARE, "{same} of {all}");
    assert_eq!(detail(&mut prepared), "accelerator of ARTPEC-8, frames prepared by cpu-proc");
}

#[test]
fn artpec9_prepares_frames() {
    let _camera = camera("artpec9");
    agrees(&demo(), "a9-dlpu-tflite", "a9-gpu-proc", Fit::Stretch);
}

#[test]
fn cv25_prepares_planes() {
    let _camera = camera("cv25");
    let folder = tempfile::tempdir().unwrap();
    let path = crate::common::camera::cv25_model(folder.path());
    agrees(&ModelFile::open(&path).unwrap(), "ambarella-cvflow", "ambarella-cvflow-proc", Fit::Stretch);
}

/// The bars and the picture between them are those of the processor, to what scalers differ, and the model sees just
/// what the device wrote.
#[test]
fn a_part_of_a_frame_is_the_same_part() {
    let _camera = camera("artpec8");
    let capture = Capture::new(2, 2);
    let input = |preference: Preference| {
        let wanted = LoadRequest::new(&demo(), Some("axis-a8-dlpu-tflite")).unwrap();
        let mut backend = LarodBackend::new(wanted, Arc::new(SystemClock)).unwrap().preferring(preference);
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while backend.readiness().unwrap() != Readiness::Ready {
            assert!(std::time::Instant::now() < end, "it is never ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        backend
    };
    for fit in [Fit::Stretch, Fit::Letterbox, Fit::Crop] {
        let mut device = input(Preference::Device);
        let mapping = device.take_frame(&capture.frame(1), fit).unwrap();
        let mut preprocessor = Preprocessor::new(&demo().signature.inputs[0], fit).unwrap();
        let mut wanted = vec![0; preprocessor.tensor_bytes()];
        let same = preprocessor.run(&capture.frame(1), &mut wanted).unwrap();
        assert_eq!(mapping, Some(same), "{fit}");
        let found = device.input_mut().unwrap();
        let off: u64 = found.iter().zip(&wanted).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = off as f64 / wanted.len() as f64;
        say(&format!("{fit}: {mean:.2} levels off the processor's input"));
        assert!(mean < 4.0, "{fit}: {mean}");
        let bars = same.y * 3 * same.input.0;
        assert_eq!(found[..bars], wanted[..bars]);
        assert_eq!(found[found.len() - bars..], wanted[wanted.len() - bars..]);
        let mut desktop = TfliteBackend::new(demo().bytes, Threads::fixed(1)).unwrap();
        desktop.input_mut().unwrap().copy_from_slice(found);
        desktop.run().unwrap();
        device.run().unwrap();
        for index in 0..demo().signature.outputs.len() {
            assert_eq!(
                device.output(index).unwrap(),
                desktop.output(index).unwrap(),
                "{fit}: output {index}"
            );
        }
    }
}

#[test]
fn a_device_that_fails_costs_no_detection() {
    let camera = camera("artpec8");
    let capture = Capture::new(3, 3);
    let mut desktop = ready(&demo(), "axis-a8-dlpu-tflite", Fit::Stretch, Preference::Processor);
    let wanted: Vec<Predictions> = (0..3).map(|seq| find(&mut desktop, &capture.frame(seq)).0).collect();
    for before in [0, 2] {
        let mut detector = ready(&demo(), "axis-a8-dlpu-tflite", Fit::Stretch, Preference::Device);
        for seq in 0..before {
            assert!(find(&mut detector, &capture.frame(seq)).1);
        }
        camera.bench.faults("larod job prepare");
        let (found, in_place) = find(&mut detector, &capture.frame(2));
        assert!(!in_place);
        assert_eq!(found, wanted[2], "after {before} frames");
        // For good, and the model runs on.
        camera.bench.faults("");
        for seq in 0..3 {
            let (found, in_place) = find(&mut detector, &capture.frame(seq));
            assert!(!in_place);
            assert_eq!(found, wanted[seq as usize]);
        }
        assert_eq!(detail(&mut detector), "accelerator of ARTPEC-8, frames prepared on the processor");
    }
}

#[test]
fn a_device_that_breaks_the_service_is_given_up() {
    let camera = camera("artpec8");
    let capture = Capture::new(3, 3);
    let mut detector = ready(&demo(), "axis-a8-dlpu-tflite", Fit::Stretch, Preference::Device);
    assert!(find(&mut detector, &capture.frame(0)).1);
    camera.bench.faults("larod crash prepare");
    let thresholds = Thresholds::live(0.2, 0.5);
    for _ in 0..3 {
        let error = detector.detect(&capture.frame(1), &thresholds).unwrap_err();
        assert!(error.to_string().contains("cannot prepare frames on axis-a8-gpu-proc"), "{error}");
        detector.wait_until_ready(Duration::from_secs(60)).unwrap();
    }
    let (found, in_place) = find(&mut detector, &capture.frame(1));
    assert!(!in_place && !found.detections.is_empty());
}

#[test]
fn a_service_that_restarts_prepares_again() {
    let camera = camera("artpec8");
    let capture = Capture::new(3, 3);
    let mut detector = ready(&demo(), "axis-a8-dlpu-tflite", Fit::Letterbox, Preference::Device);
    let (before, in_place) = find(&mut detector, &capture.frame(0));
    assert!(in_place);
    camera.bench.faults("larod restart");
    detector.detect(&capture.frame(0), &Thresholds::live(0.2, 0.5)).unwrap_err();
    camera.bench.faults("");
    detector.wait_until_ready(Duration::from_secs(60)).unwrap();
    // Into new memory, bars included.
    assert_eq!(find(&mut detector, &capture.frame(0)), (before, true));
}

#[test]
fn who_is_faster_prepares_after_a_trial() {
    let camera = camera("artpec8");
    let capture = Capture::new(3, 3);
    camera.set("SPOTTER_SIM_PREPARE_MS", "60");
    let mut detector = ready(&demo(), "axis-a8-dlpu-tflite", Fit::Stretch, Preference::Faster);
    assert_eq!(detail(&mut detector), "accelerator of ARTPEC-8");
    let tried: Vec<bool> = (0..18).map(|seq| find(&mut detector, &capture.frame(seq)).1).collect();
    assert_eq!(tried, [true, false].repeat(9), "both ways in turns");
    assert_eq!(detail(&mut detector), "accelerator of ARTPEC-8, frames prepared on the processor");
    assert!((18..24).all(|seq| !find(&mut detector, &capture.frame(seq)).1));
    // Frames that are in nobody else's memory end it.
    assert!(!find(&mut detector, &capture.private(0)).1);
    assert_eq!(detail(&mut detector), "accelerator of ARTPEC-8");
}
