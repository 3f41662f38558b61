//! What is kept of one rejected request; `bankstream webhook captured` reads it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::{Redacted, RejectedHeader, WebhookRejected};
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
    /// Who sent it, as far as a proxy that is trusted says so.
    pub(crate) client: Option<IpAddr>,
    /// Its headers.
    pub(crate) headers: &'a HeaderMap,
    /// Its body, where it was read.
    pub(crate) body: Option<&'a [u8]>,
}

/// What is kept of a request that `source` rejected at the time `now`: what `content` shows, and so
/// many bytes of its body.
pub(super) fn of(
    source: &SourceConfig,
    request: &Request<'_>,
    reason: Reason,
    now: i64,
    (content, body_limit): (Content, usize),
) -> WebhookRejected {
    let shown = |name: &str| {
        HARMLESS.contains(&name) || (content == Content::Whole && is_of_scheme(source, name))
    };
    let headers = request.headers.iter().take(HEADERS_MAX);
    let headers = headers.map(|(name, value)| header(name.as_str(), value, shown(name.as_str())));
    let left_out = request.headers.len().saturating_sub(HEADERS_MAX);
    let body = request.body.filter(|_| content == Content::Whole);
    let begin = body.map(|body| body.get(..body_limit).unwrap_or(body));
    WebhookRejected {
        received_at: now,
        source: source.name.clone(),
        scheme: source.scheme.name.clone(),
        path: source.path.clone(),
        reason: reason.as_str().to_owned(),
        peer: request.peer.to_string(),
        headers: headers.collect(),
        headers_left_out: i32::try_from(left_out).unwrap_or(i32::MAX),
        body_bytes: request.body.map(length),
        body_sha256: request.body.map(|body| hex::encode(Sha256::digest(body))),
        body_base64: begin.map(|begin| STANDARD.encode(begin)),
        body_cut: body.map(|body| body.len() > body_limit),
        client: request.client.map(|client| client.to_string()),
    }
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

fn header(name: &str, value: &HeaderValue, shown: bool) -> RejectedHeader {
    let bytes = value.as_bytes();
    let name = name.to_owned();
    let mut header = RejectedHeader { name, value: None, value_base64: None, redacted: None };
    if !shown || bytes.len() > VALUE_BYTES_MAX {
        let mut sha256_begins = hex::encode(Sha256::digest(bytes));
        sha256_begins.truncate(HASH_DIGITS);
        header.redacted = Some(Redacted { bytes: length(bytes), sha256_begins });
    } else if let Ok(text) = value.to_str() {
        header.value = Some(text.to_owned());
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
