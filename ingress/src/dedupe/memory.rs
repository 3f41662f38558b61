//! The remembered ids, forgotten by age and, when there are too many, oldest first.
//!
//! An id takes 24 bytes: 128 bits of its own, 47 of its body, whether its record was read, and the
//! time it belongs to, as the number of a bucket. With the room that finding it needs, 27 bytes on
//! average. Time is forgotten a whole bucket at a time: that is one number, and the entries go when
//! their shard is next looked after.

mod copy;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use tokio::sync::oneshot;

pub(crate) use self::copy::Frame;
pub(super) use self::copy::Refill;
use super::table::{Entry, Table};
use super::{BodyPrint, EventKey, Fate};
use crate::metrics::DedupeMetrics;

/// The shortest span of a bucket of time.
const BUCKET_MS_MIN: i64 = 60_000;

/// Most buckets in a window, a quarter of those that 16 bits can tell apart: what is older than the
/// window must not look newer before it is gone.
const BUCKETS_MAX: i64 = 1 << 14;

/// A record may be so many buckets newer than the clock knew; of a newer one it is learnt that time
/// has passed.
const AHEAD_MAX: i64 = 1 << 13;

/// Ids are kept in so many tables, by their first byte, so that growing or cleaning one is short.
const SHARDS: usize = 256;

/// An event that is known.
pub(super) enum Seen<'a> {
    Remembered(BodyPrint),
    /// With those that wait for its fate beside the request that began it; as many as there are requests.
    Pending(BodyPrint, &'a mut Waiters),
}

pub(super) type Waiters = Vec<oneshot::Sender<Fate>>;

/// Takes the hash that a key is as it is.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What is remembered of an event: its body, 47 bits; whether its record was read from the topic and
/// not only acknowledged; the bucket it is in, modulo 2¹⁶.
#[derive(Clone, Copy)]
struct Note(u64);

impl Note {
    fn new(body: BodyPrint, read: bool, bucket: i64) -> Self {
        let [.., high, low] = bucket.to_be_bytes();
        let tag = u64::from(u16::from_be_bytes([high, low]));
        Self(body.0 << 17 | u64::from(read) << 16 | tag)
    }

    fn body(self) -> BodyPrint {
        BodyPrint(self.0 >> 17)
    }

    fn is_read(self) -> bool {
        self.0 >> 16 & 1 == 1
    }

    fn tag(self) -> usize {
        usize::try_from(self.0 & 0xffff).unwrap_or(0)
    }

    /// Whether its bucket is `first` or later.
    fn is_since(self, first: i64) -> bool {
        let tag = i64::try_from(self.tag()).unwrap_or(0);
        tag.wrapping_sub(first).rem_euclid(1 << 16) < 1 << 15
    }
}

#[derive(Debug, Default)]
struct Shard {
    table: Table,
    /// The first bucket when it was last cleaned.
    cleaned: i64,
}

impl Shard {
    fn clean(&mut self, first: i64) {
        if self.cleaned != first {
            self.table.retain(|entry| Note(entry.note).is_since(first));
            self.cleaned = first;
        }
    }
}

#[derive(Debug)]
pub(super) struct Memory {
    window_ms: i64,
    bucket_ms: i64,
    ids_max: usize,
    shards: Vec<Shard>,
    /// The shard to be looked after next.
    next: usize,
    /// The first bucket that is remembered.
    first: i64,
    /// Ids of before this time, milliseconds, were forgotten for want of room.
    evicted_to: i64,
    /// How many ids are in each bucket, and in all.
    buckets: BTreeMap<i64, usize>,
    ids: usize,
    pending: HashMap<EventKey, (BodyPrint, Waiters), BuildHasherDefault<AsItIs>>,
    metrics: DedupeMetrics,
}

impl Memory {
    pub(super) fn new(window_ms: i64, ids_max: usize, metrics: DedupeMetrics) -> Self {
        Self {
            window_ms,
            bucket_ms: BUCKET_MS_MIN.max(window_ms / BUCKETS_MAX + 1),
            ids_max,
            shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(),
            next: 0,
            first: 0,
            evicted_to: 0,
            buckets: BTreeMap::new(),
            ids: 0,
            pending: HashMap::default(),
            metrics,
        }
    }

