//! What does one account's page in the ledger look like, and how does a record change it?
//!
//! The page is small and the transactions lie beside it, one row each, so that a record costs one
//! page and one row however long the history is. Everything here is pure: page, row and time in,
//! page and row out.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use schemas::Timestamp;
use serde::{Deserialize, Serialize};

use crate::books::{Books, add, subtract};
use crate::error::BooksError;
use crate::version::{Sighting, Version};

/// A balance as the bank stated it. Ordered by time, so that an old look never replaces a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Observation {
    /// When the bank gave its answer.
    pub observed_at: Timestamp,
    /// Available balance in base units.
    pub balance: i64,
}

/// A transaction's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version in the books.
    pub version: Version,
    /// Whether the opening's list had it.
    pub listed: bool,
    /// [`Account::opened_at`] of the page this row belongs to. Rows of another opening say nothing.
    pub opened_at: Timestamp,
}

/// An account's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// ISO 4217 code of every amount on the page.
    pub currency: String,
    /// The opening speaks for everything up to here: the time of its first balance.
    pub opened_at: Timestamp,
    /// Number of transactions the opening's list had.
    pub listed: usize,
    /// The running sums.
    pub books: Books,
    /// The newest balance the bank stated.
    pub bank: Observation,
    /// Wall clock when money last moved on this page: where the quiet period begins.
    pub changed_at: Timestamp,
    /// Part of the difference that outlived a quiet period. What moves afterwards is timing again,
    /// but what was once found unexplained stays so until the books and the bank agree.
    pub unexplained: i64,
}

/// An opening, ready to be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The page.
    pub account: Account,
    /// A row for each transaction the bank listed, by transaction id.
    pub entries: BTreeMap<String, Entry>,
}

/// What the bank said when the account was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// ISO 4217 code of the balance.
    pub currency: String,
    /// When the bank stated the balance the first time.
    pub opened_at: Timestamp,
    /// The same balance, stated again after the list was read.
    pub confirmed: Observation,
    /// Every transaction the bank listed between the two.
    pub listed: Vec<(String, Sighting)>,
}

/// What a sighting does to the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booking {
    /// The page and the row to write.
    Booked(Account, Entry),
    /// A version at least as high is in the books.
    Known,
    /// Seen before the opening but not in the opening's list: the bank had deleted it by then.
    GoneBeforeOpening,
}

impl Snapshot {
    /// The page of a new account: opening = balance - sum of what the bank listed, so that the books
    /// begin equal to the bank by construction and every later difference has a later cause.
    pub fn open(self, now: Timestamp) -> Result<Opened, BooksError> {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for (id, sighting) in self.listed {
            check_currency(&self.currency, &sighting)?;
            // a page boundary that moves while it is read shows a transaction twice
            let row = Entry { version: sighting.version, listed: true, opened_at: self.opened_at };
            let entry = entries.entry(id).or_insert(row);
            entry.version = entry.version.max(row.version);
        }
        let mut books = Books::default();
        for entry in entries.values() {
            books = books.with_replaced(None, entry.version)?;
        }
        let listed = books.ledger_balance()?;
        books.opening = subtract(self.confirmed.balance, listed, "opening")?;
        let account = Account {
            currency: self.currency,
            opened_at: self.opened_at,
            listed: entries.len(),
            books,
            bank: self.confirmed,
            changed_at: now,
            unexplained: 0,
        };
        Ok(Opened { account, entries })
    }
}

impl Account {
    /// Books a sighting of the transaction whose row is `row`.
    pub fn book(
        &self,
        row: Option<Entry>,
        sighting: &Sighting,
        now: Timestamp,
    ) -> Result<Booking, BooksError> {
        check_currency(&self.currency, sighting)?;
        let row = row.filter(|row| row.opened_at == self.opened_at);
        let listed = row.is_some_and(|row| row.listed);
        if !listed && self.precedes_opening(sighting) {
            return Ok(Booking::GoneBeforeOpening);
        }
        let was = row.map(|row| row.version);
        if was.is_some_and(|was| was >= sighting.version) {
            return Ok(Booking::Known);
        }
        let books = self.books.with_replaced(was, sighting.version)?;
        let page = Self { books, ..self.clone() }.stamped(self, now)?;
        let entry = Entry { version: sighting.version, listed, opened_at: self.opened_at };
        Ok(Booking::Booked(page, entry))
    }

