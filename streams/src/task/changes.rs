//! What stores learned since the last commit: on its way to the changelog, the disk, or back.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{Command, Purpose, SOURCE_HEADER, Task, commit_point::CommitPoint};
use crate::{
    context::Writes,
    dedupe::{self, IDS_A_RECORD_MAX},
    record::{Headers, Outgoing, Position, RawRecord, Timestamp},
    store::{Change, State},
};

/// The source offset of a change that no record caused: below every offset.
const NO_SOURCE: i64 = i64::MIN;

/// Ids that go into one record: store, bucket, input.
type Batch = (usize, i64, Option<usize>);

/// A change that is in its store and not committed yet.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) store: usize,
    pub(super) what: What,
    /// Input and offset of the record that caused it; none for a punctuation.
    source: Option<(usize, i64)>,
    /// It is on its way to the changelog.
    is_sent: bool,
}

#[derive(Debug)]
pub(super) enum What {
    Put {
        key: Bytes,
        value: Option<Bytes>,
        /// What was there before.
        old: Option<Bytes>,
    },
    Saw {
        bucket: i64,
        id: u128,
    },
}

/// What one commit changed, for the task's state directory.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Per input, what is committed.
    pub(crate) sources: Vec<Option<CommitPoint>>,
    /// The task's stream time.
    pub(crate) stream_time: Timestamp,
    /// Store, key, value; in order.
    pub(crate) changes: Vec<Saved>,
}

/// A change as it is kept on disk.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Index of the store.
    pub(crate) store: usize,
    /// Key; of a dedupe store, the id's 16 bytes.
    pub(crate) key: Bytes,
    /// Value; of a dedupe store, the bucket's 8 bytes; `None` deletes.
    pub(crate) value: Option<Bytes>,
}

impl Applied {
    /// A value that is in its store already and has to be in the changelog too.
    pub(super) fn correction(store: usize, key: Bytes, value: Option<Bytes>) -> Self {
        let what = What::Put { key, old: value.clone(), value };
        Self { store, what, source: None, is_sent: false }
    }
}

impl Task {
    /// Makes what a call wrote happen: outputs and ledger entries at once; state changes in the store
    /// at once, in the changelog at once inside a transaction and otherwise with the next commit.
    pub(super) fn apply(&mut self, mut writes: Writes, record: Option<(usize, &Arc<RawRecord>)>) {
        for outgoing in writes.sends.drain(..) {
            self.send(outgoing, Purpose::Output(record.map(|(_, record)| Arc::clone(record))));
        }
        let source = record.map(|(input, record)| (input, record.position.offset));
        for change in writes.changes.drain(..) {
            self.apply_change(change, source);
        }
        self.spare_writes = writes;
    }

    fn apply_change(&mut self, change: Change, source: Option<(usize, i64)>) {
        let (store, what) = match change {
            Change::Put { store, key, value } => {
                let Some(State::KeyValue(entries)) = self.state.get_mut(store) else { return };
                let old = entries.apply(key.clone(), value.clone());
                (store, What::Put { key, value, old })
            }
            Change::Saw { store, id, timestamp } => {
                let Some(State::Seen(seen)) = self.state.get_mut(store) else { return };
                let bucket = seen.bucket_of(timestamp, self.last_now);
                seen.restore(bucket, id);
                (store, What::Saw { bucket, id })
            }
        };
        let mut applied = Applied { store, what, source, is_sent: false };
        let is_ledger = self.stores.get(store).is_some_and(|store| store.is_ledger);
        if is_ledger || self.is_transactional() {
            self.send_change(&mut applied);
        }
        self.changes.push_back(applied);
    }

    /// Sends what of the oldest `count` changes is not on its way yet, in order: a restore reads
    /// them in this order.
    pub(super) fn send_changes(&mut self, count: usize) {
        let mut changes = std::mem::take(&mut self.changes);
        let mut ids: BTreeMap<Batch, Vec<(u128, i64)>> = BTreeMap::new();
        for applied in changes.iter_mut().take(count).filter(|applied| !applied.is_sent) {
            if let What::Saw { bucket, id } = applied.what {
                applied.is_sent = true;
                let input = applied.source.map(|(input, _)| input);
                let offset = applied.source.map_or(NO_SOURCE, |(_, offset)| offset);
                ids.entry((applied.store, bucket, input)).or_default().push((id, offset));
            } else {
                self.send_change(applied);
            }
        }
        self.changes = changes;
        for ((store, bucket, input), ids) in ids {
            for ids in ids.chunks(IDS_A_RECORD_MAX) {
                self.send_ids(store, bucket, input, ids);
            }
        }
    }

