//! The models that Spotter knows by name: where they are published and how a copy is recognised.

pub mod demo;
#[cfg(feature = "desktop")]
pub mod fetch;
#[cfg(test)]
mod labels_tests;
pub mod published;
pub mod recommend;
pub mod store;

use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use published::Published;
use spotter_core::base::error::{Error, Kind, Result};
use spotter_core::model::chip::Chip;
use spotter_core::model::decode::anchors::Layout;
use spotter_core::model::format::cavalry::Cavalry;
use spotter_core::model::format::file::MAX_BYTES;
use spotter_core::model::labels::Labels;
use spotter_core::model::task::Task;

/// What a model knows, where that is not the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The drawn figures of the demo scene.
    Demo,
}

/// One published model file. A model that is compiled for several kinds of chips has an entry for each
/// of its files.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What the user calls it.
    pub name: String,
    /// One line about it.
    pub title: String,
    pub task: Task,
    /// Its head, as `Head::name` has it; absent where the file is compiled and its outputs are not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The network that its head stands on.
    pub backbone: String,
    /// The chips it is made for, best first; `cpu` is TensorFlow Lite on any processor.
    pub chips: Vec<Chip>,
    /// Input size in pixels, `WIDTHxHEIGHT`.
    pub input: String,
    /// The label set that fits: a built-in one, or `imagenet-1000`, `imagenet-1001` or `demo-5`, whose
    /// names the files bring along.
    pub labels: String,
    /// SPDX licence of the weights.
    pub licence: String,
    /// Where it is downloaded from, https; absent where it comes with Spotter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it knows, where that is not the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The name its file has.
    pub file: String,
    /// SHA-256 of the file in hex, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Git's blob id of the file in hex, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_blob: Option<String>,
    /// Bytes of the file, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where the anchors of a raw SSD are published, https: float32 left, top, right, bottom of each. They are held
    /// against those that Spotter computes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<String>,
    /// What a file compiled for CV25 takes and gives, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled: Option<Cavalry>,
    /// The entry with the same weights for any processor, where this one is compiled for a chip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_twin: Option<String>,
    /// What else a user should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What was measured of it, best chip first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

impl Entry {
    /// True where the licence of the weights asks more of the user than a notice, so that a download
    /// needs the user's word.
    pub fn needs_consent(&self) -> bool {
        self.licence.starts_with("AGPL")
    }

    /// True where no sum of the file is published: nobody can tell whether a download is the file that was meant, so
    /// that it needs the user's word the first time. The sum that is seen then holds from there on.
    pub fn is_unverified(&self) -> bool {
        self.sha256.is_none() && self.git_blob.is_none()
    }

    /// The description that a file compiled for CV25 has beside it, with the names of the classes; none where it is
    /// not known.
    pub fn description(&self) -> Option<Cavalry> {
        let mut description = self.compiled.clone()?;
        description.description.clone_from(&self.title);
        description.backbone = Some(self.backbone.clone());
        if let Some(labels) = Labels::built_in(&self.labels) {
            description.labels = labels.names().to_vec();
        }
        Some(description)
    }

