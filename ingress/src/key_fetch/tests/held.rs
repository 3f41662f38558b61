//! A new key behind a forged name: its requests are told to come again, not that they are refused.

use super::*;
use crate::testing::TestIngress;

#[tokio::test]
async fn a_forged_name_before_a_new_key_costs_it_some_minutes_and_no_request() {
    let (old, new, forger) = (Pair::new("old"), Pair::new("new"), Pair::new("forged"));
    let provider = Provider::start(Manner::Gives(set(&[&old]))).await;
    let desk = Desk::with_set(&provider);
    assert_eq!(desk.post(&old).await, Ok("old".to_owned()));
    desk.later(PERIOD_MS);
    // Asked for, and not there: that is a fact.
    assert_eq!(desk.post(&forger).await, Err(UNKNOWN));
    provider.now(Manner::Gives(set(&[&old, &new])));
    desk.later(PERIOD_MS / 2);
    assert_eq!(desk.post(&new).await, Err(Refusal::KeyHeld(Duration::from_secs(150))));
    assert_eq!(desk.post(&forger).await, Err(UNKNOWN));
    assert_eq!(provider.asked(), 2);
    desk.later(PERIOD_MS / 2);
    assert_eq!(desk.post(&new).await, Ok("new".to_owned()));
    assert_eq!(desk.post(&forger).await, Err(UNKNOWN));
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn a_held_request_gets_503_and_is_counted_among_the_rejected_and_not_as_an_error() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let provider = Provider::start(Manner::Gives(set(&[&old]))).await;
    let source =
        format!("[sources.it]\npreset = \"plaid\"\npath = \"/a\"\njwks_url = \"{}\"", provider.url);
    let ingress = TestIngress::with_sources(source).await;
    let shared = Arc::clone(&ingress.shared);
    let keeping = TaskTracker::new().spawn(async move {
        let door = &shared.doors[0];
        let remote = door.source.remote.clone().unwrap();
        let keeper = Keeper::new(remote, HttpKeys::new().unwrap(), Texts::default());
        keeper.keep(door, shared.clock.as_ref()).await;
    });
    let post = async |pair: &Pair| {
        let scheme = &ingress.shared.doors[0].source.scheme;
        let headers = pair.sign(scheme, BODY, NOW);
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        ingress.request("POST", "/a", &headers, BODY).await
    };
    assert_eq!(post(&old).await.status, 200);
    let reply = post(&new).await;
    assert_eq!((reply.status, &*reply.body), (503, r#"{"error":"unavailable"}"#));
    assert!(reply.head.contains("retry-after: 300"), "{}", reply.head);
    for line in [
        r#"webhook_rejected_total{reason="unknown-key-held",source="it"} 1"#,
        r#"webhook_rejected_total{reason="unknown-key",source="it"} 0"#,
        r#"webhook_requests_total{result="signature-rejected",source="it"} 1"#,
        r#"webhook_requests_total{result="error",source="it"} 0"#,
    ] {
        assert!(ingress.counts(line), "{line}");
    }
    keeping.abort();
}
