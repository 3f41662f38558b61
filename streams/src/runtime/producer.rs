//! The producers of a stream thread: one for transactions, one for what is sent outside them.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender as Reports, channel},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _, TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext},
};

use crate::{
    disposition::{Disposition, Failure},
    native::{self, Kind, ProduceError, Sender},
    record::Outgoing,
    task::transaction::{ErrorKind, Offsets, TransactionError, Transactional},
};

/// Largest record the client takes; the topic's `max.message.bytes` decides below this.
const MESSAGE_BYTES_MAX: &str = "2097152";

/// Records and their size, in KiB, that the client holds for a broker that does not answer. What
/// does not fit waits with the engine, which begins nothing new meanwhile.
const QUEUED_RECORDS_MAX: &str = "200000";
const QUEUED_KBYTES_MAX: &str = "65536";

/// Bytes of one batch: what a broker takes at once at full speed.
const BATCH_BYTES: &str = "131072";

/// How long records of a transaction wait for company, in milliseconds, while their batch is not full.
/// Nobody sees them before the commit. What waits leaves at once twice in a transaction, once on the way
/// and once at its end; a request for each partition in between would only make brokers busy.
const TRANSACTION_LINGER_MS: &str = "100";

/// How long one call of a transaction may hold the thread, which has a group to answer to.
const CALL_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a transaction may stay open before the broker aborts it and fences us, unless set. Well
/// above the longest pause of a healthy process; a group that lost us waits this long for our open
/// one.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// What became of a record, by the number it was sent with.
pub(super) struct Delivery {
    pub(super) opaque: usize,
    pub(super) result: Result<(), Failure>,
}

/// What the client said to a record.
#[derive(Debug)]
pub(super) enum Handover {
    /// Its delivery will be reported, where this producer reports deliveries.
    Taken,
    /// It has no room now. To wait for some here would stop the thread for as long as the outage.
    NoRoom,
    /// It will never take it.
    Refused(Failure),
}

pub(super) struct Deliveries {
    reports: Reports<Delivery>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        // Brokers come and go; records wait for them without a limit of time.
        tracing::warn!(%error, reason, "producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(refusal(error, message.topic())),
        };
        if self.reports.send(Delivery { opaque, result }).is_err() {
            tracing::debug!("a delivery report came after the thread had ended");
        }
    }
}

/// A producer with acks=all that never gives a record up by itself: while no broker answers, records
/// wait and nothing is committed.
pub(super) struct Producer {
    sender: Sender<Deliveries>,
    reports: Receiver<Delivery>,
}

impl Producer {
    /// A producer for what is sent outside transactions; it reports every delivery.
    pub(super) fn idempotent(servers: &str, client_id: &str) -> Result<Self, KafkaError> {
        let mut config = base(servers, client_id);
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "1");
        Self::of(&config)
    }

    /// A producer of transactions; it reports failed deliveries only, the commit speaks for the rest.
    /// What an earlier one of this id left open is aborted, what is left of it fenced.
    pub(super) fn transactional(
        servers: &str,
        client_id: &str,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let mut config = base(servers, client_id);
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .set("delivery.report.only.error", "true")
            .set("linger.ms", TRANSACTION_LINGER_MS);
        Self::of(&config)
    }

    fn of(config: &ClientConfig) -> Result<Self, KafkaError> {
        let (sender, reports) = channel();
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(Deliveries { reports: sender })?;
        Ok(Self { sender: Sender::new(&Arc::new(producer)), reports })
    }

    /// Takes its place; asks until a broker answers or `is_stopping`.
    pub(super) fn init(&self, is_stopping: impl Fn() -> bool) -> Result<(), TransactionError> {
        loop {
            match native::init(self.sender.producer(), CALL_TIMEOUT.saturating_mul(4)) {
                Err(error) if error.kind == Kind::Retriable && !is_stopping() => {
                    tracing::warn!(%error, "taking the transactional id; asking again");
                }
                answer => return answer.map_err(told),
            }
        }
    }

    /// Hands a record to the client, without waiting.
    pub(super) fn send(&mut self, opaque: usize, record: &Outgoing) -> Handover {
        let headers = record.headers.iter().map(|(name, value)| (name, &**value));
        let taken = self.sender.produce(
            &record.topic,
            record.partition,
            record.key.as_deref(),
            record.value.as_deref(),
            record.timestamp,
            headers,
            opaque,
        );
        match taken {
            Ok(()) => Handover::Taken,
            Err(ProduceError::QueueFull) => Handover::NoRoom,
            Err(ProduceError::Refused(error)) => Handover::Refused(refusal(&error, &record.topic)),
        }
    }

    /// Reports that have come in.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        native::pump(self.sender.producer());
        self.reports.try_iter().collect()
    }

    /// The error after which this producer can do nothing more, if there is one.
    pub(super) fn fatal_error(&self) -> Option<String> {
        let (code, reason) = self.sender.producer().client().fatal_error()?;
        Some(format!("{code}: {reason}"))
    }
}

