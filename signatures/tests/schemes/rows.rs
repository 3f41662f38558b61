//! The schemes, each with keys of its own.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use signatures::{
    Algorithm, FreeScheme, Header, KeyEncoding, Reason, Scheme, Secret, Signer, Verifier,
};

/// When everything is signed: a whole second, as most schemes write it.
pub(crate) const AT: i64 = 1_772_501_000_000;

/// Every built-in scheme but Adyen's, which signs no whole body; their variants; partners' own.
pub(crate) static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let named = Scheme::NAMES.iter().filter(|name| **name != "adyen");
    let named = named.map(|name| (*name, Scheme::by_name(name).unwrap(), None));
    let convoy = Scheme::convoy().with_param("hash", "SHA512").unwrap();
    let convoy = convoy.with_param("encoding", "base64").unwrap();
    let ed25519 = Some(Algorithm::Ed25519);
    let variants = [
        ("convoy, advanced", Scheme::convoy_advanced(), None),
        ("convoy, SHA512 and base64", convoy, None),
        ("standard-webhooks, v1a", Scheme::standard_webhooks(), ed25519),
        ("svix, v1a", Scheme::svix(), ed25519),
    ];
    let free = FREE.iter().map(|(name, table)| {
        let table: FreeScheme = toml::from_str(table).unwrap();
        (*name, table.scheme("partner").unwrap(), None)
    });
    let rows = named.chain(variants).chain(free);
    rows.map(|(name, scheme, algorithm)| Row::new(name, scheme, algorithm)).collect()
});

/// Partners that need no code.
const FREE: [(&str, &str); 13] = [
    (
        "free, pairs and a hex key",
        "header = \"x-own\"\nparse = { pairs = { timestamp = \"ts\", signature = \"sig\" } }\n\
         signed = \"v0:{timestamp}:{body}\"\nalgorithm = \"hmac-sha512\"\nkey = \"hex\"",
    ),
    (
        "free, milliseconds and an id",
        "header = \"x-own\"\nsigned = \"{timestamp}.{header:x-own-id}.{body}\"\n\
         algorithm = \"hmac-sha256\"\nkey = \"base64\"\nsignature = \"base64url\"\n\
         timestamp = { header = \"x-own-time\", form = \"unix-ms\" }\ntolerance_past_s = 60\n\
         tolerance_future_s = 5",
    ),
    (
        "free, versions",
        "header = \"x-own\"\nparse = { versions = [\"v2\"] }\nsigned = \"{timestamp}.{body}\"\n\
         algorithm = \"hmac-sha256\"\nsignature = \"base64\"\n\
         timestamp = { header = \"x-own-time\" }",
    ),
    (
        "free, ed25519",
        "header = \"x-own\"\nparse = { prefix = \"ed25519=\" }\nsigned = \"{timestamp}|{body}\"\n\
         algorithm = \"ed25519\"\ntimestamp = { header = \"x-own-time\", form = \"rfc3339\" }",
    ),
    (
        "free, es512",
        "header = \"x-own\"\nsigned = \"{body}\"\nalgorithm = \"es512\"\nsignature = \"base64\"",
    ),
    (
        "free, rsa",
        "header = \"x-own\"\nsigned = \"{timestamp}.{body}\"\nalgorithm = \"rsa-sha256\"\n\
         signature = \"base64\"\ntimestamp = { header = \"x-own-time\" }",
    ),
    (
        "free, the time in front",
        "header = \"x-own\"\nparse = { template = \"{timestamp}.{signature}\" }\n\
         signed = \"{timestamp}.{body}\"\nalgorithm = \"hmac-sha256\"",
    ),
    (
        "free, texts around a time",
        "header = \"x-own\"\nparse = { template = \"at {timestamp}; by {signatures:|}\" }\n\
         signed = \"{timestamp}.{header:x-own-id}.{body}\"\nalgorithm = \"hmac-sha512\"\n\
         signature = \"base64\"\ntimestamp = { form = \"rfc3339\" }",
    ),
    (
        "free, several signatures",
        "header = \"x-own\"\nparse = { template = \"v0={signatures:,}\" }\nsigned = \"{body}\"\n\
         algorithm = \"hmac-sha256\"",
    ),
    (
        "free, pairs of two names",
        "header = \"x-own\"\n\
         parse = { pairs = { timestamp = \"t\", signature = [\"v1\", \"v2\"] } }\n\
         signed = \"{timestamp}.{body}\"\nalgorithm = \"hmac-sha256\"",
    ),
    (
        "free, pairs without a time",
        "header = \"x-own\"\nparse = { pairs = { signature = \"v1\" } }\n\
         signed = \"v1.{timestamp}.{body}\"\nalgorithm = \"hmac-sha256\"\n\
         timestamp = { header = \"x-own-time\", form = \"unix-ms\" }",
    ),
    (
        "free, hashed twice",
        "header = \"x-own\"\nparse = { pairs = { timestamp = \"t\", signature = \"v0\" } }\n\
         signed = \"{timestamp}.{body}\"\nalgorithm = \"rsa-sha256-twice\"\n\
         signature = \"base64\"\ntimestamp = { form = \"unix-ms\" }",
    ),
    ("free, a token", "header = \"x-own\"\nparse = \"jwt\"\nalgorithm = \"es512\""),
];

