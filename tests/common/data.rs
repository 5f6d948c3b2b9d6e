//! Test data: the collection of real models and photos where there is one, and clips made here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::skip;

/// The collection of real models, photos, videos and reference results, which is too large (and has too
/// many owners) to be part of the repository.
pub fn shared_data() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    match path.canonicalize() {
        Ok(path) if path.is_dir() => Some(path),
        _ => {
            // Once is enough: many tests ask.
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                skip("all that needs ../shared/data, the collection of real models and photos")
            });
            None
        }
    }
}

/// Frames in each clip made here.
pub const CLIP_FRAMES: usize = 30;
/// Size of the clips made here, unless said otherwise.
pub const CLIP_SIZE: (u32, u32) = (320, 240);

const SOURCE: &str = "videotestsrc num-buffers=30 pattern=ball ! video/x-raw,format=I420,width=320,height=240,\
                      framerate=15/1,colorimetry=bt601";
const PICTURE: &str = "videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,width=320,height=240";
const X264: &str = "x264enc speed-preset=ultrafast key-int-max=15";

/// H.264 in MP4.
pub fn h264_mp4() -> Option<PathBuf> {
    clip("h264.mp4", &format!("{SOURCE} ! {X264} ! mp4mux"))
}

/// The same, which is over in a quarter of a second.
pub fn fast_mp4() -> Option<PathBuf> {
    let source = SOURCE.replace("framerate=15/1", "framerate=120/1");
    clip("fast.mp4", &format!("{source} ! {X264} ! mp4mux"))
}

/// H.265 in Matroska.
pub fn h265_mkv() -> Option<PathBuf> {
    clip(
        "h265.mkv",
        &format!("{SOURCE} ! x265enc speed-preset=ultrafast log-level=error ! h265parse ! matroskamux"),
    )
}

/// Motion JPEG in AVI.
pub fn mjpeg_avi() -> Option<PathBuf> {
    clip("mjpeg.avi", &format!("{SOURCE} ! jpegenc ! avimux"))
}

/// VP8 in WebM.
pub fn vp8_webm() -> Option<PathBuf> {
    clip("vp8.webm", &format!("{SOURCE} ! vp8enc deadline=1 ! webmmux"))
}

/// VP9 in WebM.
pub fn vp9_webm() -> Option<PathBuf> {
    clip("vp9.webm", &format!("{SOURCE} ! vp9enc deadline=1 cpu-used=8 ! webmmux"))
}

/// One picture, PNG.
pub fn png() -> Option<PathBuf> {
    clip("picture.png", &format!("{PICTURE},format=RGB ! pngenc"))
}

/// One picture, JPEG.
pub fn jpeg() -> Option<PathBuf> {
    clip("picture.jpg", &format!("{PICTURE},format=I420 ! jpegenc"))
}

/// An MP4 whose index is at the front and whose last 40 % are missing, as a broken download leaves it.
pub fn truncated_mp4() -> Option<PathBuf> {
    let whole = clip("faststart.mp4", &format!("{SOURCE} ! {X264} ! mp4mux faststart=true"))?;
    let path = directory().join("truncated.mp4");
    let bytes = std::fs::read(&whole).expect("the clip was just made");
    put(&path, |part| {
        std::fs::write(part, &bytes[..bytes.len() * 6 / 10]).map_err(|error| error.to_string())
    });
    Some(path)
}

/// 720x576 whose pixels are wider than high (16:15), as PAL television has them: shown as 768x576.
pub fn wide_pixels_mp4() -> Option<PathBuf> {
    let source = SOURCE.replace("width=320,height=240", "width=720,height=576,pixel-aspect-ratio=16/15");
    clip("wide_pixels.mp4", &format!("{source} ! {X264} ! mp4mux"))
}

/// H.264 in MP4 that is to be shown turned by 90 degrees, as phones write it: the matrix of the track header says so
/// (ISO/IEC 14496-12, 8.3.2).
pub fn turned_mp4() -> Option<PathBuf> {
    let (upright, path) = (h264_mp4()?, directory().join("turned.mp4"));
    put(&path, |part| {
        let mut bytes = std::fs::read(upright).map_err(|error| error.to_string())?;
        let header = bytes.windows(4).position(|window| window == b"tkhd").ok_or("no track header")?;
        let matrix = [0, 0x1_0000, 0, -0x1_0000, 0, 0, 0, 0, 0x4000_0000_i32];
        for (number, to) in matrix.iter().zip(bytes[header + 44..].chunks_exact_mut(4)) {
            to.copy_from_slice(&number.to_be_bytes());
        }
        std::fs::write(part, bytes).map_err(|error| error.to_string())
    });
    Some(path)
}

/// 313x239: neither side is even, so planes of colour are rounded up.
pub fn odd_size_webm() -> Option<PathBuf> {
    let source = SOURCE.replace("width=320,height=240", "width=313,height=239");
    clip("odd_size.webm", &format!("{source} ! vp8enc deadline=1 ! webmmux"))
}

/// A file that no demuxer knows.
pub fn not_a_video() -> PathBuf {
    let path = directory().join("not_a_video.mp4");
    put(&path, |part| std::fs::write(part, "this is text\n".repeat(100)).map_err(|error| error.to_string()));
    path
}

/// Makes a clip with a GStreamer pipeline that lacks only its file sink.
pub fn clip(name: &str, pipeline: &str) -> Option<PathBuf> {
    static GSTREAMER: Once = Once::new();
    GSTREAMER.call_once(|| gst::init().expect("GStreamer starts"));

    let elements = pipeline.split('!').filter_map(|part| part.split_whitespace().next());
    for element in elements.filter(|element| !element.contains('/')) {
        if gst::ElementFactory::find(element).is_none() {
            skip(&format!("{name}: no {element}"));
            return None;
        }
    }
    let path = directory().join(name);
    put(&path, |part| {
        let sink = format!("{pipeline} ! filesink location=\"{}\"", part.display());
        let pipeline = gst::parse::launch(&sink).map_err(|error| error.to_string())?;
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        let ended = pipeline
            .set_state(gst::State::Playing)
            .map_err(|error| error.to_string())
            .and_then(|_| wait_for_end(&bus));
        pipeline.set_state(gst::State::Null).map_err(|error| error.to_string())?;
        ended
    });
    Some(path)
}

fn wait_for_end(bus: &gst::Bus) -> Result<(), String> {
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    match bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends) {
        Some(message) => match message.view() {
            gst::MessageView::Error(error) => Err(format!("{}: {:?}", error.error(), error.debug())),
            _ => Ok(()),
        },
        None => Err("no end after 60 s".to_owned()),
    }
}

/// Makes a file unless it is there. Tests run side by side, in threads and in processes: the file gets
/// its name only when it is whole.
fn put(path: &Path, make: impl FnOnce(&Path) -> Result<(), String>) {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if path.exists() {
        return;
    }
    let part = path.with_extension(format!("{}.part", std::process::id()));
    make(&part).unwrap_or_else(|why| panic!("{} cannot be made: {why}", path.display()));
    std::fs::rename(&part, path).expect("a file in the same folder can be renamed");
}

/// Where the clips are: below `target`, so that they are made once, and anew after `cargo clean`. Change
/// the number when the making of a clip changes.
fn directory() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips-1");
    std::fs::create_dir_all(&path).expect("a folder for clips can be made in target");
    path
}
