//! The whole graph, without a broker.

mod receiver;

use std::{io::Write as _, time::Duration};

use schemas::{CoinTriggerFired, CoinTriggerReversed, Position, Transaction};
use signatures::{Scheme, Secret, Verifier};
use streams::{Guarantee, Headers, testing::TestDriver};
use tempfile::NamedTempFile;

use super::*;
use receiver::Receiver;

const RULES: &str = "[rules.jar]\ncurrency = 'AUD'\nprice = 200\n";
const DEAD_LETTERS: &str = "coin-trigger-dlq";
const LEDGER: &str = "coin-trigger-effects";

fn config(rules: &NamedTempFile, hook: Option<&Receiver>) -> Config {
    use clap::{Args as _, FromArgMatches as _};
    let command = Config::augment_args(clap::Command::new("test"));
    let matches = command.try_get_matches_from(["test"]).expect("defaults");
    let mut config = Config::from_arg_matches(&matches).expect("defaults");
    rules.path().clone_into(&mut config.rules);
    config.hook_url = hook.map(Receiver::url);
    config.hook_secret = hook.map(|_| Redacted::from("secret".to_owned()));
    config
}

fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("file");
    file.write_all(RULES.as_bytes()).expect("written");
    file
}

/// As the app is declared.
fn driver(hook: Option<&Receiver>) -> TestDriver {
    driver_under(Guarantee::ExactlyOnce, hook)
}

fn driver_under(guarantee: Guarantee, hook: Option<&Receiver>) -> TestDriver {
    let topology = topology(&config(&rules(), hook)).expect("topology");
    TestDriver::with_guarantee(topology, guarantee).expect("driver")
}

fn event(id: &str, amount: Option<i64>) -> TransactionEnriched {
    let change = if amount.is_some() { "settled" } else { "deleted" };
    TransactionEnriched {
        source: "up".to_owned(),
        event_id: format!("event-{id}-{change}"),
        transaction_id: id.to_owned(),
        account_id: Some("account".to_owned()),
        change: change.to_owned(),
        transaction: amount.map(|amount| Transaction {
            status: "SETTLED".to_owned(),
            amount,
            currency: "AUD".to_owned(),
            held_amount: None,
            foreign_amount: None,
            foreign_currency: None,
            round_up_amount: None,
            description: "David".to_owned(),
            raw_text: None,
            message: None,
            category: None,
            transfer_account_id: None,
            created_at: 0,
            settled_at: Some(0),
        }),
        observed_at: 0,
        answer: None,
        raw: Position { topic: "raw".to_owned(), partition: 0, offset: 0 },
    }
}

fn pipe(driver: &mut TestDriver, id: &str, amount: Option<i64>) {
    let key = "account".to_owned();
    driver.pipe(topics::TRANSACTIONS_ENRICHED, &key, &event(id, amount)).expect("piped");
}

/// `trigger id: coins, carry-over`, of each trigger since the last look.
fn triggers(driver: &mut TestDriver) -> Vec<String> {
    let records = driver.read::<String, CoinTrigger>(topics::TRIGGERS_FIRED).expect("read");
    records
        .into_iter()
        .map(|record| match record.value {
            CoinTrigger::CoinTriggerFired(CoinTriggerFired { coins, carried_out, .. }) => {
                format!("{}: {coins}, {carried_out}", record.key)
            }
            CoinTrigger::CoinTriggerReversed(CoinTriggerReversed {
                coins, carried_out, ..
            }) => {
                format!("{}: -{coins}, {carried_out}", record.key)
            }
        })
        .collect()
}

