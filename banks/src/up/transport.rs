//! One request: budget, attempts, limits, and what the statuses mean.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::config::UpConfig;
use super::document::{self, Refusal};
use super::shown;
use crate::budget::{Budget, BudgetState, Priority};
use crate::clock::Clock;
use crate::error::{BankError, Silence};

const REMAINING: &str = "x-ratelimit-remaining";

/// Longest id taken; Up's are UUIDs of 36 characters.
const ID_BYTES_MAX: usize = 64;

/// Longest link taken from an answer.
const LINK_BYTES_MAX: usize = 4096;

/// Longest error body read: it only says why, and we show 200 characters of it.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Longest pause a bank can ask for: its own budget starts again after an hour at the latest.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// How long to stay away when the bank throttles without an end in sight.
const THROTTLE_PAUSE: Duration = Duration::from_secs(10);

/// A request to make.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<serde_json::Value>,
    /// What it is about, for errors.
    pub(super) what: String,
    /// Largest answer taken, bytes.
    pub(super) limit: usize,
    /// Whether making it twice does no harm.
    pub(super) repeatable: bool,
}

impl Request {
    pub(super) fn get(url: Url, what: String, limit: usize) -> Self {
        Self { method: Method::GET, url, body: None, what, limit, repeatable: true }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    pub(super) observed_at: i64,
}

impl Answer {
    pub(super) fn parse<T: DeserializeOwned>(&self, what: &str) -> Result<T, BankError> {
        serde_json::from_slice(&self.body).map_err(|error| BankError::Malformed {
            what: what.to_owned(),
            source: Arc::new(error),
        })
    }
}

/// A request that failed.
#[derive(Debug)]
enum Failure {
    /// Repeating cannot help.
    Final(BankError),
    /// May go better next time.
    Passing { reason: Silence, retry_after: Option<Duration> },
    /// The bank asked us to slow down.
    Throttled { retry_after: Option<Duration> },
}

impl From<BankError> for Failure {
    fn from(error: BankError) -> Self {
        Self::Final(error)
    }
}

/// The way to the bank.
#[derive(Debug)]
pub(super) struct Transport {
    config: UpConfig,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    budget: Budget,
}

impl Transport {
    pub(super) fn new(
        config: UpConfig,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        budget: Budget,
    ) -> Self {
        Self { config, http, clock, budget }
    }

    pub(super) fn budget_state(&self) -> BudgetState {
        self.budget.state(self.clock.now())
    }

    /// The address of a resource. Segments that came from outside are checked here, once for all.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, BankError> {
        for segment in segments {
            check_id(segment)?;
        }
        let mut url = self.config.base.clone();
        // A base always has a host (checked when it was configured), so it has segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Ok(url)
    }

