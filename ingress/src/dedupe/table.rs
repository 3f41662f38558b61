//! A set of entries of 24 bytes, found by key, that wastes little of the memory it takes.
//!
//! Keys are hashes, so a key's place follows from its size: entries lie in ascending order of their
//! keys, each at its place or as soon after it as there is room. A search ends at the first larger
//! key. With up to 15 of 16 places taken that is some ten comparisons, next to each other in memory.

/// Places kept free behind the last, for entries that are pushed beyond it.
const SLACK: usize = 64;

/// The smallest capacity that is allocated.
const CAPACITY_MIN: usize = 32;

/// An entry: a key of 128 bits, of which the first are the most significant, and 64 bits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    key: [u64; 2],
    pub(super) note: u64,
}

/// No hash that anybody has seen.
const FREE: Entry = Entry { key: [0, 0], note: 0 };

impl Entry {
    pub(super) fn new(key: u128, note: u64) -> Self {
        let [high, low] = split(key);
        Self { key: [high, low], note }
    }

    fn is_free(&self) -> bool {
        self.key == FREE.key
    }

    /// The key's last byte.
    pub(super) fn last_byte(&self) -> u8 {
        let [.., last] = self.key[1].to_be_bytes();
        last
    }

    /// Its bytes in a file: key and note, each with the most significant byte first.
    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let [high, low] = self.key;
        let mut bytes = [0; ENTRY_BYTES];
        for (to, from) in bytes.chunks_exact_mut(8).zip([high, low, self.note]) {
            to.copy_from_slice(&from.to_be_bytes());
        }
        bytes
    }

    /// The entry of such bytes.
    pub(super) fn from_bytes(bytes: [u8; ENTRY_BYTES]) -> Self {
        let mut words = [0; 3];
        let (eights, _) = bytes.as_chunks::<8>();
        for (to, from) in words.iter_mut().zip(eights) {
            *to = u64::from_be_bytes(*from);
        }
        let [high, low, note] = words;
        Self { key: [high, low], note }
    }
}

/// Bytes of an entry in a file.
pub(super) const ENTRY_BYTES: usize = 24;

/// Room for so many entries, and some more.
fn capacity_for(entries: usize) -> usize {
    entries.saturating_add(entries / 8).max(CAPACITY_MIN)
}

fn split(key: u128) -> [u64; 2] {
    let bytes = key.to_be_bytes();
    let half = |half: Option<&[u8; 8]>| u64::from_be_bytes(half.copied().unwrap_or_default());
    [half(bytes.first_chunk()), half(bytes.last_chunk())]
}

/// The set.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Entry>,
    capacity: usize,
    len: usize,
}

impl Table {
    /// Where the entry of a key should be.
    fn home(key: u64, capacity: usize) -> usize {
        let scaled = (u128::from(key) * u128::from(u64::try_from(capacity).unwrap_or(0))) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    /// The first place that is free or holds no smaller key.
    fn place(&self, key: [u64; 2]) -> usize {
        let home = Self::home(key[0], self.capacity);
        let rest = self.slots.get(home..).unwrap_or_default();
        let smaller = rest.iter().take_while(|slot| !slot.is_free() && slot.key < key).count();
        home.saturating_add(smaller)
    }

    pub(super) fn get_mut(&mut self, key: u128) -> Option<&mut Entry> {
        let key = split(key);
        let place = self.place(key);
        self.slots.get_mut(place).filter(|slot| slot.key == key)
    }

    /// The table of entries in ascending order of their keys; `None` when they are in another.
    pub(super) fn from_sorted(entries: &[Entry]) -> Option<Self> {
        if entries.is_empty() {
            return Some(Self::default());
        }
        if !entries.is_sorted_by(|a, b| a.key < b.key) || entries.iter().any(Entry::is_free) {
            return None;
        }
        let mut table = Self::default();
        table.fill(capacity_for(entries.len()), entries.iter());
        Some(table)
    }

    /// Every entry, in ascending order of keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter(|slot| !slot.is_free())
    }

