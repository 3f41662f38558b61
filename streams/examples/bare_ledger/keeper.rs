//! Where state is kept on this machine, beside its changelogs.

use std::sync::Arc;

use anyhow::Result;

use crate::ledger::{Balance, Change, Ledger};

/// How far a partition's state reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Input: the next offset to process.
    pub(crate) source: i64,
    /// Changelog of the balances: the next offset to apply.
    pub(crate) balances: i64,
    /// Changelog of the ids: the next offset to apply.
    pub(crate) seen: i64,
}

/// One partition, in memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) reach: Reach,
    pub(crate) ledger: Ledger,
}

/// What a restore read from a changelog.
#[derive(Clone, Debug)]
pub(crate) enum Restored {
    /// An id was seen in this partition.
    Seen(usize, u128),
    /// An account of this partition has this balance.
    Balance(usize, Arc<[u8]>, Balance),
}

/// Keeps state on disk. It is called after Kafka's commit, so that a crash in between leaves the
/// disk behind Kafka and never ahead of it.
pub(crate) trait Keeper {
    /// What was kept, one entry per partition.
    fn load(&mut self, partitions: usize) -> Result<Vec<Kept>>;

    /// Keeps what a restore added to what was kept: the reach that is written next claims it, and after
    /// the crash that follows nobody reads it again.
    fn keep_restored(&mut self, restored: &[Restored], all: &[Kept]) -> Result<()>;

    /// Keeps the changes of one commit; `all` is the state with them.
    fn keep(&mut self, changes: &[Change], all: &[Kept]) -> Result<()>;

    /// Called before a clean end.
    fn close(&mut self, all: &[Kept]) -> Result<()>;
}

/// Keeps nothing: each start restores everything from the changelogs.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl Keeper for Nowhere {
    fn load(&mut self, partitions: usize) -> Result<Vec<Kept>> {
        Ok((0..partitions).map(|_| Kept::default()).collect())
    }

    fn keep_restored(&mut self, _restored: &[Restored], _all: &[Kept]) -> Result<()> {
        Ok(())
    }

    fn keep(&mut self, _changes: &[Change], _all: &[Kept]) -> Result<()> {
        Ok(())
    }

    fn close(&mut self, _all: &[Kept]) -> Result<()> {
        Ok(())
    }
}
