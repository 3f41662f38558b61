//! The receiver's side: is this request genuine, and which key says so?

mod claim;

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::headers::{Header, Headers};
use crate::key::{Key, KeyError, KeySet, Named};
use crate::parse::{self, Given, Token};
use crate::reason::Reason;
use crate::scheme::{Scheme, TimestampForm};
use crate::secret::Secret;

/// Why a verifier or a signer cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A verifier without a key could only reject, or worse.
    #[error("no secret is given: at least one must be active")]
    NoneActive,
    /// A secret is not a key of the scheme.
    #[error("key `{id}` cannot be used with scheme `{scheme}`: {problem}")]
    Key {
        /// The key's id.
        id: String,
        /// The scheme.
        scheme: String,
        /// What is wrong; it is part of this message, not a cause below it.
        problem: KeyError,
    },
    /// A parameter of the scheme is not set.
    #[error("scheme `{scheme}` needs its parameter `{name}`")]
    Param {
        /// The scheme.
        scheme: String,
        /// The parameter.
        name: String,
    },
}

/// A scheme with its active keys, made once and used for every request.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) scheme: Scheme,
    pub(crate) keys: Vec<(String, Named)>,
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
    /// The active key that made one of the signatures; the first of them in configured order. Of
    /// several items in a body, the first item's.
    pub key_id: String,
    /// The signed time in milliseconds; `None` where the scheme signs none.
    pub timestamp: Option<i64>,
    /// The headers that took part: with them and the body the request can be verified again.
    pub signature_headers: Vec<Header>,
}

impl Verifier {
    /// A verifier of `scheme` with the active secrets by key id, at least one.
    pub fn new(scheme: Scheme, secrets: Vec<(String, Secret)>) -> Result<Self, SetupError> {
        if secrets.is_empty() {
            return Err(SetupError::NoneActive);
        }
        Self::with_fetched(scheme, secrets, &KeySet::default())
    }

    /// The same with keys that were fetched beside the secrets. Both may be empty, as long as nothing
    /// was fetched: every request then is of an unknown key.
    pub fn with_fetched(
        scheme: Scheme,
        secrets: Vec<(String, Secret)>,
        fetched: &KeySet,
    ) -> Result<Self, SetupError> {
        check_params(&scheme)?;
        let mut keys = Vec::with_capacity(secrets.len());
        for (id, secret) in secrets {
            let failed =
                |problem| SetupError::Key { id: id.clone(), scheme: scheme.name.clone(), problem };
            let (not_before, not_after) = secret.bounds();
            for named in Named::read(&scheme, &secret).map_err(failed)? {
                if matches!(named.key, Key::Private(..)) {
                    return Err(failed(KeyError::Encoding {
                        expected: "a public key: a receiver needs no private one",
                    }));
                }
                let named = Named {
                    not_before: named.not_before.max(not_before),
                    not_after: [named.not_after, not_after].into_iter().flatten().min(),
                    ..named
                };
                keys.push((named.kid.clone().unwrap_or_else(|| id.clone()), named));
            }
        }
        keys.extend(fetched.keys.iter().cloned());
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
        let given = parse::given(&self.scheme, headers, body)?;
        let timestamp = match self.scheme.freshness {
            None => None,
            Some(freshness) => {
                let timestamp = self.scheme.timestamp_form.read(&given.timestamp)?;
                freshness.check(timestamp, now)?;
                Some(timestamp)
            }
        };
        if let Some(token) = &given.token {
            check_span(token, now)?;
        }
        if !self.keys.iter().any(|(_, named)| self.is_named(named, &given) && named.is_active(now))
        {
            return Err(Reason::UnknownKey);
        }
        let key_id = self.matching_key(&given, Some(now)).ok_or(Reason::SignatureMismatch)?;
        let key_id = key_id.to_owned();
        self.check_body(&given, body, now)?;
        let header = |(name, value): (Cow<'_, str>, &str)| Header {
            name: name.into_owned(),
            value: value.to_owned(),
        };
        let signature_headers = given.headers.into_iter().map(header).collect();
        Ok(Verified { key_id, timestamp, signature_headers })
    }

