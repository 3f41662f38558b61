//! A verdict with its reasons, for a person: what was signed, what was expected, what would help.
//!
//! Meant for somebody who holds the secret and looks at one request offline. A secret is never part
//! of it; expected signatures are, so it is not an answer for a sender.

mod body;
mod form;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::headers::{Headers, Occurrence};
use crate::key::Named;
use crate::parse::{self, Given, Piece};
use crate::reason::Reason;
use crate::scheme::{Scheme, SignatureEncoding};
use crate::verify::Verifier;

pub use form::{Found, NeededHeader};

/// Bytes of a signed part that are shown; the rest is told by its length.
const PREVIEW_BYTES_MAX: usize = 64;

/// Why a request is accepted or rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Name of the scheme.
    pub scheme: String,
    /// Why it is rejected; `None` when it is accepted.
    pub reason: Option<Reason>,
    /// The key that made a signature over these bytes, whether or not the time is right.
    pub key_id: Option<String>,
    /// The header's value as given, when it is there once and is text.
    pub given: Option<String>,
    /// The headers that the scheme looks at, and whether they are there.
    pub headers: Vec<NeededHeader>,
    /// The signed bytes part by part; empty when the header cannot be read.
    pub signed: Vec<SignedPart>,
    /// What each active key would have signed; empty when the header cannot be read, or the key is
    /// a public one.
    pub expected: Vec<Expected>,
    /// First and last time (milliseconds) at which the timestamp is fresh.
    pub fresh_between: Option<(i64, i64)>,
    /// What would have been accepted instead.
    pub hints: Vec<Hint>,
}

/// A part of the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedPart {
    /// `timestamp`, `literal`, `header`, `body`, `crc32`, `token`, `claims`, `request` or `item`.
    pub part: &'static str,
    /// Its length in bytes.
    pub length: usize,
    /// Its beginning, with everything but printable ASCII escaped.
    pub preview: String,
    /// SHA-256 of all of it, lower-case hex.
    pub sha256: String,
}

/// The signature one key would have made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The key's id.
    pub key_id: String,
    /// The signature as it is written in the header.
    pub signature: String,
}

/// A change to the request that would have made it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Hint {
    /// The signature is right, the time is not.
    #[error("the signature matches; only the time is outside the tolerance")]
    OtherTime,
    /// The key that signed is known, and not in use at this time.
    #[error("the signature matches a key that is outside its time of use")]
    KeyOutOfTime,
    /// The header was changed to upper case on its way.
    #[error("the same signature in lower case is well-formed")]
    LowerCaseHeader,
    /// An editor or `echo` added a line break that was not signed.
    #[error("the body without its final line break matches")]
    BodyWithoutFinalLineBreak,
    /// A tool cut the final line break that was signed.
    #[error("the body with a line break at its end matches")]
    BodyWithFinalLineBreak,
    /// A tool turned CR LF into LF.
    #[error("the body with CR LF line breaks matches")]
    BodyWithCrLf,
    /// A tool added a byte order mark, or cut the one that was signed.
    #[error("the body without the byte order mark, or with one, matches")]
    BodyByteOrderMark,
    /// The sender signed no body at all.
    #[error("an empty body matches: the sender signed before it had the body, or signs none")]
    BodyWasEmpty,
    /// Something on the way took UTF-8 for Latin-1.
    #[error("the body matches once it is not encoded as UTF-8 twice")]
    BodyTranscoded,
    /// Something on the way made text of what was none.
    #[error(
        "the body holds U+FFFD: it went through a lossy conversion to text, which cannot be undone"
    )]
    BodyReplacementCharacter,
    /// Something on the way wrote the time anew.
    #[error("the same moment written in another way matches: the time was written anew on its way")]
    TimeRewritten,
    /// Something on the way, such as a proxy, read the JSON and wrote it anew.
    #[error(
        "the same JSON with other white space or escapes matches: the body was written anew on its way"
    )]
    BodyReserialised,
}

/// Judges a request as [`Verifier::verify`] does and says why. `now` in milliseconds.
pub fn explain(
    verifier: &Verifier,
    headers: &(impl Headers + ?Sized),
    body: &[u8],
    now: i64,
) -> Explanation {
    let scheme = &verifier.scheme;
    let mut explanation = Explanation {
        scheme: scheme.name.clone(),
        reason: verifier.verify(headers, body, now).err(),
        key_id: None,
        given: None,
        headers: form::needed(scheme, headers),
        signed: Vec::new(),
        expected: Vec::new(),
        fresh_between: None,
        hints: Vec::new(),
    };
    if let Occurrence::Once(value) = headers.find(&scheme.header) {
        explanation.given = std::str::from_utf8(value).ok().map(str::to_owned);
    }
    match parse::given(scheme, headers, body) {
        Ok(given) => {
            explain_given(verifier, &given, &mut explanation);
            if matches!(explanation.reason, Some(Reason::UnknownKey | Reason::SignatureMismatch))
                && explanation.key_id.is_some()
            {
                explanation.hints.push(Hint::KeyOutOfTime);
            }
            let is_other = explanation.reason == Some(Reason::BodyHashMismatch);
            if explanation.key_id.is_none()
                && is_time_rewritten(verifier, headers, body, &given.timestamp)
            {
                explanation.hints.push(Hint::TimeRewritten);
            }
            if explanation.key_id.is_none() || is_other {
                explanation.hints.extend(body_hints(verifier, headers, body));
            }
        }
        Err(_) => explanation.hints.extend(lower_case_hint(scheme, headers, &explanation)),
    }
    explanation
}

