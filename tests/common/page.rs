//! The page of a made-up Spotter, opened in a browser.

use std::process::Command;
use std::time::Duration;

use super::browser::{self, Browser, Program};
use super::mock::Mock;
use serde_json::{Value, json};

/// How long anything on the page may take.
pub const SOON: Duration = Duration::from_secs(15);

/// The size of the browser's window, and whether it is dark.
#[derive(Clone, Copy)]
pub struct View {
    width: u32,
    height: u32,
    dark: bool,
}

impl View {
    /// A desktop, a tablet and a phone.
    const SIZES: [(u32, u32); 3] = [(1440, 900), (1024, 768), (390, 844)];
    /// The variable that says which view: an index into all of them.
    const VARIABLE: &str = "SPOTTER_VIEW";

    /// Each size, light and dark.
    fn all() -> impl Iterator<Item = Self> {
        let both = |(width, height)| [false, true].map(|dark| Self { width, height, dark });
        Self::SIZES.into_iter().flat_map(both)
    }

    /// That of these tests: a light desktop if nobody asks for another one.
    fn asked() -> Self {
        let index = std::env::var(Self::VARIABLE).map_or(0, |index| index.parse().expect("an index"));
        Self::all().nth(index).expect("there is such a view")
    }

    fn set(self, browser: &mut Browser) {
        browser.set_viewport(self.width, self.height, 1.0, self.dark);
    }

    /// Runs tests of a module again in another view, in one browser.
    pub fn again(module: &str, index: usize, names: &[&str]) {
        let Some(browser) = Program::start() else { return };
        let Self { width, height, dark } = Self::all().nth(index).expect("there is such a view");
        let module = module.split_once("::").and_then(|(_, module)| module.strip_suffix("::views"));
        let module = module.expect("it is in views of a module of this program");
        let mut tests = Command::new(std::env::current_exe().expect("this program"));
        tests.args(["--exact", "--test-threads=1"]);
        tests.args(names.iter().map(|name| format!("{module}::{name}")));
        tests.env(Self::VARIABLE, index.to_string()).env(browser::SHARED, &browser.url);
        let output = tests.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{width}x{height}, dark {dark}: {said}");
        assert!(said.contains(&format!("{} passed; 0 failed", names.len())), "{said}");
    }
}

/// These tests of this module once more in each other view, see [`View`]: those for which it matters how large the
/// window is, or how its colours are.
#[macro_export]
macro_rules! in_every_other_view {
    ($($test:ident),* $(,)?) => {
        mod views {
            use $crate::common::{alone, page::View};
            const TESTS: &[&str] = &[$(stringify!($test)),*];
            #[test] fn dark_desktop() { let _alone = alone(); View::again(module_path!(), 1, TESTS); }
            #[test] fn light_tablet() { let _alone = alone(); View::again(module_path!(), 2, TESTS); }
            #[test] fn dark_tablet() { let _alone = alone(); View::again(module_path!(), 3, TESTS); }
            #[test] fn light_phone() { let _alone = alone(); View::again(module_path!(), 4, TESTS); }
            #[test] fn dark_phone() { let _alone = alone(); View::again(module_path!(), 5, TESTS); }
        }
    };
}

/// A browser that shows the mock's page and has drawn its first pictures.
pub fn open(mock: &Mock) -> Option<Browser> {
    let mut browser = Browser::launch()?;
    let view = View::asked();
    view.set(&mut browser);
    browser.navigate(&mock.url());
    assert_eq!(
        browser.eval("[innerWidth, innerHeight, matchMedia('(prefers-color-scheme: dark)').matches]"),
        json!([view.width, view.height, view.dark])
    );
    browser.wait_for(
        "window.spotter?.framesShown > 2 && spotter.latencyMs !== null && !!spotter.settings",
        SOON,
    );
    Some(browser)
}

/// Opens the page with all settings, and the card of one group of them.
pub fn tuned(mock: &Mock, group: &str) -> Option<Browser> {
    mock.state().tuning =
        json!({ "zones": [], "labels": { "dog": { "on": false } }, "size": { "min": 0.0, "max": 1.0 } });
    let mut browser = open(mock)?;
    browser.wait_for(
        "!document.querySelector('#settings').hidden && !document.getElementById('settings-fields').disabled",
        SOON,
    );
    browser.eval(&format!("document.querySelector('#{group} summary').click()"));
    Some(browser)
}

/// What two chips make of a model.
pub fn suitability() -> Value {
    json!({ "chip": "cpu", "note": null, "chips": [
        { "chip": "cpu", "title": "CPU", "verdict": "pass", "rules": [] },
        { "chip": "artpec8", "title": "ARTPEC-8", "verdict": "warn", "rules": [
            { "id": "fused-activations", "level": "warn", "message": "57 SiLU are operators of their own" }] },
        { "chip": "cv25", "title": "CV25", "verdict": "fail", "rules": [
            { "id": "cavalry-binary", "level": "fail", "message": "not compiled for CV25" },
            { "id": "batch-1", "level": "warn", "message": "<b>two</b> pictures" }] },
    ] })
}
