//! Which labels published model files get.

use spotter_core::model::format::file::ModelFile;
use spotter_core::model::labels::Labels;

use super::Catalogue;
use crate::testdata;

/// The set of labels that the catalogue names for these very bytes.
fn set_of<'a>(catalogue: &'a Catalogue, bytes: &[u8]) -> Option<&'a str> {
    catalogue.entry_of(bytes).map(|entry| entry.labels.as_str())
}

#[test]
fn labels_are_looked_for_in_order() {
    let Some(folder) = testdata::shared("models") else { return };
    let open = |file: &str| ModelFile::open(&folder.join(file)).unwrap();
    let catalogue = Catalogue::embedded();
    let inside = open("ssd_mobilenet_v1_coco_quant_postprocess_metadata.tflite");
    let labels = Labels::resolve(None, &inside, Some(90), set_of(catalogue, &inside.bytes)).unwrap();
    assert!(labels.source.starts_with("the label file inside") && !labels.assumed);
    assert_eq!((labels.name(0), labels.name(11)), ("person", "class 11"));

    let own = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(own.path(), "x\n".repeat(90)).unwrap();
    assert_eq!(
        Labels::resolve(Some(own.path()), &inside, Some(90), set_of(catalogue, &inside.bytes))
            .unwrap()
            .name(5),
        "x"
    );
    std::fs::write(own.path(), "x\n").unwrap();
    assert!(Labels::resolve(Some(own.path()), &inside, Some(90), set_of(catalogue, &inside.bytes)).is_err());

    let listed = open("ssd_mobilenet_v1_coco_quant_postprocess.tflite");
    let labels = Labels::resolve(None, &listed, Some(90), set_of(catalogue, &listed.bytes)).unwrap();
    assert_eq!((labels.source.as_str(), labels.assumed), ("coco-90", false));

    let guessed = open("ssdlite_mobilenet_v2_voc_intquant_postprocess.tflite");
    let labels = Labels::resolve(None, &guessed, Some(20), set_of(catalogue, &guessed.bytes)).unwrap();
    assert_eq!((labels.source.as_str(), labels.assumed, labels.name(14)), ("voc-20", true, "person"));
    let labels = Labels::resolve(None, &guessed, Some(21), set_of(catalogue, &guessed.bytes)).unwrap();
    assert_eq!((labels.source.as_str(), labels.name(17)), ("numbers", "class 17"));
}

#[test]
fn labels_of_pixels_begin_with_background() {
    let Some(folder) = testdata::shared("models/segmentation") else { return };
    let catalogue = Catalogue::embedded();
    let resolve = |file: &str, classes| {
        let model = ModelFile::open(&folder.join(file)).unwrap();
        Labels::resolve(None, &model, classes, set_of(catalogue, &model.bytes)).unwrap()
    };
    for classes in [Some(21), None] {
        let listed = resolve("deeplabv3_mnv2_pascal_quant.tflite", classes);
        assert_eq!((listed.source.as_str(), listed.assumed, listed.len()), ("voc-21", false, 21));
        assert_eq!((listed.name(0), listed.name(15)), ("background", "person"));
    }
    // A file's first row is a class of its own, whether the model says how many there are or not.
    let own = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(own.path(), "background\ncat\ndog\n").unwrap();
    let model = ModelFile::open(&folder.join("deeplabv3_mnv2_pascal_quant.tflite")).unwrap();
    let labels = Labels::resolve(Some(own.path()), &model, None, set_of(catalogue, &model.bytes)).unwrap();
    assert_eq!((labels.len(), labels.name(1)), (3, "cat"));
    let guessed = resolve("deeplabv3_mnv2_dm05_pascal_quant.tflite", Some(21));
    assert_eq!((guessed.source.as_str(), guessed.assumed), ("voc-21", true));
    assert_eq!(resolve("deeplabv3_mnv2_dm05_pascal_quant.tflite", Some(4)).source, "numbers");
}

#[test]
fn classifiers_bring_their_labels() {
    let Some(folder) = testdata::shared("models") else { return };
    for file in ["mobilenet_v2_1.0_224_quant.tflite", "tf2_mobilenet_v2_1.0_224_ptq.tflite"] {
        let model = ModelFile::open(&folder.join(file)).unwrap();
        let labels =
            Labels::resolve(None, &model, Some(1001), set_of(Catalogue::embedded(), &model.bytes)).unwrap();
        assert!(labels.source.starts_with("the label file inside") && !labels.assumed);
        assert_eq!((labels.len(), labels.name(0)), (1001, "background"));
        let own = folder.join("labels/LOC_synset_mapping.txt");
        let own = Labels::resolve(Some(&own), &model, Some(1001), None).unwrap();
        assert_eq!(own.name(1), labels.name(1));
    }
}
