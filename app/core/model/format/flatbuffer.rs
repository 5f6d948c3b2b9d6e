//! A bounds-checked reader of FlatBuffers, just large enough for TensorFlow Lite files.
//!
//! Why not the `flatbuffers` crate: it is made for generated accessors, and without a schema
//! compiler's output its tables can only be read through `unsafe` functions that trust the bytes.
//! A model file comes from anywhere, so here every offset is checked before it is followed, nothing
//! is read twice for a size, and no loop runs further than the file has bytes.
//!
//! The format (<https://flatbuffers.dev/internals>): all numbers little-endian. At byte 0 an
//! unsigned 32-bit offset to the root table. A table starts with a signed 32-bit offset, subtracted
//! from the table's place, to its vtable: its own size and the table's size in bytes (u16 each),
//! then one u16 per field, the field's place in the table or 0 where it is left out. Vectors and
//! strings are a u32 count and the elements; tables, vectors and strings inside a table are unsigned
//! 32-bit offsets from the field's own place.

use std::fmt;

/// Why bytes are no FlatBuffer: what was read, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What does not fit.
    pub what: &'static str,
    /// The byte it was expected at.
    pub at: usize,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Damage {}

/// What every access returns.
pub type Read<T> = Result<T, Damage>;

fn array<const N: usize>(bytes: &[u8], at: usize, what: &'static str) -> Read<[u8; N]> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(Damage { what, at })
}

fn u16_at(bytes: &[u8], at: usize, what: &'static str) -> Read<u16> {
    Ok(u16::from_le_bytes(array(bytes, at, what)?))
}

fn u32_at(bytes: &[u8], at: usize, what: &'static str) -> Read<u32> {
    Ok(u32::from_le_bytes(array(bytes, at, what)?))
}

/// Follows the unsigned offset stored at `at`.
fn follow(bytes: &[u8], at: usize, what: &'static str) -> Read<usize> {
    let offset = u32_at(bytes, at, what)? as usize;
    match at.checked_add(offset) {
        Some(target) if offset != 0 && target < bytes.len() => Ok(target),
        _ => Err(Damage { what, at }),
    }
}

/// A table whose vtable lies inside the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    vtable: usize,
    vtable_size: usize,
    size: usize,
}

impl<'a> Table<'a> {
    /// The table that the offset at byte 0 leads to.
    ///
    /// # Errors
    /// Where the offset, the table or its vtable leaves `bytes`.
    pub fn root(bytes: &'a [u8]) -> Read<Self> {
        Self::at(bytes, follow(bytes, 0, "the root table is missing")?)
    }

    fn at(bytes: &'a [u8], at: usize) -> Read<Self> {
        let what = "a table leaves the file";
        let damage = Damage { what, at };
        let back = i64::from(i32::from_le_bytes(array(bytes, at, what)?));
        let vtable = i64::try_from(at).ok().and_then(|at| at.checked_sub(back)).ok_or(damage)?;
        let vtable = usize::try_from(vtable).map_err(|_| damage)?;
        let vtable_size = usize::from(u16_at(bytes, vtable, what)?);
        let size = usize::from(u16_at(bytes, vtable.saturating_add(2), what)?);
        let inside = |from: usize, len: usize| from.checked_add(len).is_some_and(|end| end <= bytes.len());
        if vtable_size < 4 || size < 4 || !inside(vtable, vtable_size) || !inside(at, size) {
            return Err(damage);
        }
        Ok(Self { bytes, at, vtable, vtable_size, size })
    }

    /// Where the table starts in the file.
    pub fn place(&self) -> usize {
        self.at
    }

    /// Where the `width` bytes of field `index` are, `None` where the field is left out.
    fn field(&self, index: usize, width: usize) -> Read<Option<usize>> {
        let slot = 4 + 2 * index;
        if slot + 2 > self.vtable_size {
            return Ok(None);
        }
        let offset = usize::from(u16_at(self.bytes, self.vtable + slot, "a field leaves its table")?);
        if offset == 0 {
            return Ok(None);
        }
        if offset < 4 || offset + width > self.size {
            return Err(Damage { what: "a field leaves its table", at: self.at });
        }
        Ok(Some(self.at + offset))
    }

    fn scalar<const N: usize>(&self, index: usize) -> Read<Option<[u8; N]>> {
        match self.field(index, N)? {
            Some(at) => Ok(Some(array(self.bytes, at, "a number leaves the file")?)),
            None => Ok(None),
        }
    }

    /// An 8-bit unsigned field, 0 where left out.
    ///
    /// # Errors
    /// Where the field leaves its table.
    pub fn u8(&self, index: usize) -> Read<u8> {
        Ok(self.scalar::<1>(index)?.map_or(0, |b| b[0]))
    }

    /// A 32-bit unsigned field, 0 where left out.
    ///
    /// # Errors
    /// Where the field leaves its table.
    pub fn u32(&self, index: usize) -> Read<u32> {
        Ok(self.scalar(index)?.map_or(0, u32::from_le_bytes))
    }

    /// A 32-bit signed field, 0 where left out.
    ///
    /// # Errors
    /// Where the field leaves its table.
    pub fn i32(&self, index: usize) -> Read<i32> {
        Ok(self.scalar(index)?.map_or(0, i32::from_le_bytes))
    }

    /// A 64-bit unsigned field, 0 where left out.
    ///
    /// # Errors
    /// Where the field leaves its table.
    pub fn u64(&self, index: usize) -> Read<u64> {
        Ok(self.scalar(index)?.map_or(0, u64::from_le_bytes))
    }