#[test]
fn the_graph_is_described_without_a_broker() {
    let receiver = Receiver::answering(&[]);
    let described = topology(&config(&rules(), Some(&receiver))).expect("topology").describe();
    insta::assert_snapshot!(described, @r"
    application coin-trigger
    sub-topology decide (effects: none)
      source transactions (topic: bank.transactions.enriched.v1)
        --> trigger
      processor trigger (in partition order)
        <-> triggers
        --> fired
      store triggers (topic: coin-trigger-triggers-changelog)
      sink fired (topic: coin.triggers.fired.v1)
    sub-topology hook (effects: write)
      source fired (topic: coin.triggers.fired.v1)
        --> call
      processor call (in key order, at most 16 calls in flight)
        <-> effects
      store effects (topic: coin-trigger-effects)
    ");
    let without_hook = topology(&config(&rules(), None)).expect("topology").describe();
    assert!(described.starts_with(&without_hook), "{without_hook}");
    assert!(!without_hook.contains("sub-topology hook"));
}

#[test]
fn a_rule_fires_once_per_transaction() {
    let mut driver = driver(None);
    pipe(&mut driver, "a", Some(350));
    pipe(&mut driver, "a", Some(350));
    pipe(&mut driver, "b", Some(60));
    assert_eq!(triggers(&mut driver), ["jar:a: 1, 150", "jar:b: 1, 10"]);
    assert_eq!(driver.committed(topics::TRANSACTIONS_ENRICHED), Some(3));
}

#[test]
fn a_deleted_transaction_is_taken_back_and_stays_gone() {
    let mut driver = driver(None);
    pipe(&mut driver, "a", Some(350));
    pipe(&mut driver, "a", None);
    pipe(&mut driver, "a", Some(350));
    pipe(&mut driver, "b", None);
    pipe(&mut driver, "b", Some(900));
    assert_eq!(triggers(&mut driver), ["jar:a: 1, 150", "jar:a: -1, 0"]);
}

#[test]
fn records_that_make_no_sense_go_to_the_dead_letters_and_the_rest_moves_on() {
    let mut driver = driver(None);
    let (key, poison) = ("account".into(), "not Avro".into());
    driver.pipe_bytes(topics::TRANSACTIONS_ENRICHED, Some(key), Some(poison), Headers::new());
    let empty = TransactionEnriched { transaction: None, ..event("a", Some(1)) };
    driver.pipe(topics::TRANSACTIONS_ENRICHED, &"account".to_owned(), &empty).expect("piped");
    pipe(&mut driver, "a", Some(200));
    assert_eq!(triggers(&mut driver), ["jar:a: 1, 0"]);
    assert_eq!(driver.committed(topics::TRANSACTIONS_ENRICHED), Some(3));
    let letters = driver.dead_letters();
    assert_eq!(driver.records(DEAD_LETTERS).len(), 2);
    assert_eq!(letters[0].record.value.as_deref(), Some(&b"not Avro"[..]));
    assert!(letters[1].reason.message.contains("comes without the transaction"), "{letters:?}");
}

#[test]
fn a_restart_before_the_commit_decides_the_same_again() {
    let once = ["jar:a: 1, 150", "jar:b: 1, 10", "jar:c: 1, 10"];
    let twice = ["jar:a: 1, 150", "jar:b: 1, 10", "jar:b: 1, 10", "jar:c: 1, 10"];
    for (guarantee, expect) in
        [(Guarantee::ExactlyOnce, &once[..]), (Guarantee::AtLeastOnce, &twice[..])]
    {
        let mut driver = driver_under(guarantee, None);
        pipe(&mut driver, "a", Some(350));
        driver.hold_commits();
        pipe(&mut driver, "b", Some(60));
        driver.restart().expect("restarted");
        pipe(&mut driver, "b", Some(60));
        pipe(&mut driver, "c", Some(200));
        assert_eq!(triggers(&mut driver), expect, "{guarantee:?}");
    }
}

#[test]
fn each_trigger_calls_the_hook_once_signed() {
    let receiver = Receiver::answering(&[]);
    let mut driver = driver(Some(&receiver));
    pipe(&mut driver, "a", Some(350));
    pipe(&mut driver, "a", Some(350));
    pipe(&mut driver, "a", None);
    let keys: Vec<_> =
        receiver.received().iter().map(|request| request.header(KEY_HEADER).to_owned()).collect();
    assert_eq!(keys, ["coin-trigger:jar:a", "coin-trigger:jar:a:reversed"]);
    assert_eq!(driver.committed(topics::TRIGGERS_FIRED), Some(2));

    let request = receiver.received().remove(0);
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body["type"], "coin.trigger.fired");
    assert_eq!(body["id"], "jar:a");
    assert_eq!(body["trigger"]["coins"], 1);

    let scheme = Scheme { header: SIGNATURE_HEADER.to_owned(), ..Scheme::stripe() };
    let keys = vec![("k".to_owned(), Secret::new("secret").expect("secret"))];
    let verifier = Verifier::new(scheme, keys).expect("verifier");
    let value = request.header(SIGNATURE_HEADER).to_owned();
    let headers = vec![signatures::Header { name: SIGNATURE_HEADER.to_owned(), value }];
    let now = streams::Clock::now(&SystemClock);
    verifier.verify(&headers, &request.body, now).expect("accepted");
}

