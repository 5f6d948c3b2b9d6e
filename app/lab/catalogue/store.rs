//! Where model files are kept: what the user names as a model becomes a path.

use std::path::{Path, PathBuf};

use super::demo;
#[cfg(feature = "desktop")]
use super::fetch;
use super::{Catalogue, Entry, Pin, hex};
use sha2::{Digest, Sha256};
use spotter_core::base::atomic_file;
use spotter_core::base::error::{Error, Kind, Result};
use spotter_core::base::folders::{folder_named, user_folder};

/// The word, beside licences, by which the user takes a file of which no checksum is published.
pub const UNVERIFIED: &str = "unverified";

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
    /// A catalogue model whose file is here, but of which no sum is known.
    Unverified(&'a Entry, PathBuf),
    /// A catalogue model that would have to be downloaded, or written out of the program.
    Missing(&'a Entry),
}

/// What is in the folders of a catalogue model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its file, with the right sums.
    Here(PathBuf),
    /// A file of its name of which nobody knows whether it is the one: no sum is published, and none was taken yet.
    Unverified(PathBuf),
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
            State::Unverified(path) => Ok(Found::Unverified(entry, path)),
            State::Absent | State::BuiltIn => Ok(Found::Missing(entry)),
            State::Damaged(path) => {
                let wrong =
                    format!("is not the file that the catalogue means by {model}: its checksum differs");
                let text = format!(
                    "{} {wrong}; delete it, or give its path with --model to use it as it is",
                    path.display()
                );
                let over_http =
                    format!("{} {wrong}; it has to be deleted on the machine that runs Spotter", entry.file);
                Err(Error::new(Kind::Model, text).over_http(over_http))
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
            Some(path) => self.check(entry, path),
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
            Found::Path(path) => Ok(path),
            Found::Local(entry, path) => self.describe(entry, path),
            Found::Unverified(entry, path) => {
                self.check_word(entry, accepted)?;
                self.remember(entry, &path)?;
                self.describe(entry, path)
            }
            Found::Missing(entry) => self.download(entry, accepted),
        }
    }

    /// Where the sum of a file is kept that was taken on trust.
    fn sum_file(&self, entry: &Entry) -> Option<PathBuf> {
        Some(self.places.cache.as_ref()?.join(format!("{}.sha256", entry.file)))
    }

    /// The sum that was seen when the user first took the file; as `sha256sum` writes it.
    fn remembered(&self, entry: &Entry) -> Option<String> {
        let text = std::fs::read_to_string(self.sum_file(entry)?).ok()?;
        let sum = text.split_whitespace().next()?;
        (sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| sum.to_owned())
    }

    /// Keeps the sum of a file that is taken on trust.
    fn remember(&self, entry: &Entry, path: &Path) -> Result<()> {
        let unreadable = |error| {
            Error::new(Kind::Model, format!("cannot read the model file {}", path.display())).caused_by(error)
        };
        let sum = hex(&Sha256::digest(std::fs::read(path).map_err(unreadable)?));
        let Some(file) = self.sum_file(entry) else {
            let text = format!(
                "there is no folder to remember the checksum of {} in (HOME is not set); give the file's path with --model",
                entry.name
            );
            return Err(Error::new(Kind::Output, text));
        };
        write(&file, format!("{sum}  {}\n", entry.file).as_bytes())?;
        log::info!(
            "{} is taken on trust: its SHA-256 is {sum}, and no other is taken from now on",
            entry.name
        );
        Ok(())
    }

    /// The sums that a copy must have: those of the catalogue, else the one that was seen first.
    fn pin(&self, entry: &Entry) -> Pin {
        let mut pin = entry.pin();
        if entry.is_unverified() {
            pin.sha256 = self.remembered(entry);
        }
        pin
    }

    /// Whether nobody can check the entry's file, and the user has not taken one yet.
    pub fn needs_word(&self, entry: &Entry) -> bool {
        entry.is_unverified() && self.remembered(entry).is_none()
    }

    /// Whether the user has taken a file that nobody can check.
    fn check_word(&self, entry: &Entry, accepted: &[String]) -> Result<()> {
        if !self.needs_word(entry) || accepted.iter().any(|word| word == UNVERIFIED) {
            return Ok(());
        }
        let why = format!(
            "no checksum of {} is published, so nobody can tell whether {} is the file that was meant; to take it \
             and hold every later copy against it",
            entry.name, entry.file
        );
        let over_http = format!("{why}, send accept_unverified: true as well");
        Err(Error::new(Kind::Usage, format!("{why}, add --accept-unverified")).over_http(over_http))
    }

    /// Puts the description that the catalogue has of a compiled model beside its file, where there is none.
    fn describe(&self, entry: &Entry, path: PathBuf) -> Result<PathBuf> {
        let beside = path.with_extension("json");
        if let Some(description) = entry.description().filter(|_| !beside.exists()) {
            let text = serde_json::to_string_pretty(&description).map_err(|error| {
                Error::new(Kind::Internal, "a description cannot be written as JSON").caused_by(error)
            })?;
            write(&beside, text.as_bytes())?;
        }
        Ok(path)
    }

    /// Whether the file at `path` is the entry's.
    ///
    /// # Errors
    /// [`Kind::Model`] where it cannot be read.
    pub fn check(&self, entry: &Entry, path: PathBuf) -> Result<State> {
        let pin = self.pin(entry);
        if entry.is_unverified() && pin.sha256.is_none() {
            return Ok(State::Unverified(path));
        }
        match pin.matches_file(&path) {
            Ok(true) => Ok(State::Here(path)),
            Ok(false) => Ok(State::Damaged(path)),
            Err(error) => {
                let text = format!("cannot read the model file {}", path.display());
                Err(Error::new(Kind::Model, text).caused_by(error))
            }
        }
    }

    /// Downloads a catalogue model into the cache, or writes it there where it is inside the program.
    ///
    /// # Errors
    /// As for [`Store::resolve`].
    pub fn download(&self, entry: &Entry, accepted: &[String]) -> Result<PathBuf> {
        let Entry { name, licence, file, .. } = entry;
        if entry.needs_consent() && !accepted.iter().any(|word| word.eq_ignore_ascii_case(licence)) {
            let why =
                format!("{name} is under {licence}, which also binds programs that use it over a network");
            let text = format!("{why}; to download it, add --accept-license {licence}");
            let over_http = format!("{why}; to download it, send accept_license: \"{licence}\" as well");
            return Err(Error::new(Kind::Usage, text).over_http(over_http));
        }
        self.check_word(entry, accepted)?;
        let Some(cache) = &self.places.cache else {
            let text = format!(
                "cannot download {name}: there is no cache folder (HOME is not set); put {file} into ./models"
            );
            let over_http =
                format!("cannot download {name}: Spotter has no cache folder; send the file itself");
            return Err(Error::new(Kind::Download, text).over_http(over_http));
        };
        let target = cache.join(file);
        if let Some(bytes) = demo::bytes(name) {
            write(&target, bytes)?;
            return Ok(target);
        }
        let Some(url) = &entry.url else {
            let text = format!(
                "{name} comes with Spotter's sources; put {file} of their folder models into ./models"
            );
            let over_http = format!("{name} is not on the machine that runs Spotter; send the file itself");
            return Err(Error::new(Kind::NotFound, text).over_http(over_http));
        };
        let pin = self.pin(entry);
        let on_trust = entry.is_unverified() && pin.sha256.is_none();
        fetch_into(entry, url, &target, cache, (!on_trust).then_some(&pin))?;
        if on_trust {
            self.remember(entry, &target)?;
        }
        self.describe(entry, target)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic_file::write(path, bytes).map_err(|error| {
        let text = format!("cannot write {}; check the disk's space and permissions", path.display());
        Error::new(Kind::Output, text).caused_by(error)
    })
}

