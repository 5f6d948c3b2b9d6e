//! `spotter models`: what the catalogue has, what of it is here, and getting it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::{FetchArgs, ListArgs, ModelsCommand, accepted};
use super::output;
use crate::base::error::{Error, Kind, Result};
use crate::base::table::Table;
use crate::model::catalogue::store::{Places, State, Store};
use crate::model::catalogue::{Catalogue, Entry};
use crate::model::task::Task;

/// Files looked at in one folder.
const MAX_FILES: usize = 1000;

/// Does what `command` names.
///
/// # Errors
/// As each command says.
pub fn models(command: &ModelsCommand) -> Result<()> {
    let store = Store::new(Catalogue::embedded(), Places::from_env());
    match command {
        ModelsCommand::List(args) => list(&store, args),
        ModelsCommand::Fetch(args) => fetch(&store, args),
        ModelsCommand::Verify { names } => verify(&store, names),
        ModelsCommand::Path { name } => path(&store, name),
    }
}

/// What the table says of a state; a file that cannot be read keeps no other from being listed.
fn word(state: &Result<State>) -> &'static str {
    match state {
        Ok(State::Here(_)) => "here",
        Ok(State::Unverified(_)) => "unchecked",
        Ok(State::Damaged(_)) => "damaged",
        Ok(State::BuiltIn) => "built in",
        Ok(State::Absent) => "absent",
        Err(_) => "unreadable",
    }
}

fn place(state: &Result<State>) -> Option<&Path> {
    match state {
        Ok(State::Here(path) | State::Unverified(path) | State::Damaged(path)) => Some(path),
        _ => None,
    }
}

/// Prints the catalogue: a table for each task, or JSON.
fn list(store: &Store, args: &ListArgs) -> Result<()> {
    let wanted = |entry: &&Entry| {
        args.chip.is_none_or(|chip| entry.chips.contains(&chip))
            && args.task.is_none_or(|task| entry.task == task)
    };
    let models: Vec<(&Entry, Result<State>)> =
        store.catalogue.models.iter().filter(wanted).map(|entry| (entry, store.state(entry))).collect();
    if args.json {
        let list: Vec<Value> = models.iter().map(|(entry, state)| entry_json(entry, state)).collect();
        let text = json!({ "default": store.catalogue.default, "models": list });
        return output::print(&[format!("{text:#}")]);
    }
    if models.is_empty() {
        return Err(Error::new(Kind::NotFound, nothing_listed(args)));
    }
    let mut table = Table::new(&[4]);
    for task in [Task::Detection, Task::Classification, Task::Segmentation] {
        let of_task: Vec<&(&Entry, Result<State>)> = models.iter().filter(|(e, _)| e.task == task).collect();
        if !of_task.is_empty() {
            let task = task.to_string().to_uppercase();
            table.heading(&[&task, "CHIPS", "INPUT", "LICENCE", "SIZE", "STATE"]);
            of_task.iter().for_each(|(entry, state)| table.row(list_row(store, entry, state)));
        }
    }
    let mut lines = table.lines(output::styled());
    let is_here = |state: &Result<State>| matches!(state, Ok(State::Here(_) | State::BuiltIn));
    let here = models.iter().filter(|(_, state)| is_here(state)).count();
    let mut summary = format!("\n{here} of {} are here; `spotter models fetch NAME` gets one.", models.len());
    if models.iter().any(|(entry, _)| entry.name == store.catalogue.default) {
        summary.push_str(" * is used where --model is not given and the source is real.");
    }
    lines.push(summary);
    output::print(&lines)
}

fn nothing_listed(args: &ListArgs) -> String {
    let task = args.task.map_or(String::new(), |task| format!(" {task}"));
    let chip = args.chip.map_or(String::new(), |chip| format!(" for {chip}"));
    format!("the catalogue has no{task} model{chip}; leave --chip or --task out to see all")
}

