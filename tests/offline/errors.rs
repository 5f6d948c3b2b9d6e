//! Every error a user can run into: one line that says what is wrong and what to do, an exit code that is
//! not 0, no panic.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::data;
use crate::common::process::{self, Finished};

const LIMIT: Duration = Duration::from_secs(60);

/// The one line that an error makes; checks that it is one, and the exit code.
fn error_line(finished: &Finished, code: i32) -> String {
    assert_eq!(finished.code, Some(code), "{finished:#?}");
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("error: ")).collect();
    assert_eq!(lines.len(), 1, "{finished:#?}");
    lines[0].split_once("error: ").unwrap().1.to_owned()
}

fn model(name: &str) -> Option<PathBuf> {
    Some(data::shared_data()?.join("models").join(name))
}

const SSD: &str = "ssd_mobilenet_v1_coco_quant_postprocess.tflite";

/// `spotter detect --model MODEL FILE`.
fn detect(model: &Path, file: &Path) -> Finished {
    process::run([Path::new("detect"), Path::new("--model"), model, file], LIMIT)
}

/// `spotter run --once --source SOURCE --model MODEL` on a free port.
fn run_once(source: &str, model: &Path) -> Finished {
    let model = model.to_str().unwrap();
    process::run(["run", "--once", "--listen", "127.0.0.1:0", "--source", source, "--model", model], LIMIT)
}

#[test]
fn a_missing_source_is_named() {
    let Some(model) = model(SSD) else { return };
    let line = error_line(&run_once("/nonexistent/clip.mp4", &model), 3);
    assert_eq!(line, "there is no file /nonexistent/clip.mp4; check the path given as the source");
    let line = error_line(&run_once("/dev/video97", &model), 3);
    assert!(line.starts_with("there is no device /dev/video97"), "{line}");
    let folder = std::env::temp_dir();
    let line = error_line(&run_once(folder.to_str().unwrap(), &model), 3);
    assert!(line.contains("is a folder"), "{line}");
}

#[test]
fn what_is_no_video_is_said_to_be_none() {
    let Some(model) = model(SSD) else { return };
    let path = data::not_a_video();
    for line in
        [error_line(&run_once(path.to_str().unwrap(), &model), 3), error_line(&detect(&model, &path), 3)]
    {
        assert!(line.contains("not_a_video.mp4"), "{line}");
        assert!(line.contains("no video"), "{line}");
    }
}

#[test]
fn a_cut_off_clip_gives_its_frames_and_an_error() {
    let Some(model) = model(SSD) else { return };
    let Some(clip) = data::truncated_mp4() else { return };
    let finished = detect(&model, &clip);
    let line = error_line(&finished, 3);
    assert!(line.contains("truncated.mp4 is cut off: its container says "), "{line}");
    let frames = finished.stdout.lines().count();
    assert!(frames > 0 && frames < data::CLIP_FRAMES, "{frames}");
    assert!(line.contains(&format!("({frames} frames could be read)")), "{line}");
    let line = error_line(&run_once(clip.to_str().unwrap(), &model), 3);
    assert!(line.contains("is cut off"), "{line}");
}

#[test]
fn a_file_that_cannot_be_read_does_not_keep_the_others_from_it() {
    let Some(model) = model(SSD) else { return };
    let Some(picture) = data::jpeg() else { return };
    let finished = process::run(
        [Path::new("detect"), Path::new("--model"), &model, Path::new("/nonexistent.jpg"), &picture],
        LIMIT,
    );
    let line = error_line(&finished, 3);
    assert!(line.starts_with("there is no file /nonexistent.jpg"), "{line}");
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:#?}");
}

#[test]
fn what_is_no_model_is_said_to_be_none() {
    let Some(picture) = data::jpeg() else { return };
    let line = error_line(&detect(&data::not_a_video(), &picture), 4);
    assert!(line.contains("not_a_video.mp4 is not a TensorFlow Lite model"), "{line}");
    let line = error_line(&detect(Path::new("/nonexistent/m.tflite"), &picture), 2);
    assert!(line.contains("/nonexistent/m.tflite"), "{line}");
    let line = error_line(&detect(Path::new("no-such-model"), &picture), 2);
    assert!(line.contains("no-such-model"), "{line}");
}

#[test]
fn models_that_need_more_than_a_cpu_say_what() {
    let Some(picture) = data::jpeg() else { return };
    for (name, says) in [
        (
            "edgetpu/mobilenet_v1_0.25_128_quant_edgetpu.tflite",
            "needs an Edge TPU: custom op edgetpu-custom-op",
        ),
        (
            "edgetpu/mobilenet_v2_1.0_224_quant_edgetpu_2019.tflite",
            "needs an Edge TPU: custom op edgetpu-custom-op",
        ),
        ("negative/model_invoking_error.tflite", "fake-op-double"),
        ("negative/automl_video_traffic_lstm_postprocess.tflite", "3 inputs"),
        (
            "edgetpu/ssd_mobilenet_v2_coco_quant_postprocess_segment_0_of_2_edgetpu.tflite",
            // With an Edge TPU it would be of no use either.
            "unsupported output format",
        ),
    ] {
        let Some(model) = model(name) else { return };
        let line = error_line(&detect(&model, &picture), 4);
        assert!(line.contains(says), "{name}: {line}");
    }
}

