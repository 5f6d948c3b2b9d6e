//! Puts a package together.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::archive::{self, Effort, Member};
use crate::conf;
use crate::error::{Error, Result};
use crate::manifest::{Arch, Manifest, Schema};
use crate::model::{self, Packed};

/// What goes into a package.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The project's folder, with `manifest.json`, `LICENSE`, `NOTICE` and `html/`.
    pub project: PathBuf,
    /// The program.
    pub binary: PathBuf,
    /// What it is made for.
    pub arch: Arch,
    /// Which systems the package is for.
    pub schema: Schema,
    /// Models that come with it: the first is the one to run, the others lie beside it.
    pub models: Vec<PathBuf>,
    /// Licences that the user has accepted by name.
    pub accepted: Vec<String>,
    /// When the members were changed, seconds since 1970.
    pub epoch: u64,
    /// How hard it is tried to make it small.
    pub effort: Effort,
}

/// A package, not yet written.
#[derive(Clone, Debug)]
pub struct Package {
    /// The name of its file.
    pub file: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The licences of the models in it, as far as they are known.
    pub licences: Vec<String>,
}

/// The ending of the name of packages for AXIS OS 11 and 12: cameras do not look at names, people do.
pub const OLD: &str = "_os11";

/// Puts a package together, in the order in which Axis's tools do it.
///
/// # Errors
/// Where a part is missing or not what it should be.
pub fn pack(parts: &Parts) -> Result<Package> {
    let read = |name: &str| {
        let path = parts.project.join(name);
        std::fs::read(&path).map_err(|error| Error::file("read", &path, error))
    };
    let template = read("manifest.json")?;
    let template = Manifest::parse(&String::from_utf8_lossy(&template))?;
    let mut packed = Vec::new();
    if !parts.models.is_empty() {
        let catalogue = read("models/catalogue.json")?;
        let catalogue: Value = serde_json::from_slice(&catalogue)
            .map_err(|error| Error::new(format!("models/catalogue.json is no JSON ({error})")))?;
        for path in &parts.models {
            packed.push(model::read(path, &catalogue, &parts.accepted)?);
        }
    }
    let options = packed.first().map_or("", |packed| packed.options.as_str());
    let manifest = template.derive(parts.schema, parts.arch, options)?;
    let licence = read("LICENSE")?;
    if licence.is_empty() {
        return Err(Error::new("LICENSE is empty; cameras refuse packages without a licence"));
    }
    let mut notice = read("NOTICE")?;
    notice.extend(model::notice(&packed).into_bytes());
    let mut others = vec![Member::file("NOTICE", 0o644, notice)];
    let mut licences: Vec<String> = packed.iter().filter_map(|packed| packed.licence.clone()).collect();
    licences.dedup();
    others.extend(packed.into_iter().flat_map(|Packed { members, .. }| members));
    let names: Vec<String> = others.iter().map(|member| member.path.clone()).collect();
    let binary = std::fs::read(&parts.binary)
        .map_err(|error| Error::file("read the program", &parts.binary, error))?;

    let mut members = vec![
        Member::file(manifest.setup("appName"), 0o755, binary),
        Member::file("package.conf", 0o644, conf::package_conf(&manifest, &names)?),
        Member::file("param.conf", 0o644, conf::param_conf(&manifest)),
        Member::file("LICENSE", 0o644, licence),
        // The mode that Axis's tools give it.
        Member::file("manifest.json", 0o600, manifest.to_text()),
    ];
    members.extend(others);
    folder(&parts.project, "html", &mut members)?;
    members.extend(conf::cgi_conf(&manifest).map(|text| Member::file("cgi.conf", 0o644, text)));
    let old = if parts.schema == Schema::V1 { OLD } else { "" };
    Ok(Package {
        file: format!("{}{old}.eap", manifest.package_name()?),
        bytes: archive::write(&members, parts.epoch, parts.effort)?,
        licences,
    })
}

/// Appends a folder and what is in it, sorted by name.
fn folder(project: &Path, name: &str, into: &mut Vec<Member>) -> Result<()> {
    let path = project.join(name);
    let failed = |error| Error::file("read", &path, error);
    into.push(Member::folder(name));
    let mut entries = std::fs::read_dir(&path)
        .and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>())
        .map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Some(file) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(Error::new(format!("{} has a file whose name is no UTF-8", path.display())));
        };
        // What editors and version control leave behind.
        if file.ends_with('~') || file.starts_with('.') {
            continue;
        }
        let inner = format!("{name}/{file}");
        if entry.path().is_dir() {
            folder(project, &inner, into)?;
        } else {
            into.push(Member::file(inner, 0o644, std::fs::read(entry.path()).map_err(failed)?));
        }
    }
    Ok(())
}

/// Puts a package together and writes it into `folder`.
///
/// # Errors
/// As for [`pack`], and where it cannot be written.
pub fn pack_into(parts: &Parts, folder: &Path) -> Result<(PathBuf, Package)> {
    let package = pack(parts)?;
    let path = folder.join(&package.file);
    let part = folder.join(format!("{}.part", package.file));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&part, &package.bytes))
        .and_then(|()| std::fs::rename(&part, &path))
        .map_err(|error| Error::file("write", &path, error))?;
    Ok((path, package))
}
