//! The memory taken out and put back, a shard at a time, so that nobody waits long for either.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Memory, Note, SHARDS, Shard};
use crate::dedupe::table::{Entry, Table};

/// Values that the tag of an entry's bucket can have.
const TAGS: usize = 1 << 16;

/// What the entries of a copy are to be read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frame {
    /// Milliseconds of a bucket of time.
    pub(crate) bucket_ms: i64,
    /// The first bucket that is remembered.
    pub(crate) first: i64,
    /// How many ids there was room for.
    pub(crate) ids_max: usize,
    /// Ids of before this time, milliseconds, were forgotten for want of room.
    pub(crate) evicted_to: i64,
}

impl Memory {
    pub(in crate::dedupe) fn frame(&self) -> Frame {
        let Self { bucket_ms, first, ids_max, evicted_to, .. } = *self;
        Frame { bucket_ms, first, ids_max, evicted_to }
    }

    /// Appends the entries of one shard that are remembered; false when there is no such shard.
    pub(in crate::dedupe) fn copy_shard(&self, shard: usize, into: &mut Vec<Entry>) -> bool {
        let Some(shard) = self.shards.get(shard) else { return false };
        let remembered = |entry: &&Entry| Note(entry.note).is_since(self.first);
        into.extend(shard.table.entries().filter(remembered));
        true
    }

    /// Begins a memory of the same bounds that is filled from a copy, at the time `now`.
    pub(in crate::dedupe) fn refill(&self, from: Frame, now: i64) -> Refill {
        let start = from.first.saturating_mul(from.bucket_ms).div_euclid(self.bucket_ms);
        let oldest = now.saturating_sub(self.window_ms).div_euclid(self.bucket_ms);
        let first = start.max(oldest).max(0);
        let bucket_of = |tag: usize| {
            let tag = i64::try_from(tag).unwrap_or(0);
            let ahead = tag.wrapping_sub(from.first).rem_euclid(1 << 16);
            let bucket = (ahead < 1 << 15).then(|| from.first.saturating_add(ahead))?;
            // The last moment of the old bucket: rather a little longer than not long enough.
            let end = bucket.saturating_add(1).saturating_mul(from.bucket_ms).saturating_sub(1);
            let is_same = from.bucket_ms == self.bucket_ms;
            let bucket = if is_same { bucket } else { end.div_euclid(self.bucket_ms) };
            (first..first.saturating_add(1 << 15)).contains(&bucket).then_some(bucket)
        };
        Refill {
            shards: Vec::with_capacity(SHARDS),
            filling: Vec::new(),
            buckets: (0..TAGS).map(bucket_of).collect(),
            counts: vec![0; TAGS],
            first,
            evicted_to: from.evicted_to,
        }
    }

    /// Remembers what the copy held, and nothing else; false when it is out of order.
    pub(in crate::dedupe) fn replace(&mut self, mut refill: Refill) -> bool {
        while refill.shards.len() < SHARDS {
            if !refill.next_shard() {
                return false;
            }
        }
        let mut buckets: BTreeMap<i64, usize> = BTreeMap::new();
        for (bucket, count) in refill.buckets.iter().zip(&refill.counts) {
            if let (Some(bucket), 1..) = (bucket, *count) {
                let sum = buckets.entry(*bucket).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        self.ids = buckets.values().copied().fold(0, usize::saturating_add);
        (self.shards, self.buckets) = (refill.shards, buckets);
        (self.first, self.evicted_to) = (refill.first, refill.evicted_to);
        while self.ids > self.ids_max {
            self.forget_oldest();
        }
        self.tidy();
        true
    }
}

/// A memory that is being filled. Entries come as they were copied: shard by shard, each in
/// ascending order.
#[derive(Debug)]
pub(in crate::dedupe) struct Refill {
    shards: Vec<Shard>,
    filling: Vec<Entry>,
    /// The bucket that each tag of the copy stands for.
    buckets: Vec<Option<i64>>,
    counts: Vec<usize>,
    first: i64,
    evicted_to: i64,
}

impl Refill {
    /// Takes one entry; false when it is out of order.
    pub(in crate::dedupe) fn take(&mut self, mut entry: Entry) -> bool {
        while self.shards.len() < usize::from(entry.last_byte()) {
            if !self.next_shard() {
                return false;
            }
        }
        if self.shards.len() != usize::from(entry.last_byte()) {
            return false;
        }
        let note = Note(entry.note);
        let tag = note.tag();
        let Some(Some(bucket)) = self.buckets.get(tag) else { return true };
        entry.note = Note::new(note.body(), note.is_read(), *bucket).0;
        if let Some(count) = self.counts.get_mut(tag) {
            *count = count.saturating_add(1);
        }
        self.filling.push(entry);
        true
    }

    fn next_shard(&mut self) -> bool {
        let Some(table) = Table::from_sorted(&self.filling) else { return false };
        self.filling.clear();
        self.shards.push(Shard { table, cleaned: self.first });
        true
    }
}
