//! Which ids were seen: the memory behind "never twice", for a window of stream time.
//!
//! Ids lie in buckets by the timestamp they came with, an eighth of the window long, and a bucket is
//! forgotten whole when the last moment in it is older than the window. So nothing is deleted one by
//! one, and an id is remembered for the window and up to an eighth more
//! (`id_is_known_for_the_window_and_forgotten_an_eighth_later`).
//!
//! Memory: 20 to 24 bytes an id.

use std::{collections::BTreeMap, ops::Bound, time::Duration};

use sha2::{Digest, Sha256};

mod batch;
mod ids;
#[cfg(test)]
mod tests;

pub(crate) use batch::{IDS_A_RECORD_MAX, decode_batch, encode_batch};

use ids::{Ids, SHARDS};

/// Buckets per window. More would forget more sharply, and every id is looked up in each.
const BUCKETS_PER_WINDOW: i64 = 8;

/// How far ahead of the wall clock a time is believed: further than the clocks of one system differ.
/// Of a window of less than eight hours it is an eighth of it.
const AHEAD_MAX_MS: i64 = 60 * 60 * 1_000;

/// The id of anything: the first 128 bits of its SHA-256. Two different ones that agree are not to be
/// found by accident (one chance in 10^20 among 10^9 ids), nor by intent.
pub(crate) fn id_of(bytes: &[u8]) -> u128 {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.first_chunk().map(|front| u128::from_be_bytes(*front)).unwrap_or_default()
}

/// A piece of the whole, for a snapshot that is written between commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slice {
    bucket: i64,
    shard: usize,
}

impl Slice {
    /// The bucket all ids of the slice are in.
    pub(crate) fn bucket(self) -> i64 {
        self.bucket
    }
}

/// The ids seen within a window of stream time.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Milliseconds.
    window: i64,
    /// Milliseconds one bucket spans.
    span: i64,
    /// Buckets before this one are forgotten.
    oldest: i64,
    buckets: BTreeMap<i64, Ids>,
}

impl Seen {
    /// Nothing seen yet. The window is counted in whole milliseconds.
    pub(crate) fn new(window: Duration) -> Self {
        let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let span = (window / BUCKETS_PER_WINDOW).max(1);
        Self { window, span, oldest: i64::MIN, buckets: BTreeMap::new() }
    }

    /// The bucket an id of this timestamp is remembered in, at this time of the wall clock (both
    /// milliseconds).
    ///
    /// One that is older than the window is remembered in the oldest bucket there is: a repetition
    /// that follows soon is still seen, and it takes memory no longer than the others of that bucket.
    /// One of the far future is remembered in the newest that the wall clock allows, and forgotten with
    /// it.
    pub(crate) fn bucket_of(&self, timestamp: i64, now: i64) -> i64 {
        self.believed(timestamp, now).div_euclid(self.span).max(self.oldest)
    }

    /// A time as far as it is believed. One record that was stamped with a year to come must not make
    /// everything else look old.
    fn believed(&self, time: i64, now: i64) -> i64 {
        time.min(now.saturating_add(self.span.min(AHEAD_MAX_MS)))
    }

    /// Whether the id is remembered. It is looked up in every bucket, since a repetition may come with
    /// another timestamp.
    pub(crate) fn contains(&self, id: u128) -> bool {
        self.buckets.values().rev().any(|ids| ids.contains(id))
    }

    /// Remembers an id in a bucket: that of its timestamp, or the one a changelog or a snapshot says.
    /// False when it is there already or the bucket is forgotten.
    pub(crate) fn restore(&mut self, bucket: i64, id: u128) -> bool {
        bucket >= self.oldest && self.buckets.entry(bucket).or_insert_with(Ids::new).insert(id)
    }

    /// Takes back an insertion, from the bucket that [`bucket_of`](Self::bucket_of) gave for it.
    pub(crate) fn remove(&mut self, bucket: i64, id: u128) {
        let Some(ids) = self.buckets.get_mut(&bucket) else { return };
        ids.remove(id);
        if ids.len() == 0 {
            self.buckets.remove(&bucket);
        }
    }

    /// Forgets the buckets that are older than the window at this stream time, at this time of the wall
    /// clock (both milliseconds). Time that went back is ignored. Gives how many ids were forgotten.
    ///
    /// Stream time ahead of the wall clock counts for an hour at most, so that an id that comes with
    /// the right time is remembered for seven eighths of the window whatever others bring.
    pub(crate) fn expire(&mut self, stream_time: i64, now: i64) -> usize {
        let stream_time = self.believed(stream_time, now);
        let oldest = stream_time.saturating_sub(self.window).div_euclid(self.span);
        self.oldest = self.oldest.max(oldest);
        let live = self.buckets.split_off(&self.oldest);
        std::mem::replace(&mut self.buckets, live).values().map(Ids::len).sum()
    }

    /// Ids remembered.
    pub(crate) fn len(&self) -> usize {
        self.buckets.values().map(Ids::len).sum()
    }

    /// The bucket after this one; the oldest after `None`.
    fn bucket_after(&self, after: Option<i64>) -> Option<i64> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Some(*self.buckets.range((from, Bound::Unbounded)).next()?.0)
    }

    /// The slice after this one; the first after `None`. Going from slice to slice visits every id that
    /// is there all the while, whatever is inserted, removed or expired in between.
    pub(crate) fn next_slice(&self, after: Option<Slice>) -> Option<Slice> {
        let bucket = match after {
            None => self.bucket_after(None)?,
            Some(Slice { bucket, shard })
                if shard + 1 < SHARDS && self.buckets.contains_key(&bucket) =>
            {
                return Some(Slice { bucket, shard: shard + 1 });
            }
            Some(Slice { bucket, .. }) => self.bucket_after(Some(bucket))?,
        };
        Some(Slice { bucket, shard: 0 })
    }

    /// The ids of a slice: a 256th of its bucket.
    pub(crate) fn slice(&self, slice: Slice) -> impl Iterator<Item = u128> + '_ {
        self.buckets.get(&slice.bucket).into_iter().flat_map(move |ids| ids.shard(slice.shard))
    }
}
