//! Keys, and the algorithms over the signed pieces as they lie, without joining them.

mod jwk;
mod public;
mod set;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private, Public};
use openssl::{sha, sign};
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq as _};

use crate::parse::{Candidate, Piece, Proof};
use crate::scheme::{Algorithm, KeyEncoding, Scheme};
use crate::secret::Secret;

pub use set::KeySet;

/// Why a secret is not a key of its scheme. No message holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text does not decode.
    #[error("the secret is not {expected}")]
    Encoding {
        /// What was expected.
        expected: &'static str,
    },
    /// The text is of another form, and which is known.
    #[error("the key's text is {found}; expected {expected}")]
    Form {
        /// What it is, without anything of it.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The text is of a right form and holds nothing to verify with: every request would be refused.
    #[error(
        "the key's text has no key that can be used, but {found}; expected a public key for {algorithm} \
         that is in use"
    )]
    Unusable {
        /// How many there are, and why they cannot.
        found: String,
        /// The scheme's algorithm.
        algorithm: &'static str,
    },
    /// The text decodes to nothing: an empty key makes signatures that anybody can make.
    #[error("the secret has no key in it: it decodes to nothing")]
    Empty,
}

/// A key with its schedule done once; each use clones the hash states.
#[derive(Clone)]
pub(crate) enum Key {
    HmacSha256(Hmac<Sha256>),
    HmacSha512(Hmac<Sha512>),
    Public(Algorithm, PKey<Public>),
    Private(Algorithm, PKey<Private>),
}

/// A key and when and for which requests it is used.
#[derive(Clone)]
pub(crate) struct Named {
    /// The id that a token may name; `None` fits every token.
    pub(crate) kid: Option<String>,
    /// Milliseconds from which on it is used.
    pub(crate) not_before: Option<i64>,
    /// Milliseconds until which it is used, both ends included.
    pub(crate) not_after: Option<i64>,
    pub(crate) key: Key,
}

impl From<Key> for Named {
    fn from(key: Key) -> Self {
        Self { kid: None, not_before: None, not_after: None, key }
    }
}

impl Named {
    /// The keys in a secret's text: one, or those of a set.
    pub(crate) fn read(scheme: &Scheme, secret: &Secret) -> Result<Vec<Self>, KeyError> {
        let text = secret.as_bytes();
        let algorithm = match scheme.key_encoding {
            KeyEncoding::Public => Some(scheme.algorithm),
            KeyEncoding::StandardWebhooks
                if text.starts_with(b"whpk_") || text.starts_with(b"whsk_") =>
            {
                Some(Algorithm::Ed25519)
            }
            _ => None,
        };
        match algorithm {
            Some(algorithm) => public::read(text, algorithm),
            None => Key::new(scheme, secret).map(|key| vec![key.into()]),
        }
    }

    pub(crate) fn is_active(&self, now: i64) -> bool {
        self.not_before.is_none_or(|from| from <= now)
            && self.not_after.is_none_or(|until| now <= until)
    }
}

/// What a text is that everybody may know, so that it is no shared secret; `None` for any other.
fn no_secret(text: &[u8]) -> Option<&'static str> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii_start();
    if text.starts_with(b"-----BEGIN") {
        return Some("a key or a certificate in PEM");
    }
    if text.starts_with(b"whpk_") {
        return Some("a public key (`whpk_`)");
    }
    let json = text.starts_with(b"{").then(|| serde_json::from_slice::<serde_json::Value>(text));
    let json = json?.ok()?;
    ["kty", "keys"].iter().any(|name| json.get(name).is_some()).then_some("a JWK or a set of them")
}

