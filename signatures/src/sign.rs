//! The sender's side: makes the headers that [`crate::Verifier`] accepts.

mod token;

use std::borrow::Cow;

use crate::headers::Header;
use crate::key::{Key, KeyError, Named};
use crate::parse::{self, Piece};
use crate::scheme::{Carrier, Expectation, Layout, Part, Scheme};
use crate::secret::Secret;
use crate::verify::{SetupError, check_params};

/// A scheme with the key of a sender.
#[derive(Clone)]
pub struct Signer {
    scheme: Scheme,
    key: Key,
    kid: Option<String>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("scheme", &self.scheme.name).finish_non_exhaustive()
    }
}

/// Why a message cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A signed header has no value, or one that a receiver refuses.
    #[error(
        "header `{0}` must be given to sign this scheme: 1 to 256 visible ASCII characters without \
         the separator that follows it"
    )]
    Header(String),
    /// The signatures stand in the body: [`Signer::sign_items`].
    #[error("this scheme signs inside the body, not in a header")]
    InBody,
    /// The body has no items to sign.
    #[error("the body is not JSON with `notificationItems`")]
    Items,
    /// A receiver of this scheme takes JSON objects only.
    #[error("this scheme signs JSON objects: the body must begin with `{{`")]
    Object,
    /// The key refuses to sign.
    #[error("the key cannot sign")]
    Key,
}

impl Signer {
    /// A signer of `scheme` with a secret of its own.
    pub fn new(scheme: Scheme, secret: &Secret) -> Result<Self, SetupError> {
        check_params(&scheme)?;
        let named = Named::read(&scheme, secret).map(|keys| keys.into_iter().next());
        let problem = match named {
            Ok(Some(Named { key: Key::Public(..), .. }) | None) => {
                KeyError::Encoding { expected: "a private key in PEM, or `whsk_` and base64" }
            }
            Ok(Some(Named { key, .. })) => return Ok(Self { scheme, key, kid: None }),
            Err(problem) => problem,
        };
        Err(SetupError::Key { id: "signer".into(), scheme: scheme.name, problem })
    }

    /// The signer, naming its key in tokens.
    #[must_use]
    pub fn named(self, kid: &str) -> Self {
        Self { kid: Some(kid.to_owned()), ..self }
    }

    /// Signs `body` as a provider does at the time `at` (milliseconds; most schemes use its whole
    /// seconds). `headers` are those that the scheme signs beside its own time, such as an id or a
    /// nonce. Gives every header to send.
    pub fn sign(&self, headers: &[Header], body: &[u8], at: i64) -> Result<Vec<Header>, SignError> {
        let scheme = &self.scheme;
        match &scheme.carrier {
            Carrier::Jwt => return self.jwt(body, at),
            Carrier::DetachedJws { key_urls } => {
                return self.detached(key_urls, headers, body, at);
            }
            Carrier::Items => return Err(SignError::InBody),
            _ => {}
        }
        parse::check_object(scheme, body).map_err(|_| SignError::Object)?;
        let timestamp = scheme.timestamp_form.write(at);
        let mut sent = Vec::with_capacity(3);
        let mut pieces = Vec::with_capacity(scheme.signed.len());
        for (index, part) in scheme.signed.iter().enumerate() {
            let Part::Header(name) = part else {
                pieces.push(parse::piece(part, &timestamp, body));
                continue;
            };
            let refused = || SignError::Header(name.clone());
            let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            let header = header.ok_or_else(refused)?;
            let after = scheme.signed.get(index + 1..).unwrap_or_default();
            let value = parse::field(&header.value, after);
            let bytes = Cow::Borrowed(value.map_err(|_| refused())?.as_bytes());
            pieces.push(Piece { part: "header", bytes });
            sent.push(header.clone());
        }
        for expectation in &scheme.expects {
            if let Expectation::Algorithm { header, value } = expectation {
                sent.push(Header { name: header.clone(), value: value.clone() });
            }
        }
        let value = self.value(&pieces, &timestamp)?;
        if let Some(name) = &scheme.timestamp_header {
            sent.insert(0, Header { name: name.clone(), value: timestamp });
        }
        sent.insert(0, Header { name: scheme.header.clone(), value });
        Ok(sent)
    }

    fn value(&self, pieces: &[Piece<'_>], timestamp: &str) -> Result<String, SignError> {
        let signature = self.key.sign(pieces).ok_or(SignError::Key)?;
        let signature = self.scheme.signature_encoding.encode(&signature);
        Ok(match &self.scheme.carrier {
            Carrier::Plain | Carrier::Jwt | Carrier::DetachedJws { .. } | Carrier::Items => {
                signature
            }
            Carrier::Layout(Layout { prefix, time_end: Some(end), .. }) => {
                format!("{prefix}{timestamp}{end}{signature}")
            }
            Carrier::Prefixed(prefix) | Carrier::Layout(Layout { prefix, .. }) => {
                format!("{prefix}{signature}")
            }
            Carrier::Pairs { timestamp: t, signatures } => {
                let time = t.as_ref().map(|t| format!("{t}={timestamp},")).unwrap_or_default();
                format!("{time}{}={signature}", signatures.first().map_or("", String::as_str))
            }
            Carrier::Versions(versions) => {
                let mut ours = versions.iter();
                let ours = ours.find(|(_, algorithm)| *algorithm == self.key.algorithm());
                format!("{},{signature}", ours.map_or("", |(name, _)| name))
            }
        })
    }
}

/// Signs with a scheme that signs no header of the sender's choice and takes any secret, such as
/// `up` and `stripe`: see [`Signer::sign`]. Where more is needed there is no header to send, and a
/// [`Signer`] says why.
pub fn sign(scheme: &Scheme, secret: &Secret, body: &[u8], at: i64) -> Vec<Header> {
    let signer = Signer::new(scheme.clone(), secret).ok();
    signer.and_then(|signer| signer.sign(&[], body, at).ok()).unwrap_or_default()
}
