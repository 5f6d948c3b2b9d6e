//! Who imports whom: no circle between files, and no arrow upwards against the written order of rooms.
//!
//! The picture is drawn from the `use` lines and paths of the code that is no test's. A re-export is no arrow unless its
//! file uses the name too: who uses the name imports the file that defines it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// The rooms from the ground up: each may import those below it, and none beside it.
const ROOMS: [&[&str]; 17] = [
    &["base"],
    &["vision"],
    &["preprocess", "model"],
    &["settings"],
    &["filter"],
    &["track"],
    &["scene"],
    &["scenario"],
    &["events"],
    &["demo", "catalogue", "eval"],
    &["inspect"],
    &["capture", "backend"],
    &["publish", "evidence"],
    &["detect"],
    &["live"],
    &["web"],
    &["cli"],
];

/// The crates from the ground up, and where their files are.
const CRATES: [(&str, &str); 4] = [
    ("spotter_core", "app/core"),
    ("spotter_demo", "app/demo"),
    ("spotter_lab", "app/lab"),
    ("spotter", "app"),
];

/// What words a source consists of: names, `::` and single signs, without comments and literals.
fn words(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let is_name = |sign: char| sign.is_alphanumeric() || sign == '_';
    let (mut words, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let hashes = (i + 1..).take_while(|next| at(*next) == '#').count();
        match (at(i), at(i + 1)) {
            ('/', '/') => i += chars[i..].iter().take_while(|sign| **sign != '\n').count(),
            ('/', '*') => {
                let rest: String = chars[i..].iter().collect();
                i += rest.split_once("*/").map_or(rest.len(), |(comment, _)| comment.chars().count() + 2);
            }
            ('r', _) if at(i + 1 + hashes) == '"' => {
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                i += hashes + 2;
                i += chars[i..].windows(end.len()).take_while(|window| *window != end).count() + end.len();
            }
            ('"', _) => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character; what else begins so is a lifetime.
            ('\'', '\\') => i += 3 + chars[i + 3..].iter().take_while(|sign| **sign != '\'').count() + 1,
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (':', ':') => {
                words.push("::".to_owned());
                i += 2;
            }
            (sign, _) if is_name(sign) => {
                let name: String = chars[i..].iter().take_while(|sign| is_name(**sign)).collect();
                i += name.chars().count();
                words.push(name);
            }
            (sign, _) => {
                if !sign.is_whitespace() {
                    words.push(sign.to_string());
                }
                i += 1;
            }
        }
    }
    words
}

/// How many words the brackets that begin here take, with all that is between them.
fn bracketed(words: &[String]) -> usize {
    let mut depth = 0;
    for (index, word) in words.iter().enumerate() {
        match word.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    words.len()
}

/// How many words the item that begins here takes, with the attributes before it.
fn item(words: &[String]) -> usize {
    let mut i = 0;
    while i < words.len() {
        match words[i].as_str() {
            ";" => return i + 1,
            "{" => return i + bracketed(&words[i..]),
            "[" | "(" => i += bracketed(&words[i..]),
            _ => i += 1,
        }
    }
    i
}

/// The same words without what is compiled for tests only.
fn without_tests(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let length = if words[i] == "#" { 1 + bracketed(&words[i + 1..]) } else { 1 };
        let attribute = &words[i..i + length];
        if attribute.get(2).is_some_and(|word| word == "cfg")
            && attribute.get(4).is_some_and(|word| word == "test")
        {
            i += length + item(&words[i + length..]);
        } else {
            kept.extend_from_slice(attribute);
            i += length;
        }
    }
    kept
}

type Segments = Vec<String>;

/// One module, of a file or within one.
#[derive(Default)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    /// What `use` brings in, by its name here.
    names: BTreeMap<String, Segments>,
    globs: Vec<Segments>,
    /// All paths in it but those of re-exports.
    paths: Vec<Segments>,
}

/// The modules of all crates, by their paths.
#[derive(Default)]
struct Code {
    modules: BTreeMap<Segments, Module>,
}

