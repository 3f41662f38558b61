//! A scheme written down by an operator: a partner that needs no code.

mod carrier;
mod template;

use serde::Deserialize;

use super::{
    Algorithm, Carrier, Freshness, Integrity, KeyEncoding, Layout, Part, Scheme, SignatureEncoding,
    TimestampForm,
};

/// Seconds each way when the table names no tolerance: the default of most providers' libraries.
const TOLERANCE_S: u32 = 300;

/// A `[sources.NAME.scheme]` table:
///
/// ```toml
/// header = "x-partner-signature"
/// parse = "plain"                   # or one of the forms below
/// signed = "{timestamp}.{header:x-partner-id}.{body}"
/// algorithm = "hmac-sha256"         # or "hmac-sha512", "rsa-sha256", "rsa-sha512", "es256",
///                                   # "es512", "ed25519", "rsa-sha256-twice"
/// key = "utf8"                      # or "hex", "base64", "standard-webhooks"; "public" goes
///                                   # without saying for the algorithms with public keys
/// signature = "hex"                 # or "base64", "base64url"
/// timestamp = { header = "x-partner-time", form = "unix" }   # form: unix, unix-ms, rfc3339
/// tolerance_past_s = 300
/// tolerance_future_s = 300
/// ```
///
/// Only `header`, `signed` and `algorithm` must be there. The time is looked at when it is signed.
///
/// `signed` is fixed text with `{timestamp}`, `{header:NAME}` and, at its end, the `{body}` in it.
/// `{object}` is a body that begins with `{`: the header in front of it may hold the separator that
/// follows it, such as the dot in `payment.paid`, since the brace tells where it ends.
/// `rsa-sha256-twice` signs the SHA-256 of all that, not the text itself.
///
/// `parse` says how the header's value is laid out:
///
/// ```toml
/// parse = "plain"                                       # the signature
/// parse = { prefix = "sha256=" }                        # a text and the signature
/// parse = { template = "{timestamp}.{signature}" }      # the time in front, any text between
/// parse = { template = "v0={signatures:,}" }            # several signatures, a comma between
/// parse = { pairs = { timestamp = "t", signature = "v1" } }         # t=...,v1=...,v1=...
/// parse = { pairs = { timestamp = "t", signature = ["v1", "v2"] } } # either of two names
/// parse = { pairs = { signature = "v1" } }              # the time in a header of its own
/// parse = { versions = ["v1"] }                         # v1,... v1,... with spaces between
/// parse = "jwt"                                         # a token
/// ```
///
/// With several signatures one that is right is enough. Of `pairs` and `versions`, items of other
/// names are passed over; of a `template`, each signature must be well-formed.
///
/// With `parse = "jwt"` the header is a token whose claims are the time (`iat`) and the body's hash
/// (`request_body_sha256`), so `signed`, `signature` and `timestamp` have no place:
///
/// ```toml
/// header = "x-partner-token"
/// parse = "jwt"
/// algorithm = "es256"
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeScheme {
    header: String,
    #[serde(default)]
    parse: Parse,
    signed: Option<String>,
    algorithm: FreeAlgorithm,
    key: Option<FreeKey>,
    signature: Option<FreeSignature>,
    timestamp: Option<FreeTimestamp>,
    tolerance_past_s: Option<u32>,
    tolerance_future_s: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Parse {
    #[default]
    Plain,
    Prefix(String),
    Template(String),
    Pairs(Pairs),
    Versions(Vec<String>),
    Jwt,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairs {
    timestamp: Option<String>,
    signature: Names,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FreeAlgorithm {
    HmacSha256,
    HmacSha512,
    RsaSha256,
    RsaSha256Twice,
    RsaSha512,
    Es256,
    Es512,
    Ed25519,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FreeKey {
    Utf8,
    Hex,
    Base64,
    StandardWebhooks,
    Public,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FreeSignature {
    Hex,
    Base64,
    Base64url,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreeTimestamp {
    header: Option<String>,
    #[serde(default)]
    form: FreeForm,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FreeForm {
    #[default]
    Unix,
    UnixMs,
    Rfc3339,
}

/// Why a table is not a scheme that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreeSchemeError {
    /// A header's name is not one.
    #[error("`{0}` is no header name; expected `a-z`, `0-9`, `-`, `_`")]
    Header(String),
    /// A brace of the template holds nothing known, or is not closed.
    #[error(
        "`{{{0}` in `signed`; expected `{{timestamp}}`, `{{header:NAME}}`, `{{body}}` or `{{object}}`"
    )]
    Placeholder(String),
    /// The body is not signed, or not last, or twice.
    #[error("`signed` must end with the one `{{body}}`: what follows a body could be part of it")]
    Body,
    /// Two values touch.
    #[error("`signed` needs a fixed text after `{{{0}}}`: bytes could move to the next value")]
    Touching(String),
    /// A digit follows a time of digits.
    #[error(
        "the text `{0}` after `{{timestamp}}` begins with a character that a time of this form has: \
         bytes could move from one to the other"
    )]
    TimeEnd(String),
    /// A time is signed and nowhere given, or given and not signed.
    #[error(
        "`signed` and `timestamp` (or `parse`, where the time stands in the signature's header) must \
         both have the time, or neither"
    )]
    Timestamp,
    /// No name of a version or item, or an empty prefix.
    #[error("`parse` names nothing; expected at least one character")]
    Parse,
    /// A name stands for two things, or cannot stand in the header.
    #[error("`{0}` in `parse` is there twice or holds a `,`, a `=` or a space")]
    Name(String),
    /// The header's template is not one.
    #[error(
        "`{0}` in `parse`; expected fixed text, `{{timestamp}}` and a fixed text if the time is there, \
         then `{{signature}}` or `{{signatures:,}}` at the end"
    )]
    Template(String),
    /// Signatures hold the text between them.
    #[error("`{0}` in `parse` cannot stand between signatures: they may hold it themselves")]
    Between(char),
    /// Nothing says what is signed.
    #[error("`signed` is missing; expected a template such as `{{timestamp}}.{{body}}`")]
    Signed,
    /// An HMAC with a public key would be one that anybody can make, and the other way round no
    /// secret is a public key.
    #[error(
        "`key` does not go with `algorithm`; expected `public` for rsa, es and ed25519, and another for an hmac"
    )]
    Key,
    /// A token says by itself what is signed and how.
    #[error(
        "`parse = \"jwt\"` goes with an algorithm of public keys and without `signed`, `signature` and `timestamp`"
    )]
    Token,
}

