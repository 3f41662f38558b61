//! Whole requests, written as in HTTP: `Name: value` lines, an empty line, the body.

use std::sync::LazyLock;

use signatures::{
    Carrier, Explanation, FreeScheme, Header, Integrity, Scheme, Secret, SignedPart, Signer,
    Verifier, explain,
};

use super::token::{ES256, ES512};

/// When everything is signed and judged.
pub const AT: i64 = 1_772_501_000_000;

/// A shared secret that every key encoding can read.
const SHARED: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";

/// The private half, bytes 0 to 31, and the public one.
const ED25519: [&str; 2] = [
    "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
];

const BODIES: [&str; 2] = ["", r#"{"id":"evt_1","data":{"amount":[5,"\u00e9",null]}}"#];

const ITEM: &str = r#"{"notificationItems":[{"NotificationRequestItem":{"pspReference":"P",
    "merchantReference":"a:b","amount":{"value":5,"currency":"AUD"},"success":"true"}}]}"#;

/// Schemes of partners whose headers hold more than a signature.
const PARTNERS: [&str; 4] = [
    "header = \"x-s\"\nparse = { template = \"{timestamp}.{signature}\" }\n\
     signed = \"{timestamp}.{body}\"\nalgorithm = \"hmac-sha256\"",
    "header = \"x-s\"\nparse = { template = \"v0={signatures:,}\" }\nsigned = \"{body}\"\n\
     algorithm = \"hmac-sha256\"",
    "header = \"x-s\"\nparse = { pairs = { timestamp = \"t\", signature = [\"v1\", \"v2\"] } }\n\
     signed = \"{timestamp}.{body}\"\nalgorithm = \"hmac-sha256\"",
    "header = \"x-s\"\nparse = { pairs = { signature = \"v1\" } }\n\
     signed = \"{timestamp}.{header:x-own-id}.{body}\"\nalgorithm = \"hmac-sha256\"\n\
     timestamp = { header = \"x-own-time\" }",
];

/// Schemes that one parser reads.
pub type Group = LazyLock<Vec<Case>>;

/// A scheme with its key, and requests that are genuine.
pub struct Case {
    verifier: Verifier,
    genuine: Vec<Genuine>,
}

struct Genuine {
    headers: Vec<Header>,
    body: Vec<u8>,
    signed: Vec<SignedPart>,
}

static PLAIN: Group =
    LazyLock::new(|| [Scheme::up(), Scheme::github(), Scheme::convoy()].map(shared).into());
static PAIRS: Group =
    LazyLock::new(|| [Scheme::stripe(), Scheme::convoy_advanced()].map(shared).into());
static LAYOUTS: Group = LazyLock::new(|| {
    let of = |table: &str| {
        let table: FreeScheme = toml::from_str(table).expect("a table");
        shared(table.scheme("partner").expect("a scheme"))
    };
    PARTNERS.map(of).into()
});
static VERSIONS: Group = LazyLock::new(|| {
    let [private, public] = ED25519;
    let scheme = Scheme::standard_webhooks();
    vec![shared(scheme.clone()), Case::new(scheme, private, public), shared(Scheme::svix())]
});
static FIELDS: Group = LazyLock::new(|| vec![shared(Scheme::demoz())]);
static TOKENS: Group = LazyLock::new(|| {
    let schemes = [Scheme::moneykit(), Scheme::plaid()];
    schemes.map(|scheme| Case::new(scheme, &ES256.private, &ES256.public)).into()
});
static DETACHED: Group = LazyLock::new(|| {
    let scheme = Scheme::truelayer().with_param("path", "/hook").expect("a path is its parameter");
    vec![Case::new(scheme, &ES512.private, &ES512.public)]
});
static ITEMS: Group = LazyLock::new(|| vec![shared(Scheme::adyen())]);

/// The groups by the names of their targets.
pub const GROUPS: [(&str, &Group); 8] = [
    ("plain", &PLAIN),
    ("pairs", &PAIRS),
    ("layouts", &LAYOUTS),
    ("versions", &VERSIONS),
    ("fields", &FIELDS),
    ("tokens", &TOKENS),
    ("detached", &DETACHED),
    ("items", &ITEMS),
];

fn shared(scheme: Scheme) -> Case {
    Case::new(scheme, SHARED, SHARED)
}

impl Case {
    fn new(scheme: Scheme, private: &str, public: &str) -> Self {
        let secret = |text: &str| Secret::new(text).expect("a key");
        let keys = vec![("only".to_owned(), secret(public))];
        let verifier = Verifier::new(scheme.clone(), keys).expect("a verifier");
        let signer = Signer::new(scheme, &secret(private)).expect("a signer").named("k1");
        let bodies = if is_items(&verifier) { &[ITEM][..] } else { &BODIES };
        let genuine = bodies.iter().map(|body| Genuine::new(&signer, &verifier, body)).collect();
        Self { verifier, genuine }
    }

    /// Whether what was signed is what a genuine sender signed; of items, one by one.
    fn is_genuine(&self, told: &Explanation, body: &[u8]) -> bool {
        if is_items(&self.verifier) {
            let known: Vec<_> = self.genuine.iter().flat_map(|it| &it.signed).collect();
            return told.signed.iter().all(|part| known.contains(&part));
        }
        let is_whole = self.verifier.scheme().integrity == Integrity::Full;
        let mut genuine = self.genuine.iter();
        genuine.any(|it| it.signed == told.signed && (!is_whole || it.body == body))
    }
}

fn is_items(verifier: &Verifier) -> bool {
    verifier.scheme().carrier == Carrier::Items
}

impl Genuine {
    fn new(signer: &Signer, verifier: &Verifier, body: &str) -> Self {
        let names = ["webhook-id", "svix-id", "x-demoz-nonce", "content-type", "x-own-id"];
        let field = |name: &str| Header { name: name.into(), value: "msg_1".into() };
        let mut headers = Vec::new();
        let mut body = body.as_bytes().to_vec();
        if is_items(verifier) {
            body = signer.sign_items(&body).expect("the items are signed");
        } else {
            headers = signer.sign(&names.map(field), &body, AT).expect("the body is signed");
        }
        let told = explain(verifier, &headers, &body, AT);
        assert_eq!(told.reason, None, "what was signed is accepted");
        Self { headers, body, signed: told.signed }
    }

    /// The request as text.
    fn text(&self) -> Vec<u8> {
        let lines = self.headers.iter().map(|it| format!("{}: {}\n", it.name, it.value));
        let head: String = lines.chain(["\n".to_owned()]).collect();
        [head.as_bytes(), &self.body].concat()
    }
}

/// The genuine requests of a group.
pub fn seeds(group: &Group) -> Vec<Vec<u8>> {
    group.iter().flat_map(|case| case.genuine.iter().map(Genuine::text)).collect()
}

/// Judges a request by every scheme of a group.
pub fn judge(group: &Group, data: &[u8]) {
    let (headers, body) = read(data);
    for case in group.iter() {
        let verdict = case.verifier.verify(&headers, body, AT);
        let told = explain(&case.verifier, &headers, body, AT);
        assert_eq!(told.reason, verdict.as_ref().err().copied(), "both judge alike");
        if let Ok(verified) = verdict {
            assert_eq!(verified.key_id, "only");
            assert!(case.is_genuine(&told, body), "accepted, and never signed");
        }
    }
}

fn read(data: &[u8]) -> (Vec<(String, Vec<u8>)>, &[u8]) {
    let mut rest = data;
    let mut headers = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix(b"\n").unwrap_or(after);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b": ").unwrap_or(value);
        headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    (headers, rest)
}
