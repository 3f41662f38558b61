//! The records that leave, made of the bank's answers.

use banks::{Account, Money, Observed, Transaction};
use schemas::{AccountObserved, Position, Timestamp, TransactionEnriched, WebhookReceived};
use streams::Record;

use crate::change::Change;

/// A transaction as it is now.
pub(crate) fn enriched(
    record: &Record<String, WebhookReceived>,
    change: Change,
    observed: Observed<Transaction>,
) -> TransactionEnriched {
    let Observed { value, answer, observed_at } = observed;
    TransactionEnriched {
        source: record.value.source.clone(),
        event_id: record.value.event_id.clone(),
        transaction_id: value.id.clone(),
        account_id: Some(value.account_id.clone()),
        change: change.as_str().to_owned(),
        transaction: Some(transaction(value)),
        observed_at,
        answer: Some(answer.to_vec()),
        raw: position(&record.position),
    }
}

/// A deletion. The bank has no answer about it; what we observed is the event itself.
pub(crate) fn deleted(
    record: &Record<String, WebhookReceived>,
    transaction_id: &str,
    account_id: Option<String>,
) -> TransactionEnriched {
    TransactionEnriched {
        source: record.value.source.clone(),
        event_id: record.value.event_id.clone(),
        transaction_id: transaction_id.to_owned(),
        account_id,
        change: Change::Deleted.as_str().to_owned(),
        transaction: None,
        observed_at: observed_deletion(record),
        answer: None,
        raw: position(&record.position),
    }
}

fn observed_deletion(record: &Record<String, WebhookReceived>) -> Timestamp {
    record.value.received_at
}

/// A balance, seen because of the record's event.
pub(crate) fn account(
    record: &Record<String, WebhookReceived>,
    observed: Observed<Account>,
) -> AccountObserved {
    let Observed { value, answer, observed_at } = observed;
    AccountObserved {
        source: record.value.source.clone(),
        account_id: value.id,
        display_name: value.display_name,
        account_type: value.account_type,
        balance: value.balance.amount,
        currency: value.balance.currency,
        observed_at,
        answer: answer.to_vec(),
        cause_event_id: Some(record.value.event_id.clone()),
    }
}

fn transaction(value: Transaction) -> schemas::Transaction {
    let (foreign_amount, foreign_currency) = match value.foreign_amount {
        Some(Money { amount, currency }) => (Some(amount), Some(currency)),
        None => (None, None),
    };
    schemas::Transaction {
        status: value.status,
        amount: value.amount.amount,
        currency: value.amount.currency,
        held_amount: value.held_amount.map(|money| money.amount),
        foreign_amount,
        foreign_currency,
        round_up_amount: value.round_up.map(|money| money.amount),
        description: value.description,
        raw_text: value.raw_text,
        message: value.message,
        category: value.category,
        transfer_account_id: value.transfer_account_id,
        created_at: value.created_at,
        settled_at: value.settled_at,
    }
}

fn position(position: &streams::Position) -> Position {
    Position {
        topic: position.topic.to_string(),
        partition: position.partition,
        offset: position.offset,
    }
}
