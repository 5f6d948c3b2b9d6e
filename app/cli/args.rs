//! The arguments of the commands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::backend::tflite::threads::Threads;
use crate::capture::SourceSpec;
use crate::detect::backend_choice::BackendChoice;
use crate::detect::loader::LoadSpec;
use crate::model::catalogue::store::UNVERIFIED;
use crate::model::chip::Chip;
use crate::model::task::Task;
use crate::publish::jsonl;
use crate::vision::geometry::Fit;

/// Which model, on what.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// A .tflite file, or a name from the catalogue [default: ssd-mobilenet-v2-coco; with --source demo
    /// spotter-demo]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Names of the model's classes, one a line [default: those in the model file or of the catalogue]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// What runs the model: auto (what is here and suits the model), tflite or cpu (TensorFlow Lite on the CPU),
    /// edgetpu (a Coral Edge TPU), larod (a camera's accelerator) or larod:DEVICE
    #[arg(long, value_name = "BACKEND", default_value_t = BackendChoice::Auto)]
    pub backend: BackendChoice,
    /// Threads that run the model on the CPU, 1 to 64; auto: 1 to 4, all cores with LiteRT, one less with
    /// TensorFlow Lite
    #[arg(long, value_name = "N", default_value_t = Threads::Auto)]
    pub threads: Threads,
    /// How frames are fitted into the model's input: letterbox, stretch, crop (the middle) or
    /// crop-0.875 (its inner part, as classifiers are evaluated) [default: as the model was trained]
    #[arg(long, value_name = "FIT")]
    pub fit: Option<Fit>,
    /// Accept the licence of a model that asks for it, for example AGPL-3.0
    #[arg(long, value_name = "LICENCE")]
    pub accept_license: Vec<String>,
    /// Take a model of which no checksum is published; the one that is seen holds from then on
    #[arg(long)]
    pub accept_unverified: bool,
}

/// All that the user has accepted.
pub(super) fn accepted(licences: &[String], unverified: bool) -> Vec<String> {
    licences.iter().cloned().chain(unverified.then(|| UNVERIFIED.to_owned())).collect()
}

impl From<&ModelArgs> for LoadSpec {
    fn from(args: &ModelArgs) -> Self {
        Self {
            model: args.model.clone(),
            drawn: false,
            labels: args.labels.clone(),
            backend: args.backend.clone(),
            threads: args.threads,
            fit: args.fit,
            accepted_licences: accepted(&args.accept_license, args.accept_unverified),
        }
    }
}

/// Arguments of `spotter run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// A video or image file, a URI (rtsp:// of a camera, http:// of a video file), a device (/dev/video0), test, vdo: the camera that this
    /// runs on, also vdo:size=1280x720,fps=15, or demo: a street that Spotter draws, also
    /// demo:seed=7,size=640x360,fps=15 [default: vdo on a camera, else demo]
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<SourceSpec>,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Address and port of the web page
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A file whose first line, at least 16 characters, is the secret that opens the page and the interface; needed
    /// where --listen can be reached from the network
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Another name under which browsers may ask a Spotter that listens on loopback, for example that of a reverse
    /// proxy; can be given several times
    #[arg(long = "host", value_name = "NAME", value_parser = host)]
    pub hosts: Vec<String>,
    /// Play a clip once and end with a summary, instead of looping
    #[arg(long)]
    pub once: bool,
    /// Write every scene as a line of JSON into this file
    #[arg(long, value_name = "FILE.jsonl")]
    pub output: Option<PathBuf>,
    /// Bytes after which that file is full: it becomes FILE.jsonl.1, the one before that FILE.jsonl.2, and no more
    /// are kept
    #[arg(long, value_name = "BYTES", requires = "output", default_value_t = jsonl::DEFAULT_LIMIT, value_parser = clap::value_parser!(u64).range(1..))]
    pub output_limit: u64,
    /// Write the pictures with what was found drawn in as a clip: .mp4, .mkv, .webm or .avi
    #[cfg(feature = "desktop")]
    #[arg(long, value_name = "CLIP")]
    pub record: Option<PathBuf>,
    /// Detections below this score are dropped, 0 to 1; can be changed on the page
    #[arg(long = "conf", value_name = "SCORE", default_value_t = 0.5, value_parser = share)]
    pub confidence: f32,
    /// Overlap above which the weaker of two boxes of a class is dropped, 0 to 1
    #[arg(long, value_name = "IOU", default_value_t = 0.45, value_parser = share)]
    pub iou: f32,
    /// A JSON file that keeps what is set while Spotter runs [default: the application's own on a camera, else none]
    #[arg(long, value_name = "FILE.json")]
    pub settings: Option<PathBuf>,
}

/// Arguments of `spotter detect`.
#[derive(Clone, Debug, Args)]
pub struct DetectArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// jsonl: one line a frame; coco: the COCO results list
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
    /// Detections below this score are left out, 0 to 1. Below 0.01 every class of a box counts, as
    /// evaluations have it
    #[arg(long = "conf", value_name = "SCORE", default_value_t = 0.25, value_parser = share)]
    pub confidence: f32,
    /// Overlap above which the weaker of two boxes of a class is left out, 0 to 1
    #[arg(long, value_name = "IOU", default_value_t = 0.45, value_parser = share)]
    pub iou: f32,
    /// Images or clips
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What `spotter detect` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line, one line a frame
    Jsonl,
    /// The COCO results list
    Coco,
}

