//! Outputs, then changelog, then offsets.

use super::{Command, SendId, Task, commit_point::CommitPoint};
use crate::record::Timestamp;

/// How far a commit has come.
enum Phase {
    Idle,
    /// Everything sent below the mark has to be acknowledged; then these changes go out.
    Outputs {
        mark: SendId,
        changes: usize,
        offsets: Vec<(usize, CommitPoint)>,
    },
    /// Everything sent below the mark has to be acknowledged; then the offsets are committed.
    Changelog {
        mark: SendId,
        changes: usize,
        offsets: Vec<(usize, CommitPoint)>,
    },
    /// The broker was asked.
    Offsets {
        changes: usize,
        offsets: Vec<(usize, CommitPoint)>,
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

    /// The clock stepped back.
    pub(super) fn shift(&mut self, back: i64) {
        self.at = self.at.saturating_sub(back);
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.is_idle().then_some(self.at)
    }
}

impl Task {
    /// Takes the commit as far as it goes now.
    pub(super) fn advance_commit(&mut self, now: Timestamp) {
        loop {
            match std::mem::replace(&mut self.commit.phase, Phase::Idle) {
                Phase::Idle if now >= self.commit.at && self.is_dirty() => {
                    self.commit.phase = Phase::Outputs {
                        mark: self.sends.mark(),
                        changes: self.changes.len(),
                        offsets: self.commit_points(),
                    };
                }
                Phase::Outputs { mark, changes, offsets } if self.sends.is_acknowledged(mark) => {
                    self.send_changes(changes);
                    self.commit.phase =
                        Phase::Changelog { mark: self.sends.mark(), changes, offsets };
                }
                Phase::Changelog { mark, changes, offsets } if self.sends.is_acknowledged(mark) => {
                    if offsets.is_empty() {
                        self.commit.at = now.saturating_add(self.commit.interval_ms);
                        self.settle_changes(changes);
                    } else {
                        self.commands.push(Command::Commit { offsets: offsets.clone() });
                        self.commit.phase = Phase::Offsets { changes, offsets };
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
        let Phase::Offsets { changes, offsets } = phase else {
            self.commit.phase = phase;
            return;
        };
        self.commit.at = now.saturating_add(self.commit.interval_ms);
        if !is_ok {
            self.settings.metrics.commit_failed_total.inc();
            for (index, _) in offsets {
                if let Some(input) = self.inputs.get_mut(index) {
                    input.is_touched = true;
                }
            }
            return;
        }
        self.settings.metrics.commit_total.inc();
        self.set_points(offsets);
        self.settle_changes(changes);
    }
}
