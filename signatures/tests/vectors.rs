//! Golden vectors (`vectors/*.json`): genuine requests and near misses, made with keys and bodies of
//! our own by another implementation of HMAC than the one under test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use signatures::{FreeScheme, Header, Reason, Scheme, Secret, Signer, Verifier, explain};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    scheme: String,
    /// The table of a partner's scheme, where the scheme is not built in.
    free: Option<String>,
    secrets: Vec<(String, String)>,
    #[serde(default)]
    params: Vec<(String, String)>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    /// Seconds since the Unix epoch at which the request is judged.
    at: i64,
    accepted_by: Option<String>,
    rejected: Option<Reason>,
}

impl Case {
    fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
            _ => panic!("{}: one body", self.name),
        }
    }
}

impl Vectors {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap()
    }

    fn scheme(&self) -> Scheme {
        let scheme = match &self.free {
            None => Scheme::by_name(&self.scheme).unwrap(),
            Some(table) => {
                toml::from_str::<FreeScheme>(table).unwrap().scheme(&self.scheme).unwrap()
            }
        };
        let set = |scheme: Scheme, (name, value): &(String, String)| {
            scheme.with_param(name, value).unwrap()
        };
        self.params.iter().fold(scheme, set)
    }

    fn secrets(&self) -> Vec<(String, Secret)> {
        let secret = |(id, text): &(String, String)| (id.clone(), Secret::new(&**text).unwrap());
        self.secrets.iter().map(secret).collect()
    }
}

fn check(text: &str) {
    let vectors = Vectors::read(text);
    let verifier = Verifier::new(vectors.scheme(), vectors.secrets()).unwrap();
    for case in &vectors.cases {
        let headers: Vec<_> = case
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect();
        let verdict = verifier.verify(&headers, &case.body(), case.at * 1000);
        let expect = match (&case.accepted_by, case.rejected) {
            (Some(key), None) => Ok(key.clone()),
            (None, Some(reason)) => Err(reason),
            _ => panic!("{}: one verdict", case.name),
        };
        assert_eq!(verdict.map(|it| it.key_id), expect, "{}: {}", vectors.scheme, case.name);
        let explained = explain(&verifier, &headers, &case.body(), case.at * 1000);
        assert_eq!(explained.reason, case.rejected, "{}: {}", vectors.scheme, case.name);
    }
}

/// One test for each file, by the name of its scheme.
macro_rules! vectors {
    ($($test:ident: $file:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            check(include_str!(concat!("vectors/", $file, ".json")));
        })*
    };
}

vectors! {
    up_requests_are_judged_as_the_vectors_say: "up",
    stripe_requests_are_judged_as_the_vectors_say: "stripe",
    github_requests_are_judged_as_the_vectors_say: "github",
    gocardless_requests_are_judged_as_the_vectors_say: "gocardless",
    modern_treasury_requests_are_judged_as_the_vectors_say: "modern-treasury",
    demoz_requests_are_judged_as_the_vectors_say: "demoz",
    standard_webhooks_requests_are_judged_as_the_vectors_say: "standard-webhooks",
    svix_requests_are_judged_as_the_vectors_say: "svix",
    simple_convoy_requests_are_judged_as_the_vectors_say: "convoy-simple",
    advanced_convoy_requests_are_judged_as_the_vectors_say: "convoy-advanced",
    convoy_requests_of_other_settings_are_judged_as_the_vectors_say: "convoy-sha512-base64",
    ed25519_requests_are_judged_as_the_vectors_say: "standard-webhooks-ed25519",
    moneykit_requests_are_judged_as_the_vectors_say: "moneykit",
    plaid_requests_are_judged_as_the_vectors_say: "plaid",
    wise_requests_are_judged_as_the_vectors_say: "wise",
    starling_requests_are_judged_as_the_vectors_say: "starling",
    moneykit_tokens_are_judged_as_the_vectors_say: "moneykit-tokens",
    truelayer_requests_are_judged_as_the_vectors_say: "truelayer",
    adyen_requests_are_judged_as_the_vectors_say: "adyen",
    paypal_requests_are_judged_as_the_vectors_say: "paypal",
    paypal_requests_of_a_certificate_are_judged_as_the_vectors_say: "paypal-chain",
    requests_with_the_time_in_front_are_judged_as_the_vectors_say: "free-time-in-front",
    requests_with_a_list_of_signatures_are_judged_as_the_vectors_say: "free-list",
    requests_with_signatures_of_two_names_are_judged_as_the_vectors_say: "free-two-names",
    requests_with_pairs_and_a_time_beside_them_are_judged_as_the_vectors_say: "free-pairs-and-time",
    requests_that_name_their_signed_headers_are_judged_as_the_vectors_say: "free-named-headers",
    requests_that_are_hashed_twice_are_judged_as_the_vectors_say: "free-hashed-twice",
}

