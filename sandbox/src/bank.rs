//! The books of the bank: accounts, transactions and what happened to them.
//!
//! Nothing here knows of HTTP or of webhooks: an operation takes the time and returns the events it
//! caused. For every account, `balance = opening + sum of live amounts + adjusted`.

pub mod account;
pub mod category;
mod error;
mod labels;
mod ledger;
pub mod money;
pub mod transaction;

use std::collections::{BTreeMap, HashMap};

use fastrand::Rng;
use serde::Serialize;

pub use self::account::{Account, AccountType, NewAccount, OwnershipType};
pub use self::error::Error;
pub use self::ledger::Settlement;
pub use self::money::Money;
pub use self::transaction::{Attachment, CardMethod, Hold, NewTransaction, Status, Transaction};
use crate::ids::{self, Purpose};

/// The bank refuses a seventh tag.
pub const TAGS_MAX: usize = 6;
/// Longest tag: keeps a hostile client from growing the books by labels.
pub const TAG_CHARS_MAX: usize = 100;
/// Enough for any test; keeps a runaway loop from taking the machine's memory.
const ACCOUNTS_MAX: usize = 1_000;
/// The same, for transactions, deleted ones included (about 1 KiB each).
const TRANSACTIONS_MAX: usize = 500_000;

/// What the bank tells the world about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventType {
    /// A transaction appeared.
    TransactionCreated,
    /// A held transaction settled.
    TransactionSettled,
    /// A held transaction is gone.
    TransactionDeleted,
    /// Asked for by hand.
    Ping,
}

impl EventType {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::TransactionCreated => "TRANSACTION_CREATED",
            Self::TransactionSettled => "TRANSACTION_SETTLED",
            Self::TransactionDeleted => "TRANSACTION_DELETED",
            Self::Ping => "PING",
        }
    }
}

/// Something happened to a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What.
    pub kind: EventType,
    /// To which transaction.
    pub transaction: String,
}

/// Position in the books: time of creation, then order of arrival.
pub type Order = (i64, u64);

/// The bank.
#[derive(Debug)]
pub struct Bank {
    accounts: Vec<Account>,
    live: BTreeMap<Order, Transaction>,
    places: HashMap<String, Order>,
    deleted: Vec<Transaction>,
    attachments: Vec<Attachment>,
    sequence: u64,
    customer: String,
    ids: Rng,
}

impl Bank {
    /// A bank without accounts whose identifiers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut ids = ids::generator(seed, Purpose::Bank);
        Self {
            accounts: Vec::new(),
            live: BTreeMap::new(),
            places: HashMap::new(),
            deleted: Vec::new(),
            attachments: Vec::new(),
            sequence: 0,
            customer: ids::uuid(&mut ids),
            ids,
        }
    }

    /// The id of the one customer.
    pub fn customer(&self) -> &str {
        &self.customer
    }

    /// Every account, oldest first.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// One account.
    pub fn account(&self, id: &str) -> Result<&Account, Error> {
        self.accounts
            .iter()
            .find(|account| account.id == id)
            .ok_or_else(|| Error::AccountNotFound(id.to_owned()))
    }

    /// Live transactions with their place in the books, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (Order, &Transaction)> {
        self.live.iter().rev().map(|(order, transaction)| (*order, transaction))
    }

    /// Deleted transactions, in the order of their deletion.
    pub fn deleted(&self) -> &[Transaction] {
        &self.deleted
    }

    /// One live transaction.
    pub fn transaction(&self, id: &str) -> Result<&Transaction, Error> {
        self.places
            .get(id)
            .and_then(|order| self.live.get(order))
            .ok_or_else(|| Error::TransactionNotFound(id.to_owned()))
    }

    /// Every attachment, oldest first.
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// Puts a file on a live transaction.
    pub fn attach(&mut self, transaction: &str, now: i64) -> Result<(), Error> {
        let id = ids::uuid(&mut self.ids);
        self.live_mut(transaction)?.attachment = Some(id.clone());
        let attachment = Attachment { id, transaction: transaction.to_owned(), created_at: now };
        self.attachments.push(attachment);
        Ok(())
    }

    /// Opens an account and returns its id.
    pub fn open(&mut self, new: NewAccount, now: i64) -> Result<String, Error> {
        if self.accounts.len() >= ACCOUNTS_MAX {
            return Err(Error::Full { what: "accounts", limit: ACCOUNTS_MAX });
        }
        let id = ids::uuid(&mut self.ids);
        self.accounts.push(Account {
            id: id.clone(),
            name: new.name,
            kind: new.kind,
            ownership: new.ownership,
            opening: new.opening,
            balance: new.opening,
            adjusted: 0,
            created_at: now,
        });
        Ok(id)
    }

    /// Moves a balance by `delta` base units without a transaction, as a bank never should: what a
    /// reconciliation has to notice.
    pub fn adjust(&mut self, account: &str, delta: i64) -> Result<&Account, Error> {
        let account = self.account_mut(account)?;
        let overflow = || Error::Overflow(account.id.clone());
        let balance = account.balance.checked_add(delta).ok_or_else(overflow)?;
        let adjusted = account.adjusted.checked_add(delta).ok_or_else(overflow)?;
        (account.balance, account.adjusted) = (balance, adjusted);
        Ok(account)
    }

    fn account_mut(&mut self, id: &str) -> Result<&mut Account, Error> {
        self.accounts
            .iter_mut()
            .find(|account| account.id == id)
            .ok_or_else(|| Error::AccountNotFound(id.to_owned()))
    }

    fn live_mut(&mut self, id: &str) -> Result<&mut Transaction, Error> {
        self.places
            .get(id)
            .and_then(|order| self.live.get_mut(order))
            .ok_or_else(|| Error::TransactionNotFound(id.to_owned()))
    }
}

#[cfg(test)]
mod tests;
