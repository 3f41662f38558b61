//! The providers' own libraries as senders and receivers: what they sign we take, what we sign they
//! take, and what was changed on its way neither does.
//!
//! They are Python packages, kept in a virtual environment of their own below `.bankstream/`. `sdk.py`
//! has one class for each.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod python;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use signatures::{Header, Reason, Scheme, Secret, Signer, Verifier};
use streams::{Clock as _, SystemClock};

/// Requests of each library.
const REQUESTS: usize = 20;

/// A request, and what one needs to judge it or to make another.
#[derive(Clone, Deserialize, Serialize)]
struct Case {
    library: String,
    scheme: String,
    params: BTreeMap<String, String>,
    private: String,
    public: String,
    fields: Vec<String>,
    signs: bool,
    headers: Vec<(String, String)>,
    body: String,
}

impl Case {
    fn scheme(&self) -> Scheme {
        let scheme = Scheme::by_name(&self.scheme).unwrap();
        let set = |scheme: Scheme, (name, value): (&String, &String)| {
            scheme.with_param(name, value).unwrap()
        };
        self.params.iter().fold(scheme, set)
    }

    fn body(&self) -> Vec<u8> {
        STANDARD.decode(&self.body).unwrap()
    }

    /// Who it is of, and what it holds, for the message of a failed test.
    fn told(&self) -> String {
        let body = String::from_utf8_lossy(&self.body()).into_owned();
        format!("{}: {:?} {body:?}", self.library, self.headers)
    }

    fn judge(&self, body: &[u8], now: i64) -> Result<String, Reason> {
        let key = Secret::new(&*self.public).unwrap();
        let verifier = Verifier::new(self.scheme(), vec![("key".into(), key)]).unwrap();
        let header = |(name, value): &(String, String)| (name.clone(), value.clone().into_bytes());
        let headers: Vec<_> = self.headers.iter().map(header).collect();
        verifier.verify(&headers, body, now).map(|verified| verified.key_id)
    }

    /// The same body signed by us.
    fn signed_anew(&self, now: i64) -> Self {
        let signer = Signer::new(self.scheme(), &Secret::new(&*self.private).unwrap()).unwrap();
        let signer = signer.named("k1");
        if self.scheme == "adyen" {
            let body = signer.sign_items(&self.body()).unwrap();
            return Self { body: STANDARD.encode(body), ..self.clone() };
        }
        let field = |name: &String| Header { name: name.clone(), value: "msg_2KWPBgLl-af".into() };
        let fields: Vec<_> = self.fields.iter().map(field).collect();
        let made = signer.sign(&fields, &self.body(), now).unwrap();
        let headers = made.into_iter().map(|header| (header.name, header.value)).collect();
        Self { headers, ..self.clone() }
    }
}

/// A few bytes from the first to the last.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(4).max(1)).chain(length.checked_sub(1))
}

fn changed(body: &[u8], at: usize) -> Vec<u8> {
    let mut changed = body.to_vec();
    changed[at] ^= 1;
    changed
}

/// Whether every byte of the body is covered; of an Adyen item eight fields are.
fn is_whole(case: &Case) -> bool {
    case.scheme != "adyen"
}

#[test]
fn what_the_providers_libraries_sign_is_accepted_and_nothing_else() {
    let now = SystemClock.now();
    let cases: Vec<Case> = python::sign(now.unsigned_abs(), REQUESTS);
    let mut libraries: Vec<_> = cases.iter().filter(|case| case.signs).collect();
    assert!(libraries.len() >= 13 * REQUESTS, "{} signed requests", libraries.len());
    for case in &libraries {
        let body = case.body();
        assert_eq!(case.judge(&body, SystemClock.now()), Ok("key".into()), "{}", case.told());
        for at in places(body.len()).filter(|_| is_whole(case)) {
            assert!(case.judge(&changed(&body, at), now).is_err(), "byte {at} of {}", case.told());
        }
        let longer = [&*body, b"\n"].concat();
        assert!(!is_whole(case) || case.judge(&longer, now).is_err(), "{}", case.told());
    }
    libraries.dedup_by(|one, other| one.library == other.library);
    for (one, other) in libraries.iter().zip(libraries.iter().skip(1)) {
        let swapped = Case { headers: one.headers.clone(), ..(*other).clone() };
        let verdict = swapped.judge(&swapped.body(), now);
        assert!(verdict.is_err() || other.scheme == "adyen", "{}", swapped.told());
    }
}

#[test]
fn what_we_sign_is_accepted_by_the_providers_libraries_and_nothing_else() {
    let now = SystemClock.now();
    let cases: Vec<Case> = python::sign(now.unsigned_abs().wrapping_add(1), REQUESTS);
    let ours: Vec<Case> = cases.iter().map(|case| case.signed_anew(SystemClock.now())).collect();
    for (case, answer) in ours.iter().zip(python::verify(&ours)) {
        assert_eq!(answer, "true", "{}", case.told());
    }
    let damaged: Vec<Case> = ours
        .iter()
        .filter(|case| is_whole(case) && !case.body().is_empty())
        // the first byte, which is ASCII in most, stays text
        .filter(|case| case.body()[0].is_ascii())
        .map(|case| Case { body: STANDARD.encode(changed(&case.body(), 0)), ..case.clone() })
        .collect();
    assert!(damaged.len() > 10 * REQUESTS, "{} damaged requests", damaged.len());
    for (case, answer) in damaged.iter().zip(python::verify(&damaged)) {
        assert!(answer.starts_with("false"), "{}", case.told());
    }
}
