//! Takes what a request claims out of its headers.

mod carried;
mod item;
mod token;

use std::borrow::Cow;

use crate::headers::{Headers, Occurrence};
use crate::reason::Reason;
use crate::scheme::{Algorithm, Carrier, Expectation, Part, Scheme};

pub(crate) use item::{item_text, items_sha256};
pub(crate) use token::{Token, token_signed};

/// Bytes of another signed header, such as an id or a nonce.
const FIELD_BYTES_MAX: usize = 256;

/// What the request claims.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Given<'a> {
    /// The timestamp's text as received; empty where the scheme has none.
    pub(crate) timestamp: Cow<'a, str>,
    /// The headers that take part, the signature's first.
    pub(crate) headers: Vec<(Cow<'a, str>, &'a str)>,
    /// What must hold, all of it; at least one.
    pub(crate) proofs: Vec<Proof<'a>>,
    /// What a token says, where there is one.
    pub(crate) token: Option<Token>,
}

/// Bytes and the signatures over them; one of them must be right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proof<'a> {
    /// The signed bytes.
    pub(crate) pieces: Vec<Piece<'a>>,
    /// The well-formed signatures; at least one.
    pub(crate) candidates: Vec<Candidate>,
}

/// A part of the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// What it is, in a word.
    pub(crate) part: &'static str,
    /// The bytes.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// A signature as decoded, and the algorithm that it has by its place in the header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) algorithm: Algorithm,
    pub(crate) signature: Vec<u8>,
}

/// Reads the scheme's headers.
pub(crate) fn given<'a>(
    scheme: &'a Scheme,
    headers: &'a (impl Headers + ?Sized),
    body: &'a [u8],
) -> Result<Given<'a>, Reason> {
    if scheme.carrier == Carrier::Items {
        return item::given(scheme, body);
    }
    let value = text(headers, &scheme.header)?;
    match &scheme.carrier {
        Carrier::Jwt => return token::jwt(scheme, value),
        Carrier::DetachedJws { key_urls } => {
            return token::detached(scheme, key_urls, value, headers, body);
        }
        _ => {}
    }
    let mut taken = vec![(Cow::Borrowed(scheme.header.as_str()), value)];
    for expectation in &scheme.expects {
        taken.extend(expected(expectation, headers)?);
    }
    let (mut timestamp, candidates) = carried::read(scheme, value)?;
    check_object(scheme, body)?;
    if let Some(name) = &scheme.timestamp_header {
        timestamp = text(headers, name)?;
        taken.push((Cow::Borrowed(name), timestamp));
    }
    let mut pieces = Vec::with_capacity(scheme.signed.len());
    for (index, part) in scheme.signed.iter().enumerate() {
        if let Part::Header(name) = part {
            let after = scheme.signed.get(index + 1..).unwrap_or_default();
            let value = field(text(headers, name)?, after)?;
            taken.push((Cow::Borrowed(name), value));
            pieces.push(Piece { part: "header", bytes: Cow::Borrowed(value.as_bytes()) });
        } else {
            pieces.push(piece(part, timestamp, body));
        }
    }
    Ok(Given {
        timestamp: Cow::Borrowed(timestamp),
        headers: taken,
        proofs: vec![Proof { pieces, candidates }],
        token: None,
    })
}

/// What a part stands for where no header is needed.
pub(crate) fn piece<'a>(part: &'a Part, timestamp: &'a str, body: &'a [u8]) -> Piece<'a> {
    let (part, bytes) = match part {
        Part::Timestamp => ("timestamp", timestamp.as_bytes()),
        Part::Literal(text) => ("literal", text.as_bytes()),
        Part::Body | Part::Object => ("body", body),
        Part::BodyCrc32 => {
            let digits = crc32(body).to_string().into_bytes();
            return Piece { part: "crc32", bytes: Cow::Owned(digits) };
        }
        Part::SignedHeaders => ("headers", &b""[..]),
        // a verifier is not made with these, and a header is read by the caller
        Part::Header(name) | Part::Param(name) => ("unknown", name.as_bytes()),
    };
    Piece { part, bytes: Cow::Borrowed(bytes) }
}

/// CRC-32 as in PNG and zip (reflected, polynomial 0x04C11DB7). A byte at a time, by a table: a long
/// body must not cost more than its signature.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32_table();
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE[usize::from(low ^ byte)]
    })
}

const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index: u32 = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index as usize] = crc;
        index += 1;
    }
    table
}

