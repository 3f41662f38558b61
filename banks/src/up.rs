//! Up (Australia): <https://developer.up.com.au>.

mod args;
mod config;
mod document;
mod retry;
mod transport;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::de::DeserializeOwned;

use self::document::{AccountResource, Listed, One, TransactionResource};
use self::transport::{Request, Transport};
use crate::bank::{Bank, BoxFuture, Cursor, Observed, Page};
use crate::budget::{Budget, BudgetState, Priority};
use crate::clock::Clock;
use crate::error::BankError;
use crate::resource::{Account, Transaction};

pub use self::args::{UpArgs, UpArgsError};
pub use self::config::{UpConfig, UpConfigError};
pub use self::retry::RetryPolicy;
pub use self::webhook::{CreatedWebhook, DeliveryLog, Webhook, WebhookSecret};

/// Largest answer about one resource. A real one has about 3 KB; it must fit a Kafka record beside
/// what we make of it.
const RESOURCE_BYTES_MAX: usize = 256 * 1024;

/// Largest page of a listing: 100 resources of a generous size.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Resources on a page: the most the bank gives.
const PAGE_SIZE: &str = "100";

/// How long the bank may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of Up's API. Clones share connections and budget.
#[derive(Clone, Debug)]
pub struct UpClient {
    transport: Arc<Transport>,
    priority: Priority,
}

impl UpClient {
    /// A client with [`Priority::Live`]. `http` must not follow redirects: see
    /// [`UpClient::http_client`].
    pub fn new(config: UpConfig, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        let transport = Arc::new(Transport::new(config, http, clock, Budget::new()));
        Self { transport, priority: Priority::Live }
    }

    /// The same client for callers that can wait: they leave the last
    /// [`BACKGROUND_FLOOR`](crate::BACKGROUND_FLOOR) requests of an hour to live ones.
    #[must_use]
    pub fn background(&self) -> Self {
        Self { transport: Arc::clone(&self.transport), priority: Priority::Background }
    }

    /// A connection pool as this client wants it: no redirects, a limit on connecting.
    pub fn http_client() -> reqwest::Result<reqwest::Client> {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("bankstream/", env!("CARGO_PKG_VERSION")))
            .build()
    }

    async fn one<R>(&self, segments: &[&str], what: String) -> Result<Observed<R>, BankError>
    where
        R: DeserializeOwned,
    {
        let request = Request::get(self.transport.url(segments)?, what, RESOURCE_BYTES_MAX);
        let answer = self.transport.send(&request, self.priority).await?;
        let document: One<R> = answer.parse(&request.what)?;
        Ok(Observed { value: document.data, answer: answer.body, observed_at: answer.observed_at })
    }

    async fn page<R>(
        &self,
        segments: &[&str],
        cursor: Option<&Cursor>,
        what: &str,
    ) -> Result<Page<R>, BankError>
    where
        R: DeserializeOwned,
    {
        let url = match cursor {
            None => self.first_page(segments)?,
            Some(cursor) => self.transport.linked(&cursor.0, what)?,
        };
        let request = Request::get(url, what.to_owned(), PAGE_BYTES_MAX);
        let answer = self.transport.send(&request, self.priority).await?;
        let document: Listed<R> = answer.parse(what)?;
        let next = match document.links.next {
            // Refused here rather than when it is followed: the caller learns which page was bad.
            Some(link) => Some(Cursor(self.transport.linked(&link, what)?.into())),
            None => None,
        };
        let (answer, observed_at) = (answer.body, answer.observed_at);
        Ok(Page { observed: Observed { value: document.data, answer, observed_at }, next })
    }

    fn first_page(&self, segments: &[&str]) -> Result<Url, BankError> {
        let mut url = self.transport.url(segments)?;
        url.query_pairs_mut().append_pair("page[size]", PAGE_SIZE);
        Ok(url)
    }
}

impl Bank for UpClient {
    fn account<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Observed<Account>, BankError>> {
        Box::pin(async move {
            let what = format!("account {}", shown(id));
            let found: Observed<AccountResource> =
                self.one(&["accounts", id], what.clone()).await?;
            let observed = found.map(Account::from);
            if observed.value.id == id {
                Ok(observed)
            } else {
                Err(BankError::WrongResource { what })
            }
        })
    }

    fn transaction<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Observed<Transaction>, BankError>> {
        Box::pin(async move {
            let what = format!("transaction {}", shown(id));
            let found: Observed<TransactionResource> =
                self.one(&["transactions", id], what.clone()).await?;
            let observed = found.map(Transaction::from);
            if observed.value.id == id {
                Ok(observed)
            } else {
                Err(BankError::WrongResource { what })
            }
        })
    }

    fn accounts_page<'a>(
        &'a self,
        cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Account>, BankError>> {
        Box::pin(async move {
            let page: Page<AccountResource> = self.page(&["accounts"], cursor, "accounts").await?;
            Ok(page.map(Account::from))
        })
    }

    fn transactions_page<'a>(
        &'a self,
        account_id: &'a str,
        cursor: Option<&'a Cursor>,
    ) -> BoxFuture<'a, Result<Page<Transaction>, BankError>> {
        Box::pin(async move {
            let segments = ["accounts", account_id, "transactions"];
            let page: Page<TransactionResource> =
                self.page(&segments, cursor, "transactions").await?;
            Ok(page.map(Transaction::from))
        })
    }

    fn budget(&self) -> Option<BudgetState> {
        Some(self.transport.budget_state())
    }
}

/// An id as an error shows it: cut, control characters escaped.
fn shown(id: &str) -> String {
    id.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
