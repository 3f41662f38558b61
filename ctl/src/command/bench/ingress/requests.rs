//! Signed webhooks, made before the clock starts.

use serde_json::json;
use signatures::{Scheme, Secret};
use uuid::Uuid;

/// Where they are posted.
pub(super) const PATH: &str = "/webhooks/up";

/// Whole requests, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// So many requests, each with an event, a transaction and a signature of its own.
    pub(super) fn new(count: usize, secret: &Secret) -> Self {
        let mut requests = Self::default();
        // Ids of one run differ by a number, those of two runs by all but that.
        let run = fastrand::u64(..);
        for number in (0_u64..).take(count) {
            requests.push(&body(run, number), secret);
        }
        requests
    }

    fn push(&mut self, body: &[u8], secret: &Secret) {
        let mut head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Up Webhook Dispatcher\r\n\
             Accept: */*\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        // The scheme signs no time.
        for header in signatures::sign(&Scheme::up(), secret, body, 0) {
            for part in [&header.name, ": ", &header.value, "\r\n"] {
                head.push_str(part);
            }
        }
        head.push_str("\r\n");
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(body);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of one.
    pub(super) fn get(&self, number: usize) -> Option<&[u8]> {
        let before = number.checked_sub(1).and_then(|before| self.ends.get(before));
        self.bytes.get(before.copied().unwrap_or(0)..*self.ends.get(number)?)
    }
}

/// An event of the size and shape that Up sends.
fn body(run: u64, number: u64) -> Vec<u8> {
    let event = Uuid::from_u64_pair(run, number).to_string();
    let transaction = Uuid::from_u64_pair(!run, number).to_string();
    let hook = "9a1b53c7-04d2-4be6-8f6b-0d7e3c2a5b19";
    let related = |kind: &str, id: &str| {
        json!({
            "data": { "type": kind, "id": id },
            "links": { "related": format!("https://api.up.com.au/api/v1/{kind}/{id}") },
        })
    };
    let event = json!({ "data": {
        "type": "webhook-events",
        "id": event,
        "attributes": { "eventType": "TRANSACTION_CREATED", "createdAt": "2026-01-02T03:04:05+10:00" },
        "relationships": {
            "webhook": related("webhooks", hook),
            "transaction": related("transactions", &transaction),
        },
    } });
    event.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_request_is_whole_and_unlike_any_other() {
        let secret = Secret::new("secret").unwrap();
        let (one, two) = (Requests::new(3, &secret), Requests::new(3, &secret));
        let mut bodies = BTreeSet::new();
        for number in 0..3 {
            for requests in [&one, &two] {
                let text = std::str::from_utf8(requests.get(number).unwrap()).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with("POST /webhooks/up HTTP/1.1\r\n"), "{head}");
                assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
                assert!((540..580).contains(&body.len()), "{}", body.len());
                bodies.insert(body.to_owned());
            }
        }
        assert_eq!((bodies.len(), one.len(), one.get(3)), (6, 3, None));
    }
}
