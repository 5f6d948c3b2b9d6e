//! A stand-in for a camera's `libvdostream.so.1`: the C interface of Axis's video capture, with pictures of a clip or
//! drawn ones. It is for tests and for people without a camera; how a camera behaves where public text is silent is
//! assumed (docs/design/vdo.md says what).
//!
//! Environment:
//!
//! - `SPOTTER_SIM_CHIP`: `artpec7`, `artpec8`, `artpec9` or `cv25`; decides the formats. Else `artpec8`.
//! - `SPOTTER_SIM_OS`: the version of AXIS OS, as `11.11`; decides the keys of settings. Else `12.11`.
//! - `SPOTTER_SIM_UNKNOWN`: what happens to a key that the version does not know: `ignore` (default) or `refuse`.
//! - `SPOTTER_SIM_BARS`: where a picture lies that does not fill its frame (`image.fit` = `scale`): in the `middle`
//!   (default), or with all bars `below` and to the right of it.
//! - `SPOTTER_SIM_SOURCE`: a clip, which loops; played by `gst-launch-1.0` in a process of its own. One of less than
//!   256 MiB of pixels is kept whole: frame `n` shows its picture `n`, counted on from 0 behind the last. Else (none, or
//!   `demo`) a drawn picture whose top eighth shows the frame's number as 32 black or white cells, highest bit first.
//!   A file `….i420` is the bare pictures, of the sensor's size.
//! - `SPOTTER_SIM_SIZE`: the sensor's size, else `1280x720`.
//! - `SPOTTER_SIM_SENSORS`: how many sensors the camera has, else 1. With several, each picture has as many white fields
//!   of eight at its bottom as its sensor's number says.
//! - `SPOTTER_SIM_MEMORY`: `memfd` (default), `dmabuf` (says so; it is a memfd still) or `vmem` (one descriptor,
//!   a buffer an offset).
//! - `SPOTTER_SIM_PITCH`: rows are a multiple of this many bytes apart; else 64, so that 300 columns are 320 bytes.
//! - `SPOTTER_SIM_DIR`: a folder with the file `faults`; the library writes what it counts into `vdo.json` there.
//!
//! - `SPOTTER_SIM_RATE`: frames that the sensor gives a second, else 30.
//!
//! Frame `n` is captured `n` times one part of that rate (a thirtieth of a second) after the start of the monotonic
//! clock, so number and capture time tell each other.
//!
//! `faults` has one fault a line and is read again at each call; what does not begin with `vdo` is for others:
//!
//! | line | while it is there |
//! |---|---|
//! | `vdo no-data` | no stream has a frame (`NO_DATA`), though its descriptor says so |
//! | `vdo stall` | the sensor gives no frames |
//! | `vdo interface-down` | every call on a stream fails with `INTERFACE_DOWN`, and none can be made |
//! | `vdo busy` | no stream can be made (`BUSY`) |
//! | `vdo rotation 90` | the picture is turned; streams made before fail with `INTERFACE_DOWN` |
//! | `vdo gone 2` | the second sensor is not there; its streams fail with `INTERFACE_DOWN`, and none can be made |
//! | `vdo no-rgb` | RGB, in planes or not, is `NOT_SUPPORTED` |
//! | `vdo no-size 640x360` | streams of that size are `NOT_SUPPORTED`, but for JPEG; one line for each size |
//! | `vdo max-rate 10` | streams of more frames a second are `BUSY` |
//! | `vdo max-streams 1` | more streams than that at once are `BUSY` |
//! | `vdo no-jpeg` | JPEG is `NOT_SUPPORTED` |
//! | `vdo late-jpeg 100` | pictures in JPEG come so many milliseconds late |

mod camera;
mod lent;
mod map;
mod object;
mod os;
mod picture;
mod stream;

pub mod c;

/// `VdoError`.
#[allow(missing_docs)]
mod error {
    pub const NOT_FOUND: i32 = 1;
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const NOT_SUPPORTED: i32 = 5;
    pub const CLOSED: i32 = 6;
    pub const BUSY: i32 = 7;
    pub const IO: i32 = 8;
    pub const NO_DATA: i32 = 13;
    pub const INTERFACE_DOWN: i32 = 16;
    pub const NO_EVENT: i32 = 20;
}

/// A code and what it is about.
type Failure = (i32, String);

/// Ends the program with a sentence: a camera's library would do something worse, or nothing for a while.
fn misuse(what: &str) -> ! {
    eprintln!("simulated libvdostream: {what}");
    std::process::abort()
}
