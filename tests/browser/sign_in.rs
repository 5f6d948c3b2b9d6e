//! Signing in with the token, in a real browser.

use std::path::Path;
use std::time::Duration;

use crate::common::axe;
use crate::common::browser::Browser;
use crate::common::process::{self, Running};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);
const FORM: &str = "location.pathname.endsWith('/signin.html') && document.readyState === 'complete'";

fn start(token: &Path, listen: &str) -> Running {
    let mut command = process::spotter();
    command.args(["run", "--source", "demo:size=640x360,fps=10", "--listen", listen]);
    command.args(["--token-file", token.to_str().unwrap()]);
    Running::start_command(command, LIMIT)
}

fn said(browser: &mut Browser, text: &str) {
    browser.wait_for(&format!("document.querySelector('#said').textContent === '{text}'"), LIMIT);
}

/// Types into what has the focus, and presses Enter.
fn enter(browser: &mut Browser, text: &str) {
    browser.call("Input.insertText", json!({ "text": text }));
    browser.key("Enter");
}

#[test]
fn the_form_lets_in_with_the_token_and_comes_back_with_another() {
    let Some(mut browser) = Browser::launch() else { return };
    let axe = axe::program();
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{name}-token-of-a-test\n")).unwrap();
        path
    });
    let running = start(&first, "127.0.0.1:0");
    let url = format!("http://{}/", running.address);
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR"));
    browser.set_viewport(1280, 800, 1.0, false);
    browser.navigate(&url);
    browser.wait_for(FORM, LIMIT);
    browser.screenshot(&pictures.join("sign_in.png"));
    for (width, height, dark) in [(1280, 800, true), (390, 844, false), (320, 500, true)] {
        browser.set_viewport(width, height, 1.0, dark);
        browser.wait_for("document.documentElement.scrollWidth <= innerWidth", LIMIT);
        browser.screenshot(&pictures.join(format!("sign_in_{width}.png")));
        if let Some(axe) = &axe {
            assert_eq!(axe::violations(&mut browser, axe), json!([]), "{width}x{height}, dark {dark}");
        }
    }
    browser.set_viewport(1280, 800, 1.0, false);
    assert_eq!(browser.console_problems(), Vec::<String>::new());

    // Everything by keyboard: the field has the focus, the button beside it shows what is typed.
    assert_eq!(browser.eval("document.activeElement.id"), "token");
    browser.key("Enter");
    said(&mut browser, "Type the token.");
    browser.call("Input.insertText", json!({ "text": "wrong" }));
    assert_eq!(browser.eval("document.activeElement.type"), "password");
    browser.key("Tab");
    browser.key("Enter");
    browser
        .wait_for("document.activeElement.id === 'token' && document.activeElement.type === 'text'", LIMIT);
    browser.key("Enter");
    said(&mut browser, "This is not the token of this Spotter.");
    assert_eq!(browser.eval("document.querySelector('#token').getAttribute('aria-invalid')"), "true");
    browser.screenshot(&pictures.join("sign_in_wrong.png"));
    // The browser's own word on the answer 401, and nothing else.
    let problems = browser.console_problems();
    assert!(problems.len() == 1 && problems[0].contains("401"), "{problems:?}");

    // The wrong one is selected: typing replaces it.
    enter(&mut browser, "first-token-of-a-test");
    browser.wait_for("window.spotter?.framesShown > 5", LIMIT);
    assert_eq!(browser.eval("location.pathname"), "/");
    assert_eq!(browser.eval("spotter.transport"), "websocket");
    assert_eq!(browser.eval("document.cookie"), "", "no script can read it");
    browser.wait_for("spotter.editable === true", LIMIT);
    browser.navigate(&url);
    browser.wait_for("window.spotter?.framesShown > 5", LIMIT);
    // The cookie opens all that the page asks for, and the page does nothing that its policy forbids.
    assert_eq!(browser.console_problems(), Vec::<String>::new());

    // Another token: the page that is open finds out by itself.
    let address = running.address.clone();
    running.stop(LIMIT);
    let running = start(&second, &address);
    browser.wait_for(FORM, LIMIT);
    browser.wait_for("document.activeElement.id === 'token'", LIMIT);
    enter(&mut browser, "first-token-of-a-test");
    said(&mut browser, "This is not the token of this Spotter.");
    enter(&mut browser, "second-token-of-a-test");
    browser.wait_for("window.spotter?.framesShown > 5", LIMIT);
    drop(running);
}
