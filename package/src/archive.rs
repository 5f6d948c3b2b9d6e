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

/// What GNU tar writes with `--format gnu --owner 0 --group 0 --numeric-owner`, to the byte: Axis's tools call it.
fn tar_of(members: &[Member], epoch: u64) -> std::io::Result<Vec<u8>> {
    let mut tar = Vec::new();
    for member in members {
        let Member { path, mode, bytes } = member;
        if path.is_empty() || path.contains('\0') {
            let text = format!("{path:?} is no path for an archive");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        if path.len() > NAME {
            // The whole path as a member of its own, before the one that it is the name of.
            let long = [path.as_bytes(), b"\0"].concat();
            append(&mut tar, &header(b"././@LongLink", 0o644, long.len(), 0, b'L')?, &long);
        }
        let name = &path.as_bytes()[..path.len().min(NAME)];
        let kind = if member.is_folder() { b'5' } else { b'0' };
        append(&mut tar, &header(name, *mode, bytes.len(), epoch, kind)?, bytes);
    }
    // Two empty blocks end it, and tar writes whole records.
    tar.resize((tar.len() + 2 * BLOCK).next_multiple_of(RECORD), 0);
    Ok(tar)
}

/// Bytes of a block, of a record, and of a member's name.
const BLOCK: usize = 512;
const RECORD: usize = 20 * BLOCK;
const NAME: usize = 100;

/// The block before a member's bytes: old GNU tar's, whose fields are octal numbers.
fn header(name: &[u8], mode: u32, size: usize, time: u64, kind: u8) -> std::io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let octal = |number: u64, digits: usize| {
        let text = format!("{number:0digits$o}");
        let fits = text.len() == digits;
        fits.then_some(text).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::FileTooLarge))
    };
    put(0, name);
    put(100, octal(mode.into(), 7)?.as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, octal(size as u64, 11)?.as_bytes());
    put(136, octal(time, 11)?.as_bytes());
    // The sum is taken over blanks in its own place.
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar  ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

fn append(tar: &mut Vec<u8>, header: &[u8; BLOCK], bytes: &[u8]) {
    tar.extend(header);
    tar.extend(bytes);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
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
            Err(error) => return crate::said::skip(&format!("tar does not start ({error})")),
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

    /// Byte for byte, with the options of Axis's tools (acap-build).
    #[test]
    fn the_archive_is_what_gnu_tar_writes() {
        use std::os::unix::fs::PermissionsExt;
        let version = std::process::Command::new("tar").arg("--version").output();
        if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU tar")) {
            return crate::said::skip("the archive: this system's tar is not GNU tar");
        }
        let folder = tempfile::tempdir().unwrap();
        let mut all = members();
        all.insert(1, Member::file("LICENSE", 0o644, vec![b'l'; 11_358]));
        all.insert(2, Member::file("manifest.json", 0o600, vec![b'm'; 512]));
        all.push(Member::file(format!("html/{}", "x".repeat(95)), 0o644, "name of a hundred"));
        all.push(Member::file(format!("html/{}", "x".repeat(96)), 0o644, "one more"));
        for member in &all {
            let path = folder.path().join(&member.path);
            if member.is_folder() {
                std::fs::create_dir(&path).unwrap();
            } else {
                std::fs::write(&path, &member.bytes).unwrap();
            }
            std::fs::set_permissions(&path, PermissionsExt::from_mode(member.mode)).unwrap();
        }
        let top = all.iter().filter(|member| !member.path.trim_end_matches('/').contains('/'));
        let mut tar = std::process::Command::new("tar");
        tar.current_dir(&folder).args(["--exclude", "*~", "--format", "gnu", "--group", "0", "--owner", "0"]);
        tar.arg("--mtime").arg(format!("@{EPOCH}")).args(["--sort", "name", "--create", "--numeric-owner"]);
        tar.args(["--exclude-vcs", "--file", "-"]).args(top.map(|member| member.path.trim_end_matches('/')));
        let output = tar.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (theirs, ours) = (output.stdout, tar_of(&all, EPOCH).unwrap());
        let differs = theirs.iter().zip(&ours).position(|(a, b)| a != b);
        assert_eq!((differs, theirs.len()), (None, ours.len()), "at which byte, and how long");
        // A package is that archive, whichever way it was made small.
        for effort in [Effort::Quick, Effort::Smallest] {
            let mut unpacked = Vec::new();
            let package = write(&all, EPOCH, effort).unwrap();
            GzDecoder::new(package.as_slice()).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == theirs, "{effort:?}");
        }
    }

    #[test]
    fn what_no_tar_can_hold_is_refused() {
        for (path, mode, epoch) in [("", 0o644, 0), ("a\0b", 0o644, 0), ("a", 0o644, 1 << 40)] {
            assert!(write(&[Member::file(path, mode, "")], epoch, Effort::Quick).is_err(), "{path:?}");
        }
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
