//! The model that was chosen while Spotter ran: kept on disk, so that it runs again after a restart.
//!
//! `choice.json` in the state folder names it; what was uploaded lies in `models` beside it. The newest
//! decision wins: a choice holds as long as Spotter is started as it was when the choice was made, and a
//! start with another `--model` is a newer decision.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::base::atomic_file::{self, Part};
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::state_folder;
use crate::base::time::timestamp;
use crate::model::catalogue::hex;
use crate::model::format::cavalry::Cavalry;
use sha2::{Digest, Sha256};

/// The version of the file's shape.
const SCHEMA: u32 = 1;
/// The file is a few hundred bytes; anything larger is none.
const MAX_BYTES: u64 = 64 << 10;
/// Digits of the sum that name an upload's folder.
const SUM_LENGTH: usize = 16;
/// What the names of model files begin with that are being received.
const RECEIVED: &str = "upload-";
/// Bytes of a file that tell whether it is a .tflite model.
const START: usize = 8;
/// Bytes that are written at once.
const PIECE: usize = 64 << 10;
/// Characters of a model's own name that are kept in the name of its file.
const NAME_LENGTH: usize = 80;

/// A model chosen at run time.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ModelChoice {
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

impl ModelChoice {
    /// A choice made now.
    pub fn now(model: String, instead_of: Option<String>) -> Self {
        let chosen_at = timestamp(SystemTime::now());
        Self { schema: SCHEMA, model, upload: None, labels: None, fit: None, instead_of, chosen_at }
    }
}

/// A model file that was sent, on the disk already: it goes with this value where it is not stored.
#[derive(Debug)]
pub struct ModelUpload {
    part: Part,
    /// Of all its bytes.
    sum: Sha256,
    /// The first bytes of it.
    start: Vec<u8>,
}

/// Files that were sent to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload<F = ModelUpload> {
    /// The model's name, for people.
    pub name: String,
    /// The model file.
    pub model: F,
    /// A label file.
    pub labels: Option<Vec<u8>>,
    /// What a model compiled for CV25 takes and gives, as JSON.
    pub description: Option<Vec<u8>>,
}

impl Upload {
    /// What the name of the model's file ends in: the file says what it is, and its name where it says nothing.
    fn extension(&self) -> Result<&'static str> {
        let name = &self.name;
        let is_tflite = self.model.start.get(4..8) == Some(b"TFL3");
        let is_bin = Path::new(name).extension().is_some_and(|end| end.eq_ignore_ascii_case("bin"));
        match &self.description {
            Some(_) if is_tflite => Err(Error::new(
                Kind::Usage,
                format!(
                    "{name} is a .tflite model, which says itself what it takes and gives; leave its description out"
                ),
            )),
            Some(description) => {
                let shown = format!("the description of {name}");
                Cavalry::parse(description, &shown)?
                    .check_input()
                    .map_err(|why| Error::new(Kind::Model, format!("{name} cannot be used: {why}")))?;
                Ok("bin")
            }
            None if is_bin && !is_tflite && !self.model.start.is_empty() => {
                let text = format!(
                    "{name} is compiled for Ambarella CV25 and does not say what it takes and gives; send its \
                     description, {}.json, along with it (docs/models.md tells what stands in it)",
                    plain(name)
                );
                Err(Error::new(Kind::Usage, text))
            }
            None => Ok("tflite"),
        }
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

