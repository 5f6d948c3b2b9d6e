//! The page in a real browser, against pictures whose content is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::axe;
use common::browser::Browser;
use common::mock::{Mock, page_folder};
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(15);

/// One browser at a time: they would slow each other down, and time is part of what is tested.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|broken| broken.into_inner())
}

/// A browser that shows the mock's page and has drawn its first pictures.
fn open(mock: &Mock) -> Option<Browser> {
    let mut browser = Browser::launch()?;
    browser.set_viewport(1440, 900, 1.0, false);
    browser.navigate(&mock.url());
    browser.wait_for("window.spotter?.framesShown > 2 && spotter.latencyMs !== null", SOON);
    Some(browser)
}

fn labels(browser: &mut Browser) -> Value {
    browser.eval("spotter.shown.boxes.map((box) => box.label).sort()")
}

fn level(browser: &mut Browser) -> Value {
    browser.eval("document.querySelector('[data-testid=badge]').dataset.level")
}

/// Watches every picture that is drawn: reads the bar code and the square from the canvas' pixels and
/// compares both with the boxes that are drawn on it.
const WATCH: &str = r#"
(async (wanted) => {
  const view = document.querySelector('[data-testid=view]');
  const copy = document.createElement('canvas');
  const pen = copy.getContext('2d', { willReadFrequently: true });
  const found = { seen: 0, wrong: [], hashes: new Set(), seqs: [] };
  let last = -1;
  const until = performance.now() + 180000;
  while (found.seen < wanted && performance.now() < until) {
    await new Promise(requestAnimationFrame);
    if (spotter.framesShown === last) continue;
    last = spotter.framesShown;
    copy.width = view.width;
    copy.height = view.height;
    pen.drawImage(view, 0, 0);
    const { data } = pen.getImageData(0, 0, copy.width, copy.height);
    const pixel = (x, y) => {
      const at = 4 * (Math.round(y * copy.height) * copy.width + Math.round(x * copy.width));
      return [data[at], data[at + 1], data[at + 2]];
    };
    let seq = 0;
    for (let bit = 0; bit < 16; bit++) if (pixel((16 * bit + 8) / 320, 168 / 176)[0] > 128) seq |= 1 << bit;
    const { shown } = spotter;
    const person = shown.boxes.find((box) => box.label === 'person');
    const { left, top, right, bottom } = person.rect;
    const y = (top + bottom) / 2;
    const inside = pixel((left + right) / 2, bottom - 0.05)[0];
    const beside = [pixel(left - 0.03, y)[0], pixel(right + 0.03, y)[0]];
    // A box that touches the picture's edge is drawn a line's width further in.
    const [r, , b] = pixel(Math.max(left, 3 / copy.width), y);
    const expected = (seq * 3 % 34) / 40;
    const problems = [];
    if (seq !== shown.seq) problems.push(`picture ${seq}, boxes of ${shown.seq}`);
    if (Math.abs(left - expected) > 1e-6) problems.push(`box at ${left}, square at ${expected}`);
    if (inside < 200) problems.push(`no square inside the box: ${inside}`);
    if (beside.some((grey) => grey > 130)) problems.push(`square beside the box: ${beside}`);
    if (!(r > 170 && b < 110)) problems.push(`no line at the box's left: ${r} ${b}`);
    if (problems.length) found.wrong.push({ seq, problems });
    found.seen += 1;
    found.hashes.add(seq);
    found.seqs.push(seq);
  }
  return { seen: found.seen, different: found.hashes.size, wrong: found.wrong,
    ascending: found.seqs.every((seq, n) => n === 0 || seq > found.seqs[n - 1]) };
})"#;