/// Name, chips, input, licence, size and state.
fn list_row(store: &Store, entry: &Entry, state: &Result<State>) -> Vec<String> {
    let mark = if entry.name == store.catalogue.default { " *" } else { "" };
    let chips: Vec<&str> = entry.chips.iter().map(|chip| chip.name()).collect();
    let here = match state {
        Ok(State::Here(path)) => std::fs::metadata(path).ok().map(|about| about.len()),
        _ => None,
    };
    vec![
        format!("{}{mark}", entry.name),
        chips.join(" "),
        entry.input.replace('x', "×"),
        entry.licence.clone(),
        here.or(entry.size).map_or("–".to_string(), megabytes),
        word(state).to_string(),
    ]
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The entry as the catalogue has it, and where it is.
fn entry_json(entry: &Entry, state: &Result<State>) -> Value {
    let mut value = json!(entry);
    value["may_be_packed"] = json!(entry.may_be_packed());
    value["state"] = json!(word(state));
    value["path"] = json!(place(state).map(Path::to_string_lossy));
    value
}

/// Downloads a model and says its licence and where it is.
///
/// # Errors
/// As for [`Store::download`]; [`Kind::NotFound`] for an unknown name.
fn fetch(store: &Store, args: &FetchArgs) -> Result<()> {
    let entry = store.catalogue.get(&args.name)?;
    let accepted = accepted(&args.accept_license, args.accept_unverified);
    let path = match store.state(entry)? {
        State::Here(path) => {
            log::info!("{} is here already", entry.name);
            path
        }
        // What lies in the cache was put there by a download: it is replaced.
        State::Damaged(path) if is_in_cache(store, &path) => {
            log::warn!("{} is damaged; it is downloaded again", path.display());
            store.download(entry, &accepted)?
        }
        // Elsewhere it is the user's file, which would hide a download; `find` says so.
        State::Damaged(_) => return store.find(&args.name).map(|_| ()),
        State::Unverified(_) => store.resolve(&args.name, &accepted)?,
        State::Absent | State::BuiltIn => store.download(entry, &accepted)?,
    };
    let mut lines = vec![
        format!("model    {} ({})", entry.name, entry.title),
        format!("licence  {}", licence_line(entry)),
    ];
    lines.extend(entry.note.iter().map(|note| format!("note     {note}")));
    lines.push(format!("path     {}", path.display()));
    output::print(&lines)
}

fn is_in_cache(store: &Store, path: &Path) -> bool {
    store.places.cache.as_deref().is_some_and(|cache| path.parent() == Some(cache))
}

/// The licence, and what it asks beyond keeping its notice.
fn licence_line(entry: &Entry) -> String {
    if entry.needs_consent() {
        let more = "also binds programs that use the model over a network; not packed into applications";
        format!("{}: {more}", entry.licence)
    } else {
        entry.licence.clone()
    }
}

/// Checks the sums of every model file in the folders.
///
/// # Errors
/// [`Kind::Model`] where a file is damaged or cannot be read; [`Kind::NotFound`] for an unknown name and for
/// one that was asked for and is in no folder.
fn verify(store: &Store, names: &[String]) -> Result<()> {
    let entries: Vec<&Entry> = match names {
        [] => store.catalogue.models.iter().collect(),
        names => names.iter().map(|name| store.catalogue.get(name)).collect::<Result<_>>()?,
    };
    let mut table = Table::new(&[]);
    table.heading(&["STATE", "MODEL", "FILE"]);
    let (mut sound, mut unchecked, mut bad, mut absent) = (0, 0, Vec::new(), Vec::new());
    for entry in entries {
        let copies: Vec<PathBuf> = store.copies(entry).collect();
        if copies.is_empty() {
            let state = store.state(entry);
            if matches!(state, Ok(State::BuiltIn)) {
                sound += 1;
            } else {
                absent.push(entry.name.as_str());
            }
            table.row(vec![word(&state).into(), entry.name.clone(), String::new()]);
        }
        for path in copies {
            let shown = path.display().to_string();
            let state = store.check(entry, path);
            match state {
                Ok(State::Here(_)) => sound += 1,
                Ok(State::Unverified(_)) => unchecked += 1,
                _ => bad.push((entry, shown.clone())),
            }
            table.row(vec![word(&state).into(), entry.name.clone(), shown]);
        }
    }
    if names.is_empty() {
        other_files(store).into_iter().for_each(|row| table.row(row));
    }
    let mut lines = table.lines(output::styled());
    let untold =
        if unchecked > 0 { format!(", {unchecked} of which no checksum is known") } else { String::new() };
    lines.push(format!("\n{sound} sound, {} damaged, {} absent{untold}", bad.len(), absent.len()));
    output::print(&lines)?;
    if let [(entry, first), rest @ ..] = bad.as_slice() {
        let (verb, more) = match rest.len() {
            0 => ("is", String::new()),
            more => ("are", format!(" and {more} more")),
        };
        let text =
            format!("{first}{more} {verb} damaged; delete it, then `{}` gets it again", fetch_command(entry));
        return Err(Error::new(Kind::Model, text));
    }
    match (names, absent.as_slice()) {
        ([], _) | (_, []) => Ok(()),
        (_, [first, ..]) => Err(not_here(store, store.catalogue.get(first)?)),
    }
}

/// Rows for model files in the folders that no entry means, and for downloads that were cut off.
fn other_files(store: &Store) -> Vec<Vec<String>> {
    let known = |name: &str| store.catalogue.models.iter().find(|entry| entry.file == name);
    let mut rows = Vec::new();
    for folder in store.places.folders() {
        let Ok(files) = std::fs::read_dir(folder) else { continue };
        let mut paths: Vec<PathBuf> =
            files.take(MAX_FILES).filter_map(|f| f.ok().map(|f| f.path())).collect();
        paths.sort();
        for path in paths {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let unfinished = name.strip_suffix(".part").and_then(known);
            let is_model = [".tflite", ".bin"].iter().any(|end| name.ends_with(end)) && known(name).is_none();
            let (state, model) = match unfinished {
                Some(entry) => ("unfinished", entry.name.as_str()),
                None if is_model => ("not listed", "–"),
                None => continue,
            };
            rows.push(vec![state.to_string(), model.to_string(), path.display().to_string()]);
        }
    }
    rows
}

/// Prints where a model's file is; downloads nothing.
///
/// # Errors
/// [`Kind::NotFound`] where it is in no folder, with the command that gets it; [`Kind::Model`] where its
/// sums are wrong.
fn path(store: &Store, name: &str) -> Result<()> {
    let entry = store.catalogue.get(name)?;
    match store.state(entry)? {
        State::Here(path) | State::Unverified(path) => output::print(&[path.display().to_string()]),
        State::Damaged(_) => store.find(name).map(|_| ()),
        State::Absent | State::BuiltIn => Err(not_here(store, entry)),
    }
}

/// The model is in no folder; the sentence has the command that changes that.
fn not_here(store: &Store, entry: &Entry) -> Error {
    let folders: Vec<String> = store.places.folders().iter().map(|f| f.display().to_string()).collect();
    let text = format!(
        "{} is in none of {}; get it with `{}`",
        entry.name,
        folders.join(", "),
        fetch_command(entry)
    );
    Error::new(Kind::NotFound, text)
}

/// The command that downloads a model.
pub(super) fn fetch_command(entry: &Entry) -> String {
    let Entry { name, licence, .. } = entry;
    let accept = if entry.needs_consent() { format!(" --accept-license {licence}") } else { String::new() };
    let unverified = if entry.is_unverified() { " --accept-unverified" } else { "" };
    format!("spotter models fetch {name}{accept}{unverified}")
}