    /// The page after the bank stated a balance; `None` when a newer one is known.
    pub fn observe(
        &self,
        observation: Observation,
        currency: &str,
        now: Timestamp,
    ) -> Result<Option<Self>, BooksError> {
        refuse_other(&self.currency, currency)?;
        if observation <= self.bank {
            return Ok(None);
        }
        Self { bank: observation, ..self.clone() }.stamped(self, now).map(Some)
    }

    /// bank balance - ledger balance.
    pub fn difference(&self) -> Result<i64, BooksError> {
        subtract(self.bank.balance, self.books.ledger_balance()?, "difference")
    }

    /// Part of the difference that is still inside the quiet period.
    pub fn timing(&self) -> Result<i64, BooksError> {
        subtract(self.difference()?, self.unexplained, "timing")
    }

    /// The page once nothing has moved for the quiet period: all of the difference is unexplained.
    pub fn judged(&self) -> Result<Self, BooksError> {
        Ok(Self { unexplained: self.difference()?, ..self.clone() })
    }

    /// The page as its rows add up; `None` when the opening is incomplete and must be made again.
    ///
    /// A process that dies between two commits leaves some writes of the last moments and loses
    /// others, and records of two topics do not go back to the same moment. The rows alone survive
    /// that: a lost one comes again with its record. So the sums are taken from the rows after every
    /// restart, and an opening of which a row is missing (or left over) does not count.
    pub fn mended(&self, rows: &[Entry]) -> Result<Option<Self>, BooksError> {
        let own = || rows.iter().filter(|row| row.opened_at == self.opened_at);
        if own().filter(|row| row.listed).count() != self.listed {
            return Ok(None);
        }
        let mut books = Books { opening: self.books.opening, ..Books::default() };
        for row in own() {
            books = books.with_replaced(None, row.version)?;
        }
        Ok(Some(Self { books, ..self.clone() }))
    }

    /// Notes the time if money moved since `before`, and forgives the unexplained part when books
    /// and bank agree.
    fn stamped(mut self, before: &Self, now: Timestamp) -> Result<Self, BooksError> {
        if self.books != before.books || self.bank.balance != before.bank.balance {
            self.changed_at = now;
        }
        if self.difference()? == 0 {
            self.unexplained = 0;
        }
        // both parts of the difference must stay representable, or no statement could be made
        let timing = self.timing()?;
        add(timing, self.unexplained, "difference")?;
        Ok(self)
    }

    /// Whether the opening's list would have to contain what was seen here.
    ///
    /// It would if the transaction existed and was seen before the opening. Both times are asked:
    /// `created_at` is the bank's clock and `observed_at` ours, and a version that is booked by mistake is
    /// taken back by its deletion, while one that is left out by mistake stays out.
    fn precedes_opening(&self, sighting: &Sighting) -> bool {
        let seen_before = sighting.version.observed_at < self.opened_at;
        seen_before
            && sighting.origin.as_ref().is_some_and(|origin| origin.created_at < self.opened_at)
    }
}

fn check_currency(expected: &str, sighting: &Sighting) -> Result<(), BooksError> {
    sighting.origin.as_ref().map_or(Ok(()), |origin| refuse_other(expected, &origin.currency))
}

fn refuse_other(expected: &str, found: &str) -> Result<(), BooksError> {
    if expected == found {
        return Ok(());
    }
    Err(BooksError::Currency { expected: expected.to_owned(), found: found.to_owned() })
}

#[cfg(test)]
mod tests;
