//! The simulated library through its C interface, opened as a program on a camera opens it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::{Duration, Instant};

use libloading::Library;

type Object = *mut c_void;

/// GLib's GError.
#[repr(C)]
struct Error {
    domain: u32,
    code: c_int,
    message: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair(u32, u32);

struct Sim {
    library: Library,
    glib: Library,
    folder: PathBuf,
}

macro_rules! call {
    ($sim:expr, $name:ident($($arg:expr => $type:ty),*) -> $ret:ty) => {{
        // SAFETY: the types are those of Axis's public headers.
        unsafe {
            let function: libloading::Symbol<'_, unsafe extern "C" fn($($type),*) -> $ret> =
                $sim.library.get(stringify!($name)).expect(stringify!($name));
            function($($arg),*)
        }
    }};
}

impl Sim {
    fn open(folder: &Path) -> Self {
        let program = std::env::current_exe().expect("a test has a file");
        // Cargo puts the library beside the tests of its crate.
        let file = program.parent().expect("a file is in a folder").join("libvdostream.so");
        // SAFETY: libraries whose constructors may run here.
        let (library, glib) = unsafe {
            (
                Library::new(&file).expect("the library was built"),
                Library::new("libgobject-2.0.so.0").expect("GLib"),
            )
        };
        Self { library, glib, folder: folder.to_owned() }
    }

    fn faults(&self, lines: &str) {
        std::fs::write(self.folder.join("faults"), lines).expect("a folder that can be written");
    }

    fn unref(&self, object: Object) {
        // SAFETY: g_object_unref's type; the object is a GObject of ours.
        unsafe {
            let unref: libloading::Symbol<'_, unsafe extern "C" fn(Object)> =
                self.glib.get("g_object_unref").expect("GObject");
            unref(object);
        }
    }

    /// Settings of a stream; `numbers` beside what every stream has.
    fn settings(&self, size: (u32, u32), numbers: &[(&CStr, u32)]) -> Object {
        let map = call!(self, vdo_map_new() -> Object);
        call!(self, vdo_map_set_pair32u(map => Object, c"resolution".as_ptr() => *const c_char, Pair(size.0, size.1) => Pair) -> ());
        call!(self, vdo_map_set_boolean(map => Object, c"socket.blocking".as_ptr() => *const c_char, 0 => c_int) -> ());
        call!(self, vdo_map_set_boolean(map => Object, c"dynamic.framerate".as_ptr() => *const c_char, 1 => c_int) -> ());
        for (key, value) in numbers {
            call!(self, vdo_map_set_uint32(map => Object, key.as_ptr() => *const c_char, *value => u32) -> ());
        }
        map
    }

    fn stream(&self, size: (u32, u32), numbers: &[(&CStr, u32)]) -> Result<Object, c_int> {
        let settings = self.settings(size, numbers);
        let mut error: *mut Error = ptr::null_mut();
        let stream = call!(self, vdo_stream_new(settings => Object, ptr::null_mut() => Object, &mut error => *mut *mut Error) -> Object);
        self.unref(settings);
        if stream.is_null() { Err(self.code(error)) } else { Ok(stream) }
    }

    fn started(&self, size: (u32, u32), numbers: &[(&CStr, u32)]) -> Object {
        let stream = self.stream(size, numbers).expect("a stream");
        assert_eq!(
            call!(self, vdo_stream_start(stream => Object, ptr::null_mut() => *mut *mut Error) -> c_int),
            1
        );
        stream
    }

    /// The code of an error, which is freed.
    fn code(&self, error: *mut Error) -> c_int {
        assert!(!error.is_null(), "a failure has an error");
        let quark = call!(self, vdo_error_quark() -> u32);
        // SAFETY: a GError that is ours.
        unsafe {
            assert_eq!((*error).domain, quark);
            assert!(!CStr::from_ptr((*error).message).is_empty());
            let code = (*error).code;
            let free: libloading::Symbol<'_, unsafe extern "C" fn(*mut Error)> =
                self.glib.get("g_error_free").expect("GLib");
            free(error);
            code
        }
    }

