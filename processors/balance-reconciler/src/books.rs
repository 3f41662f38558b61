//! What do the booked transactions of an account add up to?
//!
//! Every addition is checked: a sum that does not fit is an error of the record that caused it,
//! never a wrapped balance.
#![deny(clippy::arithmetic_side_effects)]

use serde::{Deserialize, Serialize};

use crate::error::BooksError;
use crate::version::{Standing, Version};

/// The running sums of one account, in base units of its currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Balance before the first transaction in the books.
    pub opening: i64,
    /// Sum of the settled transactions.
    pub settled: i64,
    /// Sum of the held transactions.
    pub held: i64,
    /// Number of transactions that are not deleted.
    pub transactions: i64,
}

impl Books {
    /// opening + settled + held: what the bank should state as available.
    pub fn ledger_balance(&self) -> Result<i64, BooksError> {
        let moved = self.settled.checked_add(self.held);
        moved
            .and_then(|moved| moved.checked_add(self.opening))
            .ok_or(BooksError::Overflow { sum: "ledger balance" })
    }

    /// The books after one transaction's version `was` (`None`: never seen) gave way to `is`.
    pub fn with_replaced(self, was: Option<Version>, is: Version) -> Result<Self, BooksError> {
        let without = match was {
            Some(version) => self.without(version)?,
            None => self,
        };
        without.with(is)
    }

    fn with(self, version: Version) -> Result<Self, BooksError> {
        let amount = version.amount;
        Ok(match version.standing {
            Standing::Deleted => self,
            Standing::Held => Self { held: add(self.held, amount, "held")?, ..self.counted(1)? },
            Standing::Settled => {
                Self { settled: add(self.settled, amount, "settled")?, ..self.counted(1)? }
            }
        })
    }

    fn without(self, version: Version) -> Result<Self, BooksError> {
        let amount = version.amount;
        Ok(match version.standing {
            Standing::Deleted => self,
            Standing::Held => {
                Self { held: subtract(self.held, amount, "held")?, ..self.counted(-1)? }
            }
            Standing::Settled => {
                Self { settled: subtract(self.settled, amount, "settled")?, ..self.counted(-1)? }
            }
        })
    }

    fn counted(self, step: i64) -> Result<Self, BooksError> {
        Ok(Self { transactions: add(self.transactions, step, "transactions")?, ..self })
    }
}

/// `left + right`; `sum` names the result in the error.
pub fn add(left: i64, right: i64, sum: &'static str) -> Result<i64, BooksError> {
    left.checked_add(right).ok_or(BooksError::Overflow { sum })
}

/// `left - right`; `sum` names the result in the error.
pub fn subtract(left: i64, right: i64, sum: &'static str) -> Result<i64, BooksError> {
    left.checked_sub(right).ok_or(BooksError::Overflow { sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Books = Books { opening: 10_000, settled: 0, held: 0, transactions: 0 };

    fn held(amount: i64) -> Version {
        Version { standing: Standing::Held, observed_at: 1, amount }
    }

    fn settled(amount: i64) -> Version {
        Version { standing: Standing::Settled, observed_at: 2, amount }
    }

    #[test]
    fn a_version_replaces_the_one_before() {
        let check = |was: &[Version], expect: (i64, i64, i64, i64)| {
            let mut books = OPEN;
            let mut before = None;
            for &is in was {
                books = books.with_replaced(before, is).expect("small amounts");
                before = Some(is);
            }
            let ledger = books.ledger_balance().expect("small amounts");
            assert_eq!((books.settled, books.held, books.transactions, ledger), expect);
        };
        check(&[held(-2_500)], (0, -2_500, 1, 7_500));
        check(&[held(-2_500), settled(-2_500)], (-2_500, 0, 1, 7_500));
        // a tip: the settled amount replaces the held one
        check(&[held(-2_500), settled(-3_000)], (-3_000, 0, 1, 7_000));
        check(&[held(-2_500), Version::deleted(3)], (0, 0, 0, 10_000));
        check(&[settled(-2_500), Version::deleted(3)], (0, 0, 0, 10_000));
        check(&[Version::deleted(3)], (0, 0, 0, 10_000));
    }

    #[test]
    fn a_sum_that_does_not_fit_is_an_error() {
        let check = |result: Result<Books, BooksError>, expect: &str| {
            assert_eq!(result.expect_err("does not fit").to_string(), expect);
        };
        let full = Books { settled: i64::MAX, ..OPEN };
        check(full.with_replaced(None, settled(1)), "sum `settled` does not fit 64 bits");
        let full = Books { held: i64::MIN, ..OPEN };
        check(full.with_replaced(None, held(-1)), "sum `held` does not fit 64 bits");
        let ledger = Books { settled: i64::MAX, ..OPEN }.ledger_balance();
        assert_eq!(
            ledger.expect_err("does not fit").to_string(),
            "sum `ledger balance` does not fit 64 bits"
        );
    }
}