fn explain_given(verifier: &Verifier, given: &Given<'_>, explanation: &mut Explanation) {
    let scheme = &verifier.scheme;
    explanation.key_id = verifier.matching_key(given, None).map(str::to_owned);
    for proof in &given.proofs {
        explanation.signed.extend(proof.pieces.iter().map(signed_part));
        let expected = |(id, named): &(String, Named)| {
            let signature = scheme.signature_encoding.encode(&named.key.sign(&proof.pieces)?);
            Some(Expected { key_id: id.clone(), signature })
        };
        explanation.expected.extend(verifier.keys.iter().filter_map(expected));
    }
    if let Some(freshness) = scheme.freshness
        && let Ok(at) = scheme.timestamp_form.read(&given.timestamp)
    {
        let first = at.saturating_sub(freshness.future_ms);
        explanation.fresh_between = Some((first, at.saturating_add(freshness.past_ms)));
    }
    if explanation.reason == Some(Reason::ClockSkew) && explanation.key_id.is_some() {
        explanation.hints.push(Hint::OtherTime);
    }
}

/// Whether the time's header in another spelling of the same moment would match.
fn is_time_rewritten(
    verifier: &Verifier,
    headers: &(impl Headers + ?Sized),
    body: &[u8],
    given: &str,
) -> bool {
    let Some(name) = &verifier.scheme.timestamp_header else { return false };
    spellings(given).into_iter().filter(|text| text != given).any(|value| {
        let changed = Changed { headers, name, value };
        let read = parse::given(&verifier.scheme, &changed, body);
        read.is_ok_and(|given| verifier.matching_key(&given, None).is_some())
    })
}

/// A moment as programs write it.
fn spellings(text: &str) -> Vec<String> {
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let number: i64 = text.parse().ok()?;
        let millis = if text.len() > 11 { number } else { number.checked_mul(1000)? };
        jiff::Timestamp::from_millisecond(millis).ok()
    });
    let Some(moment) = moment else { return Vec::new() };
    let bare = moment.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let millis = moment.as_millisecond();
    let rest = ["Z", ".0Z", ".000Z", ".000000Z", "+00:00", ".000+00:00", ".000000+00:00"];
    let mut all: Vec<_> = rest.iter().map(|rest| format!("{bare}{rest}")).collect();
    all.push(format!("{bare}.{:03}Z", millis.rem_euclid(1000)));
    all.push(format!("{bare}.{:06}Z", moment.as_microsecond().rem_euclid(1_000_000)));
    all.extend([millis.to_string(), moment.as_second().to_string()]);
    all
}

fn body_hints(verifier: &Verifier, headers: &(impl Headers + ?Sized), body: &[u8]) -> Vec<Hint> {
    let matches = |body: &[u8]| {
        let given = parse::given(&verifier.scheme, headers, body);
        given.is_ok_and(|given| {
            verifier.matching_key(&given, None).is_some() && verifier.is_of_body(&given, body)
        })
    };
    body::hints(body, &matches)
}

/// The request's headers with another value of one of them.
struct Changed<'a, H: ?Sized> {
    headers: &'a H,
    name: &'a str,
    value: String,
}

impl<H: Headers + ?Sized> Headers for Changed<'_, H> {
    fn find(&self, name: &str) -> Occurrence<'_> {
        if name == self.name {
            return Occurrence::Once(self.value.as_bytes());
        }
        self.headers.find(name)
    }
}

fn lower_case_hint(
    scheme: &Scheme,
    headers: &(impl Headers + ?Sized),
    explanation: &Explanation,
) -> Option<Hint> {
    if !matches!(scheme.signature_encoding, SignatureEncoding::LowerHex) {
        return None;
    }
    let value = explanation.given.as_ref()?.to_lowercase();
    let changed = Changed { headers, name: &scheme.header, value };
    parse::given(scheme, &changed, b"").ok().map(|_| Hint::LowerCaseHeader)
}

