//! `spotter demo`: the demo scene on disk, with the truth about it.

use std::path::PathBuf;

use clap::Args;

use crate::capture::demo::spec::{self, Size};
use crate::error::Result;
use crate::geometry::Fit;

mod coco;
mod dataset;

/// Arguments of `spotter demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Write pictures of many scenes, scaled as for a model, and their true boxes into this folder:
    /// images.u8 (red, green and blue bytes, picture after picture) and truth.json (COCO's format)
    #[arg(long, value_name = "DIR", required = true)]
    pub dataset: Option<PathBuf>,
    /// How many pictures
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frames: u32,
    /// What the scenes follow from
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// Width and height in pixels [default: 1280x720]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = spec::size)]
    pub size: Option<Size>,
    /// How pictures are fitted into the size: letterbox or stretch
    #[arg(long, value_name = "FIT", default_value_t = Fit::Stretch, value_parser = whole)]
    pub fit: Fit,
}

/// A fit that shows the whole picture: the true boxes are those of the whole.
fn whole(text: &str) -> std::result::Result<Fit, String> {
    match text.parse()? {
        fit @ (Fit::Letterbox | Fit::Stretch) => Ok(fit),
        fit => Err(format!("{fit} cuts off a part of the picture; use letterbox or stretch")),
    }
}

/// Writes what the arguments ask for.
///
/// # Errors
/// [`crate::error::Kind::Output`] where it cannot be written.
pub fn demo(args: &DemoArgs) -> Result<()> {
    match &args.dataset {
        Some(folder) => dataset::write(args, folder),
        None => Ok(()),
    }
}
