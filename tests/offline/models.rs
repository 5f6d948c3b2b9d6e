//! `spotter models` and `spotter recommend` as a user meets them: real program, own folders, no network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::data;
use crate::common::process::{self, Finished};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const SSD: &str = "ssd_mobilenet_v1_coco_quant_postprocess.tflite";

/// Folders of one test: `own` is `SPOTTER_MODELS`, `cache` the user's cache.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["own", "cache/spotter/models"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = process::spotter();
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.env("XDG_CACHE_HOME", self.path("cache")).env("SPOTTER_MODELS", self.path("own"));
        command.env("SPOTTER_EDGETPU", "/nonexistent/libedgetpu.so.1");
        // A proxy that is not there: as without a network, whatever this machine has.
        for name in ["ALL_PROXY", "HTTPS_PROXY", "https_proxy", "all_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        command
    }

    fn run(&self, arguments: &str) -> Finished {
        process::run_command(self.command(arguments), LIMIT)
    }

    /// Its standard output; it must have ended well.
    fn says(&self, arguments: &str) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        finished.stdout
    }

    /// Its one error; it must have ended with this exit code.
    fn fails(&self, arguments: &str, code: i32) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(code), "{finished:#?}");
        let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("error: ")).collect();
        assert_eq!(lines.len(), 1, "{finished:#?}");
        lines[0].split_once("error: ").unwrap().1.to_owned()
    }

    /// Puts a published model into a folder.
    fn put(&self, model: &Path, place: &str) -> PathBuf {
        let target = self.path(place).join(model.file_name().unwrap());
        std::fs::write(&target, std::fs::read(model).unwrap()).unwrap();
        target
    }
}

fn model(name: &str) -> Option<PathBuf> {
    Some(data::shared_data()?.join("models").join(name))
}

/// The cells of a table's row.
fn cells<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let row = table.lines().find(|line| line.split_whitespace().any(|word| word == name));
    let row = row.unwrap_or_else(|| panic!("no {name} in\n{table}"));
    row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// How many models the program has inside: one, where the demo model is in the tree.
fn built_in() -> usize {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    usize::from(models.join(spotter::model::catalogue::demo::FILE).is_file())
}

#[test]
fn the_list_is_a_table_that_lines_up() {
    let home = Home::new();
    let table = home.says("models list");
    assert!(!table.contains('\x1b'), "no colours where nobody looks");
    assert_eq!(
        cells(&table, "ssd-mobilenet-v2-coco"),
        ["ssd-mobilenet-v2-coco *", "artpec9 artpec8 cpu", "300×300", "Apache-2.0", "–", "absent"]
    );
    assert_eq!(
        cells(&table, "mobilenet-v2-imagenet-cv25"),
        ["mobilenet-v2-imagenet-cv25", "cv25", "224×224", "Apache-2.0", "3.7 MB", "absent"]
    );
    let column = |line: &str| line.chars().count();
    let rows: Vec<&str> = table.lines().filter(|line| line.ends_with("absent")).collect();
    assert_eq!(rows.len(), 22 - built_in());
    assert!(rows.iter().all(|row| column(row) == column(rows[0]) && column(row) <= 100), "{table}");
    let end = format!(
        "{} of 22 are here; `spotter models fetch NAME` gets one. * is used where --model is not given and the \
         source is real.\n",
        built_in()
    );
    assert!(table.ends_with(&end), "{table}");

    let some = home.says("models list --chip artpec7 --task classification");
    assert_eq!(some.lines().filter(|line| line.ends_with("absent")).count(), 1, "{some}");
    assert!(some.starts_with("CLASSIFICATION "), "{some}");
    assert_eq!(
        home.fails("models list --chip cv25 --task segmentation", 2),
        "the catalogue has no segmentation model for cv25; leave --chip or --task out to see all"
    );
}

