//! Which of several versions of one transaction is in the books?
//!
//! Webhooks arrive late, twice and in any order, so a version may not simply overwrite what is
//! there. Versions are totally ordered and the highest wins. Taking the higher of two is
//! commutative, associative and idempotent: every order and every repetition ends in the same books.

use schemas::{Timestamp, TransactionEnriched};
use serde::{Deserialize, Serialize};

use crate::error::BooksError;

/// How far a transaction has come; a later standing is never taken back by an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The bank holds the money; the amount may still change.
    Held,
    /// The money has moved.
    Settled,
    /// The bank no longer knows the transaction: a hold that expired or was taken back.
    Deleted,
}

/// One version of a transaction.
///
/// The derived order reads the fields from the top: standing, then time, then (two answers of one
/// millisecond) the amount, so that no two different versions are ever equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// How far the transaction has come.
    pub standing: Standing,
    /// When the bank gave the answer this version was read from.
    pub observed_at: Timestamp,
    /// Base units of the account's currency, signed as the account sees it; 0 when deleted.
    pub amount: i64,
}

impl Version {
    /// The tombstone of a transaction that was seen deleted at `observed_at`.
    pub fn deleted(observed_at: Timestamp) -> Self {
        Self { standing: Standing::Deleted, observed_at, amount: 0 }
    }
}

/// A version as it came in, with what decides whether it may enter the books at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What was seen.
    pub version: Version,
    /// The rest of the bank's answer; a deletion has none.
    pub origin: Option<Origin>,
}

/// What the bank said of a transaction that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When the bank first saw the transaction.
    pub created_at: Timestamp,
    /// ISO 4217 code of the amount.
    pub currency: String,
}

impl Sighting {
    /// The sighting of a transaction that exists, from the bank's answer at `observed_at`.
    ///
    /// A status that is neither HELD nor SETTLED is refused: whether such a transaction counts in the
    /// balance is not ours to guess.
    pub fn new(
        status: &str,
        amount: i64,
        origin: Origin,
        observed_at: Timestamp,
    ) -> Result<Self, BooksError> {
        let standing = match status {
            "HELD" => Standing::Held,
            "SETTLED" => Standing::Settled,
            unknown => return Err(BooksError::Status { status: unknown.to_owned() }),
        };
        Ok(Self { version: Version { standing, observed_at, amount }, origin: Some(origin) })
    }

    /// The tombstone of a transaction that was seen deleted at `observed_at`.
    pub fn deleted(observed_at: Timestamp) -> Self {
        Self { version: Version::deleted(observed_at), origin: None }
    }

    /// The sighting in an enriched record.
    pub fn of_enriched(record: &TransactionEnriched) -> Result<Self, BooksError> {
        if record.change == "deleted" {
            return Ok(Self::deleted(record.observed_at));
        }
        let transaction = record
            .transaction
            .as_ref()
            .ok_or_else(|| BooksError::NoTransaction { change: record.change.clone() })?;
        let origin =
            Origin { created_at: transaction.created_at, currency: transaction.currency.clone() };
        Self::new(&transaction.status, transaction.amount, origin, record.observed_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(standing: Standing, observed_at: Timestamp, amount: i64) -> Version {
        Version { standing, observed_at, amount }
    }

    #[test]
    fn standing_outranks_time_and_time_outranks_the_amount() {
        let rising = [
            version(Standing::Held, 1, 900),
            version(Standing::Held, 2, -900),
            version(Standing::Held, 2, -800),
            version(Standing::Settled, 1, -950),
            version(Standing::Settled, 9, -1000),
            Version::deleted(0),
            Version::deleted(5),
        ];
        assert!(rising.is_sorted_by(|lower, higher| lower < higher));
    }

    #[test]
    fn a_deletion_needs_no_transaction_and_every_other_change_does() {
        let check = |change: &str, expect: Result<Standing, &str>| {
            let mut record = crate::testing::enriched("HELD", -100, 7);
            record.change = change.to_owned();
            record.transaction = None;
            let seen = Sighting::of_enriched(&record).map(|seen| seen.version.standing);
            assert_eq!(seen.map_err(|error| error.to_string()), expect.map_err(str::to_owned));
        };
        check("deleted", Ok(Standing::Deleted));
        check("settled", Err("change `settled` carries no transaction"));
        check("unheard-of", Err("change `unheard-of` carries no transaction"));
    }

    #[test]
    fn an_unknown_status_is_refused() {
        let record = crate::testing::enriched("PENDING", -100, 7);
        let refused = Sighting::of_enriched(&record).expect_err("PENDING is not known");
        assert_eq!(
            refused.to_string(),
            "transaction status `PENDING` is unknown: expected HELD or SETTLED"
        );
    }
}
