//! Golden vectors (`vectors/*.json`): genuine requests and near misses, made with keys and bodies of
//! our own by another implementation of HMAC than the one under test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use signatures::{Header, Reason, Scheme, Secret, Verifier, sign};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    scheme: String,
    secrets: Vec<(String, String)>,
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

fn check(text: &str) {
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    let scheme = Scheme::by_name(&vectors.scheme).unwrap();
    let secrets: Vec<_> = vectors
        .secrets
        .iter()
        .map(|(id, secret)| (id.clone(), Secret::new(secret.as_str()).unwrap()))
        .collect();
    let verifier = Verifier::new(scheme, secrets).unwrap();
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
    }
}

#[test]
fn up_requests_are_judged_as_the_vectors_say() {
    check(include_str!("vectors/up.json"));
}

#[test]
fn stripe_requests_are_judged_as_the_vectors_say() {
    check(include_str!("vectors/stripe.json"));
}

#[test]
fn our_signer_makes_the_headers_of_the_vectors() {
    for text in [include_str!("vectors/up.json"), include_str!("vectors/stripe.json")] {
        let vectors: Vectors = serde_json::from_str(text).unwrap();
        let scheme = Scheme::by_name(&vectors.scheme).unwrap();
        let case = &vectors.cases[0];
        let secret = Secret::new(vectors.secrets[0].1.as_str()).unwrap();
        let value = case.headers[0].1.clone();
        let expect = vec![Header { name: case.headers[0].0.to_lowercase(), value }];
        assert_eq!(sign(&scheme, &secret, &case.body(), case.at * 1000 + 999), expect);
    }
}

#[test]
fn bytes_that_are_not_text_in_a_header_are_malformed() {
    for scheme in [Scheme::up(), Scheme::stripe()] {
        let headers = vec![(scheme.header.clone(), vec![0xff; 64])];
        let secret = Secret::new("a key").unwrap();
        let verifier = Verifier::new(scheme, vec![("a".into(), secret)]).unwrap();
        assert_eq!(verifier.verify(&headers, b"{}", 0), Err(Reason::MalformedHeader));
    }
}
