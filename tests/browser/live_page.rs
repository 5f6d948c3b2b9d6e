//! The page of the real program, on a real clip, in a real browser.

use std::path::Path;
use std::time::Duration;

use crate::common::browser::Browser;
use crate::common::process::Running;
use crate::common::{data, say, street};
use serde_json::{Value, json};
use spotter::demo::Demo;

const LIMIT: Duration = Duration::from_secs(60);

/// A small picture of the canvas, as one number.
const HASH: &str = r#"(() => {
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [64, 36];
  const pen = copy.getContext('2d');
  pen.drawImage(document.querySelector('#view'), 0, 0, 64, 36);
  return [...pen.getImageData(0, 0, 64, 36).data].reduce((hash, byte) => (hash * 31 + byte) % 1000000007, 7);
})()"#;

const COUNT: &str = "spotter.shown.boxes.filter((box) => box.label === 'person').length";

/// Moves the slider as a hand does, and gives the boxes that are drawn right after.
fn slide(browser: &mut Browser, value: f64) -> Vec<f64> {
    let scores = browser.eval(&format!(
        "(() => {{ const slider = document.querySelector('#confidence');
          slider.value = {value}; slider.dispatchEvent(new Event('input', {{ bubbles: true }}));
          return spotter.shown.boxes.map((box) => box.score); }})()"
    ));
    scores.as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect()
}

