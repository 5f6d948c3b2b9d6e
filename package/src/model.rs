//! A model that goes into the package, and whether its licence lets it.

use std::path::Path;

use serde_json::Value;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::archive::Member;
use crate::error::{Error, Result};

/// Where models lie in a package: the program looks for catalogue models in this folder of its working directory.
pub const FOLDER: &str = "models";
/// Characters that a path in the program's arguments may have; the camera splits arguments at spaces.
const PLAIN: &str = "-_.";

/// The files of a model, and the arguments that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The model, and the description beside a `.bin`.
    pub members: Vec<Member>,
    /// `--model models/FILE`.
    pub options: String,
    /// What a person is told of its licence, where it is known.
    pub licence: Option<String>,
    /// What it is and where it is from, where it is known.
    pub origin: Option<String>,
}

/// What a package's NOTICE says of the models in it.
pub fn notice(models: &[Packed]) -> String {
    let mut text = String::new();
    for Packed { members, licence, origin, .. } in models {
        if text.is_empty() {
            text.push_str("\nThis package has models of others in it:\n");
        }
        let file = members.first().map_or("", |member| member.path.as_str());
        let licence = licence.as_deref().unwrap_or("licence not known to Spotter");
        let origin = origin.as_deref().map_or(String::new(), |origin| format!(": {origin}"));
        text.push_str(&format!("- {file}, {licence}{origin}\n"));
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entry of the catalogue whose file this is.
fn entry_of<'a>(catalogue: &'a Value, bytes: &[u8]) -> Option<&'a Value> {
    let sha256 = hex(&Sha256::digest(bytes));
    let blob = Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize();
    let blob = hex(&blob);
    catalogue["models"].as_array()?.iter().find(|entry| match entry["sha256"].as_str() {
        Some(sum) => sum == sha256,
        None => entry["git_blob"].as_str() == Some(&blob),
    })
}

/// Reads the model at `path`. `catalogue` is Spotter's list of models, `accepted` the licences that the user has
/// accepted by name.
///
/// # Errors
/// Where a file is missing, its name cannot be an argument, or it is a model of the catalogue whose licence
/// needs the user's word and has it not.
pub fn read(path: &Path, catalogue: &Value, accepted: &[String]) -> Result<Packed> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || PLAIN.contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::new(format!(
            "the model's file name {name:?} cannot be an argument on a camera; rename it to letters, digits, '-', '_' and '.'"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::file("read the model", path, error))?;
    let entry = entry_of(catalogue, &bytes);
    let word = |key: &str| entry.and_then(|entry| entry[key].as_str());
    let licence = word("licence").map(str::to_owned);
    let origin = word("title").map(|title| match word("url") {
        Some(url) => format!("{title}, from {url}"),
        None => title.to_owned(),
    });
    if let Some(licence) = licence.as_deref()
        && licence.starts_with("AGPL")
        && !accepted.iter().any(|word| word.eq_ignore_ascii_case(licence))
    {
        return Err(Error::new(format!(
            "{name} is under {licence}, which also binds programs that use it over a network, and whoever hands \
             the package on; to pack it, add --accept-license {licence}"
        )));
    }
    let mut members = vec![Member::file(format!("{FOLDER}/{name}"), 0o644, bytes)];
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("bin")) {
        let about = [path.with_extension("json"), path.with_extension("bin.json")];
        let about = about.iter().find(|about| about.is_file()).ok_or_else(|| {
            let text = format!(
                "{} has no description; put {} beside it (see docs/models.md)",
                path.display(),
                about[0].display()
            );
            Error::new(text)
        })?;
        let text = std::fs::read(about).map_err(|error| Error::file("read", about, error))?;
        let about = about.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        members.push(Member::file(format!("{FOLDER}/{about}"), 0o644, text));
    }
    Ok(Packed { members, options: format!("--model {FOLDER}/{name}"), licence, origin })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn licences_that_bind_need_a_word_whatever_the_file_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.tflite");
        std::fs::write(&path, "hello").unwrap();
        let by_blob = json!({"models": [
            {"licence": "MIT", "sha256": "00"},
            {"licence": "AGPL-3.0", "git_blob": "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"}]});
        let by_sum = json!({"models": [{"licence": "AGPL-3.0",
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}]});
        for catalogue in [by_blob, by_sum] {
            let error = read(&path, &catalogue, &["MIT".into()]).unwrap_err().to_string();
            assert!(error.ends_with("add --accept-license AGPL-3.0"), "{error}");
            let packed = read(&path, &catalogue, &["agpl-3.0".into()]).unwrap();
            assert_eq!(packed.licence.as_deref(), Some("AGPL-3.0"));
            assert_eq!(packed.options, "--model models/mine.tflite");
            assert_eq!(packed.members, [Member::file("models/mine.tflite", 0o644, "hello")]);
        }
        assert_eq!(read(&path, &json!({"models": []}), &[]).unwrap().licence, None);
    }

    #[test]
    fn a_bin_needs_its_description_and_a_name_must_be_plain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.bin");
        std::fs::write(&path, "x").unwrap();
        assert!(read(&path, &json!({}), &[]).unwrap_err().to_string().contains("has no description"));
        std::fs::write(folder.path().join("m.json"), "{}").unwrap();
        let packed = read(&path, &json!({}), &[]).unwrap();
        assert_eq!(packed.members[1].path, "models/m.json");
        let odd = folder.path().join("a b.tflite");
        std::fs::write(&odd, "x").unwrap();
        assert!(read(&odd, &json!({}), &[]).unwrap_err().to_string().contains("rename it"));
    }
}
