//! Amounts as people write them.

/// Base units of a currency with two decimals: `-123456` is `-1,234.56`.
pub fn money(base_units: i64) -> String {
    let sign = if base_units < 0 { "-" } else { "" };
    let absolute = base_units.unsigned_abs();
    let (whole, cents) = ((absolute / 100).to_string(), absolute % 100);
    let mut grouped = String::with_capacity(whole.len() + whole.len() / 3);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}.{cents:02}")
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn base_units_are_written_with_cents_and_groups() {
        let check = |base_units, expect: &str| assert_eq!(money(base_units), expect);
        check(0, "0.00");
        check(7, "0.07");
        check(-7, "-0.07");
        check(123_456, "1,234.56");
        check(-100_000_000, "-1,000,000.00");
        check(99_999, "999.99");
        check(i64::MIN, "-92,233,720,368,547,758.08");
    }
}
