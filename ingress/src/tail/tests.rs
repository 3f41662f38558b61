//! The reader on a topic of the library's mock cluster. That knows no times: everything is read from
//! the beginning unless a snapshot says otherwise.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaRespErr;
use streams::wire::SchemaError;

use super::*;
use crate::dedupe::Claim;
use crate::metrics::Metrics;

const NOW: i64 = 1_772_501_000_000;
const DAY_MS: i64 = 86_400_000;
const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// No registry: every record of these tests has headers, or is none of ours.
struct NoSchemas;

impl Schemas for NoSchemas {
    fn pin(&self, _: &str, _: &apache_avro::Schema) -> Result<u32, SchemaError> {
        Err(SchemaError::Unavailable { message: "no registry".to_owned() })
    }

    fn resolve(&self, _: u32) -> Result<&'static apache_avro::Schema, SchemaError> {
        Err(SchemaError::Unavailable { message: "no registry".to_owned() })
    }
}

#[derive(Clone)]
struct TestClock(Arc<AtomicI64>);

impl streams::Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(WEBHOOKS_RECEIVED, partitions, 1).unwrap();
    cluster
}

/// A program's life: a memory that is fed by a reader on a thread of its own.
struct Life {
    dedupe: Arc<Dedupe>,
    metrics: Metrics,
    readiness: Arc<Readiness>,
    clock: TestClock,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<Result<(), TailError>>>,
}

impl Life {
    fn start(cluster: &Cluster, file: Option<&Path>) -> Self {
        let metrics = Metrics::new().unwrap();
        let dedupe = Dedupe::new(DAY_MS, 1_000, metrics.dedupe.clone());
        let readiness = Arc::new(Readiness::default());
        let clock = TestClock(Arc::new(AtomicI64::new(NOW)));
        let keeper = file.map(|file| {
            let settings = Settings { file: file.to_path_buf(), every: Duration::from_mins(1) };
            Keeper::new(settings, Arc::new(clock.clone()), metrics.dedupe.snapshots.clone())
        });
        let tail = Tail::new(
            &cluster.bootstrap_servers(),
            Arc::new(NoSchemas),
            Arc::clone(&dedupe),
            metrics.dedupe.clone(),
            Arc::clone(&readiness),
        );
        let tail = tail.unwrap().with_snapshots(keeper);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || tail.run(0, &stopped));
        Self { dedupe, metrics, readiness, clock, stop, thread: Some(thread) }
    }

    fn until_ready(&self) {
        until("readiness", || self.readiness.missing().is_none());
    }

    fn knows(&self, id: &str) -> bool {
        let print = BodyPrint::from_hex(SHA256).unwrap();
        matches!(self.dedupe.claim(EventKey::new("up", id), print, NOW), Claim::Known)
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics.text().unwrap().lines().any(|given| given == line)
    }

    fn end(mut self) {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }

    /// As a crash would: nothing is written at the end.
    fn crash(mut self, file: &Path) {
        let before = std::fs::read(file).ok();
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap().unwrap();
        match before {
            Some(bytes) => std::fs::write(file, bytes).unwrap(),
            None => std::fs::remove_file(file).unwrap_or_default(),
        }
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let watch = crate::clock::Stopwatch::start();
    while !is_so() {
        assert!(watch.elapsed() < Duration::from_mins(1), "waited in vain for {what}");
        std::thread::yield_now();
    }
}

async fn produce(cluster: &Cluster, ids: &[&str]) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for id in ids {
        let headers =
            [(header::SOURCE, "up"), (header::EVENT_ID, *id), (header::BODY_SHA256, SHA256)]
                .into_iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
        let record = FutureRecord::to(WEBHOOKS_RECEIVED).key(*id).payload("p").timestamp(NOW);
        producer.send(record.headers(headers), Duration::from_secs(30)).await.unwrap();
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event-ids");
    (folder, file)
}

