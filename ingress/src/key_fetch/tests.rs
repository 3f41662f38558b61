use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use futures_util::future::join_all;
use signatures::source::{SecretStore, parse};
use tokio_util::task::TaskTracker;

use super::cache::{PERIOD_MS, RENEW_MS};
use super::provider::{Manner, PATIENCE, Pair, Provider, forged, set};
use super::*;
use crate::metrics::Metrics;

mod certificates;
mod held;

const NOW: i64 = 1_772_501_000_000;

const BODY: &[u8] = br#"{"webhook_code":"SYNC","item_id":"i-1"}"#;

/// A long patience of the provider.
const SPARE: Duration = Duration::from_mins(1);

#[derive(Clone, Debug)]
struct Hand(Arc<AtomicI64>);

impl streams::Clock for Hand {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Texts by the name of their variable or file.
#[derive(Clone, Debug, Default)]
struct Texts(BTreeMap<&'static str, Vec<u8>>);

impl SecretStore for Texts {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|text| String::from_utf8(text.clone()).unwrap())
    }
    fn file(&self, path: &std::path::Path) -> std::io::Result<Vec<u8>> {
        let text = self.0.get(path.to_str().unwrap());
        text.cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// A door whose keys are kept.
struct Desk {
    door: Arc<Door>,
    now: Arc<AtomicI64>,
    metrics: Metrics,
    keeper: tokio::task::JoinHandle<()>,
}

impl Desk {
    fn open(table: &str, client: impl KeyClient + 'static, texts: Texts) -> Self {
        let source = parse("a.toml", &format!("[sources.it]\n{table}")).unwrap().remove(0);
        let (metrics, now) = (Metrics::new().unwrap(), Arc::new(AtomicI64::new(NOW)));
        let door = Arc::new(Door::open(source, &texts, &metrics).unwrap());
        let keeper = Keeper::new(door.source.remote.clone().unwrap(), client, texts);
        let (kept, clock) = (Arc::clone(&door), Hand(Arc::clone(&now)));
        let keeping = async move { keeper.keep(&kept, &clock).await };
        let keeper = TaskTracker::new().spawn(keeping);
        Self { door, now, metrics, keeper }
    }

    /// A source of Plaid's form with a set of keys at the provider.
    fn with_set(provider: &Provider) -> Self {
        let table = format!("preset = \"plaid\"\npath = \"/a\"\njwks_url = \"{}\"", provider.url);
        Self::open(&table, HttpKeys::new().unwrap(), Texts::default())
    }

    fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    fn later(&self, by: i64) {
        self.now.fetch_add(by, Ordering::SeqCst);
    }

    /// What becomes of a request that is signed with this key now: the key's id, or why not.
    async fn post(&self, pair: &Pair) -> Result<String, Refusal> {
        self.post_within(pair, SPARE).await
    }

    async fn post_within(&self, pair: &Pair, spare: Duration) -> Result<String, Refusal> {
        self.take(&pair.sign(&self.door.source.scheme, BODY, self.now()), spare).await
    }

    async fn take(&self, headers: &HeaderMap, spare: Duration) -> Result<String, Refusal> {
        let judged = judge(&self.door, headers, BODY, self.now(), spare).await;
        judged.map(|(verified, _)| verified.key_id)
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics.text().unwrap().lines().any(|given| given == line)
    }

    /// Waits until the metrics have this line.
    async fn counted(&self, line: &str) {
        while !self.counts(line) {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

const UNKNOWN: Refusal = Refusal::Rejected(Reason::UnknownKey);

/// Nothing is fetched for unknown keys at this moment.
const HELD: Refusal = Refusal::KeyHeld(Duration::from_mins(5));

fn refreshed(result: &str, times: u32) -> String {
    format!(r#"webhook_jwks_refreshes_total{{result="{result}",source="it"}} {times}"#)
}

#[tokio::test]
async fn a_partner_that_publishes_its_keys_needs_no_code() {
    let key = Pair::new("2026-03");
    let provider = Provider::start(Manner::Gives(set(&[&key]))).await;
    let table = format!(
        r#"
        preset = "free"
        path = "/webhooks/partner"
        jwks_url = "{}"
        jwks_token = {{ env = "PARTNER_TOKEN" }}
        scheme = {{ header = "x-partner-token", parse = "jwt", algorithm = "es256" }}
        event = {{ id = "/item_id", kind = "/webhook_code" }}
        "#,
        provider.url
    );
    let texts = Texts([("PARTNER_TOKEN", b"t0ken\n".to_vec())].into());
    let desk = Desk::open(&table, HttpKeys::new().unwrap(), texts);
    assert_eq!(desk.post(&key).await, Ok("2026-03".to_owned()));
    let request = provider.requests().remove(0);
    assert!(request.starts_with("GET /keys HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("authorization: bearer t0ken\r\n"), "{request}");
    // the other's name does not help
    let forged = Pair::new("2026-03");
    let reason = Refusal::Rejected(Reason::SignatureMismatch);
    assert_eq!(desk.post(&forged).await, Err(reason));
    assert_eq!(provider.asked(), 1);
    assert!(desk.counts(&refreshed("ok", 1)));
}

#[tokio::test]
async fn a_partner_whose_requests_name_no_key_is_held_to_any_of_the_set() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let provider = Provider::start(Manner::Gives(set(&[&old]))).await;
    let table = format!(
        r#"
        preset = "free"
        path = "/webhooks/partner"
        jwks_url = "{}"
        event = {{ id = "/item_id", kind = "/webhook_code" }}
        [sources.it.scheme]
        header = "x-signature"
        signed = "{{timestamp}}.{{body}}"
        timestamp = {{ header = "x-time" }}
        algorithm = "es256"
        signature = "base64"
        "#,
        provider.url
    );
    let desk = Desk::open(&table, HttpKeys::new().unwrap(), Texts::default());
    assert_eq!(desk.post(&old).await, Ok("old".to_owned()));
    provider.now(Manner::Gives(set(&[&old, &new])));
    let mismatch = Refusal::Rejected(Reason::SignatureMismatch);
    assert_eq!(desk.post(&new).await, Err(mismatch));
    desk.later(PERIOD_MS);
    assert_eq!(desk.post(&new).await, Ok("new".to_owned()));
    // a forgery cannot say of itself that it is none, and costs no more
    for _ in 0..100 {
        assert_eq!(desk.post(&Pair::new("old")).await, Err(mismatch));
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn ten_thousand_forged_names_are_one_request_to_the_provider_in_five_minutes() {
    let key = Pair::new("genuine");
    let provider = Provider::start(Manner::Gives(set(&[&key]))).await;
    let desk = Desk::with_set(&provider);
    assert_eq!(desk.post(&key).await, Ok("genuine".to_owned()));
    for round in 1..=2_usize {
        for index in 0..5_000 {
            let headers = forged(&format!("forged-{round}-{index}"), BODY, desk.now());
            let expect = if (round, index) == (2, 0) { UNKNOWN } else { HELD };
            assert_eq!(desk.take(&headers, SPARE).await, Err(expect));
        }
        assert_eq!(provider.asked(), round);
        desk.later(PERIOD_MS);
    }
    assert_eq!(desk.post(&key).await, Ok("genuine".to_owned()));
    // and the first one, which came before its key
    assert!(desk.counts(r#"webhook_unknown_keys_total{source="it"} 10001"#));
}

#[tokio::test]
async fn requests_of_a_new_key_wait_together_for_one_fetch() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let provider = Provider::start(Manner::Gives(set(&[&old]))).await;
    let desk = Desk::with_set(&provider);
    assert_eq!(desk.post(&old).await, Ok("old".to_owned()));
    provider.now(Manner::Waits(set(&[&old, &new])));
    // too soon after the last fetch; the provider sends it again
    assert_eq!(desk.post(&new).await, Err(HELD));
    desk.later(PERIOD_MS);
    let headers = new.sign(&desk.door.source.scheme, BODY, desk.now());
    let posts = join_all((0..20).map(|_| desk.take(&headers, SPARE)));
    let meanwhile = async {
        provider.was_asked(2).await;
        // what is known is not held up
        assert_eq!(desk.post(&old).await, Ok("old".to_owned()));
        provider.let_go();
    };
    let (posts, ()) = tokio::join!(posts, meanwhile);
    assert!(posts.iter().all(|post| *post == Ok("new".to_owned())), "{posts:?}");
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn no_more_requests_wait_than_are_meant_to_and_none_longer_than_it_may() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let provider = Provider::start(Manner::Gives(set(&[&old]))).await;
    let desk = Desk::with_set(&provider);
    assert_eq!(desk.post(&old).await, Ok("old".to_owned()));
    desk.later(PERIOD_MS);
    provider.now(Manner::Waits(set(&[&old, &new])));
    // one is being answered, the others are queued
    let headers = new.sign(&desk.door.source.scheme, BODY, desk.now());
    let first = desk.take(&headers, SPARE);
    let meanwhile = async {
        provider.was_asked(2).await;
        let queued = join_all((0..WAITERS_MAX).map(|_| desk.take(&headers, SPARE)));
        let one_more = async {
            assert_eq!(desk.take(&headers, SPARE).await, Err(Refusal::KeyHeld(HELD_MIN)));
            provider.let_go();
        };
        tokio::join!(queued, one_more).0
    };
    let (first, queued) = tokio::join!(first, meanwhile);
    assert!(first.is_ok() && queued.iter().all(Result::is_ok), "{first:?} {queued:?}");

    let newer = Pair::new("newer");
    desk.later(PERIOD_MS);
    provider.now(Manner::Waits(set(&[&newer])));
    let hurried = desk.post_within(&newer, Duration::ZERO).await;
    assert_eq!(hurried, Err(Refusal::KeyHeld(HELD_MIN)));
    provider.was_asked(3).await;
    provider.let_go();
    desk.counted(&refreshed("ok", 3)).await;
    while desk.post_within(&newer, Duration::ZERO).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn keys_stay_while_the_provider_answers_nothing_that_can_be_used() {
    let key = Pair::new("kept");
    let provider = Provider::start(Manner::Gives(set(&[&key]))).await;
    let elsewhere = Provider::start(Manner::Gives(set(&[&Pair::new("elsewhere")]))).await;
    let table = format!("preset = \"plaid\"\npath = \"/a\"\njwks_url = \"{}\"", provider.url);
    let desk =
        Desk::open(&table, HttpKeys::of(HttpKeys::builder(PATIENCE)).unwrap(), Texts::default());
    assert_eq!(desk.post(&key).await, Ok("kept".to_owned()));
    let moved = |status: &str| Manner::Says(format!("{status}\r\nlocation: {}", elsewhere.url));
    let (mut failed, mut refused) = (0, 0);
    let cases = [
        (Manner::HangsUp, false),
        (Manner::Stalls, false),
        (Manner::Says("500 Internal Server Error".to_owned()), false),
        (moved("302 Found"), false),
        (moved("308 Permanent Redirect"), false),
        (Manner::Floods, true),
        (Manner::Gives(String::new()), true),
        (Manner::Gives("<html>no keys today</html>".to_owned()), true),
        (Manner::Gives(r#"{"keys":[]}"#.to_owned()), true),
        (Manner::Gives(r#"{"keys":[{"kty":"RSA","kid":"kept"}]}"#.to_owned()), true),
    ];
    desk.later(RENEW_MS);
    for (manner, is_refused) in cases {
        provider.now(manner.clone());
        desk.later(PERIOD_MS);
        let unknown = Pair::new("unknown");
        assert_eq!(desk.post(&unknown).await, Err(HELD), "{manner:?}");
        assert_eq!(desk.post(&key).await, Ok("kept".to_owned()), "{manner:?}");
        *(if is_refused { &mut refused } else { &mut failed }) += 1;
        assert!(desk.counts(&refreshed("failed", failed)), "{manner:?}");
        assert!(desk.counts(&refreshed("refused", refused)) || refused == 0, "{manner:?}");
    }
    assert_eq!((failed, refused, elsewhere.asked()), (5, 5, 0));
    let old = format!(
        r#"webhook_jwks_age_seconds{{source="it"}} {}"#,
        (RENEW_MS + 10 * PERIOD_MS) / 1000
    );
    desk.counted(&old).await;

    // back again, with the key withdrawn
    let next = Pair::new("next");
    provider.now(Manner::Gives(set(&[&next])));
    desk.later(PERIOD_MS);
    assert_eq!(desk.post(&next).await, Ok("next".to_owned()));
    assert_eq!(desk.post(&key).await, Err(HELD));
    desk.counted(r#"webhook_jwks_age_seconds{source="it"} 0"#).await;
}

#[tokio::test]
async fn a_withdrawn_key_is_gone_within_the_day_without_anybody_asking() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let provider = Provider::start(Manner::Gives(set(&[&old, &new]))).await;
    let desk = Desk::with_set(&provider);
    assert_eq!(desk.post(&old).await, Ok("old".to_owned()));
    provider.now(Manner::Gives(set(&[&new])));
    desk.later(RENEW_MS);
    desk.counted(&refreshed("ok", 2)).await;
    while desk.post(&old).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.post(&new).await, Ok("new".to_owned()));
}

#[tokio::test]
async fn before_the_first_answer_nobody_is_told_that_its_key_is_wrong() {
    let key = Pair::new("a");
    let provider = Provider::start(Manner::HangsUp).await;
    let desk = Desk::with_set(&provider);
    desk.counted(&refreshed("failed", 1)).await;
    assert_eq!(desk.post(&key).await, Err(Refusal::NoKeys));
    provider.now(Manner::Gives(set(&[&key])));
    desk.later(PERIOD_MS);
    assert_eq!(desk.post(&key).await, Ok("a".to_owned()));
}

#[tokio::test]
async fn keys_by_request_are_asked_for_with_our_credentials_and_once_each() {
    let (key, expired) = (Pair::new("6c5516e1"), Pair::new("0b6a2f77"));
    let answer = |jwk: String| Manner::Gives(format!(r#"{{"key":{jwk},"request_id":"r"}}"#));
    let provider = Provider::start(answer(key.jwk(r#","expired_at":null"#))).await;
    let table = format!(
        "preset = \"plaid\"\npath = \"/a\"\nkey_request = {{ url = \"{}\", \
         client_id = {{ env = \"PLAID_ID\" }}, secret = {{ file = \"plaid.secret\" }} }}",
        provider.url
    );
    let texts = [("PLAID_ID", b"client".to_vec()), ("plaid.secret", b"s3cret\n".to_vec())];
    let desk = Desk::open(&table, HttpKeys::new().unwrap(), Texts(texts.into()));
    assert_eq!(provider.asked(), 0);
    for _ in 0..3 {
        assert_eq!(desk.post(&key).await, Ok("6c5516e1".to_owned()));
    }
    let requests = provider.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("POST /keys HTTP/1.1\r\n"), "{requests:?}");
    let posted = r#"{"client_id":"client","secret":"s3cret","key_id":"6c5516e1"}"#;
    assert!(requests[0].ends_with(posted), "{requests:?}");

    // out of use; another than the one asked for; none of that name
    provider.now(answer(expired.jwk(r#","expired_at":1772500000"#)));
    assert_eq!(desk.post(&expired).await, Err(UNKNOWN));
    assert_eq!(desk.post(&expired).await, Err(UNKNOWN));
    assert_eq!(provider.asked(), 2);
    provider.now(answer(key.jwk("")));
    assert_eq!(desk.post(&Pair::new("another")).await, Err(UNKNOWN));
    provider.now(Manner::Says("400 Bad Request".to_owned()));
    assert_eq!(desk.post(&Pair::new("none")).await, Err(UNKNOWN));
    assert_eq!(provider.asked(), 4);
    // no more within five minutes, whoever asks
    assert_eq!(desk.post(&Pair::new("fifth")).await, Err(HELD));
    assert_eq!(provider.asked(), 4);

    // taken out of use later
    provider.now(answer(key.jwk(r#","expired_at":1772500000"#)));
    desk.later(RENEW_MS);
    desk.counted(&refreshed("ok", 3)).await;
    while desk.post(&key).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_that_configuration_hides_is_in_messages() {
    let request = KeyRequest {
        url: "https://bank.example/keys".to_owned(),
        token: Some("t0ken".to_owned()),
        post: Some(r#"{"secret":"s3cret"}"#.to_owned()),
    };
    let text = format!("{request:?}");
    assert!(text.contains("bank.example") && !text.contains("t0ken") && !text.contains("s3cret"));
}
