//! How numbers, entries and [`Reflects`] are written: little endian, varints (LEB128) for lengths.

use std::io;

use super::{Entry, Reflects};

/// Inputs or stores one [`Reflects`] names at most: more than a sub-topology has, so that a damaged
/// count cannot ask for memory.
const NAMED_MAX: u64 = 1_024;

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0x7f) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0x7f));
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Appends bytes behind their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends an entry: store, key length, value length + 1 (0 deletes), key, value.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: Entry<'_>) {
    put_varint(out, u64::from(entry.store));
    put_length(out, entry.key.len());
    put_length(out, entry.value.map_or(0, |value| value.len().saturating_add(1)));
    out.extend_from_slice(entry.key);
    out.extend_from_slice(entry.value.unwrap_or_default());
}

/// Appends what a commit reflects.
pub(super) fn put_reflects(out: &mut Vec<u8>, reflects: &Reflects) -> io::Result<()> {
    for offsets in [&reflects.sources, &reflects.positions] {
        let count = u64::try_from(offsets.len()).unwrap_or(u64::MAX);
        if count > NAMED_MAX {
            let said = format!("{count} offsets to remember; expected {NAMED_MAX} at most");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
        }
        put_varint(out, count);
        for offset in offsets {
            out.push(u8::from(offset.is_some()));
            out.extend_from_slice(&offset.unwrap_or_default().to_le_bytes());
        }
    }
    out.extend_from_slice(&reflects.stream_time.to_le_bytes());
    out.extend_from_slice(&reflects.written_at.to_le_bytes());
    Ok(())
}

/// Bytes that are read from the front. Every method gives `None` when there are too few.
#[derive(Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// An entry as [`put_entry`] wrote it.
    pub(super) fn entry(&mut self) -> Option<Entry<'a>> {
        let store = u32::try_from(self.varint()?).ok()?;
        let (key, value) = (self.length()?, self.length()?);
        let key = self.take(key)?;
        let value = match value.checked_sub(1) {
            Some(length) => Some(self.take(length)?),
            None => None,
        };
        Some(Entry { store, key, value })
    }

    fn offsets(&mut self) -> Option<Vec<Option<i64>>> {
        let count = self.varint().filter(|count| *count <= NAMED_MAX)?;
        let mut offsets = Vec::new();
        for _ in 0..count {
            let known = self.u8()? != 0;
            let offset = self.i64()?;
            offsets.push(known.then_some(offset));
        }
        Some(offsets)
    }

    /// What [`put_reflects`] wrote.
    pub(super) fn reflects(&mut self) -> Option<Reflects> {
        let (sources, positions) = (self.offsets()?, self.offsets()?);
        let (stream_time, written_at) = (self.i64()?, self.i64()?);
        Some(Reflects { sources, positions, stream_time, written_at })
    }
}
