//! Reads public keys (and, for a sender, private ones) as operators hold them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Public};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509StoreContext};

use super::{Key, KeyError, Named, jwk};
use crate::scheme::Algorithm;

/// RSA keys below this are refused, as NIST SP 800-131A has it; above the other bound each request
/// would cost milliseconds.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

const EXPECTED: &str = "a public key or certificate chain in PEM, a public key's bare base64, a \
     JWK, a JWKS, or `whpk_` and base64, of the scheme's algorithm (RSA from 2048 bits)";

const WRONG: KeyError = KeyError::Encoding { expected: EXPECTED };

/// The keys in `text` that fit `algorithm`, at least one.
pub(super) fn read(text: &[u8], algorithm: Algorithm) -> Result<Vec<Named>, KeyError> {
    let text = std::str::from_utf8(text).map_err(|_| WRONG)?.trim();
    if let Some(encoded) = text.strip_prefix("whpk_") {
        let raw = STANDARD.decode(encoded).map_err(|_| WRONG)?;
        let key = PKey::public_key_from_raw_bytes(&raw, Id::ED25519).map_err(|_| WRONG)?;
        return one(key, algorithm);
    }
    if let Some(encoded) = text.strip_prefix("whsk_") {
        let raw = STANDARD.decode(encoded).map_err(|_| WRONG)?;
        let seed = raw.get(..32).filter(|_| matches!(raw.len(), 32 | 64)).ok_or(WRONG)?;
        let key = PKey::private_key_from_raw_bytes(seed, Id::ED25519).map_err(|_| WRONG)?;
        fits(&key, algorithm)?;
        return Ok(vec![Key::Private(algorithm, key).into()]);
    }
    if text.starts_with('\u{feff}') {
        return Err(KeyError::Form {
            found: "text behind a byte order mark".to_owned(),
            expected: "the same without it",
        });
    }
    if text.starts_with(['{', '[']) {
        return jwk::read(text, algorithm)?.some(algorithm);
    }
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return chain(text.as_bytes(), algorithm);
    }
    if !text.contains("-----BEGIN") {
        return bare(text, algorithm);
    }
    if text.contains("PRIVATE KEY-----") {
        let key = PKey::private_key_from_pem(text.as_bytes()).map_err(|_| WRONG)?;
        fits(&key, algorithm)?;
        return Ok(vec![Key::Private(algorithm, key).into()]);
    }
    one(PKey::public_key_from_pem(text.as_bytes()).map_err(|_| WRONG)?, algorithm)
}

/// The base64 inside a PEM alone (DER of a `SubjectPublicKeyInfo`), as Starling's portal shows it.
fn bare(text: &str, algorithm: Algorithm) -> Result<Vec<Named>, KeyError> {
    let encoded: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(encoded).map_err(|_| WRONG)?;
    one(PKey::public_key_from_der(&der).map_err(|_| WRONG)?, algorithm)
}

fn one(key: PKey<Public>, algorithm: Algorithm) -> Result<Vec<Named>, KeyError> {
    fits(&key, algorithm)?;
    Ok(vec![Key::Public(algorithm, key).into()])
}

/// Whether the key is of the algorithm's kind, curve and strength.
pub(super) fn fits<T: HasPublic>(key: &PKeyRef<T>, algorithm: Algorithm) -> Result<(), KeyError> {
    let on = |curve: Nid| key.ec_key().is_ok_and(|key| key.group().curve_name() == Some(curve));
    let fits = match algorithm {
        Algorithm::HmacSha256 | Algorithm::HmacSha512 => false,
        Algorithm::Ed25519 => key.id() == Id::ED25519,
        Algorithm::Es256 => on(Nid::X9_62_PRIME256V1),
        Algorithm::Es512 => on(Nid::SECP521R1),
        Algorithm::RsaSha256 | Algorithm::RsaSha256Twice | Algorithm::RsaSha512 => {
            key.id() == Id::RSA && RSA_BITS.contains(&key.bits())
        }
    };
    if fits { Ok(()) } else { Err(WRONG) }
}

