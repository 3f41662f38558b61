//! State of a task, in memory.
//!
//! What survives the process is the task's changelog topics and, beside them, its state directory.

use std::{borrow::Borrow, cmp::Ordering, collections::BTreeMap, ops::Bound};

use bytes::Bytes;

use crate::{dedupe::Seen, record::Timestamp, topology::StoreKind};

/// A key-value store of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyValueStore {
    entries: BTreeMap<Sorted, Bytes>,
}

/// A key with its first eight bytes as a number, zeros behind a shorter one: most comparisons on the
/// way down the tree end there, without a visit to the key's own memory. The order is the bytes'.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sorted {
    start: u64,
    key: Bytes,
}

/// What a key is compared by, wherever its bytes are.
trait Comparable {
    fn parts(&self) -> (u64, &[u8]);
}

impl Sorted {
    fn new(key: Bytes) -> Self {
        Self { start: start(&key), key }
    }
}

fn start(key: &[u8]) -> u64 {
    let mut start = [0; 8];
    for (to, from) in start.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_be_bytes(start)
}

impl Comparable for Sorted {
    fn parts(&self) -> (u64, &[u8]) {
        (self.start, &self.key)
    }
}

impl Comparable for (u64, &[u8]) {
    fn parts(&self) -> (u64, &[u8]) {
        *self
    }
}

impl<'a> Borrow<dyn Comparable + 'a> for Sorted {
    fn borrow(&self) -> &(dyn Comparable + 'a) {
        self
    }
}

impl PartialEq for dyn Comparable + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Comparable + '_ {}

impl PartialOrd for dyn Comparable + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Comparable + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

/// One store of a task.
#[derive(Debug)]
pub(crate) enum State {
    /// Keys and values, ordered by the keys' bytes.
    KeyValue(KeyValueStore),
    /// Ids that were seen, in time buckets.
    Seen(Seen),
}

/// One change of a store, as a processor asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A key gets a value, or loses it (`None`).
    Put {
        /// Index of the store in its sub-topology.
        store: usize,
        /// Key.
        key: Bytes,
        /// New value.
        value: Option<Bytes>,
    },
    /// An id is seen for the first time.
    Saw {
        /// Index of the store in its sub-topology.
        store: usize,
        /// The id.
        id: u128,
        /// Its time, which decides how long it is remembered.
        timestamp: Timestamp,
    },
}

impl KeyValueStore {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let key: (u64, &[u8]) = (start(key), key);
        self.entries.get(&key as &dyn Comparable)
    }

    /// Sets or deletes; the value there was comes back.
    pub(crate) fn apply(&mut self, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
        match value {
            Some(value) => self.entries.insert(Sorted::new(key), value),
            None => self.entries.remove(&Sorted::new(key)),
        }
    }

    /// Entries between the bounds, in the order of their keys.
    pub(crate) fn range(
        &self,
        from: Bound<Bytes>,
        to: Bound<Bytes>,
    ) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let entries = self.entries.range((from.map(Sorted::new), to.map(Sorted::new)));
        entries.map(|(key, value)| (&key.key, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl State {
    /// An empty store.
    pub(crate) fn new(kind: StoreKind) -> Self {
        match kind {
            StoreKind::State | StoreKind::Ledger => Self::KeyValue(KeyValueStore::default()),
            StoreKind::Seen { window } => Self::Seen(Seen::new(window)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::KeyValue(entries) => entries.len(),
            Self::Seen(seen) => seen.len(),
        }
    }

    pub(crate) fn key_value(&self) -> Option<&KeyValueStore> {
        match self {
            Self::KeyValue(entries) => Some(entries),
            Self::Seen(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::KeyValueStore;

    fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
        // Few letters, zeros among them: many keys share their start, or are the start of others.
        let byte = prop_oneof![Just(0_u8), Just(1), Just(b'a'), Just(0xff)];
        proptest::collection::vec(proptest::collection::vec(byte, 0..12), 0..40)
    }

    proptest! {
        #[test]
        fn keys_are_found_and_stand_in_the_order_of_their_bytes(
            (kept, asked) in (keys(), keys()),
        ) {
            let mut store = KeyValueStore::default();
            for key in &kept {
                store.apply(Bytes::from(key.clone()), Some(Bytes::from(key.clone())));
            }
            let mut sorted = kept.clone();
            sorted.sort();
            sorted.dedup();
            let all = store.range(Bound::Unbounded, Bound::Unbounded);
            prop_assert_eq!(all.map(|(key, _)| key.to_vec()).collect::<Vec<_>>(), sorted.clone());
            for key in &asked {
                prop_assert_eq!(store.get(key).is_some(), sorted.contains(key));
                let from = store.range(Bound::Excluded(key.clone().into()), Bound::Unbounded);
                let expected: Vec<_> = sorted.iter().filter(|kept| *kept > key).cloned().collect();
                prop_assert_eq!(from.map(|(key, _)| key.to_vec()).collect::<Vec<_>>(), expected);
            }
            for key in &kept {
                store.apply(Bytes::from(key.clone()), None);
            }
            prop_assert_eq!(store.len(), 0);
        }
    }
}