/// Adds what a `use` of these words brings in to `into`: path and name.
fn use_tree(words: &[String], before: &[String], into: &mut Vec<(Segments, String)>) {
    let mut path = before.to_vec();
    let mut i = 0;
    while let Some(word) = words.get(i) {
        match word.as_str() {
            "::" => {}
            "{" => {
                let inner = &words[i + 1..i + bracketed(&words[i..]) - 1];
                let (mut begun, mut j) = (0, 0);
                while j <= inner.len() {
                    if j == inner.len() || inner[j] == "," {
                        use_tree(&inner[begun..j], &path, into);
                        begun = j + 1;
                    }
                    j +=
                        if inner.get(j).is_some_and(|word| word == "{") { bracketed(&inner[j..]) } else { 1 };
                }
                return;
            }
            "as" => return into.push((path, words.get(i + 1).cloned().unwrap_or_default())),
            "self" if !path.is_empty() => {}
            _ => path.push(word.clone()),
        }
        i += 1;
    }
    if let Some(name) = path.last().cloned() {
        into.push((path, name));
    }
}

impl Code {
    /// Reads a crate whose root is `folder`/`root`; `read` gives a file's text.
    fn add_crate(&mut self, name: &str, folder: &str, root: &str, read: &dyn Fn(&str) -> Option<String>) {
        let file = format!("{folder}/{root}");
        self.add_file(vec![name.to_owned()], &file, folder, read);
    }

    fn add_file(
        &mut self,
        module: Segments,
        file: &str,
        folder: &str,
        read: &dyn Fn(&str) -> Option<String>,
    ) {
        let source = read(file).unwrap_or_else(|| panic!("{file} is missing"));
        self.add_module(module, file, folder, &without_tests(&words(&source)), read);
    }

    fn add_module(
        &mut self,
        path: Segments,
        file: &str,
        folder: &str,
        words: &[String],
        read: &dyn Fn(&str) -> Option<String>,
    ) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        let mut re_exports: Vec<(Segments, String)> = Vec::new();
        let mut own: BTreeSet<&String> = BTreeSet::new();
        let mut i = 0;
        let is = |index: usize, word: &str| words.get(index).is_some_and(|other| other == word);
        while i < words.len() {
            match words[i].as_str() {
                "mod" if is(i + 2, ";") || is(i + 2, "{") => {
                    let name = words[i + 1].clone();
                    let inner: Segments = path.iter().cloned().chain([name.clone()]).collect();
                    let folder = format!("{folder}/{name}");
                    if is(i + 2, ";") {
                        let beside = format!("{folder}.rs");
                        let file = if read(&beside).is_some() { beside } else { format!("{folder}/mod.rs") };
                        self.add_file(inner, &file, &folder, read);
                        i += 3;
                    } else {
                        let length = bracketed(&words[i + 2..]);
                        self.add_module(inner, file, &folder, &words[i + 3..i + 1 + length], read);
                        i += 2 + length;
                    }
                    module.children.insert(name);
                }
                "use" => {
                    let length = item(&words[i..]).max(2);
                    // Braces within a `use` do not end it.
                    let length = words[i..].iter().position(|word| word == ";").map_or(length, |end| end + 1);
                    let mut uses = Vec::new();
                    use_tree(&words[i + 1..i + length - 1], &[], &mut uses);
                    let public = i > 0 && (is(i - 1, "pub") || is(i - 1, ")"));
                    for (mut target, name) in uses {
                        if name == "*" {
                            target.pop();
                            module.globs.push(target);
                            continue;
                        }
                        if public {
                            re_exports.push((target.clone(), name.clone()));
                        } else {
                            module.paths.push(target.clone());
                        }
                        module.names.insert(name, target);
                    }
                    i += length;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" => {
                    let name = words.get(i + 1).filter(|name| *name != "fn" && *name != "mut");
                    module.items.extend(name.cloned());
                    i += 1;
                }
                _ if is(i + 1, "::") && !(i > 0 && is(i - 1, "::")) => {
                    let rest = words[i..].chunks(2);
                    let more =
                        rest.clone().take_while(|pair| pair.get(1).is_some_and(|sign| sign == "::")).count();
                    let path: Segments = rest.take(more + 1).map(|pair| pair[0].clone()).collect();
                    own.insert(&words[i]);
                    i += 2 * more + 1;
                    module.paths.push(path);
                }
                _ => {
                    // What follows a dot is a field or a method.
                    if i == 0 || words[i - 1] != "." {
                        own.insert(&words[i]);
                    }
                    i += 1;
                }
            }
        }
        module
            .paths
            .extend(re_exports.into_iter().filter(|(_, name)| own.contains(name)).map(|(path, _)| path));
        self.modules.insert(path, module);
    }

    /// The file that defines what a path in the module `from` names; none of modules and of what others made.
    fn file_of(&self, from: &[String], path: &[String], depth: usize) -> Option<&str> {
        let here = self.modules.get(from)?;
        let (first, mut rest) = path.split_first()?;
        let mut at: Segments = match first.as_str() {
            "crate" => vec![from[0].clone()],
            "self" => from.to_vec(),
            "super" => from[..from.len() - 1].to_vec(),
            name if here.children.contains(name) => from.iter().cloned().chain([name.to_owned()]).collect(),
            name if here.names.contains_key(name) && depth < 16 => {
                let target = &here.names[name];
                let whole: Segments = target.iter().chain(rest).cloned().collect();
                // A name that stands for itself is a crate's.
                return if *target == [name] { None } else { self.file_of(from, &whole, depth + 1) };
            }
            name if self.modules.contains_key(&vec![name.to_owned()]) => vec![name.to_owned()],
            _ => return None,
        };
        while let Some((next, after)) = rest.split_first() {
            let module = self.modules.get(&at)?;
            if next == "super" {
                at.pop();
            } else if module.children.contains(next) {
                at.push(next.clone());
            } else if module.items.contains(next) || depth >= 16 {
                return Some(&module.file);
            } else if module.names.contains_key(next) {
                return self.file_of(&at, rest, depth + 1);
            } else {
                let through = module.globs.iter().find_map(|glob| {
                    let whole: Segments = glob.iter().chain(rest).cloned().collect();
                    self.file_of(&at, &whole, depth + 1)
                });
                return through;
            }
            rest = after;
        }
        None
    }

    /// Which files each file imports.
    fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (path, module) in &self.modules {
            let from = imports.entry(&module.file).or_default();
            let files = module.paths.iter().filter_map(|target| self.file_of(path, target, 0));
            from.extend(files.filter(|file| *file != module.file));
        }
        imports
    }
}

