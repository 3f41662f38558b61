//! Mastodon: `POST /api/v1/statuses`.
//!
//! <https://docs.joinmastodon.org/methods/statuses/#create>: the same `Idempotency-Key` within an
//! hour answers with the status that exists.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};
use schemas::PostRequested;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Answer, Network, PublishError, Publishing};
use crate::{config::MastodonAccount, rules::NetworkName};

const NAME: &str = NetworkName::Mastodon.as_str();
const KEY_HEADER: &str = "idempotency-key";
/// Time of day at which the rate limit ends, RFC 3339.
const RESET_HEADER: &str = "x-ratelimit-reset";
/// The server forgets a key after an hour; five minutes are left for its clock and the call.
const KEY_VALIDITY: Duration = Duration::from_mins(55);
/// Wait after a rate limit that does not say when it ends.
const RATE_LIMIT_WAIT: Duration = Duration::from_mins(1);
/// The longest wait a server can ask for: its limits are counted over three hours at most.
const WAIT_MAX: Duration = Duration::from_hours(3);
/// Bytes read of an answer: a status with its account is some kilobytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Characters kept of the server's reason.
const DETAIL_CHARS_MAX: usize = 300;

/// A Mastodon account that posts.
#[derive(Clone, Debug)]
pub struct Mastodon {
    client: Client,
    statuses: Url,
    account: MastodonAccount,
}

#[derive(Serialize)]
struct NewStatus<'a> {
    #[serde(rename = "status")]
    text: &'a str,
    visibility: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
}

#[derive(Deserialize)]
struct Created {
    id: String,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Mastodon {
    /// A client of the account's server.
    pub fn new(client: Client, account: MastodonAccount) -> Self {
        let mut statuses = account.url.clone();
        statuses.set_path("/api/v1/statuses");
        Self { client, statuses, account }
    }

    fn request(&self, key: &str, post: &PostRequested) -> RequestBuilder {
        self.client
            .post(self.statuses.clone())
            .bearer_auth(self.account.token.reveal())
            .header(KEY_HEADER, hex::encode(Sha256::digest(key)))
            .json(&NewStatus {
                text: &post.text,
                visibility: &post.visibility,
                language: self.account.language.as_deref(),
            })
    }
}

impl Network for Mastodon {
    fn name(&self) -> NetworkName {
        NetworkName::Mastodon
    }

    fn key_validity(&self) -> Duration {
        KEY_VALIDITY
    }

    fn publish(&self, key: &str, post: &PostRequested) -> Publishing {
        let request = self.request(key, post);
        Box::pin(async move {
            let response = request.send().await.map_err(|source| PublishError::Transport {
                network: NAME,
                source: source.without_url(),
            })?;
            if response.status().is_success() {
                return Ok(published(&body(response).await));
            }
            failed(response.status(), response.headers())?;
            let status = response.status();
            Ok(Answer::Rejected { detail: reason(status, &body(response).await) })
        })
    }
}

/// An answer that cannot be read does not undo the post.
fn published(body: &[u8]) -> Answer {
    match serde_json::from_slice::<Created>(body) {
        Ok(created) => Answer::Published { network_id: Some(created.id), url: created.url },
        Err(_) => Answer::Published { network_id: None, url: None },
    }
}

/// `Ok` when the status is a refusal of this very post.
fn failed(status: StatusCode, headers: &header::HeaderMap) -> Result<(), PublishError> {
    let (network, after) = (NAME, wait(headers));
    let code = status.as_u16();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(PublishError::Unauthorized { network, status: code })
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Err(PublishError::WrongAddress { network, status: code })
        }
        StatusCode::TOO_MANY_REQUESTS => {
            Err(PublishError::RateLimited { network, after: after.unwrap_or(RATE_LIMIT_WAIT) })
        }
        StatusCode::REQUEST_TIMEOUT => {
            Err(PublishError::Unavailable { network, status: code, after })
        }
        _ if status.is_redirection() => Err(PublishError::WrongAddress { network, status: code }),
        _ if status.is_client_error() => Ok(()),
        _ => Err(PublishError::Unavailable { network, status: code, after }),
    }
}

