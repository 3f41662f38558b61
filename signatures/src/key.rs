//! Keys, and the algorithms over the signed pieces as they lie, without joining them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq as _};

use crate::parse::{Candidate, Piece, Proof};
use crate::scheme::{Algorithm, KeyEncoding, Scheme};
use crate::secret::Secret;

/// Why a secret is not a key of its scheme. No message holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text does not decode.
    #[error("the secret is not {expected}")]
    Encoding {
        /// What was expected.
        expected: &'static str,
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
}

impl Key {
    pub(crate) fn new(scheme: &Scheme, secret: &Secret) -> Result<Self, KeyError> {
        let bytes = scheme.key_encoding.decode(secret.as_bytes())?;
        if bytes.is_empty() {
            return Err(KeyError::Empty);
        }
        match scheme.algorithm {
            Algorithm::HmacSha256 => Hmac::new_from_slice(&bytes).map(Self::HmacSha256),
            Algorithm::HmacSha512 => Hmac::new_from_slice(&bytes).map(Self::HmacSha512),
        }
        .map_err(|_| KeyError::Encoding { expected: "a key for an HMAC" })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::HmacSha256(_) => Algorithm::HmacSha256,
            Self::HmacSha512(_) => Algorithm::HmacSha512,
        }
    }

    /// The signature over the pieces.
    pub(crate) fn sign(&self, pieces: &[Piece<'_>]) -> Vec<u8> {
        match self {
            Self::HmacSha256(mac) => mac_of(mac.clone(), pieces),
            Self::HmacSha512(mac) => mac_of(mac.clone(), pieces),
        }
    }

    /// Whether this key made one of the proof's signatures. All are compared, whatever the outcome.
    pub(crate) fn made_any(&self, proof: &Proof<'_>) -> Choice {
        let expected = self.sign(&proof.pieces);
        let is_ours = |candidate: &&Candidate| candidate.algorithm == self.algorithm();
        proof.candidates.iter().filter(is_ours).fold(Choice::from(0), |found, candidate| {
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

impl KeyEncoding {
    fn decode(self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let base64 = |text: &[u8]| STANDARD.decode(text).ok();
        match self {
            Self::Utf8 => Some(text.to_vec()),
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => base64(text),
            Self::StandardWebhooks => base64(text.strip_prefix(b"whsec_").unwrap_or(text)),
        }
        .ok_or(KeyError::Encoding { expected: self.expected() })
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Utf8 => "text",
            Self::Hex => "hexadecimal",
            Self::Base64 => "padded base64",
            Self::StandardWebhooks => "`whsec_` and padded base64",
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
        check(standard, "whsec_", Some(&KeyError::Empty));
        check(standard, "whsec_AAECAw==", None);
        check(standard, "AAECAw==", None);
        check(standard, "whsec_AAECAw", Some(&wrong(standard)));
        check(KeyEncoding::Hex, "00FFff", None);
        check(KeyEncoding::Hex, "0", Some(&wrong(KeyEncoding::Hex)));
        check(KeyEncoding::Base64, "a b", Some(&wrong(KeyEncoding::Base64)));
        check(KeyEncoding::Utf8, "whsec_", None);
    }
}
