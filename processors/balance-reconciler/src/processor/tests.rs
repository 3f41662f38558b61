//! The whole application on the test driver, with a bank whose answers each test decides.

use std::time::Duration;

use banks::{BankError, Silence};
use schemas::{AccountObserved, BalanceReconciled, TransactionEnriched, topics};
use streams::Guarantee;
use streams::testing::TestDriver;

use crate::config::Config;
use crate::numbers::{Fate, Numbers};
use crate::testing::{FakeBank, enriched, observed};

/// Longer than the quiet period of these tests.
const QUIET: Duration = Duration::from_secs(130);

struct App {
    driver: TestDriver,
    bank: FakeBank,
    numbers: Numbers,
}

/// What a test reads in a statement.
#[derive(Debug, PartialEq)]
struct Said {
    ledger: i64,
    bank: i64,
    unexplained: i64,
    status: String,
}

fn said(ledger: i64, bank: i64, unexplained: i64, status: &str) -> Said {
    Said { ledger, bank, unexplained, status: status.to_owned() }
}

impl App {
    /// The application as it is declared; the bank states 10 000 and lists nothing.
    fn new() -> Self {
        Self::under(Guarantee::ExactlyOnce)
    }

    /// The application under another guarantee.
    fn under(guarantee: Guarantee) -> Self {
        let bank = FakeBank::default();
        let numbers = Numbers::new().expect("counters");
        let topology = crate::topology::build(&Config::of_a_test(), numbers.clone(), |_| {
            std::sync::Arc::new(bank.clone())
        });
        let topology = topology.expect("a valid graph");
        let driver = TestDriver::with_guarantee(topology, guarantee).expect("a driver");
        bank.set_balance(10_000);
        bank.set_time(driver.now());
        Self { driver, bank, numbers }
    }

    /// The application with `account-1` opened at 10 000, its statement read.
    fn opened() -> Self {
        Self::opened_under(Guarantee::ExactlyOnce)
    }

    fn opened_under(guarantee: Guarantee) -> Self {
        let mut app = Self::under(guarantee);
        app.look(10_000);
        assert_eq!(app.said(), [said(10_000, 10_000, 0, "balanced")]);
        app
    }

    /// Time goes on by a second. The bank is asked after the record was made, so its clock is ahead.
    fn tick(&mut self) {
        self.driver.advance(Duration::from_secs(1));
        self.bank.set_time(self.driver.now() + 1);
    }

    /// Time goes on by a second and this version of a transaction arrives.
    fn version(&mut self, id: &str, status: &str, amount: i64) {
        self.tick();
        let mut record = enriched(status, amount, self.driver.now());
        record.transaction_id = id.to_owned();
        self.pipe(&record);
    }

    /// Time goes on by a second and the deletion of a transaction arrives.
    fn deletion(&mut self, id: &str) {
        self.tick();
        let mut record = enriched("HELD", 0, self.driver.now());
        record.transaction_id = id.to_owned();
        record.change = "deleted".to_owned();
        (record.transaction, record.answer) = (None, None);
        self.pipe(&record);
    }

    fn pipe(&mut self, record: &TransactionEnriched) {
        let key = record.account_id.clone().unwrap_or_else(|| record.transaction_id.clone());
        self.driver.pipe(topics::TRANSACTIONS_ENRICHED, &key, record).expect("encodes");
    }

    /// Time goes on by a second and the bank's balance arrives.
    fn look(&mut self, balance: i64) {
        self.tick();
        let record = observed(balance, self.driver.now());
        self.pipe_look(&record);
    }

    fn pipe_look(&mut self, record: &AccountObserved) {
        let key = record.account_id.clone();
        self.driver.pipe(topics::ACCOUNTS_OBSERVED, &key, record).expect("encodes");
    }

    fn statements(&mut self) -> Vec<BalanceReconciled> {
        let read = self.driver.read::<String, BalanceReconciled>(topics::BALANCES_RECONCILED);
        read.expect("decodes").into_iter().map(|record| record.value).collect()
    }