    fn buffer(&self, stream: Object) -> Result<Object, c_int> {
        let mut error: *mut Error = ptr::null_mut();
        let buffer =
            call!(self, vdo_stream_get_buffer(stream => Object, &mut error => *mut *mut Error) -> Object);
        if buffer.is_null() { Err(self.code(error)) } else { Ok(buffer) }
    }

    /// The next frame, waited for.
    fn wait(&self, stream: Object) -> Object {
        let begun = Instant::now();
        loop {
            match self.buffer(stream) {
                Ok(buffer) => return buffer,
                Err(13) => std::thread::sleep(Duration::from_millis(1)),
                Err(code) => panic!("error {code}"),
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no frame comes");
        }
    }

    fn back(&self, stream: Object, mut buffer: Object) {
        let given = call!(self, vdo_stream_buffer_unref(stream => Object, &mut buffer => *mut Object, ptr::null_mut() => *mut *mut Error) -> c_int);
        assert_eq!((given, buffer), (1, ptr::null_mut()));
    }

    fn time(&self, buffer: Object) -> u64 {
        let frame = call!(self, vdo_buffer_get_frame(buffer => Object) -> Object);
        call!(self, vdo_frame_get_timestamp(frame => Object) -> u64)
    }

    fn info(&self, stream: Object, key: &CStr) -> u32 {
        let info =
            call!(self, vdo_stream_get_info(stream => Object, ptr::null_mut() => *mut *mut Error) -> Object);
        let value =
            call!(self, vdo_map_get_uint32(info => Object, key.as_ptr() => *const c_char, 0 => u32) -> u32);
        self.unref(info);
        value
    }

    fn bytes(&self, buffer: Object) -> &[u8] {
        let data = call!(self, vdo_buffer_get_data(buffer => Object) -> *const u8);
        let size = call!(self, vdo_buffer_get_capacity(buffer => Object) -> usize);
        // SAFETY: as many bytes as the buffer has; it is not given back meanwhile.
        unsafe { std::slice::from_raw_parts(data, size) }
    }
}

const JPEG: (&CStr, u32) = (c"format", 2);
const NV12: (&CStr, u32) = (c"format", 3);
const RGB: (&CStr, u32) = (c"format", 8);
const PLANAR: (&CStr, u32) = (c"format", 9);

/// The number in the top eighth of a luma plane.
fn number(luma: &[u8], pitch: usize, (width, height): (usize, usize)) -> u32 {
    (0..32).fold(0, |number, cell| {
        let at = height / 16 * pitch + (2 * cell + 1) * width / 64;
        number << 1 | u32::from(luma[at] > 128)
    })
}

/// The number that belongs to a capture time, at 30 frames a second.
fn number_at(time: u64) -> u32 {
    ((time * 30 + 500_000) / 1_000_000) as u32
}

fn frames_are_as_said(sim: &Sim) {
    let stream = sim.started((300, 168), &[NV12]);
    assert_eq!((sim.info(stream, c"width"), sim.info(stream, c"height")), (300, 168));
    assert_eq!(sim.info(stream, c"pitch"), 320);
    let mut fds = std::collections::BTreeSet::new();
    let mut last = 0;
    for _ in 0..30 {
        let buffer = sim.wait(stream);
        fds.insert(call!(sim, vdo_buffer_get_fd(buffer => Object) -> c_int));
        let (bytes, time) = (sim.bytes(buffer), sim.time(buffer));
        assert_eq!(bytes.len(), 80_640);
        assert_eq!(number(bytes, 320, (300, 168)), number_at(time));
        assert!(time > last);
        last = time;
        sim.back(stream, buffer);
    }
    assert!(fds.len() <= 3, "three buffers are used again and again: {fds:?}");
    sim.unref(stream);
}

fn nothing_comes_while_no_buffer_is_given_back(sim: &Sim) {
    let stream = sim.started((320, 180), &[NV12, (c"buffer.count", 2)]);
    let held = [sim.wait(stream), sim.wait(stream)];
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(sim.buffer(stream), Err(13), "both buffers are with us");
    let shown = number(sim.bytes(held[0]), 320, (320, 180));
    assert_eq!(shown, number_at(sim.time(held[0])), "nobody writes a buffer that is with us");
    sim.back(stream, held[0]);
    let next = sim.wait(stream);
    assert!(sim.time(next) > sim.time(held[1]) + 100_000, "frames in between are lost");
    sim.back(stream, next);
    sim.back(stream, held[1]);
    sim.unref(stream);
}

fn streams_share_the_capture_time_and_the_picture(sim: &Sim) {
    let (raw, jpeg) = (sim.started((640, 360), &[NV12]), sim.started((1280, 720), &[JPEG]));
    let mut numbers = std::collections::BTreeSet::new();
    let mut matched = 0;
    for _ in 0..30 {
        let buffer = sim.wait(raw);
        numbers.insert(sim.time(buffer));
        sim.back(raw, buffer);
        let buffer = sim.wait(jpeg);
        let frame = call!(sim, vdo_buffer_get_frame(buffer => Object) -> Object);
        let size = call!(sim, vdo_frame_get_size(frame => Object) -> usize);
        let picture =
            turbojpeg::decompress(&sim.bytes(buffer)[..size], turbojpeg::PixelFormat::GRAY).expect("a JPEG");
        assert_eq!((picture.width, picture.height), (1280, 720));
        assert_eq!(number(&picture.pixels, picture.pitch, (1280, 720)), number_at(sim.time(buffer)));
        matched += u32::from(numbers.contains(&sim.time(buffer)));
        sim.back(jpeg, buffer);
    }
    assert!(matched >= 15, "{matched} of 30");
    sim.unref(raw);
    sim.unref(jpeg);
}

fn formats_are_those_of_the_chip(sim: &Sim) {
    // ARTPEC-8.
    assert_eq!(sim.stream((320, 180), &[RGB]), Err(5));
    let stream = sim.started((320, 180), &[PLANAR]);
    let buffer = sim.wait(stream);
    assert_eq!(sim.bytes(buffer).len(), 3 * 320 * 180);
    sim.back(stream, buffer);
    sim.unref(stream);
    assert_eq!(sim.stream((321, 180), &[NV12]), Err(3));
    assert_eq!(sim.stream((320, 180), &[NV12, (c"input", 9)]), Err(1));
}

fn the_rate_changes_without_a_break(sim: &Sim) {
    let stream = sim.started((320, 180), &[NV12]);
    let steps = |count: usize| -> Vec<u64> {
        let times: Vec<u64> = (0..count)
            .map(|_| {
                let buffer = sim.wait(stream);
                let time = sim.time(buffer);
                sim.back(stream, buffer);
                time
            })
            .collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    steps(3);
    let set = call!(sim, vdo_stream_set_framerate(stream => Object, 10.0 => f64, ptr::null_mut() => *mut *mut Error) -> c_int);
    assert_eq!(set, 1);
    steps(5);
    let mut slow = steps(6);
    slow.sort_unstable();
    assert!(slow[2] >= 99_000, "{slow:?}");
    sim.unref(stream);
}

fn faults_come_and_go(sim: &Sim) {
    let stream = sim.started((320, 180), &[NV12]);
    let buffer = sim.wait(stream);
    sim.faults("larod power\nvdo no-data\n");
    for _ in 0..5 {
        assert_eq!(sim.buffer(stream), Err(13));
        std::thread::sleep(Duration::from_millis(20));
    }
    sim.faults("");
    sim.back(stream, buffer);
    let buffer = sim.wait(stream);
    sim.back(stream, buffer);

    sim.faults("vdo no-size 320x180\nvdo max-rate 10\n");
    assert_eq!(sim.stream((320, 180), &[NV12]), Err(5));
    assert_eq!(sim.stream((640, 360), &[NV12]), Err(7));
    let slow = sim.stream((640, 360), &[NV12, (c"framerate", 10)]).expect("a stream of ten frames a second");
    sim.faults("vdo max-streams 2\n");
    assert_eq!(sim.stream((320, 180), &[NV12]), Err(7), "two there are");
    sim.unref(slow);
    sim.faults("vdo busy\n");
    assert_eq!(sim.stream((320, 180), &[NV12]), Err(7));
    sim.faults("vdo no-jpeg");
    assert_eq!(sim.stream((320, 180), &[JPEG]), Err(5));

    sim.faults("vdo rotation 90\n");
    assert_eq!(sim.buffer(stream), Err(16));
    let turned = sim.started((320, 180), &[NV12]);
    assert_eq!((sim.info(turned, c"width"), sim.info(turned, c"height")), (180, 320));
    let buffer = sim.wait(turned);
    // What was above is now to the right, from top to bottom: turned clockwise.
    let (bytes, time) = (sim.bytes(buffer), sim.time(buffer));
    let column: Vec<u8> = (0..320).map(|row| bytes[row * 192 + 180 - 11]).collect();
    assert_eq!(number(&column, 0, (320, 16)), number_at(time));
    sim.back(turned, buffer);
    sim.unref(turned);

    sim.faults("vdo interface-down\n");
    assert_eq!((sim.buffer(stream), sim.stream((320, 180), &[NV12])), (Err(16), Err(16)));
    sim.faults("");
    assert_eq!(sim.buffer(stream), Err(16), "a stream that went down stays so");
    sim.unref(stream);
}

/// One test: environment and faults belong to the process.
#[test]
fn the_interface_keeps_its_word() {
    let folder = tempfile::tempdir().expect("room for a folder");
    // SAFETY: no other thread of this process reads or writes the environment yet.
    unsafe {
        std::env::set_var("SPOTTER_SIM_DIR", folder.path());
        std::env::set_var("SPOTTER_SIM_CHIP", "artpec8");
    }
    let sim = Sim::open(folder.path());
    frames_are_as_said(&sim);
    nothing_comes_while_no_buffer_is_given_back(&sim);
    streams_share_the_capture_time_and_the_picture(&sim);
    formats_are_those_of_the_chip(&sim);
    the_rate_changes_without_a_break(&sim);
    faults_come_and_go(&sim);
}

/// Runs one of the tests below in a process with this environment. How it ended, and what it said.
fn inside(test: &str, environment: &[(&str, &str)]) -> (std::process::ExitStatus, String) {
    let folder = tempfile::tempdir().expect("room for a folder");
    let mut command = std::process::Command::new(std::env::current_exe().expect("a test has a file"));
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env("SPOTTER_SIM_DIR", folder.path()).envs(environment.iter().copied());
    let output = command.output().expect("it starts");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn here() -> Sim {
    Sim::open(Path::new(&std::env::var("SPOTTER_SIM_DIR").expect("started by another test")))
}

/// A stream of 300x300 that is to contain the whole picture: whether rows above and below are black.
fn bars(sim: &Sim, format: (&CStr, u32)) -> Result<(bool, bool), c_int> {
    let settings = sim.settings((300, 300), &[format, (c"width", 300), (c"height", 300)]);
    let key = c"image.fit".as_ptr();
    call!(sim, vdo_map_set_string(settings => Object, key => *const c_char, c"scale".as_ptr() => *const c_char) -> ());
    let mut error: *mut Error = ptr::null_mut();
    let stream = call!(sim, vdo_stream_new(settings => Object, ptr::null_mut() => Object, &mut error => *mut *mut Error) -> Object);
    sim.unref(settings);
    if stream.is_null() {
        return Err(sim.code(error));
    }
    call!(sim, vdo_stream_start(stream => Object, ptr::null_mut() => *mut *mut Error) -> c_int);
    let buffer = sim.wait(stream);
    let pitch = sim.info(stream, c"pitch") as usize;
    let black = |row: usize| sim.bytes(buffer)[row * pitch..][..300].iter().all(|byte| *byte <= 16);
    let found = (black(40), black(295));
    assert!(!black(150));
    sim.back(stream, buffer);
    sim.unref(stream);
    Ok(found)
}

#[test]
#[ignore = "needs an environment of its own: pictures_are_cut_or_barred_as_version_and_chip_do starts it"]
fn inner_bars() {
    let format = match std::env::var("FORMAT").as_deref() {
        Ok("rgb") => RGB,
        Ok("planar") => PLANAR,
        _ => NV12,
    };
    let said = format!("{:?}", bars(&here(), format));
    assert_eq!(Ok(said), std::env::var("WANTED"));
}

/// using-opencv/app/example.cpp: "image.fit": "crop" clips to cover the frame and "scale" shrinks to contain the image (AXIS
/// OS 12.7+ and Artpec-7+). "crop" works on all platforms. On Ambarella CV25, only YUV and RGB work with "scale".
#[test]
fn pictures_are_cut_or_barred_as_version_and_chip_do() {
    let (barred, cut) = ("Ok((true, true))", "Ok((false, false))");
    for (chip, os, format, more, wanted) in [
        ("artpec9", "12.7", "rgb", ("", ""), barred),
        ("artpec8", "13.0", "nv12", ("", ""), barred),
        // Where the bars are is said nowhere.
        ("artpec9", "12.11", "rgb", ("SPOTTER_SIM_BARS", "below"), "Ok((false, true))"),
        // What a version does with a key that it does not know is said nowhere.
        ("artpec9", "12.5", "rgb", ("", ""), cut),
        ("artpec9", "12.5", "rgb", ("SPOTTER_SIM_UNKNOWN", "refuse"), "Err(3)"),
        ("cv25", "12.11", "rgb", ("", ""), barred),
        ("cv25", "12.11", "planar", ("", ""), cut),
    ] {
        let mut environment =
            vec![("SPOTTER_SIM_CHIP", chip), ("SPOTTER_SIM_OS", os), ("FORMAT", format), ("WANTED", wanted)];
        environment.extend(Some(more).filter(|(name, _)| !name.is_empty()));
        let (status, said) = inside("inner_bars", &environment);
        assert!(status.success(), "{environment:?}: {said}");
    }
}

#[test]
#[ignore = "needs an environment of its own: keys_are_those_of_the_version starts it"]
fn inner_keys() {
    let sim = here();
    let settings = sim.settings((320, 180), &[NV12]);
    let key = c"framerate".as_ptr();
    call!(sim, vdo_map_set_double(settings => Object, key => *const c_char, 10.0 => f64) -> ());
    let mut error: *mut Error = ptr::null_mut();
    let stream = call!(sim, vdo_stream_new(settings => Object, ptr::null_mut() => Object, &mut error => *mut *mut Error) -> Object);
    sim.unref(settings);
    let said = if stream.is_null() {
        format!("refused {}", sim.code(error))
    } else {
        let info =
            call!(sim, vdo_stream_get_info(stream => Object, ptr::null_mut() => *mut *mut Error) -> Object);
        let rate = call!(sim, vdo_map_get_double(info => Object, key => *const c_char, -1.0 => f64) -> f64);
        format!("{} {} {rate}", sim.info(stream, c"width"), sim.info(stream, c"framerate"))
    };
    assert_eq!(Ok(said), std::env::var("WANTED"));
}

/// The table of vdo-stream.h of AXIS OS 12.2: no "resolution"; "framerate" is "uint32". Later ones have them from 12.4 and
/// 12.6 on.
#[test]
fn keys_are_those_of_the_version() {
    for (os, unknown, wanted) in [
        // Neither the size nor the rate is taken.
        ("12.2", "ignore", "1280 30 -1"),
        ("12.5", "ignore", "320 30 -1"),
        ("12.5", "refuse", "refused 3"),
        ("12.7", "refuse", "320 0 10"),
        ("13.0", "ignore", "320 0 10"),
    ] {
        let environment = [("SPOTTER_SIM_OS", os), ("SPOTTER_SIM_UNKNOWN", unknown), ("WANTED", wanted)];
        let (status, said) = inside("inner_keys", &environment);
        assert!(status.success(), "{environment:?}: {said}");
    }
}

#[test]
#[ignore = "ends its process: misuse_ends_the_program_with_a_sentence starts it"]
fn inner_misuse() {
    let sim = here();
    let (one, other) = (sim.started((320, 180), &[NV12]), sim.started((640, 360), &[NV12]));
    let mut buffer = sim.wait(one);
    let again = buffer;
    let give = |stream: Object, buffer: &mut Object| call!(sim, vdo_stream_buffer_unref(stream => Object, buffer => *mut Object, ptr::null_mut() => *mut *mut Error) -> c_int);
    let map = sim.settings((320, 180), &[NV12]);
    match std::env::var("MISUSE").as_deref() {
        Ok("object twice") => {
            sim.unref(map);
            sim.unref(map);
        }
        Ok("object after") => {
            sim.unref(map);
            call!(sim, vdo_map_set_uint32(map => Object, c"format".as_ptr() => *const c_char, 3 => u32) -> ());
        }
        Ok("buffer twice") => {
            give(one, &mut buffer);
            give(one, &mut { again });
        }
        Ok("buffer after") => {
            give(one, &mut buffer);
            call!(sim, vdo_buffer_get_data(again => Object) -> Object);
        }
        Ok("buffer elsewhere") => {
            give(other, &mut buffer);
        }
        Ok("buffer foreign") => {
            give(one, &mut { map });
        }
        Ok("buffer orphaned") => {
            sim.unref(one);
            // The sensor may just be filling one of its buffers.
            std::thread::sleep(Duration::from_millis(200));
            call!(sim, vdo_buffer_get_data(again => Object) -> Object);
        }
        Ok("error over another") => {
            let mut error: *mut Error = ptr::null_mut();
            for _ in 0..2 {
                call!(sim, vdo_channel_get(9 => u32, &mut error => *mut *mut Error) -> Object);
            }
        }
        // Used as it is meant to be.
        _ => {
            give(one, &mut buffer);
            assert!(buffer.is_null());
            [map, one, other].into_iter().for_each(|object| sim.unref(object));
        }
    }
}

#[test]
fn misuse_ends_the_program_with_a_sentence() {
    let (status, said) = inside("inner_misuse", &[("MISUSE", "none")]);
    assert!(status.success(), "{said}");
    for (misuse, sentence) in [
        // vdo-stream.h: "Free with g_object_unref()", once for each that was given.
        ("object twice", "an object is released once more than it was given out"),
        ("object after", "a VdoMap is used after it was released"),
        // vdo-stream.h: "Decreases the reference count for the specified buffer. The buffer is freed by the vdo service
        // when the reference count reaches 0."
        ("buffer twice", "a buffer is given back twice"),
        // vdo-buffer.h: "Beware this pointer is only valid for as long as the VdoBuffer itself is valid."
        ("buffer after", "a buffer is used after it was given back"),
        // vdo-stream.h: "Enqueue a buffer for this video stream": buffers are of their stream.
        ("buffer elsewhere", "a buffer is given back to another stream than the one that gave it"),
        ("buffer foreign", "a buffer is used that no stream has given"),
        // vdo-stream.h: "The vdo service performs the actual memory allocation and owns the buffer."
        ("buffer orphaned", "a buffer is used after the end of its stream"),
        // GLib's rule for a GError**: it points to NULL.
        ("error over another", "an error is put over one that nobody has freed"),
    ] {
        let (status, said) = inside("inner_misuse", &[("MISUSE", misuse)]);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{misuse}: {said}");
        assert!(said.contains(&format!("simulated libvdostream: {sentence}")), "{misuse}: {said}");
    }
}
