//! What the bank holds when it starts.

use fastrand::Rng;

use crate::bank::{AccountType, Bank, Error, NewAccount, NewTransaction, OwnershipType};
use crate::ids::{self, Purpose};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Accounts are older than any of their transactions.
const ACCOUNT_AGE_DAYS: i64 = 400;

/// Opens `accounts` accounts, each with `history` settled transactions a day apart; the first ones
/// carry a tag and an attachment.
pub(super) fn furnish(
    bank: &mut Bank,
    seed: u64,
    accounts: u16,
    history: u16,
    now: i64,
) -> Result<(), Error> {
    let mut rng = ids::generator(seed, Purpose::Scenario);
    let mut opened = Vec::new();
    for index in 0..accounts {
        let new = account(index, &mut rng);
        let age = ACCOUNT_AGE_DAYS * DAY_MS - i64::from(index) * 1_000;
        opened.push(bank.open(new, now.saturating_sub(age))?);
    }
    for day in (1..=i64::from(history)).rev() {
        for account in &opened {
            let at = now.saturating_sub(day * DAY_MS);
            let new = NewTransaction {
                method: Some("Direct Debit".to_owned()),
                ..NewTransaction::settled(account, rng.i64(-9_000..4_000), "Earlier this month")
            };
            let events = bank.record(new, at)?;
            if let Some(first) = events.first().filter(|_| day <= 2) {
                bank.tag(&first.transaction, &["Earlier".to_owned(), "Weekend Away".to_owned()])?;
                bank.attach(&first.transaction, at)?;
            }
        }
    }
    Ok(())
}

fn account(index: u16, rng: &mut Rng) -> NewAccount {
    let (name, kind, ownership) = match index {
        0 => ("Spending".to_owned(), AccountType::Transactional, OwnershipType::Individual),
        1 => ("Rainy Day".to_owned(), AccountType::Saver, OwnershipType::Individual),
        2 => ("2Up Spending".to_owned(), AccountType::Transactional, OwnershipType::Joint),
        other => {
            (format!("Account {other}"), AccountType::Transactional, OwnershipType::Individual)
        }
    };
    NewAccount { name, kind, ownership, opening: rng.i64(100_000..900_000) }
}
