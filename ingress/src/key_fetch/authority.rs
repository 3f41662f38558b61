//! Certificates of the tests' own.

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// Seconds from which on a root and what it vouches for are valid.
pub(super) const NOT_BEFORE: i64 = 1_772_000_000;

/// Seconds until which they are.
pub(super) const NOT_AFTER: i64 = NOT_BEFORE + 100 * 86_400;

/// From before every test until after it: TLS goes by the machine's clock.
const LASTING: (i64, i64) = (0, 4_000_000_000);

/// Who issues certificates.
pub(super) struct Authority {
    certificate: X509,
    key: PKey<Private>,
    /// Seconds from and until which its certificates are valid.
    span: (i64, i64),
}

fn begun(name: &str, key: &PKey<Private>, (from, until): (i64, i64)) -> X509Builder {
    let mut text = X509NameBuilder::new().unwrap();
    text.append_entry_by_text("CN", name).unwrap();
    let text = text.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&text).unwrap();
    builder.set_issuer_name(&text).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(from).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(until).unwrap()).unwrap();
    builder
}

fn authority_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn ended(mut builder: X509Builder, key: &PKey<Private>) -> X509 {
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

impl Authority {
    /// One that vouches for itself.
    pub(super) fn root(name: &str) -> Self {
        Self::spanning(name, (NOT_BEFORE, NOT_AFTER))
    }

    /// One that vouches for itself, whenever a test runs.
    pub(super) fn lasting(name: &str) -> Self {
        Self::spanning(name, LASTING)
    }

    fn spanning(name: &str, span: (i64, i64)) -> Self {
        let key = authority_key();
        let mut builder = begun(name, &key, span);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        Self { certificate: ended(builder, &key), key, span }
    }

    /// One that is none, but signs.
    pub(super) fn of(certificate: &[u8], key: PKey<Private>) -> Self {
        let certificate = X509::from_pem(certificate).unwrap();
        Self { certificate, key, span: (NOT_BEFORE, NOT_AFTER) }
    }

    /// One that this one vouches for.
    pub(super) fn issues(&self, name: &str) -> Self {
        let key = authority_key();
        let mut builder = begun(name, &key, self.span);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        Self { certificate: ended(builder, &self.key), key, span: self.span }
    }

    /// A sender's certificate for `name` in PEM, and its key.
    pub(super) fn certificate(&self, name: &str) -> (Vec<u8>, PKey<Private>) {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut builder = begun(name, &key, self.span);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        let names = SubjectAlternativeName::new()
            .dns(name)
            .build(&builder.x509v3_context(Some(&self.certificate), None))
            .unwrap();
        builder.append_extension(BasicConstraints::new().critical().build().unwrap()).unwrap();
        builder.append_extension(names).unwrap();
        (ended(builder, &self.key).to_pem().unwrap(), key)
    }

    /// Its certificate in PEM.
    pub(super) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }
}