    /// Puts an entry in, in the place of another of its key.
    pub(super) fn insert(&mut self, entry: Entry) {
        if self.len.saturating_add(1).saturating_mul(16) > self.capacity.saturating_mul(15) {
            self.grow();
        }
        while !self.put(entry) {
            self.grow();
        }
    }

    /// False when there is no room behind its place.
    fn put(&mut self, entry: Entry) -> bool {
        let place = self.place(entry.key);
        let rest = self.slots.get_mut(place..).unwrap_or_default();
        if let Some(slot) = rest.first_mut().filter(|slot| slot.key == entry.key) {
            *slot = entry;
            return true;
        }
        let Some(free) = rest.iter().position(Entry::is_free) else { return false };
        let Some(run) = rest.get_mut(..=free) else { return false };
        run.rotate_right(1);
        if let Some(slot) = run.first_mut() {
            *slot = entry;
        }
        self.len = self.len.saturating_add(1);
        true
    }

    /// An eighth at a time: doubling would waste a third of the memory on average.
    fn grow(&mut self) {
        let more = (self.capacity / 8).max(CAPACITY_MIN);
        self.rebuild(self.capacity.saturating_add(more), |_| true);
    }

    /// Keeps only some entries, in no more memory than they need.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Entry) -> bool) {
        let kept = self.slots.iter().filter(|slot| !slot.is_free() && is_kept(slot)).count();
        if kept == self.len {
            return;
        }
        if kept == 0 {
            *self = Self::default();
            return;
        }
        self.rebuild(capacity_for(kept), is_kept);
    }

    fn rebuild(&mut self, capacity: usize, is_kept: impl Fn(&Entry) -> bool) {
        let old = std::mem::take(&mut self.slots);
        self.fill(capacity, old.iter().filter(|slot| !slot.is_free() && is_kept(slot)));
    }

    /// Holds these entries, which come in ascending order, and no others.
    fn fill<'a>(&mut self, capacity: usize, entries: impl Iterator<Item = &'a Entry>) {
        let size = capacity.saturating_add(SLACK);
        let mut slots = Vec::with_capacity(size);
        self.len = 0;
        for entry in entries {
            let home = Self::home(entry.key[0], capacity);
            slots.resize(slots.len().max(home), FREE);
            slots.push(*entry);
            self.len = self.len.saturating_add(1);
        }
        slots.resize(slots.len().max(size), FREE);
        (self.slots, self.capacity) = (slots, capacity);
    }

    /// Bytes taken.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys that crowd in few places and at both ends.
    fn key() -> impl Strategy<Value = u128> {
        (prop_oneof![Just(0_u64), Just(u64::MAX), 0..4_u64, any::<u64>()], 1..40_u64)
            .prop_map(|(high, low)| u128::from(high) << 64 | u128::from(low))
    }

    proptest! {
        #[test]
        fn the_table_is_a_map_for_any_keys(
            steps in prop::collection::vec((key(), 0..100_u64), 1..600),
            limit in 0..120_u64,
        ) {
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            for (key, note) in &steps {
                table.insert(Entry::new(*key, *note));
                model.insert(*key, *note);
            }
            table.retain(|entry| entry.note < limit);
            model.retain(|_, note| *note < limit);
            prop_assert_eq!(table.len, model.len());
            for (key, _) in steps {
                let found = table.get_mut(key).map(|entry| entry.note);
                prop_assert_eq!(found, model.get(&key).copied());
            }
            let entries: Vec<_> = table.entries().copied().collect();
            let bytes = entries.iter().map(|entry| entry.to_bytes());
            let read: Vec<_> = bytes.map(Entry::from_bytes).collect();
            let mut again = Table::from_sorted(&read).unwrap();
            for (key, note) in model {
                prop_assert_eq!(again.get_mut(key).map(|entry| entry.note), Some(note));
            }
            prop_assert_eq!(again.entries().count(), entries.len());
        }
    }
}
