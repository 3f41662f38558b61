//! Requests that only pretend to come from the bank.

use fastrand::Rng;
use serde::Deserialize;

/// What is wrong with a forged request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// Signed with a key that is not the webhook's.
    WrongKey,
    /// Rightly signed, but the body ends in the middle.
    CutBody,
    /// Rightly signed, then changed.
    ChangedBody,
    /// Not signed at all.
    Unsigned,
}

impl Forgery {
    /// One of them.
    pub fn any(rng: &mut Rng) -> Self {
        match rng.u8(0..4) {
            0 => Self::WrongKey,
            1 => Self::CutBody,
            2 => Self::ChangedBody,
            _ => Self::Unsigned,
        }
    }

    /// The body as it is sent, when `signed` is the body as it was signed.
    pub fn spoil(self, signed: &str) -> String {
        match self {
            Self::WrongKey | Self::Unsigned => signed.to_owned(),
            Self::CutBody => signed.chars().take(signed.chars().count() / 2).collect(),
            Self::ChangedBody => signed.replacen("TRANSACTION_CREATED", "TRANSACTION_SETTLED", 1),
        }
    }
}
