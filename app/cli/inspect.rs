//! `spotter inspect`: what a model is, what it costs and what each chip makes of it.

use super::args::{InspectArgs, accepted};
use super::output;
use crate::backend::edgetpu;
use crate::base::atomic_file;
use crate::base::error::{Error, Kind, Result};
use crate::inspect::report::Report;
use crate::inspect::{html, text};
use crate::model::catalogue::Catalogue;
use crate::model::catalogue::store::{Places, Store};
use crate::model::format::file::ModelFile;

/// Looks at a model and prints what it found.
///
/// # Errors
/// Whatever keeps the file from being read; `Kind::Output` where the page cannot be written.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let catalogue = Catalogue::embedded();
    let store = Store::new(catalogue, Places::from_env());
    let path = store.resolve(&args.model, &accepted(&args.accept_license, args.accept_unverified))?;
    let report = Report::of(&ModelFile::open(&path)?, catalogue, || edgetpu::devices().is_ok())?;
    if let Some(path) = &args.html {
        let page = html::render(&report, args.chip);
        atomic_file::write(path, page.as_bytes()).map_err(|error| {
            let text = format!("cannot write {}; check the folder and its permissions", path.display());
            Error::new(Kind::Output, text).caused_by(error)
        })?;
    }
    let shown = match args.json {
        true => serde_json::to_string_pretty(&report.to_json(args.chip))
            .map_err(|error| Error::new(Kind::Internal, "the report is no JSON").caused_by(error))?,
        false => text::render(&report, args.chip),
    };
    output::print(&[shown.trim_end().to_string()])
}
