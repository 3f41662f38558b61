//! The topic of rejected requests: by a producer of its own, so that nothing here can take room or
//! time from the raw topic's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apache_avro::AvroSchema as _;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use schemas::WebhookRejected;
use schemas::topics::WEBHOOKS_REJECTED;
use streams::wire::{EncodeError, Encoder, SchemaError, Schemas, keep};

use crate::clock::Stopwatch;
use crate::metrics::CaptureMetrics;

/// Records that wait for Kafka, and their size in KiB; more of them are given up. They are for
/// looking at, and the next ones tell as much.
pub(super) const QUEUE_RECORDS_MAX: u32 = 256;
const QUEUE_KIB_MAX: u32 = 8 * 1024;

/// Milliseconds after which a record that Kafka has not acknowledged is given up.
const DELIVERY_MS_MAX: u32 = 10_000;

/// How long the last records may take when the process ends.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Pause between two questions to a registry that did not answer, or not with a schema.
const PIN_PAUSE: Duration = Duration::from_secs(10);

/// What the bound on bytes is for.
const HOUR: Duration = Duration::from_hours(1);

/// Why a rejected request cannot be put on the topic.
#[derive(Debug, thiserror::Error)]
enum PutError {
    #[error("its schema: {0}")]
    Schema(SchemaError),
    #[error("its schema: the registry was asked in vain a moment ago")]
    Unpinned,
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// What comes back of the records.
#[derive(Debug)]
struct Deliveries {
    metrics: CaptureMetrics,
    /// A failure was said; it is said once, until it works again.
    is_failing: AtomicBool,
}

impl Deliveries {
    fn failed(&self, error: &dyn std::fmt::Display) {
        self.metrics.unpublished.inc();
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!("cannot keep a rejected request on {WEBHOOKS_REJECTED}: {error}");
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "rdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("producing to {WEBHOOKS_REJECTED}: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.metrics.published.inc();
                self.is_failing.store(false, Ordering::Relaxed);
            }
            Err((error, _)) => self.failed(error),
        }
    }
}

/// Bytes of the present hour.
#[derive(Debug)]
struct Hourly {
    limit: u64,
    since: Stopwatch,
    taken: u64,
}

impl Hourly {
    fn take(&mut self, bytes: usize) -> bool {
        if self.since.elapsed() >= HOUR {
            (self.since, self.taken) = (Stopwatch::start(), 0);
        }
        let after = self.taken.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let fits = after <= self.limit;
        if fits {
            self.taken = after;
        }
        fits
    }
}

/// The topic, with a producer that connects in the background.
pub struct Topic {
    producer: BaseProducer<Deliveries>,
    schemas: Arc<dyn Schemas>,
    encoder: Option<Encoder>,
    /// When the registry was asked last.
    asked: Option<Stopwatch>,
    hourly: Hourly,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic").field("hourly", &self.hourly).finish_non_exhaustive()
    }
}

impl Topic {
    /// One on Kafka at `bootstrap_servers` with so many bytes an hour; `schemas` gives the id of the
    /// record's schema when the first one comes.
    pub fn new(
        bootstrap_servers: &str,
        schemas: Arc<dyn Schemas>,
        limit: u64,
        metrics: CaptureMetrics,
    ) -> Result<Self, KafkaError> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("client.id", "ingress-capture")
            .set("acks", "all")
            .set("message.timeout.ms", DELIVERY_MS_MAX.to_string())
            .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string())
            .create_with_context(Deliveries { metrics, is_failing: AtomicBool::new(false) })?;
        let hourly = Hourly { limit, since: Stopwatch::start(), taken: 0 };
        Ok(Self { producer, schemas, encoder: None, asked: None, hourly })
    }

    /// Hands a record to the producer. May wait for the registry until its schema is known.
    pub(super) fn put(&mut self, kept: &WebhookRejected) {
        match self.send(kept) {
            Ok(true) => {}
            Ok(false) => self.producer.client().context().metrics.over_rate.inc(),
            Err(error) => self.producer.client().context().failed(&error),
        }
        self.look();
    }

    /// Whether there was room for it in this hour.
    fn send(&mut self, kept: &WebhookRejected) -> Result<bool, PutError> {
        let encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => self.pin()?,
        };
        let value = self.encoder.insert(encoder).encode(kept)?;
        if !self.hourly.take(value.len()) {
            return Ok(false);
        }
        let record = BaseRecord::to(WEBHOOKS_REJECTED)
            .key(kept.source.as_str())
            .payload(&value[..])
            .timestamp(kept.received_at);
        self.producer.send(record).map_err(|(error, _)| error)?;
        Ok(true)
    }

    /// An encoder with the id that the registry has for the schema.
    fn pin(&mut self) -> Result<Encoder, PutError> {
        if self.asked.is_some_and(|asked| asked.elapsed() < PIN_PAUSE) {
            return Err(PutError::Unpinned);
        }
        self.asked = Some(Stopwatch::start());
        let schema = WebhookRejected::get_schema();
        let id = self.schemas.pin(WEBHOOKS_REJECTED, &schema).map_err(PutError::Schema)?;
        Ok(Encoder::new(id, keep(schema))?)
    }

    /// Takes what has come back from Kafka.
    pub(super) fn look(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Gives what is on its way a moment to arrive.
    pub(super) fn flush(&self) {
        if let Err(error) = self.producer.flush(FLUSH_TIME) {
            tracing::warn!("the last rejected requests are not on {WEBHOOKS_REJECTED}: {error}");
        }
    }
}
