//! The model that was chosen while Spotter ran: kept on disk, so that it runs again after a restart.
//!
//! `choice.json` in the state folder names it; what was uploaded lies in `models` beside it. The newest
//! decision wins: a choice holds as long as Spotter is started as it was when the choice was made, and a
//! start with another `--model` is a newer decision.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::base::atomic_file;
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::state_folder;
use crate::base::time::timestamp;
use crate::model::catalogue::hex;
use sha2::{Digest, Sha256};

/// The version of the file's shape.
const SCHEMA: u32 = 1;
/// The file is a few hundred bytes; anything larger is none.
const MAX_BYTES: u64 = 64 << 10;
/// Digits of the sum that name an upload's folder.
const SUM_LENGTH: usize = 16;
/// Characters of a model's own name that are kept in the name of its file.
const NAME_LENGTH: usize = 80;

/// A model chosen at run time.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Choice {
    schema: u32,
    /// A catalogue name, or the name of an uploaded file.
    pub model: String,
    /// The folder of the upload; none for a catalogue model.
    pub upload: Option<String>,
    /// The name of an uploaded label file.
    pub labels: Option<String>,
    /// How frames are fitted into its input, where the user said it.
    pub fit: Option<String>,
    /// The `--model` that Spotter had been started with.
    pub instead_of: Option<String>,
    /// When it was chosen, RFC 3339.
    pub chosen_at: String,
}

impl Choice {
    /// A choice made now.
    pub fn now(model: String, instead_of: Option<String>) -> Self {
        let chosen_at = timestamp(SystemTime::now());
        Self { schema: SCHEMA, model, upload: None, labels: None, fit: None, instead_of, chosen_at }
    }
}

/// The folder that keeps the choice and the uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    folder: PathBuf,
}

impl Keeper {
    /// Keeps things in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps things where this process' environment says: `SPOTTER_STATE`, else, on a camera, in `localdata` of
    /// the application's folder, else `spotter` in `XDG_STATE_HOME`, else in `~/.local/state`. None without a
    /// home.
    pub fn from_env() -> Option<Self> {
        state_folder().map(Self::new)
    }

    fn choice_file(&self) -> PathBuf {
        self.folder.join("choice.json")
    }

    /// The path of a file that was uploaded into the folder `upload`.
    pub fn path(&self, upload: &str, name: &str) -> PathBuf {
        self.folder.join("models").join(upload).join(name)
    }

    /// Stores an uploaded model, and its labels where it has any, in a folder named by their sum. The
    /// choice of it is returned, and holds once it is saved.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written.
    pub fn store(&self, name: &str, model: &[u8], labels: Option<&[u8]>) -> Result<Choice> {
        let sum = Sha256::new().chain_update(model).chain_update(labels.unwrap_or_default()).finalize();
        let upload = hex(&sum)[..SUM_LENGTH].to_owned();
        let mut choice = Choice::now(format!("{}.tflite", plain(name)), None);
        self.write(&self.path(&upload, &choice.model), model)?;
        if let Some(labels) = labels {
            choice.labels = Some("labels.txt".to_owned());
            self.write(&self.path(&upload, "labels.txt"), labels)?;
        }
        choice.upload = Some(upload);
        Ok(choice)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        atomic_file::write(path, bytes).map_err(|error| {
            let text = format!("cannot write {}; check the disk's space and permissions", path.display());
            Error::new(Kind::Output, text).caused_by(error)
        })
    }

    /// Keeps the choice and removes uploads that it does not need.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written; the choice before then holds.
    pub fn save(&self, choice: &Choice) -> Result<()> {
        let text = serde_json::to_string_pretty(choice).map_err(|error| {
            Error::new(Kind::Internal, "the model choice cannot be written as JSON").caused_by(error)
        })?;
        self.write(&self.choice_file(), text.as_bytes())?;
        self.tidy(Some(choice));
        Ok(())
    }

