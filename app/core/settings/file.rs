//! The settings' file: kept over restarts and upgrades, on a camera always, on a desktop where one is named.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Overrides;
use super::revision::{INSTEAD_OF, Revision, migrated};
use super::shared::SharedSettings;
use crate::base::atomic_file;

/// A slider that is being dragged changes many times a second, and flash memory wears out: what has not changed
/// for so long is written.
const QUIET: Duration = Duration::from_secs(1);
/// After a failure the next attempt waits so long.
const RETRY: Duration = Duration::from_secs(5);

/// `settings.json`: written a moment after a change, atomically, and a second time beside it as the last good copy.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    /// What the command line says.
    overrides: Overrides,
    /// ETag of what the file says, or of what holds without it.
    written: String,
    /// ETag of what is to be written, and when.
    due: Option<(String, Instant)>,
    /// Why it could not be written.
    trouble: Option<String>,
    /// Why it could not be read; what is there is set aside before it is written anew.
    damage: Option<String>,
}

/// The file's name with something behind it.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl SettingsFile {
    /// The file at `path`, and the settings to start with where the command line says `overrides`. A damaged file
    /// is told of, and its last good copy taken.
    pub fn open(path: PathBuf, overrides: Overrides) -> (Self, SharedSettings) {
        let copy = beside(&path, ".bak");
        let (found, damage) = match read(&path, overrides) {
            Ok(found) => (found, None),
            Err(why) => {
                let file = path.display();
                let (found, then) = match read(&copy, overrides) {
                    Ok(Some(found)) => (Some(found), format!("its last good copy {} is", copy.display())),
                    _ => (None, "the defaults hold".to_owned()),
                };
                let text = format!("{file} is not used: {why}; {then}; change the settings to write it anew");
                log::warn!("{text}");
                (found, Some(text))
            }
        };
        let revision = found.unwrap_or_else(|| Revision::first(overrides));
        let written = revision.etag().to_owned();
        let file = Self { path, overrides, written, due: None, trouble: None, damage };
        (file, SharedSettings::holding(revision, overrides))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a person should know of the file: that it cannot be written, or could not be read.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref().or(self.damage.as_deref())
    }

    /// To be called often with the settings as they are `now`: writes them once they have come to rest.
    pub fn keep(&mut self, revision: &Revision, now: Instant) {
        if revision.etag() == self.written {
            self.due = None;
            return;
        }
        match &self.due {
            Some((waiting, at)) if waiting == revision.etag() => {
                if now >= *at && !self.write(revision) {
                    self.due = Some((revision.etag().to_owned(), now + RETRY));
                }
            }
            _ => self.due = Some((revision.etag().to_owned(), now + QUIET)),
        }
    }

    /// Writes at once what has changed; for the end of the program.
    pub fn keep_now(&mut self, revision: &Revision) {
        if revision.etag() != self.written {
            self.write(revision);
        }
    }

    fn write(&mut self, revision: &Revision) -> bool {
        let mut content = revision.to_json().clone();
        content[INSTEAD_OF] = self.overrides.to_json();
        let json = format!("{content:#}\n");
        if self.damage.is_some() {
            // Somebody may want to see what was in it. Where that fails, writing says why.
            let _ = std::fs::rename(&self.path, beside(&self.path, ".damaged"));
        }
        // One after the other: whatever happens, one of them is whole.
        let written = atomic_file::write(&self.path, json.as_bytes())
            .and_then(|()| atomic_file::write(&beside(&self.path, ".bak"), json.as_bytes()));
        match written {
            Ok(()) => {
                revision.etag().clone_into(&mut self.written);
                (self.due, self.damage) = (None, None);
                if self.trouble.take().is_some() {
                    log::info!("the settings are in {} now", self.path.display());
                }
                true
            }
            Err(error) => {
                let trouble = format!(
                    "cannot write {} ({error}): the settings hold until the next start only; check the storage that \
                     it is on",
                    self.path.display()
                );
                // Once: it is tried again and again.
                if self.trouble.is_none() {
                    log::error!("{trouble}");
                }
                self.trouble = Some(trouble);
                false
            }
        }
    }
}

