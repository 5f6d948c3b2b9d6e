//! Whether a file is as long as its container says: a cut-off copy plays to its cut and then ends like a
//! whole one, so it has to be asked for.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A file that is shorter than its container says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// Bytes that the container says there are.
    pub declared: u64,
    /// Bytes that there are.
    pub actual: u64,
}

/// Top-level boxes looked at; a real file has a handful, a fragmented one a few thousand.
const BOX_LIMIT: usize = 100_000;

/// `Some` where the file is an MP4, AVI or Matroska file (by its first bytes) that was cut off. Anything
/// else, and anything that cannot be read, is for the decoder to judge.
pub fn cut_off(path: &Path) -> Option<CutOff> {
    let mut file = File::open(path).ok()?;
    let actual = file.metadata().ok()?.len();
    let mut head = [0u8; 64];
    let read = file.read(&mut head).ok()?;
    let head = &head[..read];
    let declared = if head.get(4..8) == Some(b"ftyp") {
        boxes_end(&mut file, actual)?
    } else if head.get(..4) == Some(b"RIFF") {
        // RIFF: the size excludes the 8 bytes of its own head.
        u64::from(u32::from_le_bytes(head.get(4..8)?.try_into().ok()?)) + 8
    } else if head.get(..4) == Some(&[0x1A, 0x45, 0xDF, 0xA3]) {
        segment_end(head)?
    } else {
        return None;
    };
    (declared > actual).then_some(CutOff { declared, actual })
}

/// Where the last top-level box of an MP4 file ends (ISO/IEC 14496-12 §4.2).
fn boxes_end(file: &mut File, actual: u64) -> Option<u64> {
    let mut position = 0u64;
    for _ in 0..BOX_LIMIT {
        if position + 8 > actual {
            break;
        }
        file.seek(SeekFrom::Start(position)).ok()?;
        let mut head = [0u8; 16];
        file.read_exact(&mut head[..8]).ok()?;
        let size = match u32::from_be_bytes(head[..4].try_into().ok()?) {
            // To the end of the file.
            0 => return Some(actual),
            // A 64-bit size follows.
            1 => {
                file.read_exact(&mut head[8..]).ok()?;
                u64::from_be_bytes(head[8..].try_into().ok()?)
            }
            size => u64::from(size),
        };
        // Bytes that are no box: trailing padding of some cameras.
        if size < 8 || !head[4..8].iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Some(actual);
        }
        position = position.checked_add(size)?;
    }
    Some(position)
}

/// An EBML variable-length number and its length; `None` where it is cut or means "unknown".
fn ebml_size(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let mask = (1u64 << (7 * length)) - 1;
    let raw = bytes.get(..length)?.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)) & mask;
    (raw != mask).then_some((raw, length))
}

/// Where the segment of a Matroska file ends (RFC 9559 §4.5): after the EBML head comes one segment.
fn segment_end(head: &[u8]) -> Option<u64> {
    let (size, length) = ebml_size(head.get(4..)?)?;
    let start = 4 + length + usize::try_from(size).ok()?;
    if head.get(start..start.checked_add(4)?)? != [0x18, 0x53, 0x80, 0x67] {
        return None;
    }
    let (size, length) = ebml_size(head.get(start + 4..)?)?;
    (start as u64 + 4 + length as u64).checked_add(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(bytes: &[u8]) -> Option<CutOff> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip");
        std::fs::write(&path, bytes).unwrap();
        cut_off(&path)
    }

    fn mp4(mdat: u32, stored: usize) -> Vec<u8> {
        let mut bytes = b"\0\0\0\x10ftypisom\0\0\0\0".to_vec();
        bytes.extend(mdat.to_be_bytes());
        bytes.extend(b"mdat");
        bytes.resize(bytes.len() + stored, 0);
        bytes
    }

    #[test]
    fn mp4_boxes_are_added_up() {
        assert_eq!(judge(&mp4(108, 100)), None);
        assert_eq!(judge(&mp4(108, 60)), Some(CutOff { declared: 124, actual: 84 }));
        assert_eq!(judge(&mp4(0, 60)), None, "size 0 means to the end");
        let mut long = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01mdat".to_vec();
        long.extend(5000u64.to_be_bytes());
        assert_eq!(judge(&long), Some(CutOff { declared: 5016, actual: 32 }));
        let mut huge = long.clone();
        huge[24..32].copy_from_slice(&u64::MAX.to_be_bytes());
        assert_eq!(judge(&huge), None, "an impossible size is for the decoder to judge");
    }

    #[test]
    fn avi_and_matroska_say_their_size() {
        let avi = |size: u32| [b"RIFF".as_slice(), &size.to_le_bytes(), b"AVI LIST"].concat();
        assert_eq!(judge(&avi(8)), None);
        assert_eq!(judge(&avi(1000)), Some(CutOff { declared: 1008, actual: 16 }));
        let mkv = |size: &[u8]| {
            [&[0x1A, 0x45, 0xDF, 0xA3, 0x82, 0, 0, 0x18, 0x53, 0x80, 0x67], size, &[0; 10]].concat()
        };
        assert_eq!(judge(&mkv(&[0x8A])), None);
        assert_eq!(judge(&mkv(&[0x40, 0x64])), Some(CutOff { declared: 113, actual: 23 }));
        assert_eq!(
            judge(&mkv(&[0x01, 255, 255, 255, 255, 255, 255, 255])),
            None,
            "unknown size: a live recording"
        );
    }

    #[test]
    fn other_files_are_not_judged() {
        assert_eq!(judge(b"\xFF\xD8\xFF\xE0"), None);
        assert_eq!(judge(b""), None);
        assert_eq!(cut_off(Path::new("/nonexistent")), None);
    }
}
