//! `spotter demo`: the demo scene on disk, with the truth about it.

use crate::base::error::{Error, Kind, Result};

mod args;
mod clip;
mod coco;
mod dataset;

pub use args::DemoArgs;
pub use coco::picture_name;

/// Writes what the arguments ask for.
///
/// # Errors
/// What is wrong with the arguments; [`Kind::Output`] where it cannot be written.
pub fn demo(args: &DemoArgs) -> Result<()> {
    match (&args.save, &args.dataset) {
        (Some(clip), _) => clip::write(args, clip),
        (None, Some(folder)) => dataset::write(args, folder),
        (None, None) => Err(Error::new(Kind::Usage, "give --save for a clip or --dataset for pictures")),
    }
}
