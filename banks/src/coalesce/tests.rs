use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{ACCOUNTS_MAX, Coalesced};
use crate::bank::{Bank, BoxFuture, Cursor, Observed, Page};
use crate::budget::BudgetState;
use crate::error::BankError;
use crate::resource::{Account, Money, Transaction};

const INTERVAL: Duration = Duration::from_secs(2);

/// A bank whose balance is the number of reads so far, and which answers when the gate lets it.
#[derive(Debug)]
struct CountingBank {
    reads: AtomicI64,
    gate: Semaphore,
}

fn account(id: &str, balance: i64) -> Observed<Account> {
    let value = Account {
        id: id.to_owned(),
        display_name: "Spending".to_owned(),
        account_type: "TRANSACTIONAL".to_owned(),
        balance: Money { amount: balance, currency: "AUD".to_owned() },
        created_at: 0,
    };
    Observed { value, answer: Bytes::new(), observed_at: balance }
}

impl Bank for Arc<CountingBank> {
    fn account<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observed<Account>, BankError>> {
        Box::pin(async move {
            let read = self.reads.fetch_add(1, Ordering::SeqCst) + 1;
            self.gate.acquire().await.unwrap().forget();
            if id == "unknown" {
                return Err(BankError::NotFound { what: id.to_owned() });
            }
            Ok(account(id, read))
        })
    }

    fn transaction<'a>(
        &'a self,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<Observed<Transaction>, BankError>> {
        Box::pin(async { Err(BankError::NotFound { what: "transaction".to_owned() }) })
    }

    fn accounts_page<'a>(
        &'a self,
        _cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Account>, BankError>> {
        Box::pin(async { Err(BankError::NotFound { what: "accounts".to_owned() }) })
    }

    fn transactions_page<'a>(
        &'a self,
        _account_id: &'a str,
        _cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Transaction>, BankError>> {
        Box::pin(async { Err(BankError::NotFound { what: "transactions".to_owned() }) })
    }

    fn budget(&self) -> Option<BudgetState> {
        None
    }
}

type Shared = Arc<Coalesced<Arc<CountingBank>>>;

fn bank(permits: usize) -> (Arc<CountingBank>, Shared) {
    let bank = Arc::new(CountingBank { reads: AtomicI64::new(0), gate: Semaphore::new(permits) });
    (Arc::clone(&bank), Arc::new(Coalesced::new(bank, INTERVAL)))
}

fn ask(callers: &mut JoinSet<Result<i64, BankError>>, shared: &Shared, id: &'static str) {
    let shared = Arc::clone(shared);
    callers.spawn(async move { Ok(shared.account(id).await?.value.balance.amount) });
}

/// Lets every spawned caller run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_caller_is_served_at_once() {
    let (_, shared) = bank(10);
    let before = Instant::now();
    assert_eq!(shared.account("a").await.unwrap().value.balance.amount, 1);
    assert_eq!(Instant::now(), before);
}

#[tokio::test(start_paused = true)]
async fn a_burst_costs_two_reads_and_its_late_callers_get_the_later_one() {
    let (bank, shared) = bank(0);
    let mut callers = JoinSet::new();
    ask(&mut callers, &shared, "a");
    settle().await;
    assert_eq!(bank.reads.load(Ordering::SeqCst), 1);
    for _ in 0..20 {
        ask(&mut callers, &shared, "a");
    }
    settle().await;
    bank.gate.add_permits(10);
    let mut balances: Vec<_> =
        callers.join_all().await.into_iter().map(|found| found.unwrap()).collect();
    balances.sort_unstable();
    assert_eq!(balances[0], 1);
    assert!(balances[1..].iter().all(|balance| *balance == 2), "{balances:?}");
    assert_eq!(bank.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_the_question_is_not_reused() {
    let (bank, shared) = bank(10);
    assert_eq!(shared.account("a").await.unwrap().value.balance.amount, 1);
    let before = Instant::now();
    assert_eq!(shared.account("a").await.unwrap().value.balance.amount, 2);
    assert_eq!(Instant::now() - before, INTERVAL);
    assert_eq!(bank.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn accounts_do_not_wait_for_each_other() {
    let (bank, shared) = bank(0);
    let mut callers = JoinSet::new();
    ask(&mut callers, &shared, "a");
    ask(&mut callers, &shared, "b");
    settle().await;
    assert_eq!(bank.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_everybody_who_shares_the_read() {
    let (bank, shared) = bank(0);
    let mut callers = JoinSet::new();
    ask(&mut callers, &shared, "unknown");
    settle().await;
    for _ in 0..5 {
        ask(&mut callers, &shared, "unknown");
    }
    settle().await;
    bank.gate.add_permits(10);
    for found in callers.join_all().await {
        assert!(matches!(found, Err(BankError::NotFound { .. })), "{found:?}");
    }
    assert_eq!(bank.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_goes_away_leaves_the_turn_to_the_next() {
    let (bank, shared) = bank(0);
    let mut leaving = JoinSet::new();
    ask(&mut leaving, &shared, "a");
    settle().await;
    let mut staying = JoinSet::new();
    ask(&mut staying, &shared, "a");
    settle().await;
    leaving.shutdown().await;
    bank.gate.add_permits(1);
    assert_eq!(staying.join_all().await.pop().unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn accounts_nobody_waits_for_are_forgotten_at_the_cap() {
    let (_, shared) = bank(ACCOUNTS_MAX + 10);
    for n in 0..ACCOUNTS_MAX + 5 {
        shared.account(&format!("a-{n}")).await.unwrap();
    }
    assert!(shared.slots.lock().unwrap().len() <= ACCOUNTS_MAX);
}
