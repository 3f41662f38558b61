use std::sync::Arc;
use std::time::Duration;

use banks::{BankError, Silence, UpArgs};
use bytes::Bytes;
use schemas::{AccountObserved, TransactionEnriched, WebhookReceived, topics};
use streams::testing::TestDriver;
use streams::{Guarantee, Record};

use crate::change::Known;
use crate::config::Config;
use crate::memory::Memory;
use crate::numbers::{Fate, Numbers};
use crate::testing::{ANSWERED_AT, FakeBank, RECEIVED_AT, webhook};
use crate::topology::build;

mod order;

/// One day.
const WINDOW: Duration = Duration::from_hours(24);

/// The application on the test driver, with a bank of one account.
struct Desk {
    driver: TestDriver,
    bank: FakeBank,
    memory: Memory,
    numbers: Numbers,
}

fn config() -> Config {
    Config {
        source: "up".to_owned(),
        up: UpArgs::default(),
        dedupe_window: WINDOW,
        account_read_interval: Duration::ZERO,
    }
}

impl Desk {
    fn new() -> Self {
        let bank = FakeBank::default();
        bank.put_account("acc-1", 5_000);
        let numbers = Numbers::new().unwrap();
        let its_bank = bank.clone();
        let (topology, memory) =
            build(&config(), numbers.clone(), |_http| Arc::new(its_bank)).unwrap();
        let driver = TestDriver::with_guarantee(topology, Guarantee::ExactlyOnce).unwrap();
        Self { driver, bank, memory, numbers }
    }

    fn file(&mut self, record: &WebhookReceived) {
        let key =
            format!("{}:{}", record.source, record.subject_id.as_ref().unwrap_or(&record.event_id));
        self.driver.pipe(topics::WEBHOOKS_RECEIVED, &key, record).unwrap();
    }

    fn event(&mut self, event_id: &str, event_type: &str, transaction_id: &str) {
        self.file(&webhook(event_id, event_type, Some(transaction_id)));
    }

    fn transactions(&mut self) -> Vec<Record<String, TransactionEnriched>> {
        self.driver.read(topics::TRANSACTIONS_ENRICHED).unwrap()
    }

    fn balances(&mut self) -> Vec<Record<String, AccountObserved>> {
        self.driver.read(topics::ACCOUNTS_OBSERVED).unwrap()
    }

    /// Change, account and balance of what left since the last look.
    fn said(&mut self) -> Vec<String> {
        let mut said: Vec<_> = self
            .transactions()
            .into_iter()
            .map(|record| {
                format!(
                    "{} {} for {}",
                    record.value.transaction_id, record.value.change, record.key
                )
            })
            .collect();
        said.extend(
            self.balances()
                .into_iter()
                .map(|record| format!("{} has {}", record.key, record.value.balance)),
        );
        said
    }

    #[track_caller]
    fn expect_committed(&self, offset: i64) {
        assert_eq!(self.driver.committed(topics::WEBHOOKS_RECEIVED), Some(offset));
    }
}

#[test]
fn an_event_becomes_the_banks_answers_byte_for_byte() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1_250);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    assert_eq!(desk.bank.asked(), ["transaction tx-1", "account acc-1"]);

    let [enriched] = desk.transactions().try_into().unwrap();
    assert_eq!(enriched.key, "acc-1");
    let value = enriched.value;
    assert_eq!(value.answer.as_deref(), Some(&b"{ \"tx-1\":  \"HELD -1250\" }\n"[..]));
    assert_eq!((value.change.as_str(), value.observed_at), ("created", ANSWERED_AT));
    assert_eq!((value.source.as_str(), value.event_id.as_str()), ("up", "event-1"));
    assert_eq!((value.raw.topic.as_str(), value.raw.offset), (topics::WEBHOOKS_RECEIVED, 0));
    let transaction = value.transaction.unwrap();
    assert_eq!((transaction.status.as_str(), transaction.amount), ("HELD", -1_250));
    assert_eq!((transaction.currency.as_str(), transaction.held_amount), ("AUD", Some(-1_250)));

    let [observed] = desk.balances().try_into().unwrap();
    assert_eq!(observed.key, "acc-1");
    assert_eq!(observed.value.answer, b"{ \"acc-1\":  5000 }\n");
    assert_eq!((observed.value.balance, observed.value.observed_at), (5_000, ANSWERED_AT + 1));
    assert_eq!(observed.value.cause_event_id.as_deref(), Some("event-1"));
    desk.expect_committed(1);
}

#[test]
fn a_repeated_event_is_asked_about_once_also_after_a_restart() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.driver.restart().unwrap();
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    assert_eq!(desk.said(), ["tx-1 created for acc-1", "acc-1 has 5000"]);
    assert_eq!(desk.bank.asked().len(), 2);
    assert_eq!(desk.numbers.counted(Fate::Duplicate), 2);
    desk.expect_committed(3);
}

