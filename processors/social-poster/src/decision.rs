//! The decision, pure: rules, a change of a transaction and what is known of it in; posts and what
//! to remember out.

use schemas::{PostRequested, Timestamp, Transaction, TransactionEnriched};
use serde::{Deserialize, Serialize};

use crate::{
    foreign_text, money,
    rules::{AmountStyle, Rule},
    template::Variable,
};

/// The `change` of a record that says a transaction is gone.
const DELETED: &str = "deleted";

/// What was decided about a transaction; nothing is kept of one that met no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// It is gone. Kept, so that a version that comes late is not posted about.
    pub is_deleted: bool,
    /// Names of the rules that asked for a post; each asks once.
    pub requested: Vec<String>,
}

/// What follows from a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What to remember of the transaction.
    pub seen: Seen,
    /// Posts to ask for.
    pub posts: Vec<PostRequested>,
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
    /// The currency would be shown as it is.
    #[error("transaction `{transaction_id}` has no ISO 4217 currency")]
    BadCurrency {
        /// The bank's id.
        transaction_id: String,
    },
    /// The time is outside of the calendar.
    #[error("transaction `{transaction_id}` was created at {created_at} ms; expected a date")]
    BadDate {
        /// The bank's id.
        transaction_id: String,
        /// Milliseconds since the Unix epoch.
        created_at: Timestamp,
    },
}

/// Decides about a record; `None` when nothing follows from it.
///
/// `at` is the record's own time, so that a replay decides the same.
pub(crate) fn decide(
    rules: &[Rule],
    event: &TransactionEnriched,
    at: Timestamp,
    seen: Seen,
) -> Result<Option<Decision>, DecisionError> {
    if seen.is_deleted {
        return Ok(None);
    }
    if event.change == DELETED {
        let seen = Seen { is_deleted: true, ..seen };
        return Ok(Some(Decision { seen, posts: Vec::new() }));
    }
    let (account_id, transaction) = stated(event)?;
    let mut decision = Decision { seen, posts: Vec::new() };
    for rule in rules {
        let is_new = !decision.seen.requested.contains(&rule.name);
        let is_met = rule.condition.is_met(account_id, transaction);
        if !is_new || !is_met || is_too_old(rule, event, transaction) {
            continue;
        }
        decision.posts.push(post(rule, event, transaction, at)?);
        decision.seen.requested.push(rule.name.clone());
    }
    Ok((!decision.posts.is_empty()).then_some(decision))
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

/// Measured from when the money moved to when the bank was asked about it, so that a backfill of
/// old transactions is not news.
fn is_too_old(rule: &Rule, event: &TransactionEnriched, transaction: &Transaction) -> bool {
    let moved_at = transaction.settled_at.unwrap_or(transaction.created_at);
    let age = event.observed_at.saturating_sub(moved_at);
    rule.max_age_ms.is_some_and(|max| age > max)
}

fn post(
    rule: &Rule,
    event: &TransactionEnriched,
    transaction: &Transaction,
    at: Timestamp,
) -> Result<PostRequested, DecisionError> {
    let value = |variable| value(variable, rule, event, transaction);
    Ok(PostRequested {
        post_id: format!("{}:{}", rule.name, event.transaction_id),
        rule: rule.name.clone(),
        network: rule.network.as_str().to_owned(),
        text: rule.template.render(value)?,
        visibility: rule.visibility.as_str().to_owned(),
        transaction_id: event.transaction_id.clone(),
        event_id: event.event_id.clone(),
        requested_at: at,
    })
}

fn value(
    variable: Variable,
    rule: &Rule,
    event: &TransactionEnriched,
    transaction: &Transaction,
) -> Result<String, DecisionError> {
    let currency = || {
        let code = &transaction.currency;
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        is_code.then_some(code.as_str()).ok_or_else(|| DecisionError::BadCurrency {
            transaction_id: event.transaction_id.clone(),
        })
    };
    match variable {
        Variable::Amount => Ok(match rule.amount {
            AmountStyle::Exact => money::exact(transaction.amount, currency()?),
            AmountStyle::Rounded { step } => money::rounded(transaction.amount, currency()?, step),
            AmountStyle::Hidden => String::new(),
        }),
        Variable::Currency => Ok(currency()?.to_owned()),
        Variable::Description => Ok(foreign_text::neutralise(&transaction.description)),
        Variable::Account => Ok(rule.account_name.clone()),
        Variable::Date => date(transaction.created_at).ok_or_else(|| DecisionError::BadDate {
            transaction_id: event.transaction_id.clone(),
            created_at: transaction.created_at,
        }),
    }
}

/// The day in UTC; `None` outside of the years a date is written with four digits.
fn date(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at).ok()?;
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    (date.year() >= 0).then(|| date.to_string())
}

#[cfg(test)]
mod tests;
