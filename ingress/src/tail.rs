//! Reads the raw topic, first from the dedupe window's beginning to its end, then as it grows: so a
//! restart forgets nothing and replicas know each other's events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use apache_avro::AvroSchema as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};
use schemas::WebhookReceived;
use schemas::topics::WEBHOOKS_RECEIVED;
use streams::wire::{Decoder, Schemas, keep};
use tokio_util::sync::CancellationToken;

use crate::dedupe::{BodyPrint, Dedupe, EventKey};
use crate::metrics::DedupeMetrics;
use crate::readiness::Readiness;
use crate::record::header;

/// How long one question to the broker may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one poll waits; a stop is noticed this late at most.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// How often in a row the broker may say that there is no such topic: a broker that has just
/// started answers before it knows all of its topics. Some five seconds.
const MISSING_ANSWERS_MAX: u32 = 25;

/// Bytes of the topic fetched ahead, in KiB: a start over a long window must not fill the memory.
const FETCHED_KIB_MAX: u32 = 16 * 1024;

/// Why the topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// It does not exist.
    #[error("topic `{WEBHOOKS_RECEIVED}` does not exist; run `bankstream topology apply`")]
    NoTopic,
    /// The consumer refuses its settings.
    #[error("cannot create the Kafka consumer")]
    Consumer(#[source] KafkaError),
}

/// Reads the topic on a thread of its own, for as long as the process lives.
pub(crate) struct Tail {
    consumer: BaseConsumer,
    decoder: Decoder,
    dedupe: Arc<Dedupe>,
    metrics: DedupeMetrics,
    readiness: Arc<Readiness>,
    /// Partitions whose end at the start is still to be reached, with that end.
    behind: Vec<(i32, i64)>,
}

