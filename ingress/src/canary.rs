//! Canaries: genuine requests of our own that prove the way in, and are events of nobody.
//!
//! `bankstream webhook canary` signs them with the source's own secret and posts them through the
//! public door, so that they fail for whatever a provider's would fail for: the name, the proxy, the
//! clock, the secret, Kafka. They take the whole way to the raw topic and no other: they are counted
//! apart, are no last event, and a consumer passes their records over by `origin`.

use schemas::canary::{EVENT_ID_PREFIX, ORIGIN};
use signatures::source::Event;

use crate::answer::Answer;
use crate::record::RawRecord;

/// Whether a genuine request is one.
pub(crate) fn is_canary(event: &Event) -> bool {
    event.id.starts_with(EVENT_ID_PREFIX)
}

/// Says in the record what it is.
pub(crate) fn mark(record: &mut RawRecord) {
    ORIGIN.clone_into(&mut record.value.origin);
}

/// The answer to one, where an event would get `answer`: its sender can tell that it was recognised.
pub(crate) fn answer(answer: Answer) -> Answer {
    match answer {
        Answer::Received(code) => Answer::Canary(code),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use signatures::{Scheme, Secret, sign};

    use crate::testing::{Broker, TestIngress, up_body};

    const ACCEPTED: &str = r#"{"status":"received","canary":true}"#;

    #[tokio::test]
    async fn a_canary_takes_the_whole_way_and_is_counted_apart() {
        let ingress = TestIngress::with_token(Some("sixteen-bytes-or-more".parse().unwrap())).await;
        let body = up_body("bankstream-canary-1", None);
        let reply = ingress.post_up("up", &body).await;
        assert_eq!((reply.status, &*reply.body), (200, ACCEPTED));
        let reply = ingress.post_up("up", &body).await;
        assert!(reply.body.contains("idempotent_replay"), "{}", reply.body);
        let records = ingress.records();
        let [record] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!(record.value.origin, "canary");
        ingress.broker(Broker::Fails);
        let second = up_body("bankstream-canary-2", None);
        assert_eq!(ingress.post_up("up", &second).await.status, 503);
        for line in [
            r#"webhook_canary_requests_total{result="accepted",source="up"} 1"#,
            r#"webhook_canary_requests_total{result="duplicate",source="up"} 1"#,
            r#"webhook_canary_requests_total{result="error",source="up"} 1"#,
            r#"webhook_canary_last_success_timestamp_seconds{source="up"} 1772501000"#,
            r#"webhook_requests_total{result="accepted",source="up"} 0"#,
            r#"webhook_requests_total{result="duplicate",source="up"} 0"#,
            r#"webhook_requests_total{result="error",source="up"} 0"#,
            r#"webhook_last_event_timestamp_seconds{source="up"} 0"#,
        ] {
            assert!(ingress.counts(line), "{line}");
        }
        let text = ingress.shared.metrics.text().unwrap();
        assert!(!text.contains("webhook_key_used_total{"), "a canary is no use of a key");
        let bearer = [("authorization", "Bearer sixteen-bytes-or-more")];
        let events = ingress.request("GET", "/events", &bearer, b"").await;
        assert_eq!(events.body, r#"{"events":[]}"#);
    }

    #[tokio::test]
    async fn a_forged_canary_is_a_rejection_like_any_other() {
        let ingress = TestIngress::start().await;
        let body = up_body("bankstream-canary-1", None);
        assert_eq!(ingress.post_up("another secret", &body).await.status, 401);
        assert!(
            ingress.counts(r#"webhook_rejected_total{reason="signature-mismatch",source="up"} 1"#)
        );
        assert!(
            ingress.counts(r#"webhook_canary_requests_total{result="accepted",source="up"} 0"#)
        );
        let text = ingress.shared.metrics.text().unwrap();
        assert!(!text.contains("webhook_canary_last_success_timestamp_seconds{"));
    }

    #[tokio::test]
    async fn a_mark_outside_of_the_signature_makes_no_canary() {
        let ingress = TestIngress::start().await;
        let body = up_body("e-1", Some("t-1"));
        let secret = Secret::new("up").unwrap();
        let signature = sign(&Scheme::up(), &secret, body.as_bytes(), 0).remove(0).value;
        let headers = [
            ("X-Up-Authenticity-Signature", signature.as_str()),
            ("User-Agent", "bankstream-canary-1"),
            ("X-Request-Id", "bankstream-canary-1"),
        ];
        let reply = ingress.request("POST", "/webhooks/up", &headers, body.as_bytes()).await;
        assert_eq!(reply.body, r#"{"status":"received"}"#);
        assert_eq!(ingress.records()[0].value.origin, "webhook");
    }
}
