//! The receiver's side: is this request genuine, and which key says so?

use std::fmt;

use crate::headers::{Header, Headers};
use crate::key::{Key, KeyError};
use crate::parse::{self, Given};
use crate::reason::Reason;
use crate::scheme::Scheme;
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
    pub fn new(scheme: Scheme, secrets: Vec<(String, Secret)>) -> Result<Self, SetupError> {
        check_params(&scheme)?;
        if secrets.is_empty() {
            return Err(SetupError::NoneActive);
        }
        let key = |(id, secret): (String, Secret)| match Key::new(&scheme, &secret) {
            Ok(key) => Ok((id, key)),
            Err(problem) => Err(SetupError::Key { id, scheme: scheme.name.clone(), problem }),
        };
        let keys = secrets.into_iter().map(key).collect::<Result<_, _>>()?;
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
                let timestamp = self.scheme.timestamp_form.read(given.timestamp)?;
                freshness.check(timestamp, now)?;
                Some(timestamp)
            }
        };
        let key_id = self.matching_key(&given).ok_or(Reason::SignatureMismatch)?.to_owned();
        let header = |(name, value): &(&str, &str)| Header {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let signature_headers = given.headers.iter().map(header).collect();
        Ok(Verified { key_id, timestamp, signature_headers })
    }

    /// The first key that made one of the given signatures. All keys and all signatures are tried
    /// whatever the outcome, so that the time taken tells nothing about which of them fits.
    pub(crate) fn matching_key(&self, given: &Given<'_>) -> Option<&str> {
        let mut matching = None;
        for (id, key) in &self.keys {
            if bool::from(key.made_any(&given.proof)) && matching.is_none() {
                matching = Some(id.as_str());
            }
        }
        matching
    }
}

/// Refuses a scheme with parameters that are not set.
pub(crate) fn check_params(scheme: &Scheme) -> Result<(), SetupError> {
    match scheme.missing_params().next() {
        None => Ok(()),
        Some(name) => Err(SetupError::Param { scheme: scheme.name.clone(), name: name.to_owned() }),
    }
}
