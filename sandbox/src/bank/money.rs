//! Amounts as the bank states them.

use serde::{Deserialize, Serialize};

/// An amount in a currency's base units (cents). Every currency the bank shows has two decimals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// ISO 4217.
    pub currency: String,
    /// Negative when money leaves the account.
    pub base_units: i64,
}

impl Money {
    /// Australian dollars, the currency of every account.
    pub fn aud(base_units: i64) -> Self {
        Self { currency: "AUD".to_owned(), base_units }
    }

    /// The amount with its decimal point: `-59.98`.
    pub fn decimal(&self) -> String {
        let sign = if self.base_units < 0 { "-" } else { "" };
        let units = self.base_units.unsigned_abs();
        format!("{sign}{}.{:02}", units / 100, units % 100)
    }
}

/// What rounds a purchase up to the next dollar, as a negative amount; `None` when it is even or
/// when money came in.
pub fn round_up(amount: i64) -> Option<i64> {
    match (amount < 0, amount.unsigned_abs() % 100) {
        (false, _) | (true, 0) => None,
        (true, cents) => i64::try_from(100 - cents).ok().map(|missing| -missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_at_every_size() {
        let check = |units, expect: &str| assert_eq!(Money::aud(units).decimal(), expect);
        check(0, "0.00");
        check(-5, "-0.05");
        check(1056, "10.56");
        check(-98_765_432, "-987654.32");
        check(i64::MIN, "-92233720368547758.08");
    }

    #[test]
    fn only_a_purchase_with_cents_is_rounded_up() {
        let check = |amount, expect| assert_eq!(round_up(amount), expect, "{amount}");
        check(-1292, Some(-8));
        check(-1, Some(-99));
        check(-1300, None);
        check(1292, None);
        check(0, None);
    }
}