/// A scheme with a sender's key, what a receiver holds of it, and what a receiver holds of another.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) scheme: Scheme,
    pub(crate) key: String,
    pub(crate) public: String,
    pub(crate) other: String,
}

impl Row {
    fn new(name: &'static str, scheme: Scheme, algorithm: Option<Algorithm>) -> Self {
        let params: Vec<_> = scheme.missing_params().map(str::to_owned).collect();
        let set = |scheme: Scheme, name: &String| scheme.with_param(name, "/own").unwrap();
        let scheme = params.iter().fold(scheme, set);
        let algorithm = algorithm.unwrap_or(scheme.algorithm);
        let ((key, public), (_, other)) = (keys(&scheme, algorithm), keys(&scheme, algorithm));
        Self { name, scheme, key, public, other }
    }

    pub(crate) fn verifier(&self, key: &str) -> Verifier {
        let secret = Secret::new(key).unwrap();
        Verifier::new(self.scheme.clone(), vec![("only".into(), secret)]).unwrap()
    }

    /// Genuine headers for `body`.
    pub(crate) fn signed(&self, body: &[u8]) -> Vec<Header> {
        self.signed_as(&self.scheme, body)
    }

    /// Headers for `body` by another scheme under the same key.
    pub(crate) fn signed_as(&self, scheme: &Scheme, body: &[u8]) -> Vec<Header> {
        let field = |name: &str| Header { name: name.into(), value: "msg_2KWPBgLl-af".into() };
        let fields = match self.scheme.name.as_str() {
            "standard-webhooks" => vec![field("webhook-id")],
            "svix" => vec![field("svix-id")],
            "demoz" => vec![field("x-demoz-nonce")],
            "paypal" => vec![field("paypal-transmission-id")],
            "truelayer" => vec![field("content-type")],
            "partner" => vec![field("x-own-id")],
            _ => vec![],
        };
        let signer = Signer::new(scheme.clone(), &Secret::new(&*self.key).unwrap()).unwrap();
        signer.sign(&fields, body, AT).unwrap()
    }

    pub(crate) fn judge(
        &self,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Result<String, Reason> {
        self.verifier(&self.public).verify(headers, body, AT).map(|it| it.key_id)
    }
}

pub(crate) fn raw(headers: Vec<Header>) -> Vec<(String, Vec<u8>)> {
    headers.into_iter().map(|header| (header.name, header.value.into_bytes())).collect()
}

/// A new key for a sender, and the same for a receiver.
fn keys(scheme: &Scheme, algorithm: Algorithm) -> (String, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let private = match algorithm {
        Algorithm::Es256 => ec(Nid::X9_62_PRIME256V1),
        Algorithm::Es512 => ec(Nid::SECP521R1),
        Algorithm::Ed25519 => PKey::generate_ed25519().unwrap(),
        Algorithm::RsaSha256 | Algorithm::RsaSha256Twice | Algorithm::RsaSha512 => {
            PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
        }
        Algorithm::HmacSha256 | Algorithm::HmacSha512 => {
            let text = format!("{:032}", COUNT.fetch_add(1, Ordering::Relaxed));
            let text = match scheme.key_encoding {
                KeyEncoding::StandardWebhooks => format!("whsec_{text}"),
                KeyEncoding::Utf8 => format!("a key {text}"),
                _ => text,
            };
            return (text.clone(), text);
        }
    };
    if scheme.key_encoding == KeyEncoding::StandardWebhooks {
        let seed = private.raw_private_key().unwrap();
        let point = private.raw_public_key().unwrap();
        return (
            format!("whsk_{}", STANDARD.encode([seed, point.clone()].concat())),
            format!("whpk_{}", STANDARD.encode(point)),
        );
    }
    let pem = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let public = pem(private.public_key_to_pem().unwrap());
    (pem(private.private_key_to_pem_pkcs8().unwrap()), public)
}

fn ec(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}
