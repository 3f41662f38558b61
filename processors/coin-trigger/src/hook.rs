//! The effect of the sub-topology `hook`: a signed HTTP request per trigger.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, header};
use schemas::CoinTrigger;
use serde::{Deserialize, Serialize};
use signatures::Scheme;
use streams::{Classify, Clock, Context, Disposition, Effect, Fault, Outcome, Record};

use crate::config::HookTarget;

/// Header that carries the signature: `t=<seconds>,v1=<hex>` over `<seconds>.<body>`.
pub const SIGNATURE_HEADER: &str = "bankstream-signature";
/// Header that names the request; the same for every try.
pub const KEY_HEADER: &str = "idempotency-key";
/// The longest wait a receiver can ask for: a larger `Retry-After` is more likely a mistake.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// Wait before another try when the receiver does not say how long.
const OUTAGE_WAIT: Duration = Duration::from_secs(5);

/// What the receiver said; kept in the effect ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookAnswer {
    /// It took the trigger.
    Accepted {
        /// HTTP status.
        status: u16,
    },
    /// It will never take it.
    Refused {
        /// HTTP status.
        status: u16,
    },
}

/// Why the receiver has not answered yet.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("calling the hook; is its receiver running?")]
    Transport(#[source] reqwest::Error),
    /// An answer that asks for another try.
    #[error("the hook answered {status}; expected 2xx, or 4xx for a refusal")]
    Status {
        /// HTTP status.
        status: u16,
        /// How long to wait.
        after: Option<Duration>,
    },
    /// An answer about the door, not about the trigger.
    #[error(
        "the hook answered {status}, which speaks of the address or the signature and not of the \
         trigger; is COIN_HOOK_URL the receiver's path, and COIN_HOOK_SECRET its secret?"
    )]
    Door {
        /// HTTP status.
        status: u16,
    },
    /// The trigger cannot be written as JSON.
    #[error("writing the trigger as JSON")]
    Json(#[from] serde_json::Error),
    /// The runtime's own.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Classify for CallError {
    fn disposition(&self) -> Disposition {
        match self {
            // An outage is not counted against the trigger: the key's validity is the limit.
            Self::Transport(_) | Self::Door { .. } => Disposition::wait(OUTAGE_WAIT),
            Self::Status { after, .. } => Disposition::wait(after.unwrap_or(OUTAGE_WAIT)),
            Self::Json(_) => Disposition::DeadLetter,
            Self::Fault(fault) => fault.disposition(),
        }
    }
}

/// Sends each trigger to the hook.
#[derive(Clone)]
pub struct Hook {
    client: Client,
    target: HookTarget,
    scheme: Scheme,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("target", &self.target).finish_non_exhaustive()
    }
}

/// The body of a request.
#[derive(Serialize)]
struct Payload<'a, T> {
    /// What happened.
    r#type: &'static str,
    /// The same in every try and in the idempotency key.
    id: String,
    /// The record of the topic.
    trigger: &'a T,
}

impl Hook {
    /// A hook; `clock` gives the time in the signature.
    pub fn new(client: Client, target: HookTarget, clock: Arc<dyn Clock>) -> Self {
        let scheme = Scheme {
            name: "bankstream".to_owned(),
            header: SIGNATURE_HEADER.to_owned(),
            ..Scheme::stripe()
        };
        Self { client, target, scheme, clock }
    }

    /// The time is taken anew for each try: a late one must not look like a replay.
    fn request(
        &self,
        key: &str,
        trigger: &CoinTrigger,
    ) -> Result<reqwest::RequestBuilder, CallError> {
        let body = body(trigger)?;
        let signed = signatures::sign(&self.scheme, &self.target.secret, &body, self.clock.now());
        let request = self
            .client
            .post(self.target.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(KEY_HEADER, key);
        let sign = |request: reqwest::RequestBuilder, signature: signatures::Header| {
            request.header(signature.name, signature.value)
        };
        Ok(signed.into_iter().fold(request, sign).body(body))
    }
}

impl Effect for Hook {
    type Key = String;
    type Value = CoinTrigger;
    type Answer = HookAnswer;
    type Error = CallError;

    fn effect_id(&self, record: &Record<String, CoinTrigger>) -> Option<String> {
        Some(effect_id(&record.value))
    }

    fn key_validity(&self) -> Duration {
        self.target.key_validity
    }

