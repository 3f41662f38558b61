//! One datum of each record, byte for byte: what is on the topics since the first version.
//!
//! A test that fails here means that records written by an older release would be read wrongly, or
//! not at all. When the change is wanted, copy the file that the failure names.

use std::fmt::Debug;
use std::path::Path;

use apache_avro::{AvroSchema, Schema};
use schemas::{
    AccountObserved, BalanceReconciled, CoinTrigger, CoinTriggerFired, CoinTriggerReversed,
    ExplainedItem, INTEGRITY_UNKNOWN, Position, PostPublished, PostRequested, Redacted,
    RejectedHeader, SignatureHeader, Transaction, TransactionEnriched, WebhookReceived,
    WebhookRejected, topics,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;

fn check<T>(name: &str, record: &T)
where
    T: AvroSchema + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let written = codec::encode(record);
    let kept = std::fs::read(&golden).unwrap_or_default();
    if written != kept {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&actual, &written).expect("the target folder is writable");
        panic!("{} differs from {}", golden.display(), actual.display());
    }
    assert_eq!(codec::decode::<T>(&kept).as_ref(), Ok(record));
}

fn webhook_received() -> WebhookReceived {
    WebhookReceived {
        source: "up".into(),
        scheme: "up".into(),
        event_id: "0c8b1a2e-0001-4d6e-9b1f-5a0f5f2f9a01".into(),
        event_type: "TRANSACTION_CREATED".into(),
        subject_id: Some("5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into()),
        occurred_at: Some(1_760_000_000_000),
        received_at: 1_760_000_000_417,
        body: b"{\"data\":{}}\xff\x00".to_vec(),
        signature_headers: vec![SignatureHeader {
            name: "x-up-authenticity-signature".into(),
            value: "00ff".into(),
        }],
        key_id: "env".into(),
        body_sha256: "ab".repeat(32),
        origin: "webhook".into(),
        integrity: "full".into(),
    }
}

#[test]
fn webhook_received_keeps_its_bytes() {
    check("bank.WebhookReceived.avro", &webhook_received());
}

/// What the golden datum of a topic's first version is read as.
fn first_version<T: AvroSchema + DeserializeOwned>(topic: &str, name: &str) -> Result<T, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let history = format!("history/{topic}-value/1.avsc");
    let first = std::fs::read_to_string(folder.join(history)).expect("version is committed");
    let first = Schema::parse_str(&first).expect("history parses");
    let golden = folder.join("tests/golden").join(name);
    let datum = std::fs::read(golden).expect("datum is committed");
    // The short way knows its own version only: each writer's schema is judged before it is taken.
    assert!(codec::decode::<T>(&datum).is_err());
    codec::decode_resolving::<T>(&first, &datum)
}

#[test]
fn a_webhook_of_the_first_version_is_read_with_unknown_integrity() {
    let read = first_version(topics::WEBHOOKS_RECEIVED, "bank.WebhookReceived.1.avro");
    let integrity = INTEGRITY_UNKNOWN.to_owned();
    assert_eq!(read, Ok(WebhookReceived { integrity, ..webhook_received() }));
}

fn webhook_rejected() -> WebhookRejected {
    let header = |name: &str| RejectedHeader {
        name: name.into(),
        value: None,
        value_base64: None,
        redacted: None,
    };
    let redacted = Redacted { bytes: 18, sha256_begins: "0123456789abcdef".into() };
    WebhookRejected {
        received_at: 1_760_000_000_417,
        source: "up".into(),
        scheme: "up".into(),
        path: "/webhooks/up".into(),
        reason: "signature-mismatch".into(),
        peer: "192.0.2.1".into(),
        headers: vec![
            RejectedHeader { value: Some("Café".into()), ..header("user-agent") },
            RejectedHeader { value_base64: Some("/w==".into()), ..header("x-odd") },
            RejectedHeader { redacted: Some(redacted), ..header("cookie") },
        ],
        headers_left_out: 3,
        body_bytes: Some(2),
        body_sha256: Some("ab".repeat(32)),
        body_base64: Some("e30=".into()),
        body_cut: Some(false),
        client: Some("198.51.100.7".into()),
    }
}

#[test]
fn webhook_rejected_keeps_its_bytes() {
    check("bank.WebhookRejected.avro", &webhook_rejected());
}

#[test]
fn a_rejection_of_the_first_version_is_read_without_its_client() {
    let read = first_version(topics::WEBHOOKS_REJECTED, "bank.WebhookRejected.1.avro");
    assert_eq!(read, Ok(WebhookRejected { client: None, ..webhook_rejected() }));
}