fn base(servers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("client.id", client_id)
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("compression.type", "lz4")
        .set("batch.size", BATCH_BYTES)
        .set("message.max.bytes", MESSAGE_BYTES_MAX)
        .set("queue.buffering.max.messages", QUEUED_RECORDS_MAX)
        .set("queue.buffering.max.kbytes", QUEUED_KBYTES_MAX);
    config
}

/// The transactions of a producer, with the membership that was current when the open one began.
pub(super) struct Transactions<'a> {
    pub(super) producer: &'a Producer,
    pub(super) group: &'a ConsumerGroupMetadata,
}

impl Transactional for Transactions<'_> {
    fn begin(&mut self) -> Result<(), TransactionError> {
        native::begin(self.producer.sender.producer()).map_err(told)
    }

    fn dispatch(&mut self) {
        native::dispatch(self.producer.sender.producer());
    }

    fn send_offsets(&mut self, offsets: &Offsets) -> Result<(), TransactionError> {
        let list = list(offsets).map_err(|error| TransactionError {
            kind: ErrorKind::Other,
            message: format!("an offset cannot be committed: {error}"),
        })?;
        native::send_offsets(self.producer.sender.producer(), &list, self.group, CALL_TIMEOUT)
            .map_err(told)
    }

    fn commit(&mut self) -> Result<(), TransactionError> {
        native::commit_transaction(self.producer.sender.producer(), CALL_TIMEOUT).map_err(told)
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        native::abort(self.producer.sender.producer(), CALL_TIMEOUT).map_err(told)
    }
}

/// Offsets with their metadata, as the client takes them.
pub(super) fn list(offsets: &Offsets) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (topic, partition, point) in offsets {
        let mut element = list.add_partition(topic, *partition);
        element.set_offset(rdkafka::Offset::Offset(point.offset))?;
        element.set_metadata(point.metadata());
    }
    Ok(list)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn told(error: native::TransactionError) -> TransactionError {
    let kind = match error.kind {
        Kind::Fatal => ErrorKind::Fatal,
        Kind::Abort => ErrorKind::Abort,
        Kind::Retriable => ErrorKind::Retriable,
        Kind::Other => ErrorKind::Other,
    };
    TransactionError { kind, message: error.to_string() }
}

/// What a refused record means: too large or malformed is the record's own fault, anything else is
/// nobody's to guess.
fn refusal(error: &KafkaError, topic: &str) -> Failure {
    let is_own_fault = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::InvalidTimestamp
        )
    );
    Failure {
        exception: "rdkafka::error::KafkaError".into(),
        message: format!("topic `{topic}` did not take the record: {error}"),
        disposition: if is_own_fault { Disposition::DeadLetter } else { Disposition::Halt },
    }
}

#[cfg(test)]
mod tests {
    use super::{Handover, Producer};
    use crate::record::{Headers, Outgoing};

    /// Nobody listens on port 1, so nothing ever leaves the queue.
    #[test]
    fn a_record_without_room_comes_back_at_once() {
        let mut producer = Producer::idempotent("127.0.0.1:1", "test").unwrap();
        let record = Outgoing {
            topic: "t".into(),
            partition: Some(0),
            key: None,
            value: Some(vec![7; 1 << 20].into()),
            timestamp: None,
            headers: Headers::new(),
        };
        let said: Vec<Handover> = (0..80).map(|id| producer.send(id, &record)).collect();
        assert!(matches!(said.first(), Some(Handover::Taken)), "{said:?}");
        assert!(matches!(said.last(), Some(Handover::NoRoom)), "{said:?}");
    }
}
