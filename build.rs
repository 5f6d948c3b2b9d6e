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
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("assets.rs"), code)?;
    Ok(())
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
