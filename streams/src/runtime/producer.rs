//! The producer of a stream thread.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use super::engine::Owner;
use crate::{
    disposition::{Disposition, Failure},
    record::Outgoing,
    task::SendId,
};

/// Largest record the client takes; the topic's `max.message.bytes` decides below this.
const MESSAGE_BYTES_MAX: &str = "2097152";

/// Records and their size, in KiB, that the client holds for a broker that does not answer. What
/// does not fit waits with the engine, which begins nothing new meanwhile.
const QUEUED_RECORDS_MAX: &str = "100000";
const QUEUED_KBYTES_MAX: &str = "65536";

/// What became of a record: who sent it, under which id.
pub(super) struct Delivery {
    pub(super) owner: Owner,
    pub(super) send: SendId,
    pub(super) result: Result<(), Failure>,
}

/// What the client said to a record.
#[derive(Debug)]
pub(super) enum Handover {
    /// Its delivery will be reported.
    Taken,
    /// It has no room now. To wait for some here would stop the thread for as long as the outage.
    NoRoom,
    /// It will never take it.
    Refused(Failure),
}

pub(super) struct Deliveries {
    reports: Sender<Delivery>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        // Brokers come and go; records wait for them without a limit of time.
        tracing::warn!(%error, reason, "producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<(Owner, SendId)>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(refusal(error, message.topic())),
        };
        let (owner, send) = *opaque;
        if self.reports.send(Delivery { owner, send, result }).is_err() {
            tracing::debug!("a delivery report came after the thread had ended");
        }
    }
}

/// An idempotent producer, acks=all, that never gives a record up by itself: while no broker
/// answers, records wait and nothing is committed.
pub(super) struct Producer {
    producer: BaseProducer<Deliveries>,
    reports: Receiver<Delivery>,
}

impl Producer {
    pub(super) fn new(servers: &str, client_id: &str) -> Result<Self, KafkaError> {
        let (sender, reports) = channel();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("client.id", client_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "1")
            .set("compression.type", "lz4")
            .set("message.max.bytes", MESSAGE_BYTES_MAX)
            .set("queue.buffering.max.messages", QUEUED_RECORDS_MAX)
            .set("queue.buffering.max.kbytes", QUEUED_KBYTES_MAX)
            .create_with_context(Deliveries { reports: sender })?;
        Ok(Self { producer, reports })
    }

    /// Hands a record to the client, without waiting.
    pub(super) fn send(&self, owner: Owner, send: SendId, record: &Outgoing) -> Handover {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers.iter() {
            headers = headers.insert(Header { key, value: Some(value.as_ref()) });
        }
        let mut message = BaseRecord::with_opaque_to(&record.topic, Box::new((owner, send)));
        message = message.headers(headers);
        if let Some(partition) = record.partition {
            message = message.partition(partition);
        }
        if let Some(key) = &record.key {
            message = message.key(key.as_ref());
        }
        if let Some(value) = &record.value {
            message = message.payload(value.as_ref());
        }
        if let Some(timestamp) = record.timestamp {
            message = message.timestamp(timestamp);
        }
        match self.producer.send(message) {
            Ok(()) => Handover::Taken,
            Err((error, _)) if is_full(&error) => Handover::NoRoom,
            Err((error, _)) => Handover::Refused(refusal(&error, &record.topic)),
        }
    }

    /// Reports that have come in.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.producer.poll(Duration::ZERO);
        self.reports.try_iter().collect()
    }

    /// The error after which this producer can do nothing more, if there is one.
    pub(super) fn fatal_error(&self) -> Option<String> {
        let (code, reason) = self.producer.client().fatal_error()?;
        Some(format!("{code}: {reason}"))
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
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
        )
    );
    Failure {
        exception: "rdkafka::error::KafkaError",
        message: format!("topic `{topic}` did not take the record: {error}"),
        disposition: if is_own_fault { Disposition::DeadLetter } else { Disposition::Halt },
    }
}

#[cfg(test)]
mod tests {
    use super::{Handover, Producer};
    use crate::{
        record::{Headers, Outgoing},
        runtime::engine::Owner,
        task::SendId,
    };

    /// Nobody listens on port 1, so nothing ever leaves the queue.
    #[test]
    fn a_record_without_room_comes_back_at_once() {
        let producer = Producer::new("127.0.0.1:1", "test").unwrap();
        let record = Outgoing {
            topic: "t".into(),
            partition: Some(0),
            key: None,
            value: Some(vec![7; 1 << 20].into()),
            timestamp: None,
            headers: Headers::new(),
        };
        let owner = Owner { sub: 0, partition: 0, generation: 1 };
        let said: Vec<Handover> =
            (0..80).map(|id| producer.send(owner, SendId(id), &record)).collect();
        assert!(matches!(said.first(), Some(Handover::Taken)), "{said:?}");
        assert!(matches!(said.last(), Some(Handover::NoRoom)), "{said:?}");
    }
}