/// The settings in a file, where there is one, with what the command line has decided since.
fn read(path: &Path, overrides: Overrides) -> Result<Option<Revision>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let mut value = migrated(value).map_err(|error| error.to_string())?;
    let now = overrides.to_json();
    if let (Value::Object(members), Value::Object(now)) = (&mut value, now) {
        // A file that was written by hand or exported took the place of the defaults.
        let before = members.shift_remove(INSTEAD_OF).unwrap_or_else(|| Overrides::default().to_json());
        members.extend(now.into_iter().filter(|(name, value)| before[name] != *value));
    }
    let defaults = Revision::first(overrides);
    Revision::new(value, defaults.to_json()).map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::tests::values;
    use crate::vision::sensor::View;

    const GIVEN: Overrides = Overrides { confidence: 0.5, iou: 0.45, sensor: View::Input(1) };

    fn open(path: &Path, given: Overrides) -> (SettingsFile, SharedSettings) {
        SettingsFile::open(path.to_owned(), given)
    }

    fn confidence(path: &Path, given: Overrides) -> f32 {
        values(&open(path, given).1).confidence
    }

    fn set(settings: &SharedSettings, confidence: f32) {
        settings.patch(&json!({ "confidence": confidence }), None).unwrap();
    }

    #[test]
    fn a_change_is_written_once_it_rests_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        let (mut file, settings) = open(&path, GIVEN);
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        file.keep(&settings.revision(), at(0));
        // Dragged for two seconds: nothing is written meanwhile.
        for step in 0..40 {
            set(&settings, 0.25 + step as f32 / 64.0);
            file.keep(&settings.revision(), at(50 * step));
            assert!(!path.exists());
        }
        file.keep(&settings.revision(), at(2900));
        assert!(!path.exists());
        file.keep(&settings.revision(), at(2950));
        assert_eq!(confidence(&path, GIVEN), 0.25 + 39.0 / 64.0);
        // Back where it was before the pause is a change too.
        settings.reset(None).unwrap();
        file.keep_now(&settings.revision());
        assert_eq!(confidence(&path, GIVEN), 0.5);
    }

    #[test]
    fn another_command_line_is_newer_for_what_it_says_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        let (mut file, settings) = open(&path, GIVEN);
        settings.patch(&json!({ "confidence": 0.75, "iou": 0.25, "size": { "min": 0.5 } }), None).unwrap();
        file.keep_now(&settings.revision());
        let other = open(&path, Overrides { confidence: 0.125, ..GIVEN }).1;
        assert_eq!(values(&other), Overrides { confidence: 0.125, iou: 0.25, ..GIVEN });
        assert_eq!((other.now().size.min, other.now().size.max), (0.5, 1.0));
        assert_eq!(confidence(&path, GIVEN), 0.75);
        // What somebody wrote by hand took the place of the defaults.
        std::fs::write(&path, r#"{ "confidence": 0.25 }"#).unwrap();
        assert_eq!(confidence(&path, GIVEN), 0.25);
        assert_eq!(confidence(&path, Overrides { confidence: 0.75, ..GIVEN }), 0.75);
    }

    #[test]
    fn the_sensor_that_was_chosen_holds_until_the_command_line_says_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        let (mut file, settings) = open(&path, GIVEN);
        settings.patch(&json!({ "sensor": "input=3" }), None).unwrap();
        file.keep_now(&settings.revision());
        let sensor = |given| open(&path, given).1.now().sensor;
        assert_eq!(sensor(GIVEN), View::Input(3));
        assert_eq!(sensor(Overrides { sensor: View::Channel(2), ..GIVEN }), View::Channel(2));
        for bad in ["3", "input=0", "input=65", "view=1"] {
            let error = settings.patch(&json!({ "sensor": bad }), None).unwrap_err().to_string();
            assert!(error.starts_with("sensor: "), "{error}");
        }
        settings.patch(&json!({ "sensor": null }), None).unwrap();
        assert_eq!(values(&settings).sensor, View::Input(1));
    }

    #[test]
    fn damage_is_told_the_last_good_copy_taken_and_the_damaged_file_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        let (mut file, settings) = open(&path, GIVEN);
        set(&settings, 0.75);
        file.keep_now(&settings.revision());
        let good = std::fs::read_to_string(&path).unwrap();
        for bad in ["", "[]", "7", &good.replace("0.75", "7"), &good.replace(": 2", ": 3"), &good[..20]] {
            std::fs::write(&path, bad).unwrap();
            let (file, settings) = open(&path, GIVEN);
            assert_eq!(values(&settings).confidence, 0.75, "{bad}");
            let said = file.trouble().unwrap();
            assert!(said.contains("is not used") && said.contains("settings.json.bak"), "{said}");
            // Nothing is written before something changes.
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
        }
        let (mut file, settings) = open(&path, GIVEN);
        set(&settings, 0.25);
        file.keep_now(&settings.revision());
        assert_eq!(file.trouble(), None);
        assert_eq!(std::fs::read_to_string(beside(&path, ".damaged")).unwrap(), good[..20]);
        assert_eq!(confidence(&path, GIVEN), 0.25);
        // Both damaged.
        for name in [path.clone(), beside(&path, ".bak")] {
            std::fs::write(name, "{").unwrap();
        }
        let (file, settings) = open(&path, GIVEN);
        assert_eq!(values(&settings), GIVEN);
        assert!(file.trouble().unwrap().contains("the defaults hold"));
    }

    #[test]
    fn schema_1_is_read_and_rewritten_with_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        let old = r#"{"schema":1,"settings":{"confidence":0.3,"iou":0.6},"instead_of":{"confidence":0.5,"iou":0.45}}"#;
        std::fs::write(&path, old).unwrap();
        let (mut file, settings) = open(&path, GIVEN);
        assert_eq!(file.trouble(), None);
        assert_eq!(values(&settings), Overrides { confidence: 0.3, iou: 0.6, ..GIVEN });
        file.keep(&settings.revision(), Instant::now());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), old, "an older version can still read it");
        settings.patch(&json!({ "fit": "stretch" }), None).unwrap();
        file.keep_now(&settings.revision());
        let new: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            (&new["schema"], &new["confidence"], &new["fit"]),
            (&json!(2), &json!(0.3), &json!("stretch"))
        );
        assert_eq!(
            values(&open(&path, Overrides { iou: 0.7, ..GIVEN }).1),
            Overrides { confidence: 0.3, iou: 0.7, ..GIVEN }
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let (mut file, settings) = open(&path.join("settings.json"), GIVEN);
        std::fs::write(&path, "in the way").unwrap();
        let begun = Instant::now();
        set(&settings, 0.75);
        file.keep(&settings.revision(), begun);
        file.keep(&settings.revision(), begun + QUIET);
        let trouble = file.trouble().unwrap();
        assert!(trouble.contains("settings.json") && trouble.contains("until the next start"), "{trouble}");
        std::fs::remove_file(&path).unwrap();
        file.keep(&settings.revision(), begun + QUIET + RETRY / 2);
        assert!(!path.exists(), "not yet");
        file.keep(&settings.revision(), begun + QUIET + RETRY);
        assert_eq!(file.trouble(), None);
        assert_eq!(confidence(&path.join("settings.json"), GIVEN), 0.75);
    }
}
