//! The last accepted events, for whoever is on call: what came, never what was in it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use warp::http::HeaderMap;
use warp::http::header::AUTHORIZATION;

use crate::record::RawRecord;

/// Events kept. Enough to see that something comes and from whom; the topic has all of them.
const EVENTS_MAX: usize = 100;

/// Bytes of a text of an event that are kept: they are the sender's, and may be long.
const TEXT_BYTES_MAX: usize = 128;

/// The shortest token that is no guess.
const TOKEN_BYTES_MIN: usize = 16;

/// What a reader of the last events must know. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is too short; expected at least {TOKEN_BYTES_MIN} bytes")]
pub struct TokenError;

impl std::str::FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() < TOKEN_BYTES_MIN {
            return Err(TokenError);
        }
        Ok(Self(Sha256::digest(text).into()))
    }
}

impl Token {
    /// Whether a request brings it, as `Authorization: Bearer`.
    fn is_brought(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let given = value.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default();
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    source: String,
    event_id: String,
    event_type: String,
    received_at: i64,
    key_id: String,
    body_bytes: usize,
}

/// The last events; nothing is kept unless there is a token to read them with.
#[derive(Debug)]
pub struct Recent {
    token: Option<Token>,
    events: Mutex<VecDeque<Line>>,
}

impl Recent {
    /// None yet.
    pub fn new(token: Option<Token>) -> Self {
        Self { token, events: Mutex::default() }
    }

    /// Whether anybody may read them.
    pub fn is_on(&self) -> bool {
        self.token.is_some()
    }

    /// Keeps an accepted event, and forgets the oldest when there are too many.
    pub fn keep(&self, record: &RawRecord) {
        if !self.is_on() {
            return;
        }
        let value = &record.value;
        let line = Line {
            source: value.source.clone(),
            event_id: shortened(&value.event_id),
            event_type: shortened(&value.event_type),
            received_at: value.received_at,
            key_id: value.key_id.clone(),
            body_bytes: value.body.len(),
        };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.truncate(EVENTS_MAX.saturating_sub(1));
        events.push_front(line);
    }

    /// The events as JSON, newest first; `None` unless the request brings the token.
    pub fn json(&self, headers: &HeaderMap) -> Option<Result<String, serde_json::Error>> {
        let token = self.token.as_ref()?;
        if !token.is_brought(headers) {
            return None;
        }
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(serde_json::to_string(&serde_json::json!({ "events": events })))
    }
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestIngress, up_body};

    const TOKEN: &str = "sixteen-bytes-or-more";

    #[tokio::test]
    async fn last_events_are_shown_newest_first_to_who_brings_the_token() {
        let ingress = TestIngress::with_token(Some(TOKEN.parse().unwrap())).await;
        for number in 0..=EVENTS_MAX {
            let body = up_body(&format!("e-{number}"), None);
            assert_eq!(ingress.post_up("up", &body).await.status, 200);
            assert_eq!(ingress.post_up("up", &body).await.status, 200);
        }
        let bearer = format!("Bearer {TOKEN}");
        let reply = ingress.request("GET", "/events", &[("authorization", &bearer)], b"").await;
        assert_eq!(reply.status, 200);
        let answer: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let events = answer["events"].as_array().unwrap();
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(
            (&events[0]["event_id"], &events[99]["event_id"]),
            (&"e-100".into(), &"e-1".into())
        );
        assert_eq!(
            (&events[0]["source"], &events[0]["event_type"]),
            (&"up".into(), &"PING".into())
        );
    }

    #[tokio::test]
    async fn last_events_are_not_shown_without_the_token_and_not_found_when_off() {
        let ingress = TestIngress::with_token(Some(TOKEN.parse().unwrap())).await;
        let bearer = format!("Bearer {TOKEN}");
        for headers in [
            &[][..],
            &[("authorization", "Bearer")],
            &[("authorization", TOKEN)],
            &[("authorization", "Bearer sixteen-bytes-or-morf")],
            &[("authorization", &bearer), ("authorization", &bearer)],
        ] {
            let reply = ingress.request("GET", "/events", headers, b"").await;
            assert_eq!((reply.status, &*reply.body), (401, r#"{"error":"unauthorized"}"#));
        }
        let off = TestIngress::start().await;
        let reply = off.request("GET", "/events", &[("authorization", &bearer)], b"").await;
        assert_eq!(reply.status, 404);
    }

    #[tokio::test]
    async fn health_says_whether_webhooks_are_taken() {
        let ingress = TestIngress::start().await;
        let health = async || ingress.request("GET", "/health", &[], b"").await;
        assert_eq!(health().await.body, r#"{"status":"ready","ids":0}"#);
        ingress.shared.readiness.waiting_for("Kafka");
        let reply = health().await;
        assert_eq!((reply.status, &*reply.body), (503, r#"{"status":"waiting","ids":0}"#));
    }

    #[test]
    fn a_short_token_is_refused_and_none_is_shown() {
        assert_eq!(" short \n".parse::<Token>(), Err(TokenError));
        assert_eq!(format!("{:?}", TOKEN.parse::<Token>().unwrap()), "Token(..)");
        assert_eq!(shortened(&"ä".repeat(100)).len(), 128);
    }
}
