//! What the ledger knows and decides: no Kafka, no disk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::bank::{BankTransaction, TransactionStatus};

/// Bytes of an encoded [`Balance`].
pub(crate) const BALANCE_BYTES: usize = 32;

/// What is known of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) booked: i64,
    pub(crate) held: i64,
    pub(crate) count: i64,
    pub(crate) sequence: i64,
}

impl Balance {
    /// The four numbers, little endian.
    pub(crate) fn encode(self) -> [u8; BALANCE_BYTES] {
        let mut bytes = [0; BALANCE_BYTES];
        let numbers = [self.booked, self.held, self.count, self.sequence];
        for (slot, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads what `encode` wrote; none for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let [booked, held, count, sequence] = numbers else { return None };
        rest.is_empty().then(|| Self {
            booked: i64::from_le_bytes(*booked),
            held: i64::from_le_bytes(*held),
            count: i64::from_le_bytes(*count),
            sequence: i64::from_le_bytes(*sequence),
        })
    }

    fn after(self, transaction: &BankTransaction) -> Option<Self> {
        let (booked, held, counted) = match transaction.status {
            TransactionStatus::Held => (0, transaction.amount_base_units, 1),
            TransactionStatus::Settled => (transaction.amount_base_units, 0, 1),
            TransactionStatus::Deleted => (0, 0, 0),
        };
        Some(Self {
            booked: self.booked.checked_add(booked)?,
            held: self.held.checked_add(held)?,
            count: self.count.checked_add(counted)?,
            sequence: self.sequence.checked_add(1)?,
        })
    }
}

/// One thing that changed: an id was seen, and so an account moved.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) partition: usize,
    pub(crate) id: u128,
    pub(crate) account: Arc<[u8]>,
    pub(crate) balance: Balance,
}

/// The state of one partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) seen: HashSet<u128>,
    pub(crate) balances: HashMap<Arc<[u8]>, Balance>,
}

impl Ledger {
    /// Takes a transaction: the change it makes, none when it was seen before or does not fit.
    pub(crate) fn take(
        &mut self,
        partition: usize,
        key: &[u8],
        transaction: &BankTransaction,
    ) -> Option<Change> {
        let id = fingerprint(key, transaction.transaction_id.as_bytes());
        if !self.seen.insert(id) {
            return None;
        }
        let known = self.balances.get_key_value(key);
        let (account, before) = known
            .map_or_else(|| (Arc::from(key), Balance::default()), |(k, v)| (Arc::clone(k), *v));
        let balance = before.after(transaction)?;
        self.balances.insert(Arc::clone(&account), balance);
        Some(Change { partition, id, account, balance })
    }
}

/// 128-bit FNV-1a over account and id: ids come from the bank, so nobody can aim at a collision.
fn fingerprint(account: &[u8], id: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
    account.iter().chain(id).fold(BASIS, step)
}
