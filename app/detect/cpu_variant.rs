//! Which of a model's two files runs: the one compiled for the Edge TPU, or its twin for any processor.

use std::path::{Path, PathBuf};

use super::backend_choice::BackendChoice;
use crate::backend::edgetpu;
use crate::base::error::{Error, Kind, Result};
use crate::model::catalogue::store::Store;
use crate::model::catalogue::{Catalogue, Entry};
use crate::model::chip::Chip;
use crate::model::format::file::{EDGE_TPU, ModelFile};

/// What Coral's compiler puts behind the name of the file that it writes.
const SUFFIX: &str = "_edgetpu";

/// A model to load in place of the one that was named.
#[derive(Debug, PartialEq)]
pub struct Named {
    /// A path or a catalogue name.
    pub name: String,
    /// Why it is not what was named.
    pub refused: Option<String>,
}

/// True where the entry is for an Edge TPU, which on a camera is that of ARTPEC-7, and for nothing else.
pub fn is_for_edge_tpu(entry: &Entry) -> bool {
    entry.chips == [Chip::Artpec7]
}

/// What to load where `name` was named, before anything is downloaded.
///
/// # Errors
/// [`Kind::Model`] where the model is compiled for something else, [`Kind::Backend`] where `backend` insists
/// on an Edge TPU and there is none.
pub fn of_name(catalogue: &Catalogue, name: &str, backend: &BackendChoice) -> Result<Named> {
    let as_named = |name: &str| Named { name: name.to_owned(), refused: None };
    let Some(entry) = catalogue.models.iter().find(|entry| entry.name == name) else {
        return Ok(as_named(name));
    };
    match (is_for_edge_tpu(entry), backend) {
        (true, BackendChoice::EdgeTpu) => {
            edgetpu::devices().map(|_| as_named(name)).map_err(|why| needs(name, &why))
        }
        (true, BackendChoice::Auto) => match (edgetpu::devices(), catalogue.on_cpu(entry)) {
            (Ok(_), _) => Ok(as_named(name)),
            (Err(why), Some(twin)) => {
                Ok(Named { name: twin.name.clone(), refused: Some(refused(name, &why)) })
            }
            (Err(why), None) => Err(needs(name, &why)),
        },
        (false, BackendChoice::EdgeTpu) => match catalogue.on_edge_tpu(entry) {
            Some(compiled) => {
                log::info!("{name} is {} on an Edge TPU", compiled.name);
                of_name(catalogue, &compiled.name, backend)
            }
            None => Err(not_compiled(name)),
        },
        _ => catalogue.check_runs_on_cpu(name).map(|()| as_named(name)),
    }
}

/// The twin of a file that is compiled for the Edge TPU: of the catalogue by its checksum, else the file
/// beside it without `_edgetpu` in its name, from which Coral's compiler made it. With the words that tell the
/// user why it runs.
///
/// # Errors
/// [`Kind::Model`] where there is none; what keeps the one of the catalogue from being downloaded.
pub fn of_file(
    store: &Store<'_>,
    file: &ModelFile,
    path: &Path,
    accepted_licences: &[String],
    why: &Error,
) -> Result<(PathBuf, String)> {
    let name = &file.name;
    let entry = store.catalogue.entry_of(&file.bytes).and_then(|entry| store.catalogue.on_cpu(entry));
    if let Some(twin) = entry {
        let path = store
            .resolve(&twin.name, accepted_licences)
            .map_err(|error| error.context(format!("{name} needs an Edge TPU ({why})")))?;
        return Ok((path, instead(name, why, &twin.name)));
    }
    let beside = beside(path).filter(|path| path.is_file()).ok_or_else(|| {
        let text = format!(
            "{name} needs an Edge TPU: custom op {EDGE_TPU}, and {why}; give the model's CPU version (the file without {SUFFIX})"
        );
        Error::new(Kind::Model, text)
    })?;
    let shown = beside.display().to_string();
    Ok((beside, instead(name, why, &shown)))
}

