//! What an operator writes, and the bodies of genuine requests.

use signatures::source::{EventShape, Place, Preset, parse};
use signatures::{FreeScheme, Header, KeyEncoding, Scheme, Secret, Signer, Verifier};

use super::request::AT;
use super::token::{ES256, ES512};

/// Keys in every spelling, for every algorithm.
pub fn keys(data: &[u8]) {
    let Ok(secret) = Secret::new(data) else { return };
    for scheme in key_schemes() {
        let keys = vec![("a".to_owned(), secret.clone())];
        match Verifier::new(scheme.clone(), keys) {
            Ok(verifier) => {
                let headers = vec![Header { name: scheme.header.clone(), value: "x".into() }];
                assert!(verifier.verify(&headers, b"{}", AT).is_err(), "nothing was signed");
            }
            Err(error) => {
                let text = String::from_utf8_lossy(data);
                let is_told = data.len() > 20 && error.to_string().contains(&*text);
                assert!(!is_told, "a message holds the secret");
            }
        }
    }
}

fn key_schemes() -> Vec<Scheme> {
    let of = |key_encoding| Scheme { key_encoding, ..Scheme::up() };
    let hmacs = [KeyEncoding::Hex, KeyEncoding::Base64, KeyEncoding::StandardWebhooks].map(of);
    let public = [Scheme::plaid(), Scheme::wise(), Scheme::standard_webhooks()];
    hmacs.into_iter().chain(public).collect()
}