#[test]
fn the_life_of_a_transaction_is_told_in_order() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1_000);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.bank.put_transaction("tx-1", "acc-1", "SETTLED", -1_100);
    desk.bank.put_account("acc-1", 4_900);
    desk.event("event-2", "TRANSACTION_SETTLED", "tx-1");
    desk.bank.put_transaction("tx-1", "acc-1", "SETTLED", -1_200);
    desk.event("event-3", "TRANSACTION_SETTLED", "tx-1");
    let changes: Vec<_> =
        desk.transactions().into_iter().map(|record| record.value.change).collect();
    assert_eq!(changes, ["created", "settled", "amended"]);
    let balances: Vec<_> = desk.balances().into_iter().map(|record| record.value.balance).collect();
    assert_eq!(balances, [5_000, 4_900, 4_900]);
}

#[test]
fn a_deletion_finds_its_account_and_its_balance() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1_000);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.said();
    desk.bank.delete_transaction("tx-1");
    desk.bank.put_account("acc-1", 6_000);
    desk.event("event-2", "TRANSACTION_DELETED", "tx-1");
    let [deleted] = desk.transactions().try_into().unwrap();
    assert_eq!(deleted.key, "acc-1");
    assert_eq!(deleted.value.account_id.as_deref(), Some("acc-1"));
    assert_eq!((deleted.value.transaction, deleted.value.answer), (None, None));
    assert_eq!(
        (deleted.value.change.as_str(), deleted.value.observed_at),
        ("deleted", RECEIVED_AT)
    );
    assert_eq!(desk.said(), ["acc-1 has 6000"]);
    assert_eq!(desk.bank.asked().last().unwrap(), "account acc-1");
}

#[test]
fn a_deletion_that_comes_first_stays() {
    let mut desk = Desk::new();
    desk.event("event-2", "TRANSACTION_DELETED", "tx-1");
    let [deleted] = desk.transactions().try_into().unwrap();
    assert_eq!((deleted.key.as_str(), deleted.value.account_id), ("tx-1", None));
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.event("event-3", "TRANSACTION_DELETED", "tx-1");
    assert_eq!(desk.said(), [""; 0]);
    assert_eq!(desk.bank.asked(), [""; 0]);
    assert_eq!(desk.numbers.counted(Fate::AlreadyDeleted), 2);
    let known = desk.driver.store(&desk.memory.transactions).get(&"up/tx-1".to_owned());
    assert_eq!(known, Some(Known::Deleted { account_id: None }));
    desk.expect_committed(3);
}

#[test]
fn a_transaction_the_bank_no_longer_knows_waits_for_its_deletion() {
    let mut desk = Desk::new();
    desk.event("event-9", "TRANSACTION_CREATED", "tx-9");
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1_000);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.said();
    desk.bank.delete_transaction("tx-1");
    desk.event("event-2", "TRANSACTION_SETTLED", "tx-1");
    assert_eq!(desk.said(), [""; 0]);
    assert_eq!(desk.numbers.counted(Fate::Gone), 2);
    desk.event("event-3", "TRANSACTION_DELETED", "tx-1");
    assert_eq!(desk.said(), ["tx-1 deleted for acc-1", "acc-1 has 5000"]);
}

#[test]
fn a_closed_account_does_not_keep_its_transactions_back() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-closed", "SETTLED", 7);
    desk.event("event-1", "TRANSACTION_SETTLED", "tx-1");
    assert_eq!(desk.said(), ["tx-1 settled for acc-closed"]);
}

#[test]
fn what_is_not_ours_is_passed_over() {
    let mut desk = Desk::new();
    desk.file(&webhook("event-1", "PING", None));
    desk.file(&webhook("event-2", "ACCOUNT_PAINTED", None));
    let stripe = WebhookReceived {
        source: "stripe".to_owned(),
        body: b"{\"id\":\"evt_1\"}".to_vec(),
        ..webhook("evt_1", "payment_intent.succeeded", Some("pi_1"))
    };
    desk.file(&stripe);
    // What it says does not count: its origin does.
    let canary = WebhookReceived {
        origin: "canary".to_owned(),
        ..webhook("bankstream-canary-1", "TRANSACTION_CREATED", Some("tx-1"))
    };
    desk.file(&canary);
    assert_eq!(desk.said(), [""; 0]);
    assert_eq!(desk.bank.asked(), [""; 0]);
    for fate in [Fate::Ping, Fate::UnknownType, Fate::OtherSource, Fate::Canary] {
        assert_eq!(desk.numbers.counted(fate), 1, "{fate:?}");
    }
    assert!(desk.driver.dead_letters().is_empty());
    desk.expect_committed(4);
}

#[test]
fn a_poison_record_goes_aside_and_the_next_one_flows() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1);
    desk.file(&WebhookReceived {
        body: b"not json".to_vec(),
        ..webhook("event-1", "TRANSACTION_CREATED", Some("tx-1"))
    });
    let poison = Some(Bytes::from_static(b"not avro"));
    let key = Some(Bytes::from_static(b"up:tx-1"));
    desk.driver.pipe_bytes(topics::WEBHOOKS_RECEIVED, key, poison.clone(), streams::Headers::new());
    desk.event("event-2", "TRANSACTION_CREATED", "tx-1");
    assert_eq!(desk.said(), ["tx-1 created for acc-1", "acc-1 has 5000"]);
    let letters = desk.driver.dead_letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[1].record.value, poison);
    desk.expect_committed(3);
}

