//! Reads keys of RFC 7517: one, a set, or the answer of an interface that gives one on request.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use serde::Deserialize;
use serde_json::Value;

use super::public::fits;
use super::{Key, KeyError, Named};
use crate::scheme::Algorithm;

/// Keys of one set. Providers publish a handful.
const SET_KEYS_MAX: usize = 32;

const EXPECTED: &str = "a JWK, or a set of them: `{\"keys\": [...]}`";

/// What a text has.
pub(super) struct Read {
    /// The keys that can be used.
    pub(super) keys: Vec<Named>,
    /// Why the others cannot.
    unfit: Vec<Unfit>,
}

/// Why a key is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unfit {
    /// Its provider took it out of use.
    Expired,
    /// Its `use` or its `key_ops` are of something else.
    Purpose,
    /// Its `alg`, or its kind, curve or strength, are of another algorithm; also shared secrets.
    Algorithm,
    /// It is no key, or one of a kind that we do not know.
    Unknown,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Set { keys: Vec<Value> },
    Answer { key: Jwk },
    One(Jwk),
}

/// A key; what we do not know of it does not matter.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// The private part.
    d: Option<Value>,
    /// Plaid: seconds at which the key was taken out of use.
    expired_at: Option<Value>,
}

/// The keys in `text` that fit `algorithm`; there may be none.
pub(super) fn read(text: &str, algorithm: Algorithm) -> Result<Read, KeyError> {
    let mut read = Read { keys: Vec::new(), unfit: Vec::new() };
    match serde_json::from_str(text).map_err(|_| wrong_form(text))? {
        Json::Set { keys } => {
            if keys.len() > SET_KEYS_MAX {
                return Err(KeyError::Encoding { expected: "a set of at most 32 keys" });
            }
            // a set may hold keys for other purposes, and of kinds that we do not know
            for key in keys {
                match Jwk::deserialize(key) {
                    Ok(key) => read.take(key, algorithm)?,
                    Err(_) => read.unfit.push(Unfit::Unknown),
                }
            }
        }
        Json::Answer { key } | Json::One(key) => {
            read.take(key, algorithm)?;
            // one that was taken out of use is an answer, too
            if read.keys.is_empty() && !read.unfit.contains(&Unfit::Expired) {
                return Err(read.unusable(algorithm));
            }
        }
    }
    Ok(read)
}

/// What is wrong with a text that is none of [`Json`]. Nothing of the text itself is said.
fn wrong_form(text: &str) -> KeyError {
    let found = match serde_json::from_str::<Value>(text) {
        Err(error) => format!("broken JSON (line {}, column {})", error.line(), error.column()),
        Ok(Value::Array(_)) => "a JSON array".to_owned(),
        Ok(Value::Object(object)) => match (object.get("keys"), object.get("kty")) {
            (Some(keys), _) if !keys.is_array() => "JSON whose `keys` is no list".to_owned(),
            (None, None) if !object.contains_key("key") => {
                "JSON without `keys` and without `kty`".to_owned()
            }
            _ => "JSON with a member of another type or there twice".to_owned(),
        },
        Ok(_) => "JSON that is no object".to_owned(),
    };
    KeyError::Form { found, expected: EXPECTED }
}

impl Read {
    /// The keys, at least one.
    pub(super) fn some(self, algorithm: Algorithm) -> Result<Vec<Named>, KeyError> {
        if self.keys.is_empty() { Err(self.unusable(algorithm)) } else { Ok(self.keys) }
    }

    fn take(&mut self, key: Jwk, algorithm: Algorithm) -> Result<(), KeyError> {
        // whoever was given it, or reads it where it is published, signs as the provider
        if key.d.as_ref().is_some_and(|d| !d.is_null()) {
            return Err(KeyError::Form {
                found: "a key with its private part (`d`)".to_owned(),
                expected: "public keys: a receiver needs no private one",
            });
        }
        match key.read(algorithm) {
            Ok(named) => self.keys.push(named),
            Err(unfit) => self.unfit.push(unfit),
        }
        Ok(())
    }

    fn unusable(&self, algorithm: Algorithm) -> KeyError {
        let mut counts = BTreeMap::<_, usize>::new();
        for unfit in &self.unfit {
            *counts.entry(*unfit).or_default() += 1;
        }
        let told: Vec<_> =
            counts.iter().map(|(it, count)| format!("{count} {}", it.why())).collect();
        let found = if told.is_empty() { "none at all".to_owned() } else { told.join(", ") };
        KeyError::Unusable { found, algorithm: algorithm.jose().unwrap_or("its scheme") }
    }
}

impl Unfit {
    fn why(self) -> &'static str {
        match self {
            Self::Expired => "out of use (`expired_at`)",
            Self::Purpose => "for something else (`use`, `key_ops`)",
            Self::Algorithm => "for another algorithm (`kty`, `crv`, `alg`, bits)",
            Self::Unknown => "that cannot be read",
        }
    }
}

impl Jwk {
    fn read(self, algorithm: Algorithm) -> Result<Named, Unfit> {
        if self.expired_at.as_ref().is_some_and(|at| !at.is_null()) {
            return Err(Unfit::Expired);
        }
        let is_verified = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if self.used_for.as_deref().is_some_and(|used_for| used_for != "sig")
            || !self.key_ops.as_ref().is_none_or(is_verified)
        {
            return Err(Unfit::Purpose);
        }
        if self.alg.as_deref().is_some_and(|alg| Some(alg) != algorithm.jose()) {
            return Err(Unfit::Algorithm);
        }
        if !matches!(self.kty.as_str(), "EC" | "OKP" | "RSA") {
            return Err(if self.kty == "oct" { Unfit::Algorithm } else { Unfit::Unknown });
        }
        let key = self.public().map_err(|_| Unfit::Unknown)?.ok_or(Unfit::Unknown)?;
        fits(&key, algorithm).map_err(|_| Unfit::Algorithm)?;
        Ok(Named { kid: self.kid, ..Key::Public(algorithm, key).into() })
    }

    fn public(&self) -> Result<Option<PKey<Public>>, ErrorStack> {
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let curve = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Nid::X9_62_PRIME256V1,
            ("EC", Some("P-521")) => Nid::SECP521R1,
            ("OKP", Some("Ed25519")) => {
                let Some(x) = bytes(&self.x) else { return Ok(None) };
                return PKey::public_key_from_raw_bytes(&x, Id::ED25519).map(Some);
            }
            ("RSA", _) => {
                let (Some(n), Some(e)) = (bytes(&self.n), bytes(&self.e)) else { return Ok(None) };
                let key =
                    Rsa::from_public_components(BigNum::from_slice(&n)?, BigNum::from_slice(&e)?)?;
                return PKey::from_rsa(key).map(Some);
            }
            _ => return Ok(None),
        };
        let (Some(x), Some(y)) = (bytes(&self.x), bytes(&self.y)) else { return Ok(None) };
        let group = EcGroup::from_curve_name(curve)?;
        let (x, y) = (BigNum::from_slice(&x)?, BigNum::from_slice(&y)?);
        // refuses a point that is not on the curve
        let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y)?;
        PKey::from_ec_key(key).map(Some)
    }
}