#[test]
fn a_certificate_chain_must_be_whole_and_in_order() {
    let chains: serde_json::Value =
        serde_json::from_str(include_str!("vectors/chains.json")).unwrap();
    let made = |name: &str| {
        let scheme = Scheme::paypal().with_param("webhook_id", "WH-1").unwrap();
        let secret = Secret::new(chains[name].as_str().unwrap()).unwrap();
        Verifier::new(scheme, vec![("a".into(), secret)])
    };
    assert!(made("chain").is_ok());
    for name in ["unissued", "reversed", "not_a_ca"] {
        let error = made(name).unwrap_err().to_string();
        assert!(error.contains("certificate chain"), "{name}: {error}");
    }
}

#[test]
fn a_secret_is_used_within_its_time_only() {
    let secret = |text: &str| Secret::new(text).unwrap();
    let keys = vec![
        ("old".to_owned(), secret("old").valid(None, Some(2000))),
        ("new".to_owned(), secret("new").valid(Some(1000), None)),
    ];
    let verifier = Verifier::new(Scheme::up(), keys).unwrap();
    let judge = |key: &str, now: i64| {
        let headers = signatures::sign(&Scheme::up(), &secret(key), b"{}", 0);
        verifier.verify(&headers, b"{}", now).map(|it| it.key_id)
    };
    assert_eq!(judge("old", 2000), Ok("old".into()));
    assert_eq!(judge("old", 2001), Err(Reason::SignatureMismatch));
    assert_eq!(judge("new", 999), Err(Reason::SignatureMismatch));
    assert_eq!(judge("new", 1000), Ok("new".into()));
}

#[test]
fn what_adyen_items_are_signed_with_is_accepted() {
    let key = Secret::new("00112233445566778899aabbccddeeff").unwrap();
    let body = br#"{"live":"false","notificationItems":[
        {"NotificationRequestItem":{"pspReference":"p","success":"true"}},
        {"NotificationRequestItem":{"pspReference":"q","amount":{"value":5,"currency":"AUD"}}}]}"#;
    let signed = Signer::new(Scheme::adyen(), &key).unwrap().sign_items(body).unwrap();
    let verifier = Verifier::new(Scheme::adyen(), vec![("a".into(), key)]).unwrap();
    assert!(verifier.verify(&[] as &[Header], &signed, 0).is_ok());
}

#[test]
fn our_signer_makes_the_headers_of_the_vectors() {
    for text in [
        include_str!("vectors/up.json"),
        include_str!("vectors/stripe.json"),
        include_str!("vectors/github.json"),
        include_str!("vectors/gocardless.json"),
        include_str!("vectors/modern-treasury.json"),
        include_str!("vectors/demoz.json"),
        include_str!("vectors/standard-webhooks.json"),
        include_str!("vectors/svix.json"),
        include_str!("vectors/convoy-simple.json"),
        include_str!("vectors/convoy-advanced.json"),
        include_str!("vectors/convoy-sha512-base64.json"),
        include_str!("vectors/free-time-in-front.json"),
        include_str!("vectors/free-list.json"),
        include_str!("vectors/free-two-names.json"),
    ] {
        let vectors = Vectors::read(text);
        let case = &vectors.cases[0];
        let signer = Signer::new(vectors.scheme(), &vectors.secrets()[0].1).unwrap();
        let header = |(name, value): &(String, String)| Header {
            name: name.to_lowercase(),
            value: value.clone(),
        };
        let mut expect: Vec<_> = case.headers.iter().map(header).collect();
        let mut made = signer.sign(&expect, &case.body(), case.at * 1000 + 999).unwrap();
        let by_name = |header: &Header| header.name.clone();
        expect.sort_by_key(by_name);
        made.sort_by_key(by_name);
        assert_eq!(made, expect, "{}", vectors.scheme);
    }
}

#[test]
fn bytes_that_are_not_text_in_a_header_are_malformed() {
    for name in ["up", "stripe", "github"] {
        let scheme = Scheme::by_name(name).unwrap();
        let headers = vec![(scheme.header.clone(), vec![0xff; 64])];
        let secret = Secret::new("a key").unwrap();
        let verifier = Verifier::new(scheme, vec![("a".into(), secret)]).unwrap();
        assert_eq!(verifier.verify(&headers, b"{}", 0), Err(Reason::MalformedHeader));
    }
}
