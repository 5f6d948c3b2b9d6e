//! Lists the files of `html/` so that the program carries them.

use std::fmt::Write as _;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("html");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &root, &mut files)?;
    files.sort();
    let mut code = String::from("/// All files of the page.\npub const ASSETS: &[Asset] = &[\n");
    for (name, path) in files {
        println!("cargo::rerun-if-changed={path}");
        writeln!(code, "    Asset {{ path: {name:?}, bytes: include_bytes!({path:?}) }},")?;
    }
    code.push_str("];\n");
    name_the_commit();
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("assets.rs"), code)?;
    Ok(())
}

/// Lets a desktop's release say which commit it was built from; records of its speed name it. A build for a camera is
/// the same bytes wherever it is made, and one for tests is not made anew with each commit.
fn name_the_commit() {
    println!("cargo::rerun-if-changed=build.rs");
    let wanted = |name: &str| std::env::var(name).unwrap_or_default();
    if wanted("PROFILE") != "release" || std::env::var_os("CARGO_FEATURE_DESKTOP").is_none() {
        return;
    }
    // Git adds a line to it with each commit and each checkout.
    let log = Path::new(&wanted("CARGO_MANIFEST_DIR")).join(".git/logs/HEAD");
    if log.is_file() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    let git = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    if let Ok(output) = git.as_ref()
        && output.status.success()
    {
        println!("cargo::rustc-env=SPOTTER_COMMIT={}", String::from_utf8_lossy(&output.stdout).trim());
    }
}

fn collect(
    root: &Path,
    folder: &Path,
    files: &mut Vec<(String, String)>,
) -> Result<(), Box<dyn std::error::Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let name = path.strip_prefix(root)?.to_str().ok_or("a file of html/ has no UTF-8 name")?;
            let full = path.to_str().ok_or("the project's folder has no UTF-8 name")?;
            files.push((name.to_owned(), full.to_owned()));
        }
    }
    Ok(())
}
