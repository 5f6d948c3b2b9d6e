//! The camera's own video, on the simulated capture library: the capture by itself and the real program.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use crate::common::camera::{self, Bench};
use crate::common::pace::{Device, Live as Detection, report};
use crate::common::process::{self, Running};
use crate::common::say;
use serde_json::Value;
use spotter::capture::vdo::frame_rate::Workload;
use spotter::capture::{self, FrameSource, Next, Pace, SourceSpec};
use spotter::preprocess::InputPicture;
use spotter::vision::frame::{Frame, PixelFormat};
use spotter::vision::geometry::Fit;

/// What only hangs takes. How soon a fault is overcome, `tests/measure` measures.
const LIMIT: Duration = Duration::from_secs(60);
/// A model without which no test needs a download.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo_ssd_mobilenet_v2.tflite");

/// The number in the top eighth of a picture's luma, or of what is as bright: 32 cells, highest bit first.
fn number(luma: &[u8], pitch: usize, step: usize, (width, height): (usize, usize)) -> u32 {
    (0..32).fold(0, |number, cell| {
        let at = height / 16 * pitch + (2 * cell + 1) * width / 64 * step;
        number << 1 | u32::from(luma[at] > 128)
    })
}

/// The number of the frame that was captured at this time, at `rate` frames a second of the sensor.
fn number_at(time: Duration, rate: f64) -> u32 {
    (time.as_secs_f64() * rate).round() as u64 as u32
}

/// Runs one of the tests below that need an environment of their own, in a process of its own.
fn inside(test: &str, environment: &[(&str, &str)]) {
    let bench = Bench::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let (_, module) = module_path!().split_once("::").unwrap();
    command.args(["--exact", &format!("{module}::{test}"), "--ignored", "--nocapture"]);
    command.env("SPOTTER_VDO", camera::vdo()).env("SPOTTER_SIM_DIR", bench.path());
    command.envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{test}:\n{text}");
    // What was measured is for whoever runs the tests.
    text.lines().filter(|line| line.contains(" ms: ")).for_each(say);
}

fn open(spec: &str) -> Box<dyn FrameSource> {
    let spec: SourceSpec = spec.parse().unwrap();
    capture::open(&spec, Pace::Real).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

fn next(source: &mut dyn FrameSource) -> Frame {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Next::Frame(frame) = source.next(Duration::from_millis(100)).unwrap() {
            return frame;
        }
    }
    panic!("no frame came");
}

/// Whether an address is in memory of the simulated camera's buffers.
fn is_the_cameras(address: *const u8) -> bool {
    let address = address as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("memfd:vdo-buffer")).any(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(to, 16).unwrap());
        (from..to).contains(&address)
    })
}

/// Some frames of a source: what is the same for all of them is checked.
fn check(spec: &str, format: PixelFormat, size: (usize, usize), pitch: usize, step: usize) {
    let opened = SystemTime::now();
    let mut source = open(spec);
    let mut buffers = BTreeMap::new();
    let mut earliest = opened;
    for _ in 0..40 {
        let frame = next(source.as_mut());
        let layout = frame.layout;
        assert_eq!((layout.format, (layout.width, layout.height)), (format, size), "{spec}");
        for plane in 0..format.plane_count() {
            let (bytes, stride) = frame.pixels.plane(plane);
            assert_eq!(stride, pitch, "{spec}");
            assert!(is_the_cameras(bytes.as_ptr()), "{spec}: plane {plane} is a copy");
        }
        let (luma, _) = frame.pixels.plane(0);
        assert_eq!(number(luma, pitch, step, size), number_at(frame.pts.unwrap(), 30.0), "{spec}");
        let shared = frame.pixels.shared().expect("its memory can be shared");
        assert!(shared.size >= pitch * size.1, "{shared:?}");
        let (fd, offset) = buffers.entry(shared.buffer).or_insert((shared.fd, shared.offset));
        assert_eq!((*fd, *offset), (shared.fd, shared.offset), "a number is one buffer's");
        // When it was captured lies between opening and now, and goes on: the camera's clock was understood.
        assert!((earliest..=SystemTime::now()).contains(&frame.captured), "{spec}: {:?}", frame.captured);
        earliest = frame.captured;
    }
    assert!(buffers.len() <= 3, "{buffers:?}");
    let places: BTreeSet<_> = buffers.values().collect();
    assert_eq!(places.len(), buffers.len(), "a buffer has one number");
}

