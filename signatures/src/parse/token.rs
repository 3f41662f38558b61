//! Signed tokens (RFC 7515): a JWT with the body's hash, and a detached JWS over the request.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Candidate, Given, Piece, Proof, text};
use crate::headers::Headers;
use crate::reason::Reason;
use crate::scheme::{Algorithm, Part, Scheme};

/// Bytes of a token; real ones have some 400.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Headers that one signature may cover.
const SIGNED_HEADERS_MAX: usize = 16;

/// What a token says beside its signature.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Token {
    /// The key it names.
    pub(crate) kid: Option<String>,
    /// SHA-256 of the body it was made for; `None` where the body itself is signed.
    pub(crate) body_sha256: Option<String>,
    /// Seconds from which on it is not valid any more.
    pub(crate) exp: Option<i64>,
    /// Seconds before which it is not valid yet.
    pub(crate) nbf: Option<i64>,
}

/// Fields given twice are refused by the reader: two programs could read two values.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "text_there")]
    jku: Option<String>,
    tl_version: Option<String>,
    tl_headers: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iat: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    request_body_sha256: Option<String>,
}

/// That a field is there, whatever it holds: `null` is there too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A field that is a text when it is there: `null` is there and none.
fn text_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Whole seconds, as a number.
fn seconds(time: &Value) -> Result<i64, Reason> {
    time.as_i64().ok_or(Reason::InvalidTimestamp)
}

/// The three parts of a token, its header read and its algorithm the scheme's own.
fn split<'a>(
    scheme: &Scheme,
    value: &'a str,
) -> Result<(&'a str, &'a str, &'a str, Header), Reason> {
    let mut parts = value.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reason::MalformedHeader);
    };
    if value.len() > TOKEN_BYTES_MAX {
        return Err(Reason::MalformedHeader);
    }
    let read: Header = json(header)?;
    if Some(read.alg.as_str()) != scheme.algorithm.jose() {
        return Err(Reason::AlgorithmNotAllowed);
    }
    // we understand no extension, and whoever marks one as critical wants us to refuse then
    if read.crit {
        return Err(Reason::MalformedHeader);
    }
    Ok((header, payload, signature, read))
}

/// What a token's signature is over: all in front of the last dot.
pub(crate) fn token_signed(value: &[u8]) -> Option<&[u8]> {
    value.get(..value.iter().rposition(|byte| *byte == b'.')?)
}

fn json<T: for<'de> Deserialize<'de>>(encoded: &str) -> Result<T, Reason> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Reason::MalformedHeader)?;
    // the reader passes over what it does not need, whatever its bytes
    let text = std::str::from_utf8(&bytes).map_err(|_| Reason::MalformedHeader)?;
    serde_json::from_str(text).map_err(|_| Reason::MalformedHeader)
}

fn candidate(algorithm: Algorithm, encoded: &str) -> Result<Candidate, Reason> {
    let signature = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Reason::MalformedHeader)?;
    if !algorithm.fits(signature.len()) {
        return Err(Reason::MalformedHeader);
    }
    Ok(Candidate { algorithm, signature })
}

/// A JWT whose claims hold the time and the body's hash.
pub(super) fn jwt<'a>(scheme: &'a Scheme, value: &'a str) -> Result<Given<'a>, Reason> {
    let (header, payload, signature, read) = split(scheme, value)?;
    let candidates = vec![candidate(scheme.algorithm, signature)?];
    let claims: Claims = json(payload)?;
    let iat = seconds(&claims.iat.ok_or(Reason::InvalidTimestamp)?)?;
    let token = Token {
        kid: read.kid,
        body_sha256: Some(claims.request_body_sha256.ok_or(Reason::MalformedHeader)?),
        exp: claims.exp.as_ref().map(seconds).transpose()?,
        nbf: claims.nbf.as_ref().map(seconds).transpose()?,
    };
    let piece = |part, text: &'a str| Piece { part, bytes: Cow::Borrowed(text.as_bytes()) };
    let pieces = vec![piece("token", header), piece("literal", "."), piece("claims", payload)];
    Ok(Given {
        timestamp: Cow::Owned(iat.to_string()),
        headers: vec![(Cow::Borrowed(scheme.header.as_str()), value)],
        proofs: vec![Proof { pieces, candidates }],
        token: Some(token),
    })
}

/// A JWS without its payload, which is made of the request: the scheme's parts.
pub(super) fn detached<'a>(
    scheme: &'a Scheme,
    key_urls: &[String],
    value: &'a str,
    headers: &'a (impl Headers + ?Sized),
    body: &'a [u8],
) -> Result<Given<'a>, Reason> {
    let (header, payload, signature, read) = split(scheme, value)?;
    if !payload.is_empty() || read.tl_version.as_deref() != Some("2") {
        return Err(Reason::MalformedHeader);
    }
    // keys come from configuration; a token that wants others is not for us
    if read.jku.as_ref().is_some_and(|jku| !key_urls.contains(jku)) {
        return Err(Reason::UnknownKey);
    }
    let candidates = vec![candidate(scheme.algorithm, signature)?];
    let mut taken = vec![(Cow::Borrowed(scheme.header.as_str()), value)];
    let mut lines = Vec::new();
    let names = read.tl_headers.unwrap_or_default();
    let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    if names.len() > SIGNED_HEADERS_MAX {
        return Err(Reason::MalformedHeader);
    }
    for name in names {
        let lower = name.to_ascii_lowercase();
        let value = text(headers, &lower)?;
        lines.extend([name.as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        if taken.iter().any(|(taken, _)| *taken == lower) {
            return Err(Reason::MalformedHeader);
        }
        taken.push((Cow::Owned(lower), value));
    }
    // the time counts only when it is one of the signed headers
    let timestamp = match &scheme.timestamp_header {
        None => "",
        Some(name) => {
            text(headers, name)?;
            let signed = taken.iter().find(|(taken, _)| taken == name);
            signed.ok_or(Reason::MalformedHeader)?.1
        }
    };
    let mut signed = Vec::with_capacity(body.len() + 256);
    for part in &scheme.signed {
        match part {
            Part::SignedHeaders => signed.extend(&lines),
            part => signed.extend(super::piece(part, timestamp, body).bytes.as_ref()),
        }
    }
    let pieces = vec![
        Piece { part: "token", bytes: Cow::Borrowed(header.as_bytes()) },
        Piece { part: "literal", bytes: Cow::Borrowed(b".") },
        Piece { part: "request", bytes: Cow::Owned(URL_SAFE_NO_PAD.encode(signed).into()) },
    ];
    Ok(Given {
        timestamp: Cow::Borrowed(timestamp),
        headers: taken,
        proofs: vec![Proof { pieces, candidates }],
        token: Some(Token { kid: read.kid, ..Token::default() }),
    })
}
