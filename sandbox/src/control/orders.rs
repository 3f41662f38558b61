//! The bodies of orders.

use serde::Deserialize;

use super::Refusal;
use crate::dispatch::{Course, Forgery};

/// Steps a second of a generated day: more than any receiver here takes.
const RATE_MAX: u32 = 1_000;
/// Longest generated day, in seconds.
const SECONDS_MAX: u64 = 24 * 60 * 60;
/// Forged events per order.
const FORGERIES_MAX: u32 = 1_000;

/// Moves a balance without a transaction.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adjust {
    /// Base units.
    pub amount: i64,
}

/// Settles a hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settle {
    /// Base units, if not those of the hold.
    #[serde(default)]
    pub amount: Option<i64>,
    /// As a deletion and a new transaction.
    #[serde(default)]
    pub recreated: bool,
    /// How its events travel.
    #[serde(default)]
    pub course: Course,
}

/// Deletes a hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deletion {
    /// How its event travels.
    #[serde(default)]
    pub course: Course,
}

/// Moves money between own accounts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    /// Account id.
    pub from: String,
    /// Account id.
    pub to: String,
    /// Base units, positive.
    pub amount: i64,
    /// Shown on both halves.
    #[serde(default = "unnamed")]
    pub description: String,
    /// How its events travel.
    #[serde(default)]
    pub course: Course,
}

fn unnamed() -> String {
    "Transfer".to_owned()
}

/// Sends forged events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forgeries {
    /// To this webhook; to all of them without.
    #[serde(default)]
    pub webhook: Option<String>,
    /// What is wrong with them; anything without.
    #[serde(default)]
    pub kind: Option<Forgery>,
    /// How many per webhook.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

impl Forgeries {
    pub(super) fn check(self) -> Result<Self, Refusal> {
        let fits = (1..=FORGERIES_MAX).contains(&self.count);
        fits.then_some(self).ok_or(Refusal::OutOfRange("count", "from 1 to 1000"))
    }
}

/// A generated day.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// Steps a second.
    pub rate: u32,
    /// Its length; `rate * seconds` steps are made.
    pub seconds: u64,
}

impl Day {
    pub(super) fn check(self) -> Result<Self, Refusal> {
        if !(1..=RATE_MAX).contains(&self.rate) {
            return Err(Refusal::OutOfRange("rate", "from 1 to 1000 steps a second"));
        }
        if !(1..=SECONDS_MAX).contains(&self.seconds) {
            return Err(Refusal::OutOfRange("seconds", "from 1 to 86400"));
        }
        Ok(self)
    }
}
