use std::io::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::stream;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::clock::Stopwatch;
use crate::testing::{TestIngress, up_body};

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