pub fn key_seeds() -> Vec<Vec<u8>> {
    [
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
        "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "44782DEF547AAA06C910",
        r#"{"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256","x":"4qsrxNHUYMj2rRdneTieRxyH2oou4wjv4idM9aMwOoU","y":"uhWgDqNcTKnYvk1lwl4hClCfY6dLcp1z8YoK8M7G7hw"}"#,
        r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":"A6EH"}]}"#,
        r#"{"key":{"kty":"EC","expired_at":1}}"#,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &ES256.public,
        &ES512.private,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// A partner's scheme; one that is taken signs and verifies, and takes nothing else.
pub fn schemes(data: &[u8]) {
    let table = std::str::from_utf8(data).ok().and_then(|text| toml::from_str(text).ok());
    let Some(table): Option<FreeScheme> = table else { return };
    let Ok(scheme) = table.scheme("partner") else { return };
    let secret = Secret::new("AAAA").expect("a secret");
    let (Ok(signer), Ok(verifier)) = (
        Signer::new(scheme.clone(), &secret),
        Verifier::new(scheme.clone(), vec![("a".into(), secret.clone())]),
    ) else {
        return;
    };
    let names = scheme.signed.iter().filter_map(|part| match part {
        signatures::Part::Header(name) => Some(name),
        _ => None,
    });
    let fields: Vec<_> =
        names.map(|name| Header { name: name.clone(), value: "F".into() }).collect();
    // a header that is signed twice, or is the signature's own, makes a scheme that takes nothing
    let Ok(headers) = signer.sign(&fields, b"{}", AT) else { return };
    if verifier.verify(&headers, b"{}", AT).is_ok() {
        assert!(verifier.verify(&headers, b"{ }", AT).is_err(), "another body");
        let later = AT.saturating_add(i64::from(u32::MAX) * 1000 + 1000);
        let is_timed = scheme.freshness.is_some();
        assert!(!is_timed || verifier.verify(&headers, b"{}", later).is_err(), "another time");
    }
}

pub fn scheme_seeds() -> Vec<Vec<u8>> {
    [
        "header = \"x-s\"\nsigned = \"{body}\"\nalgorithm = \"hmac-sha256\"\n",
        "header = \"x-s\"\nparse = { pairs = { timestamp = \"t\", signature = \"v1\" } }\n\
         signed = \"{timestamp}.{body}\"\nalgorithm = \"hmac-sha512\"\nkey = \"base64\"\n",
        "header = \"x-s\"\nparse = { prefix = \"sha256=\" }\nsignature = \"base64url\"\n\
         signed = \"{timestamp}.{header:x-id}.{body}\"\nalgorithm = \"hmac-sha256\"\nkey = \"hex\"\n\
         timestamp = { header = \"x-t\", form = \"rfc3339\" }\ntolerance_past_s = 5\n",
        "header = \"x-s\"\nparse = { versions = [\"v1\", \"v2\"] }\nsigned = \"v1:{body}\"\n\
         algorithm = \"hmac-sha256\"\nsignature = \"base64\"\n",
        "header = \"x-s\"\nparse = { template = \"{timestamp}.{signatures:,}\" }\n\
         signed = \"{timestamp}.{header:x-id}.{object}\"\nalgorithm = \"hmac-sha256\"\n\
         timestamp = { form = \"unix-ms\" }\n",
        "header = \"x-s\"\nparse = { pairs = { signature = [\"v1\", \"v2\"] } }\n\
         signed = \"{body}\"\nalgorithm = \"rsa-sha256-twice\"\nsignature = \"base64\"\n",
        "header = \"x-s\"\nparse = \"jwt\"\nalgorithm = \"es256\"\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// The declaration of sources.
pub fn sources(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse("topology.toml", text) {
        Ok(sources) => assert!(!sources.is_empty(), "a declaration without a source is refused"),
        Err(error) => assert!(error.to_string().contains("topology.toml"), "{error}"),
    }
}

pub fn source_seeds() -> Vec<Vec<u8>> {
    [
        "[sources.up]\npreset = \"up\"\npath = \"/webhooks/up\"\n\
         secrets = [{ id = \"env\", env = \"UP\", optional = true }, { id = \"f\", file = \"s/up\" }]\n\
         dedupe_window = \"14d\"\nuser_agent = \"Up\"\n",
        "[sources.p]\npreset = \"free\"\npath = \"/p\"\nsecrets = [{ id = \"e\", env = \"P\" }]\n\
         scheme = { header = \"x-p\", signed = \"{body}\", algorithm = \"hmac-sha256\" }\n\
         event = { id = \"header:x-id\", kind = \"/type\", subject = \"/a/0\" }\nsuccess_code = 204\n",
        "[sources.paypal]\npreset = \"paypal\"\npath = \"/pp\"\nparams = { webhook_id = \"W\" }\n\
         secrets = [{ id = \"k\", file = \"k.pem\" }]\ntolerance = \"1h\"\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// The event of a genuine body, for every provider.
pub fn events(data: &[u8]) {
    let headers = ["x-github-delivery", "x-github-event", "webhook-id", "plaid-verification"]
        .map(|name| Header { name: name.into(), value: "v".into() });
    for shape in shapes() {
        let Ok(event) = shape.read_from(&headers[..], data) else { continue };
        for text in
            [Some(&event.id), Some(&event.kind), event.subject.as_ref()].into_iter().flatten()
        {
            assert!((1..=256).contains(&text.len()), "{text:?}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        let is_in_body = |place: &Place| matches!(place, Place::Pointer(_));
        if is_in_body(&shape.id) || is_in_body(&shape.kind) {
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok(), "it is JSON");
        }
    }
}

fn shapes() -> impl Iterator<Item = EventShape> {
    let presets = [
        Preset::Up,
        Preset::Stripe,
        Preset::Github,
        Preset::Gocardless,
        Preset::StandardWebhooks,
        Preset::Moneykit,
        Preset::Plaid,
        Preset::Truelayer,
        Preset::Adyen,
        Preset::Paypal,
    ];
    presets.into_iter().filter_map(Preset::event_shape)
}

pub fn event_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"data":{"id":"e","attributes":{"eventType":"PING","createdAt":"2026-01-02T14:04:05+11:00"},"relationships":{"transaction":{"data":{"id":"t"}}}}}"#,
        r#"{"id":"evt_1","type":"a.b","created":1772501000,"data":{"object":{"id":"pi_1"}}}"#,
        r#"{"webhook_idempotency_key":"k","webhook_event":"x","link_id":"l","webhook_timestamp":"2026-03-03T01:23:20Z"}"#,
        r#"{"notificationItems":[{"NotificationRequestItem":{"pspReference":"P","eventCode":"C","success":"true","eventDate":"2026-03-03T01:23:20+01:00"}}]}"#,
        r#"{"webhook_code":"W","item_id":"i","events":[{"id":"EV1"}],"event_id":"e","event_type":"t","repository":{"full_name":"a/b"}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
