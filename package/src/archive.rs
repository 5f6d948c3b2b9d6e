//! A package's file: a gzip'd GNU tar, the same bytes for the same members.

use std::io::{Read, Write};

use flate2::{Compression, GzBuilder, read::GzDecoder};

use crate::error::{Error, Result};

/// When every member was last changed, where `SOURCE_DATE_EPOCH` does not say: the first of January 2026.
pub const EPOCH: u64 = 1_767_225_600;
/// Larger archives, unpacked, are no packages: a camera has not that much room.
const MAX_BYTES: u64 = 512 << 20;

/// A file or folder of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path below the application's folder; a folder's ends with `/`.
    pub path: String,
    /// Its permissions, the nine bits.
    pub mode: u32,
    /// What is in it; nothing in a folder.
    pub bytes: Vec<u8>,
}

impl Member {
    /// A file.
    pub fn file(path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, bytes: bytes.into() }
    }

    /// A folder.
    pub fn folder(path: &str) -> Self {
        Self { path: format!("{path}/"), mode: 0o755, bytes: Vec::new() }
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// How hard it is tried to make a package small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// At once.
    Quick,
    /// As small as gzip can be: some ten seconds, and some percent smaller.
    Smallest,
}

/// Zopfli's own default is 15; more than 5 gain next to nothing on a program.
const ROUNDS: u64 = 5;

/// The package of these members in their order, owned by nobody in particular and changed at `epoch` (seconds
/// since 1970).
///
/// # Errors
/// Where a path is none that a tar can hold.
pub fn write(members: &[Member], epoch: u64, effort: Effort) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::new(format!("the package cannot be put together ({error})"));
    let tar = tar_of(members, epoch).map_err(failed)?;
    // As `gzip --no-name`: neither a name nor a time.
    if effort == Effort::Smallest {
        let rounds = std::num::NonZeroU64::new(ROUNDS).unwrap_or(std::num::NonZeroU64::MIN);
        let options = zopfli::Options { iteration_count: rounds, ..zopfli::Options::default() };
        let mut package = Vec::new();
        zopfli::compress(options, zopfli::Format::Gzip, tar.as_slice(), &mut package).map_err(failed)?;
        return Ok(package);
    }
    // 3 is Unix.
    let mut gzip = GzBuilder::new().mtime(0).operating_system(3).write(Vec::new(), Compression::best());
    gzip.write_all(&tar).and_then(|()| gzip.finish()).map_err(failed)
}

fn tar_of(members: &[Member], epoch: u64) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(member.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(epoch);
        header.set_size(member.bytes.len() as u64);
        let kind = if member.is_folder() { tar::EntryType::Directory } else { tar::EntryType::Regular };
        header.set_entry_type(kind);
        tar.append_data(&mut header, &member.path, member.bytes.as_slice())?;
    }
    tar.into_inner()
}

/// Reads a package's members.
///
/// # Errors
/// Where it is no gzip'd tar, has members that are neither files nor folders, or paths that lead out of it.
pub fn read(package: &[u8]) -> Result<Vec<Member>> {
    let failed = |error: std::io::Error| {
        Error::new(format!("the file is no package: it cannot be unpacked as a gzip'd tar ({error})"))
    };
    // To the end, where gzip has its checksum: a tar ends before.
    let mut unpacked = Vec::new();
    GzDecoder::new(package).take(MAX_BYTES).read_to_end(&mut unpacked).map_err(failed)?;
    let mut tar = tar::Archive::new(unpacked.as_slice());
    let mut members = Vec::new();
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| Error::new("the package has a member whose name is no UTF-8"))?;
        let kind = entry.header().entry_type();
        if !(kind.is_file() || kind.is_dir()) {
            return Err(Error::new(format!("the package's member {path} is neither a file nor a folder")));
        }
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(Error::new(format!("the package's member {path} leads out of its folder")));
        }
        let mode = entry.header().mode().map_err(failed)? & 0o7777;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        let path = if kind.is_dir() { format!("{}/", path.trim_end_matches('/')) } else { path };
        members.push(Member { path, mode, bytes });
    }
    if members.is_empty() {
        return Err(Error::new("the file is no package: there is nothing in it"));
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<Member> {
        vec![
            Member::file("spotter", 0o755, [0u8, 1, 2]),
            Member::file("param.conf", 0o644, ""),
            Member::folder("html"),
            Member::file(format!("html/{}.js", "long".repeat(40)), 0o644, "x"),
        ]
    }

    #[test]
    fn what_is_written_is_read_and_the_same_twice() {
        let first = write(&members(), EPOCH, Effort::Quick).unwrap();
        assert_eq!(first, write(&members(), EPOCH, Effort::Quick).unwrap());
        assert_eq!(read(&first).unwrap(), members());
        // Neither time nor name; best compression; Unix.
        assert_eq!(first[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3]);
        // The smallest is the same archive, the same bytes each time.
        let smallest = write(&members(), EPOCH, Effort::Smallest).unwrap();
        assert_eq!(smallest, write(&members(), EPOCH, Effort::Smallest).unwrap());
        assert!(smallest.len() <= first.len(), "{} {}", smallest.len(), first.len());
        let unpacked = |package: &[u8]| {
            read(package).unwrap().into_iter().map(|m| (m.path, m.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(unpacked(&smallest), unpacked(&first));
        assert_ne!(first, write(&members(), EPOCH + 1, Effort::Quick).unwrap());
    }

    /// The system's own tar takes it, and says what it should of owners, times and modes.
    #[test]
    fn the_systems_tar_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.eap");
        std::fs::write(&file, write(&members(), EPOCH, Effort::Quick).unwrap()).unwrap();
        let mut tar = std::process::Command::new("tar");
        tar.args(["--utc", "--numeric-owner", "--full-time", "-tvzf"]).arg(&file);
        let output = match tar.output() {
            Ok(output) => output,
            Err(error) => return println!("skipped: tar does not start ({error})"),
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let list = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = list.lines().collect();
        assert!(
            lines[0].starts_with("-rwxr-xr-x 0/0 ") && lines[0].ends_with(" 2026-01-01 00:00:00 spotter"),
            "{list}"
        );
        assert!(lines[2].starts_with("drwxr-xr-x 0/0 ") && lines[2].ends_with(" html/"), "{list}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn damage_and_ways_out_are_refused() {
        let whole = write(&members(), EPOCH, Effort::Quick).unwrap();
        for cut in [0, 5, 20, whole.len() / 2, whole.len() - 9] {
            assert!(read(&whole[..cut]).is_err(), "{cut} bytes were taken");
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        // The library refuses such a path, so it is written by hand.
        header.as_mut_bytes()[..9].copy_from_slice(b"../../etc");
        header.set_cksum();
        let mut raw = header.as_bytes().to_vec();
        raw.extend([0; 1024]);
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut gzip, &raw).unwrap();
        let error = read(&gzip.finish().unwrap()).unwrap_err().to_string();
        assert!(error.contains("leads out"), "{error}");
    }
}
