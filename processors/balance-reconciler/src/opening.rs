//! What does the bank say at the moment the books are opened?

use std::sync::Arc;

use banks::{Account, Bank, Observed, Transaction};

use crate::account::{Observation, Snapshot};
use crate::error::Error;
use crate::ledger::AccountId;
use crate::version::{Origin, Sighting};

/// Readings of the list before the account is left for a quieter moment. Each costs the bank's
/// hourly budget one request per page and one for the balance.
const ROUNDS_MAX: usize = 3;

/// Reads balance, full list, and the balance again. Money that moves meanwhile may be on two pages or
/// on none, so the list counts only when the balance is the same on both sides of it.
pub(crate) async fn read(bank: Arc<dyn Bank>, id: AccountId) -> Result<Snapshot, Error> {
    let mut before = bank.account(id.as_str()).await?;
    for _ in 0..ROUNDS_MAX {
        let pages = bank.transactions(id.as_str()).await?;
        let after = bank.account(id.as_str()).await?;
        if before.value.balance == after.value.balance {
            return snapshot(&id, &before, &after, &pages);
        }
        before = after;
    }
    Err(Error::Moving { rounds: ROUNDS_MAX })
}

fn snapshot(
    id: &AccountId,
    before: &Observed<Account>,
    after: &Observed<Account>,
    pages: &[Observed<Vec<Transaction>>],
) -> Result<Snapshot, Error> {
    let mut listed = Vec::new();
    for page in pages {
        for transaction in &page.value {
            if transaction.account_id != id.as_str() {
                return Err(Error::ForeignTransaction);
            }
            listed.push((transaction.id.clone(), sighting(transaction, page.observed_at)?));
        }
    }
    let balance = &after.value.balance;
    Ok(Snapshot {
        currency: balance.currency.clone(),
        // the earlier of the two: what was seen between them is booked rather than left out
        opened_at: before.observed_at,
        confirmed: Observation { observed_at: after.observed_at, balance: balance.amount },
        listed,
    })
}

fn sighting(transaction: &Transaction, observed_at: i64) -> Result<Sighting, Error> {
    let origin = Origin {
        created_at: transaction.created_at,
        currency: transaction.amount.currency.clone(),
    };
    Ok(Sighting::new(&transaction.status, transaction.amount.amount, origin, observed_at)?)
}