    /// Removes all uploads but that of `needed`. What cannot be removed stays.
    pub fn tidy(&self, needed: Option<&Choice>) {
        let needed = needed.and_then(|choice| choice.upload.as_deref());
        let Ok(entries) = std::fs::read_dir(self.folder.join("models")) else { return };
        for entry in entries.flatten() {
            if needed.is_none_or(|needed| entry.file_name() != needed) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The choice that holds for a start with this `--model`; a damaged one is told of and passed over.
    pub fn load(&self, given: Option<&str>) -> Option<Choice> {
        let choice = self.read().unwrap_or_else(|error| {
            log::warn!("{error}; the model chosen earlier is not used");
            None
        })?;
        if given.is_some() && given != choice.instead_of.as_deref() {
            log::info!(
                "--model {} takes the place of {}, chosen {}",
                given.unwrap_or_default(),
                choice.model,
                choice.chosen_at
            );
            return None;
        }
        Some(choice)
    }

    fn read(&self) -> Result<Option<Choice>> {
        let path = self.choice_file();
        let shown = path.display();
        let damaged = |why: String| Error::new(Kind::Model, format!("{shown} is damaged: {why}"));
        let about = match std::fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        };
        if about.len() > MAX_BYTES {
            return Err(damaged(format!("it has {} bytes", about.len())));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| damaged(error.to_string()))?;
        let choice: Choice = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        // Names of files, not ways out of the folder.
        let model = choice.upload.is_some().then_some(&choice.model);
        for name in choice.upload.iter().chain(model).chain(&choice.labels) {
            if Path::new(name).components().count() != 1 || name.starts_with('.') || name.contains('\0') {
                return Err(damaged(format!("\"{}\" is no file name", name.escape_default())));
            }
        }
        if choice.schema != SCHEMA {
            return Err(damaged(format!("schema {} is not known", choice.schema)));
        }
        Ok(Some(choice))
    }

    /// Forgets the choice and removes what was uploaded.
    ///
    /// # Errors
    /// [`Kind::Output`] where the file cannot be removed.
    pub fn forget(&self) -> Result<()> {
        let path = self.choice_file();
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("cannot remove {}", path.display());
                return Err(Error::new(Kind::Output, text).caused_by(error));
            }
        }
        self.tidy(None);
        Ok(())
    }
}

/// A name made of letters, digits, `-`, `_` and `.` alone, without the extension.
fn plain(name: &str) -> String {
    let stem = Path::new(name).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    let kept: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .take(NAME_LENGTH)
        .collect();
    let kept = kept.trim_start_matches('.');
    if kept.is_empty() { "model".to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::folders::localdata;

    fn keeper() -> (tempfile::TempDir, Keeper) {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(folder.path().join("state"));
        (folder, keeper)
    }

    #[test]
    fn the_newest_decision_wins() {
        let (_folder, keeper) = keeper();
        assert_eq!(keeper.load(None), None);
        let choice = Choice::now("yolov5n-artpec8".into(), Some("a.tflite".into()));
        keeper.save(&choice).unwrap();
        assert_eq!(keeper.load(Some("a.tflite")), Some(choice.clone()), "started as it was then");
        assert_eq!(keeper.load(None), Some(choice.clone()));
        assert_eq!(keeper.load(Some("b.tflite")), None, "another --model is newer");
        keeper.forget().unwrap();
        assert_eq!(keeper.load(None), None);
        keeper.forget().unwrap();
    }

    #[test]
    fn uploads_are_kept_while_they_are_needed() {
        let (_folder, keeper) = keeper();
        let path = |choice: &Choice| keeper.path(choice.upload.as_deref().unwrap(), &choice.model);
        let first = keeper.store("../../.x y.tflite", b"one", Some(b"a")).unwrap();
        assert_eq!(first.model, "x_y.tflite");
        keeper.save(&first).unwrap();
        assert_eq!(std::fs::read(path(&first)).unwrap(), b"one");
        assert_eq!(std::fs::read(path(&first).with_file_name("labels.txt")).unwrap(), b"a");
        let second = keeper.store("", b"two", None).unwrap();
        assert_eq!((second.model.as_str(), &second.labels), ("model.tflite", &None));
        assert!(path(&first).exists(), "until the second is chosen");
        keeper.save(&second).unwrap();
        assert!(!path(&first).exists() && path(&second).exists());
        assert_eq!(keeper.load(None), Some(second.clone()));
        keeper.forget().unwrap();
        assert!(!path(&second).exists());
    }

    #[test]
    fn on_a_camera_things_are_kept_in_the_applications_folder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::create_dir(folder.join("localdata")).unwrap();
        assert_eq!(localdata(folder), None);
        std::fs::write(folder.join("package.conf"), "").unwrap();
        assert_eq!(localdata(folder), Some(folder.join("localdata")));
        std::fs::remove_dir(folder.join("localdata")).unwrap();
        assert_eq!(localdata(folder), None);
    }

    #[test]
    fn a_damaged_choice_is_passed_over() {
        let (_folder, keeper) = keeper();
        keeper.save(&keeper.store("m.tflite", b"m", None).unwrap()).unwrap();
        let good = std::fs::read_to_string(keeper.choice_file()).unwrap();
        for bad in [
            "",
            "{",
            "[]",
            &good.replace("m.tflite", "../m.tflite"),
            &good.replace("m.tflite", "/etc/passwd"),
            &good.replace("m.tflite", "..")[..],
            &good.replace("\"schema\": 1", "\"schema\": 2"),
            &"x".repeat(70_000),
        ] {
            std::fs::write(keeper.choice_file(), bad).unwrap();
            assert_eq!(keeper.load(None), None, "{}", bad.get(..40).unwrap_or(bad));
        }
        std::fs::write(keeper.choice_file(), good).unwrap();
        assert!(keeper.load(None).is_some());
        std::fs::remove_file(keeper.choice_file()).unwrap();
        std::fs::create_dir(keeper.choice_file()).unwrap();
        assert_eq!(keeper.load(None), None);
        assert_eq!(keeper.forget().unwrap_err().kind(), Kind::Output);
    }
}
