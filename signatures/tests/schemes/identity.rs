//! One event has one id: whoever has a genuine request makes no other event of it, with nothing that
//! nobody signed.

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::EcGroup;
use openssl::nid::Nid;
use serde_json::{Value, json};
use signatures::source::{SourceConfig, parse};
use signatures::{Header, Scheme, Secret, Signer};

use crate::rows::{AT, ROWS, Row};

fn source(table: &str) -> SourceConfig {
    let text =
        format!("[sources.a]\npath = \"/a\"\nsecrets = [{{ id = \"a\", env = \"A\" }}]\n{table}");
    parse("a.toml", &text).unwrap().remove(0)
}

fn row(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).unwrap()
}

/// The token with the other of the two ECDSA signatures that are right: `s` and its negative.
fn other_signature(token: &str, curve: Nid) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = signature.split_at(signature.len() / 2);
    let (mut order, mut negative) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    let group = EcGroup::from_curve_name(curve).unwrap();
    group.order(&mut order, &mut BigNumContext::new().unwrap()).unwrap();
    negative.checked_sub(&order, &BigNum::from_slice(s).unwrap()).unwrap();
    let negative = negative.to_vec_padded(i32::try_from(s.len()).unwrap()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode([r, &negative].concat()))
}

#[test]
fn a_token_with_its_other_signature_is_the_same_event() {
    #[track_caller]
    fn check(row: &Row, curve: Nid, source: &SourceConfig) {
        let body = br#"{"webhook_code":"SYNC_UPDATES_AVAILABLE","item_id":"i"}"#;
        let genuine = row.signed(body);
        let mut other = genuine.clone();
        other[0].value = other_signature(&genuine[0].value, curve);
        assert_ne!(genuine, other);
        let id = |headers: &[Header]| {
            row.verifier(&row.public).verify(headers, body, AT).unwrap();
            source.event.read_from(headers, body).unwrap().id
        };
        assert_eq!(id(&genuine), id(&other), "{}", row.name);
        // the time in it makes another event of the same body
        let signer = Signer::new(row.scheme.clone(), &Secret::new(&*row.key).unwrap()).unwrap();
        let later = signer.sign(&[], body, AT + 1000).unwrap();
        assert_ne!(id(&genuine), id(&later), "{}", row.name);
    }
    check(row("plaid"), Nid::X9_62_PRIME256V1, &source("preset = \"plaid\""));
    let partner = source(
        "preset = \"free\"\nscheme = { header = \"x-own\", parse = \"jwt\", algorithm = \"es512\" }\n\
         event = { id = \"token-sha256:X-Own\", kind = \"/webhook_code\" }",
    );
    check(row("free, a token"), Nid::SECP521R1, &partner);
}

#[test]
fn an_id_is_not_made_of_a_signature() {
    let check = |rest: &str, expect: &str| {
        let table = format!(
            "[sources.a]\npreset = \"free\"\npath = \"/a\"\n\
             secrets = [{{ id = \"a\", env = \"A\" }}]\n{rest}"
        );
        let error = parse("a.toml", &table).unwrap_err().to_string();
        assert!(error.contains(expect), "`{error}` should contain `{expect}`");
    };
    let scheme =
        |more: &str| format!("scheme = {{ header = \"x-own\", algorithm = \"es256\", {more} }}\n");
    let (plain, token) = (scheme("signed = \"{body}\""), scheme("parse = \"jwt\""));
    for (scheme, id) in
        [(&plain, "header:X-Own"), (&plain, "header-sha256:x-own"), (&token, "header-sha256:X-Own")]
    {
        let event = format!("{scheme}event = {{ id = \"{id}\", kind = \"/a\" }}");
        check(&event, "`sources.a.event.id`");
        check(&event, "could send it again as another event");
    }
    for id in ["token-sha256:x-own", "items-sha256"] {
        check(&format!("{plain}event = {{ id = \"{id}\", kind = \"/a\" }}"), "`sources.a.event`");
    }
    check(&format!("{token}event = {{ id = \"token-sha256:x-id\", kind = \"/a\" }}"), "own header");
}

