//! What can be pressed on the page, the settings left out: in a real browser, against a Spotter that is made up.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::alone;
use crate::common::browser::Browser;
use crate::common::mock::Mock;
use crate::common::page::{SOON, open, suitability};
use serde_json::{Value, json};

fn labels(browser: &mut Browser) -> Value {
    browser.eval("spotter.shown.boxes.map((box) => box.label).sort()")
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
    browser.eval("document.querySelector('#dropped').click()");
    assert_eq!(
        browser.eval("spotter.shown.dropped.map((box) => `${box.label}: ${box.reason}`).sort()"),
        json!(["cat: below confidence: 0.30 < 0.70", "dog: below confidence: 0.60 < 0.70"])
    );
    browser.wait_for("document.querySelector('#seen').textContent.includes('below confidence2')", SOON);
    browser.key("d");
    assert_eq!(browser.eval("spotter.shown.dropped"), json!([]));
    browser.key(" ");
    browser.wait_for("!spotter.paused", SOON);

    // By keyboard.
    browser.eval("confidence.focus()");
    browser.key("ArrowRight");
    assert_eq!(browser.eval("document.querySelector('#confidence-value').textContent"), json!("0.71"));
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
fn a_demo_model_is_told_and_others_are_offered() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    let hidden = "document.querySelector('#models').hidden";
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
    let notice = "document.querySelector('#models').innerText";
    let said = browser.eval(notice);
    assert!(said.as_str().unwrap().contains("knows the drawn figures of the demo scene only"), "{said}");

    // By keyboard alone.
    browser.eval("document.querySelector('#models-open').focus()");
    browser.key("Enter");
    browser.wait_for("document.querySelectorAll('#models-list li').length === 3", SOON);
    let titles = "[...document.querySelectorAll('#models-list span')].map((node) => node.textContent)";
    assert_eq!(browser.eval(titles), json!(["Model b", "Model c", "Model a"]));
    let facts = "[...document.querySelectorAll('#models-list small')].map((node) => node.textContent)";
    assert_eq!(
        browser.eval(facts),
        json!(["L · to be downloaded", "1.0 MB · L · on this machine", "4.2 MB · L · to be downloaded"])
    );
    browser.eval("document.querySelector('[data-testid=run-b]').focus()");
    browser.key("Enter");
    let words = "document.querySelector('#models-said').textContent";
    browser.wait_for(&format!("{words} === 'Model b runs.'"), SOON);

    // What needs a word is not sent without it.
    assert_eq!(browser.eval("document.querySelector('[data-testid=run-a]').disabled"), true);
    mock.state().refusal = Some("cannot download a (no route); put it there");
    browser.eval("document.querySelector('#models-list input').click()");
    browser.eval("document.querySelector('[data-testid=run-a]').click()");
    browser.wait_for(&format!("{words} === 'Not changed: cannot download a (no route); put it there'"), SOON);
    assert_eq!(
        mock.state().wishes,
        [json!({ "model": "b" }), json!({ "model": "a", "accept_license": "AGPL-3.0" })]
    );

    // A model for real video on the drawn scene, then the demo model on real video.
    mock.state().scope = Value::Null;
    browser.wait_for(&format!("{notice}.includes('The picture is drawn')"), SOON);
    browser.eval("document.querySelector('#models-open').click()");
    browser.wait_for("document.querySelector('[data-testid=run-spotter-demo]') !== null", SOON);
    assert_eq!(browser.eval(titles), json!(["Own"]));
    {
        let mut state = mock.state();
        (state.source_kind, state.scope) = ("file", json!("demo"));
    }
    browser.wait_for(&format!("{notice}.includes('this is real video')"), SOON);
    for (width, height) in [(1440, 900), (1000, 800), (360, 740)] {
        browser.set_viewport(width, height, 1.0, true);
        browser.eval("document.querySelector('#models-open').getAttribute('aria-expanded') === 'true' || document.querySelector('#models-open').click()");
        browser.wait_for("document.querySelectorAll('#models-list li').length === 3", SOON);
        let sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.eval(sideways), 0, "{width}");
    }
    // The refusal is what the browser logs.
    assert!(browser.console_problems().iter().all(|problem| problem.contains("503")));
}

