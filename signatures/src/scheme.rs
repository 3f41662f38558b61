//! The description of a signature scheme: data, one small enum per question.
//!
//! A further scheme is a further value of [`Scheme`]; a further algorithm or encoding is a variant
//! here and an arm in `key.rs` or `parse.rs`. The request never chooses any of it.

mod free;
mod known;
mod param;

pub use free::{FreeScheme, FreeSchemeError};
pub use param::ParamError;

/// A signature scheme.
///
/// The fields are public so that a scheme of one's own can start from a known one:
///
/// ```
/// use signatures::Scheme;
/// let ours = Scheme { name: "ours".into(), header: "our-signature".into(), ..Scheme::stripe() };
/// # assert_eq!(ours.header, "our-signature");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Name in configuration, records and reports.
    pub name: String,
    /// Header that carries the signature, in lower case.
    pub header: String,
    /// How the header's value is laid out.
    pub carrier: Carrier,
    /// The signed bytes, part by part.
    pub signed: Vec<Part>,
    /// The algorithm; fixed here, never taken from a request.
    pub algorithm: Algorithm,
    /// How the configured secret becomes key bytes.
    pub key_encoding: KeyEncoding,
    /// How signature bytes are written in the header.
    pub signature_encoding: SignatureEncoding,
    /// Header that carries the timestamp, in lower case; `None` where it stands in the signature's
    /// own header or the scheme has none.
    pub timestamp_header: Option<String>,
    /// How the timestamp is written.
    pub timestamp_form: TimestampForm,
    /// How old a signature may be; `None` where the scheme signs no time, so that only remembering
    /// event ids stops a replay.
    pub freshness: Option<Freshness>,
    /// How much of the body the signature covers.
    pub integrity: Integrity,
}

/// The layout of the signature header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The value is the signature.
    Plain,
    /// The value is this text and then the signature.
    Prefixed(String),
    /// `name=value` items, separated by commas: one timestamp, one or more signatures. Items of
    /// other names (other versions of the scheme) are passed over and never help.
    Pairs {
        /// Name of the timestamp's item.
        timestamp: String,
        /// Name of the signatures' items.
        signature: String,
    },
    /// `version,signature` items, separated by spaces. Each version has its algorithm; a key is
    /// compared only with signatures of its own. Other versions are passed over and never help.
    Versions(Vec<(String, Algorithm)>),
}

/// A part of the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The timestamp's text as received.
    Timestamp,
    /// Fixed text.
    Literal(String),
    /// The request's body as received.
    Body,
    /// The value of the header of this name (lower case) as received. It is 1 to 256 visible ASCII
    /// characters without the character that the next literal begins with: otherwise bytes could
    /// move from one part to the next under the same signature.
    Header(String),
    /// Text that the operator configures: [`Scheme::with_param`] makes a literal of it.
    Param(String),
}

/// What makes the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: 32 bytes.
    HmacSha256,
    /// HMAC with SHA-512: 64 bytes.
    HmacSha512,
}

/// How the configured secret becomes key bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEncoding {
    /// The secret's own UTF-8 bytes, prefixes such as `whsec_` included.
    Utf8,
    /// Hexadecimal, in either case.
    Hex,
    /// Padded base64.
    Base64,
    /// As Standard Webhooks writes keys: `whsec_` (optional) and padded base64 for an HMAC.
    StandardWebhooks,
}

/// How signature bytes are written. One signature has one spelling; any other is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal, as the providers send it.
    LowerHex,
    /// Base64 with padding (RFC 4648 section 4).
    Base64,
    /// Base64 of the alphabet for URLs without padding (RFC 4648 section 5).
    Base64Url,
}

/// How a timestamp is written. Any other text is an invalid timestamp, and what is signed is the
/// text as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampForm {
    /// Whole seconds since the Unix epoch, in decimal digits without sign, space or leading zero.
    UnixSeconds,
    /// Whole milliseconds since the Unix epoch, in the same digits.
    UnixMillis,
    /// RFC 3339 with a capital `T`, and a capital `Z` or a numeric offset.
    Rfc3339,
}

/// How far a timestamp may be from our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Milliseconds a timestamp may lie in the past.
    pub past_ms: i64,
    /// Milliseconds it may lie in the future (our clock may be slow).
    pub future_ms: i64,
}

/// How much of the body a signature covers: whether the rest may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Every byte.
    Full,
    /// Some fields, or a checksum that can be forged: ask the provider before money moves.
    Partial,
}