    /// Takes a model file that is being sent onto the disk, where [`Keeper::store`] finds it.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written; where it cannot be read, what `unreadable` makes of that.
    pub fn receive(
        &self,
        file: &mut dyn Read,
        unreadable: impl Fn(io::Error) -> Error,
    ) -> Result<ModelUpload> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = self.folder.join("models").join(format!("{RECEIVED}{number}"));
        let failed = |error| unwritable(&place, error);
        let part = Part::new(&place).map_err(failed)?;
        let mut written = File::create(part.path()).map_err(failed)?;
        let (mut sum, mut start) = (Sha256::new(), Vec::new());
        let mut piece = vec![0; PIECE];
        loop {
            let read = match file.read(&mut piece) {
                Ok(0) => return Ok(ModelUpload { part, sum, start }),
                Ok(read) => &piece[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            sum.update(read);
            start.extend(read.iter().take(START - start.len()));
            written.write_all(read).map_err(failed)?;
        }
    }

    /// Stores what was uploaded in a folder named by its sum. The choice of it is returned, and holds once it
    /// is saved.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Model`] where the files do not belong together, [`Kind::Output`] where they
    /// cannot be written.
    pub fn store(&self, sent: Upload) -> Result<ModelChoice> {
        let extension = sent.extension()?;
        let Upload { name, model, labels, description } = sent;
        let also = |part: &Option<Vec<u8>>| part.clone().unwrap_or_default();
        let sum = model.sum.chain_update(also(&labels)).chain_update(also(&description));
        let upload = hex(&sum.finalize())[..SUM_LENGTH].to_owned();
        let name = plain(&name);
        let mut choice = ModelChoice::now(format!("{name}.{extension}"), None);
        let path = self.path(&upload, &choice.model);
        model.part.place_as(&path).map_err(|error| unwritable(&path, error))?;
        if let Some(description) = description {
            self.write(&self.path(&upload, &format!("{name}.json")), &description)?;
        }
        if let Some(labels) = labels {
            choice.labels = Some("labels.txt".to_owned());
            self.write(&self.path(&upload, "labels.txt"), &labels)?;
        }
        choice.upload = Some(upload);
        Ok(choice)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        atomic_file::write(path, bytes).map_err(|error| unwritable(path, error))
    }

    /// Keeps the choice and removes uploads that it does not need.
    ///
    /// # Errors
    /// [`Kind::Output`] where it cannot be written; the choice before then holds.
    pub fn save(&self, choice: &ModelChoice) -> Result<()> {
        let text = serde_json::to_string_pretty(choice).map_err(|error| {
            Error::new(Kind::Internal, "the model choice cannot be written as JSON").caused_by(error)
        })?;
        self.write(&self.choice_file(), text.as_bytes())?;
        self.tidy(Some(choice));
        Ok(())
    }

    /// Removes all uploads but that of `needed`, and what was left of those that a process which ended was receiving.
    /// What cannot be removed stays.
    pub fn tidy(&self, needed: Option<&ModelChoice>) {
        let needed = needed.and_then(|choice| choice.upload.as_deref());
        let Ok(entries) = std::fs::read_dir(self.folder.join("models")) else { return };
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if name.to_string_lossy().starts_with(RECEIVED) {
                // One of this process goes with its upload.
                if !atomic_file::is_own_part(&path) {
                    let _ = std::fs::remove_file(path);
                }
            } else if needed.is_none_or(|needed| name != needed) {
                let _ = std::fs::remove_dir_all(path);
            }
        }
    }