    fn send_change(&mut self, applied: &mut Applied) {
        let What::Put { key, value, .. } = &applied.what else { return };
        let Some(store) = self.stores.get(applied.store) else { return };
        applied.is_sent = true;
        let mut headers = Headers::new();
        if !self.is_transactional()
            && let Some((input, offset)) = applied.source
        {
            headers.push(SOURCE_HEADER, self.position_of(input, offset).to_string());
        }
        let record = Outgoing {
            topic: Arc::clone(&store.topic),
            partition: Some(self.partition),
            key: Some(key.clone()),
            value: value.clone(),
            timestamp: None,
            headers,
        };
        self.send(record, Purpose::Changelog);
    }

    fn send_ids(&mut self, store: usize, bucket: i64, input: Option<usize>, ids: &[(u128, i64)]) {
        let Some(topic) = self.stores.get(store).map(|store| Arc::clone(&store.topic)) else {
            return;
        };
        let mut headers = Headers::new();
        if let (Some(input), Some((_, offset))) = (input, ids.last()) {
            headers.push(SOURCE_HEADER, self.position_of(input, *offset).to_string());
        }
        let (key, value) = dedupe::encode_batch(bucket, ids);
        let record = Outgoing {
            topic,
            partition: Some(self.partition),
            key: Some(key.into()),
            value: Some(value.into()),
            timestamp: None,
            headers,
        };
        self.send(record, Purpose::Changelog);
    }

    fn position_of(&self, input: usize, offset: i64) -> Position {
        let topic = self.inputs.get(input).map(|input| Arc::clone(&input.topic));
        Position { topic: topic.unwrap_or_else(|| "".into()), partition: self.partition, offset }
    }

    /// The oldest `count` changes are committed: they go to the disk, where there is one.
    pub(super) fn settle_changes(&mut self, count: usize) {
        self.committed_stream_time = self.stream_time;
        let count = count.min(self.changes.len());
        let mut settled: Vec<Applied> = self.changes.drain(..count).collect();
        if self.stores.iter().any(|store| store.is_ledger) {
            // A ledger's entries are in the changelog from the first moment on, so they count now.
            let is_ledger = |applied: &Applied| {
                self.stores.get(applied.store).is_some_and(|store| store.is_ledger)
            };
            let (ledger, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.changes).into_iter().partition(is_ledger);
            settled.extend(ledger);
            self.changes = rest.into();
        }
        if !self.settings.is_durable {
            self.expire();
            return;
        }
        let changes = settled
            .into_iter()
            .map(|applied| match applied.what {
                What::Put { key, value, .. } => Saved { store: applied.store, key, value },
                What::Saw { bucket, id } => Saved {
                    store: applied.store,
                    key: Bytes::copy_from_slice(&id.to_be_bytes()),
                    value: Some(Bytes::copy_from_slice(&bucket.to_be_bytes())),
                },
            })
            .collect();
        let sources = self.inputs.iter().map(|input| input.committed.clone()).collect();
        let stream_time = self.committed_stream_time;
        self.commands.push(Command::Save(Frame { sources, stream_time, changes }));
        self.expire();
    }

    /// Forgets ids whose time is over. Only what is committed decides, so that an abort cannot bring
    /// back a time at which they were still remembered.
    fn expire(&mut self) {
        for state in &mut self.state {
            if let State::Seen(seen) = state {
                seen.expire(self.committed_stream_time, self.last_now);
            }
        }
    }

    /// Takes every change back, the newest first.
    pub(super) fn undo_changes(&mut self) {
        while let Some(Applied { store, what, .. }) = self.changes.pop_back() {
            match (self.state.get_mut(store), what) {
                (Some(State::KeyValue(entries)), What::Put { key, old, .. }) => {
                    entries.apply(key, old);
                }
                (Some(State::Seen(seen)), What::Saw { bucket, id }) => {
                    seen.remove(bucket, id);
                }
                _ => {}
            }
        }
    }
}
