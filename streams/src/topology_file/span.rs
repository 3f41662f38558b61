//! Spans of time as the file writes them: `100ms`, `10s`, `5m`, `12h`, `30d`.

use std::time::Duration;

/// Units with their length in milliseconds, longest first. `ms` stands before `m` and `s`.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1_000)];

/// The span that `text` names: a whole number from 1 and one of `ms`, `s`, `m`, `h`, `d`.
/// None for anything else, a number with a sign or leading zero included.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) =
        UNITS.iter().find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, *millis)))?;
    let canonical = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !canonical {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_millis)
}

/// Writes a span in the largest unit that divides it: the inverse of [`parse_duration`] in value.
pub fn format_duration(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut units = UNITS;
    units.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
    units
        .iter()
        .find(|(_, length)| millis.is_multiple_of(*length))
        .map(|(unit, length)| format!("{}{unit}", millis / length))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{format_duration, parse_duration};

    #[test]
    fn spans_are_a_whole_number_and_a_unit() {
        fn check(text: &str, expect: Option<u64>) {
            assert_eq!(parse_duration(text), expect.map(Duration::from_millis), "{text}");
        }
        check("100ms", Some(100));
        check("10s", Some(10_000));
        check("5m", Some(300_000));
        check("12h", Some(43_200_000));
        check("30d", Some(2_592_000_000));
        for bad in ["", "d", "30", "30 d", "-1d", "+1d", "0d", "01s", "1.5h", "99999999999999999d"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn spans_are_written_in_their_largest_unit() {
        for text in ["100ms", "10s", "5m", "12h", "30d", "1500ms"] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Some(text));
        }
    }
}