#[test]
fn people_are_shown_with_their_boxes_while_they_walk() {
    let Some(shared) = data::shared_data() else { return };
    let Some(mut browser) = Browser::launch() else { return };
    let model = shared.join("models/ssd_mobilenet_v1_coco_quant_postprocess.tflite");
    let clip = shared.join("videos/pedestrians-626x360.mp4");
    let running =
        Running::start(["--source", clip.to_str().unwrap(), "--model", model.to_str().unwrap()], LIMIT);
    browser.set_viewport(1440, 900, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 5 && spotter.latencyMs !== null", LIMIT);
    assert_eq!(browser.eval("spotter.transport"), "websocket");

    // The picture moves.
    let first = browser.eval(HASH);
    let shown = browser.eval("spotter.framesShown").as_u64().unwrap();
    browser.wait_for(&format!("spotter.framesShown > {}", shown + 10), LIMIT);
    assert_ne!(browser.eval(HASH), first);
    // It is the frame's own shape.
    let shape = browser.eval("spotter.shown.width / spotter.shown.height").as_f64().unwrap();
    assert!((shape - 626.0 / 360.0).abs() < 0.01, "{shape}");

    // People are found.
    browser.wait_for(&format!("{COUNT} >= 2"), LIMIT);
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live_page.png");
    browser.screenshot(&picture);
    assert!(std::fs::metadata(&picture).unwrap().len() > 50_000);
    say(&format!("the page as the test saw it: {}", picture.display()));

    // The slider acts on the picture that is shown, and then on the server.
    browser.eval("document.querySelector('#pause')?.click()");
    let low = slide(&mut browser, 0.05);
    let high = slide(&mut browser, 0.95);
    assert!(low.len() > high.len(), "{low:?} {high:?}");
    assert!(high.iter().all(|score| *score >= 0.95));
    let confidence = || running.http_get("/api/settings").json()["confidence"].as_f64().unwrap();
    browser.wait_for("true", LIMIT);
    let begun = std::time::Instant::now();
    while confidence() != 0.95 {
        assert!(begun.elapsed() < LIMIT, "{}", confidence());
        std::thread::sleep(Duration::from_millis(20));
    }
    slide(&mut browser, 0.3);
    browser.eval("document.querySelector('#pause')?.click()");
    browser.wait_for(&format!("{COUNT} >= 1"), LIMIT);

    // Every picture of the page loads, and nothing is complained of.
    assert_eq!(browser.eval("[...document.images].filter((image) => !image.naturalWidth).length"), 0);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn the_test_picture_shows_that_all_is_well_without_a_clip() {
    let Some(shared) = data::shared_data() else { return };
    let Some(mut browser) = Browser::launch() else { return };
    let model = shared.join("models/yolov5n_artpec8_coco_640.tflite");
    let running =
        Running::start(["--source", "test", "--conf", "0.08", "--model", model.to_str().unwrap()], LIMIT);
    browser.set_viewport(1280, 800, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 5 && spotter.latencyMs !== null", LIMIT);
    // The ball on the test picture is a sports ball to the model, now and then.
    browser.wait_for("spotter.shown.boxes.some((box) => box.label === 'sports ball')", LIMIT);
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("test_picture.png");
    browser.screenshot(&picture);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
    // On a phone and in the dark it fits as well.
    browser.set_viewport(390, 844, 2.0, true);
    browser.wait_for("document.documentElement.scrollWidth <= innerWidth", LIMIT);
    browser.screenshot(&picture.with_file_name("test_picture_phone.png"));
}

/// What an installer looks at and sets: health, chips, settings out of a file and into one.
#[test]
fn an_installer_sees_how_it_does_and_takes_settings_along() {
    let Some(mut browser) = Browser::launch() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let source = ["--source", "demo:seed=15,size=640x360,fps=12"];
    let mut arguments = source.to_vec();
    arguments.extend(["--settings", file.to_str().unwrap()]);
    let running = Running::start(arguments, LIMIT);
    browser.set_viewport(1440, 900, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 5 && spotter.editable === true", LIMIT);
    let text = |id: &str| format!("document.querySelector('#{id}').textContent");

    // Which chips the model suits, as its own report says.
    let verdicts = "[...document.querySelectorAll('#suitability-list > li')].map((row) => row.querySelector('b').className)";
    browser.wait_for(&format!("{verdicts}.length === 5"), LIMIT);
    let model = running.http_get("/api/v1/model").json();
    let chips = model["suitability"]["chips"].as_array().unwrap();
    assert_eq!(browser.eval(verdicts), chips.iter().map(|chip| chip["verdict"].clone()).collect::<Value>());

    // Every stage has bars, and counts its frames.
    browser.eval("document.querySelector('#health').open = true");
    let bars = "[...document.querySelectorAll('#times li')].filter((row) =>
        row.querySelector('.bars').getAttribute('d').startsWith('M') && Number(row.querySelector('small').textContent.replaceAll(',', '')) > 5).length";
    browser.wait_for(&format!("{bars} === 5"), LIMIT);
    browser.wait_for("document.querySelectorAll('#ticks span').length > 1", LIMIT);
    browser.wait_for(&format!("{}.startsWith('detecting')", text("health-backend")), LIMIT);
    browser.wait_for(&format!("{} === 'none since the start'", text("troubles-sum")), LIMIT);

    // Settings from a file: taken, and kept; what Spotter refuses changes nothing.
    let import = |browser: &mut Browser, settings: Value| {
        let path = folder.path().join("import.json");
        std::fs::write(&path, settings.to_string()).unwrap();
        browser.choose_file("document.querySelector('#import-file')", &path);
    };
    import(&mut browser, json!({ "fps_limit": 7, "labels": { "car": { "on": false } } }));
    browser.wait_for(&format!("{} === 'Saved'", text("settings-said")), LIMIT);
    let settings = || running.http_get("/api/v1/settings").json();
    assert_eq!((&settings()["fps_limit"], &settings()["labels"]["car"]["on"]), (&json!(7), &json!(false)));
    let begun = std::time::Instant::now();
    while !std::fs::read_to_string(&file).is_ok_and(|kept| kept.contains("\"car\"")) {
        assert!(begun.elapsed() < LIMIT, "nothing is kept");
        std::thread::sleep(Duration::from_millis(50));
    }
    import(&mut browser, json!({ "size": { "min": 0.5, "max": 0.2 } }));
    browser.wait_for(&format!("{}.startsWith('Not imported: size.min')", text("settings-said")), LIMIT);
    assert_eq!(settings()["fps_limit"], 7);
    browser.eval("document.querySelector('#undo').click()");
    browser.wait_for("spotter.settings.fps_limit === null && !spotter.settings.labels.car", LIMIT);
    browser.wait_for(&format!("{} === 'Saved'", text("settings-said")), LIMIT);
    assert_eq!((&settings()["fps_limit"], &settings()["labels"]), (&Value::Null, &json!({})));
    // The refusal is what the browser logs.
    assert!(browser.console_problems().iter().all(|problem| problem.contains("400")));
    assert_eq!(running.stop(LIMIT).code, Some(0));

    // Without a file nothing is saved, and nobody is told so.
    let running = Running::start(source, LIMIT);
    browser.navigate(&format!("http://{}/", running.address));
    // The page before may have asked a Spotter that had ended.
    browser.console_problems();
    browser.wait_for("window.spotter?.framesShown > 5 && spotter.editable === true", LIMIT);
    browser.wait_for(&format!("{}.includes('--settings FILE')", text("settings-kept")), LIMIT);
    browser.eval("document.querySelector('#reset').click()");
    browser.wait_for(&format!("{} === 'In use until Spotter ends'", text("settings-said")), LIMIT);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

/// Nothing from outside: the scene that Spotter draws, its own model, and what a person sees, against the
/// truth.
#[test]
fn boxes_on_the_page_are_where_the_figures_are() {
    let Some(mut browser) = Browser::launch() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    let running = Running::start(["--source", "demo:seed=15", "--output", output.to_str().unwrap()], LIMIT);
    browser.set_viewport(1280, 800, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 5", LIMIT);
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..12 {
        let shown = browser.eval("spotter.framesShown").as_u64().unwrap();
        browser.wait_for(&format!("spotter.framesShown > {}", shown + 2), LIMIT);
        seen.push(browser.eval("spotter.shown"));
    }
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo_page.png");
    browser.screenshot(&picture);
    browser.wait_for("!document.querySelector('#models').hidden", LIMIT);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
    assert_eq!(running.stop(LIMIT).code, Some(0));

    let lines = std::fs::read_to_string(&output).unwrap();
    let frames: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["frame"].take()).collect();
    let (size, mut demo) = ((1280, 720), Demo::new(15, 1280, 720));
    let (mut truths, mut founds) = (Vec::new(), Vec::new());
    for (image, shown) in seen.iter().enumerate() {
        let frame = frames.iter().find(|frame| frame["seq"] == shown["seq"]).unwrap();
        truths.extend(street::truths(&mut demo, street::time(frame), image));
        for found in shown["boxes"].as_array().unwrap() {
            founds.push(street::found(image, size, &found["label"], &found["score"], &found["rect"]));
        }
    }
    let (precision, recall, objects) = street::at_half(&truths, &founds);
    say(&format!("on the page: precision {precision:.3}, recall {recall:.3} of {objects} figures"));
    assert!(objects > 60 && precision > 0.8 && recall > 0.6, "{precision} {recall} {objects}");
}

/// Every picture that is drawn from now on: the number of the frame that its boxes belong to, and a small picture of
/// the canvas, a byte of green for each pixel.
const GATHER: &str = r#"
(async (wanted) => {
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [160, 90];
  const pen = copy.getContext('2d', { willReadFrequently: true });
  const found = [];
  let last = spotter.framesShown;
  while (found.length < wanted) {
    await new Promise(requestAnimationFrame);
    if (spotter.framesShown === last) continue;
    last = spotter.framesShown;
    pen.drawImage(document.querySelector('#view'), 0, 0, 160, 90);
    const { data } = pen.getImageData(0, 0, 160, 90);
    let green = '';
    for (let at = 1; at < data.length; at += 4) green += data[at].toString(16).padStart(2, '0');
    found.push([spotter.shown.seq, green]);
  }
  return found;
})"#;

/// How far two pictures of 160×90 are apart: one as hexadecimal digits, one as the demo scene draws it four times as
/// large.
fn distance(seen: &[u8], drawn: &[u8]) -> u64 {
    let average = |index: usize| {
        let (column, row) = (index % 160, index / 160);
        let pixels = (0..16).map(|n| ((row * 4 + n / 4) * 640 + column * 4 + n % 4) * 4 + 1);
        pixels.map(|at| u64::from(drawn[at])).sum::<u64>() / 16
    };
    seen.iter().enumerate().map(|(index, value)| average(index).abs_diff(u64::from(*value))).sum()
}

/// The picture on the canvas is that of the frame whose boxes are drawn: among the frames before and after it none is
/// as much like it.
#[test]
fn each_picture_is_the_frame_of_its_boxes() {
    const FPS: f64 = 20.0;
    let Some(mut browser) = Browser::launch() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    let source = format!("demo:seed=15,size=640x360,fps={FPS}");
    let running = Running::start(["--source", &source, "--output", output.to_str().unwrap()], LIMIT);
    browser.set_viewport(1280, 800, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 5", LIMIT);
    // With SPOTTER_MEASURE as many as are promised.
    let pieces = if std::env::var_os("SPOTTER_MEASURE").is_some() { 11 } else { 2 };
    let mut seen: Vec<(u64, Vec<u8>)> = Vec::new();
    for _ in 0..pieces {
        for one in browser.eval(&format!("{GATHER}(100)")).as_array().unwrap() {
            let digits = one[1].as_str().unwrap();
            let green =
                (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
            seen.push((one[0].as_u64().unwrap(), green.collect()));
        }
    }
    assert_eq!(running.stop(LIMIT).code, Some(0));
    let lines = std::fs::read_to_string(&output).unwrap();
    let times: std::collections::BTreeMap<u64, Duration> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["frame"].take())
        .map(|frame| (frame["seq"].as_u64().unwrap(), street::time(&frame)))
        .collect();
    let mut demo = Demo::new(15, 640, 360);
    let mut drawn = std::collections::BTreeMap::new();
    let mut wrong = Vec::new();
    for (seq, picture) in &seen {
        let frame = (times[seq].as_secs_f64() * FPS).round() as i64;
        let nearest = (frame - 2..=frame + 2).filter(|frame| *frame >= 0).min_by_key(|candidate| {
            let pixels = drawn.entry(*candidate).or_insert_with(|| {
                let mut pixels = vec![0; 640 * 360 * 4];
                // As the source counts: in whole nanoseconds.
                let time = Duration::from_nanos((*candidate as f64 * 1e9 / FPS) as u64);
                assert!(demo.draw(time, &mut pixels));
                pixels
            });
            distance(picture, pixels)
        });
        drawn.retain(|at, _| *at > frame - 4);
        if nearest != Some(frame) {
            wrong.push((*seq, frame, nearest));
        }
    }
    say(&format!("{} pictures on the page, {} not of the frame of their boxes", seen.len(), wrong.len()));
    assert_eq!(wrong, []);
}
