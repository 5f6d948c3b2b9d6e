//! What the documentation says is so: links, commands, lists, messages. `tests/live/docs.rs` has what needs a running
//! Spotter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::docs::{self, Command, Page};
use crate::common::{data, process, skip};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(120);

/// Commands that no test runs, by how they begin, and why.
const NOT_RUN: [(&str, &str); 18] = [
    ("git clone", "the address is that of whoever has Spotter"),
    ("./build.sh", "installs packages or needs a camera; its words and options are checked against its help"),
    ("cargo", "would compile for minutes; what it names is checked"),
    ("apt-get", "changes the machine"),
    ("edgetpu_compiler", "is Coral's, and not part of this"),
    ("gst-launch-1.0 playbin", "opens a window"),
    ("ffmpeg", "is not a package that Spotter needs"),
    ("ping HOST", "needs a host"),
    ("chmod 600 FILE", "is run with the token file in the pages' other commands"),
    ("curl -T -", "is what does not work"),
    ("curl --data-binary @FILE", "is run with a file in docs/api.md"),
    ("spotter models fetch", "downloads"),
    ("ulimit -n", "is the shell's own, and shows a number"),
    ("ulimit -u", "is the shell's own, and shows a number"),
    ("spotter-package lint", "is run by the tests of the package"),
    ("SPOTTER_VDO=", "is run by the tests of the camera's video"),
    ("npm --prefix tests/page", "fetches the linter; .ci/run runs it"),
    ("head -c 24", "is run in docs/api.md by tests/live/docs.rs"),
];

