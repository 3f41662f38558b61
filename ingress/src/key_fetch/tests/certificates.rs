//! `PayPal`'s certificates, at the addresses that its requests name.

use openssl::pkey::{PKey, Private};
use signatures::{Header, Secret, Signer};
use warp::http::{HeaderName, HeaderValue};

use super::*;
use crate::key_fetch::authority::{Authority, NOT_AFTER};

const HOST: &str = "api.paypal.com";
const EVIL_HOST: &str = "api.paypal.com.evil.example";
const SENDER: &str = "messageverificationcerts.paypal.com";

const GOOD: &str = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42";
const OTHER: &str = "https://api.paypal.com/v1/notifications/certs/CERT-other";
const UNTRUSTED: &str = "https://api.paypal.com/v1/notifications/certs/CERT-untrusted";
const EVIL: &str = "https://api.paypal.com.evil.example/CERT-360caa42";

const EVENT: &[u8] =
    br#"{"id":"WH-E-1","event_type":"PAYMENT.SALE.COMPLETED","resource":{"id":"p"}}"#;

/// A source of `PayPal`'s that trusts certificates by `root`.
fn desk(client: impl KeyClient + 'static, root: &Authority) -> Desk {
    let table = "preset = \"paypal\"\npath = \"/a\"\nparams = { webhook_id = \"WH-1\" }\n\
                 certificates = { hosts = [\"api.paypal.com\"], roots = \"roots.pem\" }";
    Desk::open(table, client, Texts([("roots.pem", root.pem())].into()))
}