/// The error of a file that is compiled for the Edge TPU where the processor is to run it; it names the twin where
/// there is one.
pub fn on_the_processor(catalogue: &Catalogue, file: &ModelFile, path: &Path) -> Error {
    let name = &file.name;
    let needs = format!("{name} needs an Edge TPU: custom op {EDGE_TPU}");
    let listed = catalogue.entry_of(&file.bytes).and_then(|entry| catalogue.on_cpu(entry));
    let beside = beside(path).filter(|path| path.is_file());
    let twin = listed.map(|entry| entry.name.clone()).or(beside.map(|path| path.display().to_string()));
    let instead = match twin {
        Some(twin) => format!("use {twin}, the same model for any processor"),
        None => format!("give the model's CPU version (the file without {SUFFIX})"),
    };
    Error::new(Kind::Model, format!("{needs}; {instead}"))
}

/// `x.tflite` for `x_edgetpu.tflite`.
fn beside(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?.strip_suffix(SUFFIX)?;
    (!stem.is_empty()).then(|| path.with_file_name(format!("{stem}.tflite")))
}

impl Named {
    /// What the user is told where it is not what was named.
    pub fn warning(&self) -> Option<String> {
        self.refused.as_ref().map(|refused| format!("{refused}; {} runs on the processor instead", self.name))
    }

    /// The error where it cannot be loaded.
    pub fn fails(&self, error: Error) -> Error {
        match &self.refused {
            Some(refused) => {
                error.context(format!("{refused}, and {} cannot run on the processor instead", self.name))
            }
            None => error,
        }
    }
}

fn refused(name: &str, why: &Error) -> String {
    format!("{name} does not run on an Edge TPU ({why})")
}

fn instead(name: &str, why: &Error, twin: &str) -> String {
    format!("{}; {twin} runs on the processor instead", refused(name, why))
}

fn needs(name: &str, why: &Error) -> Error {
    Error::new(why.kind(), format!("{name} needs an Edge TPU: {why}"))
}

/// The error of a catalogue model that nobody compiled.
fn not_compiled(name: &str) -> Error {
    let refused = format!("{name} is not compiled for the Edge TPU");
    let text = format!(
        "{refused}; `spotter models list --chip artpec7` shows what is, or leave out --backend edgetpu"
    );
    Error::new(Kind::Model, text).over_http(format!("{refused}; GET /api/v1/models lists what runs here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_beside_a_file_is_the_one_that_was_compiled() {
        let of = |path: &str| beside(Path::new(path));
        assert_eq!(of("a/m_edgetpu.tflite"), Some("a/m.tflite".into()));
        assert_eq!(of("m_edgetpu.tflite"), Some("m.tflite".into()));
        for other in ["m.tflite", "_edgetpu.tflite", "m_edgetpu_2.tflite", "", "/"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn every_entry_for_the_edge_tpu_has_a_twin_and_is_its_twins() {
        let catalogue = Catalogue::embedded();
        let compiled: Vec<&Entry> = catalogue.models.iter().filter(|entry| is_for_edge_tpu(entry)).collect();
        assert!(compiled.len() >= 4);
        for entry in compiled {
            let twin = catalogue.on_cpu(entry).unwrap_or_else(|| panic!("{} has no twin", entry.name));
            assert_eq!((&twin.input, &twin.labels, &twin.head), (&entry.input, &entry.labels, &entry.head));
            assert_eq!(catalogue.on_edge_tpu(twin), Some(entry));
        }
    }

    #[test]
    fn only_who_insists_on_an_edge_tpu_gets_no_other_model() {
        let catalogue = Catalogue::embedded();
        let of = |name: &str, backend| of_name(catalogue, name, &backend);
        let plain = "ssd-mobilenet-v2-coco";
        let as_named = |name: &str| Named { name: name.into(), refused: None };
        for backend in [BackendChoice::Auto, BackendChoice::Tflite] {
            assert_eq!(of(plain, backend).unwrap(), as_named(plain));
        }
        for backend in [BackendChoice::Auto, BackendChoice::Tflite, BackendChoice::EdgeTpu] {
            assert_eq!(of("some.tflite", backend).unwrap(), as_named("some.tflite"));
        }
        let error = of("spotter-demo", BackendChoice::EdgeTpu).unwrap_err();
        assert!(error.to_string().starts_with("spotter-demo is not compiled for the Edge TPU; "), "{error}");
        assert_eq!(
            of("ssd-mobilenet-v2-coco-edgetpu", BackendChoice::Tflite).unwrap_err().kind(),
            Kind::Model
        );
        assert_eq!(of("yolov5s-cv25", BackendChoice::Auto).unwrap_err().kind(), Kind::Model);
    }
}
