//! Where model files are kept: what the user names as a model becomes a path.

use std::path::{Path, PathBuf};

use super::demo;
#[cfg(feature = "desktop")]
use super::fetch;
use super::{Catalogue, Entry};
use spotter_core::base::atomic_file;
use spotter_core::base::error::{Error, Kind, Result};
use spotter_core::base::folders::{folder_named, user_folder};

/// Folders that are looked into. A value, so that tests need no process environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The folder that `SPOTTER_MODELS` names.
    pub models: Option<PathBuf>,
    /// The working directory; its folder `models` is looked into.
    pub working: PathBuf,
    /// Where downloads are kept: `spotter/models` in the user's cache.
    pub cache: Option<PathBuf>,
}

impl Places {
    /// The folders of this process.
    pub fn from_env() -> Self {
        let cache = user_folder("XDG_CACHE_HOME", ".cache");
        let working = PathBuf::from(".");
        // The same folder by two names is one place.
        let same = |path: &PathBuf| match (path.canonicalize(), working.join("models").canonicalize()) {
            (Ok(own), Ok(other)) => own == other,
            _ => false,
        };
        Self {
            models: folder_named("SPOTTER_MODELS").filter(|path| !same(path)),
            working,
            cache: cache.map(|cache| cache.join("spotter").join("models")),
        }
    }

    /// The folders that exist or may exist, in the order they are looked into.
    pub fn folders(&self) -> Vec<PathBuf> {
        let own = self.models.iter().cloned().chain([self.working.join("models")]);
        own.chain(self.cache.iter().cloned()).collect()
    }
}

/// What a model's name led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'a> {
    /// A file given as a path; whether it exists is seen when it is opened.
    Path(PathBuf),
    /// A catalogue model whose file is here and has been checked.
    Local(&'a Entry, PathBuf),
    /// A catalogue model that would have to be downloaded, or written out of the program.
    Missing(&'a Entry),
}

/// What is in the folders of a catalogue model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its file, with the right sums.
    Here(PathBuf),
    /// A file of its name with other sums.
    Damaged(PathBuf),
    /// No file, but the program has it inside.
    BuiltIn,
    /// Nothing.
    Absent,
}

/// The catalogue and the folders that its files are in.
pub struct Store<'a> {
    /// The models known by name.
    pub catalogue: &'a Catalogue,
    /// The folders.
    pub places: Places,
}

impl<'a> Store<'a> {
    /// A store of these models in these folders.
    pub fn new(catalogue: &'a Catalogue, places: Places) -> Self {
        Self { catalogue, places }
    }

