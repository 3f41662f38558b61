//! Writes letters back to where they came from, at a steady pace.
use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use streams::dead_letter::{ERROR_PREFIX, Reason};
use tokio::time::{Interval, MissedTickBehavior};

use super::letter::{Letter, headers_of};
use super::receipt::Receipt;
use crate::command::tail::reader::Record;

/// Most records a second. A repair runs beside live traffic.
pub(super) const RATE_MAX: u32 = 1_000;
/// Records under way: enough to keep the pace over a slow link, and bounded, for each may have a megabyte.
const IN_FLIGHT_MAX: usize = 64;
/// How long the cluster may take to acknowledge a record. Afterwards nobody knows whether it took it;
/// the next redrive looks.
const DELIVERY_TIMEOUT_MS: &str = "60000";
/// Largest record the client takes, as the processors' own; the topic's limit decides below this.
const MESSAGE_BYTES_MAX: &str = "2097152";

/// An idempotent producer, acks=all.
pub(super) struct Sender {
    producer: FutureProducer,
    pace: Interval,
    in_flight: VecDeque<(String, DeliveryFuture)>,
    acknowledged: usize,
}

impl Sender {
    /// A sender of at most `rate` records a second, from 1 to [`RATE_MAX`].
    pub(super) fn new(servers: &str, rate: u32) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("client.id", "bankstream-redrive")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("message.timeout.ms", DELIVERY_TIMEOUT_MS)
            .set("message.max.bytes", MESSAGE_BYTES_MAX)
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Critical)
            .create()
            .context("making a Kafka producer")?;
        let period = Duration::from_secs(1).checked_div(rate).unwrap_or(Duration::from_secs(1));
        let mut pace = tokio::time::interval(period);
        // the rate is a promise: time that was lost is not made up for
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { producer, pace, in_flight: VecDeque::new(), acknowledged: 0 })
    }

    /// Sends the record that `letter` holds, when it is its turn.
    pub(super) async fn send(&mut self, letter: &Letter, record: Record) -> anyhow::Result<()> {
        let Some(reason) = &letter.reason else { return Ok(()) };
        self.pace.tick().await;
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            self.acknowledge_next().await?;
        }
        let mut message = FutureRecord::<[u8], [u8]>::to(&reason.position.topic)
            // where its state is and where its receipt is looked for, whoever chose the partition
            .partition(reason.position.partition)
            .headers(headers(letter, reason, record.headers)?);
        if let Some(key) = &record.key {
            message = message.key(key);
        }
        if let Some(value) = &record.value {
            message = message.payload(value);
        }
        if let Some(timestamp) = record.timestamp {
            message = message.timestamp(timestamp);
        }
        let sent = self.producer.send_result(message).map_err(|(error, _)| error);
        let delivery = sent.with_context(|| refused(&letter.position.to_string()))?;
        self.in_flight.push_back((letter.position.to_string(), delivery));
        Ok(())
    }

    /// How many the cluster has.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Waits until the cluster has all of them.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        while !self.in_flight.is_empty() {
            self.acknowledge_next().await?;
        }
        Ok(())
    }

    async fn acknowledge_next(&mut self) -> anyhow::Result<()> {
        let Some((letter, delivery)) = self.in_flight.pop_front() else { return Ok(()) };
        let delivery = delivery.await.with_context(|| refused(&letter))?;
        delivery.map_err(|(error, _)| error).with_context(|| refused(&letter))?;
        self.acknowledged = self.acknowledged.saturating_add(1);
        Ok(())
    }
}

fn refused(letter: &str) -> String {
    format!(
        "sending letter {letter}; run the command again when that is mended, what was sent is passed over"
    )
}

/// The record's own headers, without what was said about its failure, and its receipt.
fn headers(
    letter: &Letter,
    reason: &Reason,
    pairs: Vec<(String, Vec<u8>)>,
) -> anyhow::Result<OwnedHeaders> {
    let mut headers = headers_of(pairs);
    headers.remove_prefix(ERROR_PREFIX);
    let before = letter.receipt.as_ref();
    let receipt = Receipt {
        letter: letter.position.to_string(),
        record: reason.position.to_string(),
        exception: reason.exception.clone(),
        attempts: before.map_or(0, |before| before.attempts).saturating_add(reason.attempts),
        redrives: before.map_or(0, |before| before.redrives).saturating_add(1),
    };
    receipt.write(&mut headers)?;
    let mut owned = OwnedHeaders::new_with_capacity(headers.len());
    for (key, value) in headers.iter() {
        owned = owned.insert(Header { key, value: Some(value.as_ref()) });
    }
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;
    use streams::Headers;

    use super::super::letter::testing::letter;
    use super::super::receipt::{REDRIVEN, Receipt};
    use super::headers;

    #[test]
    fn record_keeps_its_headers_and_gets_one_that_counts() {
        let earlier = Receipt {
            letter: "app-dlq/0/1".to_owned(),
            record: "in/1/3".to_owned(),
            exception: "app::Other".to_owned(),
            attempts: 4,
            redrives: 1,
        };
        let mut letter = letter(7, "in/1/17");
        let reason = letter.reason.clone().unwrap();
        let mut came = Headers::new();
        came.push("traceparent", "00-1");
        came.push("traceparent", "00-2");
        reason.write(&mut came);
        earlier.write(&mut came).unwrap();
        letter.receipt = Some(earlier);
        let pairs = came.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();

        let sent = headers(&letter, &reason, pairs).unwrap();
        let names: Vec<&str> = sent.iter().map(|header| header.key).collect();
        assert_eq!(names, ["traceparent", "traceparent", REDRIVEN]);
        let receipt = sent.iter().last().and_then(|header| header.value).unwrap();
        insta::assert_snapshot!(std::str::from_utf8(receipt).unwrap(), @r#"{"letter":"app-dlq/0/7","record":"in/1/17","exception":"app::Error","attempts":5,"redrives":2}"#);
    }
}
