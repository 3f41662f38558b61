mod damage;

use std::sync::atomic::Ordering;

use signatures::{Scheme, Secret, sign};

use super::*;
use crate::testing::{BODY_BYTES_MAX, Broker, NOW, Reply, TestIngress, up_body, up_signature};

const RECEIVED: &str = r#"{"status":"received"}"#;
const REPLAYED: &str = r#"{"status":"received","idempotent_replay":true}"#;

#[track_caller]
fn check(reply: &Reply, status: u16, body: &str) {
    assert_eq!((reply.status, reply.body.as_str()), (status, body), "{}", reply.head);
}

fn rejected(reason: &str) -> String {
    format!(r#"{{"error":"rejected","reason":"{reason}"}}"#)
}

#[tokio::test]
async fn first_delivery_is_on_the_topic_with_its_exact_bytes_when_it_is_answered() {
    let ingress = TestIngress::start().await;
    let body = up_body("e-1", Some("t-1"));
    check(&ingress.post_up("up", &body).await, 200, RECEIVED);

    let record = ingress.records().remove(0);
    assert_eq!(record.key, "up:t-1");
    let value = &record.value;
    assert_eq!(
        (value.event_id.as_str(), value.event_type.as_str()),
        ("e-1", "TRANSACTION_CREATED")
    );
    assert_eq!(value.subject_id.as_deref(), Some("t-1"));
    assert_eq!((value.received_at, value.occurred_at), (NOW, Some(1_772_501_000_000)));
    assert_eq!((value.source.as_str(), value.scheme.as_str()), ("up", "up"));
    assert_eq!((value.key_id.as_str(), value.origin.as_str()), ("one", "webhook"));
    assert_eq!(value.body, body.as_bytes());
    assert_eq!(value.signature_headers[0].name, "x-up-authenticity-signature");
    assert_eq!(value.signature_headers[0].value, up_signature("up", &body));
    assert_eq!(value.body_sha256.len(), 64);
    let headers = record.headers();
    assert!(headers.contains(&("bankstream-event-id", "e-1")), "{headers:?}");
    assert!(headers.iter().any(|(name, value)| *name == "traceparent" && value.len() == 55));
    assert!(ingress.counts(r#"webhook_requests_total{result="accepted",source="up"} 1"#));
    assert!(ingress.counts(r#"webhook_last_event_timestamp_seconds{source="up"} 1772501000"#));
}

#[tokio::test]
async fn duplicate_of_an_accepted_event_is_answered_and_not_published_again() {
    let ingress = TestIngress::start().await;
    let body = up_body("e-1", Some("t-1"));
    check(&ingress.post_up("up", &body).await, 200, RECEIVED);
    check(&ingress.post_up("up", &body).await, 200, REPLAYED);
    // The other key's signature over the same bytes is the same event.
    check(&ingress.post_up("up_two", &body).await, 200, REPLAYED);
    assert_eq!(ingress.records().len(), 1);
    assert!(ingress.counts(r#"webhook_requests_total{result="duplicate",source="up"} 2"#));
}

#[tokio::test]
async fn same_id_with_another_body_is_replayed_and_refused() {
    let ingress = TestIngress::start().await;
    check(&ingress.post_up("up", &up_body("e-1", Some("t-1"))).await, 200, RECEIVED);
    let other = ingress.post_up("up", &up_body("e-1", Some("t-2"))).await;
    check(&other, 401, &rejected("replayed"));
    assert_eq!(ingress.records().len(), 1);
    assert!(ingress.counts(r#"webhook_rejected_total{reason="replayed",source="up"} 1"#));
}

/// Waits until the topic holds a record back.
async fn one_is_held(ingress: &TestIngress) {
    while ingress.topic.held.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_that_arrive_at_once_share_one_record_and_one_outcome() {
    for accepted in [true, false] {
        let ingress = TestIngress::start().await;
        ingress.broker(Broker::Hangs);
        let body = up_body("e-1", Some("t-1"));
        let settle = async {
            one_is_held(&ingress).await;
            // Whoever asks after the outcome meets a broker that fails.
            ingress.broker(Broker::Fails);
            let ticket = ingress.topic.held.lock().unwrap().remove(0);
            // The others are judged, and wait or are about to.
            let judged = r#"webhook_verify_seconds_count{source="up"} 3"#;
            while !ingress.counts(judged) {
                tokio::task::yield_now().await;
            }
            if accepted { ticket.accepted() } else { ticket.failed() }
        };
        let post = || ingress.post_up("up", &body);
        let (a, b, c, ()) = tokio::join!(post(), post(), post(), settle);
        let mut bodies = [a, b, c].map(|reply| (reply.status, reply.body));
        bodies.sort();
        let count = |status, body: &str| {
            bodies.iter().filter(|(given, text)| *given == status && text == body).count()
        };
        if accepted {
            assert_eq!((count(200, RECEIVED), count(200, REPLAYED)), (1, 2), "{bodies:?}");
            assert_eq!(ingress.records().len(), 1);
        } else {
            assert_eq!(count(503, r#"{"error":"unavailable"}"#), 3, "{bodies:?}");
        }
    }
}

#[tokio::test]
async fn event_that_kafka_does_not_take_gets_503_and_may_come_again() {
    let ingress = TestIngress::start().await;
    ingress.broker(Broker::Fails);
    let body = up_body("e-1", Some("t-1"));
    let reply = ingress.post_up("up", &body).await;
    check(&reply, 503, r#"{"error":"unavailable"}"#);
    assert!(reply.head.contains("retry-after: 5"), "{}", reply.head);
    assert!(ingress.counts(r#"webhook_requests_total{result="error",source="up"} 1"#));
    ingress.broker(Broker::Accepts);
    check(&ingress.post_up("up", &body).await, 200, RECEIVED);
}

#[tokio::test]
async fn event_whose_acknowledgement_comes_after_the_deadline_is_known_afterwards() {
    let ingress = TestIngress::with_deadline(Duration::from_millis(20)).await;
    ingress.broker(Broker::Hangs);
    let body = up_body("e-1", Some("t-1"));
    check(&ingress.post_up("up", &body).await, 503, r#"{"error":"unavailable"}"#);
    ingress.topic.held.lock().unwrap().remove(0).accepted();
    check(&ingress.post_up("up", &body).await, 200, REPLAYED);
}

#[tokio::test]
async fn nothing_is_taken_before_the_raw_topic_was_read() {
    let ingress = TestIngress::start().await;
    ingress.shared.readiness.waiting_for("the end of 6 partitions");
    let reply = ingress.post_up("up", &up_body("e-1", None)).await;
    check(&reply, 503, r#"{"error":"unavailable"}"#);
    let ready = ingress.request("GET", "/readyz", &[], b"").await;
    check(&ready, 503, "waiting for the end of 6 partitions\n");
    check(&ingress.request("GET", "/livez", &[], b"").await, 200, "ok\n");
    ingress.shared.readiness.ready();
    check(&ingress.request("GET", "/readyz", &[], b"").await, 200, "ready\n");
}

#[tokio::test]
async fn ping_is_accepted_and_recorded_under_its_event_id() {
    let ingress = TestIngress::start().await;
    check(&ingress.post_up("up", &up_body("e-9", None)).await, 200, RECEIVED);
    let record = ingress.records().remove(0);
    assert_eq!((record.key.as_str(), record.value.subject_id), ("up:e-9", None));
}

#[tokio::test]
async fn requests_that_are_not_genuine_are_rejected_with_their_reason() {
    let ingress = TestIngress::start().await;
    let body = up_body("e-1", Some("t-1"));
    let right = up_signature("up", &body);
    let wrong = up_signature("another", &body);
    let upper = right.to_uppercase();
    let name = "x-up-authenticity-signature";
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[], "missing-headers"),
        (&[(name, &wrong)], "signature-mismatch"),
        (&[(name, &upper)], "malformed-header"),
        (&[(name, &right), (name, &right)], "malformed-header"),
        (&[("stripe-signature", &right)], "missing-headers"),
    ];
    for (headers, reason) in cases {
        let reply = ingress.request("POST", "/webhooks/up", headers, body.as_bytes()).await;
        check(&reply, 401, &rejected(reason));
    }
    assert_eq!(ingress.records(), []);
    let total = r#"webhook_requests_total{result="signature-rejected",source="up"} 5"#;
    assert!(ingress.counts(total));
}

#[tokio::test]
async fn a_body_is_parsed_to_a_bounded_depth_and_only_when_it_is_genuine() {
    let ingress = TestIngress::start().await;
    let (deep, deeper) = (["[".repeat(127), "]".repeat(127)], "[".repeat(BODY_BYTES_MAX));
    let deep = deep.concat();
    for body in ["", "{", "[]", r#"{"data":{"id":1}}"#, &deep, &deeper] {
        check(&ingress.post_up("up", body).await, 401, &rejected("invalid-payload"));
        check(&ingress.post_up("another", body).await, 401, &rejected("signature-mismatch"));
    }
    assert_eq!(ingress.records(), []);
}

#[tokio::test]
async fn stripe_s_time_and_declared_sender_are_checked() {
    let ingress = TestIngress::start().await;
    let body = br#"{"id":"evt_1","type":"charge.succeeded","data":{"object":{"id":"ch_1"}}}"#;
    let secret = Secret::new("stripe").unwrap();
    let header = sign(&Scheme::stripe(), &secret, body, NOW).remove(0).value;
    let post = async |agent: &'static str| {
        let headers = [("stripe-signature", header.as_str()), ("user-agent", agent)];
        ingress.request("POST", "/api/integration/bank-callback/stripe", &headers, body).await
    };
    check(&post("curl/8").await, 401, &rejected("malformed-header"));
    ingress.now.store(NOW + 300_001, Ordering::SeqCst);
    check(&post("Stripe/1.0").await, 401, &rejected("clock-skew"));
    assert!(ingress.counts(r#"webhook_clock_skew_seconds_count{source="stripe"} 1"#));
    ingress.now.store(NOW + 300_000, Ordering::SeqCst);
    check(&post("Stripe/1.0").await, 200, RECEIVED);
    for line in [
        r#"webhook_key_used_total{key="only",source="stripe"} 1"#,
        r#"webhook_clock_skew_seconds_bucket{source="stripe",le="120"} 0"#,
        r#"webhook_clock_skew_seconds_bucket{source="stripe",le="300"} 1"#,
        r#"webhook_clock_skew_seconds_bucket{source="stripe",le="3600"} 2"#,
        r#"webhook_body_bytes_count{source="stripe"} 1"#,
        r#"webhook_publish_seconds_count{source="stripe"} 1"#,
    ] {
        assert!(ingress.counts(line), "{line}");
    }
    assert_eq!(ingress.records()[0].key, "stripe:ch_1");
}

#[tokio::test]
async fn a_clock_that_jumped_is_measured_by_genuine_requests_and_by_no_others() {
    const HOUR: i64 = 3_600_000;
    let ingress = TestIngress::start().await;
    let body =
        |id: &str| format!(r#"{{"id":"{id}","type":"a","data":{{"object":{{"id":"ch_1"}}}}}}"#);
    let post = async |secret: &str, id: &str, agent: &str| {
        let secret = Secret::new(secret).unwrap();
        let header = sign(&Scheme::stripe(), &secret, body(id).as_bytes(), NOW).remove(0).value;
        let headers = [("stripe-signature", header.as_str()), ("user-agent", agent)];
        let path = "/api/integration/bank-callback/stripe";
        ingress.request("POST", path, &headers, body(id).as_bytes()).await
    };
    for (now, genuine) in [(NOW + HOUR, 1), (NOW - HOUR, 2)] {
        ingress.now.store(now, Ordering::SeqCst);
        check(&post("another", "e-1", "Stripe/1.0").await, 401, &rejected("clock-skew"));
        check(
            &post("stripe", "bankstream-canary-1", "Stripe/1.0").await,
            401,
            &rejected("clock-skew"),
        );
        check(&post("stripe", "e-1", "curl/8").await, 401, &rejected("malformed-header"));
        check(&post("stripe", "e-1", "Stripe/1.0").await, 401, &rejected("clock-skew"));
        for line in [
            format!(r#"webhook_clock_skew_seconds_count{{source="stripe"}} {genuine}"#),
            format!(r#"webhook_clock_skew_seconds_sum{{source="stripe"}} {}"#, 3_600 * genuine),
            r#"webhook_body_bytes_count{source="stripe"} 0"#.to_owned(),
        ] {
            assert!(ingress.counts(&line), "{line}");
        }
    }
    assert_eq!(ingress.records(), []);
}

#[tokio::test]
async fn body_over_the_limit_is_refused_whether_or_not_its_length_is_told() {
    let ingress = TestIngress::start().await;
    let large = "x".repeat(BODY_BYTES_MAX + 1);
    check(&ingress.post_up("up", &large).await, 413, &rejected("body-too-large"));

    let chunk = format!("{:x}\r\n{}\r\n", large.len(), large);
    let head = "POST /webhooks/up HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let reply = ingress.raw(format!("{head}{chunk}0\r\n\r\n").as_bytes()).await;
    check(&reply, 413, &rejected("body-too-large"));

    // One that asks first is told first: nothing follows the head here.
    let head = "POST /webhooks/up HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                expect: 100-continue\r\ncontent-length: 9999999\r\n\r\n";
    check(&ingress.raw(head.as_bytes()).await, 413, &rejected("body-too-large"));

    // Exactly at the limit it is read, and then judged.
    let full = "x".repeat(BODY_BYTES_MAX);
    check(&ingress.post_up("up", &full).await, 401, &rejected("invalid-payload"));
}

#[tokio::test]
async fn other_paths_are_not_found_and_other_methods_not_allowed() {
    let ingress = TestIngress::start().await;
    for path in
        ["/", "/shell?cd+/tmp", "/webhooks", "/webhooks/up/", "/webhooks/UP", "/%77ebhooks/up"]
    {
        let reply = ingress.request("POST", path, &[], b"").await;
        check(&reply, 404, r#"{"error":"not-found"}"#);
    }
    assert!(ingress.counts("webhook_unknown_path_total 6"));
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let reply = ingress.request(method, "/webhooks/up", &[], b"").await;
        assert_eq!(reply.status, 405);
        assert!(reply.head.contains("allow: post"), "{}", reply.head);
    }
    assert_eq!(ingress.request("POST", "/metrics", &[], b"").await.status, 405);
    let metrics = ingress.request("GET", "/metrics", &[], b"").await;
    assert!(metrics.body.contains("webhook_requests_total"), "{}", metrics.body);
}