    /// Looks for a model without downloading it. `model` is a path where such a file exists, or where
    /// it has a path separator or ends in `.tflite` or `.bin`; else it is a catalogue name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown name, with near ones; [`Kind::Model`] where a file has the
    /// catalogue's name but not its sums.
    pub fn find(&self, model: &str) -> Result<Found<'a>> {
        let path = Path::new(model);
        let looks_like_path = model.contains(std::path::is_separator)
            || path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("tflite") || e.eq_ignore_ascii_case("bin"));
        if looks_like_path || path.is_file() {
            return Ok(Found::Path(path.to_path_buf()));
        }
        let entry = self.catalogue.get(model)?;
        match self.state(entry)? {
            State::Here(path) => Ok(Found::Local(entry, path)),
            State::Absent | State::BuiltIn => Ok(Found::Missing(entry)),
            State::Damaged(path) => {
                let text = format!(
                    "{} is not the file that the catalogue means by {model}: its checksum differs; \
                     delete it, or give its path with --model to use it as it is",
                    path.display()
                );
                Err(Error::new(Kind::Model, text))
            }
        }
    }

    /// All files that have the name of the entry's file, in the order of the folders.
    pub fn copies(&self, entry: &Entry) -> impl Iterator<Item = PathBuf> {
        let paths = self.places.folders().into_iter().map(|folder| folder.join(&entry.file));
        paths.filter(|path| path.is_file())
    }

    /// Whether the model is here: the first of its copies is the one that is used. Reads the file.
    ///
    /// # Errors
    /// [`Kind::Model`] where the file cannot be read.
    pub fn state(&self, entry: &Entry) -> Result<State> {
        match self.copies(entry).next() {
            Some(path) => check(entry, path),
            None if demo::bytes(&entry.name).is_some() => Ok(State::BuiltIn),
            None => Ok(State::Absent),
        }
    }

    /// The path of a model, downloaded into the cache where it is in no folder. `accepted` are the
    /// licences that the user has accepted by name.
    ///
    /// # Errors
    /// As for [`Store::find`]; [`Kind::Usage`] where the licence needs the user's word first;
    /// [`Kind::Download`] where it cannot be downloaded; [`Kind::Busy`] where another process does.
    pub fn resolve(&self, model: &str, accepted: &[String]) -> Result<PathBuf> {
        match self.find(model)? {
            Found::Path(path) | Found::Local(_, path) => Ok(path),
            Found::Missing(entry) => self.download(entry, accepted),
        }
    }

    /// Downloads a catalogue model into the cache, or writes it there where it is inside the program.
    ///
    /// # Errors
    /// As for [`Store::resolve`].
    pub fn download(&self, entry: &Entry, accepted: &[String]) -> Result<PathBuf> {
        let Entry { name, licence, file, .. } = entry;
        if entry.needs_consent() && !accepted.iter().any(|word| word.eq_ignore_ascii_case(licence)) {
            let text = format!(
                "{name} is under {licence}, which also binds programs that use it over a network; \
                 to download it, add --accept-license {licence}"
            );
            return Err(Error::new(Kind::Usage, text));
        }
        let Some(cache) = &self.places.cache else {
            let text = format!(
                "cannot download {name}: there is no cache folder (HOME is not set); put {file} into ./models"
            );
            return Err(Error::new(Kind::Download, text));
        };
        let target = cache.join(file);
        if let Some(bytes) = demo::bytes(name) {
            atomic_file::write(&target, bytes).map_err(|error| {
                let text =
                    format!("cannot write {}; check the disk's space and permissions", target.display());
                Error::new(Kind::Output, text).caused_by(error)
            })?;
            return Ok(target);
        }
        let Some(url) = &entry.url else {
            let text = format!(
                "{name} comes with Spotter's sources; put {file} of their folder models into ./models"
            );
            return Err(Error::new(Kind::NotFound, text));
        };
        fetch_into(entry, url, &target, cache)?;
        Ok(target)
    }
}

/// Downloads the entry's file to `target`, in the folder `cache`.
#[cfg(feature = "desktop")]
fn fetch_into(entry: &Entry, url: &str, target: &Path, cache: &Path) -> Result<()> {
    let Entry { name, file, .. } = entry;
    let failed = |error: Error| {
        if error.kind() == Kind::Busy {
            return error;
        }
        let text = format!(
            "cannot download {name} ({error}); put {file} into {}, or give a path with --model",
            cache.display()
        );
        Error::new(Kind::Download, text)
    };
    let agent = fetch::agent(fetch::Security::HttpsOnly);
    fetch::fetch(&agent, url, target, &entry.pin(), &mut fetch::Progress::on_stderr(name)).map_err(failed)
}

/// A camera has no way out to the internet, as a rule, and the program for it no code for one.
#[cfg(not(feature = "desktop"))]
fn fetch_into(entry: &Entry, _: &str, _: &Path, _: &Path) -> Result<()> {
    let Entry { name, file, .. } = entry;
    let text = format!(
        "this build of Spotter cannot download {name}; upload {file} on the page, or build the package with \
         --model {name}"
    );
    Err(Error::new(Kind::Download, text))
}

