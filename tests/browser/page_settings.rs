//! The settings on the page: in a real browser, against a Spotter that is made up.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::alone;
use crate::common::browser::Browser;
use crate::common::mock::Mock;
use crate::common::page::{SOON, tuned};
use serde_json::{Value, json};

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
    browser.eval("document.querySelector('#zone-draw').click()");
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
            "{{ const field = document.querySelector('#zones {selector}'); field.value = '{value}'; field.dispatchEvent(new Event('change', {{ bubbles: true }})); }}"
        )
    };
    browser.eval(&set("input[type=text]", "door"));
    changed(&mock, "it has a name", |change| change["zones"][0]["name"] == "door");
    browser.eval(&set("select", "exclude"));
    changed(&mock, "it is another kind", |change| change["zones"][0]["kind"] == "exclude");

    // Enlarged in the corner that is farthest from it: its frame is there.
    let frame = "(() => { const { width, height } = view; const context = view.getContext('2d'); let found = 0; for (const x of [0.02, 0.98]) { const row = context.getImageData(Math.round((x - 0.015) * width), 0, Math.round(0.03 * width), height).data; for (let n = 0; n < row.length; n += 4) found += row[n] > 240 && row[n + 1] > 195 && row[n + 1] < 225 && row[n + 2] < 90; } return found > 20; })()";
    assert_eq!(browser.eval(frame), json!(false));
    browser.eval("[...document.querySelectorAll('#zones button')].find((button) => button.textContent === 'Enlarge').click()");
    browser.wait_for(frame, SOON);
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_enlarged.png"));

    // Back to the beginning, a step at a time, and forth to the end.
    let steps = 7;
    for _ in 0..steps {
        browser.eval("document.querySelector('#undo').click()");
    }
    changed(&mock, "all is taken back", |change| change["zones"] == json!([]));
    assert_eq!(browser.eval("document.querySelector('#undo').disabled"), json!(true));
    for _ in 0..steps {
        browser.eval("document.querySelector('#redo').click()");
    }
    changed(&mock, "all is there again", |change| change["zones"][0]["kind"] == "exclude");
    browser.wait_for("document.querySelector('#settings-said').textContent === 'Saved'", SOON);
    // The browser's word about this test's own looking.
    let own: Vec<String> =
        browser.console_problems().into_iter().filter(|text| !text.contains("willReadFrequently")).collect();
    assert_eq!(own, Vec::<String>::new());
}

#[test]
fn what_is_typed_into_a_field_does_nothing_else() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = tuned(&mock, "zones-open") else { return };
    browser.eval("document.querySelector('#zone-add').click()");
    let name = "document.querySelector('#zones input[type=text]')";
    browser.wait_for(&format!("{name} !== null"), SOON);
    browser.eval(&format!("{name}.select()"));
    for key in ["d", " ", "f"] {
        browser.key(key);
    }
    assert_eq!(browser.eval(&format!("{name}.value")), json!("d f"));
    assert_eq!(
        browser.eval("[spotter.paused, spotter.showDropped, document.fullscreenElement]"),
        json!([false, false, null])
    );
    browser.eval("document.activeElement.blur()");
    changed(&mock, "the name", |change| change["zones"][0]["name"] == "d f");
    // Beside a field they are commands.
    browser.key("d");
    browser.key(" ");
    assert_eq!(browser.eval("[spotter.paused, spotter.showDropped]"), json!([true, true]));
}

