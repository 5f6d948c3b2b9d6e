//! axe-core: what keeps people out of a page.

use std::path::Path;

use serde_json::Value;

use super::browser::Browser;

/// Its program, of the tests' Python environment, where it is; else a word on standard error.
pub fn program() -> Option<String> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/lib");
    let versions = std::fs::read_dir(venv).into_iter().flatten().flatten();
    let mut files = versions.map(|entry| entry.path().join("site-packages/axe_core_python/axe.min.js"));
    let found = files.find_map(|file| std::fs::read_to_string(file).ok());
    if found.is_none() {
        super::skip("axe-core is not in target/test-venv (./build.sh test gets it)");
    }
    found
}

/// What it has against the page as it is now; an empty list where nothing.
pub fn violations(browser: &mut Browser, program: &str) -> Value {
    browser.eval(&format!("window.axe || (() => {{ {program} }})(); 0"));
    browser.eval(
        "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => html.slice(0, 200) + failureSummary)]))",
    )
}