/// Arguments of `spotter bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// A clip, or demo; it is played as fast as the model takes it
    #[arg(long, value_name = "SOURCE")]
    pub source: SourceSpec,
    #[command(flatten)]
    pub model: ModelArgs,
    /// How long to measure, all in all
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=3600))]
    pub seconds: u32,
    /// Processes that keep the machine busy meanwhile, a processor each
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    pub busy: u16,
    /// Add the figures to a file, a line of JSON each time, with the machine and the program that measured
    #[arg(long, value_name = "FILE")]
    pub record_to: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `spotter models` does.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelsCommand {
    /// Show the catalogue and which of its models are here
    List(ListArgs),
    /// Download a model; one that was cut off goes on where it stopped
    Fetch(FetchArgs),
    /// Check the checksums of the models that are here
    Verify {
        /// Names from the catalogue [default: all]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Print where a model's file is; downloads nothing
    Path {
        /// A name from the catalogue
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Arguments of `spotter models list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Only models for this chip
    #[arg(long, value_enum)]
    pub chip: Option<Chip>,
    /// Only models for this task
    #[arg(long, value_enum)]
    pub task: Option<Task>,
    /// Print JSON, with all that the catalogue knows
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `spotter models fetch`.
#[derive(Clone, Debug, Args)]
pub struct FetchArgs {
    /// A name from the catalogue
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Accept the licence of a model that asks for it, for example AGPL-3.0
    #[arg(long, value_name = "LICENCE")]
    pub accept_license: Vec<String>,
    /// Take a model of which no checksum is published; the one that is seen holds from then on
    #[arg(long)]
    pub accept_unverified: bool,
}

/// Arguments of `spotter inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// A .tflite file, a .bin compiled for CV25 with its .json beside it, or a name from the catalogue
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Show this chip's rules instead of a line for each chip
    #[arg(long, value_enum, value_name = "CHIP")]
    pub chip: Option<Chip>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write the same as a page into this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Accept the licence of a model that asks for it, for example AGPL-3.0
    #[arg(long, value_name = "LICENCE")]
    pub accept_license: Vec<String>,
    /// Take a model of which no checksum is published; the one that is seen holds from then on
    #[arg(long)]
    pub accept_unverified: bool,
}

/// Arguments of `spotter recommend`.
#[derive(Clone, Debug, Args)]
pub struct RecommendArgs {
    /// What will run the model [default: the chip of this camera]
    #[arg(long, value_enum)]
    pub chip: Option<Chip>,
    /// What the model is for
    #[arg(long, value_enum, default_value_t = Task::Detection)]
    pub task: Task,
    /// Only models that are fast enough for so many frames a second; a fifth of each frame's time is left
    /// for what is not inference
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub fps: Option<u16>,
    /// Only detection models with at least this COCO mAP, in percent; below 1 it is a share: 25 and 0.25
    /// are the same
    #[arg(long, value_name = "X", value_parser = percent)]
    pub min_map: Option<f64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A percentage above 0 and to 100; what is below 1 is taken for a share.
fn percent(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        // Nobody asks for less than one percent. Rounded, so that 0.29 is 29 and not 28.999….
        Ok(share) if share > 0.0 && share < 1.0 => Ok((share * 1e6).round() / 1e4),
        Ok(value) if (1.0..=100.0).contains(&value) => Ok(value),
        _ => Err(format!("\"{text}\" is no COCO mAP; give percent above 0 and to 100, or a share below 1")),
    }
}

/// A host name or address as browsers send it, without a port.
fn host(text: &str) -> std::result::Result<String, String> {
    let name = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good = |c: char| c.is_alphanumeric() || "-._".contains(c) || name.is_some() && c == ':';
    if !text.is_empty() && name.unwrap_or(text).chars().all(good) {
        return Ok(text.to_owned());
    }
    Err(format!("\"{text}\" is no host name; give one such as camera.example.com, without a port"))
}

/// A number from 0 to 1.
pub(super) fn share(text: &str) -> std::result::Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("\"{text}\" is no number from 0 to 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_percent_or_a_share() {
        assert_eq!(percent("25"), Ok(25.0));
        assert_eq!((percent("0.25"), percent("0.29")), (Ok(25.0), Ok(29.0)));
        assert_eq!((percent("1"), percent("100"), percent("0.999")), (Ok(1.0), Ok(100.0), Ok(99.9)));
        for bad in ["0", "-3", "100.1", "NaN", "inf", "x", ""] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_are_names_without_a_port() {
        for good in ["spotter.example.com", "box", "10.0.0.1", "[::1]", "münchen.example"] {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "box:8080", "http://box", "box/x", "::1"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_checked() {
        assert_eq!(share("0.001"), Ok(0.001));
        for bad in ["1.5", "-0.1", "x", "NaN", ""] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
