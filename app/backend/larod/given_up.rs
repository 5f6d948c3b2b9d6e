//! Devices that were given up for a model: kept in the state folder, so that a restart does not make the larod service
//! fall over again. What is kept holds for one AXIS OS: another one may have mended it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::atomic_file;

/// The version of the file's shape.
const SCHEMA: u32 = 1;
/// More than these are not kept; the oldest go.
const LIMIT: usize = 64;
/// Anything larger is not this file.
const MAX_BYTES: u64 = 256 << 10;

/// A device that was given up for a model.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct GivenUp {
    /// The SHA-256 of the model file.
    pub model: String,
    /// Its name, for people who read the file.
    pub name: String,
    pub device: String,
    pub why: String,
    /// When it was given up, RFC 3339.
    pub at: String,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Document {
    schema: u32,
    /// The AXIS OS that all this happened on; none where it is unknown.
    axis_os: Option<String>,
    given_up: Vec<GivenUp>,
}

/// The file `larod.json`.
#[derive(Clone, Debug)]
pub struct GivenUpFile {
    file: PathBuf,
    axis_os: Option<String>,
}

impl GivenUpFile {
    /// The file in this folder, on a camera with this AXIS OS.
    pub fn new(folder: &Path, axis_os: Option<&str>) -> Self {
        Self { file: folder.join("larod.json"), axis_os: axis_os.map(str::to_owned) }
    }

    /// All that holds still. A file that cannot be read is told of and counts as none.
    fn all(&self) -> Vec<GivenUp> {
        let size = match std::fs::metadata(&self.file) {
            Ok(about) => about.len(),
            Err(_) => return Vec::new(),
        };
        let unusable = |why: String| {
            log::warn!("{}: {why}; which devices were given up is forgotten", self.file.display());
            Vec::new()
        };
        if size > MAX_BYTES {
            return unusable(format!("{size} bytes are too many"));
        }
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) => return unusable(error.to_string()),
        };
        match serde_json::from_slice::<Document>(&text) {
            Ok(document) if document.schema != SCHEMA => {
                unusable(format!("its schema is {}", document.schema))
            }
            Ok(document) if document.axis_os == self.axis_os => document.given_up,
            Ok(_) => Vec::new(),
            Err(error) => unusable(error.to_string()),
        }
    }

    /// What was given up for the model with this sum.
    pub fn of(&self, model: &str) -> Vec<GivenUp> {
        self.all().into_iter().filter(|given_up| given_up.model == model).collect()
    }

    /// Keeps one more.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self, given_up: GivenUp) -> std::io::Result<()> {
        let mut all = self.all();
        all.retain(|old| (&old.model, &old.device) != (&given_up.model, &given_up.device));
        all.push(given_up);
        let surplus = all.len().saturating_sub(LIMIT);
        all.drain(..surplus);
        self.write(all)
    }

    /// Forgets what was given up for the model with this sum.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn forget(&self, model: &str) -> std::io::Result<()> {
        let all = self.all();
        let kept: Vec<GivenUp> = all.iter().filter(|given_up| given_up.model != model).cloned().collect();
        if kept.len() == all.len() { Ok(()) } else { self.write(kept) }
    }

    fn write(&self, given_up: Vec<GivenUp>) -> std::io::Result<()> {
        let document = Document { schema: SCHEMA, axis_os: self.axis_os.clone(), given_up };
        let text = serde_json::to_string_pretty(&document)?;
        atomic_file::write(&self.file, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(model: &str, device: &str) -> GivenUp {
        let text = str::to_owned;
        GivenUp { model: text(model), name: text("m"), device: text(device), why: text("w"), at: text("t") }
    }

    #[test]
    fn what_is_kept_holds_for_its_model_and_its_axis_os() {
        let folder = tempfile::tempdir().unwrap();
        let memory = |os| GivenUpFile::new(folder.path(), os);
        let now = memory(Some("12.7.61"));
        assert_eq!(now.of("a"), []);
        for entry in [one("a", "x"), one("a", "y"), one("b", "x"), one("a", "x")] {
            now.keep(entry).unwrap();
        }
        assert_eq!(now.of("a"), [one("a", "y"), one("a", "x")]);
        assert_eq!(now.of("b"), [one("b", "x")]);
        assert_eq!(memory(Some("12.7.62")).of("a"), []);
        assert_eq!(memory(None).of("a"), []);
        now.forget("a").unwrap();
        assert_eq!((now.of("a"), now.of("b")), (vec![], vec![one("b", "x")]));
        // The first that is kept on another AXIS OS ends what was known of the one before.
        memory(None).keep(one("c", "x")).unwrap();
        assert_eq!((now.of("b"), memory(None).of("c")), (vec![], vec![one("c", "x")]));
    }

    #[test]
    fn a_broken_file_is_none_and_there_are_never_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let memory = GivenUpFile::new(folder.path(), None);
        for text in ["", "{", "[]", "{\"schema\": 2, \"axis_os\": null, \"given_up\": []}", "\u{0}\u{1}"] {
            std::fs::write(folder.path().join("larod.json"), text).unwrap();
            assert_eq!(memory.of("a"), [], "{text}");
            memory.forget("a").unwrap();
        }
        for number in 0..70 {
            memory.keep(one(&number.to_string(), "x")).unwrap();
        }
        assert_eq!((memory.of("5").len(), memory.of("6").len()), (0, 1));
        // A folder stands in its place: told, not fatal.
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("larod.json")).unwrap();
        assert!(GivenUpFile::new(&taken, None).keep(one("a", "x")).is_err());
    }
}