    fn call(
        &self,
        idempotency_key: String,
        record: Record<String, CoinTrigger>,
    ) -> impl Future<Output = Result<HookAnswer, CallError>> + Send + 'static {
        let request = self.request(&idempotency_key, &record.value);
        async move {
            let response =
                request?.send().await.map_err(|error| CallError::Transport(error.without_url()))?;
            // The body is nobody's business here: it is not read.
            answer(response.status(), retry_after(response.headers()))
        }
    }

    fn finish(
        &mut self,
        _ctx: &mut Context<'_>,
        record: &Record<String, CoinTrigger>,
        outcome: &Outcome<HookAnswer>,
    ) -> Result<(), CallError> {
        let effect_id = effect_id(&record.value);
        match outcome {
            Outcome::Done { answer: HookAnswer::Accepted { status }, attempts } => {
                tracing::debug!(effect_id, status, attempts, "hook accepted the trigger");
            }
            Outcome::Done { answer: HookAnswer::Refused { status }, attempts } => {
                tracing::warn!(effect_id, status, attempts, "hook refused the trigger");
            }
            Outcome::Unknown { attempts, detail } => {
                tracing::warn!(
                    effect_id,
                    attempts,
                    detail,
                    "nobody knows whether the hook took it"
                );
            }
        }
        Ok(())
    }
}

/// A reversal is an effect of its own.
fn effect_id(trigger: &CoinTrigger) -> String {
    match trigger {
        CoinTrigger::CoinTriggerFired(fired) => fired.trigger_id.clone(),
        CoinTrigger::CoinTriggerReversed(reversed) => format!("{}:reversed", reversed.trigger_id),
    }
}

fn body(trigger: &CoinTrigger) -> Result<Vec<u8>, serde_json::Error> {
    let id = effect_id(trigger);
    match trigger {
        CoinTrigger::CoinTriggerFired(trigger) => {
            serde_json::to_vec(&Payload { r#type: "coin.trigger.fired", id, trigger })
        }
        CoinTrigger::CoinTriggerReversed(trigger) => {
            serde_json::to_vec(&Payload { r#type: "coin.trigger.reversed", id, trigger })
        }
    }
}

/// 2xx is taken, 4xx refused for good, but for those that a wrong secret or path brings: they, and
/// anything else, a redirect included, may be repaired.
fn answer(status: StatusCode, after: Option<Duration>) -> Result<HookAnswer, CallError> {
    let is_passing =
        status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS;
    let status_code = status.as_u16();
    if status.is_success() {
        Ok(HookAnswer::Accepted { status: status_code })
    } else if is_door(status) {
        Err(CallError::Door { status: status_code })
    } else if status.is_client_error() && !is_passing {
        Ok(HookAnswer::Refused { status: status_code })
    } else {
        Err(CallError::Status { status: status_code, after })
    }
}

fn is_door(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    )
}

/// Seconds only; a date would need the receiver's clock.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_taken_refused_or_repeated() {
        let check = |status: u16, expect: &str| {
            let status = StatusCode::from_u16(status).expect("status");
            let found = match answer(status, Some(Duration::from_secs(3))) {
                Ok(HookAnswer::Accepted { .. }) => "accepted".to_owned(),
                Ok(HookAnswer::Refused { .. }) => "refused".to_owned(),
                Err(error) => format!("{:?}", error.disposition()),
            };
            assert!(found.starts_with(expect), "{status}: {found}");
        };
        for status in [200, 202, 204] {
            check(status, "accepted");
        }
        for status in [400, 409, 410, 413, 422] {
            check(status, "refused");
        }
        for status in [401, 403, 404, 405, 407] {
            check(status, "Retry(Retry { after: Some(5s), is_counted: false })");
        }
        for status in [302, 408, 429, 500, 503] {
            check(status, "Retry(Retry { after: Some(3s), is_counted: false })");
        }
    }

    #[test]
    fn a_wait_is_bounded() {
        let check = |value: &str, expect: Option<u64>| {
            let headers = [(header::RETRY_AFTER, value.parse().expect("value"))];
            let found = retry_after(&headers.into_iter().collect());
            assert_eq!(found, expect.map(Duration::from_secs), "{value}");
        };
        check("7", Some(7));
        check("99999999", Some(3_600));
        check("-1", None);
        check("Wed, 21 Oct 2026 07:28:00 GMT", None);
    }
}
