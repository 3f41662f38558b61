use super::*;
use crate::headers::Header;
use crate::secret::Secret;
use crate::sign::sign;

const AT: i64 = 1_767_323_045_000;

fn verifier(scheme: Scheme) -> Verifier {
    let secret = |text: &str| Secret::new(text).unwrap();
    let keys = vec![("old".into(), secret("old key")), ("new".into(), secret("new key"))];
    Verifier::new(scheme, keys).unwrap()
}

fn signed(scheme: &Scheme, body: &[u8]) -> Vec<Header> {
    sign(scheme, &Secret::new("new key").unwrap(), body, AT)
}

#[test]
fn an_accepted_request_names_its_key_and_what_was_signed() {
    let scheme = Scheme::stripe();
    let told = explain(
        &verifier(scheme.clone()),
        &signed(&scheme, b"{\"a\":\"\xc3\xa9\"}"),
        b"{\"a\":\"\xc3\xa9\"}",
        AT,
    );
    assert_eq!((told.reason, told.key_id.as_deref()), (None, Some("new")));
    let parts: Vec<_> =
        told.signed.iter().map(|it| (it.part, it.length, it.preview.as_str())).collect();
    assert_eq!(
        parts,
        [
            ("timestamp", 10, "1767323045"),
            ("literal", 1, "."),
            ("body", 10, r#"{\"a\":\"\xc3\xa9\"}"#)
        ]
    );
    assert_eq!(told.fresh_between, Some((AT - 300_000, AT + 300_000)));
    assert!(told.given.unwrap().ends_with(&told.expected[1].signature));
    assert_eq!(told.hints, []);
}

#[test]
fn a_hint_names_the_change_that_would_help() {
    #[track_caller]
    fn check(scheme: &Scheme, signed_body: &[u8], body: &[u8], now: i64, expect: &[Hint]) {
        let told = explain(&verifier(scheme.clone()), &signed(scheme, signed_body), body, now);
        assert!(told.reason.is_some());
        assert_eq!(told.hints, expect);
    }
    let (up, stripe) = (Scheme::up(), Scheme::stripe());
    check(&stripe, b"{}", b"{}", AT + 300_001, &[Hint::OtherTime]);
    check(&up, b"{}", b"{}\n", AT, &[Hint::BodyWithoutFinalLineBreak]);
    check(&up, b"{}\n", b"{}", AT, &[Hint::BodyWithFinalLineBreak]);
    check(&up, b"{\r\n}", b"{\n}", AT, &[Hint::BodyWithCrLf]);
    check(&up, b"{}", b"[]", AT, &[]);
    let (compact, spaced) = (b"{\"a\":[1,2]}", b"{\"a\": [1, 2]}");
    check(&up, compact, spaced, AT, &[Hint::BodyReserialised]);
    check(&up, spaced, compact, AT, &[Hint::BodyReserialised]);
    check(&up, b"{\n  \"a\": 1\n}", b"{\"a\":1}", AT, &[Hint::BodyReserialised]);
}

#[test]
fn what_a_token_says_is_shown_and_which_key_it_names() {
    let key = es256();
    let secret = |pem: Result<Vec<u8>, _>| Secret::new(pem.unwrap()).unwrap();
    let scheme = Scheme::plaid();
    let signer = crate::Signer::new(scheme.clone(), &secret(key.private_key_to_pem_pkcs8()));
    let headers = signer.unwrap().named("k-2").sign(&[], b"{}", AT).unwrap();
    let keys = vec![("ours".into(), secret(key.public_key_to_pem()))];
    let verifier = Verifier::new(scheme, keys).unwrap();
    let told = explain(&verifier, &headers, b"[]", AT);
    assert_eq!(told.reason, Some(Reason::BodyHashMismatch));
    assert_eq!((told.named_key.as_deref(), &*told.known_keys), (Some("k-2"), &["ours".into()][..]));
    let previews: Vec<_> = told.signed.iter().map(|it| (it.part, it.preview.as_str())).collect();
    let sha256 = |body: &[u8]| hex::encode(Sha256::digest(body));
    let claims = format!(r#"{{\"iat\":1767323045,\"request_body_sha256\":\"{}\"}}"#, sha256(b"{}"));
    let header = r#"{\"alg\":\"ES256\",\"kid\":\"k-2\",\"typ\":\"JWT\"}"#;
    assert_eq!(previews, [("token", header), ("literal", "."), ("claims", &claims)]);
    assert_eq!((told.body_bytes, told.body_sha256), (2, sha256(b"[]")));
}

#[test]
fn the_time_that_is_wrong_is_named() {
    let (scheme, pem) = (Scheme::moneykit(), es256());
    let secret = |pem: Result<Vec<u8>, _>| Secret::new(pem.unwrap()).unwrap();
    let signer = crate::Signer::new(scheme.clone(), &secret(pem.private_key_to_pem_pkcs8()));
    let keys = vec![("ours".into(), secret(pem.public_key_to_pem()))];
    let (signer, verifier) = (signer.unwrap(), Verifier::new(scheme, keys).unwrap());
    let check = |body: &[u8], now: i64, expect: &[Hint]| {
        let headers = signer.sign(&[], body, AT).unwrap();
        let told = explain(&verifier, &headers, body, now);
        assert_eq!(told.reason, Some(Reason::ClockSkew));
        assert_eq!(told.hints, expect);
    };
    check(b"{}", AT + 3 * 3_600_000 + 1, &[Hint::OtherTime]);
    let old = br#"{"webhook_timestamp":"2026-01-01T00:00:00Z"}"#;
    check(old, AT, &[Hint::BodyTime]);
}

fn es256() -> openssl::pkey::PKey<openssl::pkey::Private> {
    openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1)
        .and_then(|group| openssl::ec::EcKey::generate(&group))
        .and_then(openssl::pkey::PKey::from_ec_key)
        .unwrap()
}

#[test]
fn signatures_inside_a_body_are_given_item_by_item() {
    let scheme = Scheme::adyen();
    let secret = Secret::new("00ff").unwrap();
    let body = br#"{"notificationItems":[{"NotificationRequestItem":{"pspReference":"P"}},
        {"NotificationRequestItem":{"pspReference":"Q"}}]}"#;
    let signed = crate::Signer::new(scheme.clone(), &secret).unwrap().sign_items(body).unwrap();
    let changed = String::from_utf8(signed).unwrap().replace("\"Q\"", "\"R\"");
    let verifier = Verifier::new(scheme, vec![("K".into(), secret)]).unwrap();
    let told = explain(&verifier, &[] as &[Header], changed.as_bytes(), AT);
    assert_eq!(told.reason, Some(Reason::SignatureMismatch));
    let given: Vec<_> = told.given.as_deref().unwrap().split(", ").collect();
    let expected: Vec<_> = told.expected.iter().map(|it| it.signature.as_str()).collect();
    assert_eq!(given[0], expected[0]);
    assert_ne!(given[1], expected[1]);
}

