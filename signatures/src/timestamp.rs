//! Reads a timestamp and judges its age.

use crate::reason::Reason;
use crate::scheme::{Freshness, TimestampForm};

/// Digits of a timestamp in seconds: until the year 33658, and far from overflow.
const SECONDS_DIGITS_MAX: usize = 12;

/// Digits of a timestamp in milliseconds: the same span.
const MILLIS_DIGITS_MAX: usize = 15;

/// Length of an RFC 3339 text: nine digits of a fraction and an offset.
const RFC3339_BYTES_MAX: usize = 35;

impl TimestampForm {
    /// Reads the one canonical spelling; gives milliseconds.
    pub(crate) fn read(self, text: &str) -> Result<i64, Reason> {
        match self {
            Self::UnixSeconds => digits(text, SECONDS_DIGITS_MAX)
                .and_then(|seconds| seconds.checked_mul(1000).ok_or(Reason::InvalidTimestamp)),
            Self::UnixMillis => digits(text, MILLIS_DIGITS_MAX),
            Self::Rfc3339 => rfc3339(text).ok_or(Reason::InvalidTimestamp),
        }
    }

    /// Writes `at`, milliseconds.
    pub(crate) fn write(self, at: i64) -> String {
        match self {
            Self::UnixSeconds => at.div_euclid(1000).to_string(),
            Self::UnixMillis => at.to_string(),
            Self::Rfc3339 => jiff::Timestamp::from_second(at.div_euclid(1000))
                .map_or_else(|_| String::new(), |time| time.to_string()),
        }
    }
}

fn digits(text: &str, digits_max: usize) -> Result<i64, Reason> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    if !canonical || text.len() > digits_max {
        return Err(Reason::InvalidTimestamp);
    }
    text.parse().map_err(|_| Reason::InvalidTimestamp)
}

/// `2026-01-02T03:04:05Z`, with up to nine digits of a fraction, with an offset in place of `Z`.
fn rfc3339(text: &str) -> Option<i64> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let fits = |pattern: &[u8], text: &[u8]| {
        pattern.len() == text.len()
            && pattern.iter().zip(text).all(|(pattern, byte)| match pattern {
                b'd' => byte.is_ascii_digit(),
                _ => pattern == byte,
            })
    };
    if text.len() > RFC3339_BYTES_MAX {
        return None;
    }
    let (seconds, rest) = text.as_bytes().split_at_checked(SHAPE.len())?;
    // a leap second is another text for the second after it
    if !fits(SHAPE, seconds) || seconds.ends_with(b":60") {
        return None;
    }
    let offset = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => {
            let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            fraction.get(count..).filter(|_| (1..=9).contains(&count))?
        }
    };
    if offset != b"Z" && !fits(b"+dd:dd", offset) && !fits(b"-dd:dd", offset) {
        return None;
    }
    // RFC 3339 has hours to 23 and minutes to 59 here too; the parser takes more
    let hours = offset.get(1..3).unwrap_or_default();
    let minutes = offset.get(4..).unwrap_or_default();
    if hours > b"23".as_slice() || minutes > b"59".as_slice() {
        return None;
    }
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

impl Freshness {
    /// Whether `timestamp` is within the tolerance at `now`, both ends included; milliseconds.
    pub(crate) fn check(self, timestamp: i64, now: i64) -> Result<(), Reason> {
        let age = now.checked_sub(timestamp).ok_or(Reason::ClockSkew)?;
        if age > self.past_ms || age < self.future_ms.saturating_neg() {
            return Err(Reason::ClockSkew);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: TimestampForm, text: &str, expect: Option<i64>) {
        assert_eq!(form.read(text).ok(), expect, "{text:?}");
    }

    #[test]
    fn timestamps_are_read_in_their_canonical_digits_only() {
        let seconds = TimestampForm::UnixSeconds;
        check(seconds, "0", Some(0));
        check(seconds, "1767323045", Some(1_767_323_045_000));
        check(seconds, "999999999999", Some(999_999_999_999_000));
        for text in ["", "01", "+1", "-1", " 1", "1 ", "1.0", "1e9", "0x1", "1000000000000", "١"] {
            check(seconds, text, None);
        }
        check(TimestampForm::UnixMillis, "1767323045123", Some(1_767_323_045_123));
        check(TimestampForm::UnixMillis, "01", None);
    }

    #[test]
    fn rfc_3339_is_read_in_its_strict_form_only() {
        let form = TimestampForm::Rfc3339;
        check(form, "2026-01-02T03:04:05Z", Some(1_767_323_045_000));
        check(form, "2026-01-02T03:04:05.123456789Z", Some(1_767_323_045_123));
        check(form, "2026-01-02T14:04:05+11:00", Some(1_767_323_045_000));
        check(form, "2026-01-03T03:03:05+23:59", Some(1_767_323_045_000));
        check(form, "2026-01-01T03:05:05-23:59", Some(1_767_323_045_000));
        for text in [
            "2026-01-03T03:04:05+24:00",
            "2026-01-03T05:03:05+25:59",
            "2026-01-01T01:05:05-25:59",
            "2026-01-02T04:04:05+00:60",
            "2026-01-02T04:04:05+99:99",
            "2026-01-02T03:04:05.5+24:00",
            "",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02t03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04Z",
            "2026-01-02T03:04:60Z",
            "2026-02-30T03:04:05Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:05,5Z",
            "2026-01-02T03:04:05+1100",
            "2026-01-02T03:04:05Z[UTC]",
            " 2026-01-02T03:04:05Z",
            "1767323045",
        ] {
            check(form, text, None);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for form in [TimestampForm::UnixSeconds, TimestampForm::UnixMillis, TimestampForm::Rfc3339]
        {
            assert_eq!(form.read(&form.write(1_767_323_045_000)), Ok(1_767_323_045_000));
        }
    }
}