/// A shortest circle through each file that is on one, each circle once.
fn circles<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let mut circles: Vec<Vec<&str>> = Vec::new();
    for start in imports.keys() {
        let mut reached: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = VecDeque::from([*start]);
        while let Some(file) = waiting.pop_front().filter(|_| !reached.contains_key(start)) {
            for next in imports.get(file).into_iter().flatten() {
                if !reached.contains_key(next) {
                    reached.insert(next, file);
                    waiting.push_back(next);
                }
            }
        }
        if !reached.contains_key(start) {
            continue;
        }
        let mut circle = vec![*start];
        while let Some(before) = reached.get(circle[circle.len() - 1]).filter(|before| *before != start) {
            circle.push(before);
        }
        circle.reverse();
        let least = (0..circle.len()).min_by_key(|index| circle[*index]).unwrap_or(0);
        circle.rotate_left(least);
        if !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// The room that a file is in; none of the roots of crates.
fn room(file: &str) -> Option<&str> {
    let inside = file.strip_prefix("app/")?;
    let inside = inside.strip_prefix("core/").or_else(|| inside.strip_prefix("lab/")).unwrap_or(inside);
    inside.split_once('/').map(|(room, _)| room)
}

fn level(room: &str) -> usize {
    let level = ROOMS.iter().position(|rooms| rooms.contains(&room));
    level.unwrap_or_else(|| panic!("the room {room} has no place in ROOMS; give it one"))
}

fn spotter() -> Code {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).ok();
    let mut code = Code::default();
    for (name, folder) in CRATES {
        code.add_crate(name, folder, "lib.rs", &read);
    }
    code
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let code = spotter();
    let imports = code.imports();
    let arrows: usize = imports.values().map(BTreeSet::len).sum();
    assert!(
        imports.len() > 200 && arrows > 800,
        "only {} files and {arrows} arrows were read",
        imports.len()
    );
    let circles = circles(&imports);
    let shown: Vec<String> =
        circles.iter().map(|circle| format!("{} → {}", circle.join(" → "), circle[0])).collect();
    assert!(
        circles.is_empty(),
        "{} import circles; move what both sides need into a file of its own:\n{}",
        circles.len(),
        shown.join("\n")
    );
}