/// Whether the file at `path` is the entry's.
///
/// # Errors
/// [`Kind::Model`] where it cannot be read.
pub fn check(entry: &Entry, path: PathBuf) -> Result<State> {
    match entry.pin().matches_file(&path) {
        Ok(true) => Ok(State::Here(path)),
        Ok(false) => Ok(State::Damaged(path)),
        Err(error) => {
            let text = format!("cannot read the model file {}", path.display());
            Err(Error::new(Kind::Model, text).caused_by(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spotter_core::model::task::Task;

    fn entry(name: &str, file: &str, licence: &str, sha256: &str) -> Entry {
        Entry {
            name: name.into(),
            title: String::new(),
            task: Task::Detection,
            head: None,
            backbone: String::new(),
            chips: vec![],
            input: "1x1".into(),
            labels: "coco-80".into(),
            licence: licence.into(),
            // The inner download refuses what is not https, without touching the network.
            url: Some("http://127.0.0.1:9/m.tflite".into()),
            scope: None,
            file: file.into(),
            sha256: Some(sha256.into()),
            git_blob: None,
            size: None,
            cpu_twin: None,
            note: None,
            published: vec![],
        }
    }

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn setup(folder: &Path) -> (Catalogue, Places) {
        let models = vec![
            entry("free", "free.tflite", "Apache-2.0", HELLO),
            entry("bound", "b.tflite", "AGPL-3.0", HELLO),
        ];
        let places = Places {
            models: Some(folder.join("own")),
            working: folder.join("work"),
            cache: Some(folder.join("cache")),
        };
        (Catalogue { default: "free".into(), models }, places)
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (catalogue, places) = setup(folder.path());
        let store = Store::new(&catalogue, places);
        for path in ["some/where", "absent.tflite", "ABSENT.TFLITE", "./free"] {
            assert_eq!(store.find(path).unwrap(), Found::Path(path.into()));
        }
        let file = folder.path().join("model");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(store.resolve(file.to_str().unwrap(), &[]).unwrap(), file);
        assert_eq!(store.find("fre").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn folders_are_looked_into_in_order_and_files_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let (catalogue, places) = setup(folder.path());
        let store = Store::new(&catalogue, places.clone());
        assert!(matches!(store.find("free").unwrap(), Found::Missing(e) if e.name == "free"));
        for place in places.folders().iter().rev() {
            std::fs::create_dir_all(place).unwrap();
            let path = place.join("free.tflite");
            std::fs::write(&path, "hello").unwrap();
            assert!(matches!(store.find("free").unwrap(), Found::Local(_, found) if found == path));
        }
        // A file that is there needs nobody's word, whatever its licence.
        std::fs::write(folder.path().join("work/models/b.tflite"), "hello").unwrap();
        assert!(store.resolve("bound", &[]).is_ok());
        let path = folder.path().join("own/free.tflite");
        std::fs::write(&path, "hellO").unwrap();
        let error = store.find("free").unwrap_err();
        assert_eq!(error.kind(), Kind::Model);
        assert_eq!(
            error.to_string(),
            format!(
                "{} is not the file that the catalogue means by free: its checksum differs; \
                 delete it, or give its path with --model to use it as it is",
                path.display()
            )
        );
    }

    #[test]
    fn a_bound_licence_needs_the_users_word() {
        let folder = tempfile::tempdir().unwrap();
        let (catalogue, places) = setup(folder.path());
        let store = Store::new(&catalogue, places);
        let error = store.resolve("bound", &["MIT".to_string()]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().ends_with("add --accept-license AGPL-3.0"), "{error}");
        let error = store.resolve("bound", &["agpl-3.0".to_string()]).unwrap_err();
        assert_eq!(error.kind(), Kind::Download);
    }

    #[test]
    fn a_failed_download_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (catalogue, places) = setup(folder.path());
        let cache = folder.path().join("cache");
        let store = Store::new(&catalogue, places);
        let error = store.resolve("free", &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Download);
        let sentence = error.to_string();
        assert!(sentence.starts_with("cannot download free ("), "{sentence}");
        let end = format!("put free.tflite into {}, or give a path with --model", cache.display());
        assert!(sentence.ends_with(&end), "{sentence}");
        let homeless = Store::new(&catalogue, Places::default());
        assert!(homeless.resolve("free", &[]).unwrap_err().to_string().contains("no cache folder"));
    }
}
