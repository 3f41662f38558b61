//! Events sent as Stripe sends them: another bank's shape through the same door.

use fastrand::Rng;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use signatures::{Scheme, SecretError};

use crate::ids::alphanumeric;
use crate::secret::Secret;

/// Different events per order.
const COUNT_MAX: u32 = 1_000;
/// Times each event is sent.
const REPEAT_MAX: u32 = 10;

/// Asks for signed events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Where they go.
    pub url: String,
    /// The endpoint's signing secret, `whsec_...` included.
    pub secret: Secret,
    /// The event type.
    #[serde(rename = "type", default = "succeeded")]
    kind: String,
    /// How many different events.
    #[serde(default = "one")]
    count: u32,
    /// How often each of them is sent, the same id every time.
    #[serde(default = "one")]
    repeat: u32,
    /// Seconds added to the time that is signed, to test a receiver's tolerance.
    #[serde(default)]
    skew_seconds: i64,
}

fn succeeded() -> String {
    "payment_intent.succeeded".to_owned()
}

fn one() -> u32 {
    1
}

impl Order {
    /// Refuses an order beyond the limits, saying what they are.
    pub fn check(&self) -> Result<(), &'static str> {
        let fits = (1..=COUNT_MAX).contains(&self.count) && (1..=REPEAT_MAX).contains(&self.repeat);
        fits.then_some(()).ok_or("from 1 to 1000 and from 1 to 10")
    }
}

/// One event to send.
#[derive(Debug)]
pub struct Letter {
    id: String,
    body: String,
    headers: Vec<(String, String)>,
}

/// Writes and signs the events of an order at the time `now` (milliseconds).
pub fn letters(order: &Order, rng: &mut Rng, now: i64) -> Result<Vec<Letter>, SecretError> {
    let key = signatures::Secret::new(order.secret.reveal())?;
    let signed_at = now.saturating_add(order.skew_seconds.saturating_mul(1000));
    let letter = |_| {
        let id = format!("evt_{}", alphanumeric(rng, 24));
        let body = event(&id, &order.kind, rng, now).to_string();
        let headers = signatures::sign(&Scheme::stripe(), &key, body.as_bytes(), signed_at);
        let headers = headers.into_iter().map(|header| (header.name, header.value)).collect();
        Letter { id, body, headers }
    };
    Ok((0..order.count).map(letter).collect())
}

fn event(id: &str, kind: &str, rng: &mut Rng, now: i64) -> Value {
    let created = now.div_euclid(1000);
    json!({
        "id": id,
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": created,
        "data": { "object": {
            "id": format!("pi_{}", alphanumeric(rng, 24)),
            "object": "payment_intent",
            "amount": rng.u32(100..20_000),
            "currency": "aud",
            "created": created,
            "status": "succeeded",
        } },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
        "type": kind,
    })
}

/// Sends the letters one after the other, `order.repeat` times each; gives one line per request:
/// its event id and the status answered, `null` when nobody answered.
pub async fn send(client: &Client, order: &Order, letters: Vec<Letter>) -> Value {
    let mut sent = Vec::new();
    for letter in letters {
        for _ in 0..order.repeat {
            let mut request = client
                .post(&order.url)
                .header("content-type", "application/json; charset=utf-8")
                .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
                .body(letter.body.clone());
            for (name, value) in &letter.headers {
                request = request.header(name, value);
            }
            let status = request.send().await.ok().map(|answer| answer.status().as_u16());
            sent.push(json!({ "id": letter.id, "status": status }));
        }
    }
    json!({ "sent": sent })
}

#[cfg(test)]
mod tests {
    use signatures::Verifier;

    use super::*;
    use crate::ids::{Purpose, generator};

    #[test]
    fn letters_verify_and_differ_and_a_skewed_time_is_stale() {
        let check = |skew_seconds, fresh| {
            let order: Order = serde_json::from_value(json!({
                "url": "http://127.0.0.1:1/", "secret": "whsec_x", "count": 2,
                "skew_seconds": skew_seconds,
            }))
            .unwrap();
            let now = 1_767_323_045_000;
            let letters = letters(&order, &mut generator(1, Purpose::Stripe), now).unwrap();
            assert_ne!(letters[0].id, letters[1].id);
            let key = signatures::Secret::new("whsec_x").unwrap();
            let verifier = Verifier::new(Scheme::stripe(), vec![("k".into(), key)]).unwrap();
            let headers: Vec<_> = letters[0]
                .headers
                .iter()
                .map(|(name, value)| signatures::Header {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect();
            let verdict = verifier.verify(&headers, letters[0].body.as_bytes(), now);
            assert_eq!(verdict.is_ok(), fresh, "{skew_seconds}");
        };
        check(0, true);
        check(-3_600, false);
    }
}
