//! What a processor may do while it handles a record.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    fault::Fault,
    key::Key,
    processor::Value,
    record::{Headers, Outgoing, Position, Timestamp},
    store::{Change, KeyValueStore, State},
    topology::{DedupeStore, Sink, Store, StoreId},
    wire::Encoder,
};

/// Header that carries the position of the record everything downstream began with.
pub const ORIGIN_HEADER: &str = "__streams.origin";

/// A sink of a running task.
pub(crate) struct SinkState {
    pub(crate) topic: Arc<str>,
    pub(crate) encoder: Encoder,
}

/// What one call wrote; applied together or not at all.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub(crate) sends: Vec<Outgoing>,
    pub(crate) changes: Vec<Change>,
}

/// The connections of a node: indexes into its sub-topology.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    pub(crate) sub: usize,
    pub(crate) stores: Vec<usize>,
    pub(crate) sinks: Vec<usize>,
}

/// Which time brought a punctuation about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Punctuation {
    /// The wall clock: `punctuate_every`.
    WallClock,
    /// The records' own time: `punctuate_on_stream_time`.
    StreamTime,
}

/// Handed to every call of a processor.
pub struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) stream_time: Timestamp,
    pub(crate) origin: Option<(&'a Position, &'a Headers)>,
    pub(crate) run_id: Option<&'a str>,
    pub(crate) partition: i32,
    pub(crate) connections: &'a Connections,
    pub(crate) punctuation: Option<Punctuation>,
    pub(crate) stores: &'a [State],
    pub(crate) sinks: &'a mut [SinkState],
    pub(crate) writes: Writes,
}