/// What becomes of a request that is signed with `key` and names the certificate at `url`.
async fn post(desk: &Desk, key: &PKey<Private>, url: &str) -> Result<String, Refusal> {
    let secret = Secret::new(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let signer = Signer::new(desk.door.source.scheme.clone(), &secret).unwrap();
    let id = Header { name: "paypal-transmission-id".into(), value: "t-1".into() };
    let signed = signer.sign(&[id], EVENT, desk.now()).unwrap();
    let pair = |header: Header| {
        let name = HeaderName::try_from(header.name).unwrap();
        (name, HeaderValue::try_from(header.value).unwrap())
    };
    let mut headers: HeaderMap = signed.into_iter().map(pair).collect();
    headers.insert("paypal-cert-url", HeaderValue::try_from(url).unwrap());
    let judged = judge(&desk.door, &headers, EVENT, desk.now(), SPARE).await;
    judged.map(|(verified, _)| verified.key_id)
}

/// Certificates by their address.
#[derive(Clone, Debug)]
struct Certificates(BTreeMap<&'static str, Vec<u8>>);

impl KeyClient for Certificates {
    async fn fetch(&self, request: KeyRequest) -> Result<Vec<u8>, FetchError> {
        assert_eq!((request.token, request.post), (None, None));
        Ok(self.0.get(request.url.as_str()).cloned().unwrap_or_default())
    }
}

#[tokio::test]
async fn a_certificate_is_believed_by_its_chain_its_name_and_its_host() {
    let root = Authority::root("Root");
    let (own, key) = root.certificate(SENDER);
    let (other, _) = root.certificate("evil.example");
    let (untrusted, _) = Authority::root("Root").certificate(SENDER);
    let certificates = [(GOOD, own.clone()), (OTHER, other), (UNTRUSTED, untrusted), (EVIL, own)];
    let desk = desk(Certificates(certificates.into()), &root);
    // before a genuine one, nothing is known of the provider's keys
    assert_eq!(post(&desk, &key, OTHER).await, Err(Refusal::NoKeys));
    assert_eq!(post(&desk, &key, GOOD).await, Ok("CERT-360caa42".to_owned()));
    assert_eq!(post(&desk, &key, GOOD).await, Ok("CERT-360caa42".to_owned()));
    assert_eq!(post(&desk, &key, UNTRUSTED).await, Err(UNKNOWN));
    assert_eq!(post(&desk, &key, EVIL).await, Err(UNKNOWN));
    assert!(desk.counts(&refreshed("ok", 1)) && desk.counts(&refreshed("refused", 2)));
    let line = format!(
        r#"webhook_key_not_after_timestamp_seconds{{key="CERT-360caa42",source="it"}} {NOT_AFTER}"#
    );
    assert!(desk.counts(&line), "{}", desk.metrics.text().unwrap());
}

/// A client on a machine for which `PayPal`'s name, and another's, lead to `provider`.
fn client(provider: &Provider, web: &Authority) -> HttpKeys {
    let root = reqwest::Certificate::from_pem(&web.pem()).unwrap();
    let builder = HttpKeys::builder(PATIENCE).no_proxy().tls_certs_merge([root]);
    let builder = builder.resolve(HOST, provider.addr).resolve(EVIL_HOST, provider.addr);
    HttpKeys::of(builder).unwrap()
}

#[tokio::test]
async fn a_certificate_is_fetched_over_tls_from_its_pinned_host_and_from_nowhere_else() {
    let (root, web) = (Authority::root("Root"), Authority::lasting("Web"));
    let (own, key) = root.certificate(SENDER);
    let gives = Manner::Gives(String::from_utf8(own).unwrap());
    let provider = Provider::with_tls(gives.clone(), web.certificate(HOST)).await;
    let desk = desk(client(&provider, &web), &root);
    // another's host, whatever is there
    assert_eq!(post(&desk, &key, EVIL).await, Err(UNKNOWN));
    assert_eq!(provider.asked(), 0);
    assert_eq!(post(&desk, &key, GOOD).await, Ok("CERT-360caa42".to_owned()));
    let request = provider.requests().remove(0).to_lowercase();
    assert!(
        request.starts_with("get /v1/notifications/certs/cert-360caa42 http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains(&format!("host: {HOST}\r\n")), "{request}");

    // a way to another address, also to a good one, and an answer without end
    let refusals = [
        Manner::Says(format!("301 Moved Permanently\r\nlocation: {GOOD}")),
        Manner::Says(format!("302 Found\r\nlocation: {EVIL}")),
        Manner::Says(format!("307 Temporary Redirect\r\nlocation: {OTHER}")),
        Manner::Floods,
    ];
    for (index, manner) in refusals.into_iter().enumerate() {
        desk.later(PERIOD_MS);
        provider.now(manner.clone());
        let url = format!("{OTHER}-{index}");
        // too large an answer is one about this certificate
        let expect = if index == 3 { UNKNOWN } else { Refusal::KeyHeld(HELD_MIN) };
        assert_eq!(post(&desk, &key, &url).await, Err(expect), "{manner:?}");
        assert_eq!(provider.asked(), 2 + index, "{manner:?}: asked once, and nobody else");
    }
    assert!(desk.counts(&refreshed("failed", 3)) && desk.counts(&refreshed("refused", 1)));
    // the good one is still known
    assert_eq!(post(&desk, &key, GOOD).await, Ok("CERT-360caa42".to_owned()));
}

#[tokio::test]
async fn a_host_that_cannot_show_who_it_is_is_not_asked_for_a_certificate() {
    let (root, web) = (Authority::root("Root"), Authority::lasting("Web"));
    let (own, key) = root.certificate(SENDER);
    let gives = Manner::Gives(String::from_utf8(own).unwrap());
    // by an authority that this machine does not trust; of another name
    let imposters = [Authority::lasting("Web").certificate(HOST), web.certificate(EVIL_HOST)];
    for identity in imposters {
        let provider = Provider::with_tls(gives.clone(), identity).await;
        let desk = desk(client(&provider, &web), &root);
        assert_eq!(post(&desk, &key, GOOD).await, Err(Refusal::NoKeys));
        assert_eq!(provider.asked(), 0);
        assert!(desk.counts(&refreshed("failed", 1)));
    }
}