/// What is signed of an item, and what is not.
fn item(reference: &str, reason: &str) -> Value {
    json!({ "NotificationRequestItem": {
        "pspReference": reference, "eventCode": "AUTHORISATION", "success": "true",
        "amount": { "value": 1099, "currency": "AUD" }, "reason": reason,
    } })
}

#[test]
fn what_is_not_signed_of_a_batch_makes_no_other_event() {
    let key = Secret::new("00ff").unwrap();
    let (source, signer) =
        (source("preset = \"adyen\""), Signer::new(Scheme::adyen(), &key).unwrap());
    let verifier = signatures::Verifier::new(Scheme::adyen(), vec![("a".into(), key)]).unwrap();
    let signed = |items: &[Value]| {
        let body = json!({ "live": "false", "notificationItems": items }).to_string();
        signer.sign_items(body.as_bytes()).unwrap()
    };
    let id = |body: &[u8]| {
        verifier.verify(&[] as &[Header], body, AT).unwrap();
        source.event.read(body).unwrap().id
    };
    let (one, two) = (item("P1", "none"), item("P2", "none"));
    let genuine = id(&signed(std::slice::from_ref(&one)));
    let spaced = [&signed(std::slice::from_ref(&one))[..], b"   "].concat();
    assert_eq!(id(&spaced), genuine);
    let mut changed: Value = serde_json::from_slice(&spaced).unwrap();
    changed["live"] = "true".into();
    changed["notificationItems"][0]["NotificationRequestItem"]["reason"] = "other".into();
    assert_eq!(id(changed.to_string().as_bytes()), genuine);
    assert_eq!(id(&signed(&[one.clone(), one.clone()])), genuine, "one item, twice");

    let both = id(&signed(&[one.clone(), two.clone()]));
    assert_eq!(id(&signed(&[two.clone(), one.clone()])), both, "the other way round");
    assert_eq!(genuine.len(), 64);
    assert!(both != genuine && id(&signed(&[two])) != genuine);
}

const POLYNOMIAL: u32 = 0xEDB8_8320;

/// The checksum's state after these bytes.
fn forward(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |state, byte| {
        let step = |state: u32, _| (state >> 1) ^ if state & 1 == 1 { POLYNOMIAL } else { 0 };
        (0..8).fold(state ^ u32::from(*byte), step)
    })
}

/// The state before these bytes, of the one after them.
fn back(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(state, |state, byte| {
        let step = |state: u32, _| {
            if state >> 31 == 1 { ((state ^ POLYNOMIAL) << 1) | 1 } else { state << 1 }
        };
        (0..8).fold(state, step) ^ u32::from(*byte)
    })
}

/// JSON that begins with `front` and has the checksum of `like`.
fn forged(front: &str, like: &[u8]) -> Vec<u8> {
    let wanted = back(forward(like), b"\"}");
    (0_u32..)
        .find_map(|count| {
            let begin = format!("{front},\"z\":\"{count}");
            let bytes = (forward(begin.as_bytes()) ^ back(wanted, &[0; 4])).to_le_bytes();
            let is_text = bytes.iter().all(u8::is_ascii_alphanumeric);
            is_text.then(|| [begin.as_bytes(), &bytes, b"\"}"].concat())
        })
        .unwrap()
}

#[test]
fn a_body_with_a_forged_checksum_is_no_other_event() {
    let source = source("preset = \"paypal\"\nparams = { webhook_id = \"/own\" }");
    let row = row("paypal");
    let body = br#"{"id":"WH-1","event_type":"PAYMENT.SALE.COMPLETED"}"#;
    let headers = row.signed(body);
    let id = |body: &[u8]| {
        row.verifier(&row.public).verify(&headers, body, AT).unwrap();
        source.event.read_from(&headers, body).unwrap().id
    };
    let other = forged(r#"{"id":"WH-2","event_type":"PAYMENT.SALE.COMPLETED""#, body);
    assert!(serde_json::from_slice::<Value>(&other).unwrap()["id"] == "WH-2");
    assert_eq!(id(&other), id(body));
}
