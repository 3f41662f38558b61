//! An ingress in this process, with a topic, a clock and a client of the tests' own.

mod log;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use signatures::source::{SecretStore, parse};
use signatures::{Scheme, Secret, sign};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) use self::log::Log;
use crate::body::BodyLimits;
use crate::budget::Budget;
use crate::capture::Capture;
use crate::client::ForwardedHeader;
use crate::dedupe::{Dedupe, Ticket};
use crate::door::Door;
use crate::gate::{self, Gate};
use crate::listen::{self, tls::Tls};
use crate::metrics::Metrics;
use crate::publish::{PublishError, Publisher};
use crate::readiness::Readiness;
use crate::receive::Ingress;
use crate::recent::{Recent, Token};
use crate::record::RawRecord;
use crate::trace::Spans;

/// The time at which tests begin, milliseconds.
pub(crate) const NOW: i64 = 1_772_501_000_000;

/// The limit of bodies in tests.
pub(crate) const BODY_BYTES_MAX: usize = 4096;

/// The limit of all bodies at once in tests.
pub(crate) const BODIES_BYTES_MAX: usize = 16 * BODY_BYTES_MAX;

const SOURCES: &str = r#"
    [sources.up]
    preset = "up"
    path = "/webhooks/up"
    secrets = [{ id = "one", env = "UP" }, { id = "two", env = "UP_TWO", optional = true }]

    [sources.stripe]
    preset = "stripe"
    path = "/api/integration/bank-callback/stripe"
    secrets = [{ id = "only", env = "STRIPE" }]
    user_agent = "Stripe/1.0"

    [sources.github]
    preset = "github"
    path = "/webhooks/github"
    secrets = [{ id = "only", env = "GITHUB" }]
"#;

/// Secrets that are their own names in lower case.
pub(crate) struct TestSecrets;

impl SecretStore for TestSecrets {
    fn env(&self, name: &str) -> Option<String> {
        Some(name.to_lowercase())
    }
    fn file(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// What the topic does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Accepts,
    Fails,
    Hangs,
}

/// A topic in memory.
#[derive(Debug)]
pub(crate) struct TestTopic {
    pub(crate) broker: Mutex<Broker>,
    pub(crate) records: Mutex<Vec<RawRecord>>,
    pub(crate) held: Mutex<Vec<Ticket>>,
}

impl Publisher for Arc<TestTopic> {
    fn publish(&self, record: &RawRecord, ticket: Ticket) -> Result<(), PublishError> {
        let broker = *self.broker.lock().unwrap();
        if broker != Broker::Fails {
            self.records.lock().unwrap().push(record.clone());
        }
        match broker {
            Broker::Accepts => ticket.accepted(),
            Broker::Fails => ticket.failed(),
            Broker::Hangs => self.held.lock().unwrap().push(ticket),
        }
        Ok(())
    }

    fn probe(&self, _: Duration) -> Result<(), String> {
        let is_there = *self.broker.lock().unwrap() == Broker::Accepts;
        if is_there { Ok(()) } else { Err("the broker is away".to_owned()) }
    }

    fn flush(&self, _: Duration) {}
}

#[derive(Debug)]
struct TestClock(Arc<AtomicI64>);

impl streams::Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A running ingress.
pub(crate) struct TestIngress {
    pub(crate) topic: Arc<TestTopic>,
    pub(crate) shared: Arc<Ingress<Arc<TestTopic>>>,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) stop: CancellationToken,
    pub(crate) server: tokio::task::JoinHandle<()>,
    addr: std::net::SocketAddr,
}

