//! Why a bank gave no usable answer.

use std::sync::Arc;
use std::time::Duration;

/// What a request met instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// Nobody took the connection.
    #[error("no connection")]
    NoConnection,
    /// The time was over first.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended in the middle.
    #[error("the connection broke")]
    Broken,
    /// 5xx, or 408.
    #[error("status {0}")]
    Status(u16),
}

impl Silence {
    /// Whether the bank is out of reach for everybody, as far as one request can tell. A 500 may be
    /// about the one thing that was asked for.
    pub fn is_outage(self) -> bool {
        match self {
            Self::NoConnection | Self::TimedOut | Self::Broken => true,
            Self::Status(status) => matches!(status, 502..=504),
        }
    }
}

/// Why a bank gave no usable answer. Cheap to clone: one failed read is told to every waiting caller.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BankError {
    /// The token is wrong, expired or withdrawn. Repeating does not help.
    #[error("the bank refused the token (401): make a new one and start again with it")]
    Unauthorized,
    /// The bank does not know it, or no longer: normal after a deletion.
    #[error("the bank does not know the {what}")]
    NotFound {
        /// Kind and id.
        what: String,
    },
    /// The hour's requests are used up, for this priority or for everybody.
    #[error("the bank's request budget is used up for {wait:?}")]
    RateLimited {
        /// When it makes sense to ask again, milliseconds since the epoch.
        reset_at: i64,
        /// The same as a distance from now.
        wait: Duration,
    },
    /// No answer, or 5xx, after the permitted attempts.
    #[error("the bank did not answer for the {what} after {attempts} attempts: {reason}")]
    Unavailable {
        /// Kind and id.
        what: String,
        /// Requests made.
        attempts: u32,
        /// What the last of them met.
        reason: Silence,
        /// When the bank asked us to come back, if it did.
        retry_after: Option<Duration>,
    },
    /// Any other refusal (4xx), or a redirect, which is never followed.
    #[error("the bank refused the request for the {what} with {status}: {title} ({detail})")]
    Rejected {
        /// Kind and id.
        what: String,
        /// HTTP status.
        status: u16,
        /// The bank's short description; stable.
        title: String,
        /// The bank's longer description; may change from one time to the next.
        detail: String,
    },
    /// The answer is not what the bank's specification promises.
    #[error("the bank's answer for the {what} cannot be read")]
    Malformed {
        /// Kind and id.
        what: String,
        /// Where it departs.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The answer is about something else.
    #[error("the bank was asked for the {what} and answered about another id")]
    WrongResource {
        /// Kind and id.
        what: String,
    },
    /// The answer is larger than any real one.
    #[error("the bank's answer for the {what} is larger than {limit} bytes")]
    TooLarge {
        /// Kind and id.
        what: String,
        /// The limit, bytes.
        limit: usize,
    },
    /// The id cannot be one of this bank's. No request was made.
    #[error("`{id}` is not an id: expected 1 to 64 letters, digits and hyphens")]
    InvalidId {
        /// The text, cut and escaped.
        id: String,
    },
    /// A link of an answer leads away from the bank. It was not followed.
    #[error("the bank's answer for the {what} links to a place outside `{base}`: not followed")]
    ForeignLink {
        /// Kind and id.
        what: String,
        /// Where links must lead.
        base: String,
    },
    /// A listing leads back to a page already seen.
    #[error("the listing of {what} leads back to a page already read")]
    EndlessListing {
        /// What was listed.
        what: String,
    },
    /// A listing has more pages than we read.
    #[error("the listing of {what} has more than {limit} pages")]
    TooManyPages {
        /// What was listed.
        what: String,
        /// The limit.
        limit: usize,
    },
}