#[test]
fn a_wrong_number_of_labels_names_both_numbers() {
    let (Some(model), Some(picture)) = (model(SSD), data::jpeg()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    let rows: Vec<String> = (0..80).map(|row| format!("thing {row}")).collect();
    std::fs::write(&labels, rows.join("\n")).unwrap();
    let arguments =
        [Path::new("detect"), Path::new("--model"), &model, Path::new("--labels"), &labels, &picture];
    let line = error_line(&process::run(arguments, LIMIT), 4);
    assert!(line.contains("has 80 labels, but the model has 90 classes"), "{line}");
}

#[test]
fn a_port_in_use_is_said_to_be() {
    let Some(model) = model(SSD) else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = process::run(
        ["run", "--source", "test", "--listen", &address, "--model", model.to_str().unwrap()],
        LIMIT,
    );
    let line = error_line(&finished, 6);
    assert!(line.contains(&address) && line.contains("the port is in use"), "{line}");
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let Some(model) = model(SSD) else { return };
    let arguments = ["run", "--once", "--source", "test", "--listen", "127.0.0.1:0", "--model"];
    let more = [model.to_str().unwrap(), "--output", "/nonexistent/a.jsonl"];
    let line = error_line(&process::run(arguments.iter().chain(&more), LIMIT), 8);
    assert!(line.starts_with("cannot write /nonexistent/a.jsonl"), "{line}");
}

#[test]
fn bad_arguments_are_explained_with_the_usage() {
    for arguments in [
        &["run", "--source"][..],
        &["run", "--conf", "7"],
        &["run", "--listen", "here"],
        &["run", "--fit", "squeeze"],
        &["run", "--threads", "0"],
        &["detect"],
        &["fly"],
        &[],
    ] {
        let finished = process::run(arguments, LIMIT);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {finished:#?}");
        assert!(finished.stderr.contains("--help") || finished.stderr.contains("Usage"), "{finished:#?}");
    }
    let help = process::run(["--help"], LIMIT);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
}

#[test]
fn no_tensorflow_lite_is_a_sentence_and_no_loader_error() {
    let (Some(model), Some(picture)) = (model(SSD), data::jpeg()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let no_library = folder.path().join("notes.txt");
    std::fs::write(&no_library, "not a library").unwrap();
    for wrong in [folder.path().join("missing.so"), no_library] {
        let mut command = process::spotter();
        command.args([Path::new("detect"), Path::new("--model"), &model, &picture]);
        command.env("SPOTTER_TFLITE", wrong);
        let line = error_line(&process::run_command(command, LIMIT), 5);
        assert!(line.contains("TensorFlow Lite was not found; run ./build.sh setup"), "{line}");
    }
}

#[test]
fn a_model_that_cannot_be_downloaded_says_which_file_to_put_where() {
    let Some(picture) = data::jpeg() else { return };
    let folder = tempfile::tempdir().unwrap();
    let offline = |model: &str| {
        let mut command = process::spotter();
        command.args([Path::new("detect"), Path::new("--model"), Path::new(model), &picture]);
        command.current_dir(folder.path());
        command.env("XDG_CACHE_HOME", folder.path()).env_remove("SPOTTER_MODELS");
        // A proxy that is not there: as without a network, whatever this machine has.
        command.env("ALL_PROXY", "http://127.0.0.1:9").env("HTTPS_PROXY", "http://127.0.0.1:9");
        process::run_command(command, LIMIT)
    };
    let line = error_line(&offline("ssd-mobilenet-v2-coco"), 7);
    assert!(line.contains("put ssd_mobilenet_v2_coco_quant_postprocess.tflite into"), "{line}");
    assert!(line.contains(folder.path().to_str().unwrap()), "{line}");
    let line = error_line(&offline("yolov5n-artpec8"), 2);
    assert!(line.contains("--accept-license AGPL-3.0"), "{line}");
}

#[test]
fn coco_results_are_for_boxes() {
    let Some(shared) = data::shared_data() else { return };
    let model = shared.join("models/mobilenet_v1_0.25_128_quant.tflite");
    let Some(picture) = data::png() else { return };
    let arguments =
        ["detect", "--format", "coco", "--model", model.to_str().unwrap(), picture.to_str().unwrap()];
    let finished = process::run(arguments, LIMIT);
    let line = error_line(&finished, 2);
    assert!(line.contains("gives no boxes but a classification"), "{line}");
    assert_eq!(finished.stdout, "");
}
