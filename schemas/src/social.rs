//! Posts asked for, and what became of them.

use serde::{Deserialize, Serialize};

use crate::avro_schema;
use crate::time::Timestamp;

/// A post that a rule asked for, rendered and redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostRequested {
    /// rule:transaction id; published at most once per network.
    pub post_id: String,
    /// Name of the rule.
    pub rule: String,
    /// dry-run or mastodon.
    pub network: String,
    /// The text to publish.
    pub text: String,
    /// public, unlisted, private or direct.
    pub visibility: String,
    /// Transaction that led to it.
    pub transaction_id: String,
    /// Event that led to it.
    pub event_id: String,
    /// When the rule asked.
    pub requested_at: Timestamp,
}

/// What became of a post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostPublished {
    /// The requested post.
    pub post_id: String,
    /// Where it went.
    pub network: String,
    /// published, dry-run, rejected or unknown: nobody can know whether it was published.
    pub outcome: String,
    /// The network's id of the status.
    #[serde(default)]
    pub network_id: Option<String>,
    /// Where it can be seen.
    #[serde(default)]
    pub url: Option<String>,
    /// The network's reason, when it was rejected or is unknown.
    #[serde(default)]
    pub detail: Option<String>,
    /// Calls made, the last included.
    pub attempts: i32,
    /// When the outcome was known.
    pub finished_at: Timestamp,
}

avro_schema!(PostRequested, "../avro/social.PostRequested.avsc");
avro_schema!(PostPublished, "../avro/social.PostPublished.avsc");
