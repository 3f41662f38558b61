//! Takes the signatures and the time out of the header.

use crate::headers::{Headers, Occurrence};
use crate::mac::MAC_BYTES;
use crate::reason::Reason;
use crate::scheme::{Carrier, Scheme, SignatureEncoding};

/// Signatures looked at in one header. While a secret is rolled there are two; more than this is
/// not a provider's doing.
const SIGNATURES_MAX: usize = 16;

/// Digits of a timestamp: seconds until the year 33658, and far from overflow.
const TIMESTAMP_DIGITS_MAX: usize = 12;

/// What the request claims.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Given<'a> {
    /// The header's value as received; ASCII.
    pub(crate) value: &'a str,
    /// The timestamp's text as received; empty where the scheme has none.
    pub(crate) timestamp: &'a str,
    /// The well-formed signatures, decoded; at least one.
    pub(crate) signatures: Vec<[u8; MAC_BYTES]>,
}

/// Reads the scheme's header.
pub(crate) fn given<'a>(
    scheme: &Scheme,
    headers: &'a (impl Headers + ?Sized),
) -> Result<Given<'a>, Reason> {
    let value = match headers.find(&scheme.header) {
        Occurrence::Absent => return Err(Reason::MissingHeaders),
        Occurrence::Repeated => return Err(Reason::MalformedHeader),
        Occurrence::Once(value) => value,
    };
    // Never through a lossy text: what is not ASCII is in none of the schemes.
    let value = std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
    let value = value.ok_or(Reason::MalformedHeader)?;
    match &scheme.carrier {
        Carrier::Plain => {
            let signature = decode(scheme.signature_encoding, value);
            let signature = signature.ok_or(Reason::MalformedHeader)?;
            Ok(Given { value, timestamp: "", signatures: vec![signature] })
        }
        Carrier::Pairs { timestamp, signature } => {
            pairs(value, timestamp, signature, scheme.signature_encoding)
        }
    }
}

fn pairs<'a>(
    value: &'a str,
    timestamp_name: &str,
    signature_name: &str,
    encoding: SignatureEncoding,
) -> Result<Given<'a>, Reason> {
    let mut timestamp = None;
    let mut signatures = Vec::with_capacity(2);
    for item in value.split(',') {
        let (name, content) = item.split_once('=').ok_or(Reason::MalformedHeader)?;
        if content.contains('=') {
            return Err(Reason::MalformedHeader);
        }
        if name == timestamp_name {
            if timestamp.replace(content).is_some() {
                return Err(Reason::MalformedHeader);
            }
        } else if name == signature_name {
            if signatures.len() == SIGNATURES_MAX {
                return Err(Reason::MalformedHeader);
            }
            // One that does not decode is passed over, as the provider's own libraries do.
            signatures.extend(decode(encoding, content));
        }
    }
    match timestamp {
        Some(timestamp) if !signatures.is_empty() => Ok(Given { value, timestamp, signatures }),
        _ => Err(Reason::MalformedHeader),
    }
}

fn decode(encoding: SignatureEncoding, text: &str) -> Option<[u8; MAC_BYTES]> {
    match encoding {
        SignatureEncoding::LowerHex => {
            if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return None;
            }
            let mut bytes = [0; MAC_BYTES];
            hex::decode_to_slice(text, &mut bytes).ok()?;
            Some(bytes)
        }
    }
}

/// Reads whole seconds in their one canonical spelling; gives milliseconds.
pub(crate) fn timestamp_ms(text: &str) -> Result<i64, Reason> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    if !canonical || text.len() > TIMESTAMP_DIGITS_MAX {
        return Err(Reason::InvalidTimestamp);
    }
    let seconds: i64 = text.parse().map_err(|_| Reason::InvalidTimestamp)?;
    seconds.checked_mul(1000).ok_or(Reason::InvalidTimestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Header;

    #[test]
    fn timestamps_are_read_in_their_canonical_digits_only() {
        #[track_caller]
        fn check(text: &str, expect: Option<i64>) {
            assert_eq!(timestamp_ms(text).ok(), expect, "{text:?}");
        }
        check("0", Some(0));
        check("1767323045", Some(1_767_323_045_000));
        check("999999999999", Some(999_999_999_999_000));
        for text in ["", "01", "+1", "-1", " 1", "1 ", "1.0", "1e9", "0x1", "1000000000000", "١"] {
            check(text, None);
        }
    }

    #[test]
    fn a_stripe_header_is_read_item_by_item() {
        let a = "a".repeat(64);
        let b = "b".repeat(64);
        let check = |value: String, expect: Result<(&str, usize), Reason>| {
            let headers = [Header { name: "stripe-signature".into(), value: value.clone() }];
            let read = given(&Scheme::stripe(), headers.as_slice());
            assert_eq!(read.map(|it| (it.timestamp, it.signatures.len())), expect, "{value}");
        };
        let malformed = Err(Reason::MalformedHeader);
        check(format!("t=1,v1={a}"), Ok(("1", 1)));
        check(format!("v1={a},t=1,v1={b},v0={b},v2=x"), Ok(("1", 2)));
        check(format!("t=1,v1=short,v1={a}"), Ok(("1", 1)));
        check(format!("t=,v1={a}"), Ok(("", 1)));
        check(format!("v1={a}"), malformed);
        check("t=1".into(), malformed);
        check(format!("t=1,v0={a}"), malformed);
        check(format!("t=1, v1={a}"), malformed);
        check(format!("t=1,t=1,v1={a}"), malformed);
        check(format!("t=1,v1={a},"), malformed);
        check(format!("t=1,v1={a},x=y=z"), malformed);
        check(format!("t=1,v1={}", a.to_uppercase()), malformed);
        check(format!("t=1{}", format!(",v1={a}").repeat(SIGNATURES_MAX + 1)), malformed);
        check(String::new(), malformed);
    }
}
