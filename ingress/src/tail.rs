//! Reads the raw topic, first from the dedupe window's beginning, or from where a snapshot ends, to
//! its end, then as it grows: so a restart forgets nothing and replicas know each other's events.

mod judge;
mod keeper;
mod progress;
mod start;

use std::sync::Arc;
use std::time::Duration;

use apache_avro::AvroSchema as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use schemas::WebhookReceived;
use schemas::topics::WEBHOOKS_RECEIVED;
use streams::wire::{Decoder, Schemas, keep};
use tokio_util::sync::CancellationToken;

pub(crate) use self::keeper::{Keeper, Settings};
use self::progress::{Progress, Step};
use crate::dedupe::snapshot::{Mark, Snapshot};
use crate::dedupe::{BodyPrint, Dedupe, EventKey};
use crate::metrics::DedupeMetrics;
use crate::readiness::Readiness;
use crate::record::header;

/// How long one poll waits; a stop is noticed this late at most.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// How often in a row the broker may say that there is no such topic: a broker that has just
/// started answers before it knows all of its topics. Some five seconds.
const MISSING_ANSWERS_MAX: u32 = 25;

/// Records are fetched when there are so many bytes of them, or after so many milliseconds: a fetch for
/// each record, as it comes, would cost more than taking it. A replica knows of another's event a tenth
/// of a second later.
const FETCH_BYTES_MIN: u32 = 256 * 1024;
const FETCH_WAIT_MS_MAX: u32 = 100;

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
    /// Keeps what was read in a file, if that is wanted.
    keeper: Option<Keeper>,
    progress: Progress,
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
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("reconnect.backoff.max.ms", "1000")
            .set("queued.max.messages.kbytes", FETCHED_KIB_MAX.to_string())
            .set("fetch.min.bytes", FETCH_BYTES_MIN.to_string())
            .set("fetch.wait.max.ms", FETCH_WAIT_MS_MAX.to_string())
            .create()
            .map_err(TailError::Consumer)?;
        let decoder = Decoder::new(schemas, keep(WebhookReceived::get_schema()));
        let (keeper, progress) = (None, Progress::default());
        Ok(Self { consumer, decoder, dedupe, metrics, readiness, keeper, progress })
    }

    /// Starts from the snapshot that `keeper` has, and lets it write others.
    pub(crate) fn with_snapshots(self, keeper: Option<Keeper>) -> Self {
        Self { keeper, ..self }
    }

    /// Reads records from `since` (milliseconds) on, or from where a snapshot ends; says when the end
    /// was reached, and goes on until `stop`.
    pub(crate) fn run(mut self, since: i64, stop: &CancellationToken) -> Result<(), TailError> {
        let mut snapshot = self.keeper.as_ref().and_then(Keeper::open);
        loop {
            if !self.begin(since, snapshot.take(), stop)? {
                return Ok(());
            }
            let ended = self.follow(stop);
            if ended == Ended::Stopped {
                self.keep();
                return Ok(());
            }
            // What the snapshot held is not of this topic.
            let now = self.keeper.as_ref().map_or(since, Keeper::now);
            self.dedupe.forget(now);
            if let Some(keeper) = &self.keeper {
                keeper.set_aside(&start::OtherRecords);
            }
        }
    }

    /// Waits for Kafka and places the consumer; false when stopped before.
    fn begin(
        &mut self,
        since: i64,
        mut snapshot: Option<Snapshot>,
        stop: &CancellationToken,
    ) -> Result<bool, TailError> {
        let mut missing = 0;
        while !stop.is_cancelled() {
            match self.assign(since, &mut snapshot) {
                Ok(true) => {
                    self.report_progress();
                    return Ok(true);
                }
                Ok(false) if missing == MISSING_ANSWERS_MAX => return Err(TailError::NoTopic),
                Ok(false) => missing += 1,
                Err(error) => self.readiness.waiting_for(format!("Kafka: {error}")),
            }
            // Waits, and lets the consumer report what it meets.
            if let Some(Err(error)) = self.consumer.poll(POLL_TIMEOUT) {
                tracing::debug!("waiting for Kafka: {error}");
            }
        }
        Ok(false)
    }

    fn follow(&mut self, stop: &CancellationToken) -> Ended {
        // Kafka being away is said once, not with every attempt to reach it.
        let mut away = false;
        while !stop.is_cancelled() {
            let before = self.progress.missing();
            let step = match self.consumer.poll(POLL_TIMEOUT) {
                None => Step::New,
                Some(Ok(message)) => {
                    away = false;
                    read(
                        &mut self.progress,
                        &mut self.decoder,
                        &self.dedupe,
                        &self.metrics,
                        &message,
                    )
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.progress.ended(partition),
                Some(Err(error)) => {
                    if std::mem::replace(&mut away, true) {
                        tracing::debug!("reading {WEBHOOKS_RECEIVED}: {error}");
                    } else {
                        tracing::warn!("reading {WEBHOOKS_RECEIVED}: {error}");
                    }
                    Step::New
                }
            };
            if step == Step::Foreign {
                return Ended::Foreign;
            }
            let missing = self.progress.missing();
            if missing != before {
                self.report_progress();
            }
            if missing == 0 && self.keeper.as_ref().is_some_and(Keeper::is_due) {
                self.keep();
            }
        }
        Ended::Stopped
    }

    /// Writes what is known to the file, once it is complete.
    fn keep(&mut self) {
        if let Some(keeper) = self.keeper.as_mut().filter(|_| self.progress.missing() == 0) {
            keeper.write(self.progress.positions(), &self.dedupe);
        }
    }

    fn report_progress(&self) {
        let missing = self.progress.missing();
        if missing == 0 {
            tracing::info!(
                ids = self.metrics.ids.get(),
                "ready: what was accepted before is known"
            );
            self.readiness.ready();
        } else {
            let what = format!("the end of {missing} partitions of {WEBHOOKS_RECEIVED}");
            self.readiness.waiting_for(what);
        }
    }
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Stopped,
    /// The topic is not the one that the snapshot was made of.
    Foreign,
}

/// Remembers the record's event, unless a snapshot held it.
fn read(
    progress: &mut Progress,
    decoder: &mut Decoder,
    dedupe: &Dedupe,
    metrics: &DedupeMetrics,
    message: &BorrowedMessage<'_>,
) -> Step {
    let time = message.timestamp().to_millis().unwrap_or(0);
    let event = event_of(decoder, metrics, message);
    let mark = Mark { offset: message.offset(), time, event: event.map(|(key, _)| key) };
    let step = progress.read(message.partition(), mark);
    if let (Step::New, Some((key, print))) = (step, event) {
        dedupe.observe(key, print, time);
    }
    step
}

/// The record's event. Its headers say enough; a record without them is decoded.
fn event_of(
    decoder: &mut Decoder,
    metrics: &DedupeMetrics,
    message: &BorrowedMessage<'_>,
) -> Option<(EventKey, BodyPrint)> {
    if let Some(event) = from_headers(message) {
        return Some(event);
    }
    let decoded = message.payload().map(|value| decoder.decode::<WebhookReceived>(value));
    if let Some(Ok(value)) = decoded {
        let key = EventKey::new(&value.source, &value.event_id);
        return BodyPrint::from_hex(&value.body_sha256).map(|print| (key, print));
    }
    metrics.unreadable.inc();
    tracing::warn!(
        partition = message.partition(),
        offset = message.offset(),
        "a record of {WEBHOOKS_RECEIVED} is not one of ours"
    );
    None
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

#[cfg(test)]
mod tests;
