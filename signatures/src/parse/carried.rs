//! The signatures, and a timestamp, in the one value of a signature header.

use super::Candidate;
use crate::reason::Reason;
use crate::scheme::{Algorithm, Carrier, Layout, Scheme, SignatureEncoding};

/// Signatures looked at in one header. While a secret is rolled there are two; more than this is
/// not a provider's doing.
const SIGNATURES_MAX: usize = 16;

/// The timestamp, where it stands there, and the signatures of the signature header.
pub(super) fn read<'a>(
    scheme: &Scheme,
    value: &'a str,
) -> Result<(&'a str, Vec<Candidate>), Reason> {
    match &scheme.carrier {
        Carrier::Plain => Ok(("", vec![one(scheme, value)?])),
        Carrier::Prefixed(prefix) => {
            let signature = value.strip_prefix(prefix.as_str()).ok_or(Reason::MalformedHeader)?;
            Ok(("", vec![one(scheme, signature)?]))
        }
        Carrier::Layout(layout) => laid_out(scheme, value, layout),
        Carrier::Pairs { timestamp, signatures } => {
            pairs(scheme, value, timestamp.as_deref(), signatures)
        }
        Carrier::Versions(versions) => Ok(("", list(scheme, value, versions)?)),
        // read on their own
        Carrier::Jwt | Carrier::DetachedJws { .. } | Carrier::Items => Err(Reason::MalformedHeader),
    }
}

pub(super) fn one(scheme: &Scheme, text: &str) -> Result<Candidate, Reason> {
    candidate(scheme, scheme.algorithm, text).ok_or(Reason::MalformedHeader)
}

/// A signature of the right spelling and length.
fn candidate(scheme: &Scheme, algorithm: Algorithm, text: &str) -> Option<Candidate> {
    let signature = scheme.signature_encoding.decode(text)?;
    algorithm.fits(signature.len()).then_some(Candidate { algorithm, signature })
}

/// Fixed texts, which must all be there. What stands for a timestamp is judged as one later.
fn laid_out<'a>(
    scheme: &Scheme,
    value: &'a str,
    layout: &Layout,
) -> Result<(&'a str, Vec<Candidate>), Reason> {
    let rest = value.strip_prefix(layout.prefix.as_str()).ok_or(Reason::MalformedHeader)?;
    let (timestamp, rest) = match &layout.time_end {
        None => ("", rest),
        Some(end) => rest
            .split_once(end.as_str())
            .filter(|(time, _)| !time.is_empty() && time.bytes().all(|it| it.is_ascii_graphic()))
            .ok_or(Reason::MalformedHeader)?,
    };
    let Some(between) = layout.between else { return Ok((timestamp, vec![one(scheme, rest)?])) };
    let mut signatures = Vec::with_capacity(2);
    for text in rest.split(between) {
        push(&mut signatures, Some(one(scheme, text)?))?;
    }
    Ok((timestamp, signatures))
}

fn pairs<'a>(
    scheme: &Scheme,
    value: &'a str,
    timestamp_name: Option<&str>,
    signature_names: &[String],
) -> Result<(&'a str, Vec<Candidate>), Reason> {
    let mut timestamp = None;
    let mut signatures = Vec::with_capacity(2);
    for item in value.split(',') {
        let (name, content) = item.split_once('=').ok_or(Reason::MalformedHeader)?;
        let is_signature = signature_names.iter().any(|known| known == name);
        // padding is a signature's own; any other `=` is of no pair
        let is_padded =
            is_signature && matches!(scheme.signature_encoding, SignatureEncoding::Base64);
        let unpadded = if is_padded { content.trim_end_matches('=') } else { content };
        if unpadded.contains('=') {
            return Err(Reason::MalformedHeader);
        }
        if Some(name) == timestamp_name {
            if timestamp.replace(content).is_some() {
                return Err(Reason::MalformedHeader);
            }
        } else if is_signature {
            // One that does not decode is passed over, as the provider's own libraries do.
            push(&mut signatures, candidate(scheme, scheme.algorithm, content))?;
        }
    }
    if signatures.is_empty() || timestamp.is_some() != timestamp_name.is_some() {
        return Err(Reason::MalformedHeader);
    }
    Ok((timestamp.unwrap_or_default(), signatures))
}

fn list(
    scheme: &Scheme,
    value: &str,
    versions: &[(String, Algorithm)],
) -> Result<Vec<Candidate>, Reason> {
    let mut signatures = Vec::with_capacity(2);
    for item in value.split(' ') {
        let (version, content) = item.split_once(',').ok_or(Reason::MalformedHeader)?;
        if let Some((_, algorithm)) = versions.iter().find(|(name, _)| name == version) {
            push(&mut signatures, candidate(scheme, *algorithm, content))?;
        }
    }
    if signatures.is_empty() { Err(Reason::MalformedHeader) } else { Ok(signatures) }
}

fn push(signatures: &mut Vec<Candidate>, signature: Option<Candidate>) -> Result<(), Reason> {
    if signatures.len() == SIGNATURES_MAX {
        return Err(Reason::MalformedHeader);
    }
    signatures.extend(signature);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Header;
    use crate::parse::given;

    #[test]
    fn a_stripe_header_is_read_item_by_item() {
        let a = "a".repeat(64);
        let b = "b".repeat(64);
        let check = |value: String, expect: Result<(&str, usize), Reason>| {
            let headers = [Header { name: "stripe-signature".into(), value: value.clone() }];
            let scheme = Scheme::stripe();
            let read = given(&scheme, headers.as_slice(), b"");
            let read = read.map(|it| (it.timestamp.into_owned(), it.proofs[0].candidates.len()));
            assert_eq!(read, expect.map(|(t, n)| (t.to_owned(), n)), "{value}");
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

    #[test]
    fn a_list_of_versions_is_read_item_by_item() {
        let a = format!("{}=", "A".repeat(43));
        let check = |value: String, expect: Result<usize, Reason>| {
            let headers: Vec<_> = [("webhook-id", "m1"), ("webhook-timestamp", "1")]
                .into_iter()
                .chain([("webhook-signature", value.as_str())])
                .map(|(name, value)| Header { name: name.into(), value: value.into() })
                .collect();
            let scheme = Scheme::standard_webhooks();
            let read = given(&scheme, &headers, b"").map(|it| it.proofs[0].candidates.len());
            assert_eq!(read, expect, "{value}");
        };
        let malformed = Err(Reason::MalformedHeader);
        check(format!("v1,{a}"), Ok(1));
        check(format!("v0,{a} v1,{a} v2,x v1,short v1,{a}"), Ok(2));
        check(format!("v0,{a}"), malformed);
        check(format!("v1,{a} "), malformed);
        check(format!("v1,{a},v1,{a}"), malformed);
        check(format!("V1,{a}"), malformed);
        check(a.clone(), malformed);
        check(vec![format!("v1,{a}"); SIGNATURES_MAX + 1].join(" "), malformed);
        check(String::new(), malformed);
    }
}
