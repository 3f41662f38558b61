//! The sandbox's control side: orders to the bank, and the truth about it.
use std::time::Duration;

use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};

/// The sandbox answers from memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The sandbox does not answer.
    #[error("asking the sandbox: {0}")]
    Http(#[from] reqwest::Error),
    /// It answered what is not understood.
    #[error("reading the sandbox's answer: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It refused the order.
    #[error("the sandbox refused {path} with {status}: {answer}")]
    Refused {
        /// The order.
        path: String,
        /// Its status.
        status: u16,
        /// Why.
        answer: String,
    },
}

/// A sandbox that runs, by its address.
#[derive(Debug, Clone)]
pub struct Bank {
    base: String,
    client: Client,
}

/// The truth: what the bank has.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// Accounts as they are now.
    pub accounts: Vec<Account>,
    /// Every transaction there ever was.
    pub transactions: Vec<Transaction>,
}

/// An account of the bank.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// The bank's id.
    pub id: String,
    /// Name the holder gave it.
    pub name: String,
    /// Base units, holds taken off.
    pub balance: i64,
}

/// A transaction of the bank.
#[derive(Debug, Clone, Deserialize)]
pub struct Transaction {
    /// The bank's id.
    pub id: String,
    /// Its account.
    pub account: String,
    /// When it was deleted, if it was.
    #[serde(default)]
    pub deleted_at: Option<i64>,
}

/// An event of the bank and what became of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// The event's id.
    pub id: String,
    /// What happened, as the bank names it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The transaction concerned; none for a ping.
    pub transaction: Option<String>,
    /// What became of its delivery: pending, delivered, lost, given-up, dropped.
    pub fate: String,
}

impl Bank {
    /// The sandbox under `base`, for example `http://127.0.0.1:8100`.
    pub fn new(base: &str) -> Result<Self, BankError> {
        let client = Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { base: base.to_owned(), client })
    }

    /// The base of the API that a bank's client uses.
    pub fn api_url(&self) -> String {
        format!("{}/api/v1", self.base)
    }

    /// Accounts and transactions.
    pub async fn truth(&self) -> Result<Truth, BankError> {
        self.order(Method::GET, "/state", &Value::Null).await
    }

    /// Every event made so far.
    pub async fn events(&self) -> Result<Vec<Event>, BankError> {
        #[derive(Deserialize)]
        struct Events {
            events: Vec<Event>,
        }
        let Events { events } = self.order(Method::GET, "/events", &Value::Null).await?;
        Ok(events)
    }

    /// Whether nothing is on its way and no day is running.
    pub async fn is_quiet(&self) -> Result<bool, BankError> {
        #[derive(Deserialize)]
        struct Quiesce {
            quiet: bool,
        }
        let Quiesce { quiet } = self.order(Method::GET, "/quiesce", &Value::Null).await?;
        Ok(quiet)
    }

    /// Makes `rate` steps a second happen for `seconds`.
    pub async fn run_day(&self, rate: u32, seconds: u64) -> Result<(), BankError> {
        let day = json!({ "rate": rate, "seconds": seconds });
        self.order::<Value>(Method::POST, "/scenario", &day).await.map(drop)
    }

    /// Ends the day that runs; what is on its way still arrives.
    pub async fn stop_day(&self) -> Result<(), BankError> {
        self.order::<Value>(Method::DELETE, "/scenario", &Value::Null).await.map(drop)
    }

    /// Changes what goes wrong.
    pub async fn set_faults(&self, faults: &Value) -> Result<(), BankError> {
        self.order::<Value>(Method::PATCH, "/faults", faults).await.map(drop)
    }

    /// Records a settled or held transaction and gives its id.
    pub async fn record(&self, transaction: &Value) -> Result<String, BankError> {
        #[derive(Deserialize)]
        struct Made {
            events: Vec<Cause>,
        }
        #[derive(Deserialize)]
        struct Cause {
            transaction: String,
        }
        let made: Made = self.order(Method::POST, "/transactions", transaction).await?;
        Ok(made.events.into_iter().next().map(|cause| cause.transaction).unwrap_or_default())
    }

    /// Sends one order below the control API's root.
    pub async fn order<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, BankError> {
        let mut request = self.client.request(method, format!("{}/sandbox/v1{path}", self.base));
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let answer = response.text().await?;
        if status.is_success() {
            // An order with nothing to tell answers nothing.
            let told = if answer.is_empty() { "null" } else { &answer };
            return Ok(serde_json::from_str(told)?);
        }
        Err(BankError::Refused { path: path.to_owned(), status: status.as_u16(), answer })
    }
}
