//! Transactions of the simulation: a broker that may answer late, refuse, or fence, as the seed says.

use std::sync::Arc;

use super::broker::Broker;
use crate::{
    record::Outgoing,
    task::{
        commit_point::CommitPoint,
        transaction::{ErrorKind, Offsets, TransactionError, Transactional},
    },
};

/// How often in a row a commit may find no answer: long enough for partitions to come meanwhile.
const SILENCE_MAX: u8 = 40;

/// What is open, and how far the broker has come with it.
#[derive(Default)]
pub(super) struct Open {
    pub(super) sent: Vec<Outgoing>,
    offsets: Offsets,
    /// The broker has committed; the producer may not know yet.
    pub(super) is_committed: bool,
    /// So often still it does not answer.
    silent: u8,
    /// The group has given the partitions to others, and the process does not know yet.
    pub(super) is_stale: bool,
    /// Offsets that have not moved are not sent: the group is not asked.
    pub(super) spares_unmoved: bool,
}

/// The producer of one life of the process.
pub(super) struct Producer<'a> {
    pub(super) open: &'a mut Open,
    pub(super) broker: &'a mut Broker,
    pub(super) rng: &'a mut fastrand::Rng,
}

fn error(kind: ErrorKind, message: &str) -> TransactionError {
    TransactionError { kind, message: message.to_owned() }
}

impl Producer<'_> {
    /// Late, refused, or fine.
    fn weather(&mut self) -> Result<(), TransactionError> {
        match self.rng.u8(0..20) {
            0 | 1 => Err(error(ErrorKind::Retriable, "the broker is slow")),
            2 => Err(error(ErrorKind::Abort, "the generation is stale")),
            _ => Ok(()),
        }
    }
}

impl Transactional for Producer<'_> {
    fn begin(&mut self) -> Result<(), TransactionError> {
        assert!(self.open.sent.is_empty() && !self.open.is_committed, "begun twice");
        Ok(())
    }

    fn dispatch(&mut self) {}

    fn send_offsets(&mut self, offsets: &Offsets) -> Result<(), TransactionError> {
        let is_unmoved = |(topic, partition, point): &(Arc<str>, i32, CommitPoint)| {
            self.broker.committed(topic, *partition).is_some_and(|known| known == *point)
        };
        let is_asked = !self.open.spares_unmoved || !offsets.iter().all(is_unmoved);
        if self.open.is_stale && is_asked {
            return Err(error(ErrorKind::Abort, "the generation is stale"));
        }
        self.weather()?;
        self.open.offsets.clone_from(offsets);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TransactionError> {
        if !self.open.is_committed {
            self.weather()?;
            for record in std::mem::take(&mut self.open.sent) {
                self.broker.write(record);
            }
            for (topic, partition, point) in std::mem::take(&mut self.open.offsets) {
                self.broker.commit(&Arc::clone(&topic), partition, point);
            }
            self.open.is_committed = true;
            if self.rng.u8(0..8) == 0 {
                self.open.silent = self.rng.u8(0..SILENCE_MAX);
            }
        }
        if self.open.silent > 0 {
            self.open.silent -= 1;
            return Err(error(ErrorKind::Retriable, "committed, and the answer is late"));
        }
        self.open.is_committed = false;
        assert!(self.open.sent.is_empty(), "sent inside of a commit");
        Ok(())
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        assert!(!self.open.is_committed, "aborted after the commit");
        let Open { is_stale, spares_unmoved, .. } = *self.open;
        *self.open = Open { is_stale, spares_unmoved, ..Open::default() };
        if self.rng.u8(0..8) == 0 {
            return Err(error(ErrorKind::Retriable, "aborted, and the answer is late"));
        }
        Ok(())
    }
}
