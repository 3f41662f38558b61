//! The transaction's side of a task: what it brings to a commit, and what an abort takes back.

use std::sync::Arc;

use super::{EntryId, Lanes, Order, Stage, Task, commit_point::CommitPoint};
use crate::{disposition::Failure, record::Timestamp};

impl Task {
    /// Whether there is anything to commit.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.changes.is_empty()
            || self.inputs.iter().any(|input| input.is_touched)
            || (self.is_transactional() && self.sends.len() > 0)
    }

    /// Whether something in the open transaction must not be committed.
    pub(crate) fn is_abort_wanted(&self) -> bool {
        self.is_abort_wanted
    }

    /// Holds still until the open transaction, which it has no part in, is decided.
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Sends what is left to send and holds still until the transaction is decided. What to commit
    /// comes back: per input, where something was finished. Where nothing was and a punctuation wrote
    /// all the same, what is committed already: the offsets are what the group is asked by, whether the
    /// partition is still ours, and what a successor waits for.
    pub(crate) fn prepare(&mut self) -> Vec<(usize, CommitPoint)> {
        self.is_held = true;
        self.send_changes(self.changes.len());
        let points = self.commit_points();
        if !points.is_empty() || (self.changes.is_empty() && self.sends.len() == 0) {
            return points;
        }
        let inputs = self.inputs.iter().enumerate();
        inputs.filter_map(|(index, input)| Some((index, input.committed.clone()?))).collect()
    }

    /// Sends the changes that would wait for the commit.
    pub(crate) fn send_waiting_changes(&mut self) {
        self.send_changes(self.changes.len());
    }

    /// The transaction is committed, with the points that `prepare` gave.
    pub(crate) fn transaction_committed(&mut self, points: Vec<(usize, CommitPoint)>) {
        self.is_held = false;
        self.sends.clear();
        self.handled.clear();
        for input in &mut self.inputs {
            input.serial.settle();
        }
        self.set_points(points);
        self.settle_changes(self.changes.len());
    }

    /// The transaction is aborted: stores know again what they knew before it, and its records are
    /// handled again, in their order. Answers that were there are used again, not asked for.
    pub(crate) fn transaction_aborted(&mut self, now: Timestamp) {
        self.is_held = false;
        self.is_abort_wanted = false;
        self.sends.clear();
        self.undo_changes();
        self.stream_time = self.committed_stream_time;
        for node in &mut self.nodes {
            let every = node.stream_every_ms.filter(|_| self.committed_stream_time > 0);
            node.stream_at = every.map(|every| super::after(self.committed_stream_time, every));
        }
        for (entry, call, answer) in std::mem::take(&mut self.held_answers) {
            self.answered_late(entry, call, answer);
        }
        for input in &mut self.inputs {
            let offsets = input.serial.reopen();
            input.buffered = input.buffered.saturating_add(offsets.len());
            input.offsets.reopen(offsets);
        }
        self.reopen_keyed();
        for input in &mut self.inputs {
            // A record that an earlier run had finished may have moved the watermark by itself.
            let committed = input.committed.as_ref().map(|point| point.offset);
            input.is_touched = input.offsets.watermark() != committed;
        }
        self.last_now = now;
    }

    fn reopen_keyed(&mut self) {
        let handled = std::mem::take(&mut self.handled);
        for (index, input) in self.inputs.iter_mut().enumerate() {
            input.ready.clear();
            let own = handled.iter().filter(|(_, entry)| entry.input == index);
            let offsets: Vec<i64> = own.map(|(_, entry)| entry.record.position.offset).collect();
            input.buffered = input.buffered.saturating_add(offsets.len());
            input.offsets.reopen(offsets);
        }
        self.entries.extend(handled);
        // Everything begins again, in the order of fetching; calls that are out stay out.
        self.lanes = Lanes::default();
        self.recording.clear();
        self.resting.clear();
        let mut ids: Vec<EntryId> = self.entries.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if matches!(std::mem::replace(&mut entry.stage, Stage::Waiting), Stage::Calling { .. })
            {
                entry.is_call_out = true;
            }
            if self.lanes.join(&entry.lane, id) {
                self.inputs[entry.input].ready.insert(id);
            }
        }
    }

    /// An answer to a call that was made before an abort, for a record that has not begun again.
    pub(super) fn answered_late(
        &mut self,
        id: EntryId,
        call: u32,
        answer: Result<crate::node::Opaque, Failure>,
    ) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.calls == call) else {
            return;
        };
        let node = &mut self.nodes[self.inputs[entry.input].node];
        node.in_flight = node.in_flight.saturating_sub(1);
        self.settings.metrics.calls_in_flight.with_label_values(&[&node.name]).dec();
        entry.is_call_out = false;
        entry.stage = Stage::Waiting;
        // A call that failed is made again, by the record itself.
        entry.answer = answer.ok();
    }

    /// The offsets that may be committed now, of inputs on which something was finished.
    pub(super) fn commit_points(&mut self) -> Vec<(usize, CommitPoint)> {
        let stream_time = self.stream_time;
        let mut points = Vec::new();
        for (index, input) in self.inputs.iter_mut().enumerate() {
            let Some(offset) = input.offsets.watermark().filter(|_| input.is_touched) else {
                continue;
            };
            input.is_touched = false;
            let finished = match input.order {
                Order::Partition => super::commit_point::FinishedAhead::default(),
                Order::Key => input.offsets.finished_ahead(),
            };
            points.push((index, CommitPoint { offset, finished, stream_time }));
        }
        points
    }

    pub(super) fn set_points(&mut self, points: Vec<(usize, CommitPoint)>) {
        for (index, point) in points {
            if let Some(input) = self.inputs.get_mut(index) {
                input.committed = Some(point);
            }
        }
    }

    /// The refusal of an earlier try of this record, once.
    pub(super) fn take_refusal(&mut self, input: usize, offset: i64) -> Option<Failure> {
        if self.refused.is_empty() { None } else { self.refused.remove(&(input, offset)) }
    }

    /// The broker will not have an output: its transaction is given up, and the record that wrote it
    /// goes to the dead letters in the next one.
    pub(super) fn refuse_in_transaction(
        &mut self,
        record: &Arc<crate::record::RawRecord>,
        failure: &Failure,
    ) {
        let topic = &record.position.topic;
        if let Some(input) = self.inputs.iter().position(|input| input.topic == *topic) {
            self.refused.insert((input, record.position.offset), failure.clone());
            self.is_abort_wanted = true;
        }
    }
}
