//! Tokens that are signed by the right key, whatever they say: of these, what is accepted must be of
//! this body and this time, by another reading of the same JSON.

use std::fmt::Write as _;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use serde_json::Value;
use signatures::{Scheme, Secret, Verifier};

use super::request::AT;

/// A pair of keys, in PEM.
pub struct Pair {
    key: PKey<Private>,
    pub private: String,
    pub public: String,
}

pub static ES256: LazyLock<Pair> = LazyLock::new(|| Pair::new(Nid::X9_62_PRIME256V1));
pub static ES512: LazyLock<Pair> = LazyLock::new(|| Pair::new(Nid::SECP521R1));

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let key = Secret::new(&*ES256.public).expect("a key");
    Verifier::new(Scheme::moneykit(), vec![("only".into(), key)]).expect("a verifier")
});

/// The body of every token here.
const BODY: &[u8] = b"{\"webhook_event\":\"x\"}";

impl Pair {
    /// The same in every run, so that a request found in one is understood in the next.
    fn new(curve: Nid) -> Self {
        let key = || {
            let group = EcGroup::from_curve_name(curve)?;
            let scalar = BigNum::from_slice(&[0x5a; 32])?;
            let mut point = EcPoint::new(&group)?;
            let mut context = BigNumContext::new()?;
            point.mul_generator2(&group, &scalar, &mut context)?;
            PKey::from_ec_key(EcKey::from_private_components(&group, &scalar, &point)?)
        };
        let key: PKey<Private> = key().expect("a key of this curve");
        let text = |pem: Vec<u8>| String::from_utf8(pem).expect("PEM is text");
        let private = text(key.private_key_to_pem_pkcs8().expect("a private key"));
        let public = text(key.public_key_to_pem().expect("a public key"));
        Self { key, private, public }
    }

    /// `r` and `s` over `signed`, 32 bytes each.
    fn sign(&self, signed: &[u8]) -> Vec<u8> {
        let made = || {
            let made = EcdsaSig::sign(&sha256(signed), &*self.key.ec_key()?)?;
            Ok::<_, openssl::error::ErrorStack>(
                [made.r().to_vec_padded(32)?, made.s().to_vec_padded(32)?].concat(),
            )
        };
        made().expect("the key signs")
    }
}

/// A token's header and its claims, with a line break between them. The last was taken once: its
/// `typ`, which nobody reads, is no text.
pub fn seeds() -> Vec<Vec<u8>> {
    let (iat, hash) = (AT / 1000, hex(&sha256(BODY)));
    let claims = format!("\"iat\":{iat},\"request_body_sha256\":\"{hash}\"");
    let header = r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#;
    let no_text = b"{\"alg\":\"ES256\",\"typ\":\"\xff\"}\n{".to_vec();
    let no_text = [&no_text[..], claims.as_bytes(), b"}"].concat();
    [
        format!("{header}\n{{{claims}}}"),
        format!("{header}\n{{{claims},\"exp\":{},\"nbf\":{iat}}}", iat + 60),
        format!("{{\"alg\":\"ES256\",\"crit\":[\"exp\"]}}\n{{{claims},\"iss\":\"a\"}}"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .chain([no_text])
    .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

/// Signs header and claims as they are, and judges the token.
pub fn claims(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, claims) = data.split_at(at);
    let claims = claims.strip_prefix(b"\n").unwrap_or(claims);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ES256.sign(signed.as_bytes())));
    let headers = vec![("moneykit-signature".to_owned(), token.into_bytes())];
    if VERIFIER.verify(&headers, BODY, AT).is_ok() {
        assert!(is_right(header, claims) == Some(true), "accepted: {signed}");
    }
}

/// Whether the token is for this body at this time.
fn is_right(header: &[u8], claims: &[u8]) -> Option<bool> {
    let header: Value = serde_json::from_slice(header).ok()?;
    let claims: Value = serde_json::from_slice(claims).ok()?;
    let now = AT / 1000;
    let iat = claims.get("iat")?.as_i64()?;
    let whole = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(time) => time.as_i64().map(Some),
    };
    Some(
        header.get("alg")? == "ES256"
            && header.get("crit").is_none()
            && claims.get("request_body_sha256")? == hex(&sha256(BODY)).as_str()
            && (now - 3 * 3600..=now + 300).contains(&iat)
            && whole("exp")?.is_none_or(|exp| exp > now)
            && whole("nbf")?.is_none_or(|nbf| nbf <= now),
    )
}
