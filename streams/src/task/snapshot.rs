//! The committed state of a task, piece by piece, for its state directory.

use std::{collections::HashMap, ops::Bound};

use bytes::Bytes;

use super::{Saved, Task, changes::What};
use crate::{dedupe::Slice, store::State};

/// Where a snapshot has come to.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    store: usize,
    after: Option<Bytes>,
    slice: Option<Slice>,
}

impl Task {
    /// Hands about `max` entries of the committed state on; `false` when there are no more.
    ///
    /// What is in the stores and not committed is left out: a key that is about to change is given
    /// with the value it had. What is committed between two pieces is in the log that was begun with
    /// the snapshot, which is read after it.
    pub(crate) fn snapshot(
        &self,
        cursor: &mut Cursor,
        max: usize,
        visit: &mut dyn FnMut(Saved),
    ) -> bool {
        let Some(state) = self.state.get(cursor.store) else { return false };
        let is_finished = match state {
            State::KeyValue(entries) => {
                let before = self.values_before(cursor.store);
                let from = cursor.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
                // Those deleted since the last commit are in no range any more. They are given with
                // every piece: giving an entry twice does no harm.
                for (key, old) in before.iter().filter(|(key, _)| entries.get(key).is_none()) {
                    give(visit, cursor.store, key, *old);
                }
                let mut count = 0_usize;
                for (key, value) in entries.range(from, Bound::Unbounded).take(max) {
                    count = count.saturating_add(1);
                    let value = before.get(key).copied().unwrap_or(Some(value));
                    give(visit, cursor.store, key, value);
                    cursor.after = Some(key.clone());
                }
                count < max
            }
            State::Seen(seen) => {
                let fresh = self.fresh_ids(cursor.store);
                let next = seen.next_slice(cursor.slice);
                if let Some(slice) = next {
                    for id in seen.slice(slice).filter(|id| !fresh.contains(id)) {
                        visit(Saved {
                            store: cursor.store,
                            key: Bytes::copy_from_slice(&id.to_be_bytes()),
                            value: Some(Bytes::copy_from_slice(&slice.bucket().to_be_bytes())),
                        });
                    }
                    cursor.slice = Some(slice);
                }
                next.is_none()
            }
        };
        if is_finished {
            *cursor = Cursor { store: cursor.store.saturating_add(1), ..Cursor::default() };
        }
        true
    }

    /// Of every key that is about to change, the committed value.
    fn values_before(&self, of: usize) -> HashMap<&Bytes, Option<&Bytes>> {
        let mut before = HashMap::new();
        for applied in self.changes.iter().filter(|applied| applied.store == of) {
            if let What::Put { key, old, .. } = &applied.what {
                before.entry(key).or_insert(old.as_ref());
            }
        }
        before
    }

    fn fresh_ids(&self, of: usize) -> std::collections::HashSet<u128> {
        let changes = self.changes.iter().filter(|applied| applied.store == of);
        changes
            .filter_map(|applied| match applied.what {
                What::Saw { id, .. } => Some(id),
                What::Put { .. } => None,
            })
            .collect()
    }
}

fn give(visit: &mut dyn FnMut(Saved), store: usize, key: &Bytes, value: Option<&Bytes>) {
    if let Some(value) = value {
        visit(Saved { store, key: key.clone(), value: Some(value.clone()) });
    }
}
