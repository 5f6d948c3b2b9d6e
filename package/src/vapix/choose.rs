//! The package that is for a camera.

use std::path::{Path, PathBuf};

use super::answers::About;
use crate::archive;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Schema, takes_schema_2};

/// The first AXIS OS that knows nothing but schema 2.
const NEW_ONLY: (u32, u32, u32) = (13, 0, 0);

/// A package that could be installed.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    manifest: Manifest,
}

impl Candidate {
    /// Reads a package.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::file("read the package", path, error))?;
        let of = |error: Error| Error::new(format!("{}: {error}", path.display()));
        let members = archive::read(&bytes).map_err(of)?;
        let manifest = members
            .iter()
            .find(|member| member.path == "manifest.json")
            .ok_or_else(|| of(Error::new("the package has no manifest.json")))?;
        let manifest = Manifest::parse(&String::from_utf8_lossy(&manifest.bytes)).map_err(of)?;
        Ok(Self { path: path.to_owned(), bytes, manifest })
    }

    /// The name that the camera knows the application by.
    pub fn name(&self) -> &str {
        self.manifest.setup("appName")
    }

    /// The application's version.
    pub fn version(&self) -> &str {
        self.manifest.setup("version")
    }

    /// Why this package is not for the camera; none where it is. What the camera does not tell is not held against
    /// it.
    pub fn unfit(&self, about: &About) -> Option<String> {
        let arch = self.manifest.setup("architecture");
        if !about.architecture.is_empty() && arch != "all" && arch != about.architecture {
            return Some(format!("it is for {arch}, the camera has {}", about.architecture));
        }
        let new = self.manifest.schema().ok()? == Schema::V2;
        match about.os() {
            Some(os) if new && !takes_schema_2(os) => Some(format!(
                "it is for AXIS OS 12.10 and later and for 11.11.205 and later, the camera has {}",
                about.version
            )),
            Some(os) if !new && os >= NEW_ONLY => {
                Some(format!("it is for AXIS OS 11 and 12, the camera has {}", about.version))
            }
            _ => None,
        }
    }
}

/// The package at `path`, or the one for this camera in the folder at `path`: that of schema 2 where the camera
/// knows it, the highest version of several.
///
/// # Errors
/// Where there is none that is for the camera.
pub fn choose(path: &Path, about: &About) -> Result<Candidate> {
    let camera = format!("the camera ({}, {}, AXIS OS {})", about.product, about.architecture, about.version);
    if !path.exists() {
        return Err(Error::new(format!(
            "there is no {}; build the packages with ./build.sh eap",
            path.display()
        )));
    }
    if !path.is_dir() {
        let package = Candidate::read(path)?;
        return match package.unfit(about) {
            None => Ok(package),
            Some(why) => Err(Error::new(format!("{} is not for {camera}: {why}", path.display()))),
        };
    }
    let failed = |error| Error::file("read the folder", path, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "eap") {
            found.push(Candidate::read(&path)?);
        }
    }
    let order = |package: &Candidate| {
        let new = package.manifest.schema().is_ok_and(|schema| schema == Schema::V2);
        (package.manifest.version().ok(), new)
    };
    found.into_iter().filter(|package| package.unfit(about).is_none()).max_by_key(order).ok_or_else(|| {
        Error::new(format!("{} has no package for {camera}; build one with ./build.sh eap", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{EPOCH, Member};
    use crate::manifest::Arch;

    fn put(folder: &Path, file: &str, arch: Arch, schema: Schema) {
        let own = Manifest::parse(include_str!("../../../manifest.json")).unwrap();
        let manifest = own.derive(schema, arch, "").unwrap().to_text();
        let package =
            archive::write(&[Member::file("manifest.json", 0o600, manifest)], EPOCH, archive::Effort::Quick)
                .unwrap();
        std::fs::write(folder.join(file), package).unwrap();
    }

    fn about(architecture: &str, version: &str) -> About {
        About { architecture: architecture.into(), version: version.into(), ..About::default() }
    }

    #[test]
    fn each_camera_gets_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (file, arch, schema) in [
            ("a.eap", Arch::Aarch64, Schema::V2),
            ("a_os11.eap", Arch::Aarch64, Schema::V1),
            ("b.eap", Arch::Armv7hf, Schema::V2),
            ("b_os11.eap", Arch::Armv7hf, Schema::V1),
        ] {
            put(folder, file, arch, schema);
        }
        std::fs::write(folder.join("notes.txt"), "x").unwrap();
        for (arch, os, file) in [
            ("aarch64", "11.11.124", "a_os11.eap"),
            ("aarch64", "11.11.205", "a.eap"),
            ("aarch64", "12.0", "a_os11.eap"),
            ("aarch64", "12.9.1", "a_os11.eap"),
            ("aarch64", "12.10.68", "a.eap"),
            ("aarch64", "13.0.1", "a.eap"),
            ("armv7hf", "12.2.0", "b_os11.eap"),
            ("armv7hf", "12.11.0", "b.eap"),
        ] {
            let chosen = choose(folder, &about(arch, os)).unwrap();
            assert_eq!(chosen.path, folder.join(file), "{arch} {os}");
            assert_eq!(chosen.name(), "spotter");
        }
        let none = choose(folder, &about("mips", "12.0")).unwrap_err().to_string();
        assert!(none.contains("has no package for") && none.contains("./build.sh eap"), "{none}");
        let absent = choose(&folder.join("absent"), &about("aarch64", "12.11")).unwrap_err().to_string();
        assert!(absent.ends_with("build the packages with ./build.sh eap"), "{absent}");
        let wrong = |file: &str, arch: &str, os: &str| {
            choose(&folder.join(file), &about(arch, os)).unwrap_err().to_string()
        };
        assert!(wrong("a.eap", "armv7hf", "12.11").ends_with("it is for aarch64, the camera has armv7hf"));
        assert!(wrong("a.eap", "aarch64", "11.11").contains("it is for AXIS OS 12.10 and later"));
        assert!(wrong("a_os11.eap", "aarch64", "13.1").contains("it is for AXIS OS 11 and 12"));
        assert!(wrong("notes.txt", "aarch64", "13.1").contains("is no package"));
    }
}
