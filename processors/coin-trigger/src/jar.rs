//! The arithmetic of coins: what a price takes, what is carried over, what a reversal gives back.
//!
//! For every rule and account, at any time:
//!
//! ```text
//! sum of (coins dropped - coins taken back) * price + carry-over = sum of the amounts that count
//! ```
//!
//! A reversal takes back exactly the coins its transaction dropped. Money that other transactions
//! built upon is then missing: the carry-over becomes negative, a debt that later amounts pay
//! before they drop coins again. Coins that other transactions dropped are never taken back.
#![deny(clippy::arithmetic_side_effects)]

/// What one amount did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// How many times the price was met; 0 when the amount was only carried over.
    pub(crate) coins: i64,
    /// Carry-over afterwards, base units.
    pub(crate) carried_out: i64,
}

/// Drops what `amount` and the carry-over pay for.
///
/// Takes base units; `amount` is not negative, `price` is above 0. `None` when the sum does not fit
/// into 64 bits.
pub(crate) fn drop_coins(carried_in: i64, amount: i64, price: i64) -> Option<Dropped> {
    let total = carried_in.checked_add(amount)?;
    let coins = if total > 0 { total.checked_div(price)? } else { 0 };
    let carried_out = total.checked_sub(coins.checked_mul(price)?)?;
    Some(Dropped { coins, carried_out })
}

/// The carry-over after taking back the `coins` that `amount` dropped at `price`.
///
/// `None` when it does not fit into 64 bits.
pub(crate) fn take_back(carried_in: i64, amount: i64, price: i64, coins: i64) -> Option<i64> {
    carried_in.checked_add(coins.checked_mul(price)?)?.checked_sub(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(carried_in: i64, amount: i64, price: i64, expect: Option<(i64, i64)>) {
        let dropped = drop_coins(carried_in, amount, price);
        assert_eq!(dropped.map(|d| (d.coins, d.carried_out)), expect);
    }

    #[test]
    fn the_price_is_taken_as_often_as_it_is_met_and_the_rest_is_carried() {
        check(0, 199, 200, Some((0, 199)));
        check(0, 200, 200, Some((1, 0)));
        check(0, 650, 200, Some((3, 50)));
        check(150, 50, 200, Some((1, 0)));
        check(150, 49, 200, Some((0, 199)));
        check(0, 0, 200, Some((0, 0)));
    }

    #[test]
    fn a_debt_is_paid_before_coins_drop_again() {
        check(-300, 200, 200, Some((0, -100)));
        check(-300, 300, 200, Some((0, 0)));
        check(-300, 500, 200, Some((1, 0)));
        check(-100, 250, 200, Some((0, 150)));
    }

    #[test]
    fn sums_beyond_64_bits_are_refused() {
        check(1, i64::MAX, 200, None);
        check(0, 100, 0, None);
        assert_eq!(take_back(0, 1, i64::MAX, 2), None);
        assert_eq!(take_back(i64::MIN, 1, 1, 0), None);
    }

    proptest! {
        #[test]
        fn taking_back_restores_the_carry_over_for_any_amount(
            carried_in in -1_000_000_i64..1_000_000,
            amount in 0_i64..10_000_000,
            price in 1_i64..100_000,
        ) {
            let dropped = drop_coins(carried_in, amount, price).expect("small numbers fit");
            prop_assert!(dropped.coins >= 0);
            prop_assert!(dropped.carried_out < price);
            prop_assert_eq!(
                take_back(dropped.carried_out, amount, price, dropped.coins),
                Some(carried_in)
            );
        }
    }
}
