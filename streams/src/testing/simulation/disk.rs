//! The state directory of a simulated task: what frames have left there, and from where a restore
//! has to read on.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::task::{Frame, Saved};

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) entries: BTreeMap<(usize, Bytes), Bytes>,
    /// Committed offset per input, as the last frame says.
    pub(super) sources: Vec<Option<i64>>,
    /// Per store, the changelog offset to read from.
    pub(super) positions: Vec<usize>,
    /// Ends that the next frame may name.
    pub(super) asked: Option<Vec<usize>>,
}

impl Disk {
    /// One commit.
    pub(super) fn save(&mut self, frame: Frame) {
        self.sources = frame.sources.iter().map(|p| p.as_ref().map(|p| p.offset)).collect();
        self.keep(frame.changes);
        if let Some(ends) = self.asked.take() {
            self.positions = ends;
        }
    }

    /// Changes, in order.
    pub(super) fn keep(&mut self, changes: impl IntoIterator<Item = Saved>) {
        for Saved { store, key, value } in changes {
            match value {
                Some(value) => drop(self.entries.insert((store, key), value)),
                None => drop(self.entries.remove(&(store, key))),
            }
        }
    }
}
