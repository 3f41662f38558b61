//! The decision, pure: rules, a change of a transaction and what is known of it in; triggers and
//! what to remember out.

use schemas::{
    CoinTrigger, CoinTriggerFired, CoinTriggerReversed, Timestamp, Transaction, TransactionEnriched,
};
use serde::{Deserialize, Serialize};

use crate::{
    jar::{self, Dropped},
    rules::Rule,
};

/// The `change` of a record that says a transaction is gone.
const DELETED: &str = "deleted";

/// What was decided about a transaction; nothing is kept of one that met no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// It is gone. Kept, so that a version that comes late does not count.
    pub is_deleted: bool,
    /// Rules that counted it; each counts a transaction once.
    pub counted: Vec<Counted>,
}

/// How a rule counted a transaction: all that a reversal needs, even if the rule has changed or
/// gone since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Name of the rule.
    pub rule: String,
    /// The account whose carry-over it went into.
    pub account_id: String,
    /// Amount counted, base units, without a sign.
    pub amount: i64,
    /// Price of a coin then.
    pub price: i64,
    /// Coins dropped; 0 when it was only carried over.
    pub coins: i64,
}

/// Whose carry-over: a rule's, on an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CarryKey {
    /// Name of the rule.
    pub rule: String,
    /// The account.
    pub account_id: String,
}

/// What follows from a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What to remember of the transaction.
    pub seen: Seen,
    /// Carry-overs as they are now, base units.
    pub carries: Vec<(CarryKey, i64)>,
    /// Records to emit.
    pub triggers: Vec<CoinTrigger>,
}

/// Why no decision is possible.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// Only a deletion may come without the transaction.
    #[error("change `{change}` of transaction `{transaction_id}` comes without the transaction")]
    MissingTransaction {
        /// The bank's id.
        transaction_id: String,
        /// The change.
        change: String,
    },
    /// Only a deletion may come without the account.
    #[error("change `{change}` of transaction `{transaction_id}` comes without its account")]
    MissingAccount {
        /// The bank's id.
        transaction_id: String,
        /// The change.
        change: String,
    },
    /// The sums do not fit into 64 bits.
    #[error("counting transaction `{transaction_id}` for rule `{rule}` exceeds 64 bits")]
    Overflow {
        /// The bank's id.
        transaction_id: String,
        /// Name of the rule.
        rule: String,
    },
}

/// Decides about a record; `None` when nothing follows from it.
///
/// `at` is the record's own time, so that a replay decides the same. `carry` looks up a
/// carry-over; it is asked at most once per key.
pub(crate) fn decide<E: From<DecisionError>>(
    rules: &[Rule],
    event: &TransactionEnriched,
    at: Timestamp,
    seen: Seen,
    carry: impl FnMut(&CarryKey) -> Result<i64, E>,
) -> Result<Option<Decision>, E> {
    if seen.is_deleted {
        return Ok(None);
    }
    if event.change == DELETED {
        return reverse(event, at, seen, carry).map(Some);
    }
    count(rules, event, at, seen, carry)
}

/// Counts a transaction for every rule that it meets and that has not counted it yet.
///
/// The amount is that of the version that met the rule first: one that is amended later (a tip)
/// neither drops again nor changes the carry-over.
fn count<E: From<DecisionError>>(
    rules: &[Rule],
    event: &TransactionEnriched,
    at: Timestamp,
    seen: Seen,
    mut carry: impl FnMut(&CarryKey) -> Result<i64, E>,
) -> Result<Option<Decision>, E> {
    let (account_id, transaction) = stated(event)?;
    let known = seen.counted.len();
    let mut decision = Decision { seen, ..Decision::default() };
    for rule in rules {
        let is_new = decision.seen.counted.iter().all(|counted| counted.rule != rule.name);
        if !is_new || !rule.condition.is_met(account_id, transaction) {
            continue;
        }
        let key = CarryKey { rule: rule.name.clone(), account_id: account_id.to_owned() };
        let carried_in = carry(&key)?;
        let overflow = || overflow(event, &rule.name);
        let amount = transaction.amount.checked_abs().ok_or_else(overflow)?;
        let dropped = jar::drop_coins(carried_in, amount, rule.price).ok_or_else(overflow)?;
        decision.carries.push((key, dropped.carried_out));
        decision.seen.counted.push(Counted {
            rule: rule.name.clone(),
            account_id: account_id.to_owned(),
            amount,
            price: rule.price,
            coins: dropped.coins,
        });
        if dropped.coins > 0 {
            let fired = fired(rule, event, account_id, transaction, carried_in, dropped, at);
            decision.triggers.push(CoinTrigger::CoinTriggerFired(fired));
        }
    }
    Ok((decision.seen.counted.len() > known).then_some(decision))
}

/// Takes back what a deleted transaction dropped, and remembers that it is gone.
fn reverse<E: From<DecisionError>>(
    event: &TransactionEnriched,
    at: Timestamp,
    seen: Seen,
    mut carry: impl FnMut(&CarryKey) -> Result<i64, E>,
) -> Result<Decision, E> {
    let mut decision =
        Decision { seen: Seen { is_deleted: true, counted: Vec::new() }, ..Decision::default() };
    for Counted { rule, account_id, amount, price, coins } in seen.counted {
        let key = CarryKey { rule, account_id };
        let carried_out = jar::take_back(carry(&key)?, amount, price, coins)
            .ok_or_else(|| overflow(event, &key.rule))?;
        if coins > 0 {
            decision.triggers.push(CoinTrigger::CoinTriggerReversed(CoinTriggerReversed {
                trigger_id: trigger_id(&key.rule, &event.transaction_id),
                rule: key.rule.clone(),
                transaction_id: event.transaction_id.clone(),
                account_id: key.account_id.clone(),
                coins,
                carried_out,
                event_id: event.event_id.clone(),
                reversed_at: at,
            }));
        }
        decision.carries.push((key, carried_out));
    }
    Ok(decision)
}

fn fired(
    rule: &Rule,
    event: &TransactionEnriched,
    account_id: &str,
    transaction: &Transaction,
    carried_in: i64,
    dropped: Dropped,
    at: Timestamp,
) -> CoinTriggerFired {
    CoinTriggerFired {
        trigger_id: trigger_id(&rule.name, &event.transaction_id),
        rule: rule.name.clone(),
        transaction_id: event.transaction_id.clone(),
        account_id: account_id.to_owned(),
        amount: transaction.amount,
        currency: transaction.currency.clone(),
        price: rule.price,
        coins: dropped.coins,
        carried_in,
        carried_out: dropped.carried_out,
        event_id: event.event_id.clone(),
        fired_at: at,
    }
}

/// The id of a trigger, and the key of its records: rule and transaction.
pub(crate) fn trigger_id(rule: &str, transaction_id: &str) -> String {
    format!("{rule}:{transaction_id}")
}

fn stated(event: &TransactionEnriched) -> Result<(&str, &Transaction), DecisionError> {
    let (transaction_id, change) = (&event.transaction_id, &event.change);
    let transaction =
        event.transaction.as_ref().ok_or_else(|| DecisionError::MissingTransaction {
            transaction_id: transaction_id.clone(),
            change: change.clone(),
        })?;
    let account_id = event.account_id.as_deref().ok_or_else(|| DecisionError::MissingAccount {
        transaction_id: transaction_id.clone(),
        change: change.clone(),
    })?;
    Ok((account_id, transaction))
}

fn overflow(event: &TransactionEnriched, rule: &str) -> DecisionError {
    DecisionError::Overflow { transaction_id: event.transaction_id.clone(), rule: rule.to_owned() }
}

#[cfg(test)]
mod tests;
