//! One read of an account for everybody who waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use crate::bank::{Bank, BoxFuture, Cursor, Observed, Page};
use crate::budget::BudgetState;
use crate::error::BankError;
use crate::resource::{Account, Transaction};

/// Most accounts remembered at once. A bank customer has a few; beyond this the reads simply are not
/// shared.
const ACCOUNTS_MAX: usize = 1024;

/// A bank whose account reads are shared and paced: at most one read of an account starts in each
/// `interval`.
///
/// A balance must never be older than the transaction the caller has just read, or the books would
/// look off by it. So an earlier answer is not reused: a read is shared only by the callers who asked
/// **before it started**. The first caller is served at once; who comes while that read is under
/// way, or within `interval` of its start, waits for the next one, together with everybody else. A
/// burst of any size costs one request an interval and the last of it still sees a fresh balance.
///
/// Nothing runs in the background: the caller whose turn it is makes the read. When it is dropped in
/// the middle, the next waiting caller makes it.
#[derive(Debug)]
pub struct Coalesced<B> {
    bank: B,
    interval: Duration,
    tickets: AtomicU64,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    turn: Turn<Option<Read>>,
}

/// The last read of an account.
#[derive(Debug)]
struct Read {
    /// Drawn when it started. Callers with a lower ticket had asked before.
    ticket: u64,
    started: Instant,
    result: Result<Observed<Account>, BankError>,
}

impl<B: Bank> Coalesced<B> {
    /// Shares the account reads of `bank`. An `interval` of zero only joins callers who wait anyway.
    pub fn new(bank: B, interval: Duration) -> Self {
        let slots = Mutex::new(HashMap::new());
        Self { bank, interval, tickets: AtomicU64::new(0), slots }
    }

    async fn shared_account(&self, id: &str) -> Result<Observed<Account>, BankError> {
        let asked = self.ticket();
        let Some(slot) = self.slot(id) else {
            return self.bank.account(id).await;
        };
        let mut last = slot.turn.lock().await;
        if let Some(read) = last.as_ref() {
            if read.ticket > asked {
                return read.result.clone();
            }
            tokio::time::sleep_until(read.started + self.interval).await;
        }
        // Callers who arrived during the pause draw before this, so the read is theirs too.
        let ticket = self.ticket();
        let started = Instant::now();
        let result = self.bank.account(id).await;
        *last = Some(Read { ticket, started, result: result.clone() });
        result
    }

    fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::SeqCst)
    }

    fn slot(&self, id: &str) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(id) {
            return Some(Arc::clone(slot));
        }
        if slots.len() >= ACCOUNTS_MAX {
            // Only the map holds it: nobody waits there.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        if slots.len() >= ACCOUNTS_MAX {
            return None;
        }
        let slot = Arc::<Slot>::default();
        slots.insert(id.to_owned(), Arc::clone(&slot));
        Some(slot)
    }
}

impl<B: Bank> Bank for Coalesced<B> {
    fn account<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observed<Account>, BankError>> {
        Box::pin(self.shared_account(id))
    }

    fn transaction<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Observed<Transaction>, BankError>> {
        self.bank.transaction(id)
    }

    fn accounts_page<'a>(
        &'a self,
        cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Account>, BankError>> {
        self.bank.accounts_page(cursor)
    }

    fn transactions_page<'a>(
        &'a self,
        account_id: &'a str,
        cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Transaction>, BankError>> {
        self.bank.transactions_page(account_id, cursor)
    }

    fn budget(&self) -> Option<BudgetState> {
        self.bank.budget()
    }
}

#[cfg(test)]
mod tests;