impl Key {
    pub(crate) fn new(scheme: &Scheme, secret: &Secret) -> Result<Self, KeyError> {
        if let Some(found) = no_secret(secret.as_bytes()) {
            let expected = "the secret that the provider shares with us, as it shows it";
            return Err(KeyError::Form { found: found.to_owned(), expected });
        }
        let bytes = scheme.key_encoding.decode(secret.as_bytes())?;
        if bytes.is_empty() {
            return Err(KeyError::Empty);
        }
        match scheme.algorithm {
            Algorithm::HmacSha256 => Hmac::new_from_slice(&bytes).map(Self::HmacSha256),
            Algorithm::HmacSha512 => Hmac::new_from_slice(&bytes).map(Self::HmacSha512),
            _ => return Err(KeyError::Encoding { expected: "a key of the scheme's algorithm" }),
        }
        .map_err(|_| KeyError::Encoding { expected: "a key for an HMAC" })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::HmacSha256(_) => Algorithm::HmacSha256,
            Self::HmacSha512(_) => Algorithm::HmacSha512,
            Self::Public(algorithm, _) | Self::Private(algorithm, _) => *algorithm,
        }
    }

    /// The signature over the pieces; `None` when a public key is all there is.
    pub(crate) fn sign(&self, pieces: &[Piece<'_>]) -> Option<Vec<u8>> {
        match self {
            Self::HmacSha256(mac) => Some(mac_of(mac.clone(), pieces)),
            Self::HmacSha512(mac) => Some(mac_of(mac.clone(), pieces)),
            Self::Private(algorithm, key) => algorithm.sign(key, &joined(pieces)).ok(),
            Self::Public(..) => None,
        }
    }

    /// Whether this key made one of the proof's signatures. All are compared, whatever the outcome.
    pub(crate) fn made_any(&self, proof: &Proof<'_>) -> Choice {
        let is_ours = |candidate: &&Candidate| candidate.algorithm == self.algorithm();
        let mut candidates = proof.candidates.iter().filter(is_ours);
        if let Self::Public(algorithm, key) = self {
            // nothing here is secret
            let signed = joined(&proof.pieces);
            let is_made =
                |it: &Candidate| algorithm.verify(key, &signed, &it.signature).unwrap_or(false);
            return Choice::from(u8::from(candidates.any(is_made)));
        }
        let Some(expected) = self.sign(&proof.pieces) else { return Choice::from(0) };
        candidates.fold(Choice::from(0), |found, candidate| {
            found | expected.as_slice().ct_eq(candidate.signature.as_slice())
        })
    }
}

