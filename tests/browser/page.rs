//! The page in a real browser, against pictures whose content is known.

use std::path::Path;
use std::time::Duration;

use crate::common::alone;
use crate::common::axe;
use crate::common::browser::Browser;
use crate::common::mock::{Mock, page_folder};
use crate::common::page::{SOON, open, suitability, tuned};
use serde_json::{Value, json};

/// Watches every picture that is drawn: reads the bar code and the square from the canvas' pixels and
/// compares both with the boxes that are drawn on it.
const WATCH: &str = r#"
(async (wanted) => {
  const view = document.querySelector('#view');
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

    // As fast as a page draws.
    mock.state().pace = Duration::from_millis(15);
    let found = browser.eval(&format!("{WATCH}(1000)"));
    mock.state().pace = Duration::from_millis(40);
    assert_eq!(found["wrong"], json!([]), "of {} pictures", found["seen"]);
    assert!(found["seen"].as_u64() >= Some(1000), "{found}");
    assert!(found["different"].as_u64() >= Some(1000), "pixels do not move: {found}");
    assert_eq!(found["ascending"], json!(true));

    assert_eq!(browser.eval("spotter.transport"), json!("websocket"));
    assert_eq!(browser.eval("[spotter.shown.width, spotter.shown.height]"), json!([320, 176]));
    browser.wait_for("badge.dataset.level === 'green'", SOON);
    // The mock's pictures are 25 ms old when they are sent.
    browser.wait_for("spotter.latencyMs >= 20 && spotter.latencyMs < 900", SOON);
    browser.wait_for("document.querySelector('#seen').textContent.includes('person')", SOON);
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
    let words = browser.eval("document.querySelector('#words').innerText.split('\\n')[0]");
    // The page counts down by itself until it hears from Spotter again.
    let countdown =
        ["3", "2", "1"].map(|s| json!(format!("Reconnecting in {s} s: cannot connect to 10.0.0.7")));
    assert!(countdown.contains(&words), "{words}");
    browser.wait_for("Number(getComputedStyle(view).opacity) < 0.5", SOON);
    // A rate does not keep its last value.
    browser.wait_for("document.querySelector('#fps-inference').textContent === '0.0'", SOON);
    browser.wait_for("document.querySelector('#latency').textContent === '–'", SOON);

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
    browser.wait_for("badge.dataset.level === 'red'", SOON);
    browser.wait_for("words.innerText.startsWith('No connection to Spotter; trying again')", SOON);
    browser.wait_for("document.querySelector('#fps-inference').textContent === '–'", SOON);

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
    browser.wait_for("badge.dataset.level === 'red'", SOON);
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
        reached.push(browser.eval("document.activeElement.id"));
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
const ROWS: &str = "[...document.querySelectorAll('#seen li')].map((li) => [li.innerText.replace(/\\s+/g, ' ').trim(), li.className])";

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
    browser.wait_for("document.querySelectorAll('#seen li.class').length === 3", SOON);
    let rows = browser.eval(ROWS);
    assert_eq!(rows[0], json!(["tench, Tinca tinca 0.81", "class"]));
    assert_eq!(rows[1], json!(["goldfish 0.09", "class out"]));
    assert_eq!(rows[2], json!(["<b>shark</b> 0.00", "class out"]));
    // The best one is written on the picture: its chip has the class' own colour.
    let corner = browser.eval(&pixel("6 * devicePixelRatio", "6 * devicePixelRatio"));
    assert_eq!(corner, json!([204, 121, 167]), "the colour of class 1");
    mock.state().confidence = 0.9;
    browser.wait_for("!spotter.shown.classes.some((item) => item.sure)", SOON);
    browser.wait_for("document.querySelectorAll('#seen li.out').length === 3", SOON);
    // Back to a detector: the list counts labels again.
    mock.state().more = Value::Null;
    mock.state().confidence = 0.5;
    browser.wait_for("document.querySelector('#seen').innerText.includes('person')", SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_although_detection_goes_on_is_said() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    let card = "document.querySelector('#notices')";
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

#[test]
fn nobody_is_kept_out() {
    let _alone = alone();
    let Some(axe) = axe::program() else { return };
    let mock = Mock::start();
    mock.state().notices = vec!["cannot write a"];
    (mock.state().suitability, mock.state().settings_file) = (suitability(), Value::Null);
    let Some(mut browser) = tuned(&mock, "zones-open") else { return };
    browser.eval("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    browser.eval("document.querySelector('#zone-add').click()");
    browser.eval("document.querySelector('#models-change').click()");
    browser.eval("document.querySelector('#dropped').click()");
    browser.wait_for("document.querySelectorAll('#charts li').length > 3", SOON);
    browser.wait_for("document.querySelectorAll('#times li, #troubles li').length === 5", SOON);
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
    browser.wait_for("document.querySelectorAll('#seen li.class').length === 3", SOON);
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
        "(() => {{ const view = document.querySelector('#view'); \
         const copy = document.createElement('canvas'); copy.width = view.width; copy.height = view.height; \
         const pen = copy.getContext('2d'); pen.drawImage(view, 0, 0); \
         return [...pen.getImageData(Math.round({x}), Math.round({y}), 1, 1).data].slice(0, 3); }})()"
    )
}
