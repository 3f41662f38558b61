//! Why a request was not taken: a closed set, the same in answers, logs, metrics and reports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request was rejected.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A header the scheme needs is not there.
    MissingHeaders,
    /// A header is there but not of the scheme's form, or is there more than once.
    MalformedHeader,
    /// The timestamp is not in its one canonical form.
    InvalidTimestamp,
    /// The timestamp is further from our clock than the tolerance, in either direction.
    ClockSkew,
    /// The request names a key that is not active.
    UnknownKey,
    /// The request asks for another algorithm than the configured one.
    AlgorithmNotAllowed,
    /// No active key made any of the given signatures over these bytes.
    SignatureMismatch,
    /// The signed hash is of another body.
    BodyHashMismatch,
    /// The event id or nonce was accepted before, with another body.
    Replayed,
    /// The body is over the limit.
    BodyTooLarge,
    /// Genuine, but not a payload of the declared source.
    InvalidPayload,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 11] = [
        Self::MissingHeaders,
        Self::MalformedHeader,
        Self::InvalidTimestamp,
        Self::ClockSkew,
        Self::UnknownKey,
        Self::AlgorithmNotAllowed,
        Self::SignatureMismatch,
        Self::BodyHashMismatch,
        Self::Replayed,
        Self::BodyTooLarge,
        Self::InvalidPayload,
    ];

    /// The reason as it is written everywhere, in kebab case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingHeaders => "missing-headers",
            Self::MalformedHeader => "malformed-header",
            Self::InvalidTimestamp => "invalid-timestamp",
            Self::ClockSkew => "clock-skew",
            Self::UnknownKey => "unknown-key",
            Self::AlgorithmNotAllowed => "algorithm-not-allowed",
            Self::SignatureMismatch => "signature-mismatch",
            Self::BodyHashMismatch => "body-hash-mismatch",
            Self::Replayed => "replayed",
            Self::BodyTooLarge => "body-too-large",
            Self::InvalidPayload => "invalid-payload",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_the_same_in_text_and_in_json() {
        for reason in Reason::ALL {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
        }
    }
}