fn mac_of(mut mac: impl Mac, pieces: &[Piece<'_>]) -> Vec<u8> {
    for piece in pieces {
        mac.update(&piece.bytes);
    }
    mac.finalize().into_bytes().to_vec()
}

fn joined(pieces: &[Piece<'_>]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
}

impl Algorithm {
    fn digest(self) -> Option<MessageDigest> {
        match self {
            Self::RsaSha256 | Self::RsaSha256Twice => Some(MessageDigest::sha256()),
            Self::RsaSha512 => Some(MessageDigest::sha512()),
            _ => None,
        }
    }

    fn verify(self, key: &PKey<Public>, data: &[u8], given: &[u8]) -> Result<bool, ErrorStack> {
        match self {
            Self::HmacSha256 | Self::HmacSha512 => Ok(false),
            Self::Ed25519 => sign::Verifier::new_without_digest(key)?.verify_oneshot(given, data),
            Self::Es256 | Self::Es512 => {
                let (r, s) = given.split_at(given.len() / 2);
                let (r, s) = (BigNum::from_slice(r)?, BigNum::from_slice(s)?);
                let signature = EcdsaSig::from_private_components(r, s)?;
                signature.verify(&self.hash(data), &*key.ec_key()?)
            }
            Self::RsaSha256Twice => Self::RsaSha256.verify(key, &sha::sha256(data), given),
            Self::RsaSha256 | Self::RsaSha512 => {
                let Some(digest) = self.digest() else { return Ok(false) };
                sign::Verifier::new(digest, key)?.verify_oneshot(given, data)
            }
        }
    }

    fn sign(self, key: &PKey<Private>, data: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let half = match self {
            Self::Es256 => 32,
            Self::Es512 => 66,
            Self::RsaSha256Twice => return Self::RsaSha256.sign(key, &sha::sha256(data)),
            _ => {
                let mut signer = match self.digest() {
                    Some(digest) => sign::Signer::new(digest, key)?,
                    None => sign::Signer::new_without_digest(key)?,
                };
                return signer.sign_oneshot_to_vec(data);
            }
        };
        let signature = EcdsaSig::sign(&self.hash(data), &*key.ec_key()?)?;
        let mut bytes = signature.r().to_vec_padded(half)?;
        bytes.extend(signature.s().to_vec_padded(half)?);
        Ok(bytes)
    }

    /// The hash that an ECDSA signature is over.
    fn hash(self, data: &[u8]) -> Vec<u8> {
        if self == Self::Es512 { sha::sha512(data).to_vec() } else { sha::sha256(data).to_vec() }
    }
}

impl KeyEncoding {
    fn decode(self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let base64 = |text: &[u8]| STANDARD.decode(text).ok();
        match self {
            Self::Utf8 => Some(text.to_vec()),
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => base64(text),
            // an operator's own copy, which some tools cut the padding from
            Self::StandardWebhooks => {
                let text = text.strip_prefix(b"whsec_").unwrap_or(text);
                base64(text).or_else(|| STANDARD_NO_PAD.decode(text).ok())
            }
            Self::Public => None,
        }
        .ok_or(KeyError::Encoding { expected: self.expected() })
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Utf8 => "text",
            Self::Hex => "hexadecimal",
            Self::Base64 => "padded base64",
            Self::StandardWebhooks => "`whsec_` and base64",
            Self::Public => "a public key",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_no_key_is_refused() {
        #[track_caller]
        fn check(key_encoding: KeyEncoding, text: &str, expect: Option<&KeyError>) {
            let scheme = Scheme { key_encoding, ..Scheme::up() };
            let key = Key::new(&scheme, &Secret::new(text).unwrap());
            assert_eq!(key.err().as_ref(), expect, "{text}");
        }
        let standard = KeyEncoding::StandardWebhooks;
        let wrong = |encoding: KeyEncoding| KeyError::Encoding { expected: encoding.expected() };
        check(standard, "whsec_AAECAw==", None);
        check(standard, "AAECAw==", None);
        check(standard, "whsec_AAECAw", None);
        check(standard, "whsec_AAECAw=", Some(&wrong(standard)));
        check(standard, "whsec_AAEC-w", Some(&wrong(standard)));
        check(KeyEncoding::Hex, "00FFff", None);
        check(KeyEncoding::Hex, "0", Some(&wrong(KeyEncoding::Hex)));
        check(KeyEncoding::Base64, "a b", Some(&wrong(KeyEncoding::Base64)));
        check(KeyEncoding::Utf8, "whsec_a", None);
    }

    #[test]
    fn what_everybody_may_know_is_no_shared_secret() {
        #[track_caller]
        fn check(text: &str, expect: Option<&str>) {
            for encoding in [KeyEncoding::Utf8, KeyEncoding::Hex, KeyEncoding::Base64] {
                let scheme = Scheme { key_encoding: encoding, ..Scheme::up() };
                let made = Named::read(&scheme, &Secret::new(text).unwrap()).map(|_| ());
                let Some(expect) = expect else {
                    assert!(encoding != KeyEncoding::Utf8 || made.is_ok(), "{text}");
                    continue;
                };
                let message = made.unwrap_err().to_string();
                assert!(message.starts_with(&format!("the key's text is {expect};")), "{message}");
            }
        }
        let pem = "a key or a certificate in PEM";
        check("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", Some(pem));
        check("\n -----BEGIN CERTIFICATE-----", Some(pem));
        check("\u{feff}-----BEGIN RSA PRIVATE KEY-----", Some(pem));
        check("whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", Some("a public key (`whpk_`)"));
        check(r#"{"keys":[]}"#, Some("a JWK or a set of them"));
        check(r#"{"kty":"EC","crv":"P-256"}"#, Some("a JWK or a set of them"));
        for secret in ["BEGIN", "{", r#"{"a":1}"#, "-----"] {
            check(secret, None);
        }
    }
}