#[test]
fn transaction_enriched_keeps_its_bytes() {
    check(
        "bank.TransactionEnriched.avro",
        &TransactionEnriched {
            source: "up".into(),
            event_id: "0c8b1a2e-0001-4d6e-9b1f-5a0f5f2f9a01".into(),
            transaction_id: "5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            account_id: Some("a1c0f0de-0003-4e57-a0a1-7c3f6d1e9a03".into()),
            change: "settled".into(),
            transaction: Some(Transaction {
                status: "SETTLED".into(),
                amount: -12_345,
                currency: "AUD".into(),
                held_amount: Some(-11_000),
                foreign_amount: Some(-8_001),
                foreign_currency: Some("USD".into()),
                round_up_amount: Some(-55),
                description: "Café Ünder".into(),
                raw_text: Some("CAFE UNDER, SYDNEY AUS".into()),
                message: None,
                category: Some("restaurants-and-cafes".into()),
                transfer_account_id: None,
                created_at: 1_760_000_000_000,
                settled_at: Some(1_760_086_400_000),
            }),
            observed_at: 1_760_086_401_250,
            answer: Some(b"{\"data\":{\"id\":\"5f1d7b7e\"}}".to_vec()),
            raw: Position {
                topic: topics::WEBHOOKS_RECEIVED.into(),
                partition: 3,
                offset: 4_294_967_296,
            },
        },
    );
}

#[test]
fn account_observed_keeps_its_bytes() {
    check(
        "bank.AccountObserved.avro",
        &AccountObserved {
            source: "up".into(),
            account_id: "a1c0f0de-0003-4e57-a0a1-7c3f6d1e9a03".into(),
            display_name: "Spending 💸".into(),
            account_type: "TRANSACTIONAL".into(),
            balance: 987_654,
            currency: "AUD".into(),
            observed_at: 1_760_086_401_300,
            answer: b"{\"data\":{}}".to_vec(),
            cause_event_id: Some("0c8b1a2e-0001-4d6e-9b1f-5a0f5f2f9a01".into()),
        },
    );
}

#[test]
fn balance_reconciled_keeps_its_bytes() {
    check(
        "bank.BalanceReconciled.avro",
        &BalanceReconciled {
            account_id: "a1c0f0de-0003-4e57-a0a1-7c3f6d1e9a03".into(),
            currency: "AUD".into(),
            opening_balance: 1_000_000,
            settled: -12_345,
            held: -1,
            ledger_balance: 987_654,
            bank_balance: 987_000,
            difference: -654,
            explained: vec![ExplainedItem {
                kind: "timing".into(),
                transaction_ids: vec!["5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into()],
                amount: -600,
            }],
            unexplained: -54,
            status: "unexplained".into(),
            transactions: 2,
            bank_observed_at: 1_760_086_401_300,
            reconciled_at: 1_760_086_521_300,
        },
    );
}

#[test]
fn coin_trigger_fired_keeps_its_bytes() {
    check(
        "coin.CoinTriggerFired.avro",
        &CoinTrigger::CoinTriggerFired(CoinTriggerFired {
            trigger_id: "arcade:5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            rule: "arcade".into(),
            transaction_id: "5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            account_id: "a1c0f0de-0003-4e57-a0a1-7c3f6d1e9a03".into(),
            amount: 1_050,
            currency: "AUD".into(),
            price: 200,
            coins: 5,
            carried_in: 30,
            carried_out: 80,
            event_id: "0c8b1a2e-0001-4d6e-9b1f-5a0f5f2f9a01".into(),
            fired_at: 1_760_000_000_900,
        }),
    );
}

#[test]
fn coin_trigger_reversed_keeps_its_bytes() {
    check(
        "coin.CoinTriggerReversed.avro",
        &CoinTrigger::CoinTriggerReversed(CoinTriggerReversed {
            trigger_id: "arcade:5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            rule: "arcade".into(),
            transaction_id: "5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            account_id: "a1c0f0de-0003-4e57-a0a1-7c3f6d1e9a03".into(),
            coins: 5,
            carried_out: -20,
            event_id: "0c8b1a2e-0004-4d6e-9b1f-5a0f5f2f9a04".into(),
            reversed_at: 1_760_000_060_000,
        }),
    );
}

#[test]
fn post_requested_keeps_its_bytes() {
    check(
        "social.PostRequested.avro",
        &PostRequested {
            post_id: "coffee:5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            rule: "coffee".into(),
            network: "mastodon".into(),
            text: "Another coffee, about AUD 10.".into(),
            visibility: "unlisted".into(),
            transaction_id: "5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            event_id: "0c8b1a2e-0001-4d6e-9b1f-5a0f5f2f9a01".into(),
            requested_at: 1_760_000_001_000,
        },
    );
}

#[test]
fn post_published_keeps_its_bytes() {
    check(
        "social.PostPublished.avro",
        &PostPublished {
            post_id: "coffee:5f1d7b7e-0002-4a1f-8f7e-2b8f1f1c9a02".into(),
            network: "mastodon".into(),
            outcome: "published".into(),
            network_id: Some("115340000000000001".into()),
            url: Some("https://social.example/@me/115340000000000001".into()),
            detail: None,
            attempts: 2,
            finished_at: 1_760_000_002_000,
        },
    );
}
