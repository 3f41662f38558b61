//! Records for the tests of this crate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use banks::{Bank, BankError, BoxFuture, BudgetState, Cursor, Money, Observed, Page};
use bytes::Bytes;
use schemas::{AccountObserved, Position, Timestamp, Transaction, TransactionEnriched};

/// A version of `transaction-1` of `account-1` in AUD, created and observed at `at`.
pub(crate) fn enriched(status: &str, amount: i64, at: Timestamp) -> TransactionEnriched {
    TransactionEnriched {
        source: "up".to_owned(),
        event_id: "event-1".to_owned(),
        transaction_id: "transaction-1".to_owned(),
        account_id: Some("account-1".to_owned()),
        change: if status == "SETTLED" { "settled" } else { "created" }.to_owned(),
        transaction: Some(transaction(status, amount, at)),
        observed_at: at,
        answer: Some(b"{}".to_vec()),
        raw: Position { topic: "raw".to_owned(), partition: 0, offset: 0 },
    }
}

fn transaction(status: &str, amount: i64, created_at: Timestamp) -> Transaction {
    Transaction {
        status: status.to_owned(),
        amount,
        currency: "AUD".to_owned(),
        held_amount: None,
        foreign_amount: None,
        foreign_currency: None,
        round_up_amount: None,
        description: "Corner shop".to_owned(),
        raw_text: None,
        message: None,
        category: None,
        transfer_account_id: None,
        created_at,
        settled_at: (status == "SETTLED").then_some(created_at),
    }
}

/// `account-1`'s balance in AUD as the bank stated it at `observed_at`.
pub(crate) fn observed(balance: i64, observed_at: Timestamp) -> AccountObserved {
    AccountObserved {
        source: "up".to_owned(),
        account_id: "account-1".to_owned(),
        display_name: "Spending".to_owned(),
        account_type: "TRANSACTIONAL".to_owned(),
        balance,
        currency: "AUD".to_owned(),
        observed_at,
        answer: b"{}".to_vec(),
        cause_event_id: None,
    }
}

/// A bank whose answers a test decides. Clones are the same bank.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeBank {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Timestamp,
    balance: i64,
    /// What each further answer adds to the balance, while it lasts.
    drift: Vec<i64>,
    listed: Vec<banks::Transaction>,
    failures: HashMap<String, BankError>,
    requests: usize,
}

impl FakeBank {
    /// Its answers bear this time from now on.
    pub(crate) fn set_time(&self, now: Timestamp) {
        self.set(|state| state.now = now);
    }

    /// Adds a transaction to the list; the balance is left as it is.
    pub(crate) fn list(&self, id: &str, status: &str, amount: i64, created_at: Timestamp) {
        self.set(|state| state.listed.push(listed(id, status, amount, created_at)));
    }

    /// Takes a transaction off the list; the balance is left as it is.
    pub(crate) fn unlist(&self, id: &str) {
        self.set(|state| state.listed.retain(|transaction| transaction.id != id));
    }

    /// A transaction as it is listed now.
    pub(crate) fn listed(&self, id: &str) -> Option<banks::Transaction> {
        self.set(|state| state.listed.iter().find(|listed| listed.id == id).cloned())
    }

    /// Ids of the held transactions, in the order of the list.
    pub(crate) fn held(&self) -> Vec<String> {
        let held = |listed: &&banks::Transaction| listed.status == "HELD";
        let id = |listed: &banks::Transaction| listed.id.clone();
        self.set(|state| state.listed.iter().filter(held).map(id).collect())
    }

    /// The balance as it is now.
    pub(crate) fn balance(&self) -> i64 {
        self.set(|state| state.balance)
    }

    /// The balance from now on.
    pub(crate) fn set_balance(&self, balance: i64) {
        self.set(|state| state.balance = balance);
    }

    /// The balance moves by these steps before each of the next answers.
    pub(crate) fn drift(&self, steps: impl IntoIterator<Item = i64>) {
        self.set(|state| state.drift = steps.into_iter().collect());
    }

    /// Answers for this account fail from now on.
    pub(crate) fn fail(&self, account: &str, error: BankError) {
        self.set(|state| drop(state.failures.insert(account.to_owned(), error)));
    }

    /// Answers for every account again.
    pub(crate) fn recover(&self) {
        self.set(|state| state.failures.clear());
    }

    /// Requests answered so far, failures included.
    pub(crate) fn requests(&self) -> usize {
        self.set(|state| state.requests)
    }

    fn set<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().expect("no test panics while it holds the bank"))
    }

    fn answer<T>(&self, account: &str, value: impl FnOnce(&State) -> T) -> Result<T, BankError> {
        self.set(|state| {
            state.requests += 1;
            match state.failures.get(account) {
                Some(error) => Err(error.clone()),
                None => Ok(value(state)),
            }
        })
    }
}

impl Bank for FakeBank {
    fn account<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Observed<banks::Account>, BankError>> {
        self.set(|state| {
            if let Some(step) = state.drift.pop() {
                state.balance += step;
            }
        });
        let answer = self.answer(id, |state| {
            let balance = Money { amount: state.balance, currency: "AUD".to_owned() };
            let account = banks::Account {
                id: id.to_owned(),
                display_name: "Spending".to_owned(),
                account_type: "TRANSACTIONAL".to_owned(),
                balance,
                created_at: 0,
            };
            Observed { value: account, answer: Bytes::new(), observed_at: state.now }
        });
        Box::pin(std::future::ready(answer))
    }

    fn transaction<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Observed<banks::Transaction>, BankError>> {
        let error = BankError::NotFound { what: format!("transaction {id}") };
        Box::pin(std::future::ready(Err(error)))
    }

    fn accounts_page<'a>(
        &'a self,
        _cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<banks::Account>, BankError>> {
        let error = BankError::NotFound { what: "accounts".to_owned() };
        Box::pin(std::future::ready(Err(error)))
    }

    fn transactions_page<'a>(
        &'a self,
        account_id: &'a str,
        _cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<banks::Transaction>, BankError>> {
        let answer = self.answer(account_id, |state| {
            let mut value = state.listed.clone();
            for transaction in &mut value {
                transaction.account_id = account_id.to_owned();
            }
            let observed = Observed { value, answer: Bytes::new(), observed_at: state.now };
            Page { observed, next: None }
        });
        Box::pin(std::future::ready(answer))
    }

    fn budget(&self) -> Option<BudgetState> {
        None
    }
}

fn listed(id: &str, status: &str, amount: i64, created_at: Timestamp) -> banks::Transaction {
    banks::Transaction {
        id: id.to_owned(),
        account_id: "account-1".to_owned(),
        status: status.to_owned(),
        amount: Money { amount, currency: "AUD".to_owned() },
        held_amount: None,
        foreign_amount: None,
        round_up: None,
        description: "Corner shop".to_owned(),
        raw_text: None,
        message: None,
        category: None,
        transfer_account_id: None,
        created_at,
        settled_at: (status == "SETTLED").then_some(created_at),
    }
}