const LOADED: &str = r#"webhook_dedupe_snapshots_total{result="loaded"} 1"#;
const SET_ASIDE: &str = r#"webhook_dedupe_snapshots_total{result="set-aside"} 1"#;

#[tokio::test]
async fn a_start_knows_what_is_on_the_topic_and_what_comes_later() {
    let cluster = cluster(3);
    produce(&cluster, &["a", "b", "c", "d"]).await;
    let life = Life::start(&cluster, None);
    life.until_ready();
    assert!(["a", "b", "c", "d"].map(|id| life.knows(id)).iter().all(|known| *known));
    produce(&cluster, &["e", "a"]).await;
    until("the new event", || life.knows("e"));
    until("the second copy", || life.metrics.dedupe.raw_duplicates.get() == 1);
    life.end();
}

#[tokio::test]
async fn a_stop_keeps_the_ids_and_a_start_reads_on_from_there() {
    let (cluster, (_folder, file)) = (cluster(3), place());
    produce(&cluster, &["a", "b", "c"]).await;
    let life = Life::start(&cluster, Some(&file));
    life.until_ready();
    life.end();
    produce(&cluster, &["d", "a"]).await;
    let life = Life::start(&cluster, Some(&file));
    life.until_ready();
    assert!(["a", "b", "c", "d"].map(|id| life.knows(id)).iter().all(|known| *known));
    assert!(life.counts(LOADED), "{}", life.metrics.text().unwrap());
    // Nothing of before is read a second time, so only the real second copy is one.
    assert_eq!(life.metrics.dedupe.raw_duplicates.get(), 1);
    life.end();
}

#[tokio::test]
async fn a_crash_costs_reading_what_came_after_the_last_snapshot() {
    let (cluster, (_folder, file)) = (cluster(2), place());
    produce(&cluster, &["a", "b"]).await;
    let life = Life::start(&cluster, Some(&file));
    until("the first snapshot", || file.exists());
    produce(&cluster, &["c"]).await;
    until("the third event", || life.knows("c"));
    life.crash(&file);
    let life = Life::start(&cluster, Some(&file));
    life.until_ready();
    assert!(life.counts(LOADED));
    assert!(["a", "b", "c"].map(|id| life.knows(id)).iter().all(|known| *known));
    assert_eq!(life.metrics.dedupe.raw_duplicates.get(), 0);
    life.end();
}

#[tokio::test]
async fn snapshots_are_written_again_when_their_time_has_come_and_something_was_read() {
    let (cluster, (_folder, file)) = (cluster(2), place());
    produce(&cluster, &["a"]).await;
    let life = Life::start(&cluster, Some(&file));
    let written =
        |count: u32| format!(r#"webhook_dedupe_snapshots_total{{result="written"}} {count}"#);
    until("the first snapshot", || life.counts(&written(1)));
    produce(&cluster, &["b"]).await;
    until("the second event", || life.knows("b"));
    life.clock.0.fetch_add(59_999, Ordering::SeqCst);
    assert!(life.counts(&written(1)), "not yet");
    life.clock.0.fetch_add(1, Ordering::SeqCst);
    until("the second snapshot", || life.counts(&written(2)));
    life.clock.0.fetch_add(60_000, Ordering::SeqCst);
    let seconds = (NOW + 120_000) / 1000;
    let complete = format!("webhook_dedupe_snapshot_timestamp_seconds {seconds}");
    until("the confirmation of the second", || life.counts(&complete));
    assert!(life.counts(&written(2)), "nothing was read since");
    life.end();
}

/// The file is not used: the topic is read from its beginning, and the file kept for a look.
async fn is_set_aside(cluster: &Cluster, file: &Path) {
    produce(cluster, &["x"]).await;
    let life = Life::start(cluster, Some(file));
    life.until_ready();
    assert!(life.knows("x") && life.counts(SET_ASIDE), "{}", life.metrics.text().unwrap());
    assert!(!life.knows("a"), "what another topic held is not known");
    assert!(file.with_extension("set-aside").exists());
    until("a new snapshot", || file.exists());
    life.end();
    let life = Life::start(cluster, Some(file));
    life.until_ready();
    assert!(life.knows("x") && life.counts(LOADED), "{}", life.metrics.text().unwrap());
    life.end();
}

/// A snapshot of a topic with one partition and these ids. Its cluster lives on: the mock's id is an
/// address, which another would get again.
async fn snapshot(ids: &[&str]) -> (Cluster, tempfile::TempDir, PathBuf) {
    let (cluster, (folder, file)) = (cluster(1), place());
    produce(&cluster, ids).await;
    let life = Life::start(&cluster, Some(&file));
    life.until_ready();
    life.end();
    (cluster, folder, file)
}

/// Makes the snapshot one of this cluster: the mock has a new id each time.
fn adopt(file: &Path, cluster: &Cluster) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    let id = consumer.client().fetch_cluster_id(Duration::from_secs(30)).unwrap();
    let snapshot = Snapshot::open(file).unwrap().unwrap();
    let header = crate::dedupe::snapshot::Header { cluster: id, ..snapshot.header.clone() };
    let dedupe = Dedupe::new(DAY_MS, 1_000, Metrics::new().unwrap().dedupe);
    snapshot.load(&dedupe, NOW).unwrap();
    crate::dedupe::snapshot::write(file, &header, &dedupe).unwrap();
}