#[test]
fn the_list_as_json_has_all_that_is_known() {
    let Some(ssd) = model(SSD) else { return };
    let home = Home::new();
    let path = home.put(&ssd, "own");
    let list: Value = serde_json::from_str(&home.says("models list --json")).unwrap();
    assert_eq!(list["default"], "ssd-mobilenet-v2-coco");
    let models = list["models"].as_array().unwrap();
    let of = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    assert_eq!(of("ssd-mobilenet-v1-coco")["state"], "here");
    assert_eq!(of("ssd-mobilenet-v1-coco")["path"], path.to_str().unwrap());
    let tpu = of("ssd-mobilenet-v2-coco-edgetpu");
    assert_eq!((&tpu["state"], &tpu["path"]), (&Value::from("absent"), &Value::Null));
    assert_eq!(tpu["cpu_twin"], "ssd-mobilenet-v2-coco");
    assert_eq!(tpu["published"][0]["ms"], 18.07);
    assert_eq!(of("yolov5n-artpec8")["may_be_packed"], false);
    assert_eq!(tpu["may_be_packed"], true);
}

#[test]
fn a_model_that_is_here_has_a_path_and_one_that_is_not_a_command() {
    let home = Home::new();
    let line = home.fails("models path ssd-mobilenet-v1-coco", 2);
    let folders = [home.path("own"), PathBuf::from("./models"), home.path("cache/spotter/models")];
    let folders = folders.map(|folder| folder.display().to_string()).join(", ");
    assert_eq!(
        line,
        format!(
            "ssd-mobilenet-v1-coco is in none of {folders}; get it with `spotter models fetch ssd-mobilenet-v1-coco`"
        )
    );
    let line = home.fails("models path yolov5m-artpec9", 2);
    assert!(line.ends_with("`spotter models fetch yolov5m-artpec9 --accept-license AGPL-3.0`"), "{line}");
    let line = home.fails("models path ssd-mobilenet-v2-coko", 2);
    assert!(line.contains("did you mean ssd-mobilenet-v2-coco,"), "{line}");

    let Some(ssd) = model(SSD) else { return };
    let path = home.put(&ssd, "cache/spotter/models");
    assert_eq!(home.says("models path ssd-mobilenet-v1-coco"), format!("{}\n", path.display()));
    std::fs::write(&path, "something else").unwrap();
    let line = home.fails("models path ssd-mobilenet-v1-coco", 4);
    assert!(line.contains("its checksum differs; delete it"), "{line}");
}

#[test]
fn what_nobody_can_check_is_taken_once_on_the_users_word() {
    let home = Home::new();
    let name = "ssd-mobilenet-v2-coco-cv25";
    let line = home.fails(&format!("models fetch {name}"), 2);
    assert!(line.starts_with(&format!("no checksum of {name} is published")), "{line}");
    assert!(line.ends_with("add --accept-unverified"), "{line}");
    assert!(home.fails(&format!("models path {name}"), 2).contains("--accept-unverified"));
    // A person's own copy is asked about as a download is.
    let path = home.path("own/ssd_mobilenet_v2_cv25_coco_300.bin");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "compiled bytes").unwrap();
    assert_eq!(cells(&home.says(&format!("models verify {name}")), name)[0], "unchecked");
    assert!(home.fails(&format!("inspect {name}"), 2).ends_with("add --accept-unverified"));
    assert!(home.says(&format!("inspect {name} --accept-unverified")).contains("ssd-raw, 90 classes"));
    assert_eq!(cells(&home.says(&format!("models verify {name}")), name)[0], "here");
    assert!(
        home.says(&format!("models fetch {name}")).contains(path.to_str().unwrap()),
        "no word is needed twice"
    );
    std::fs::write(&path, "compiled by another").unwrap();
    let line = home.fails(&format!("models fetch {name} --accept-unverified"), 4);
    assert!(line.contains("its checksum differs"), "{line}");
}

