use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use apache_avro::{AvroSchema as _, Schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use streams::wire::{FixedSchemas, SchemaError, Schemas};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::metrics::Metrics;
use crate::testing::{TestIngress, up_body, up_signature};

fn options(file: &Path, content: Content) -> Options {
    Options {
        file: Some(file.to_owned()),
        topic: false,
        content,
        body_limit: 1024,
        limit: 1024 * 1024,
        rate: 0,
    }
}

/// An ingress that keeps what it rejects, and its writer's end: all that came is then in the file.
struct Kept {
    ingress: TestIngress,
    writer: Mutex<Writer>,
    metrics: Metrics,
    folder: tempfile::TempDir,
}

impl Kept {
    async fn start(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&folder.path().join("rejected.jsonl"), Content::Whole);
        change(&mut options);
        let metrics = Metrics::new().unwrap();
        let sources = ["up", "stripe"].into_iter();
        let (capture, mut writers) = Capture::new(&options, sources, None, &metrics.capture);
        let ingress = TestIngress::with_capture(capture).await;
        Self { ingress, writer: writers.remove(0).into(), metrics, folder }
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let stop = CancellationToken::new();
        stop.cancel();
        self.writer.lock().unwrap().run(&stop);
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn forge(&self, body: &str) {
        let signature = up_signature("another secret", body);
        let headers = [
            ("X-Up-Authenticity-Signature", signature.as_str()),
            ("Authorization", "Bearer top-secret"),
            ("Cookie", "session=top-secret"),
            ("Content-Type", "application/json"),
        ];
        let reply = self.ingress.request("POST", "/webhooks/up", &headers, body.as_bytes()).await;
        assert_eq!(reply.status, 401);
    }
}

fn header<'a>(line: &'a Value, name: &str) -> &'a Value {
    let headers = line["headers"].as_array().unwrap();
    headers.iter().find(|header| header["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_request_is_kept_whole_but_for_what_is_none_of_the_scheme_s() {
    let kept = Kept::start(|_| {}).await;
    let body = up_body("e-1", None);
    kept.forge(&body).await;
    assert_eq!(kept.ingress.post_up("up", &body).await.status, 200);
    let lines = kept.lines("rejected.jsonl");
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(
        (&line["source"], &line["scheme"], &line["reason"], &line["path"]),
        (&"up".into(), &"up".into(), &"signature-mismatch".into(), &"/webhooks/up".into())
    );
    let signature = up_signature("another secret", &body);
    assert_eq!(header(line, "x-up-authenticity-signature")["value"], signature.as_str());
    assert_eq!(header(line, "content-type")["value"], "application/json");
    assert_eq!(STANDARD.decode(line["body_base64"].as_str().unwrap()).unwrap(), body.as_bytes());
    assert_eq!(line["body_cut"], false);
    for secret in ["authorization", "cookie"] {
        assert_eq!(
            header(line, secret)["redacted"]["bytes"],
            18 - usize::from(secret == "authorization")
        );
    }
    assert!(!line.to_string().contains("top-secret"), "{line}");
    let mode = std::fs::metadata(kept.folder.path().join("rejected.jsonl")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_sender_is_the_one_that_a_trusted_proxy_names() {
    let kept = Kept::start(|_| {}).await;
    let forge = async |headers: &[(&str, &str)]| {
        assert_eq!(kept.ingress.request("POST", "/webhooks/up", headers, b"{}").await.status, 401);
    };
    forge(&[("X-Forwarded-For", "198.51.100.1, 203.0.113.9")]).await;
    forge(&[]).await;
    let lines = kept.lines("rejected.jsonl");
    let senders: Vec<_> = lines.iter().map(|line| (&line["peer"], &line["client"])).collect();
    assert_eq!(
        senders,
        [(&"127.0.0.1".into(), &"203.0.113.9".into()), (&"127.0.0.1".into(), &Value::Null)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_hold_neither_the_signature_nor_the_body() {
    let kept = Kept::start(|options| options.content = Content::Heads).await;
    let body = up_body("e-1", None);
    kept.forge(&body).await;
    let lines = kept.lines("rejected.jsonl");
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(header(line, "x-up-authenticity-signature")["redacted"]["bytes"], 64);
    assert_eq!(line["body_bytes"], body.len());
    assert_eq!((&line["body_base64"], &line["body_cut"]), (&Value::Null, &Value::Null));
    let text = line.to_string();
    assert!(!text.contains("eventType") && !text.contains(&up_signature("another secret", &body)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_cut_and_one_over_the_limit_is_not_there() {
    let kept = Kept::start(|options| options.body_limit = 10).await;
    kept.forge("0123456789").await;
    kept.forge("0123456789a").await;
    let large = "x".repeat(crate::testing::BODY_BYTES_MAX + 1);
    assert_eq!(kept.ingress.post_up("up", &large).await.status, 413);
    let lines = kept.lines("rejected.jsonl");
    let told: Vec<_> = lines.iter().map(|line| (&line["body_bytes"], &line["body_cut"])).collect();
    let null = &Value::Null;
    assert_eq!(told, [(&10.into(), &false.into()), (&11.into(), &true.into()), (null, null)]);
    assert_eq!(STANDARD.decode(lines[1]["body_base64"].as_str().unwrap()).unwrap(), b"0123456789");
    assert_eq!(lines[2]["reason"], "body-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_makes_room_and_a_flood_is_counted_and_left_out() {
    let kept = Kept::start(|options| options.limit = 1500).await;
    for number in 0..12 {
        kept.forge(&format!("body {number:02}")).await;
    }
    let (new, old) = (kept.lines("rejected.jsonl"), kept.lines("rejected.jsonl.1"));
    assert!((1..12).contains(&new.len()) && !old.is_empty(), "{} {}", new.len(), old.len());
    for name in ["rejected.jsonl", "rejected.jsonl.1"] {
        assert!(std::fs::metadata(kept.folder.path().join(name)).unwrap().len() <= 1500);
    }
    assert_eq!(kept.metrics.capture.written.get(), 12);

    let kept = Kept::start(|options| options.rate = 1).await;
    for _ in 0..20 {
        kept.forge("{}").await;
    }
    let written = kept.lines("rejected.jsonl").len();
    assert!((2..20).contains(&written), "{written}");
    assert_eq!(kept.metrics.capture.over_rate.get(), 20 - u64::try_from(written).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_keep_up_or_fails_costs_lines_and_not_answers() {
    let kept = Kept::start(|options| options.file = Some("/nowhere/at/all".into())).await;
    for _ in 0..WAITING_MAX + 3 {
        kept.forge("{}").await;
    }
    assert_eq!(kept.metrics.capture.crowded.get(), 3);
    assert_eq!(kept.lines("rejected.jsonl"), Vec::<Value>::new());
    assert_eq!(kept.metrics.capture.failed.get(), u64::try_from(WAITING_MAX).unwrap());
    let body = up_body("e-1", None);
    assert_eq!(kept.ingress.post_up("up", &body).await.status, 200);
}

/// A registry that is away until it is not, and counts who asks.
#[derive(Default)]
struct Registry {
    known: FixedSchemas,
    asked: AtomicUsize,
}

impl Schemas for Registry {
    fn pin(&self, topic: &str, schema: &Schema) -> Result<u32, SchemaError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.known.pin(topic, schema)
    }

    fn resolve(&self, id: u32) -> Result<&'static Schema, SchemaError> {
        self.known.resolve(id)
    }
}

/// A topic on a broker that nobody runs, and a request for it.
fn away(schemas: Arc<dyn Schemas>, limit: u64, metrics: &Metrics) -> (Topic, WebhookRejected) {
    let topic = Topic::new("127.0.0.1:1", schemas, limit, metrics.capture.clone()).unwrap();
    let source = signatures::source::parse(
        "a.toml",
        "[sources.up]\npreset = \"up\"\npath = \"/up\"\nsecrets = [{ id = \"a\", env = \"A\" }]",
    );
    let (headers, peer) = (warp::http::HeaderMap::new(), std::net::Ipv4Addr::LOCALHOST.into());
    let request = Request { peer, client: None, headers: &headers, body: Some(b"{}") };
    let kept = (Content::Whole, 1024);
    let reason = Reason::SignatureMismatch;
    (topic, kept::of(&source.unwrap().remove(0), &request, reason, 0, kept))
}

fn registered() -> Arc<dyn Schemas> {
    Arc::new(FixedSchemas::default().with(7, WebhookRejected::get_schema()))
}

#[test]
fn a_broker_that_is_away_costs_what_is_beyond_the_queue_and_no_time() {
    let metrics = Metrics::new().unwrap();
    let (mut topic, kept) = away(registered(), u64::MAX, &metrics);
    for _ in 0..topic::QUEUE_RECORDS_MAX + 3 {
        topic.put(&kept);
    }
    assert_eq!((metrics.capture.unpublished.get(), metrics.capture.published.get()), (3, 0));
}

#[test]
fn a_topic_takes_so_many_bytes_an_hour() {
    let metrics = Metrics::new().unwrap();
    let (mut topic, kept) = away(registered(), 1024, &metrics);
    for _ in 0..100 {
        topic.put(&kept);
    }
    let over = metrics.capture.over_rate.get();
    assert!((80..100).contains(&over), "{over}");
    assert_eq!(metrics.capture.unpublished.get(), 0);
}

#[test]
fn a_registry_without_the_schema_is_not_asked_for_every_request() {
    let metrics = Metrics::new().unwrap();
    let registry = Arc::new(Registry::default());
    let (mut topic, kept) = away(Arc::clone(&registry) as _, u64::MAX, &metrics);
    for _ in 0..100 {
        topic.put(&kept);
    }
    assert_eq!(
        (metrics.capture.unpublished.get(), registry.asked.load(Ordering::SeqCst)),
        (100, 1)
    );
}

#[test]
fn a_file_that_cannot_be_written_is_refused_at_the_start_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path| options(path, Content::Heads).check();
    let good = folder.path().join("rejected.jsonl");
    assert!(check(&good).is_ok() && check(&good).is_ok());
    assert_eq!(std::fs::metadata(&good).unwrap().permissions().mode() & 0o777, 0o600);
    for path in [&folder.path().join("missing/rejected.jsonl"), &good.join("below"), folder.path()]
    {
        let message = check(path).unwrap_err().to_string();
        for part in [&*path.to_string_lossy(), "INGRESS_CAPTURE_FILE", "create the folder"] {
            assert!(message.contains(part), "`{message}` should contain `{part}`");
        }
    }
    assert!(Options { file: None, ..options(&good, Content::Heads) }.check().is_ok());
}
