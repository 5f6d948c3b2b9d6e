//! The arguments of `spotter demo`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::capture::demo::spec::{self, Size};
use crate::vision::geometry::Fit;

/// Arguments of `spotter demo`.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("what").required(true)))]
pub struct DemoArgs {
    /// Write a clip into this file: .mp4 or .mkv (H.264 where GStreamer has an encoder for it, else
    /// MPEG-4), .webm (VP8) or .avi (MJPEG)
    #[arg(long, value_name = "CLIP", group = "what")]
    pub save: Option<PathBuf>,
    /// Write the true boxes of each of the clip's frames into this file, in COCO's format
    #[arg(long, value_name = "FILE.json", requires = "save", conflicts_with = "dataset")]
    pub truth: Option<PathBuf>,
    /// How long the clip is [default: 20, which is one scene]
    #[arg(long, value_name = "N", requires = "save", conflicts_with = "dataset", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,
    /// Frames a second of the clip, also as a fraction [default: 25]
    #[arg(long, value_name = "N", requires = "save", conflicts_with = "dataset", value_parser = spec::fps)]
    pub fps: Option<(i32, i32)>,
    /// Write pictures of many scenes, scaled as for a model, and their true boxes into this folder:
    /// images.u8 (red, green and blue bytes, picture after picture) and truth.json (COCO's format)
    #[arg(long, value_name = "DIR", group = "what")]
    pub dataset: Option<PathBuf>,
    /// How many pictures the folder gets [default: 1000]
    #[arg(long, value_name = "N", requires = "dataset", conflicts_with = "save", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frames: Option<u32>,
    /// How pictures are fitted into the size, letterbox or stretch [default: stretch]
    #[arg(long, value_name = "FIT", requires = "dataset", conflicts_with = "save", value_parser = whole)]
    pub fit: Option<Fit>,
    /// Width and height in pixels [default: 1280x720]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = spec::size)]
    pub size: Option<Size>,
    /// What the scenes follow from
    #[arg(long, value_name = "SEED", default_value_t = spec::SEED)]
    pub seed: u64,
}

/// A fit that shows the whole picture: the true boxes are those of the whole.
fn whole(text: &str) -> std::result::Result<Fit, String> {
    match text.parse()? {
        fit @ (Fit::Letterbox | Fit::Stretch) => Ok(fit),
        fit => Err(format!("{fit} cuts off a part of the picture; use letterbox or stretch")),
    }
}
