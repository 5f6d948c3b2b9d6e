//! The pages of the documentation as tests read them: commands, JSON, addresses, links.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page, by its path in the repository.
pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

/// A piece of code in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What stands behind the three backquotes; `inline` for code in a sentence.
    pub language: String,
    /// The heading that it stands under.
    pub heading: String,
    pub text: String,
}

/// All pages.
pub fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(PathBuf::from).into();
    for folder in ["docs", "docs/design"] {
        let entries = std::fs::read_dir(root().join(folder)).expect("the folder of the documentation");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        paths.extend(names.map(|name| Path::new(folder).join(name)));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    paths.into_iter().map(|path| Page { text: read(&path), path }).collect()
}

/// One page.
pub fn page(path: &str) -> Page {
    Page { path: path.into(), text: read(path) }
}

impl Page {
    /// Blocks of code and code in sentences, in their order.
    pub fn code(&self) -> Vec<Code> {
        let mut found = Vec::new();
        let mut heading = String::new();
        let mut block: Option<Code> = None;
        let mut sentence = String::new();
        for line in self.text.lines().chain([""]) {
            if let Some(code) = &mut block {
                if line.trim() == "```" {
                    found.extend(block.take());
                } else {
                    code.text += line;
                    code.text.push('\n');
                }
                continue;
            }
            let fence = line.trim_start().strip_prefix("```");
            if fence.is_some() || line.trim().is_empty() || line.starts_with('#') {
                inline(&std::mem::take(&mut sentence), &heading, &mut found);
            }
            match fence {
                Some(language) => {
                    let (language, heading) = (language.to_owned(), heading.clone());
                    block = Some(Code { language, heading, text: String::new() });
                }
                None => {
                    if let Some(text) = line.strip_prefix('#') {
                        heading = text.trim_start_matches('#').trim().to_owned();
                    }
                    sentence += line;
                    sentence.push(' ');
                }
            }
        }
        assert!(block.is_none(), "{}: a block of code has no end", self.path.display());
        found
    }

    /// Targets of links and pictures, and the anchors that the page's headings have.
    pub fn links(&self) -> Vec<String> {
        let mut rest = self.text.as_str();
        let mut found = Vec::new();
        while let Some((_, after)) = rest.split_once("](") {
            let (target, next) = after.split_once(')').unwrap_or((after, ""));
            found.push(target.to_owned());
            rest = next;
        }
        let sources = self.text.split("src=\"").skip(1).filter_map(|after| after.split('"').next());
        found.extend(sources.map(str::to_owned));
        found
    }

    /// As GitHub makes anchors of headings.
    pub fn anchors(&self) -> Vec<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut in_block = false;
        let mut found = Vec::new();
        for line in self.text.lines() {
            if line.starts_with("```") {
                in_block = !in_block;
            }
            let Some(heading) = line.strip_prefix('#').filter(|_| !in_block) else { continue };
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let count = counts.entry(anchor.clone()).or_insert(0);
            found.push(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
            *count += 1;
        }
        found
    }

    /// The rows of all tables, cells trimmed; headers and lines of dashes too.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.text.lines().filter(|line| line.starts_with('|'));
        rows.map(|row| {
            let inside = row.trim().trim_start_matches('|').trim_end_matches('|');
            inside
                .replace("\\|", "\u{0}")
                .split('|')
                .map(|cell| cell.replace('\u{0}', "|").trim().to_owned())
                .collect()
        })
        .collect()
    }
}

fn inline(sentence: &str, heading: &str, found: &mut Vec<Code>) {
    let mut parts = sentence.split('`');
    parts.next();
    while let (Some(code), Some(_)) = (parts.next(), parts.next()) {
        let (heading, text) = (heading.to_owned(), code.to_owned());
        found.push(Code { language: "inline".into(), heading, text });
    }
}

/// A command of a page.
#[derive(Debug, Clone)]
pub struct Command {
    /// The page.
    pub page: PathBuf,
    pub code: Code,
    /// The command's line, without the remark behind it.
    pub line: String,
}

impl Command {
    /// The program that it begins with, without folders and variables before it.
    pub fn program(&self) -> &str {
        program(&self.line)
    }

    /// True of a command in a block of its own, which a reader copies as it stands.
    pub fn is_block(&self) -> bool {
        self.code.language != "inline"
    }
}

/// Programs that the documentation speaks of.
const PROGRAMS: [&str; 17] = [
    "spotter",
    "build.sh",
    "spotter-package",
    "curl",
    "cargo",
    "git",
    "apt-get",
    "gst-launch-1.0",
    "ffmpeg",
    "ping",
    "head",
    "chmod",
    "lsusb",
    "edgetpu_compiler",
    "ulimit",
    "larod-client",
    "npm",
];

fn program(line: &str) -> &str {
    let words = line.split_whitespace();
    let is_variable = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let word = words.into_iter().find(|word| !is_variable(word)).unwrap_or("");
    word.rsplit('/').next().unwrap_or("")
}

/// All commands of all pages: lines of blocks, and code in sentences of more than one word.
pub fn commands() -> Vec<Command> {
    let mut found = Vec::new();
    for page in pages() {
        // What was is not what is.
        if page.path == Path::new("CHANGELOG.md") {
            continue;
        }
        for code in page.code() {
            if code.language == "json" {
                continue;
            }
            let text = code.text.replace("\n                  ", " ");
            for line in text.lines() {
                // A remark is behind `#`, or behind three spaces.
                let line = line.split(" #").next().unwrap_or("").split("   ").next().unwrap_or("").trim();
                let known = PROGRAMS.contains(&program(line));
                if known && (line.contains(' ') || code.language != "inline") {
                    let line = line.to_owned();
                    found.push(Command { page: page.path.clone(), code: code.clone(), line });
                }
            }
        }
    }
    found
}
