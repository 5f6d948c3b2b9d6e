//! `spotter inspect`: what a model is, what it costs and what each chip makes of it.

use std::io::Write;
use std::path::Path;

use super::InspectArgs;
use super::detect::{quietly_when_closed, unwritten};
use crate::error::{Error, Kind, Result};
use crate::inspect::report::Report;
use crate::inspect::{html, text};
use crate::model::catalogue::Catalogue;
use crate::model::file::ModelFile;
use crate::model::store::{Places, Store};

/// Looks at a model and prints what it found.
///
/// # Errors
/// Whatever keeps the file from being read; `Kind::Output` where the page cannot be written.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let catalogue = Catalogue::embedded();
    let store = Store::new(catalogue, Places::from_env());
    let path = store.resolve(&args.model, &args.accept_license)?;
    let report = Report::of(&ModelFile::open(&path)?, catalogue)?;
    if let Some(path) = &args.html {
        write(path, html::render(&report, args.chip).as_bytes())?;
    }
    let shown = match args.json {
        true => serde_json::to_string_pretty(&report.to_json(args.chip))
            .map_err(|error| Error::new(Kind::Internal, "the report is no JSON").caused_by(error))?,
        false => text::render(&report, args.chip),
    };
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", shown.trim_end()).and_then(|()| out.flush());
    written.map_err(unwritten).or_else(quietly_when_closed)
}

/// Writes a file whole or not at all: under another name first.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let fail = |error: std::io::Error| {
        let text = format!("cannot write {}; check the folder and its permissions", path.display());
        Error::new(Kind::Output, text).caused_by(error)
    };
    let Some(name) = path.file_name() else {
        return Err(fail(std::io::Error::other("it is no file name")));
    };
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(part);
    let done = std::fs::write(&part, content).and_then(|()| std::fs::rename(&part, path));
    done.map_err(|error| {
        let _ = std::fs::remove_file(&part);
        fail(error)
    })
}