#[test]
#[ignore = "needs an environment of its own: frames_reach_preprocessing_without_a_copy starts it"]
fn inner_artpec8() {
    check("vdo:size=640x360", PixelFormat::Nv12, (640, 360), 640, 1);
    check("vdo:size=300x168", PixelFormat::Nv12, (300, 168), 320, 1);
    check("vdo:size=300x168,format=planar-rgb", PixelFormat::PlanarRgb, (300, 168), 320, 1);
    check("vdo:channel=1,size=480x270,rotation=0", PixelFormat::Nv12, (480, 270), 512, 1);
    // A size of another shape shows the middle, undistorted.
    let mut cut = open("vdo:size=360x640");
    let layout = next(cut.as_mut()).layout;
    assert_eq!(((layout.width, layout.height), layout.pixel_aspect), ((360, 640), (1, 1)));
    assert_eq!(cut.detail().unwrap(), "NV12 360×640, the middle 32 % of the picture's width");
    drop(cut);
    let spec: SourceSpec = "vdo:format=rgb".parse().unwrap();
    let error = capture::open(&spec, Pace::Real).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the camera does not give this format or size"), "{error}");
    let spec: SourceSpec = "vdo:input=7".parse().unwrap();
    let error = capture::open(&spec, Pace::Real).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the camera has no such channel or input"), "{error}");
}

#[test]
#[ignore = "needs an environment of its own: frames_reach_preprocessing_without_a_copy starts it"]
fn inner_artpec9() {
    check("vdo:size=300x168,format=rgb", PixelFormat::Rgb, (300, 168), 960, 3);
    // A stretched input of another shape than the sensor's is not asked for: it would be cut off or have bars.
    let given = |input: (usize, usize), fit: Fit| {
        let picture = InputPicture { size: input, fit, planar: false };
        let spec = "vdo".parse::<SourceSpec>().unwrap().suited_to(Some(picture));
        let mut source = capture::open(&spec, Pace::Real).unwrap();
        let layout = next(source.as_mut()).layout;
        assert_eq!(layout.pixel_aspect, (1, 1));
        (layout.format, (layout.width, layout.height), source.detail().unwrap())
    };
    let whole = |text: &str| format!("{text}, the whole picture");
    assert_eq!(given((300, 300), Fit::Stretch), (PixelFormat::Nv12, (640, 360), whole("NV12 640×360")));
    assert_eq!(given((320, 180), Fit::Stretch), (PixelFormat::Rgb, (320, 180), whole("RGB 320×180")));
    assert_eq!(given((640, 640), Fit::Letterbox), (PixelFormat::Rgb, (640, 360), whole("RGB 640×360")));
    assert_eq!(given((300, 300), Fit::Letterbox), (PixelFormat::Nv12, (320, 180), whole("NV12 320×180")));
}

#[test]
#[ignore = "needs an environment of its own: frames_reach_preprocessing_without_a_copy starts it"]
fn inner_vmem() {
    check("vdo:size=640x360", PixelFormat::Nv12, (640, 360), 640, 1);
}

#[test]
fn frames_reach_preprocessing_without_a_copy() {
    inside("inner_artpec8", &[("SPOTTER_SIM_CHIP", "artpec8")]);
    inside("inner_artpec9", &[("SPOTTER_SIM_CHIP", "artpec9")]);
    inside("inner_vmem", &[("SPOTTER_SIM_MEMORY", "vmem")]);
}