impl Context<'_> {
    /// Wall-clock time. Take time from here, so that tests and replays decide it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Which time this punctuation comes from; `None` while a record is handled.
    pub fn punctuation(&self) -> Option<Punctuation> {
        self.punctuation
    }

    /// The highest time of the records this task has handled, this one included; 0 before the first.
    /// It is committed with the offsets, so a restart goes on from it.
    pub fn stream_time(&self) -> Timestamp {
        self.stream_time
    }

    /// The record being handled; `None` in a punctuation.
    pub fn position(&self) -> Option<&Position> {
        self.origin.map(|(position, _)| position)
    }

    /// Headers of the record being handled.
    pub fn headers(&self) -> Option<&Headers> {
        self.origin.map(|(_, headers)| headers)
    }

    /// The replay this is part of; `None` in live operation.
    pub fn run_id(&self) -> Option<&str> {
        self.run_id
    }

    /// The partition of this task: of its inputs and its stores.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Writes a record to a sink. The record keeps the input's headers and says where it began.
    ///
    /// Its time is that of its sending, not its input's: what a replay makes of old records would otherwise be
    /// old enough for its topic's retention to delete. Where a later step reckons with the event's own
    /// time, [`forward_at`](Self::forward_at) keeps it.
    pub fn forward<K: Key, V: Value>(
        &mut self,
        sink: &Sink<K, V>,
        key: &K,
        value: &V,
    ) -> Result<(), Fault> {
        self.forward_with(sink, key, value, None)
    }

    /// Writes a record to a sink with this time, in milliseconds since the Unix epoch: the time of the
    /// record being handled, say, so that stream time and dedupe windows behind it go by the events.
    /// The topic's retention counts from it, and a broker may refuse one too far ahead
    /// (`message.timestamp.after.max.ms`), which sends the input to the dead letters.
    pub fn forward_at<K: Key, V: Value>(
        &mut self,
        sink: &Sink<K, V>,
        key: &K,
        value: &V,
        timestamp: Timestamp,
    ) -> Result<(), Fault> {
        self.forward_with(sink, key, value, Some(timestamp))
    }

    fn forward_with<K: Key, V: Value>(
        &mut self,
        sink: &Sink<K, V>,
        key: &K,
        value: &V,
        timestamp: Option<Timestamp>,
    ) -> Result<(), Fault> {
        let id = sink.id();
        let is_connected =
            id.sub == self.connections.sub && self.connections.sinks.contains(&id.index);
        let state = self.sinks.get_mut(id.index).filter(|_| is_connected);
        let Some(state) = state else {
            return Err(Fault::NotConnected { name: sink.name().to_owned() });
        };
        let value = state
            .encoder
            .encode(value)
            .map_err(|source| Fault::Encode { topic: state.topic.to_string(), source })?;
        let topic = Arc::clone(&state.topic);
        let headers = self.outgoing_headers();
        self.writes.sends.push(Outgoing {
            topic,
            partition: None,
            key: Some(key.encode()),
            value: Some(value),
            timestamp,
            headers,
        });
        Ok(())
    }

    /// The value of a key.
    pub fn get<K: Key, V: Serialize + DeserializeOwned>(
        &self,
        store: &Store<K, V>,
        key: &K,
    ) -> Result<Option<V>, Fault> {
        let index = self.connected(store)?;
        let key = key.encode();
        let written = self.writes.changes.iter().rev().find_map(|change| match change {
            Change::Put { store, key: changed, value } if *store == index && *changed == key => {
                Some(value.as_ref())
            }
            _ => None,
        });
        let bytes = match written {
            Some(value) => value,
            None => self.entries(index).and_then(|entries| entries.get(&key)),
        };
        bytes.map(|bytes| read(store, bytes)).transpose()
    }

    /// Sets the value of a key.
    pub fn put<K: Key, V: Serialize + DeserializeOwned>(
        &mut self,
        store: &Store<K, V>,
        key: &K,
        value: &V,
    ) -> Result<(), Fault> {
        let index = self.connected(store)?;
        let value = serde_json::to_vec(value)
            .map_err(|source| Fault::State { store: store.name().to_owned(), source })?;
        let change = Change::Put { store: index, key: key.encode(), value: Some(value.into()) };
        self.writes.changes.push(change);
        Ok(())
    }

    /// Removes a key; nothing happens when it is not there.
    pub fn delete<K: Key, V: Serialize + DeserializeOwned>(
        &mut self,
        store: &Store<K, V>,
        key: &K,
    ) -> Result<(), Fault> {
        let index = self.connected(store)?;
        self.writes.changes.push(Change::Put { store: index, key: key.encode(), value: None });
        Ok(())
    }

    /// Entries from `from` to `to`, both included, in the order of the keys' bytes.
    pub fn range<K: Key, V: Serialize + DeserializeOwned>(
        &self,
        store: &Store<K, V>,
        from: &K,
        to: &K,
    ) -> Result<Vec<(K, V)>, Fault> {
        self.scan(store, &Bound::Included(from.encode()), &Bound::Included(to.encode()))
    }

    /// Every entry, in the order of the keys' bytes.
    pub fn all<K: Key, V: Serialize + DeserializeOwned>(
        &self,
        store: &Store<K, V>,
    ) -> Result<Vec<(K, V)>, Fault> {
        self.scan(store, &Bound::Unbounded, &Bound::Unbounded)
    }

    fn scan<K: Key, V: Serialize + DeserializeOwned>(
        &self,
        store: &Store<K, V>,
        from: &Bound<Bytes>,
        to: &Bound<Bytes>,
    ) -> Result<Vec<(K, V)>, Fault> {
        let index = self.connected(store)?;
        if let (Bound::Included(from), Bound::Included(to)) = (from, to)
            && from > to
        {
            return Ok(Vec::new());
        }
        let mut found: BTreeMap<&Bytes, &Bytes> = self
            .entries(index)
            .map(|entries| entries.range(from.clone(), to.clone()).collect())
            .unwrap_or_default();
        let bounds = (from.clone(), to.clone());
        for change in &self.writes.changes {
            let Change::Put { store, key, value } = change else { continue };
            let is_in = *store == index && std::ops::RangeBounds::contains(&bounds, key);
            match (value, is_in) {
                (Some(value), true) => drop(found.insert(key, value)),
                (None, true) => drop(found.remove(key)),
                (_, false) => {}
            }
        }
        found
            .into_iter()
            .map(|(key, value)| {
                let key = K::decode(key)
                    .map_err(|source| Fault::StateKey { store: store.name().to_owned(), source })?;
                Ok((key, read(store, value)?))
            })
            .collect()
    }

    /// Whether `id` is seen for the first time within the store's window; remembers it when it is.
    /// `timestamp` (the record's, say) decides how long it is remembered: the window of the store,
    /// measured in stream time, dropped in buckets of an eighth of it. Of a time ahead of the wall clock
    /// an hour counts (of windows under eight hours, an eighth), so that one record from the far future
    /// does not make all others look old.
    ///
    /// Ids are compared by the first 128 bits of their SHA-256.
    pub fn first_sight(
        &mut self,
        store: &DedupeStore,
        id: impl AsRef<[u8]>,
        timestamp: Timestamp,
    ) -> Result<bool, Fault> {
        let index = self.connected_id(store.id(), store.name())?;
        let id = crate::dedupe::id_of(id.as_ref());
        let is_known = self.knows(index, id);
        if !is_known {
            self.writes.changes.push(Change::Saw { store: index, id, timestamp });
        }
        Ok(!is_known)
    }

    /// Whether `id` was seen within the store's window; remembers nothing. For what is done only when
    /// a call has been answered: ask here before it, and
    /// [`first_sight`](Self::first_sight) when it is complete.
    pub fn has_seen(&self, store: &DedupeStore, id: impl AsRef<[u8]>) -> Result<bool, Fault> {
        let index = self.connected_id(store.id(), store.name())?;
        Ok(self.knows(index, crate::dedupe::id_of(id.as_ref())))
    }

    fn knows(&self, index: usize, id: u128) -> bool {
        let is_kept =
            matches!(self.stores.get(index), Some(State::Seen(seen)) if seen.contains(id));
        let is_this = |change: &Change| matches!(change, Change::Saw { store, id: saw, .. } if *store == index && *saw == id);
        is_kept || self.writes.changes.iter().any(is_this)
    }

    fn entries(&self, index: usize) -> Option<&KeyValueStore> {
        self.stores.get(index).and_then(State::key_value)
    }

    fn connected<K, V>(&self, store: &Store<K, V>) -> Result<usize, Fault> {
        self.connected_id(store.id(), store.name())
    }

    fn connected_id(&self, id: StoreId, name: &str) -> Result<usize, Fault> {
        if id.sub == self.connections.sub && self.connections.stores.contains(&id.index) {
            Ok(id.index)
        } else {
            Err(Fault::NotConnected { name: name.to_owned() })
        }
    }

    fn outgoing_headers(&self) -> Headers {
        let Some((position, headers)) = self.origin else { return Headers::new() };
        let mut headers = headers.clone();
        if headers.last(ORIGIN_HEADER).is_none() {
            headers.push(ORIGIN_HEADER, position.to_string());
        }
        headers
    }
}

fn read<K, V: DeserializeOwned>(store: &Store<K, V>, bytes: &[u8]) -> Result<V, Fault> {
    serde_json::from_slice(bytes)
        .map_err(|source| Fault::State { store: store.name().to_owned(), source })
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