/// Holds a request to what its scheme expects; gives the header when it is there.
fn expected<'a>(
    expectation: &'a Expectation,
    headers: &'a (impl Headers + ?Sized),
) -> Result<Option<(Cow<'a, str>, &'a str)>, Reason> {
    let (Expectation::Algorithm { header, .. } | Expectation::KeyUrl { header, .. }) = expectation;
    let value = match (text(headers, header), expectation) {
        (Err(Reason::MissingHeaders), Expectation::KeyUrl { .. }) => return Ok(None),
        (value, _) => value?,
    };
    match expectation {
        Expectation::Algorithm { value: only, .. } if value != only => {
            Err(Reason::AlgorithmNotAllowed)
        }
        Expectation::KeyUrl { hosts, .. } if !is_at(value, hosts) => Err(Reason::UnknownKey),
        _ => Ok(Some((Cow::Borrowed(header), value))),
    }
}

/// Whether `url` is https at one of `hosts`, without a port, a user or anything else to be read in
/// two ways.
fn is_at(url: &str, hosts: &[String]) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
    host.is_some_and(|(host, path)| {
        let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        is_plain && hosts.iter().any(|pinned| pinned == host)
    })
}

/// The value of a header that must be there once. Never through a lossy text: what is not ASCII is
/// in none of the schemes.
fn text<'a>(headers: &'a (impl Headers + ?Sized), name: &str) -> Result<&'a str, Reason> {
    match headers.find(name) {
        Occurrence::Absent => Err(Reason::MissingHeaders),
        Occurrence::Repeated => Err(Reason::MalformedHeader),
        Occurrence::Once(value) => std::str::from_utf8(value)
            .ok()
            .filter(|text| text.is_ascii())
            .ok_or(Reason::MalformedHeader),
    }
}

/// Holds a scheme that signs JSON objects to them: their first character ends the header before.
pub(crate) fn check_object(scheme: &Scheme, body: &[u8]) -> Result<(), Reason> {
    let is_object = !scheme.signed.contains(&Part::Object) || body.starts_with(b"{");
    is_object.then_some(()).ok_or(Reason::InvalidPayload)
}

/// The character that ends a header's value for whoever reads `after`, the parts behind it.
pub(crate) fn separator(after: &[Part]) -> Option<u8> {
    match after {
        [Part::Literal(_), Part::Object, ..] => Some(b'{'),
        [Part::Literal(text), ..] => text.bytes().next(),
        _ => None,
    }
}

/// A value that cannot be confused with what is signed after it.
pub(crate) fn field<'a>(value: &'a str, after: &[Part]) -> Result<&'a str, Reason> {
    let separator = separator(after);
    let allowed = |byte: u8| byte.is_ascii_graphic() && Some(byte) != separator;
    if (1..=FIELD_BYTES_MAX).contains(&value.len()) && value.bytes().all(allowed) {
        Ok(value)
    } else {
        Err(Reason::MalformedHeader)
    }
}

impl Algorithm {
    /// Whether its signatures can have this many bytes.
    fn fits(self, length: usize) -> bool {
        match self {
            Self::HmacSha256 => length == 32,
            Self::HmacSha512 | Self::Ed25519 | Self::Es256 => length == 64,
            Self::Es512 => length == 132,
            // 2048 to 8192 bits
            Self::RsaSha256 | Self::RsaSha256Twice | Self::RsaSha512 => {
                (256..=1024).contains(&length)
            }
        }
    }

    /// Its name in a token (RFC 7518).
    pub(crate) const fn jose(self) -> Option<&'static str> {
        match self {
            Self::Es256 => Some("ES256"),
            Self::Es512 => Some("ES512"),
            // what is hashed before is no concern of the key's
            Self::RsaSha256 | Self::RsaSha256Twice => Some("RS256"),
            Self::RsaSha512 => Some("RS512"),
            Self::Ed25519 => Some("EdDSA"),
            Self::HmacSha256 | Self::HmacSha512 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_png_and_zip() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
    }

    #[test]
    fn a_field_cannot_hold_the_separator_that_follows_it() {
        let after = [Part::Literal(".".into()), Part::Body];
        let check = |value: &str, fits: bool| {
            assert_eq!(field(value, &after).is_ok(), fits, "{value:?}");
        };
        check("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", true);
        check("0c2b7c52-5a0e-4d0c-8f0a-6f1d5f6a7b10", true);
        check("a.b", false);
        check("", false);
        check("a b", false);
        check(&"a".repeat(FIELD_BYTES_MAX), true);
        check(&"a".repeat(FIELD_BYTES_MAX + 1), false);
    }

    #[test]
    fn a_field_in_front_of_an_object_may_hold_its_separator_and_no_brace() {
        let after = [Part::Literal(".".into()), Part::Object];
        for (value, fits) in [("payment.paid", true), ("a.{", false), ("{", false), ("", false)] {
            assert_eq!(field(value, &after).is_ok(), fits, "{value:?}");
        }
    }
}