    /// Statements since the last time.
    fn said(&mut self) -> Vec<Said> {
        let statements = self.statements();
        for made in &statements {
            let explained: i64 = made.explained.iter().map(|item| item.amount).sum();
            assert_eq!(made.difference, explained + made.unexplained);
            assert_eq!(made.difference, made.bank_balance - made.ledger_balance);
            assert_eq!(made.ledger_balance, made.opening_balance + made.settled + made.held);
        }
        let brief = |made: BalanceReconciled| Said {
            ledger: made.ledger_balance,
            bank: made.bank_balance,
            unexplained: made.unexplained,
            status: made.status,
        };
        statements.into_iter().map(brief).collect()
    }

    /// The last of the statements since the last time.
    fn last_said(&mut self) -> Option<Said> {
        self.said().pop()
    }

    /// Messages of the dead letters so far.
    fn dead_letters(&self) -> Vec<String> {
        self.driver.dead_letters().into_iter().map(|letter| letter.reason.message).collect()
    }
}

// ---- the opening -----------------------------------------------------------------------------------

#[test]
fn the_opening_is_the_balance_less_what_the_bank_lists_and_is_booked_once() {
    let mut app = App::new();
    let before = app.driver.now() - 60_000;
    app.bank.list("transaction-1", "SETTLED", -2_000, before);
    app.bank.list("transaction-2", "HELD", -500, before);
    app.look(10_000);
    let made = app.statements().pop().expect("a statement of the opening");
    assert_eq!((made.opening_balance, made.settled, made.held), (12_500, -2_000, -500));
    assert_eq!((made.ledger_balance, made.difference, made.transactions), (10_000, 0, 2));
    assert_eq!(app.bank.requests(), 3, "balance, list, balance");
    app.version("transaction-3", "SETTLED", -1_000);
    app.look(9_000);
    assert_eq!(app.bank.requests(), 3, "an open account asks the bank for nothing");
}

#[test]
fn a_transaction_of_the_opening_is_not_booked_again_when_its_webhook_comes_late() {
    let mut app = App::new();
    let before = app.driver.now() - 60_000;
    app.bank.list("transaction-1", "HELD", -2_000, before);
    app.version("transaction-1", "HELD", -2_000);
    assert_eq!(app.said(), [said(10_000, 10_000, 0, "balanced")]);
    app.version("transaction-1", "SETTLED", -2_000);
    assert_eq!(app.said(), [said(10_000, 10_000, 0, "balanced")]);
}

#[test]
fn what_was_seen_before_the_opening_and_is_not_listed_is_left_out() {
    let mut app = App::new();
    app.pipe(&enriched("HELD", -700, app.driver.now() - 60_000));
    assert_eq!(app.said(), [said(10_000, 10_000, 0, "balanced")]);
}

#[test]
fn an_opening_needs_the_same_balance_before_and_after_the_list() {
    let mut app = App::new();
    app.bank.drift([0, 0, -100, 0]);
    app.look(10_000);
    assert_eq!(app.said(), [said(9_900, 9_900, 0, "balanced")]);
    assert_eq!(app.bank.requests(), 5, "one reading was not quiet");
}

#[test]
fn an_account_that_never_stands_still_is_tried_again_and_then_dead_lettered() {
    let mut app = App::new();
    app.bank.drift(std::iter::repeat_n(-1, 1_000));
    app.look(10_000);
    assert_eq!(app.dead_letters(), [""; 0]);
    app.driver.advance(Duration::from_mins(10));
    let letters = app.dead_letters();
    assert!(letters.len() == 1 && letters[0].contains("the balance moved"), "{letters:?}");
    app.bank.drift([]);
    app.look(1);
    assert_eq!(app.said().len(), 1, "the next record opens it");
}

#[test]
fn a_refused_token_stops_the_application() {
    let mut app = App::new();
    app.bank.fail("account-1", BankError::Unauthorized);
    app.look(10_000);
    let halt = app.driver.halted().expect("halted");
    assert!(halt.message.contains("refused the token"), "{}", halt.message);
    assert_eq!(app.driver.committed(topics::ACCOUNTS_OBSERVED), Some(0));
}