    /// A link out of an answer, if it leads where our own requests go.
    pub(super) fn linked(&self, link: &str, what: &str) -> Result<Url, BankError> {
        let base = &self.config.base;
        let foreign =
            || BankError::ForeignLink { what: what.to_owned(), base: base.as_str().to_owned() };
        if link.len() > LINK_BYTES_MAX {
            return Err(foreign());
        }
        let url = Url::parse(link).map_err(|_| foreign())?;
        let same_origin = url.origin() == base.origin();
        let no_user = url.username().is_empty() && url.password().is_none();
        let below = url
            .path()
            .strip_prefix(base.path().trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/'));
        if same_origin && no_user && below { Ok(url) } else { Err(foreign()) }
    }

    /// Makes the request, again where that may help.
    pub(super) async fn send(
        &self,
        request: &Request,
        priority: Priority,
    ) -> Result<Answer, BankError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match self.attempt(request, priority).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let retry_after = match &failure {
                Failure::Final(_) => return Err(self.given_up(request, attempts, failure)),
                Failure::Passing { retry_after, .. } | Failure::Throttled { retry_after } => {
                    *retry_after
                }
            };
            let pause = self.config.retry.pause(attempts, retry_after);
            let Some(pause) = pause.filter(|_| request.repeatable) else {
                return Err(self.given_up(request, attempts, failure));
            };
            tracing::debug!(what = request.what, attempts, ?failure, ?pause, "asking again");
            tokio::time::sleep(pause).await;
        }
    }

    fn given_up(&self, request: &Request, attempts: u32, failure: Failure) -> BankError {
        match failure {
            Failure::Final(error) => error,
            Failure::Passing { reason, retry_after } => {
                BankError::Unavailable { what: request.what.clone(), attempts, reason, retry_after }
            }
            Failure::Throttled { retry_after } => {
                let wait = retry_after.unwrap_or(THROTTLE_PAUSE);
                let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                BankError::RateLimited { reset_at: self.clock.now().saturating_add(ms), wait }
            }
        }
    }

    async fn attempt(&self, request: &Request, priority: Priority) -> Result<Answer, Failure> {
        let permit = self.budget.reserve(priority, self.clock.now())?;
        let response = self.head(request).await?;
        let observed_at = self.clock.now();
        let status = response.status();
        let remaining = remaining(response.headers());
        if let Some(remaining) = remaining {
            permit.answered(remaining, observed_at);
        }
        if status.is_success() {
            let body = body(response, request.limit).await.map_err(|stop| stop.failure(request))?;
            return Ok(Answer { body, observed_at });
        }
        let retry_after = retry_after(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.throttled(remaining, retry_after, observed_at));
        }
        Err(refused(request, response, retry_after).await)
    }

    async fn head(&self, request: &Request) -> Result<Response, Failure> {
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", self.config.token.reveal()))
                // A `Token` is visible ASCII, so this does not happen; if it did, it is no token.
                .map_err(|_| Failure::Final(BankError::Unauthorized))?;
        authorization.set_sensitive(true);
        let mut builder = self
            .http
            .request(request.method.clone(), request.url.clone())
            .timeout(self.config.timeout)
            .header(AUTHORIZATION, authorization);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        builder.send().await.map_err(|error| passing(&error))
    }

    /// 429 means that the hour is used up, unless the bank says otherwise: requests left, or a time
    /// to come back.
    fn throttled(
        &self,
        remaining: Option<u32>,
        retry_after: Option<Duration>,
        now: i64,
    ) -> Failure {
        if retry_after.is_some() || remaining.is_some_and(|left| left > 0) {
            return Failure::Throttled { retry_after };
        }
        Failure::Final(self.budget.exhausted(now))
    }
}

fn check_id(id: &str) -> Result<(), BankError> {
    let fits = (1..=ID_BYTES_MAX).contains(&id.len());
    if fits && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        Ok(())
    } else {
        Err(BankError::InvalidId { id: shown(id) })
    }
}

fn remaining(headers: &HeaderMap) -> Option<u32> {
    headers.get(REMAINING)?.to_str().ok()?.trim().parse().ok()
}

/// Seconds only: Up sends none, proxies send seconds; a date is not worth a parser.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn passing(error: &reqwest::Error) -> Failure {
    let reason = if error.is_timeout() {
        Silence::TimedOut
    } else if error.is_connect() {
        Silence::NoConnection
    } else {
        Silence::Broken
    };
    Failure::Passing { reason, retry_after: None }
}

async fn refused(request: &Request, response: Response, retry_after: Option<Duration>) -> Failure {
    let status = response.status();
    let what = request.what.clone();
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Failure::Passing { reason: Silence::Status(status.as_u16()), retry_after };
    }
    Failure::Final(match status {
        StatusCode::UNAUTHORIZED => BankError::Unauthorized,
        StatusCode::NOT_FOUND => BankError::NotFound { what },
        _ => {
            let body = body(response, REFUSAL_BYTES_MAX).await.unwrap_or_default();
            let Refusal { title, detail } = document::refusal(&body);
            BankError::Rejected { what, status: status.as_u16(), title, detail }
        }
    })
}

/// Why a body was not read to its end.
#[derive(Debug)]
enum Stop {
    TooLarge(usize),
    Broken(reqwest::Error),
}

impl Stop {
    fn failure(self, request: &Request) -> Failure {
        match self {
            Self::TooLarge(limit) => {
                Failure::Final(BankError::TooLarge { what: request.what.clone(), limit })
            }
            Self::Broken(error) => passing(&error),
        }
    }
}

/// Reads a body while counting: what it claims about its length is not believed.
async fn body(mut response: Response, limit: usize) -> Result<Bytes, Stop> {
    let mut read = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(Stop::Broken)? {
        if read.len().saturating_add(chunk.len()) > limit {
            return Err(Stop::TooLarge(limit));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}