    /// The key that made a signature of all that must be proven: of several items (Adyen) the key of
    /// the first, for each may have another while keys are exchanged. Of keys that fit it is the first
    /// in configured order. All keys and all signatures are tried whatever the outcome, so that the time
    /// taken tells nothing about which of them fits.
    ///
    /// Keys that are not active at `now` are left out; without a `now` every key is tried.
    pub(crate) fn matching_key(&self, given: &Given<'_>, now: Option<i64>) -> Option<&str> {
        let mut matching = vec![None; given.proofs.len()];
        for (id, named) in &self.keys {
            if !self.is_named(named, given) || now.is_some_and(|now| !named.is_active(now)) {
                continue;
            }
            for (proof, matching) in given.proofs.iter().zip(&mut matching) {
                if bool::from(named.key.made_any(proof)) && matching.is_none() {
                    *matching = Some(id.as_str());
                }
            }
        }
        let all: Option<Vec<&str>> = matching.into_iter().collect();
        all?.first().copied()
    }

    /// Whether the hash in a token, where there is one, is of this body.
    #[expect(clippy::unused_self, reason = "read beside `matching_key`")]
    pub(crate) fn is_of_body(&self, given: &Given<'_>, body: &[u8]) -> bool {
        let claimed = given.token.as_ref().and_then(|token| token.body_sha256.as_ref());
        claimed.is_none_or(|claimed| {
            let actual = hex::encode(Sha256::digest(body));
            bool::from(actual.as_bytes().ct_eq(claimed.as_bytes()))
        })
    }

    /// What a genuine token or body says about the body.
    fn check_body(&self, given: &Given<'_>, body: &[u8], now: i64) -> Result<(), Reason> {
        if !self.is_of_body(given, body) {
            return Err(Reason::BodyHashMismatch);
        }
        let (Some(pointer), Some(freshness)) = (&self.scheme.body_time, self.scheme.freshness)
        else {
            return Ok(());
        };
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return Ok(()) };
        match body.pointer(pointer) {
            None | Some(serde_json::Value::Null) => Ok(()),
            Some(time) => {
                let time = time.as_str().ok_or(Reason::InvalidTimestamp)?;
                freshness.check(TimestampForm::Rfc3339.read(time)?, now)
            }
        }
    }
}

/// Holds a token to the span it sets itself, to the second: the tolerance is for `iat`, the one time
/// that a sender must give. `exp` is the first second at which it is over (RFC 7519).
pub(crate) fn check_span(token: &Token, now: i64) -> Result<(), Reason> {
    let is_over = token.exp.is_some_and(|exp| exp.saturating_mul(1000) <= now);
    let is_early = token.nbf.is_some_and(|nbf| nbf.saturating_mul(1000) > now);
    if is_over || is_early { Err(Reason::ClockSkew) } else { Ok(()) }
}

/// Refuses a scheme with parameters that are not set.
pub(crate) fn check_params(scheme: &Scheme) -> Result<(), SetupError> {
    match scheme.missing_params().next() {
        None => Ok(()),
        Some(name) => Err(SetupError::Param { scheme: scheme.name.clone(), name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_held_to_its_own_span_to_the_second() {
        let check = |exp: Option<i64>, nbf: Option<i64>, now: i64, expect: bool| {
            let token = Token { exp, nbf, ..Token::default() };
            assert_eq!(check_span(&token, now).is_ok(), expect, "{exp:?} {nbf:?} {now}");
        };
        check(None, None, i64::MAX, true);
        check(Some(100), None, 99_999, true);
        check(Some(100), None, 100_000, false);
        check(None, Some(100), 99_999, false);
        check(None, Some(100), 100_000, true);
        check(Some(i64::MAX), Some(i64::MIN), 0, true);
        check(Some(i64::MIN), None, 0, false);
    }
}
