//! Keys that somebody fetched from where the provider publishes them.

use super::{KeyError, Named, jwk, public};
use crate::scheme::{Algorithm, Scheme};

/// Public keys of a scheme by id, without their texts; empty by default.
#[derive(Clone, Default)]
pub struct KeySet {
    pub(crate) keys: Vec<(String, Named)>,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl KeySet {
    /// The keys of a JSON Web Key Set, or the one of `{"key": …}`, that fit the scheme's algorithm and
    /// are in use. A key without a `kid` is called `unnamed`, and is tried for every request.
    ///
    /// The set may turn out empty; what is not JSON of this form, has more than 32 keys, or one with its
    /// private part, is an error.
    pub fn from_json(scheme: &Scheme, text: &[u8]) -> Result<Self, KeyError> {
        const WRONG: KeyError = KeyError::Encoding { expected: "a JSON Web Key Set" };
        let text = std::str::from_utf8(text).map_err(|_| WRONG)?;
        let named = jwk::read(text.trim(), public_algorithm(scheme)?)?.keys;
        let id = |named: &Named| named.kid.clone().unwrap_or_else(|| "unnamed".to_owned());
        Ok(Self { keys: named.into_iter().map(|named| (id(&named), named)).collect() })
    }

    /// The key of a certificate in PEM, whose chain the caller has checked. It is for requests that
    /// name the address `url`, whose last segment is its id.
    pub fn from_certificate(scheme: &Scheme, url: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let named = public::chain(pem, public_algorithm(scheme)?)?;
        let id = url.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or("certificate");
        let keyed = |named: Named| (id.to_owned(), Named { kid: Some(url.to_owned()), ..named });
        Ok(Self { keys: named.into_iter().map(keyed).collect() })
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Ids of the keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Whether a request that names `key` may be of one of these.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(_, named)| named.kid.as_deref().is_none_or(|kid| kid == key))
    }

    /// Both together.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.keys.extend(other.keys.iter().cloned());
        self
    }
}

fn public_algorithm(scheme: &Scheme) -> Result<Algorithm, KeyError> {
    if scheme.algorithm.jose().is_some() {
        Ok(scheme.algorithm)
    } else {
        Err(KeyError::Encoding { expected: "no set: the scheme's keys are shared secrets" })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use openssl::bn::{BigNum, BigNumContext};
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;

    use super::*;

    fn jwk(kid: Option<&str>, more: &str) -> String {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        let mut context = BigNumContext::new().unwrap();
        key.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
        let text = |number: &BigNum| URL_SAFE_NO_PAD.encode(number.to_vec_padded(32).unwrap());
        let kid = kid.map_or(String::new(), |kid| format!(r#""kid":"{kid}","#));
        format!(r#"{{"kty":"EC","crv":"P-256",{kid}"x":"{}","y":"{}"{more}}}"#, text(&x), text(&y))
    }

    #[test]
    fn keys_of_a_set_that_are_for_us_and_in_use_are_taken() {
        #[track_caller]
        fn check(text: &str, expect: Option<&[&str]>) {
            let set = KeySet::from_json(&Scheme::moneykit(), text.as_bytes()).ok();
            assert_eq!(set.as_ref().map(|set| set.ids().collect::<Vec<_>>()).as_deref(), expect);
        }
        let [a, b] = ["a", "b"].map(|kid| jwk(Some(kid), r#","use":"sig","alg":"ES256""#));
        check(&format!(r#"{{"keys":[{a},{b}]}}"#), Some(&["a", "b"]));
        check(&format!(r#"{{"key":{a},"request_id":"r"}}"#), Some(&["a"]));
        check(&format!(r#"{{"keys":[{}]}}"#, jwk(None, "")), Some(&["unnamed"]));
        // of kinds that we do not know, for encryption, of another algorithm, no keys at all
        let others = [
            r#"{"kty":"FUTURE"}"#.to_owned(),
            r#"{"kid":"x"}"#.to_owned(),
            "7".to_owned(),
            jwk(Some("e"), r#","use":"enc""#),
            jwk(Some("r"), r#","alg":"RS256""#),
        ];
        check(&format!(r#"{{"keys":[{},{b}]}}"#, others.join(",")), Some(&["b"]));
        check(
            &format!(r#"{{"key":{}}}"#, jwk(Some("old"), r#","expired_at":1767323045"#)),
            Some(&[]),
        );
        let null = jwk(Some("new"), r#","expired_at":null"#);
        check(&format!(r#"{{"key":{null}}}"#), Some(&["new"]));
        check(r#"{"keys":[]}"#, Some(&[]));
        // what it may be used for
        let ops = |ops: &str| {
            format!(r#"{{"keys":[{}]}}"#, jwk(Some("o"), &format!(r#","key_ops":{ops}"#)))
        };
        check(&ops(r#"["verify"]"#), Some(&["o"]));
        check(&ops(r#"["sign","verify"]"#), Some(&["o"]));
        for other in [r#"["sign"]"#, "[]", r#"["encrypt"]"#, r#""verify""#] {
            check(&ops(other), Some(&[]));
        }
        // whoever reads a private part signs as its owner: nothing of such a set is believed
        let private = jwk(Some("p"), r#","d":"AAAA""#);
        check(&private, None);
        check(&format!(r#"{{"key":{private}}}"#), None);
        check(&format!(r#"{{"keys":[{b},{private}]}}"#), None);
        check(&jwk(Some("p"), r#","d":null"#), Some(&["p"]));
        check(r#"{"keys":{}}"#, None);
        check("<html>", None);
        check("", None);
        check(&format!(r#"{{"keys":[{}]}}"#, vec![a; 33].join(",")), None);
        let up = KeySet::from_json(&Scheme::up(), br#"{"keys":[]}"#);
        assert!(up.unwrap_err().to_string().contains("shared secrets"));
    }

    #[test]
    fn a_secret_without_a_key_that_can_be_used_is_refused_and_says_what_is_there() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let secret = crate::Secret::new(text).unwrap();
            let made = crate::Verifier::new(Scheme::plaid(), vec![("file".into(), secret)]);
            let message = made.unwrap_err().to_string();
            let expect =
                format!("the key's text has no key that can be used, but {expect}; expected");
            assert!(message.contains(&expect), "`{message}` should contain `{expect}`");
            assert!(message.contains("a public key for ES256"), "{message}");
        }
        let expired = jwk(Some("old"), r#","expired_at":1767323045"#);
        check(r#"{"keys":[]}"#, "none at all");
        check(
            r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"FUTURE"},7]}"#,
            "1 for another algorithm (`kty`, `crv`, `alg`, bits), 2 that cannot be read",
        );
        check(&format!(r#"{{"keys":[{expired},{expired}]}}"#), "2 out of use (`expired_at`)");
        check(&format!(r#"{{"key":{expired}}}"#), "1 out of use (`expired_at`)");
        check(&jwk(Some("e"), r#","use":"enc""#), "1 for something else (`use`, `key_ops`)");
    }

    #[test]
    fn a_key_without_a_name_is_for_every_request() {
        let set = |kid| {
            let text = format!(r#"{{"keys":[{}]}}"#, jwk(kid, ""));
            KeySet::from_json(&Scheme::moneykit(), text.as_bytes()).unwrap()
        };
        assert!(set(Some("a")).has("a") && !set(Some("a")).has("b"));
        assert!(set(None).has("b"));
        assert!(set(Some("a")).with(&set(Some("b"))).has("b"));
        assert_eq!(format!("{:?}", set(Some("a"))), r#"["a"]"#);
    }
}
