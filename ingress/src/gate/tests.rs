use super::*;
use crate::testing::{Log, Reply, TestIngress, senders, up_body, up_signature};

/// Posts a body of Up's for `from`, by way of the proxy that the test is.
async fn post(ingress: &TestIngress, secret: &str, id: &str, from: &str) -> Reply {
    let body = up_body(id, None);
    let signature = up_signature(secret, &body);
    let headers = [("x-up-authenticity-signature", signature.as_str()), ("x-forwarded-for", from)];
    ingress.request("POST", "/webhooks/up", &headers, body.as_bytes()).await
}

#[tokio::test]
async fn address_that_sends_too_much_that_is_not_genuine_is_limited_and_others_are_not() {
    let ingress = TestIngress::with_senders(Limits { rejected_rate: 1, ..senders() }).await;
    assert_eq!(post(&ingress, "wrong", "e-1", "192.0.2.1").await.status, 401);
    let scan = ingress.request("GET", "/.env", &[("x-forwarded-for", "192.0.2.1")], b"").await;
    assert_eq!(scan.status, 404);
    for secret in ["wrong", "up"] {
        let reply = post(&ingress, secret, "e-1", "192.0.2.1").await;
        assert_eq!((reply.status, &*reply.body), (429, r#"{"error":"too-many-requests"}"#));
        assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    }
    // Of the same /64 all are the same; another is not.
    for (from, status) in [("2001:db8::1", 401), ("2001:db8::2", 401), ("2001:db8::3", 429)] {
        assert_eq!(post(&ingress, "wrong", "e-1", from).await.status, status, "{from}");
    }
    assert_eq!(post(&ingress, "up", "e-1", "192.0.2.2").await.status, 200);
    assert!(ingress.counts(r#"webhook_limited_total{limit="rejected"} 3"#));
    assert!(ingress.counts(r#"webhook_requests_total{result="signature-rejected",source="up"} 3"#));
}

#[tokio::test]
async fn genuine_requests_are_no_offence_and_those_of_this_machine_are_nobody_s() {
    let ingress = TestIngress::with_senders(Limits { rejected_rate: 1, ..senders() }).await;
    for number in 0..10 {
        let id = format!("e-{number}");
        assert_eq!(post(&ingress, "up", &id, "192.0.2.1").await.status, 200);
        assert_eq!(post(&ingress, "wrong", &id, "127.0.0.1").await.status, 401);
    }
}

#[tokio::test]
async fn address_that_sends_too_much_of_anything_is_limited() {
    let ingress = TestIngress::with_senders(Limits { address_rate: 1, ..senders() }).await;
    let mut statuses = Vec::new();
    for id in ["e-1", "e-2", "e-3"] {
        statuses.push(post(&ingress, "up", id, "192.0.2.1").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert!(ingress.counts(r#"webhook_limited_total{limit="address"} 1"#));
}

#[tokio::test]
async fn source_is_limited_by_its_genuine_requests_alone() {
    let ingress = TestIngress::with_senders(Limits { source_rate: 1, ..senders() }).await;
    for _ in 0..5 {
        assert_eq!(post(&ingress, "wrong", "e-1", "192.0.2.1").await.status, 401);
    }
    let mut statuses = Vec::new();
    for id in ["e-1", "e-2", "e-3"] {
        statuses.push(post(&ingress, "up", id, "192.0.2.1").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(ingress.records().len(), 2);
    assert!(ingress.counts(r#"webhook_limited_total{limit="source"} 1"#));
}

#[tokio::test]
async fn source_with_allowed_addresses_takes_webhooks_from_these_only() {
    let allow = vec!["up=192.0.2.0/24".parse().unwrap(), "up=2001:db8::/32".parse().unwrap()];
    let ingress = TestIngress::with_senders(Limits { allow, ..senders() }).await;
    for (from, status) in [
        ("192.0.2.1", 200),
        ("2001:db8::1", 200),
        ("192.0.3.1", 403),
        ("unknown", 403),
        ("192.0.2.1, 192.0.3.1", 403),
    ] {
        assert_eq!(post(&ingress, "up", from, from).await.status, status, "{from}");
    }
    let path = "/api/integration/bank-callback/stripe";
    let other = ingress.request("POST", path, &[("x-forwarded-for", "192.0.3.1")], b"").await;
    assert_eq!(other.status, 401);
    assert!(ingress.counts(r#"webhook_limited_total{limit="not-allowed"} 3"#));
}

#[tokio::test]
async fn a_tunnel_on_this_machine_that_is_not_named_is_said_once() {
    let (log, _guard) = Log::begin("warn");
    let unnamed = Limits { trusted_proxies: Vec::new(), rejected_rate: 1, ..senders() };
    let ingress = TestIngress::with_senders(unnamed.clone()).await;
    // As by a canary on this machine.
    assert_eq!(ingress.post_up("up", &up_body("e-0", None)).await.status, 200);
    assert_eq!(log.text(), "");
    for id in ["e-1", "e-2", "e-3"] {
        assert_eq!(post(&ingress, "up", id, "192.0.2.1").await.status, 200);
    }
    let text = log.text();
    assert_eq!(text.matches("INGRESS_TRUSTED_PROXIES=127.0.0.1,::1").count(), 1, "{text}");
    let named = TestIngress::with_senders(senders()).await;
    assert_eq!(post(&named, "up", "e-1", "192.0.2.1").await.status, 200);
    assert_eq!(log.text(), text);
    // And at the start, where somebody chose limits that count nobody.
    let (here, everywhere) = ("127.0.0.1:8080".parse().unwrap(), "0.0.0.0:8080".parse().unwrap());
    assert!(unnamed.are_idle(here) && !unnamed.are_idle(everywhere));
    let usual =
        Limits { address_rate: ADDRESS_RATE, rejected_rate: REJECTED_RATE, ..unnamed.clone() };
    assert!(!usual.are_idle(here) && !senders().are_idle(here));
}