#[tokio::test]
async fn a_snapshot_of_another_cluster_is_set_aside() {
    let (_cluster, _folder, file) = snapshot(&["a", "b"]).await;
    let other = cluster(1);
    produce(&other, &["v", "b"]).await;
    is_set_aside(&other, &file).await;
}

#[tokio::test]
async fn a_snapshot_of_a_longer_topic_is_set_aside() {
    let (_cluster, _folder, file) = snapshot(&["a", "b", "c"]).await;
    let other = cluster(1);
    adopt(&file, &other);
    is_set_aside(&other, &file).await;
}

#[tokio::test]
async fn a_snapshot_of_a_topic_that_was_made_anew_and_is_longer_now_is_set_aside() {
    let (_cluster, _folder, file) = snapshot(&["a", "b"]).await;
    let other = cluster(1);
    produce(&other, &["v", "w", "y"]).await;
    adopt(&file, &other);
    is_set_aside(&other, &file).await;
}

#[tokio::test]
async fn a_snapshot_of_other_partitions_is_set_aside() {
    let (_cluster, _folder, file) = snapshot(&["a"]).await;
    let other = cluster(2);
    adopt(&file, &other);
    is_set_aside(&other, &file).await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_set_aside() {
    let (cluster, (_folder, file)) = (cluster(1), place());
    std::fs::write(&file, b"not a snapshot, but long enough to be taken for one").unwrap();
    is_set_aside(&cluster, &file).await;
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() - 50;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let life = Life::start(&cluster, Some(&file));
    life.until_ready();
    assert!(life.knows("x") && life.counts(SET_ASIDE));
    life.end();
}

#[tokio::test]
async fn a_place_that_cannot_be_written_hinders_nothing_and_is_counted() {
    let (cluster, (_folder, file)) = (cluster(1), place());
    std::fs::write(&file, b"").unwrap();
    produce(&cluster, &["a"]).await;
    let life = Life::start(&cluster, Some(&file.join("event-ids")));
    let failed = r#"webhook_dedupe_snapshots_total{result="failed"} 1"#;
    until("the failure", || life.counts(failed));
    assert!(life.knows("a") && life.readiness.missing().is_none());
    life.end();
}

#[tokio::test]
async fn a_topic_that_is_not_there_ends_the_reader_with_what_to_do() {
    let cluster = MockCluster::new(1).unwrap();
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error(WEBHOOKS_RECEIVED, unknown).unwrap();
    let mut life = Life::start(&cluster, None);
    let ended = life.thread.take().unwrap().join().unwrap();
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("bankstream topology apply"), "{error}");
}