#[test]
fn fetching_asks_for_the_licence_and_says_what_it_has() {
    let home = Home::new();
    let line = home.fails("models fetch yolov5n-artpec8", 2);
    assert!(line.ends_with("to download it, add --accept-license AGPL-3.0"), "{line}");
    let line = home.fails("models fetch yolov5n-artpec8 --accept-license AGPL-3.0", 7);
    assert!(line.starts_with("cannot download yolov5n-artpec8 ("), "{line}");
    assert!(line.contains("put yolov5n_artpec8_coco_640.tflite into "), "{line}");
    let line = home.fails("models fetch mobilenet-v2-imagenet-cv25", 7);
    assert!(line.contains("put mobilenetv2_cavalry.bin into "), "{line}");
    let left: Vec<_> = std::fs::read_dir(home.path("cache/spotter/models")).unwrap().collect();
    assert!(left.is_empty(), "a download that never began leaves nothing: {left:?}");

    let Some(yolo) = model("yolov5n_artpec8_coco_640.tflite") else { return };
    let path = home.put(&yolo, "own");
    // A file that is there needs nobody's word, and no network.
    let finished = home.run("models fetch yolov5n-artpec8");
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(finished.stderr.contains("yolov5n-artpec8 is here already"), "{finished:#?}");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert!(lines[0].starts_with("model    yolov5n-artpec8 (YOLOv5 nano"), "{lines:?}");
    assert!(lines[1].starts_with("licence  AGPL-3.0: also binds programs that use"), "{lines:?}");
    assert_eq!(lines[3], format!("path     {}", path.display()));
}

#[test]
fn a_download_in_the_cache_is_replaced_where_damaged_and_finished_where_cut_off() {
    let Some(ssd) = model(SSD) else { return };
    let home = Home::new();
    let cache = home.path("cache/spotter/models");
    std::fs::write(cache.join(SSD), "damaged").unwrap();
    let finished = home.run("models fetch ssd-mobilenet-v1-coco");
    assert_eq!(finished.code, Some(7), "{finished:#?}");
    assert!(finished.stderr.contains("is damaged; it is downloaded again"), "{finished:#?}");
    assert_eq!(std::fs::read(cache.join(SSD)).unwrap(), b"damaged", "replaced only by what is sound");
    // All of it has arrived before the last run ended: no network is needed to put it in place.
    std::fs::copy(&ssd, cache.join(format!("{SSD}.part"))).unwrap();
    let said = home.says("models fetch ssd-mobilenet-v1-coco");
    assert!(said.contains(&format!("path     {}", cache.join(SSD).display())), "{said}");
    assert_eq!(std::fs::read(cache.join(SSD)).unwrap(), std::fs::read(&ssd).unwrap());

    // In the user's own folder a file is not replaced: it may be what they want there.
    std::fs::write(home.path("own").join(SSD), "mine").unwrap();
    let line = home.fails("models fetch ssd-mobilenet-v1-coco", 4);
    assert!(line.contains("is not the file that the catalogue means by ssd-mobilenet-v1-coco"), "{line}");
}

#[test]
fn verify_tells_sound_damaged_and_absent_files() {
    let Some(ssd) = model(SSD) else { return };
    let home = Home::new();
    let sound = home.put(&ssd, "own");
    let said = home.says("models verify");
    assert_eq!(
        cells(&said, "ssd-mobilenet-v1-coco"),
        ["here", "ssd-mobilenet-v1-coco", sound.to_str().unwrap()]
    );
    assert_eq!(cells(&said, "yolov5s-cv25"), ["absent", "yolov5s-cv25"]);
    let end = format!("\n{} sound, 0 damaged, {} absent\n", 1 + built_in(), 21 - built_in());
    assert!(said.ends_with(&end), "{said}");

    // One folder by two names is looked into once.
    let mut command = home.command("models verify");
    command.current_dir(home.path("own")).env("SPOTTER_MODELS", home.path("own/models"));
    std::os::unix::fs::symlink(home.path("own"), home.path("own/models")).unwrap();
    let said = process::run_command(command, LIMIT).stdout;
    let end = format!("\n{} sound, 0 damaged, {} absent\n", 1 + built_in(), 21 - built_in());
    assert!(said.ends_with(&end), "{said}");

    // One byte of the second copy.
    let copy = home.put(&ssd, "cache/spotter/models");
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    std::fs::write(home.path("own/mine.tflite"), "x").unwrap();
    std::fs::write(home.path("own/notes.txt"), "x").unwrap();
    let part = home.path("cache/spotter/models/EfficientNet-lite0.bin.part");
    std::fs::write(&part, "x").unwrap();
    let finished = home.run("models verify");
    assert_eq!(finished.code, Some(4), "{finished:#?}");
    let table = &finished.stdout;
    assert!(table.ends_with(&end.replace("0 damaged", "1 damaged")), "{table}");
    let row = |path: &Path| table.lines().find(|line| line.ends_with(path.to_str().unwrap())).unwrap_or("");
    assert!(row(&copy).starts_with("damaged     ssd-mobilenet-v1-coco"), "{table}");
    assert!(row(&home.path("own/mine.tflite")).starts_with("not listed  –"), "{table}");
    assert!(row(&part).starts_with("unfinished  efficientnet-lite0-imagenet-cv25"), "{table}");
    assert!(!table.contains("notes.txt"), "{table}");
    let end = "is damaged; delete it, then `spotter models fetch ssd-mobilenet-v1-coco` gets it again\n";
    assert!(finished.stderr.ends_with(&format!("error: {} {end}", copy.display())), "{finished:#?}");

    // By name: only those, and absence is a failure.
    let line = home.fails("models verify yolov5s-artpec8", 2);
    assert!(line.starts_with("yolov5s-artpec8 is in none of "), "{line}");
    assert!(home.fails("models verify zebra", 2).contains("`spotter models list` shows all"));
}