#[test]
fn labels_sizes_and_rates_are_set_refused_and_reset() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = tuned(&mock, "labels-open") else { return };
    browser.wait_for("document.querySelectorAll('#labels li').length >= 3", SOON);
    let row = |label: &str| {
        format!("[...document.querySelectorAll('#labels li')].find((row) => row.textContent === '{label}')")
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

    browser.eval("document.querySelector('#size-open summary').click()");
    let set = |id: &str, value: &str| {
        format!(
            "{{ const field = document.querySelector('#{id}'); field.value = '{value}'; field.dispatchEvent(new Event('change')); }}"
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
    browser.wait_for("document.querySelector('#settings-said').textContent === 'Not saved: fps_limit must be from 0.1 to 240'", SOON);
    // What was refused is not shown for long.
    browser.wait_for("document.querySelector('#fps-limit').value === '5'", SOON);
    mock.state().refusal = None;

    browser.eval("document.querySelector('#reset').click()");
    changed(&mock, "all is reset", Value::is_null);
    browser.wait_for("document.querySelector('#fps-limit').value === ''", SOON);
    browser.eval("document.querySelector('#undo').click()");
    changed(&mock, "the reset is taken back", |change| change["fps_limit"] == 5 && change["fit"] == "crop");
    browser.set_viewport(390, 844, 2.0, true);
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_settings_phone.png"));
    // The browser's own word about the refusal.
    let own: Vec<String> =
        browser.console_problems().into_iter().filter(|text| !text.contains("/admin/settings")).collect();
    assert_eq!(own, Vec::<String>::new());
}

/// Writes text into a file of that name, and chooses it for the import of settings.
fn import(browser: &mut Browser, folder: &Path, text: &str) {
    let path = folder.join("import.json");
    std::fs::write(&path, text).unwrap();
    browser.choose_file("document.querySelector('#import-file')", &path);
}

const SAID: &str = "document.querySelector('#settings-said').textContent";

#[test]
fn settings_are_exported_and_imported_as_a_file() {
    let _alone = alone();
    let mock = Mock::start();
    let Some(mut browser) = tuned(&mock, "size-open") else { return };
    let folder = tempfile::tempdir().unwrap();
    let behaviour = json!({ "behavior": "allow", "downloadPath": folder.path() });
    browser.call("Page.setDownloadBehavior", behaviour);
    // By keyboard.
    browser.eval("document.querySelector('#export').focus()");
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
    browser.wait_for("document.querySelector('#settings-effect').textContent !== ''", SOON);
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
    assert_eq!(browser.eval("document.querySelector('#undo').disabled"), json!(true));

    // Taken, with a name that only a newer Spotter knows; back; forth.
    let mut other = exported.clone();
    (other["fps_limit"], other["tracks"]) = (json!(7), json!({ "most": 3 }));
    import(&mut browser, folder.path(), &other.to_string());
    changed(&mock, "it is imported", |change| *change == other);
    browser.wait_for("document.querySelector('#fps-limit').value === '7'", SOON);
    browser.wait_for(&format!("{SAID} === 'Saved'"), SOON);
    browser.eval("document.querySelector('#undo').click()");
    changed(&mock, "the import is taken back", |change| *change == exported);
    browser.wait_for("document.querySelector('#fps-limit').value === ''", SOON);
    browser.wait_for(&format!("{SAID} === 'Saved'"), SOON);
    browser.eval("document.querySelector('#redo').click()");
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
    let kept = "document.querySelector('#settings-kept').textContent";
    browser.wait_for(&format!("{kept}.includes('start it with --settings FILE')"), SOON);
    browser.eval("{ const field = document.querySelector('#iou'); field.value = '0.5'; field.dispatchEvent(new Event('change')); }");
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
    let effect = "document.querySelector('#settings-effect').textContent";
    let later = "[...document.querySelectorAll('.later')].map((node) => node.parentElement.textContent)";
    let range =
        |id: &str| format!("(({{ min, max, step }}) => [min, max, step])(document.querySelector('#{id}'))");
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
    assert_eq!(browser.eval(later), json!(["Zones  after a restart", "Resize mode after a restart"]));
    assert_eq!(browser.eval(&range("iou")), json!(["0", "0.9", "0.01"]));
    assert_eq!(browser.eval(&range("fps-limit")), json!(["0.1", "240", "0.5"]));
    assert_eq!(browser.console_problems(), Vec::<String>::new());
}

crate::in_every_other_view!(
    zones_are_drawn_moved_named_and_taken_back,
    labels_sizes_and_rates_are_set_refused_and_reset,
);
