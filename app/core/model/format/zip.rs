//! Reads the ZIP archive that TensorFlow Lite's metadata tools append to a model file: it holds the
//! label file.
//!
//! Source of the format: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central
//! directory) and 4.3.16 (end of central directory). Entries are stored or deflated; encryption,
//! ZIP64 and several disks are not read.

/// Entries looked at; a model carries one or two files.
const MAX_ENTRIES: usize = 64;

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, with folders.
    pub name: String,
    deflated: bool,
    packed: usize,
    /// Where its local header starts in the model file.
    header: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?)).ok()
}

/// The files of the archive at the end of `bytes`; none where there is no archive or a damaged one.
pub fn entries(bytes: &[u8]) -> Vec<Entry> {
    directory(bytes).unwrap_or_default()
}

fn directory(bytes: &[u8]) -> Option<Vec<Entry>> {
    // The end record is 22 bytes and a comment of at most 65535.
    let first = bytes.len().saturating_sub(22 + 65_535);
    let end = first + bytes.get(first..)?.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    let (count, size, offset) =
        (u16_at(bytes, end + 10)?, u32_at(bytes, end + 12)?, u32_at(bytes, end + 16)?);
    let mut at = end.checked_sub(size)?;
    // Offsets count from the start of the archive, which some tools take for the start of the model.
    let shift = at.checked_sub(offset)?;
    let mut found = Vec::new();
    for _ in 0..count.min(MAX_ENTRIES) {
        if bytes.get(at..)?.get(..4)? != b"PK\x01\x02" {
            break;
        }
        let (flags, method) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?);
        let (packed, header) = (u32_at(bytes, at + 20)?, u32_at(bytes, at + 42)?);
        let (name, extra, comment) =
            (u16_at(bytes, at + 28)?, u16_at(bytes, at + 30)?, u16_at(bytes, at + 32)?);
        let text = String::from_utf8_lossy(bytes.get(at + 46..at + 46 + name)?).into_owned();
        if flags & 1 == 0 && matches!(method, 0 | 8) {
            let header = header.checked_add(shift)?;
            found.push(Entry { name: text, deflated: method == 8, packed, header });
        }
        at += 46 + name + extra + comment;
    }
    Some(found)
}

/// The content of `entry`; `None` where it is damaged or larger than `limit` bytes.
pub fn unpack(bytes: &[u8], entry: &Entry, limit: usize) -> Option<Vec<u8>> {
    let header = entry.header;
    if bytes.get(header..)?.get(..4)? != b"PK\x03\x04" {
        return None;
    }
    let from = header + 30 + u16_at(bytes, header + 26)? + u16_at(bytes, header + 28)?;
    let data = bytes.get(from..from.checked_add(entry.packed)?)?;
    if entry.deflated {
        miniz_oxide::inflate::decompress_to_vec_with_limit(data, limit).ok()
    } else {
        (data.len() <= limit).then(|| data.to_vec())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An archive of one file, as the format's description says.
    pub(crate) fn archive(name: &str, content: &[u8], deflate: bool) -> Vec<u8> {
        let data = if deflate { miniz_oxide::deflate::compress_to_vec(content, 6) } else { content.to_vec() };
        let method = if deflate { 8u16 } else { 0 };
        let sizes = [0u32, data.len() as u32, content.len() as u32];
        let mut out = b"PK\x03\x04\x14\0\0\0".to_vec();
        out.extend(method.to_le_bytes());
        out.extend([0; 4]);
        sizes.iter().for_each(|v| out.extend(v.to_le_bytes()));
        out.extend((name.len() as u16).to_le_bytes());
        out.extend([0; 2]);
        out.extend(name.as_bytes());
        out.extend(&data);
        let directory = out.len();
        out.extend(b"PK\x01\x02\x14\0\x14\0\0\0");
        out.extend(method.to_le_bytes());
        out.extend([0; 4]);
        sizes.iter().for_each(|v| out.extend(v.to_le_bytes()));
        out.extend((name.len() as u16).to_le_bytes());
        out.extend([0; 16]);
        out.extend(name.as_bytes());
        let size = out.len() - directory;
        out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        out.extend((size as u32).to_le_bytes());
        out.extend((directory as u32).to_le_bytes());
        out.extend([0; 2]);
        out
    }

    #[test]
    fn stored_and_deflated_files_are_read_after_other_bytes() {
        for deflate in [false, true] {
            let mut bytes = b"a model before it".to_vec();
            bytes.extend(archive("labels.txt", b"person\ncar\n", deflate));
            let found = entries(&bytes);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].name, "labels.txt");
            assert_eq!(unpack(&bytes, &found[0], 100).unwrap(), b"person\ncar\n");
            assert_eq!(unpack(&bytes, &found[0], 5), None);
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bytes = archive("labels.txt", &vec![b'a'; 50_000_000], true);
        assert_eq!(unpack(&bytes, &entries(&bytes)[0], 1 << 20), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn damage_never_panics(flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8), deflate: bool) {
            let mut bytes = archive("labels.txt", b"person\ncar\nperson\ncar\n", deflate);
            let len = bytes.len();
            for (at, value) in flips {
                bytes[usize::from(at) % len] = value;
            }
            for entry in entries(&bytes) {
                let _ = unpack(&bytes, &entry, 1000);
            }
        }
    }
}
