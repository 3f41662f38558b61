//! What the ingress accepted: the raw record.

use serde::{Deserialize, Serialize};

use crate::avro_schema;
use crate::time::Timestamp;

/// [`WebhookReceived::integrity`] of a record from before this was kept.
pub const INTEGRITY_UNKNOWN: &str = "unknown";

fn unknown_integrity() -> String {
    INTEGRITY_UNKNOWN.to_owned()
}

/// A request header that took part in the verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureHeader {
    /// Header name in lower case.
    pub name: String,
    /// Header value as received.
    pub value: String,
}

/// One request that was accepted as genuine, with the exact bytes that were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookReceived {
    /// Name of the declared source, as in topology.toml.
    pub source: String,
    /// Signature scheme that verified it.
    pub scheme: String,
    /// The provider's id of the event, constant across its retries.
    pub event_id: String,
    /// The provider's name of the event, as sent.
    pub event_type: String,
    /// Id of what the event is about (a transaction); null for a PING.
    #[serde(default)]
    pub subject_id: Option<String>,
    /// When the provider says it happened.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    /// When the ingress had read the request; freshness was judged against it.
    pub received_at: Timestamp,
    /// The request's body, byte for byte.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// What is needed to verify the body again.
    pub signature_headers: Vec<SignatureHeader>,
    /// Which of the source's keys matched.
    pub key_id: String,
    /// SHA-256 of the body, lower-case hex.
    pub body_sha256: String,
    /// How it reached us: webhook, delivery-log, poll, backfill.
    pub origin: String,
    /// How much of the body the signature covers: `full`, `partial` (ask the provider before money
    /// moves), or [`INTEGRITY_UNKNOWN`].
    #[serde(default = "unknown_integrity")]
    pub integrity: String,
}

avro_schema!(WebhookReceived, "../avro/bank.WebhookReceived.avsc");