/// What a request got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Reads an answer to the connection's end.
    pub(crate) async fn read(mut stream: TcpStream) -> Self {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

/// Limits that no test meets unless it wants to.
pub(crate) fn limits() -> listen::Limits {
    listen::Limits {
        connections_max: 100,
        connections_per_address_max: 100,
        head_timeout: Duration::from_mins(1),
        idle_timeout: Duration::from_mins(1),
    }
}

/// What a test may choose.
struct Setup {
    sources: String,
    produce_deadline: Duration,
    connections: listen::Limits,
    senders: gate::Limits,
    token: Option<Token>,
    tls: Option<Arc<Tls>>,
    capture: Capture,
    spans: Spans,
}

impl Default for Setup {
    fn default() -> Self {
        let produce_deadline = Duration::from_secs(20);
        Self {
            sources: SOURCES.to_owned(),
            produce_deadline,
            connections: limits(),
            senders: senders(),
            token: None,
            tls: None,
            capture: Capture::off(),
            spans: Spans::off(),
        }
    }
}

/// No limits on senders; this machine may speak for others.
pub(crate) fn senders() -> gate::Limits {
    gate::Limits {
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        forwarded_header: ForwardedHeader::XForwardedFor,
        allow: Vec::new(),
        address_rate: 0,
        rejected_rate: 0,
        source_rate: 0,
    }
}

impl TestIngress {
    /// Starts one that is ready and whose broker accepts.
    pub(crate) async fn start() -> Self {
        Self::with_deadline(Duration::from_secs(20)).await
    }

    pub(crate) async fn with_deadline(produce_deadline: Duration) -> Self {
        Self::with(Setup { produce_deadline, ..Setup::default() }).await
    }

    /// One with these sources instead of the usual.
    pub(crate) async fn with_sources(sources: String) -> Self {
        Self::with(Setup { sources, ..Setup::default() }).await
    }

    pub(crate) async fn with_limits(connections: listen::Limits) -> Self {
        Self::with(Setup { connections, ..Setup::default() }).await
    }

    pub(crate) async fn with_senders(senders: gate::Limits) -> Self {
        Self::with(Setup { senders, ..Setup::default() }).await
    }

    pub(crate) async fn with_token(token: Option<Token>) -> Self {
        Self::with(Setup { token, ..Setup::default() }).await
    }

    pub(crate) async fn with_tls(tls: Arc<Tls>, connections: listen::Limits) -> Self {
        Self::with(Setup { tls: Some(tls), connections, ..Setup::default() }).await
    }

    pub(crate) async fn with_capture(capture: Capture) -> Self {
        Self::with(Setup { capture, ..Setup::default() }).await
    }

    pub(crate) async fn with_spans(spans: Spans) -> Self {
        Self::with(Setup { spans, ..Setup::default() }).await
    }

    async fn with(setup: Setup) -> Self {
        let (limits, produce_deadline) = (setup.connections, setup.produce_deadline);
        let metrics = Metrics::new().unwrap();
        let doors = parse("test.toml", &setup.sources).unwrap();
        let doors = doors.into_iter().map(|it| Door::open(it, &TestSecrets, &metrics).unwrap());
        let topic = Arc::new(TestTopic {
            broker: Mutex::new(Broker::Accepts),
            records: Mutex::default(),
            held: Mutex::default(),
        });
        let readiness = Arc::new(Readiness::default());
        readiness.ready();
        let now = Arc::new(AtomicI64::new(NOW));
        let gate = Gate::new(&setup.senders, ["up", "stripe"].into_iter(), metrics.gate.clone());
        let shared = Arc::new(Ingress {
            doors: doors.collect(),
            gate,
            publisher: OnceLock::from(Arc::clone(&topic)),
            dedupe: Dedupe::new(86_400_000, 1000, metrics.dedupe.clone()),
            readiness,
            recent: Recent::new(setup.token),
            capture: setup.capture,
            spans: setup.spans,
            metrics,
            clock: Box::new(TestClock(Arc::clone(&now))),
            body: BodyLimits { bytes: BODY_BYTES_MAX, time: Duration::from_secs(10) },
            bodies: Budget::new(BODIES_BYTES_MAX),
            produce_deadline,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let routes = {
            let shared = Arc::clone(&shared);
            move |peer| crate::routes::routes(Arc::clone(&shared), peer)
        };
        let (stop, metrics) = (CancellationToken::new(), shared.metrics.connections.clone());
        let terms = listen::Terms { limits, proxies: Vec::new(), tls: setup.tls, metrics };
        let serving = listen::serve(listener, routes, terms, stop.clone());
        let server = tokio_util::task::TaskTracker::new().spawn(serving);
        Self { topic, shared, now, stop, server, addr }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> std::net::SocketAddr {
        self.addr
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends bytes as they are and reads the answer to its end.
    pub(crate) async fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        Reply::read(stream).await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let length = body.len().to_string();
        let fixed = [("host", "a"), ("connection", "close"), ("content-length", &length)];
        let lines: Vec<_> = fixed
            .iter()
            .chain(headers)
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!("{method} {path} HTTP/1.1\r\n{}\r\n", lines.concat());
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    /// Posts a body signed as Up signs it.
    pub(crate) async fn post_up(&self, secret: &str, body: &str) -> Reply {
        let signature = up_signature(secret, body);
        let headers = [("X-Up-Authenticity-Signature", signature.as_str())];
        self.request("POST", "/webhooks/up", &headers, body.as_bytes()).await
    }

    pub(crate) fn broker(&self, broker: Broker) {
        *self.topic.broker.lock().unwrap() = broker;
    }

    pub(crate) fn records(&self) -> Vec<RawRecord> {
        self.topic.records.lock().unwrap().clone()
    }

    /// Whether the metrics have this line.
    pub(crate) fn counts(&self, line: &str) -> bool {
        self.shared.metrics.text().unwrap().lines().any(|given| given == line)
    }
}

impl Drop for TestIngress {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn up_signature(secret: &str, body: &str) -> String {
    let secret = Secret::new(secret).unwrap();
    sign(&Scheme::up(), &secret, body.as_bytes(), 0).remove(0).value
}

/// The body of an event of Up's; without a transaction it is a ping.
pub(crate) fn up_body(id: &str, transaction: Option<&str>) -> String {
    let (kind, relationships) = match transaction {
        Some(id) => (
            "TRANSACTION_CREATED",
            format!(r#"{{"transaction":{{"data":{{"type":"transactions","id":"{id}"}}}}}}"#),
        ),
        None => ("PING", "{}".to_owned()),
    };
    format!(
        r#"{{"data":{{"type":"webhook-events","id":"{id}","attributes":{{"eventType":"{kind}","createdAt":"2026-03-03T12:23:20+11:00"}},"relationships":{relationships}}}}}"#
    )
}
