//! How the ids of a commit are written to the changelog: many in one record.
//!
//! ```text
//! key    bucket i64 | first id | CRC-32 of the value
//! value  version u8 | count u32 | ids, 16 bytes each | source offsets, as varints of their differences
//! ```
//!
//! All big endian. The key is different for different content, or compaction would take one batch of
//! a bucket for a newer version of another.

/// Ids in one record: about 75 KB, far from every broker's limit on a record. Callers split.
pub(crate) const IDS_A_RECORD_MAX: usize = 4_096;

const VERSION: u8 = 1;
const KEY: usize = 28;
const ID: usize = 16;
const BEFORE_IDS: usize = 5;

/// An id, and the offset of the record that brought it.
pub(crate) type SeenAt = (u128, i64);

/// Why a batch cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    /// Of a later release.
    #[error(
        "a batch of version {0}; expected {VERSION}: start the release that wrote it, or a later one"
    )]
    Version(u8),
    /// Not what [`encode_batch`] wrote.
    #[error(
        "a record that is not a batch of seen ids ({0}): the changelog is damaged or another topic"
    )]
    Damaged(&'static str),
}

/// Key and value of the changelog record that holds ids of one bucket, at most
/// [`IDS_A_RECORD_MAX`].
pub(crate) fn encode_batch(bucket: i64, ids: &[SeenAt]) -> (Vec<u8>, Vec<u8>) {
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let mut value = Vec::with_capacity(ids.len() * (ID + 2) + BEFORE_IDS + 8);
    value.push(VERSION);
    value.extend_from_slice(&count.to_be_bytes());
    for (id, _) in ids {
        value.extend_from_slice(&id.to_be_bytes());
    }
    let mut before = 0_i64;
    for (_, offset) in ids {
        put_difference(&mut value, offset.wrapping_sub(before));
        before = *offset;
    }
    let mut key = Vec::with_capacity(KEY);
    key.extend_from_slice(&bucket.to_be_bytes());
    key.extend_from_slice(&first_of(ids));
    key.extend_from_slice(&crc32fast::hash(&value).to_be_bytes());
    (key, value)
}

/// The bucket and the ids of such a record, in the order they were given.
pub(crate) fn decode_batch(key: &[u8], value: &[u8]) -> Result<(i64, Vec<SeenAt>), BatchError> {
    let damaged = BatchError::Damaged;
    let (bucket, rest) = key.split_first_chunk().ok_or(damaged("a short key"))?;
    let (first, check) = rest.split_first_chunk().ok_or(damaged("a short key"))?;
    if check != crc32fast::hash(value).to_be_bytes() {
        return Err(damaged("its checksum does not fit"));
    }
    let (head, rest) = value.split_first_chunk::<BEFORE_IDS>().ok_or(damaged("a short value"))?;
    let [version, count @ ..] = *head;
    if version != VERSION {
        return Err(BatchError::Version(version));
    }
    let count = usize::try_from(u32::from_be_bytes(count)).unwrap_or(usize::MAX);
    let length = count.saturating_mul(ID);
    let (ids, mut offsets) = rest.split_at_checked(length).ok_or(damaged("too few ids"))?;
    let mut batch = Vec::with_capacity(count);
    let mut before = 0_i64;
    for id in ids.as_chunks().0 {
        let (difference, rest) = take_difference(offsets).ok_or(damaged("too few offsets"))?;
        (before, offsets) = (before.wrapping_add(difference), rest);
        batch.push((u128::from_be_bytes(*id), before));
    }
    if !offsets.is_empty() || first_of(&batch) != *first {
        return Err(damaged("its key does not fit"));
    }
    Ok((i64::from_be_bytes(*bucket), batch))
}

fn first_of(ids: &[SeenAt]) -> [u8; ID] {
    ids.first().map(|(id, _)| id.to_be_bytes()).unwrap_or_default()
}

/// Zigzag, so that small differences of either sign are short, then LEB128.
fn put_difference(out: &mut Vec<u8>, difference: i64) {
    let mut bits = ((difference << 1) ^ (difference >> 63)).cast_unsigned();
    while bits >= 0x80 {
        out.push(bits.to_le_bytes()[0] | 0x80);
        bits >>= 7;
    }
    out.push(bits.to_le_bytes()[0]);
}

fn take_difference(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut bits = 0_u64;
    let mut rest = bytes;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        rest = after;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let difference = (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed();
            return Some((difference, rest));
        }
    }
    None
}
