//! A scheme written down by an operator: a partner that needs no code.

use serde::Deserialize;

use super::{
    Algorithm, Carrier, Freshness, Integrity, KeyEncoding, Part, Scheme, SignatureEncoding,
    TimestampForm,
};

/// Seconds each way when the table names no tolerance: the default of most providers' libraries.
const TOLERANCE_S: u32 = 300;

/// A `[sources.NAME.scheme]` table:
///
/// ```toml
/// header = "x-partner-signature"
/// parse = "plain"                   # or { prefix = "sha256=" },
///                                   # { pairs = { timestamp = "t", signature = "v1" } },
///                                   # { versions = ["v1"] }
/// signed = "{timestamp}.{header:x-partner-id}.{body}"
/// algorithm = "hmac-sha256"         # or "hmac-sha512", "rsa-sha256", "rsa-sha512", "es256",
///                                   # "es512", "ed25519"
/// key = "utf8"                      # or "hex", "base64", "standard-webhooks"; "public" goes
///                                   # without saying for the algorithms with public keys
/// signature = "hex"                 # or "base64", "base64url"
/// timestamp = { header = "x-partner-time", form = "unix" }   # form: unix, unix-ms, rfc3339
/// tolerance_past_s = 300
/// tolerance_future_s = 300
/// ```
///
/// Only `header`, `signed` and `algorithm` must be there. The time is looked at when it is signed.
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
    Pairs {
        timestamp: String,
        signature: String,
    },
    Versions(Vec<String>),
    Jwt,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FreeAlgorithm {
    HmacSha256,
    HmacSha512,
    RsaSha256,
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
    #[error("`{{{0}` in `signed`; expected `{{timestamp}}`, `{{header:NAME}}` or `{{body}}`")]
    Placeholder(String),
    /// The body is not signed, or not last, or twice.
    #[error("`signed` must end with the one `{{body}}`: what follows a body could be part of it")]
    Body,
    /// Two values touch.
    #[error("`signed` needs a fixed text after `{{{0}}}`: bytes could move to the next value")]
    Touching(String),
    /// A time is signed and nowhere given, or given and not signed.
    #[error("`signed` and `timestamp` (or `parse.pairs`) must both have the time, or neither")]
    Timestamp,
    /// No name of a version or item, or an empty prefix.
    #[error("`parse` names nothing; expected at least one character")]
    Parse,
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
            if is_more || algorithm.jose().is_none() {
                return Err(FreeSchemeError::Token);
            }
            return Ok(Scheme {
                algorithm,
                freshness: Some(freshness),
                ..Scheme::token(name, &header)
            });
        }
        let carrier = self.parse.carrier(algorithm)?;
        let signed = template(&self.signed.ok_or(FreeSchemeError::Signed)?)?;
        let form = self.timestamp.as_ref().map_or(FreeForm::Unix, |it| it.form);
        let timestamp_header = self.timestamp.and_then(|it| it.header);
        let in_pairs = matches!(carrier, Carrier::Pairs { .. });
        let is_signed = signed.contains(&Part::Timestamp);
        // a time stands in one place, and is believed only when it is signed
        if (in_pairs && timestamp_header.is_some())
            || (in_pairs || timestamp_header.is_some()) != is_signed
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
            signature_encoding: match self.signature {
                None | Some(FreeSignature::Hex) => SignatureEncoding::LowerHex,
                Some(FreeSignature::Base64) => SignatureEncoding::Base64,
                Some(FreeSignature::Base64url) => SignatureEncoding::Base64Url,
            },
            timestamp_header: timestamp_header.map(|name| header_name(&name)).transpose()?,
            timestamp_form: match form {
                FreeForm::Unix => TimestampForm::UnixSeconds,
                FreeForm::UnixMs => TimestampForm::UnixMillis,
                FreeForm::Rfc3339 => TimestampForm::Rfc3339,
            },
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

impl Parse {
    fn carrier(self, algorithm: Algorithm) -> Result<Carrier, FreeSchemeError> {
        let names: Vec<&String> = match &self {
            Self::Plain => return Ok(Carrier::Plain),
            Self::Jwt => return Ok(Carrier::Jwt),
            Self::Prefix(prefix) => vec![prefix],
            Self::Pairs { timestamp, signature } => vec![timestamp, signature],
            Self::Versions(versions) => versions.iter().collect(),
        };
        if names.is_empty() || names.iter().any(|name| name.is_empty()) {
            return Err(FreeSchemeError::Parse);
        }
        Ok(match self {
            Self::Plain => Carrier::Plain,
            Self::Jwt => Carrier::Jwt,
            Self::Prefix(prefix) => Carrier::Prefixed(prefix),
            Self::Pairs { timestamp, signature } => Carrier::Pairs { timestamp, signature },
            Self::Versions(versions) => {
                Carrier::Versions(versions.into_iter().map(|name| (name, algorithm)).collect())
            }
        })
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

/// Reads `{timestamp}.{header:x-id}.{body}`.
fn template(text: &str) -> Result<Vec<Part>, FreeSchemeError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            parts.push(Part::Literal(before.into()));
        } else if let Some(touching) = parts.last() {
            return Err(FreeSchemeError::Touching(placeholder(touching)));
        }
        let (name, after) =
            after.split_once('}').ok_or_else(|| FreeSchemeError::Placeholder(after.into()))?;
        parts.push(match (name, name.strip_prefix("header:")) {
            ("timestamp", _) => Part::Timestamp,
            ("body", _) => Part::Body,
            (_, Some(header)) => Part::Header(header_name(header)?),
            _ => return Err(FreeSchemeError::Placeholder(name.into())),
        });
        rest = after;
    }
    let bodies = parts.iter().filter(|part| **part == Part::Body).count();
    if !rest.is_empty() || parts.last() != Some(&Part::Body) || bodies != 1 {
        return Err(FreeSchemeError::Body);
    }
    Ok(parts)
}