#[test]
fn a_refused_token_halts_without_committing_and_says_what_to_do() {
    let mut desk = Desk::new();
    desk.bank.fail(Some(BankError::Unauthorized));
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    let halt = format!("{:?}", desk.driver.halted().unwrap());
    assert!(halt.contains("set UP_API_TOKEN"), "{halt}");
    desk.expect_committed(0);

    desk.bank.fail(None);
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1);
    desk.driver.restart().unwrap();
    assert_eq!(desk.said(), ["tx-1 created for acc-1", "acc-1 has 5000"]);
}

fn unavailable(reason: Silence) -> BankError {
    BankError::Unavailable { what: "x".to_owned(), attempts: 3, reason, retry_after: None }
}

#[test]
fn a_used_up_hour_and_an_outage_are_waited_out() {
    let wait = Duration::from_mins(40);
    for failure in [
        BankError::RateLimited { reset_at: 0, wait },
        unavailable(Silence::NoConnection),
        unavailable(Silence::Status(503)),
        unavailable(Silence::Status(500)),
    ] {
        let mut desk = Desk::new();
        desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1);
        desk.bank.fail(Some(failure));
        desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
        desk.driver.advance(Duration::from_hours(3));
        assert_eq!(desk.said(), [""; 0]);
        desk.bank.fail(None);
        desk.driver.advance(wait);
        assert_eq!(desk.said(), ["tx-1 created for acc-1", "acc-1 has 5000"]);
        assert!(desk.driver.dead_letters().is_empty());
        desk.expect_committed(1);
    }
}

#[test]
fn a_transaction_is_not_read_again_while_its_account_has_to_wait() {
    let mut desk = Desk::new();
    let wait = Duration::from_mins(1);
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1);
    desk.bank.fail_over_accounts(Some(BankError::RateLimited { reset_at: 0, wait }));
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.driver.advance(wait * 5);
    desk.bank.fail_over_accounts(None);
    desk.driver.advance(wait);
    assert_eq!(desk.bank.asked(), ["transaction tx-1", "account acc-1"]);
    assert_eq!(desk.said(), ["tx-1 created for acc-1", "acc-1 has 5000"]);
}

#[test]
fn a_resource_the_bank_always_fails_over_goes_aside() {
    let mut desk = Desk::new();
    desk.bank.fail_over_transactions(unavailable(Silence::Status(500)));
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.event("event-2", "TRANSACTION_DELETED", "tx-2");
    desk.driver.advance(Duration::from_mins(10));
    assert_eq!(desk.said(), ["tx-2 deleted for tx-2"]);
    assert_eq!(desk.driver.dead_letters().len(), 1);
    desk.expect_committed(2);
}

#[test]
fn a_letter_that_is_sent_again_is_asked_about() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1);
    desk.bank.fail_over_accounts(Some(BankError::TooLarge { what: "x".to_owned(), limit: 1 }));
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    desk.driver.advance(Duration::from_mins(10));
    assert_eq!(desk.driver.dead_letters().len(), 1);
    assert_eq!(desk.driver.remembered(&desk.memory.events), 0);
    desk.bank.fail_over_accounts(None);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    assert_eq!(desk.said(), ["tx-1 created for acc-1", "acc-1 has 5000"]);
    assert_eq!(desk.numbers.counted(Fate::Duplicate), 0);
    desk.expect_committed(2);
}

#[test]
fn events_are_forgotten_after_the_window_and_transactions_are_not() {
    let mut desk = Desk::new();
    desk.bank.put_transaction("tx-1", "acc-1", "HELD", -1);
    desk.event("event-1", "TRANSACTION_CREATED", "tx-1");
    // the window is measured in the time of the events, so it takes another one to pass
    desk.driver.advance(Duration::from_hours(23));
    desk.event("event-2", "PING", "tx-1");
    assert_eq!(desk.driver.remembered(&desk.memory.events), 1);
    desk.driver.advance(Duration::from_hours(5));
    desk.event("event-3", "PING", "tx-1");
    assert_eq!(desk.driver.remembered(&desk.memory.events), 0);
    assert_eq!(desk.driver.store(&desk.memory.transactions).all().len(), 1);
}

#[test]
fn the_graph_is_as_declared() {
    let (topology, _) =
        build(&config(), Numbers::new().unwrap(), |_http| Arc::new(FakeBank::default())).unwrap();
    insta::assert_snapshot!(topology.describe(), @r"
    application transaction-enricher
    sub-topology enrich (effects: read)
      source webhooks (topic: bank.webhooks.received.v1)
        --> enrich
      processor enrich (in key order, at most 16 calls in flight)
        <-> seen-events
        <-> transactions
        --> transactions
        --> accounts
        punctuated every 60s
      dedupe store seen-events (window: 1d, topic: transaction-enricher-seen-events-changelog)
      store transactions (topic: transaction-enricher-transactions-changelog)
      sink transactions (topic: bank.transactions.enriched.v1)
      sink accounts (topic: bank.accounts.observed.v1)
    ");
}
