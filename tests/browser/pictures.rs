//! The pictures of the docs, taken of the real program on the demo scene, which is Spotter's own. With
//! `SPOTTER_PICTURES=1` they become those in docs/.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::browser::Browser;
use crate::common::process::Running;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
/// Bytes of the largest one: they are part of every clone.
const LARGEST: usize = 160_000;
const PICTURES: [&str; 6] = [
    "page.webp",
    "page-phone.webp",
    "page-zones.webp",
    "page-model.webp",
    "page-health.webp",
    "page-sign-in.webp",
];

/// Takes the picture of that name, once nothing moves but the scene.
fn take(browser: &mut Browser, folder: &Path, name: &str) {
    std::thread::sleep(Duration::from_millis(400));
    let colours = browser.eval(
        "(() => { const view = document.querySelector('canvas'); if (!view) return 9;
          const copy = document.createElement('canvas'); [copy.width, copy.height] = [320, 180];
          const pen = copy.getContext('2d', { willReadFrequently: true }); pen.drawImage(view, 0, 0, 320, 180);
          const { data } = pen.getImageData(0, 0, 320, 180);
          const seen = new Set(); for (let at = 0; at < data.length; at += 40) seen.add(data[at] >> 3); return seen.size; })()",
    );
    assert!(colours.as_u64() > Some(8), "{name}: the picture has {colours} shades");
    let picture = browser.picture("webp", 82);
    assert!((3_000..LARGEST).contains(&picture.len()), "{name} has {} bytes", picture.len());
    std::fs::write(folder.join(name), picture).unwrap();
}

fn click(browser: &mut Browser, name: &str) {
    browser.eval(&format!("document.querySelector('#{name}').click()"));
}

fn show(browser: &mut Browser, name: &str) {
    browser.eval(&format!("document.querySelector('#{name}').scrollIntoView({{ block: 'end' }})"));
}

#[test]
fn the_docs_show_the_page_as_it_is() {
    let Some(mut browser) = Browser::launch() else { return };
    let folder = match std::env::var_os("SPOTTER_PICTURES") {
        Some(_) => PathBuf::from(DOCS),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(),
    };
    let kept = tempfile::tempdir().unwrap();
    let settings = kept.path().join("settings.json");
    let source = "demo:seed=15,size=1280x720,fps=10";
    let running = Running::start(["--source", source, "--settings", settings.to_str().unwrap()], LIMIT);
    browser.set_viewport(1440, 900, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser.wait_for("window.spotter?.framesShown > 60 && spotter.shown.boxes.length > 3", LIMIT);
    take(&mut browser, &folder, "page.webp");
    browser.set_viewport(390, 844, 2.0, true);
    browser.wait_for("document.documentElement.scrollWidth <= innerWidth", LIMIT);
    take(&mut browser, &folder, "page-phone.webp");

    // Two zones, one of them chosen, and what they drop.
    browser.set_viewport(1440, 900, 1.0, false);
    let zones = json!([
        { "name": "street", "kind": "include", "points": [{ "x": 0.02, "y": 0.5 }, { "x": 0.6, "y": 0.46 },
            { "x": 0.98, "y": 0.62 }, { "x": 0.96, "y": 0.97 }, { "x": 0.05, "y": 0.95 }] },
        { "name": "door", "kind": "exclude", "points": [{ "x": 0.62, "y": 0.2 }, { "x": 0.86, "y": 0.2 },
            { "x": 0.86, "y": 0.44 }, { "x": 0.62, "y": 0.44 }] },
    ]);
    let answer = crate::common::process::http(
        &running.address,
        "PUT",
        "/api/v1/zones",
        &[],
        zones.to_string().as_bytes(),
    );
    assert_eq!(answer.unwrap().status, 200);
    click(&mut browser, "dropped");
    browser.eval("document.querySelector('#zones-open').open = true");
    browser.wait_for("document.querySelectorAll('#zones li').length === 2", LIMIT);
    browser.wait_for("spotter.shown.dropped.length > 1 && spotter.shown.boxes.length > 1", LIMIT);
    show(&mut browser, "zone-draw");
    browser.eval("scrollTo(0, 0)");
    take(&mut browser, &folder, "page-zones.webp");

    // What runs, and what it suits.
    click(&mut browser, "dropped");
    browser.eval("document.querySelector('#zones-open').open = false");
    browser.wait_for("document.querySelector('#suitability')?.textContent.includes('ARTPEC-8')", LIMIT);
    browser.set_viewport(820, 1000, 1.0, true);
    browser.eval("document.querySelectorAll('#suitability details')[1].open = true");
    show(&mut browser, "suitability");
    take(&mut browser, &folder, "page-model.webp");

    // How it has been doing.
    browser.eval("document.querySelector('#health').open = true");
    browser.wait_for("document.querySelectorAll('#charts path[d^=M]').length > 4", LIMIT);
    browser.set_viewport(820, 1100, 1.0, false);
    show(&mut browser, "bundle");
    take(&mut browser, &folder, "page-health.webp");
    assert_eq!(browser.console_problems(), Vec::<String>::new());
    running.stop(LIMIT);

    let token = kept.path().join("token");
    std::fs::write(&token, "a-token-for-the-picture").unwrap();
    let running = Running::start(["--source", source, "--token-file", token.to_str().unwrap()], LIMIT);
    browser.set_viewport(900, 560, 1.0, false);
    browser.navigate(&format!("http://{}/", running.address));
    browser
        .wait_for("location.pathname.endsWith('/signin.html') && document.readyState === 'complete'", LIMIT);
    take(&mut browser, &folder, "page-sign-in.webp");
    running.stop(LIMIT);
}

#[test]
fn every_picture_is_there_and_shown() {
    let all: BTreeSet<String> = std::fs::read_dir(DOCS)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".md"))
        .collect();
    assert_eq!(all, PICTURES.map(str::to_owned).into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text: String = ["README.md", "docs/camera.md", "docs/api.md"]
        .map(|name| std::fs::read_to_string(root.join(name)).unwrap())
        .concat();
    for name in PICTURES {
        assert!(text.contains(name), "no text shows {name}");
        assert!(std::fs::metadata(Path::new(DOCS).join(name)).unwrap().len() < LARGEST as u64, "{name}");
    }
}