#[test]
fn a_spent_budget_or_a_silent_bank_is_waited_out_however_long_it_takes() {
    let check = |error: BankError, pause: Duration| {
        let mut app = App::new();
        app.bank.fail("account-1", error);
        app.look(10_000);
        for _ in 0..20 {
            app.driver.advance(pause);
        }
        assert_eq!((app.said(), app.dead_letters()), (vec![], vec![]));
        app.bank.recover();
        app.driver.advance(pause);
        assert_eq!(app.said(), [said(10_000, 10_000, 0, "balanced")]);
    };
    let wait = Duration::from_mins(1);
    check(BankError::RateLimited { reset_at: 0, wait }, wait);
    let silent = BankError::Unavailable {
        what: "account".to_owned(),
        attempts: 3,
        reason: Silence::TimedOut,
        retry_after: None,
    };
    check(silent, Duration::from_secs(30));
}

#[test]
fn an_account_the_bank_does_not_know_is_dead_lettered() {
    let mut app = App::new();
    app.bank.fail("account-1", BankError::NotFound { what: "account account-1".to_owned() });
    app.look(10_000);
    let letters = app.dead_letters();
    assert!(letters.len() == 1 && letters[0].contains("does not know"), "{letters:?}");
}

// ---- comparing ---------------------------------------------------------------------------------------

#[test]
fn books_and_bank_move_together_whichever_comes_first() {
    let mut app = App::opened();
    app.version("transaction-1", "HELD", -2_500);
    app.look(7_500);
    app.look(7_000);
    app.version("transaction-2", "SETTLED", -500);
    let expect = [
        said(7_500, 10_000, 0, "timing"),
        said(7_500, 7_500, 0, "balanced"),
        said(7_500, 7_000, 0, "timing"),
        said(7_000, 7_000, 0, "balanced"),
    ];
    assert_eq!(app.said(), expect);
}

#[test]
fn a_tip_at_settlement_and_an_expired_hold_are_followed() {
    let mut app = App::opened();
    app.version("transaction-1", "HELD", -2_500);
    app.version("transaction-1", "SETTLED", -3_000);
    app.version("transaction-2", "HELD", -100);
    app.deletion("transaction-2");
    app.version("transaction-2", "HELD", -100);
    app.look(7_000);
    assert_eq!(app.last_said(), Some(said(7_000, 7_000, 0, "balanced")));
}

#[test]
fn a_deletion_before_its_creation_keeps_the_transaction_out() {
    let mut app = App::opened();
    app.deletion("transaction-1");
    app.version("transaction-1", "HELD", -100);
    assert_eq!(app.said(), []);
}

#[test]
fn a_repeated_record_or_an_older_look_says_nothing() {
    let mut app = App::opened();
    let version = enriched("SETTLED", -100, app.driver.now() + 1);
    app.pipe(&version);
    let look = observed(9_900, app.driver.now() + 2);
    app.pipe_look(&look);
    assert_eq!(app.said().len(), 2);
    app.pipe(&version);
    app.pipe_look(&look);
    app.pipe_look(&observed(123, app.driver.now() + 1));
    app.look(9_900);
    app.driver.advance(QUIET);
    assert_eq!(app.said(), []);
}

#[test]
fn a_lost_webhook_is_timing_then_unexplained_and_balanced_when_it_comes_after_all() {
    let mut app = App::opened();
    app.look(9_000);
    assert_eq!(app.said(), [said(10_000, 9_000, 0, "timing")]);
    app.driver.advance(Duration::from_secs(119));
    assert_eq!(app.said(), [], "one second is missing");
    app.driver.advance(Duration::from_secs(2));
    assert_eq!(app.said(), [said(10_000, 9_000, -1_000, "unexplained")]);
    app.driver.advance(Duration::from_hours(1));
    assert_eq!(app.said(), [], "it is said once");
    app.version("transaction-1", "SETTLED", -1_000);
    assert_eq!(app.said(), [said(9_000, 9_000, 0, "balanced")]);
}