/// The key of a certificate chain: the sender's own first, the pinned issuer last. Every certificate
/// must be issued by the one after it; the key is active while all are valid.
pub(super) fn chain(pem: &[u8], algorithm: Algorithm) -> Result<Vec<Named>, KeyError> {
    const BROKEN: KeyError = KeyError::Encoding {
        expected: "a certificate chain: the sender's own first, each issued by the next, the \
             pinned issuer last, all valid at one time",
    };
    let certificates = X509::stack_from_pem(pem).map_err(|_| WRONG)?;
    let (Some(leaf), Some(anchor)) = (certificates.first(), certificates.last()) else {
        return Err(WRONG);
    };
    let seconds = |time: &Asn1TimeRef| -> Option<i64> {
        let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
        i64::from(since.days).checked_mul(86_400)?.checked_add(i64::from(since.secs))
    };
    let starts = certificates.iter().map(|it| seconds(it.not_before()));
    let ends = certificates.iter().map(|it| seconds(it.not_after()));
    let start = starts.collect::<Option<Vec<_>>>().and_then(|it| it.into_iter().max());
    let end = ends.collect::<Option<Vec<_>>>().and_then(|it| it.into_iter().min());
    let (Some(start), Some(end)) = (start, end) else { return Err(BROKEN) };
    let issued = || -> Result<bool, ErrorStack> {
        let mut param = X509VerifyParam::new()?;
        param.set_time(start);
        param.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        let mut store = X509StoreBuilder::new()?;
        store.add_cert(anchor.clone())?;
        store.set_param(&param)?;
        let mut between = Stack::new()?;
        for certificate in certificates.iter().skip(1) {
            between.push(certificate.clone())?;
        }
        X509StoreContext::new()?.init(
            &store.build(),
            leaf,
            &between,
            openssl::x509::X509StoreContextRef::verify_cert,
        )
    };
    if !issued().map_err(|_| BROKEN)? || start > end {
        return Err(BROKEN);
    }
    let key = leaf.public_key().map_err(|_| WRONG)?;
    fits(&key, algorithm)?;
    Ok(vec![Named {
        not_before: start.checked_mul(1000),
        not_after: end.checked_mul(1000),
        ..Key::Public(algorithm, key).into()
    }])
}

#[cfg(test)]
mod tests {
    use openssl::rsa::Rsa;

    use super::*;

    #[test]
    fn a_public_key_without_its_pem_frame_is_the_same_key() {
        let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let pem = String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap();
        let bare: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let in_lines =
            pem.replace("-----BEGIN PUBLIC KEY-----", "").replace("-----END PUBLIC KEY-----", "");
        for text in [pem, bare, in_lines] {
            let keys = read(text.as_bytes(), Algorithm::RsaSha512).unwrap();
            let Key::Public(_, key) = &keys[0].key else { panic!("{text}") };
            assert!(key.public_eq(&rsa));
            assert!(read(text.as_bytes(), Algorithm::Es256).is_err());
        }
        assert!(read(b"AAAA", Algorithm::RsaSha512).is_err());
    }

    #[test]
    fn a_text_of_the_wrong_form_is_named_and_not_answered_with_a_list_of_all_forms() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let error = read(text.as_bytes(), Algorithm::Es256).map(|_| ()).unwrap_err();
            let message = error.to_string();
            assert_eq!(message, format!("the key's text is {expect}"), "{text}");
        }
        let set = "expected a JWK, or a set of them: `{\"keys\": [...]}`";
        check(
            "\u{feff}{\"keys\":[]}",
            "text behind a byte order mark; expected the same without it",
        );
        check("[{\"kty\":\"EC\"}]", &format!("a JSON array; {set}"));
        check("{\"keys\":{}}", &format!("JSON whose `keys` is no list; {set}"));
        check("{\"a\":1}", &format!("JSON without `keys` and without `kty`; {set}"));
        check("{\"kty\":7}", &format!("JSON with a member of another type or there twice; {set}"));
        check("{\"keys\":[", &format!("broken JSON (line 1, column 9); {set}"));
    }
}
