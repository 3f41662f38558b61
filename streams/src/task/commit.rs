//! Outputs, then changelog, then offsets.

use super::{Command, PendingChange, Purpose, SOURCE_HEADER, SendId, Task};
use crate::record::{Headers, Outgoing, Timestamp};

/// How far a commit has come.
enum Phase {
    Idle,
    /// Everything sent below the mark has to be acknowledged; then these changes go out.
    Outputs {
        mark: SendId,
        changes: usize,
        offsets: Vec<(usize, i64)>,
    },
    /// Everything sent below the mark has to be acknowledged; then the offsets are committed.
    Changelog {
        mark: SendId,
        offsets: Vec<(usize, i64)>,
    },
    /// The broker was asked.
    Offsets {
        offsets: Vec<(usize, i64)>,
    },
}

/// When and how far.
pub(super) struct Commit {
    interval_ms: i64,
    at: Timestamp,
    phase: Phase,
}

impl Commit {
    pub(super) fn new(interval_ms: i64, now: Timestamp) -> Self {
        Self { interval_ms, at: now.saturating_add(interval_ms), phase: Phase::Idle }
    }

    pub(super) fn hurry(&mut self, now: Timestamp) {
        self.at = self.at.min(now);
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.is_idle().then_some(self.at)
    }
}

impl Task {
    /// Offsets that may be committed and are not.
    pub(super) fn uncommitted(&self) -> Vec<(usize, i64)> {
        self.inputs
            .iter()
            .enumerate()
            .filter_map(|(index, input)| {
                let watermark = input.offsets.watermark()?;
                (input.committed != Some(watermark)).then_some((index, watermark))
            })
            .collect()
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.changes.is_empty() || !self.uncommitted().is_empty()
    }

    /// Takes the commit as far as it goes now.
    pub(super) fn advance_commit(&mut self, now: Timestamp) {
        loop {
            match std::mem::replace(&mut self.commit.phase, Phase::Idle) {
                Phase::Idle if now >= self.commit.at && self.is_dirty() => {
                    self.commit.phase = Phase::Outputs {
                        mark: self.sends.mark(),
                        changes: self.changes.len(),
                        offsets: self.uncommitted(),
                    };
                }
                Phase::Outputs { mark, changes, offsets } if self.sends.is_acknowledged(mark) => {
                    self.send_changes(changes);
                    self.commit.phase = Phase::Changelog { mark: self.sends.mark(), offsets };
                }
                Phase::Changelog { mark, offsets } if self.sends.is_acknowledged(mark) => {
                    if offsets.is_empty() {
                        self.commit.at = now.saturating_add(self.commit.interval_ms);
                    } else {
                        self.commands.push(Command::Commit { offsets: offsets.clone() });
                        self.commit.phase = Phase::Offsets { offsets };
                    }
                    return;
                }
                unchanged => {
                    self.commit.phase = unchanged;
                    return;
                }
            }
        }
    }

    pub(super) fn committed(&mut self, is_ok: bool, now: Timestamp) {
        let phase = std::mem::replace(&mut self.commit.phase, Phase::Idle);
        let Phase::Offsets { offsets } = phase else {
            self.commit.phase = phase;
            return;
        };
        self.commit.at = now.saturating_add(self.commit.interval_ms);
        if !is_ok {
            self.settings.metrics.commit_failed_total.inc();
            return;
        }
        self.settings.metrics.commit_total.inc();
        for (index, offset) in offsets {
            if let Some(input) = self.inputs.get_mut(index) {
                input.committed = Some(offset);
            }
        }
    }

    /// Sends the oldest `count` changes, in order: a restore reads them in this order.
    fn send_changes(&mut self, count: usize) {
        for _ in 0..count {
            let Some(change) = self.changes.pop_front() else { return };
            self.send_change(change);
        }
    }

    pub(super) fn send_change(&mut self, change: PendingChange) {
        let Some(store) = self.stores.get(change.store) else { return };
        let mut headers = Headers::new();
        if let Some(source) = &change.source {
            headers.push(SOURCE_HEADER, source.to_string());
        }
        let record = Outgoing {
            topic: std::sync::Arc::clone(&store.topic),
            partition: Some(self.partition),
            key: Some(change.key),
            value: change.value,
            timestamp: None,
            headers,
        };
        self.send(record, Purpose::Changelog);
    }
}
