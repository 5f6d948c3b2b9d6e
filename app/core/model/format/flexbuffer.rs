//! A bounds-checked reader of numbers in a FlexBuffers map: how TensorFlow Lite writes the options
//! of custom operators.
//!
//! Why not the `flexbuffers` crate: its reader indexes slices without a check in several places, so
//! a damaged file would end the process. The crate writes the maps that the tests read here.
//!
//! The format (<https://flatbuffers.dev/flatbuffers_flexbuffers_schemaless>): the last byte is the
//! width of the root in bytes, the byte before it the root's type (upper six bits) and the width of
//! what it refers to (lower two, as a power of two), and before that the root. A reference is an
//! offset subtracted from its own place. A map is a vector of values followed by their type bytes
//! and preceded by its length, the width of its keys vector and the offset to it; keys are
//! NUL-terminated.

const INT: u8 = 1;
const UINT: u8 = 2;
const FLOAT: u8 = 3;
const INDIRECT_INT: u8 = 6;
const INDIRECT_UINT: u8 = 7;
const INDIRECT_FLOAT: u8 = 8;
const MAP: u8 = 9;
const BOOL: u8 = 26;

/// Maps of custom operators have about ten entries; more than this is damage.
const MAX_ENTRIES: usize = 256;

/// A map whose parts all lie inside the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    bytes: &'a [u8],
    values: usize,
    width: usize,
    keys: usize,
    key_width: usize,
    len: usize,
}

fn unsigned(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let data = bytes.get(at..at.checked_add(width)?)?;
    Some(match width {
        1 => u64::from(data[0]),
        2 => u64::from(u16::from_le_bytes(data.try_into().ok()?)),
        4 => u64::from(u32::from_le_bytes(data.try_into().ok()?)),
        8 => u64::from_le_bytes(data.try_into().ok()?),
        _ => return None,
    })
}

/// Follows the reference of `width` bytes at `at`.
fn follow(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    at.checked_sub(usize::try_from(unsigned(bytes, at, width)?).ok()?)
}

fn number(bytes: &[u8], at: usize, width: usize, kind: u8) -> Option<f64> {
    let raw = unsigned(bytes, at, width)?;
    Some(match (kind, width) {
        (UINT | INDIRECT_UINT, _) => raw as f64,
        (BOOL, _) => f64::from(u8::from(raw != 0)),
        (INT | INDIRECT_INT, 1) => f64::from(raw as u8 as i8),
        (INT | INDIRECT_INT, 2) => f64::from(raw as u16 as i16),
        (INT | INDIRECT_INT, 4) => f64::from(raw as u32 as i32),
        (INT | INDIRECT_INT, 8) => raw as i64 as f64,
        (FLOAT | INDIRECT_FLOAT, 4) => f64::from(f32::from_bits(raw as u32)),
        (FLOAT | INDIRECT_FLOAT, 8) => f64::from_bits(raw),
        _ => return None,
    })
}

impl<'a> Map<'a> {
    /// The map that `bytes` hold; `None` where they hold anything else.
    pub fn root(bytes: &'a [u8]) -> Option<Self> {
        let root_width = usize::from(*bytes.last()?);
        let kind = *bytes.get(bytes.len().checked_sub(2)?)?;
        if kind >> 2 != MAP || !matches!(root_width, 1 | 2 | 4 | 8) {
            return None;
        }
        let width = 1usize << (kind & 3);
        let values = follow(bytes, (bytes.len() - 2).checked_sub(root_width)?, root_width)?;
        let key_width = usize::try_from(unsigned(bytes, values.checked_sub(2 * width)?, width)?).ok()?;
        let keys = follow(bytes, values.checked_sub(3 * width)?, width)?;
        let len = usize::try_from(unsigned(bytes, values.checked_sub(width)?, width)?).ok()?;
        let key_len = unsigned(bytes, keys.checked_sub(key_width)?, key_width)?;
        let fits = |from: usize, size: usize| from.checked_add(size).is_some_and(|end| end <= bytes.len());
        if len > MAX_ENTRIES
            || key_len != len as u64
            || !fits(values, len * (width + 1))
            || !fits(keys, len * key_width)
        {
            return None;
        }
        Some(Self { bytes, values, width, keys, key_width, len })
    }

    /// The number (or boolean, as 0 or 1) stored under `key`.
    pub fn number(&self, key: &str) -> Option<f64> {
        let index = (0..self.len).find(|&index| {
            follow(self.bytes, self.keys + index * self.key_width, self.key_width)
                .and_then(|at| self.bytes.get(at..))
                .and_then(|rest| rest.strip_prefix(key.as_bytes()))
                .is_some_and(|rest| rest.first() == Some(&0))
        })?;
        let packed = *self.bytes.get(self.values + self.len * self.width + index)?;
        let at = self.values + index * self.width;
        match packed >> 2 {
            kind @ (INDIRECT_INT | INDIRECT_UINT | INDIRECT_FLOAT) => {
                number(self.bytes, follow(self.bytes, at, self.width)?, 1 << (packed & 3), kind)
            }
            kind => number(self.bytes, at, self.width, kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let mut builder = flexbuffers::Builder::default();
        let mut map = builder.start_map();
        map.push("num_classes", 90i32);
        map.push("big", -100_000i64);
        map.push("u", 300u32);
        map.push("nms_iou_threshold", 0.6f32);
        map.push("use_regular_nms", true);
        map.push("name", "text");
        map.push("indirect", flexbuffers::IndirectFloat(0.25f64));
        map.end_map();
        builder.view().to_vec()
    }

    #[test]
    fn numbers_of_every_type_are_read() {
        let bytes = sample();
        let map = Map::root(&bytes).unwrap();
        assert_eq!(map.number("num_classes"), Some(90.0));
        assert_eq!(map.number("big"), Some(-100_000.0));
        assert_eq!(map.number("u"), Some(300.0));
        assert_eq!(map.number("nms_iou_threshold"), Some(f64::from(0.6f32)));
        assert_eq!(map.number("use_regular_nms"), Some(1.0));
        assert_eq!(map.number("indirect"), Some(0.25));
        assert_eq!(map.number("name"), None);
        assert_eq!(map.number("num"), None);
        assert_eq!(map.number("absent"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn damage_never_panics(cut in 0usize..200, at in 0usize..200, value in any::<u8>()) {
            let mut bytes = sample();
            let len = bytes.len();
            bytes[at % len] = value;
            bytes.drain(..cut % len / 4);
            if let Some(map) = Map::root(&bytes) {
                for key in ["num_classes", "big", "u", "indirect", "nms_iou_threshold", ""] {
                    let _ = map.number(key);
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), tail in 36u8..40, width in 0u8..9) {
            let mut bytes = bytes;
            bytes.extend([tail, width]);
            if let Some(map) = Map::root(&bytes) {
                let _ = (map.number(""), map.number("a"));
            }
        }
    }
}
