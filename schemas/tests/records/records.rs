//! Any record of each kind, for the property tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use schemas::{
    AccountObserved, BalanceReconciled, CoinTrigger, CoinTriggerFired, CoinTriggerReversed,
    ExplainedItem, Position, PostPublished, PostRequested, SignatureHeader, Transaction,
    TransactionEnriched, WebhookReceived,
};

/// Every character is allowed: names and messages come from people.
fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("(?s).{0,24}").expect("pattern is valid")
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..64)
}

pub(crate) fn webhook_received() -> impl Strategy<Value = WebhookReceived> {
    let header = (text(), text()).prop_map(|(name, value)| SignatureHeader { name, value });
    (
        (text(), text(), text(), text(), option::of(text()), option::of(any::<i64>())),
        (any::<i64>(), bytes(), vec(header, 0..4), text(), text(), text(), text()),
    )
        .prop_map(|(event, request)| WebhookReceived {
            source: event.0,
            scheme: event.1,
            event_id: event.2,
            event_type: event.3,
            subject_id: event.4,
            occurred_at: event.5,
            received_at: request.0,
            body: request.1,
            signature_headers: request.2,
            key_id: request.3,
            body_sha256: request.4,
            origin: request.5,
            integrity: request.6,
        })
}

fn transaction() -> impl Strategy<Value = Transaction> {
    (
        (text(), any::<i64>(), text(), option::of(any::<i64>()), option::of(any::<i64>())),
        (option::of(text()), option::of(any::<i64>()), text(), option::of(text())),
        (option::of(text()), option::of(text()), option::of(text())),
        (any::<i64>(), option::of(any::<i64>())),
    )
        .prop_map(|(amounts, texts, relations, times)| Transaction {
            status: amounts.0,
            amount: amounts.1,
            currency: amounts.2,
            held_amount: amounts.3,
            foreign_amount: amounts.4,
            foreign_currency: texts.0,
            round_up_amount: texts.1,
            description: texts.2,
            raw_text: texts.3,
            message: relations.0,
            category: relations.1,
            transfer_account_id: relations.2,
            created_at: times.0,
            settled_at: times.1,
        })
}

pub(crate) fn transaction_enriched() -> impl Strategy<Value = TransactionEnriched> {
    let position = (text(), any::<i32>(), any::<i64>())
        .prop_map(|(topic, partition, offset)| Position { topic, partition, offset });
    (
        (text(), text(), text(), option::of(text()), text()),
        (option::of(transaction()), any::<i64>(), option::of(bytes()), position),
    )
        .prop_map(|(event, seen)| TransactionEnriched {
            source: event.0,
            event_id: event.1,
            transaction_id: event.2,
            account_id: event.3,
            change: event.4,
            transaction: seen.0,
            observed_at: seen.1,
            answer: seen.2,
            raw: seen.3,
        })
}

pub(crate) fn account_observed() -> impl Strategy<Value = AccountObserved> {
    (
        (text(), text(), text(), text()),
        (any::<i64>(), text(), any::<i64>(), bytes(), option::of(text())),
    )
        .prop_map(|(account, seen)| AccountObserved {
            source: account.0,
            account_id: account.1,
            display_name: account.2,
            account_type: account.3,
            balance: seen.0,
            currency: seen.1,
            observed_at: seen.2,
            answer: seen.3,
            cause_event_id: seen.4,
        })
}

pub(crate) fn balance_reconciled() -> impl Strategy<Value = BalanceReconciled> {
    let item =
        (text(), vec(text(), 0..3), any::<i64>()).prop_map(|(kind, transaction_ids, amount)| {
            ExplainedItem { kind, transaction_ids, amount }
        });
    (
        (text(), text(), any::<[i64; 6]>()),
        (vec(item, 0..3), any::<i64>(), text(), any::<[i64; 3]>()),
    )
        .prop_map(|((account_id, currency, sums), (explained, unexplained, status, rest))| {
            let [opening_balance, settled, held, ledger_balance, bank_balance, difference] = sums;
            let [transactions, bank_observed_at, reconciled_at] = rest;
            BalanceReconciled {
                account_id,
                currency,
                opening_balance,
                settled,
                held,
                ledger_balance,
                bank_balance,
                difference,
                explained,
                unexplained,
                status,
                transactions,
                bank_observed_at,
                reconciled_at,
            }
        })
}

fn fired() -> impl Strategy<Value = CoinTriggerFired> {
    ((text(), text(), text(), text(), text(), text()), any::<[i64; 6]>()).prop_map(
        |((trigger_id, rule, transaction_id, account_id, currency, event_id), numbers)| {
            let [amount, price, coins, carried_in, carried_out, fired_at] = numbers;
            CoinTriggerFired {
                trigger_id,
                rule,
                transaction_id,
                account_id,
                amount,
                currency,
                price,
                coins,
                carried_in,
                carried_out,
                event_id,
                fired_at,
            }
        },
    )
}

fn reversed() -> impl Strategy<Value = CoinTriggerReversed> {
    ((text(), text(), text(), text(), text()), any::<[i64; 3]>()).prop_map(
        |((trigger_id, rule, transaction_id, account_id, event_id), numbers)| {
            let [coins, carried_out, reversed_at] = numbers;
            CoinTriggerReversed {
                trigger_id,
                rule,
                transaction_id,
                account_id,
                coins,
                carried_out,
                event_id,
                reversed_at,
            }
        },
    )
}

pub(crate) fn coin_trigger() -> impl Strategy<Value = CoinTrigger> {
    prop_oneof![
        fired().prop_map(CoinTrigger::CoinTriggerFired),
        reversed().prop_map(CoinTrigger::CoinTriggerReversed),
    ]
}

pub(crate) fn post_requested() -> impl Strategy<Value = PostRequested> {
    ((text(), text(), text(), text()), (text(), text(), text(), any::<i64>())).prop_map(
        |(post, cause)| PostRequested {
            post_id: post.0,
            rule: post.1,
            network: post.2,
            text: post.3,
            visibility: cause.0,
            transaction_id: cause.1,
            event_id: cause.2,
            requested_at: cause.3,
        },
    )
}

pub(crate) fn post_published() -> impl Strategy<Value = PostPublished> {
    (
        (text(), text(), text(), option::of(text())),
        (option::of(text()), option::of(text()), any::<i32>(), any::<i64>()),
    )
        .prop_map(|(post, answer)| PostPublished {
            post_id: post.0,
            network: post.1,
            outcome: post.2,
            network_id: post.3,
            url: answer.0,
            detail: answer.1,
            attempts: answer.2,
            finished_at: answer.3,
        })
}
