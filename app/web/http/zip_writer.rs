//! Writes a ZIP archive in memory, its files stored as they are: what is small needs no compressor in the program.
//!
//! Source of the format: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16
//! (end of central directory). `model/zip.rs` reads such archives.

use std::time::SystemTime;

use crate::base::time::timestamp;

/// Names are UTF-8 (APPNOTE 4.4.4, bit 11).
const UTF_8: u16 = 1 << 11;
/// The version that stored files need.
const VERSION: u16 = 20;

/// An archive that grows.
pub struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    files: u16,
    /// Time and date, as MS-DOS has them.
    time: [u16; 2],
}

/// CRC-32 as ZIP, PNG and Ethernet have it: reflected, polynomial 0x04C11DB7.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Two seconds are the finest step, 1980 the first year (APPNOTE 4.4.6).
fn dos_time(time: SystemTime) -> [u16; 2] {
    let text = timestamp(time);
    let number = |from: usize, to: usize| {
        text.get(from..to).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0)
    };
    let (year, month, day) = (number(0, 4).clamp(1980, 2107), number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    [(hour << 11) | (minute << 5) | (second / 2), ((year - 1980) << 9) | (month << 5) | day]
}

fn put16(to: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| to.extend(value.to_le_bytes()));
}

fn put32(to: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| to.extend(value.to_le_bytes()));
}

impl Archive {
    /// An empty archive whose files are of that time (UTC).
    pub fn new(time: SystemTime) -> Self {
        Self { bytes: Vec::new(), directory: Vec::new(), files: 0, time: dos_time(time) }
    }

    /// Adds a file. An archive has up to 65535 of them and 4 GiB in all; what is beyond is left out.
    pub fn add(&mut self, name: &str, content: &[u8]) {
        let offset = u32::try_from(self.bytes.len());
        let (Ok(offset), Ok(size), Ok(length)) =
            (offset, u32::try_from(content.len()), u16::try_from(name.len()))
        else {
            return;
        };
        let Some(files) = self.files.checked_add(1) else { return };
        self.files = files;
        // What the header before the file and the one in the directory have in common.
        let mut common = Vec::new();
        put16(&mut common, &[VERSION, UTF_8, 0, self.time[0], self.time[1]]);
        put32(&mut common, &[crc32(content), size, size]);
        put16(&mut common, &[length, 0]);
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&common);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(content);
        self.directory.extend(b"PK\x01\x02");
        put16(&mut self.directory, &[VERSION]);
        self.directory.extend(&common);
        put16(&mut self.directory, &[0, 0, 0]);
        put32(&mut self.directory, &[0, offset]);
        self.directory.extend(name.as_bytes());
    }

    /// The archive as a file.
    pub fn finish(mut self) -> Vec<u8> {
        let (offset, size) = (self.bytes.len(), self.directory.len());
        self.bytes.append(&mut self.directory);
        self.bytes.extend(b"PK\x05\x06");
        put16(&mut self.bytes, &[0, 0, self.files, self.files]);
        // Below 4 GiB: `add` sees to that for all but the last file, which has as little.
        put32(&mut self.bytes, &[u32::try_from(size).unwrap_or(0), u32::try_from(offset).unwrap_or(0)]);
        put16(&mut self.bytes, &[0]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    use crate::model::format::zip::{entries, unpack};

    #[test]
    fn checksums_and_times_are_the_formats() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        // 2026-11-22 13:00:01 UTC.
        let [time, date] = dos_time(UNIX_EPOCH + Duration::from_secs(1_795_352_401));
        assert_eq!((time >> 11, time >> 5 & 63, time & 31), (13, 0, 0));
        assert_eq!((date >> 9, date >> 5 & 15, date & 31), (46, 11, 22));
        assert_eq!(dos_time(UNIX_EPOCH)[1] >> 9, 0);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut archive = Archive::new(SystemTime::now());
        let files: [(&str, &[u8]); 3] = [("a.json", b"{}"), ("leer", b""), ("ä/b.txt", &[7; 100_000])];
        files.iter().for_each(|(name, content)| archive.add(name, content));
        let bytes = archive.finish();
        let found = entries(&bytes);
        assert_eq!(found.len(), 3);
        for (entry, (name, content)) in found.iter().zip(files) {
            assert_eq!(
                (entry.name.as_str(), unpack(&bytes, entry, 1 << 20).as_deref()),
                (name, Some(content))
            );
        }
        assert!(entries(&Archive::new(SystemTime::now()).finish()).is_empty());
    }
}
