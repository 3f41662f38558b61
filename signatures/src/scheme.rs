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
    /// Headers that must hold one of these values, or be absent where the scheme does without.
    pub expects: Vec<Expectation>,
    /// Place of a second time in a genuine body (JSON pointer, RFC 3339), held to the same
    /// tolerance when it is there.
    pub body_time: Option<String>,
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
    /// The value is fixed texts with a timestamp, or several signatures, between them.
    Layout(Layout),
    /// `name=value` items, separated by commas: one or more signatures, and one timestamp unless it
    /// stands elsewhere. Items of other names (other versions of the scheme) are passed over and
    /// never help.
    Pairs {
        /// Name of the timestamp's item; `None` where the scheme's timestamp is in a header of its
        /// own or there is none.
        timestamp: Option<String>,
        /// Names of the signatures' items, at least one; a sender uses the first.
        signatures: Vec<String>,
    },
    /// `version,signature` items, separated by spaces. Each version has its algorithm; a key is
    /// compared only with signatures of its own. Other versions are passed over and never help.
    Versions(Vec<(String, Algorithm)>),
    /// A JWT whose claims `iat` and `request_body_sha256` (lower-case hex) are the time and the
    /// body's hash. `exp`, `nbf` and `crit` are honoured.
    Jwt,
    /// A JWS without its payload, which is made of the scheme's parts (`TrueLayer` signing, version
    /// 2); where it names the URL of its keys, that must be one of these.
    DetachedJws {
        /// The pinned URLs.
        key_urls: Vec<String>,
    },
    /// In the body, one signature for each item; the scheme has no header.
    Items,
}

/// `prefix TIMESTAMP time_end SIGNATURE (between SIGNATURE)*`, without the spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What the value begins with; may be empty.
    pub prefix: String,
    /// What ends the timestamp, which is one or more visible ASCII characters up to there; `None`
    /// where no timestamp stands here.
    pub time_end: Option<String>,
    /// What stands between two signatures, each of which must be well-formed; `None` where there
    /// is one.
    pub between: Option<char>,
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
    /// The same, for bodies that are JSON objects: a body that does not begin with `{` is an invalid
    /// payload. The header in front may then hold its separator, and no `{`.
    Object,
    /// The value of the header of this name (lower case) as received. It is 1 to 256 visible ASCII
    /// characters without the character that the next literal begins with (in front of an
    /// [`Part::Object`], without `{`): otherwise bytes could move from one part to the next under
    /// the same signature.
    Header(String),
    /// The headers that a detached JWS lists, each as `Name: value` and a line feed.
    SignedHeaders,
    /// CRC-32 of the body, in decimal digits.
    BodyCrc32,
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
    /// Ed25519 (RFC 8032): 64 bytes.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, `r` and `s` of 32 bytes each (RFC 7518).
    Es256,
    /// ECDSA on P-521 with SHA-512, `r` and `s` of 66 bytes each (RFC 7518).
    Es512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaSha256,
    /// The same over the SHA-256 (32 bytes) of what is signed: two passes of hashing.
    RsaSha256Twice,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaSha512,
}

/// A header that a request must not have another value of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The name of the algorithm: it must be there and say this.
    Algorithm {
        /// The header, in lower case.
        header: String,
        /// Its only value.
        value: String,
    },
    /// The URL of the sender's certificate: where it is there, it must be https at one of these
    /// hosts.
    KeyUrl {
        /// The header, in lower case.
        header: String,
        /// The pinned hosts.
        hosts: Vec<String>,
    },
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
    /// As Standard Webhooks writes keys: `whsec_` (optional) and padded base64 for an HMAC, `whpk_`
    /// for ed25519 (`whsk_` for a sender).
    StandardWebhooks,
    /// A public key: PEM, a PEM certificate chain (the sender's own first, the pinned issuer last),
    /// a JWK, a JWKS, or `whpk_` and base64. A sender gives its private key in PEM.
    Public,
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

impl Integrity {
    /// `full` or `partial`, as records and reports have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
        }
    }
}