#[test]
fn what_is_compiled_for_a_chip_is_not_downloaded_to_run_here() {
    let home = Home::new();
    let line = home.fails("detect --backend tflite --model ssdlite-mobiledet-coco-edgetpu a.jpg", 4);
    assert_eq!(
        line,
        "ssdlite-mobiledet-coco-edgetpu is compiled for ARTPEC-7 and does not run on a processor; \
         use ssdlite-mobiledet-coco, the same model for any processor"
    );
    let line = home.fails("detect --model yolov5s-cv25 a.jpg", 4);
    assert!(line.contains("and does not run on a processor; "), "{line}");
}

#[test]
fn without_an_edge_tpu_it_is_the_twin_that_is_downloaded() {
    let home = Home::new();
    let line = home.fails("detect --model ssdlite-mobiledet-coco-edgetpu a.jpg", 7);
    let start = "ssdlite-mobiledet-coco-edgetpu does not run on an Edge TPU (/nonexistent/libedgetpu.so.1 cannot be \
                 opened; install libedgetpu, or set SPOTTER_EDGETPU to its path";
    assert!(line.starts_with(start), "{line}");
    let end = "), and ssdlite-mobiledet-coco cannot run on the processor instead: cannot download \
               ssdlite-mobiledet-coco (";
    assert!(line.contains(end), "{line}");
    // Who asks for an Edge TPU gets no other, by whichever of the two names.
    for name in ["ssdlite-mobiledet-coco-edgetpu", "ssdlite-mobiledet-coco"] {
        let line = home.fails(&format!("detect --backend edgetpu --model {name} a.jpg"), 5);
        let start =
            "ssdlite-mobiledet-coco-edgetpu needs an Edge TPU: /nonexistent/libedgetpu.so.1 cannot be opened";
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_recommendation_has_a_reason() {
    let home = Home::new();
    let said = home.says("recommend --chip artpec8 --fps 30");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "Detection on ARTPEC-8 at 30 fps, first what keeps up on every camera, then the most accurate",
            "",
            " 1. ssd-mobilenet-v2-coco: 17.8 ms on a Q1656 (≈ 56 fps) to 28.1 ms on a P1465-LE (≈ 35 fps), COCO mAP 25.6; Apache-2.0",
            "    too slow on a P1465-LE, which keeps up with 28 fps",
            "",
            "At 30 fps a frame has 33.3 ms: 26.7 ms for inference, 20 % left for the rest.",
            "Times are of inference alone (AXIS model zoo, AXIS OS 12.11.72); firmware changes them.",
            "COCO mAP was not measured on a camera; a chip may lose some of it.",
            "Get the first with `spotter models fetch ssd-mobilenet-v2-coco`."
        ]
    );
    let said = home.says("recommend --chip artpec8 --min-map 0.3");
    assert!(said.starts_with("Detection on ARTPEC-8 with COCO mAP 30 or more, fastest first\n"), "{said}");
    assert!(said.contains("\n 1. ssdlite-mobiledet-coco: 28.2 ms on a Q1656 (≈ 35 fps) to 38.5 ms on a P1465-LE (≈ 25 fps), COCO mAP 32.9"), "{said}");
    assert!(
        said.contains("\n    inferred: slower on a P1465-LE, where others take 1.4 to 1.8 times as long\n"),
        "{said}"
    );
    assert!(said.contains("\n    ssdlite-mobiledet-coco is faster and at least as accurate\n"), "{said}");

    let said = home.says("recommend --chip cv25");
    assert!(
        said.contains("\n 1. yolov5s-cv25: 128.4 ms on an M3085-V (≈ 7 fps), COCO mAP 37.0; AGPL-3.0\n"),
        "{said}"
    );
    assert!(said.ends_with("`spotter models fetch yolov5s-cv25 --accept-license AGPL-3.0`.\n"), "{said}");
    let said = home.says("recommend --chip cv25 --task classification");
    assert!(said.contains(" 2. mobilenet-v2-imagenet-cv25: 5.35 ms on an M3085-V (≈ 186 fps), ImageNet top-1 66.8 %, top-5 87.2 %"), "{said}");
    assert!(!said.contains("not measured on a camera"), "classifiers were: {said}");
    let said = home.says("recommend --chip cpu");
    assert!(said.contains("No speeds are published for a CPU: `spotter bench"), "{said}");
    let said = home.says("recommend --chip artpec8");
    assert!(said.contains(" 6. ssd-mobilenet-v1-coco: no published speed, no published accuracy; Apache-2.0\n    inferred: its kind of file runs on ARTPEC-8\n"), "{said}");
}

