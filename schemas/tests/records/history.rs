//! Committed schemas: the newest of the history is what the code has, and reads all before it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::{AvroSchema, Schema};
use schemas::{
    AccountObserved, BalanceReconciled, CoinTrigger, PostPublished, PostRequested,
    TransactionEnriched, WebhookReceived, WebhookRejected, topics,
};

/// Topic, file in `avro/`, schema of the Rust type.
fn committed() -> [(&'static str, &'static str, Schema); 8] {
    [
        (topics::WEBHOOKS_RECEIVED, "bank.WebhookReceived", WebhookReceived::get_schema()),
        (topics::WEBHOOKS_REJECTED, "bank.WebhookRejected", WebhookRejected::get_schema()),
        (
            topics::TRANSACTIONS_ENRICHED,
            "bank.TransactionEnriched",
            TransactionEnriched::get_schema(),
        ),
        (topics::ACCOUNTS_OBSERVED, "bank.AccountObserved", AccountObserved::get_schema()),
        (topics::BALANCES_RECONCILED, "bank.BalanceReconciled", BalanceReconciled::get_schema()),
        (topics::TRIGGERS_FIRED, "coin.CoinTrigger", CoinTrigger::get_schema()),
        (topics::POSTS_REQUESTED, "social.PostRequested", PostRequested::get_schema()),
        (topics::POSTS_PUBLISHED, "social.PostPublished", PostPublished::get_schema()),
    ]
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("folder is there");
    entries
        .map(|entry| entry.expect("entry is readable").file_name().into_string().expect("UTF-8"))
        .collect()
}

/// The versions of a topic's schema, oldest first. They are numbered from 1 without a gap.
fn versions(topic: &str) -> Vec<String> {
    let folder = folder("history").join(format!("{topic}-value"));
    let texts: Vec<String> = (1..)
        .map_while(|number: u32| fs::read_to_string(folder.join(format!("{number}.avsc"))).ok())
        .collect();
    assert_eq!(texts.len(), names(&folder).len(), "a gap or a stray file in {}", folder.display());
    texts
}

#[test]
fn newest_version_is_the_compact_text_of_the_committed_schema() {
    for (topic, file, _) in committed() {
        let path = folder("avro").join(format!("{file}.avsc"));
        let text = fs::read_to_string(&path).expect("schema is committed");
        let json: serde_json::Value = serde_json::from_str(&text).expect("schema is JSON");
        assert_eq!(
            versions(topic).last(),
            Some(&json.to_string()),
            "{} changed: add its compact text as the next version of schemas/history/{topic}-value",
            path.display()
        );
    }
}

#[test]
fn rust_type_and_committed_schema_are_the_same() {
    for (topic, _, schema) in committed() {
        let newest = versions(topic).pop().expect("a version is committed");
        assert_eq!(Schema::parse_str(&newest).expect("history parses"), schema, "{topic}");
    }
}

#[test]
fn newest_version_reads_every_version_before_it() {
    for (topic, _, schema) in committed() {
        for (index, older) in versions(topic).iter().enumerate() {
            let older = Schema::parse_str(older).expect("history parses");
            let verdict = SchemaCompatibility::can_read(&older, &schema);
            assert!(verdict.is_ok(), "{topic} version {}: {verdict:?}", index.saturating_add(1));
        }
    }
}

#[test]
fn every_schema_file_and_every_history_belongs_to_a_topic() {
    let files = committed().map(|(_, file, _)| format!("{file}.avsc"));
    assert_eq!(names(&folder("avro")), files.into_iter().collect());
    let subjects = committed().map(|(topic, ..)| format!("{topic}-value"));
    assert_eq!(names(&folder("history")), subjects.into_iter().collect());
}

#[test]
fn a_new_field_without_a_default_is_refused() {
    let (_, _, schema) = committed().into_iter().next().expect("there are schemas");
    let mut json: serde_json::Value =
        serde_json::from_str(&versions(topics::WEBHOOKS_RECEIVED).remove(0)).expect("JSON");
    let field = serde_json::json!({"name": "trace", "type": "string"});
    json["fields"].as_array_mut().expect("a record has fields").push(field);
    let next = Schema::parse_str(&json.to_string()).expect("schema parses");
    assert!(SchemaCompatibility::can_read(&schema, &next).is_err());
}