#[test]
fn boxes_belong_to_their_picture() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };

    let found = browser.eval(&format!("{WATCH}(1000)"));
    assert_eq!(found["wrong"], json!([]), "of {} pictures", found["seen"]);
    assert!(found["seen"].as_u64() >= Some(1000), "{found}");
    assert!(found["different"].as_u64() >= Some(1000), "pixels do not move: {found}");
    assert_eq!(found["ascending"], json!(true));

    assert_eq!(browser.eval("spotter.transport"), json!("websocket"));
    assert_eq!(browser.eval("[spotter.shown.width, spotter.shown.height]"), json!([320, 176]));
    assert_eq!(level(&mut browser), json!("green"));
    let latency = browser.eval("spotter.latencyMs").as_f64().unwrap();
    assert!(
        (20.0..900.0).contains(&latency),
        "{latency} ms, and the mock's pictures are 25 ms old when sent"
    );
    browser.wait_for("document.querySelector('[data-testid=seen]').textContent.includes('person')", SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn pictures_keep_their_shape() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().pixel_aspect = 1.5;
    let Some(mut browser) = open(&mock) else { return };
    for (width, height, scale) in [(1440, 900, 1.0), (390, 844, 3.0), (844, 390, 2.0), (1024, 768, 1.25)] {
        browser.set_viewport(width, height, scale, true);
        // Two CSS pixels for roundings; the backing store is in device pixels, or it would not be crisp.
        let shape = "(() => { const { width, height } = view.getBoundingClientRect();
            return Math.abs(width / height - 480 / 176) < 0.03
              && Math.abs(view.width - width * devicePixelRatio) < 2 && width > 0.5 * innerWidth; })()";
        browser.wait_for(shape, SOON);
    }
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn slider_acts_at_once_and_on_spotter() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    assert_eq!(labels(&mut browser), json!(["dog", "person"]));

    // In the very task of the event, and on a stopped picture.
    browser.key(" ");
    browser.wait_for("spotter.paused", SOON);
    let at = |value: f64| {
        format!(
            "(() => {{ const before = spotter.shown.seq; confidence.value = {value};
               confidence.dispatchEvent(new Event('input', {{ bubbles: true }}));
               return [before === spotter.shown.seq, spotter.shown.boxes.map((box) => box.label).sort()]; }})()"
        )
    };
    assert_eq!(browser.eval(&at(0.95)), json!([true, []]));
    assert_eq!(browser.eval(&at(0.2)), json!([true, ["cat", "dog", "person"]]));
    assert_eq!(browser.eval(&at(0.7)), json!([true, ["person"]]));
    let deadline = Instant::now() + SOON;
    while mock.state().patches.last() != Some(&0.7) {
        assert!(Instant::now() < deadline, "sent: {:?}", mock.state().patches);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(mock.state().patches.len() <= 2, "each change is not sent alone: {:?}", mock.state().patches);

    // What was dropped, with the reason.
    browser.eval("document.querySelector('[data-testid=dropped]').click()");
    assert_eq!(
        browser.eval("spotter.shown.dropped.map((box) => `${box.label}: ${box.reason}`).sort()"),
        json!(["cat: below confidence: 0.30 < 0.70", "dog: below confidence: 0.60 < 0.70"])
    );
    browser.wait_for(
        "document.querySelector('[data-testid=seen]').textContent.includes('below confidence2')",
        SOON,
    );
    browser.key("d");
    assert_eq!(browser.eval("spotter.shown.dropped"), json!([]));
    browser.key(" ");
    browser.wait_for("!spotter.paused", SOON);

    // By keyboard.
    browser.eval("confidence.focus()");
    browser.key("ArrowRight");
    assert_eq!(
        browser.eval("document.querySelector('[data-testid=confidence-value]').textContent"),
        json!("0.71")
    );
    let deadline = Instant::now() + SOON;
    while mock.state().patches.last() != Some(&0.71) {
        assert!(Instant::now() < deadline, "sent: {:?}", mock.state().patches);
        std::thread::sleep(Duration::from_millis(20));
    }

    // Another client's change shows here.
    mock.state().confidence = 0.25;
    browser.wait_for("confidence.value === '0.25' && spotter.shown.boxes.length === 3", SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn streams_over_http_where_websockets_are_refused() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().refuse_websocket = true;
    let Some(mut browser) = open(&mock) else { return };
    assert_eq!(browser.eval("spotter.transport"), json!("fetch"));
    let found = browser.eval(&format!("{WATCH}(40)"));
    assert_eq!(found["wrong"], json!([]));
    assert!(found["seen"].as_u64() >= Some(40), "{found}");
    // The browser itself reports the refused handshakes; the page must add nothing.
    let own: Vec<String> =
        browser.console_problems().into_iter().filter(|text| !text.contains("/api/live")).collect();
    assert_eq!(own, Vec::<String>::new());
}

#[test]
fn an_old_picture_never_passes_for_a_live_one() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    browser.wait_for("badge.dataset.level === 'green' && words.hidden", SOON);

    // The source goes away.
    {
        let mut state = mock.state();
        state.frames_flow = false;
        state.source_state = "reconnecting";
        state.source_message = Some("cannot connect to 10.0.0.7");
        state.retry_in_ms = Some(2500);
    }
    browser.wait_for("badge.dataset.level === 'amber'", SOON);
    browser.wait_for("badge.dataset.level === 'red'", SOON);
    let words = browser.eval("document.querySelector('[data-testid=words]').innerText.split('\\n')[0]");
    // The page counts down by itself until it hears from Spotter again.
    let countdown =
        ["3", "2", "1"].map(|s| json!(format!("Reconnecting in {s} s: cannot connect to 10.0.0.7")));
    assert!(countdown.contains(&words), "{words}");
    browser.wait_for("Number(getComputedStyle(view).opacity) < 0.5", SOON);
    // A rate does not keep its last value.
    browser.wait_for("document.querySelector('[data-testid=fps-inference]').textContent === '0.0'", SOON);
    browser.wait_for("document.querySelector('[data-testid=latency]').textContent === '–'", SOON);

    for (state, message, words) in [
        ("connecting", None, "Connecting to the source"),
        ("ended", None, "The clip has ended"),
        ("failed", Some("no such file"), "The source has failed: no such file"),
        ("live", None, "No new picture for "),
    ] {
        let retry = None;
        {
            let mut mock = mock.state();
            (mock.source_state, mock.source_message, mock.retry_in_ms) = (state, message, retry);
        }
        browser.wait_for(&format!("words.innerText.startsWith({})", json!(words)), SOON);
    }

    // The source comes back.
    mock.state().frames_flow = true;
    browser.wait_for("badge.dataset.level === 'green' && words.hidden", SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn finds_spotter_again() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    let port = mock.port;
    drop(mock);
    let gone = Instant::now();
    browser.wait_for("badge.dataset.level === 'red'", Duration::from_secs(4));
    eprintln!("red after {:?}", gone.elapsed());
    browser.wait_for("words.innerText.startsWith('No connection to Spotter; trying again')", SOON);
    browser.wait_for("document.querySelector('[data-testid=fps-inference]').textContent === '–'", SOON);

    let mock = Mock::start_on(port);
    browser.wait_for("badge.dataset.level === 'green' && words.hidden", SOON);
    browser.wait_for("spotter.transport === 'websocket'", SOON);
    drop(mock);
}

/// Sockets that fail while Spotter restarts made the page keep to the stream for good.
#[test]
fn returns_to_the_websocket_that_failed_in_a_restart() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    assert_eq!(browser.eval("spotter.transport"), json!("websocket"));
    let port = mock.port;
    drop(mock);
    browser.wait_for("badge.dataset.level === 'red'", Duration::from_secs(4));
    let mock = Mock::start_on(port);
    mock.state().refuse_websocket = true;
    browser.wait_for("badge.dataset.level === 'green' && spotter.transport === 'fetch'", SOON);
    mock.state().refuse_websocket = false;
    browser.wait_for("badge.dataset.level === 'green' && spotter.transport === 'websocket'", SOON);
}

