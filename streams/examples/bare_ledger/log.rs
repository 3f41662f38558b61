//! An append log of commits, replaced by a snapshot when it has grown.
//!
//! A frame is its length, a checksum, and a payload: the reach of every partition, then changes. The
//! snapshot is one such frame with everything. Replaying the log on top of a newer snapshot ends in
//! the same state, so the two need no common commit point: a crash between them is harmless. Nothing
//! is synced: what a power cut takes, the changelogs still have.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use crate::keeper::{Keeper, Kept, Reach, Restored};
use crate::ledger::{BALANCE_BYTES, Balance, Change};

/// The log may grow to this before a snapshot replaces it: it bounds what a start reads.
const LOG_BYTES_MAX: usize = 64 << 20;

/// Length and checksum.
const HEAD_BYTES: usize = 16;

const ID_ONLY: u8 = 0;
const BALANCE_ONLY: u8 = 1;
const BOTH: u8 = 2;

/// Keeps state in two files of a folder.
#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    file: File,
    length: usize,
    buffer: Vec<u8>,
}

impl Log {
    /// The log in `dir`, made when missing.
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).context("creating the state folder")?;
        let file = OpenOptions::new().create(true).append(true).read(true).open(dir.join("log"));
        let file = file.context("opening the state log")?;
        Ok(Self { dir, file, length: 0, buffer: Vec::new() })
    }

    fn begin(&mut self, all: &[Kept]) {
        self.buffer.clear();
        self.buffer.resize(HEAD_BYTES, 0);
        for Reach { source, balances, seen } in all.iter().map(|kept| kept.reach) {
            for offset in [source, balances, seen] {
                self.buffer.extend_from_slice(&offset.to_le_bytes());
            }
        }
    }

    fn end(&mut self) {
        let Some((head, payload)) = self.buffer.split_first_chunk_mut::<HEAD_BYTES>() else {
            return;
        };
        let (length, sum) = head.split_at_mut(8);
        length.copy_from_slice(&(payload.len() as u64).to_le_bytes());
        sum.copy_from_slice(&checksum(payload).to_le_bytes());
    }

    fn append(&mut self, all: &[Kept]) -> Result<()> {
        self.end();
        self.file.write_all(&self.buffer).context("appending to the state log")?;
        self.length = self.length.saturating_add(self.buffer.len());
        if self.length > LOG_BYTES_MAX { self.snapshot(all) } else { Ok(()) }
    }

    fn snapshot(&mut self, all: &[Kept]) -> Result<()> {
        self.begin(all);
        for (partition, kept) in all.iter().enumerate() {
            for id in &kept.ledger.seen {
                push_place(&mut self.buffer, ID_ONLY, partition);
                self.buffer.extend_from_slice(&id.to_le_bytes());
            }
            for (account, balance) in &kept.ledger.balances {
                push_place(&mut self.buffer, BALANCE_ONLY, partition);
                push_balance(&mut self.buffer, account, *balance);
            }
        }
        self.end();
        let fresh = self.dir.join("snapshot.new");
        fs::write(&fresh, &self.buffer).context("writing a snapshot")?;
        fs::rename(&fresh, self.dir.join("snapshot")).context("renaming a snapshot")?;
        self.file.set_len(0).context("emptying the state log")?;
        self.length = 0;
        self.buffer.clear();
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }
}

