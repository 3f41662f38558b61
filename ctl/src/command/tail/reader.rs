//! Reads a topic on a thread of its own, for as long as somebody listens.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use streams::admin::Watermarks;
use tokio::sync::mpsc;

use crate::output;

/// Records that wait to be shown: a terminal is slow, the topic may be long.
const WAITING_MAX: usize = 256;
/// How long the reading thread waits for a record before it looks whether somebody still listens.
const POLL: Duration = Duration::from_millis(100);
/// Records kept to find the newest ones: a limit for `--limit` as well.
const NEWEST_MAX: usize = 100_000;

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub(in crate::command) enum Start {
    /// At the oldest record.
    Beginning,
    /// So many records before the end, over all partitions.
    Newest(usize),
}

/// A record as it is on the topic.
#[derive(Debug)]
pub(in crate::command) struct Record {
    pub(in crate::command) partition: i32,
    pub(in crate::command) offset: i64,
    pub(in crate::command) timestamp: Option<i64>,
    pub(in crate::command) key: Option<Vec<u8>>,
    pub(in crate::command) value: Option<Vec<u8>>,
    pub(in crate::command) headers: Vec<(String, Vec<u8>)>,
}

/// A topic being read.
#[derive(Debug)]
pub(in crate::command) struct Reading {
    records: mpsc::Receiver<anyhow::Result<Record>>,
}

impl Reading {
    /// Begins to read `topic`, whose partitions have these `ends`; stops at the end of every partition
    /// unless it is to `follow`: then it outlives brokers that are away for a while.
    pub(in crate::command) fn start(
        servers: &str,
        topic: &str,
        ends: &BTreeMap<i32, Watermarks>,
        start: Start,
        follow: bool,
    ) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            // required by the library, never used: nothing is subscribed to or committed
            .set("group.id", "bankstream-tail")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Critical)
            .create()
            .context("making a Kafka consumer")?;
        let mut assignment = TopicPartitionList::new();
        for (partition, marks) in ends {
            let from = match start {
                Start::Beginning => marks.low,
                Start::Newest(count) => {
                    let count = i64::try_from(count.min(NEWEST_MAX)).unwrap_or(i64::MAX);
                    // each may stand before the marker of a transaction of its own
                    let offsets = count.saturating_mul(2);
                    marks.low.max(marks.high.saturating_sub(offsets))
                }
            };
            assignment
                .add_partition_offset(topic, *partition, Offset::Offset(from))
                .context("choosing where to begin")?;
        }
        consumer.assign(&assignment).context("choosing where to begin")?;
        let (sender, records) = mpsc::channel(WAITING_MAX);
        let open: BTreeSet<i32> = ends.keys().copied().collect();
        tokio::task::spawn_blocking(move || read(&consumer, open, start, follow, &sender));
        Ok(Self { records })
    }

    /// The next record; none at the end.
    pub(in crate::command) async fn next(&mut self) -> Option<anyhow::Result<Record>> {
        self.records.recv().await
    }
}

/// Sends records until the end, an error, or nobody listens.
fn read(
    consumer: &BaseConsumer,
    mut open: BTreeSet<i32>,
    start: Start,
    follow: bool,
    sender: &mpsc::Sender<anyhow::Result<Record>>,
) {
    let mut newest = match start {
        Start::Beginning => None,
        Start::Newest(count) => Some(Newest::of(count.min(NEWEST_MAX))),
    };
    let mut is_away = false;
    while !sender.is_closed() {
        if open.is_empty() {
            for record in newest.take().map(Newest::records).unwrap_or_default() {
                if sender.blocking_send(Ok(record)).is_err() {
                    return;
                }
            }
            if !follow {
                return;
            }
        }
        match consumer.poll(POLL) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            // The library connects again by itself, and goes on where it was.
            Some(Err(error)) if follow && is_passing(&error) => {
                let code = error.rdkafka_error_code().filter(|_| !is_away);
                if let Some(code) = code {
                    output::progress(&format!("Kafka does not answer ({code}); waiting for it"));
                }
                is_away = true;
            }
            Some(Err(error)) => {
                let error = anyhow::Error::new(error).context("reading the topic");
                // when nobody listens the loop ends anyway
                drop(sender.blocking_send(Err(error)));
                return;
            }
            Some(Ok(message)) => {
                is_away = false;
                let record = record(&message.detach());
                match &mut newest {
                    Some(newest) => newest.push(record),
                    None if sender.blocking_send(Ok(record)).is_err() => return,
                    None => {}
                }
            }
        }
    }
}

/// Whether it goes by when the brokers are back.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerNotAvailable
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// The newest records seen so far. Records may be large: of a partition no more are held than may be
/// among the newest of all.
#[derive(Debug)]
struct Newest {
    count: usize,
    held: BTreeMap<i32, VecDeque<Record>>,
}

impl Newest {
    fn of(count: usize) -> Self {
        Self { count, held: BTreeMap::new() }
    }

    fn push(&mut self, record: Record) {
        let held = self.held.entry(record.partition).or_default();
        held.push_back(record);
        if held.len() > self.count {
            held.pop_front();
        }
    }

    /// The last of them by time, oldest first.
    fn records(self) -> Vec<Record> {
        let mut records: Vec<_> = self.held.into_values().flatten().collect();
        records.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
        records.split_off(records.len().saturating_sub(self.count))
    }
}

fn record(message: &OwnedMessage) -> Record {
    let headers = message.headers().map(|headers| {
        let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
        };
        headers.iter().map(pair).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Newest, Record};

    #[test]
    fn the_newest_records_of_all_partitions_come_in_order_of_time() {
        let record = |partition, offset, timestamp| Record {
            partition,
            offset,
            timestamp: Some(timestamp),
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let records = vec![record(0, 5, 10), record(0, 6, 40), record(1, 0, 20), record(1, 1, 30)];
        let mut newest = Newest::of(3);
        for record in records {
            newest.push(record);
        }
        let last: Vec<(i32, i64)> =
            newest.records().into_iter().map(|record| (record.partition, record.offset)).collect();
        assert_eq!(last, [(1, 0), (1, 1), (0, 6)]);

        let mut newest = Newest::of(3);
        for offset in 0..1000 {
            newest.push(record(0, offset, offset));
        }
        assert_eq!(newest.held[&0].len(), 3, "no more is held than is wanted");
        let offsets: Vec<i64> = newest.records().iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [997, 998, 999]);
    }
}
