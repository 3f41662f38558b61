//! Local state: keyed bytes, ordered by key.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

/// A key-value store of one task, in memory; its changelog topic is what survives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyValueStore {
    entries: BTreeMap<Bytes, Bytes>,
}

/// One change of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Index of the store in its sub-topology.
    pub(crate) store: usize,
    /// Key.
    pub(crate) key: Bytes,
    /// New value; `None` deletes.
    pub(crate) value: Option<Bytes>,
}

impl KeyValueStore {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.entries.get(key)
    }

    /// Sets or deletes.
    pub(crate) fn apply(&mut self, key: Bytes, value: Option<Bytes>) {
        match value {
            Some(value) => self.entries.insert(key, value),
            None => self.entries.remove(&key),
        };
    }

    /// Entries between the bounds, in the order of their keys.
    pub(crate) fn range(
        &self,
        from: Bound<Bytes>,
        to: Bound<Bytes>,
    ) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.range((from, to))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
