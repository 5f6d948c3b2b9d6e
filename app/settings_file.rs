//! The settings on a camera, kept over restarts and upgrades. On a desktop the command line says them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::settings::Values;

/// The version of the file's shape.
const SCHEMA: u32 = 1;
/// A slider that is being dragged changes many times a second, and flash memory wears out: what has not changed
/// for so long is written.
const QUIET: Duration = Duration::from_secs(1);
/// After a failure the next attempt waits so long.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, Serialize)]
struct Content {
    schema: u32,
    settings: Values,
    /// What the command line said when they were changed: with another one the command line is the newer decision.
    instead_of: Values,
}

/// `settings.json`: written a moment after a change, atomically.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    given: Values,
    /// What the file says, or what holds without it.
    written: Values,
    /// What is to be written, and when.
    due: Option<(Values, Instant)>,
    /// Why they could not be written.
    trouble: Option<String>,
}

impl SettingsFile {
    /// The file in `folder`, for a start with the settings `given` by the command line. A damaged one is told of
    /// and passed over.
    pub fn new(folder: &Path, given: Values) -> Self {
        let path = folder.join("settings.json");
        let written = match read(&path) {
            Ok(Some(content)) if content.instead_of == given => content.settings,
            Ok(_) => given,
            Err(why) => {
                log::warn!("{} is not used: {why}; change the settings to write it anew", path.display());
                given
            }
        };
        Self { path, given, written, due: None, trouble: None }
    }

    /// The settings to start with.
    pub fn values(&self) -> Values {
        self.written
    }

    /// While the settings cannot be kept: why, and what that means.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// To be called often with the settings as they are `now`: writes them once they have come to rest.
    pub fn keep(&mut self, values: Values, now: Instant) {
        if values == self.written {
            self.due = None;
            return;
        }
        match self.due {
            Some((waiting, at)) if waiting == values => {
                if now >= at && !self.write(values) {
                    self.due = Some((values, now + RETRY));
                }
            }
            _ => self.due = Some((values, now + QUIET)),
        }
    }

    /// Writes at once what has changed; for the end of the program.
    pub fn keep_now(&mut self, values: Values) {
        if values != self.written {
            self.write(values);
        }
    }

    fn write(&mut self, settings: Values) -> bool {
        let content = Content { schema: SCHEMA, settings, instead_of: self.given };
        let written = serde_json::to_vec(&content)
            .map_err(std::io::Error::from)
            .and_then(|json| atomic_file::write(&self.path, &json));
        match written {
            Ok(()) => {
                self.written = settings;
                self.due = None;
                if self.trouble.take().is_some() {
                    log::info!("the settings are in {} now", self.path.display());
                }
                true
            }
            Err(error) => {
                let trouble = format!(
                    "cannot write {} ({error}): the settings hold until the next start only; check the camera's \
                     storage",
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

fn read(path: &Path) -> Result<Option<Content>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let content: Content = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if content.schema != SCHEMA {
        return Err(format!("schema {} is not known", content.schema));
    }
    if !content.settings.are_valid() {
        return Err("a setting is not from 0 to 1".to_owned());
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Values = Values { confidence: 0.5, iou: 0.45 };

    fn with(confidence: f32) -> Values {
        Values { confidence, ..GIVEN }
    }

    #[test]
    fn a_change_is_written_once_it_rests_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = SettingsFile::new(folder.path(), GIVEN);
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        file.keep(GIVEN, at(0));
        // Dragged for two seconds: nothing is written meanwhile.
        for step in 0..40 {
            file.keep(with(0.3 + step as f32 / 100.0), at(50 * step));
            assert!(!file.path.exists());
        }
        file.keep(with(0.69), at(2900));
        assert!(!file.path.exists());
        file.keep(with(0.69), at(2950));
        assert_eq!(SettingsFile::new(folder.path(), GIVEN).values(), with(0.69));
        // Back where it was before the pause is a change too.
        file.keep_now(GIVEN);
        assert_eq!(SettingsFile::new(folder.path(), GIVEN).values(), GIVEN);
    }

    #[test]
    fn another_command_line_is_newer_and_damage_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        SettingsFile::new(folder.path(), GIVEN).keep_now(with(0.7));
        assert_eq!(SettingsFile::new(folder.path(), with(0.2)).values(), with(0.2));
        assert_eq!(SettingsFile::new(folder.path(), GIVEN).values(), with(0.7));
        let path = folder.path().join("settings.json");
        let good = std::fs::read_to_string(&path).unwrap();
        for bad in ["", "[]", &good.replace("0.7", "7"), &good.replace(":1,", ":2,")[..], &good[..20]] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(SettingsFile::new(folder.path(), GIVEN).values(), GIVEN, "{bad}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, "in the way").unwrap();
        let mut file =
            SettingsFile { path: path.join("settings.json"), ..SettingsFile::new(folder.path(), GIVEN) };
        let begun = Instant::now();
        file.keep(with(0.7), begun);
        file.keep(with(0.7), begun + QUIET);
        let trouble = file.trouble().unwrap();
        assert!(trouble.contains("settings.json") && trouble.contains("until the next start"), "{trouble}");
        std::fs::remove_file(&path).unwrap();
        file.keep(with(0.7), begun + QUIET + RETRY / 2);
        assert!(!path.exists(), "not yet");
        file.keep(with(0.7), begun + QUIET + RETRY);
        assert_eq!(file.trouble(), None);
        assert_eq!(SettingsFile::new(&path, GIVEN).values(), with(0.7));
    }
}