#[test]
fn links_lead_somewhere() {
    let anchors: BTreeMap<PathBuf, Vec<String>> =
        docs::pages().iter().map(|page| (page.path.clone(), page.anchors())).collect();
    let mut checked = 0;
    for page in docs::pages() {
        for link in page.links().iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let mut target = PathBuf::new();
            for part in page.path.parent().unwrap().join(path).components() {
                match part {
                    std::path::Component::ParentDir => drop(target.pop()),
                    other => target.push(other),
                }
            }
            if path.is_empty() {
                target = page.path.clone();
            }
            assert!(docs::root().join(&target).exists(), "{}: {link} leads nowhere", page.path.display());
            if !anchor.is_empty() {
                let known = anchors.get(&target).is_some_and(|known| known.iter().any(|one| one == anchor));
                assert!(known, "{}: {link}: there is no such heading", page.path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

/// The files of a folder, with those in its folders.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(docs::root().join(folder)).unwrap() {
        let path = Path::new(folder).join(entry.unwrap().file_name());
        if docs::root().join(&path).is_dir() {
            found.extend(files(path.to_str().unwrap(), endings));
        } else if endings.iter().any(|ending| path.to_str().unwrap().ends_with(ending)) {
            found.push(path);
        }
    }
    found
}

#[test]
fn files_that_pages_name_are_there() {
    let all: Vec<String> = ["app", "benches", "docs", "fuzz", "html", "models", "package", "tests"]
        .iter()
        .flat_map(|folder| files(folder, &[""]))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    let mut checked = 0;
    for page in docs::pages().iter().filter(|page| page.path != Path::new("CHANGELOG.md")) {
        for code in page
            .code()
            .iter()
            .filter(|code| code.language == "inline" && !code.text.contains([' ', '*', '…']))
        {
            let name = &code.text;
            let rooted =
                ["app/", "benches/", "docs/", "fuzz/", "html/", "models/", "package/", "tests/", ".ci/"]
                    .iter()
                    .any(|folder| name.starts_with(folder));
            let there = match rooted {
                true => docs::root().join(name).exists(),
                // Files of the program are named from app/ or one of its crates on.
                false if name.ends_with(".rs") => all.iter().any(|path| path.ends_with(&format!("/{name}"))),
                false => continue,
            };
            assert!(there, "{}: there is no {name}", page.path.display());
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

/// Names that begin with SPOTTER_ in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("SPOTTER_").map(|(at, _)| at);
    let names = starts.map(|at| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(rest.len());
        rest[..end].trim_end_matches('_').to_owned()
    });
    names.filter(|name| name != "SPOTTER").collect()
}

/// What `std::env` and the scripts read beside those: the name in `var("NAME")`, `var_os("NAME")` and `${NAME:-`.
fn other_variables(text: &str) -> BTreeSet<String> {
    let behind = ["env::var(\"", "env::var_os(\"", "user_folder(\"", "folder_named(\"", "folder(\"", "${"];
    let names = behind.iter().flat_map(|before| text.split(before).skip(1)).map(|after| {
        let end = after.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(after.len());
        (&after[..end], &after[end..])
    });
    // In a script, what has a default comes from outside.
    let read = names.filter(|(_, after)| after.starts_with('"') || after.starts_with(":-"));
    read.map(|(name, _)| name.to_owned()).filter(|name| name.len() > 2).collect()
}

#[test]
fn every_variable_of_the_environment_is_listed_and_read() {
    let page = docs::page("docs/reference.md");
    let section = page.text.split("## Limits").next().unwrap().to_owned();
    let section = Page { path: page.path, text: section };
    let listed: BTreeSet<String> = section
        .rows()
        .iter()
        .flat_map(|row| {
            row[0].split(',').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        })
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !name.is_empty())
        .collect();
    let text_of = |folders: &[&str]| -> String {
        let paths = folders.iter().flat_map(|folder| files(folder, &[".rs", ".sh", ".py", "run"]));
        paths.filter(|path| path != Path::new("tests/offline/docs.rs")).map(docs::read).collect()
    };
    let program = text_of(&["app", "package", ".ci"]) + &docs::read("build.sh");
    let texts = text_of(&["tests"]) + &program;
    let mut read = variables(&texts);
    // Cargo sets these for the programs that it starts.
    let of_cargo = ["CARGO_MANIFEST_DIR", "OUT_DIR"];
    read.extend(other_variables(&program).into_iter().filter(|name| !of_cargo.contains(&name.as_str())));
    // Between a test and the process that it starts is nobody else's business.
    read.retain(|name| !name.starts_with("SPOTTER_TEST_"));
    // Those of the simulated camera are in the first comments of its libraries.
    let comments: String = ["larod", "vdo", "edgetpu"]
        .iter()
        .map(|name| docs::read(format!("tests/camera/{name}/src/lib.rs")))
        .flat_map(|text| {
            text.lines().filter(|line| line.starts_with("//!")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let simulated = variables(&comments);
    read.retain(|name| {
        let is_simulated = name.starts_with("SPOTTER_SIM_") && !listed.contains(name);
        assert!(!is_simulated || simulated.contains(name), "no first comment in tests/camera lists {name}");
        !is_simulated
    });
    assert!(listed.len() > 20, "{listed:?}");
    let missing: Vec<_> = read.difference(&listed).collect();
    let gone: Vec<_> = listed.iter().filter(|name| !texts.contains(name.as_str())).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not listed: {missing:?}; not read by anything: {gone:?}");
}

#[test]
fn limits_are_those_of_the_program() {
    let page = docs::page("docs/reference.md");
    let mut checked = 0;
    let mut constants = BTreeMap::new();
    for row in page.rows().iter().filter(|row| row.len() == 3) {
        let mut file = None;
        // `path` `NAME = value`, `NAME = value`; `path` `NAME = value`
        for code in row[2].split('`').skip(1).step_by(2) {
            match code.split_once(" = ") {
                None => file = Some(code.to_owned()),
                Some((name, value)) => {
                    let file = file.clone().unwrap_or_else(|| panic!("{row:?} names no file"));
                    constants.insert((file, name.to_owned()), value.to_owned());
                }
            }
        }
    }
    for ((file, name), value) in &constants {
        let text = docs::read(format!("app/{file}"));
        let line = text.lines().find(|line| line.contains(&format!("const {name}: ")));
        let line = line.unwrap_or_else(|| panic!("{file} has no constant {name}"));
        let found = line.split_once(" = ").unwrap().1.trim_end_matches(';');
        assert_eq!(found, value, "{file}: {name}");
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let text = docs::read("app/core/base/error.rs");
    let function = text.split("pub fn exit_code").nth(1).unwrap().split("pub fn").next().unwrap();
    let in_code: BTreeSet<u32> = function
        .lines()
        .filter_map(|line| line.split_once("=> ")?.1.trim_end_matches(',').parse().ok())
        .collect();
    let page = docs::page("docs/reference.md");
    let section = page.text.split("## Exit codes").nth(1).unwrap().to_owned();
    let rows = Page { path: page.path, text: section }.rows();
    let listed: BTreeSet<u32> =
        rows.iter().filter_map(|row| row[0].parse().ok()).filter(|code| *code != 0).collect();
    assert!(in_code.len() > 8);
    assert_eq!(listed, in_code);
}

/// The texts of the program as its source has them: what is put in is `…`.
fn messages() -> String {
    let mut all = String::new();
    for path in files("app", &[".rs"]) {
        all += &docs::read(path);
    }
    // Lines that go on, then values.
    let mut text = String::new();
    let mut rest = all.as_str();
    while let Some((before, after)) = rest.split_once("\\\n") {
        text += before;
        rest = after.trim_start();
    }
    text += rest;
    let mut plain = String::new();
    let mut depth = 0;
    for c in text.replace("\\\"", "\"").chars() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => {
                depth -= 1;
                plain.push('…');
            }
            // A body of a function is no value: only what is short and in one line is.
            '\n' => (depth, plain) = (0, plain + "\n"),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    // In scripts values look otherwise; what stands before them is there as it is.
    files("html", &[".js", ".html"]).iter().for_each(|path| plain += &docs::read(path));
    plain
}

#[test]
fn what_troubleshooting_is_headed_by_is_said_by_the_program() {
    let said = messages();
    let page = docs::page("docs/troubleshooting.md");
    let mut checked = 0;
    for line in page.text.lines().filter_map(|line| line.strip_prefix("## ")) {
        for heading in line.split('`').skip(1).step_by(2) {
            // Of others: the camera's web server, paths.
            if heading.starts_with("503 ") || heading.starts_with("/local/") {
                continue;
            }
            for piece in heading.split('…').map(str::trim).filter(|piece| piece.chars().count() > 3) {
                // Numbers are values in the program.
                for piece in piece.split(|c: char| c.is_ascii_digit()).map(str::trim) {
                    let piece =
                        piece.trim_end_matches("(-").trim_matches(|c: char| "(;:,".contains(c)).trim();
                    // What is put together of two texts is looked for by the first.
                    let piece =
                        PUT_TOGETHER.into_iter().find(|first| piece.starts_with(first)).unwrap_or(piece);
                    assert!(said.contains(piece), "nothing in the program says {piece:?} of {heading:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 150, "{checked}");
}

/// How sentences begin whose next words are a value in the program.
const PUT_TOGETHER: [&str; 3] = ["larod cannot", "there is no ", "TensorFlow Lite cannot"];

/// Options that a help text names.
fn options(help: &str) -> BTreeSet<String> {
    let words = help.split(|c: char| c.is_whitespace() || "[],(|".contains(c));
    words
        .filter(|word| word.starts_with("--"))
        .map(|word| word.trim_matches(|c: char| ".:;)`".contains(c)).to_owned())
        .collect()
}

/// The words of a command's line; of `[A|B]` nothing is left, of `A|B` the first.
fn words(line: &str) -> Vec<String> {
    let mut shown = String::new();
    let mut depth = 0;
    for c in line.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            c if depth == 0 => shown.push(c),
            _ => {}
        }
    }
    shown
        .split_whitespace()
        .map(|word| word.split('|').next().unwrap_or("").trim_end_matches('…').to_owned())
        .collect()
}

/// Where commands are run: with everything that they name.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        let (Some(jpeg), Some(clip)) = (data::jpeg(), data::mjpeg_avi()) else { return None };
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let model = |name: &str| docs::root().join("models").join(name);
        for name in ["model.tflite", "my.tflite"] {
            std::fs::copy(model("demo_ssd_mobilenet_v2.tflite"), at(name)).unwrap();
        }
        for name in ["yolov5n.tflite", "yolov5s.tflite"] {
            std::fs::copy(model("demo_yolov5.tflite"), at(name)).unwrap();
        }
        std::fs::copy(model("demo_resnet18.tflite"), at("classifier.tflite")).unwrap();
        std::fs::create_dir(at("photos")).unwrap();
        for name in ["photos/a.jpg", "photos/b.jpg", "photo.jpg"] {
            std::fs::copy(&jpeg, at(name)).unwrap();
        }
        std::fs::copy(&clip, at("clip.avi")).unwrap();
        let annotations = json!({
            "images": [{ "id": 1, "file_name": "a.jpg", "width": 320, "height": 240 },
                       { "id": 2, "file_name": "b.jpg", "width": 320, "height": 240 }],
            "categories": [{ "id": 1, "name": "person" }],
            "annotations": [{ "id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 1200,
                              "iscrowd": 0 }],
        });
        std::fs::write(at("instances.json"), annotations.to_string()).unwrap();
        std::fs::write(at("truth.json"), r#"{"a.jpg": "person", "b.jpg": 2}"#).unwrap();
        let bench = Self { folder };
        let eval = bench.run(
            "eval --model model.tflite --images photos/ --annotations instances.json --save desktop.json",
        );
        assert_eq!(eval.code, Some(0), "{eval:#?}");
        let detect = bench.run("detect --model model.tflite photos/a.jpg photos/b.jpg");
        std::fs::write(bench.folder.path().join("camera.jsonl"), detect.stdout).unwrap();
        Some(bench)
    }

    fn run(&self, arguments: &str) -> process::Finished {
        let mut command = process::spotter();
        // Names are expanded as a shell does it.
        let arguments = arguments.split_whitespace().flat_map(|word| match word {
            "photos/*.jpg" => vec!["photos/a.jpg", "photos/b.jpg"],
            word => vec![word],
        });
        command.args(arguments).current_dir(self.folder.path());
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        process::run_command(command, LIMIT)
    }
}

/// The command as it is run here: with values in place of what stands for one, and less of what takes long.
fn runnable(words: &[String]) -> String {
    let named = |word: &str| {
        Some(match word {
            "MODEL" | "M" | "models/FILE" => "model.tflite",
            "CHIP" | "C" => "artpec8",
            "clip.mp4" if words[0] == "demo" => "demo.avi",
            "CLIP" | "clip.mp4" => "clip.avi",
            "NAME" => "spotter-demo",
            "FILE" | "FILE.jsonl" => "file.jsonl",
            "N" | "T" | "S" | "X" => "1",
            // What it writes is not to replace what others read.
            "truth.json" if words[0] == "demo" => "demo.json",
            // Less is enough to see that it works.
            "500" => "3",
            "16" => "2",
            _ => return None,
        })
    };
    let less = if words[0] == "demo" { "--seconds 1 --size 320x180" } else { "" };
    let words: Vec<&str> = words.iter().map(|word| named(word).unwrap_or(word)).chain([less]).collect();
    words.join(" ").trim_end().to_owned()
}

#[test]
fn commands_of_the_pages_work_as_they_stand() {
    let help = |words: &[&str]| {
        let finished = process::run(words.iter().copied().chain(["--help"]), LIMIT);
        assert_eq!(finished.code, Some(0), "{words:?} {finished:#?}");
        finished.stdout
    };
    let of_build_sh = std::process::Command::new(docs::root().join("build.sh")).arg("help").output().unwrap();
    let of_build_sh = String::from_utf8(of_build_sh.stdout).unwrap();
    let bench = Bench::new();
    let (mut ran, mut helps, mut used) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    let commands = docs::commands();
    assert!(commands.len() > 80, "{}", commands.len());
    for command in &commands {
        let Command { page, line, .. } = command;
        let place = format!("{}: {line}", page.display());
        let listed =
            NOT_RUN.iter().find(|(begin, _)| line.trim_start_matches("target/debug/").starts_with(begin));
        used.extend(listed.map(|(begin, _)| *begin));
        match command.program() {
            "spotter" => {
                let words = words(line);
                let words: Vec<String> =
                    words.into_iter().skip_while(|word| !word.ends_with("spotter")).skip(1).collect();
                if words[0].starts_with("--") || words[0] == "COMMAND" {
                    continue;
                }
                let path: Vec<&str> = match words[0].as_str() {
                    "models" => words.iter().take(2).map(String::as_str).collect(),
                    first => vec![first],
                };
                let known = helps.entry(path.join(" ")).or_insert_with(|| options(&help(&path)));
                for option in words.iter().filter(|word| word.starts_with("--")) {
                    assert!(known.contains(option), "{place}: there is no option {option}");
                }
                // `spotter eval` and `spotter demo --save` are names of things, no commands.
                let operands = words.len() > path.len() && !words.last().unwrap().starts_with("--save");
                let whole = command.is_block() || operands;
                let named_only = words
                    .last()
                    .is_some_and(|last| ["--annotations", "--dataset", "--format"].contains(&&**last))
                    || line.ends_with("--format jsonl") && !command.is_block()
                    || line == "spotter eval --source demo"
                    || line == "spotter inspect --json"
                    || line == "spotter models path"
                    || line == "spotter models verify";
                if listed.is_some() || path == ["run"] || !whole || named_only {
                    continue;
                }
                let arguments = runnable(&words);
                let arguments = arguments.split(" > ").next().unwrap();
                if let Some(bench) = &bench
                    && ran.insert(arguments.to_owned())
                {
                    let finished = bench.run(arguments);
                    // A model that is not here is not damaged.
                    let absent = ["models verify spotter-demo", "models path spotter-demo"];
                    let fine = if absent.contains(&arguments) {
                        finished.code == Some(2) || finished.code == Some(0)
                    } else {
                        finished.code == Some(0)
                    };
                    assert!(fine, "{place}\n{finished:#?}");
                }
            }
            "build.sh" => {
                let words = words(line);
                let name = &words[1];
                let known =
                    of_build_sh.split(|c: char| c.is_whitespace() || c == '|').any(|word| word == name);
                assert!(known, "{place}: ./build.sh help does not name {name}");
                if name == "run" {
                    let known = options(&help(&["run"]));
                    for option in words.iter().filter(|word| word.starts_with("--")) {
                        assert!(known.contains(option), "{place}: there is no option {option}");
                    }
                } else {
                    let known = options(&of_build_sh);
                    for option in
                        words[2..].iter().filter(|word| word.starts_with("--") && *word != "--allow-unsigned")
                    {
                        assert!(known.contains(option), "{place}: there is no option {option}");
                    }
                }
            }
            "cargo" => check_cargo(line, &place),
            // These are run beside a running Spotter.
            "curl" if command.is_block() => {}
            "head" if command.is_block() => {}
            _ => assert!(listed.is_some(), "{place} is neither run nor on the list of what is not"),
        }
    }
    for (begin, why) in NOT_RUN {
        assert!(used.contains(begin), "no page has {begin:?} ({why}) any more: take it off the list");
    }
    match bench {
        Some(_) => assert!(ran.len() > 15, "{ran:#?}"),
        None => skip("the commands of the documentation: GStreamer cannot make a picture and a clip here"),
    }
}

/// What a cargo command names is there.
fn check_cargo(line: &str, place: &str) {
    let words = words(line);
    let after = |option: &str| {
        let at = words.iter().position(|word| word == option)?;
        words.get(at + 1).map(String::as_str)
    };
    let manifest = docs::read("Cargo.toml") + &docs::read("app/core/Cargo.toml");
    for (option, folder) in [("--test", "tests"), ("--bench", "benches")] {
        let Some(name) = after(option).filter(|name| *name != "PROGRAM" && *name != "NAME") else { continue };
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{place}: Cargo.toml has no {folder}/{name}"
        );
        if let Some(module) = words.iter().find_map(|word| word.strip_suffix("::")) {
            let main = docs::read(format!("{folder}/{name}/main.rs"));
            assert!(main.contains(&format!("mod {module};")), "{place}: {name} has no module {module}");
        }
    }
    if let Some(package) = after("-p").or(after("--package")) {
        let members = ["app", "tests/camera", "."].map(|folder| files_named(folder, "Cargo.toml")).concat();
        let known = members.iter().any(|path| docs::read(path).contains(&format!("name = \"{package}\"")));
        assert!(known, "{place}: there is no package {package}");
    }
    let command =
        words.iter().find(|word| *word != "cargo" && !word.contains('=')).map_or("", String::as_str);
    let known =
        ["test", "bench", "build", "fuzz", "check", "clippy", "fmt", "nextest", "install", "doc", "run"];
    assert!(known.contains(&command), "{place}");
}

fn files_named(folder: &str, name: &str) -> Vec<PathBuf> {
    let folder = Path::new(folder);
    let below = std::fs::read_dir(docs::root().join(folder)).unwrap();
    let below = below.map(|entry| folder.join(entry.unwrap().file_name()).join(name));
    below.chain([folder.join(name)]).filter(|path| docs::root().join(path).is_file()).collect()
}

#[test]
fn the_description_of_a_cv25_model_is_taken_as_it_stands() {
    let page = docs::page("docs/models.md");
    let code =
        page.code().into_iter().find(|code| code.heading == "A model for CV25" && code.language == "json");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.bin"), b"compiled").unwrap();
    std::fs::write(folder.path().join("x.json"), code.unwrap().text).unwrap();
    let model = folder.path().join("x.bin");
    let finished = process::run(["inspect", "--json", model.to_str().unwrap()], LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&report["head"], &report["classes"]), (&json!("classification"), &json!(3)));
    assert_eq!(report["labels"]["names"], json!(["background", "cat", "dog"]));
}