#[test]
fn a_trigger_told_twice_calls_the_hook_once() {
    let receiver = Receiver::answering(&[]);
    let mut driver = driver_under(Guarantee::AtLeastOnce, Some(&receiver));
    driver.hold_commits();
    pipe(&mut driver, "a", Some(200));
    driver.restart().expect("restarted");
    assert_eq!(triggers(&mut driver), ["jar:a: 1, 0", "jar:a: 1, 0"]);
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(driver.committed(topics::TRIGGERS_FIRED), Some(2));
}

#[test]
fn trouble_of_the_receiver_is_repeated_with_the_same_key_after_its_wait() {
    let receiver = Receiver::answering(&[503, 302, 429]);
    let mut driver = driver(Some(&receiver));
    pipe(&mut driver, "a", Some(200));
    assert_eq!(receiver.received().len(), 1);
    driver.advance(Duration::from_secs(2));
    assert_eq!(receiver.received().len(), 1);
    driver.advance(Duration::from_mins(1));
    let received = receiver.received();
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|request| request.header(KEY_HEADER) == "coin-trigger:jar:a"));
    assert_eq!(driver.committed(topics::TRIGGERS_FIRED), Some(1));
}

#[test]
fn a_wrong_secret_at_the_receiver_loses_no_trigger() {
    let receiver = Receiver::answering(&[401, 401, 403, 404]);
    let mut driver = driver(Some(&receiver));
    pipe(&mut driver, "a", Some(200));
    assert_ne!(driver.committed(topics::TRIGGERS_FIRED), Some(1), "not while the door is closed");
    driver.advance(Duration::from_mins(1));
    let received = receiver.received();
    assert_eq!(received.len(), 5);
    assert!(received.iter().all(|request| request.header(KEY_HEADER) == "coin-trigger:jar:a"));
    assert_eq!(driver.committed(topics::TRIGGERS_FIRED), Some(1));
}

#[test]
fn a_refusal_is_recorded_and_not_repeated() {
    let receiver = Receiver::answering(&[410]);
    let mut driver = driver(Some(&receiver));
    pipe(&mut driver, "a", Some(200));
    driver.advance(Duration::from_mins(10));
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(driver.committed(topics::TRIGGERS_FIRED), Some(1));
    let entry = driver.records(LEDGER).last().and_then(|entry| entry.value.clone());
    let entry = String::from_utf8(entry.expect("an entry").to_vec()).expect("text");
    assert!(entry.contains(r#"{"done":{"refused":{"status":410}}}"#), "{entry}");
}

#[test]
fn a_hook_without_a_secret_is_refused_at_start() {
    let receiver = Receiver::answering(&[]);
    let rules = rules();
    let config = Config { hook_secret: None, ..config(&rules, Some(&receiver)) };
    let error = format!("{:#}", topology(&config).expect_err("refused"));
    assert_eq!(
        error,
        "configuring the hook: the hook needs a secret: set COIN_HOOK_SECRET or \
         COIN_HOOK_SECRET_FILE"
    );
}