#[test]
fn waits_for_the_first_picture() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().frames_flow = false;
    let Some(mut browser) = Browser::launch() else { return };
    browser.navigate(&mock.url());
    browser.wait_for("words.innerText.startsWith('Waiting for the first picture')", SOON);
    mock.state().frames_flow = true;
    browser.wait_for("badge.dataset.level === 'green' && words.hidden", SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn fits_every_screen() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    let folder = std::env::var("SPOTTER_SCREENSHOTS").ok().map(std::path::PathBuf::from);
    for (width, height, scale) in [(320, 640, 2.0), (390, 844, 2.0), (1024, 768, 1.0), (1440, 900, 1.0)] {
        for dark in [false, true] {
            browser.set_viewport(width, height, scale, dark);
            browser.wait_for(&format!("innerWidth === {width}"), SOON);
            let wide = browser.eval("document.documentElement.scrollWidth");
            assert!(wide.as_u64() <= Some(width.into()), "{wide} CSS pixels wide on a screen of {width}");
            // Nothing that can be used is smaller than a finger or out of the screen.
            let controls = "['pause', 'confidence', 'fullscreen'].every((id) => {
                const box = document.getElementById(id).getBoundingClientRect();
                return box.height >= 44 && box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight; })";
            assert_eq!(browser.eval(controls), json!(true), "{width}×{height}");
            if let Some(folder) = &folder {
                let name = format!("{width}x{height}-{}.png", if dark { "dark" } else { "light" });
                browser.screenshot(&folder.join(name));
            }
        }
    }

    // Everything can be reached by keyboard, is named, and shows where the focus is.
    let mut reached = Vec::new();
    for _ in 0..4 {
        browser.key("Tab");
        reached.push(browser.eval("document.activeElement.dataset.testid"));
        let ring = "(() => { const node = document.activeElement;
            const drawn = node.matches('.switch input') ? node.nextElementSibling : node;
            return node.matches(':focus-visible') && getComputedStyle(drawn).outlineWidth === '3px'; })()";
        assert_eq!(browser.eval(ring), json!(true), "at {:?}", reached.last());
    }
    assert_eq!(json!(reached), json!(["pause", "confidence", "dropped", "fullscreen"]));
    let unnamed = browser.eval(
        "[...document.querySelectorAll('button, input')].filter((node) =>
           !node.textContent.trim() && !node.labels?.[0]?.textContent.trim() && !node.getAttribute('aria-label')).length",
    );
    assert_eq!(unnamed, json!(0));
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn small_and_self_contained() {
    let mut total = 0;
    for entry in std::fs::read_dir(page_folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        total += text.len();
        let name = path.display();
        for line in text.lines().filter(|line| !line.contains("www.w3.org")) {
            assert!(!line.contains("http://") && !line.contains("https://"), "{name}: {line}");
            assert!(!line.contains(" style=\"") && !line.contains(" onclick="), "{name}: {line}");
            assert!(
                !line.contains("src=\"/") && !line.contains("href=\"/"),
                "{name} is tied to a path: {line}"
            );
        }
    }
    assert!(total <= 150_000, "{total} bytes");
}

/// Rows of the list "In view": text and style.
const ROWS: &str = "[...document.querySelectorAll('[data-testid=seen] li')].map((li) => [li.innerText.replace(/\\s+/g, ' ').trim(), li.className])";

#[test]
fn the_classes_of_a_classifier_are_a_list() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().more = json!({ "classification": [
        { "type": "tench, Tinca tinca", "index": 1, "score": 0.81 },
        { "type": "goldfish", "index": 2, "score": 0.09 },
        { "type": "<b>shark</b>", "index": 3, "score": 0.004 },
    ] });
    let Some(mut browser) = open(&mock) else { return };
    browser.wait_for("document.querySelectorAll('[data-testid=seen] li.class').length === 3", SOON);
    let rows = browser.eval(ROWS);
    assert_eq!(rows[0], json!(["tench, Tinca tinca 0.81", "class"]));
    assert_eq!(rows[1], json!(["goldfish 0.09", "class out"]));
    assert_eq!(rows[2], json!(["<b>shark</b> 0.00", "class out"]));
    // The best one is written on the picture: its chip has the class' own colour.
    let corner = browser.eval(&pixel("6 * devicePixelRatio", "6 * devicePixelRatio"));
    assert_eq!(corner, json!([204, 121, 167]), "the colour of class 1");
    mock.state().confidence = 0.9;
    browser.wait_for("!spotter.shown.classes.some((item) => item.sure)", SOON);
    browser.wait_for("document.querySelectorAll('[data-testid=seen] li.out').length === 3", SOON);
    // Back to a detector: the list counts labels again.
    mock.state().more = Value::Null;
    mock.state().confidence = 0.5;
    browser.wait_for("document.querySelector('[data-testid=seen]').innerText.includes('person')", SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn a_demo_model_is_told_and_others_are_offered() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    let hidden = "document.querySelector('[data-testid=model-notice]').hidden";
    assert_eq!(browser.eval(hidden), true, "a model for real video on real video needs no word");
    let entry = |name: &str, size: Value, accept: Value, here: bool| {
        json!({ "name": name, "title": format!("Model {name}"), "task": "detection", "scope": null, "licence": "L",
                "accept_license": accept, "size": size, "here": here })
    };
    {
        let mut state = mock.state();
        (state.source_kind, state.scope) = ("demo", json!("demo"));
        let mut other = entry("d", Value::Null, Value::Null, true);
        other["task"] = json!("segmentation");
        let own = json!({ "name": "spotter-demo", "title": "Own", "task": "detection", "scope": "demo",
                          "licence": "Apache-2.0", "accept_license": null, "size": 9, "here": true });
        let bound = entry("a", json!(4_200_000), json!("AGPL-3.0"), false);
        let usual = entry("b", Value::Null, Value::Null, false);
        state.models = json!([own, bound, usual, entry("c", json!(1_000_000), Value::Null, true), other]);
    }
    browser.wait_for(&format!("!{hidden}"), SOON);
    let notice = "document.querySelector('[data-testid=model-notice]').innerText";
    let said = browser.eval(notice);
    assert!(said.as_str().unwrap().contains("knows the drawn figures of the demo scene only"), "{said}");

    // By keyboard alone.
    browser.eval("document.querySelector('[data-testid=models-open]').focus()");
    browser.key("Enter");
    browser.wait_for("document.querySelectorAll('[data-testid=models] li').length === 3", SOON);
    let titles =
        "[...document.querySelectorAll('[data-testid=models] span')].map((node) => node.textContent)";
    assert_eq!(browser.eval(titles), json!(["Model b", "Model c", "Model a"]));
    let facts =
        "[...document.querySelectorAll('[data-testid=models] small')].map((node) => node.textContent)";
    assert_eq!(
        browser.eval(facts),
        json!(["L · to be downloaded", "1.0 MB · L · on this machine", "4.2 MB · L · to be downloaded"])
    );
    browser.eval("document.querySelector('[data-testid=run-b]').focus()");
    browser.key("Enter");
    let words = "document.querySelector('[data-testid=models-said]').textContent";
    browser.wait_for(&format!("{words} === 'Model b runs.'"), SOON);

    // What needs a word is not sent without it.
    assert_eq!(browser.eval("document.querySelector('[data-testid=run-a]').disabled"), true);
    mock.state().refusal = Some("cannot download a (no route); put it there");
    browser.eval("document.querySelector('[data-testid=models] input').click()");
    browser.eval("document.querySelector('[data-testid=run-a]').click()");
    browser.wait_for(&format!("{words} === 'Not changed: cannot download a (no route); put it there'"), SOON);
    assert_eq!(
        mock.state().wishes,
        [json!({ "model": "b" }), json!({ "model": "a", "accept_license": "AGPL-3.0" })]
    );

    // A model for real video on the drawn scene, then the demo model on real video.
    mock.state().scope = Value::Null;
    browser.wait_for(&format!("{notice}.includes('The picture is drawn')"), SOON);
    browser.eval("document.querySelector('[data-testid=models-open]').click()");
    browser.wait_for("document.querySelector('[data-testid=run-spotter-demo]') !== null", SOON);
    assert_eq!(browser.eval(titles), json!(["Own"]));
    {
        let mut state = mock.state();
        (state.source_kind, state.scope) = ("file", json!("demo"));
    }
    browser.wait_for(&format!("{notice}.includes('this is real video')"), SOON);
    for (width, height) in [(1440, 900), (1000, 800), (360, 740)] {
        browser.set_viewport(width, height, 1.0, true);
        browser.eval("document.querySelector('[data-testid=models-open]').getAttribute('aria-expanded') === 'true' || document.querySelector('[data-testid=models-open]').click()");
        browser.wait_for("document.querySelectorAll('[data-testid=models] li').length === 3", SOON);
        let sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.eval(sideways), 0, "{width}");
    }
    // The refusal is what the browser logs.
    assert!(browser.console_problems().iter().all(|problem| problem.contains("503")));
}

