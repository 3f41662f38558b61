//! What the ingress rejected, where somebody asked to keep it.

use serde::{Deserialize, Serialize};

use crate::avro_schema;
use crate::time::Timestamp;

/// What is told of a value that is not shown: enough to tell it from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redacted {
    /// Its length in bytes.
    pub bytes: i64,
    /// The first sixteen hexadecimal digits of its SHA-256.
    pub sha256_begins: String,
}

/// A header of a rejected request. Its value is in one of three fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedHeader {
    /// Name in lower case.
    pub name: String,
    /// The value, where it is shown and text.
    #[serde(default)]
    pub value: Option<String>,
    /// The value in base64, where it is shown and no text.
    #[serde(default)]
    pub value_base64: Option<String>,
    /// Where the value is not shown.
    #[serde(default)]
    pub redacted: Option<Redacted>,
}

/// A request that was rejected, as far as it is kept: a line of the ingress's capture file and a record
/// of its topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRejected {
    /// When the ingress had read it.
    pub received_at: Timestamp,
    /// Name of the declared source, as in topology.toml.
    pub source: String,
    /// The source's signature scheme.
    pub scheme: String,
    /// The path that it was posted to.
    pub path: String,
    /// Why it was rejected, such as `signature-mismatch`.
    pub reason: String,
    /// Address of who sent it, or of the proxy that passed it on.
    pub peer: String,
    /// Its headers.
    pub headers: Vec<RejectedHeader>,
    /// Headers that are not among them, because there were too many.
    #[serde(default)]
    pub headers_left_out: i32,
    /// Length of the body; null where it was not read.
    #[serde(default)]
    pub body_bytes: Option<i64>,
    /// SHA-256 of the body, lower-case hex.
    #[serde(default)]
    pub body_sha256: Option<String>,
    /// The body, or its begin, in base64; null where only heads are kept.
    #[serde(default)]
    pub body_base64: Option<String>,
    /// Whether `body_base64` is only the body's begin.
    #[serde(default)]
    pub body_cut: Option<bool>,
    /// Address of who sent it, as the ingress judged: what the proxies that it trusts say, or `peer`;
    /// null where they do not say, and in records from before this was kept.
    #[serde(default)]
    pub client: Option<String>,
}

avro_schema!(WebhookRejected, "../avro/bank.WebhookRejected.avsc");
