//! The transaction of a stream thread: every transactional task's outputs, changelogs, dead letters
//! and offsets, all or nothing.
//!
//! Errors are answered by their flags, in this order: fatal (the producer is done: the thread is
//! made anew), abort (the transaction is aborted, its records are handled again), retriable (the same
//! call is made again; another one would conflict). Each call is short, so that the thread goes on
//! polling its consumer while a broker does not answer.

mod leisure;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use leisure::Leisure;

use super::{SENDS_MAX, Task, commit_point::CommitPoint};
use crate::record::Timestamp;

/// What a failed call means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct TransactionError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

/// The flags of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// This producer can do nothing more.
    Fatal,
    /// The transaction has to be aborted.
    Abort,
    /// The same call may be made again.
    Retriable,
    /// A call out of turn: our own mistake.
    Other,
}

/// An offset to commit: topic, partition, point.
pub(crate) type Offsets = Vec<(Arc<str>, i32, CommitPoint)>;

/// The producer of transactions, one call a step.
pub(crate) trait Transactional {
    /// Begins one. Local: no broker is asked.
    fn begin(&mut self) -> Result<(), TransactionError>;
    /// Has everything handed over leave now; does not wait for answers.
    fn dispatch(&mut self);
    /// Adds the offsets.
    fn send_offsets(&mut self, offsets: &Offsets) -> Result<(), TransactionError>;
    /// Commits, after everything sent has arrived.
    fn commit(&mut self) -> Result<(), TransactionError>;
    /// Aborts.
    fn abort(&mut self) -> Result<(), TransactionError>;
}

/// What each task gave: its id, the input, the point.
type Points = Vec<((usize, i32), usize, CommitPoint)>;

enum Phase {
    /// Nothing is sent since the last commit.
    Idle,
    /// Records are being sent.
    Open,
    /// Tasks hold still; their last records are being handed over.
    Prepared(Points, Offsets),
    /// The offsets are in.
    Offsets(Points),
    Aborting,
}

/// How far the one sending before the commit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// Its time has not come.
    Waits,
    /// What waited for the commit is on its way to the producer.
    Sent,
    /// All of it is on its way to the brokers.
    Done,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing to do, or a call has to be made again.
    Waiting,
    /// Tasks have sent what was left: hand it over, then step again.
    HandOver,
    /// Committed; how long it took is not known here.
    Committed,
    /// Aborted, for this reason.
    Aborted,
    /// The producer is done.
    Fatal(String),
}

/// When and how far.
pub(crate) struct Transaction {
    interval_ms: i64,
    at: Timestamp,
    leisure: Leisure,
    spread: Spread,
    phase: Phase,
}

impl Transaction {
    pub(crate) fn new(interval_ms: i64, now: Timestamp) -> Self {
        let at = now.saturating_add(interval_ms);
        let leisure = Leisure::new(interval_ms, now);
        Self { interval_ms, at, leisure, spread: Spread::Waits, phase: Phase::Idle }
    }

    /// The thread has waited this long for records.
    pub(crate) fn rested(&mut self, ms: i64) {
        self.leisure.rested(ms);
    }

    /// After `Progress::Committed`, with the time at which it was known.
    pub(crate) fn committed(&mut self, now: Timestamp) {
        self.leisure.committed(now);
    }

    /// Commits with the next step rather than at the next interval.
    pub(crate) fn hurry(&mut self, now: Timestamp) {
        self.at = self.at.min(now);
    }

    /// Gives up what is open: some of it belongs to a partition that is somebody else's now.
    pub(crate) fn give_up(&mut self) {
        if matches!(self.phase, Phase::Open | Phase::Prepared(..)) {
            self.phase = Phase::Aborting;
        }
    }

    /// Whether giving up still decides anything: afterwards the broker does.
    #[cfg(test)]
    pub(crate) fn may_give_up(&self) -> bool {
        !matches!(self.phase, Phase::Offsets(_))
    }