/// Downloads the entry's file to `target`, in the folder `cache`; without sums on trust.
#[cfg(feature = "desktop")]
fn fetch_into(entry: &Entry, url: &str, target: &Path, cache: &Path, pin: Option<&Pin>) -> Result<()> {
    let Entry { name, file, .. } = entry;
    let failed = |error: Error| {
        if error.kind() == Kind::Busy {
            return error;
        }
        // A file that was taken on trust may be replaced by whoever publishes it.
        let replaced = match pin {
            Some(_) if entry.is_unverified() => {
                format!(
                    "; where its publisher has replaced it, delete {file}.sha256 there to accept the new one"
                )
            }
            _ => String::new(),
        };
        let text = format!(
            "cannot download {name} ({error}); put {file} into {}, or give a path with --model{replaced}",
            cache.display()
        );
        let over_http = format!("cannot download {name} ({error}); send the file itself");
        Error::new(Kind::Download, text).over_http(over_http)
    };
    let agent = fetch::agent(fetch::Security::HttpsOnly);
    let mut progress = fetch::Progress::on_stderr(name);
    // First: a model whose anchors are others is of no use.
    if let Some(anchors) = &entry.anchors {
        check_anchors(&agent, entry, anchors, target).map_err(failed)?;
    }
    match pin {
        Some(pin) => fetch::fetch(&agent, url, target, pin, &mut progress),
        None => fetch::fetch_on_trust(&agent, url, target, &mut progress),
    }
    .map_err(failed)
}

