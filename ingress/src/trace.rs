//! The trace context of a request, W3C `traceparent`.

use uuid::Uuid;
use warp::http::HeaderMap;

/// Name of the header in requests and in records.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The trace context for the record: the request's trace continued by a span of ours, or a new one.
pub(crate) fn continued(headers: &HeaderMap) -> String {
    let given = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(parts);
    let span = Uuid::new_v4().simple().to_string();
    let span = span.get(..16).unwrap_or_default();
    match given {
        Some((trace, flags)) => format!("00-{trace}-{span}-{flags}"),
        None => format!("00-{}-{span}-01", Uuid::new_v4().simple()),
    }
}

/// Trace id and flags of a well-formed `traceparent` of version 0.
fn parts(text: &str) -> Option<(&str, &str)> {
    let mut fields = text.split('-');
    let (version, trace, parent, flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id =
        |field: &str, length: usize| is_hex(field, length) && field.bytes().any(|b| b != b'0');
    let valid = version == "00" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2);
    (valid && fields.next().is_none()).then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_when_it_is_well_formed_and_begun_otherwise() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let check = |given: &str, expect_continued: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, given.parse().unwrap());
            let made = continued(&headers);
            let (made_trace, _) = parts(&made).unwrap_or_else(|| panic!("{made}"));
            assert_eq!(made_trace == trace, expect_continued, "{given} -> {made}");
            assert!(!made.contains("00f067aa0ba902b7"), "{made} should be a span of ours");
        };
        check(&format!("00-{trace}-00f067aa0ba902b7-00"), true);
        check(&format!("01-{trace}-00f067aa0ba902b7-00"), false);
        check(&format!("00-{trace}-0000000000000000-00"), false);
        check(&format!("00-{}-00f067aa0ba902b7-00", trace.to_uppercase()), false);
        check(&format!("00-{trace}-00f067aa0ba902b7-00-more"), false);
        check("nonsense", false);
    }
}