#[test]
fn no_room_imports_one_that_is_not_below_it() {
    let code = spotter();
    let mut wrong = Vec::new();
    for (file, targets) in code.imports() {
        for target in targets {
            let (Some(from), Some(to)) = (room(file), room(target)) else { continue };
            if from != to && level(to) >= level(from) {
                wrong.push(format!("{file} imports {target}: {to} is not below {from}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} arrows against ROOMS:\n{}", wrong.len(), wrong.join("\n"));
}

fn made_up(files: &[(&str, &str)]) -> Code {
    let read = |file: &str| {
        files.iter().find(|(name, _)| file == format!("x/{name}")).map(|(_, text)| (*text).to_owned())
    };
    let mut code = Code::default();
    code.add_crate("x", "x", "lib.rs", &read);
    code
}

fn arrows(files: &[(&str, &str)]) -> Vec<String> {
    let code = made_up(files);
    let imports = code.imports();
    let arrows = imports.iter().flat_map(|(from, to)| to.iter().map(move |to| format!("{from} {to}")));
    arrows.map(|arrow| arrow.replace("x/", "")).collect()
}

#[test]
fn a_planted_circle_is_found() {
    let code = made_up(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use super::b::B; pub struct A;"),
        ("b.rs", "pub struct B; fn f() { crate::c::inner::g() }"),
        ("c.rs", "pub mod inner;"),
        ("c/inner.rs", "pub fn g() -> super::super::a::A { todo!() }"),
        ("d.rs", "use crate::{a::A, b::B};"),
    ]);
    assert_eq!(circles(&code.imports()), [["x/a.rs", "x/b.rs", "x/c/inner.rs"]]);
}

#[test]
fn a_parent_and_its_child_can_be_a_circle() {
    let code = made_up(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; pub trait T {} fn f() -> b::B { b::B }"),
        ("a/b.rs", "pub struct B; impl super::T for B {}"),
    ]);
    assert_eq!(circles(&code.imports()), [["x/a/b.rs", "x/a/mod.rs"]]);
}

#[test]
fn a_re_export_leads_to_the_file_that_defines_the_name() {
    let files = [
        ("lib.rs", "mod a; mod b; mod all { pub use crate::a::*; }"),
        ("a/mod.rs", "mod c; mod d; pub use c::{C, D as Other}; pub(crate) use self::d::*;"),
        ("a/c.rs", "pub struct C; pub struct D; pub struct Hidden;"),
        ("a/d.rs", "pub fn e() {}"),
        ("b.rs", "use crate::a::{self, Other}; use crate::all::C; fn f() { a::e() }"),
    ];
    assert_eq!(arrows(&files), ["b.rs a/c.rs", "b.rs a/d.rs"]);
}

#[test]
fn a_re_exported_name_that_its_file_uses_is_an_import_of_it() {
    let code = made_up(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; pub use b::{B, C}; pub enum All { One(B) } pub trait T {}"),
        ("a/b.rs", "pub struct B; pub struct C; impl super::T for B {}"),
    ]);
    assert_eq!(circles(&code.imports()), [["x/a/b.rs", "x/a/mod.rs"]]);
}

#[test]
fn tests_comments_and_texts_are_no_imports() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "// crate::b::B\n/* use crate::b::B; */ const T: &str = \"crate::b::B \\\" crate::b::B\"; \
             const R: &str = r#\"crate::b::B \" \"#; const C: char = '\"'; fn l<'a>(_: &'a str) {} \
             #[cfg(test)] use crate::b::B; #[cfg(test)] #[allow(x)] mod tests { use crate::b::B; } \
             #[cfg(test)] fn f() -> [crate::b::B; 2] { g(crate::b::B) }",
        ),
        ("b.rs", "pub struct B;"),
    ];
    assert_eq!(arrows(&files), [""; 0]);
    let also =
        [files[0], ("a.rs", "const C: [char; 2] = ['\\'', '\\u{7f}']; type T = crate::b::B;"), files[2]];
    assert_eq!(arrows(&also), ["a.rs b.rs"]);
}