#[test]
fn what_is_wrong_although_detection_goes_on_is_said() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    let card = "document.querySelector('[data-testid=notices]')";
    assert_eq!(browser.eval(&format!("{card}.hidden")), json!(true));
    mock.state().notices = vec!["cannot write a", "its twin runs instead"];
    browser.wait_for(&format!("!{card}.hidden"), SOON);
    let texts = format!("[...{card}.querySelectorAll('li')].map((item) => item.textContent)");
    assert_eq!(browser.eval(&texts), json!(["cannot write a", "its twin runs instead"]));
    // Above what is seen, and within the window of a phone.
    browser.set_viewport(390, 844, 2.0, true);
    let place = browser
        .eval(&format!("(({{ left, right }}) => [left >= 0, right <= 390])({card}.getBoundingClientRect())"));
    assert_eq!(place, json!([true, true]));
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_notices.png"));
    mock.state().notices.clear();
    browser.wait_for(&format!("{card}.hidden"), SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

/// Opens the page with all settings, and the card of one group of them.
fn tuned(mock: &Mock, group: &str) -> Option<Browser> {
    mock.state().tuning =
        json!({ "zones": [], "labels": { "dog": { "on": false } }, "size": { "min": 0.0, "max": 1.0 } });
    let mut browser = open(mock)?;
    browser.wait_for("!document.querySelector('[data-testid=tuning]').hidden && !document.getElementById('tuning-fields').disabled", SOON);
    browser.eval(&format!("document.querySelector('[data-testid={group}] summary').click()"));
    Some(browser)
}

/// Waits until Spotter has got a change for which this is true.
fn changed(mock: &Mock, what: &str, wanted: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    while !mock.state().changes.last().is_some_and(&wanted) {
        assert!(begun.elapsed() < SOON, "{what}: {:?}", mock.state().changes);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn zones_are_drawn_moved_named_and_taken_back() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = tuned(&mock, "zones-open") else { return };

    // Drawn with the pointer: three clicks and Enter.
    browser.eval("document.querySelector('[data-testid=zone-draw]').click()");
    let canvas = browser
        .eval("(({ left, top, width, height }) => [left, top, width, height])(view.getBoundingClientRect())");
    let side = |index: usize| canvas[index].as_f64().unwrap();
    let at = |x: f64, y: f64| (side(0) + x * side(2), side(1) + y * side(3));
    for (x, y) in [(0.2, 0.2), (0.8, 0.25), (0.5, 0.9)] {
        let (x, y) = at(x, y);
        browser.click(x, y);
    }
    browser.key("Enter");
    changed(&mock, "a zone is drawn", |change| {
        change["zones"][0]["points"].as_array().is_some_and(|points| points.len() == 3)
    });
    let zone = mock.state().changes.last().unwrap()["zones"][0].clone();
    assert_eq!((&zone["name"], &zone["kind"]), (&json!("zone 1"), &json!("include")));
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 0.005;
    assert!(near(&zone["points"][1]["x"], 0.8) && near(&zone["points"][2]["y"], 0.9), "{zone}");

    // A corner dragged, then moved by the keyboard; a corner added and removed.
    let (from, to) = (at(0.8, 0.25), at(0.9, 0.1));
    browser.drag(from, to);
    changed(&mock, "a corner is dragged", |change| near(&change["zones"][0]["points"][1]["x"], 0.9));
    browser.eval("document.querySelector('[data-point=\"0\"]').focus()");
    browser.key("ArrowRight");
    changed(&mock, "a corner is moved", |change| near(&change["zones"][0]["points"][0]["x"], 0.21));
    browser.eval("document.querySelector('[data-edge=\"1\"]').focus()");
    browser.key("Enter");
    changed(&mock, "a corner is added", |change| {
        change["zones"][0]["points"].as_array().is_some_and(|points| points.len() == 4)
    });
    browser.key("Delete");
    changed(&mock, "a corner is removed", |change| {
        change["zones"][0]["points"].as_array().is_some_and(|points| points.len() == 3)
    });
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_zone.png"));

    let set = |selector: &str, value: &str| {
        format!(
            "{{ const field = document.querySelector('[data-testid=zones] {selector}'); field.value = '{value}'; field.dispatchEvent(new Event('change', {{ bubbles: true }})); }}"
        )
    };
    browser.eval(&set("input[type=text]", "door"));
    changed(&mock, "it has a name", |change| change["zones"][0]["name"] == "door");
    browser.eval(&set("select", "exclude"));
    changed(&mock, "it is another kind", |change| change["zones"][0]["kind"] == "exclude");

    // Enlarged in the corner that is farthest from it: its frame is there.
    let frame = "(() => { const { width, height } = view; const context = view.getContext('2d'); let found = 0; for (const x of [0.02, 0.98]) { const row = context.getImageData(Math.round((x - 0.015) * width), 0, Math.round(0.03 * width), height).data; for (let n = 0; n < row.length; n += 4) found += row[n] > 240 && row[n + 1] > 195 && row[n + 1] < 225 && row[n + 2] < 90; } return found > 20; })()";
    assert_eq!(browser.eval(frame), json!(false));
    browser.eval("[...document.querySelectorAll('[data-testid=zones] button')].find((button) => button.textContent === 'Enlarge').click()");
    browser.wait_for(frame, SOON);
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_enlarged.png"));

    // Back to the beginning, a step at a time, and forth to the end.
    let steps = 7;
    for _ in 0..steps {
        browser.eval("document.querySelector('[data-testid=undo]').click()");
    }
    changed(&mock, "all is taken back", |change| change["zones"] == json!([]));
    assert_eq!(browser.eval("document.querySelector('[data-testid=undo]').disabled"), json!(true));
    for _ in 0..steps {
        browser.eval("document.querySelector('[data-testid=redo]').click()");
    }
    changed(&mock, "all is there again", |change| change["zones"][0]["kind"] == "exclude");
    browser.wait_for("document.querySelector('[data-testid=tuning-said]').textContent === 'Saved'", SOON);
    // The browser's word about this test's own looking.
    let own: Vec<String> =
        browser.console_problems().into_iter().filter(|text| !text.contains("willReadFrequently")).collect();
    assert_eq!(own, Vec::<String>::new());
}

#[test]
fn labels_sizes_and_rates_are_set_refused_and_reset() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = tuned(&mock, "labels-open") else { return };
    browser.wait_for("document.querySelectorAll('[data-testid=labels] li').length >= 3", SOON);
    let row = |label: &str| {
        format!(
            "[...document.querySelectorAll('[data-testid=labels] li')].find((row) => row.textContent === '{label}')"
        )
    };
    assert_eq!(browser.eval(&format!("{}.querySelector('input').checked", row("dog"))), json!(false));
    browser.eval(&format!("{}.querySelector('input').click()", row("dog")));
    changed(&mock, "dogs count", |change| *change == json!({ "labels": { "dog": { "on": null } } }));
    let field = format!("{}.querySelector('input[type=number]')", row("dog"));
    browser.eval(&format!(
        "{{ const field = {field}; field.value = '0.7'; field.dispatchEvent(new Event('change')); }}"
    ));
    changed(&mock, "dogs have a confidence", |change| {
        *change == json!({ "labels": { "dog": { "confidence": 0.7 } } })
    });

    browser.eval("document.querySelector('[data-testid=size-open] summary').click()");
    let set = |id: &str, value: &str| {
        format!(
            "{{ const field = document.querySelector('[data-testid={id}]'); field.value = '{value}'; field.dispatchEvent(new Event('change')); }}"
        )
    };
    browser.eval(&set("size-min", "2"));
    changed(&mock, "small ones do not count", |change| *change == json!({ "size": { "min": 0.02 } }));
    browser.eval(&set("fps-limit", "5"));
    changed(&mock, "the rate is limited", |change| *change == json!({ "fps_limit": 5 }));
    browser.eval(&set("fit", "crop"));
    changed(&mock, "frames are cropped", |change| *change == json!({ "fit": "crop" }));
    // What is out of range is not sent.
    let count = mock.state().changes.len();
    browser.eval(&set("iou", "7"));
    assert_eq!(mock.state().changes.len(), count);

    mock.state().refusal = Some("fps_limit must be from 0.1 to 240");
    browser.eval(&set("fps-limit", "0.2"));
    browser.wait_for("document.querySelector('[data-testid=tuning-said]').textContent === 'Not saved: fps_limit must be from 0.1 to 240'", SOON);
    // What was refused is not shown for long.
    browser.wait_for("document.querySelector('[data-testid=fps-limit]').value === '5'", SOON);
    mock.state().refusal = None;

    browser.eval("document.querySelector('[data-testid=reset]').click()");
    changed(&mock, "all is reset", Value::is_null);
    browser.wait_for("document.querySelector('[data-testid=fps-limit]').value === ''", SOON);
    browser.eval("document.querySelector('[data-testid=undo]').click()");
    changed(&mock, "the reset is taken back", |change| change["fps_limit"] == 5 && change["fit"] == "crop");
    browser.set_viewport(390, 844, 2.0, true);
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_tuning_phone.png"));
    // The browser's own word about the refusal.
    let own: Vec<String> =
        browser.console_problems().into_iter().filter(|text| !text.contains("/admin/settings")).collect();
    assert_eq!(own, Vec::<String>::new());
}

/// Writes text into a file of that name, and chooses it for the import of settings.
fn import(browser: &mut Browser, folder: &Path, text: &str) {
    let path = folder.join("import.json");
    std::fs::write(&path, text).unwrap();
    browser.choose_file("document.querySelector('[data-testid=import-file]')", &path);
}

const SAID: &str = "document.querySelector('[data-testid=tuning-said]').textContent";

#[test]
fn settings_are_exported_and_imported_as_a_file() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = tuned(&mock, "size-open") else { return };
    let folder = tempfile::tempdir().unwrap();
    let behaviour = json!({ "behavior": "allow", "downloadPath": folder.path() });
    browser.call("Page.setDownloadBehavior", behaviour);
    // By keyboard.
    browser.eval("document.querySelector('[data-testid=export]').focus()");
    browser.key("Enter");
    let path = folder.path().join("spotter-settings.json");
    let begun = Instant::now();
    let exported: Value = loop {
        match std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(document) => break document,
            None => assert!(begun.elapsed() < SOON, "nothing was exported"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(exported, browser.eval("spotter.settings"));
    assert_eq!(exported["labels"], json!({ "dog": { "on": false } }));

    // What is plainly wrong is not sent.
    browser.wait_for("document.querySelector('[data-testid=tuning-effect]').textContent !== ''", SOON);
    for (text, why) in [
        ("{", "Not imported: import.json is no JSON; choose a file that was exported here"),
        ("[]", "Not imported: settings must be of type object, not []"),
        ("{\"iou\":7}", "Not imported: iou must be from 0 to 1, not 7"),
        ("{\"fit\":\"wide\"}", "Not imported: fit must be auto, letterbox, stretch, crop, not \"wide\""),
        (
            "{\"zones\":[{\"name\":\"a\",\"points\":[{\"x\":0,\"y\":-1}]}]}",
            "Not imported: zones[0].points[0].y must be from 0 to 1, not -1",
        ),
        (
            "{\"labels\":{\"traffic light\":{\"confidence\":\"high\"}}}",
            "Not imported: labels.traffic light.confidence must be of type number or null, not \"high\"",
        ),
    ] {
        import(&mut browser, folder.path(), text);
        browser.wait_for(&format!("{SAID} === {}", json!(why)), SOON);
    }
    assert_eq!(mock.state().changes, Vec::<Value>::new());

    // What Spotter refuses is told in its words.
    mock.state().refusal = Some("no two zones may have one name");
    import(&mut browser, folder.path(), "{\"zones\":[]}");
    browser.wait_for(&format!("{SAID} === 'Not imported: no two zones may have one name'"), SOON);
    mock.state().refusal = None;
    assert_eq!(browser.eval("document.querySelector('[data-testid=undo]').disabled"), json!(true));

    // Taken, with a name that only a newer Spotter knows; back; forth.
    let mut other = exported.clone();
    (other["fps_limit"], other["tracks"]) = (json!(7), json!({ "most": 3 }));
    import(&mut browser, folder.path(), &other.to_string());
    changed(&mock, "it is imported", |change| *change == other);
    browser.wait_for("document.querySelector('[data-testid=fps-limit]').value === '7'", SOON);
    browser.wait_for(&format!("{SAID} === 'Saved'"), SOON);
    browser.eval("document.querySelector('[data-testid=undo]').click()");
    changed(&mock, "the import is taken back", |change| *change == exported);
    browser.wait_for("document.querySelector('[data-testid=fps-limit]').value === ''", SOON);
    browser.wait_for(&format!("{SAID} === 'Saved'"), SOON);
    browser.eval("document.querySelector('[data-testid=redo]').click()");
    changed(&mock, "it is imported again", |change| *change == other);
    // The browser's own word about the refusal.
    let own: Vec<String> =
        browser.console_problems().into_iter().filter(|text| !text.contains("/admin/settings")).collect();
    assert_eq!(own, Vec::<String>::new());
}

#[test]
fn saved_is_said_only_where_a_file_keeps_the_settings() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().settings_file = Value::Null;
    let Some(mut browser) = tuned(&mock, "size-open") else { return };
    let kept = "document.querySelector('[data-testid=tuning-kept]').textContent";
    browser.wait_for(&format!("{kept}.includes('start it with --settings FILE')"), SOON);
    browser.eval("{ const field = document.querySelector('[data-testid=iou]'); field.value = '0.5'; field.dispatchEvent(new Event('change')); }");
    browser.wait_for(&format!("{SAID} === 'In use until Spotter ends'"), SOON);
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_unsaved.png"));
    mock.state().settings_file = json!("/data/settings.json");
    browser.wait_for(&format!("{SAID} === 'Saved' && {kept} === ''"), SOON);
    // A disk that is full.
    mock.state().unsaved = json!("cannot write /data/settings.json");
    browser.wait_for(&format!("{SAID} === 'In use until Spotter ends'"), SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn ranges_and_effects_of_settings_are_those_of_the_schema() {
    let _alone = alone();
    let mock = Mock::start();
    let effect = "document.querySelector('[data-testid=tuning-effect]').textContent";
    let later = "[...document.querySelectorAll('.later')].map((node) => node.parentElement.textContent)";
    let range = |id: &str| {
        format!("(({{ min, max, step }}) => [min, max, step])(document.querySelector('[data-testid={id}]'))")
    };
    {
        let Some(mut browser) = tuned(&mock, "size-open") else { return };
        browser.wait_for(&format!("{effect} === 'Everything here acts at once.'"), SOON);
        assert_eq!(browser.eval(later), json!([]));
        assert_eq!(browser.eval(&range("iou")), json!(["0", "1", "0.01"]));
        assert_eq!(browser.eval(&range("fps-limit")), json!(["0.1", "240", "any"]));
        assert_eq!(browser.eval(&range("size-max")), json!(["0", "100", "any"]));
    }
    {
        let mut state = mock.state();
        let settings = &mut state.schema["properties"];
        settings["fit"]["x-spotter-effect"] = json!("restart");
        settings["zones"]["items"]["properties"]["anchor"]["x-spotter-effect"] = json!("restart");
        settings["iou"]["maximum"] = json!(0.9);
        settings["fps_limit"]["x-spotter-step"] = json!(0.5);
    }
    let Some(mut browser) = tuned(&mock, "size-open") else { return };
    browser.wait_for(&format!("{effect}.startsWith('What acts after a restart says so')"), SOON);
    assert_eq!(
        browser.eval(later),
        json!(["Zones  after a restart", "Frame into the model after a restart"])
    );
    assert_eq!(browser.eval(&range("iou")), json!(["0", "0.9", "0.01"]));
    assert_eq!(browser.eval(&range("fps-limit")), json!(["0.1", "240", "0.5"]));
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

/// What two chips make of a model.
fn suitability() -> Value {
    json!({ "chip": "cpu", "note": null, "chips": [
        { "chip": "cpu", "title": "CPU", "verdict": "pass", "rules": [] },
        { "chip": "artpec8", "title": "ARTPEC-8", "verdict": "warn", "rules": [
            { "id": "fused-activations", "level": "warn", "message": "57 SiLU are operators of their own" }] },
        { "chip": "cv25", "title": "CV25", "verdict": "fail", "rules": [
            { "id": "cavalry-binary", "level": "fail", "message": "not compiled for CV25" },
            { "id": "batch-1", "level": "warn", "message": "<b>two</b> pictures" }] },
    ] })
}

#[test]
fn the_chips_that_a_model_suits_are_told() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().suitability = suitability();
    mock.state().models = json!([{ "name": "a", "title": "Model a", "task": "detection", "scope": null, "licence": "L",
                                   "accept_license": null, "size": 9, "here": true }]);
    let Some(mut browser) = open(&mock) else { return };
    let list = "[...document.querySelectorAll('#suits-list > li')]";
    browser.wait_for(&format!("{list}.length === 3"), SOON);
    let words =
        format!("{list}.map((row) => [...row.querySelectorAll('span, b')].map((node) => node.textContent))");
    assert_eq!(browser.eval(&words), json!([["CPU", "✓ well"], ["ARTPEC-8", "! fairly"], ["CV25", "✕ no"]]));
    // Opened by keyboard: the sentences.
    browser.eval(&format!("{list}[2].querySelector('summary').focus()"));
    browser.key("Enter");
    browser.wait_for(&format!("{list}[2].querySelector('details').open"), SOON);
    let why = format!("[...{list}[2].querySelectorAll('li')].map((row) => row.innerText)");
    assert_eq!(browser.eval(&why), json!(["not compiled for CV25", "<b>two</b> pictures"]));
    browser.eval("document.querySelector('[data-testid=suits]').scrollIntoView()");
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_suits.png"));

    // The next model's verdict is in the word about it, and in the card.
    let mut next = suitability();
    next["chip"] = json!("cv25");
    next["chips"].as_array_mut().unwrap().drain(..2);
    mock.state().suitability = next;
    browser.eval("document.querySelector('[data-testid=models-change]').click()");
    browser.wait_for("document.querySelector('[data-testid=run-a]')?.disabled === false", SOON);
    browser.eval("document.querySelector('[data-testid=run-a]').click()");
    let said = "document.querySelector('[data-testid=models-said]').textContent";
    browser
        .wait_for(&format!("{said} === 'Model a runs. It does not suit CV25: not compiled for CV25.'"), SOON);
    browser.wait_for(&format!("{list}.length === 1"), SOON);
    // One that cannot be looked into says so.
    let note = "it is compiled, and its layers cannot be seen";
    mock.state().suitability = json!({ "chip": "cpu", "chips": [], "note": note });
    browser.navigate(&mock.url());
    browser.wait_for(
        &format!("document.querySelector('[data-testid=suits]').innerText.includes('{note}')"),
        SOON,
    );
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn nobody_is_kept_out() {
    let _alone = alone();
    let Some(axe) = axe::program() else { return };
    let mock = Mock::start();
    mock.state().notices = vec!["cannot write a"];
    (mock.state().suitability, mock.state().settings_file) = (suitability(), Value::Null);
    let Some(mut browser) = tuned(&mock, "zones-open") else { return };
    browser.eval("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    browser.eval("document.querySelector('[data-testid=zone-add]').click()");
    browser.eval("document.querySelector('[data-testid=models-change]').click()");
    browser.eval("document.querySelector('[data-testid=dropped]').click()");
    browser.wait_for("document.querySelectorAll('[data-testid=charts] li').length > 3", SOON);
    browser.wait_for(
        "document.querySelectorAll('[data-testid=times] li, [data-testid=troubles] li').length === 5",
        SOON,
    );
    browser.eval("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    for (width, height) in [(1440, 900), (1024, 768), (390, 844)] {
        for dark in [false, true] {
            browser.set_viewport(width, height, 1.0, dark);
            let found = axe::violations(&mut browser, &axe);
            assert_eq!(found, json!([]), "{width}x{height}, dark {dark}: {found:#}");
        }
    }
}

#[test]
fn health_is_shown_as_lines_and_as_the_log() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    browser.eval("document.querySelector('[data-testid=health] summary').click()");
    browser.wait_for("document.querySelectorAll('[data-testid=charts] path[d^=M]').length === 8", SOON);
    let facts = "[...document.querySelectorAll('[data-testid=charts] li')].filter((row) => !row.hidden).map((row) => row.innerText.replace('\\n', ': '))";
    assert_eq!(
        browser.eval(facts),
        json!([
            "Frames a second: 30.0 in, 15.0 seen",
            "Inference: p50 12.0, p95 18.0 ms",
            "Time in the model: 60 %",
            "Processor: 75 % of a core",
            "Memory: 60.0 MB",
            "Dropped a second: 2",
        ])
    );
    // Times as bars over one axis, with the figures beside them.
    let times = "[...document.querySelectorAll('[data-testid=times] li')].map((row) => row.querySelector('p').innerText.replace(/\\s+/g, ' '))";
    browser.wait_for("document.querySelectorAll('[data-testid=times] li').length === 3", SOON);
    let rows = browser.eval(times);
    assert_eq!(rows[1], json!("inference 1,175 p50 12.1, p95 16.9 ms"));
    let bars = "[...document.querySelectorAll('[data-testid=times] .bars')].map((path) => path.getAttribute('d').split('M').length - 1)";
    assert_eq!(browser.eval(bars), json!([5, 7, 3]));
    let ticks = "[...document.querySelectorAll('[data-testid=ticks] span')].map((tick) => tick.textContent)";
    assert_eq!(browser.eval(ticks), json!(["1 ms", "100 ms"]));
    // Bars stand where their times are on the axis: 1 ms is in the second of preprocessing's five, which are from
    // 0.5 to 2.9 ms.
    let place = "(() => { const middle = ({ left, width }) => left + width / 2;
        const bars = document.querySelector('[data-testid=times] .bars').getBoundingClientRect();
        const tick = document.querySelector('[data-testid=ticks] span').getBoundingClientRect();
        return (middle(tick) - bars.left) / bars.width; })()";
    let place = browser.eval(place).as_f64().unwrap();
    assert!((0.36..0.41).contains(&place), "{place}");
    // Source and backend, and what went wrong, each once.
    let text =
        |id: &str| format!("document.querySelector('[data-testid={id}]').innerText.replace('\\n', ': ')");
    browser.wait_for(&format!("{} === 'live: 25.0 frames a second'", text("health-source")), SOON);
    browser.wait_for(
        &format!("{} === 'detecting: No backend, drawn, not inferred'", text("health-backend")),
        SOON,
    );
    browser.wait_for(&format!("{} === '4 errors, 1 warning'", text("troubles-sum")), SOON);
    let troubles = "[...document.querySelectorAll('[data-testid=troubles] li')].map((row) => [row.dataset.level, row.lastChild.textContent])";
    assert_eq!(
        browser.eval(troubles),
        json!([["error", "no route to 10.0.0.7 (4 times)"], ["warning", "slow"]])
    );
    {
        let mut state = mock.state();
        (state.source_state, state.source_message, state.retry_in_ms) =
            ("reconnecting", Some("no route"), Some(4000));
        (state.state, state.message) = ("backend-failed", Some("the Edge TPU was lost"));
    }
    browser.wait_for(
        &format!("{} === 'reconnecting, trying again in 4 s: no route'", text("health-source")),
        SOON,
    );
    browser.wait_for(&format!("{} === 'failed: the Edge TPU was lost'", text("health-backend")), SOON);
    let log = "[...document.querySelectorAll('[data-testid=log] li')].map((row) => [row.dataset.level, row.lastChild.textContent])";
    browser.wait_for(&format!("{log}.length === 4"), SOON);
    browser.eval("{ const field = document.querySelector('[data-testid=log-level]'); field.value = 'error'; field.dispatchEvent(new Event('change')); }");
    browser.wait_for(&format!("{log}.length === 2"), SOON);
    assert_eq!(
        browser.eval(log),
        json!([["error", "no route to 10.0.0.7"], ["error", "no route to 10.0.0.7 (3 times)"]])
    );
    let link = browser.eval("document.querySelector('[data-testid=bundle]').href");
    assert!(link.as_str().unwrap().ends_with("/local/spotter/api/v1/bundle.zip"), "{link}");
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_health.png"));
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn a_model_that_fits_can_be_changed_and_taken_back() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().models = json!([{ "name": "a", "title": "Model a", "task": "detection", "scope": null, "licence": "L",
                                   "accept_license": null, "size": 9, "here": true }]);
    let Some(mut browser) = open(&mock) else { return };
    browser.eval("document.querySelector('[data-testid=models-change]').focus()");
    browser.key("Enter");
    browser.wait_for("document.querySelector('[data-testid=run-a]')?.disabled === false", SOON);
    assert_eq!(browser.eval("document.querySelector('[data-testid=models-back]').hidden"), json!(true));
    browser.eval("document.querySelector('[data-testid=run-a]').click()");
    let words = "document.querySelector('[data-testid=models-said]').textContent";
    browser.wait_for(&format!("{words} === 'Model a runs.'"), SOON);
    browser.wait_for("!document.querySelector('[data-testid=models-back]').hidden", SOON);
    // The first status of it, which comes later, does not wipe that away; somebody else's choice does.
    browser.wait_for("spotter.status.model.name === 'a'", SOON);
    assert_eq!(browser.eval(words), json!("Model a runs."));
    mock.state().running = "theirs".to_owned();
    browser.wait_for(&format!("spotter.status.model.name === 'theirs' && {words} === ''"), SOON);
    assert_eq!(
        browser.eval("document.querySelector('[data-testid=models-back]').textContent"),
        json!("Back to mock.tflite")
    );
    browser.eval("document.querySelector('[data-testid=models-back]').click()");
    browser.wait_for(&format!("{words} === 'The model before runs.'"), SOON);
    assert_eq!(mock.state().wishes, [json!({ "model": "a" }), Value::Null]);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn a_step_shows_one_picture_more() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    assert_eq!(browser.eval("document.querySelector('[data-testid=step]').hidden"), json!(true));
    browser.key(" ");
    browser.wait_for("spotter.paused", SOON);
    let before = browser.eval("spotter.framesShown").as_u64().unwrap();
    for step in 1..=3 {
        browser.eval("document.querySelector('[data-testid=step]').click()");
        browser.wait_for(&format!("spotter.framesShown === {before} + {step}"), SOON);
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(browser.eval("spotter.framesShown"), json!(before + step), "it rests again");
    }
    browser.key(" ");
    browser.wait_for(&format!("spotter.framesShown > {before} + 10"), SOON);
}

#[test]
fn a_mask_lies_where_its_region_is_and_has_a_legend() {
    let _alone = alone();
    let mock = Mock::start();
    // The left half of the picture: a background row, then cats left and a dog right.
    mock.state().more = json!({ "segmentation": {
        "width": 4, "height": 2, "region": { "left": 0.0, "top": 0.0, "right": 0.5, "bottom": 1.0 },
        "classes": [
            { "type": "background", "index": 0, "share": 0.25 },
            { "type": "cat", "index": 8, "share": 0.19 },
            { "type": "dog", "index": 12, "share": 0.0625 },
        ],
        "runs": [0, 4, 8, 3, 12, 1],
    } });
    let Some(mut browser) = open(&mock) else { return };
    browser.wait_for("document.querySelectorAll('[data-testid=seen] li.class').length === 3", SOON);
    assert_eq!(
        browser.eval(ROWS),
        json!([["cat 19 %", "class"], ["dog 6 %", "class"], ["background 25 %", "class out"]])
    );
    let at = |browser: &mut Browser, x: f64, y: f64| {
        let value = browser.eval(&pixel(&format!("{x} * view.width"), &format!("{y} * view.height")));
        let channel = |i: usize| value[i].as_i64().unwrap();
        [channel(0), channel(1), channel(2)]
    };
    let grey = |[r, g, b]: [i64; 3]| (r - g).abs() < 12 && (g - b).abs() < 12;
    assert!(grey(at(&mut browser, 0.3, 0.2)), "the background is not painted");
    assert!(grey(at(&mut browser, 0.8, 0.6)), "nothing outside of the region");
    let (cat, dog) = (at(&mut browser, 0.1, 0.7), at(&mut browser, 0.45, 0.7));
    assert!(!grey(cat) && !grey(dog) && cat != dog, "{cat:?} {dog:?}");
    // Cells keep their edges: a pixel left and right of the border between cat and dog.
    assert_eq!((at(&mut browser, 0.37, 0.7)[2] - cat[2]).abs() / 25, 0);
    assert_eq!((at(&mut browser, 0.38, 0.7)[2] - dog[2]).abs() / 25, 0);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

/// JavaScript that reads a pixel of the picture that is shown.
fn pixel(x: &str, y: &str) -> String {
    format!(
        "(() => {{ const view = document.querySelector('[data-testid=view]'); \
         const copy = document.createElement('canvas'); copy.width = view.width; copy.height = view.height; \
         const pen = copy.getContext('2d'); pen.drawImage(view, 0, 0); \
         return [...pen.getImageData(Math.round({x}), Math.round({y}), 1, 1).data].slice(0, 3); }})()"
    )
}
