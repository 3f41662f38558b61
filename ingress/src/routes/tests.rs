use std::io::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::stream;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::clock::Stopwatch;
use crate::testing::{BODY_BYTES_MAX, TestIngress, up_body, up_signature};

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

struct Line<'a>(MutexGuard<'a, Vec<u8>>);

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.write(text)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;
    fn make_writer(&'a self) -> Line<'a> {
        Line(self.0.lock().unwrap())
    }
}

impl Log {
    fn lines(&self) -> usize {
        self.0.lock().unwrap().split(|byte| *byte == b'\n').count() - 1
    }
}

#[tokio::test]
async fn scanners_get_404_without_a_line_in_the_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    // The server runs on this thread too.
    let _guard = tracing::subscriber::set_default(subscriber);
    let ingress = TestIngress::start().await;
    for path in ["/.env", "/wp-login.php", "/webhooks/../etc/passwd", "/api/integration"] {
        for method in ["GET", "POST"] {
            assert_eq!(ingress.request(method, path, &[], b"x").await.status, 404);
        }
    }
    assert_eq!(ingress.request("GET", "/webhooks/up", &[], b"").await.status, 405);
    assert_eq!(log.lines(), 0);
    assert_eq!(ingress.post_up("another secret", &up_body("e-1", None)).await.status, 401);
    assert_eq!(log.lines(), 1, "a rejection at a door is logged");
}

#[tokio::test]
async fn nothing_of_a_body_a_signature_or_a_secret_is_logged_at_any_level() {
    const MARK: &str = "marked-0123456789";
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let ingress = TestIngress::start().await;
    let body = up_body("e-1", None).replacen('{', &format!("{{\"note\":\"{MARK}\","), 1);
    let other = body.replacen("note", "text", 1);
    let long = format!("{body}{}", MARK.repeat(BODY_BYTES_MAX));
    for (secret, body, status) in [
        ("up", &body, 200),
        ("up", &body, 200),
        ("up", &other, 401),
        ("up", &MARK.to_owned(), 401),
        ("another secret", &body, 401),
        ("up", &long, 413),
    ] {
        assert_eq!(ingress.post_up(secret, body).await.status, status, "{secret} {body}");
    }
    let malformed = [("X-Up-Authenticity-Signature", MARK)];
    let malformed = ingress.request("POST", "/webhooks/up", &malformed, body.as_bytes()).await;
    assert_eq!(malformed.status, 401);
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("webhook rejected"), "{said}");
    for hidden in
        [MARK, "another secret", &up_signature("up", &body), &up_signature("another secret", &body)]
    {
        assert!(!said.contains(hidden), "`{hidden}` is in {said}");
    }
}

#[tokio::test]
async fn a_path_that_nobody_declared_costs_microseconds() {
    const HITS: u32 = 10_000;
    let ingress = TestIngress::start().await;
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", "a scanner".parse().unwrap());
    // Not of this machine: the limits of an address are part of the cost.
    let peer = IpAddr::from([192, 0, 2, 1]);
    let head = Head { peer, method: Method::GET, headers };
    let since = Stopwatch::start();
    for _ in 0..HITS {
        let body = stream::empty::<Result<Bytes, std::io::Error>>();
        assert_eq!(answer(&ingress.shared, &head, "/.env", body).await, Answer::NotFound);
    }
    let each = since.elapsed() / HITS;
    assert!(each < Duration::from_micros(100), "{each:?} for one, without optimisation");
    assert!(ingress.counts("webhook_unknown_path_total 10000"));
}