/// `Retry-After` in seconds, else the end of the rate limit measured by the server's own clock.
fn wait(headers: &header::HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let seconds = text("retry-after").and_then(|text| text.parse().ok()).or_else(|| {
        let reset: Timestamp = text(RESET_HEADER)?.parse().ok()?;
        let now = rfc2822::parse(text("date")?).ok()?.timestamp();
        u64::try_from(reset.as_second().saturating_sub(now.as_second())).ok()
    })?;
    Some(Duration::from_secs(seconds.max(1)).min(WAIT_MAX))
}

/// At most [`ANSWER_BYTES_MAX`] bytes of an answer; what is lost behind an error is only detail.
async fn body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            break;
        }
    }
    body
}

/// The server's words, one line, bounded: they go into a record.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let words = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error);
    let words = words.unwrap_or_default();
    let line: String = words
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(DETAIL_CHARS_MAX)
        .collect();
    if line.is_empty() { status.to_string() } else { format!("{status}: {line}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streams::Classify as _;

    fn headers(pairs: &[(&'static str, &str)]) -> header::HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (header::HeaderName::from_static(name), value.parse().expect("value"))
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn every_status_is_repeated_halts_or_refuses() {
        let check = |status: u16, expect: &str| {
            let status = StatusCode::from_u16(status).expect("status");
            let found = match failed(status, &headers(&[("retry-after", "7")])) {
                Ok(()) => "refused".to_owned(),
                Err(error) => format!("{:?}", error.disposition()),
            };
            assert_eq!(found, expect, "{status}");
        };
        for status in [400, 410, 413, 422] {
            check(status, "refused");
        }
        for status in [301, 302, 401, 403, 404, 405] {
            check(status, "Halt");
        }
        for status in [408, 429, 500, 502, 503] {
            check(status, "Retry(Retry { after: Some(7s), is_counted: false })");
        }
    }

    #[test]
    fn the_wait_is_what_the_server_says_within_bounds() {
        let check = |pairs: &[(&'static str, &str)], expect: Option<u64>| {
            assert_eq!(wait(&headers(pairs)), expect.map(Duration::from_secs), "{pairs:?}");
        };
        let date = ("date", "Sat, 31 Jan 2026 12:00:00 GMT");
        check(&[("retry-after", "30"), date], Some(30));
        check(&[(RESET_HEADER, "2026-01-31T12:05:00.123456Z"), date], Some(300));
        check(&[(RESET_HEADER, "2026-02-28T12:05:00Z"), date], Some(10_800));
        check(&[("retry-after", "0")], Some(1));
        check(&[(RESET_HEADER, "2026-01-31T11:00:00Z"), date], None);
        check(&[(RESET_HEADER, "2026-01-31T12:05:00Z")], None);
        check(&[(RESET_HEADER, "soon"), date], None);
        check(&[], None);
    }

    #[test]
    fn a_reason_is_one_bounded_line() {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        let check = |body: &str, expect: &str| {
            assert_eq!(reason(unprocessable, body.as_bytes()), expect);
        };
        let status = "422 Unprocessable Entity";
        check(
            r#"{"error":"Validation failed:\nempty"}"#,
            &format!("{status}: Validation failed: empty"),
        );
        check("<html>", status);
        check("", status);
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(1_000));
        check(&long, &format!("{status}: {}", "x".repeat(DETAIL_CHARS_MAX)));
    }

    #[test]
    fn a_post_with_an_unreadable_answer_is_published_all_the_same() {
        let unreadable = Answer::Published { network_id: None, url: None };
        assert_eq!(published(b"<html>"), unreadable);
        let url = Some("https://m.example/@a/1".to_owned());
        let answer = published(br#"{"id":"1","url":"https://m.example/@a/1","tags":[]}"#);
        assert_eq!(answer, Answer::Published { network_id: Some("1".to_owned()), url });
    }
}