fn signed_part(piece: &Piece<'_>) -> SignedPart {
    let bytes = piece.bytes.as_ref();
    let (shown, rest) = bytes.split_at(bytes.len().min(PREVIEW_BYTES_MAX));
    let mut preview = shown.escape_ascii().to_string();
    if !rest.is_empty() {
        preview.push('…');
    }
    let sha256 = hex::encode(Sha256::digest(bytes));
    SignedPart { part: piece.part, length: bytes.len(), preview, sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Header;
    use crate::secret::Secret;
    use crate::sign::sign;

    const AT: i64 = 1_767_323_045_000;

    fn verifier(scheme: Scheme) -> Verifier {
        let secret = |text: &str| Secret::new(text).unwrap();
        let keys = vec![("old".into(), secret("old key")), ("new".into(), secret("new key"))];
        Verifier::new(scheme, keys).unwrap()
    }

    fn signed(scheme: &Scheme, body: &[u8]) -> Vec<Header> {
        sign(scheme, &Secret::new("new key").unwrap(), body, AT)
    }

    #[test]
    fn an_accepted_request_names_its_key_and_what_was_signed() {
        let scheme = Scheme::stripe();
        let told = explain(
            &verifier(scheme.clone()),
            &signed(&scheme, b"{\"a\":\"\xc3\xa9\"}"),
            b"{\"a\":\"\xc3\xa9\"}",
            AT,
        );
        assert_eq!((told.reason, told.key_id.as_deref()), (None, Some("new")));
        let parts: Vec<_> =
            told.signed.iter().map(|it| (it.part, it.length, it.preview.as_str())).collect();
        assert_eq!(
            parts,
            [
                ("timestamp", 10, "1767323045"),
                ("literal", 1, "."),
                ("body", 10, r#"{\"a\":\"\xc3\xa9\"}"#)
            ]
        );
        assert_eq!(told.fresh_between, Some((AT - 300_000, AT + 300_000)));
        assert!(told.given.unwrap().ends_with(&told.expected[1].signature));
        assert_eq!(told.hints, []);
    }

    #[test]
    fn a_hint_names_the_change_that_would_help() {
        #[track_caller]
        fn check(scheme: &Scheme, signed_body: &[u8], body: &[u8], now: i64, expect: &[Hint]) {
            let told = explain(&verifier(scheme.clone()), &signed(scheme, signed_body), body, now);
            assert!(told.reason.is_some());
            assert_eq!(told.hints, expect);
        }
        let (up, stripe) = (Scheme::up(), Scheme::stripe());
        check(&stripe, b"{}", b"{}", AT + 300_001, &[Hint::OtherTime]);
        check(&up, b"{}", b"{}\n", AT, &[Hint::BodyWithoutFinalLineBreak]);
        check(&up, b"{}\n", b"{}", AT, &[Hint::BodyWithFinalLineBreak]);
        check(&up, b"{\r\n}", b"{\n}", AT, &[Hint::BodyWithCrLf]);
        check(&up, b"{}", b"[]", AT, &[]);
        let (compact, spaced) = (b"{\"a\":[1,2]}", b"{\"a\": [1, 2]}");
        check(&up, compact, spaced, AT, &[Hint::BodyReserialised]);
        check(&up, spaced, compact, AT, &[Hint::BodyReserialised]);
        check(&up, b"{\n  \"a\": 1\n}", b"{\"a\":1}", AT, &[Hint::BodyReserialised]);
    }

    #[test]
    fn a_header_in_upper_case_is_malformed_and_said_to_be_so() {
        let mut headers = signed(&Scheme::up(), b"{}");
        headers[0].value = headers[0].value.to_uppercase();
        let told = explain(&verifier(Scheme::up()), &headers, b"{}", AT);
        assert_eq!(told.reason, Some(Reason::MalformedHeader));
        assert_eq!(told.hints, [Hint::LowerCaseHeader]);
    }

    #[test]
    fn a_time_that_was_written_anew_is_said_to_be_so() {
        let scheme = Scheme::demoz();
        let nonce = [Header { name: "x-demoz-nonce".into(), value: "n1".into() }];
        let signer = crate::Signer::new(scheme.clone(), &Secret::new("new key").unwrap()).unwrap();
        let mut headers = signer.sign(&nonce, b"{}", AT).unwrap();
        let verifier = verifier(scheme);
        for text in ["2026-01-02T03:04:05.000Z", "2026-01-02T14:04:05+11:00"] {
            let time = headers.iter_mut().find(|it| it.name == "x-demoz-timestamp").unwrap();
            time.value = text.into();
            let told = explain(&verifier, &headers, b"{}", AT);
            assert_eq!(told.reason, Some(Reason::SignatureMismatch), "{text}");
            assert_eq!(told.hints, [Hint::TimeRewritten], "{text}");
        }
    }

    #[test]
    fn no_secret_is_part_of_an_explanation() {
        let told = explain(&verifier(Scheme::up()), &signed(&Scheme::up(), b"{}"), b"[]", AT);
        let json = serde_json::to_string(&told).unwrap();
        assert!(!json.contains("old key") && !json.contains("new key"), "{json}");
    }
}