/// Holds the anchors that are published with a raw SSD against those that Spotter computes.
#[cfg(feature = "desktop")]
fn check_anchors(agent: &ureq::Agent, entry: &Entry, url: &str, target: &Path) -> Result<()> {
    let file = target.with_extension("anchors");
    fetch::fetch_on_trust(
        agent,
        url,
        &file,
        &mut fetch::Progress::on_stderr(&format!("{} (anchors)", entry.name)),
    )?;
    let bytes = std::fs::read(&file);
    let _ = std::fs::remove_file(&file);
    let bytes = bytes.map_err(|error| {
        Error::new(Kind::Download, format!("cannot read {}", file.display())).caused_by(error)
    })?;
    entry.check_anchors(&bytes).map_err(|why| {
        let text =
            format!("the anchors at {url} are not those that Spotter computes: {why}; the model is not used");
        Error::new(Kind::Download, text)
    })
}

/// A camera has no way out to the internet, as a rule, and the program for it no code for one.
#[cfg(not(feature = "desktop"))]
fn fetch_into(entry: &Entry, _: &str, _: &Path, _: &Path, _: Option<&Pin>) -> Result<()> {
    let Entry { name, file, .. } = entry;
    let text = format!(
        "this build of Spotter cannot download {name}; upload {file} on the page, or build the package with \
         --model {name}"
    );
    Err(Error::new(Kind::Download, text))
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
            anchors: None,
            compiled: None,
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

    fn unverified(file: &str) -> Catalogue {
        let own = Catalogue::embedded().get("ssd-mobilenet-v2-coco-cv25").unwrap();
        assert!(own.is_unverified() && own.anchors.as_ref().is_some_and(|url| url.starts_with("https://")));
        let entry = Entry {
            name: "new".into(),
            file: file.into(),
            url: Some("http://127.0.0.1:9/m.bin".into()),
            ..own.clone()
        };
        Catalogue { default: "new".into(), models: vec![entry] }
    }

    #[test]
    fn a_file_that_nobody_can_check_is_taken_once_and_held_against_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let (_, places) = setup(folder.path());
        let catalogue = unverified("new.bin");
        let store = Store::new(&catalogue, places.clone());
        let entry = &catalogue.models[0];
        let taken = [UNVERIFIED.to_owned()];
        // Neither here nor accepted: nothing is downloaded.
        let error = store.resolve("new", &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().ends_with("add --accept-unverified"), "{error}");
        assert_eq!(store.resolve("new", &taken).unwrap_err().kind(), Kind::Download);
        // Here, but accepted by nobody.
        let path = folder.path().join("work/models/new.bin");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "compiled").unwrap();
        assert_eq!(store.state(entry).unwrap(), State::Unverified(path.clone()));
        assert!(store.needs_word(entry));
        assert_eq!(store.resolve("new", &[]).unwrap_err().kind(), Kind::Usage);
        assert!(!path.with_extension("json").exists());
        // Taken: its sum is kept, and its description lies beside it.
        assert_eq!(store.resolve("new", &taken).unwrap(), path);
        assert!(!store.needs_word(entry));
        let again = Store::new(&catalogue, places);
        assert_eq!(again.resolve("new", &[]).unwrap(), path);
        let file = spotter_core::model::format::file::ModelFile::open(&path).unwrap();
        assert_eq!(file.signature.outputs[1].shape, [1, 1917, 91]);
        assert_eq!(file.embedded_labels.map(|labels| labels.len()), Some(90));
        // Another file is refused, whatever is accepted.
        std::fs::write(&path, "compilee").unwrap();
        let error = again.resolve("new", &taken).unwrap_err().to_string();
        assert!(
            error.contains("is not the file that the catalogue means by new: its checksum differs"),
            "{error}"
        );
    }
}
