//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that grows beside the place where it is to be: [`Part::place`] puts it there, anything else
/// takes it away.
#[derive(Debug)]
pub struct Part {
    place: PathBuf,
    part: PathBuf,
}

impl Part {
    /// What will be `place`. Makes its folder, but no file yet.
    ///
    /// # Errors
    /// Where `place` names no file, or the folder cannot be made.
    pub fn new(place: &Path) -> io::Result<Self> {
        let mut name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(ending());
        std::fs::create_dir_all(folder(place))?;
        Ok(Self { place: place.to_owned(), part: place.with_file_name(name) })
    }

    /// As [`Part::place`], in another place of the same file system. Makes its folder.
    ///
    /// # Errors
    /// As for [`Part::place`], and where the folder cannot be made.
    pub fn place_as(mut self, place: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder(place))?;
        self.place = place.to_owned();
        self.place()
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.part
    }

    /// Makes sure that it is on the disk, and puts it in its place. A file that was there stays as it was
    /// where this fails.
    ///
    /// # Errors
    /// Where the disk is full, or the place is taken by a folder.
    pub fn place(self) -> io::Result<()> {
        File::open(&self.part)?.sync_all()?;
        std::fs::rename(&self.part, &self.place)?;
        // The renaming itself is on the disk once the folder is; some file systems cannot do that.
        let _ = File::open(folder(&self.place)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It is gone where it was put in its place.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// What the names of this process' parts end in.
fn ending() -> String {
    format!(".{}.part", std::process::id())
}

/// Whether a path is that of a part of this process.
pub fn is_own_part(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&ending()))
}

fn folder(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes `bytes` beside `path`, makes sure they are on the disk, and puts them in its place. A file that
/// was there stays as it was where anything fails.
///
/// # Errors
/// Where the folder cannot be made or written to, or the disk is full.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = Part::new(path)?;
    File::create(part.path())?.write_all(bytes)?;
    part.place()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_or_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "no part is left behind");
        // A folder in its place cannot be replaced by a file.
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(write(&taken, b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(write(Path::new("/"), b"x").is_err());
    }

    #[test]
    fn a_part_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        std::fs::write(&path, b"before").unwrap();
        let part = Part::new(&path).unwrap();
        std::fs::write(part.path(), b"half").unwrap();
        assert_ne!(part.path(), path);
        drop(part);
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
        // Nothing was written: there is nothing to put in the place.
        assert!(Part::new(&path).unwrap().place().is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
