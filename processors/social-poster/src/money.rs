//! How an amount is written in a post: exactly, or so that only its size shows.
#![deny(clippy::arithmetic_side_effects)]

/// Characters of the longest text this module writes.
pub(crate) const AMOUNT_CHARS_MAX: usize = 40;
/// An amount is rounded to this many whole units of its currency unless the rule says otherwise.
const ROUND_TO_UNITS: u64 = 10;

/// Currencies of ISO 4217 without decimals.
const NO_DECIMALS: [&str; 16] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV",
    "XAF", "XOF", "XPF",
];
/// Currencies of ISO 4217 with three decimals.
const THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// `AUD 47.50`: `amount` base units of `currency`, without the sign.
pub(crate) fn exact(amount: i64, currency: &str) -> String {
    let (whole, fraction) = parts(amount.unsigned_abs(), currency);
    format!("{currency} {whole}{fraction}")
}

/// `about AUD 50`: to the nearest `step` base units (10 units of the currency when `None`), half a
/// step up; `less than AUD 10` when that would be nothing. A step of 0 counts as 1.
pub(crate) fn rounded(amount: i64, currency: &str, step: Option<u64>) -> String {
    let step = step.unwrap_or_else(|| ROUND_TO_UNITS.saturating_mul(scale(currency))).max(1);
    let amount = amount.unsigned_abs();
    let below = amount.checked_rem(step).unwrap_or_default();
    let down = amount.saturating_sub(below);
    let rounded = if below < step.div_ceil(2) { down } else { down.saturating_add(step) };
    let (wording, shown) = if rounded == 0 { ("less than", step) } else { ("about", rounded) };
    let (whole, fraction) = parts(shown, currency);
    let fraction =
        if fraction.bytes().any(|b| (b'1'..=b'9').contains(&b)) { fraction } else { String::new() };
    format!("{wording} {currency} {whole}{fraction}")
}

/// Whole units, and the rest with its decimal point.
fn parts(amount: u64, currency: &str) -> (u64, String) {
    let scale = scale(currency);
    let whole = amount.checked_div(scale).unwrap_or_default();
    let rest = amount.checked_rem(scale).unwrap_or_default();
    let fraction = match scale {
        1 => String::new(),
        1_000 => format!(".{rest:03}"),
        _ => format!(".{rest:02}"),
    };
    (whole, fraction)
}

/// Base units in one unit of the currency.
fn scale(currency: &str) -> u64 {
    if NO_DECIMALS.contains(&currency) {
        1
    } else if THREE_DECIMALS.contains(&currency) {
        1_000
    } else {
        100
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exact_amounts_have_the_decimals_of_their_currency() {
        let check = |amount, currency, expect| assert_eq!(exact(amount, currency), expect);
        check(4_750, "AUD", "AUD 47.50");
        check(-5, "AUD", "AUD 0.05");
        check(4_750, "JPY", "JPY 4750");
        check(4_750, "KWD", "KWD 4.750");
        check(i64::MIN, "AUD", "AUD 92233720368547758.08");
    }

    #[test]
    fn rounded_amounts_show_only_their_size() {
        let check =
            |amount, currency, step, expect| assert_eq!(rounded(amount, currency, step), expect);
        check(4_750, "AUD", None, "about AUD 50");
        check(-5_499, "AUD", None, "about AUD 50");
        check(5_500, "AUD", None, "about AUD 60");
        check(499, "AUD", None, "less than AUD 10");
        check(500, "AUD", None, "about AUD 10");
        check(1_234_567, "AUD", Some(100_000), "about AUD 12000");
        check(130, "AUD", Some(50), "about AUD 1.50");
        check(1, "AUD", Some(50), "less than AUD 0.50");
        check(1_234, "JPY", None, "about JPY 1230");
        check(47_500, "KWD", None, "about KWD 50");
        check(7, "AUD", Some(0), "about AUD 0.07");
    }

    proptest! {
        #[test]
        fn no_amount_is_longer_than_the_limit_for_any_step(
            amount in any::<i64>(),
            step in prop::option::of(any::<u64>()),
            currency in prop::sample::select(vec!["AUD", "JPY", "KWD"]),
        ) {
            prop_assert!(exact(amount, currency).len() <= AMOUNT_CHARS_MAX);
            prop_assert!(rounded(amount, currency, step).len() <= AMOUNT_CHARS_MAX);
        }
    }
}
