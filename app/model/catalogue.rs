//! The models that Spotter knows by name: where they are published and how a copy is recognised.

use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};

/// One published model.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What the user calls it.
    pub name: String,
    /// One line about it.
    pub title: String,
    /// What it does: `detection`.
    pub task: String,
    /// Its head: `ssd-postprocess` or `yolov5`.
    pub head: String,
    /// The chips it is made for, best first; `cpu` is TensorFlow Lite on any processor.
    pub chips: Vec<String>,
    /// Input size in pixels, `WIDTHxHEIGHT`.
    pub input: String,
    /// The built-in label set that fits.
    pub labels: String,
    /// SPDX licence of the weights.
    pub licence: String,
    /// Where it is downloaded from, https.
    pub url: String,
    /// The name its file has.
    pub file: String,
    /// SHA-256 of the file in hex, where known.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Git's blob id of the file in hex, where known.
    #[serde(default)]
    pub git_blob: Option<String>,
    /// Bytes of the file, where known.
    #[serde(default)]
    pub size: Option<u64>,
}

impl Entry {
    /// True where the licence of the weights asks more of the user than a notice, so that a download
    /// needs the user's word.
    pub fn needs_consent(&self) -> bool {
        self.licence.starts_with("AGPL")
    }

    /// The sums that a copy must have.
    pub fn pin(&self) -> Pin {
        Pin { sha256: self.sha256.clone(), git_blob: self.git_blob.clone(), size: self.size }
    }
}

/// Sums that identify a file; every one that is given must agree, and there must be one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// SHA-256 in hex.
    pub sha256: Option<String>,
    /// Git's blob id in hex: SHA-1 of `blob LENGTH`, a zero byte and the bytes.
    pub git_blob: Option<String>,
    /// Length in bytes.
    pub size: Option<u64>,
}

impl Pin {
    /// Whether `bytes` are the file that was pinned.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.check(bytes.len() as u64, bytes).is_ok_and(|found| found)
    }

    /// Whether the file at `path` is the one that was pinned.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn matches_file(&self, path: &Path) -> std::io::Result<bool> {
        let file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        self.check(length, file)
    }

    fn check(&self, length: u64, mut data: impl Read) -> std::io::Result<bool> {
        if self.size.is_some_and(|size| size != length) || (self.sha256.is_none() && self.git_blob.is_none())
        {
            return Ok(false);
        }
        let mut sha256 = self.sha256.as_ref().map(|_| Sha256::new());
        let mut git = self.git_blob.as_ref().map(|_| Sha1::new_with_prefix(format!("blob {length}\0")));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = data.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            sha256.iter_mut().for_each(|hash| hash.update(&buffer[..read]));
            git.iter_mut().for_each(|hash| hash.update(&buffer[..read]));
        }
        let same = |sum: Option<String>, wanted: &Option<String>| match (sum, wanted) {
            (Some(sum), Some(wanted)) => sum.eq_ignore_ascii_case(wanted),
            _ => true,
        };
        Ok(same(sha256.map(|h| hex(&h.finalize())), &self.sha256)
            && same(git.map(|h| hex(&h.finalize())), &self.git_blob))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All known models.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The name of the model that is used where none is given.
    pub default: String,
    /// The models.
    pub models: Vec<Entry>,
}

static EMBEDDED: LazyLock<Catalogue> = LazyLock::new(|| {
    // A test reads it; a broken build still runs models given as files.
    Catalogue::from_json(include_str!("../../models/catalogue.json")).unwrap_or_default()
});

