//! The algorithms, over the signed parts as they lie, without joining them.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::scheme::{Algorithm, KeyEncoding, Part, Scheme};
use crate::secret::Secret;

/// Bytes of a signature.
pub(crate) const MAC_BYTES: usize = 32;

/// A key with its schedule done once; each use clones the hash states.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub(crate) fn new(scheme: &Scheme, secret: &Secret) -> Self {
        let KeyEncoding::Utf8 = scheme.key_encoding;
        let Algorithm::HmacSha256 = scheme.algorithm;
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        Self(Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length"))
    }

    /// The signature of the scheme's parts filled with `timestamp` and `body`.
    pub(crate) fn sign(&self, parts: &[Part], timestamp: &str, body: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(bytes_of(part, timestamp, body));
        }
        mac.finalize().into_bytes().into()
    }
}

/// The bytes a part stands for.
pub(crate) fn bytes_of<'a>(part: &'a Part, timestamp: &'a str, body: &'a [u8]) -> &'a [u8] {
    match part {
        Part::Timestamp => timestamp.as_bytes(),
        Part::Literal(text) => text.as_bytes(),
        Part::Body => body,
    }
}
