//! What is kept of one rejected request.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use signatures::source::{Place, SourceConfig};
use signatures::{Expectation, Part, Reason};
use warp::http::{HeaderMap, HeaderValue};

use super::Content;

/// Headers kept of a request: more than any provider sends.
const HEADERS_MAX: usize = 64;

/// Bytes kept of a header's value; signatures and tokens are some hundred.
const VALUE_BYTES_MAX: usize = 4096;

/// Hexadecimal digits that tell one redacted value from another.
const HASH_DIGITS: usize = 16;

/// Headers whose values say nothing secret, and often why a signature does not match: a proxy's
/// name, a compressed or re-encoded body.
const HARMLESS: [&str; 14] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "forwarded",
    "host",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
];

/// A rejected request, as far as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Who sent it, or the proxy that passed it on.
    pub(crate) peer: IpAddr,
    /// Its headers.
    pub(crate) headers: &'a HeaderMap,
    /// Its body, where it was read.
    pub(crate) body: Option<&'a [u8]>,
}

/// A line of the file; `bankstream webhook captured` reads it.
#[derive(Serialize)]
struct Line<'a> {
    received_at: i64,
    source: &'a str,
    scheme: &'a str,
    path: &'a str,
    reason: Reason,
    peer: IpAddr,
    headers: Vec<Header<'a>>,
    /// Headers that are not here, because there were too many.
    #[serde(skip_serializing_if = "is_zero")]
    headers_left_out: usize,
    body_bytes: Option<usize>,
    body_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Whether `body_base64` is only the body's begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_cut: Option<bool>,
}

#[derive(Serialize)]
struct Header<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    /// Where the value is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// Where the value is not shown: its length, and what tells it from another.
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted: Option<Redacted>,
}

#[derive(Serialize)]
struct Redacted {
    bytes: usize,
    sha256_begins: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The line, with its line feed, for a request that `source` rejected at the time `now`; `kept` is
/// what is shown of it, and how many bytes of its body.
pub(super) fn line(
    source: &SourceConfig,
    request: &Request<'_>,
    reason: Reason,
    now: i64,
    kept: (Content, usize),
) -> Result<Vec<u8>, serde_json::Error> {
    let (content, body_limit) = kept;
    let shown = |name: &str| {
        HARMLESS.contains(&name) || (content == Content::Whole && is_of_scheme(source, name))
    };
    let headers = request.headers.iter().take(HEADERS_MAX);
    let headers = headers.map(|(name, value)| header(name.as_str(), value, shown(name.as_str())));
    let body = request.body.filter(|_| content == Content::Whole);
    let begin = body.map(|body| body.get(..body_limit).unwrap_or(body));
    let line = Line {
        received_at: now,
        source: &source.name,
        scheme: &source.scheme.name,
        path: &source.path,
        reason,
        peer: request.peer,
        headers: headers.collect(),
        headers_left_out: request.headers.len().saturating_sub(HEADERS_MAX),
        body_bytes: request.body.map(<[u8]>::len),
        body_sha256: request.body.map(|body| hex::encode(Sha256::digest(body))),
        body_base64: begin.map(|begin| STANDARD.encode(begin)),
        body_cut: body.map(|body| body.len() > body_limit),
    };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    Ok(text)
}

fn header<'a>(name: &'a str, value: &'a HeaderValue, shown: bool) -> Header<'a> {
    let bytes = value.as_bytes();
    let mut header = Header { name, value: None, value_base64: None, redacted: None };
    if !shown || bytes.len() > VALUE_BYTES_MAX {
        let mut sha256_begins = hex::encode(Sha256::digest(bytes));
        sha256_begins.truncate(HASH_DIGITS);
        header.redacted = Some(Redacted { bytes: bytes.len(), sha256_begins });
    } else if let Ok(text) = value.to_str() {
        header.value = Some(text);
    } else {
        header.value_base64 = Some(STANDARD.encode(bytes));
    }
    header
}

/// Whether the source's verdict, or its reading of an event, depends on this header.
fn is_of_scheme(source: &SourceConfig, name: &str) -> bool {
    let scheme = &source.scheme;
    let signed = scheme.signed.iter().any(|part| match part {
        Part::Header(signed) => signed == name,
        // such as `Tl-Signature` lists: the sender's choice, in the scheme's own name space
        Part::SignedHeaders => name.starts_with("x-tl-"),
        _ => false,
    });
    let expected = scheme.expects.iter().any(|expectation| match expectation {
        Expectation::Algorithm { header, .. } | Expectation::KeyUrl { header, .. } => {
            header == name
        }
    });
    let event = [&source.event.id, &source.event.kind, &source.event.subject].iter().any(|place| {
        matches!(place, Place::Header(header) | Place::HeaderSha256(header) if header == name)
    });
    let own = scheme.header == name || scheme.timestamp_header.as_deref() == Some(name);
    own || signed || expected || event
}
