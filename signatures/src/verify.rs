//! The receiver's side: is this request genuine, and which key says so?

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::headers::{Header, Headers};
use crate::mac::{Key, MAC_BYTES};
use crate::parse::{self, Given};
use crate::reason::Reason;
use crate::scheme::{Freshness, Scheme};
use crate::secret::{Secret, SecretError};

/// A scheme with its active keys, made once and used for every request.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) scheme: Scheme,
    pub(crate) keys: Vec<(String, Key)>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_ids: Vec<_> = self.key_ids().collect();
        f.debug_struct("Verifier")
            .field("scheme", &self.scheme.name)
            .field("keys", &key_ids)
            .finish()
    }
}

/// What a genuine request proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The active key that made one of the signatures; the first of them in configured order.
    pub key_id: String,
    /// The signed time in milliseconds; `None` where the scheme signs none.
    pub timestamp: Option<i64>,
    /// The headers that took part: with them and the body the request can be verified again.
    pub signature_headers: Vec<Header>,
}

impl Verifier {
    /// A verifier of `scheme` with the active secrets by key id, at least one.
    pub fn new(scheme: Scheme, secrets: Vec<(String, Secret)>) -> Result<Self, SecretError> {
        if secrets.is_empty() {
            return Err(SecretError::NoneActive);
        }
        let key = |(id, secret): (String, Secret)| {
            let key = Key::new(&scheme, &secret);
            (id, key)
        };
        let keys = secrets.into_iter().map(key).collect();
        Ok(Self { scheme, keys })
    }

    /// The scheme.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Ids of the active keys.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Judges a request by its headers and its body's exact bytes at the time `now`, milliseconds.
    ///
    /// Form and time are judged before the signature, so a late forgery reads `clock-skew`.
    pub fn verify(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &[u8],
        now: i64,
    ) -> Result<Verified, Reason> {
        let given = parse::given(&self.scheme, headers)?;
        let timestamp = match self.scheme.freshness {
            None => None,
            Some(freshness) => Some(fresh(given.timestamp, freshness, now)?),
        };
        let key_id = self.matching_key(&given, body).ok_or(Reason::SignatureMismatch)?;
        Ok(Verified {
            key_id: key_id.to_owned(),
            timestamp,
            signature_headers: vec![Header {
                name: self.scheme.header.clone(),
                value: given.value.to_owned(),
            }],
        })
    }

    /// The first key that made one of the given signatures. All keys and all signatures are tried
    /// whatever the outcome, so that the time taken tells nothing about which of them fits.
    pub(crate) fn matching_key(&self, given: &Given<'_>, body: &[u8]) -> Option<&str> {
        let mut matching = None;
        for (id, key) in &self.keys {
            let expected = key.sign(&self.scheme.signed, given.timestamp, body);
            if bool::from(any_equal(&expected, &given.signatures)) && matching.is_none() {
                matching = Some(id.as_str());
            }
        }
        matching
    }
}

fn any_equal(expected: &[u8; MAC_BYTES], signatures: &[[u8; MAC_BYTES]]) -> Choice {
    signatures
        .iter()
        .fold(Choice::from(0), |found, signature| found | expected.as_slice().ct_eq(signature))
}

/// The timestamp in milliseconds when it is canonical and within the tolerance, both ends included.
pub(crate) fn fresh(text: &str, freshness: Freshness, now: i64) -> Result<i64, Reason> {
    let timestamp = parse::timestamp_ms(text)?;
    let age = now.checked_sub(timestamp).ok_or(Reason::ClockSkew)?;
    if age > freshness.past_ms || age < freshness.future_ms.saturating_neg() {
        return Err(Reason::ClockSkew);
    }
    Ok(timestamp)
}
