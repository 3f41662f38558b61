//! What tokens and the bodies under them may say, made by hand: no signer writes these.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::sha::sha512;
use signatures::{Reason, Secret, Signer};

use crate::rows::{AT, ROWS, Row};

fn row(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).unwrap()
}

#[test]
fn a_time_in_a_body_has_one_spelling_too() {
    let row = row("moneykit");
    let signer = Signer::new(row.scheme.clone(), &Secret::new(&*row.key).unwrap()).unwrap();
    let check = |time: &str, expect: Result<(), Reason>| {
        let body = format!(r#"{{"webhook_timestamp":{time}}}"#);
        let headers = signer.sign(&[], body.as_bytes(), AT).unwrap();
        let judged = row.verifier(&row.public).verify(&headers, body.as_bytes(), AT).map(|_| ());
        assert_eq!(judged, expect, "{time}");
    };
    for time in ["2026-03-03T01:23:20Z", "2026-03-03T12:23:20.5+11:00"] {
        check(&format!("\"{time}\""), Ok(()));
    }
    check("null", Ok(()));
    check(r#""2026-01-01T00:00:00Z""#, Err(Reason::ClockSkew));
    for time in [
        "2026-03-03T01:23:20",
        "2026-03-03T01:23:20.123456",
        "2026-03-03t01:23:20Z",
        "2026-03-03T01:23:20z",
        "2026-03-03 01:23:20Z",
        "2026-03-04T01:23:20+24:00",
        "2026-03-03T01:23:20Z[UTC]",
        "1772501000",
        "",
    ] {
        check(&format!("\"{time}\""), Err(Reason::InvalidTimestamp));
    }
    check("5", Err(Reason::InvalidTimestamp));
    check("{}", Err(Reason::InvalidTimestamp));
}

#[test]
fn a_place_of_keys_that_is_no_text_is_malformed_and_not_taken_for_none() {
    let row = row("truelayer");
    let key = EcKey::private_key_from_pem(row.key.as_bytes()).unwrap();
    let (name, time) = ("x-tl-webhook-timestamp", "2026-03-03T01:23:20Z");
    let check = |jku: &str, expect: Result<(), Reason>| {
        let header = format!(r#"{{"alg":"ES512","tl_version":"2","tl_headers":"{name}"{jku}}}"#);
        let header = URL_SAFE_NO_PAD.encode(header);
        let request = URL_SAFE_NO_PAD.encode(format!("POST /own\n{name}: {time}\n{{}}"));
        let made = EcdsaSig::sign(&sha512(format!("{header}.{request}").as_bytes()), &key).unwrap();
        let half = |number: &openssl::bn::BigNumRef| number.to_vec_padded(66).unwrap();
        let signature = URL_SAFE_NO_PAD.encode([half(made.r()), half(made.s())].concat());
        let headers = [("tl-signature", format!("{header}..{signature}")), (name, time.to_owned())]
            .map(|(name, value)| signatures::Header { name: name.to_owned(), value });
        let judged = row.verifier(&row.public).verify(&headers[..], b"{}", AT).map(|_| ());
        assert_eq!(judged, expect, "{jku}");
    };
    check("", Ok(()));
    check(r#","jku":"https://webhooks.truelayer.com/.well-known/jwks""#, Ok(()));
    check(r#","jku":"https://evil.example/jwks""#, Err(Reason::UnknownKey));
    for other in ["null", "7", "[]", "{}", "true"] {
        check(&format!(",\"jku\":{other}"), Err(Reason::MalformedHeader));
    }
}