#[test]
fn the_chips_that_a_model_suits_are_told() {
    let _alone = alone();
    let mock = Mock::start();
    mock.state().suitability = suitability();
    mock.state().models = json!([{ "name": "a", "title": "Model a", "task": "detection", "scope": null, "licence": "L",
                                   "accept_license": null, "size": 9, "here": true }]);
    let Some(mut browser) = open(&mock) else { return };
    let list = "[...document.querySelectorAll('#suitability-list > li')]";
    browser.wait_for(&format!("{list}.length === 3"), SOON);
    let words =
        format!("{list}.map((row) => [...row.querySelectorAll('span, b')].map((node) => node.textContent))");
    assert_eq!(
        browser.eval(&words),
        json!([["CPU", "✓ well"], ["ARTPEC-8", "! warnings"], ["CV25", "✕ no"]])
    );
    // Opened by keyboard: the sentences.
    browser.eval(&format!("{list}[2].querySelector('summary').focus()"));
    browser.key("Enter");
    browser.wait_for(&format!("{list}[2].querySelector('details').open"), SOON);
    let why = format!("[...{list}[2].querySelectorAll('li')].map((row) => row.innerText)");
    assert_eq!(browser.eval(&why), json!(["not compiled for CV25", "<b>two</b> pictures"]));
    browser.eval("document.querySelector('#suitability').scrollIntoView()");
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_suitability.png"));

    // The next model's verdict is in the word about it, and in the card.
    let mut next = suitability();
    next["chip"] = json!("cv25");
    next["chips"].as_array_mut().unwrap().drain(..2);
    mock.state().suitability = next;
    browser.eval("document.querySelector('#models-change').click()");
    browser.wait_for("document.querySelector('[data-testid=run-a]')?.disabled === false", SOON);
    browser.eval("document.querySelector('[data-testid=run-a]').click()");
    let said = "document.querySelector('#models-said').textContent";
    browser
        .wait_for(&format!("{said} === 'Model a runs. It does not suit CV25: not compiled for CV25.'"), SOON);
    browser.wait_for(&format!("{list}.length === 1"), SOON);
    // One that cannot be looked into says so.
    let note = "it is compiled, and its layers cannot be seen";
    mock.state().suitability = json!({ "chip": "cpu", "chips": [], "note": note });
    browser.navigate(&mock.url());
    browser.wait_for(&format!("document.querySelector('#suitability').innerText.includes('{note}')"), SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn the_camera_and_its_devices_are_told_and_tried_again() {
    let _alone = alone();
    let mock = Mock::start();
    let why = "the larod service fell over 3 times while it loaded the model (larod cannot load the model on \
               axis-a8-dlpu-tflite: the connection to the larod service broke off (-6: Asynchronous connection has been closed))";
    let device = |name: &str, state: &str, says: &str, why: Option<&str>| json!({ "name": name, "state": state, "says": says, "why": why, "retry_in_s": null });
    mock.state().camera = json!({
        "axis_os": "12.7.61", "soc": null, "can_try_again": true, "hung_jobs": 0,
        "devices": [
            device("axis-a8-dlpu-tflite", "given-up", "was given up for this model 2026-11-28T10:00:00Z", Some(why)),
            device("cpu-tflite", "runs", "runs the model", None),
            device("cpu-proc", "pictures", "prepares pictures, runs no models", None),
            device("axis-a8-dlpu-native", "other-models", "is for models of another kind", None),
        ],
    });
    let Some(mut browser) = open(&mock) else { return };
    browser.eval("document.querySelector('#health summary').click()");
    let text = |id: &str| format!("document.querySelector('#{id}').innerText");
    browser.wait_for(&format!("{} === '12.7.61'", text("camera-os")), SOON);
    assert_eq!(browser.eval(&text("camera-soc")), json!("unknown"));
    let rows = "[...document.querySelectorAll('#camera-devices li')].map((row) => row.innerText.replace('\\n', ': '))";
    let told = browser.eval(rows);
    assert_eq!(
        told[0],
        json!(format!("axis-a8-dlpu-tflite was given up for this model 2026-11-28T10:00:00Z: {why}"))
    );
    assert_eq!(told[1], json!("cpu-tflite runs the model"));
    browser.eval("document.querySelector('#camera').scrollIntoView({ block: 'center' })");
    // Nothing sticks out of the page at the side.
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth"), json!(true));
    let view =
        browser.eval("`${innerWidth}${matchMedia('(prefers-color-scheme: dark)').matches ? '_dark' : ''}`");
    let picture = format!("page_camera_{}.png", view.as_str().unwrap());
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(picture));
    browser.wait_for("!document.querySelector('#camera-retry').disabled", SOON);
    browser.eval("document.querySelector('#camera-retry').click()");
    browser.wait_for(&format!("{rows}[0] === 'axis-a8-dlpu-tflite runs the model'"), SOON);
    assert_eq!(browser.eval(&text("camera-said")), json!("They are tried again with the next picture."));
    browser.wait_for("document.querySelector('#camera-retry').offsetParent === null", SOON);
    // Elsewhere than on a camera there is nothing to tell.
    mock.state().camera = Value::Null;
    browser.wait_for("document.querySelector('#camera').offsetParent === null", SOON);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn health_is_shown_as_lines_and_as_the_log() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    browser.eval("document.querySelector('#health summary').click()");
    browser.wait_for("document.querySelectorAll('#charts path[d^=M]').length === 8", SOON);
    let facts = "[...document.querySelectorAll('#charts li')].filter((row) => !row.hidden).map((row) => row.innerText.replace('\\n', ': '))";
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
    let times = "[...document.querySelectorAll('#times li')].map((row) => row.querySelector('p').innerText.replace(/\\s+/g, ' '))";
    browser.wait_for("document.querySelectorAll('#times li').length === 3", SOON);
    let rows = browser.eval(times);
    assert_eq!(rows[1], json!("inference 1,175 p50 12.1, p95 16.9 ms"));
    let bars = "[...document.querySelectorAll('#times .bars')].map((path) => path.getAttribute('d').split('M').length - 1)";
    assert_eq!(browser.eval(bars), json!([5, 7, 3]));
    let ticks = "[...document.querySelectorAll('#ticks span')].map((tick) => tick.textContent)";
    assert_eq!(browser.eval(ticks), json!(["1 ms", "100 ms"]));
    // Bars stand where their times are on the axis: 1 ms is in the second of preprocessing's five, which are from
    // 0.5 to 2.9 ms.
    let place = "(() => { const middle = ({ left, width }) => left + width / 2;
        const bars = document.querySelector('#times .bars').getBoundingClientRect();
        const tick = document.querySelector('#ticks span').getBoundingClientRect();
        return (middle(tick) - bars.left) / bars.width; })()";
    let place = browser.eval(place).as_f64().unwrap();
    assert!((0.36..0.41).contains(&place), "{place}");
    // Source and backend, and what went wrong, each once.
    let text = |id: &str| format!("document.querySelector('#{id}').innerText.replace('\\n', ': ')");
    browser.wait_for(&format!("{} === 'live: 25.0 frames a second'", text("health-source")), SOON);
    browser.wait_for(
        &format!("{} === 'detecting: No backend, drawn, not inferred'", text("health-backend")),
        SOON,
    );
    browser.wait_for(&format!("{} === '4 errors, 1 warning'", text("troubles-sum")), SOON);
    let troubles = "[...document.querySelectorAll('#troubles li')].map((row) => [row.dataset.level, row.lastChild.textContent])";
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
    let log = "[...document.querySelectorAll('#log li')].map((row) => [row.dataset.level, row.lastChild.textContent])";
    browser.wait_for(&format!("{log}.length === 4"), SOON);
    browser.eval("{ const field = document.querySelector('#log-level'); field.value = 'error'; field.dispatchEvent(new Event('change')); }");
    browser.wait_for(&format!("{log}.length === 2"), SOON);
    assert_eq!(
        browser.eval(log),
        json!([["error", "no route to 10.0.0.7"], ["error", "no route to 10.0.0.7 (3 times)"]])
    );
    let link = browser.eval("document.querySelector('#bundle').href");
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
    browser.eval("document.querySelector('#models-change').focus()");
    browser.key("Enter");
    browser.wait_for("document.querySelector('[data-testid=run-a]')?.disabled === false", SOON);
    assert_eq!(browser.eval("document.querySelector('#models-back').hidden"), json!(true));
    browser.eval("document.querySelector('[data-testid=run-a]').click()");
    let words = "document.querySelector('#models-said').textContent";
    browser.wait_for(&format!("{words} === 'Model a runs.'"), SOON);
    browser.wait_for("!document.querySelector('#models-back').hidden", SOON);
    // The first status of it, which comes later, does not wipe that away; somebody else's choice does.
    browser.wait_for("spotter.status.model.name === 'a'", SOON);
    assert_eq!(browser.eval(words), json!("Model a runs."));
    mock.state().running = "theirs".to_owned();
    browser.wait_for(&format!("spotter.status.model.name === 'theirs' && {words} === ''"), SOON);
    assert_eq!(
        browser.eval("document.querySelector('#models-back').textContent"),
        json!("Back to mock.tflite")
    );
    browser.eval("document.querySelector('#models-back').click()");
    browser.wait_for(&format!("{words} === 'The model before runs.'"), SOON);
    assert_eq!(mock.state().wishes, [json!({ "model": "a" }), Value::Null]);
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

#[test]
fn a_step_shows_one_picture_more() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = open(&mock) else { return };
    assert_eq!(browser.eval("document.querySelector('#step').hidden"), json!(true));
    browser.key(" ");
    browser.wait_for("spotter.paused", SOON);
    let before = browser.eval("spotter.framesShown").as_u64().unwrap();
    for step in 1..=3 {
        browser.eval("document.querySelector('#step').click()");
        browser.wait_for(&format!("spotter.framesShown === {before} + {step}"), SOON);
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(browser.eval("spotter.framesShown"), json!(before + step), "it rests again");
    }
    browser.key(" ");
    browser.wait_for(&format!("spotter.framesShown > {before} + 10"), SOON);
}

crate::in_every_other_view!(
    the_chips_that_a_model_suits_are_told,
    the_camera_and_its_devices_are_told_and_tried_again,
    health_is_shown_as_lines_and_as_the_log,
    slider_acts_at_once_and_on_spotter,
);