#[test]
fn a_header_in_upper_case_is_malformed_and_said_to_be_so() {
    let mut headers = signed(&Scheme::up(), b"{}");
    headers[0].value = headers[0].value.to_uppercase();
    let told = explain(&verifier(Scheme::up()), &headers, b"{}", AT);
    assert_eq!(told.reason, Some(Reason::MalformedHeader));
    assert_eq!(told.hints, [Hint::LowerCaseHeader]);
}

#[test]
fn a_time_that_was_written_anew_is_said_to_be_so() {
    let scheme = Scheme::demoz();
    let nonce = [Header { name: "x-demoz-nonce".into(), value: "n1".into() }];
    let signer = crate::Signer::new(scheme.clone(), &Secret::new("new key").unwrap()).unwrap();
    let mut headers = signer.sign(&nonce, b"{}", AT).unwrap();
    let verifier = verifier(scheme);
    for text in ["2026-01-02T03:04:05.000Z", "2026-01-02T14:04:05+11:00"] {
        let time = headers.iter_mut().find(|it| it.name == "x-demoz-timestamp").unwrap();
        time.value = text.into();
        let told = explain(&verifier, &headers, b"{}", AT);
        assert_eq!(told.reason, Some(Reason::SignatureMismatch), "{text}");
        assert_eq!(told.hints, [Hint::TimeRewritten], "{text}");
    }
}

#[test]
fn no_secret_is_part_of_an_explanation() {
    let told = explain(&verifier(Scheme::up()), &signed(&Scheme::up(), b"{}"), b"[]", AT);
    let json = serde_json::to_string(&told).unwrap();
    assert!(!json.contains("old key") && !json.contains("new key"), "{json}");
}