    /// The choice that holds for a start with this `--model`; a damaged one is told of and passed over.
    pub fn load(&self, given: Option<&str>) -> Option<ModelChoice> {
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

    fn read(&self) -> Result<Option<ModelChoice>> {
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
        let choice: ModelChoice = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
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

fn unwritable(path: &Path, error: io::Error) -> Error {
    let text = format!("cannot write {}; check the disk's space and permissions", path.display());
    Error::new(Kind::Output, text).caused_by(error)
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
    use crate::model::format::file::ModelFile;

    fn keeper() -> (tempfile::TempDir, Keeper) {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(folder.path().join("state"));
        (folder, keeper)
    }

    fn received(keeper: &Keeper, mut model: &[u8]) -> ModelUpload {
        keeper.receive(&mut model, |error| panic!("{error}")).unwrap()
    }

    fn sent(keeper: &Keeper, name: &str, model: &[u8], labels: Option<&[u8]>) -> Upload {
        let labels = labels.map(<[u8]>::to_vec);
        Upload { name: name.into(), model: received(keeper, model), labels, description: None }
    }

    #[test]
    fn a_compiled_model_is_kept_with_its_description() {
        let (_folder, keeper) = keeper();
        let described = |description: &str| Upload {
            description: Some(description.into()),
            ..sent(&keeper, "my street.BIN", b"compiled bytes", None)
        };
        let sound = r#"{"inputs":[{"shape":[1,3,8,8],"type":"uint8"}],
            "outputs":[{"shape":[1,9],"type":"float32"}],"classes":9}"#;
        let choice = keeper.store(described(sound)).unwrap();
        assert_eq!(choice.model, "my_street.bin");
        keeper.save(&choice).unwrap();
        let path = keeper.path(choice.upload.as_deref().unwrap(), &choice.model);
        let file = ModelFile::open(&path).unwrap();
        assert_eq!((file.name.as_str(), &file.bytes[..]), ("my_street.bin", b"compiled bytes".as_slice()));
        assert_eq!(file.signature.outputs[0].shape, [1, 9]);
        assert_eq!(keeper.load(None), Some(choice.clone()));
        // Another description is another upload.
        let other = keeper.store(described(&sound.replace('9', "7"))).unwrap();
        assert_ne!(other.upload, choice.upload);
        for (upload, kind, why) in [
            (
                sent(&keeper, "s.bin", b"compiled bytes", None),
                Kind::Usage,
                "send its description, s.json, along with it",
            ),
            (described("{"), Kind::Model, "the description of my street.BIN does not describe a model"),
            (described(&sound.replace("3,8,8", "8,8,3")), Kind::Model, "CV25 takes one picture"),
            (
                Upload { model: received(&keeper, b"1234TFL3"), ..described(sound) },
                Kind::Usage,
                "my street.BIN is a .tflite model",
            ),
        ] {
            let error = keeper.store(upload).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn the_newest_decision_wins() {
        let (_folder, keeper) = keeper();
        assert_eq!(keeper.load(None), None);
        let choice = ModelChoice::now("yolov5n-artpec8".into(), Some("a.tflite".into()));
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
        let path = |choice: &ModelChoice| keeper.path(choice.upload.as_deref().unwrap(), &choice.model);
        let first = keeper.store(sent(&keeper, "../../.x y.tflite", b"one", Some(b"a"))).unwrap();
        assert_eq!(first.model, "x_y.tflite");
        keeper.save(&first).unwrap();
        assert_eq!(std::fs::read(path(&first)).unwrap(), b"one");
        assert_eq!(std::fs::read(path(&first).with_file_name("labels.txt")).unwrap(), b"a");
        let second = keeper.store(sent(&keeper, "", b"two", None)).unwrap();
        assert_eq!((second.model.as_str(), &second.labels), ("model.tflite", &None));
        assert!(path(&first).exists(), "until the second is chosen");
        keeper.save(&second).unwrap();
        assert!(!path(&first).exists() && path(&second).exists());
        assert_eq!(keeper.load(None), Some(second.clone()));
        keeper.forget().unwrap();
        assert!(!path(&second).exists());
    }

    #[test]
    fn what_is_being_received_is_not_in_the_way() {
        let (_folder, keeper) = keeper();
        let count = || std::fs::read_dir(keeper.folder.join("models")).unwrap().count();
        let being_sent = received(&keeper, b"one");
        let path = being_sent.part.path().to_owned();
        // Of a process that was killed.
        let other = path.with_file_name("upload-0.4294967295.part");
        std::fs::write(&other, "half").unwrap();
        keeper.tidy(None);
        assert!(path.exists() && !other.exists());
        drop(being_sent);
        assert_eq!(count(), 0);
        // One that breaks off leaves nothing, nor one whose files do not belong together.
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let broken = |_: io::Error| Error::new(Kind::Usage, "broken");
        let mut half = b"one".chain(Broken);
        assert_eq!(keeper.receive(&mut half, broken).unwrap_err().kind(), Kind::Usage);
        assert!(keeper.store(sent(&keeper, "m.bin", b"compiled", None)).is_err());
        assert_eq!(count(), 0);
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
        keeper.save(&keeper.store(sent(&keeper, "m.tflite", b"m", None)).unwrap()).unwrap();
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