    pub(super) fn find(&mut self, key: EventKey) -> Option<Seen<'_>> {
        if let Some(entry) = self.entry(key) {
            return Some(Seen::Remembered(Note(entry.note).body()));
        }
        let (body, waiters) = self.pending.get_mut(&key)?;
        Some(Seen::Pending(*body, waiters))
    }

    /// The entry of an id that is remembered.
    fn entry(&mut self, key: EventKey) -> Option<&mut Entry> {
        let first = self.first;
        let shard = self.shards.get_mut(shard(key))?;
        // Nobody asked for it for long: its oldest entries may soon look like new ones.
        if first.saturating_sub(shard.cleaned) > AHEAD_MAX {
            shard.clean(first);
        }
        shard.table.get_mut(place(key)).filter(|entry| Note(entry.note).is_since(first))
    }

    pub(super) fn begin(&mut self, key: EventKey, body: BodyPrint) {
        self.pending.insert(key, (body, Waiters::new()));
    }

    /// Its fate is known; gives those that wait for it.
    pub(super) fn end(&mut self, key: EventKey) -> Waiters {
        self.pending.remove(&key).map(|(_, waiters)| waiters).unwrap_or_default()
    }

    /// Remembers an accepted event. The first body seen for an id stays.
    pub(super) fn remember(&mut self, key: EventKey, body: BodyPrint, at: i64, read: bool) {
        let bucket = at.div_euclid(self.bucket_ms);
        let window = self.window_ms.div_euclid(self.bucket_ms);
        if bucket.saturating_sub(self.first) > window.saturating_add(AHEAD_MAX) {
            self.expire(at);
        }
        if let Some(entry) = self.entry(key) {
            let note = Note(entry.note);
            if read {
                entry.note |= 1 << 16;
            }
            if read && note.is_read() {
                self.metrics.raw_duplicates.inc();
            }
            return;
        }
        if bucket < self.first {
            return;
        }
        if let Some(shard) = self.shards.get_mut(shard(key)) {
            shard.table.insert(Entry::new(place(key), Note::new(body, read, bucket).0));
        }
        let count = self.buckets.entry(bucket).or_default();
        *count = count.saturating_add(1);
        self.ids = self.ids.saturating_add(1);
        while self.ids > self.ids_max {
            self.forget_oldest();
        }
        self.tidy();
    }

    /// Forgets every bucket that lies wholly outside the window at the time `now`.
    pub(super) fn expire(&mut self, now: i64) {
        let first = now.saturating_sub(self.window_ms).div_euclid(self.bucket_ms);
        if first <= self.first {
            return;
        }
        if first.saturating_sub(self.first) > AHEAD_MAX {
            // Longer than entries can tell: what is too old goes before the clock moves on.
            let (from, bound) = (self.first, first.saturating_sub(self.first));
            let kept = |entry: &Entry| {
                let [high, low] = [entry.note >> 8, entry.note].map(|part| part & 0xff);
                let tag = i64::try_from(high << 8 | low).unwrap_or(0);
                (bound..1 << 15).contains(&tag.wrapping_sub(from).rem_euclid(1 << 16))
            };
            for shard in &mut self.shards {
                shard.table.retain(kept);
                shard.cleaned = first;
            }
        }
        self.first = first;
        while let Some(bucket) = self.buckets.first_entry().filter(|it| *it.key() < first) {
            self.ids = self.ids.saturating_sub(bucket.remove());
        }
        self.tidy();
    }

    fn forget_oldest(&mut self) {
        let Some((bucket, count)) = self.buckets.pop_first() else { return };
        self.first = bucket.saturating_add(1);
        self.evicted_to = self.first.saturating_mul(self.bucket_ms);
        self.ids = self.ids.saturating_sub(count);
        self.metrics.evicted.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Looks after one shard, and says how many ids there are.
    fn tidy(&mut self) {
        self.next = self.next.saturating_add(1) % SHARDS;
        if let Some(shard) = self.shards.get_mut(self.next) {
            shard.clean(self.first);
        }
        self.metrics.ids.set(i64::try_from(self.ids).unwrap_or(i64::MAX));
    }

    /// Bytes that ids take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.bytes()).sum()
    }
}

/// The key as its table has it: the byte that all of a shard share comes last.
fn place(key: EventKey) -> u128 {
    key.0.rotate_left(8)
}

fn shard(key: EventKey) -> usize {
    let [first, ..] = key.0.to_be_bytes();
    usize::from(first)
}
