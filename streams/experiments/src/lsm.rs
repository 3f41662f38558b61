//! State in fjall: one atomic batch holds changes and the reach of every partition.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch};

use crate::keeper::{Keeper, Kept, Reach, Restored};
use crate::ledger::{Balance, Change};
use crate::report::now;

/// Memory for changes before they go to a table.
const MEMTABLE_BYTES: u64 = 16 << 20;
const CACHE_BYTES: u64 = 32 << 20;

/// Keeps state in an LSM tree.
pub(crate) struct Lsm {
    database: Database,
    balances: Keyspace,
    seen: Keyspace,
    reach: Keyspace,
    every: Duration,
    written_at: Instant,
    waiting: Vec<Change>,
}

impl Lsm {
    /// The database in `dir`; changes are written at most once in `every`.
    pub(crate) fn open(dir: &Path, every: Duration) -> Result<Self> {
        std::fs::create_dir_all(dir).context("creating the state folder")?;
        let database = Database::builder(dir).cache_size(CACHE_BYTES).worker_threads(1).open()?;
        let keyspace = |name: &str| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
            })
        };
        let (balances, seen, reach) =
            (keyspace("balances")?, keyspace("seen")?, keyspace("reach")?);
        Ok(Self { database, balances, seen, reach, every, written_at: now(), waiting: Vec::new() })
    }

    fn write(&mut self, changes: &[Change], all: &[Kept]) -> Result<()> {
        let mut batch = self.database.batch();
        for Change { partition, id, account, balance } in changes {
            self.put_seen(&mut batch, *partition, *id)?;
            self.put_balance(&mut batch, *partition, account, *balance)?;
        }
        self.put_reach(&mut batch, all)?;
        batch.commit().context("writing a batch")
    }

    fn put_seen(&self, batch: &mut OwnedWriteBatch, partition: usize, id: u128) -> Result<()> {
        let place = u32::try_from(partition)?.to_be_bytes();
        batch.insert(&self.seen, [&place[..], &id.to_be_bytes()].concat(), []);
        Ok(())
    }

    fn put_balance(
        &self,
        batch: &mut OwnedWriteBatch,
        partition: usize,
        account: &[u8],
        balance: Balance,
    ) -> Result<()> {
        let place = u32::try_from(partition)?.to_be_bytes();
        batch.insert(&self.balances, [&place[..], account].concat(), balance.encode());
        Ok(())
    }

    fn put_reach(&self, batch: &mut OwnedWriteBatch, all: &[Kept]) -> Result<()> {
        for (partition, kept) in all.iter().enumerate() {
            let Reach { source, balances, seen } = kept.reach;
            let value: Vec<u8> =
                [source, balances, seen].iter().flat_map(|offset| offset.to_le_bytes()).collect();
            batch.insert(&self.reach, u32::try_from(partition)?.to_be_bytes(), value);
        }
        Ok(())
    }
}

impl Keeper for Lsm {
    fn load(&mut self, partitions: usize) -> Result<Vec<Kept>> {
        let mut all: Vec<Kept> = (0..partitions).map(|_| Kept::default()).collect();
        for entry in self.reach.iter() {
            let (key, value) = entry.into_inner()?;
            let Some((kept, _)) = find(&mut all, &key) else { continue };
            let (offsets, _) = value.as_chunks::<8>();
            if let [source, balances, seen] = offsets {
                kept.reach = Reach {
                    source: i64::from_le_bytes(*source),
                    balances: i64::from_le_bytes(*balances),
                    seen: i64::from_le_bytes(*seen),
                };
            }
        }
        for entry in self.seen.iter() {
            let (key, _) = entry.into_inner()?;
            if let Some((kept, id)) = find(&mut all, &key) {
                kept.ledger
                    .seen
                    .insert(u128::from_be_bytes(id.try_into().context("reading an id")?));
            }
        }
        for entry in self.balances.iter() {
            let (key, value) = entry.into_inner()?;
            if let Some((kept, account)) = find(&mut all, &key) {
                let balance = Balance::decode(&value).context("reading a balance")?;
                kept.ledger.balances.insert(Arc::from(account), balance);
            }
        }
        Ok(all)
    }

    fn keep_restored(&mut self, restored: &[Restored], all: &[Kept]) -> Result<()> {
        let mut batch = self.database.batch();
        for restored in restored {
            match restored {
                Restored::Seen(partition, id) => self.put_seen(&mut batch, *partition, *id)?,
                Restored::Balance(partition, account, balance) => {
                    self.put_balance(&mut batch, *partition, account, *balance)?;
                }
            }
        }
        self.put_reach(&mut batch, all)?;
        batch.commit().context("writing a batch")
    }

    fn keep(&mut self, changes: &[Change], all: &[Kept]) -> Result<()> {
        if self.every.is_zero() {
            return self.write(changes, all);
        }
        self.waiting.extend_from_slice(changes);
        if self.written_at.elapsed() < self.every {
            return Ok(());
        }
        self.written_at = now();
        let waiting = std::mem::take(&mut self.waiting);
        self.write(&waiting, all)
    }

    fn close(&mut self, all: &[Kept]) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.write(&waiting, all)
    }
}

/// The partition of a key, and the rest of it.
fn find<'a, 'b>(all: &'a mut [Kept], key: &'b [u8]) -> Option<(&'a mut Kept, &'b [u8])> {
    let (partition, rest) = key.split_first_chunk::<4>()?;
    Some((all.get_mut(usize::try_from(u32::from_be_bytes(*partition)).ok()?)?, rest))
}
