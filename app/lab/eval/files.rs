//! Files that a user names, and pictures that a file names.

use std::path::{Component, Path, PathBuf};

use spotter_core::base::error::{Error, Kind, Result};

/// Names at most that a sentence lists.
const LISTED: usize = 3;

/// Reads a file that the user gave, up to `limit` bytes.
///
/// # Errors
/// [`Kind::NotFound`] where there is none, else [`Kind::Usage`]. `what` is "annotation file" or alike.
pub fn read_file(path: &Path, what: &str, limit: u64) -> Result<Vec<u8>> {
    let name = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(Kind::NotFound, format!("there is no {what} {name}")),
        _ => Error::new(Kind::Usage, format!("cannot read the {what} {name}")).caused_by(error),
    };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(Error::new(Kind::Usage, format!("{name} is no regular file; give a {what}")));
    }
    if about.len() > limit {
        let (size, limit) = (about.len() >> 20, limit >> 20);
        let text =
            format!("{name} is too large: it has {size} MiB, of this kind at most {limit} MiB are read");
        return Err(Error::new(Kind::Usage, text));
    }
    std::fs::read(path).map_err(unreadable)
}

/// The place of a picture in `folder`: its full relative path where there is such a file, else its
/// name alone; `None` where there is neither. Never outside of the folder.
pub fn locate(folder: &Path, file: &str) -> Option<PathBuf> {
    let relative = Path::new(file);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    let full = inside.then(|| folder.join(relative)).filter(|path| path.is_file());
    full.or_else(|| relative.file_name().map(|name| folder.join(name)).filter(|path| path.is_file()))
}

/// A sentence's list of names: the first three, and how many more.
pub fn listed(names: &[impl AsRef<str>]) -> String {
    let first: Vec<&str> = names.iter().take(LISTED).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_found_by_path_or_name_and_only_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir_all(inner.join("set")).unwrap();
        for name in ["secret.jpg", "inner/a.jpg", "inner/set/a.jpg", "inner/set/b.jpg"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(locate(&inner, "set/a.jpg"), Some(inner.join("set/a.jpg")));
        assert_eq!(locate(&inner, "other/a.jpg"), Some(inner.join("a.jpg")));
        assert_eq!(locate(&inner, "/x/y/a.jpg"), Some(inner.join("a.jpg")));
        for none in ["b.jpg", "set", "..", "", "../secret.jpg"] {
            assert_eq!(locate(&inner, none), None, "{none}");
        }
        let secret = folder.path().join("secret.jpg");
        assert_eq!(locate(&inner, secret.to_str().unwrap()), None);
    }

    #[test]
    fn sentences_list_three_names() {
        assert_eq!(listed(&["a", "b", "c"]), "a, b, c");
        assert_eq!(listed(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
