//! The raw topic on a real Kafka.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use schemas::topics::WEBHOOKS_RECEIVED;

use crate::dedupe::Ticket;
use crate::metrics::Metrics;
use crate::publish::{PublishError, Publisher};
use crate::readiness::Readiness;
use crate::record::{RawRecord, framed};

/// Records waiting for Kafka. Full means Kafka is away: more would only wait for their 503.
const QUEUE_RECORDS_MAX: u32 = 20_000;

/// Their size, in KiB: what an outage may cost in memory.
const QUEUE_KIB_MAX: u32 = 64 * 1024;

/// Longest pause before the producer tries a broker again, in milliseconds. The library's own
/// 10 s would keep answering 503 long after the broker is back.
const RECONNECT_MS_MAX: u32 = 1_000;

/// How the producer is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Kafka's brokers.
    pub bootstrap_servers: String,
    /// The raw schema's id in the registry.
    pub schema_id: u32,
    /// Time after which a request gives up on its record.
    pub deadline: Duration,
    /// Largest record.
    pub message_bytes_max: usize,
}

/// Why the publisher cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is refused.
    #[error("cannot create the Kafka producer")]
    Producer(#[from] KafkaError),
}

type Producer = ThreadedProducer<Deliveries>;

/// Settles the ticket of each record when its fate is known, on the producer's own thread, so that
/// the outcome is kept even when the request it came with is gone.
#[derive(Debug)]
struct Deliveries {
    metrics: Metrics,
    readiness: Arc<Readiness>,
    /// Kafka was reported to be away. It is said once, not with every attempt to reach it.
    away: AtomicBool,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "rdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!("producing to {WEBHOOKS_RECEIVED}: {error}: {reason}");
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        match result {
            Ok(_) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("producing to {WEBHOOKS_RECEIVED} works again");
                }
                self.readiness.kafka.acknowledged();
                ticket.accepted();
            }
            Err((error, _)) => {
                self.metrics.publish_failures.inc();
                self.readiness.kafka.failed(error);
                tracing::debug!("a record was not acknowledged: {error}");
                ticket.failed();
            }
        }
    }
}

/// Publishes with `acks=all` and idempotence.
pub struct KafkaPublisher {
    settings: Settings,
    metrics: Metrics,
    readiness: Arc<Readiness>,
    /// Held while the handle is cloned or replaced.
    producer: Mutex<Arc<Producer>>,
}

impl KafkaPublisher {
    /// A publisher; connects in the background, and tells `readiness` what becomes of records.
    pub fn new(
        settings: Settings,
        metrics: Metrics,
        readiness: Arc<Readiness>,
    ) -> Result<Self, StartError> {
        let producer = Mutex::new(Arc::new(create(&settings, &metrics, &readiness)?));
        Ok(Self { settings, metrics, readiness, producer })
    }

    fn producer(&self) -> Arc<Producer> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A producer that has met a fatal error takes nothing any more: puts another in its place,
    /// unless another request was faster.
    fn replace(&self, broken: &Arc<Producer>) {
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, broken) {
            return;
        }
        tracing::error!("the Kafka producer met a fatal error and is replaced");
        match create(&self.settings, &self.metrics, &self.readiness) {
            Ok(fresh) => *current = Arc::new(fresh),
            Err(error) => tracing::error!("cannot replace the Kafka producer: {error}"),
        }
    }
}

impl std::fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaPublisher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Publisher for KafkaPublisher {
    fn publish(&self, record: &RawRecord, ticket: Ticket) -> Result<(), PublishError> {
        let value = framed(&record.value, self.settings.schema_id);
        let mut headers = OwnedHeaders::new_with_capacity(record.headers().len());
        for (key, value) in record.headers() {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let producer = self.producer();
        let base = BaseRecord::with_opaque_to(WEBHOOKS_RECEIVED, Box::new(ticket))
            .key(record.key.as_str())
            .payload(&value[..])
            .timestamp(record.value.received_at)
            .headers(headers);
        self.readiness.kafka.waits();
        producer.send(base).map_err(|(error, _)| {
            self.metrics.publish_failures.inc();
            self.readiness.kafka.failed(&error);
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                self.replace(&producer);
            }
            PublishError::Enqueue(error)
        })
    }

    fn probe(&self, limit: Duration) -> Result<(), String> {
        let producer = self.producer();
        let known = producer.client().fetch_metadata(Some(WEBHOOKS_RECEIVED), limit);
        let known = known.map_err(|error| error.to_string())?;
        let mut partitions = known.topics().iter().flat_map(MetadataTopic::partitions);
        if partitions.any(|partition| partition.leader() >= 0) {
            return Ok(());
        }
        Err(format!("no partition of {WEBHOOKS_RECEIVED} has a leader"))
    }

    fn flush(&self, limit: Duration) {
        if let Err(error) = self.producer().flush(limit) {
            tracing::warn!("not every record was acknowledged before the stop: {error}");
        }
    }
}

fn create(
    settings: &Settings,
    metrics: &Metrics,
    readiness: &Arc<Readiness>,
) -> Result<Producer, KafkaError> {
    // A tenth earlier than the request gives up, so that the answer is a known failure.
    let delivery = settings.deadline.saturating_sub(settings.deadline / 10);
    ClientConfig::new()
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("client.id", "ingress")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        // Java clients place records by the same rule.
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", delivery.as_millis().max(1).to_string())
        .set("message.max.bytes", settings.message_bytes_max.to_string())
        // One request in flight batches what arrives meanwhile: the latency of `linger.ms=0`
        // without a request for every record.
        .set("linger.ms", "0")
        .set("max.in.flight.requests.per.connection", "1")
        .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX.to_string())
        .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string())
        .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX.to_string())
        .create_with_context(Deliveries {
            metrics: metrics.clone(),
            readiness: Arc::clone(readiness),
            away: AtomicBool::new(false),
        })
}

#[cfg(test)]
mod tests;
