//! The description of a signature scheme: data, one small enum per question.
//!
//! A further scheme is a further value of [`Scheme`]; a further algorithm or encoding is a variant
//! here and an arm in `mac.rs` or `parse.rs`. The request never chooses any of it.

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
    /// How old a signature may be; `None` where the scheme signs no time, so that only remembering
    /// event ids stops a replay.
    pub freshness: Option<Freshness>,
}

/// The layout of the signature header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The value is the signature.
    Plain,
    /// `name=value` items, separated by commas: one timestamp, one or more signatures. Items of
    /// other names (other versions of the scheme) are passed over and never help.
    Pairs {
        /// Name of the timestamp's item.
        timestamp: String,
        /// Name of the signatures' items.
        signature: String,
    },
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
}

/// What makes the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: 32 bytes.
    HmacSha256,
}

/// How the configured secret becomes key bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEncoding {
    /// The secret's own UTF-8 bytes, prefixes such as `whsec_` included.
    Utf8,
}

/// How signature bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal, as the providers send it. Upper case is another text for the same
    /// bytes and is refused as malformed: one signature has one spelling.
    LowerHex,
}

/// How far a timestamp may be from our clock. Its text is whole seconds since the Unix epoch, in
/// decimal digits without sign, space or leading zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Milliseconds a timestamp may lie in the past.
    pub past_ms: i64,
    /// Milliseconds it may lie in the future (our clock may be slow).
    pub future_ms: i64,
}

/// Five minutes: the default of the providers' own libraries.
const TOLERANCE_MS: i64 = 300_000;

impl Scheme {
    /// Names of the built-in schemes.
    pub const NAMES: [&'static str; 2] = ["up", "stripe"];

    /// The built-in scheme of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "up" => Some(Self::up()),
            "stripe" => Some(Self::stripe()),
            _ => None,
        }
    }

    /// Up: the body alone, HMAC-SHA256 in lower-case hex, no time. <https://developer.up.com.au>
    pub fn up() -> Self {
        Self {
            name: "up".into(),
            header: "x-up-authenticity-signature".into(),
            carrier: Carrier::Plain,
            signed: vec![Part::Body],
            algorithm: Algorithm::HmacSha256,
            key_encoding: KeyEncoding::Utf8,
            signature_encoding: SignatureEncoding::LowerHex,
            freshness: None,
        }
    }

    /// Stripe: `t=…,v1=…` over `t.body`, several `v1` while a secret is rolled, five minutes each
    /// way. <https://docs.stripe.com/webhooks#verify-manually>
    pub fn stripe() -> Self {
        Self {
            name: "stripe".into(),
            header: "stripe-signature".into(),
            carrier: Carrier::Pairs { timestamp: "t".into(), signature: "v1".into() },
            signed: vec![Part::Timestamp, Part::Literal(".".into()), Part::Body],
            algorithm: Algorithm::HmacSha256,
            key_encoding: KeyEncoding::Utf8,
            signature_encoding: SignatureEncoding::LowerHex,
            freshness: Some(Freshness { past_ms: TOLERANCE_MS, future_ms: TOLERANCE_MS }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_scheme_and_no_other_does() {
        for name in Scheme::NAMES {
            assert_eq!(Scheme::by_name(name).unwrap().name, name);
        }
        assert_eq!(Scheme::by_name("Up"), None);
    }
}
