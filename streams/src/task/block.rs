//! A record that holds a full partition up.

use super::{EntryId, Order, Stage, Task};
use crate::{
    disposition::{Disposition, Failure},
    record::Timestamp,
};

impl Task {
    /// Gives up the record at the head of an input that has been full for longer than its node allows
    /// without that record moving. Only where other keys could go on: in partition order, waiting
    /// is what was asked for.
    pub(super) fn unblock(&mut self, now: Timestamp) {
        for index in 0..self.inputs.len() {
            let input = &mut self.inputs[index];
            if !input.is_paused || input.order == Order::Partition || self.is_held {
                continue;
            }
            let Some(oldest) = input.offsets.oldest() else { continue };
            let since = match input.blocked {
                Some((offset, since)) if offset == oldest => since,
                _ => {
                    input.blocked = Some((oldest, now));
                    now
                }
            };
            let waited = now.saturating_sub(since);
            let limit = self.nodes[input.node].max_block_ms;
            if waited >= limit {
                input.blocked = None;
                self.give_up_blocker(index, oldest, waited, now);
            }
        }
    }

    fn give_up_blocker(&mut self, input: usize, offset: i64, waited: i64, now: Timestamp) {
        let found = self
            .entries
            .iter()
            .find(|(_, entry)| entry.input == input && entry.record.position.offset == offset);
        // One that has not begun is not the one that holds the others up.
        let began = found.filter(|(_, entry)| !matches!(entry.stage, Stage::Waiting));
        let Some(id) = began.map(|(id, _)| *id) else { return };
        let failure = Failure {
            exception: "streams::Blocked".into(),
            message: format!(
                "the record held its partition up for {waited} ms with no room left behind it \
                 (`max_block` of its processor)"
            ),
            disposition: Disposition::DeadLetter,
        };
        self.abandon(id, &failure, now);
    }

    /// Ends a record wherever it is on its way.
    fn abandon(&mut self, id: EntryId, failure: &Failure, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let input = &mut self.inputs[entry.input];
        input.ready.remove(&id);
        let node = input.node;
        let stage = std::mem::replace(&mut entry.stage, Stage::Waiting);
        let is_out = matches!(stage, Stage::Calling { .. } | Stage::Recording { .. });
        if is_out || entry.is_call_out {
            let node = &mut self.nodes[node];
            node.in_flight = node.in_flight.saturating_sub(1);
            if !matches!(stage, Stage::Recording { .. }) {
                self.settings.metrics.calls_in_flight.with_label_values(&[&node.name]).dec();
            }
        }
        let pending = match stage {
            Stage::Calling { pending } | Stage::Recording { pending, .. } => Some(pending),
            Stage::Resting { pending } => pending,
            Stage::Waiting => None,
        };
        self.recording.retain(|recording| *recording != id);
        self.give_up(id, pending.as_ref(), failure, now);
    }
}
