//! A verdict with its reasons, for a person: what was signed, what was expected, what would help.
//!
//! Meant for somebody who holds the secret and looks at one request offline. A secret is never part
//! of it; expected signatures are, so it is not an answer for a sender.

mod body;
mod form;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::headers::{Headers, Occurrence};
use crate::key::Named;
use crate::parse::{self, Given, Piece};
use crate::reason::Reason;
use crate::scheme::{Carrier, Scheme, SignatureEncoding};
use crate::verify::{Verifier, check_span};

pub use form::{Found, NeededHeader};

/// Bytes of the body that are shown, and of any other signed part; the rest is told by its length.
const BODY_PREVIEW_BYTES_MAX: usize = 64;
const PREVIEW_BYTES_MAX: usize = 256;

/// Why a request is accepted or rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Name of the scheme.
    pub scheme: String,
    /// Why it is rejected; `None` when it is accepted.
    pub reason: Option<Reason>,
    /// The key that made a signature over these bytes, whether or not the time is right.
    pub key_id: Option<String>,
    /// The key that the request names, where it names one: it proves nothing.
    pub named_key: Option<String>,
    /// Ids of the active keys.
    pub known_keys: Vec<String>,
    /// The header's value as given, when it is there once and is text; of signatures that stand in the
    /// body, all of them.
    pub given: Option<String>,
    /// The headers that the scheme looks at, and whether they are there.
    pub headers: Vec<NeededHeader>,
    /// The signed bytes part by part; empty when the header cannot be read.
    pub signed: Vec<SignedPart>,
    /// What each active key would have signed; empty when the header cannot be read, or the key is
    /// a public one.
    pub expected: Vec<Expected>,
    /// Length of the body in bytes.
    pub body_bytes: usize,
    /// SHA-256 of the body, lower-case hex: what a token must have signed.
    pub body_sha256: String,
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
    /// Its beginning, with everything but printable ASCII escaped; of what a token has in base64, what
    /// that says.
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
    /// The signature and its time are right; the token says itself that it is over, or not begun.
    #[error("the signature matches; the token's own `exp` or `nbf` excludes this time")]
    TokenSpan,
    /// The signature and its time are right, the time in the body is not.
    #[error("the signature matches; only the time inside the body is outside the tolerance")]
    BodyTime,
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
        named_key: verifier.claimed_key(headers, body).flatten(),
        known_keys: verifier.key_ids().map(str::to_owned).collect(),
        given: None,
        headers: form::needed(scheme, headers),
        signed: Vec::new(),
        expected: Vec::new(),
        body_bytes: body.len(),
        body_sha256: hex::encode(Sha256::digest(body)),
        fresh_between: None,
        hints: Vec::new(),
    };
    if let Occurrence::Once(value) = headers.find(&scheme.header) {
        explanation.given = std::str::from_utf8(value).ok().map(str::to_owned);
    }
    match parse::given(scheme, headers, body) {
        Ok(given) => {
            explain_given(verifier, &given, now, &mut explanation);
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

fn explain_given(verifier: &Verifier, given: &Given<'_>, now: i64, explanation: &mut Explanation) {
    let scheme = &verifier.scheme;
    explanation.key_id = verifier.matching_key(given, None).map(str::to_owned);
    if scheme.carrier == Carrier::Items {
        let candidates = given.proofs.iter().flat_map(|proof| &proof.candidates);
        let texts = candidates.map(|it| scheme.signature_encoding.encode(&it.signature));
        explanation.given = Some(texts.collect::<Vec<_>>().join(", "));
    }
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
        let span = explanation.fresh_between;
        explanation.hints.push(match &given.token {
            _ if span.is_some_and(|(first, last)| !(first..=last).contains(&now)) => {
                Hint::OtherTime
            }
            Some(token) if check_span(token, now).is_err() => Hint::TokenSpan,
            _ => Hint::BodyTime,
        });
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
    let said = match piece.part {
        "token" | "claims" | "request" => URL_SAFE_NO_PAD.decode(bytes).ok(),
        _ => None,
    };
    let said = said.as_deref().unwrap_or(bytes);
    let most = if piece.part == "body" { BODY_PREVIEW_BYTES_MAX } else { PREVIEW_BYTES_MAX };
    let (shown, rest) = said.split_at(said.len().min(most));
    let mut preview = shown.escape_ascii().to_string();
    if !rest.is_empty() {
        preview.push('…');
    }
    let sha256 = hex::encode(Sha256::digest(bytes));
    SignedPart { part: piece.part, length: bytes.len(), preview, sha256 }
}

#[cfg(test)]
mod tests;
