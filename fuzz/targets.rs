//! What is fuzzed: each function takes any bytes and must come back soon, without a panic and with little
//! memory. The fuzzer calls them, and so does `tests/offline/fuzz.rs` with what the fuzzer found of interest.

use spotter::eval::annotations::Annotations;
use spotter::eval::classification;
use spotter::eval::results::Results;
use spotter::inspect::report::Report;
use spotter::inspect::{html, text};
use spotter::model::catalogue::Catalogue;
use spotter::model::chip::Chip;
use spotter::model::decode::head::Head;
use spotter::model::format::cavalry::Cavalry;
use spotter::model::format::file::ModelFile;
use spotter::model::format::flexbuffer::Map;
use spotter::model::format::label_file;
use spotter::model::labels::Labels;
use spotter::web::api::model;

/// A model file: everything that is read of it before it is run, and told of it.
pub fn model_file(data: &[u8]) {
    let Ok(file) = ModelFile::from_bytes("fuzzed", data.to_vec()) else { return };
    if let Ok(report) = Report::of(&file, Catalogue::embedded(), || false) {
        let _ = report.to_json(None);
        for chip in Chip::ALL {
            let _ = (text::render(&report, Some(chip)), html::render(&report, Some(chip)));
        }
    }
    let _ = (file.check_runnable_on_cpu(), file.needs_edge_tpu());
    let classes = match Head::recognise(&file) {
        Ok(head) => {
            let _ = (head.decoder(&file.signature).is_ok(), head.default_fit(), head.name());
            head.classes()
        }
        Err(_) => None,
    };
    let set = Catalogue::embedded().entry_of(data).map(|entry| entry.labels.as_str());
    let _ = Labels::resolve(None, &file, classes, set);
}

/// The options of a custom operator.
pub fn flexbuffer(data: &[u8]) {
    if let Some(map) = Map::root(data) {
        for key in ["num_classes", "max_detections", "y_scale", "use_regular_nms", ""] {
            let _ = map.number(key);
        }
    }
}

/// A label file.
pub fn labels(data: &[u8]) {
    let Ok(rows) = label_file::parse(data, "fuzzed") else { return };
    for classes in [None, Some(rows.len()), Some(rows.len().saturating_sub(1))] {
        if let Ok(labels) = Labels::fit(rows.clone(), classes, "fuzzed") {
            assert!(classes.is_none_or(|classes| classes == labels.len()));
            let _ = (labels.name(0), labels.class("person"));
        }
    }
}

/// A request for another model: a line with the type and one with the query, then the body.
pub fn upload(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || parts.next().unwrap_or_default();
    let (kind, query) = (line(), line());
    let mut body = line();
    let (kind, query) = (String::from_utf8_lossy(kind), String::from_utf8_lossy(query));
    let length = body.len() as u64;
    let _ = model::wanted(&kind, &query, length, &mut body, |file| {
        Ok(std::io::copy(file, &mut std::io::sink()).ok())
    });
}

/// Files about pictures: annotations, truths of classes, saved answers, a CV25 model's description.
pub fn tables(data: &[u8]) {
    let _ = Annotations::parse(data, "fuzzed").is_ok();
    let _ = classification::parse(data, "fuzzed", &["cat".to_owned(), "dog".to_owned()]).is_ok();
    let _ = Results::parse(data, "fuzzed").is_ok();
    let _ = Cavalry::parse(data, "fuzzed").is_ok();
}