impl Keeper for Log {
    fn load(&mut self, partitions: usize) -> Result<Vec<Kept>> {
        let mut kept: Vec<Kept> = (0..partitions).map(|_| Kept::default()).collect();
        let snapshot = self.dir.join("snapshot");
        if snapshot.exists() {
            let bytes = fs::read(&snapshot).context("reading the snapshot")?;
            ensure!(apply(&bytes, &mut kept) == bytes.len(), "the snapshot is damaged");
        }
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).context("reading the state log")?;
        self.length = apply(&bytes, &mut kept);
        // What a crash left half written: the changelogs have it.
        self.file.set_len(self.length as u64).context("cutting the state log")?;
        Ok(kept)
    }

    fn keep_restored(&mut self, restored: &[Restored], all: &[Kept]) -> Result<()> {
        self.begin(all);
        for restored in restored {
            match restored {
                Restored::Seen(partition, id) => {
                    push_place(&mut self.buffer, ID_ONLY, *partition);
                    self.buffer.extend_from_slice(&id.to_le_bytes());
                }
                Restored::Balance(partition, account, balance) => {
                    push_place(&mut self.buffer, BALANCE_ONLY, *partition);
                    push_balance(&mut self.buffer, account, *balance);
                }
            }
        }
        self.append(all)
    }

    fn keep(&mut self, changes: &[Change], all: &[Kept]) -> Result<()> {
        self.begin(all);
        for change in changes {
            push_place(&mut self.buffer, BOTH, change.partition);
            self.buffer.extend_from_slice(&change.id.to_le_bytes());
            push_balance(&mut self.buffer, &change.account, change.balance);
        }
        self.append(all)
    }

    fn close(&mut self, all: &[Kept]) -> Result<()> {
        self.snapshot(all)
    }
}

fn push_place(buffer: &mut Vec<u8>, tag: u8, partition: usize) {
    buffer.push(tag);
    // Kafka counts partitions in 32 bits.
    buffer.extend_from_slice(&u32::try_from(partition).unwrap_or(u32::MAX).to_le_bytes());
}

fn push_balance(buffer: &mut Vec<u8>, account: &[u8], balance: Balance) {
    // A key is at most a message, far below 4 GiB.
    buffer.extend_from_slice(&u32::try_from(account.len()).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend_from_slice(account);
    buffer.extend_from_slice(&balance.encode());
}

/// Applies every whole frame; the length of those.
fn apply(bytes: &[u8], kept: &mut [Kept]) -> usize {
    let mut good = 0_usize;
    let mut rest = bytes;
    while let Some(after) = apply_one(rest, kept) {
        good = bytes.len().saturating_sub(after.len());
        rest = after;
    }
    good
}

fn apply_one<'a>(bytes: &'a [u8], kept: &mut [Kept]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (mut payload, rest) = rest.split_at_checked(length)?;
    if checksum(payload) != u64::from_le_bytes(*sum) {
        return None;
    }
    for partition in kept.iter_mut() {
        let reach = &mut partition.reach;
        for slot in [&mut reach.source, &mut reach.balances, &mut reach.seen] {
            let (offset, left) = payload.split_first_chunk::<8>()?;
            (*slot, payload) = (i64::from_le_bytes(*offset), left);
        }
    }
    while let Some((tag, left)) = payload.split_first() {
        let (partition, left) = left.split_first_chunk::<4>()?;
        let partition = kept.get_mut(usize::try_from(u32::from_le_bytes(*partition)).ok()?)?;
        payload = apply_change(*tag, left, partition)?;
    }
    Some(rest)
}

fn apply_change<'a>(tag: u8, mut bytes: &'a [u8], kept: &mut Kept) -> Option<&'a [u8]> {
    if tag != BALANCE_ONLY {
        let (id, left) = bytes.split_first_chunk::<16>()?;
        kept.ledger.seen.insert(u128::from_le_bytes(*id));
        bytes = left;
    }
    if tag != ID_ONLY {
        let (length, left) = bytes.split_first_chunk::<4>()?;
        let (account, left) =
            left.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let (balance, left) = left.split_at_checked(BALANCE_BYTES)?;
        kept.ledger.balances.insert(Arc::from(account), Balance::decode(balance)?);
        bytes = left;
    }
    Some(bytes)
}

/// FNV-1a in steps of eight bytes: finds what a crash leaves, which is all that is asked of it.
fn checksum(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let (words, rest) = bytes.as_chunks::<8>();
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(PRIME).rotate_left(29);
    let hash = words.iter().fold(BASIS, |hash, word| step(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| step(hash, u64::from(*byte)))
}