fn placeholder(part: &Part) -> String {
    match part {
        Part::Timestamp => "timestamp".into(),
        Part::Header(name) => format!("header:{name}"),
        Part::Body => "body".into(),
        Part::Literal(text) | Part::Param(text) => text.clone(),
        Part::SignedHeaders => "headers".into(),
        Part::BodyCrc32 => "crc32".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: &str) -> Result<Scheme, String> {
        let table: FreeScheme = toml::from_str(table).map_err(|error| error.to_string())?;
        table.scheme("partner").map_err(|error| error.to_string())
    }

    #[test]
    fn known_schemes_can_be_written_down() {
        #[track_caller]
        fn check(table: &str, expect: Scheme) {
            assert_eq!(read(table), Ok(Scheme { name: "partner".into(), ..expect }));
        }
        check(
            "header = \"Stripe-Signature\"\nsigned = \"{timestamp}.{body}\"\n\
             algorithm = \"hmac-sha256\"\nparse = { pairs = { timestamp = \"t\", signature = \"v1\" } }",
            Scheme::stripe(),
        );
        check(
            "header = \"x-hub-signature-256\"\nsigned = \"{body}\"\nalgorithm = \"hmac-sha256\"\n\
             parse = { prefix = \"sha256=\" }",
            Scheme::github(),
        );
        check(
            "header = \"x-demoz-signature\"\nsigned = \"{timestamp}.{header:X-Demoz-Nonce}.{body}\"\n\
             algorithm = \"hmac-sha256\"\n\
             timestamp = { header = \"X-Demoz-Timestamp\", form = \"rfc3339\" }",
            Scheme::demoz(),
        );
    }

    #[test]
    fn a_template_that_leaves_a_way_around_the_signature_is_refused() {
        #[track_caller]
        fn check(rest: &str, expect: &str) {
            let error = read(&format!("algorithm = \"hmac-sha256\"\n{rest}")).unwrap_err();
            assert!(error.contains(expect), "`{error}` should contain `{expect}`");
        }
        check("header = \"x\"\nsigned = \"{timestamp}.{body}\"", "both have the time, or neither");
        check("header = \"x\"\nsigned = \"{body}.\"", "must end");
        check("header = \"x\"\nsigned = \"{body}{body}\"", "fixed text after `{body}`");
        check("header = \"x\"\nsigned = \"{header:a}{body}\"", "fixed text after `{header:a}`");
        check("header = \"x\"\nsigned = \"{header:a b}.{body}\"", "no header name");
        check("header = \"x\"\nsigned = \"{url}{body}\"", "`{url`");
        check("header = \"x\"\nsigned = \"{body\"", "`{body` in `signed`");
        check("header = \"x\"\nsigned = \"v1\"", "must end");
        check("header = \"\"\nsigned = \"{body}\"", "no header name");
        check("header = \"x\"\nsigned = \"{body}\"\nparse = { prefix = \"\" }", "names nothing");
        check(
            "header = \"x\"\nsigned = \"{body}\"\ntimestamp = { header = \"y\" }",
            "both have the time, or neither",
        );
        check("header = \"x\"\nsigned = \"{body}\"\nkey = \"rot13\"", "`utf8`");
        check("header = \"x\"\nsigned = \"{body}\"\nkey = \"public\"", "does not go with");
        check("header = \"x\"", "`signed` is missing");
        check("header = \"x\"\nparse = \"jwt\"", "algorithm of public keys");
    }

    #[test]
    fn a_partner_with_public_keys_can_be_written_down() {
        #[track_caller]
        fn check(table: &str, expect: Scheme) {
            assert_eq!(read(table), Ok(Scheme { name: "partner".into(), ..expect }));
        }
        #[track_caller]
        fn refused(rest: &str, expect: &str) {
            let error = read(&format!("header = \"x\"\n{rest}")).unwrap_err();
            assert!(error.contains(expect), "`{error}` should contain `{expect}`");
        }
        check(
            "header = \"Plaid-Verification\"\nparse = \"jwt\"\nalgorithm = \"es256\"",
            Scheme::plaid(),
        );
        check(
            "header = \"x-signature-sha256\"\nsigned = \"{body}\"\nalgorithm = \"rsa-sha256\"\n\
             signature = \"base64\"",
            Scheme::wise(),
        );
        refused("algorithm = \"rsa-sha256\"\nsigned = \"{body}\"\nkey = \"utf8\"", "`key`");
        refused("algorithm = \"es256\"\nparse = \"jwt\"\nsigned = \"{body}\"", "without");
        refused("algorithm = \"es256\"\nparse = \"jwt\"\nsignature = \"hex\"", "without");
        refused("algorithm = \"none\"\nparse = \"jwt\"", "unknown variant");
    }
}