impl Catalogue {
    /// The catalogue that is built into the program.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    /// [`Kind::Internal`] where it is no catalogue.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::new(Kind::Internal, "the model catalogue is damaged").caused_by(error))
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none, with the nearest names.
    pub fn get(&self, name: &str) -> Result<&Entry> {
        self.models.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let near = self.near(name);
            let list =
                if near.is_empty() { self.models.iter().map(|e| e.name.as_str()).collect() } else { near };
            let lead = if list.len() == self.models.len() { "known are" } else { "did you mean" };
            let end = if lead == "known are" { "" } else { "?" };
            let text = format!(
                "there is no model file and no catalogue model \"{name}\"; {lead} {}{end}",
                list.join(", ")
            );
            Error::new(Kind::NotFound, text)
        })
    }

    /// Names that contain `name`, or differ from it in few letters; nearest first, at most four.
    fn near(&self, name: &str) -> Vec<&str> {
        let wanted = name.to_ascii_lowercase();
        let mut scored: Vec<(usize, &str)> = self
            .models
            .iter()
            .filter_map(|entry| {
                let distance = edits(&wanted, &entry.name);
                let part = wanted.len() >= 3 && entry.name.contains(&wanted);
                (part || distance <= 1 + entry.name.len() / 4).then_some((distance, entry.name.as_str()))
            })
            .collect();
        scored.sort();
        scored.into_iter().take(4).map(|(_, name)| name).collect()
    }

    /// The entry whose file these bytes are.
    pub fn entry_of(&self, bytes: &[u8]) -> Option<&Entry> {
        let length = bytes.len();
        // One sum of each kind serves all entries.
        let sha256 = hex(&Sha256::digest(bytes));
        let git = hex(&Sha1::new_with_prefix(format!("blob {length}\0")).chain_update(bytes).finalize());
        self.models.iter().find(|entry| match (&entry.sha256, &entry.git_blob) {
            (Some(wanted), _) => wanted.eq_ignore_ascii_case(&sha256),
            (None, Some(wanted)) => wanted.eq_ignore_ascii_case(&git),
            (None, None) => false,
        })
    }
}

/// Letters to insert, delete or replace to make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // Nobody means a model by a name this long.
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;
    use crate::model::testdata;

    #[test]
    fn the_embedded_catalogue_is_sound() {
        let catalogue =
            Catalogue::from_json(include_str!("../../models/catalogue.json")).expect("the catalogue is read");
        assert_eq!(catalogue.get(&catalogue.default).unwrap().name, "ssd-mobilenet-v2-coco");
        assert!(!catalogue.get(&catalogue.default).unwrap().needs_consent());
        let mut names: Vec<&str> = catalogue.models.iter().map(|e| e.name.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for entry in &catalogue.models {
            assert!(entry.url.starts_with("https://"), "{}", entry.name);
            assert!(entry.file.ends_with(".tflite") && !entry.file.contains(['/', '\\']), "{}", entry.name);
            assert!(entry.sha256.as_ref().is_none_or(|s| s.len() == 64 && s.is_ascii()), "{}", entry.name);
            assert_eq!(entry.git_blob.as_ref().map(String::len), Some(40), "{}", entry.name);
            assert!(Labels::built_in(&entry.labels).is_some(), "{}", entry.name);
            assert_eq!(entry.name.starts_with("yolov5"), entry.needs_consent());
            assert!(matches!(entry.head.as_str(), "ssd-postprocess" | "yolov5"));
        }
    }

    #[test]
    fn unknown_names_get_near_ones() {
        let catalogue = Catalogue::embedded();
        let sentence = |name: &str| catalogue.get(name).unwrap_err().to_string();
        assert_eq!(
            sentence("ssd-mobilenet-v2-coko"),
            "there is no model file and no catalogue model \"ssd-mobilenet-v2-coko\"; did you mean \
             ssd-mobilenet-v2-coco, ssd-mobilenet-v1-coco, tf2-ssd-mobilenet-v2-coco17?"
        );
        assert!(sentence("yolov5n").contains("did you mean yolov5n-artpec8, yolov5n-artpec9?"));
        assert!(sentence("zebra").contains("known are ssd-mobilenet-v1-coco, "));
        assert_eq!(catalogue.get("zebra").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn pins_are_git_blob_ids_and_sha256() {
        // `printf hello | git hash-object --stdin`
        let git = Some("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0".to_string());
        let sha = Some("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".to_string());
        assert!(Pin { git_blob: git.clone(), ..Pin::default() }.matches(b"hello"));
        assert!(Pin { sha256: sha.clone(), git_blob: git.clone(), size: Some(5) }.matches(b"hello"));
        assert!(!Pin { sha256: sha, git_blob: git.clone(), size: None }.matches(b"hellO"));
        assert!(!Pin { git_blob: git, size: Some(6), ..Pin::default() }.matches(b"hello"));
        assert!(!Pin::default().matches(b"hello"), "nothing known is no proof");
    }

    #[test]
    fn files_at_hand_have_the_catalogues_sums() {
        let Some(folder) = testdata::shared("models") else { return };
        let catalogue = Catalogue::embedded();
        let mut found = 0;
        for entry in &catalogue.models {
            let path = folder.join(&entry.file);
            if path.exists() {
                assert!(entry.pin().matches_file(&path).unwrap(), "{}", entry.name);
                assert_eq!(catalogue.entry_of(&std::fs::read(path).unwrap()), Some(entry));
                found += 1;
            }
        }
        assert_eq!(found, 3);
        assert_eq!(catalogue.entry_of(b"else"), None);
    }
}
