//! The raw record of an accepted request.

mod datum;

use schemas::{SignatureHeader, WebhookReceived};
use sha2::{Digest, Sha256};
use signatures::Verified;
use signatures::source::{Event, SourceConfig};
use streams::spans::traceparent::TRACEPARENT;

pub(crate) use self::datum::framed;

/// Names of the record's headers, read by whoever follows an event without decoding its value.
pub mod header {
    /// The provider's event id.
    pub const EVENT_ID: &str = "bankstream-event-id";
    /// The declared source.
    pub const SOURCE: &str = "bankstream-source";
    /// SHA-256 of the body, lower-case hex.
    pub const BODY_SHA256: &str = "bankstream-body-sha256";
}

/// How these records reached us.
const ORIGIN: &str = "webhook";

/// A record for the raw topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Source and subject id, so that what happens to one subject stays in order; source and event
    /// id where there is no subject.
    pub key: String,
    /// The value.
    pub value: WebhookReceived,
    /// W3C trace context.
    pub traceparent: String,
}

impl RawRecord {
    /// The record of one verified request; `received_at` in milliseconds.
    pub fn new(
        source: &SourceConfig,
        verified: Verified,
        event: Event,
        body: Vec<u8>,
        received_at: i64,
        traceparent: String,
    ) -> Self {
        let subject = event.subject.as_ref().unwrap_or(&event.id);
        let header =
            |header: signatures::Header| SignatureHeader { name: header.name, value: header.value };
        Self {
            key: [&source.name, ":", subject].concat(),
            value: WebhookReceived {
                source: source.name.clone(),
                scheme: source.scheme.name.clone(),
                event_id: event.id,
                event_type: event.kind,
                subject_id: event.subject,
                occurred_at: event.occurred_at,
                received_at,
                body_sha256: hex_of(&Sha256::digest(&body).into()),
                body,
                signature_headers: verified.signature_headers.into_iter().map(header).collect(),
                key_id: verified.key_id,
                origin: ORIGIN.to_owned(),
                integrity: source.scheme.integrity.as_str().to_owned(),
            },
            traceparent,
        }
    }

    /// The headers of the record by name.
    pub fn headers(&self) -> [(&'static str, &str); 4] {
        [
            (header::SOURCE, &self.value.source),
            (header::EVENT_ID, &self.value.event_id),
            (header::BODY_SHA256, &self.value.body_sha256),
            (TRACEPARENT, &self.traceparent),
        ]
    }
}

/// A hash in lower-case hex. The library's own way to a text goes character by character.
fn hex_of(hash: &[u8; 32]) -> String {
    let mut text = vec![0; 2 * hash.len()];
    match hex::encode_to_slice(hash, &mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => hex::encode(hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_how_much_of_its_body_was_signed() {
        #[track_caller]
        fn check(preset: &str, expect: &str) {
            let table = format!(
                "[sources.a]\npreset = \"{preset}\"\npath = \"/a\"\n\
                 secrets = [{{ id = \"a\", env = \"A\" }}]"
            );
            let source = signatures::source::parse("a.toml", &table).unwrap().remove(0);
            let verified =
                Verified { key_id: "a".into(), timestamp: None, signature_headers: Vec::new() };
            let event =
                Event { id: "e".into(), kind: "k".into(), subject: None, occurred_at: None };
            let record = RawRecord::new(&source, verified, event, Vec::new(), 0, String::new());
            assert_eq!(record.value.integrity, expect);
        }
        check("up", "full");
        check("adyen", "partial");
    }
}
