//! A bank that holds what a test puts in, and events about it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use banks::{
    Account, Bank, BankError, BoxFuture, BudgetState, Cursor, Money, Observed, Page, Transaction,
};
use bytes::Bytes;
use schemas::{SignatureHeader, WebhookReceived};
use serde_json::json;

/// When the fake bank gives its answers.
pub(crate) const ANSWERED_AT: i64 = 1_767_225_700_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeBank(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    transactions: HashMap<String, Observed<Transaction>>,
    accounts: HashMap<String, Observed<Account>>,
    failure: Option<BankError>,
    transaction_failure: Option<BankError>,
    account_failure: Option<BankError>,
    is_listing: bool,
    asked: Vec<String>,
}

fn aud(amount: i64) -> Money {
    Money { amount, currency: "AUD".to_owned() }
}

impl FakeBank {
    pub(crate) fn put_transaction(&self, id: &str, account_id: &str, status: &str, amount: i64) {
        let value = Transaction {
            id: id.to_owned(),
            account_id: account_id.to_owned(),
            status: status.to_owned(),
            amount: aud(amount),
            held_amount: Some(aud(amount)),
            foreign_amount: None,
            round_up: None,
            description: "Corner shop".to_owned(),
            raw_text: None,
            message: None,
            category: None,
            transfer_account_id: None,
            created_at: 1,
            settled_at: (status == "SETTLED").then_some(2),
        };
        let answer = Bytes::from(format!("{{ \"{id}\":  \"{status} {amount}\" }}\n"));
        let observed = Observed { value, answer, observed_at: ANSWERED_AT };
        self.0.lock().unwrap().transactions.insert(id.to_owned(), observed);
    }

    pub(crate) fn put_account(&self, id: &str, balance: i64) {
        let value = Account {
            id: id.to_owned(),
            display_name: "Spending".to_owned(),
            account_type: "TRANSACTIONAL".to_owned(),
            balance: aud(balance),
            created_at: 0,
        };
        let answer = Bytes::from(format!("{{ \"{id}\":  {balance} }}\n"));
        let observed = Observed { value, answer, observed_at: ANSWERED_AT + 1 };
        self.0.lock().unwrap().accounts.insert(id.to_owned(), observed);
    }

    /// Its list of accounts has all of them from now on; before, it is empty.
    pub(crate) fn list_accounts(&self) {
        self.0.lock().unwrap().is_listing = true;
    }

    pub(crate) fn delete_transaction(&self, id: &str) {
        self.0.lock().unwrap().transactions.remove(id);
    }

    /// Every question fails like this until further notice.
    pub(crate) fn fail(&self, failure: Option<BankError>) {
        self.0.lock().unwrap().failure = failure;
    }

    /// Every question about a transaction fails like this.
    pub(crate) fn fail_over_transactions(&self, failure: BankError) {
        self.0.lock().unwrap().transaction_failure = Some(failure);
    }

    /// Every question about an account fails like this until further notice.
    pub(crate) fn fail_over_accounts(&self, failure: Option<BankError>) {
        self.0.lock().unwrap().account_failure = failure;
    }

    /// What was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    fn answer<T: Clone>(
        &self,
        what: String,
        of: impl FnOnce(&State) -> Option<&T>,
    ) -> Result<T, BankError> {
        let mut state = self.0.lock().unwrap();
        state.asked.push(what.clone());
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        of(&state).cloned().ok_or(BankError::NotFound { what })
    }
}

impl Bank for FakeBank {
    fn account<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observed<Account>, BankError>> {
        Box::pin(async move {
            let failure = self.0.lock().unwrap().account_failure.clone();
            failure.map_or(Ok(()), Err)?;
            self.answer(format!("account {id}"), |bank| bank.accounts.get(id))
        })
    }

    fn transaction<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Observed<Transaction>, BankError>> {
        Box::pin(async move {
            let failure = self.0.lock().unwrap().transaction_failure.clone();
            failure.map_or(Ok(()), Err)?;
            self.answer(format!("transaction {id}"), |bank| bank.transactions.get(id))
        })
    }

    fn accounts_page<'a>(
        &'a self,
        _cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Account>, BankError>> {
        let state = self.0.lock().unwrap();
        let failure = state.failure.clone();
        let listed = state.accounts.values().filter(|_| state.is_listing);
        let mut value: Vec<_> = listed.map(|observed| observed.value.clone()).collect();
        value.sort_by(|one, other| one.id.cmp(&other.id));
        let answer = Bytes::from_static(b"{ \"data\": [] }\n");
        let observed = Observed { value, answer, observed_at: ANSWERED_AT };
        Box::pin(async { failure.map_or(Ok(Page { observed, next: None }), Err) })
    }

    fn transactions_page<'a>(
        &'a self,
        _account_id: &'a str,
        _cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Transaction>, BankError>> {
        Box::pin(async { Err(BankError::NotFound { what: "transactions".to_owned() }) })
    }

    fn budget(&self) -> Option<BudgetState> {
        Some(BudgetState { remaining: 987, in_flight: 0, resets_at: 0 })
    }
}

/// When the ingress had read each of these requests.
pub(crate) const RECEIVED_AT: i64 = 1_767_225_600_123;

/// A webhook as the ingress files it.
pub(crate) fn webhook(
    event_id: &str,
    event_type: &str,
    transaction_id: Option<&str>,
) -> WebhookReceived {
    let transaction = transaction_id.map(|id| {
        json!({ "data": { "type": "transactions", "id": id },
                "links": { "related": format!("https://evil.example/{id}") } })
    });
    let body = json!({ "data": {
        "type": "webhook-events",
        "id": event_id,
        "attributes": { "eventType": event_type, "createdAt": "2026-01-01T00:00:00+11:00" },
        "relationships": {
            "webhook": { "data": { "type": "webhooks", "id": "hook-1" } },
            "transaction": transaction
        }
    }});
    WebhookReceived {
        source: "up".to_owned(),
        scheme: "up".to_owned(),
        event_id: event_id.to_owned(),
        event_type: event_type.to_owned(),
        subject_id: transaction_id.map(str::to_owned),
        occurred_at: None,
        received_at: RECEIVED_AT,
        body: body.to_string().into_bytes(),
        signature_headers: vec![SignatureHeader {
            name: "x-up-authenticity-signature".to_owned(),
            value: "00".to_owned(),
        }],
        key_id: "env".to_owned(),
        body_sha256: String::new(),
        origin: "webhook".to_owned(),
        integrity: "full".to_owned(),
    }
}