fn until(what: &str, limit: Duration, mut met: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs an environment of its own: buffers_are_given_back_for_ever starts it"]
fn inner_buffers() {
    let mut source = open("vdo:size=160x90,fps=240");
    let mut held = std::collections::VecDeque::new();
    for _ in 0..3000 {
        held.push_back(next(source.as_mut()));
        // One is looked at while the next waits.
        if held.len() > 2 {
            held.pop_front();
        }
    }
    // Frames outlive their source: the memory stays until the last is gone.
    drop(source);
    let sums: Vec<u64> =
        held.iter().map(|frame| frame.pixels.plane(0).0.iter().map(|byte| u64::from(*byte)).sum()).collect();
    assert!(sums.iter().all(|sum| *sum > 0));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(report()["streams"], 1, "{}", report());
    drop(held);
    until("the stream ends with its last frame", LIMIT, || report()["streams"] == 0);
    let report = report();
    assert_eq!(report["given"], report["returned"], "{report}");
    assert!(report["given"].as_u64().unwrap() >= 3000, "{report}");
}

#[test]
fn buffers_are_given_back_for_ever() {
    inside("inner_buffers", &[("SPOTTER_SIM_RATE", "240"), ("SPOTTER_SIM_SIZE", "320x180")]);
}

#[test]
#[ignore = "needs an environment of its own: the_rate_follows_detection starts it"]
fn inner_rate() {
    let mut source = open("vdo:size=320x180");
    let workload = Arc::new(Workload::default());
    source.follow(workload.clone());
    next(source.as_mut());
    assert_eq!(source.frame_rate(), Some(30.0));
    let mut slow = |time: u64| {
        (0..10).for_each(|_| workload.add(Duration::from_millis(time)));
        let choice = 4000.0 / time as f64;
        let begun = Instant::now();
        while !(0.95 * choice..=choice).contains(&report()["rates"][0].as_f64().unwrap_or_default()) {
            next(source.as_mut());
            assert!(begun.elapsed() < LIMIT, "{}", report());
        }
    };
    slow(150);
    slow(600);
    let mut fast = Instant::now();
    let begun = fast;
    while report()["rates"] != serde_json::json!([30]) {
        if fast.elapsed() > Duration::from_millis(300) {
            (0..10).for_each(|_| workload.add(Duration::from_millis(20)));
            fast = Instant::now();
        }
        next(source.as_mut());
        assert!(begun.elapsed() < LIMIT, "{}", report());
    }
    assert!(begun.elapsed() > Duration::from_secs(4), "more only after a while");
    assert_eq!(source.frame_rate(), Some(30.0));
    assert_eq!(report()["made"], 1, "all on one stream");
}

#[test]
fn the_rate_follows_detection_without_a_break() {
    inside("inner_rate", &[]);
}

#[test]
#[ignore = "needs an environment of its own: capture_and_inference_overlap_with_three_buffers starts it"]
fn inner_overlap() {
    let live = Detection::start(Device::new(Duration::from_millis(100)));
    let runs = || live.counts.all.load(Ordering::SeqCst);
    until("the rate has settled", LIMIT, || runs() >= 20);
    let (first, given) = (live.counts.overlapped.load(Ordering::SeqCst), report());
    let begun = runs();
    until("forty runs", LIMIT, || runs() >= begun + 40);
    let (overlapped, all) = (live.counts.overlapped.load(Ordering::SeqCst) - first, runs() - begun);
    let since = |name: &str| report()[name].as_u64().unwrap() - given[name].as_u64().unwrap_or_default();
    let (given, starved) = (since("given"), since("starved"));
    live.end();
    say(&format!(
        "100 ms: the camera gave a frame in {overlapped} of {all} runs; {given} given, {starved} starved"
    ));
    // While one frame is looked at the camera fills the next buffer: without that there would be none at all.
    assert!(overlapped * 10 >= all * 9, "{overlapped} of {all}");
    assert!(starved <= 8, "{starved} of {given} frames found no buffer");
}

#[test]
fn capture_and_inference_overlap_with_three_buffers() {
    inside("inner_overlap", &[]);
}

/// `spotter run --source vdo` on the simulated camera.
fn start(bench: &Bench, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
    let mut command = process::spotter();
    command.env("SPOTTER_VDO", camera::vdo()).env("SPOTTER_SIM_DIR", bench.path());
    command.envs(environment.iter().copied());
    command.args(["run", "--model", MODEL, "--listen", "127.0.0.1:0"]).args(arguments);
    Running::start_command(command, LIMIT)
}

fn inferred(running: &Running) -> u64 {
    running.http_get("/api/status").json()["frames"]["inferred"].as_u64().unwrap()
}

fn wait_for_frames(running: &Running, limit: Duration) {
    let before = inferred(running);
    until("frames go through the model", limit, || inferred(running) > before + 2);
}

/// Waits until no frame has come between twenty looks.
fn wait_for_silence(running: &Running) {
    let captured = || running.http_get("/api/status").json()["frames"]["captured"].as_u64().unwrap();
    let (mut before, mut same) = (captured(), 0);
    until("no frames come", LIMIT, || {
        let now = captured();
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same == 20
    });
}

/// The messages of `/api/live`: the JSON and the picture.
struct Live(std::io::BufReader<TcpStream>);

impl Live {
    fn open(running: &Running) -> Self {
        let mut stream = TcpStream::connect(&running.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "GET /api/live HTTP/1.1\r\nHost: {}\r\n\r\n", running.address).unwrap();
        let mut reader = std::io::BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        Self(reader)
    }

    fn next(&mut self) -> (Value, Vec<u8>) {
        let mut lengths = [0u8; 8];
        self.0.read_exact(&mut lengths).unwrap();
        let length = |at: usize| u32::from_le_bytes(lengths[at..at + 4].try_into().unwrap()) as usize;
        let (mut json, mut jpeg) = (vec![0; length(0)], vec![0; length(4)]);
        self.0.read_exact(&mut json).unwrap();
        self.0.read_exact(&mut jpeg).unwrap();
        (serde_json::from_slice(&json).unwrap(), jpeg)
    }

    /// The next picture: its number, that of the scene beside it, and the picture's size.
    fn pair(&mut self) -> (u32, u32, (usize, usize)) {
        loop {
            let (message, jpeg) = self.next();
            let Some(time) = message["scene"]["frame"]["pts_ms"].as_f64().filter(|_| !jpeg.is_empty()) else {
                continue;
            };
            let picture = turbojpeg::decompress(&jpeg, turbojpeg::PixelFormat::GRAY).unwrap();
            let size = (picture.width, picture.height);
            let shown = number(&picture.pixels, picture.pitch, 1, size);
            return (shown, number_at(Duration::from_secs_f64(time / 1e3), 30.0), size);
        }
    }
}

#[test]
fn the_picture_on_the_page_is_that_of_the_frame_that_was_analysed() {
    let bench = Bench::new();
    let running = start(&bench, &["--source", "vdo"], &[]);
    let mut live = Live::open(&running);
    let mut sizes = BTreeMap::new();
    for _ in 0..300 {
        let (shown, analysed, size) = live.pair();
        assert_eq!(shown, analysed);
        *sizes.entry(size).or_insert(0) += 1;
    }
    let status = running.http_get("/api/status").json();
    let (given, made) = (&status["pictures"]["from_source"], &status["pictures"]["encoded"]);
    let (given, made) = (given.as_u64().unwrap(), made.as_u64().unwrap());
    say(&format!("pictures: {given} from the camera, {made} encoded; {sizes:?}"));
    assert!(given > 10 * made, "{given} from the camera, {made} encoded");
    assert_eq!(bench.vdo()["streams"], 2);

    // The camera's encoder fails: pictures go on, and are right.
    bench.faults("vdo no-jpeg\nvdo late-jpeg 400\n");
    for _ in 0..30 {
        let (shown, analysed, _) = live.pair();
        assert_eq!(shown, analysed);
    }
    bench.faults("");
    // Nobody watches: the second stream ends.
    drop(live);
    until("the stream of pictures ends", LIMIT, || bench.vdo()["streams"] == 1);
    let finished = running.stop(process::AT_ONCE);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
fn results_are_fresh_and_no_frame_is_starved() {
    let bench = Bench::new();
    let running = start(&bench, &["--source", "vdo:fps=15"], &[]);
    wait_for_frames(&running, LIMIT);
    let before = bench.vdo();
    until("a hundred frames", LIMIT, || {
        bench.vdo()["given"].as_u64() >= before["given"].as_u64().map(|n| n + 100)
    });
    let status = running.http_get("/api/status").json();
    let after = bench.vdo();
    let difference = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    say(&format!(
        "stages {}; given {}, starved {}",
        status["stages"],
        difference("given"),
        difference("starved")
    ));
    assert!(difference("starved") * 20 <= difference("given"), "{before} {after}");
    assert_eq!(status["source"]["kind"], "camera");
    running.stop(process::AT_ONCE);
}

#[test]
fn every_fault_is_overcome_when_it_has_ended() {
    let bench = Bench::new();
    let running = start(&bench, &["--source", "vdo"], &[]);
    wait_for_frames(&running, LIMIT);
    let state = || running.http_get("/api/status").json();
    for (fault, said) in [
        ("vdo interface-down", Some("the camera has closed its video for maintenance")),
        ("vdo no-data", None),
        ("vdo stall", None),
        ("vdo interface-down\nvdo busy", Some("the camera has closed its video for maintenance")),
    ] {
        bench.faults(fault);
        match said {
            Some(said) => until(fault, LIMIT, || {
                let state = state();
                state["state"] == "reconnecting" && state["message"].as_str().unwrap_or("").contains(said)
            }),
            None => wait_for_silence(&running),
        }
        if said.is_some() {
            // Not at the first try: those wait longer and longer.
            until("it is tried again", LIMIT, || state()["source"]["retry_in_ms"].as_f64() > Some(1000.0));
        }
        bench.faults("");
        wait_for_frames(&running, LIMIT);
        until("it says that it is live", LIMIT, || state()["state"] == "live");
    }
    // The camera is turned, and turned back.
    let (width, height) = (state()["source"]["width"].clone(), state()["source"]["height"].clone());
    bench.faults("vdo rotation 90");
    until("the picture is upright", LIMIT, || {
        let source = &state()["source"];
        source["width"].as_u64() < source["height"].as_u64()
    });
    wait_for_frames(&running, LIMIT);
    bench.faults("");
    until("the picture is level", LIMIT, || {
        let source = &state()["source"];
        (&source["width"], &source["height"]) == (&width, &height)
    });
    wait_for_frames(&running, LIMIT);
    let report = bench.vdo();
    let out = report["given"].as_u64().unwrap() - report["returned"].as_u64().unwrap();
    assert!(out <= 3 && report["streams"] == 1, "{report}");
    let finished = running.stop(process::AT_ONCE);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
fn what_the_camera_refuses_is_asked_for_otherwise() {
    let bench = Bench::new();
    let running = start(&bench, &["--source", "vdo"], &[("SPOTTER_SIM_CHIP", "artpec9")]);
    wait_for_frames(&running, LIMIT);
    let state = || running.http_get("/api/status").json();
    let detail = || state()["source"]["detail"].as_str().unwrap_or_default().to_owned();
    let usual = detail();
    assert_eq!(usual, "NV12 480×270, the whole picture");
    let again = |faults: &str| {
        // The camera's maintenance ends the stream before.
        bench.faults("vdo interface-down");
        until("it goes down", LIMIT, || state()["state"] == "reconnecting");
        bench.faults(faults);
    };
    for (faults, wanted) in [
        // A size that is not offered: the next larger one, then the next smaller one.
        ("vdo no-size 480x270", "NV12 640×360, the whole picture"),
        (
            "vdo no-size 480x270\nvdo no-size 640x360\nvdo no-size 852x480\nvdo no-size 1280x720",
            "NV12 320×180, the whole picture",
        ),
        // Too many frames: fewer.
        ("vdo max-rate 16", "NV12 320×180, the whole picture"),
    ] {
        again(faults);
        until(faults, LIMIT, || detail() == wanted);
        wait_for_frames(&running, LIMIT);
    }
    assert!(state()["source"]["fps"].as_f64().unwrap() <= 16.0, "{}", state()["source"]);

    // Busy: told with the way out, and over within ten seconds of its end.
    again("vdo busy");
    until("it says why", LIMIT, || {
        let message = state()["message"].as_str().unwrap_or_default().to_owned();
        message.contains("the camera gives no more streams at present")
            && message.contains("end others that use its video")
    });
    bench.faults("");
    wait_for_frames(&running, LIMIT);
    until("the usual frames", LIMIT, || detail() == usual);
    let finished = running.stop(process::AT_ONCE);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
#[ignore = "needs an environment of its own: the_kernel_says_what_a_dma_buf_is starts it"]
fn inner_memory() {
    let mut source = open("vdo:size=320x180");
    let shared = next(source.as_mut()).pixels.shared().unwrap();
    assert_eq!(Ok(shared.dma_buf.to_string()), std::env::var("WANTED"));
}

#[test]
fn the_kernel_says_what_a_dma_buf_is() {
    // The simulated camera's memory is a memfd whatever it is called, which the kernel knows.
    for (memory, wanted) in [("memfd", "false"), ("", "false"), ("something new", "false"), ("vmem", "false")]
    {
        inside("inner_memory", &[("SPOTTER_SIM_MEMORY", memory), ("WANTED", wanted)]);
    }
    // Where the camera says it outright, it is believed.
    inside("inner_memory", &[("SPOTTER_SIM_MEMORY", "dmabuf"), ("WANTED", "true")]);
}

#[test]
fn the_camera_is_the_source_where_there_is_one() {
    let bench = Bench::new();
    let running = start(&bench, &[], &[]);
    assert!(running.wait_for_line("source   vdo", LIMIT));
    wait_for_frames(&running, LIMIT);
    running.stop(process::AT_ONCE);

    let mut command = process::spotter();
    command.env("SPOTTER_VDO", "/nowhere/libvdostream.so.1");
    command.args(["run", "--source", "vdo", "--listen", "127.0.0.1:0"]);
    let finished = process::run_command(command, LIMIT);
    assert_eq!(finished.code, Some(3), "{finished:#?}");
    assert!(finished.stderr.contains("there is no camera here to take pictures from: "), "{finished:#?}");
}

/// How many white fields the page's picture has at its bottom: the number of its sensor.
fn sensor_of_picture(running: &Running) -> usize {
    let answer = running.http_get("/api/v1/snapshot.jpg?boxes=0");
    let Ok(picture) = turbojpeg::decompress(&answer.body, turbojpeg::PixelFormat::GRAY) else { return 0 };
    let row = picture.height * 15 / 16 * picture.pitch;
    (0..8).filter(|field| picture.pixels[row + (2 * field + 1) * picture.width / 16] > 128).count()
}

fn look_at(running: &Running, sensor: &str) {
    let body = format!("{{\"sensor\": \"{sensor}\"}}");
    let answer = process::http(&running.address, "PATCH", "/api/v1/settings", &[], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn sensors(running: &Running) -> Value {
    running.http_get("/api/v1/sensors").json()
}

const SENSORS: &[(&str, &str)] = &[("SPOTTER_SIM_SENSORS", "3"), ("SPOTTER_SIM_SIZE", "640x360")];

#[test]
fn a_sensor_is_chosen_while_it_runs_and_kept_over_restarts() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.json");
    let kept = ["--settings", settings.to_str().unwrap()];
    let running = start(&bench, &kept, SENSORS);
    wait_for_frames(&running, LIMIT);
    let listed = sensors(&running);
    let ids: Vec<&str> =
        listed["sensors"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["input=1", "input=2", "input=3"], "{listed}");
    assert_eq!((&listed["wanted"], &listed["sensors"][1]["title"]), (&"input=1".into(), &"Sensor 2".into()));
    assert_eq!(sensor_of_picture(&running), 1);
    // Somebody watches: the camera's own pictures follow too.
    let mut live = Live::open(&running);
    live.pair();
    for (sensor, fields) in [("input=3", 3), ("channel=2", 2), ("input=1", 1), ("input=2", 2)] {
        look_at(&running, sensor);
        until(sensor, LIMIT, || sensor_of_picture(&running) == fields);
        wait_for_frames(&running, LIMIT);
        assert_eq!(running.http_get("/api/status").json()["source"]["sensor"], sensor);
        // The picture and the frame of its boxes stay one.
        for _ in 0..20 {
            let (shown, analysed, _) = live.pair();
            assert_eq!(shown, analysed, "{sensor}");
        }
    }
    drop(live);
    until("the streams before are closed", LIMIT, || bench.vdo()["streams"] == 1);
    assert_eq!(running.stop(LIMIT).code, Some(0));

    let again = start(&bench, &kept, SENSORS);
    assert!(again.wait_for_line("sensor   input=2, chosen on the page", LIMIT));
    wait_for_frames(&again, LIMIT);
    assert_eq!(sensor_of_picture(&again), 2);
    again.stop(LIMIT);
    // Another command line is the newer decision.
    let other = start(&bench, &[&kept[..], &["--source", "vdo:input=3"]].concat(), SENSORS);
    wait_for_frames(&other, LIMIT);
    assert_eq!(sensor_of_picture(&other), 3);
    other.stop(LIMIT);
}

#[test]
fn a_sensor_that_is_gone_is_told_and_another_shown_in_its_place() {
    let bench = Bench::new();
    let running = start(&bench, &["--source", "vdo:input=2"], SENSORS);
    wait_for_frames(&running, LIMIT);
    assert_eq!(sensor_of_picture(&running), 2);
    let notices = || running.http_get("/api/status").json()["notices"].to_string();
    bench.faults("vdo gone 2\n");
    let says = "the camera has no sensor 2: sensor 1 is shown in its place; choose another sensor";
    until("it is told", LIMIT, || notices().contains(says));
    until("another is shown", LIMIT, || sensor_of_picture(&running) == 1);
    let listed = sensors(&running);
    assert_eq!(listed["sensors"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!((&listed["wanted"], &listed["shown"]), (&"input=2".into(), &"input=1".into()));
    // Another is chosen: nothing is missed any more.
    look_at(&running, "input=3");
    until("the third is shown", LIMIT, || sensor_of_picture(&running) == 3);
    assert_eq!(notices(), "[]");
    // The one that is back is shown when it is wanted again.
    bench.faults("");
    look_at(&running, "input=2");
    until("the second is back", LIMIT, || sensor_of_picture(&running) == 2);
    running.stop(LIMIT);
}

#[test]
fn the_page_offers_the_sensors_of_a_camera_that_has_several() {
    let bench = Bench::new();
    let Some(mut browser) = crate::common::browser::Browser::launch() else { return };
    let row = "document.getElementById('sensor-row')";
    let one = start(&bench, &[], &[]);
    wait_for_frames(&one, LIMIT);
    browser.navigate(&format!("http://{}/", one.address));
    browser.wait_for("window.spotter?.framesShown > 2 && !document.getElementById('settings').hidden", LIMIT);
    let unseen = format!("{row}.hidden && getComputedStyle({row}).display === 'none'");
    assert_eq!(browser.eval(&unseen), Value::Bool(true), "there is nothing to choose");
    one.stop(LIMIT);

    let running = start(&bench, &[], SENSORS);
    wait_for_frames(&running, LIMIT);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for(
        &format!("{row} && !{row}.hidden && !document.getElementById('sensor').matches(':disabled')"),
        LIMIT,
    );
    let titles = browser.eval("[...document.querySelectorAll('#sensor option')].map((one) => one.text)");
    assert_eq!(titles, serde_json::json!(["Sensor 1", "Sensor 2", "Sensor 3"]));
    let choose = "(() => { const field = document.getElementById('sensor'); field.value = 'input=3'; field.dispatchEvent(new Event('change')); })()";
    browser.eval(choose);
    until("the third is shown", LIMIT, || sensor_of_picture(&running) == 3);
    browser.wait_for("document.getElementById('sensor').value === 'input=3'", LIMIT);
    // Gone, it stays to be seen as what is wanted.
    bench.faults("vdo gone 3\n");
    browser
        .wait_for("document.querySelector('#sensor option:checked').text === 'Sensor 3 (not there)'", LIMIT);
    browser.wait_for(
        "document.getElementById('notices').textContent.includes('the camera has no sensor 3')",
        LIMIT,
    );
    if let Some(folder) = std::env::var_os("SPOTTER_SCREENSHOTS") {
        for (name, width, height, dark) in
            [("sensor-desktop", 1280, 900, false), ("sensor-phone-dark", 390, 1600, true)]
        {
            browser.set_viewport(width, height, 1.0, dark);
            browser.screenshot(&std::path::Path::new(&folder).join(format!("{name}.png")));
        }
    }
    assert_eq!(browser.console_problems(), Vec::<String>::new());
    running.stop(LIMIT);
}