    /// Whether the anchors of a file are those that are computed for the entry's input.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_anchors(&self, file: &[u8]) -> std::result::Result<(), String> {
        let sides = self.input.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        let (width, height) = sides.ok_or_else(|| format!("{} is no size", self.input))?;
        Layout::Ssd.check_file(height, width, file)
    }

    /// True where the weights may be put into an application package: their licence asks no more of
    /// whoever passes it on than to keep the notice. A licence that is not known to be so is not packed.
    pub fn may_be_packed(&self) -> bool {
        matches!(self.licence.as_str(), "Apache-2.0" | "MIT" | "BSD-3-Clause")
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
        let nothing_known = self.sha256.is_none() && self.git_blob.is_none();
        // What is too large for a model is none, and need not be read to its end.
        if nothing_known || length > MAX_BYTES || self.size.is_some_and(|size| size != length) {
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
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The name of the model that is used where none is given.
    pub default: String,
    pub models: Vec<Entry>,
}

static EMBEDDED: LazyLock<Catalogue> = LazyLock::new(|| {
    // A test reads it; a broken build still runs models given as files.
    Catalogue::from_json(include_str!("../../../models/catalogue.json")).unwrap_or_default()
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
            // All names would be no sentence any more.
            let (hint, over_http) = match self.near(name).as_slice() {
                [] => (
                    "`spotter models list` shows all".to_string(),
                    "GET /api/v1/models lists them".to_string(),
                ),
                near => {
                    let hint = format!("did you mean {}?", near.join(", "));
                    (hint.clone(), hint)
                }
            };
            Error::new(
                Kind::NotFound,
                format!("there is no model file and no catalogue model \"{name}\"; {hint}"),
            )
            .over_http(format!("there is no catalogue model \"{name}\"; {over_http}"))
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

    /// Whether `model` can run on a processor; true of what is no catalogue name.
    ///
    /// # Errors
    /// [`Kind::Model`] where it is the name of a file compiled for a chip; the sentence names the entry to
    /// use instead.
    pub fn check_runs_on_cpu(&self, model: &str) -> Result<()> {
        let Some(entry) = self.models.iter().find(|entry| entry.name == model) else { return Ok(()) };
        if entry.chips.contains(&Chip::Cpu) {
            return Ok(());
        }
        let chips: Vec<&str> = entry.chips.iter().map(|chip| chip.title()).collect();
        let refused = format!("{model} is compiled for {} and does not run on a processor", chips.join(", "));
        let error = |instead: &str| Error::new(Kind::Model, format!("{refused}; {instead}"));
        Err(match self.on_cpu(entry) {
            Some(twin) => error(&format!("use {}, the same model for any processor", twin.name)),
            None => error("`spotter models list --chip cpu` shows what runs here")
                .over_http(format!("{refused}; GET /api/v1/models lists what runs here")),
        })
    }

    /// The entry to use on a processor in place of `entry`: itself where it runs there, else its twin.
    /// `None` where no file with these weights does.
    pub fn on_cpu<'a>(&'a self, entry: &'a Entry) -> Option<&'a Entry> {
        if entry.chips.contains(&Chip::Cpu) {
            return Some(entry);
        }
        let twin = entry.cpu_twin.as_deref()?;
        self.models.iter().find(|other| other.name == twin)
    }

    /// The entry to use on an Edge TPU in place of `entry`: the one whose twin it is. `None` where it was
    /// not compiled.
    pub fn on_edge_tpu(&self, entry: &Entry) -> Option<&Entry> {
        self.models.iter().find(|other| {
            other.chips.contains(&Chip::Artpec7) && other.cpu_twin.as_deref() == Some(&entry.name)
        })
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
    use crate::catalogue::published::Metric;
    use crate::testdata;
    use spotter_core::model::decode::head::Head;

    #[test]
    fn the_embedded_catalogue_is_sound() {
        let catalogue = Catalogue::from_json(include_str!("../../../models/catalogue.json"))
            .expect("the catalogue is read");
        assert_eq!(catalogue.get(&catalogue.default).unwrap().name, "ssd-mobilenet-v2-coco");
        let default = catalogue.get(&catalogue.default).unwrap();
        assert!(!default.needs_consent() && default.chips.contains(&Chip::Cpu));
        let unique = |of: fn(&Entry) -> &str| {
            let mut all: Vec<&str> = catalogue.models.iter().map(of).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), catalogue.models.len());
        };
        unique(|entry| &entry.name);
        unique(|entry| &entry.file);
        for entry in &catalogue.models {
            let name = &entry.name;
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
            let own = entry.scope == Some(Scope::Demo);
            assert_eq!(
                entry.url.is_none(),
                own,
                "{name}: what comes with Spotter knows the demo scene alone"
            );
            assert!(entry.url.as_ref().is_none_or(|url| url.starts_with("https://")), "{name}");
            let suffix = if entry.chips == [Chip::Cv25] { ".bin" } else { ".tflite" };
            assert!(entry.file.ends_with(suffix) && !entry.file.contains(['/', '\\']), "{name}");
            assert!(entry.sha256.as_ref().is_none_or(|s| s.len() == 64 && s.is_ascii()), "{name}");
            if !own && !entry.is_unverified() {
                assert_eq!(entry.git_blob.as_ref().map(String::len), Some(40), "{name}");
            }
            let classes = entry.labels.rsplit_once('-').and_then(|(_, count)| count.parse().ok());
            match Labels::built_in(&entry.labels) {
                Some(labels) => assert_eq!(Some(labels.len()), classes, "{name}"),
                None => {
                    assert!(
                        ["imagenet-1000", "imagenet-1001", "demo-5"].contains(&entry.labels.as_str()),
                        "{name}"
                    )
                }
            }
            assert_eq!(name.starts_with("yolov5"), entry.needs_consent(), "{name}");
            assert_ne!(entry.may_be_packed(), entry.needs_consent(), "{name}");
            let heads: &[Option<&str>] = match entry.task {
                Task::Detection => &[Some("ssd-postprocess"), Some("ssd-raw"), Some("yolov5"), None],
                Task::Classification => &[Some("classification"), None],
                Task::Segmentation => &[Some("segmentation")],
            };
            assert!(heads.contains(&entry.head.as_deref()), "{name}");
            let described = entry.description();
            assert_eq!(entry.head.is_none(), entry.chips == [Chip::Cv25] && described.is_none(), "{name}");
            if let Some(described) = described {
                let text = serde_json::to_string(&described).unwrap();
                let read = Cavalry::parse(text.as_bytes(), name).unwrap();
                assert!(read.check_input().is_ok() && read.labels.len() == classes.unwrap(), "{name}");
                let head = Head::from_signature(&read.signature(), &read.producers(), None).unwrap();
                assert_eq!((Some(head.name()), head.classes()), (entry.head.as_deref(), classes), "{name}");
            }
            let sides: Vec<u32> = entry.input.split('x').map(|side| side.parse().unwrap()).collect();
            assert!(sides.len() == 2 && sides.iter().all(|side| *side > 0), "{name}");
            assert!(!entry.chips.is_empty() && !entry.backbone.is_empty(), "{name}");
        }
    }

    #[test]
    fn published_figures_are_of_the_entrys_task_and_chips() {
        let mut cameras = std::collections::BTreeMap::new();
        for entry in &Catalogue::embedded().models {
            for figure in &entry.published {
                let name = &entry.name;
                assert!(entry.chips.contains(&figure.chip) != figure.file.is_some(), "{name}");
                assert!((1.0..1000.0).contains(&figure.ms), "{name}");
                assert!(figure.source.contains("AXIS OS"), "{name}: a speed is that of a firmware");
                assert_eq!(*cameras.entry(&figure.camera).or_insert(figure.chip), figure.chip);
                let accuracy = figure.accuracy.as_ref().unwrap();
                assert!((1.0..100.0).contains(&accuracy.value) && !accuracy.source.is_empty(), "{name}");
                assert!(accuracy.top5.is_none_or(|top5| top5 > accuracy.value), "{name}");
                let detects = entry.task == Task::Detection;
                assert_eq!(accuracy.metric == Metric::CocoMap, detects, "{name}");
                assert_eq!(accuracy.on_camera, !detects, "mAP was never measured on a camera");
            }
        }
        assert_eq!(cameras.len(), 5);
    }

    #[test]
    fn compiled_models_have_a_twin_for_any_processor() {
        let catalogue = Catalogue::embedded();
        let twin = |name: &str| catalogue.on_cpu(catalogue.get(name).unwrap()).map(|e| e.name.as_str());
        assert_eq!(twin("ssd-mobilenet-v2-coco"), Some("ssd-mobilenet-v2-coco"));
        assert_eq!(twin("ssd-mobilenet-v2-coco-edgetpu"), Some("ssd-mobilenet-v2-coco"));
        assert_eq!(twin("mobilenet-v2-imagenet-cv25"), Some("mobilenet-v2-imagenet"));
        assert_eq!(twin("yolov5s-cv25"), None, "other weights");
        let sentence = |name: &str| catalogue.check_runs_on_cpu(name).unwrap_err().to_string();
        assert_eq!(
            sentence("ssd-mobilenet-v2-coco-edgetpu"),
            "ssd-mobilenet-v2-coco-edgetpu is compiled for ARTPEC-7 and does not run on a processor; use \
             ssd-mobilenet-v2-coco, the same model for any processor"
        );
        assert!(sentence("yolov5s-cv25").ends_with("`spotter models list --chip cpu` shows what runs here"));
        assert!(catalogue.check_runs_on_cpu("ssd-mobilenet-v2-coco").is_ok());
        assert!(catalogue.check_runs_on_cpu("my.tflite").is_ok());
        for entry in &catalogue.models {
            if let Some(name) = &entry.cpu_twin {
                let twin = catalogue.get(name).unwrap();
                assert!(!entry.chips.contains(&Chip::Cpu) && twin.chips.contains(&Chip::Cpu), "{name}");
                let kind = |e: &Entry| (e.task, e.backbone.clone(), e.input.clone(), e.labels.clone());
                assert_eq!(kind(entry), kind(twin));
            }
        }
    }

    /// A row of the list of pins: the catalogue's name with the chip in brackets, the file, the place,
    /// the blob id, the SHA-256 or what is known of it, the licence.
    fn pin_rows(text: &str) -> Vec<[&str; 6]> {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        let cells = rows.filter_map(|row| row.split(" | ").collect::<Vec<_>>().try_into().ok());
        cells.filter(|cells: &[&str; 6]| cells[3].len() == 40).collect()
    }

    #[test]
    fn every_pinned_file_is_in_the_catalogue() {
        let Some(path) = testdata::shared("catalogue-pins.md") else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let rows = pin_rows(&text);
        assert_eq!(rows.len(), 19);
        for [name, file, place, blob, sha256, licence] in rows {
            let base = match place {
                "coral" => "https://raw.githubusercontent.com/google-coral/test_data/master/",
                "axis" => "https://acap-ml-models.s3.amazonaws.com/",
                _ => "https://raw.githubusercontent.com/AxisCommunications/axis-model-zoo/main/models/",
            };
            let wanted = name.replace(" (", "-").replace(')', "").to_ascii_lowercase();
            let entry = Catalogue::embedded().get(&wanted).unwrap();
            assert_eq!(entry.git_blob.as_deref(), Some(blob), "{name}");
            assert_eq!(entry.url, Some(format!("{base}{file}")));
            assert_eq!(entry.licence, licence, "{name}");
            if sha256.len() == 64 {
                assert_eq!(entry.sha256.as_deref(), Some(sha256), "{name}");
            }
        }
    }

    #[test]
    fn unknown_names_get_near_ones() {
        let catalogue = Catalogue::embedded();
        let sentence = |name: &str| catalogue.get(name).unwrap_err().to_string();
        assert_eq!(
            sentence("ssd-mobilenet-v2-coko"),
            "there is no model file and no catalogue model \"ssd-mobilenet-v2-coko\"; did you mean \
             ssd-mobilenet-v2-coco, ssd-mobilenet-v1-coco, ssd-mobilenet-v2-coco-cv25, \
             tf2-ssd-mobilenet-v2-coco17?"
        );
        assert!(sentence("yolov5n").contains("did you mean yolov5n-artpec8, yolov5n-artpec9?"));
        assert!(sentence("zebra").contains("; `spotter models list` shows all"));
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
        let mut found = Vec::new();
        for folder in [folder.clone(), folder.join("segmentation"), folder.join("cv25")] {
            for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
                let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { continue };
                if let Some(entry) = catalogue.entry_of(&bytes) {
                    assert!(entry.pin().matches_file(&file).unwrap(), "{}", entry.name);
                    assert_eq!(entry.size, Some(bytes.len() as u64), "{}", entry.name);
                    found.push(entry.name.as_str());
                }
            }
        }
        found.sort_unstable();
        assert_eq!(
            found,
            [
                "deeplab-mobilenet-v2-pascal",
                "mobilenet-v2-imagenet",
                "mobilenet-v2-imagenet-cv25",
                "ssd-mobilenet-v1-coco",
                "tf2-mobilenet-v2-imagenet",
                "yolov5n-artpec8",
                "yolov5n-artpec9"
            ]
        );
        assert_eq!(catalogue.entry_of(b"else"), None);
    }
}
