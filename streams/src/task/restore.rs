//! What of a changelog belongs to the state at the committed offset.

use bytes::Bytes;

use super::{SOURCE_HEADER, Task, changes::Applied};
use crate::{
    dedupe,
    record::{Position, RawRecord},
    store::State,
    topology::StoreKind,
};

/// A changelog record that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "the changelog record at {position} cannot be read ({reason}); it was not written by this \
     program: delete the changelog and the group's offsets to begin anew, or restore the topic"
)]
pub(crate) struct ChangelogError {
    position: Position,
    reason: String,
}

/// One entry of a changelog record, and whether it belongs to the committed state.
pub(crate) struct Entry {
    pub(crate) key: Bytes,
    pub(crate) value: Option<Bytes>,
    pub(crate) is_committed: bool,
}

/// The entries of a changelog record. Whether one belongs to the committed state: the record that
/// caused it lies below the committed offset of its partition, or is marked finished above it. What
/// is not is made again when the input is read again; taking it would let the state run ahead of
/// the outputs, and a deduplicating processor would then drop an input whose output never left. A
/// change without an input (a punctuation's), of an effect ledger, or written inside a transaction
/// always counts.
///
/// This needs the older value of a key to be there still, hence `min.compaction.lag.ms` on
/// changelogs: what a crash left above the committed offset is younger than the lag, so it has not
/// taken its predecessor away.
pub(crate) fn entries(
    record: &RawRecord,
    kind: StoreKind,
    is_handled: impl Fn(&Position) -> bool,
    mut visit: impl FnMut(Entry),
) -> Result<(), ChangelogError> {
    let Some(key) = &record.key else { return Ok(()) };
    let source = record.headers.text(SOURCE_HEADER).and_then(Position::parse);
    match kind {
        StoreKind::State | StoreKind::Ledger => visit(Entry {
            key: key.clone(),
            value: record.value.clone(),
            is_committed: kind == StoreKind::Ledger || source.is_none_or(|at| is_handled(&at)),
        }),
        StoreKind::Seen { .. } => {
            let value = record.value.as_deref().unwrap_or_default();
            let (bucket, ids) = dedupe::decode_batch(key, value).map_err(|error| {
                ChangelogError { position: record.position.clone(), reason: error.to_string() }
            })?;
            let bucket = Bytes::copy_from_slice(&bucket.to_be_bytes());
            for (id, offset) in ids {
                let at = source.as_ref().map(|source| Position { offset, ..source.clone() });
                visit(Entry {
                    key: Bytes::copy_from_slice(&id.to_be_bytes()),
                    value: Some(bucket.clone()),
                    is_committed: at.is_none_or(|at| is_handled(&at)),
                });
            }
        }
    }
    Ok(())
}

impl Task {
    /// A restored entry of a store, in the order of the changelog.
    pub(crate) fn restore(&mut self, store: usize, key: Bytes, value: Option<Bytes>) {
        match self.state.get_mut(store) {
            Some(State::KeyValue(entries)) => drop(entries.apply(key, value)),
            Some(State::Seen(seen)) => {
                let id = <[u8; 16]>::try_from(&*key).map(u128::from_be_bytes);
                let bucket = value.and_then(|bytes| <[u8; 8]>::try_from(&*bytes).ok());
                if let (Ok(id), Some(bucket)) = (id, bucket) {
                    seen.restore(i64::from_be_bytes(bucket), id);
                }
            }
            None => {}
        }
    }

    /// Forgets everything restored so far: what it was restored from is no good.
    pub(crate) fn forget(&mut self) {
        for (state, kind) in self.state.iter_mut().zip(&self.stores) {
            *state = State::new(kind.kind);
        }
    }

    /// A crash left a change of this key in the changelog that the restore left out. The value that
    /// counts is written behind it with the next commit, so that a later restore, for which the
    /// leftover lies below the committed offset, does not take it.
    pub(crate) fn correct(&mut self, store: usize, key: Bytes) {
        let Some(State::KeyValue(entries)) = self.state.get(store) else { return };
        let value = entries.get(&key).cloned();
        self.changes.push_back(Applied::correction(store, key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::entries;
    use crate::{
        record::{Headers, Position, RawRecord},
        task::SOURCE_HEADER,
        topology::StoreKind,
    };

    fn check(source: Option<&str>, kind: StoreKind, committed: i64, expect: bool) {
        let mut headers = Headers::new();
        if let Some(source) = source {
            headers.push(SOURCE_HEADER, source.to_owned());
        }
        let record = RawRecord {
            position: Position { topic: "c".into(), partition: 0, offset: 3 },
            timestamp: 0,
            key: Some("k".into()),
            value: Some("1".into()),
            headers,
        };
        let mut found = Vec::new();
        entries(&record, kind, |at| at.offset < committed, |entry| found.push(entry)).unwrap();
        assert_eq!(found.iter().map(|e| e.is_committed).collect::<Vec<_>>(), [expect]);
    }

    #[test]
    fn change_counts_when_its_input_is_below_the_committed_offset() {
        check(Some("topic/0/7"), StoreKind::State, 8, true);
        check(Some("topic/0/7"), StoreKind::State, 7, false);
        check(Some("topic/0/7"), StoreKind::Ledger, 7, true);
        check(None, StoreKind::State, 0, true);
    }
}