#[test]
fn a_recommendation_as_json_and_one_that_cannot_be_given() {
    let home = Home::new();
    let report: Value = serde_json::from_str(&home.says("recommend --chip artpec9 --fps 20 --json")).unwrap();
    assert_eq!((&report["chip"], &report["margin"]), (&Value::from("artpec9"), &Value::from(0.2)));
    assert_eq!(report["inference_budget_ms"], 40.0);
    let names: Vec<&str> =
        report["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["ssdlite-mobiledet-coco", "yolov5s-artpec9", "ssd-mobilenet-v2-coco", "yolov5n-artpec9"]
    );
    let first = &report["models"][0];
    assert_eq!(first["times"][0]["ms"], 21.48);
    assert_eq!(first["times"][0]["fast_enough"], true);
    assert_eq!(
        (&first["accuracy"]["value"], &first["accuracy"]["on_camera"]),
        (&Value::from(32.9), &Value::from(false))
    );

    assert_eq!(
        home.fails("recommend --chip cv25 --fps 30", 2),
        "no detection model of the catalogue is known to reach 30 fps on cv25; \
         --fps 6 admits yolov5s-cv25 (128.4 ms on an M3085-V)"
    );
    for wrong in
        ["--chip artpec6", "--chip cpu --min-map 101", "--chip cpu --min-map x", "--chip cpu --fps 0"]
    {
        let finished = home.run(&format!("recommend {wrong}"));
        assert_eq!(finished.code, Some(2), "{wrong}: {finished:#?}");
        assert!(finished.stderr.contains("--help"), "{finished:#?}");
    }
    assert_eq!(
        home.fails("recommend", 2),
        "this machine is no camera whose chip is known; name one with --chip"
    );
    let line = home.fails("recommend --chip cpu --task classification --min-map 20", 2);
    assert_eq!(line, "--min-map is COCO mAP, which classification models do not have; leave it out");
}

#[test]
fn the_documentation_has_the_catalogues_figures() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let list: Value = serde_json::from_str(&Home::new().says("models list --json")).unwrap();
    for model in list["models"].as_array().unwrap() {
        let name = model["name"].as_str().unwrap();
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} has no row in docs/models.md"));
        let mut wanted = vec![model["licence"].as_str().unwrap().to_string()];
        wanted.push(model["input"].as_str().unwrap().replace('x', "×"));
        for figure in model["published"].as_array().into_iter().flatten() {
            wanted.push(format!("{:.2}", figure["ms"].as_f64().unwrap()));
            wanted.push(format!("{:.1}", figure["accuracy"]["value"].as_f64().unwrap()));
            assert!(docs.contains(figure["source"].as_str().unwrap()));
        }
        assert!(wanted.iter().all(|text| row.contains(text.as_str())), "{wanted:?}: {row}");
    }
}