impl Tail {
    pub(crate) fn new(
        bootstrap_servers: &str,
        schemas: Arc<dyn Schemas>,
        dedupe: Arc<Dedupe>,
        metrics: DedupeMetrics,
        readiness: Arc<Readiness>,
    ) -> Result<Self, TailError> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("client.id", "ingress-dedupe")
            // Never joined and never committed to: partitions are assigned by hand.
            .set("group.id", "ingress-dedupe")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("reconnect.backoff.max.ms", "1000")
            .set("queued.max.messages.kbytes", FETCHED_KIB_MAX.to_string())
            .create()
            .map_err(TailError::Consumer)?;
        let decoder = Decoder::new(schemas, keep(WebhookReceived::get_schema()));
        Ok(Self { consumer, decoder, dedupe, metrics, readiness, behind: Vec::new() })
    }

    /// Reads records from `since` (milliseconds) on, says when the end was reached, and goes on
    /// until `stop`.
    pub(crate) fn run(mut self, since: i64, stop: &CancellationToken) -> Result<(), TailError> {
        let mut missing = 0;
        while !stop.is_cancelled() {
            match self.assign(since) {
                Ok(true) => break,
                Ok(false) if missing == MISSING_ANSWERS_MAX => return Err(TailError::NoTopic),
                Ok(false) => missing += 1,
                Err(error) => self.readiness.waiting_for(format!("Kafka: {error}")),
            }
            // Waits, and lets the consumer report what it meets.
            if let Some(Err(error)) = self.consumer.poll(POLL_TIMEOUT) {
                tracing::debug!("waiting for Kafka: {error}");
            }
        }
        self.report_progress();
        // Kafka being away is said once, not with every attempt to reach it.
        let mut away = false;
        while !stop.is_cancelled() {
            match self.consumer.poll(POLL_TIMEOUT) {
                None => {}
                Some(Ok(message)) => {
                    away = false;
                    let (partition, offset) = (message.partition(), message.offset());
                    note(&mut self.decoder, &self.dedupe, &self.metrics, &message);
                    self.reached(partition, offset.saturating_add(1));
                }
                Some(Err(error)) if !away => {
                    away = true;
                    tracing::warn!("reading {WEBHOOKS_RECEIVED}: {error}");
                }
                Some(Err(error)) => tracing::debug!("reading {WEBHOOKS_RECEIVED}: {error}"),
            }
        }
        Ok(())
    }

    /// Places the consumer at `since` in every partition; false when the topic does not exist.
    fn assign(&mut self, since: i64) -> Result<bool, KafkaError> {
        let metadata = self.consumer.fetch_metadata(Some(WEBHOOKS_RECEIVED), ANSWER_TIMEOUT)?;
        let topic = metadata.topics().first();
        let partitions: HashSet<i32> = topic
            .map(|topic| topic.partitions().iter().map(MetadataPartition::id).collect())
            .unwrap_or_default();
        if partitions.is_empty() {
            return Ok(false);
        }
        let mut times = TopicPartitionList::new();
        for partition in &partitions {
            times.add_partition_offset(
                WEBHOOKS_RECEIVED,
                *partition,
                Offset::Offset(since.max(0)),
            )?;
        }
        let starts = self.consumer.offsets_for_times(times, ANSWER_TIMEOUT)?;
        let mut assignment = TopicPartitionList::new();
        self.behind.clear();
        for start in starts.elements() {
            let (low, high) = self.consumer.fetch_watermarks(
                WEBHOOKS_RECEIVED,
                start.partition(),
                ANSWER_TIMEOUT,
            )?;
            // Beyond the last record of that time there is nothing to remember.
            let first = start.offset().to_raw().filter(|raw| *raw >= 0).unwrap_or(high).max(low);
            assignment.add_partition_offset(
                WEBHOOKS_RECEIVED,
                start.partition(),
                Offset::Offset(first),
            )?;
            if first < high {
                self.behind.push((start.partition(), high));
            }
        }
        self.consumer.assign(&assignment)?;
        Ok(true)
    }

    fn reached(&mut self, partition: i32, position: i64) {
        if self.behind.is_empty() {
            return;
        }
        let before = self.behind.len();
        self.behind.retain(|(waiting, end)| *waiting != partition || position < *end);
        if self.behind.len() != before {
            self.report_progress();
        }
    }

    fn report_progress(&self) {
        if self.behind.is_empty() {
            tracing::info!(
                ids = self.metrics.ids.get(),
                "ready: what was accepted before is known"
            );
            self.readiness.ready();
        } else {
            let what =
                format!("the end of {} partitions of {WEBHOOKS_RECEIVED}", self.behind.len());
            self.readiness.waiting_for(what);
        }
    }
}

/// Remembers the record's event. Its headers say enough; a record without them is decoded.
fn note(
    decoder: &mut Decoder,
    dedupe: &Dedupe,
    metrics: &DedupeMetrics,
    message: &BorrowedMessage<'_>,
) {
    let at = message.timestamp().to_millis().unwrap_or(0);
    if let Some((key, print)) = from_headers(message) {
        dedupe.observe(key, print, at);
        return;
    }
    let decoded = message.payload().map(|value| decoder.decode::<WebhookReceived>(value));
    if let Some(Ok(value)) = decoded {
        let key = EventKey::new(&value.source, &value.event_id);
        if let Some(print) = BodyPrint::from_hex(&value.body_sha256) {
            dedupe.observe(key, print, at);
        }
    } else {
        metrics.unreadable.inc();
        tracing::warn!(
            partition = message.partition(),
            offset = message.offset(),
            "a record of {WEBHOOKS_RECEIVED} is not one of ours"
        );
    }
}

fn from_headers(message: &BorrowedMessage<'_>) -> Option<(EventKey, BodyPrint)> {
    let headers = message.headers()?;
    let text = |name: &str| {
        let found = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(found.value?).ok()
    };
    let key = EventKey::new(text(header::SOURCE)?, text(header::EVENT_ID)?);
    Some((key, BodyPrint::from_hex(text(header::BODY_SHA256)?)?))
}
