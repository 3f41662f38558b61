//! A trace as requests and records carry it: the W3C header `traceparent`, version 0.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Name of the header, in requests and in records.
pub const TRACEPARENT: &str = "traceparent";

/// The trace and the span that `text` names; `None` for any other text than the one that [`write()`]
/// gives, and where an id is all zeros.
pub fn read(text: &str) -> Option<SpanContext> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let lengths = (version.len(), trace.len(), span.len(), flags.len());
    // upper case, signs: `from_hex` and `from_str_radix` take more than the header may hold
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    if version != "00" || lengths != (2, 32, 16, 2) || fields.next().is_some() {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok().filter(|_| text.bytes().all(is_hex))?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// The header's text for who continues `context`.
pub fn write(context: &SpanContext) -> String {
    let flags = context.trace_flags();
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_continued() {
        #[track_caller]
        fn check(text: &str, expect: bool) {
            let context = read(text);
            assert_eq!(context.is_some(), expect, "{text}");
            assert!(context.is_none_or(|context| write(&context) == text), "{text}");
        }
        fn shorter(text: &str) -> &str {
            text.get(1..).unwrap()
        }
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for flags in ["00", "01", "02", "ff"] {
            check(&format!("00-{trace}-{span}-{flags}"), true);
        }
        for flags in ["", "1", "+1", "0g", "001", "01-", "01-more"] {
            check(&format!("00-{trace}-{span}-{flags}"), false);
        }
        check(&format!("01-{trace}-{span}-01"), false);
        check(&format!("00-{}-{span}-01", trace.to_uppercase()), false);
        check(&format!("00-+{}-{span}-01", shorter(trace)), false);
        check(&format!("00-{}-{span}-01", shorter(trace)), false);
        check(&format!("00-{trace}-{}-01", shorter(span)), false);
        check(&format!("00-{trace}-0000000000000000-01"), false);
        check(&format!("00-{}-{span}-01", "0".repeat(32)), false);
        check("nonsense", false);
        check("", false);
    }
}
