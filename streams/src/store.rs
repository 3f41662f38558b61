//! State of a task, in memory.
//!
//! What survives the process is the task's changelog topics and, beside them, its state directory.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

use crate::{dedupe::Seen, record::Timestamp, topology::StoreKind};

/// A key-value store of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyValueStore {
    entries: BTreeMap<Bytes, Bytes>,
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
        self.entries.get(key)
    }

    /// Sets or deletes; the value there was comes back.
    pub(crate) fn apply(&mut self, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
        match value {
            Some(value) => self.entries.insert(key, value),
            None => self.entries.remove(&key),
        }
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
