use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::*;
use crate::testing::{TestIngress, up_body, up_signature};

#[test]
fn a_trace_is_continued_when_it_is_well_formed_and_begun_otherwise() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let recording = SdkTracerProvider::builder().build();
    let check = |given: &str, expect_continued: bool| {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", given.parse().unwrap());
        for spans in [Spans::off(), Spans::to(recording.clone())] {
            let made = spans.begin(&headers, "/webhooks/up").traceparent();
            let context = traceparent::read(&made).unwrap_or_else(|| panic!("{made}"));
            let is_continued = context.trace_id().to_string() == trace;
            assert_eq!(is_continued, expect_continued, "{given} -> {made}");
            let ours = context.span_id().to_string();
            assert_ne!(ours, "00f067aa0ba902b7", "it should be a span of ours");
            if expect_continued {
                assert_eq!(made.get(53..), given.get(53..));
            }
        }
    };
    check(&format!("00-{trace}-00f067aa0ba902b7-00"), true);
    check(&format!("00-{trace}-00f067aa0ba902b7-01"), true);
    check(&format!("01-{trace}-00f067aa0ba902b7-00"), false);
    check(&format!("00-{trace}-0000000000000000-00"), false);
    check(&format!("00-{}-00f067aa0ba902b7-00", trace.to_uppercase()), false);
    check(&format!("00-{trace}-00f067aa0ba902b7-00-more"), false);
    check("nonsense", false);
}

/// A collector that takes one batch.
async fn collect(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    let is_whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request);
        let (head, _) = text.split_once("\r\n\r\n")?;
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        let end = request.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
        Some(request.len() >= end + length.parse::<usize>().ok()?)
    };
    while is_whole(&request) != Some(true) {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        assert_ne!(count, 0, "the request ended before its end");
        request.extend_from_slice(&chunk[..count]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    request
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_webhook_is_exported_and_its_record_continues_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        otlp_endpoint: Some(format!("http://{}/", listener.local_addr().unwrap())),
        otel_service_name: "the-ingress".to_owned(),
    };
    let collector = TaskTracker::new().spawn(collect(listener));
    let ingress = TestIngress::with_spans(options.spans(&Handle::current()).unwrap()).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    let post = async |secret: &str, body: &str| {
        let signature = up_signature(secret, body);
        let headers =
            [("X-Up-Authenticity-Signature", signature.as_str()), ("traceparent", given.as_str())];
        ingress.request("POST", "/webhooks/up", &headers, body.as_bytes()).await.status
    };
    assert_eq!(post("another secret", &up_body("forged-event", None)).await, 401);
    assert_eq!(post("up", &up_body("genuine-event", None)).await, 200);
    let record = ingress.records().remove(0);
    let ours = record
        .traceparent
        .strip_prefix(&format!("00-{trace}-"))
        .unwrap()
        .strip_suffix("-01")
        .unwrap();

    let shared = Arc::clone(&ingress.shared);
    tokio::task::spawn_blocking(move || shared.spans.shut_down()).await.unwrap();
    let batch = collector.await.unwrap();
    assert!(batch.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
    for id in [trace, ours, "00f067aa0ba902b7"] {
        assert!(holds(&batch, &hex::decode(id).unwrap()), "{id} is not in the batch");
    }
    for text in ["POST /webhooks/up", "genuine-event", "the-ingress"] {
        assert!(holds(&batch, text.as_bytes()), "{text} is not in the batch");
    }
    assert!(!holds(&batch, b"forged-event"), "a forger makes no spans");
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_refused_at_start() {
    let options = |endpoint: &str| Options {
        otlp_endpoint: Some(endpoint.to_owned()),
        otel_service_name: "the-ingress".to_owned(),
    };
    let error = options("not an address").spans(&Handle::current()).unwrap_err().to_string();
    assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
    assert!(options("").spans(&Handle::current()).unwrap().0.is_none(), "empty is off");
}