impl FreeScheme {
    /// The scheme, called `name`.
    pub fn scheme(self, name: &str) -> Result<Scheme, FreeSchemeError> {
        let algorithm = self.algorithm.algorithm();
        let key_encoding = key_encoding(self.key, algorithm)?;
        let ms = |s: Option<u32>| i64::from(s.unwrap_or(TOLERANCE_S)) * 1000;
        let freshness = Freshness {
            past_ms: ms(self.tolerance_past_s),
            future_ms: ms(self.tolerance_future_s),
        };
        let header = header_name(&self.header)?;
        if matches!(self.parse, Parse::Jwt) {
            let is_more =
                self.signed.is_some() || self.signature.is_some() || self.timestamp.is_some();
            // tokens have no name for what is hashed twice
            let is_known = algorithm.jose().is_some() && algorithm != Algorithm::RsaSha256Twice;
            if is_more || !is_known {
                return Err(FreeSchemeError::Token);
            }
            return Ok(Scheme {
                algorithm,
                freshness: Some(freshness),
                ..Scheme::token(name, &header)
            });
        }
        let form = self.timestamp.as_ref().map_or(FreeForm::Unix, |it| it.form).form();
        let encoding = match self.signature {
            None | Some(FreeSignature::Hex) => SignatureEncoding::LowerHex,
            Some(FreeSignature::Base64) => SignatureEncoding::Base64,
            Some(FreeSignature::Base64url) => SignatureEncoding::Base64Url,
        };
        let carrier = self.parse.carrier(algorithm, encoding, form)?;
        let signed = template::signed(&self.signed.ok_or(FreeSchemeError::Signed)?, form)?;
        let timestamp_header = self.timestamp.and_then(|it| it.header);
        let in_value = matches!(
            carrier,
            Carrier::Pairs { timestamp: Some(_), .. }
                | Carrier::Layout(Layout { time_end: Some(_), .. })
        );
        let is_signed = signed.contains(&Part::Timestamp);
        // a time stands in one place, and is believed only when it is signed
        if (in_value && timestamp_header.is_some())
            || (in_value || timestamp_header.is_some()) != is_signed
        {
            return Err(FreeSchemeError::Timestamp);
        }
        Ok(Scheme {
            name: name.into(),
            header,
            carrier,
            signed,
            algorithm,
            key_encoding,
            signature_encoding: encoding,
            timestamp_header: timestamp_header.map(|name| header_name(&name)).transpose()?,
            timestamp_form: form,
            freshness: is_signed.then_some(freshness),
            expects: Vec::new(),
            body_time: None,
            integrity: Integrity::Full,
        })
    }
}

impl FreeAlgorithm {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::HmacSha256 => Algorithm::HmacSha256,
            Self::HmacSha512 => Algorithm::HmacSha512,
            Self::RsaSha256 => Algorithm::RsaSha256,
            Self::RsaSha256Twice => Algorithm::RsaSha256Twice,
            Self::RsaSha512 => Algorithm::RsaSha512,
            Self::Es256 => Algorithm::Es256,
            Self::Es512 => Algorithm::Es512,
            Self::Ed25519 => Algorithm::Ed25519,
        }
    }
}

/// How the key is written: the table's word, or what goes without saying.
fn key_encoding(
    key: Option<FreeKey>,
    algorithm: Algorithm,
) -> Result<KeyEncoding, FreeSchemeError> {
    let is_public = algorithm.jose().is_some();
    match key {
        None | Some(FreeKey::Public) if is_public => Ok(KeyEncoding::Public),
        _ if is_public => Err(FreeSchemeError::Key),
        None | Some(FreeKey::Utf8) => Ok(KeyEncoding::Utf8),
        Some(FreeKey::Hex) => Ok(KeyEncoding::Hex),
        Some(FreeKey::Base64) => Ok(KeyEncoding::Base64),
        Some(FreeKey::StandardWebhooks) => Ok(KeyEncoding::StandardWebhooks),
        Some(FreeKey::Public) => Err(FreeSchemeError::Key),
    }
}

impl FreeForm {
    fn form(self) -> TimestampForm {
        match self {
            Self::Unix => TimestampForm::UnixSeconds,
            Self::UnixMs => TimestampForm::UnixMillis,
            Self::Rfc3339 => TimestampForm::Rfc3339,
        }
    }
}

fn header_name(name: &str) -> Result<String, FreeSchemeError> {
    let lower = name.to_ascii_lowercase();
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if lower.is_empty() || !lower.bytes().all(allowed) {
        return Err(FreeSchemeError::Header(name.into()));
    }
    Ok(lower)
}

#[cfg(test)]
mod tests;