    /// Whether it is too late to be a part of it: what a task sent now would be refused, or be
    /// committed without the offset that it belongs to.
    pub(crate) fn is_being_decided(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Open)
    }

    /// A partition goes while a commit is not answered. It may be ours again before the answer comes, and
    /// begin behind what others have committed there: the late answer says nothing of it any more.
    pub(crate) fn forget(&mut self, id: (usize, i32)) {
        if let Phase::Offsets(points) = &mut self.phase {
            points.retain(|(of, ..)| *of != id);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// When it has something to do next, while it is open or may be opened.
    pub(crate) fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.phase {
            Phase::Idle => Some(self.at),
            Phase::Open if self.spread == Spread::Done => {
                Some(self.at.min(self.leisure.commit_at(now)))
            }
            Phase::Open => Some(self.at.min(self.leisure.spread_at())),
            Phase::Prepared(..) | Phase::Offsets(_) | Phase::Aborting => None,
        }
    }

    /// Before the first record of a transaction is sent.
    pub(crate) fn open(
        &mut self,
        producer: &mut dyn Transactional,
    ) -> Result<(), TransactionError> {
        if matches!(self.phase, Phase::Idle) {
            producer.begin()?;
            self.spread = Spread::Waits;
            self.phase = Phase::Open;
        }
        Ok(())
    }

    /// Goes as far as it can in one call. `is_handed_over`: nothing the tasks sent waits outside the
    /// producer.
    pub(crate) fn step(
        &mut self,
        tasks: &mut [&mut Task],
        producer: &mut dyn Transactional,
        is_handed_over: bool,
        now: Timestamp,
    ) -> Progress {
        if self.at > now.saturating_add(self.interval_ms) {
            // The clock stepped back.
            self.at = now;
            self.leisure = Leisure::new(self.interval_ms, now);
        }
        let is_abort_wanted = tasks.iter().any(|task| task.is_abort_wanted());
        if is_abort_wanted && self.is_idle() {
            // There is no abort to take it back: what is committed is where to begin.
            return Progress::Fatal("a record was refused outside of a transaction".to_owned());
        }
        if is_abort_wanted {
            self.give_up();
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            phase @ (Phase::Idle | Phase::Open) => {
                self.phase = phase;
                if self.is_due(tasks, now) {
                    self.prepare(tasks, producer, now)
                } else {
                    self.spread(tasks, producer, is_handed_over, now)
                }
            }
            Phase::Prepared(points, offsets) if is_handed_over => {
                producer.dispatch();
                let sent =
                    if offsets.is_empty() { Ok(()) } else { producer.send_offsets(&offsets) };
                match sent {
                    Ok(()) => {
                        self.phase = Phase::Offsets(points);
                        self.commit(tasks, producer)
                    }
                    Err(error) => self.failed(error, Phase::Prepared(points, offsets)),
                }
            }
            phase @ Phase::Prepared(..) => {
                self.phase = phase;
                Progress::HandOver
            }
            phase @ Phase::Offsets(_) => {
                self.phase = phase;
                self.commit(tasks, producer)
            }
            Phase::Aborting => match producer.abort() {
                Ok(()) => {
                    for task in tasks.iter_mut() {
                        task.transaction_aborted(now);
                    }
                    self.at = now.saturating_add(self.interval_ms);
                    Progress::Aborted
                }
                Err(error) => self.failed(error, Phase::Aborting),
            },
        }
    }

    fn is_due(&self, tasks: &[&mut Task], now: Timestamp) -> bool {
        let is_full = tasks.iter().any(|task| task.sends_len() >= SENDS_MAX / 2);
        // Without outputs or changes nobody waits for it: offsets alone have time.
        let is_at_leisure = matches!(self.phase, Phase::Open) && now >= self.leisure.commit_at(now);
        (now >= self.at || is_full || is_at_leisure) && tasks.iter().any(|task| task.is_dirty())
    }

    /// Sends once in a transaction what would wait for its end. The broker checks with the coordinator
    /// before it takes the first batch for a partition; now nobody waits for that.
    fn spread(
        &mut self,
        tasks: &mut [&mut Task],
        producer: &mut dyn Transactional,
        is_handed_over: bool,
        now: Timestamp,
    ) -> Progress {
        match (&self.phase, self.spread) {
            (Phase::Open, Spread::Waits) if now >= self.leisure.spread_at() => {
                self.spread = Spread::Sent;
                for task in tasks.iter_mut() {
                    task.send_waiting_changes();
                }
                Progress::HandOver
            }
            (Phase::Open, Spread::Sent) if is_handed_over => {
                self.spread = Spread::Done;
                producer.dispatch();
                Progress::Waiting
            }
            _ => Progress::Waiting,
        }
    }

    fn prepare(
        &mut self,
        tasks: &mut [&mut Task],
        producer: &mut dyn Transactional,
        now: Timestamp,
    ) -> Progress {
        if let Err(error) = self.open(producer) {
            self.at = now.saturating_add(self.interval_ms);
            return self.failed(error, Phase::Idle);
        }
        // From one commit to the next, however long it takes: what is sent meanwhile has waited too.
        self.at = now.saturating_add(self.interval_ms);
        self.leisure.prepared(now);
        let mut points = Vec::new();
        let mut offsets = Vec::new();
        for task in tasks.iter_mut() {
            let (id, partition) = (task.id(), task.partition());
            for (input, point) in task.prepare() {
                if let Some(topic) = task.input_topics().nth(input) {
                    offsets.push((Arc::clone(topic), partition, point.clone()));
                }
                points.push((id, input, point));
            }
        }
        self.phase = Phase::Prepared(points, offsets);
        Progress::HandOver
    }

    fn commit(&mut self, tasks: &mut [&mut Task], producer: &mut dyn Transactional) -> Progress {
        let Phase::Offsets(points) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return Progress::Waiting;
        };
        match producer.commit() {
            Ok(()) => {
                for task in tasks.iter_mut() {
                    let own = points.iter().filter(|(id, ..)| *id == task.id());
                    let own = own.map(|(_, input, point)| (*input, point.clone())).collect();
                    task.transaction_committed(own);
                }
                Progress::Committed
            }
            Err(error) => self.failed(error, Phase::Offsets(points)),
        }
    }

    fn failed(&mut self, error: TransactionError, again: Phase) -> Progress {
        match error.kind {
            ErrorKind::Fatal | ErrorKind::Other => Progress::Fatal(error.message),
            ErrorKind::Abort => {
                tracing::warn!(reason = error.message, "aborting the transaction");
                self.phase = Phase::Aborting;
                Progress::Waiting
            }
            ErrorKind::Retriable => {
                tracing::warn!(reason = error.message, "the broker has not answered; asking again");
                self.phase = again;
                Progress::Waiting
            }
        }
    }
}