#[test]
fn money_that_moves_begins_the_quiet_period_anew() {
    let mut app = App::opened();
    app.look(9_000);
    app.driver.advance(Duration::from_secs(100));
    app.version("transaction-1", "SETTLED", -10);
    app.driver.advance(Duration::from_secs(100));
    assert!(app.said().iter().all(|said| said.status == "timing"));
    app.driver.advance(Duration::from_secs(30));
    assert_eq!(app.said(), [said(9_990, 9_000, -990, "unexplained")]);
}

#[test]
fn what_was_found_unexplained_stays_so_while_other_money_moves() {
    let mut app = App::opened();
    app.look(9_000);
    app.driver.advance(QUIET);
    assert_eq!(app.last_said(), Some(said(10_000, 9_000, -1_000, "unexplained")));
    app.version("transaction-1", "SETTLED", -10);
    app.look(8_990);
    let expect =
        [said(9_990, 9_000, -1_000, "unexplained"), said(9_990, 8_990, -1_000, "unexplained")];
    assert_eq!(app.said(), expect);
}

// ---- what does not belong ----------------------------------------------------------------------------

#[test]
fn records_that_are_not_for_these_books_are_passed_over() {
    let mut app = App::opened();
    let mut other = enriched("SETTLED", -100, app.driver.now() + 1);
    other.source = "stripe".to_owned();
    app.pipe(&other);
    let mut unknown = enriched("HELD", 0, app.driver.now() + 1);
    (unknown.change, unknown.account_id) = ("deleted".to_owned(), None);
    unknown.transaction = None;
    app.pipe(&unknown);
    assert_eq!((app.said(), app.dead_letters()), (vec![], vec![]));
    assert_eq!(app.driver.committed(topics::TRANSACTIONS_ENRICHED), Some(2));
    let counted = [Fate::OtherSource, Fate::NoAccount].map(|fate| app.numbers.counted(fate));
    assert_eq!(counted, [1, 1]);
}

#[test]
fn a_record_that_cannot_be_booked_is_dead_lettered_and_the_next_one_is_booked() {
    let check = |change: fn(&mut TransactionEnriched), expect: &str| {
        let mut app = App::opened();
        let mut record = enriched("SETTLED", -100, app.driver.now() + 1);
        change(&mut record);
        let key = "account-1".to_owned();
        app.driver.pipe(topics::TRANSACTIONS_ENRICHED, &key, &record).expect("encodes");
        let letters = app.dead_letters();
        assert!(letters.len() == 1 && letters[0].contains(expect), "{letters:?}");
        app.version("transaction-2", "SETTLED", -100);
        assert_eq!(app.said(), [said(9_900, 10_000, 0, "timing")]);
        assert_eq!(app.driver.committed(topics::TRANSACTIONS_ENRICHED), Some(2));
    };
    check(|record| record.account_id = Some("account-2".to_owned()), "key is not its account id");
    check(|record| record.transaction_id = String::new(), "transaction id is not usable");
    check(|record| record.transaction = None, "carries no transaction");
    check(|record| transaction(record).currency = "IDR".to_owned(), "amount is in `IDR`");
    check(|record| transaction(record).status = "PENDING".to_owned(), "`PENDING` is unknown");
    check(|record| transaction(record).amount = i64::MIN, "does not fit 64 bits");
}

fn transaction(record: &mut TransactionEnriched) -> &mut schemas::Transaction {
    record.transaction.as_mut().expect("the test's record has one")
}

#[test]
fn bytes_that_are_no_record_are_dead_lettered() {
    let mut app = App::opened();
    let (key, value) = ("account-1".into(), "not Avro".into());
    let headers = streams::Headers::new();
    app.driver.pipe_bytes(topics::ACCOUNTS_OBSERVED, Some(key), Some(value), headers);
    assert_eq!(app.dead_letters().len(), 1);
    app.look(9_000);
    assert_eq!(app.said(), [said(10_000, 9_000, 0, "timing")]);
}

mod lives;
mod restart;