    /// A table field.
    ///
    /// # Errors
    /// Where the field, its table or that table's vtable leaves the file.
    pub fn table(&self, index: usize) -> Read<Option<Table<'a>>> {
        match self.field(index, 4)? {
            Some(at) => Table::at(self.bytes, follow(self.bytes, at, "a table leaves the file")?).map(Some),
            None => Ok(None),
        }
    }

    /// A vector field of elements of `width` bytes; empty where left out.
    ///
    /// # Errors
    /// Where the field or any element leaves the file.
    pub fn vector(&self, index: usize, width: usize) -> Read<Vector<'a>> {
        let what = "a vector leaves the file";
        let Some(at) = self.field(index, 4)? else {
            return Ok(Vector { file: self.bytes, at: self.at, width, data: &[] });
        };
        let at = follow(self.bytes, at, what)?;
        let count = u32_at(self.bytes, at, what)? as usize;
        let from = at + 4;
        let data = count
            .checked_mul(width)
            .and_then(|len| from.checked_add(len))
            .and_then(|end| self.bytes.get(from..end))
            .ok_or(Damage { what, at })?;
        Ok(Vector { file: self.bytes, at: from, width, data })
    }

    /// A string field of at most `limit` bytes; empty where left out. Bytes that are no UTF-8 become
    /// replacement characters: names are for people.
    ///
    /// # Errors
    /// Where the string leaves the file or is longer than `limit`.
    pub fn string(&self, index: usize, limit: usize) -> Read<String> {
        let text = self.vector(index, 1)?;
        if text.data.len() > limit {
            return Err(Damage { what: "a name is too long", at: text.at });
        }
        Ok(String::from_utf8_lossy(text.data).into_owned())
    }
}

/// A vector whose elements all lie inside the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    file: &'a [u8],
    at: usize,
    width: usize,
    data: &'a [u8],
}

impl<'a> Vector<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.width.max(1)
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Where the first element is in the file.
    pub fn place(&self) -> usize {
        self.at
    }

    /// The elements as they are stored.
    pub fn bytes(&self) -> &'a [u8] {
        self.data
    }

    /// The elements as 32-bit integers; the vector must have been read with width 4.
    pub fn i32s(&self) -> impl ExactSizeIterator<Item = i32> + 'a {
        self.data.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b))
    }

    /// The elements as 32-bit floats; the vector must have been read with width 4.
    pub fn f32s(&self) -> impl ExactSizeIterator<Item = f32> + 'a {
        self.data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b))
    }

    /// The elements as 64-bit integers; the vector must have been read with width 8.
    pub fn i64s(&self) -> impl ExactSizeIterator<Item = i64> + 'a {
        self.data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b))
    }

    /// Element `index` as a table; the vector must have been read with width 4.
    ///
    /// # Errors
    /// Where there is no such element or its table leaves the file.
    pub fn table(&self, index: usize) -> Read<Table<'a>> {
        let what = "a number points past the end of a list";
        if index >= self.len() || self.width != 4 {
            return Err(Damage { what, at: self.at });
        }
        let at = self.at + 4 * index;
        Table::at(self.file, follow(self.file, at, "a table leaves the file")?)
    }

    /// The elements as tables; the vector must have been read with width 4.
    pub fn tables(self) -> impl Iterator<Item = Read<Table<'a>>> {
        (0..self.len()).map(move |index| self.table(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads everything a table can be asked for, two levels deep.
    fn walk(table: Table<'_>, depth: usize) {
        for index in 0..12 {
            let _ = (table.u8(index), table.u32(index), table.i32(index), table.u64(index));
            let _ = table.string(index, 100);
            for width in [1, 4, 8] {
                if let Ok(v) = table.vector(index, width) {
                    let _ = (v.i32s().count(), v.f32s().count(), v.i64s().count(), v.place(), v.is_empty());
                    assert!(v.bytes().len() == v.len() * width);
                    if depth > 0 {
                        v.tables().take(20).flatten().for_each(|t| walk(t, depth - 1));
                    }
                }
            }
            if let (Ok(Some(inner)), true) = (table.table(index), depth > 0) {
                walk(inner, depth - 1);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(table) = Table::root(&bytes) {
                walk(table, 2);
            }
        }

        #[test]
        fn small_numbers_never_panic(bytes in proptest::collection::vec(0u8..24, 0..200)) {
            // Small values make offsets that stay inside, so more of the code is reached.
            let mut bytes = bytes;
            for word in bytes.chunks_mut(4) {
                word.iter_mut().skip(1).for_each(|b| *b /= 23);
            }
            if let Ok(table) = Table::root(&bytes) {
                walk(table, 2);
            }
        }
    }

    #[test]
    fn a_table_by_hand_is_read() {
        // vtable at 4: size 8, table size 12, field 0 at +4, field 1 at +8; table at 12.
        let mut bytes = vec![12, 0, 0, 0, 8, 0, 12, 0, 4, 0, 8, 0];
        bytes.extend_from_slice(&8i32.to_le_bytes());
        bytes.extend_from_slice(&7u32.to_le_bytes());
        bytes.extend_from_slice(&4u32.to_le_bytes());
        bytes.extend_from_slice(&2u32.to_le_bytes());
        bytes.extend_from_slice(b"ok");
        let table = Table::root(&bytes).unwrap();
        assert_eq!(table.u32(0).unwrap(), 7);
        assert_eq!(table.string(1, 10).unwrap(), "ok");
        assert_eq!(table.string(1, 1).unwrap_err().what, "a name is too long");
        assert_eq!(table.u32(2).unwrap(), 0);
        assert!(table.table(2).unwrap().is_none());
        bytes.truncate(bytes.len() - 1);
        assert!(Table::root(&bytes).unwrap().string(1, 10).is_err());
    }
}
